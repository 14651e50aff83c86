//! The text under which a schema in JSON is stored, so that two spellings of one schema get one id: for
//! Avro what Java's `Schema.toString` writes (Avro 1.12; `tests/it/registry/avro_java.rs` asks it), for
//! JSON Schema the same JSON without spaces. Normalised, Avro is what Confluent's registry makes of
//! it (full names, every order, sorted properties), and JSON has its members sorted.
//!
//! Works on schemas that were parsed before; what it does not know it copies.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::jackson;

const PRIMITIVES: &[&str] = &[
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];

/// Writes a JSON Schema; `None` if it is no JSON.
pub(crate) fn json(text: &str, normalize: bool) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    Some(match normalize {
        true => jackson::text(&sorted(&value)),
        false => jackson::text(&value),
    })
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.iter().collect();
            let members = members.into_iter();
            Value::Object(members.map(|(k, v)| (k.clone(), sorted(v))).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Writes an Avro schema; `None` if it is no JSON. Text that is no JSON value but a type's bare
/// name is one too: Java's parser takes `string`.
pub(crate) fn avro(text: &str, normalize: bool) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut known = Scope::default();
    let written = match normalize {
        true => normal(&value, "", &mut known),
        false => plain(&value, "", &mut known),
    };
    Some(jackson::text(&written))
}

/// Writes an Avro schema with what it refers to in it, each type where it is first named.
pub(crate) fn avro_resolved(text: &str, references: &BTreeMap<String, String>) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut scope = Scope::default();
    for text in references.values() {
        collect(&serde_json::from_str(text).ok()?, "", &mut scope.outside);
    }
    Some(jackson::text(&plain(&value, "", &mut scope)))
}

/// The named types there are, by full name.
#[derive(Default)]
struct Scope {
    /// Written already.
    known: HashSet<String>,
    /// Declared elsewhere, to be written at their first use; each has its namespace.
    outside: HashMap<String, Map<String, Value>>,
}

/// Collects the types that a schema declares.
fn collect(value: &Value, space: &str, into: &mut HashMap<String, Map<String, Value>>) {
    match value {
        Value::Array(branches) => branches.iter().for_each(|one| collect(one, space, into)),
        Value::Object(keys) => {
            let kind = keys.get("type").and_then(Value::as_str).unwrap_or_default();
            let mut inside = space.to_owned();
            if matches!(kind, "record" | "error" | "enum" | "fixed") {
                let name = Name::of(keys, space);
                let mut declared = keys.clone();
                declared.insert("name".to_owned(), name.short.into());
                declared.insert("namespace".to_owned(), name.space.into());
                into.insert(name.full(), declared);
                name.space.clone_into(&mut inside);
            }
            let fields = keys.get("fields").and_then(Value::as_array);
            let fields = fields
                .into_iter()
                .flatten()
                .filter_map(|field| field.get("type"));
            let inner = ["type", "items", "values"];
            let inner = inner.iter().filter_map(|key| keys.get(*key));
            for one in fields.chain(inner) {
                collect(one, &inside, into);
            }
        }
        _ => {}
    }
}

/// A name and its namespace, by Avro's rules.
struct Name<'n> {
    short: &'n str,
    space: &'n str,
}

impl<'n> Name<'n> {
    fn of(keys: &'n Map<String, Value>, enclosing: &'n str) -> Self {
        let text = |key| keys.get(key).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        Self::resolve(name, text("namespace").unwrap_or(enclosing))
    }

    /// A name with dots is full; one without is of the namespace it stands in.
    fn resolve(name: &'n str, space: &'n str) -> Self {
        match name.rsplit_once('.') {
            Some((space, short)) => Self { short, space },
            None => Self { short: name, space },
        }
    }

    fn full(&self) -> String {
        match self.space {
            "" => self.short.to_owned(),
            space => format!("{space}.{}", self.short),
        }
    }

    /// As it is written where `space` is the namespace.
    fn from(&self, space: &str) -> String {
        match self.space == space {
            true => self.short.to_owned(),
            false => self.full(),
        }
    }
}

/// What a schema's keys mean by themselves; all others are properties.
const TYPE_KEYS: &[&str] = &[
    "type",
    "name",
    "namespace",
    "doc",
    "fields",
    "symbols",
    "size",
    "items",
    "values",
    "aliases",
];
const FIELD_KEYS: &[&str] = &["name", "type", "doc", "default", "order", "aliases"];

fn properties<'k>(
    keys: &'k Map<String, Value>,
    reserved: &'static [&'static str],
) -> impl Iterator<Item = (&'k String, &'k Value)> {
    keys.iter()
        .filter(move |(key, _)| !reserved.contains(&key.as_str()))
}

