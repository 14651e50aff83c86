//! Fields about persons: protected before anything is stored, and nowhere to be read.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tidegate_contract::Contracts;
use tidegate_gateway::{Secret, Settings};

use crate::harness::{Answer, Running, fresh_log, header, start_from_log, start_under, structured};

const CONTRACT: &str = r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: signups, owner: team}
spec:
  class: fact
  schema: {file: signup.json}
  key: {from: $.id}
  privacy:
    classification: confidential
    regions: [eu]
    fields:
      $.email: {category: contact, protect: hash}
      $.phone: {category: contact, protect: mask}
      $.ip: {category: online-id, protect: drop}
"#;

const SCHEMA: &str = r#"{"type": "object", "required": ["id", "total"], "properties": {
    "id": {"type": "string"}, "total": {"type": "integer"}, "email": {"type": "string"},
    "phone": {"type": "string"}, "ip": {"type": "string"}, "card": {"type": "string"}}}"#;

/// Begins what is protected; a mask shows an end of it only.
const SECRET: &str = "ada-lovelace-";

fn contracts(more: &str) -> Contracts {
    let files = [("all.yaml".to_owned(), format!("{CONTRACT}{more}"))];
    let found = tidegate_contract::load::sources(&files, &|_| Some(SCHEMA.to_owned()));
    found.unwrap_or_else(|found| panic!("{found}"))
}

fn settings(region: Option<&str>, key: Option<&str>) -> Settings {
    Settings {
        region: region.map(str::to_owned),
        hash_key: key.map(Secret::new),
        ..Settings::default()
    }
}

async fn start(more: &str) -> Running {
    start_under(contracts(more), settings(Some("eu"), Some("key"))).await
}

async fn send(gateway: &Running, id: &str, data: &str) -> Answer {
    let headers = [("content-type", "application/cloudevents+json")];
    gateway
        .post("/v1/events", &headers, structured(id, "signups", data))
        .await
}

#[tokio::test]
async fn what_is_stored_is_protected_and_a_repeat_is_told_by_what_was_sent() {
    let gateway = start("").await;
    let data = r#"{"id":"1","total":7,"email":"ada-lovelace-@x","phone":"ada-lovelace-1234","ip":"ada-lovelace-"}"#;
    let first = send(&gateway, "a", data).await;
    first.accepted(false);
    let again = send(&gateway, "a", data).await;
    assert_eq!(again.accepted(true).receipt(), first.receipt());
    let other = data.replace("@x", "@y");
    send(&gateway, "a", &other)
        .await
        .problem("idempotency-key-reused", 422);
    send(&gateway, "b", data).await.accepted(false);
    let records = gateway.records("signups").await;
    assert_eq!(records.len(), 2);
    let stored: Vec<Value> = records
        .iter()
        .map(|record| serde_json::from_slice(record.record.value.as_ref().unwrap()).unwrap())
        .collect();
    assert_eq!(stored[0], stored[1], "the same text has the same hash");
    assert_eq!(stored[0]["phone"], "****1234");
    assert_eq!(stored[0]["email"].as_str().unwrap().len(), 64);
    assert_eq!(stored[0]["total"], 7);
    assert!(stored[0].get("ip").is_none());
    assert_eq!(
        header(&records[0], "ce_dataclassification"),
        Some("confidential")
    );
}

const REJECTING: &str = r#"
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: payments, owner: team}
spec:
  class: fact
  schema: {file: signup.json}
  key: {from: $.id}
  privacy: {fields: {$.card: {category: payment, protect: reject}}}
"#;

