//! Levels and modes, of all and of one.

use serde_json::{Value, json};

use super::{USER, USER_2, USER_BROKEN};
use crate::harness::start;

const NO: Value = Value::Null;

#[tokio::test]
async fn settings_are_of_all_or_of_one() {
    let running = start().await;
    let level = |level: &str| json!({"compatibilityLevel": level});
    running
        .expect("GET", "/config", NO, level("BACKWARD"))
        .await;
    let message = "Subject 'a' does not have subject-level compatibility configured";
    running.fail("GET", "/config/a", NO, 40408, message).await;
    running
        .expect(
            "GET",
            "/config/a?defaultToGlobal=true",
            NO,
            level("BACKWARD"),
        )
        .await;
    let full = json!({"compatibility": "full", "unknown": 1});
    running
        .expect("PUT", "/config", full, json!({"compatibility": "FULL"}))
        .await;
    running.expect("GET", "/config", NO, level("FULL")).await;
    // The subject need not be there.
    let none = json!({"compatibility": "NONE"});
    running.expect("PUT", "/config/a", none.clone(), none).await;
    running.expect("GET", "/config/a", NO, level("NONE")).await;
    let policy = json!({"normalize": true, "compatibilityPolicy": "lenient"});
    let both =
        json!({"normalize": true, "compatibilityPolicy": "LENIENT", "compatibility": "NONE"});
    running.expect("PUT", "/config/a", policy, both).await;
    let answer = running
        .ask("PUT", "/config/a", json!({"normalize": null}))
        .await;
    assert_eq!(
        answer.json,
        json!({"compatibilityPolicy": "LENIENT", "compatibility": "NONE"})
    );
    let message = "Invalid compatibility level. Valid values are none, backward, forward, full,";
    for path in ["/config", "/config/a"] {
        let odd = json!({"compatibility": "SIDEWAYS"});
        running.fail("PUT", path, odd, 42203, message).await;
    }
    let answer = running.ask("DELETE", "/config/a", NO).await;
    assert_eq!(answer.json["compatibilityLevel"], "NONE");
    running
        .fail("DELETE", "/config/a", NO, 40401, "Subject 'a' not found.")
        .await;
    running.expect("DELETE", "/config", NO, level("FULL")).await;
    running
        .expect("GET", "/config", NO, level("BACKWARD"))
        .await;
    running
        .fail(
            "PUT",
            "/config/__GLOBAL",
            json!({}),
            42208,
            "The specified subject",
        )
        .await;
}

#[tokio::test]
async fn a_mode_keeps_writers_out() {
    let running = start().await;
    running.id("a", USER).await;
    let mode = |mode: &str| json!({"mode": mode});
    running.expect("GET", "/mode", NO, mode("READWRITE")).await;
    let message = "Subject 'a' does not have subject-level mode configured";
    running.fail("GET", "/mode/a", NO, 40409, message).await;
    running
        .expect("GET", "/mode/a?defaultToGlobal=true", NO, mode("READWRITE"))
        .await;
    let message = "Invalid mode. Valid values are READWRITE, READONLY, IMPORT and FORWARD.";
    running
        .fail("PUT", "/mode", mode("READWRONG"), 42204, message)
        .await;
    running
        .expect("PUT", "/mode/a", mode("READONLY"), mode("READONLY"))
        .await;
    running.expect("GET", "/mode/a", NO, mode("READONLY")).await;
    let message = "Subject a in context  is in read-only mode";
    let next = json!({"schema": USER_2});
    running
        .fail("POST", "/subjects/a/versions", next.clone(), 42205, message)
        .await;
    running
        .fail("DELETE", "/subjects/a", NO, 42205, message)
        .await;
    running
        .fail("DELETE", "/subjects/a/versions/1", NO, 42205, message)
        .await;
    running
        .fail(
            "PUT",
            "/config/a",
            json!({"compatibility": "NONE"}),
            42205,
            message,
        )
        .await;
    assert_eq!(running.id("a", USER).await, 1, "what is there is found");
    running
        .expect("DELETE", "/mode/a", NO, mode("READONLY"))
        .await;
    running
        .fail("DELETE", "/mode/a", NO, 40401, "Subject 'a' not found.")
        .await;
    running
        .expect(
            "PUT",
            "/mode",
            mode("READONLY_OVERRIDE"),
            mode("READONLY_OVERRIDE"),
        )
        .await;
    running
        .fail("POST", "/subjects/a/versions", next, 42205, message)
        .await;
    running
        .expect("DELETE", "/mode", NO, mode("READONLY_OVERRIDE"))
        .await;
    running.expect("GET", "/mode", NO, mode("READWRITE")).await;
}

#[tokio::test]
async fn an_import_keeps_ids_and_versions() {
    let running = start().await;
    let import = json!({"mode": "IMPORT"});
    running.id("old", USER).await;
    let message = "Cannot import since found existing subjects";
    running
        .fail("PUT", "/mode", import.clone(), 42205, message)
        .await;
    running
        .fail("PUT", "/mode/old", import.clone(), 42205, message)
        .await;
    running
        .expect(
            "PUT",
            "/mode/old?force=true",
            import.clone(),
            import.clone(),
        )
        .await;
    running
        .expect("PUT", "/mode/new", import.clone(), import)
        .await;
    let path = "/subjects/new/versions";
    let schema =
        |text: &str, version: i32, id: i32| json!({"schema": text, "version": version, "id": id});
    let message = "Subject new in context  is not in read-write mode";
    running
        .fail("POST", path, json!({"schema": USER_2}), 42205, message)
        .await;
    let answer = running.ask("POST", path, schema(USER_2, 7, 40)).await;
    assert_eq!(
        (&answer.json["id"], &answer.json["version"]),
        (&json!(40), &json!(7))
    );
    // Nothing is compared: it was all valid where it comes from.
    assert_eq!(
        running
            .ask("POST", path, schema(USER_BROKEN, 3, 30))
            .await
            .status,
        200
    );
    running
        .expect("GET", "/subjects/new/versions", NO, json!([3, 7]))
        .await;
    let message = "Overwrite new schema with id 40 in context . is not permitted.";
    running
        .fail("POST", path, schema("\"string\"", 8, 40), 42205, message)
        .await;
    running
        .expect(
            "PUT",
            "/mode/new",
            json!({"mode": "READWRITE"}),
            json!({"mode": "READWRITE"}),
        )
        .await;
    let next = r#"["null", "string"]"#;
    running
        .ask("PUT", "/config/new", json!({"compatibility": "NONE"}))
        .await;
    let answer = running.register("new", next).await;
    assert_eq!(
        (&answer.json["id"], &answer.json["version"]),
        (&json!(41), &json!(8))
    );
}
