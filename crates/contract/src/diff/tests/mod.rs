//! Changes of contracts, as tables: what there was, what there is now, which rules it breaks.

mod keys;
mod parts;
mod readers;
mod schemas;

use serde_json::{Value, json};

use super::{RULES, Severity, diff};
use crate::load;
use crate::model::Contracts;

/// Two schemas beside `order.json`; the second of each pair is what the first became.
fn schema_text(path: &str) -> Option<String> {
    let text = match path {
        "order.json" => json!({"type": "object", "properties": {"id": {"type": "string"}}}),
        "more.json" => {
            json!({"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}}})
        }
        "other.json" => json!({"type": "object", "properties": {"id": {"type": "integer"}}}),
        "order.avsc" => {
            json!({"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]})
        }
        "other.avsc" => {
            json!({"type": "record", "name": "Order", "fields": [{"name": "key", "type": "string"}]})
        }
        _ => return None,
    };
    Some(text.to_string())
}

fn order() -> Value {
    json!({
        "apiVersion": "contract/v1",
        "kind": "EventContract",
        "metadata": {"name": "order-placed", "version": "2.0.0"},
        "spec": {"class": "fact", "schema": {"file": "order.json"}, "key": {"from": "$.id"}},
    })
}

fn set(document: &Value, key: &str, value: &Value) -> Value {
    let mut changed = document.clone();
    let mut at = &mut changed;
    let names: Vec<&str> = key.split('.').collect();
    for name in &names[..names.len() - 1] {
        at = at
            .as_object_mut()
            .unwrap()
            .entry(*name)
            .or_insert_with(|| json!({}));
    }
    let at = at.as_object_mut().unwrap();
    match value {
        Value::Null => drop(at.shift_remove(*names.last().unwrap())),
        value => drop(at.insert((*names.last().unwrap()).to_owned(), value.clone())),
    }
    changed
}

fn load(documents: &[Value]) -> Contracts {
    let mut text: Vec<String> = documents.iter().map(Value::to_string).collect();
    for team in ["a", "b"] {
        text.push(format!("apiVersion: contract/v1\nkind: Team\nmetadata: {{name: {team}}}\nspec: {{pager: \"mailto:a@example.com\"}}"));
    }
    let files = [("contracts.yaml".to_owned(), text.join("\n---\n"))];
    load::sources(&files, &schema_text).unwrap_or_else(|e| panic!("{e}"))
}

/// The rules that a change breaks, worst first.
fn rules<const A: usize, const B: usize>(old: [Value; A], new: [Value; B]) -> Vec<&'static str> {
    diff(&load(&old), &load(&new))
        .iter()
        .map(|change| change.rule)
        .collect()
}

#[test]
fn contracts_come_go_and_are_renamed() {
    let draft = set(&order(), "spec.lifecycle", &json!("draft"));
    assert_eq!(rules([], [order()]), ["contract-added"]);
    assert_eq!(rules([order()], []), ["contract-removed"]);
    assert_eq!(rules([draft], []), ["contract-removed-unused"]);
    let typed = set(&order(), "spec.event.type", &json!("com.example.order"));
    let typed = set(&typed, "spec.topic.name", &json!("orders"));
    let renamed = set(&typed, "metadata.name", &json!("order-made"));
    assert_eq!(
        rules([typed.clone()], [renamed.clone()]),
        ["contract-renamed"]
    );
    assert!(rules([typed.clone()], [typed]).is_empty());
}

#[test]
fn rules_stand_by_name_and_say_what_to_do() {
    assert!(RULES.is_sorted_by_key(|rule| rule.name));
    for rule in RULES {
        assert_eq!(
            rule.hint.is_empty(),
            rule.severity == Severity::Safe,
            "{}",
            rule.name
        );
    }
}
