//! The read models, the problem pages, the operations door.

use serde_json::Value;

use crate::harness::start;

#[tokio::test]
async fn a_receipt_is_found_by_its_id_only() {
    let gateway = start().await;
    let answer = gateway.order("o-1", "{\"total\":5}").await;
    let id = answer.json["id"].as_str().unwrap();
    let (place, hash) = id.rsplit_once('-').unwrap();
    assert_eq!(gateway.get(&format!("/v1/receipts/{id}")).await.status, 200);
    for wrong in [
        format!("{place}-00000000"),
        format!("orders-0-99-{hash}"),
        format!("orders-9-0-{hash}"),
        format!("other-0-0-{hash}"),
        format!("_tidegate.quarantine-0-0-{hash}"),
        "nothing".to_owned(),
        "%FF".to_owned(),
    ] {
        let answer = gateway.get(&format!("/v1/receipts/{wrong}")).await;
        assert!(
            matches!(answer.status, 404 | 400),
            "{wrong}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn topics_and_their_events_are_read() {
    let gateway = start().await;
    let mut offsets = Vec::new();
    let mut partition = Value::Null;
    for n in 0..5 {
        let body = format!("{{\"total\": {n},\"customer\":\"one\"}}");
        let answer = gateway.order(&n.to_string(), &body).await;
        let receipt = &answer.accepted(false).json;
        offsets.push(receipt["offset"].as_i64().unwrap());
        partition = receipt["partition"].clone();
    }
    let topics = gateway.get("/v1/topics").await;
    let names: Vec<_> = topics.json["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| {
            (
                topic["name"].as_str().unwrap(),
                topic["records"].as_i64().unwrap(),
            )
        })
        .collect();
    for internal in ["_schemas", "_tidegate.bridges", "_tidegate.quarantine"] {
        assert!(
            names.contains(&(internal, 0)),
            "internal ones too: {names:?}"
        );
    }
    // On a cluster the ends of transactions are counted too.
    let places = offsets[4] + 1;
    let counted = names.iter().find(|(name, _)| *name == "orders").unwrap().1;
    assert!((places..=2 * places).contains(&counted), "{names:?}");
    let page = gateway.get("/v1/topics?limit=2").await;
    assert_eq!(page.json["next"], names[1].0);
    let rest = gateway
        .get(&format!("/v1/topics?cursor={}", names[1].0))
        .await;
    assert_eq!(rest.json["topics"][0]["name"], names[2].0);
    let topic = gateway.get("/v1/topics/orders").await;
    assert_eq!(topic.json["contract"], "orders");
    assert_eq!(
        topic.json["config"]["max.message.bytes"],
        (1_048_576 + 65_536).to_string()
    );
    let ends = topic.json["partition_offsets"].as_array().unwrap();
    let end = ends.iter().find(|end| end["partition"] == partition);
    assert_eq!(end.unwrap()["high_watermark"], counted);
    let page = gateway
        .get(&format!(
            "/v1/topics/orders/events?partition={partition}&offset={}&limit=2",
            offsets[1]
        ))
        .await;
    let next = page.json["next"].as_i64().unwrap();
    assert!(
        page.status == 200 && offsets[2] < next && next <= offsets[3],
        "{}",
        page.text
    );
    assert_eq!(page.json["events"][0]["data"]["total"], 1);
    assert!(
        page.text.contains("{\"total\": 2,\"customer\":\"one\"}"),
        "byte for byte"
    );
    assert_eq!(page.json["events"][1]["receipt"]["event"]["id"], "2");
    for (path, slug, status) in [
        ("/v1/topics/nothing", "not-found", 404),
        ("/v1/topics/orders/events?partition=9", "not-found", 404),
        ("/v1/topics/orders/events?offset=99", "not-found", 404),
        ("/v1/topics/orders/events?offset=x", "bad-request", 400),
    ] {
        gateway.get(path).await.problem(slug, status);
    }
}

#[tokio::test]
async fn contracts_are_listed() {
    let gateway = start().await;
    let all = gateway.get("/v1/contracts").await;
    let contracts = all.json["contracts"].as_array().unwrap();
    assert_eq!(contracts.len(), 6);
    let one = gateway.get("/v1/contracts/orders").await;
    assert_eq!(
        Some(&one.json),
        contracts
            .iter()
            .find(|contract| contract["name"] == "orders")
    );
    insta::assert_json_snapshot!(one.json, @r##"
        {
          "name": "orders",
          "version": "1.2.0",
          "type": "com.example.order",
          "topic": "orders",
          "class": "fact",
          "lifecycle": "active",
          "owner": "team",
          "domain": null,
          "summary": null,
          "on_invalid": "quarantine",
          "idempotency_window_ms": 86400000,
          "max_message_bytes": 1048576,
          "readers": []
        }
        "##);
    gateway
        .get("/v1/contracts/nothing")
        .await
        .problem("contract-not-found", 404);
}

#[tokio::test]
async fn problems_have_pages_and_unknown_addresses_are_problems() {
    let gateway = start().await;
    let answer = gateway.order("o-1", "{}").await;
    let page = gateway.get(answer.json["type"].as_str().unwrap()).await;
    assert_eq!(page.header("content-type"), "text/markdown; charset=utf-8");
    assert!(page.text.starts_with("# The event breaks its contract"));
    gateway
        .get("/problems/nothing")
        .await
        .problem("not-found", 404);
    gateway.get("/nothing").await.problem("not-found", 404);
    let answer = gateway.get("/v1/events").await;
    answer.problem("method-not-allowed", 405);
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn the_operations_door_shows_metrics_and_health() {
    let gateway = start().await;
    gateway.order("o-1", "{\"total\":5}").await;
    gateway.order("o-1", "{\"total\":5}").await;
    gateway
        .post("/v1/events", &[("content-type", "text/plain")], "")
        .await;
    let read = async |path: &str| {
        let url = format!("http://{}{path}", gateway.ops);
        let response = gateway.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(read("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(read("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(read("/v1/status").await.0, 404);
    let metrics = read("/metrics").await.1;
    for line in [
        "tidegate_events_accepted_total{contract=\"orders\"} 1",
        "tidegate_events_repeated_total{contract=\"orders\"} 1",
        "tidegate_events_refused_total{reason=\"unsupported-media-type\"} 1",
        "tidegate_append_duration_seconds_count 2",
        "tidegate_http_inflight_bytes 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}
