//! JSON data against an Avro schema. A union's value stands either by itself, as people write it,
//! or as Avro's JSON encoding has it, `{"long": 5}`; a field with a default may be left out; a field
//! that the record lacks is refused, since no Avro reader would ever see it (`docs/decisions/0005`).

use super::{AvroSchema, Node, NodeId, Record};
use crate::check::{Reason, Reasons, push_pointer_name};
use crate::tree::{Members, Tree, member};

/// Branches of unions in unions multiply; data that is meant comes nowhere near.
const MAX_STEPS: u32 = 2_000_000;
/// More symbols are not listed.
const MAX_LISTED: usize = 8;

pub(super) fn check(schema: &AvroSchema, data: &Tree<'_>, into: &mut Reasons) {
    let mut checking = Checking {
        nodes: &schema.file.nodes,
        steps: MAX_STEPS,
        told: None,
        at: String::new(),
    };
    // The quick question first: nearly every event is valid.
    if checking.fits(schema.root, data) {
        return;
    }
    let before = into.len();
    checking.told = Some(into);
    checking.at.push_str("#/data");
    checking.fits(schema.root, data);
    let spent = checking.steps == 0;
    if into.len() == before {
        let detail = if spent {
            "is too intricate to be checked"
        } else {
            "does not fit its schema"
        };
        into.push(Reason::new("#/data", detail, "schema"));
    }
}

/// Says whether values fit types, with one bound on all the questions together.
pub(super) struct Fits<'a>(Checking<'a, 'a>);

impl<'a> Fits<'a> {
    pub(super) fn new(schema: &'a AvroSchema) -> Self {
        Self(Checking {
            nodes: &schema.file.nodes,
            steps: MAX_STEPS,
            told: None,
            at: String::new(),
        })
    }

    pub(super) fn fits(&mut self, node: NodeId, value: &Tree<'_>) -> bool {
        self.0.fits(node, value)
    }
}

struct Checking<'a, 'r> {
    nodes: &'a [Node],
    steps: u32,
    /// Where reasons go; without it the first mistake ends the check.
    told: Option<&'r mut Reasons>,
    at: String,
}

