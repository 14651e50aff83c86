//! Subjects in contexts, by name and by address.

use serde_json::{Value, json};

use super::{USER, USER_2, USER_STORED};
use crate::harness::start;

const NO: Value = Value::Null;

#[tokio::test]
async fn a_context_has_ids_of_its_own() {
    let running = start().await;
    running.expect("GET", "/contexts", NO, json!(["."])).await;
    assert_eq!(running.id("a", USER).await, 1);
    assert_eq!(running.id(":.eu:a", USER_2).await, 1);
    assert_eq!(running.id("%3A.eu%3Aa", USER).await, 2);
    running
        .expect("GET", "/contexts", NO, json!([".", ".eu"]))
        .await;
    running
        .expect("GET", "/subjects", NO, json!([":.eu:a", "a"]))
        .await;
    running
        .expect(
            "GET",
            "/subjects?subjectPrefix=:.eu:",
            NO,
            json!([":.eu:a"]),
        )
        .await;
    running
        .expect(
            "GET",
            "/subjects?subjectPrefix=:*:a",
            NO,
            json!([":.eu:a", "a"]),
        )
        .await;
    let text = |path: &'static str| async { running.ask("GET", path, NO).await.text };
    assert_eq!(text("/schemas/ids/1/schema").await, USER_STORED);
    assert_eq!(text("/schemas/ids/1/schema?subject=:.eu:").await, USER_2);
    assert_eq!(text("/schemas/ids/1/schema?subject=:.eu:a").await, USER_2);
    running
        .fail("GET", "/schemas/ids/3?subject=:.eu:", NO, 40403, "Schema 3")
        .await;

    // The same below an address of its own.
    running
        .expect("GET", "/contexts/.eu/subjects", NO, json!([":.eu:a"]))
        .await;
    running
        .expect("GET", "/contexts/eu/subjects/a/versions", NO, json!([1, 2]))
        .await;
    assert_eq!(text("/contexts/.eu/schemas/ids/1/schema").await, USER_2);
    let answer = running
        .ask(
            "POST",
            "/contexts/.us/subjects/b/versions",
            json!({"schema": USER}),
        )
        .await;
    assert_eq!(answer.json["id"], 1);
    running
        .expect("GET", "/subjects/:.us:b/versions", NO, json!([1]))
        .await;
    // A plain name is looked for everywhere.
    let found = running.ask("GET", "/subjects/b/versions/1", NO).await;
    assert_eq!(found.json["subject"], ":.us:b");
    let found = running
        .ask("POST", "/subjects/b", json!({"schema": USER}))
        .await;
    assert_eq!(found.json["subject"], ":.us:b");

    // Settings of a context hold for its subjects.
    let none = json!({"compatibility": "NONE"});
    running
        .expect("PUT", "/contexts/.eu/config", none.clone(), none)
        .await;
    let level = json!({"compatibilityLevel": "NONE"});
    running
        .expect("GET", "/config/:.eu:", NO, level.clone())
        .await;
    running
        .expect("GET", "/config/:.eu:a?defaultToGlobal=true", NO, level)
        .await;
    let level = json!({"compatibilityLevel": "BACKWARD"});
    running
        .expect("GET", "/config/a?defaultToGlobal=true", NO, level)
        .await;

    running
        .fail(
            "DELETE",
            "/contexts/.us",
            NO,
            42211,
            "The specified context",
        )
        .await;
    running
        .expect("DELETE", "/subjects/:.us:b", NO, json!([1]))
        .await;
    running
        .expect("DELETE", "/subjects/:.us:b?permanent=true", NO, json!([1]))
        .await;
    assert_eq!(running.ask("DELETE", "/contexts/.us", NO).await.status, 204);
    running
        .expect("GET", "/contexts", NO, json!([".", ".eu"]))
        .await;
}

#[tokio::test]
async fn a_name_may_hold_anything_and_an_alias_leads_on() {
    let running = start().await;
    assert_eq!(running.id("a%2Fb%20c%25%C3%BC", USER).await, 1);
    running
        .expect("GET", "/subjects", NO, json!(["a/b c%ü"]))
        .await;
    running
        .expect(
            "GET",
            "/subjects/a%2Fb%20c%25%C3%BC/versions",
            NO,
            json!([1]),
        )
        .await;
    let alias = json!({"alias": "a/b c%ü"});
    running
        .expect("PUT", "/config/short", alias.clone(), alias)
        .await;
    running
        .expect("GET", "/subjects/short/versions", NO, json!([1]))
        .await;
}
