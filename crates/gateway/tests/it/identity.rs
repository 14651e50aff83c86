//! Who may come, and what others see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidegate_gateway::{ContractSource, Identity, Issuer, Secret, Settings};
use tokio::net::TcpListener;

use crate::faults::Fault;
use crate::harness::{Answer, Running, contracts_of, header, start, start_from_parts, start_on};

const FIRST_KEY: &str = "a first key of more than enough letters";
const ORDER: &str = r#"{"total": 1, "customer": "c"}"#;

fn asking(issuers: Vec<Issuer>) -> Settings {
    Settings {
        identity: Identity {
            required: true,
            first_key: Some(Secret::new(FIRST_KEY)),
            issuers,
        },
        ..Settings::default()
    }
}

async fn started() -> Running {
    crate::harness::start_with(asking(Vec::new())).await
}

impl Running {
    /// Asks as whoever has this credential.
    async fn call_as(&self, bearer: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let method = method.parse().unwrap();
        let mut request = self.client.request(method, self.url(path));
        if !bearer.is_empty() {
            request = request.bearer_auth(bearer);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    async fn send(&self, bearer: &str, contract: &str, key: &str) -> Answer {
        let request = self
            .client
            .post(self.url(&format!("/v1/events/{contract}")));
        let request = request
            .bearer_auth(bearer)
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(ORDER);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Makes a key and returns its id and itself.
    async fn key(&self, asked: Value) -> (String, String) {
        let made = self
            .call_as(FIRST_KEY, "POST", "/v1/keys", Some(asked))
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
        let text = |name: &str| made.json[name].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }
}

fn producer(tenant: &str) -> Value {
    json!({ "name": format!("{tenant}-shop"), "tenant": tenant, "roles": ["producer"] })
}

#[tokio::test]
async fn while_authentication_is_off_everybody_may_do_everything() {
    let gateway = start().await;
    gateway
        .plain("orders", Some("a"), ORDER)
        .await
        .accepted(false);
    let record = gateway.records("orders").await.remove(0);
    assert_eq!(header(&record, "tidegate_tenant"), Some("default"));
    assert_eq!(header(&record, "tidegate_caller"), None);
    // Keys can be made before it is switched on.
    let made = gateway
        .call_as("", "POST", "/v1/keys", Some(producer("acme")))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
}

#[tokio::test]
async fn a_caller_that_is_not_known_is_told_so_and_stores_nothing() {
    let gateway = started().await;
    let (_, key) = gateway.key(producer("acme")).await;
    let stored = gateway.count().await;
    let basic = format!("Basic {}", STANDARD.encode("a:b"));
    for authorization in [
        None,
        Some("Bearer"),
        Some("Bearer x"),
        Some(&*format!("Bearer {}x", &key[..key.len() - 1])),
        Some(&basic),
        Some("Basic %%%"),
        Some("Digest a"),
        Some("Bearer a.b.c"),
    ] {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(authorization.map(|value| ("authorization", value)));
        let answer = gateway.post("/v1/events/orders", &headers, ORDER).await;
        answer.problem("unauthenticated", 401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert!(!answer.text.contains(&key[20..40]), "{}", answer.text);
    }
    let twice = [
        ("authorization", "Bearer a"),
        ("authorization", "Bearer b"),
        ("content-type", "application/json"),
    ];
    let answer = gateway.post("/v1/events/orders", &twice, ORDER).await;
    answer.problem("bad-request", 400);
    assert_eq!(gateway.count().await, stored);
    // What needs no caller stays open.
    assert_eq!(gateway.get("/problems/forbidden").await.status, 200);
}

#[tokio::test]
async fn a_key_is_made_used_rotated_and_revoked() {
    let gateway = started().await;
    let (id, key) = gateway.key(producer("acme")).await;
    gateway.send(&key, "orders", "1").await.accepted(false);
    let record = gateway.records("orders").await.remove(0);
    assert_eq!(header(&record, "tidegate_tenant"), Some("acme"));
    assert_eq!(header(&record, "tidegate_caller"), Some("acme-shop"));

    let path = format!("/v1/keys/{id}");
    let overlap = json!({ "overlap": "1h" });
    let rotate = || gateway.call_as(FIRST_KEY, "POST", "/v1/keys/rotate", None);
    assert_eq!(rotate().await.status, 405, "that would be a key's id");
    let rotated = gateway
        .call_as(FIRST_KEY, "POST", &format!("{path}/rotate"), Some(overlap))
        .await;
    let new = rotated.json["key"].as_str().unwrap().to_owned();
    for (after, old_holds) in [(0, true), (59, true), (2, false)] {
        gateway.clock.advance(Duration::from_secs(after * 60));
        gateway.send(&new, "orders", "1").await.accepted(true);
        let with_old = gateway.send(&key, "orders", "1").await;
        assert_eq!(with_old.status == 202, old_holds, "{}", with_old.text);
    }
    let shown = gateway.call_as(FIRST_KEY, "GET", &path, None).await;
    assert_eq!(shown.json["state"], "active");
    assert_eq!(shown.json["last_used"], "2023-11-14T23:14:20.000Z");
    assert!(shown.json.get("key").is_none(), "{}", shown.text);

    let revoked = gateway.call_as(FIRST_KEY, "DELETE", &path, None).await;
    assert_eq!(revoked.json["state"], "revoked", "{}", revoked.text);
    gateway
        .send(&new, "orders", "1")
        .await
        .problem("unauthenticated", 401);
    let shown = gateway.call_as(FIRST_KEY, "GET", "/v1/keys", None).await;
    assert_eq!(shown.json["keys"][0]["state"], "revoked");
    // Neither the topic nor an answer has the secret.
    for record in gateway.records("_tidegate.keys").await {
        let value = record.record.value.unwrap();
        let text = std::str::from_utf8(&value).unwrap();
        assert!(!text.contains(&key[21..]) && !text.contains(&new[21..]));
    }
}

#[tokio::test]
async fn a_change_of_keys_that_the_log_does_not_answer_is_not_told_as_undone() {
    let gateway = started().await;
    let (id, _) = gateway.key(producer("acme")).await;
    for (fault, expected) in [
        (Fault::InDoubt, "outcome-unknown"),
        (Fault::Hangs, "outcome-unknown"),
        (Fault::NotStored, "log-unavailable"),
    ] {
        gateway.log.set(fault);
        for (method, path, body) in [
            ("POST", "/v1/keys", Some(producer("corp"))),
            ("POST", &*format!("/v1/keys/{id}/rotate"), None),
            ("DELETE", &*format!("/v1/keys/{id}"), None),
        ] {
            let answer = gateway.call_as(FIRST_KEY, method, path, body).await;
            answer.problem(expected, 503);
        }
        gateway.log.set(Fault::None);
    }
}

#[tokio::test]
async fn a_key_ends_when_its_time_is_over() {
    let gateway = started().await;
    let asked = json!({ "name": "a", "roles": ["producer"], "expires_in": "1h" });
    let (_, key) = gateway.key(asked).await;
    gateway.send(&key, "orders", "1").await.accepted(false);
    gateway.clock.advance(Duration::from_secs(3_600));
    gateway
        .send(&key, "orders", "1")
        .await
        .problem("unauthenticated", 401);
}

#[tokio::test]
async fn keys_outlive_the_process_and_reach_the_others() {
    let gateway = started().await;
    let (log, clock) = (Arc::clone(&gateway.log), Arc::clone(&gateway.clock));
    let other = start_on(log, clock, asking(Vec::new())).await;
    let (id, key) = gateway.key(producer("acme")).await;
    let path = format!("/v1/keys/{id}");
    let mut sent = gateway.send(&key, "orders", "1").await;
    sent.accepted(false);
    // The other one follows the topic.
    for _ in 0..200 {
        sent = other.send(&key, "orders", "1").await;
        if sent.status == 202 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sent.accepted(true);
    gateway.call_as(FIRST_KEY, "DELETE", &path, None).await;
    let (log, clock) = (Arc::clone(&gateway.log), Arc::clone(&gateway.clock));
    let third = start_on(log, clock, asking(Vec::new())).await;
    third
        .send(&key, "orders", "1")
        .await
        .problem("unauthenticated", 401);
}

#[tokio::test]
async fn each_role_opens_its_own_doors() {
    let gateway = started().await;
    let roles = [
        "producer", "consumer", "owner", "approver", "operator", "auditor",
    ];
    let mut keys = Vec::new();
    for role in roles {
        keys.push(
            gateway
                .key(json!({ "name": role, "roles": [role] }))
                .await
                .1,
        );
    }
    let check = async |method: &str, path: &str, body: Option<Value>, open_to: &[&str]| {
        for (role, key) in roles.iter().zip(&keys) {
            let answer = gateway.call_as(key, method, path, body.clone()).await;
            let is_open = answer.status != 403;
            assert_eq!(
                is_open,
                open_to.contains(role),
                "{role} {method} {path}: {}",
                answer.text
            );
        }
    };
    let event = Some(json!({ "total": 1, "customer": "c" }));
    check("POST", "/v1/events/orders", event, &["producer"]).await;
    check("GET", "/v1/keys", None, &["operator"]).await;
    check("GET", "/v1/quarantine", None, &["owner", "operator"]).await;
    let readers = ["consumer", "owner", "operator"];
    check("GET", "/v1/topics/orders/events", None, &readers).await;
    check("GET", "/v1/status", None, &["owner", "operator", "auditor"]).await;
    check("GET", "/v1/contracts", None, &roles).await;
    check(
        "POST",
        "/v1/contract-sets",
        Some(json!({})),
        &["owner", "operator"],
    )
    .await;
    check(
        "POST",
        "/v1/contract-approvals",
        Some(json!({})),
        &["approver"],
    )
    .await;
}

#[tokio::test]
async fn one_tenant_sees_nothing_of_another() {
    let gateway = started().await;
    let (_, acme) = gateway.key(producer("acme")).await;
    let (_, corp) = gateway.key(producer("corp")).await;
    // One key of both names two events.
    let first = gateway.send(&acme, "orders", "same").await;
    let second = gateway.send(&corp, "orders", "same").await;
    assert_ne!(
        first.accepted(false).receipt(),
        second.accepted(false).receipt()
    );
    let path = first.header("location").to_owned();
    assert_eq!(gateway.call_as(&acme, "GET", &path, None).await.status, 200);
    gateway
        .call_as(&corp, "GET", &path, None)
        .await
        .problem("not-found", 404);
    assert_eq!(
        gateway.call_as(FIRST_KEY, "GET", &path, None).await.status,
        200
    );

    let bad = [
        ("content-type", "application/json"),
        ("authorization", &*format!("Bearer {acme}")),
    ];
    let kept = gateway.post("/v1/events/orders", &bad, "{}").await;
    let entry = kept.json["quarantine"].as_str().unwrap().to_owned();
    let owner = |tenant: &str| json!({ "name": "o", "tenant": tenant, "roles": ["owner"] });
    let (_, acme_owner) = gateway.key(owner("acme")).await;
    let (_, corp_owner) = gateway.key(owner("corp")).await;
    for (key, expected) in [(&acme_owner, 1), (&corp_owner, 0)] {
        let page = gateway.call_as(key, "GET", "/v1/quarantine", None).await;
        assert_eq!(page.json["entries"].as_array().unwrap().len(), expected);
        let found = gateway.call_as(key, "GET", &entry, None).await.status;
        assert_eq!(found == 200, expected == 1);
    }
}

#[tokio::test]
async fn a_key_for_some_contracts_sends_to_no_other() {
    let gateway = started().await;
    let asked = json!({ "name": "a", "roles": ["producer"], "contracts": ["orders"] });
    let (_, key) = gateway.key(asked).await;
    gateway.send(&key, "orders", "1").await.accepted(false);
    let stored = gateway.count().await;
    gateway
        .send(&key, "meters", "1")
        .await
        .problem("forbidden", 403);
    assert_eq!(gateway.count().await, stored);
}

#[tokio::test]
async fn who_approves_and_applies_is_the_caller() {
    let gateway = started().await;
    let (_, key) = gateway
        .key(json!({ "name": "anna", "roles": ["approver"] }))
        .await;
    let plan = "0".repeat(32);
    let other = json!({ "plan": plan, "name": "berta" });
    let answer = gateway
        .call_as(&key, "POST", "/v1/contract-approvals", Some(other))
        .await;
    answer.problem("forbidden", 403);
}

#[tokio::test]
async fn the_registry_asks_too_in_its_own_words() {
    let gateway = started().await;
    let url = format!("http://{}/subjects", gateway.registry);
    let refused = gateway.client.get(&url).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["error_code"], 401);
    let (id, key) = gateway
        .key(json!({ "name": "a", "roles": ["consumer"] }))
        .await;
    let get = |name: &str, password: &str| {
        let request = gateway.client.get(&url);
        request.basic_auth(name, Some(password)).send()
    };
    assert_eq!(get(&id, &key).await.unwrap().status().as_u16(), 200);
    assert_eq!(get("any", &key).await.unwrap().status().as_u16(), 200);
    assert_eq!(get("any", "wrong").await.unwrap().status().as_u16(), 401);
    let schema = json!({ "schema": "{\"type\": \"string\"}" });
    let register = gateway.client.post(format!("{url}/a/versions"));
    let register = register.basic_auth("a", Some(&key)).json(&schema);
    assert_eq!(register.send().await.unwrap().status().as_u16(), 403);
}

/// An issuer whose keys are served over HTTP.
struct TestIssuer {
    address: String,
    keys: Arc<Mutex<Vec<(String, EcdsaKeyPair)>>>,
    is_up: Arc<Mutex<bool>>,
    fetched: Arc<AtomicUsize>,
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
        let router = axum::Router::new().route("/keys", get(serve));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            keys,
            is_up,
            fetched,
        }
    }

    fn settings(&self) -> Issuer {
        Issuer {
            name: "company".to_owned(),
            issuer: "https://login.example.com".to_owned(),
            audience: "tidegate".to_owned(),
            keys_url: format!("{}/keys", self.address),
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
