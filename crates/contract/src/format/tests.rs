//! The format's own JSON Schema and the loader must say the same of every document.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::keys::{CONSUMER_CONTRACT, EVENT_CONTRACT, KIND_NAMES, KINDS, TEAM};
use super::{Form, Key, Presence, json_schema};
use crate::load;
use crate::model::{Audience, Class};

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

fn reader() -> Value {
    json!({
        "apiVersion": "contract/v1",
        "kind": "ConsumerContract",
        "metadata": {"name": "billing", "owner": "team-billing"},
        "spec": {"contract": "order-placed", "accepts": ">=1 <2", "via": {"kafka": {"group": "billing"}}},
    })
}

/// What the loader finds beyond the form of a value.
const BEYOND_FORM: [&str; 9] = [
    "is not after `since`",
    "is no day of the calendar",
    "is of a contract on its way out",
    "cannot be its own successor",
    "`migration.from` leads",
    "is no CEL expression",
    "which is neither",
    "there is no field",
    "counts something else at once",
];

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
    let found = loaded.err().map(|found| {
        let beyond =
            |found: &load::Diagnostic| BEYOND_FORM.iter().any(|b| found.message.contains(b));
        (found.to_string(), found.iter().all(beyond))
    });
    let by_loader = found.as_ref().is_none_or(|(_, beyond)| *beyond);
    assert_eq!(by_loader, by_schema, "{document}\n{found:?}");
    by_schema
}

fn set(document: &Value, path: &[&str], value: Value) -> Value {
    let mut changed = document.clone();
    let mut at = &mut changed;
    for name in path {
        if *name == ITEM {
            if !at.is_array() {
                *at = json!([{}]);
            }
            at = &mut at[0];
            continue;
        }
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
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
        at = match *name {
            ITEM => &mut at[0],
            name => &mut at[name],
        };
    }
    at.as_object_mut().unwrap().remove(*last);
    changed
}

/// The first item of a list, in a path.
const ITEM: &str = "[0]";

/// Calls `visit` for each key with its path.
fn walk(
    keys: &'static [Key],
    path: &mut Vec<&'static str>,
    visit: &mut dyn FnMut(&'static Key, &[&str]),
) {
    for key in keys {
        path.push(key.name);
        visit(key, path);
        walk_form(&key.form, path, visit);
        path.pop();
    }
}

fn walk_form(
    form: &'static Form,
    path: &mut Vec<&'static str>,
    visit: &mut dyn FnMut(&'static Key, &[&str]),
) {
    match form {
        Form::Map(inner) | Form::OneOf(inner) => walk(inner, path, visit),
        Form::List { item, .. } => {
            path.push(ITEM);
            walk_form(item, path, visit);
            path.pop();
        }
        Form::Entries { sample, item, .. } => {
            path.push(sample);
            walk_form(item, path, visit);
            path.pop();
        }
        _ => {}
    }
}

/// Returns a value of a form.
fn sample_of(form: &'static Form) -> Value {
    match form {
        Form::Map(keys) => {
            let required = keys
                .iter()
                .filter(|key| matches!(key.presence, Presence::Required));
            required
                .map(|key| (key.name.to_owned(), sample_of(&key.form)))
                .collect()
        }
        Form::OneOf(keys) => json!({ keys[0].name: sample_of(&keys[0].form) }),
        Form::Text { pattern, .. } => {
            let texts = [
                "a",
                "$.a",
                "7d",
                "1MiB",
                "1.0.0",
                ">=1",
                "1/s",
                "1MiB/s",
                "2026-01-31",
                "a.json",
                "/a",
                "mailto:a@b",
                "api-key",
            ];
            let fits = texts.iter().find(|text| pattern.is_match(text));
            json!(fits.unwrap_or_else(|| panic!("no sample for {pattern:?}")))
        }
        Form::Word(words) => json!(words[0].word),
        Form::Words(words) => json!([words[0].word]),
        Form::Amount => json!(7),
        Form::Count { min, .. } => json!(min),
        Form::Flag => json!(true),
        Form::List { item, .. } => json!([sample_of(item)]),
        Form::Entries { sample, item, .. } => json!({ *sample: sample_of(item) }),
    }
}

/// Returns a document in which every structure around `path` has what it requires.
fn with_room(keys: &'static [Key], document: &Value, path: &[&str]) -> Value {
    let mut changed = document.clone();
    let mut keys = Some(keys);
    let mut form: Option<&'static Form> = None;
    for (depth, name) in path.iter().enumerate() {
        let at: Vec<&str> = path[..=depth].to_vec();
        let (next, only) = match (keys, form) {
            (Some(keys), outer) => {
                let key = keys.iter().find(|key| key.name == *name).unwrap();
                (&key.form, matches!(outer, Some(Form::OneOf(_))))
            }
            (None, Some(Form::List { item, .. } | Form::Entries { item, .. })) => (*item, false),
            (None, _) => return changed,
        };
        if only {
            changed = set(&changed, &path[..depth], json!({}));
        }
        let there = at.iter().try_fold(&changed, |value, name| match *name {
            ITEM => value.get(0),
            name => value.get(name),
        });
        if there.is_none() && !next.is_plain() {
            changed = set(&changed, &at, sample_of(next));
        }
        keys = match next {
            Form::Map(keys) | Form::OneOf(keys) => Some(keys),
            _ => None,
        };
        form = Some(next);
    }
    changed
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
        json!(["$.a", "$.b.c"]),
        json!([[]]),
        json!([{}]),
        json!(["x-a", "X-B"]),
        json!({"": "a"}),
        json!({"$.a": {}}),
        json!({"a": "$.a", "b": "message.a"}),
        json!(vec!["$.a"; 600]),
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
        ">=1 <2",
        ">= 1",
        "1",
        "1.2.3.4",
        "message.a > 0",
        "2000/s",
        "0/s",
        "1/d",
        "5MiB/m",
        "2026-01-31",
        "2026-02-31",
        "2026-1-31",
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
            values.push(json!(
                value
                    .of(class, Audience::Internal)
                    .replace("{name}", "order-placed")
            ));
        }
    }
    values
}

