//! What broke clients of other registries, each a test by a name that `docs/reference/registry-traps.md`
//! lists with its source. Some are beside what they are about, in the other files of this folder.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::{USER, USER_BROKEN, V1};
use crate::harness::{Answer, Running, start};

const NO: Value = Value::Null;

/// A call of every route, in an order in which each succeeds, and the members that its answer has: those of Confluent's entity, in
/// braces what is inside of them. What a caller names himself is `*`.
fn calls() -> Vec<(&'static str, &'static str, Value, String)> {
    let contract = "metadata{properties{*} sensitive[] tags{*[]}} references[{name subject version}] \
                    ruleSet{domainRules[{disabled doc expr kind mode name onFailure params{*} tags[] type}]}";
    let registered = format!("guid id {contract} schema schemaType version");
    let schema = format!("deleted guid id {contract} schema schemaType subject ts version");
    let by_id = format!("deleted guid {contract} schema schemaType ts");
    let looked_up = format!("guid id {contract} schema schemaType subject version");
    let send = |name: &str| {
        json!({
            "schema": format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"by","type":"User"}}]}}"#),
            "references": [{"name": "User", "subject": "users", "version": 1}],
            "metadata": {"properties": {"owner": "o"}, "tags": {"A.by": ["PII"]}, "sensitive": ["s"]},
            "ruleSet": {"domainRules": [{
                "name": "r", "doc": "d", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "tags": ["PII"],
                "params": {"a": "b"}, "expr": "true", "onFailure": "DLQ", "disabled": false,
            }]},
        })
    };
    let level = json!({"compatibility": "NONE"});
    let import = json!({"mode": "READWRITE"});
    let plain = |members: &str| members.to_owned();
    vec![
        ("GET", "/", NO, plain("")),
        ("POST", "/", json!({}), plain("")),
        (
            "POST",
            "/subjects/users/versions",
            json!({"schema": USER}),
            plain("guid id schema schemaType version"),
        ),
        ("POST", "/subjects/a/versions", send("A"), registered),
        (
            "POST",
            "/subjects/:.c:a/versions",
            json!({"schema": USER}),
            plain("guid id schema schemaType version"),
        ),
        ("GET", "/subjects", NO, plain("[]")),
        ("POST", "/subjects/a", send("A"), looked_up),
        (
            "GET",
            "/subjects/a/metadata?key=owner&value=o",
            NO,
            schema.clone(),
        ),
        ("GET", "/subjects/a/versions", NO, plain("[]")),
        ("GET", "/subjects/a/versions/1", NO, schema.clone()),
        (
            "GET",
            "/subjects/a/versions/1/schema",
            NO,
            plain("fields[{name type}] name type"),
        ),
        (
            "GET",
            "/subjects/users/versions/1/referencedby",
            NO,
            plain("[]"),
        ),
        (
            "GET",
            "/schemas?subjectPrefix=a",
            NO,
            format!("[{{{schema}}}]"),
        ),
        ("GET", "/schemas/types", NO, plain("[]")),
        ("GET", "/schemas/ids/2", NO, by_id.clone()),
        (
            "GET",
            "/schemas/ids/2?subject=a&fetchMaxId=true",
            NO,
            format!("deleted guid maxId {contract} schema schemaType subject ts version"),
        ),
        (
            "GET",
            "/schemas/ids/2/schema",
            NO,
            plain("fields[{name type}] name type"),
        ),
        ("GET", "/schemas/ids/2/subjects", NO, plain("[]")),
        (
            "GET",
            "/schemas/ids/2/versions",
            NO,
            plain("[{subject version}]"),
        ),
        ("GET", "/schemas/guids/{guid}", NO, by_id),
        (
            "GET",
            "/schemas/guids/{guid}/ids",
            NO,
            plain("[{context id}]"),
        ),
        (
            "POST",
            "/compatibility/subjects/a/versions",
            send("A"),
            plain("is_compatible"),
        ),
        (
            "POST",
            "/compatibility/subjects/a/versions/latest?verbose=true",
            send("B"),
            plain("is_compatible messages[]"),
        ),
        ("GET", "/config", NO, plain("compatibilityLevel")),
        ("PUT", "/config", level.clone(), plain("compatibility")),
        ("DELETE", "/config", NO, plain("compatibilityLevel")),
        ("PUT", "/config/a", level, plain("compatibility")),
        ("GET", "/config/a", NO, plain("compatibilityLevel")),
        ("DELETE", "/config/a", NO, plain("compatibilityLevel")),
        ("GET", "/mode", NO, plain("mode")),
        ("PUT", "/mode", import.clone(), plain("mode")),
        ("DELETE", "/mode", NO, plain("mode")),
        ("PUT", "/mode/a", import, plain("mode")),
        ("GET", "/mode/a", NO, plain("mode")),
        ("DELETE", "/mode/a", NO, plain("mode")),
        ("GET", "/contexts", NO, plain("[]")),
        (
            "GET",
            "/v1/metadata/id",
            NO,
            plain("scope{clusters{kafka-cluster schema-registry-cluster} path[]}"),
        ),
        ("GET", "/v1/metadata/version", NO, plain("commitId version")),
        ("DELETE", "/subjects/a/versions/1", NO, plain("")),
        ("DELETE", "/subjects/a?permanent=true", NO, plain("[]")),
        ("DELETE", "/subjects/:.c:a", NO, plain("[]")),
        ("DELETE", "/subjects/:.c:a?permanent=true", NO, plain("[]")),
        ("DELETE", "/contexts/.c", NO, plain("")),
    ]
}