/// Whether the key is the default of an enum, which is no property.
fn is_enum_default(kind: &str, key: &str) -> bool {
    kind == "enum" && key == "default"
}

fn plain(value: &Value, space: &str, known: &mut Scope) -> Value {
    match value {
        Value::String(name) => reference(name, space, known),
        Value::Array(branches) => branches
            .iter()
            .map(|one| plain(one, space, known))
            .collect(),
        Value::Object(keys) => plain_object(keys, space, known),
        other => other.clone(),
    }
}

fn reference(name: &str, space: &str, scope: &mut Scope) -> Value {
    if PRIMITIVES.contains(&name) {
        return name.into();
    }
    let mut resolved = Name::resolve(name, space);
    // A name that its namespace does not have may be one without any.
    let declared = |name: &str| scope.known.contains(name) || scope.outside.contains_key(name);
    if !declared(&resolved.full()) && declared(name) {
        resolved = Name {
            short: name,
            space: "",
        };
    }
    let full = resolved.full();
    if !scope.known.contains(&full)
        && let Some(outside) = scope.outside.remove(&full)
    {
        return plain_object(&outside, space, scope);
    }
    resolved.from(space).into()
}

fn plain_object(keys: &Map<String, Value>, space: &str, known: &mut Scope) -> Value {
    let kind = match keys.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        // `{"type": {…}}` is the type inside it.
        Some(inner) => return plain(inner, space, known),
        None => return Value::Object(keys.clone()),
    };
    let mut out = Map::new();
    let named = matches!(kind, "record" | "error" | "enum" | "fixed");
    out.insert("type".to_owned(), kind.into());
    let mut inside = space;
    if named {
        let name = Name::of(keys, space);
        known.known.insert(name.full());
        out.insert("name".to_owned(), name.short.into());
        if name.space != space {
            out.insert("namespace".to_owned(), name.space.into());
        }
        inside = name.space;
        if let Some(doc) = keys.get("doc").filter(|doc| doc.is_string()) {
            out.insert("doc".to_owned(), doc.clone());
        }
    }
    let copy = |out: &mut Map<String, Value>, key: &str| {
        if let Some(value) = keys.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    };
    match kind {
        "record" | "error" => {
            let fields = keys.get("fields").and_then(Value::as_array);
            let fields = fields.into_iter().flatten();
            let fields: Value = fields
                .map(|field| plain_field(field, inside, known))
                .collect();
            out.insert("fields".to_owned(), fields);
        }
        "enum" => {
            copy(&mut out, "symbols");
            copy(&mut out, "default");
        }
        "fixed" => copy(&mut out, "size"),
        "array" | "map" => {
            let key = if kind == "array" { "items" } else { "values" };
            let of = keys.get(key).map(|of| plain(of, inside, known));
            out.insert(key.to_owned(), of.unwrap_or_default());
        }
        primitive => {
            if !PRIMITIVES.contains(&primitive) {
                // `{"type": "Money"}` is the type of that name.
                return reference(primitive, space, known);
            }
            let rest: Vec<_> = properties(keys, TYPE_KEYS).collect();
            if rest.is_empty() {
                return primitive.into();
            }
        }
    }
    for (key, value) in properties(keys, TYPE_KEYS) {
        if !is_enum_default(kind, key) {
            out.insert(key.clone(), value.clone());
        }
    }
    if let Some(aliases) = named.then(|| aliases(keys, inside)).flatten() {
        let aliases = aliases.iter();
        let shown = aliases.map(|alias| Value::from(Name::resolve(alias, "").from(inside)));
        out.insert("aliases".to_owned(), shown.collect());
    }
    Value::Object(out)
}

/// Returns the aliases by their full names.
fn aliases(keys: &Map<String, Value>, space: &str) -> Option<Vec<String>> {
    let aliases = keys.get("aliases")?.as_array()?;
    let names = aliases.iter().filter_map(Value::as_str);
    let names: Vec<_> = names
        .map(|name| Name::resolve(name, space).full())
        .collect();
    (!names.is_empty()).then_some(names)
}

fn plain_field(field: &Value, space: &str, known: &mut Scope) -> Value {
    let Value::Object(keys) = field else {
        return field.clone();
    };
    let mut out = Map::new();
    for key in ["name", "type", "doc", "default", "order", "aliases"] {
        let Some(value) = keys.get(key) else { continue };
        let value = match key {
            "type" => plain(value, space, known),
            "order" if value == "ascending" => continue,
            "aliases" if value.as_array().is_none_or(Vec::is_empty) => continue,
            _ => value.clone(),
        };
        out.insert(key.to_owned(), value);
    }
    for (key, value) in properties(keys, FIELD_KEYS) {
        out.insert(key.clone(), value.clone());
    }
    Value::Object(out)
}

