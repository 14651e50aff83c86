//! JSON Schemas with every keyword that asserts something, edits of them, and documents made after
//! them; judged by the `jsonschema` crate itself, not by the validator that events meet.

mod documents;

use serde_json::{Map, Value, json};
use tidegate_contract::schema::Schema;
use tidegate_contract::schema::json::JsonSchema;

use self::documents::{Documents, disturb};
use super::Language;
use super::choices::Choices;

pub(super) struct Json;

const NAMES: [&str; 4] = ["a", "b", "c", "ab"];
const TYPES: [&str; 7] = [
    "string", "integer", "number", "object", "array", "boolean", "null",
];
/// Each with a text that matches it.
const PATTERNS: [(&str, &str); 4] = [("^a", "ab"), ("b$", "ab"), ("^[ab]{2}$", "bb"), ("c", "c")];
const DEPTH: usize = 3;

impl Language for Json {
    type Text = Value;
    type Real = jsonschema::Validator;

    fn schema(choices: &mut Choices) -> Value {
        let mut root = schema(choices, DEPTH);
        if !root.is_object() {
            root = json!({});
        }
        if choices.once_in(2) {
            root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        }
        if root.to_string().contains("$ref") {
            root["definitions"] = json!({"d": schema(choices, DEPTH - 1)});
        }
        without_inert(root)
    }

    fn edit(text: &mut Value, choices: &mut Choices) {
        let mut places = Vec::new();
        collect(text, String::new(), &mut places);
        let place = places[choices.below(places.len())].clone();
        if let Some(found) = text.pointer_mut(&place) {
            edit(found, choices, place.is_empty());
        }
        *text = without_inert(text.take());
    }

    fn parse(text: &Value) -> Option<(Schema, jsonschema::Validator)> {
        let schema = JsonSchema::parse("s.json", &text.to_string()).ok()?;
        schema.compile().ok()?;
        let real = jsonschema::options()
            .should_validate_formats(false)
            .build(text)
            .ok()?;
        Some((Schema::Json(schema), real))
    }

    fn meets(
        [text, read]: [&Value; 2],
        writer: &jsonschema::Validator,
        reader: &jsonschema::Validator,
        choices: &mut Choices,
    ) -> Option<Result<(), String>> {
        // A third of the documents begin at the reader's schema: near what separates the two.
        let from = if choices.once_in(3) { read } else { text };
        let mut document = Documents {
            root: from,
            choices,
            left: 40,
        }
        .of(from);
        if choices.once_in(3) {
            disturb(&mut document, choices);
        }
        writer
            .is_valid(&document)
            .then(|| match reader.validate(&document) {
                Ok(()) => Ok(()),
                Err(error) => Err(format!("{document}: {error}")),
            })
    }
}

/// Takes out what asserts nothing where it stands, which Confluent's library and a validator read as
/// different things: keywords of another draft, and those that need one beside them.
fn without_inert(mut root: Value) -> Value {
    let draft_7 = root.get("$schema").is_some();
    let mut places = Vec::new();
    collect(&root, String::new(), &mut places);
    for place in places {
        let Some(Value::Object(keys)) = root.pointer_mut(&place) else {
            continue;
        };
        let listed = keys.get("items").is_some_and(Value::is_array);
        let contains = keys.contains_key("contains");
        keys.retain(|key, value| match key.as_str() {
            "prefixItems"
            | "dependentRequired"
            | "dependentSchemas"
            | "unevaluatedProperties"
            | "unevaluatedItems" => !draft_7,
            "minContains" | "maxContains" => !draft_7 && contains,
            "dependencies" => draft_7,
            "items" => draft_7 || !value.is_array(),
            "additionalItems" => draft_7 && listed,
            _ => true,
        });
    }
    root
}

