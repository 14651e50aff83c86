//! GitHub's webhooks.

use aws_lc_rs::hmac;

use crate::harness::{Answer, Running, SECRET, header, start};

async fn deliver(gateway: &Running, event: &str, id: &str, body: &str, secret: &str) -> Answer {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    let hex: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let signature = format!("sha256={hex}");
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", "GitHub-Hookshot/1"),
        ("x-github-event", event),
        ("x-github-delivery", id),
        ("x-hub-signature-256", signature.as_str()),
    ];
    gateway
        .post("/v1/sources/github", &headers, body.to_owned())
        .await
}

const ID: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
const PUSH: &str = r#"{"ref":"refs/heads/main","repository":{"full_name":"a/b"}}"#;

#[tokio::test]
async fn a_delivery_is_stored_and_its_redelivery_is_not() {
    let gateway = start().await;
    let first = deliver(&gateway, "push", ID, PUSH, SECRET).await;
    first.accepted(false);
    assert_eq!(first.json["event"]["id"], ID);
    let again = deliver(&gateway, "push", ID, PUSH, SECRET).await;
    assert_eq!(again.accepted(true).receipt(), first.receipt());
    let records = gateway.records("github-push").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].record.key.as_deref(), Some(&b"a/b"[..]));
    assert_eq!(header(&records[0], "tidegate_source"), Some("github"));
    assert_eq!(header(&records[0], "ce_source"), Some("https://github.com"));
}

#[tokio::test]
async fn a_bad_signature_stores_nothing() {
    let gateway = start().await;
    let answer = deliver(&gateway, "push", ID, PUSH, "another").await;
    answer.problem("signature-invalid", 401);
    assert!(!answer.header("www-authenticate").is_empty());
    // Invalid under the contract as well, and still not kept: nobody known sent it.
    deliver(&gateway, "push", ID, "{}", "another")
        .await
        .problem("signature-invalid", 401);
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", "push"),
    ];
    let answer = gateway.post("/v1/sources/github", &headers, PUSH).await;
    answer.problem("signature-invalid", 401);
    assert_eq!(gateway.count().await, 0);
}

#[tokio::test]
async fn what_no_contract_covers_is_refused_and_sampled() {
    let gateway = start().await;
    deliver(&gateway, "ping", ID, "{}", SECRET)
        .await
        .problem("unknown-event-type", 422);
    assert_eq!(gateway.count().await, 0);
    let refused = gateway.get("/v1/status").await.json["refused"]["unknown-event-type"].clone();
    assert_eq!(refused["count"], 1);
    assert_eq!(refused["samples"][0]["about"], "com.github.ping");
}

#[tokio::test]
async fn a_delivery_that_breaks_its_contract_is_kept() {
    let gateway = start().await;
    let first = deliver(&gateway, "push", ID, "{}", SECRET).await;
    let again = deliver(&gateway, "push", ID, "{}", SECRET).await;
    assert!(first.problem("contract-violation", 422).json["quarantine"].is_string());
    assert_eq!(first.json["quarantine"], again.json["quarantine"]);
    let entry = gateway
        .get(first.json["quarantine"].as_str().unwrap())
        .await
        .json;
    assert_eq!(entry["source"], "github");
    assert_eq!(entry["request_headers"]["x-github-event"], "push");
    assert_eq!(entry["request_headers"]["user-agent"], "GitHub-Hookshot/1");
    assert!(
        entry["request_headers"]
            .get("x-hub-signature-256")
            .is_none()
    );
}

#[tokio::test]
async fn a_source_must_be_configured_and_name_its_event() {
    let gateway = start().await;
    gateway
        .post("/v1/sources/gitlab", &[], PUSH)
        .await
        .problem("not-found", 404);
    deliver(&gateway, "../push", ID, PUSH, SECRET)
        .await
        .problem("bad-request", 400);
    deliver(&gateway, "push", "no id", PUSH, SECRET)
        .await
        .problem("bad-request", 400);
    assert_eq!(gateway.count().await, 0);
}
