//! The data under validation, as the library sees it: a borrow that an error cannot copy, and a
//! limit on how many errors one event may cause.
//!
//! With its own representation the library clones the failing value into every error below an
//! alternative, and makes all errors before it hands out the first. One event of 1 MiB under ten
//! alternatives then takes 1.8 GB, and one of 120 bytes under a recursive schema 1.4 GB (measured
//! with 0.60.2). Here an error holds a number: which error it is. When the limit is reached the
//! data looks empty, so that the library comes to an end; errors past the limit may owe themselves
//! to that and are not to be believed.

use std::borrow::Cow;
use std::cell::Cell;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, unique};
use serde_json::{Number, Value};

use crate::tree::{self, Tree};

/// How many errors one event may cause before the rest is left uncounted; the demo's worst payload
/// causes some hundreds.
const MAX_ERRORS: u64 = 4096;

/// Counts the errors made for one event.
#[derive(Debug, Default)]
pub(super) struct Errors(Cell<u64>);

impl Errors {
    fn exhausted(&self) -> bool {
        self.0.get() >= MAX_ERRORS
    }

    /// Says whether errors were left out.
    pub(super) fn overflowed(&self) -> bool {
        self.0.get() > MAX_ERRORS
    }
}

/// Says whether an error was made while the data still looked as it is; `stamp` is what the error
/// holds for its instance.
pub(super) fn is_true(stamp: &Value) -> bool {
    stamp.as_u64().is_none_or(|number| number < MAX_ERRORS)
}

/// The representation of JSON in which schemas are compiled.
#[derive(Debug)]
pub(super) struct Data;

/// A value of the data; without a count it may cause any number of errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    value: &'a Tree<'a>,
    errors: Option<&'a Errors>,
}

impl<'a> At<'a> {
    /// For questions whose answer is yes or no: they make no errors.
    pub(super) fn unlimited(value: &'a Tree<'a>) -> Self {
        Self {
            value,
            errors: None,
        }
    }

    pub(super) fn limited(value: &'a Tree<'a>, errors: &'a Errors) -> Self {
        Self {
            value,
            errors: Some(errors),
        }
    }

    fn looks_empty(self) -> bool {
        self.errors.is_some_and(Errors::exhausted)
    }
}

impl Json for Data {
    type Node<'a> = At<'a>;
    type PreparedKey = String;
    type StringBuffer = Tree<'static>;

    // As the library's own sorted map has it.
    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Tree<'static>,
        string: &str,
        f: impl FnOnce(Self::Node<'_>) -> T,
    ) -> T {
        *buffer = Tree::Text(Cow::Owned(string.to_owned()));
        f(At::unlimited(buffer))
    }
}

impl<'a> Node<'a, Data> for At<'a> {
    type Object = Members<'a>;
    type Array = Items<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<Members<'a>> {
        match self.value {
            Tree::Object(list) => Some(Members { list, at: *self }),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<Items<'a>> {
        match self.value {
            Tree::List(items) => Some(Items { items, at: *self }),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self.value {
            Tree::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<&'a Number> {
        match self.value {
            Tree::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self.value {
            Tree::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self.value, Tree::Null)
    }

    fn json_type(&self) -> JsonType {
        match self.value {
            Tree::Null => JsonType::Null,
            Tree::Bool(_) => JsonType::Boolean,
            Tree::Number(_) => JsonType::Number,
            Tree::Text(_) => JsonType::String,
            Tree::List(_) => JsonType::Array,
            Tree::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        self.value.equals(expected)
    }

    /// Gives an error its number in place of the value: [`Node::equals_value`] and
    /// [`Array::is_unique`], the other callers, are answered above and below.
    fn to_value(&self) -> Cow<'a, Value> {
        let Some(Errors(count)) = self.errors else {
            return Cow::Owned(Value::Null);
        };
        let number = count.get();
        count.set(number + 1);
        Cow::Owned(Value::from(number))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref(self.value).addr()))
    }
}

/// The members of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members<'a> {
    list: &'a [(Cow<'a, str>, Tree<'a>)],
    at: At<'a>,
}

impl<'a> Object<'a, Data> for Members<'a> {
    type Node = At<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.list.len()
    }

    fn get(&self, key: &String) -> Option<At<'a>> {
        if self.at.looks_empty() {
            return None;
        }
        tree::member(self.list, key).map(|value| At { value, ..self.at })
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter {
            members: self.list.iter(),
            at: self.at,
        }
    }
}

/// Visits the members of an object until the limit is reached.
pub(super) struct MembersIter<'a> {
    members: std::slice::Iter<'a, (Cow<'a, str>, Tree<'a>)>,
    at: At<'a>,
}

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, At<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at.looks_empty() {
            return None;
        }
        self.members
            .next()
            .map(|(name, value)| (&**name, At { value, ..self.at }))
    }
}

/// The items of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'a> {
    items: &'a [Tree<'a>],
    at: At<'a>,
}

impl<'a> Array<'a, Data> for Items<'a> {
    type Node = At<'a>;
    type ElementsIter = ItemsIter<'a>;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn elements(&self) -> ItemsIter<'a> {
        ItemsIter {
            items: self.items.iter(),
            at: self.at,
        }
    }

    fn is_unique(&self) -> bool {
        let items: Vec<Value> = self.items.iter().map(Tree::to_value).collect();
        unique::is_unique(&items)
    }
}

/// Visits the items of a list until the limit is reached.
pub(super) struct ItemsIter<'a> {
    items: std::slice::Iter<'a, Tree<'a>>,
    at: At<'a>,
}

impl<'a> Iterator for ItemsIter<'a> {
    type Item = At<'a>;

    fn next(&mut self) -> Option<At<'a>> {
        if self.at.looks_empty() {
            return None;
        }
        self.items.next().map(|value| At { value, ..self.at })
    }
}
