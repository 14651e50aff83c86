//! Avro schemas, edits as people make them, and data: encoded with the writer's schema by
//! `apache-avro` and resolved to the reader's by it.
//!
//! Left out is what that library resolves otherwise than Java (`docs/decisions/0006`): aliases, named types
//! whose first place moves, defaults of other branches than the first, and records that hold themselves,
//! for which it may recurse without end (0.22.0). `avro_java.rs` has all of them. Bytes are text, since a
//! string may be read from them.

use std::collections::HashMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Datum;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use tidegate_contract::schema::Schema;
use tidegate_contract::schema::avro::AvroSchema;

use super::Language;
use super::choices::Choices;

pub(super) struct Avro;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const PRIMITIVES: [&str; 8] = [
    "int", "long", "float", "double", "string", "bytes", "boolean", "null",
];
const SYMBOLS: [&str; 4] = ["A", "B", "C", "D"];

impl Language for Avro {
    type Text = Value;
    type Real = apache_avro::Schema;

    fn schema(choices: &mut Choices) -> Value {
        record("R", choices, 2)
    }

    fn edit(text: &mut Value, choices: &mut Choices) {
        let mut places = Vec::new();
        collect(text, String::new(), &mut places);
        let place = places[choices.below(places.len())].clone();
        if let Some(found) = text.pointer_mut(&place) {
            edit(found, choices, &place);
        }
        first_branch_defaults(text);
    }

    fn parse(text: &Value) -> Option<(Schema, apache_avro::Schema)> {
        let text = text.to_string();
        let schema = AvroSchema::parse("s.avsc", &text).ok()?;
        let real = apache_avro::Schema::parse_str(&text).ok()?;
        Some((Schema::Avro(schema), real))
    }

    fn meets(
        [text, _]: [&Value; 2],
        writer: &apache_avro::Schema,
        reader: &apache_avro::Schema,
        choices: &mut Choices,
    ) -> Option<Result<(), String>> {
        let datum = datum(text, choices, 12)?;
        let writing = GenericDatumWriter::builder(writer).build().ok()?;
        let bytes = writing.write_value_to_vec(datum.clone()).ok()?;
        let reading = GenericDatumReader::builder(writer)
            .reader_schema(reader)
            .build();
        let read = reading.and_then(|reading| reading.read_value(&mut &*bytes));
        Some(
            read.map(drop)
                .map_err(|error| format!("{datum:?}: {error}")),
        )
    }
}

/// A named type's name has the name of what holds it in it, so that none is declared twice.
fn schema(name: &str, choices: &mut Choices, depth: usize) -> Value {
    match choices.below(if depth == 0 { 9 } else { 13 }) {
        kind @ 0..=5 => json!(PRIMITIVES[kind]),
        6 => json!(PRIMITIVES[6 + choices.below(2)]),
        7 => {
            let mut declared =
                json!({"type": "enum", "name": format!("{name}E"), "symbols": symbols(choices)});
            if choices.once_in(2) {
                declared["default"] = declared["symbols"][0].clone();
            }
            declared
        }
        8 => json!({"type": "fixed", "name": format!("{name}F"), "size": 1 + choices.below(3)}),
        9 => json!({"type": "array", "items": schema(name, choices, depth - 1)}),
        10 => json!({"type": "map", "values": schema(name, choices, depth - 1)}),
        11 => union(name, choices, depth - 1),
        _ => record(name, choices, depth - 1),
    }
}

fn symbols(choices: &mut Choices) -> Vec<&'static str> {
    let some = choices.some(&SYMBOLS);
    if some.is_empty() { vec!["A"] } else { some }
}

fn union(name: &str, choices: &mut Choices, depth: usize) -> Value {
    let mut branches = vec![json!("null")];
    for _ in 0..=choices.below(2) {
        let branch = schema(name, choices, depth);
        let kind = |schema: &Value| schema.get("type").unwrap_or(schema).clone();
        // One of a kind; named types too, since two of this generator may have one name.
        if !branch.is_array() && !branches.iter().any(|other| kind(other) == kind(&branch)) {
            branches.push(branch);
        }
    }
    if choices.once_in(2) {
        branches.reverse();
    }
    branches.into()
}

fn record(name: &str, choices: &mut Choices, depth: usize) -> Value {
    let fields = choices
        .some(&NAMES)
        .into_iter()
        .map(|field| self::field(name, field, choices, depth));
    let fields: Vec<Value> = fields.collect();
    json!({"type": "record", "name": name, "fields": fields})
}

