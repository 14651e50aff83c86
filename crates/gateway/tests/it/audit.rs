//! The audit through its doors: what each change leaves, and what happens when it cannot be written.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_event_log::{Append, Record};
use tidegate_gateway::{ContractSource, Settings};

use crate::harness::{Running, fresh_log, start, start_from};
use crate::registry::{USER, USER_2, USER_BROKEN};

const SETS: &str = "/v1/contract-sets";

fn contracts(version: &str, schema: &str) -> Value {
    let text = format!(
        "apiVersion: contract/v1\nkind: Team\nmetadata: {{name: t}}\n\
         spec: {{pager: \"mailto:t@example.com\", approves: {{}}}}\n---\n\
         apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: orders, owner: t, version: {version}}}\n\
         spec:\n  class: fact\n  schema: {{file: s.json, subject: orders-value}}\n  \
         key: {{from: $.id, onMissing: keyless}}\n"
    );
    json!({
        "files": [{"path": "all.yaml", "text": text}],
        "schemas": [{"path": "s.json", "text": schema}],
        "by": "anna",
    })
}

/// Starts a gateway that has time, also on a busy machine.
async fn start_patiently() -> Running {
    let (log, clock) = fresh_log().await;
    start_from(log, clock, Settings::default(), ContractSource::Log).await
}

