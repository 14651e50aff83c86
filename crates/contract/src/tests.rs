use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::check::{Checked, Placement, Violation};
use crate::event::Event;
use crate::load;
use crate::model::{EventContract, OnInvalid};

/// 2026-01-02T03:04:05Z.
const NOW_MS: i64 = 1_767_323_045_000;

/// Makes a contract whose `spec` is the small start and what `more` adds.
fn contract(class: &str, key: &str, more: &str) -> Arc<EventContract> {
    let text = format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: order-placed}}\n\
         spec:\n  class: {class}\n  schema: {{file: order.json}}\n  key: {{{key}}}\n{more}"
    );
    let schema = json!({"properties": {"total": {"type": "integer"}}, "required": ["total"]});
    let files = [("orders.yaml".to_owned(), text)];
    let contracts = load::sources(&files, &|_| Some(schema.to_string()));
    let contracts = contracts.unwrap_or_else(|e| panic!("{e}"));
    Arc::clone(contracts.by_name("order-placed").unwrap())
}

fn fact(more: &str) -> Arc<EventContract> {
    contract("fact", "from: $.id", more)
}

fn event(data: Value) -> Event {
    Event {
        id: "e-1".into(),
        source: "/commerce".into(),
        event_type: "order-placed".into(),
        data: Some(Bytes::from(data.to_string())),
        ..Event::default()
    }
}

fn verdict(contract: &EventContract, event: &Event) -> String {
    match contract.check(event, NOW_MS) {
        Ok(checked) => accepted(&checked),
        Err(violation) => refused(&violation),
    }
}

fn accepted(checked: &Checked) -> String {
    let key = checked
        .key
        .as_ref()
        .map(|key| String::from_utf8_lossy(key).into_owned());
    let mut text = format!("key {}", key.unwrap_or_else(|| "none".into()));
    if let Some(id) = &checked.id {
        text.push_str(&format!(", id {id}"));
    }
    if let Some(time_ms) = checked.time_ms {
        text.push_str(&format!(", time {time_ms}"));
    }
    text
}

fn refused(violation: &Violation) -> String {
    let texts = violation
        .errors
        .iter()
        .map(|r| format!("{} {} ({})", r.pointer, r.detail, r.rule));
    format!(
        "{}: {}",
        violation.on_invalid,
        texts.collect::<Vec<_>>().join("; ")
    )
}

#[test]
fn the_key_comes_from_the_data() {
    let check = |key: &str, data: Value, expected: &str| {
        let contract = contract("fact", key, "");
        assert_eq!(verdict(&contract, &event(data)), expected, "{key}");
    };
    let no_name =
        "quarantine: #/data/id must be a string, a 64-bit integer, or true or false (key.from)";
    check("from: $.id", json!({"total": 1, "id": "o-1"}), "key o-1");
    check("from: $.id", json!({"total": 1, "id": ""}), "key ");
    check(
        "from: $.id",
        json!({"total": 1, "id": 18446744073709551615u64}),
        "key 18446744073709551615",
    );
    check("from: $.id", json!({"total": 1, "id": -7}), "key -7");
    check("from: $.id", json!({"total": 1, "id": true}), "key true");
    check("from: $.id", json!({"total": 1, "id": 1.5}), no_name);
    check("from: $.id", json!({"total": 1, "id": ["a"]}), no_name);
    check("from: $.a.b", json!({"total": 1, "a": {"b": "x"}}), "key x");
}

#[test]
fn a_missing_key_is_what_the_contract_says() {
    let check = |class: &str, key: &str, expected: &str| {
        let contract = contract(class, key, "");
        assert_eq!(
            verdict(&contract, &event(json!({"total": 1, "id": null}))),
            expected,
            "{class} {key}"
        );
    };
    check("fact", "from: $.id", "key none");
    check("telemetry", "from: $.id", "key none");
    check(
        "command",
        "from: $.id",
        "quarantine: #/data/id required (key.onMissing)",
    );
    check(
        "fact",
        "from: $.id, onMissing: reject",
        "quarantine: #/data/id required (key.onMissing)",
    );
    check("command", "from: $.id, onMissing: keyless", "key none");
}

