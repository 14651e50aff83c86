//! May it follow? The verdicts themselves are tested where they are made.

use serde_json::{Value, json};

use super::{USER, USER_2, USER_BROKEN};
use crate::harness::start;

const NO: Value = Value::Null;

#[tokio::test]
async fn what_breaks_readers_is_refused_with_its_reasons() {
    let running = start().await;
    running.id("a", USER).await;
    let broken = json!({"schema": USER_BROKEN});
    let message = "Schema being registered is incompatible with an earlier schema for subject \
                   \"a\", details: [{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'";
    running
        .fail("POST", "/subjects/a/versions", broken.clone(), 409, message)
        .await;
    let told = running
        .ask("POST", "/subjects/a/versions", broken.clone())
        .await;
    let told = told.json["message"].as_str().unwrap().to_owned();
    for part in [
        "/fields/1",
        "{oldSchemaVersion: 1}",
        "{oldSchema: '{\"type\":\"record\"",
        "{validateFields: 'false', compatibility: 'BACKWARD'}]",
    ] {
        assert!(told.contains(part), "{told}");
    }
    for path in ["versions/latest", "versions/1", "versions"] {
        let path = format!("/compatibility/subjects/a/{path}");
        let verbose = format!("{path}?verbose=true");
        running
            .expect(
                "POST",
                &path,
                broken.clone(),
                json!({"is_compatible": false}),
            )
            .await;
        let answer = running.ask("POST", &verbose, broken.clone()).await;
        assert_eq!(answer.json["is_compatible"], false);
        assert_eq!(answer.json["messages"].as_array().unwrap().len(), 4);
        let good = json!({"schema": USER_2});
        running
            .expect("POST", &path, good.clone(), json!({"is_compatible": true}))
            .await;
        let expected = json!({"is_compatible": true, "messages": []});
        running.expect("POST", &verbose, good, expected).await;
        let invalid = json!({"schema": "{"});
        running
            .fail("POST", &path, invalid.clone(), 42201, "Invalid schema")
            .await;
        let answer = running.ask("POST", &verbose, invalid).await;
        assert_eq!(answer.json["is_compatible"], false);
    }
    // The latest of nothing holds nobody back.
    let nobody = "/compatibility/subjects/nobody/versions/latest";
    running
        .expect(
            "POST",
            nobody,
            broken.clone(),
            json!({"is_compatible": true}),
        )
        .await;
    let path = "/compatibility/subjects/a/versions/2";
    running
        .fail("POST", path, broken.clone(), 40402, "Version 2 not found.")
        .await;
    let path = "/compatibility/subjects/a/versions/x";
    running
        .fail("POST", path, broken, 42202, "The specified version 'x'")
        .await;

    for (level, allowed) in [("FORWARD", true), ("FULL", false), ("NONE", true)] {
        running
            .ask("PUT", "/config/a", json!({"compatibility": level}))
            .await;
        let path = "/compatibility/subjects/a/versions/latest";
        let expected = json!({"is_compatible": allowed});
        running
            .expect("POST", path, json!({"schema": USER_BROKEN}), expected)
            .await;
    }
    assert_eq!(running.id("a", USER_BROKEN).await, 2);
    // Not the last one only.
    let next = json!({"schema": r#"{"type":"record","name":"User","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"},{"name":"x","type":"int","default":0}]}"#});
    for (level, allowed) in [("BACKWARD", true), ("BACKWARD_TRANSITIVE", false)] {
        running
            .ask("PUT", "/config/a", json!({"compatibility": level}))
            .await;
        let path = "/compatibility/subjects/a/versions";
        running
            .expect(
                "POST",
                path,
                next.clone(),
                json!({"is_compatible": allowed}),
            )
            .await;
    }
    // Deleted versions hold nobody back.
    running
        .expect("DELETE", "/subjects/a/versions/1", NO, json!(1))
        .await;
    let path = "/compatibility/subjects/a/versions";
    running
        .expect("POST", path, next, json!({"is_compatible": true}))
        .await;
    // Another language is another thing.
    let other = json!({"schema": "{}", "schemaType": "JSON"});
    running
        .expect("POST", path, other, json!({"is_compatible": false}))
        .await;
}
