//! Rules beyond the schema, and plain bodies that have a shape of their own.

use crate::harness::{Running, contracts_of, header, start};

const SPEC: &str = "
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders, version: 1.0.0}
spec:
  class: fact
  event: {type: com.example.order}
  schema:
    file: order.json
    rules:
      - {name: positive, expr: message.total > 0, onFailure: reject}
      - {name: known, expr: message.total < 1000, onFailure: quarantine}
      - {name: round, expr: message.total % 10 == 0, onFailure: warn}
  key: {from: $.customer}
";

const REQUEST: &str = "  ingress:
    request:
      schema: push.json
      map:
        customer: $.repository.owner
        total: size(request.ref) * 10
      headers: [x-shop, x-absent]
";

async fn start_under(text: &str) -> Running {
    let gateway = start().await;
    let contracts = contracts_of(text);
    gateway.gateway.replace_contracts(&contracts).await.unwrap();
    gateway
}

#[tokio::test]
async fn a_rule_rejects_quarantines_or_warns() {
    let gateway = start_under(SPEC).await;
    let post = async |body: &'static str| gateway.plain("orders", None, body).await;
    post(r#"{"total": 20, "customer": "c"}"#)
        .await
        .accepted(false);
    let refused = post(r#"{"total": -10, "customer": "c"}"#).await;
    refused.problem("contract-violation", 422);
    assert_eq!(refused.json["errors"][0]["rule"], "schema.rules.positive");
    assert_eq!(
        refused.json["errors"][0]["detail"],
        "breaks the rule `positive`"
    );
    assert_eq!(refused.json.get("quarantine"), None, "{}", refused.text);
    let kept = post(r#"{"total": 2000, "customer": "c"}"#).await;
    kept.problem("contract-violation", 422);
    assert!(kept.json["quarantine"].is_string(), "{}", kept.text);
    post(r#"{"total": 25, "customer": "c"}"#)
        .await
        .accepted(false);
    // A rule is not asked about data that is not of the schema's shape.
    let shape = post(r#"{"total": "x", "customer": "c"}"#).await;
    assert_eq!(
        shape.json["errors"].as_array().unwrap().len(),
        1,
        "{}",
        shape.text
    );
    let metrics = reqwest::get(format!("http://{}/metrics", gateway.ops))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = r#"tidegate_events_warned_total{contract="orders",rule="round"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn a_request_is_made_an_event_and_kept() {
    let gateway = start_under(&format!("{SPEC}{REQUEST}")).await;
    let body = r#"{"ref": "abcde", "repository": {"owner": "ann"}}"#;
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "\"k-1\""),
        ("x-shop", "berlin"),
        ("x-other", "not kept"),
    ];
    let first = gateway.post("/v1/events/orders", &headers, body).await;
    first.accepted(false);
    let records = gateway.records("orders").await;
    let record = &records[0].record;
    assert_eq!(
        record.value.as_deref(),
        Some(&br#"{"customer":"ann","total":50}"#[..])
    );
    assert_eq!(record.key.as_deref(), Some(&b"ann"[..]));
    assert_eq!(
        header(&records[0], "content-type"),
        Some("application/json")
    );
    let id = first.json["id"].as_str().unwrap();
    let request = gateway.get(&format!("/v1/receipts/{id}/request")).await;
    assert_eq!(request.status, 200, "{}", request.text);
    assert_eq!(request.json["content_type"], "application/json");
    assert_eq!(
        request.json["headers"],
        serde_json::json!({"x-shop": "berlin"})
    );
    assert!(
        request.text.contains(body),
        "byte for byte: {}",
        request.text
    );

    // The same body is a repeat, also when the contract makes other data of it by now.
    let other_map = format!("{SPEC}{REQUEST}").replace("* 10", "* 20");
    gateway
        .gateway
        .replace_contracts(&contracts_of(&other_map))
        .await
        .unwrap();
    gateway
        .post("/v1/events/orders", &headers, body)
        .await
        .accepted(true);
    let other = gateway.post(
        "/v1/events/orders",
        &headers,
        r#"{"ref": "x", "repository": {"owner": "ann"}}"#,
    );
    other.await.problem("idempotency-key-reused", 422);
}

#[tokio::test]
async fn a_request_of_another_shape_is_refused_by_the_request_schema_and_kept_as_it_came() {
    let gateway = start_under(&format!("{SPEC}{REQUEST}")).await;
    let answer = gateway
        .plain("orders", None, r#"{"total": 20, "customer": "c"}"#)
        .await;
    answer.problem("contract-violation", 422);
    let pointers: Vec<&str> = answer.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["#/request/ref", "#/request/repository"]);
    let entry = gateway
        .get(answer.json["quarantine"].as_str().unwrap())
        .await;
    assert_eq!(entry.json["data"]["total"], 20, "{}", entry.text);
    // What cannot be made of it is named too.
    let answer = gateway
        .plain("orders", None, r#"{"ref": 7, "repository": {}}"#)
        .await;
    answer.problem("contract-violation", 422);
    assert_eq!(answer.json["errors"][0]["rule"], "ingress.request.map");
    // An event in an envelope is in the event's own shape.
    let event = gateway
        .order("o-1", r#"{"total": 20, "customer": "c"}"#)
        .await;
    event.accepted(false);
}