async fn audited(gateway: &Running, filter: &str) -> Vec<Value> {
    let answer = gateway.get(&format!("/v1/audit?limit=1000{filter}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json["records"].as_array().unwrap().clone()
}

/// Does everything that the doors let somebody do.
async fn do_everything(gateway: &Running) {
    let apply = async |body: Value| {
        let answer = gateway.post(SETS, &[], body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    };
    let schema = r#"{"type": "object", "additionalProperties": false, "properties": {"id": {"type": "string"}}}"#;
    let other = r#"{"type": "object", "additionalProperties": false, "properties": {"id": {"type": "string"}, "b": {"type": "string"}}}"#;
    apply(contracts("1.0.0", schema)).await;
    apply(contracts("1.1.0", other)).await;
    apply(json!({"rollback": {"name": "orders", "version": "1.0.0"}, "by": "anna"})).await;
    let approval = json!({"plan": "0".repeat(32), "name": "berta"});
    let answer = gateway
        .post("/v1/contract-approvals", &[], approval.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let key = json!({"name": "shop", "roles": ["producer"]});
    let made = gateway.post("/v1/keys", &[], key.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/v1/keys/{}", made.json["id"].as_str().unwrap());
    let rotated = gateway.post(&format!("{path}/rotate"), &[], "").await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let revoked = gateway.client.delete(gateway.url(&path)).send().await;
    assert!(revoked.unwrap().status().is_success());
    for (method, path, body) in [
        ("POST", "/subjects/a/versions", json!({"schema": USER})),
        ("POST", "/subjects/a/versions", json!({"schema": USER_2})),
        (
            "POST",
            "/subjects/:.other:b/versions",
            json!({"schema": USER}),
        ),
        ("PUT", "/config", json!({"compatibility": "FULL"})),
        ("PUT", "/config/a", json!({"compatibility": "NONE"})),
        ("DELETE", "/config/a", Value::Null),
        ("DELETE", "/config", Value::Null),
        ("PUT", "/mode", json!({"mode": "READWRITE"})),
        ("PUT", "/mode/a", json!({"mode": "READWRITE"})),
        ("DELETE", "/mode/a", Value::Null),
        ("DELETE", "/mode", Value::Null),
        ("DELETE", "/subjects/a/versions/2", Value::Null),
        ("DELETE", "/subjects/a", Value::Null),
        ("DELETE", "/subjects/:.other:b", Value::Null),
        ("DELETE", "/subjects/:.other:b?permanent=true", Value::Null),
        ("DELETE", "/contexts/.other", Value::Null),
    ] {
        let answer = gateway.ask(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn every_change_is_an_intent_and_an_outcome_in_one_chain() {
    let gateway = start_patiently().await;
    do_everything(&gateway).await;
    let all = audited(&gateway, "").await;
    let verbs = |phase: &str| -> BTreeSet<String> {
        let of_phase = all.iter().filter(|it| it["phase"] == phase);
        of_phase
            .map(|it| it["verb"].as_str().unwrap().to_owned())
            .collect()
    };
    let expected = [
        "contract.apply",
        "contract.approve",
        "contract.rollback",
        "context.delete",
        "key.create",
        "key.revoke",
        "key.rotate",
        "registry.config",
        "registry.mode",
        "schema.delete",
        "schema.register",
        "subject.delete",
    ];
    assert_eq!(verbs("intent"), expected.map(str::to_owned).into());
    assert_eq!(verbs("outcome"), expected.map(str::to_owned).into());
    assert!(all.iter().all(|it| it["intact"] == true));
    for outcome in all.iter().filter(|it| it["phase"] == "outcome") {
        assert_eq!(outcome["outcome"], "done", "{outcome}");
    }
    let told = gateway.get("/v1/audit?limit=1000").await.text;
    assert!(
        !told.contains("\"hash\""),
        "hashes of secrets stay where they are"
    );
    // Newest first, without a gap.
    let sequences: Vec<u64> = all
        .iter()
        .map(|it| it["sequence"].as_u64().unwrap())
        .collect();
    let count = sequences.len() as u64;
    assert_eq!(sequences, (0..count).rev().collect::<Vec<_>>());
    let mut chain = tidegate_gateway::Chain::default();
    for text in gateway.get("/v1/audit/chain").await.json["records"]
        .as_array()
        .unwrap()
    {
        chain.take(text.as_str().unwrap()).unwrap();
    }
    assert_eq!((chain.records(), chain.open().count()), (count, 0));
}

#[tokio::test]
async fn a_change_says_who_from_where_and_what_was_there() {
    let gateway = start_patiently().await;
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "r-1"),
    ];
    let url = format!("http://{}/config/a", gateway.registry);
    for level in ["FULL", "NONE"] {
        let mut request = gateway
            .client
            .put(&url)
            .body(format!(r#"{{"compatibility":"{level}"}}"#));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let found = audited(&gateway, "&verb=registry.config&object=subject/a").await;
    assert_eq!(found.len(), 4);
    let intent = &found[1];
    assert_eq!(
        intent["actor"],
        json!({"tenant": "default", "name": "anonymous", "how": "none"})
    );
    assert_eq!(intent["from"]["door"], "registry");
    assert_eq!(intent["from"]["request"], "r-1");
    assert!(
        intent["from"]["peer"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert_eq!(
        intent["before"][0]["compatibilityLevel"], "FULL",
        "{intent}"
    );
    assert_eq!(
        intent["after"][0]["value"]["compatibilityLevel"], "NONE",
        "{intent}"
    );
    assert_eq!(found[0]["intent"], intent["sequence"]);
}

#[tokio::test]
async fn what_changes_nothing_leaves_nothing_and_what_is_refused_its_problem() {
    let gateway = start_patiently().await;
    gateway.id("a", USER).await;
    let before = audited(&gateway, "").await.len();
    gateway.id("a", USER).await;
    gateway
        .post(
            "/v1/contract-plans",
            &[],
            contracts("1.0.0", "{}").to_string(),
        )
        .await;
    gateway
        .ask("POST", "/subjects/a", json!({"schema": USER}))
        .await;
    assert_eq!(audited(&gateway, "").await.len(), before);
    let refused = gateway.register("a", USER_BROKEN).await;
    assert_eq!(refused.status, 409);
    let unknown = json!({"rollback": {"name": "none", "version": "1.0.0"}});
    gateway
        .post(SETS, &[], unknown.to_string())
        .await
        .problem("contract-not-found", 404);
    let all = audited(&gateway, "").await;
    let shown = |it: &Value| {
        format!(
            "{} {} {} {}",
            it["phase"], it["verb"], it["object"], it["problem"]
        )
    };
    assert_eq!(
        shown(&all[0]),
        r#""refused" "contract.apply" "/v1/contract-sets" "contract-not-found""#
    );
    assert_eq!(
        shown(&all[1]),
        r#""refused" "schema.register" "/subjects/a/versions" "registry-409""#
    );
    assert_eq!(all.len(), before + 2);
}

#[tokio::test]
async fn without_an_audit_nothing_changes_and_events_go_on() {
    let gateway = start().await;
    let damage = Append {
        topic: "_tidegate.audit".into(),
        partition: Some(0),
        record: Record {
            value: Some("{}".into()),
            ..Record::default()
        },
        claim: None,
    };
    gateway
        .real_log()
        .append(vec![damage])
        .await
        .remove(0)
        .unwrap();
    let refused = gateway.register("a", USER).await;
    assert_eq!(refused.json["error_code"], 50001, "{}", refused.text);
    let subjects = gateway.ask("GET", "/subjects", Value::Null).await;
    assert_eq!(subjects.json, json!([]));
    let order = r#"{"total": 3, "customer": "c"}"#;
    gateway.order("e-1", order).await.accepted(false);
}

#[tokio::test]
async fn pages_go_back_to_the_beginning_and_filters_are_kept() {
    let gateway = start_patiently().await;
    for subject in ["a", "b", "c"] {
        gateway.id(subject, USER).await;
    }
    let all = audited(&gateway, "").await;
    let (mut paged, mut path) = (Vec::new(), "/v1/audit?limit=2".to_owned());
    loop {
        let page = gateway.get(&path).await.json;
        paged.extend(page["records"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_i64() else {
            break;
        };
        path = format!("/v1/audit?limit=2&before={next}");
    }
    assert_eq!(paged, all);
    assert_eq!(audited(&gateway, "&object=subject/b").await.len(), 2);
    assert_eq!(audited(&gateway, "&actor=nobody").await.len(), 0);
    assert_eq!(
        audited(&gateway, "&since=2999-01-01T00:00:00Z").await.len(),
        0
    );
    assert_eq!(
        audited(&gateway, "&until=2999-01-01T00:00:00Z").await.len(),
        6
    );
    gateway
        .get("/v1/audit?since=now")
        .await
        .problem("bad-request", 400);
}
