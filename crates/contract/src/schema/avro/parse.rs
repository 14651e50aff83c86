//! Avro schema text to an arena of types, by the rules of Java's parser (Avro 1.12 «Schema
//! Declaration», «Names», «Aliases»). Depth and size are bounded, so that whoever walks the arena
//! along the text's nesting needs no bound of his own; types may still refer to themselves.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::super::{SchemaError, Sources, beside};
use super::{AvroFile, Enum, Field, Name, Node, NodeId, Record, Reference};

/// JSON text is bounded at 128; each type takes two levels of it at least.
const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 20_000;
const MAX_NAME_BYTES: usize = 1024;

pub(super) fn parse(
    name: &str,
    text: &str,
    sources: &mut Sources<'_>,
) -> Result<AvroFile, SchemaError> {
    let mut parsing = Parsing {
        file: name.to_owned(),
        texts: Vec::new(),
        nodes: Vec::new(),
        named: HashMap::new(),
    };
    let root = parsing.text(text)?;
    parsing.complete(name, sources)?;
    let Parsing {
        texts,
        nodes,
        named,
        ..
    } = parsing;
    let file = AvroFile {
        name: name.to_owned(),
        texts,
        nodes,
        root,
        named,
    };
    resolve(file)
}

struct Parsing {
    /// The file that is being read.
    file: String,
    texts: Vec<String>,
    nodes: Vec<Node>,
    named: HashMap<String, NodeId>,
}

impl Parsing {
    fn text(&mut self, text: &str) -> Result<NodeId, SchemaError> {
        let value: Value = serde_json::from_str(text).map_err(|error| SchemaError::NotJson {
            file: self.file.clone(),
            problem: error.to_string(),
        })?;
        self.texts.push(text.to_owned());
        self.node(&value, "", "#", 0)
    }

    /// Reads the files of named types that are still missing.
    fn complete(&mut self, root: &str, sources: &mut Sources<'_>) -> Result<(), SchemaError> {
        let mut at = 0;
        while at < self.nodes.len() {
            if let Node::Reference(reference) = &self.nodes[at]
                && !self.is_known(reference)
            {
                let wanted = reference.candidates[0].clone();
                let path = beside(root, &format!("{wanted}.avsc"));
                let text = sources.read(root, &path).map_err(|error| match error {
                    SchemaError::Reference { .. } => SchemaError::Language {
                        file: reference.file.clone(),
                        place: reference.at.clone(),
                        problem: format!(
                            "names a type `{wanted}` that neither it nor a file `{path}` declares"
                        ),
                    },
                    other => other,
                })?;
                self.file = path;
                self.text(&text)?;
                if !self.named.contains_key(&wanted) {
                    return Err(self.language("", format!("does not declare `{wanted}`")));
                }
            }
            at += 1;
        }
        Ok(())
    }

    fn is_known(&self, reference: &Reference) -> bool {
        reference
            .candidates
            .iter()
            .any(|name| self.named.contains_key(name))
    }

    fn language(&self, at: &str, problem: impl Into<String>) -> SchemaError {
        SchemaError::Language {
            file: self.file.clone(),
            place: at.to_owned(),
            problem: problem.into(),
        }
    }

