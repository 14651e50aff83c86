//! A schema's fields as a list, for rules that look at all of them: where each is, its types, and how
//! many values it can have where the schema counts them. Items of lists are left out, since no path
//! leads to them. Bounded: of a schema that is larger than that, the nearest fields are told.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::Value;

use super::Schema;
use super::avro::{AvroFile, Node, NodeId};
use super::json::{JsonSchema, SchemaFile};
use super::steps::{At, protobuf_type, types};

/// Nobody looks at more, and references may multiply.
const MAX_STEPS: usize = 20_000;
/// How many names a told path has.
const MAX_NAMES: usize = 4;
/// How deep references and alternatives may stand in each other at one path.
const MAX_DEPTH: usize = 24;

/// A field of a schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outlined {
    /// From the root; at least one.
    pub(crate) names: Vec<String>,
    /// In the schema's own words; empty if it does not say.
    pub(crate) types: BTreeSet<String>,
    /// How many values it can have, where the schema lists them.
    pub(crate) values: Option<usize>,
}

impl Outlined {
    /// Returns the path as contracts write it.
    pub(crate) fn path(&self) -> String {
        format!("$.{}", self.names.join("."))
    }
}

#[derive(Default)]
struct Entry {
    types: BTreeSet<String>,
    listed: usize,
    open: bool,
}

#[derive(Default)]
struct Outline {
    entries: BTreeMap<Vec<String>, Entry>,
    steps: usize,
}

impl Schema {
    /// Returns the fields that the schema declares, those of all alternatives together.
    pub(crate) fn outline(&self) -> Vec<Outlined> {
        let mut outline = Outline::default();
        match self {
            Self::Json(schema) => {
                if let Some(at) = At::root(schema) {
                    outline.json(&schema.file, at, &mut Vec::new(), 0);
                }
            }
            Self::Avro(schema) => outline.avro(&schema.file, schema.root, &mut Vec::new()),
            Self::Protobuf(schema) => outline.protobuf(&schema.message, &mut Vec::new()),
        }
        outline.finish()
    }

    /// Returns the names of the fields of each alternative that the data as a whole can be; nothing
    /// if there is one shape only.
    pub(crate) fn alternatives(&self) -> Vec<BTreeSet<String>> {
        match self {
            Self::Json(schema) => json_alternatives(schema),
            Self::Avro(schema) => {
                let nodes = &schema.file.nodes;
                let Node::Union(branches) = &nodes[schema.root] else {
                    return Vec::new();
                };
                let records = branches.iter().filter_map(|id| match &nodes[*id] {
                    Node::Record(record) => Some(record.by_name.keys().cloned().collect()),
                    _ => None,
                });
                records.collect()
            }
            Self::Protobuf(schema) => {
                let kinds = schema
                    .message
                    .oneofs()
                    .flat_map(|oneof| oneof.fields().map(|field| field.kind()).collect::<Vec<_>>());
                let shapes = kinds.filter_map(|kind| match kind {
                    Kind::Message(message) => {
                        Some(message.fields().map(|f| f.name().to_owned()).collect())
                    }
                    _ => None,
                });
                shapes.collect()
            }
        }
    }
}

fn json_alternatives(schema: &JsonSchema) -> Vec<BTreeSet<String>> {
    let file = &*schema.file;
    let Some(mut at) = At::root(schema) else {
        return Vec::new();
    };
    for _ in 0..MAX_DEPTH {
        let reference = at.value.get("$ref").and_then(Value::as_str);
        match reference.and_then(|reference| at.target(file, reference)) {
            Some(next) => at = next,
            None => break,
        }
    }
    let keys = ["oneOf", "anyOf"];
    let parts = keys.iter().find_map(|key| at.value.get(key)?.as_array());
    let shapes = parts.into_iter().flatten().map(|value| {
        let mut outline = Outline::default();
        outline.json(file, at.inside(value), &mut Vec::new(), 0);
        let names = outline.entries.into_keys();
        names.filter_map(|names| names.into_iter().next()).collect()
    });
    shapes.collect()
}