#[test]
fn ordering_decides_how_a_record_finds_its_partition() {
    let check = |class: &str, key: &str, expected: Placement| {
        let checked = contract(class, key, "").check(&event(json!({"total": 1, "id": 1})), NOW_MS);
        assert_eq!(checked.unwrap().placement, expected, "{class} {key}");
    };
    check("fact", "from: $.id", Placement::ByKey);
    check(
        "fact",
        "from: $.id, ordering: per-partition",
        Placement::ByKey,
    );
    check("fact", "from: $.id, ordering: none", Placement::Any);
    check("telemetry", "from: $.id", Placement::Any);
}

#[test]
fn the_id_comes_from_the_data_where_the_contract_says_so() {
    let with_id = fact("  event: {id: $.id}\n");
    let check = |id: &str, data: Value, expected: &str| {
        let event = Event {
            id: id.into(),
            ..event(data)
        };
        assert_eq!(verdict(&with_id, &event), expected);
    };
    check("o-1", json!({"total": 1, "id": "o-1"}), "key o-1, id o-1");
    check("", json!({"total": 1, "id": "o-1"}), "key o-1, id o-1");
    check("7", json!({"total": 1, "id": 7}), "key 7, id 7");
    check(
        "e-1",
        json!({"total": 1, "id": "o-1"}),
        "quarantine: #/id must be the value of `$.id` (event.id)",
    );
    check(
        "e-1",
        json!({"total": 1}),
        "quarantine: #/data/id required (event.id)",
    );
    let malformed =
        "quarantine: #/data/id must have 1 to 1024 bytes and no control characters (event.id)";
    check("", json!({"total": 1, "id": ""}), malformed);
    check("", json!({"total": 1, "id": "a\nb"}), malformed);
    check("", json!({"total": 1, "id": "a".repeat(1025)}), malformed);
}

#[test]
fn a_violation_knows_the_id_that_the_event_would_have_had() {
    let with_id = fact("  event: {id: $.id}\n");
    let check = |data: Value, expected: Option<&str>| {
        let violation = with_id.check(&event(data), NOW_MS).unwrap_err();
        assert_eq!(violation.id.as_deref(), expected);
    };
    check(json!({"id": "o-1"}), Some("o-1"));
    check(json!({"id": ""}), None);
    check(json!({"total": 1}), None);
}

#[test]
fn the_time_may_be_neither_far_ahead_nor_too_old() {
    let check = |rules: &str, time: Option<&str>, at: Value, expected: &str| {
        let contract = fact(&format!("  event: {{time: {{{rules}}}}}\n"));
        let mut data = json!({"total": 1, "id": 1});
        data["at"] = at;
        let event = Event {
            time: time.map(str::to_owned),
            ..event(data)
        };
        assert_eq!(verdict(&contract, &event), expected, "{rules} {time:?}");
    };
    let none = Value::Null;
    check("", None, none.clone(), "key 1");
    check(
        "",
        Some("2026-01-02T03:04:05Z"),
        none.clone(),
        "key 1, time 1767323045000",
    );
    check(
        "",
        Some("2026-01-02T03:09:05Z"),
        none.clone(),
        "key 1, time 1767323345000",
    );
    check(
        "",
        Some("2026-01-02T03:09:05.001Z"),
        none.clone(),
        "quarantine: #/time lies more than 5m ahead of its receipt (event.time.maxSkew)",
    );
    check(
        "",
        Some("0001-01-01T00:00:00Z"),
        none.clone(),
        "key 1, time -62135596800000",
    );
    check(
        "maxAge: 1h",
        Some("2026-01-02T02:04:04.999Z"),
        none.clone(),
        "quarantine: #/time lies more than 1h behind its receipt (event.time.maxAge)",
    );
    check(
        "maxAge: 1h",
        Some("2026-01-02T02:04:05Z"),
        none.clone(),
        "key 1, time 1767319445000",
    );
    check(
        "onMissing: reject",
        None,
        none.clone(),
        "quarantine: #/time required (event.time.onMissing)",
    );
    check(
        "from: $.at",
        Some("2026-01-02T03:04:05Z"),
        none.clone(),
        "key 1",
    );
    check(
        "from: $.at",
        None,
        json!("2026-01-02T03:04:05Z"),
        "key 1, time 1767323045000",
    );
    let no_time = "quarantine: #/data/at must be an RFC 3339 timestamp (event.time.from)";
    check("from: $.at", None, json!("soon"), no_time);
    check("from: $.at", None, json!(1767323045), no_time);
    check(
        "from: $.at, onMissing: reject",
        None,
        none,
        "quarantine: #/data/at required (event.time.onMissing)",
    );
}

