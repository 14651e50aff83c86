//! Avro's schema resolution as Java's `SchemaCompatibility` 1.12 judges it, with its names and
//! paths: names without their namespace, readers' aliases, promotions, unions branch by branch,
//! defaults of fields and enums; logical types are not compared. Where Java throws (a reader's field
//! that matches two of the writer's), the pair is incompatible.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::avro::{AvroFile, AvroSchema, Enum, Field, Name, Node, NodeId, Record};
use super::{Incompatibility, MAX_DEPTH, MAX_REASONS, MAX_STEPS};

pub(super) fn unreadable(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Incompatibility> {
    let mut checking = Checking {
        reader: &reader.file,
        writer: &writer.file,
        known: HashMap::new(),
        location: Vec::new(),
        steps: MAX_STEPS,
    };
    let found = checking.pair(reader.root, writer.root);
    found.to_vec()
}

/// What is wrong with a pair, shared by all places that lead to it.
type Found = Rc<[Incompatibility]>;

struct Checking<'a> {
    reader: &'a AvroFile,
    writer: &'a AvroFile,
    /// Pairs seen; nothing for one that is being looked at, which counts as compatible meanwhile.
    known: HashMap<(NodeId, NodeId), Option<Found>>,
    location: Vec<String>,
    steps: usize,
}

