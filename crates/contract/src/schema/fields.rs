//! Which fields a schema declares: what a path of a contract or of a reader leads to. A schema that
//! says nothing about a name may allow it all the same; declared is what people can rely on.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::Value;

use super::Schema;
use super::avro::{AvroFile, Node, NodeId};
use super::json::{JsonSchema, SchemaFile};
use super::steps::{At, protobuf_field, protobuf_type, types};
use crate::path::Path;

/// References and alternatives are followed so far and no further.
const MAX_STEPS: usize = 10_000;
/// How deep they may stand in each other: a ring of references ends here.
const MAX_DEPTH: usize = 100;

/// Fields inside a field are listed so far.
const MAX_LISTED: usize = 500;
const MAX_LISTED_DEPTH: usize = 16;

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
        self.find(path.names(), false)
    }

    /// Returns the fields that lie inside the one at `path`, and those of the items of lists in it,
    /// which no path names: of `lines`, a list, `lines.sku` is what each item has. Bounded; a schema
    /// with more is cut.
    pub(crate) fn fields_inside(&self, path: &Path) -> BTreeMap<Path, Field> {
        let mut found = BTreeMap::new();
        let mut open = vec![(path.clone(), 0)];
        while let Some((at, depth)) = open.pop() {
            for name in self.names_at(at.names()) {
                let inside = at.member(&name);
                let Some(field) = self.field_in_lists(&inside) else {
                    continue;
                };
                if found.len() >= MAX_LISTED || found.contains_key(&inside) {
                    continue;
                }
                if depth < MAX_LISTED_DEPTH {
                    open.push((inside.clone(), depth + 1));
                }
                found.insert(inside, field);
            }
        }
        found
    }

    /// As [`Schema::field`], with the items of a list taken for the list.
    pub(crate) fn field_in_lists(&self, path: &Path) -> Option<Field> {
        self.find(path.names(), true)
    }

    fn find(&self, names: &[String], in_lists: bool) -> Option<Field> {
        match self {
            Self::Json(schema) => {
                let at = At::root(schema)?;
                Json::of(schema, in_lists).find(at, names)
            }
            Self::Avro(schema) => avro(&schema.file, schema.root, names, true, in_lists),
            Self::Protobuf(schema) => protobuf(&schema.message, names, in_lists),
        }
    }

    /// Returns the names declared in the value at a path.
    fn names_at(&self, names: &[String]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        match self {
            Self::Json(schema) => {
                if let Some(at) = At::root(schema) {
                    Json::of(schema, true).members(at, names, &mut found);
                }
            }
            Self::Avro(schema) => avro_members(&schema.file, schema.root, names, &mut found),
            Self::Protobuf(schema) => protobuf_members(&schema.message, names, &mut found),
        }
        found
    }

    /// Says whether a field is declared, or lies inside one whose members the schema leaves open.
    pub fn may_hold(&self, path: &Path) -> bool {
        self.field(path).is_some()
    }
}

struct Json<'a> {
    file: &'a SchemaFile,
    steps: usize,
    depth: usize,
    /// Whether the items of a list are taken for the list.
    in_lists: bool,
}

impl<'a> Json<'a> {
    fn of(schema: &'a JsonSchema, in_lists: bool) -> Self {
        Self {
            file: &schema.file,
            steps: 0,
            depth: 0,
            in_lists,
        }
    }

    /// Collects the names declared in the value at a path.
    fn members(&mut self, at: At<'a>, names: &[String], into: &mut BTreeSet<String>) {
        if !at.value.is_object() {
            return;
        }
        if self.steps >= MAX_STEPS || self.depth >= MAX_DEPTH || into.len() >= MAX_LISTED {
            return;
        }
        self.steps += 1;
        self.depth += 1;
        for (part, _) in at.parts(self.file) {
            self.members(part, names, into);
        }
        if let Some(items) = at.value.get("items").filter(|items| items.is_object()) {
            self.members(at.inside(items), names, into);
        }
        match names.split_first() {
            None => into.extend(at.declared().map(|(name, _)| name.clone())),
            Some((name, rest)) => {
                let properties = at.value.get("properties");
                if let Some(value) = properties.and_then(|properties| properties.get(name)) {
                    self.members(at.inside(value), rest, into);
                }
            }
        }
        self.depth -= 1;
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
        let inside = |value| at.inside(value);
        if let Some(Value::String(reference)) = keys.get("$ref")
            && let Some(target) = at.target(self.file, reference)
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
        if self.in_lists
            && !names.is_empty()
            && found.is_none()
            && let Some(items) = keys.get("items")
        {
            found = self.find(inside(items), names);
        }
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
            _ => self.find(at.inside(value), rest)?,
        };
        let required = at.value.get("required").and_then(Value::as_array);
        let named = required.is_some_and(|names| names.iter().any(|n| n == name));
        Some(Field {
            required: field.required && named,
            ..field
        })
    }
}

