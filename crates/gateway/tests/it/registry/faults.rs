//! A log that fails: no answer is a lie, and nothing gets two ids.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_gateway::Settings;

use super::{USER, USER_2};
use crate::faults::Fault;
use crate::harness::start_with;

const NO: Value = Value::Null;

fn impatient() -> Settings {
    Settings {
        answer_deadline: Duration::from_millis(300),
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_id() {
    let running = start_with(impatient()).await;
    assert_eq!(running.id("a", USER).await, 1);
    running.log.set(Fault::StoresAndHangs);
    let lost = running.register("a", USER_2).await;
    lost.error(50002, "Register operation timed out");
    running.log.set(Fault::None);
    // It was stored, and the next caller finds it.
    assert_eq!(running.id("a", USER_2).await, 2);
    assert_eq!(running.id("b", USER_2).await, 2);
    running
        .expect("GET", "/subjects/a/versions", NO, json!([1, 2]))
        .await;
    assert_eq!(running.records("_schemas").await.len(), 3);
}

#[tokio::test]
async fn an_append_that_turns_up_late_changes_nothing() {
    let running = start_with(impatient()).await;
    running.log.set(Fault::StoresLate);
    let lost = running.register("a", USER).await;
    lost.error(50002, "Register operation timed out");
    running.log.set(Fault::None);
    // Decided without it, since it is not there yet, and stored at its place.
    assert_eq!(running.id("b", USER_2).await, 1);
    running.log.landed.notified().await;
    assert_eq!(running.records("_schemas").await.len(), 1);
    assert_eq!(running.id("a", USER).await, 2);
    running
        .expect("GET", "/subjects", NO, json!(["a", "b"]))
        .await;
}

#[tokio::test]
async fn what_was_not_stored_is_told_and_may_be_sent_again() {
    let running = start_with(impatient()).await;
    for (fault, codes) in [
        (Fault::NotStored, [50001, 50002]),
        (Fault::InDoubt, [50001, 50002]),
        (Fault::Hangs, [50002, 50002]),
    ] {
        running.log.set(fault);
        let answer = running.register("a", USER).await;
        assert_eq!(answer.status, 500, "{fault:?}: {}", answer.text);
        let code = answer.json["error_code"].as_i64().unwrap();
        assert!(codes.contains(&code), "{fault:?}: {}", answer.text);
        // What is known can be read all the same.
        running.expect("GET", "/subjects", NO, json!([])).await;
        running.log.set(Fault::None);
    }
    assert_eq!(running.id("a", USER).await, 1);
}