#[test]
fn type_and_source_are_those_of_the_contract() {
    let check = |more: &str, change: &dyn Fn(&mut Event), expected: &str| {
        let mut event = event(json!({"total": 1}));
        change(&mut event);
        assert_eq!(verdict(&fact(more), &event), expected);
    };
    check("", &|e| e.source = "/anything".into(), "key none");
    let only = "  event: {source: /commerce}\n";
    check(only, &|_| {}, "key none");
    check(
        only,
        &|e| e.source = "/x".into(),
        "quarantine: #/source must be `/commerce` (event.source)",
    );
    check(
        "",
        &|e| e.event_type = "x".into(),
        "quarantine: #/type must be `order-placed` (event.type)",
    );
    assert_eq!(fact("").event.source.for_plain_body(), "/order-placed");
    assert_eq!(fact(only).event.source.for_plain_body(), "/commerce");
}

#[test]
fn data_is_json_of_the_allowed_size() {
    let check = |change: &dyn Fn(&mut Event), expected: &str| {
        let mut event = event(json!({"total": 1}));
        change(&mut event);
        assert_eq!(
            verdict(&fact("  topic: {maxMessage: 1KiB}\n"), &event),
            expected
        );
    };
    check(
        &|e| e.datacontenttype = Some("application/vnd.example+json; charset=utf-8".into()),
        "key none",
    );
    check(
        &|e| e.datacontenttype = Some("text/plain".into()),
        "quarantine: #/datacontenttype must be JSON (schema.format)",
    );
    check(
        &|e| e.data = None,
        "quarantine: #/data required (schema.format)",
    );
    check(
        &|e| e.data = Some(Bytes::from_static(b"{\"secret\": x}")),
        "quarantine: #/data is not JSON: expected value at line 1 column 12 (schema.format)",
    );
    check(
        &|e| e.data = Some(Bytes::from_static(b"{\"a\": \"\xff\"}")),
        "quarantine: #/data is not JSON: invalid unicode code point at line 1 column 8 (schema.format)",
    );
    check(
        &|e| e.data = Some(Bytes::from("[".repeat(500))),
        "quarantine: #/data is not JSON: recursion limit exceeded at line 1 column 128 (schema.format)",
    );
    check(
        &|e| e.data = Some(Bytes::from(vec![b' '; 1025])),
        "reject: #/data has 1025 bytes; 1KiB are allowed (topic.maxMessage)",
    );
}

#[test]
fn every_broken_rule_is_named_and_the_data_is_not() {
    let contract = contract(
        "command",
        "from: $.id",
        "  event: {time: {onMissing: reject}}\n",
    );
    let event = Event {
        source: "/x".into(),
        ..event(json!({"total": "secret"}))
    };
    let violation = contract.check(&event, NOW_MS).unwrap_err();
    let expected = "quarantine: #/data/id required (key.onMissing); \
                    #/time required (event.time.onMissing); \
                    #/data/total must be an integer (schema:type)";
    assert_eq!(refused(&violation), expected);
    let text = "the event breaks `order-placed`: `#/data/id` required, and 2 more";
    assert_eq!(violation.to_string(), text);
    assert!(!format!("{violation:?}").contains("secret"));
}

#[test]
fn a_contract_out_of_force_takes_nothing_and_keeps_nothing() {
    let check = |lifecycle: &str, expected: &str| {
        let contract = fact(&format!("  lifecycle: {lifecycle}\n"));
        assert_eq!(
            verdict(&contract, &event(json!({"total": 1}))),
            expected,
            "{lifecycle}"
        );
    };
    check("active", "key none");
    check("deprecated", "key none");
    check(
        "draft",
        "reject: # the contract is `draft` and takes no events (lifecycle)",
    );
    check(
        "retired",
        "reject: # the contract is `retired` and takes no events (lifecycle)",
    );
}

