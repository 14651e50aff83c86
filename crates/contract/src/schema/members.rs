//! The fields a schema declares, listed: what pages show and other formats take over. Like `fields`,
//! it tells what people can rely on; alternatives are shown together. A type inside itself is listed
//! once, and all is bounded.

use std::collections::BTreeSet;

use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::Schema;
use super::avro::{AvroFile, Node, NodeId};
use super::json::SchemaFile;
use super::steps::{At, protobuf_type, types};

/// How deep fields are listed, and how many.
const MAX_DEPTH: usize = 16;
const MAX_MEMBERS: usize = 2_000;

/// One declared field.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Member {
    /// Its name as the data has it.
    pub name: String,
    /// The types it may have, or its items if it is a list, in the schema's own words.
    pub types: BTreeSet<String>,
    /// Whether every document has it, where its parent is.
    pub required: bool,
    /// Whether it is a list.
    pub list: bool,
    /// What the schema says of it to people.
    pub about: Option<String>,
    /// The fields inside it, or inside its items.
    pub members: Vec<Member>,
}

impl Schema {
    /// Returns the fields that the data may have at its root, with those inside them.
    pub fn members(&self) -> Vec<Member> {
        let mut left = MAX_MEMBERS;
        match self {
            Self::Json(schema) => {
                let file = &*schema.file;
                let start = At::root(schema);
                start.map_or_else(Vec::new, |at| {
                    json_members(file, &[(at, true)], &mut Vec::new(), &mut left)
                })
            }
            Self::Avro(schema) => avro(&schema.file, schema.root, &mut Vec::new(), &mut left),
            Self::Protobuf(schema) => protobuf(&schema.message, &mut Vec::new(), &mut left),
        }
    }
}

/// A place in a JSON Schema, and whether its word always counts.
pub(super) type Place<'a> = (At<'a>, bool);

