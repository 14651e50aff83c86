//! Sent twice, stored once: receipts of repeats, keys used for other data, windows, contracts
//! tightened in between.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::{contracts, contracts_with_orders_in, start};

#[tokio::test]
async fn a_repeat_gets_the_first_receipt() {
    let gateway = start().await;
    let first = gateway.order("o-1", "{\"total\":5}").await;
    first.accepted(false);
    gateway.clock.advance(Duration::from_hours(1));
    for _ in 0..3 {
        let repeat = gateway.order("o-1", "{\"total\":5}").await;
        assert_eq!(repeat.accepted(true).receipt(), first.receipt());
    }
    assert_eq!(gateway.count().await, 1);
}

#[tokio::test]
async fn sixty_four_at_once_are_stored_once() {
    let gateway = Arc::new(start().await);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.order("o-1", "{\"total\":5}").await })
        })
        .collect();
    let mut fresh = 0;
    let mut receipts = Vec::new();
    for task in tasks {
        let answer = task.await.unwrap();
        fresh += usize::from(answer.json["duplicate"] == false);
        answer.accepted(answer.json["duplicate"] == true);
        receipts.push(answer.receipt());
    }
    assert_eq!((fresh, gateway.count().await), (1, 1));
    assert!(receipts.iter().all(|receipt| *receipt == receipts[0]));
}

#[tokio::test]
async fn other_data_under_a_key_is_refused() {
    let gateway = start().await;
    gateway.order("o-1", "{\"total\":5}").await.accepted(false);
    gateway
        .order("o-1", "{\"total\":6}")
        .await
        .problem("idempotency-key-reused", 422);
    gateway
        .plain("orders", Some("k"), "{\"total\":5}")
        .await
        .accepted(false);
    gateway
        .plain("orders", Some("k"), "{\"total\":6}")
        .await
        .problem("idempotency-key-reused", 422);
    assert_eq!(gateway.count().await, 2);
}

#[tokio::test]
async fn a_key_names_the_first_event_whatever_id_the_repeat_has() {
    let gateway = start().await;
    let headers = |id| {
        [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/shop"),
            ("ce-type", "com.example.order"),
            ("idempotency-key", "\"one intent\""),
        ]
    };
    let first = gateway
        .post("/v1/events", &headers("a"), "{\"total\":5}")
        .await;
    first.accepted(false);
    let repeat = gateway
        .post("/v1/events", &headers("b"), "{\"total\":5}")
        .await;
    assert_eq!(repeat.accepted(true).receipt(), first.receipt());
    assert_eq!(repeat.json["event"]["id"], "a");
}

#[tokio::test]
async fn keys_of_two_contracts_do_not_meet() {
    let gateway = start().await;
    let body = "{\"total\":5,\"customer\":\"c\"}";
    gateway
        .plain("orders", Some("k"), body)
        .await
        .accepted(false);
    gateway
        .plain("commands", Some("k"), body)
        .await
        .accepted(false);
}

#[tokio::test]
async fn a_window_ends() {
    let gateway = start().await;
    gateway.order("o-1", "{\"total\":5}").await.accepted(false);
    gateway.clock.advance(Duration::from_hours(25));
    gateway.order("o-1", "{\"total\":5}").await.accepted(false);
    assert_eq!(gateway.count().await, 2);
}

#[tokio::test]
async fn a_contract_tightened_since_takes_no_receipt_back() {
    let gateway = start().await;
    let first = gateway.order("o-1", "{\"total\":5}").await;
    let keyed = gateway.plain("orders", Some("k"), "{\"total\":5}").await;
    let in_data = gateway
        .plain("ids", None, "{\"total\":5,\"number\":1}")
        .await;
    let tighter = r#"{"type":"object","required":["total","customer"]}"#;
    gateway
        .gateway
        .replace_contracts(&contracts(tighter))
        .await
        .unwrap();
    let repeat = gateway.order("o-1", "{\"total\":5}").await;
    assert_eq!(repeat.accepted(true).receipt(), first.receipt());
    let repeat = gateway.plain("orders", Some("k"), "{\"total\":5}").await;
    assert_eq!(repeat.accepted(true).receipt(), keyed.receipt());
    let repeat = gateway
        .plain("ids", None, "{\"total\":5,\"number\":1}")
        .await;
    assert_eq!(repeat.accepted(true).receipt(), in_data.receipt());
    // Nothing of it went to quarantine, and a new one is judged by the new contract.
    assert_eq!(gateway.count().await, 3);
    gateway
        .order("o-2", "{\"total\":5}")
        .await
        .problem("contract-violation", 422);
    // Other data under the key is judged, and kept, by itself.
    let other = gateway.order("o-1", "{\"total\":6}").await;
    assert!(other.problem("contract-violation", 422).json["quarantine"].is_string());
}

#[tokio::test]
async fn a_repeat_names_the_topic_it_was_stored_in() {
    let gateway = start().await;
    let first = gateway.order("o-1", "{\"total\":5}").await;
    let keyed = gateway.plain("orders", Some("k"), "{\"total\":5}").await;
    let moved = contracts_with_orders_in("orders.moved");
    gateway.gateway.replace_contracts(&moved).await.unwrap();
    let repeat = gateway.order("o-1", "{\"total\":5}").await;
    assert_eq!(repeat.accepted(true).receipt(), first.receipt());
    let repeat = gateway.plain("orders", Some("k"), "{\"total\":5}").await;
    assert_eq!(repeat.accepted(true).receipt(), keyed.receipt());
    let new = gateway.order("o-2", "{\"total\":5}").await;
    assert_eq!(new.accepted(false).json["topic"], "orders.moved");
}
