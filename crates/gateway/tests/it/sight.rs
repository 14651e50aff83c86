//! What readers see of a topic: their tenant's events, and of persons only what their roles let them.

use serde_json::{Value, json};
use tidegate_gateway::{ContractSource, Identity, Secret, Settings};

use crate::harness::{Answer, Running, start_from_parts};
use crate::identity::FIRST_KEY;

const CONTRACT: &str = r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: signups, owner: team}
spec:
  class: fact
  event: {id: $.id}
  schema: {file: signup.json}
  key: {from: $.email}
  topic: {partitions: 1}
  privacy:
    fields:
      $.email: {category: contact}
      $.person: {category: identity}
"#;
const SCHEMA: &str = r#"{"type": "object", "required": ["id", "email"], "properties": {
    "id": {"type": "string"}, "email": {"type": "string"}, "total": {"type": "integer"},
    "person": {"type": "object"}}}"#;
/// What no reader but an owner is shown.
const SECRET: &str = "ada-lovelace";

async fn started(more: &str) -> Running {
    let files = [("all.yaml".to_owned(), format!("{CONTRACT}{more}"))];
    let schemas = |_: &str| Some(SCHEMA.to_owned());
    let contracts = tidegate_contract::load::sources(&files, &schemas).unwrap();
    let settings = Settings {
        identity: Identity {
            required: true,
            first_key: Some(Secret::new(FIRST_KEY)),
            ..Identity::default()
        },
        ..Settings::default()
    };
    start_from_parts(settings, ContractSource::Folder(contracts)).await
}

