//! From samples to a JSON Schema: types, what is always there, and the two formats that nobody mistakes.
//! A schema from few samples claims too much; it is a start that people read, so it stays short.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// How deep a sample may be; what lies deeper is left open.
pub const MAX_SAMPLE_DEPTH: usize = 20;

/// Makes a schema that all samples keep.
pub fn infer(name: &str, samples: &[Value]) -> Value {
    let samples: Vec<&Value> = samples.iter().collect();
    let mut schema = json!({"$schema": DRAFT, "title": title(name)});
    let found = of(&samples, 0);
    if let (Some(schema), Value::Object(found)) = (schema.as_object_mut(), found) {
        schema.extend(found);
    }
    schema
}

/// Writes a contract's name as schemas are titled.
pub(super) fn title(name: &str) -> String {
    let mut title = String::new();
    for part in name.split(|c: char| !c.is_alphanumeric()) {
        let mut letters = part.chars();
        if let Some(first) = letters.next() {
            title.extend(first.to_uppercase());
            title.push_str(letters.as_str());
        }
    }
    title
}

fn of(values: &[&Value], depth: usize) -> Value {
    if depth >= MAX_SAMPLE_DEPTH {
        return json!({});
    }
    let mut kinds: BTreeSet<&'static str> = values.iter().map(|value| kind(value)).collect();
    if kinds.contains("number") {
        kinds.remove("integer");
    }
    let mut schema = Map::new();
    // A value that was only ever `null` has a type that no sample shows.
    if kinds.iter().any(|kind| *kind != "null") {
        let listed: Vec<&str> = kinds.iter().copied().collect();
        let kinds = match listed.as_slice() {
            [only] => json!(only),
            many => json!(many),
        };
        schema.insert("type".to_owned(), kinds);
    }
    if kinds.contains("object") {
        object(values, depth, &mut schema);
    }
    if kinds.contains("array") {
        let items: Vec<&Value> = values
            .iter()
            .filter_map(|value| value.as_array())
            .flatten()
            .collect();
        if !items.is_empty() {
            schema.insert("items".to_owned(), of(&items, depth + 1));
        }
    }
    let texts: Vec<&str> = values.iter().filter_map(|value| value.as_str()).collect();
    if let Some(format) = format(&texts) {
        schema.insert("format".to_owned(), json!(format));
    }
    Value::Object(schema)
}

fn object(values: &[&Value], depth: usize, schema: &mut Map<String, Value>) {
    let objects: Vec<&Map<String, Value>> = values
        .iter()
        .filter_map(|value| value.as_object())
        .collect();
    let mut names: Vec<&String> = Vec::new();
    for name in objects.iter().flat_map(|object| object.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let always = |name: &&&String| {
        objects
            .iter()
            .all(|object| object.contains_key(name.as_str()))
    };
    let required: Vec<&&String> = names.iter().filter(always).collect();
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    let properties = names.iter().map(|name| {
        let values: Vec<&Value> = objects
            .iter()
            .filter_map(|object| object.get(*name))
            .collect();
        ((*name).clone(), of(&values, depth + 1))
    });
    schema.insert("properties".to_owned(), Value::Object(properties.collect()));
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn format(texts: &[&str]) -> Option<&'static str> {
    let all = |fits: fn(&str) -> bool| !texts.is_empty() && texts.iter().all(|text| fits(text));
    if all(|text| OffsetDateTime::parse(text, &Rfc3339).is_ok()) {
        return Some("date-time");
    }
    all(is_uuid).then_some("uuid")
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}
