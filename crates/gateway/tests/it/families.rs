//! Contracts over a family of event types.

use tidegate_gateway::Settings;

use crate::harness::{Answer, Running, contracts_of, header, start_under, structured};

const CONTRACTS: &str = r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: shop, owner: team}
spec:
  class: fact
  event: {type: com.shop.*}
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: shop-orders, owner: team}
spec:
  class: fact
  event: {type: com.shop.order.*}
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: shop-order-paid, owner: team}
spec:
  class: fact
  event: {type: com.shop.order.paid}
  schema: {file: order.json}
  key: {from: $.customer}
"#;

async fn start() -> Running {
    start_under(contracts_of(CONTRACTS), Settings::default()).await
}

async fn send(gateway: &Running, id: &str, event_type: &str, data: &str) -> Answer {
    let headers = [("content-type", "application/cloudevents+json")];
    let body = structured(id, event_type, data);
    gateway.post("/v1/events", &headers, body).await
}

#[tokio::test]
async fn an_event_is_under_the_closest_family_and_keeps_its_type() {
    let gateway = start().await;
    for (event_type, topic) in [
        ("com.shop.basket", "shop"),
        ("com.shop.order", "shop"),
        ("com.shop.order.placed", "shop-orders"),
        ("com.shop.order.paid", "shop-order-paid"),
        ("com.shop.order.paid.late", "shop-orders"),
    ] {
        let first = send(&gateway, event_type, event_type, r#"{"total":1}"#).await;
        assert_eq!(first.accepted(false).json["topic"], topic);
        assert_eq!(first.json["event"]["type"], event_type);
        let again = send(&gateway, event_type, event_type, r#"{"total":1}"#).await;
        assert_eq!(again.accepted(true).receipt(), first.receipt());
        let records = gateway.records(topic).await;
        let stored = records.last().map(|record| header(record, "ce_type"));
        assert!(
            records
                .iter()
                .any(|record| header(record, "ce_type") == Some(event_type)),
            "{stored:?}"
        );
    }
    send(&gateway, "1", "com.shop.", "{}")
        .await
        .problem("unknown-event-type", 422);
    let kept = send(&gateway, "2", "com.shop.basket", "{}").await;
    let path = kept.problem("contract-violation", 422).json["quarantine"].clone();
    let entry = gateway.get(path.as_str().unwrap()).await.json;
    assert_eq!(entry["event"]["type"], "com.shop.basket");
}

#[tokio::test]
async fn a_plain_body_under_a_family_names_its_type() {
    let gateway = start().await;
    let post = async |event_type: Option<&str>| {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(event_type.map(|event_type| ("ce-type", event_type)));
        gateway
            .post("/v1/events/shop", &headers, r#"{"total":1}"#)
            .await
    };
    for event_type in [None, Some("com.shop.order.paid"), Some("com.other")] {
        let refused = post(event_type).await;
        assert!(
            refused
                .problem("invalid-event", 400)
                .text
                .contains("ce-type")
        );
    }
    assert_eq!(gateway.count().await, 0);
    let stored = post(Some("com.shop.basket")).await;
    assert_eq!(
        stored.accepted(false).json["event"]["type"],
        "com.shop.basket"
    );
}
