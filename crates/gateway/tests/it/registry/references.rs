//! Schemas that refer to others.

use serde_json::{Value, json};

use crate::harness::start;

const NO: Value = Value::Null;
const LINE: &str = r#"{"type":"record","name":"Line","namespace":"shop","fields":[]}"#;
const ORDER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"line","type":"shop.Line"}]}"#;

#[tokio::test]
async fn a_reference_is_resolved_and_protects_what_it_names() {
    let running = start().await;
    running.id("line", LINE).await;
    let order = |version: i32| json!({"schema": ORDER, "references": [{"name": "shop.Line", "subject": "line", "version": version}]});
    let path = "/subjects/order/versions";
    let message = "No schema reference found for subject \"line\" and version 2";
    running.fail("POST", path, order(2), 42201, message).await;
    running
        .fail(
            "POST",
            path,
            json!({"schema": ORDER}),
            42201,
            "Invalid schema of type",
        )
        .await;
    let half = json!({"schema": ORDER, "references": [{"name": "shop.Line"}]});
    running
        .fail("POST", path, half, 42201, "Invalid reference")
        .await;
    // -1 is the latest, and is stored as what that is now.
    let answer = running.ask("POST", path, order(-1)).await;
    let expected = json!([{"name": "shop.Line", "subject": "line", "version": 1}]);
    assert_eq!(answer.json["references"], expected);
    let stored = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"line","type":"Line"}]}"#;
    assert_eq!(answer.json["schema"], stored);
    assert_eq!(
        running.ask("POST", "/subjects/order", order(1)).await.json["version"],
        1
    );
    running
        .expect(
            "GET",
            "/subjects/line/versions/1/referencedby",
            NO,
            json!([2]),
        )
        .await;
    let message = "One or more references exist to the schema \
                   {magic=1,keytype=SCHEMA,subject=line,version=1}.";
    running
        .fail("DELETE", "/subjects/line/versions/1", NO, 42206, message)
        .await;
    running
        .fail("DELETE", "/subjects/line", NO, 42206, message)
        .await;
    running
        .expect("DELETE", "/subjects/order", NO, json!([1]))
        .await;
    running
        .expect(
            "GET",
            "/subjects/line/versions/latest/referencedby",
            NO,
            json!([]),
        )
        .await;
    let deleted = "/subjects/line/versions/latest/referencedby?deleted=true";
    running.expect("GET", deleted, NO, json!([2])).await;
    running
        .expect("DELETE", "/subjects/line", NO, json!([1]))
        .await;
    running
        .fail(
            "DELETE",
            "/subjects/line?permanent=true",
            NO,
            42206,
            message,
        )
        .await;
    running
        .expect("DELETE", "/subjects/order?permanent=true", NO, json!([1]))
        .await;
    running
        .expect("DELETE", "/subjects/line?permanent=true", NO, json!([1]))
        .await;
}

#[tokio::test]
async fn a_schema_comes_in_the_form_that_is_asked_for() {
    let running = start().await;
    running.id("line", LINE).await;
    let references = json!([{"name": "shop.Line", "subject": "line", "version": 1}]);
    let order = json!({"schema": ORDER, "references": references});
    running.ask("POST", "/subjects/order/versions", order).await;
    let resolved = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"line","type":{"type":"record","name":"Line","fields":[]}}]}"#;
    for path in [
        "/schemas/ids/2/schema?format=resolved",
        "/subjects/order/versions/1/schema?format=resolved",
    ] {
        assert_eq!(running.ask("GET", path, NO).await.text, resolved);
    }
    let shown = running
        .ask("GET", "/schemas/ids/2?format=resolved", NO)
        .await;
    assert_eq!(shown.json["schema"], resolved);

    // A client that sends the compiled file, and one that sends text, speak of one schema.
    let text = "syntax = \"proto3\";\npackage shop;\n\nmessage A {\n  int32 b = 1;\n}\n";
    let proto = |text: &str| json!({"schemaType": "PROTOBUF", "schema": text});
    let by_text = running
        .ask("POST", "/subjects/p/versions", proto(text))
        .await;
    let path = "/schemas/ids/3/schema?format=serialized";
    let compiled = running.ask("GET", path, NO).await.text;
    assert!(!compiled.contains(' '), "{compiled}");
    let by_file = running
        .ask("POST", "/subjects/p/versions", proto(&compiled))
        .await;
    assert_eq!(by_file.json["version"], by_text.json["version"]);
    assert_eq!(by_file.json["guid"], by_text.json["guid"]);
    assert_eq!(by_file.json["schema"], compiled, "as it was sent");
    running
        .expect("GET", "/subjects/p/versions", NO, json!([1]))
        .await;
    let unknown = running
        .ask("GET", "/schemas/ids/3/schema?format=unheard", NO)
        .await;
    assert_eq!(unknown.text, text);
}

#[tokio::test]
async fn references_lead_to_others_in_every_language() {
    let running = start().await;
    let post = |subject: &'static str, body: Value| {
        let path = format!("/subjects/{subject}/versions");
        let running = &running;
        async move {
            let answer = running.ask("POST", &path, body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    };
    let proto = |text: &str, references: Value| json!({"schemaType": "PROTOBUF", "schema": text, "references": references});
    let a = "syntax = \"proto3\"; message A {}";
    let b = "syntax = \"proto3\"; import \"a.proto\"; message B { A a = 1; }";
    let c = "syntax = \"proto3\"; import \"x/b.proto\"; message C { B b = 1; }";
    post("pa", proto(a, json!([]))).await;
    post(
        "pb",
        proto(
            b,
            json!([{"name": "a.proto", "subject": "pa", "version": 1}]),
        ),
    )
    .await;
    post(
        "pc",
        proto(
            c,
            json!([{"name": "x/b.proto", "subject": "pb", "version": 1}]),
        ),
    )
    .await;
    let shape = |text: Value, references: Value| json!({"schemaType": "JSON", "schema": text.to_string(), "references": references});
    let named = "http://example.com/id.json";
    post("ja", shape(json!({"type": "string"}), json!([]))).await;
    let reference = json!([{"name": named, "subject": "ja", "version": 1}]);
    post(
        "jb",
        shape(json!({"properties": {"id": {"$ref": named}}}), reference),
    )
    .await;
}
