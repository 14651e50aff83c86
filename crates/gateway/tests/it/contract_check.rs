//! Contracts held against what is in force: readers, the events that are kept, and how far readers are.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_contract::{Contracts, diff, load};
use tidegate_event_log::{Append, Header, Log as _, Record};
use tidegate_gateway::Settings;

use crate::faults::Fault;
use crate::harness::{Running, start, start_with};

const TEAM: &str = "apiVersion: contract/v1\nkind: Team\nmetadata: {name: team}\nspec: {pager: \"mailto:team@example.com\"}\n";

fn order(spec: &str) -> String {
    format!(
        "---\napiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: orders, owner: team, version: 1.2.0}}\nspec:\n  \
         class: fact\n  event: {{type: com.example.order}}\n  key: {{from: $.customer}}\n{spec}"
    )
}

fn reader(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {{name: {name}, owner: team-b}}\nspec:\n  \
         contract: orders\n  accepts: \">=1 <3\"\n  via: {{kafka: {{group: {name}}}}}\n{spec}"
    )
}

fn schema(total: &str) -> String {
    json!({"type": "object", "required": ["total"], "properties": {
        "total": {"type": total}, "customer": {"type": "string"}, "note": {"type": "string"}}})
    .to_string()
}

const JSON: &str = "  schema: {file: order.json}\n";

fn three_readers() -> String {
    [
        reader("archive", "  reads: [$.customer]\n"),
        reader("billing", "  reads: [$.total]\n"),
        reader("notes", "  reads: [$.note]\n"),
    ]
    .concat()
}

fn contracts(text: &str, schemas: &[(&str, String)]) -> Contracts {
    let files = [("in-force.yaml".to_owned(), text.to_owned())];
    let schemas: BTreeMap<&str, String> = schemas.iter().cloned().collect();
    let find = |path: &str| schemas.get(path).cloned();
    load::sources(&files, &find).unwrap_or_else(|found| panic!("{found}"))
}

/// A gateway with orders and their three readers in force.
async fn with_readers() -> Running {
    with_readers_and(Settings::default()).await
}

async fn with_readers_and(settings: Settings) -> Running {
    let running = start_with(settings).await;
    let text = [TEAM, &order(JSON), &three_readers()].concat();
    let set = contracts(&text, &[("order.json", schema("integer"))]);
    running.gateway.replace_contracts(&set).await.unwrap();
    running
}

fn body(text: &str, schemas: &[(&str, String)]) -> Value {
    let schemas = schemas
        .iter()
        .map(|(path, text)| json!({"path": path, "text": text}));
    json!({
        "files": [{"path": "orders.yaml", "text": text}],
        "schemas": schemas.collect::<Vec<_>>(),
    })
}

/// The producer's folder with the total as a text.
fn changed() -> Value {
    let text = [TEAM, &order(JSON)].concat();
    body(&text, &[("order.json", schema("string"))])
}

