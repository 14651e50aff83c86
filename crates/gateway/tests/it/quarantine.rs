//! What a known caller sent wrong: kept once, with every reason and the original bytes.

use serde_json::json;

use crate::harness::{STRUCTURED, header, start, structured};

#[tokio::test]
async fn an_invalid_event_is_kept_with_every_reason() {
    let gateway = start().await;
    let body = "{ \"total\": \"five\", \"customer\": 7 }";
    let answer = gateway.order("o-1", body).await;
    answer.problem("contract-violation", 422);
    insta::assert_json_snapshot!(answer.json, {
        ".instance" => "[instance]", ".quarantine" => "[quarantine]",
    }, @r##"
        {
          "type": "/problems/contract-violation",
          "title": "The event breaks its contract",
          "status": 422,
          "detail": "`#/data/customer` must be a string, and 1 more; contract `orders` 1.2.0",
          "instance": "[instance]",
          "errors": [
            {
              "pointer": "#/data/customer",
              "detail": "must be a string",
              "rule": "schema:type"
            },
            {
              "pointer": "#/data/total",
              "detail": "must be an integer",
              "rule": "schema:type"
            }
          ],
          "quarantine": "[quarantine]",
          "docs": "/problems/contract-violation"
        }
        "##);
    assert!(gateway.records("orders").await.is_empty());
    let records = gateway.records("_tidegate.quarantine").await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].record.value.as_deref(), Some(body.as_bytes()));
    assert_eq!(
        header(&records[0], "tidegate_contract_version"),
        Some("1.2.0")
    );
    let entry = gateway
        .get(answer.json["quarantine"].as_str().unwrap())
        .await;
    assert_eq!(entry.status, 200);
    insta::assert_json_snapshot!(entry.json, {".id" => "[id]", ".request_id" => "[request]"}, @r##"
        {
          "id": "[id]",
          "time": "2023-11-14T22:13:20.000Z",
          "received": "2023-11-14T22:13:20.000Z",
          "contract": "orders",
          "contract_version": "1.2.0",
          "event": {
            "id": "o-1",
            "source": "/shop",
            "type": "com.example.order"
          },
          "content_type": "application/json",
          "size_bytes": 34,
          "reasons": [
            {
              "pointer": "#/data/customer",
              "detail": "must be a string",
              "rule": "schema:type"
            },
            {
              "pointer": "#/data/total",
              "detail": "must be an integer",
              "rule": "schema:type"
            }
          ],
          "request_id": "[request]",
          "request_headers": {
            "content-type": "application/json"
          },
          "data": {
            "total": "five",
            "customer": 7
          }
        }
        "##);
}

#[tokio::test]
async fn a_repeat_names_the_same_entry() {
    let gateway = start().await;
    let first = gateway.order("o-1", "{}").await;
    let path = first.problem("contract-violation", 422).json["quarantine"].clone();
    for _ in 0..3 {
        let repeat = gateway.order("o-1", "{}").await;
        assert_eq!(
            repeat.problem("contract-violation", 422).json["quarantine"],
            path
        );
    }
    // The same event in the other form is the same event.
    let event = structured("o-1", "com.example.order", "{}");
    let repeat = gateway
        .post("/v1/events", &[("content-type", STRUCTURED)], event)
        .await;
    assert_eq!(
        repeat.problem("contract-violation", 422).json["quarantine"],
        path
    );
    // Other data is kept beside it; then the mended event takes the id.
    let other = gateway.order("o-1", "{\"total\":null}").await;
    assert_ne!(
        other.problem("contract-violation", 422).json["quarantine"],
        path
    );
    gateway.order("o-1", "{\"total\":5}").await.accepted(false);
    assert_eq!(gateway.records("_tidegate.quarantine").await.len(), 2);
    let events = gateway.get("/v1/status").await.json["events"].clone();
    assert_eq!(
        events,
        json!({"accepted": 1, "repeated": 0, "quarantined": 2, "quarantine_repeated": 4})
    );
}

#[tokio::test]
async fn a_contract_may_keep_nothing() {
    let gateway = start().await;
    let answer = gateway.plain("meters", Some("k"), "{}").await;
    assert!(answer.problem("contract-violation", 422).json["quarantine"].is_null());
    assert_eq!(gateway.count().await, 0);
    let status = gateway.get("/v1/status").await.json;
    assert_eq!(status["refused"]["contract-violation"]["count"], 1);
    assert_eq!(
        status["refused"]["contract-violation"]["samples"][0]["about"],
        "meters"
    );
}

#[tokio::test]
async fn bytes_that_are_no_json_are_kept_too() {
    let gateway = start().await;
    for (id, body) in [
        ("o-1", &b"{\"total\":"[..]),
        ("o-2", b"{\"total\": \"\xff\"}"),
    ] {
        let headers = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/shop"),
            ("ce-type", "com.example.order"),
        ];
        let answer = gateway.post("/v1/events", &headers, body.to_vec()).await;
        let path = answer.problem("malformed-json", 400).json["quarantine"].clone();
        let entry = gateway.get(path.as_str().unwrap()).await;
        assert!(entry.json["data_base64"].is_string(), "{}", entry.text);
        assert_eq!(entry.json["size_bytes"], body.len());
    }
    assert!(gateway.records("orders").await.is_empty());
}

#[tokio::test]
async fn entries_are_read_page_by_page() {
    let gateway = start().await;
    for n in 0..7 {
        let contract = if n % 2 == 0 { "orders" } else { "ids" };
        gateway
            .plain(contract, Some(&n.to_string()), "{\"number\":1}")
            .await;
    }
    let mut cursor = "0".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = gateway
            .get(&format!("/v1/quarantine?limit=3&cursor={cursor}"))
            .await;
        let entries = page.json["entries"].as_array().unwrap().clone();
        seen.extend(entries.iter().map(|entry| entry["idempotency_key"].clone()));
        assert!(entries.iter().all(|entry| entry.get("data").is_none()));
        match page.json["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["0", "1", "2", "3", "4", "5", "6"]);
    let page = gateway.get("/v1/quarantine?contract=ids").await;
    assert_eq!(page.json["entries"].as_array().unwrap().len(), 3);
    gateway
        .get("/v1/quarantine?limit=x")
        .await
        .problem("bad-request", 400);
    gateway
        .get("/v1/quarantine/0-0-00000000")
        .await
        .problem("not-found", 404);
    gateway
        .get("/v1/quarantine/0-99-00000000")
        .await
        .problem("not-found", 404);
}
