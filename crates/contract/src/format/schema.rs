//! The format's own JSON Schema, draft-07, made of the declaration: what editors complete from and
//! `tidegate contract schema` prints. One file without references, as YAML editors handle best.

use serde_json::{Map, Value, json};

use super::keys::{EVENT_CONTRACT, KINDS, TEAM};
use super::{ByClass, Form, Key, Presence, Word};

/// Returns the JSON Schema (draft-07) of one document of a contract file.
pub fn json_schema() -> Value {
    let kinds = supported(KINDS);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "tidegate contracts, contract/v1",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": { "kind": { "enum": kinds } },
        "allOf": [of_kind("EventContract", EVENT_CONTRACT), of_kind("Team", TEAM)],
    })
}

fn of_kind(kind: &str, keys: &[Key]) -> Value {
    json!({
        "if": { "required": ["kind"], "properties": { "kind": { "const": kind } } },
        "then": map(keys),
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
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = match &key.form {
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
        Form::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Form::Flag => json!({ "type": "boolean" }),
    };
    schema["description"] = json!(description(key));
    schema
}

fn description(key: &Key) -> String {
    let mut text = key.help.to_owned();
    if let Form::Word(words) | Form::Words(words) = key.form {
        for word in words.iter().filter(|word| word.supported) {
            text.push_str(&format!("\n{}: {}", word.word, word.help));
        }
    }
    match &key.presence {
        Presence::Default {
            value: ByClass::Same(value),
            reason,
        } => {
            text.push_str(&format!("\ndefault {value}: {reason}"));
        }
        Presence::Default {
            value:
                ByClass::Each {
                    fact,
                    command,
                    telemetry,
                },
            reason,
        } => {
            text.push_str(&format!(
                "\ndefault {fact} (fact), {command} (command), {telemetry} (telemetry): {reason}"
            ));
        }
        Presence::Optional { absent } => text.push_str(&format!("\nabsent: {absent}")),
        Presence::Required | Presence::Group | Presence::NotYet => {}
    }
    text
}

fn supported(words: &[Word]) -> Vec<&'static str> {
    words
        .iter()
        .filter(|word| word.supported)
        .map(|word| word.word)
        .collect()
}
