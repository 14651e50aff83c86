//! Data that keeps an Avro schema, from its JSON form to the binary encoding (Avro 1.12 «Binary
//! encoding»). A union takes the first branch that the value fits, or the one that it names, as
//! `json.rs` reads it; a field that is left out gets its default.

use super::json::Fits;
use super::{AvroSchema, Node, NodeId};
use crate::schema_id::put_zig_zag;
use crate::tree::{Tree, member};

/// As deep as JSON data may be.
const MAX_DEPTH: usize = 128;

pub(super) fn encode(schema: &AvroSchema, data: &Tree<'_>) -> Result<Vec<u8>, String> {
    let mut encoding = Encoding {
        nodes: &schema.file.nodes,
        fits: Fits::new(schema),
        out: Vec::new(),
    };
    encoding.value(schema.root, data, 0)?;
    Ok(encoding.out)
}

struct Encoding<'a> {
    nodes: &'a [Node],
    /// Says which branch of a union is meant; bounded over all of the data.
    fits: Fits<'a>,
    out: Vec<u8>,
}

impl Encoding<'_> {
    fn value(&mut self, node: NodeId, value: &Tree<'_>, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("nests Avro values deeper than {MAX_DEPTH}"));
        }
        let nodes = self.nodes;
        match (&nodes[node], value) {
            (Node::Null, Tree::Null) => {}
            (Node::Boolean, Tree::Bool(flag)) => self.out.push(u8::from(*flag)),
            (Node::Int | Node::Long, Tree::Number(number)) => {
                self.long(number.as_i64().ok_or_else(misfit)?);
            }
            (Node::Float, value) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "an Avro float is the nearest one of 32 bits"
                )]
                let number = float(value)? as f32;
                self.out.extend_from_slice(&number.to_le_bytes());
            }
            (Node::Double, value) => self.out.extend_from_slice(&float(value)?.to_le_bytes()),
            (Node::Bytes, Tree::Text(text)) => {
                let bytes = latin_1(text)?;
                self.counted(&bytes);
            }
            (Node::Fixed { size, .. }, Tree::Text(text)) => {
                let bytes = latin_1(text)?;
                if bytes.len() != *size {
                    return Err(misfit());
                }
                self.out.extend_from_slice(&bytes);
            }
            (Node::String, Tree::Text(text)) => self.counted(text.as_bytes()),
            (Node::Enum(declared), Tree::Text(text)) => {
                let index = declared.symbols.iter().position(|symbol| symbol == &**text);
                self.count(index.ok_or_else(misfit)?);
            }
            (Node::Array(items), Tree::List(values)) => {
                self.block(values.len());
                for value in values {
                    self.value(*items, value, depth + 1)?;
                }
                self.out.push(0);
            }
            (Node::Map(inner), Tree::Object(entries)) => {
                self.block(entries.len());
                for (key, value) in entries {
                    self.counted(key.as_bytes());
                    self.value(*inner, value, depth + 1)?;
                }
                self.out.push(0);
            }
            (Node::Union(branches), value) => {
                let (index, value) = self.branch(branches, value).ok_or_else(misfit)?;
                self.count(index);
                self.value(branches[index], value, depth + 1)?;
            }
            (Node::Record(record), Tree::Object(entries)) => {
                for field in &record.fields {
                    match (member(entries, &field.name), &field.default) {
                        (Some(value), _) => self.value(field.node, value, depth + 1)?,
                        (None, Some(default)) => {
                            let default = Tree::from(default.clone());
                            self.value(field.node, &default, depth + 1)?;
                        }
                        (None, None) => return Err(misfit()),
                    }
                }
            }
            _ => return Err(misfit()),
        }
        Ok(())
    }

    /// Finds the branch of a value: by itself, or as Avro's JSON encoding names it.
    fn branch<'v, 't>(
        &mut self,
        branches: &[NodeId],
        value: &'v Tree<'t>,
    ) -> Option<(usize, &'v Tree<'t>)> {
        let fits = |branch: &NodeId| self.fits.fits(*branch, value);
        if let Some(index) = branches.iter().position(fits) {
            return Some((index, value));
        }
        let Tree::Object(entries) = value else {
            return None;
        };
        let [(tag, inner)] = entries.as_slice() else {
            return None;
        };
        let nodes = self.nodes;
        let index = branches.iter().position(|b| nodes[*b].name() == &**tag)?;
        self.fits
            .fits(branches[index], inner)
            .then_some((index, inner))
    }

    /// Begins the only block; a block of nothing is the end.
    fn block(&mut self, items: usize) {
        if items > 0 {
            self.count(items);
        }
    }

    fn counted(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn count(&mut self, count: usize) {
        self.long(i64::try_from(count).expect("what is in memory has fewer"));
    }

    fn long(&mut self, number: i64) {
        put_zig_zag(&mut self.out, number);
    }
}

fn float(value: &Tree<'_>) -> Result<f64, String> {
    match value {
        Tree::Number(number) => number.as_f64(),
        Tree::Text(text) => match &**text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
    .ok_or_else(misfit)
}

fn latin_1(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c)));
    bytes.collect::<Result<_, _>>().map_err(|_| misfit())
}

fn misfit() -> String {
    "does not fit its schema".to_owned()
}