    fn push(&mut self, node: Node) -> Result<NodeId, SchemaError> {
        if self.nodes.len() >= MAX_NODES {
            let problem = format!("has more than {MAX_NODES} types");
            let file = self.file.clone();
            return Err(SchemaError::TooLarge { file, problem });
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn node(
        &mut self,
        value: &Value,
        space: &str,
        at: &str,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        if depth > MAX_DEPTH {
            let problem = format!("nests types deeper than {MAX_DEPTH}");
            let file = self.file.clone();
            return Err(SchemaError::TooLarge { file, problem });
        }
        match value {
            Value::String(name) => self.by_name(name, space, at),
            Value::Array(branches) => self.union(branches, space, at, depth),
            Value::Object(keys) => self.object(keys, space, at, depth),
            _ => Err(self.language(at, "must be a type's name, an object or a list")),
        }
    }

    fn by_name(&mut self, name: &str, space: &str, at: &str) -> Result<NodeId, SchemaError> {
        if let Some(node) = primitive(name) {
            return self.push(node);
        }
        let full = full_name(name, space);
        if !is_name(&full) {
            return Err(self.language(at, "is no type's name"));
        }
        let mut candidates = vec![full];
        if candidates[0] != name {
            candidates.push(name.to_owned());
        }
        self.push(Node::Reference(Reference {
            candidates,
            file: self.file.clone(),
            at: at.to_owned(),
        }))
    }

    fn union(
        &mut self,
        branches: &[Value],
        space: &str,
        at: &str,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let mut nodes = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            let at = format!("{at}/{index}");
            let node = self.node(branch, space, &at, depth + 1)?;
            if matches!(self.nodes[node], Node::Union(_)) {
                return Err(self.language(&at, "is a union inside a union"));
            }
            nodes.push(node);
        }
        self.push(Node::Union(nodes))
    }

    fn object(
        &mut self,
        keys: &Map<String, Value>,
        space: &str,
        at: &str,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let kind = match keys.get("type") {
            Some(Value::String(kind)) => kind.as_str(),
            // `{"type": {…}}` and `{"type": […]}` are the type inside.
            Some(inner) => return self.node(inner, space, &format!("{at}/type"), depth + 1),
            None => return Err(self.language(at, "has no `type`")),
        };
        match kind {
            "record" | "error" => self.record(keys, space, at, depth),
            "enum" => self.enumeration(keys, space, at),
            "fixed" => self.fixed(keys, space, at),
            "array" => {
                let items = self.inner(keys, "items", space, at, depth)?;
                self.push(Node::Array(items))
            }
            "map" => {
                let values = self.inner(keys, "values", space, at, depth)?;
                self.push(Node::Map(values))
            }
            name => self.by_name(name, space, at),
        }
    }

    fn inner(
        &mut self,
        keys: &Map<String, Value>,
        key: &str,
        space: &str,
        at: &str,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let Some(inner) = keys.get(key) else {
            return Err(self.language(at, format!("has no `{key}`")));
        };
        self.node(inner, space, &format!("{at}/{key}"), depth + 1)
    }

    /// Reads the name and aliases of a named type, and reserves its node, so that it may refer to
    /// itself.
    fn named(
        &mut self,
        keys: &Map<String, Value>,
        space: &str,
        at: &str,
    ) -> Result<(Name, NodeId), SchemaError> {
        let Some(Value::String(name)) = keys.get("name") else {
            return Err(self.language(at, "has no `name`"));
        };
        let space = match keys.get("namespace") {
            Some(Value::String(own)) => own,
            _ => space,
        };
        let full = full_name(name, space);
        if !is_name(&full) {
            return Err(self.language(at, "has a name that Avro does not allow"));
        }
        if primitive(&full).is_some() {
            return Err(self.language(at, "has the name of a primitive type"));
        }
        let own_space = full
            .rsplit_once('.')
            .map_or("", |(space, _)| space)
            .to_owned();
        let aliases = self
            .strings(keys, "aliases", at)?
            .iter()
            .map(|alias| full_name(alias, &own_space))
            .collect();
        let node = self.push(Node::Null)?;
        if self.named.insert(full.clone(), node).is_some() {
            return Err(self.language(at, format!("declares `{full}` a second time")));
        }
        Ok((Name { full, aliases }, node))
    }

    fn strings(
        &self,
        keys: &Map<String, Value>,
        key: &str,
        at: &str,
    ) -> Result<Vec<String>, SchemaError> {
        let wrong = || self.language(at, format!("has a `{key}` that is no list of names"));
        match keys.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    fn record(
        &mut self,
        keys: &Map<String, Value>,
        space: &str,
        at: &str,
        depth: usize,
    ) -> Result<NodeId, SchemaError> {
        let (name, node) = self.named(keys, space, at)?;
        let space = name.full.rsplit_once('.').map_or("", |(space, _)| space);
        let Some(Value::Array(written)) = keys.get("fields") else {
            return Err(self.language(at, "is a record without `fields`"));
        };
        let mut fields = Vec::with_capacity(written.len());
        let mut known = HashSet::with_capacity(written.len());
        for (index, field) in written.iter().enumerate() {
            let at = format!("{at}/fields/{index}");
            let (Value::Object(keys), Some(Value::String(field_name))) = (field, field.get("name"))
            else {
                return Err(self.language(&at, "is a field without `name`"));
            };
            if !is_part(field_name) {
                return Err(self.language(&at, "has a name that Avro does not allow"));
            }
            if !known.insert(field_name) {
                return Err(self.language(&at, format!("is a second field `{field_name}`")));
            }
            fields.push(Field {
                name: field_name.clone(),
                aliases: self.strings(keys, "aliases", &at)?,
                default: keys.get("default").cloned(),
                node: self.inner(keys, "type", space, &at, depth)?,
            });
        }
        self.nodes[node] = Node::Record(Record::new(name, fields));
        Ok(node)
    }

    fn enumeration(
        &mut self,
        keys: &Map<String, Value>,
        space: &str,
        at: &str,
    ) -> Result<NodeId, SchemaError> {
        let (name, node) = self.named(keys, space, at)?;
        if !keys.contains_key("symbols") {
            return Err(self.language(at, "is an enum without `symbols`"));
        }
        let symbols = self.strings(keys, "symbols", at)?;
        let mut seen = std::collections::HashSet::new();
        for symbol in &symbols {
            if !is_part(symbol) {
                return Err(self.language(at, "has a symbol that Avro does not allow"));
            }
            if !seen.insert(symbol) {
                return Err(self.language(at, format!("has the symbol `{symbol}` twice")));
            }
        }
        let default = match keys.get("default") {
            None => None,
            Some(Value::String(symbol)) if symbols.contains(symbol) => Some(symbol.clone()),
            Some(_) => return Err(self.language(at, "has a default that is none of its symbols")),
        };
        self.nodes[node] = Node::Enum(Enum {
            name,
            symbols,
            default,
        });
        Ok(node)
    }

    fn fixed(
        &mut self,
        keys: &Map<String, Value>,
        space: &str,
        at: &str,
    ) -> Result<NodeId, SchemaError> {
        let (name, node) = self.named(keys, space, at)?;
        let size = keys.get("size").and_then(Value::as_u64);
        let Some(size) = size.and_then(|size| i32::try_from(size).ok()) else {
            return Err(self.language(at, "is a fixed without a `size`"));
        };
        let size = usize::try_from(size).unwrap_or_default();
        self.nodes[node] = Node::Fixed { name, size };
        Ok(node)
    }
}

/// Puts the types in the places of their names, then checks what needs them.
fn resolve(mut file: AvroFile) -> Result<AvroFile, SchemaError> {
    let target: Vec<NodeId> = file
        .nodes
        .iter()
        .enumerate()
        .map(|(id, node)| match node {
            Node::Reference(reference) => reference
                .candidates
                .iter()
                .find_map(|name| file.named.get(name))
                .copied()
                .unwrap_or(id),
            _ => id,
        })
        .collect();
    for node in &mut file.nodes {
        match node {
            Node::Array(inner) | Node::Map(inner) => *inner = target[*inner],
            Node::Union(branches) => branches.iter_mut().for_each(|b| *b = target[*b]),
            Node::Record(record) => record
                .fields
                .iter_mut()
                .for_each(|field| field.node = target[field.node]),
            _ => {}
        }
    }
    file.root = target[file.root];
    check_unions(&file)?;
    check_defaults(&file)?;
    Ok(file)
}

/// A union may not hold two types that its data could not tell apart.
fn check_unions(file: &AvroFile) -> Result<(), SchemaError> {
    for node in &file.nodes {
        let Node::Union(branches) = node else {
            continue;
        };
        let mut seen = std::collections::HashSet::new();
        for branch in branches {
            let name = file.nodes[*branch].name();
            if !seen.insert(name) {
                return Err(SchemaError::Language {
                    file: file.name.clone(),
                    place: String::new(),
                    problem: format!("has a union with `{name}` twice"),
                });
            }
        }
    }
    Ok(())
}

fn check_defaults(file: &AvroFile) -> Result<(), SchemaError> {
    // Defaults inside defaults could go on for ever; honest ones are few.
    let mut steps = 1_000_000;
    for node in &file.nodes {
        let Node::Record(record) = node else {
            continue;
        };
        for field in &record.fields {
            if let Some(default) = &field.default
                && !is_default(file, field.node, default, 0, &mut steps)
            {
                return Err(SchemaError::Language {
                    file: file.name.clone(),
                    place: String::new(),
                    problem: format!(
                        "gives field `{}` of `{}` a default that is not of its type",
                        field.name, record.name.full
                    ),
                });
            }
        }
    }
    Ok(())
}

/// Java's `Schema.isValidDefault`.
fn is_default(file: &AvroFile, node: NodeId, value: &Value, depth: usize, steps: &mut u32) -> bool {
    let Some(left) = steps.checked_sub(1) else {
        return false;
    };
    *steps = left;
    if depth > 2 * MAX_DEPTH {
        return false;
    }
    let mut inside = |node, value| is_default(file, node, value, depth + 1, steps);
    match &file.nodes[node] {
        Node::Null => value.is_null(),
        Node::Boolean => value.is_boolean(),
        Node::Int => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        Node::Long => value.as_i64().is_some(),
        Node::Float | Node::Double => value.is_number(),
        Node::Bytes | Node::String | Node::Fixed { .. } | Node::Enum(_) => value.is_string(),
        Node::Array(items) => value
            .as_array()
            .is_some_and(|values| values.iter().all(|value| inside(*items, value))),
        Node::Map(values) => value
            .as_object()
            .is_some_and(|entries| entries.values().all(|value| inside(*values, value))),
        Node::Union(branches) => branches.iter().any(|branch| inside(*branch, value)),
        Node::Record(record) => value.as_object().is_some_and(|entries| {
            record.fields.iter().all(|field| {
                entries
                    .get(&field.name)
                    .or(field.default.as_ref())
                    .is_some_and(|value| inside(field.node, value))
            })
        }),
        Node::Reference(_) => false,
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}

fn full_name(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() {
        name.trim_start_matches('.').to_owned()
    } else {
        format!("{space}.{name}")
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES && name.split('.').all(is_part)
}

fn is_part(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