fn normal(value: &Value, space: &str, known: &mut Scope) -> Value {
    match value {
        Value::String(name) if PRIMITIVES.contains(&name.as_str()) => value.clone(),
        Value::String(name) => match reference(name, space, known).as_str() {
            Some(name) => Name::resolve(name, space).full().into(),
            None => value.clone(),
        },
        Value::Array(branches) => branches
            .iter()
            .map(|one| normal(one, space, known))
            .collect(),
        Value::Object(keys) => normal_object(keys, space, known),
        other => other.clone(),
    }
}

/// As `AvroSchemaUtils.toNormalizedString` of Confluent's registry orders things.
fn normal_object(keys: &Map<String, Value>, space: &str, known: &mut Scope) -> Value {
    let kind = match keys.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(inner) => return normal(inner, space, known),
        None => return Value::Object(keys.clone()),
    };
    let mut out = Map::new();
    let named = matches!(kind, "record" | "error" | "enum" | "fixed");
    let name = Name::of(keys, space);
    if named {
        known.known.insert(name.full());
        out.insert("name".to_owned(), name.full().into());
    } else if !PRIMITIVES.contains(&kind) && !matches!(kind, "array" | "map") {
        return normal(&Value::from(kind), space, known);
    }
    let inside = if named { name.space } else { space };
    let written = if kind == "error" { "record" } else { kind };
    out.insert("type".to_owned(), written.into());
    match kind {
        "record" | "error" => {
            let fields = keys.get("fields").and_then(Value::as_array);
            let fields = fields.into_iter().flatten();
            let fields: Value = fields
                .map(|field| normal_field(field, inside, known))
                .collect();
            out.insert("fields".to_owned(), fields);
        }
        "enum" | "fixed" => {
            let key = if kind == "enum" { "symbols" } else { "size" };
            out.insert(key.to_owned(), keys.get(key).cloned().unwrap_or_default());
        }
        "array" | "map" => {
            let key = if kind == "array" { "items" } else { "values" };
            let of = keys.get(key).map(|of| normal(of, inside, known));
            out.insert(key.to_owned(), of.unwrap_or_default());
        }
        primitive => {
            if properties(keys, TYPE_KEYS).next().is_none() {
                return primitive.into();
            }
        }
    }
    let logical = ["logicalType", "precision", "scale"];
    if keys.contains_key("logicalType") {
        for key in logical {
            match keys.get(key) {
                Some(value) if key == "scale" && *value == 0 => {}
                Some(value) => drop(out.insert(key.to_owned(), value.clone())),
                None => {}
            }
        }
    }
    if named {
        let doc = keys
            .get("doc")
            .filter(|doc| doc.as_str().is_some_and(|doc| !doc.is_empty()));
        if let Some(doc) = doc {
            out.insert("doc".to_owned(), doc.clone());
        }
        if let Some(mut aliases) = aliases(keys, inside) {
            aliases.sort();
            out.insert("aliases".to_owned(), aliases.into());
        }
        if let Some(default) = keys.get("default").filter(|_| kind == "enum") {
            out.insert("default".to_owned(), default.clone());
        }
    }
    let rest: BTreeMap<_, _> = properties(keys, TYPE_KEYS).collect();
    for (key, value) in rest {
        let is_logical = keys.contains_key("logicalType") && logical.contains(&key.as_str());
        if !is_logical && !is_enum_default(kind, key) {
            out.insert(key.clone(), value.clone());
        }
    }
    Value::Object(out)
}

fn normal_field(field: &Value, space: &str, known: &mut Scope) -> Value {
    let Value::Object(keys) = field else {
        return field.clone();
    };
    let mut out = Map::new();
    let value = |key: &str| keys.get(key).cloned().unwrap_or_default();
    out.insert("name".to_owned(), value("name"));
    out.insert("type".to_owned(), normal(&value("type"), space, known));
    let order = keys
        .get("order")
        .and_then(Value::as_str)
        .unwrap_or("ascending");
    out.insert("order".to_owned(), order.to_ascii_uppercase().into());
    if let Some(doc) = keys.get("doc").filter(|doc| doc.is_string()) {
        out.insert("doc".to_owned(), doc.clone());
    }
    let aliases = keys
        .get("aliases")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut aliases: Vec<_> = aliases.filter_map(Value::as_str).collect();
    if !aliases.is_empty() {
        aliases.sort_unstable();
        out.insert("aliases".to_owned(), aliases.into());
    }
    if let Some(default) = keys.get("default") {
        out.insert("default".to_owned(), default.clone());
    }
    let rest: BTreeMap<_, _> = properties(keys, FIELD_KEYS).collect();
    for (key, value) in rest {
        out.insert(key.clone(), value.clone());
    }
    Value::Object(out)
}