impl Running {
    async fn key_of(&self, tenant: &str, role: &str) -> String {
        let asked =
            json!({ "name": format!("{tenant}-{role}"), "tenant": tenant, "roles": [role] });
        let request = self.client.post(self.url("/v1/keys")).json(&asked);
        let made = Answer::of(request.bearer_auth(FIRST_KEY).send().await.unwrap()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json["key"].as_str().unwrap().to_owned()
    }

    async fn sign_up(&self, key: &str, id: &str) -> Answer {
        let data = json!({ "id": id, "total": 7, "email": format!("{SECRET}@example.com"),
            "person": { "name": SECRET } });
        let request = self.client.post(self.url("/v1/events/signups"));
        let sent = request.bearer_auth(key).json(&data).send().await;
        let sent = Answer::of(sent.unwrap()).await;
        sent.accepted(false);
        sent
    }

    async fn page(&self, key: &str, query: &str) -> Answer {
        let url = self.url(&format!("/v1/topics/signups/events?{query}"));
        let request = self.client.get(url).bearer_auth(key);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Reads a stream until it has brought so many events.
    async fn stream(&self, key: &str, query: &str, count: usize) -> Vec<Value> {
        let url = self.url(&format!("/v1/topics/signups/events?from=earliest&{query}"));
        let request = self.client.get(url).bearer_auth(key);
        let request = request.header("accept", "text/event-stream");
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut text = String::new();
        loop {
            let events: Vec<Value> = text
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .map_while(|data| serde_json::from_str(data).ok())
                .collect();
            if events.len() >= count {
                return events;
            }
            let chunk = response.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

fn ids(events: &[Value]) -> Vec<&str> {
    let id = |event| Value::pointer(event, "/data/id").and_then(Value::as_str);
    events.iter().map(|event| id(event).unwrap()).collect()
}

#[tokio::test]
async fn a_reader_sees_its_tenants_events_only() {
    let gateway = started("").await;
    let (acme, corp) = (
        gateway.key_of("acme", "producer").await,
        gateway.key_of("corp", "producer").await,
    );
    for (key, id) in [
        (&corp, "c1"),
        (&acme, "a1"),
        (&corp, "c2"),
        (&corp, "c3"),
        (&acme, "a2"),
    ] {
        gateway.sign_up(key, id).await;
    }
    let readers = [
        (gateway.key_of("acme", "consumer").await, vec!["a1", "a2"]),
        (
            gateway.key_of("corp", "owner").await,
            vec!["c1", "c2", "c3"],
        ),
        (gateway.key_of("none", "consumer").await, vec![]),
        (
            gateway.key_of("none", "operator").await,
            vec!["c1", "a1", "c2", "c3", "a2"],
        ),
    ];
    for (key, expected) in &readers {
        let page = gateway.page(key, "").await;
        assert_eq!(
            ids(page.json["events"].as_array().unwrap()),
            *expected,
            "{}",
            page.text
        );
        let is_operator = expected.len() == 5;
        for total in ["high_watermark", "log_start_offset"] {
            assert_eq!(page.json.get(total).is_some(), is_operator, "{}", page.text);
        }
        // A page of one is the next one that is theirs, not an empty one or somebody else's.
        let first = gateway.page(key, "limit=1").await;
        let first = first.json["events"].as_array().unwrap();
        assert_eq!(ids(first), expected[..expected.len().min(1)]);
        // A filter finds nothing that the page has not.
        let all = gateway.page(key, "filter=message.total+%3D%3D+7").await;
        assert_eq!(ids(all.json["events"].as_array().unwrap()), *expected);
        let theirs = gateway.page(key, "filter=message.id+%3D%3D+%27c2%27").await;
        let found = theirs.json["events"].as_array().unwrap().len();
        assert_eq!(found == 1, expected.contains(&"c2"));
        // Whatever place a reader names.
        let at = gateway.page(key, "offset=2&limit=1").await;
        let at = at.json["events"].as_array().unwrap();
        assert!(ids(at).iter().all(|id| expected.contains(id)));
        if !expected.is_empty() {
            let events = gateway.stream(key, "", expected.len()).await;
            assert_eq!(ids(&events), *expected);
        }
    }
}

#[tokio::test]
async fn persons_are_hidden_from_readers_who_answer_for_nothing() {
    let plain = "  ingress:\n    request: {schema: signup.json, map: {id: $.id, email: $.email, total: $.total, person: $.person}}\n";
    for (more, keeps_request) in [("", false), (plain, true)] {
        let gateway = started(more).await;
        let producer = gateway.key_of("acme", "producer").await;
        let sent = gateway.sign_up(&producer, "a1").await;
        let request = format!("{}/request", sent.header("location"));
        for (role, sees) in [("consumer", false), ("operator", false), ("owner", true)] {
            let key = gateway.key_of("acme", role).await;
            let page = gateway.page(&key, "").await;
            let mut events = page.json["events"].as_array().unwrap().clone();
            events.extend(gateway.stream(&key, "", 1).await);
            for event in &events {
                let text = event.to_string();
                assert_eq!(text.contains(SECRET), sees, "{role}: {text}");
                assert_eq!(event.get("persons_hidden").is_none(), sees, "{text}");
                assert_eq!(
                    (&event["data"]["id"], &event["data"]["total"]),
                    (&json!("a1"), &json!(7))
                );
                assert_eq!(event.get("key").is_some(), sees, "{text}");
                assert!(event.get("data_base64").is_none(), "{text}");
                let hidden = json!({ "id": "a1", "total": 7, "email": "****.com", "person": null });
                assert!(sees || event["data"] == hidden, "{text}");
            }
            // What is hidden cannot be asked for either.
            let guess = format!("filter=message.email+%3D%3D+%27{SECRET}%40example.com%27");
            let guessed = gateway.page(&key, &guess).await;
            assert_eq!(guessed.json["events"].as_array().unwrap().len() == 1, sees);
            let original = gateway.client.get(gateway.url(&request)).bearer_auth(&key);
            let original = Answer::of(original.send().await.unwrap()).await;
            let status = match (sees, keeps_request) {
                (false, _) => 403,
                (true, true) => 200,
                (true, false) => 404,
            };
            assert_eq!(original.status, status, "{role}: {}", original.text);
        }
    }
}

#[tokio::test]
async fn while_nobody_is_asked_everybody_sees_everything() {
    let files = [("all.yaml".to_owned(), CONTRACT.to_owned())];
    let contracts = tidegate_contract::load::sources(&files, &|_| Some(SCHEMA.to_owned())).unwrap();
    let source = ContractSource::Folder(contracts);
    let gateway = start_from_parts(Settings::default(), source).await;
    gateway.sign_up("any", "a1").await;
    let page = gateway.page("any", "").await;
    assert!(
        page.text.contains(SECRET) && page.json["high_watermark"] == 1,
        "{}",
        page.text
    );
}
