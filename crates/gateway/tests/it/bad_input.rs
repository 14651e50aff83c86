//! Bad input: each gets a clear answer, memory stays bounded, nothing is stored.

use std::time::Duration;

use tidegate_gateway::Settings;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{STRUCTURED, read_to_end, start, start_with};

#[tokio::test]
async fn requests_that_are_no_events_are_refused_with_nothing_stored() {
    let gateway = start().await;
    let json = ("content-type", "application/json");
    let ce = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/s"),
        ("ce-type", "com.example.order"),
    ];
    let all = [json, ce[0], ce[1], ce[2], ce[3]];
    let structured = [("content-type", STRUCTURED)];
    let with_key = |key| [json, ("idempotency-key", key)];
    for (path, headers, body, slug, status) in [
        (
            "/v1/events",
            &structured[..],
            "{\"specversion\"",
            "malformed-json",
            400,
        ),
        ("/v1/events", &structured, "[]", "malformed-json", 400),
        ("/v1/events", &structured, "{}", "invalid-event", 400),
        ("/v1/events", &[json], "{}", "invalid-event", 400),
        (
            "/v1/events",
            &[json, ce[0], ce[1], ce[2]],
            "{}",
            "invalid-event",
            400,
        ),
        (
            "/v1/events",
            &[("content-type", "text/csv")],
            "a,b",
            "unsupported-media-type",
            415,
        ),
        (
            "/v1/events",
            &[("content-type", "application/cloudevents+xml")],
            "",
            "unsupported-media-type",
            415,
        ),
        ("/v1/events", &[], "", "unsupported-media-type", 415),
        (
            "/v1/events",
            &[
                all[0],
                all[1],
                all[2],
                all[3],
                ("ce-type", "com.example.no"),
            ],
            "{}",
            "unknown-event-type",
            422,
        ),
        (
            "/v1/events/nothing",
            &[json],
            "{}",
            "contract-not-found",
            404,
        ),
        ("/v1/events/%FF", &[json], "{}", "bad-request", 400),
        (
            "/v1/events/orders",
            &[],
            "{}",
            "unsupported-media-type",
            415,
        ),
        (
            "/v1/events/orders",
            &[("content-type", "text/plain")],
            "{}",
            "unsupported-media-type",
            415,
        ),
        (
            "/v1/events/orders",
            &structured,
            "{}",
            "unsupported-media-type",
            415,
        ),
        (
            "/v1/events/orders",
            &with_key(""),
            "{}",
            "idempotency-key-invalid",
            400,
        ),
        (
            "/v1/events/orders",
            &with_key("\"a"),
            "{}",
            "idempotency-key-invalid",
            400,
        ),
        (
            "/v1/events/old",
            &[json],
            "{\"total\":1}",
            "contract-closed",
            422,
        ),
        ("/v1/events/meters", &[json], "", "contract-violation", 422),
        ("/v1/events/meters", &[json], "{", "malformed-json", 400),
    ] {
        let answer = gateway.post(path, headers, body).await;
        answer.problem(slug, status);
        assert_eq!(gateway.count().await, 0, "{path} {headers:?} {body}");
    }
    let answer = gateway.post("/v1/events", &[json, ce[1]], "{}").await;
    let missing: Vec<_> = answer.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(missing, ["source", "specversion", "type"], "each is named");
}

#[tokio::test]
async fn invalid_utf_8_is_refused() {
    let gateway = start().await;
    let body = b"{\"specversion\":\"1.0\",\"id\":\"\xff\"}".to_vec();
    let answer = gateway
        .post("/v1/events", &[("content-type", STRUCTURED)], body)
        .await;
    answer.problem("malformed-json", 400);
    for id in [&b"%FF"[..], b"\xff"] {
        let request = [
            b"POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\
              content-type: application/json\r\nce-specversion: 1.0\r\nce-source: /s\r\n\
              ce-type: com.example.order\r\nce-id: ",
            id,
            b"\r\n\r\n{}",
        ]
        .concat();
        let answer = gateway.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("attribute `id` is not UTF-8"), "{answer}");
    }
    assert_eq!(gateway.count().await, 0);
}

#[tokio::test]
async fn a_body_over_its_limit_is_refused_early() {
    let gateway = start().await;
    let json = ("content-type", "application/json");
    let huge = vec![b' '; 100 * 1024 * 1024];
    let answer = gateway
        .post("/v1/events/orders", &[json], huge.clone())
        .await;
    answer.problem("body-too-large", 413);
    // The contract of the meters takes 4 KiB.
    let answer = gateway
        .post("/v1/events/meters", &[json], vec![b' '; 4_097])
        .await;
    answer.problem("body-too-large", 413);
    // Without an announced length it is found while reading, and a caller that sends everything
    // before it reads gets the answer too.
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /v1/events/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..160 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(gateway.count().await, 0);
    gateway.order("o-1", "{\"total\":1}").await.accepted(false);
}

#[tokio::test]
async fn a_body_cut_off_stores_nothing() {
    let gateway = start().await;
    let head = "POST /v1/events/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{\"total\":1}";
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(stream).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    assert_eq!(gateway.count().await, 0);
    gateway.order("o-1", "{\"total\":1}").await.accepted(false);
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_are_ended() {
    let gateway = start_with(Settings {
        header_timeout: Duration::from_millis(100),
        body_timeout: Duration::from_millis(100),
        ..Settings::default()
    })
    .await;
    let answer = gateway
        .raw(b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-slow: ")
        .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("/problems/request-timeout"), "{answer}");
    let head = b"POST /v1/events/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                 content-length: 100\r\n\r\n{\"total\":";
    let answer = gateway.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    // An idle connection is closed without a word.
    assert_eq!(gateway.raw(b"").await, "");
    assert_eq!(gateway.count().await, 0);
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let gateway = start().await;
    for request in [
        &b"\x00\x00\x00\x10\x00\x12\x00\x03\x00\x00\x00\x00\r\n\r\n"[..],
        b"GET\r\n\r\n",
    ] {
        let answer = gateway.raw(request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let long = format!("GET / HTTP/1.1\r\nx-long: {}\r\n\r\n", "x".repeat(200_000));
    let answer = gateway.raw(long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_so() {
    let gateway = start_with(Settings {
        max_connections: 1,
        ..Settings::default()
    })
    .await;
    gateway.order("o-1", "{\"total\":1}").await.accepted(false);
    let answer = gateway.raw(b"").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("/problems/overloaded"), "{answer}");
}

#[tokio::test]
async fn bytes_in_flight_are_bounded() {
    let gateway = start_with(Settings {
        max_inflight_bytes: 100,
        ..Settings::default()
    })
    .await;
    let body = format!("{{\"total\":1,\"x\":\"{}\"}}", "x".repeat(100));
    gateway.order("o-1", &body).await.problem("overloaded", 503);
    gateway.order("o-1", "{\"total\":1}").await.accepted(false);
}

#[tokio::test]
async fn a_stop_lets_running_requests_end() {
    let mut gateway = start().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /v1/events/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 11\r\n\r\n{\"total\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    // The request is known to be under way once its connection is counted.
    while !metrics(&gateway)
        .await
        .contains("tidegate_http_connections 2")
    {
        tokio::task::yield_now().await;
    }
    gateway.stop().await;
    while TcpStream::connect(gateway.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b":1}").await.unwrap();
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(gateway.count().await, 1);
    gateway.ended().await;
}

async fn metrics(gateway: &crate::harness::Running) -> String {
    let url = format!("http://{}/metrics", gateway.ops);
    gateway
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}
