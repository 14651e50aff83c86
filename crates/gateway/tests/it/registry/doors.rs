//! What HTTP itself has to say: addresses, methods, media types, bodies.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_gateway::Settings;
use tokio::net::TcpStream;

use super::{USER, USER_BROKEN, USER_STORED, V1};
use crate::harness::{Answer, read_to_end, start, start_with};

const NO: Value = Value::Null;

#[tokio::test]
async fn the_door_says_who_it_is() {
    let running = start().await;
    running.expect("GET", "/", NO, json!({})).await;
    running.expect("POST", "/", json!({}), json!({})).await;
    let id = running.ask("GET", "/v1/metadata/id", NO).await;
    assert_eq!(
        id.json["scope"]["clusters"]["schema-registry-cluster"],
        "schema-registry"
    );
    let version = running.ask("GET", "/v1/metadata/version", NO).await;
    assert!(
        version.json["version"]
            .as_str()
            .unwrap()
            .contains("tidegate")
    );
}

/// Confluent's JavaScript client probes an address before each message (Aiven-Open/karapace#1273).
#[tokio::test]
async fn an_unknown_address_is_404_in_the_form_of_the_registry() {
    let running = start().await;
    for path in [
        "/associations/resources/ns/name",
        "/nothing",
        "/subjects/a/b/c/d",
        "/schemas/ids/x",
    ] {
        running
            .fail("GET", path, NO, 404, "HTTP 404 Not Found")
            .await;
    }
    running
        .fail("PATCH", "/subjects", NO, 405, "HTTP 405 Method Not Allowed")
        .await;
    running
        .fail("GET", "/subjects?limit=x", NO, 404, "HTTP 404 Not Found")
        .await;
}

#[tokio::test]
async fn a_full_door_says_so_in_the_form_of_the_registry() {
    let running = start_with(Settings {
        max_connections: 1,
        ..Settings::default()
    })
    .await;
    let held = TcpStream::connect(running.registry).await.unwrap();
    // The second is turned away once the first was taken.
    let said = loop {
        let stream = TcpStream::connect(running.registry).await.unwrap();
        let said = tokio::time::timeout(Duration::from_millis(200), read_to_end(stream));
        if let Ok(said) = said.await {
            break said;
        }
    };
    drop(held);
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    assert!(said.contains(&format!("content-type: {V1}")), "{said}");
    assert!(said.contains(r#"{"error_code":503,"message":"#), "{said}");
}

#[tokio::test]
async fn bodies_have_a_type_a_size_and_a_form() {
    let running = start().await;
    let url = format!("http://{}/subjects/a/versions", running.registry);
    let send = async |media_type: Option<&str>, body: String| {
        let mut request = running.client.post(&url).body(body);
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        Answer::of(request.send().await.unwrap()).await
    };
    let body = json!({"schema": USER}).to_string();
    for media_type in [
        Some(V1),
        Some("application/vnd.schemaregistry+json; charset=utf-8"),
        Some("application/json"),
        Some("application/octet-stream"),
        None,
    ] {
        let answer = send(media_type, body.clone()).await;
        assert_eq!(answer.status, 200, "{media_type:?}: {}", answer.text);
    }
    let odd = send(Some("text/plain"), body.clone()).await;
    odd.error(415, "HTTP 415 Unsupported Media Type");
    send(Some(V1), "{".to_owned())
        .await
        .error(400, "the body is not JSON");
    send(Some(V1), "{\"schema\": 5}".to_owned())
        .await
        .error(400, "the body has a member of");
    send(Some(V1), String::new())
        .await
        .error(422, "request body may not be null");
    let large = " ".repeat(4 * 1024 * 1024 + 1);
    send(Some(V1), large)
        .await
        .error(413, "HTTP 413 Payload Too Large");

    let url = format!("http://{}/subjects", running.registry);
    for (accept, expected) in [("application/json", "application/json"), ("*/*", V1)] {
        let answer = running
            .client
            .get(&url)
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-type"], expected);
    }
    let answer = running
        .client
        .get(&url)
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    Answer::of(answer)
        .await
        .error(406, "HTTP 406 Not Acceptable");
}

#[tokio::test]
async fn requests_and_refusals_are_counted() {
    let running = start().await;
    running.id("a", USER).await;
    running.id("b", USER).await;
    running
        .register("a", USER_BROKEN)
        .await
        .error(409, "Schema");
    running.register("a", "{").await.error(42201, "Invalid");
    running
        .ask("GET", "/contexts/.c/subjects/a/versions", NO)
        .await;
    running.ask("GET", "/nothing/here", NO).await;
    running.ask("PATCH", "/subjects", NO).await;
    let metrics = reqwest::get(format!("http://{}/metrics", running.ops)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    for line in [
        r#"tidegate_registry_requests_total{route="POST /subjects/{subject}/versions",status="2xx"} 2"#,
        r#"tidegate_registry_requests_total{route="POST /subjects/{subject}/versions",status="4xx"} 2"#,
        r#"tidegate_registry_requests_total{route="GET /subjects/{subject}/versions",status="4xx"} 1"#,
        r#"tidegate_registry_requests_total{route="other",status="4xx"} 2"#,
        r#"tidegate_registry_refused_total{code="409"} 1"#,
        r#"tidegate_registry_refused_total{code="42201"} 1"#,
        r#"tidegate_registry_refused_total{code="40401"} 1"#,
        "tidegate_registry_request_duration_seconds_count 7",
        "tidegate_registry_subjects 2",
        "tidegate_registry_schemas 1",
        &format!("tidegate_registry_texts_bytes {}", 2 * USER_STORED.len()),
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line} in\n{metrics}"
        );
    }
}
