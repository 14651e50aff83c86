//! One event in: three forms, what is stored, what the receipt says.

use crate::harness::{STRUCTURED, header, start, structured};

#[tokio::test]
async fn a_binary_event_is_stored_as_the_kafka_binding_says() {
    let gateway = start().await;
    let body = "{ \"total\": 5,\r\n \"customer\":\"c-1\" }";
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("ce-specversion", "1.0"),
        ("ce-id", "o%2D1"),
        ("ce-source", "/shop"),
        ("ce-type", "com.example.order"),
        ("ce-subject", "caf%C3%A9"),
        ("ce-time", "2023-11-14T22:13:19.123456789Z"),
        ("ce-partitionkey", "p"),
        ("traceparent", trace),
        ("tracestate", "a=1"),
        ("x-request-id", "req-7"),
    ];
    let answer = gateway.post("/v1/events", &headers, body).await;
    answer.accepted(false);
    assert_eq!(answer.header("x-request-id"), "req-7");
    insta::assert_json_snapshot!(answer.json, {".partition" => "[partition]", ".id" => "[id]"}, @r##"
        {
          "id": "[id]",
          "event": {
            "id": "o-1",
            "source": "/shop",
            "type": "com.example.order"
          },
          "contract": "orders",
          "topic": "orders",
          "partition": "[partition]",
          "offset": 0,
          "time": "2023-11-14T22:13:20.000Z",
          "duplicate": false
        }
        "##);
    let records = gateway.records("orders").await;
    assert_eq!(records.len(), 1);
    let record = &records[0].record;
    assert_eq!(
        record.value.as_deref(),
        Some(body.as_bytes()),
        "byte for byte"
    );
    assert_eq!(record.key.as_deref(), Some(&b"c-1"[..]));
    let stored: Vec<String> = record
        .headers
        .iter()
        .map(|header| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            format!(
                "{}: {}",
                text(&header.name),
                text(header.value.as_deref().unwrap())
            )
        })
        .collect();
    insta::assert_snapshot!(stored.join("\n"), @r##"
        ce_specversion: 1.0
        ce_id: o-1
        ce_source: /shop
        ce_type: com.example.order
        ce_subject: café
        ce_time: 2023-11-14T22:13:19.123456789Z
        ce_partitionkey: p
        content-type: application/json; charset=utf-8
        tidegate_contract: orders
        tidegate_contract_version: 1.2.0
        tidegate_tenant: default
        tidegate_request_id: req-7
        ce_traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
        ce_tracestate: a=1
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
        tracestate: a=1
        "##);
    let receipt = gateway.get(answer.header("location")).await;
    assert_eq!((receipt.status, &receipt.json), (200, &answer.json));
}

#[tokio::test]
async fn a_structured_event_is_stored_like_a_binary_one() {
    let gateway = start().await;
    let event = structured("o-1", "com.example.order", "{\"total\" : 5}");
    for (content_type, id) in [
        (STRUCTURED, "o-1"),
        ("Application/CloudEvents+JSON; charset=UTF-8", "o-2"),
    ] {
        let answer = gateway
            .post(
                "/v1/events",
                &[("content-type", content_type)],
                event.replace("o-1", id),
            )
            .await;
        answer.accepted(false);
        assert_eq!(answer.json["event"]["id"], id);
    }
    let records = gateway.records("orders").await;
    assert_eq!(records.len(), 2);
    for record in &records {
        assert_eq!(
            record.record.value.as_deref(),
            Some(&b"{\"total\" : 5}"[..])
        );
        assert_eq!(header(record, "content-type"), Some("application/json"));
        assert_eq!(header(record, "ce_time"), None, "no event time is invented");
        assert_eq!(record.record.key, None);
    }
}

#[tokio::test]
async fn a_plain_body_gets_its_envelope_from_contract_and_key() {
    let gateway = start().await;
    let answer = gateway
        .plain("orders", Some("\"k-1\""), "{\"total\":5}")
        .await;
    answer.accepted(false);
    assert_eq!(
        answer.json["event"],
        serde_json::json!({"id": "k-1", "source": "/orders", "type": "com.example.order"})
    );
    assert_eq!(
        header(
            &gateway.records("orders").await[0],
            "tidegate_idempotency_key"
        ),
        Some("k-1")
    );
    // Without a key each one is another event.
    let first = gateway.plain("orders", None, "{\"total\":5}").await;
    let second = gateway.plain("orders", None, "{\"total\":5}").await;
    first.accepted(false);
    second.accepted(false);
    assert_ne!(first.json["event"]["id"], second.json["event"]["id"]);
}

#[tokio::test]
async fn a_contract_may_have_ids_and_times_in_the_data() {
    let gateway = start().await;
    let body = r#"{"total":5,"number":42,"at":"2023-11-14T22:13:00Z"}"#;
    let first = gateway.plain("ids", None, body).await;
    first.accepted(false);
    assert_eq!(first.json["event"]["id"], "42");
    assert_eq!(
        header(&gateway.records("ids").await[0], "ce_time"),
        Some("2023-11-14T22:13:00.000Z")
    );
    let second = gateway.plain("ids", None, body).await;
    assert_eq!(second.accepted(true).receipt(), first.receipt());
}

#[tokio::test]
async fn a_command_must_bring_a_key() {
    let gateway = start().await;
    gateway
        .plain("commands", None, "{\"total\":5,\"customer\":\"c\"}")
        .await
        .problem("idempotency-key-missing", 400);
    assert_eq!(gateway.count().await, 0);
    gateway
        .plain("commands", Some("k"), "{\"total\":5,\"customer\":\"c\"}")
        .await
        .accepted(false);
}

#[tokio::test]
async fn events_of_a_key_keep_their_order() {
    let gateway = start().await;
    for n in 0..20 {
        let body = format!("{{\"total\":{n},\"customer\":\"one\"}}");
        gateway.order(&n.to_string(), &body).await.accepted(false);
    }
    let ids: Vec<String> = gateway
        .records("orders")
        .await
        .iter()
        .map(|record| header(record, "ce_id").unwrap().to_owned())
        .collect();
    assert_eq!(ids, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_topic_that_is_there_is_used_as_it_is() {
    use tidegate_event_log::{Log as _, TopicConfig, TopicSpec};

    let gateway = start().await;
    gateway.log.delete_topic("meters").await.unwrap();
    let spec = TopicSpec {
        name: "meters".to_owned(),
        partitions: Some(1),
        config: TopicConfig::new(),
    };
    gateway.log.create_topic(spec).await.unwrap();
    gateway.reload().await;
    for n in 0..5 {
        let body = format!("{{\"total\":{n}}}");
        gateway.plain("meters", None, &body).await.accepted(false);
    }
    assert_eq!(gateway.records("meters").await.len(), 5);
}
