//! Tokens of issuers that are trusted, whose keys are found, fetched and rotated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidegate_gateway::{ContractSource, Issuer};
use tokio::net::TcpListener;

use crate::harness::{contracts_of, header, start_from_parts};
use crate::identity::{asking, producer};

/// An issuer whose keys are served over HTTP.
struct TestIssuer {
    address: String,
    keys: Arc<Mutex<Vec<(String, EcdsaKeyPair)>>>,
    is_up: Arc<Mutex<bool>>,
    fetched: Arc<AtomicUsize>,
    /// Who it says that it is.
    says: Arc<Mutex<String>>,
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

impl TestIssuer {
    async fn start() -> Self {
        let keys = Arc::new(Mutex::new(vec![("one".to_owned(), new_key())]));
        let (is_up, fetched) = (Arc::new(Mutex::new(true)), Arc::new(AtomicUsize::new(0)));
        let served = (Arc::clone(&keys), Arc::clone(&is_up), Arc::clone(&fetched));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serve = async move || {
            served.2.fetch_add(1, Ordering::Relaxed);
            if !*served.1.lock() {
                return Err(axum::http::StatusCode::BAD_GATEWAY);
            }
            let jwk = |(kid, pair): &(String, EcdsaKeyPair)| {
                let point = pair.public_key().as_ref();
                let coordinate = |at: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[at]);
                json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
                    "x": coordinate(1..33), "y": coordinate(33..65) })
            };
            let keys: Vec<Value> = served.0.lock().iter().map(jwk).collect();
            Ok(axum::Json(json!({ "keys": keys })))
        };
        let says = Arc::new(Mutex::new(address.clone()));
        let (said, keys_url) = (Arc::clone(&says), format!("{address}/keys"));
        let discover = async move || {
            let issuer = said.lock().clone();
            axum::Json(
                json!({ "issuer": issuer, "jwks_uri": keys_url, "response_types_supported": ["code"] }),
            )
        };
        let router = axum::Router::new()
            .route("/keys", get(serve))
            .route("/.well-known/openid-configuration", get(discover));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            keys,
            is_up,
            fetched,
            says,
        }
    }

    /// Trusts the issuer by its address alone.
    fn found(&self, name: &str) -> Issuer {
        Issuer {
            name: name.to_owned(),
            issuer: self.address.clone(),
            keys_url: None,
            ..self.settings()
        }
    }

    fn settings(&self) -> Issuer {
        Issuer {
            name: "company".to_owned(),
            issuer: "https://login.example.com".to_owned(),
            audience: "tidegate".to_owned(),
            keys_url: Some(format!("{}/keys", self.address)),
            tenant_claim: Some("org".to_owned()),
            roles_claim: "roles".to_owned(),
        }
    }

    /// Signs claims with the newest key.
    fn token(&self, changes: Value) -> String {
        let mut claims = json!({ "iss": "https://login.example.com", "aud": ["tidegate", "other"], "sub": "u-1",
            "exp": 1_700_000_600, "org": "acme", "roles": ["producer", "king"], "scope": "openid orders.write" });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let keys = self.keys.lock();
        let (kid, pair) = keys.last().unwrap();
        signed(
            &json!({ "alg": "ES256", "typ": "JWT", "kid": kid }),
            &claims,
            pair,
        )
    }
}

fn signed(head: &Value, claims: &Value, pair: &EcdsaKeyPair) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

#[tokio::test]
async fn a_token_holds_if_all_of_it_does() {
    let issuer = TestIssuer::start().await;
    let gateway = crate::harness::start_with(asking(vec![issuer.settings()])).await;
    let sent = gateway.send(&issuer.token(json!({})), "orders", "1").await;
    sent.accepted(false);
    let record = gateway.records("orders").await.remove(0);
    assert_eq!(header(&record, "tidegate_tenant"), Some("acme"));
    assert_eq!(header(&record, "tidegate_caller"), Some("company:u-1"));

    let stranger = new_key();
    let kid = json!({ "alg": "ES256", "kid": "one" });
    let claims = json!({ "iss": "https://login.example.com", "aud": "tidegate", "sub": "u", "exp": 1_700_000_600, "org": "acme", "roles": ["producer"] });
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    for (why, token) in [
        ("another audience", issuer.token(json!({ "aud": "other" }))),
        (
            "another issuer",
            issuer.token(json!({ "iss": "https://evil.example.com" })),
        ),
        ("over", issuer.token(json!({ "exp": 1_699_999_900 }))),
        ("no end", issuer.token(json!({ "exp": null }))),
        ("not begun", issuer.token(json!({ "nbf": 1_700_000_100 }))),
        ("no subject", issuer.token(json!({ "sub": "" }))),
        ("no tenant", issuer.token(json!({ "org": null }))),
        ("a stranger's", signed(&kid, &claims, &stranger)),
        ("no signature", none),
        ("long", issuer.token(json!({ "pad": "x".repeat(9_000) }))),
    ] {
        let refused = gateway.send(&token, "orders", "2").await;
        refused.problem("unauthenticated", 401);
        assert!(!refused.text.contains("evil"), "{why}: {}", refused.text);
    }
    // Clocks differ by seconds.
    let late = issuer.token(json!({ "exp": 1_699_999_970 }));
    gateway.send(&late, "orders", "3").await.accepted(false);
    let early = issuer.token(json!({ "nbf": 1_700_000_030 }));
    gateway.send(&early, "orders", "4").await.accepted(false);
    // One that was checked ends as well.
    let token = issuer.token(json!({}));
    gateway.clock.advance(Duration::from_secs(700));
    gateway
        .send(&token, "orders", "5")
        .await
        .problem("unauthenticated", 401);
}

