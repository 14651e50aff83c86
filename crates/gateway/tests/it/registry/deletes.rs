//! Deleting: softly, for good, and what still needs it.

use serde_json::{Value, json};

use super::{USER, USER_2};
use crate::harness::start;

const NO: Value = Value::Null;

#[tokio::test]
async fn a_version_is_deleted_softly_then_for_good() {
    let running = start().await;
    running.id("a", USER).await;
    running.id("a", USER_2).await;
    let version = "/subjects/a/versions/1";
    let permanent = "/subjects/a/versions/1?permanent=true";
    running
        .fail(
            "DELETE",
            "/subjects/a/versions/3",
            NO,
            40402,
            "Version 3 not found.",
        )
        .await;
    let message = "Subject 'a' Version 1 was not deleted first before being permanently deleted";
    running.fail("DELETE", permanent, NO, 40407, message).await;
    running.expect("DELETE", version, NO, json!(1)).await;
    let message = "Subject 'a' Version 1 was soft deleted.Set permanent=true to delete permanently";
    running.fail("DELETE", version, NO, 40406, message).await;
    running
        .fail("GET", version, NO, 40402, "Version 1 not found.")
        .await;
    let shown = running
        .ask("GET", "/subjects/a/versions/1?deleted=true", NO)
        .await;
    assert_eq!(shown.json["deleted"], true);
    // Data written under it can be read for as long as it is there.
    assert_eq!(running.ask("GET", "/schemas/ids/1", NO).await.status, 200);
    running
        .expect("GET", "/schemas/ids/1/subjects", NO, json!([]))
        .await;
    running
        .expect(
            "GET",
            "/schemas/ids/1/subjects?deleted=true",
            NO,
            json!(["a"]),
        )
        .await;
    for (query, expected) in [
        ("", json!([2])),
        ("?deleted=true", json!([1, 2])),
        ("?deletedOnly=true", json!([1])),
        ("?deletedAsNegative=true", json!([-1, 2])),
    ] {
        running
            .expect("GET", &format!("/subjects/a/versions{query}"), NO, expected)
            .await;
    }
    let look_up = json!({"schema": USER});
    running
        .fail(
            "POST",
            "/subjects/a",
            look_up.clone(),
            40403,
            "Schema not found",
        )
        .await;
    let found = running
        .ask("POST", "/subjects/a?deleted=true", look_up)
        .await;
    assert_eq!(found.json["version"], 1);
    running.expect("DELETE", permanent, NO, json!(1)).await;
    running
        .fail("GET", "/schemas/ids/1", NO, 40403, "Schema 1 not found")
        .await;
    running
        .fail("DELETE", permanent, NO, 40402, "Version 1 not found.")
        .await;
    running
        .expect("DELETE", "/subjects/a/versions/latest", NO, json!(2))
        .await;
    running
        .fail(
            "DELETE",
            "/subjects/a/versions/latest",
            NO,
            40402,
            "Version -1 not found.",
        )
        .await;
    // An id that was given is not given again.
    assert_eq!(running.id("a", USER).await, 3);
    running
        .expect("GET", "/subjects/a/versions", NO, json!([3]))
        .await;
}

#[tokio::test]
async fn a_subject_is_deleted_softly_then_for_good() {
    let running = start().await;
    running.id("a", USER).await;
    running.id("a", USER_2).await;
    running
        .ask("PUT", "/config/a", json!({"compatibility": "FULL"}))
        .await;
    let message = "Subject 'a' was not deleted first before being permanently deleted";
    running
        .fail("DELETE", "/subjects/a?permanent=true", NO, 40405, message)
        .await;
    running
        .expect("DELETE", "/subjects/a", NO, json!([1, 2]))
        .await;
    let message = "Subject 'a' was soft deleted.Set permanent=true to delete permanently";
    running
        .fail("DELETE", "/subjects/a", NO, 40404, message)
        .await;
    running
        .fail(
            "GET",
            "/subjects/a/versions",
            NO,
            40401,
            "Subject 'a' not found.",
        )
        .await;
    running.expect("GET", "/subjects", NO, json!([])).await;
    running
        .expect("GET", "/subjects?deleted=true", NO, json!(["a"]))
        .await;
    running
        .expect("GET", "/subjects?deletedOnly=true", NO, json!(["a"]))
        .await;
    // It comes back under the next number and its old id.
    let back = running.register("a", USER).await;
    assert_eq!(
        (&back.json["id"], &back.json["version"]),
        (&json!(1), &json!(3))
    );
    running
        .expect(
            "GET",
            "/subjects/a/versions?deleted=true",
            NO,
            json!([2, 3]),
        )
        .await;
    running
        .expect("DELETE", "/subjects/a", NO, json!([3]))
        .await;
    running
        .expect("DELETE", "/subjects/a?permanent=true", NO, json!([2, 3]))
        .await;
    running
        .fail(
            "DELETE",
            "/subjects/a?permanent=true",
            NO,
            40401,
            "Subject 'a'",
        )
        .await;
    running
        .expect("GET", "/subjects?deleted=true", NO, json!([]))
        .await;
    running
        .fail("GET", "/config/a", NO, 40408, "Subject 'a' does not have")
        .await;
}