fn schema(choices: &mut Choices, depth: usize) -> Value {
    let small = |choices: &mut Choices| json!(choices.below(4));
    let kind = choices.below(if depth == 0 { 8 } else { 22 });
    match kind {
        0 => json!({}),
        1 | 2 => json!({"type": choices.of(&TYPES)}),
        3 => {
            let mut keys = typed(choices, "string");
            optionally(choices, &mut keys, "minLength", small);
            optionally(choices, &mut keys, "maxLength", small);
            optionally(choices, &mut keys, "pattern", |choices| {
                pattern(choices).into()
            });
            Value::Object(keys)
        }
        4 => {
            let kind = ["number", "integer"][choices.below(2)];
            let mut keys = typed(choices, kind);
            for name in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
                optionally(choices, &mut keys, name, small);
            }
            optionally(choices, &mut keys, "multipleOf", |choices| {
                json!([1.0, 2.0, 0.5][choices.below(3)])
            });
            Value::Object(keys)
        }
        5 => {
            let (one, other) = (choices.of(&TYPES), choices.of(&TYPES));
            let mut keys = Map::new();
            keys.insert(
                "type".to_owned(),
                if one == other {
                    json!([one])
                } else {
                    json!([one, other])
                },
            );
            optionally(choices, &mut keys, "minLength", small);
            optionally(choices, &mut keys, "maximum", small);
            Value::Object(keys)
        }
        6 => {
            let all = values();
            let count = 1 + choices.below(3);
            let mut some: Vec<Value> = Vec::new();
            for _ in 0..count {
                let value = all[choices.below(all.len())].clone();
                if !some.contains(&value) {
                    some.push(value);
                }
            }
            json!({"enum": some})
        }
        7 => match choices.below(4) {
            0 => json!({"$ref": "#/definitions/d"}),
            1 => json!(choices.once_in(2)),
            _ => json!({"const": values()[choices.below(values().len())]}),
        },
        8..=13 => object(choices, depth - 1),
        14 | 15 => list(choices, depth - 1),
        16..=18 => {
            let count = 1 + choices.below(3);
            let parts: Vec<Value> = (0..count).map(|_| schema(choices, depth - 1)).collect();
            json!({["oneOf", "anyOf", "allOf"][choices.below(3)]: parts})
        }
        19 => json!({"not": schema(choices, depth - 1)}),
        20 => {
            json!({"if": schema(choices, depth - 1), "then": schema(choices, depth - 1), "else": schema(choices, depth - 1)})
        }
        _ => {
            // Two things said at once.
            let mut both = schema(choices, depth - 1);
            let other = schema(choices, depth - 1);
            if let (Value::Object(both), Value::Object(other)) = (&mut both, other) {
                for (key, value) in other {
                    both.entry(key).or_insert(value);
                }
            }
            both
        }
    }
}

/// Says the type, or leaves it to be seen.
fn typed(choices: &mut Choices, name: &str) -> Map<String, Value> {
    let mut keys = Map::new();
    if !choices.once_in(4) {
        keys.insert("type".to_owned(), json!(name));
    }
    keys
}

fn optionally(
    choices: &mut Choices,
    keys: &mut Map<String, Value>,
    name: &str,
    value: impl FnOnce(&mut Choices) -> Value,
) {
    if choices.once_in(3) {
        let value = value(choices);
        keys.insert(name.to_owned(), value);
    }
}

fn pattern(choices: &mut Choices) -> &'static str {
    PATTERNS[choices.below(PATTERNS.len())].0
}

fn values() -> [Value; 9] {
    [
        json!("a"),
        json!("ab"),
        json!(1),
        json!(2.0),
        json!(1.5),
        json!(null),
        json!(true),
        json!({"a": 1}),
        json!([1]),
    ]
}

fn object(choices: &mut Choices, depth: usize) -> Value {
    let mut keys = typed(choices, "object");
    let mut properties = Map::new();
    for name in choices.some(&NAMES) {
        let mut property = schema(choices, depth);
        if let Value::Object(keys) = &mut property
            && choices.once_in(6)
        {
            keys.insert("default".to_owned(), json!(1));
        }
        properties.insert(name.to_owned(), property);
    }
    keys.insert("properties".to_owned(), properties.into());
    if choices.once_in(2) {
        keys.insert("required".to_owned(), json!(choices.some(&NAMES)));
    }
    match choices.below(4) {
        0 | 1 => {}
        2 => drop(keys.insert("additionalProperties".to_owned(), json!(false))),
        _ => drop(keys.insert("additionalProperties".to_owned(), schema(choices, depth))),
    }
    if choices.once_in(4) {
        rare(choices, &mut keys, depth);
    }
    Value::Object(keys)
}

fn rare(choices: &mut Choices, keys: &mut Map<String, Value>, depth: usize) {
    let (name, value) = match choices.below(8) {
        0 => (
            "patternProperties",
            json!({pattern(choices): schema(choices, depth)}),
        ),
        1 => ("minProperties", json!(choices.below(4))),
        2 => ("maxProperties", json!(choices.below(4))),
        3 => ("propertyNames", schema(choices, 0)),
        4 => (
            "dependentRequired",
            json!({choices.of(&NAMES): choices.some(&NAMES)}),
        ),
        5 => (
            "dependencies",
            json!({choices.of(&NAMES): choices.some(&NAMES)}),
        ),
        6 => (
            "dependentSchemas",
            json!({choices.of(&NAMES): schema(choices, depth)}),
        ),
        _ => ("unevaluatedProperties", schema(choices, depth)),
    };
    keys.insert(name.to_owned(), value);
}

fn list(choices: &mut Choices, depth: usize) -> Value {
    let mut keys = typed(choices, "array");
    let some = |choices: &mut Choices| -> Vec<Value> {
        let count = 1 + choices.below(2);
        (0..count).map(|_| schema(choices, depth)).collect()
    };
    match choices.below(4) {
        0 => {}
        1 => drop(keys.insert("items".to_owned(), schema(choices, depth))),
        2 => {
            // Draft-07's form: an unknown keyword in 2020-12, where it is no schema.
            keys.insert("items".to_owned(), some(choices).into());
            optionally(choices, &mut keys, "additionalItems", |choices| {
                schema(choices, depth)
            });
        }
        _ => {
            keys.insert("prefixItems".to_owned(), some(choices).into());
            optionally(choices, &mut keys, "items", |choices| {
                schema(choices, depth)
            });
        }
    }
    if choices.once_in(2) {
        let (name, value) = match choices.below(7) {
            0 => ("minItems", json!(choices.below(4))),
            1 => ("maxItems", json!(choices.below(4))),
            2 => ("uniqueItems", json!(true)),
            3 => ("contains", schema(choices, depth)),
            4 => ("minContains", json!(choices.below(3))),
            5 => ("maxContains", json!(choices.below(3))),
            _ => ("unevaluatedItems", schema(choices, depth)),
        };
        keys.insert(name.to_owned(), value);
        if name.ends_with("Contains") {
            keys.insert("contains".to_owned(), schema(choices, depth));
        }
    }
    Value::Object(keys)
}