#[tokio::test]
async fn keys_are_rotated_in_flight_and_an_issuer_may_be_down() {
    let issuer = TestIssuer::start().await;
    let gateway = crate::harness::start_with(asking(vec![issuer.settings()])).await;
    let old = issuer.token(json!({}));
    gateway.send(&old, "orders", "1").await.accepted(false);
    // A key that nobody has makes the set be fetched again, once, however many ask.
    tokio::time::sleep(Duration::from_secs(5)).await;
    issuer.keys.lock().push(("two".to_owned(), new_key()));
    let new = issuer.token(json!({}));
    gateway.send(&new, "orders", "2").await.accepted(false);
    let fetched = issuer.fetched.load(Ordering::Relaxed);
    let stranger = new_key();
    for number in 0..20 {
        let head = json!({ "alg": "ES256", "kid": format!("x{number}") });
        let claims = json!({ "iss": "https://login.example.com" });
        let token = signed(&head, &claims, &stranger);
        gateway
            .send(&token, "orders", "3")
            .await
            .problem("unauthenticated", 401);
    }
    assert!(issuer.fetched.load(Ordering::Relaxed) <= fetched + 1);
    // Down: what is known holds.
    *issuer.is_up.lock() = false;
    gateway.send(&old, "orders", "1").await.accepted(true);
    let fresh = issuer.token(json!({ "jti": "another token" }));
    gateway.send(&fresh, "orders", "2").await.accepted(true);
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_makes_callers_wait() {
    let issuer = TestIssuer::start().await;
    *issuer.is_up.lock() = false;
    let gateway = crate::harness::start_with(asking(vec![issuer.settings()])).await;
    let token = issuer.token(json!({}));
    let answer = gateway.send(&token, "orders", "1").await;
    answer.problem("identity-unavailable", 503);
    assert_eq!(answer.header("retry-after"), "5");
    *issuer.is_up.lock() = true;
    let mut sent = answer;
    for _ in 0..100 {
        sent = gateway.send(&token, "orders", "1").await;
        if sent.status == 202 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sent.accepted(false);
}

#[tokio::test]
async fn a_contract_says_how_its_senders_prove_who_they_are() {
    let issuer = TestIssuer::start().await;
    let contracts = contracts_of(
        r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders, owner: team}
spec:
  class: fact
  schema: {file: order.json}
  key: {from: $.customer}
  ingress: {auth: ["oauth2:orders.write"]}
"#,
    );
    let source = ContractSource::Folder(contracts);
    let gateway = start_from_parts(asking(vec![issuer.settings()]), source).await;
    let (_, key) = gateway.key(producer("acme")).await;
    gateway
        .send(&key, "orders", "1")
        .await
        .problem("forbidden", 403);
    let without = issuer.token(json!({ "scope": "openid" }));
    gateway
        .send(&without, "orders", "1")
        .await
        .problem("forbidden", 403);
    let with = issuer.token(json!({}));
    gateway.send(&with, "orders", "1").await.accepted(false);
}

#[tokio::test]
async fn issuers_are_known_by_their_addresses_alone() {
    let (staff, partners) = (TestIssuer::start().await, TestIssuer::start().await);
    let issuers = vec![staff.found("staff"), partners.found("partners")];
    let gateway = crate::harness::start_with(asking(issuers)).await;
    let token_of = |issuer: &TestIssuer| issuer.token(json!({ "iss": issuer.address }));
    for (issuer, key) in [(&staff, "1"), (&partners, "2")] {
        let sent = gateway.send(&token_of(issuer), "orders", key).await;
        sent.accepted(false);
    }
    let records = gateway.records("orders").await;
    let mut callers: Vec<_> = records
        .iter()
        .filter_map(|it| header(it, "tidegate_caller"))
        .collect();
    callers.sort_unstable();
    assert_eq!(callers, ["partners:u-1", "staff:u-1"]);
    // One signs in the name of the other.
    let forged = staff.token(json!({ "iss": partners.address, "jti": "forged" }));
    gateway
        .send(&forged, "orders", "3")
        .await
        .problem("unauthenticated", 401);
}

#[tokio::test]
async fn whoever_says_it_is_another_issuer_is_not_believed() {
    let issuer = TestIssuer::start().await;
    *issuer.says.lock() = "https://login.example.com".to_owned();
    let gateway = crate::harness::start_with(asking(vec![issuer.found("staff")])).await;
    let token = issuer.token(json!({ "iss": issuer.address }));
    let answer = gateway.send(&token, "orders", "1").await;
    answer.problem("identity-unavailable", 503);
    assert_eq!(issuer.fetched.load(Ordering::Relaxed), 0);
}
