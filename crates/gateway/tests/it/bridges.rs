//! Bridges of a gateway that serves: contracts come later, events while it runs, people resume.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_event_log::Log as _;

use crate::faults::Fault;
use crate::harness::{Running, contracts_of, header, start};

const SPEC: &str = "
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders}
spec:
  class: fact
  event: {type: com.example.order}
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders-2, version: 2.0.0}
spec:
  class: fact
  schema: {file: order.json}
  key: {from: $.customer}
  migration: {from: orders, map: {customer: $.customer, total: message.total * 100}}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team}
spec: {contract: orders, accepts: '1', via: {kafka: {group: g-billing}}}
";

const LIMIT: Duration = Duration::from_secs(60);

async fn put_in_force(gateway: &Running, text: &str) {
    let contracts = contracts_of(text);
    gateway.gateway.replace_contracts(&contracts).await.unwrap();
}

/// Asks for the bridge until it is as it should be.
async fn until(gateway: &Running, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let limit = Instant::now() + LIMIT;
    loop {
        let told = gateway.get("/v1/bridges/orders-2").await.json;
        if holds(&told) {
            return told;
        }
        assert!(Instant::now() < limit, "{what}: {told}");
    }
}

async fn until_dealt_with(gateway: &Running, count: u64) -> Value {
    until(gateway, "dealt with", |told| {
        told["dealt_with"] == count && told["state"] == "up-to-date"
    })
    .await
}

#[tokio::test]
async fn contracts_that_come_later_have_their_bridges_and_events_are_copied_at_once() {
    let gateway = start().await;
    let order = r#"{"total": 3, "customer": "c"}"#;
    gateway.order("e-1", order).await.accepted(false);
    assert_eq!(
        gateway.get("/v1/bridges").await.json,
        json!({"bridges": []})
    );
    put_in_force(&gateway, SPEC).await;
    until_dealt_with(&gateway, 1).await;
    gateway.order("e-2", order).await.accepted(false);
    let told = until_dealt_with(&gateway, 2).await;
    let expected = json!({
        "contract": "orders-2", "from": "orders", "source": "orders", "target": "orders-2",
        "state": "up-to-date", "dealt_with": 2, "lag": 0,
    });
    assert_eq!(told, expected);
    let copied = gateway.records("orders-2").await;
    let ids: Vec<_> = copied.iter().filter_map(|c| header(c, "ce_id")).collect();
    assert_eq!(ids, ["e-1~orders-2", "e-2~orders-2"]);
    assert_eq!(
        copied[0].record.value.as_deref(),
        Some(&br#"{"customer":"c","total":300}"#[..])
    );
    let metrics = reqwest::get(format!("http://{}/metrics", gateway.ops))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        r#"tidegate_bridge_events_copied_total{contract="orders-2"} 2"#,
        r#"tidegate_bridge_lag_records{contract="orders-2"} 0"#,
        r#"tidegate_bridge_halted{contract="orders-2"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let lineage = gateway.get("/v1/lineage").await.json;
    let bridge = json!({"from": "orders", "state": "up-to-date", "lag": 0});
    assert_eq!(lineage["contracts"][1]["bridge"], bridge);
    assert_eq!(lineage["readers"][0]["group"], "g-billing");
    // A set without it ends it; what is sent then is not copied.
    let (without, _) = SPEC.split_once("  migration").unwrap();
    put_in_force(&gateway, without).await;
    gateway
        .get("/v1/bridges/orders-2")
        .await
        .problem("contract-not-found", 404);
    gateway.order("e-3", order).await.accepted(false);
    put_in_force(&gateway, SPEC).await;
    until_dealt_with(&gateway, 3).await;
    assert_eq!(gateway.records("orders-2").await.len(), 3);
}

#[tokio::test]
async fn people_abort_and_resume_and_are_told_when_that_cannot_be() {
    let gateway = start().await;
    put_in_force(&gateway, SPEC).await;
    let order = r#"{"total": 3, "customer": "c"}"#;
    gateway.order("e-1", order).await.accepted(false);
    until_dealt_with(&gateway, 1).await;
    let post = async |path: &str| gateway.post(path, &[], "").await;
    post("/v1/bridges/orders-2/resume")
        .await
        .problem("bridge-state", 409);
    for path in ["/v1/bridges/orders/resume", "/v1/bridges/none/abort"] {
        post(path).await.problem("contract-not-found", 404);
    }
    post("/v1/bridges/orders-2/resume?in_full=perhaps")
        .await
        .problem("bad-request", 400);
    let aborted = post("/v1/bridges/orders-2/abort").await;
    assert_eq!(
        aborted.json,
        json!({"contract": "orders-2", "aborted": true})
    );
    post("/v1/bridges/orders-2/abort")
        .await
        .problem("bridge-state", 409);
    gateway.order("e-2", order).await.accepted(false);
    until(&gateway, "aborted", |told| {
        told["state"] == "aborted" && told["lag"] == 1
    })
    .await;
    let resumed = post("/v1/bridges/orders-2/resume").await;
    assert_eq!(resumed.status, 200, "{}", resumed.text);
    until_dealt_with(&gateway, 2).await;
    let audited = gateway.get("/v1/audit").await.json;
    let shown = audited["records"].as_array().unwrap().iter();
    let shown = shown.filter(|it| it["outcome"] == "done" && it["object"] == "bridge/orders-2");
    let verbs: Vec<&str> = shown.map(|it| it["verb"].as_str().unwrap()).collect();
    assert_eq!(verbs, ["bridge.resume", "bridge.abort"]);
}

#[tokio::test]
async fn a_log_that_fails_is_waited_for() {
    let gateway = start().await;
    put_in_force(&gateway, SPEC).await;
    let order = r#"{"total": 3, "customer": "c"}"#;
    gateway.order("e-1", order).await.accepted(false);
    until_dealt_with(&gateway, 1).await;
    gateway.log.set(Fault::NotStored);
    until(&gateway, "unavailable", |told| {
        told["state"] == "unavailable"
    })
    .await;
    gateway.log.set(Fault::None);
    gateway.order("e-2", order).await.accepted(false);
    until_dealt_with(&gateway, 2).await;
}

#[tokio::test]
async fn a_gateway_that_stops_ends_its_bridges() {
    let mut gateway = start().await;
    put_in_force(&gateway, SPEC).await;
    let order = r#"{"total": 3, "customer": "c"}"#;
    gateway.order("e-1", order).await.accepted(false);
    until_dealt_with(&gateway, 1).await;
    let log = gateway.log.clone();
    gateway.stop().await;
    gateway.ended().await;
    let committed = log.committed("_tidegate.bridge.orders-2", "orders").await;
    let committed: i64 = committed.unwrap().into_iter().flatten().sum();
    assert_eq!(committed, 1, "what was copied is committed");
}

const IN_AVRO: &str = "
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders}
spec:
  class: fact
  lifecycle: LIFECYCLE
  event: {type: com.example.order}
  schema: {format: avro, file: order.avsc, subject: orders-value, schemaId: prefix}
  key: {from: $.customer}
