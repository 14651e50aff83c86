//! Data as a reader with this schema would see it, written under another one perhaps. What an Avro or
//! Protobuf reader passes over is left out: fields that it does not know, and names by which it knew
//! a field before are its own. A reader of JSON sees all that is there.

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::Schema;
use super::avro::{AvroFile, Node, NodeId};
use crate::check::Reason;

impl Schema {
    /// Reads data that was stored with a media type, by the schema it was written under where that is
    /// known, and returns what a reader with this one has of it.
    ///
    /// # Errors
    /// Neither schema reads it.
    pub(crate) fn as_reader(
        &self,
        writer: Option<&Self>,
        media_type: Option<&str>,
        data: &[u8],
    ) -> Result<Value, Reason> {
        let read = |by: &Self| by.read(media_type, data).map(|data| data.tree.to_value());
        let value = match writer {
            Some(writer) => read(writer).or_else(|_| read(self)),
            None => read(self),
        }?;
        Ok(match self {
            Self::Json(_) => value,
            Self::Avro(schema) => avro(&schema.file, schema.root, value),
            Self::Protobuf(schema) => protobuf(&schema.message, value),
        })
    }

    /// Returns the name of the schema's own encoding, if it has one beside JSON.
    pub fn binary_media_type(&self) -> Option<&'static str> {
        match self {
            Self::Json(_) => None,
            Self::Avro(_) => Some(super::avro::MEDIA_TYPES[0]),
            Self::Protobuf(_) => Some(super::protobuf::MEDIA_TYPES[0]),
        }
    }
}

/// Values are nested 128 deep at most, and each step takes one level.
fn avro(file: &AvroFile, at: NodeId, value: Value) -> Value {
    match (&file.nodes[at], value) {
        (Node::Array(items), Value::Array(values)) => {
            let values = values.into_iter();
            values.map(|value| avro(file, *items, value)).collect()
        }
        (Node::Map(values), Value::Object(entries)) => {
            let entries = entries.into_iter();
            let entries = entries.map(|(name, value)| (name, avro(file, *values, value)));
            Value::Object(entries.collect())
        }
        (Node::Union(branches), value) => match branch(file, branches, &value) {
            Some((id, None)) => avro(file, id, value),
            Some((id, Some(tag))) => match value {
                Value::Object(mut entries) => {
                    let inner = entries.remove(&tag).unwrap_or_default();
                    Value::Object(Map::from_iter([(tag, avro(file, id, inner))]))
                }
                other => other,
            },
            None => value,
        },
        (Node::Enum(declared), Value::String(symbol)) => match &declared.default {
            Some(default) if !declared.symbols.contains(&symbol) => Value::String(default.clone()),
            _ => Value::String(symbol),
        },
        (Node::Record(record), Value::Object(mut entries)) => {
            let mut read = Map::new();
            for field in &record.fields {
                let names = std::iter::once(&field.name).chain(&field.aliases);
                let value = names.into_iter().find_map(|name| entries.remove(name));
                if let Some(value) = value {
                    read.insert(field.name.clone(), avro(file, field.node, value));
                }
            }
            Value::Object(read)
        }
        (_, value) => value,
    }
}

/// Finds the branch of a union that a value is of, and its tag if it has one.
fn branch(file: &AvroFile, branches: &[NodeId], value: &Value) -> Option<(NodeId, Option<String>)> {
    let nodes = &file.nodes;
    let is = |id: &&NodeId| match (&nodes[**id], value) {
        (Node::Record(record), Value::Object(entries)) => record.fields.iter().all(|field| {
            let mut names = std::iter::once(&field.name).chain(&field.aliases);
            field.default.is_some() || names.any(|name| entries.contains_key(name))
        }),
        (Node::Map(_), Value::Object(_)) | (Node::Array(_), Value::Array(_)) => true,
        (Node::Enum(declared), Value::String(symbol)) => declared.symbols.contains(symbol),
        _ => false,
    };
    if let Value::Object(entries) = value
        && entries.len() == 1
        && let Some((tag, _)) = entries.iter().next()
        && let Some(id) = branches.iter().find(|id| nodes[**id].name() == tag)
    {
        return Some((*id, Some(tag.clone())));
    }
    branches.iter().find(is).map(|id| (*id, None))
}

fn protobuf(message: &MessageDescriptor, value: Value) -> Value {
    // The types of Google's own have JSON forms of their own.
    let own = message.full_name().starts_with("google.protobuf.");
    match value {
        Value::Object(entries) if !own => {
            let read = entries.into_iter().filter_map(|(name, value)| {
                let field = message.get_field_by_json_name(&name)?;
                let Kind::Message(inner) = field.kind() else {
                    return Some((name, value));
                };
                let value = match value {
                    Value::Array(items) => {
                        let items = items.into_iter();
                        items.map(|item| protobuf(&inner, item)).collect()
                    }
                    Value::Object(_) if field.is_map() => value,
                    other => protobuf(&inner, other),
                };
                Some((name, value))
            });
            Value::Object(read.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::SchemaFormat;
    use std::collections::BTreeMap;

    fn schema(format: SchemaFormat, text: &str) -> Schema {
        Schema::registered(format, text, &BTreeMap::new()).unwrap()
    }

    #[test]
    fn an_avro_reader_passes_over_what_it_does_not_know() {
        let reader = schema(
            SchemaFormat::Avro,
            r#"{"type": "record", "name": "O", "fields": [
                {"name": "number", "aliases": ["id"], "type": "string"},
                {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["A", "B"], "default": "A"}, "default": "A"},
                {"name": "money", "type": ["null", {"type": "record", "name": "M", "fields": [{"name": "amount", "type": "long"}]}], "default": null}]}"#,
        );
        let data = json!({"id": "o-1", "old": 1, "kind": "C", "money": {"amount": 3, "unit": "x"}});
        let read = reader.as_reader(None, None, data.to_string().as_bytes());
        let expected = json!({"number": "o-1", "kind": "A", "money": {"amount": 3}});
        assert_eq!(read.unwrap(), expected);
        let tagged = json!({"id": "o-1", "money": {"M": {"amount": 3, "unit": "x"}}});
        let read = reader.as_reader(None, None, tagged.to_string().as_bytes());
        let expected = json!({"number": "o-1", "money": {"M": {"amount": 3}}});
        assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn data_is_read_by_the_schema_it_was_written_under() {
        let writer = schema(
            SchemaFormat::Avro,
            r#"{"type": "record", "name": "O", "fields": [{"name": "old", "type": "int"}, {"name": "id", "type": "string"}]}"#,
        );
        let reader = schema(
            SchemaFormat::Avro,
            r#"{"type": "record", "name": "O", "fields": [{"name": "id", "type": "string"}]}"#,
        );
        // 1 as zig-zag, then a text of one byte.
        let data = [2, 2, b'x'];
        let read = reader.as_reader(Some(&writer), Some("application/avro"), &data);
        assert_eq!(read.unwrap(), json!({"id": "x"}));
        assert!(
            reader
                .as_reader(None, Some("application/avro"), &data)
                .is_err()
        );
        let writer = schema(
            SchemaFormat::Protobuf,
            r#"syntax = "proto3"; message O { int32 old = 1; string id = 2; }"#,
        );
        let reader = schema(
            SchemaFormat::Protobuf,
            r#"syntax = "proto3"; message O { string id = 2; }"#,
        );
        let data = [8, 1, 18, 1, b'x'];
        let read = reader.as_reader(Some(&writer), Some("application/protobuf"), &data);
        assert_eq!(read.unwrap(), json!({"id": "x"}));
    }
}