impl Outline {
    fn finish(self) -> Vec<Outlined> {
        let mut fields: Vec<Outlined> = self
            .entries
            .into_iter()
            .map(|(names, entry)| Outlined {
                names,
                types: entry.types,
                values: (!entry.open && entry.listed > 0).then_some(entry.listed),
            })
            .collect();
        fields.sort_by_key(|field| field.names.len());
        fields
    }

    fn json<'a>(
        &mut self,
        file: &'a SchemaFile,
        at: At<'a>,
        names: &mut Vec<String>,
        depth: usize,
    ) {
        if self.steps >= MAX_STEPS || depth >= MAX_DEPTH {
            return;
        }
        self.steps += 1;
        let Some(keys) = at.value.as_object() else {
            return;
        };
        if !names.is_empty() {
            let entry = self.entries.entry(names.clone()).or_default();
            let found = types(at.value);
            let listed = keys.get("enum").and_then(Value::as_array).map(Vec::len);
            let listed = listed.or(keys.contains_key("const").then_some(1));
            let flag = found.len() == 1 && found.contains("boolean");
            match listed {
                Some(count) => entry.listed += count,
                None if flag => entry.listed += 2,
                None => entry.open |= found.iter().any(|kind| kind != "null"),
            }
            entry.types.extend(found);
        }
        for (part, _) in at.parts(file) {
            self.json(file, part, names, depth + 1);
        }
        if names.len() == MAX_NAMES {
            return;
        }
        for (name, inside) in at.declared() {
            names.push(name.clone());
            self.entries.entry(names.clone()).or_default();
            self.json(file, inside, names, 0);
            names.pop();
        }
    }

    fn avro(&mut self, file: &AvroFile, at: NodeId, names: &mut Vec<String>) {
        if self.steps >= MAX_STEPS {
            return;
        }
        self.steps += 1;
        let node = &file.nodes[at];
        if let Node::Union(branches) = node {
            return branches
                .iter()
                .filter(|id| !matches!(file.nodes[**id], Node::Null))
                .for_each(|id| self.avro(file, *id, names));
        }
        if !names.is_empty() {
            let entry = self.entries.entry(names.clone()).or_default();
            entry.types.insert(node.name().to_owned());
            match node {
                Node::Enum(declared) => entry.listed += declared.symbols.len(),
                Node::Boolean => entry.listed += 2,
                _ => entry.open = true,
            }
        }
        if let Node::Record(record) = node
            && names.len() < MAX_NAMES
        {
            for field in &record.fields {
                names.push(field.name.clone());
                self.avro(file, field.node, names);
                names.pop();
            }
        }
    }

    fn protobuf(&mut self, message: &MessageDescriptor, names: &mut Vec<String>) {
        for field in message.fields() {
            if self.steps >= MAX_STEPS {
                return;
            }
            self.steps += 1;
            names.push(field.json_name().to_owned());
            let entry = self.entries.entry(names.clone()).or_default();
            let many = field.is_list() || field.is_map();
            let kind = field.kind();
            entry.types.insert(protobuf_type(&kind));
            match &kind {
                Kind::Enum(declared) if !many => entry.listed += declared.values().len(),
                Kind::Bool if !many => entry.listed += 2,
                _ => entry.open = true,
            }
            let inner = match kind {
                Kind::Message(inner) if !many => Some(inner),
                _ => None,
            };
            if let Some(inner) = inner
                && names.len() < MAX_NAMES
            {
                self.protobuf(&inner, names);
            }
            names.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::SchemaFormat;
    use crate::schema::{ParsedFile, Schema, Sources};

    fn schema(format: SchemaFormat, text: &str) -> Schema {
        let nothing = |path: &str| Err(format!("there is no `{path}`"));
        let parsed = ParsedFile::parse(format, "a", text, &mut Sources::new(&nothing)).unwrap();
        parsed.at("").unwrap()
    }

    fn check(format: SchemaFormat, text: &str, expected: &[(&str, &str, Option<usize>)]) {
        let found: Vec<(String, String, Option<usize>)> = schema(format, text)
            .outline()
            .into_iter()
            .map(|field| {
                let types: Vec<String> = field.types.iter().cloned().collect();
                (field.path(), types.join("|"), field.values)
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, types, values)| ((*path).to_owned(), (*types).to_owned(), *values))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_of_all_alternatives_are_told_and_their_values_counted() {
        let text = r##"{
            "properties": {"kind": {"enum": ["a", "b"]}, "vip": {"type": "boolean"}, "tags": {"type": "array", "items": {"properties": {"no": {}}}}},
            "oneOf": [{"$ref": "#/definitions/a"}, {"properties": {"note": {"type": ["string", "null"]}, "kind": {"const": "c"}}}],
            "definitions": {"a": {"properties": {"total": {"$ref": "#/definitions/total"}, "again": {"$ref": "#/definitions/a"}}},
                "total": {"type": "object", "properties": {"amount": {"type": "integer"}}}}
        }"##;
        let found = schema(SchemaFormat::Json, text).outline();
        let paths: Vec<String> = found.iter().take(7).map(super::Outlined::path).collect();
        assert_eq!(
            paths,
            [
                "$.again",
                "$.kind",
                "$.note",
                "$.tags",
                "$.total",
                "$.vip",
                "$.again.again"
            ]
        );
        let values = |path: &str| {
            found
                .iter()
                .find(|field| field.path() == path)
                .unwrap()
                .values
        };
        assert_eq!(
            (values("$.kind"), values("$.vip"), values("$.note")),
            (Some(3), Some(2), None)
        );
        // A schema that holds itself ends.
        assert!(
            found
                .iter()
                .all(|field| field.names.len() <= super::MAX_NAMES)
        );
        let ring = r##"{"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}"##;
        check(SchemaFormat::Json, ring, &[]);
    }

    #[test]
    fn avro_and_protobuf_have_fields_too() {
        let text = r#"{"type": "record", "name": "Order", "fields": [
            {"name": "id", "type": "string"},
            {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["A", "B"]}},
            {"name": "total", "type": ["null", {"type": "record", "name": "Money", "fields": [{"name": "amount", "type": "long"}]}]}
        ]}"#;
        let expected = [
            ("$.id", "string", None),
            ("$.state", "State", Some(2)),
            ("$.total", "Money", None),
            ("$.total.amount", "long", None),
        ];
        check(SchemaFormat::Avro, text, &expected);
        let text = r#"syntax = "proto3"; message Order { string order_id = 1; Order parent = 2; bool vip = 3; }"#;
        let found = schema(SchemaFormat::Protobuf, text).outline();
        assert_eq!(found[0].path(), "$.orderId");
        assert_eq!(found[2].values, Some(2));
        assert!(found.len() < 20);
    }

    #[test]
    fn alternatives_are_those_of_the_whole_data() {
        let count = |format, text: &str| schema(format, text).alternatives().len();
        let json = r##"{"$ref": "#/definitions/a", "definitions": {"a": {"oneOf": [{"properties": {"x": {}}}, {"properties": {"y": {}}}]}}}"##;
        assert_eq!(count(SchemaFormat::Json, json), 2);
        assert_eq!(
            count(
                SchemaFormat::Json,
                r#"{"properties": {"x": {"oneOf": [{}, {}]}}}"#
            ),
            0
        );
        let avro = r#"[{"type": "record", "name": "A", "fields": []}, {"type": "record", "name": "B", "fields": []}]"#;
        assert_eq!(count(SchemaFormat::Avro, avro), 2);
        let protobuf = r#"syntax = "proto3"; message E { oneof of { A a = 1; B b = 2; } message A {} message B {} }"#;
        assert_eq!(count(SchemaFormat::Protobuf, protobuf), 2);
    }
}
