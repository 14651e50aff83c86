//! How much may be sent, as callers meet it.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_gateway::{ContractSource, Settings};

use crate::harness::{Answer, BATCH, Running, contracts_of, start_from_parts};

const ORDER: &str = r#"{"total": 1, "customer": "c"}"#;

async fn limited(quotas: &str) -> Running {
    let contracts = contracts_of(&format!(
        r#"
apiVersion: contract/v1
kind: Team
metadata: {{name: team}}
spec: {{pager: "mailto:team@example.com"}}
---
apiVersion: contract/v1
kind: EventContract
metadata: {{name: orders, owner: team}}
spec:
  class: fact
  event: {{type: com.example.order}}
  schema: {{file: order.json}}
  key: {{from: $.customer}}
  ingress: {{quotas: {quotas}}}
---
apiVersion: contract/v1
kind: EventContract
metadata: {{name: free, owner: team}}
spec:
  class: fact
  schema: {{file: order.json}}
  key: {{from: $.customer}}
"#
    ));
    start_from_parts(Settings::default(), ContractSource::Folder(contracts)).await
}

fn seconds(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().unwrap()
}

#[tokio::test]
async fn beyond_a_quota_nothing_is_stored_and_the_caller_is_told_when_to_come_back() {
    let gateway = limited("[{name: rate, per: tenant, limit: 3, every: 1m}]").await;
    for left in [2, 1, 0] {
        let taken = gateway
            .plain("orders", Some(&format!("k-{left}")), ORDER)
            .await;
        taken.accepted(false);
        assert_eq!(taken.header("ratelimit-policy"), r#""rate";q=3;w=60"#);
        let expected = format!(r#""rate";r={left};t={}"#, (3 - left) * 20);
        assert_eq!(taken.header("ratelimit"), expected);
    }
    let stored = gateway.count().await;
    let refused = gateway.plain("orders", Some("k-4"), ORDER).await;
    refused.problem("quota-exceeded", 429);
    assert_eq!(refused.json["violated-policies"], json!(["rate"]));
    assert_eq!(refused.header("ratelimit"), r#""rate";r=0;t=20"#);
    assert!(
        (20..=27).contains(&seconds(&refused)),
        "{}",
        seconds(&refused)
    );
    assert_eq!(gateway.count().await, stored);
    // Another contract is not touched, and says nothing of quotas.
    let other = gateway.plain("free", Some("k"), ORDER).await;
    assert_eq!(other.accepted(false).header("ratelimit"), "");
    gateway
        .clock
        .advance(Duration::from_secs(seconds(&refused)));
    gateway
        .plain("orders", Some("k-4"), ORDER)
        .await
        .accepted(false);
}

#[tokio::test]
async fn the_retry_of_an_accepted_event_gets_its_receipt_when_the_quota_is_exhausted() {
    let gateway = limited("[{name: rate, per: contract, limit: 2, every: 1h}]").await;
    let first = gateway.order("e-1", ORDER).await;
    first.accepted(false);
    gateway.order("e-2", ORDER).await.accepted(false);
    gateway
        .order("e-3", ORDER)
        .await
        .problem("quota-exceeded", 429);
    let again = gateway.order("e-1", ORDER).await;
    assert_eq!(again.accepted(true).receipt(), first.receipt());
    let keyed = gateway.plain("orders", Some("e-1"), ORDER).await;
    keyed.problem("quota-exceeded", 429);
}

#[tokio::test]
async fn each_event_of_a_batch_is_counted_and_answered_by_itself() {
    let gateway = limited("[{name: rate, per: contract, limit: 2, every: 1h}]").await;
    let event = |id: u32| {
        json!({ "specversion": "1.0", "id": id.to_string(), "source": "/shop", "type": "com.example.order",
            "datacontenttype": "application/json", "data": { "total": 1, "customer": "c" } })
    };
    let batch = Value::from((0..4).map(event).collect::<Vec<_>>());
    let answer = gateway
        .post("/v1/events", &[("content-type", BATCH)], batch.to_string())
        .await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let results = answer.json["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [202, 202, 429, 429]);
    assert_eq!(results[2]["problem"]["violated-policies"], json!(["rate"]));
    assert_eq!(answer.header("ratelimit"), r#""rate";r=0;t=1800"#);
    assert!(seconds(&answer) >= 1800, "{}", seconds(&answer));
    let rest = Value::from((2..4).map(event).collect::<Vec<_>>());
    let refused = gateway
        .post("/v1/events", &[("content-type", BATCH)], rest.to_string())
        .await;
    refused.problem("quota-exceeded", 429);
    assert!(seconds(&refused) >= 1800, "{}", seconds(&refused));
}

#[tokio::test]
async fn bytes_are_counted_as_the_caller_sent_them() {
    let gateway = limited("[{name: size, per: key, limit: 100B, every: 1h}]").await;
    let body = |bytes: usize| {
        let frame = r#"{"total": 1, "customer": ""}"#.len();
        format!(
            r#"{{"total": 1, "customer": "{}"}}"#,
            "c".repeat(bytes - frame)
        )
    };
    let taken = gateway.plain("orders", None, &body(60)).await;
    taken.accepted(false);
    assert_eq!(
        taken.header("ratelimit-policy"),
        r#""size";q=100;w=3600;qu="content-bytes""#
    );
    assert!(taken.header("ratelimit").starts_with(r#""size";r=40;"#));
    let refused = gateway.plain("orders", None, &body(60)).await;
    refused.problem("quota-exceeded", 429);
    gateway
        .plain("orders", None, &body(40))
        .await
        .accepted(false);
}