#[test]
fn schema_and_loader_agree_on_every_value_of_every_key() {
    let schema = jsonschema::draft7::new(&json_schema()).unwrap();
    for (document, keys) in [
        (small(), EVENT_CONTRACT),
        (reader(), CONSUMER_CONTRACT),
        (team(), TEAM),
    ] {
        assert!(both_accept(&schema, &document));
        assert!(!both_accept(&schema, &set(&document, &["bogus"], json!(1))));
        let mut accepted = 0;
        walk(keys, &mut Vec::new(), &mut |key, path| {
            let document = with_room(keys, &document, path);
            let mut values = candidates(key);
            if !matches!(key.presence, Presence::NotYet) {
                values.push(sample_of(&key.form));
            }
            for value in values {
                let takes = both_accept(&schema, &set(&document, path, value.clone()));
                assert!(
                    !takes || !matches!(key.presence, Presence::NotYet),
                    "{path:?}: {value}"
                );
                accepted += usize::from(takes);
            }
            let (last, parents) = path.split_last().unwrap();
            let there = parents.iter().fold(&document, |at, name| match *name {
                ITEM => &at[0],
                name => &at[name],
            });
            if matches!(key.presence, Presence::Required) && there.get(last).is_some() {
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
            let text = value
                .of(class, Audience::Internal)
                .replace("{name}", "order-placed");
            let value = match key.form {
                Form::Words(_) => json!([text]),
                Form::Count { .. } => json!(text.parse::<u64>().unwrap()),
                Form::Flag => json!(text.parse::<bool>().unwrap()),
                _ => json!(text),
            };
            let document = set(&small(), &["spec", "class"], json!(class.as_str()));
            let document = with_room(EVENT_CONTRACT, &document, path);
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
        // Beside what must stand in a thing that need not be there.
        let optional = [
            "allow",
            "deprecation",
            "rules",
            "request",
            "fields",
            "migration",
            "quotas",
        ]
        .iter()
        .any(|part| path.contains(part));
        if matches!(key.presence, Presence::Required) && key.form.is_plain() && !optional {
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
    KIND_NAMES.iter().for_each(check_word);
    assert!(
        KINDS
            .iter()
            .map(|kind| kind.name)
            .eq(KIND_NAMES.iter().map(|kind| kind.word))
    );
    for kind in KINDS {
        walk(kind.keys, &mut Vec::new(), &mut |key, path| {
            let not_yet = matches!(key.presence, Presence::NotYet);
            assert_eq!(key.help.is_empty(), not_yet, "{path:?}");
            if let Form::Word(words) | Form::Words(words) = key.form {
                words.iter().for_each(check_word);
            }
        });
    }
}
