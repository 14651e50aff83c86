//! Plans and applies through their routes.

mod breaks;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_event_log::{Log, Topic, TopicConfig, TopicSpec};
use tidegate_gateway::ContractSource;

use crate::harness::{
    Answer, Running, contracts, start, start_again_from_log, start_from, start_from_log,
};

const PLANS: &str = "/v1/contract-plans";
const SETS: &str = "/v1/contract-sets";
const SCHEMA: &str = r#"{"type": "object", "properties": {"id": {"type": "string"}}}"#;
const OTHER: &str = r#"{"type": "object", "properties": {"id": {"type": "integer"}}}"#;

fn team(approves: &str) -> String {
    format!(
        "apiVersion: contract/v1\nkind: Team\nmetadata: {{name: t}}\nspec: {{pager: \"mailto:t@example.com\", approves: {{{approves}}}}}\n"
    )
}

fn contract(name: &str, version: &str, more: &str) -> String {
    format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: {name}, owner: t, version: {version}}}\nspec:\n  class: fact\n  \
         schema: {{file: s.json}}\n  key: {{from: $.id, onMissing: keyless}}\n{more}"
    )
}

fn upload(documents: &[String], schema: &str) -> Value {
    json!({
        "files": [{"path": "all.yaml", "text": documents.join("---\n")}],
        "schemas": [{"path": "s.json", "text": schema}],
        "by": "anna",
    })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

async fn send(gateway: &Running, path: &str, body: &Value) -> Answer {
    gateway.post(path, &[], body.to_string()).await
}

async fn apply(gateway: &Running, body: &Value) -> Value {
    let answer = send(gateway, SETS, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

/// The contracts in force with their versions.
async fn in_force(gateway: &Running) -> BTreeMap<String, String> {
    let listed = gateway.get("/v1/contracts").await.json;
    let listed = listed["contracts"].as_array().unwrap().iter();
    let text = |it: &Value, name: &str| it[name].as_str().unwrap().to_owned();
    listed
        .map(|it| (text(it, "name"), text(it, "version")))
        .collect()
}

fn set<const N: usize>(contracts: [(&str, &str); N]) -> BTreeMap<String, String> {
    contracts
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .into()
}

async fn topics(log: &Arc<dyn Log>) -> BTreeMap<String, Topic> {
    let topics = log.topics().await.unwrap().into_iter();
    topics
        .filter(|it| !it.internal)
        .map(|it| (it.name.clone(), it))
        .collect()
}

fn events_of(contract: &str) -> [(&'static str, String); 2] {
    [
        ("content-type", "application/json".to_owned()),
        ("idempotency-key", format!("{contract}-1")),
    ]
}

async fn publish(gateway: &Running, contract: &str, body: &str) -> u16 {
    let headers = events_of(contract);
    let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let path = format!("/v1/events/{contract}");
    gateway.post(&path, &headers, body.to_owned()).await.status
}

#[tokio::test]
async fn what_is_applied_is_in_force_and_still_is_after_a_start() {
    let gateway = start_from_log().await;
    assert!(in_force(&gateway).await.is_empty());
    let first = upload(&[team(""), contract("a", "1.0.0", "")], SCHEMA);
    let plan = send(&gateway, PLANS, &first).await.json;
    assert_eq!(plan["add"], 3, "{plan:#}");
    assert!(in_force(&gateway).await.is_empty(), "a plan does nothing");
    assert!(topics(gateway.real_log()).await.is_empty());

    let applied = apply(&gateway, &with(first.clone(), "plan", plan["id"].clone())).await;
    assert_eq!(
        (&applied["applied"], &applied["generation"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(in_force(&gateway).await, set([("a", "1.0.0")]));
    assert_eq!(publish(&gateway, "a", r#"{"id": "x"}"#).await, 202);
    let written = gateway.count().await;
    let again = apply(&gateway, &first).await;
    assert_eq!(
        (&again["applied"], &again["generation"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(
        gateway.count().await,
        written,
        "nothing to do writes nothing"
    );

    let next = upload(
        &[
            team(""),
            contract("a", "1.1.0", ""),
            contract("b", "1.0.0", ""),
        ],
        SCHEMA,
    );
    apply(&gateway, &next).await;
    let both = set([("a", "1.1.0"), ("b", "1.0.0")]);
    assert_eq!(in_force(&gateway).await, both);
    let gateway = start_again_from_log(gateway.log.clone(), gateway.clock.clone()).await;
    assert_eq!(in_force(&gateway).await, both);
    let sets = gateway.get(SETS).await.json;
    assert_eq!(sets["source"], "log");
    let told: Vec<_> = sets["sets"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&told[0]["generation"], &told[0]["by"]),
        (&json!(2), &json!("anna"))
    );
    assert_eq!(
        (&told[1]["generation"], &told[1]["documents"]),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn a_wrong_file_changes_nothing() {
    let gateway = start_from_log().await;
    apply(
        &gateway,
        &upload(&[team(""), contract("a", "1.0.0", "")], SCHEMA),
    )
    .await;
    let written = gateway.count().await;
    let wrong = [
        upload(
            &[
                team(""),
                contract("a", "2.0.0", ""),
                contract("b", "one", ""),
            ],
            SCHEMA,
        ),
        upload(
            &[team(""), contract("a", "2.0.0", ""), "kind: [\n".to_owned()],
            SCHEMA,
        ),
        upload(&[team(""), contract("a", "2.0.0", "")], "{"),
        upload(&[contract("b", "2.0.0", "  spec: {}\n")], SCHEMA),
    ];
    for body in wrong {
        for path in [PLANS, SETS] {
            let answer = send(&gateway, path, &body).await;
            answer.problem("contracts-invalid", 422);
            let pointer = answer.json["errors"][0]["pointer"].as_str().unwrap();
            assert!(pointer.starts_with("all.yaml:"), "{}", answer.text);
        }
    }
    let told = upload(
        &[
            team(""),
            contract("a", "2.0.0", ""),
            contract("b", "one", ""),
        ],
        SCHEMA,
    );
    let told = send(&gateway, SETS, &told).await.json;
    assert_eq!(told["errors"][0]["pointer"], "all.yaml:16:40", "{told:#}");
    for (body, slug, status) in [
        (json!({"files": "none"}), "bad-request", 400),
        (json!({"unknown": 1}), "bad-request", 400),
        (
            json!({"files": [{"path": "/etc/x", "text": ""}]}),
            "bad-request",
            400,
        ),
        (json!({"by": "a\u{7}b"}), "bad-request", 400),
    ] {
        send(&gateway, SETS, &body).await.problem(slug, status);
    }
    gateway
        .post(SETS, &[], "{")
        .await
        .problem("malformed-json", 400);
    assert_eq!(gateway.count().await, written);
    assert_eq!(in_force(&gateway).await, set([("a", "1.0.0")]));
}

#[tokio::test]
async fn a_plan_that_was_seen_is_the_one_that_is_applied() {
    let gateway = start_from_log().await;
    let body = upload(&[team(""), contract("a", "1.0.0", "")], SCHEMA);
    let plan = send(&gateway, PLANS, &body).await.json["id"].clone();
    let other = upload(&[team(""), contract("b", "1.0.0", "")], SCHEMA);
    apply(&gateway, &other).await;
    let stale = with(body.clone(), "plan", plan);
    send(&gateway, SETS, &stale)
        .await
        .problem("plan-changed", 409);
    assert_eq!(in_force(&gateway).await, set([("b", "1.0.0")]));
    // Two at once: one after the other, and neither is lost.
    let more: Vec<_> = (0..6)
        .map(|at| {
            upload(
                &[team(""), contract(&format!("c{at}"), "1.0.0", "")],
                SCHEMA,
            )
        })
        .collect();
    let applied = more.iter().map(|body| send(&gateway, SETS, body));
    for answer in futures::future::join_all(applied).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(in_force(&gateway).await.len(), 7);
}

#[tokio::test]
async fn what_a_plan_may_not_do_it_says_and_does_not() {
    let gateway = start_from_log().await;
    let month = [
        team(""),
        contract("a", "1.0.0", "  topic: {retention: 30d}\n"),
    ];
    apply(&gateway, &upload(&month, SCHEMA)).await;
    let week = [
        team(""),
        contract("a", "1.0.0", "  topic: {retention: 7d}\n"),
    ];
    let week = upload(&week, SCHEMA);
    let plan = send(&gateway, PLANS, &week).await.json;
    assert_eq!(plan["refusals"][0]["about"], "a", "{plan:#}");
    let refused = send(&gateway, SETS, &week).await;
    refused.problem("plan-refused", 409);
    let why = refused.json["errors"][0]["detail"].as_str().unwrap();
    assert!(why.contains("`--allow-narrowing a`"), "{why}");
    let kept = |topics: &BTreeMap<String, Topic>| topics["a"].config["retention.ms"].clone();
    assert_eq!(kept(&topics(gateway.real_log()).await), "2592000000");
    let allowed = with(week, "options", json!({"allow_narrowing": ["a"]}));
    apply(&gateway, &allowed).await;
    assert_eq!(kept(&topics(gateway.real_log()).await), "604800000");
    // Deleted with its topic, both named.
    let gone = json!({"options": {"delete": ["a"], "delete_topics": ["a"]}});
    apply(&gateway, &gone).await;
    assert!(in_force(&gateway).await.is_empty());
    assert!(topics(gateway.real_log()).await.is_empty());
    assert_eq!(apply(&gateway, &gone).await["applied"], false);
}

#[tokio::test]
async fn owners_approve_before_their_readers_break() {
    let gateway = start_from_log().await;
    let asks = [team("topic: 1, breaking: 2"), contract("a", "1.0.0", "")];
    let first = upload(&asks, SCHEMA);
    let refused = send(&gateway, SETS, &first).await;
    refused.problem("approval-missing", 409);
    assert!(in_force(&gateway).await.is_empty());
    let approve = async |plan: &Value, name: &str| {
        let body = json!({"plan": plan, "name": name});
        let answer = send(&gateway, "/v1/contract-approvals", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    let plan = send(&gateway, PLANS, &first).await.json["id"].clone();
    approve(&plan, "anna").await;
    apply(&gateway, &first).await;

    let breaking = upload(&asks, OTHER);
    let plan = send(&gateway, PLANS, &breaking).await.json["id"].clone();
    for name in ["anna", "anna", " anna "] {
        approve(&plan, name).await;
        let refused = send(&gateway, SETS, &breaking).await;
        refused.problem("approval-missing", 409);
        let detail = refused.json["errors"][0]["detail"].as_str().unwrap();
        assert_eq!(
            detail,
            "wants `2` people to approve (breaking), and `1` did"
        );
    }
    approve(&plan, "ben").await;
    // They are still there after a start, and are for this plan alone.
    let gateway = start_again_from_log(gateway.log.clone(), gateway.clock.clone()).await;
    let other = with(breaking.clone(), "options", json!({"only": ["a"]}));
    assert_eq!(send(&gateway, PLANS, &other).await.json["id"], plan);
    let other = upload(&[asks[0].clone(), contract("a", "1.0.1", "")], OTHER);
    send(&gateway, SETS, &other)
        .await
        .problem("approval-missing", 409);
    apply(&gateway, &breaking).await;
    let sets = gateway.get(SETS).await.json;
    assert_eq!(sets["sets"][0]["approved"], json!(["anna", "ben"]));
    for (plan, name) in [("x", "anna"), ("", "anna"), (plan.as_str().unwrap(), " ")] {
        let body = json!({"plan": plan, "name": name});
        let answer = send(&gateway, "/v1/contract-approvals", &body).await;
        answer.problem("bad-request", 400);
    }
}

#[tokio::test]
async fn a_version_comes_back_with_its_schema() {
    let gateway = start_from_log().await;
    apply(
        &gateway,
        &upload(&[team(""), contract("a", "1.0.0", "")], SCHEMA),
    )
    .await;
    assert_eq!(publish(&gateway, "a", r#"{"id": 5}"#).await, 422);
    let next = [
        team(""),
        contract("a", "2.0.0", ""),
        contract("b", "1.0.0", ""),
    ];
    apply(&gateway, &upload(&next, OTHER)).await;
    assert_eq!(publish(&gateway, "a", r#"{"id": 5}"#).await, 202);
    let back = json!({"rollback": {"name": "a", "version": "1.0.0"}, "by": "ben"});
    let plan = send(&gateway, PLANS, &back).await.json;
    assert_eq!(plan["actions"][0]["from"], "2.0.0", "{plan:#}");
    assert_eq!(apply(&gateway, &back).await["generation"], 3);
    assert_eq!(
        in_force(&gateway).await,
        set([("a", "1.0.0"), ("b", "1.0.0")])
    );
    let gateway = start_again_from_log(gateway.log.clone(), gateway.clock.clone()).await;
    // `b` has the schema that it came with, `a` the one it had.
    assert_eq!(publish(&gateway, "b", r#"{"id": 5}"#).await, 202);
    let refused = events_of("x");
    let refused: Vec<_> = refused.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let refused = gateway.post("/v1/events/a", &refused, r#"{"id": 5}"#).await;
    assert_eq!(refused.status, 422);
    assert_eq!(gateway.get(SETS).await.json["sets"][0]["why"], "rollback");
    assert_eq!(apply(&gateway, &back).await["applied"], false);
    let never = json!({"rollback": {"name": "a", "version": "3.0.0"}});
    let answer = send(&gateway, SETS, &never).await;
    answer.problem("contract-not-found", 404);
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(
        detail.contains("its versions were `1.0.0`, `2.0.0`"),
        "{detail}"
    );
}

#[tokio::test]
async fn a_folder_is_the_only_source_where_there_is_one() {
    let gateway = start().await;
    for path in [PLANS, SETS] {
        let body = upload(&[team(""), contract("a", "1.0.0", "")], SCHEMA);
        let answer = send(&gateway, path, &body).await;
        answer.problem("contracts-from-folder", 409);
    }
    assert_eq!(gateway.get(SETS).await.json["source"], "folder");
}

#[tokio::test]
async fn a_folder_widens_topics_at_start_and_narrows_none() {
    let gateway = start_from_log().await;
    let log = gateway.real_log();
    let make = async |name: &str, partitions: i32, settings: &[(&str, &str)]| {
        let config = settings.iter();
        let spec = TopicSpec {
            name: name.to_owned(),
            partitions: Some(partitions),
            config: config
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<TopicConfig>(),
        };
        log.create_topic(spec).await.unwrap();
    };
    make(
        "orders",
        1,
        &[("retention.ms", "1000"), ("max.message.bytes", "2000")],
    )
    .await;
    make("meters", 5, &[("retention.ms", "-1")]).await;
    let source = ContractSource::Folder(contracts(SCHEMA));
    let settings = tidegate_gateway::Settings::default();
    let folder = start_from(gateway.log.clone(), gateway.clock.clone(), settings, source).await;
    let topics = topics(folder.real_log()).await;
    let orders = &topics["orders"];
    assert_eq!(orders.config["retention.ms"], "2592000000");
    assert_eq!(
        orders.config["max.message.bytes"],
        (1024 * 1024 + 64 * 1024).to_string()
    );
    assert_eq!(orders.partitions, 1, "its order is by key");
    let meters = &topics["meters"];
    assert_eq!(
        (meters.partitions, &*meters.config["retention.ms"]),
        (5, "-1")
    );
}

#[tokio::test]
async fn a_subject_gets_its_schema_before_the_contract_is_in_force() {
    let gateway = start_from_log().await;
    let with_subject =
        |name: &str| contract(name, "1.0.0", "").replace("s.json}", "s.json, subject: shop-value}");
    let first = upload(&[team(""), with_subject("a")], SCHEMA);
    let plan = send(&gateway, PLANS, &first).await.json;
    let schema = &plan["actions"][1];
    assert_eq!(
        (&schema["do"], &schema["subject"], &schema["version"]),
        (&json!("register-schema"), &json!("shop-value"), &json!(1)),
        "{plan:#}"
    );
    let versions = async || {
        let url = format!("http://{}/subjects/shop-value/versions", gateway.registry);
        let answer = gateway.client.get(url).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    assert_eq!(
        versions().await["error_code"],
        40401,
        "a plan registers nothing"
    );
    apply(&gateway, &first).await;
    assert_eq!(versions().await, json!([1]));
    assert_eq!(apply(&gateway, &first).await["applied"], false);
    // What the registry refuses is told in the plan, and nothing is made.
    let breaking = upload(
        &[team(""), with_subject("a"), contract("b", "1.0.0", "")],
        OTHER,
    );
    let refused = send(&gateway, SETS, &breaking).await;
    refused.problem("plan-refused", 409);
    let why = refused.json["errors"][0]["detail"].as_str().unwrap();
    assert!(
        why.contains("refuses the schema under `shop-value`"),
        "{why}"
    );
    assert_eq!(versions().await, json!([1]));
    assert!(!topics(gateway.real_log()).await.contains_key("b"));
}
