//! Schemas by id and GUID, metadata and rules.

use serde_json::{Value, json};

use super::{USER, USER_2, USER_STORED};
use crate::harness::start;

#[tokio::test]
async fn an_id_leads_to_its_schema() {
    let running = start().await;
    let guid = running.register("a", USER).await.json["guid"].clone();
    running.id("b", USER).await;
    running.id("b", USER_2).await;
    let ts = 1_700_000_000_000_i64;
    let by_id = json!({
        "guid": guid, "schemaType": "AVRO", "schema": USER_STORED, "ts": ts, "deleted": false,
    });
    let get = |path: String, expected: Value| async {
        let path = path;
        running.expect("GET", &path, Value::Null, expected).await;
    };
    get("/schemas/ids/1".to_owned(), by_id.clone()).await;
    get(
        format!("/schemas/guids/{}", guid.as_str().unwrap()),
        by_id.clone(),
    )
    .await;
    get(
        format!("/schemas/guids/{}/ids", guid.as_str().unwrap()),
        json!([{"context": ".", "id": 1}]),
    )
    .await;
    let mut with_max = by_id.clone();
    with_max["maxId"] = 2.into();
    get("/schemas/ids/1?fetchMaxId=true".to_owned(), with_max).await;
    let mut of_b = by_id;
    of_b["subject"] = "b".into();
    of_b["version"] = 1.into();
    get("/schemas/ids/1?subject=b".to_owned(), of_b).await;
    get("/schemas/ids/1/subjects".to_owned(), json!(["a", "b"])).await;
    let versions = json!([{"subject": "a", "version": 1}, {"subject": "b", "version": 1}]);
    get("/schemas/ids/1/versions".to_owned(), versions).await;
    let text = running
        .ask("GET", "/schemas/ids/1/schema", Value::Null)
        .await;
    assert_eq!(text.text, USER_STORED);
    get(
        "/schemas/types".to_owned(),
        json!(["JSON", "PROTOBUF", "AVRO"]),
    )
    .await;
}

#[tokio::test]
async fn metadata_and_rules_are_kept_and_handed_on() {
    let running = start().await;
    let rule = json!({
        "name": "upper", "doc": "d", "kind": "CONDITION", "mode": "WRITE", "type": "CEL",
        "tags": ["PII"], "params": {"a": "b"}, "expr": "true", "onFailure": "DLQ", "disabled": false,
    });
    let metadata = json!({
        "tags": {"User.id": ["PII"]}, "properties": {"owner": "team"}, "sensitive": ["s"],
    });
    let rules = json!({"domainRules": [rule]});
    let body = json!({"schema": USER, "metadata": metadata, "ruleSet": rules});
    let answer = running
        .ask("POST", "/subjects/a/versions", body.clone())
        .await;
    assert_eq!(
        (&answer.json["metadata"], &answer.json["ruleSet"]),
        (&metadata, &rules)
    );
    let found = running.ask("GET", "/schemas/ids/1", Value::Null).await;
    assert_eq!(
        (&found.json["metadata"], &found.json["ruleSet"]),
        (&metadata, &rules)
    );
    assert_eq!(
        running.ask("POST", "/subjects/a", body).await.json["version"],
        1
    );
    // Without them it is the same schema, completed from the version before.
    assert_eq!(running.id("a", USER).await, 1);
    let found = running
        .ask("POST", "/subjects/a", json!({"schema": USER}))
        .await;
    assert_eq!(found.json["version"], 1);
    // The next version inherits them.
    let next = running.register("a", USER_2).await;
    assert_eq!(
        (&next.json["metadata"], &next.json["ruleSet"]),
        (&metadata, &rules)
    );
    // Other metadata make another schema.
    let body = json!({"schema": USER_2, "metadata": {"properties": {"owner": "other"}}});
    let other = running.ask("POST", "/subjects/a/versions", body).await;
    assert_eq!(
        (&other.json["id"], &other.json["version"]),
        (&json!(3), &json!(3))
    );
    let path = "/subjects/a/metadata?key=owner&value=team";
    assert_eq!(
        running.ask("GET", path, Value::Null).await.json["version"],
        2
    );
    running
        .fail(
            "GET",
            "/subjects/a/metadata?key=owner&value=x",
            Value::Null,
            40403,
            "",
        )
        .await;
    let by_rule = running
        .ask("GET", "/schemas?ruleType=CEL&latestOnly=true", Value::Null)
        .await;
    assert_eq!(by_rule.json[0]["version"], 3);

    // A subject's settings add to what is sent.
    let config = json!({"defaultMetadata": {"properties": {"x": "1", "y": "1"}},
        "overrideMetadata": {"properties": {"y": "2"}}});
    assert_eq!(running.ask("PUT", "/config/c", config).await.status, 200);
    let answer = running.register("c", USER).await;
    assert_eq!(
        answer.json["metadata"],
        json!({"properties": {"x": "1", "y": "2"}})
    );
    assert_eq!(running.register("c", USER).await.json["version"], 1);
}
