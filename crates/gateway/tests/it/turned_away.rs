//! Callers that are turned away: counted at each door, and in the audit at a bounded rate.

use serde_json::{Value, json};

use crate::harness::{Answer, Running, start_with};
use crate::identity::{FIRST_KEY, asking, producer};

impl Running {
    async fn asked_by(&self, url: &str, bearer: &str) -> u16 {
        let request = self.client.get(url).bearer_auth(bearer);
        request.send().await.unwrap().status().as_u16()
    }

    /// Returns the refusals in the audit, newest first.
    async fn audited_refusals(&self) -> Vec<Value> {
        let url = self.url("/v1/audit?limit=1000");
        let request = self.client.get(url).bearer_auth(FIRST_KEY);
        let page = Answer::of(request.send().await.unwrap()).await;
        let mut records = page.json["records"].as_array().unwrap().clone();
        records.retain(|record| record["phase"] == "refused");
        records
    }

    async fn turned_away(&self, labels: &str) -> u64 {
        let url = format!("http://{}/metrics", self.ops);
        let text = self.client.get(url).send().await.unwrap();
        let text = text.text().await.unwrap();
        let name = format!("tidegate_callers_refused_total{{{labels}}} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&name));
        found.map_or(0, |count| count.parse().unwrap())
    }
}

#[tokio::test]
async fn who_is_turned_away_is_counted_and_audited_with_who_it_was() {
    let gateway = start_with(asking(Vec::new())).await;
    let (_, key) = gateway.key(producer("acme")).await;
    let registry = format!("http://{}/subjects", gateway.registry);
    let events = gateway.url("/v1/topics/orders/events");
    assert_eq!(gateway.asked_by(&events, &key).await, 403);
    assert_eq!(gateway.asked_by(&events, "wrong").await, 401);
    assert_eq!(gateway.asked_by(&registry, "wrong").await, 401);
    let sent = gateway.send("wrong", "orders", "1").await;
    sent.problem("unauthenticated", 401);
    let made = gateway.client.post(gateway.url("/v1/keys"));
    let made = made.bearer_auth(&key).json(&json!({})).send().await;
    assert_eq!(made.unwrap().status().as_u16(), 403);
    for (labels, expected) in [
        (r#"door="events",reason="forbidden""#, 2),
        (r#"door="events",reason="unauthenticated""#, 2),
        (r#"door="registry",reason="unauthenticated""#, 1),
    ] {
        assert_eq!(gateway.turned_away(labels).await, expected, "{labels}");
    }
    let shown = |it: &Value| {
        let words = [
            &it["verb"],
            &it["object"],
            &it["actor"]["name"],
            &it["problem"],
        ];
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .join(" ")
    };
    let refusals: Vec<String> = gateway.audited_refusals().await.iter().map(shown).collect();
    assert_eq!(
        refusals,
        [
            "key.create /v1/keys acme-shop forbidden",
            "door.enter /v1/events/orders nobody unauthenticated",
            "door.enter /subjects nobody unauthenticated",
            "door.enter /v1/topics/orders/events nobody unauthenticated",
            "door.enter /v1/topics/orders/events acme-shop forbidden",
        ]
    );
}

#[tokio::test]
async fn strangers_fill_no_audit_and_take_nobodys_place_in_it() {
    let gateway = start_with(asking(Vec::new())).await;
    let (_, key) = gateway.key(producer("acme")).await;
    let events = gateway.url("/v1/topics/orders/events");
    let begun = std::time::Instant::now();
    for _ in 0..200 {
        assert_eq!(gateway.asked_by(&events, "wrong").await, 401);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    let written = gateway.audited_refusals().await.len();
    assert!(
        (20..=21 + seconds).contains(&written),
        "{written} in {seconds} s"
    );
    let labels = r#"door="events",reason="unauthenticated""#;
    assert_eq!(gateway.turned_away(labels).await, 200);
    assert_eq!(gateway.asked_by(&events, &key).await, 403);
    let newest = gateway.audited_refusals().await.remove(0);
    assert_eq!(newest["actor"]["name"], "acme-shop", "{newest}");
}
