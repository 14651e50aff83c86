//! Batches: an answer for each event, and a status that is true of all of them.

use crate::harness::{Answer, BATCH, Running, start, start_with, structured};
use tidegate_gateway::Settings;

async fn send(gateway: &Running, events: &[String]) -> Answer {
    let body = format!("[{}]", events.join(","));
    gateway
        .post("/v1/events", &[("content-type", BATCH)], body)
        .await
}

fn order(id: &str, data: &str) -> String {
    structured(id, "com.example.order", data)
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let results = answer.json["results"].as_array().unwrap();
    results
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_that_is_stored_is_202() {
    let gateway = start().await;
    let events: Vec<String> = (0..100)
        .map(|n| order(&n.to_string(), "{\"total\":1}"))
        .collect();
    let answer = send(&gateway, &events).await;
    assert_eq!((answer.status, statuses(&answer)), (202, vec![202; 100]));
    assert_eq!(gateway.count().await, 100);
    let again = send(&gateway, &events).await;
    assert_eq!((again.status, gateway.count().await), (202, 100));
    for (first, second) in [(0, 0), (99, 99)] {
        let (first, second) = (
            &answer.json["results"][first],
            &again.json["results"][second],
        );
        assert_eq!(first["receipt"]["id"], second["receipt"]["id"]);
        assert_eq!(second["receipt"]["duplicate"], true);
    }
    assert_eq!(send(&gateway, &[]).await.status, 202);
}

#[tokio::test]
async fn a_batch_that_is_stored_in_part_is_207() {
    let gateway = start().await;
    let events = [
        order("1", "{\"total\":1}"),
        order("2", "{}"),
        structured("3", "com.example.unknown", "{}"),
        "{\"specversion\":\"1.0\"}".to_owned(),
        order("1", "{\"total\":1}"),
        order("1", "{\"total\":2}"),
        "7".to_owned(),
    ];
    let answer = send(&gateway, &events).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    assert_eq!(statuses(&answer), [202, 422, 422, 400, 202, 422, 400]);
    let results = &answer.json["results"];
    assert!(results[1]["problem"]["quarantine"].is_string());
    assert_eq!(
        results[2]["problem"]["type"],
        "/problems/unknown-event-type"
    );
    assert_eq!(results[4]["receipt"]["duplicate"], true);
    assert_eq!(
        results[5]["problem"]["type"],
        "/problems/idempotency-key-reused"
    );
    assert_eq!(gateway.count().await, 2);
    // Kept one by one, as it was sent.
    let kept = gateway.records("_tidegate.quarantine").await;
    assert_eq!(kept[0].record.value.as_deref(), Some(events[1].as_bytes()));
}

#[tokio::test]
async fn a_batch_of_which_none_is_stored_has_their_common_status() {
    let gateway = start().await;
    let answer = send(&gateway, &[order("1", "{}"), order("2", "{}")]).await;
    answer.problem("contract-violation", 422);
    assert_eq!(statuses(&answer), [422, 422]);
    let answer = send(&gateway, &["1".to_owned(), order("2", "{}")]).await;
    assert_eq!((answer.status, statuses(&answer)), (207, vec![400, 422]));
}

#[tokio::test]
async fn a_batch_has_limits() {
    let gateway = start_with(Settings {
        max_batch_events: 3,
        max_batch_bytes: 2_000,
        ..Settings::default()
    })
    .await;
    let events: Vec<String> = (0..4)
        .map(|n| order(&n.to_string(), "{\"total\":1}"))
        .collect();
    send(&gateway, &events)
        .await
        .problem("batch-too-large", 413);
    let large = order(
        "1",
        &format!("{{\"total\":1,\"x\":\"{}\"}}", "x".repeat(2_000)),
    );
    send(&gateway, &[large])
        .await
        .problem("body-too-large", 413);
    let headers = [("content-type", BATCH), ("idempotency-key", "k")];
    let answer = gateway.post("/v1/events", &headers, "[]").await;
    answer.problem("idempotency-key-invalid", 400);
    assert_eq!(gateway.count().await, 0);
}
