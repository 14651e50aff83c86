//! Providers' webhooks, signed as the providers sign.

use std::time::Duration;

use aws_lc_rs::hmac;
use tidegate_gateway::{Provider, Settings};

use crate::harness::{
    Answer, Running, SECRET, contracts_of, header, source_of, start, start_under,
};

fn hex_digest(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let digest = hmac::sign(&key, text.as_bytes());
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

async fn deliver(gateway: &Running, event: &str, id: &str, body: &str, secret: &str) -> Answer {
    let signature = format!("sha256={}", hex_digest(secret, body));
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

/// Two endpoints of one Stripe account, and a Slack app.
const SOURCES: &str = r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: invoices, owner: team}
spec:
  class: fact
  event: {type: com.stripe.invoice.paid, source: "https://stripe.com"}
  schema: {file: order.json}
  key: {from: $.customer}
"#;

async fn start_with_sources() -> Running {
    let mut settings = Settings::default();
    let stripe = || source_of(Provider::Stripe, &["whsec_new", "whsec_old"]);
    let sources = [
        ("orders-stripe", stripe()),
        ("billing-stripe", stripe()),
        ("slack", source_of(Provider::Slack, &["shh"])),
    ];
    let named = sources.map(|(name, source)| (name.to_owned(), source));
    settings.sources.extend(named);
    start_under(contracts_of(SOURCES), settings).await
}

const NOW_SECONDS: u64 = 1_700_000_000;
const PAID: &str = r#"{"id":"evt_1","type":"invoice.paid","created":1699999999,"total":5}"#;

/// Sends what Stripe sends to a source at a time, signed with a secret.
async fn pay(gateway: &Running, source: &str, seconds: u64, secret: &str, body: &str) -> Answer {
    let digest = hex_digest(secret, &format!("{seconds}.{body}"));
    let signature = format!("t={seconds},v1={digest},v0=00");
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("stripe-signature", signature.as_str()),
    ];
    let path = format!("/v1/sources/{source}");
    gateway.post(&path, &headers, body.to_owned()).await
}

#[tokio::test]
async fn a_redelivery_is_a_repeat_whichever_source_and_secret_it_takes() {
    let gateway = start_with_sources().await;
    let first = pay(&gateway, "orders-stripe", NOW_SECONDS, "whsec_new", PAID).await;
    first.accepted(false);
    gateway.clock.advance(Duration::from_secs(60));
    let seconds = NOW_SECONDS + 60;
    let again = pay(&gateway, "billing-stripe", seconds, "whsec_old", PAID).await;
    assert_eq!(again.accepted(true).receipt(), first.receipt());
    let records = gateway.records("invoices").await;
    assert_eq!(records.len(), 1);
    for (name, value) in [
        ("ce_id", "evt_1"),
        ("ce_source", "https://stripe.com"),
        ("ce_type", "com.stripe.invoice.paid"),
        ("ce_time", "2023-11-14T22:13:19.000Z"),
        ("tidegate_source", "orders-stripe"),
    ] {
        assert_eq!(header(&records[0], name), Some(value));
    }
}

#[tokio::test]
async fn an_old_or_early_signature_stores_nothing() {
    let gateway = start_with_sources().await;
    for seconds in [NOW_SECONDS - 301, NOW_SECONDS + 301] {
        pay(&gateway, "orders-stripe", seconds, "whsec_new", PAID)
            .await
            .problem("signature-invalid", 401);
    }
    pay(&gateway, "orders-stripe", NOW_SECONDS, "whsec_gone", PAID)
        .await
        .problem("signature-invalid", 401);
    assert_eq!(gateway.count().await, 0);
    let refused = gateway.get("/v1/status").await.json["refused"]["signature-invalid"].clone();
    assert_eq!(refused["count"], 3);
    assert_eq!(refused["samples"][0]["about"], "orders-stripe");
}

#[tokio::test]
async fn slack_is_told_that_the_address_listens() {
    let gateway = start_with_sources().await;
    let ask = async |secret: &str| {
        let body = r#"{"token":"t","challenge":"3eZbrw1a","type":"url_verification"}"#;
        let seconds = NOW_SECONDS.to_string();
        let signature = format!("v0={}", hex_digest(secret, &format!("v0:{seconds}:{body}")));
        let headers = [
            ("content-type", "application/json"),
            ("x-slack-signature", signature.as_str()),
            ("x-slack-request-timestamp", seconds.as_str()),
        ];
        gateway.post("/v1/sources/slack", &headers, body).await
    };
    let answer = ask("shh").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "3eZbrw1a"));
    ask("another").await.problem("signature-invalid", 401);
    assert_eq!(gateway.count().await, 0);
}