fn field(record: &str, name: &str, choices: &mut Choices, depth: usize) -> Value {
    let kind = schema(&format!("{record}{name}"), choices, depth);
    let mut field = json!({"name": name, "type": kind});
    if choices.once_in(2) {
        set_default(&mut field);
    }
    field
}

fn set_default(field: &mut Value) {
    if let Some(default) = default_of(&field["type"]) {
        field["default"] = default;
    }
}

/// A default of a type, of the first branch for a union.
fn default_of(schema: &Value) -> Option<Value> {
    Some(match schema {
        Value::Array(branches) => return default_of(&branches[0]),
        Value::String(name) => match name.as_str() {
            "null" => Value::Null,
            "boolean" => json!(true),
            "int" | "long" => json!(7),
            "float" | "double" => json!(1.5),
            "string" | "bytes" => json!("x"),
            _ => return None,
        },
        _ => match schema["type"].as_str()? {
            "enum" => schema["symbols"][0].clone(),
            "array" => json!([]),
            "map" => json!({}),
            _ => return None,
        },
    })
}

/// Avro 1.12 lets a union's default be of any branch; `apache-avro` reads it as the first.
fn first_branch_defaults(schema: &mut Value) {
    match schema {
        Value::Array(branches) => branches.iter_mut().for_each(first_branch_defaults),
        Value::Object(keys) => {
            if let Some(Value::Array(branches)) = keys.get("type")
                && keys.contains_key("default")
                && default_of(&branches[0]).as_ref() != keys.get("default")
            {
                keys.shift_remove("default");
            }
            for name in ["type", "items", "values"] {
                keys.get_mut(name)
                    .into_iter()
                    .for_each(first_branch_defaults);
            }
            let fields = keys.get_mut("fields").and_then(Value::as_array_mut);
            fields.into_iter().flatten().for_each(first_branch_defaults);
        }
        _ => {}
    }
}

fn collect(schema: &Value, at: String, into: &mut Vec<String>) {
    match schema {
        Value::Array(branches) => {
            for (index, branch) in branches.iter().enumerate() {
                collect(branch, format!("{at}/{index}"), into);
            }
        }
        Value::Object(keys) => {
            for name in ["items", "values"] {
                if let Some(inner) = keys.get(name) {
                    collect(inner, format!("{at}/{name}"), into);
                }
            }
            let fields = keys.get("fields").and_then(Value::as_array);
            for (index, field) in fields.into_iter().flatten().enumerate() {
                into.push(format!("{at}/fields/{index}"));
                collect(&field["type"], format!("{at}/fields/{index}/type"), into);
            }
        }
        _ => {}
    }
    into.push(at);
}

fn edit(found: &mut Value, choices: &mut Choices, place: &str) {
    // Names of new types must differ from the old ones, or be the same on purpose.
    let name = format!("N{}", choices.below(3));
    if let Value::Object(keys) = found
        && keys.contains_key("fields")
    {
        let record = keys["name"].as_str().unwrap_or_default().to_owned();
        let Some(Value::Array(fields)) = keys.get_mut("fields") else {
            return;
        };
        let wanted = choices.of(&NAMES);
        match (
            choices.below(4),
            fields.iter().position(|field| field["name"] == wanted),
        ) {
            (0, _) => fields.reverse(),
            (_, Some(at)) => drop(fields.remove(at)),
            (1, None) => fields.push(field(&record, wanted, choices, 1)),
            (_, None) => {
                let mut new = field(&record, wanted, choices, 1);
                set_default(&mut new);
                fields.push(new);
            }
        }
        return;
    }
    if found.get("name").is_some()
        && place.contains("/fields/")
        && !place.ends_with("type")
        && found.get("symbols").is_none()
        && found.get("size").is_none()
    {
        // A field.
        match choices.below(4) {
            0 => set_default(found),
            1 => drop(
                found
                    .as_object_mut()
                    .and_then(|keys| keys.shift_remove("default")),
            ),
            2 => found["name"] = json!(choices.of(&NAMES)),
            _ => {
                let kind = found["type"].take();
                found["type"] = match kind {
                    Value::Array(branches) => branches[0].clone(),
                    one if one == "null" => json!("int"),
                    one => json!(["null", one]),
                };
                drop(
                    found
                        .as_object_mut()
                        .and_then(|keys| keys.shift_remove("default")),
                );
            }
        }
        return;
    }
    match (found.get("symbols").is_some(), choices.below(3)) {
        (true, 0) => {
            found["symbols"] = json!(symbols(choices));
            if found.get("default").is_some() {
                found["default"] = found["symbols"][0].clone();
            }
        }
        (true, 1) => found["default"] = found["symbols"][0].clone(),
        (_, 2) if found.is_object() => {}
        _ => match found.as_str() {
            // What is promoted, mostly.
            Some("int") => *found = json!(choices.of(&["long", "float", "double", "string"])),
            Some("long") => *found = json!(choices.of(&["float", "double", "int"])),
            Some("float") => *found = json!("double"),
            Some("string") => *found = json!("bytes"),
            Some("bytes") => *found = json!("string"),
            _ => *found = schema(&name, choices, 1),
        },
    }
}