/// Writes the members of an answer, sorted; what callers name themselves is `*`.
fn members(value: &Value) -> String {
    match value {
        Value::Object(all) => {
            let mut names: Vec<String> = all
                .iter()
                .map(|(name, value)| match (name.as_str(), value) {
                    ("tags" | "properties" | "params", Value::Object(free)) => {
                        let inner: BTreeSet<String> = free
                            .values()
                            .map(|value| format!("*{}", inner(value)))
                            .collect();
                        format!("{name}{{{}}}", Vec::from_iter(inner).join(" "))
                    }
                    _ => format!("{name}{}", inner(value)),
                })
                .collect();
            names.sort();
            names.join(" ")
        }
        Value::Array(_) => inner(value),
        _ => String::new(),
    }
}

fn inner(value: &Value) -> String {
    match value {
        Value::Object(_) => format!("{{{}}}", members(value)),
        Value::Array(items) => {
            let kinds: BTreeSet<String> = items.iter().map(inner).collect();
            format!("[{}]", Vec::from_iter(kinds).join(" "))
        }
        _ => String::new(),
    }
}

/// Makes every call, with a body of this type, and an answer of it.
async fn answers(running: &Running, media_type: &str) -> Vec<(String, String, Answer)> {
    let mut answers = Vec::new();
    let mut guid = String::new();
    for (method, path, body, expected) in calls() {
        let path = path.replace("{guid}", &guid);
        let url = format!("http://{}{path}", running.registry);
        let mut request = running.client.request(method.parse().unwrap(), url);
        request = request.header("accept", media_type);
        if body != NO {
            request = request
                .header("content-type", media_type)
                .body(body.to_string());
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        let what = format!("{method} {path}");
        assert!(answer.status < 300, "{what}: {}", answer.text);
        if path == "/subjects/a/versions" && method == "POST" {
            answer.json["guid"].as_str().unwrap().clone_into(&mut guid);
        }
        answers.push((what, expected, answer));
    }
    answers
}

/// Strict clients crash on a member that they do not know (Aiven-Open/karapace#435, Apicurio/apicurio-registry#1081).
#[tokio::test]
async fn no_answer_has_a_member_that_confluents_has_not() {
    let running = start().await;
    for (what, expected, answer) in answers(&running, V1).await {
        assert_eq!(members(&answer.json), expected, "{what}: {}", answer.text);
    }
}

/// Apicurio/apicurio-registry#1530.
#[tokio::test]
async fn plain_json_is_taken_and_given_on_every_route() {
    let running = start().await;
    for (what, _, answer) in answers(&running, "application/json").await {
        assert_eq!(answer.header("content-type"), "application/json", "{what}");
    }
}

/// What is said about every route has to be about every route.
#[test]
fn the_calls_are_of_every_route() {
    let sources = [
        include_str!("../../../src/registry/routes.rs"),
        include_str!("../../../src/registry/schemas.rs"),
        include_str!("../../../src/registry/settings.rs"),
    ];
    let calls = calls();
    let mut count = 0;
    for source in sources {
        for route in source.split(".route(").skip(1) {
            let route = route.split('"').nth(1).unwrap();
            let is_of = |path: &str| {
                let path = path.split('?').next().unwrap();
                let (asked, known) = (path.split('/'), route.split('/'));
                asked.clone().count() == known.clone().count()
                    && asked.zip(known).all(|(a, k)| a == k || k.starts_with('{'))
            };
            assert!(
                calls.iter().any(|(_, path, ..)| is_of(path)),
                "no call of {route}"
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count} routes were found in the sources");
}

/// Aiven-Open/karapace#916: clients send more from year to year.
#[tokio::test]
async fn unknown_request_members_are_taken_and_what_confluent_keeps_is_kept() {
    let running = start().await;
    let rule = json!({
        "name": "r", "type": "CEL", "kind": "CONDITION", "mode": "WRITEREAD", "expr": "true", "onSuccess": "NONE",
        "onFailure": "ERROR", "params": {"p": "v"}, "tags": ["t"], "doc": "d", "disabled": true, "newIn2030": {"x": []},
    });
    let body = json!({
        "schema": USER, "newIn2030": 1, "schemaTagsToAdd": [], "propagateSchemaTags": false,
        "metadata": {"properties": {"p": "v"}, "tags": {"a": ["b"]}, "sensitive": ["p"], "newIn2030": 1},
        "ruleSet": {"migrationRules": [], "encodingRules": [rule], "enableAt": "CLIENT", "newIn2030": 1},
    });
    let registered = running
        .ask("POST", "/subjects/a/versions", body.clone())
        .await;
    assert_eq!(registered.status, 200, "{}", registered.text);
    let mut kept = rule.clone();
    kept.as_object_mut().unwrap().remove("newIn2030");
    let metadata = json!({"properties": {"p": "v"}, "tags": {"a": ["b"]}, "sensitive": ["p"]});
    let rules = json!({"encodingRules": [kept], "enableAt": "CLIENT"});
    for path in ["/subjects/a/versions/1", "/schemas/ids/1"] {
        let found = running.ask("GET", path, NO).await;
        assert_eq!(
            (&found.json["metadata"], &found.json["ruleSet"]),
            (&metadata, &rules)
        );
    }
    let found = running.ask("POST", "/subjects/a", body.clone()).await;
    assert_eq!(found.json["id"], 1, "{}", found.text);
    let path = "/compatibility/subjects/a/versions/latest";
    running
        .expect("POST", path, body, json!({"is_compatible": true}))
        .await;
    let config = json!({
        "compatibility": "FULL", "alias": "b", "compatibilityGroup": "g", "validateFields": true, "validateRules": true,
        "newIn2030": 1,
    });
    let mut kept = config.clone();
    kept.as_object_mut().unwrap().remove("newIn2030");
    let answer = running.ask("PUT", "/config/c", config).await;
    assert_eq!(answer.json, kept, "{}", answer.text);
    let mode = json!({"mode": "READWRITE"});
    let more = json!({"mode": "READWRITE", "newIn2030": 1});
    running.expect("PUT", "/mode/c", more, mode).await;
}

/// Apicurio/apicurio-registry#1097: a deployment sets the level before the first schema.
#[tokio::test]
async fn a_level_may_come_before_its_subject() {
    let running = start().await;
    let none = json!({"compatibility": "NONE"});
    running
        .expect("PUT", "/config/later", none.clone(), none)
        .await;
    let level = json!({"compatibilityLevel": "NONE"});
    running.expect("GET", "/config/later", NO, level).await;
    // It makes no subject, and holds once there is one.
    running.expect("GET", "/subjects", NO, json!([])).await;
    running.id("later", USER).await;
    assert_eq!(running.register("later", USER_BROKEN).await.status, 200);
}

/// Apicurio/apicurio-registry#6089: the Maven plugin asks before the first registration.
#[tokio::test]
async fn anything_may_follow_the_latest_of_an_unknown_subject() {
    let running = start().await;
    let body = json!({"schema": USER});
    for path in ["versions/latest", "versions"] {
        let path = format!("/compatibility/subjects/nobody/{path}");
        running
            .expect("POST", &path, body.clone(), json!({"is_compatible": true}))
            .await;
    }
    // A version by its number is another thing.
    let path = "/compatibility/subjects/nobody/versions/1";
    running
        .fail("POST", path, body, 40402, "Version 1 not found.")
        .await;
}

/// Apicurio/apicurio-registry#7971: it was a 500.
#[tokio::test]
async fn an_unknown_level_is_42203() {
    let running = start().await;
    running.id("a", USER).await;
    for path in ["/config", "/config/a", "/config/nobody"] {
        for level in ["SIDEWAYS", "", "BACKWARD "] {
            let body = json!({"compatibility": level});
            running
                .fail(
                    "PUT",
                    path,
                    body,
                    42203,
                    "Invalid compatibility level. Valid values are",
                )
                .await;
        }
    }
    running
        .expect(
            "GET",
            "/config",
            NO,
            json!({"compatibilityLevel": "BACKWARD"}),
        )
        .await;
}

/// Apicurio/apicurio-registry#2135: «incompatible» alone helps nobody.
#[tokio::test]
async fn every_rejection_says_what_where_and_against_which_version() {
    let running = start().await;
    let object = |properties: Value| {
        json!({"type": "object", "properties": properties, "additionalProperties": false})
            .to_string()
    };
    let message =
        |field: &str| format!("syntax = \"proto3\";\nmessage M {{\n  {field} a = 1;\n}}\n");
    for (subject, kind, old, new, rule, place) in [
        (
            "avro",
            "AVRO",
            USER.to_owned(),
            USER_BROKEN.to_owned(),
            "READER_FIELD_MISSING_DEFAULT_VALUE",
            "/fields/1",
        ),
        (
            "json",
            "JSON",
            object(json!({"a": {"type": "integer"}})),
            object(json!({"a": {"type": "string"}})),
            "TYPE_CHANGED",
            "#/properties/a",
        ),
        (
            "protobuf",
            "PROTOBUF",
            message("int32"),
            message("string"),
            "FIELD_SCALAR_KIND_CHANGED",
            "#/M/1",
        ),
    ] {
        let path = format!("/subjects/{subject}/versions");
        let body = |text: &str| json!({"schema": text, "schemaType": kind});
        assert_eq!(running.ask("POST", &path, body(&old)).await.status, 200);
        let refused = running.ask("POST", &path, body(&new)).await;
        refused.error(
            409,
            "Schema being registered is incompatible with an earlier schema",
        );
        let verbose = format!("/compatibility{path}/latest?verbose=true");
        let verdict = running.ask("POST", &verbose, body(&new)).await;
        for told in [&refused.text, &verdict.text] {
            for part in [
                rule,
                place,
                "version 1",
                "oldSchema: ",
                "compatibility: 'BACKWARD'",
            ] {
                assert!(told.contains(part), "{subject}: no {part} in {told}");
            }
        }
    }
}

/// confluentinc/schema-registry#2927 and others: an optional property in an open object.
#[tokio::test]
async fn json_schema_grows_under_the_lenient_policy() {
    let running = start().await;
    let path = "/subjects/open/versions";
    let schema = |properties: Value| {
        let text = json!({"type": "object", "properties": properties}).to_string();
        json!({"schema": text, "schemaType": "JSON"})
    };
    let old = schema(json!({"id": {"type": "integer"}}));
    let new = schema(json!({"id": {"type": "integer"}, "note": {"type": "string"}}));
    assert_eq!(running.ask("POST", path, old).await.status, 200);
    // As Confluent's registry does, unless it is asked for.
    let refused = running.ask("POST", path, new.clone()).await;
    refused.error(409, "Schema being registered is incompatible");
    assert!(
        refused
            .text
            .contains("PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"),
        "{}",
        refused.text
    );
    let lenient = json!({"compatibilityPolicy": "LENIENT"});
    assert_eq!(
        running.ask("PUT", "/config/open", lenient).await.status,
        200
    );
    assert_eq!(running.ask("POST", path, new).await.json["version"], 2);
    let other = schema(json!({"id": {"type": "string"}}));
    let refused = running.ask("POST", path, other).await;
    refused.error(409, "Schema being registered is incompatible");
}

/// The page lists tests by their names; a name that is gone is no test.
#[test]
fn the_page_of_traps_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page =
        std::fs::read_to_string(root.join("../../docs/reference/registry-traps.md")).unwrap();
    let folder = root.join("tests/it/registry");
    let mut sources = String::new();
    for file in std::fs::read_dir(folder).unwrap() {
        sources += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let mut named = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let tests = row.rsplit('|').nth(1).unwrap();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "a trap without a test: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "no test {name}");
            named.insert(name.to_owned());
        }
    }
    // And every test here is on the page.
    for test in include_str!("traps.rs")
        .split("#[tokio::test]\nasync fn ")
        .skip(1)
    {
        let name = test.split('(').next().unwrap();
        assert!(named.contains(name), "{name} is not on the page");
    }
}