impl Checking<'_> {
    fn pair(&mut self, reader: NodeId, writer: NodeId) -> Found {
        if let Some(known) = self.known.get(&(reader, writer)) {
            return known.clone().unwrap_or_default();
        }
        let cost = match (&self.reader.nodes[reader], &self.writer.nodes[writer]) {
            (Node::Record(reader), Node::Record(_)) => {
                let names = |field: &Field| 1 + field.aliases.len();
                1 + reader.name.aliases.len() + reader.fields.iter().map(names).sum::<usize>()
            }
            (Node::Enum(reader), Node::Enum(writer)) => {
                1 + reader.name.aliases.len() + reader.symbols.len() + writer.symbols.len()
            }
            _ => 1,
        };
        if self.steps < cost || self.location.len() > 3 * MAX_DEPTH {
            self.steps = 0;
            return [Incompatibility::too_complex(self.path())].into();
        }
        self.steps -= cost;
        self.known.insert((reader, writer), None);
        let mut found = Vec::new();
        self.compare(reader, writer, &mut found);
        found.truncate(MAX_REASONS);
        let found: Found = found.into();
        self.known.insert((reader, writer), Some(Rc::clone(&found)));
        found
    }

    /// Compares what lies below here, a step further.
    fn below(
        &mut self,
        step: impl Into<String>,
        reader: NodeId,
        writer: NodeId,
        found: &mut Vec<Incompatibility>,
    ) {
        self.location.push(step.into());
        let below = self.pair(reader, writer);
        self.location.pop();
        let room = MAX_REASONS.saturating_sub(found.len());
        found.extend(below.iter().take(room).cloned());
    }

    /// Compares a branch of a union; Java looks at it as at a schema of its own.
    fn branch(&mut self, reader: NodeId, writer: NodeId) -> bool {
        let location = std::mem::take(&mut self.location);
        // The depth must not be forgotten, though the path is.
        self.location = vec![String::new(); location.len()];
        let fits = self.pair(reader, writer).is_empty();
        self.location = location;
        fits
    }

    fn compare(&mut self, reader: NodeId, writer: NodeId, found: &mut Vec<Incompatibility>) {
        let (read, written) = (&self.reader.nodes[reader], &self.writer.nodes[writer]);
        match (read, written) {
            (Node::Array(reader), Node::Array(writer)) => {
                self.below("items", *reader, *writer, found);
            }
            (Node::Map(reader), Node::Map(writer)) => {
                self.below("values", *reader, *writer, found);
            }
            (
                Node::Fixed { name, size },
                Node::Fixed {
                    name: written_name,
                    size: written_size,
                },
            ) => {
                self.names(name, written_name, found);
                if size != written_size {
                    let detail =
                        format!("the reader's size is {size}, the writer's {written_size}");
                    self.add("size", "FIXED_SIZE_MISMATCH", detail, found);
                }
            }
            (Node::Enum(reader), Node::Enum(writer)) => self.enums(reader, writer, found),
            (Node::Record(reader), Node::Record(writer)) => {
                self.names(&reader.name, &writer.name, found);
                self.records(reader, writer, writer_id(writer, self.writer), found);
            }
            (Node::Union(_), Node::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    if !self.branch(reader, *branch) {
                        let name = self.writer.nodes[*branch].name();
                        let detail = format!("no branch of the reader's union reads `{name}`");
                        self.add(index.to_string(), "MISSING_UNION_BRANCH", detail, found);
                    }
                }
            }
            (_, Node::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    self.below(index.to_string(), reader, *branch, found);
                }
            }
            (Node::Union(branches), _) => {
                if !branches.iter().any(|branch| self.branch(*branch, writer)) {
                    let name = written.name();
                    let detail = format!("no branch of the reader's union reads `{name}`");
                    found.push(Incompatibility::new(
                        self.path(),
                        "MISSING_UNION_BRANCH",
                        detail,
                    ));
                }
            }
            (read, written) if is_promotion(read, written) => {}
            (read, written) => {
                let detail = format!("`{}` does not read `{}`", read.name(), written.name());
                found.push(Incompatibility::new(self.path(), "TYPE_MISMATCH", detail));
            }
        }
    }

    fn names(&mut self, reader: &Name, writer: &Name, found: &mut Vec<Incompatibility>) {
        if reader.short() != writer.short() && !reader.aliases.contains(&writer.full) {
            let detail = format!(
                "`{}` is neither the writer's name, `{}`, nor has it as an alias",
                reader.full, writer.full
            );
            self.add("name", "NAME_MISMATCH", detail, found);
        }
    }

    fn enums(&mut self, reader: &Enum, writer: &Enum, found: &mut Vec<Incompatibility>) {
        self.names(&reader.name, &writer.name, found);
        if reader.default.is_some() {
            return;
        }
        let known: std::collections::HashSet<&String> = reader.symbols.iter().collect();
        let missing: Vec<String> = writer
            .symbols
            .iter()
            .filter(|symbol| !known.contains(symbol))
            .take(8)
            .map(|symbol| format!("`{symbol}`"))
            .collect();
        if !missing.is_empty() {
            let detail = format!(
                "the reader lacks {} and has no default symbol",
                missing.join(", ")
            );
            self.add("symbols", "MISSING_ENUM_SYMBOLS", detail, found);
        }
    }

    fn records(
        &mut self,
        reader: &Record,
        writer: &Record,
        writer_id: Option<NodeId>,
        found: &mut Vec<Incompatibility>,
    ) {
        self.location.push("fields".to_owned());
        for (index, field) in reader.fields.iter().enumerate() {
            self.location.push(index.to_string());
            match written(writer, field).as_slice() {
                [] if field.default.is_some() => {}
                [] => match (&self.reader.nodes[field.node], writer_id) {
                    // As Java has it: a default symbol is looked at, then found not to help.
                    (
                        Node::Enum(Enum {
                            default: Some(_), ..
                        }),
                        Some(writer_id),
                    ) => {
                        self.below("type", field.node, writer_id, found);
                    }
                    _ => {
                        let detail = format!(
                            "the writer lacks field `{}`, and it has no default",
                            field.name
                        );
                        let rule = "READER_FIELD_MISSING_DEFAULT_VALUE";
                        found.push(Incompatibility::new(self.path(), rule, detail));
                    }
                },
                [only] => self.below("type", field.node, only.node, found),
                _ => {
                    let detail = format!("field `{}` matches several of the writer's", field.name);
                    found.push(Incompatibility::new(self.path(), "AMBIGUOUS_FIELD", detail));
                }
            }
            self.location.pop();
        }
        self.location.pop();
    }

    fn add(
        &mut self,
        step: impl Into<String>,
        rule: &'static str,
        detail: String,
        found: &mut Vec<Incompatibility>,
    ) {
        self.location.push(step.into());
        found.push(Incompatibility::new(self.path(), rule, detail));
        self.location.pop();
    }

    fn path(&self) -> String {
        // Inside a branch of a union the path starts anew.
        let start = self
            .location
            .iter()
            .rposition(String::is_empty)
            .map_or(0, |at| at + 1);
        let steps: Vec<&str> = self.location[start..].iter().map(String::as_str).collect();
        format!("/{}", steps.join("/"))
    }
}

/// Finds the writer's fields that a reader's field may mean, by its name and its aliases.
fn written<'w>(writer: &'w Record, field: &Field) -> Vec<&'w Field> {
    std::iter::once(&field.name)
        .chain(&field.aliases)
        .filter_map(|name| writer.by_name.get(name))
        .map(|index| &writer.fields[*index])
        .collect()
}

/// Finds the node of a record.
fn writer_id(record: &Record, file: &AvroFile) -> Option<NodeId> {
    file.named_node(&record.name.full)
}

fn is_promotion(reader: &Node, writer: &Node) -> bool {
    use Node::{Boolean, Bytes, Double, Float, Int, Long, Null, String};
    matches!(
        (reader, writer),
        (Null, Null)
            | (Boolean, Boolean)
            | (Int, Int)
            | (Long, Int | Long)
            | (Float, Int | Long | Float)
            | (Double, Int | Long | Float | Double)
            | (Bytes | String, Bytes | String)
    )
}