fn avro(
    file: &AvroFile,
    at: NodeId,
    names: &[String],
    required: bool,
    in_lists: bool,
) -> Option<Field> {
    let node = &file.nodes[at];
    if let Node::Union(branches) = node {
        // A union is not another union, so this ends with the path.
        let nullable = branches
            .iter()
            .any(|id| matches!(file.nodes[*id], Node::Null));
        let found: Vec<Field> = branches
            .iter()
            .filter(|id| !matches!(file.nodes[**id], Node::Null))
            .filter_map(|id| avro(file, *id, names, required && !nullable, in_lists))
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
            avro(file, field.node, rest, required, in_lists)
        }
        Node::Map(values) => avro(file, *values, rest, false, in_lists),
        Node::Array(items) if in_lists => avro(file, *items, names, required, true),
        _ => None,
    }
}

/// Collects the names declared in the value at a path; lists stand for their items.
fn avro_members(file: &AvroFile, at: NodeId, names: &[String], into: &mut BTreeSet<String>) {
    match (&file.nodes[at], names.split_first()) {
        (Node::Union(branches), _) => {
            // A union holds no union, and a list or record ends the path or takes a step of it.
            for branch in branches {
                avro_members(file, *branch, names, into);
            }
        }
        (Node::Array(items), _) if !matches!(file.nodes[*items], Node::Array(_)) => {
            avro_members(file, *items, names, into);
        }
        (Node::Record(record), None) => {
            into.extend(record.fields.iter().map(|field| field.name.clone()));
        }
        (Node::Record(record), Some((name, rest))) => {
            if let Some(&index) = record.by_name.get(name) {
                avro_members(file, record.fields[index].node, rest, into);
            }
        }
        _ => {}
    }
}

/// Collects the names declared in the message at a path; lists stand for their items.
fn protobuf_members(message: &MessageDescriptor, names: &[String], into: &mut BTreeSet<String>) {
    let Some((name, rest)) = names.split_first() else {
        into.extend(message.fields().map(|field| field.json_name().to_owned()));
        return;
    };
    if let Some(field) = protobuf_field(message, name)
        && let Kind::Message(inner) = field.kind()
        && !field.is_map()
    {
        protobuf_members(&inner, rest, into);
    }
}

fn protobuf(message: &MessageDescriptor, names: &[String], in_lists: bool) -> Option<Field> {
    let (name, rest) = names.split_first()?;
    let field = protobuf_field(message, name)?;
    if !rest.is_empty() {
        return match field.kind() {
            Kind::Message(inner) if (in_lists || !field.is_list()) && !field.is_map() => {
                protobuf(&inner, rest, in_lists)
            }
            _ => None,
        };
    }
    let kind = protobuf_type(&field.kind());
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
    fn fields_inside_a_field_are_those_of_its_items_too() {
        let check = |format, text: &str, expected: &[&str]| {
            let nothing = |path: &str| Err(format!("there is no `{path}`"));
            let parsed = ParsedFile::parse(format, "a", text, &mut Sources::new(&nothing)).unwrap();
            let found = parsed
                .at("")
                .unwrap()
                .fields_inside(&"$.lines".parse().unwrap());
            let told: Vec<String> = found
                .iter()
                .map(|(path, field)| {
                    let types: Vec<&str> = field.types.iter().map(String::as_str).collect();
                    format!("{path} {} {}", types.join("|"), field.required)
                })
                .collect();
            assert_eq!(told, expected);
        };
        let json = r##"{"properties": {"id": {"type": "string"}, "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}},
            "$defs": {"line": {"required": ["sku"], "properties": {"sku": {"type": "string"},
                "price": {"type": "object", "properties": {"amount": {"type": "integer"}}},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/line"}}}}}}"##;
        let nothing = |path: &str| Err(format!("there is no `{path}`"));
        let mut sources = Sources::new(&nothing);
        let ring = ParsedFile::parse(SchemaFormat::Json, "a", json, &mut sources).unwrap();
        let found = ring
            .at("")
            .unwrap()
            .fields_inside(&"$.lines".parse().unwrap());
        assert!(found.len() <= super::MAX_LISTED, "a ring ends");
        assert!(found.contains_key(&"$.lines.parts.price.amount".parse().unwrap()));
        let avro = r#"{"type": "record", "name": "O", "fields": [{"name": "lines", "type": {"type": "array", "items":
            {"type": "record", "name": "L", "fields": [{"name": "sku", "type": "string"}, {"name": "n", "type": ["null", "int"]}]}}}]}"#;
        check(
            SchemaFormat::Avro,
            avro,
            &["$.lines.n int false", "$.lines.sku string true"],
        );
        let proto = r#"syntax = "proto3"; message O { repeated Line lines = 1; message Line { string sku = 1; Price price = 2; } message Price { int64 amount = 1; } }"#;
        check(
            SchemaFormat::Protobuf,
            proto,
            &[
                "$.lines.price O.Price false",
                "$.lines.price.amount int64 true",
                "$.lines.sku string true",
            ],
        );
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