fn json_members(
    file: &SchemaFile,
    starts: &[Place<'_>],
    around: &mut Vec<*const Value>,
    left: &mut usize,
) -> Vec<Member> {
    let places = spread(file, starts);
    let open = places
        .iter()
        .filter(|(at, _)| at.value.get("properties").is_some())
        .map(|(at, _)| std::ptr::from_ref(at.value));
    let open: Vec<*const Value> = open.collect();
    if around.len() >= MAX_DEPTH || open.iter().any(|place| around.contains(place)) {
        return Vec::new();
    }
    let depth = around.len();
    around.extend(open);
    let mut named: Vec<(&str, Vec<Place<'_>>, bool)> = Vec::new();
    for (at, sure) in &places {
        let required = at.value.get("required").and_then(Value::as_array);
        for (name, inside) in at.declared() {
            let must = *sure && required.is_some_and(|names| names.iter().any(|n| n == name));
            let place = (inside, *sure);
            match named.iter_mut().find(|(known, ..)| known == name) {
                Some((_, starts, required)) => {
                    starts.push(place);
                    *required |= must;
                }
                None => named.push((name, vec![place], must)),
            }
        }
    }
    let mut members = Vec::new();
    for (name, starts, required) in named {
        let Some(rest) = left.checked_sub(1) else {
            break;
        };
        *left = rest;
        let inside = spread(file, &starts);
        let mut found: BTreeSet<String> =
            inside.iter().flat_map(|(at, _)| types(at.value)).collect();
        let items: Vec<Place<'_>> = inside
            .iter()
            .filter_map(|(at, sure)| {
                Some((
                    At {
                        value: at.value.get("items")?,
                        ..*at
                    },
                    *sure,
                ))
            })
            .filter(|(at, _)| at.value.is_object())
            .collect();
        let list = found.contains("array");
        let about = inside
            .iter()
            .find_map(|(at, _)| at.value.get("description")?.as_str());
        let inner = match list {
            true => {
                found.remove("array");
                let items = spread(file, &items);
                found.extend(items.iter().flat_map(|(at, _)| types(at.value)));
                json_members(file, &items, around, left)
            }
            false => json_members(file, &inside, around, left),
        };
        members.push(Member {
            name: name.to_owned(),
            types: found,
            required,
            list,
            about: about.map(str::to_owned),
            members: inner,
        });
    }
    around.truncate(depth);
    members
}

/// Follows references and alternatives to all places whose word counts here.
pub(super) fn spread<'a>(file: &'a SchemaFile, starts: &[Place<'a>]) -> Vec<Place<'a>> {
    const MAX_PLACES: usize = 200;
    let mut places: Vec<Place<'a>> = Vec::new();
    let mut open: Vec<Place<'a>> = starts.iter().rev().copied().collect();
    while let Some((at, sure)) = open.pop() {
        let known = places
            .iter()
            .any(|(place, _)| std::ptr::eq(place.value, at.value));
        if known || places.len() >= MAX_PLACES {
            continue;
        }
        places.push((at, sure));
        let parts = at.parts(file).into_iter().rev();
        open.extend(parts.map(|(part, all)| (part, sure && all)));
    }
    places
}

fn avro(file: &AvroFile, at: NodeId, around: &mut Vec<NodeId>, left: &mut usize) -> Vec<Member> {
    let Node::Record(record) = &file.nodes[at] else {
        return Vec::new();
    };
    if around.len() >= MAX_DEPTH || around.contains(&at) {
        return Vec::new();
    }
    around.push(at);
    let mut members = Vec::new();
    for field in &record.fields {
        let Some(rest) = left.checked_sub(1) else {
            break;
        };
        *left = rest;
        let branches = match &file.nodes[field.node] {
            Node::Union(branches) => branches.clone(),
            _ => vec![field.node],
        };
        let is_null = |id: &NodeId| matches!(file.nodes[*id], Node::Null);
        let nullable = branches.iter().any(is_null);
        let others: Vec<NodeId> = branches.into_iter().filter(|id| !is_null(id)).collect();
        let items: Vec<NodeId> = others
            .iter()
            .filter_map(|id| match &file.nodes[*id] {
                Node::Array(items) => Some(*items),
                _ => None,
            })
            .collect();
        let list = !items.is_empty() && items.len() == others.len();
        let inner = if list { &items } else { &others };
        let found = inner.iter().map(|id| match &file.nodes[*id] {
            Node::Map(values) => format!("map of {}", file.nodes[*values].name()),
            node => node.name().to_owned(),
        });
        members.push(Member {
            name: field.name.clone(),
            types: found.collect(),
            required: !nullable,
            list,
            about: None,
            members: inner
                .iter()
                .flat_map(|id| avro(file, *id, around, left))
                .collect(),
        });
    }
    around.pop();
    members
}

fn protobuf(
    message: &MessageDescriptor,
    around: &mut Vec<String>,
    left: &mut usize,
) -> Vec<Member> {
    let mut members = Vec::new();
    let name = message.full_name().to_owned();
    if around.len() >= MAX_DEPTH || around.contains(&name) {
        return members;
    }
    around.push(name);
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    for field in fields {
        let Some(rest) = left.checked_sub(1) else {
            break;
        };
        *left = rest;
        let (types, inner) = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let values = protobuf_type(&entry.map_entry_value_field().kind());
                (format!("map of {values}"), Vec::new())
            }
            // The well-known types have a form of their own in JSON.
            Kind::Message(inner) if !inner.full_name().starts_with("google.protobuf.") => {
                let types = inner.full_name().to_owned();
                (types, protobuf(&inner, around, left))
            }
            kind => (protobuf_type(&kind), Vec::new()),
        };
        members.push(Member {
            name: field.json_name().to_owned(),
            types: BTreeSet::from([types]),
            // Whoever reads a field of proto3 finds a value.
            required: field.cardinality() == Cardinality::Required || !field.supports_presence(),
            list: field.is_list(),
            about: None,
            members: inner,
        });
    }
    around.pop();
    members
}