async fn check(running: &Running, body: &Value) -> Value {
    let answer = running
        .post("/v1/contracts/check", &[], body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// What is told about readers.
fn told(answer: &Value) -> Vec<String> {
    let changes = answer["changes"].as_array().unwrap().iter();
    let about = |change: &Value| {
        let reader = change["reader"]["name"].as_str()?;
        let part = |name: &str| change[name].as_str().unwrap_or("-").to_owned();
        Some(format!(
            "{} {reader} {} {}",
            part("severity"),
            part("rule"),
            part("field")
        ))
    };
    changes.filter_map(about).collect()
}

#[tokio::test]
async fn one_change_breaks_one_reader_and_names_the_first_event() {
    let running = with_readers().await;
    let mut first = None;
    for (number, total) in [("1", "7"), ("2", "8"), ("3", "9")] {
        let body = format!("{{\"total\": {total}, \"customer\": \"c-{number}\"}}");
        let answer = running.order(number, &body).await;
        let receipt = &answer.accepted(false).json;
        first.get_or_insert((receipt["partition"].clone(), receipt["offset"].clone()));
        // Of two of one millisecond neither is the first.
        running.clock.advance(Duration::from_secs(1));
    }
    let answer = check(&running, &changed()).await;
    let expected = [
        "breaking billing reader-field-type $.total",
        "breaking billing reader-events-fail $.total",
    ];
    assert_eq!(told(&answer), expected);
    let changes = answer["changes"].as_array().unwrap();
    let failing = changes
        .iter()
        .find(|change| change["rule"] == "reader-events-fail")
        .unwrap();
    let (partition, offset) = first.unwrap();
    let place = json!({"topic": "orders", "partition": partition, "offset": offset});
    assert_eq!(failing["first_offset"], place);
    let message = failing["message"].as_str().unwrap();
    assert!(
        message.contains("3 of 3 events of the replay window"),
        "{message}"
    );
    let looked = json!([{"contract": "orders", "topic": "orders", "looked_at": 3, "of": 3, "broken_already": 0}]);
    assert_eq!(answer["events"], looked);
    // Nothing was put in force.
    running.order("4", "{\"total\": 1}").await.accepted(false);
}

#[tokio::test]
async fn without_events_the_answer_is_what_files_say() {
    let running = with_readers().await;
    running.order("1", "{\"total\": 7}").await.accepted(false);
    let mut asked = changed();
    asked["sample"] = json!(0);
    let answer = check(&running, &asked).await;
    let in_force = [TEAM, &order(JSON), &three_readers()].concat();
    let in_force = contracts(&in_force, &[("order.json", schema("integer"))]);
    let texts = [TEAM, &order(JSON)].concat();
    let files = [("orders.yaml".to_owned(), texts)];
    let new = load::sources(&files, &|_| Some(schema("string"))).unwrap();
    let expected: Vec<Value> = diff::diff(&in_force, &new.completed_by(&in_force))
        .iter()
        .map(diff::Change::to_json)
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(answer["changes"], json!(expected));
    assert_eq!(answer["events"][0]["stopped_by"], "sample");
}

#[tokio::test]
async fn a_new_reader_is_held_against_contracts_and_events_in_force() {
    let running = with_readers().await;
    for number in 0..3 {
        let body = format!("{{\"total\": {number}, \"customer\": \"c\"}}");
        running
            .order(&number.to_string(), &body)
            .await
            .accepted(false);
    }
    let rule = "  reads: [$.nope]\n  requires: [{name: paid, expr: message.total > 1}]\n";
    let asked = body(&reader("fraud", rule), &[]);
    let answer = check(&running, &asked).await;
    let expected = [
        "breaking fraud reader-field-gone $.nope",
        "breaking fraud reader-events-fail -",
        "safe fraud reader-added -",
    ];
    assert_eq!(told(&answer), expected);
    let failing = &answer["changes"][1];
    assert_eq!(failing["first_offset"]["offset"], 0);
    assert_eq!(failing["file"], "orders.yaml");
    assert!(
        failing["message"]
            .as_str()
            .unwrap()
            .contains("2 of 3 events"),
        "{failing}"
    );
}

#[tokio::test]
async fn a_sample_is_bounded_and_a_full_check_looks_at_all() {
    let running = with_readers().await;
    for number in 0..200 {
        let body = format!("{{\"total\": {number}, \"customer\": \"c-{number}\"}}");
        running
            .order(&number.to_string(), &body)
            .await
            .accepted(false);
    }
    let mut asked = changed();
    asked["sample"] = json!(20);
    let looked = &check(&running, &asked).await["events"][0];
    assert_eq!(
        (&looked["of"], &looked["stopped_by"]),
        (&json!(200), &json!("sample"))
    );
    let count = looked["looked_at"].as_u64().unwrap();
    assert!((15..=25).contains(&count), "{count}");
    asked["full"] = json!(true);
    let both = running
        .post("/v1/contracts/check", &[], asked.to_string())
        .await;
    assert_eq!(both.status, 400, "{}", both.text);
    asked.as_object_mut().unwrap().shift_remove("sample");
    let looked = &check(&running, &asked).await["events"][0];
    assert_eq!(
        (&looked["looked_at"], &looked["of"]),
        (&json!(200), &json!(200))
    );
    assert!(looked["stopped_by"].is_null());
    // What is older than the replay window is not looked at.
    running.clock.advance(Duration::from_hours(24 * 40));
    running
        .order("late", "{\"total\": 1}")
        .await
        .accepted(false);
    let looked = &check(&running, &asked).await["events"][0];
    assert_eq!(looked["looked_at"], 1);
}

#[tokio::test]
async fn a_sample_ends_when_its_time_is_over() {
    let running = with_readers_and(Settings {
        sample_time: Duration::ZERO,
        ..Settings::default()
    })
    .await;
    running.order("1", "{\"total\": 7}").await.accepted(false);
    let mut asked = changed();
    let looked = &check(&running, &asked).await["events"][0];
    let expected = (&json!(0), &json!("time"));
    assert_eq!((&looked["looked_at"], &looked["stopped_by"]), expected);
    asked["full"] = json!(true);
    let looked = &check(&running, &asked).await["events"][0];
    assert_eq!(looked["looked_at"], 1, "all have their own time");
}

#[tokio::test]
async fn one_check_runs_at_a_time_and_ends_with_its_caller() {
    let running = with_readers().await;
    running.order("1", "{\"total\": 7}").await.accepted(false);
    running.log.set(Fault::Hangs);
    let asked = changed().to_string();
    let (one, two) = (
        running.post("/v1/contracts/check", &[], asked.clone()),
        running.post("/v1/contracts/check", &[], asked.clone()),
    );
    // The other one waits for the log.
    let refused = tokio::select! {
        answer = one => answer,
        answer = two => answer,
    };
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.json["type"], "/problems/overloaded");
    running.log.set(Fault::None);
    // Its caller is gone, and so is it.
    loop {
        let answer = running
            .post("/v1/contracts/check", &[], asked.clone())
            .await;
        match answer.status {
            503 => assert_eq!(answer.json["type"], "/problems/overloaded"),
            status => break assert_eq!(status, 200, "{}", answer.text),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_its_place() {
    let running = with_readers().await;
    let refused = |asked: Value| running.post("/v1/contracts/check", &[], asked.to_string());
    let answer = refused(body("kind: EventContrakt\n", &[])).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    assert_eq!(answer.json["type"], "/problems/contracts-invalid");
    assert_eq!(answer.json["errors"][0]["pointer"], "orders.yaml:1:7");
    for path in ["/etc/passwd", "", "a\nb"] {
        let answer = refused(json!({"files": [{"path": path, "text": ""}]})).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
    }
    let answer = refused(json!({"files": [], "other": 1})).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    // A schema outside of what was sent is not there.
    let text = [TEAM, &order("  schema: {file: ../order.json}\n")].concat();
    let answer = refused(body(&text, &[("order.json", schema("string"))])).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    // The address does not hide a contract of that name.
    let answer = running.get("/v1/contracts/check").await;
    assert_eq!(answer.json["type"], "/problems/contract-not-found");
    running.log.set(Fault::NotStored);
    let answer = refused(changed()).await;
    assert_eq!(answer.json["type"], "/problems/log-unavailable");
}

#[tokio::test]
async fn records_are_read_by_the_schema_that_they_name() {
    let running = start().await;
    let record =
        |fields: &str| format!(r#"{{"type": "record", "name": "O", "fields": [{fields}]}}"#);
    let (id, customer) = (
        r#"{"name": "id", "type": "string"}"#,
        r#"{"name": "customer", "type": "string"}"#,
    );
    let written = record(&format!(
        r#"{{"name": "old", "type": "int"}}, {id}, {customer}"#
    ));
    let url = format!("http://{}/subjects/orders-value/versions", running.registry);
    let request = running
        .client
        .post(url)
        .header("content-type", "application/json");
    let request = request.body(json!({"schema": written}).to_string());
    let answer = request.send().await.unwrap().text().await.unwrap();
    assert!(answer.starts_with("{\"id\":1"), "{answer}");
    let avro = "  schema: {file: order.avsc, format: avro, compatibility: NONE}\n";
    let text = [TEAM, &order(avro), &reader("r", "  reads: [$.id]\n")].concat();
    let set = contracts(
        &text,
        &[("order.avsc", record(&format!("{id}, {customer}")))],
    );
    running.gateway.replace_contracts(&set).await.unwrap();
    let append = |value: &'static [u8]| Append {
        topic: "orders".into(),
        partition: Some(0),
        record: Record {
            key: None,
            value: Some(value.into()),
            headers: Vec::new(),
        },
        claim: None,
    };
    // Schema 1: `old` 1, `id` x, `customer` y. Then one that names a schema nobody knows.
    let appends = vec![
        append(b"\0\0\0\0\x01\x02\x02x\x02y"),
        append(b"\0\0\0\0\x63\x02\x02x"),
    ];
    for answer in running.log.append(appends).await {
        answer.unwrap();
    }
    let new = record(&format!(
        r#"{id}, {customer}, {{"name": "note", "type": ["null", "string"], "default": null}}"#
    ));
    let text = [TEAM, &order(avro)].concat();
    let answer = check(&running, &body(&text, &[("order.avsc", new)])).await;
    assert_eq!(told(&answer), [""; 0], "{answer}");
    let looked = &answer["events"][0];
    assert_eq!(
        (&looked["looked_at"], &looked["broken_already"]),
        (&json!(2), &json!(1))
    );
}

#[tokio::test]
async fn guids_and_other_messages_name_the_writers_schema_too() {
    let running = start().await;
    let file = |fields: &str| {
        format!("syntax = \"proto3\"; message Other {{}} message Order {{ {fields} }}")
    };
    // The two have changed places since.
    let written = file("string customer = 1; string id = 2;");
    let asked = json!({"schemaType": "PROTOBUF", "schema": written});
    let path = "/subjects/orders-value/versions";
    running.ask("POST", path, asked).await;
    let path = "/subjects/orders-value/versions/1";
    let version = running.ask("GET", path, Value::Null).await.json;
    assert_eq!(version["id"], 1, "{version}");
    let guid: Vec<u8> = version["guid"].as_str().unwrap().replace('-', "").into();
    let digits = guid.chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    let guid: Vec<u8> = digits
        .map(|two| u8::from_str_radix(two, 16).unwrap())
        .collect();
    let proto = "  schema: {file: \"order.proto#/Order\", format: protobuf, compatibility: NONE}\n";
    let text = [TEAM, &order(proto)].concat();
    let in_force = file("string id = 1; string customer = 2;");
    let set = contracts(&text, &[("order.proto", in_force)]);
    running.gateway.replace_contracts(&set).await.unwrap();
    let append = |before: &[u8], header: Option<Vec<u8>>| Append {
        topic: "orders".into(),
        partition: Some(0),
        record: Record {
            key: None,
            value: Some([before, b"\x0a\x01c\x12\x01x"].concat().into()),
            headers: header
                .map(|bytes| Header::new("__value_schema_id", bytes))
                .into_iter()
                .collect(),
        },
        claim: None,
    };
    let appends = vec![
        append(b"\0\0\0\0\x01\x02\x02", None),
        append(b"", Some([&[1][..], &guid, &[2, 2]].concat())),
    ];
    for answer in running.log.append(appends).await {
        answer.unwrap();
    }
    let rule = |expr: &str| {
        let rule = format!("  requires: [{{name: rule, expr: {expr}}}]\n");
        body(&reader("fraud", &rule), &[])
    };
    let answer = check(&running, &rule("message.customer == 'c'")).await;
    assert_eq!(told(&answer), ["safe fraud reader-added -"], "{answer}");
    assert_eq!(answer["events"][0]["looked_at"], 2);
    let answer = check(&running, &rule("message.customer == 'x'")).await;
    assert!(
        answer.to_string().contains("2 of 2 events"),
        "both are looked at: {answer}"
    );
}

#[tokio::test]
async fn readers_are_listed_with_how_far_they_are() {
    let running = with_readers().await;
    let mut partition = 0;
    for number in 0..3 {
        let body = "{\"total\": 1, \"customer\": \"c\"}";
        let answer = running.order(&number.to_string(), body).await;
        let receipt = &answer.accepted(false).json;
        partition = i32::try_from(receipt["partition"].as_i64().unwrap()).unwrap();
        running.clock.advance(Duration::from_secs(10));
    }
    running
        .log
        .commit("billing", "orders", partition, 1)
        .await
        .unwrap();
    running.log.commit("notes", "meters", 0, 0).await.unwrap();
    let page = running.get("/v1/readers").await.json;
    let view = |name: &str| -> Value {
        let mut readers = page["readers"].as_array().unwrap().iter();
        readers.find(|it| it["name"] == name).unwrap().clone()
    };
    let billing = view("billing");
    assert_eq!(billing["group_exists"], true, "{billing}");
    assert_eq!(billing["lag_records"], 2);
    assert_eq!(billing["lag_ms"], 20_000);
    assert_eq!(billing["committed"][usize::try_from(partition).unwrap()], 1);
    assert_eq!(billing["reads"], json!(["$.total"]));
    let (archive, notes) = (view("archive"), view("notes"));
    assert_eq!(
        (&archive["group_exists"], &archive["lag_records"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        (&notes["group_exists"], &notes["lag_records"]),
        (&json!(true), &Value::Null)
    );
    let one = running.get("/v1/readers?limit=1").await.json;
    assert_eq!(one["next"], "archive");
    let rest = running
        .get("/v1/readers?cursor=archive&contract=orders")
        .await
        .json;
    assert_eq!(rest["readers"].as_array().unwrap().len(), 2);
    let none = running.get("/v1/readers?contract=meters").await.json;
    assert_eq!(none["readers"], json!([]));
}
