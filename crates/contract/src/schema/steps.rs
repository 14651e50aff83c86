//! The steps of whoever walks a schema for its fields: where a JSON Schema begins, which places speak of
//! the same value, which members one declares; how a field of a Protobuf message is found and its type is
//! called. How far to go, and what to make of it, is left to `fields`, `members` and `outline`.

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::beside;
use super::json::{JsonSchema, SchemaFile};

/// A place in a JSON Schema.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) path: &'a str,
    pub(super) value: &'a Value,
}

impl<'a> At<'a> {
    /// Begins at the root of a schema.
    pub(super) fn root(schema: &'a JsonSchema) -> Option<Self> {
        let file = &*schema.file;
        let (path, root) = file.documents.get_key_value(&file.name)?;
        let value = root.pointer(&schema.pointer)?;
        Some(Self { path, value })
    }

    /// Returns another place in the same file.
    pub(super) fn inside(self, value: &'a Value) -> Self {
        Self { value, ..self }
    }

    /// Finds what a reference in this file leads to.
    pub(super) fn target(self, file: &'a SchemaFile, reference: &str) -> Option<Self> {
        let (target, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let documents = &file.documents;
        let own = documents[self.path].get("$id").and_then(Value::as_str);
        let path = match target {
            "" => self.path.to_owned(),
            target if own.is_some_and(|id| id.trim_end_matches('#') == target) => {
                self.path.to_owned()
            }
            target => beside(self.path, target),
        };
        let (path, root) = documents.get_key_value(&path)?;
        let fragment = percent_encoding::percent_decode_str(fragment)
            .decode_utf8()
            .ok()?;
        let value = root.pointer(&fragment)?;
        Some(Self { path, value })
    }

    /// Returns what speaks of the same value, and whether it does so of every one: what is referred to
    /// and `allOf` do, alternatives do not.
    pub(super) fn parts(self, file: &'a SchemaFile) -> Vec<(Self, bool)> {
        let reference = self.value.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| self.target(file, reference));
        let mut parts: Vec<(Self, bool)> = target.map(|at| (at, true)).into_iter().collect();
        for (key, all) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
            let listed = self.value.get(key).and_then(Value::as_array);
            let listed = listed.into_iter().flatten();
            parts.extend(listed.map(|value| (self.inside(value), all)));
        }
        parts
    }

    /// Returns the members that are declared here.
    pub(super) fn declared(self) -> impl Iterator<Item = (&'a String, Self)> {
        let properties = self.value.get("properties").and_then(Value::as_object);
        let properties = properties.into_iter().flatten();
        // `false` says that it must not be there.
        properties
            .filter(|(_, value)| **value != Value::Bool(false))
            .map(move |(name, value)| (name, self.inside(value)))
    }
}

/// The words of `type`, or what `const` and `enum` come to.
pub(super) fn types(schema: &Value) -> BTreeSet<String> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(declared) = schema.get("type") {
        return match declared {
            Value::Array(list) => list.iter().filter_map(word).collect(),
            one => one.as_str().map(str::to_owned).into_iter().collect(),
        };
    }
    let fixed = schema.get("const").into_iter();
    let listed = schema.get("enum").and_then(Value::as_array);
    let values = fixed.chain(listed.into_iter().flatten());
    values
        .map(|value| match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "boolean".to_owned(),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        })
        .collect()
}

/// Finds a field by its name in JSON or in the file.
pub(super) fn protobuf_field(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message
        .get_field_by_json_name(name)
        .or_else(|| message.get_field_by_name(name))
}

/// Names a type as its file does.
pub(super) fn protobuf_type(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(declared) => declared.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}
