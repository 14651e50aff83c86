//! Which fields a schema declares: what a path of a contract or of a reader leads to. A schema that
//! says nothing about a name may allow it all the same; declared is what people can rely on.

use std::collections::BTreeSet;

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::Value;

use super::avro::{AvroFile, Node, NodeId};
use super::json::SchemaFile;
use super::{Schema, beside};
use crate::path::Path;

/// References and alternatives are followed so far and no further.
const MAX_STEPS: usize = 10_000;
/// How deep they may stand in each other: a ring of references ends here.
const MAX_DEPTH: usize = 100;

/// What a schema says of the field at a path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Field {
    /// The types it may have, in the schema's own words; empty if the schema does not say.
    pub types: BTreeSet<String>,
    /// Whether every document has it.
    pub required: bool,
}

impl Schema {
    /// Returns what the schema declares at `path`; nothing if it declares no such field.
    pub fn field(&self, path: &Path) -> Option<Field> {
        let names = path.names();
        match self {
            Self::Json(schema) => {
                let file = &*schema.file;
                let (path, root) = file.documents.get_key_value(&file.name)?;
                let value = root.pointer(&schema.pointer)?;
                Json::new(file).find(At { path, value }, names)
            }
            Self::Avro(schema) => avro(&schema.file, schema.root, names, true),
            Self::Protobuf(schema) => protobuf(&schema.message, names),
        }
    }

    /// Says whether a field is declared, or lies inside one whose members the schema leaves open.
    pub fn may_hold(&self, path: &Path) -> bool {
        self.field(path).is_some()
    }
}

/// A place in a JSON Schema.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) path: &'a str,
    pub(super) value: &'a Value,
}

pub(super) struct Json<'a> {
    file: &'a SchemaFile,
    steps: usize,
    depth: usize,
}

impl<'a> Json<'a> {
    pub(super) fn new(file: &'a SchemaFile) -> Self {
        Self {
            file,
            steps: 0,
            depth: 0,
        }
    }

    fn find(&mut self, at: At<'a>, names: &[String]) -> Option<Field> {
        if self.steps >= MAX_STEPS || self.depth >= MAX_DEPTH {
            return None;
        }
        self.steps += 1;
        self.depth += 1;
        let found = self.find_here(at, names);
        self.depth -= 1;
        found
    }

    fn find_here(&mut self, at: At<'a>, names: &[String]) -> Option<Field> {
        let keys = at.value.as_object()?;
        let inside = |value| At { value, ..at };
        if let Some(Value::String(reference)) = keys.get("$ref")
            && let Some(target) = target(self.file, at, reference)
            && let Some(found) = self.find(target, names)
        {
            return Some(found);
        }
        let here = match names {
            [] => Some(Field {
                types: types(at.value),
                required: true,
            }),
            [name, rest @ ..] => self.member(at, name, rest),
        };
        let mut found = here.filter(|field| !names.is_empty() || !field.types.is_empty());
        let lists = [("allOf", true), ("anyOf", false), ("oneOf", false)];
        for (key, all) in lists {
            let Some(Value::Array(parts)) = keys.get(key) else {
                continue;
            };
            let parts: Vec<Option<Field>> = parts
                .iter()
                .map(|part| self.find(inside(part), names))
                .collect();
            // Of alternatives, each must have it, if it is to be there always.
            let every = all
                || parts
                    .iter()
                    .all(|part| part.as_ref().is_some_and(|f| f.required));
            for part in parts.into_iter().flatten() {
                let field = found.get_or_insert_with(|| Field {
                    required: !all && every,
                    ..Field::default()
                });
                field.types.extend(part.types);
                field.required |= all && part.required;
            }
        }
        found.or_else(|| {
            names.is_empty().then(|| Field {
                required: true,
                ..Field::default()
            })
        })
    }

    fn member(&mut self, at: At<'a>, name: &str, rest: &[String]) -> Option<Field> {
        let value = at.value.get("properties")?.get(name)?;
        // `false` says that it must not be there.
        if *value == Value::Bool(false) {
            return None;
        }
        let field = match (value, rest) {
            (Value::Bool(true), []) => Field {
                required: true,
                ..Field::default()
            },
            _ => self.find(At { value, ..at }, rest)?,
        };
        let required = at.value.get("required").and_then(Value::as_array);
        let named = required.is_some_and(|names| names.iter().any(|n| n == name));
        Some(Field {
            required: field.required && named,
            ..field
        })
    }
}