/// Finds every place where a schema stands.
fn collect(value: &Value, at: String, into: &mut Vec<String>) {
    let Value::Object(keys) = value else {
        return into.push(at);
    };
    for (key, inner) in keys {
        let at = format!("{at}/{key}");
        match (key.as_str(), inner) {
            (
                "properties" | "patternProperties" | "dependentSchemas" | "definitions",
                Value::Object(map),
            ) => {
                for (name, inner) in map {
                    collect(inner, format!("{at}/{name}"), into);
                }
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(parts)) => {
                for (index, inner) in parts.iter().enumerate() {
                    collect(inner, format!("{at}/{index}"), into);
                }
            }
            (
                "items"
                | "additionalItems"
                | "additionalProperties"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames"
                | "unevaluatedProperties"
                | "unevaluatedItems",
                inner,
            ) => collect(inner, at, into),
            _ => {}
        }
    }
    into.push(at);
}

/// Changes one schema: a keyword comes, goes or moves a little, or all of it is another.
fn edit(found: &mut Value, choices: &mut Choices, is_root: bool) {
    let kept: Vec<(String, Value)> = ["$schema", "definitions"]
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), found.get(*key)?.clone())))
        .filter(|_| is_root)
        .collect();
    match (choices.below(10), &mut *found) {
        (0..=2, Value::Object(keys)) if !keys.is_empty() => {
            let names: Vec<String> = keys
                .keys()
                .filter(|key| !key.starts_with(['$', 'd']))
                .cloned()
                .collect();
            if !names.is_empty() {
                keys.shift_remove(&names[choices.below(names.len())]);
            }
        }
        (3..=5, Value::Object(keys)) => nudge(keys, choices),
        (6, Value::Object(keys)) => {
            if let Value::Object(more) = schema(choices, 1) {
                keys.extend(more.into_iter().filter(|(key, _)| !key.starts_with('$')));
            }
        }
        (7, value) => {
            let wide = json!({"anyOf": [value.take(), schema(choices, 1)]});
            *value = wide;
        }
        (8, Value::Object(keys)) if keys.contains_key("type") => {
            let wider = match keys["type"].as_str() {
                Some("integer") => json!("number"),
                Some("null") => json!(["null", "string"]),
                Some(name) => json!([name, "null"]),
                None => json!("string"),
            };
            keys.insert("type".to_owned(), wider);
        }
        (_, value) => *value = schema(choices, 1),
    }
    if !kept.is_empty() {
        if !found.is_object() {
            *found = json!({});
        }
        for (key, value) in kept {
            found[key] = value;
        }
    }
}

/// Moves one keyword a little.
fn nudge(keys: &mut Map<String, Value>, choices: &mut Choices) {
    let names: Vec<String> = keys
        .keys()
        .filter(|key| !key.starts_with(['$', 'd']))
        .cloned()
        .collect();
    if names.is_empty() {
        return;
    }
    let name = &names[choices.below(names.len())];
    let Some(value) = keys.get_mut(name) else {
        return;
    };
    match (name.as_str(), value) {
        ("properties", Value::Object(properties)) => {
            let name = choices.of(&NAMES);
            if properties.shift_remove(name).is_none() || choices.once_in(3) {
                let property = schema(choices, 1);
                properties.insert(name.to_owned(), property);
            }
        }
        ("required", value) => *value = json!(choices.some(&NAMES)),
        ("oneOf" | "anyOf" | "allOf" | "prefixItems", Value::Array(parts)) => {
            if parts.len() > 1 && choices.once_in(2) {
                let at = choices.below(parts.len());
                parts.remove(at);
            } else {
                let part = schema(choices, 1);
                parts.push(part);
            }
        }
        ("enum", Value::Array(some)) => {
            let value = values()[choices.below(values().len())].clone();
            if !some.contains(&value) {
                some.push(value);
            } else if some.len() > 1 {
                some.retain(|kept| *kept != value);
            }
        }
        ("multipleOf", value) => *value = json!([1.0, 2.0, 0.5][choices.below(3)]),
        ("pattern", value) => *value = pattern(choices).into(),
        (_, Value::Number(number)) => {
            let moved = number.as_i64().unwrap_or_default() + [1, -1][choices.below(2)];
            keys.insert(name.clone(), json!(moved.max(0)));
        }
        ("additionalProperties", value) => {
            *value = match choices.below(3) {
                0 => json!(true),
                1 => json!(false),
                _ => schema(choices, 1),
            };
        }
        (_, _) => {}
    }
}
