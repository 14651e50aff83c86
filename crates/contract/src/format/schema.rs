//! The format's own JSON Schema, draft-07, made of the declaration: what editors complete from and
//! `tidegate contract schema` prints. One file without references, as YAML editors handle best.

use serde_json::{Map, Value, json};

use super::keys::{KINDS, Kind};
use super::{ByKind, Form, Key, Presence, Word};
use crate::model::MAX_AMOUNT;
use crate::units::SIZE_PATTERN;

/// Keys that mean nothing without another beside them; loading asks the same.
const NEEDED: &[(&str, &str)] = &[("schemaId", "subject")];

/// Returns the JSON Schema (draft-07) of one document of a contract file.
pub fn json_schema() -> Value {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let kinds: Vec<Value> = KINDS.iter().map(of_kind).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "tidegate contracts, contract/v1",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": { "kind": { "enum": names } },
        "allOf": kinds,
    })
}

fn of_kind(kind: &Kind) -> Value {
    json!({
        "if": { "required": ["kind"], "properties": { "kind": { "const": kind.name } } },
        "then": map(kind.keys),
    })
}

fn map(keys: &[Key]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys {
        match key.presence {
            Presence::NotYet => continue,
            Presence::Required => required.push(key.name),
            Presence::Default { .. } | Presence::Optional { .. } | Presence::Group => {}
        }
        properties.insert(key.name.to_owned(), property(key));
    }
    let mut schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    for (key, needs) in NEEDED {
        if keys.iter().any(|known| known.name == *key) {
            schema["dependencies"][*key] = json!([needs]);
        }
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = of_form(&key.form);
    schema["description"] = json!(description(key));
    schema
}

fn of_form(form: &Form) -> Value {
    match form {
        Form::Map(keys) => map(keys),
        Form::Text {
            pattern, max_chars, ..
        } => {
            json!({ "type": "string", "pattern": pattern.as_str(), "maxLength": max_chars })
        }
        Form::Word(words) => json!({ "enum": supported(words) }),
        Form::Words(words) => json!({
            "type": "array",
            "minItems": 1,
            "uniqueItems": true,
            "items": { "enum": supported(words) },
        }),
        Form::Amount => json!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": MAX_AMOUNT },
            { "type": "string", "pattern": SIZE_PATTERN },
        ]}),
        Form::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::OneOf(keys) => {
            let mut schema = map(keys);
            schema["minProperties"] = json!(1);
            schema["maxProperties"] = json!(1);
            schema
        }
        Form::List { item, max } => json!({
            "type": "array",
            "minItems": 1,
            "maxItems": max,
            "items": of_form(item),
        }),
        Form::Entries {
            name, item, max, ..
        } => json!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": max,
            "additionalProperties": false,
            "patternProperties": { name.as_str(): of_form(item) },
        }),
    }
}

fn description(key: &Key) -> String {
    let mut text = key.help.to_owned();
    if let Form::Word(words) | Form::Words(words) = key.form {
        for word in words.iter().filter(|word| word.supported) {
            text.push_str(&format!("\n{}: {}", word.word, word.help));
        }
    }
    match &key.presence {
        Presence::Default { value, reason } => {
            text.push_str(&format!("\ndefault {}: {reason}", shown(value)));
        }
        Presence::Optional { absent } => text.push_str(&format!("\nabsent: {absent}")),
        Presence::Required | Presence::Group | Presence::NotYet => {}
    }
    text
}

fn shown(value: &ByKind) -> String {
    match value {
        ByKind::Same(value) => (*value).to_owned(),
        ByKind::Each {
            fact,
            command,
            telemetry,
        } => format!("{fact} (fact), {command} (command), {telemetry} (telemetry)"),
        ByKind::Outside { internal, outside } => {
            format!("{}, {outside} (partner, public)", shown(internal))
        }
    }
}

fn supported(words: &[Word]) -> Vec<&'static str> {
    words
        .iter()
        .filter(|word| word.supported)
        .map(|word| word.word)
        .collect()
}
