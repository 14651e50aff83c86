//! What a schema says of a field that is to be protected: may it be missing, and which texts may stand there.
//! Alternatives count together, so that what any of them demands is demanded. What is said in other ways
//! (`if`, `not`, `minProperties`) is met when an event is protected.

use prost_reflect::{Cardinality, Kind};
use serde_json::Value;

use super::Schema;
use super::avro::{AvroFile, Node, NodeId};
use super::members::{Place, spread};
use super::steps::{At, protobuf_field, types};
use crate::path::Path;

/// Keywords that leave a text little choice.
const NARROW: [&str; 4] = ["format", "pattern", "enum", "const"];

/// What may stand at a path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Guarded {
    /// Whether data without it keeps the schema, in the way that it is taken out.
    pub(crate) may_go: bool,
    /// Whether data without it can be told from data with it.
    pub(crate) is_told: bool,
    /// Whether it is a text or nothing.
    pub(crate) is_text: bool,
    /// Whether any text of the right length will do.
    pub(crate) is_free: bool,
    /// How many characters a text has.
    pub(crate) characters: (u64, u64),
}

impl Schema {
    /// Returns what the schema says of the field at a path; nothing if it declares none.
    pub(crate) fn guarded(&self, path: &Path) -> Option<Guarded> {
        match self {
            Self::Json(schema) => {
                let start = [(At::root(schema)?, true)];
                let mut places = spread(&schema.file, &start);
                let mut may_go = true;
                for name in path.names() {
                    let demands = |(at, _): &Place<'_>| {
                        let required = at.value.get("required").and_then(Value::as_array);
                        required.is_some_and(|names| names.iter().any(|n| n == name))
                    };
                    may_go = !places.iter().any(demands);
                    let inside = places
                        .iter()
                        .flat_map(|(at, _)| at.declared())
                        .filter(|(known, _)| *known == name);
                    let starts: Vec<Place<'_>> = inside.map(|(_, at)| (at, true)).collect();
                    places = spread(&schema.file, &starts);
                }
                (!places.is_empty()).then(|| json(&places, may_go))
            }
            Self::Avro(schema) => {
                let mut ends = Vec::new();
                avro(&schema.file, schema.root, path.names(), &mut ends);
                let nodes = &schema.file.nodes;
                let is_null = |id: &NodeId| matches!(nodes[*id], Node::Null);
                let others: Vec<&NodeId> = ends.iter().filter(|id| !is_null(id)).collect();
                (!ends.is_empty()).then(|| Guarded {
                    may_go: others.len() < ends.len(),
                    is_told: true,
                    is_text: others.iter().all(|id| matches!(nodes[**id], Node::String)),
                    is_free: true,
                    characters: (0, u64::MAX),
                })
            }
            Self::Protobuf(schema) => {
                let (last, way) = path.names().split_last()?;
                let mut message = schema.message.clone();
                for name in way {
                    message = match protobuf_field(&message, name)?.kind() {
                        Kind::Message(inner) => inner,
                        _ => return None,
                    };
                }
                let field = protobuf_field(&message, last)?;
                let single = !field.is_list() && !field.is_map();
                Some(Guarded {
                    may_go: field.cardinality() != Cardinality::Required,
                    is_told: field.supports_presence(),
                    is_text: single && matches!(field.kind(), Kind::String),
                    is_free: true,
                    characters: (0, u64::MAX),
                })
            }
        }
    }

    /// Returns the names that data may have for each step of a path: Protobuf has two for one field.
    pub(crate) fn names_of(&self, path: &Path) -> Vec<Vec<String>> {
        let mut message = match self {
            Self::Protobuf(schema) => Some(schema.message.clone()),
            _ => None,
        };
        let names = path.names().iter().map(|name| {
            let field = message
                .take()
                .and_then(|message| protobuf_field(&message, name));
            let Some(field) = field else {
                return vec![name.clone()];
            };
            if let Kind::Message(inner) = field.kind() {
                message = Some(inner);
            }
            vec![field.json_name().to_owned(), field.name().to_owned()]
        });
        names.collect()
    }
}

fn json(places: &[Place<'_>], may_go: bool) -> Guarded {
    let of_all = |key: &'static str| {
        let numbers = places
            .iter()
            .filter_map(move |(at, _)| at.value.get(key)?.as_u64());
        numbers.collect::<Vec<u64>>()
    };
    let mut found = places.iter().flat_map(|(at, _)| types(at.value)).peekable();
    let is_said = found.peek().is_some();
    let is_narrow = |(at, _): &Place<'_>| NARROW.iter().any(|key| at.value.get(key).is_some());
    Guarded {
        may_go,
        is_told: true,
        is_text: is_said && found.all(|word| word == "string" || word == "null"),
        is_free: !places.iter().any(is_narrow),
        characters: (
            of_all("minLength").into_iter().max().unwrap_or(0),
            of_all("maxLength").into_iter().min().unwrap_or(u64::MAX),
        ),
    }
}

/// Collects what stands at the end of a path, `null` among it.
fn avro(file: &AvroFile, at: NodeId, names: &[String], ends: &mut Vec<NodeId>) {
    match (&file.nodes[at], names.split_first()) {
        // A union holds no union, so this ends with the path.
        (Node::Union(branches), _) => {
            for branch in branches {
                avro(file, *branch, names, ends);
            }
        }
        (_, None) => ends.push(at),
        (Node::Record(record), Some((name, rest))) => {
            if let Some(&index) = record.by_name.get(name) {
                avro(file, record.fields[index].node, rest, ends);
            }
        }
        _ => {}
    }
}