#[test]
fn what_becomes_of_an_invalid_event_is_the_contracts_word() {
    let check = |class: &str, more: &str, expected: OnInvalid| {
        let violation = contract(class, "from: $.id", more).check(&event(json!({})), NOW_MS);
        assert_eq!(
            violation.unwrap_err().on_invalid,
            expected,
            "{class} {more}"
        );
    };
    check("fact", "", OnInvalid::Quarantine);
    check("command", "", OnInvalid::Quarantine);
    check("telemetry", "", OnInvalid::Reject);
    check(
        "fact",
        "  ingress: {onInvalid: reject}\n",
        OnInvalid::Reject,
    );
    check(
        "telemetry",
        "  ingress: {onInvalid: quarantine}\n",
        OnInvalid::Quarantine,
    );
}

#[test]
fn a_violation_is_of_bounded_size() {
    let long = "k".repeat(10_000);
    let items: Vec<Value> = (0..1000).map(|_| json!({&long: 1})).collect();
    let text = "apiVersion: contract/v1\nkind: EventContract\nmetadata: {name: order-placed}\n\
                spec: {class: fact, schema: {file: s.json}, key: {from: $.id}, topic: {maxMessage: 100MiB}}\n";
    let schema = json!({"properties": {"items": {"items": {"additionalProperties": false}}}});
    let files = [("a.yaml".to_owned(), text.to_owned())];
    let contracts = load::sources(&files, &|_| Some(schema.to_string())).unwrap();
    let contract = contracts.by_type("order-placed").unwrap();
    let violation = contract
        .check(&event(json!({"items": items})), NOW_MS)
        .unwrap_err();
    assert_eq!((violation.errors.len(), violation.more), (32, 968));
    assert!(
        violation
            .errors
            .iter()
            .all(|r| r.pointer.chars().count() <= 257)
    );
}

#[test]
fn encoded_data_is_read_by_its_media_type() {
    let avro = json!({"type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "string"}, {"name": "total", "type": "long"}]})
    .to_string();
    let protobuf = "syntax = \"proto3\"; message Order { string id = 1; int64 total = 2; }";
    let contract = |format: &str, text: &str| {
        let contract = format!(
            "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: order-placed}}\nspec:\n  \
             class: fact\n  schema: {{format: {format}, file: order}}\n  key: {{from: $.id}}\n"
        );
        let files = [("orders.yaml".to_owned(), contract)];
        let contracts = load::sources(&files, &|_| Some(text.to_owned()));
        let contracts = contracts.unwrap_or_else(|e| panic!("{e}"));
        Arc::clone(contracts.by_name("order-placed").unwrap())
    };
    let (json, avro, protobuf) = (
        contract("json", "{}"),
        contract("avro", &avro),
        contract("protobuf", protobuf),
    );
    let check = |contract: &EventContract, media_type: &str, data: &[u8], expected: &str| {
        let mut event = event(json!({}));
        event.datacontenttype = Some(media_type.to_owned());
        event.data = Some(Bytes::copy_from_slice(data));
        assert_eq!(verdict(contract, &event), expected, "{media_type}");
    };
    let text = br#"{"id": "o-1", "total": 5}"#;
    for contract in [&json, &avro, &protobuf] {
        check(contract, "application/json", text, "key o-1");
        check(
            contract,
            "application/order+json; charset=utf-8",
            text,
            "key o-1",
        );
    }
    for media_type in ["application/avro", "avro/binary", "Application/Avro; v=1"] {
        check(&avro, media_type, b"\x06o-1\x0a", "key o-1");
    }
    for media_type in ["application/protobuf", "application/x-protobuf"] {
        check(&protobuf, media_type, b"\x0a\x03o-1\x10\x05", "key o-1");
    }
    let refused = "quarantine: #/datacontenttype must be JSON";
    check(
        &json,
        "application/avro",
        b"\x06o-1\x0a",
        &format!("{refused} (schema.format)"),
    );
    check(
        &avro,
        "application/protobuf",
        b"",
        &format!("{refused} or `application/avro` (schema.format)"),
    );
    check(
        &avro,
        "application/avro",
        b"\x06o-1",
        "quarantine: #/data ends inside an Avro value (schema.format)",
    );
    check(
        &protobuf,
        "application/json",
        br#"{"id": "o-1", "total": "many"}"#,
        "quarantine: #/data/total must be a 64-bit integer (schema:type)",
    );
}
