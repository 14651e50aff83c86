//! Registering, looking up, listing.

use serde_json::{Value, json};

use super::{USER, USER_2, USER_STORED};
use crate::harness::start;

/// `printf '%s' "$USER_STORED" | md5sum`, as a UUID.
const GUID: &str = "4c50402c-8fb5-ffa0-c5da-e3c2f5d26e1b";

#[tokio::test]
async fn a_schema_is_registered_and_read_back() {
    let running = start().await;
    let answer = running.register("users-value", USER).await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "id": 1, "version": 1, "guid": GUID, "schemaType": "AVRO", "schema": USER_STORED,
    });
    assert_eq!(answer.json, expected);
    // Again, and in another spelling: nothing new.
    assert_eq!(running.id("users-value", USER).await, 1);
    assert_eq!(running.id("users-value", USER_STORED).await, 1);
    // Under another subject: another version, the same id.
    assert_eq!(running.id("people", USER).await, 1);
    assert_eq!(running.id("users-value", USER_2).await, 2);
    assert_eq!(running.records("_schemas").await.len(), 3);

    let subject = "users-value";
    let version = json!({
        "subject": subject, "version": 1, "id": 1, "guid": GUID, "schemaType": "AVRO",
        "schema": USER_STORED, "ts": 1_700_000_000_000_i64, "deleted": false,
    });
    let get =
        |path: &'static str, expected: Value| running.expect("GET", path, Value::Null, expected);
    get("/subjects", json!(["people", "users-value"])).await;
    get("/subjects?subjectPrefix=us", json!(["users-value"])).await;
    get("/subjects?offset=1&limit=1", json!(["users-value"])).await;
    get("/subjects/users-value/versions", json!([1, 2])).await;
    get("/subjects/users-value/versions?offset=1", json!([2])).await;
    get("/subjects/users-value/versions/1", version.clone()).await;
    get("/subjects/users-value/versions/1/", version.clone()).await;
    let latest = running
        .ask("GET", "/subjects/users-value/versions/latest", Value::Null)
        .await;
    assert_eq!(
        (&latest.json["version"], &latest.json["id"]),
        (&json!(2), &json!(2))
    );
    let minus = running
        .ask("GET", "/subjects/users-value/versions/-1", Value::Null)
        .await;
    assert_eq!(minus.text, latest.text);
    let text = running
        .ask(
            "GET",
            "/subjects/users-value/versions/1/schema",
            Value::Null,
        )
        .await;
    assert_eq!(text.text, USER_STORED);
    get("/subjects/users-value/versions/1/referencedby", json!([])).await;
    let found = json!({
        "subject": subject, "version": 1, "id": 1, "guid": GUID, "schemaType": "AVRO",
        "schema": USER_STORED,
    });
    let look_up = json!({"schema": USER, "unknown": {"member": 1}});
    running
        .expect("POST", "/subjects/users-value", look_up, found)
        .await;
    let all = running
        .ask("GET", "/schemas?subjectPrefix=users", Value::Null)
        .await;
    assert_eq!(all.json.as_array().unwrap().len(), 2);
    assert_eq!(all.json[0], version);
    let latest = running
        .ask("GET", "/schemas?latestOnly=true", Value::Null)
        .await;
    let versions: Vec<_> = latest
        .json
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["version"])
        .collect();
    assert_eq!(versions, [1, 2]);
}

