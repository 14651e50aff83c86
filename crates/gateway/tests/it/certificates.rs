//! Callers that are known by the certificates of their connections.

use rcgen::{CertificateParams, SanType};
use serde_json::json;
use tidegate_gateway::{CertificateHolder, Identity, Role, Secret};

use crate::harness::{Answer, contracts_of};
use crate::identity::FIRST_KEY;
use crate::tls::{Authority, Door, Pair};

const CONTRACTS: &str = r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: any, owner: team}
spec:
  class: fact
  schema: {file: order.json}
  key: {from: $.customer}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: machines, owner: team}
spec:
  class: fact
  schema: {file: order.json}
  key: {from: $.customer}
  topic: {partitions: 1}
  ingress: {auth: [mtls]}
"#;

fn named(uri: &str) -> impl FnOnce(&mut CertificateParams) {
    let uri = SanType::URI(uri.try_into().unwrap());
    |params| params.subject_alt_names = vec![uri]
}

async fn send(door: &Door, shows: Option<&Pair>, bearer: &str, contract: &str) -> Answer {
    let (client, url) = door.client_showing(shows);
    let mut request = client.post(format!("{url}/v1/events/{contract}"));
    if !bearer.is_empty() {
        request = request.bearer_auth(bearer);
    }
    let request = request.json(&json!({ "total": 1, "customer": "c" }));
    Answer::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn a_certificate_is_the_credential_of_a_request_that_brings_no_other() {
    let callers = Authority::new();
    let known = |name: &str, role| CertificateHolder {
        name: name.to_owned(),
        certificate: format!("uri:spiffe://example/{name}").parse().unwrap(),
        tenant: "acme".to_owned(),
        roles: vec![role],
    };
    let identity = Identity {
        required: true,
        first_key: Some(Secret::new(FIRST_KEY)),
        certificates: vec![
            known("orders", Role::Producer),
            known("reader", Role::Consumer),
        ],
        ..Identity::default()
    };
    let door = Door::knowing(&callers, identity, contracts_of(CONTRACTS)).await;
    let orders = callers.caller(named("spiffe://example/orders"));
    let reader = callers.caller(named("spiffe://example/reader"));
    let stranger = callers.caller(named("spiffe://example/stranger"));
    for (what, shows, bearer, contract, status) in [
        ("its own", Some(&orders), "", "any", 202),
        ("as asked for", Some(&orders), "", "machines", 202),
        ("without its role", Some(&reader), "", "any", 403),
        ("of nobody", Some(&stranger), "", "any", 401),
        ("none", None, "", "any", 401),
        ("beside a key", Some(&stranger), FIRST_KEY, "any", 202),
        ("beside a wrong key", Some(&orders), "wrong", "any", 401),
        // The key is what the request is known by, and the contract asks for a certificate.
        ("beside the key", Some(&orders), FIRST_KEY, "machines", 403),
    ] {
        let answer = send(&door, shows, bearer, contract).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
    }
    // Whose the event is follows from the certificate.
    let (client, url) = door.client_showing(None);
    let events = client.get(format!("{url}/v1/topics/machines/events?limit=1"));
    let found = events.bearer_auth(FIRST_KEY).send().await.unwrap();
    let found = Answer::of(found).await;
    let headers = found.json["events"][0]["headers"].as_array().unwrap();
    for (name, value) in [("tidegate_caller", "orders"), ("tidegate_tenant", "acme")] {
        let header = json!({ "name": name, "value": value });
        assert!(headers.contains(&header), "{}", found.text);
    }
}