/// Finds what a reference in a file leads to.
pub(super) fn target<'a>(file: &'a SchemaFile, from: At<'a>, reference: &str) -> Option<At<'a>> {
    let (target, fragment) = reference.split_once('#').unwrap_or((reference, ""));
    let documents = &file.documents;
    let own = documents[from.path].get("$id").and_then(Value::as_str);
    let path = match target {
        "" => from.path.to_owned(),
        target if own.is_some_and(|id| id.trim_end_matches('#') == target) => from.path.to_owned(),
        target => beside(from.path, target),
    };
    let (path, root) = documents.get_key_value(&path)?;
    let fragment = percent_encoding::percent_decode_str(fragment)
        .decode_utf8()
        .ok()?;
    let value = root.pointer(&fragment)?;
    Some(At { path, value })
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

fn avro(file: &AvroFile, at: NodeId, names: &[String], required: bool) -> Option<Field> {
    let node = &file.nodes[at];
    if let Node::Union(branches) = node {
        // A union is not another union, so this ends with the path.
        let nullable = branches
            .iter()
            .any(|id| matches!(file.nodes[*id], Node::Null));
        let found: Vec<Field> = branches
            .iter()
            .filter(|id| !matches!(file.nodes[**id], Node::Null))
            .filter_map(|id| avro(file, *id, names, required && !nullable))
            .collect();
        let others = branches.len() - usize::from(nullable);
        let every = found.len() == others && found.iter().all(|field| field.required);
        return (!found.is_empty()).then(|| Field {
            types: found.into_iter().flat_map(|field| field.types).collect(),
            required: every,
        });
    }
    let Some((name, rest)) = names.split_first() else {
        return Some(Field {
            types: BTreeSet::from([node.name().to_owned()]),
            required,
        });
    };
    match node {
        Node::Record(record) => {
            let field = &record.fields[*record.by_name.get(name)?];
            avro(file, field.node, rest, required)
        }
        Node::Map(values) => avro(file, *values, rest, false),
        _ => None,
    }
}

fn protobuf(message: &MessageDescriptor, names: &[String]) -> Option<Field> {
    let (name, rest) = names.split_first()?;
    let field = message
        .get_field_by_json_name(name)
        .or_else(|| message.get_field_by_name(name))?;
    if !rest.is_empty() {
        return match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => protobuf(&inner, rest),
            _ => None,
        };
    }
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(declared) => declared.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    let kind = match field.is_list() {
        true => format!("repeated {kind}"),
        false => kind,
    };
    Some(Field {
        types: BTreeSet::from([kind]),
        // Whoever reads a field of proto3 finds a value.
        required: !field.supports_presence(),
    })
}

#[cfg(test)]
mod tests {
    use crate::model::SchemaFormat;
    use crate::schema::{ParsedFile, Sources};

    fn check(format: SchemaFormat, text: &str, expected: &[(&str, Option<(&str, bool)>)]) {
        let nothing = |path: &str| Err(format!("there is no `{path}`"));
        let parsed = ParsedFile::parse(format, "a", text, &mut Sources::new(&nothing)).unwrap();
        let schema = parsed.at("").unwrap();
        for (path, expected) in expected {
            let field = schema.field(&path.parse().unwrap());
            let found = field.map(|field| {
                let types: Vec<String> = field.types.into_iter().collect();
                (types.join("|"), field.required)
            });
            let expected = expected.map(|(types, required)| (types.to_owned(), required));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn fields_of_a_json_schema() {
        let text = r##"{
            "type": "object", "required": ["id", "total", "party"],
            "properties": {
                "id": {"type": "string"},
                "note": {"type": ["string", "null"]},
                "total": {"$ref": "#/definitions/money"},
                "gone": false,
                "any": true,
                "kind": {"enum": ["a", 1]},
                "party": {"oneOf": [
                    {"properties": {"name": {"type": "string"}, "vat": {"type": "string"}}, "required": ["name"]},
                    {"properties": {"name": {"type": "string"}}, "required": ["name"]}
                ]}
            },
            "allOf": [{"properties": {"more": {"type": "integer"}}, "required": ["more"]}],
            "definitions": {"money": {"properties": {"amount": {"type": "integer"}}, "required": ["amount"]},
                "ring": {"$ref": "#/definitions/ring"}}
        }"##;
        let expected = [
            ("$.id", Some(("string", true))),
            ("$.note", Some(("null|string", false))),
            ("$.total.amount", Some(("integer", true))),
            ("$.total.currency", None),
            ("$.total", Some(("", true))),
            ("$.gone", None),
            ("$.any", Some(("", false))),
            ("$.kind", Some(("number|string", false))),
            ("$.party.name", Some(("string", true))),
            ("$.party.vat", Some(("string", false))),
            ("$.more", Some(("integer", true))),
            ("$.id.deeper", None),
        ];
        check(SchemaFormat::Json, text, &expected);
        let ring = r##"{"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}"##;
        check(SchemaFormat::Json, ring, &[("$.x", None)]);
    }

    #[test]
    fn fields_of_an_avro_schema() {
        let text = r#"{"type": "record", "name": "Order", "fields": [
            {"name": "id", "type": "string"},
            {"name": "total", "type": {"type": "record", "name": "Money", "fields": [{"name": "amount", "type": "long"}]}},
            {"name": "note", "type": ["null", "string"], "default": null},
            {"name": "old", "type": ["null", "Money"], "default": null},
            {"name": "tags", "type": {"type": "map", "values": "string"}}
        ]}"#;
        let expected = [
            ("$.id", Some(("string", true))),
            ("$.total.amount", Some(("long", true))),
            ("$.note", Some(("string", false))),
            ("$.old.amount", Some(("long", false))),
            ("$.tags.any", Some(("string", false))),
            ("$.total.currency", None),
        ];
        check(SchemaFormat::Avro, text, &expected);
    }

    #[test]
    fn fields_of_a_protobuf_message() {
        let text = r#"syntax = "proto3"; message Order { string order_id = 1; Money total = 2; repeated string tags = 3;
            message Money { int64 amount = 1; } }"#;
        let expected = [
            ("$.orderId", Some(("string", true))),
            ("$.order_id", Some(("string", true))),
            ("$.total.amount", Some(("int64", true))),
            ("$.total", Some(("Order.Money", false))),
            ("$.tags", Some(("repeated string", true))),
            ("$.total.currency", None),
        ];
        check(SchemaFormat::Protobuf, text, &expected);
    }
}