#[tokio::test]
async fn what_is_not_there_is_told_by_its_code() {
    let running = start().await;
    running.id("a", USER).await;
    let schema = json!({"schema": USER_2});
    for (method, path, body, code, message) in [
        (
            "GET",
            "/subjects/b/versions",
            Value::Null,
            40401,
            "Subject 'b' not found.",
        ),
        (
            "GET",
            "/subjects/b/versions/1",
            Value::Null,
            40401,
            "Subject 'b' not found.",
        ),
        (
            "GET",
            "/subjects/a/versions/2",
            Value::Null,
            40402,
            "Version 2 not found.",
        ),
        (
            "GET",
            "/subjects/a/versions/2/schema",
            Value::Null,
            40402,
            "Version 2",
        ),
        (
            "GET",
            "/subjects/a/versions/2/referencedby",
            Value::Null,
            40402,
            "Version 2",
        ),
        (
            "GET",
            "/subjects/a/versions/0",
            Value::Null,
            42202,
            "The specified version '0'",
        ),
        (
            "GET",
            "/subjects/a/versions/one",
            Value::Null,
            42202,
            "The specified version 'one'",
        ),
        (
            "DELETE",
            "/subjects/a/versions/-2",
            Value::Null,
            42202,
            "The specified version '-2'",
        ),
        (
            "POST",
            "/subjects/a",
            schema.clone(),
            40403,
            "Schema not found",
        ),
        (
            "POST",
            "/subjects/b",
            schema,
            40401,
            "Subject 'b' not found.",
        ),
        (
            "DELETE",
            "/subjects/b",
            Value::Null,
            40401,
            "Subject 'b' not found.",
        ),
        (
            "GET",
            "/subjects/b/metadata",
            Value::Null,
            40401,
            "Subject 'b'",
        ),
        (
            "GET",
            "/schemas/ids/7",
            Value::Null,
            40403,
            "Schema 7 not found",
        ),
        (
            "GET",
            "/schemas/ids/7/schema",
            Value::Null,
            40403,
            "Schema 7 not found",
        ),
        (
            "GET",
            "/schemas/ids/7/subjects",
            Value::Null,
            40403,
            "Schema not found",
        ),
        (
            "GET",
            "/schemas/ids/7/versions",
            Value::Null,
            40403,
            "Schema not found",
        ),
        (
            "GET",
            "/schemas/guids/x",
            Value::Null,
            40403,
            "Schema x not found",
        ),
    ] {
        running.fail(method, path, body, code, message).await;
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused() {
    let running = start().await;
    let post = "/subjects/a/versions";
    let large = format!(
        "{{\"type\":\"string\",\"doc\":\"{}\"}}",
        "x".repeat(1024 * 1024)
    );
    let rules = |rule: Value| json!({"schema": "\"string\"", "ruleSet": {"domainRules": [rule]}});
    for (body, code, message) in [
        (
            json!({"schema": "{\"type\": \"strin\"}"}),
            42201,
            "Invalid schema of type AVRO",
        ),
        (json!({"schema": "{"}), 42201, "Invalid schema of type AVRO"),
        (json!({"schema": ""}), 42201, "Empty schema"),
        (json!({}), 42201, "Empty schema"),
        (
            json!({"schema": "a", "schemaType": "XML"}),
            42201,
            "Invalid schema type XML",
        ),
        (
            json!({"schema": "[]", "schemaType": "JSON"}),
            42201,
            "Invalid schema of type JSON",
        ),
        (
            json!({"schema": "message", "schemaType": "PROTOBUF"}),
            42201,
            "Invalid schema of type P",
        ),
        (
            json!({"schema": "\"string\"", "version": 5}),
            42201,
            "Version is not one more",
        ),
        (
            json!({"schema": "\"string\"", "id": 5}),
            42205,
            "Subject a in context  is not in import",
        ),
        (
            json!({"schema": large}),
            42209,
            "Register operation failed because schema is too large",
        ),
        (
            rules(json!({"name": "", "type": "CEL"})),
            42210,
            "Empty rule name",
        ),
        (
            rules(json!({"name": "r", "type": "CEL", "mode": "UPGRADE"})),
            42210,
            "Domain rules can",
        ),
    ] {
        running.fail("POST", post, body, code, message).await;
    }
    let name = "/subjects/a%0Ab/versions";
    let message = "The specified subject 'a\nb' is not a valid.";
    running
        .fail(
            "POST",
            name,
            json!({"schema": "\"string\""}),
            42208,
            message,
        )
        .await;
    assert_eq!(running.records("_schemas").await.len(), 0);
}

#[tokio::test]
async fn many_callers_at_once_get_one_id() {
    let running = start().await;
    let schemas: Vec<String> = (0..4)
        .map(|n| format!(r#"{{"type":"fixed","name":"F","size":{n}}}"#))
        .collect();
    let requests = (0..40).map(|n| {
        let (running, schemas) = (&running, &schemas);
        async move {
            let schema = n % 4;
            let id = running
                .id(&format!("s{}-{schema}", n % 3), &schemas[schema])
                .await;
            (schema, id)
        }
    });
    let mut given = futures::future::join_all(requests).await;
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), 4, "a schema has one id: {given:?}");
    let mut ids: Vec<_> = given.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4], "ids are dense");
    assert_eq!(running.records("_schemas").await.len(), 12);
}

