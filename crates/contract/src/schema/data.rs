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
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, cmp, unique};
use serde_json::{Map, Number, Value};

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
    value: &'a Value,
    errors: Option<&'a Errors>,
}

impl<'a> At<'a> {
    /// For questions whose answer is yes or no: they make no errors.
    pub(super) fn unlimited(value: &'a Value) -> Self {
        Self {
            value,
            errors: None,
        }
    }

    pub(super) fn limited(value: &'a Value, errors: &'a Errors) -> Self {
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
    type StringBuffer = Value;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(
        buffer: &mut Value,
        string: &str,
        f: impl FnOnce(Self::Node<'_>) -> T,
    ) -> T {
        *buffer = Value::String(string.to_owned());
        f(At::unlimited(buffer))
    }
}

impl<'a> Node<'a, Data> for At<'a> {
    type Object = Members<'a>;
    type Array = Items<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<Members<'a>> {
        self.value.as_object().map(|map| Members { map, at: *self })
    }

    fn as_array(&self) -> Option<Items<'a>> {
        self.value
            .as_array()
            .map(|items| Items { items, at: *self })
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.value.as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a Number> {
        self.value.as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        self.value.as_bool()
    }

    fn is_null(&self) -> bool {
        self.value.is_null()
    }

    fn json_type(&self) -> JsonType {
        match self.value {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::String(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        cmp::equal(self.value, expected)
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
    map: &'a Map<String, Value>,
    at: At<'a>,
}

impl<'a> Object<'a, Data> for Members<'a> {
    type Node = At<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.map.len()
    }

    fn get(&self, key: &String) -> Option<At<'a>> {
        if self.at.looks_empty() {
            return None;
        }
        self.map.get(key).map(|value| At { value, ..self.at })
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter {
            members: self.map.iter(),
            at: self.at,
        }
    }
}

/// Visits the members of an object until the limit is reached.
pub(super) struct MembersIter<'a> {
    members: serde_json::map::Iter<'a>,
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
            .map(|(name, value)| (name.as_str(), At { value, ..self.at }))
    }
}

/// The items of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'a> {
    items: &'a [Value],
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
        unique::is_unique(self.items)
    }
}

/// Visits the items of a list until the limit is reached.
pub(super) struct ItemsIter<'a> {
    items: std::slice::Iter<'a, Value>,
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
