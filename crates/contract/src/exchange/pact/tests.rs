//! A pact made by pact-js 16.5.0, and what the reference implementation says of many messages.

use serde_json::{Value, json};

use super::*;
use crate::load;

fn directory(name: &str) -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/exchange")
        .join(name)
}

fn billing() -> String {
    std::fs::read_to_string(directory("pacts/billing-orders.json")).unwrap()
}

#[test]
fn a_pact_becomes_a_reader() {
    let known = load::folder(&directory("shop")).unwrap();
    let imported = import("billing.json", &billing(), None, Some(&known)).unwrap();
    let (_, text) = &imported.texts.files[0];
    insta::assert_snapshot!(
        "reader",
        format!("{text}=== told\n{}", imported.told.join("\n"))
    );
    let files = [("a.yaml".to_owned(), text.clone())];
    let set = load::sources(&files, &|_| None).unwrap();
    assert_eq!(
        set.reader("billing-service").unwrap().contract,
        "order-placed"
    );
    // Without the set the topic is all there is; whoever knows better says so.
    let contract = |named| {
        let imported = import("billing.json", &billing(), named, None).unwrap();
        imported.texts.files[0].1.clone()
    };
    assert!(contract(None).contains("contract: commerce.order-placed\n"));
    assert!(contract(Some("orders")).contains("contract: orders\n"));
}

/// The cases with their verdicts are those of pact's own Rust core, asked through pact-js 16.5.0.
#[test]
fn verdicts_are_the_references() {
    let text = std::fs::read_to_string(directory("pacts/verdicts.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 60);
    let mut wrong = Vec::new();
    for case in &cases {
        let (rules, told) = Rules::read(&case["rules"]);
        assert!(told.is_empty(), "{told:?}");
        let found = rules.compare(&case["example"], &case["message"]);
        if found.is_empty() != (case["holds"] == true) {
            wrong.push(format!("{case}\n   {found:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
fn what_cannot_be_judged_is_told() {
    let pact = |interaction: Value| {
        json!({
            "consumer": {"name": "c"}, "provider": {"name": "p"}, "interactions": [interaction],
            "metadata": {"pactSpecification": {"version": "4.0"}},
        })
    };
    let message = |kind: &str, rules: Value| {
        json!({
            "type": "Asynchronous/Messages", "description": "m", "matchingRules": {"body": rules},
            "contents": {"content": {"a": 1}, "contentType": kind, "encoded": false},
        })
    };
    let check = |document: Value, expected: &str| {
        let error = read("p.json", &document.to_string()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        json!({"consumer": {"name": "c"}}),
        "`p.json` is no pact of version 4: its specification is `none`",
    );
    let none = "`p.json` has no message that can be judged: interaction ";
    check(
        pact(json!({"type": "Synchronous/HTTP", "description": "call"})),
        &format!("{none}`call` is not judged: it is no asynchronous message"),
    );
    check(
        pact(message("application/avro", json!({}))),
        &format!("{none}`m` is not judged: its contents are not JSON"),
    );
    let odd = json!({"$.a": {"matchers": [{"match": "semver"}]}});
    check(
        pact(message("application/json", odd)),
        &format!("{none}`m` is not judged: at `$.a` is matcher `semver`, which is not known here"),
    );
    let back = json!({"$.a": {"matchers": [{"match": "regex", "regex": "(a)\\1"}]}});
    check(
        pact(message("application/json", back)),
        &format!("{none}`m` is not judged: at `$.a` is a regular expression that is not linear"),
    );
    let good = pact(message("application/json", json!({}))).to_string();
    let error = import("p.json", &good, None, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`p.json` does not say which one contract its messages are of"
    );
}
