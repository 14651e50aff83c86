//! The format's own JSON Schema and the loader must say the same of every document.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::keys::{EVENT_CONTRACT, KINDS, TEAM};
use super::{Form, Key, Presence, json_schema};
use crate::load;
use crate::model::Class;

fn small() -> Value {
    json!({
        "apiVersion": "contract/v1",
        "kind": "EventContract",
        "metadata": {"name": "order-placed"},
        "spec": {"class": "fact", "schema": {"file": "any.json"}, "key": {"from": "$.id"}},
    })
}

fn team() -> Value {
    json!({
        "apiVersion": "contract/v1",
        "kind": "Team",
        "metadata": {"name": "team-orders"},
        "spec": {"pager": "mailto:orders@example.com"},
    })
}

/// Says whether both take `document`; fails if they differ.
fn both_accept(schema: &Validator, document: &Value) -> bool {
    let by_schema = schema.is_valid(document);
    // JSON is YAML.
    let mut files = vec![("a.yaml".to_owned(), document.to_string())];
    if let Some(owner) = document["metadata"]["owner"].as_str() {
        // Whether an owner exists is no matter of form.
        files.push((
            "b.yaml".to_owned(),
            set(&team(), &["metadata", "name"], json!(owner)).to_string(),
        ));
    }
    let text = match document["spec"]["schema"]["format"].as_str() {
        Some("avro") => r#""string""#,
        Some("protobuf") => r#"syntax = "proto3"; message A {}"#,
        _ => r#"{"x": {}}"#,
    };
    let loaded = load::sources(&files, &|_| Some(text.to_owned()));
    assert_eq!(
        loaded.is_ok(),
        by_schema,
        "{document}\n{:?}",
        loaded.err().map(|e| e.to_string())
    );
    by_schema
}

fn set(document: &Value, path: &[&str], value: Value) -> Value {
    let mut changed = document.clone();
    let mut at = &mut changed;
    for name in path {
        at = at
            .as_object_mut()
            .unwrap()
            .entry(*name)
            .or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value;
    changed
}

fn remove(document: &Value, path: &[&str]) -> Value {
    let (last, parents) = path.split_last().unwrap();
    let mut changed = document.clone();
    let mut at = &mut changed;
    for name in parents {
        at = &mut at[*name];
    }
    at.as_object_mut().unwrap().remove(*last);
    changed
}

/// Calls `visit` for each key with its path.
fn walk(
    keys: &'static [Key],
    path: &mut Vec<&'static str>,
    visit: &mut dyn FnMut(&'static Key, &[&str]),
) {
    for key in keys {
        path.push(key.name);
        visit(key, path);
        if let Form::Map(inner) = key.form {
            walk(inner, path, visit);
        }
        path.pop();
    }
}

/// Values of every form that the key might meet.
fn candidates(key: &Key) -> Vec<Value> {
    let mut values = vec![
        Value::Null,
        json!(true),
        json!(3),
        json!(0),
        json!(1.5),
        json!(-1),
        json!(1001),
        json!(""),
        json!(" "),
        json!("no such word"),
        json!("x".repeat(2000)),
        json!(["delete"]),
        json!([]),
        json!({}),
        json!({"bogus": 1}),
    ];
    for text in [
        "7d",
        "07d",
        "7",
        "0s",
        "256KiB",
        "1KB",
        "$.a.b",
        "$a",
        "$.a[0]",
        "1.2.3",
        "1.2",
        "01.2.3",
        "a",
        "A b",
        "a_b.c-d",
        "-a",
        "_a",
        "/commerce/orders",
        "urn:a:b",
        "a b",
        "%zz",
        "%41",
        "é",
        "a.json",
        "../a.json",
        "/a.json",
        "a.json#/x",
        "a#b",
        "a/../b.json",
        "./a.json",
        ".a.json",
        "a\nb",
        "mailto:a@example.com",
        "webhook:http://a",
        "webhook:https://a",
    ] {
        values.push(json!(text));
    }
    if let Form::Word(words) | Form::Words(words) = key.form {
        for word in words {
            values.extend([
                json!(word.word),
                json!([word.word]),
                json!([word.word, word.word]),
            ]);
        }
    }
    if let Presence::Default { value, .. } = &key.presence {
        for class in [Class::Fact, Class::Command, Class::Telemetry] {
            values.push(json!(value.of(class).replace("{name}", "order-placed")));
        }
    }
    values
}

#[test]
fn schema_and_loader_agree_on_every_value_of_every_key() {
    let schema = jsonschema::draft7::new(&json_schema()).unwrap();
    for (document, keys) in [(small(), EVENT_CONTRACT), (team(), TEAM)] {
        assert!(both_accept(&schema, &document));
        assert!(!both_accept(&schema, &set(&document, &["bogus"], json!(1))));
        let mut accepted = 0;
        walk(keys, &mut Vec::new(), &mut |key, path| {
            for value in candidates(key) {
                let takes = both_accept(&schema, &set(&document, path, value.clone()));
                assert!(
                    !takes || !matches!(key.presence, Presence::NotYet),
                    "{path:?}: {value}"
                );
                accepted += usize::from(takes);
            }
            if matches!(key.presence, Presence::Required) {
                assert!(!both_accept(&schema, &remove(&document, path)), "{path:?}");
            }
        });
        assert!(accepted > 5, "the cases must not all be refused");
    }
}

#[test]
fn every_default_is_a_value_that_may_be_written() {
    let schema = jsonschema::draft7::new(&json_schema()).unwrap();
    walk(EVENT_CONTRACT, &mut Vec::new(), &mut |key, path| {
        let Presence::Default { value, .. } = &key.presence else {
            return;
        };
        for class in [Class::Fact, Class::Command, Class::Telemetry] {
            let text = value.of(class).replace("{name}", "order-placed");
            let value = match key.form {
                Form::Words(_) => json!([text]),
                Form::Count { .. } => json!(text.parse::<u64>().unwrap()),
                Form::Flag => json!(text.parse::<bool>().unwrap()),
                _ => json!(text),
            };
            let document = set(&small(), &["spec", "class"], json!(class.as_str()));
            assert!(
                both_accept(&schema, &set(&document, path, value)),
                "{path:?}"
            );
        }
    });
}

#[test]
fn only_four_keys_are_required() {
    let mut required = Vec::new();
    walk(EVENT_CONTRACT, &mut Vec::new(), &mut |key, path| {
        if matches!(key.presence, Presence::Required) && !matches!(key.form, Form::Map(_)) {
            required.push(path.join("."));
        }
    });
    let head = ["apiVersion", "kind"];
    let four = [
        "metadata.name",
        "spec.class",
        "spec.schema.file",
        "spec.key.from",
    ];
    assert_eq!(required, [head.as_slice(), four.as_slice()].concat());
}

#[test]
fn every_key_and_word_in_force_has_help() {
    let check_word = |word: &super::Word| {
        assert_eq!(word.help.is_empty(), !word.supported, "{}", word.word);
    };
    KINDS.iter().for_each(check_word);
    for keys in [EVENT_CONTRACT, TEAM] {
        walk(keys, &mut Vec::new(), &mut |key, path| {
            let not_yet = matches!(key.presence, Presence::NotYet);
            assert_eq!(key.help.is_empty(), not_yet, "{path:?}");
            if let Form::Word(words) | Form::Words(words) = key.form {
                words.iter().for_each(check_word);
            }
        });
    }
}