/// Makes data of a schema; nothing if its records go on for ever.
fn datum(root: &Value, choices: &mut Choices, depth: usize) -> Option<Datum> {
    let mut named = HashMap::new();
    remember(root, &mut named);
    of(root, &named, choices, depth)
}

fn remember<'s>(schema: &'s Value, named: &mut HashMap<&'s str, &'s Value>) {
    match schema {
        Value::Array(branches) => branches.iter().for_each(|branch| remember(branch, named)),
        Value::Object(keys) => {
            if let Some(name) = keys.get("name").and_then(Value::as_str) {
                named.insert(name, schema);
            }
            for name in ["items", "values"] {
                keys.get(name)
                    .into_iter()
                    .for_each(|inner| remember(inner, named));
            }
            let fields = keys.get("fields").and_then(Value::as_array);
            for field in fields.into_iter().flatten() {
                remember(&field["type"], named);
            }
        }
        _ => {}
    }
}

fn of(
    schema: &Value,
    named: &HashMap<&str, &Value>,
    choices: &mut Choices,
    depth: usize,
) -> Option<Datum> {
    let text = |choices: &mut Choices| ["", "x", "long\u{e9}"][choices.below(3)].to_owned();
    let inner = depth.checked_sub(1)?;
    Some(match schema {
        Value::Array(branches) => {
            let null = branches.iter().position(|branch| branch == "null");
            let index = match null {
                Some(null) if depth < 6 => null,
                _ => choices.below(branches.len()),
            };
            Datum::Union(
                index as u32,
                of(&branches[index], named, choices, inner)?.into(),
            )
        }
        Value::String(name) => match name.as_str() {
            "null" => Datum::Null,
            "boolean" => Datum::Boolean(choices.once_in(2)),
            "int" => Datum::Int([0, -1, i32::MAX, i32::MIN][choices.below(4)]),
            "long" => Datum::Long([0, -1, i64::MAX, i64::MIN][choices.below(4)]),
            "float" => Datum::Float([0.0, 1.5, f32::MAX][choices.below(3)]),
            "double" => Datum::Double([0.0, 1.5, f64::MAX][choices.below(3)]),
            "string" => Datum::String(text(choices)),
            "bytes" => Datum::Bytes(text(choices).into_bytes()),
            name => of(named[name], named, choices, inner)?,
        },
        _ => match schema["type"].as_str().unwrap_or_default() {
            "enum" => {
                let symbols = schema["symbols"].as_array().map_or(&[][..], Vec::as_slice);
                let index = choices.below(symbols.len());
                Datum::Enum(
                    index as u32,
                    symbols[index].as_str().unwrap_or_default().to_owned(),
                )
            }
            "fixed" => {
                let size = schema["size"].as_u64().unwrap_or_default() as usize;
                Datum::Fixed(size, vec![b'x'; size])
            }
            "array" => {
                let count = choices.below(3);
                let items = (0..count).map(|_| of(&schema["items"], named, choices, inner));
                Datum::Array(items.collect::<Option<_>>()?)
            }
            "map" => {
                let names = choices.some(&["x", "y"]);
                let one = |name: &str| {
                    Some((
                        name.to_owned(),
                        of(&schema["values"], named, choices, inner)?,
                    ))
                };
                Datum::Map(names.into_iter().map(one).collect::<Option<_>>()?)
            }
            "record" => {
                let fields = schema["fields"]
                    .as_array()
                    .map_or(&[][..], Vec::as_slice)
                    .iter();
                let fields = fields.map(|field| {
                    let name = field["name"].as_str().unwrap_or_default().to_owned();
                    Some((name, of(&field["type"], named, choices, inner)?))
                });
                Datum::Record(fields.collect::<Option<_>>()?)
            }
            // `{"type": "int"}`
            _ => of(&schema["type"], named, choices, inner)?,
        },
    })
}
