//! Avro schemas as Java's parser reads them (Avro 1.12): named types with namespaces and aliases,
//! references forward and back. A named type that the file lacks is looked for in a file of its full
//! name in the same folder, `com.example.Money.avsc`, as fastavro's `load_schema` does. The parser
//! and the codec are ours, since a decoder must bound what a stranger's few bytes may cost.

mod binary;
mod encode;
mod json;
mod parse;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{SchemaError, Sources};
use crate::check::Reasons;
use crate::tree::Tree;

pub(crate) use binary::Wanted;

/// What the data may be called when it is in Avro's binary encoding.
pub(crate) const MEDIA_TYPES: &[&str] = &["application/avro", "avro/binary"];

/// A place in the arena of a file.
pub(crate) type NodeId = usize;

/// A type. Named types are one node each, however often they are referred to.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Fixed {
        name: Name,
        size: usize,
    },
    Enum(Enum),
    Record(Record),
    /// A reference by name until the file is read; none is left after that.
    Reference(Reference),
}

/// The name of a record, an enum or a fixed.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) full: String,
    /// Full names.
    pub(crate) aliases: Vec<String>,
}

impl Name {
    /// Returns the name without its namespace.
    pub(crate) fn short(&self) -> &str {
        self.full.rsplit('.').next().unwrap_or_default()
    }
}

#[derive(Debug)]
pub(crate) struct Enum {
    pub(crate) name: Name,
    pub(crate) symbols: Vec<String>,
    pub(crate) default: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: Name,
    pub(crate) fields: Vec<Field>,
    pub(crate) by_name: HashMap<String, usize>,
    /// The fields by their names, as the members of a tree are sorted.
    pub(crate) in_order: Vec<usize>,
    /// Where each field stands in that order.
    pub(crate) places: Vec<usize>,
}

impl Record {
    fn new(name: Name, fields: Vec<Field>) -> Self {
        let by_name = fields.iter().enumerate();
        let by_name = by_name
            .map(|(index, field)| (field.name.clone(), index))
            .collect();
        let mut in_order: Vec<usize> = (0..fields.len()).collect();
        in_order.sort_unstable_by(|left, right| fields[*left].name.cmp(&fields[*right].name));
        let mut places = vec![0; fields.len()];
        for (place, index) in in_order.iter().enumerate() {
            places[*index] = place;
        }
        Self {
            name,
            fields,
            by_name,
            in_order,
            places,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) default: Option<Value>,
    pub(crate) node: NodeId,
}

/// A name that was used before it was known.
#[derive(Debug)]
pub(crate) struct Reference {
    /// In its namespace, then without one.
    pub(crate) candidates: Vec<String>,
    pub(crate) file: String,
    pub(crate) at: String,
}

impl Node {
    /// Names the type as Avro's JSON encoding does: a named type by its full name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Fixed { name, .. } => &name.full,
            Self::Enum(declared) => &declared.name.full,
            Self::Record(record) => &record.name.full,
            Self::Reference(_) => "reference",
        }
    }
}

/// A schema file with what it refers to, as an arena of types.
#[derive(Debug)]
pub(crate) struct AvroFile {
    name: String,
    /// The file's own text and those it leads to, in the order of their reading.
    pub(super) texts: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    root: NodeId,
    named: HashMap<String, NodeId>,
}

/// The schema of one contract: a type of a file.
#[derive(Debug)]
pub struct AvroSchema {
    pub(crate) file: Arc<AvroFile>,
    pub(crate) root: NodeId,
    /// The named type, if it is not the file's own.
    pub(super) name: Option<String>,
}

impl AvroFile {
    /// Returns the named type of this full name.
    pub(crate) fn named_node(&self, name: &str) -> Option<NodeId> {
        self.named.get(name).copied()
    }

    /// Parses a schema file and those that it needs.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        sources: &mut Sources<'_>,
    ) -> Result<Self, SchemaError> {
        parse::parse(name, text, sources)
    }
}

impl AvroSchema {
    /// Points to the file's type, or behind `/` to a named one in it.
    pub(crate) fn at(file: Arc<AvroFile>, pointer: &str) -> Result<Self, SchemaError> {
        let name = pointer.strip_prefix('/').unwrap_or(pointer);
        let root = match name {
            "" => file.root,
            name => *file.named.get(name).ok_or_else(|| SchemaError::Reference {
                file: file.name.clone(),
                problem: format!("there is no named type `{name}`"),
            })?,
        };
        let name = (!name.is_empty()).then(|| name.to_owned());
        Ok(Self { file, root, name })
    }

    /// Parses a schema that stands alone, as a registry is sent one.
    ///
    /// # Errors
    /// The schema cannot be used.
    pub fn parse(name: &str, text: &str) -> Result<Self, SchemaError> {
        let nothing = |path: &str| Err(format!("there is no schema file `{path}`"));
        let file = AvroFile::parse(name, text, &mut Sources::new(&nothing))?;
        Self::at(Arc::new(file), "")
    }

    pub(crate) fn check(&self, data: &Tree<'_>, into: &mut Reasons) {
        json::check(self, data, into);
    }

    /// Reads the binary encoding, as far as it is wanted; all of it is seen to be well-formed.
    pub(crate) fn decode<'a>(
        &'a self,
        data: &'a [u8],
        wanted: Wanted<'_>,
    ) -> Result<Tree<'a>, String> {
        binary::decode(self, data, wanted)
    }

    /// Writes the binary encoding of data that keeps the schema.
    pub(crate) fn encode(&self, data: &Tree<'_>) -> Result<Vec<u8>, String> {
        encode::encode(self, data)
    }
}