#[tokio::test]
async fn spellings_of_one_schema_are_one() {
    let running = start().await;
    let avro = r#"{"name":"A","namespace":"n","type":"record","doc":"d","fields":[
        {"type":{"type":"enum","name":"E","symbols":["X"],"default":"X"},"name":"e","order":"ascending"},
        {"name":"o","type":["null","n.E"],"default":null,"aliases":["p"],"x":1},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"m","type":{"type":"map","values":{"type":"string"}}}],"aliases":["B","q.C"]}"#;
    let answer = running.register("a", avro).await;
    let stored = r#"{"type":"record","name":"A","namespace":"n","doc":"d","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["X"],"default":"X"}},{"name":"o","type":["null","E"],"default":null,"aliases":["p"],"x":1},{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"m","type":{"type":"map","values":"string"}}],"aliases":["B","q.C"]}"#;
    assert_eq!(answer.json["schema"], stored);
    let path = "/subjects/normal/versions?normalize=true";
    let normal = running.ask("POST", path, json!({"schema": avro})).await;
    let expected = r#"{"name":"n.A","type":"record","fields":[{"name":"e","type":{"name":"n.E","type":"enum","symbols":["X"],"default":"X"},"order":"ASCENDING"},{"name":"o","type":["null","n.E"],"order":"ASCENDING","aliases":["p"],"default":null,"x":1},{"name":"t","type":{"type":"long","logicalType":"timestamp-millis"},"order":"ASCENDING"},{"name":"m","type":{"type":"map","values":"string"},"order":"ASCENDING"}],"doc":"d","aliases":["n.B","q.C"]}"#;
    assert_eq!(normal.json["schema"], expected);

    // Spaces, comments and the order of what is declared apart, it is one; types have full names only if it is normalised.
    let protobuf = |text: &str| json!({"schema": text, "schemaType": "PROTOBUF"});
    let text = "syntax = \"proto3\";\npackage p;\n\nmessage M {\n  int32 b = 2;\n  M a = 1;\n}\n";
    let spaced =
        "// by somebody\nsyntax='proto3';package p; message M { int32 b = 2; /* a */ M a = 1; }";
    let path = "/subjects/p/versions";
    let first = running.ask("POST", path, protobuf(spaced)).await;
    assert_eq!(first.json["schema"], text);
    let again = running.ask("POST", path, protobuf(text)).await;
    assert_eq!(
        (&again.json["id"], &again.json["version"]),
        (&first.json["id"], &json!(1))
    );
    let found = running.ask("POST", "/subjects/p", protobuf(spaced)).await;
    assert_eq!(found.json["version"], 1);
    let path = "/subjects/p-normal/versions?normalize=true";
    let normal = running.ask("POST", path, protobuf(spaced)).await;
    let full = text.replace(
        "  int32 b = 2;\n  M a = 1;",
        "  .p.M a = 1;\n  int32 b = 2;",
    );
    assert_eq!(normal.json["schema"], full);
    let other = "syntax = \"proto3\"; package p; message M { p.M a = 1; int32 b = 2; }";
    let other = running.ask("POST", path, protobuf(other)).await;
    assert_eq!(other.json["id"], normal.json["id"]);

    let json_schema = |text: &str| json!({"schema": text, "schemaType": "JSON"});
    let first = running
        .ask(
            "POST",
            "/subjects/j/versions",
            json_schema(r#"{ "type": "object", "title": "T" }"#),
        )
        .await;
    assert_eq!(first.json["schema"], r#"{"type":"object","title":"T"}"#);
    assert_eq!(first.json["schemaType"], "JSON");
    let path = "/subjects/j/versions?normalize=true";
    let sorted = running
        .ask(
            "POST",
            path,
            json_schema(r#"{"type":"object","title":"T"}"#),
        )
        .await;
    assert_eq!(sorted.json["schema"], r#"{"title":"T","type":"object"}"#);
}
