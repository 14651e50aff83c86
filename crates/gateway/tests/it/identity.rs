//! Who may come, and what others see of it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tidegate_gateway::{Identity, Issuer, Secret, Settings};

use crate::faults::Fault;
use crate::harness::{Answer, Running, header, start, start_on};

pub(crate) const FIRST_KEY: &str = "a first key of more than enough letters";
const ORDER: &str = r#"{"total": 1, "customer": "c"}"#;

pub(crate) fn asking(issuers: Vec<Issuer>) -> Settings {
    Settings {
        identity: Identity {
            required: true,
            first_key: Some(Secret::new(FIRST_KEY)),
            issuers,
            ..Identity::default()
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

    pub(crate) async fn send(&self, bearer: &str, contract: &str, key: &str) -> Answer {
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
    pub(crate) async fn key(&self, asked: Value) -> (String, String) {
        let made = self
            .call_as(FIRST_KEY, "POST", "/v1/keys", Some(asked))
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
        let text = |name: &str| made.json[name].as_str().unwrap().to_owned();
        (text("id"), text("key"))
    }
}

pub(crate) fn producer(tenant: &str) -> Value {
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
