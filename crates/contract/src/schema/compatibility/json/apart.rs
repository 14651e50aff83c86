//! Can one document keep two schemas? Only a proof that none can is worth something here: the types
//! differ, the values differ, or two objects need one property that cannot be both. What is not proven
//! may be.

use std::collections::HashSet;

use serde_json::Value;

use super::form::{Criterion, Form, Id, Members, Object};
use super::{Comparing, is_loose, worth};

/// Alternatives that are told apart deeper down are rare, and the search branches.
const MAX_DEPTH: usize = 8;

const STRING: u8 = 1;
const NUMBER: u8 = 2;
const BOOLEAN: u8 = 4;
const NULL: u8 = 8;
const OBJECT: u8 = 16;
const ARRAY: u8 = 32;
const ANY: u8 = 63;

impl<'f> Comparing<'f> {
    /// Says whether it is sure that no document keeps both.
    pub(super) fn are_apart(&mut self, left: Id, right: Id) -> bool {
        self.apart(left, right, 0)
    }

    fn apart(&mut self, left: Id, right: Id, depth: usize) -> bool {
        self.spend(1);
        if depth > MAX_DEPTH || self.steps == 0 {
            return false;
        }
        if self.types(left, depth) & self.types(right, depth) == 0 {
            return true;
        }
        let (one, other) = (self.form(left), self.form(right));
        match (one, other) {
            (Form::Combined(criterion, parts), _) => {
                self.parts_apart(*criterion, parts, right, depth)
                    || matches!(other, Form::Combined(..))
                        && self.apart_from_parts(left, other, depth)
            }
            (_, Form::Combined(..)) => self.apart_from_parts(left, other, depth),
            (Form::Object(one), Form::Object(other)) if !one.loose && !other.loose => {
                self.needs_apart(one, other, depth) || self.needs_apart(other, one, depth)
            }
            _ => match (values(one), values(other)) {
                (Some(one), Some(other)) => {
                    self.spend(one.len() + other.len());
                    let one: HashSet<String> = one.iter().map(worth).collect();
                    !other.iter().any(|value| one.contains(&worth(value)))
                }
                _ => false,
            },
        }
    }

    fn apart_from_parts(&mut self, left: Id, other: &Form<'f>, depth: usize) -> bool {
        match other {
            Form::Combined(criterion, parts) => self.parts_apart(*criterion, parts, left, depth),
            _ => false,
        }
    }

    fn parts_apart(&mut self, criterion: Criterion, parts: &[Id], other: Id, depth: usize) -> bool {
        let mut apart = |part: &Id| self.apart(*part, other, depth + 1);
        match criterion {
            Criterion::All => parts.iter().any(&mut apart),
            Criterion::Any | Criterion::One => parts.iter().all(&mut apart),
        }
    }

    /// Says whether one needs a property that the other lets in only as something else.
    fn needs_apart(&mut self, one: &Object<'f>, other: &Object<'f>, depth: usize) -> bool {
        one.required.iter().any(|name| {
            let closed = matches!(other.additional, Members::None) && other.patterns.is_empty();
            match (one.properties.get(name), other.properties.get(name)) {
                (Some(one), Some(other)) => self.apart(*one, *other, depth + 1),
                (_, None) => closed,
                (None, Some(_)) => false,
            }
        })
    }

    /// Collects the types that a document may have.
    fn types(&mut self, id: Id, depth: usize) -> u8 {
        self.spend(1);
        let form = self.form(id);
        match form {
            _ if depth > MAX_DEPTH || is_loose(form) => ANY,
            Form::False => 0,
            Form::Boolean => BOOLEAN,
            Form::Null => NULL,
            Form::Text(_) => STRING,
            Form::Number(_) => NUMBER,
            Form::Object(_) => OBJECT,
            Form::List(_) => ARRAY,
            Form::Const(_) | Form::Enum(_) => {
                let values = values(form).unwrap_or_default();
                values.iter().map(type_of).fold(0, |all, one| all | one)
            }
            Form::Combined(Criterion::All, parts) => parts
                .iter()
                .fold(ANY, |all, part| all & self.types(*part, depth + 1)),
            Form::Combined(_, parts) => parts
                .iter()
                .fold(0, |all, part| all | self.types(*part, depth + 1)),
            Form::Empty
            | Form::Not(_)
            | Form::Conditional(_)
            | Form::Reference(_)
            | Form::Opaque(_) => ANY,
        }
    }
}

fn values<'f>(form: &Form<'f>) -> Option<&'f [Value]> {
    match form {
        Form::Const(value) => Some(std::slice::from_ref(*value)),
        Form::Enum(values) => Some(values),
        _ => None,
    }
}

fn type_of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(_) => NUMBER,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}