impl<'a> Checking<'a, '_> {
    fn fits(&mut self, node: NodeId, value: &Tree<'_>) -> bool {
        let Some(left) = self.steps.checked_sub(1) else {
            return false;
        };
        self.steps = left;
        // Values end where their text does, at 128 levels, and each step below takes one.
        let nodes = self.nodes;
        match &nodes[node] {
            Node::Null => self.demand(matches!(value, Tree::Null), "must be null"),
            Node::Boolean => self.demand(matches!(value, Tree::Bool(_)), "must be true or false"),
            Node::Int => {
                let fits = value.as_i64().is_some_and(|n| i32::try_from(n).is_ok());
                self.demand(fits, "must be a 32-bit integer")
            }
            Node::Long => self.demand(value.as_i64().is_some(), "must be a 64-bit integer"),
            Node::Float | Node::Double => {
                let fits = matches!(value, Tree::Number(_))
                    || matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity"));
                self.demand(fits, "must be a number")
            }
            Node::String => self.demand(matches!(value, Tree::Text(_)), "must be a string"),
            Node::Bytes => {
                let fits = value.as_str().is_some_and(is_bytes);
                self.demand(fits, "must be a string of the characters U+0000 to U+00FF")
            }
            Node::Fixed { size, .. } => {
                let fits = value
                    .as_str()
                    .is_some_and(|text| is_bytes(text) && text.chars().count() == *size);
                let detail = || format!("must be a string of {size} characters U+0000 to U+00FF");
                self.demand_with(fits, "fixed", detail)
            }
            Node::Enum(declared) => {
                let fits = value
                    .as_str()
                    .is_some_and(|text| declared.symbols.iter().any(|symbol| symbol == text));
                self.demand_with(fits, "enum", || one_of(&declared.symbols))
            }
            Node::Array(items) => {
                let Tree::List(values) = value else {
                    return self.demand(false, "must be a list");
                };
                let mut fits = true;
                if self.told.is_none() {
                    return values.iter().all(|value| self.fits(*items, value));
                }
                for (index, value) in values.iter().enumerate() {
                    fits &= self.inside(&index.to_string(), *items, value);
                }
                fits
            }
            Node::Map(values) => {
                let Tree::Object(entries) = value else {
                    return self.demand(false, "must be an object");
                };
                let mut fits = true;
                for (key, value) in entries {
                    fits &= self.inside(key, *values, value);
                    if !fits && self.told.is_none() {
                        break;
                    }
                }
                fits
            }
            Node::Union(branches) => self.union(branches, value),
            Node::Record(record) => {
                let Tree::Object(entries) = value else {
                    return self.demand(false, "must be an object");
                };
                match self.told {
                    None => self.record_fits(record, entries),
                    Some(_) => self.record(record, entries),
                }
            }
            Node::Reference(_) => self.demand(false, "has no type"),
        }
    }

    /// Walks the fields and the members side by side: both are in the order of their names.
    fn record_fits(&mut self, record: &Record, entries: &Members<'_>) -> bool {
        let mut fields = record.in_order.iter().map(|index| &record.fields[*index]);
        for (key, value) in entries {
            let field = loop {
                match fields.next() {
                    Some(field) if *field.name == **key => break field,
                    Some(field) if *field.name < **key && field.default.is_some() => {}
                    _ => return false,
                }
            };
            if !self.fits(field.node, value) {
                return false;
            }
        }
        fields.all(|field| field.default.is_some())
    }

    /// Tells everything that is wrong with a record.
    fn record(&mut self, record: &Record, entries: &Members<'_>) -> bool {
        let mut fits = true;
        for (key, value) in entries {
            fits &= match record.by_name.get(&**key) {
                Some(&index) => self.inside(key, record.fields[index].node, value),
                None => self.refuse_inside(key, "is no field of this record", "fields"),
            };
        }
        for field in &record.fields {
            if field.default.is_none() && member(entries, &field.name).is_none() {
                fits = self.refuse_inside(&field.name, "required", "required");
            }
        }
        fits
    }

    fn union(&mut self, branches: &'a [NodeId], value: &Tree<'_>) -> bool {
        let told = self.told.take();
        let nodes = self.nodes;
        let tagged = match value {
            Tree::Object(entries) => match entries.as_slice() {
                [(tag, inner)] => Some((&**tag, inner)),
                _ => None,
            },
            _ => None,
        };
        let mut fits = branches.iter().any(|branch| self.fits(*branch, value));
        let mut meant = None;
        if let Some((tag, inner)) = tagged {
            meant = branches.iter().find(|b| nodes[**b].name() == tag);
            fits = fits || meant.is_some_and(|branch| self.fits(*branch, inner));
        }
        self.told = told;
        if fits || self.told.is_none() {
            return fits;
        }
        if let (Some(branch), Some((tag, inner))) = (meant, tagged) {
            return self.inside(tag, *branch, inner);
        }
        // The only branch that is no null was meant; among several it is anyone's guess.
        let mut others = branches
            .iter()
            .filter(|b| !matches!(nodes[**b], Node::Null));
        if let (Some(only), None) = (others.next(), others.next()) {
            return self.fits(*only, value);
        }
        let names: Vec<String> = branches
            .iter()
            .map(|b| nodes[*b].name().to_owned())
            .collect();
        self.demand_with(false, "union", || one_of(&names))
    }

    fn inside(&mut self, name: &str, node: NodeId, value: &Tree<'_>) -> bool {
        if self.told.is_none() {
            return self.fits(node, value);
        }
        let length = self.at.len();
        push_pointer_name(&mut self.at, name);
        let fits = self.fits(node, value);
        self.at.truncate(length);
        fits
    }

    fn refuse_inside(&mut self, name: &str, detail: &str, rule: &str) -> bool {
        if let Some(told) = &mut self.told {
            let length = self.at.len();
            push_pointer_name(&mut self.at, name);
            told.push(Reason::new(&self.at, detail, format!("schema:{rule}")));
            self.at.truncate(length);
        }
        false
    }

    fn demand(&mut self, holds: bool, detail: &str) -> bool {
        self.demand_with(holds, "type", || detail.to_owned())
    }

    fn demand_with(&mut self, holds: bool, rule: &str, detail: impl Fn() -> String) -> bool {
        if !holds && let Some(told) = &mut self.told {
            told.push(Reason::new(&self.at, detail(), format!("schema:{rule}")));
        }
        holds
    }
}

fn is_bytes(text: &str) -> bool {
    text.chars().all(|c| u32::from(c) < 256)
}

fn one_of(names: &[String]) -> String {
    let listed: Vec<String> = names
        .iter()
        .take(MAX_LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = if names.len() > MAX_LISTED {
        ", …"
    } else {
        ""
    };
    format!("must be one of {}{more}", listed.join(", "))
}
