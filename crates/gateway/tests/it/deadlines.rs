//! A true answer in time, whatever is slow or broken: stored, not stored, or not known.

use std::time::{Duration, Instant};

use tidegate_gateway::Settings;

use crate::faults::Fault;
use crate::harness::{Running, start_with};

async fn quick() -> Running {
    start_with(Settings {
        answer_deadline: Duration::from_millis(100),
        ..Settings::default()
    })
    .await
}

#[tokio::test]
async fn a_log_that_does_not_answer_leaves_it_open_and_a_retry_settles_it() {
    let gateway = quick().await;
    gateway.log.set(Fault::StoresAndHangs);
    let started = Instant::now();
    let answer = gateway.order("o-1", "{\"total\":5}").await;
    assert!(started.elapsed() < Duration::from_secs(5));
    answer.problem("outcome-unknown", 503);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(answer.text.contains("retry with the same key"));
    gateway.log.set(Fault::None);
    gateway.order("o-1", "{\"total\":5}").await.accepted(true);
    assert_eq!(gateway.count().await, 1);
}

#[tokio::test]
async fn each_failure_of_the_log_is_told_as_what_it_is() {
    let gateway = quick().await;
    for (fault, body, slug) in [
        (Fault::Hangs, "{\"total\":5}", "outcome-unknown"),
        (Fault::InDoubt, "{\"total\":5}", "outcome-unknown"),
        (Fault::NotStored, "{\"total\":5}", "log-unavailable"),
        // An event to be quarantined is not 422 before it is kept; nothing was appended yet.
        (Fault::Hangs, "{}", "log-unavailable"),
        (Fault::NotStored, "{}", "log-unavailable"),
        (Fault::InDoubt, "{}", "log-unavailable"),
    ] {
        gateway.log.set(fault);
        let answer = gateway.order("o-1", body).await;
        answer.problem(slug, 503);
        assert_eq!(answer.header("retry-after"), "1", "{fault:?} {body}");
        assert!(
            !answer.text.contains("device"),
            "nothing of the inside: {}",
            answer.text
        );
    }
    gateway.log.set(Fault::None);
    assert_eq!(gateway.count().await, 0);
}

#[tokio::test]
async fn reads_answer_in_time_too() {
    let gateway = quick().await;
    gateway.log.set(Fault::Hangs);
    for path in [
        "/v1/topics",
        "/v1/quarantine",
        "/v1/receipts/orders-0-0-00000000",
    ] {
        gateway.get(path).await.problem("log-unavailable", 503);
    }
    let url = format!("http://{}/readyz", gateway.ops);
    assert_eq!(gateway.client.get(&url).send().await.unwrap().status(), 503);
    gateway.log.set(Fault::None);
    assert_eq!(gateway.client.get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_topic_deleted_under_way_is_made_again() {
    use tidegate_event_log::Log as _;

    let gateway = quick().await;
    gateway.log.delete_topic("orders").await.unwrap();
    gateway
        .order("o-1", "{\"total\":5}")
        .await
        .problem("log-unavailable", 503);
    gateway.order("o-1", "{\"total\":5}").await.accepted(false);
}