#[tokio::test]
async fn what_must_not_be_there_is_never_kept() {
    let gateway = start(REJECTING).await;
    for body in [
        r#"{"id":"1","total":7,"card":"ada-lovelace-"}"#,
        r#"{"id":"1","card":"ada-lovelace-"}"#,
    ] {
        let refused = gateway.plain("payments", None, body).await;
        refused.problem("contract-violation", 422);
        assert!(refused.json.get("quarantine").is_none(), "{}", refused.text);
        assert!(!refused.text.contains(SECRET), "{}", refused.text);
    }
    let broken = gateway
        .plain("payments", None, r#"{"card":"ada-lovelace-""#)
        .await;
    assert!(
        broken
            .problem("malformed-json", 400)
            .json
            .get("quarantine")
            .is_none()
    );
    assert_eq!(gateway.count().await, 0);
    gateway
        .plain("payments", None, r#"{"id":"1","total":7}"#)
        .await
        .accepted(false);
}

#[tokio::test]
async fn a_contract_is_in_force_only_where_it_may_be() {
    let started = async |region: Option<&str>, key: Option<&str>| {
        use tidegate_gateway::{ContractSource, Gateway, Parts, RandomIds, SystemClock};
        let started = Gateway::start(Parts {
            log: fresh_log().await.0,
            contracts: ContractSource::Folder(contracts("")),
            settings: settings(region, key),
            clock: std::sync::Arc::new(SystemClock),
            ids: std::sync::Arc::new(RandomIds),
        });
        started
            .await
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(started(Some("eu"), Some("key")).await, "");
    insta::assert_snapshot!(started(None, Some("key")).await, @r"
    contract `signups` cannot be in force here: its events may be kept in `eu` only, and this gateway does not say where it is
    hint: set `region`, or add it to `privacy.regions` of the contract
    ");
    assert!(
        started(Some("us"), Some("key"))
            .await
            .contains("this gateway is in `us`")
    );
    assert!(
        started(Some("eu"), None)
            .await
            .contains("set `privacy.hash_key`")
    );
    // Applied to a running gateway, it is a refusal of the plan.
    let gateway = start_from_log().await;
    let upload = json!({
        "files": [{"path": "all.yaml", "text": CONTRACT}],
        "schemas": [{"path": "signup.json", "text": SCHEMA}],
        "by": "ada",
    });
    let planned = gateway
        .post("/v1/contract-plans", &[], upload.to_string())
        .await;
    assert!(
        planned.text.contains("privacy.hash_key"),
        "{}",
        planned.text
    );
}

/// What stands at a protected place: what is meant, or anything that may hold it.
fn place() -> impl Strategy<Value = Option<Value>> {
    let text = "[a-z]{0,12}".prop_map(|tail| json!(format!("{SECRET}{tail}")));
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        text.clone().prop_map(Some),
        text.clone().prop_map(|text| Some(json!([text]))),
        text.prop_map(|text| Some(json!({"inside": text}))),
    ]
}

/// Reads all that the API tells, and all that is stored and not withheld.
async fn told(gateway: &Running, answer: &Answer) -> String {
    let mut told = answer.text.clone();
    let mut paths = vec!["/v1/quarantine".to_owned(), "/v1/status".to_owned()];
    paths.extend(answer.json["quarantine"].as_str().map(str::to_owned));
    for topic in ["signups", "_tidegate.quarantine"] {
        paths.extend((0..3).map(|p| format!("/v1/topics/{topic}/events?partition={p}&limit=500")));
    }
    if let Some(id) = answer.json["id"].as_str() {
        paths.push(format!("/v1/receipts/{id}"));
        paths.push(format!("/v1/receipts/{id}/request"));
    }
    for path in paths {
        told.push_str(&gateway.get(&path).await.text);
    }
    for record in gateway.records("signups").await {
        told.push_str(&format!("{record:?}"));
        told.push_str(&String::from_utf8_lossy(&record.record.value.unwrap()));
    }
    for record in gateway.records("_tidegate.quarantine").await {
        if header(&record, "tidegate_withheld").is_none() {
            told.push_str(&String::from_utf8_lossy(&record.record.value.unwrap()));
        }
    }
    told
}

#[test]
fn what_is_protected_is_nowhere_to_be_read() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gateway = runtime.block_on(start(""));
    let mut runner = TestRunner::new(Config::with_cases(60));
    let events = (place(), place(), place(), any::<bool>(), 0..5);
    let result = runner.run(&events, |(email, phone, ip, valid, form)| {
        let mut data = json!({"id": "1"});
        for (name, value) in [("email", email), ("phone", phone), ("ip", ip)] {
            if let Some(value) = value {
                data[name] = value;
            }
        }
        if valid {
            data["total"] = json!(1);
        }
        let text = data.to_string();
        let told = runtime.block_on(async {
            let id = id_of(&text);
            let envelope = [("content-type", "application/cloudevents+json")];
            let answer = match form {
                0 => send(&gateway, &id, &text).await,
                1 => gateway.plain("signups", Some(&id), &text).await,
                2 => {
                    gateway
                        .plain("signups", Some(&id), &text[..text.len() - 1])
                        .await
                }
                3 => {
                    let base64 = "eyJpZCI6ImFkYS1sb3ZlbGFjZS0ifQ==";
                    let body = structured(&id, "signups", "1")
                        .replace("\"data\":1", &format!("\"data_base64\":\"{base64}\""));
                    gateway.post("/v1/events", &envelope, body).await
                }
                _ => {
                    let batch = [("content-type", "application/cloudevents-batch+json")];
                    let body = format!("[{}]", structured(&id, "signups", &text));
                    gateway.post("/v1/events", &batch, body).await
                }
            };
            told(&gateway, &answer).await
        });
        prop_assert!(!told.contains(SECRET), "{}", told);
        Ok(())
    });
    result.unwrap();
}

/// One id for one text, so that a case that is tried again is a repeat.
fn id_of(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(8);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}