";

const FROM_AVRO: &str = "---
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders-2, version: 2.0.0}
spec:
  class: fact
  schema: {format: avro, file: order-2.avsc, subject: orders-2-value, schemaId: header}
  key: {from: $.customer}
  migration: {from: orders, map: {customer: $.customer, cents: message.total * 100}}
";

fn in_avro(text: &str) -> tidegate_contract::Contracts {
    let schema = |path: &str| {
        let field = match path {
            "order.avsc" => "total",
            _ => "cents",
        };
        Some(format!(
            r#"{{"type": "record", "name": "Order", "fields": [
                {{"name": "customer", "type": "string"}}, {{"name": "{field}", "type": "long"}}]}}"#
        ))
    };
    let files = [("all.yaml".to_owned(), text.to_owned())];
    tidegate_contract::load::sources(&files, &schema).unwrap_or_else(|found| panic!("{found}"))
}

#[tokio::test]
async fn records_with_schema_ids_are_read_by_them_and_copies_carry_their_own() {
    let gateway = start().await;
    let put = async |text: &str| {
        let contracts = in_avro(text);
        gateway.gateway.replace_contracts(&contracts).await.unwrap();
    };
    let active = IN_AVRO.replace("LIFECYCLE", "active");
    put(&active).await;
    let order = r#"{"total": 3, "customer": "c"}"#;
    gateway.order("e-1", order).await.accepted(false);
    let sent = gateway.records("orders").await;
    let value = sent[0].record.value.as_deref().unwrap();
    assert_eq!(value, [0, 0, 0, 0, 1, 2, b'c', 6], "the id, then Avro");
    // A retired contract registers nothing, and its records are read all the same.
    let retired = IN_AVRO.replace("LIFECYCLE", "retired");
    put(&format!("{retired}{FROM_AVRO}")).await;
    until(&gateway, "copied", |told| told["dealt_with"] == 1).await;
    let copied = gateway.records("orders-2").await;
    let value = copied[0].record.value.as_deref();
    assert_eq!(
        value,
        Some(&[2, b'c', 216, 4][..]),
        "Avro without an id before"
    );
    assert_eq!(header(&copied[0], "tidegate_schema_id"), Some("2"));
    assert_eq!(header(&copied[0], "content-type"), Some("application/avro"));
    let headers = &copied[0].record.headers;
    let id = headers.iter().find(|h| h.name == "__value_schema_id");
    assert_eq!(id.unwrap().value.as_deref().map(<[u8]>::len), Some(17));
}
