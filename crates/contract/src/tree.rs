//! An event's data as JSON, parsed once. Texts are slices of the caller's bytes unless they hold
//! escapes, and the members of an object lie in one list, sorted by name: checking an event takes
//! few allocations and no hashing, whatever names a stranger chooses.
//!
//! Of members with the same name the last one counts, as in most readers (RFC 8259 §4).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::{Number, Value};

/// The members of an object, sorted by name, each name once.
pub(crate) type Members<'t> = Vec<(Cow<'t, str>, Tree<'t>)>;

/// A JSON value that borrows from the text it was read from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Tree<'t> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number: an integer of 64 bits, or else a double.
    Number(Number),
    /// A string, without its escapes.
    Text(Cow<'t, str>),
    /// An array.
    List(Vec<Tree<'t>>),
    /// An object, sorted by name, each name once.
    Object(Vec<(Cow<'t, str>, Tree<'t>)>),
}

impl<'t> Tree<'t> {
    /// Parses a JSON text.
    ///
    /// # Errors
    /// The bytes are no JSON, or nested more than 128 deep. The message names a place, no content.
    pub fn parse(bytes: &'t [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Returns a member of an object; of anything else, none.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => member(members, name),
            _ => None,
        }
    }

    /// Returns what names something: a text, an integer of 64 bits or a flag. Other numbers lose
    /// digits in parsing, so that two names could become one.
    pub fn as_name(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
            Self::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
            _ => None,
        }
    }

    /// Returns a text.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a whole number of 64 bits.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// Says whether it is `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Compares with a value of a schema; numbers by what they mean, `1.0` is `1`.
    pub(crate) fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(left), Value::Bool(right)) => left == right,
            (Self::Number(left), Value::Number(_)) => {
                jsonschema::json::cmp::equal(&Value::Number(left.clone()), other)
            }
            (Self::Text(left), Value::String(right)) => left == right,
            (Self::List(left), Value::Array(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(l, r)| l.equals(r))
            }
            (Self::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(name, l)| right.get(&**name).is_some_and(|r| l.equals(r)))
            }
            _ => false,
        }
    }

    /// Copies it into the library's form.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone().into_owned()),
            Self::List(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(name, value)| (name.clone().into_owned(), value.to_value()))
                .collect(),
        }
    }
}

impl From<Value> for Tree<'_> {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(Cow::Owned(text)),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                let members = members.into_iter();
                let mut list: Vec<(Cow<'_, str>, Self)> = members
                    .map(|(name, value)| (Cow::Owned(name), Self::from(value)))
                    .collect();
                list.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
                Self::Object(list)
            }
        }
    }
}

/// Finds a member by its name in a sorted list.
pub(crate) fn member<'m, 't>(
    members: &'m [(Cow<'t, str>, Tree<'t>)],
    name: &str,
) -> Option<&'m Tree<'t>> {
    let at = members.binary_search_by(|(known, _)| (**known).cmp(name));
    at.ok().map(|at| &members[at].1)
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

impl<'de: 't, 't> Deserialize<'de> for Tree<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(std::marker::PhantomData))
    }
}

struct Reader<'t>(std::marker::PhantomData<&'t str>);

impl<'de: 't, 't> Visitor<'de> for Reader<'t> {
    type Value = Tree<'t>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree<'t>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree<'t>, E> {
        Ok(Tree::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree<'t>, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree<'t>, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree<'t>, E> {
        // The parser refuses what is no finite number before it comes here.
        Ok(Number::from_f64(number).map_or(Tree::Null, Tree::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Tree<'t>, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree<'t>, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree<'t>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree<'t>, A::Error> {
        let mut members: Vec<(Cow<'t, str>, Tree<'t>)> = Vec::new();
        let mut sorted = true;
        while let Some((Name(name), value)) = map.next_entry::<Name<'t>, Tree<'t>>()? {
            sorted &= members.last().is_none_or(|(last, _)| *last < name);
            members.push((name, value));
        }
        if !sorted {
            // Stable, so the last of a name is the last of its run: the one that is kept.
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            members.reverse();
            members.dedup_by(|(next, _), (kept, _)| next == kept);
            members.reverse();
        }
        Ok(Tree::Object(members))
    }
}

/// A member's name. (serde's own `Cow` is always owned.)
pub(crate) struct Name<'t>(pub(crate) Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Name<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<'t>(std::marker::PhantomData<&'t str>);
        impl<'de: 't, 't> Visitor<'de> for Read<'t> {
            type Value = Name<'t>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'t>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'t>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Read(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e300..1e300).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".{0,3}", inner), 0..6)
                    .prop_map(|members| members.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_says_what_the_library_reads(value in values(), other in values()) {
            let text = serde_json::to_vec(&value).unwrap();
            let tree = Tree::parse(&text).unwrap();
            prop_assert!(tree.equals(&value));
            prop_assert_eq!(&tree.to_value(), &value);
            prop_assert_eq!(tree.equals(&other), jsonschema::json::cmp::equal(&value, &other));
        }
    }

    #[test]
    fn of_one_name_the_last_member_counts() {
        let tree = Tree::parse(br#"{"b":1,"a":2,"b":3,"a":4,"\u0061":5}"#).unwrap();
        assert_eq!(tree.to_value(), json!({"a": 5, "b": 3}));
    }

    #[test]
    fn texts_are_copied_only_where_they_hold_escapes() {
        let tree = Tree::parse(br#"["plain", "tab\t"]"#).unwrap();
        let Tree::List(items) = &tree else {
            panic!("a list");
        };
        assert!(matches!(&items[0], Tree::Text(Cow::Borrowed("plain"))));
        assert!(matches!(&items[1], Tree::Text(Cow::Owned(text)) if text == "tab\t"));
    }

    #[test]
    fn nesting_and_broken_text_end_in_an_error() {
        for text in [
            "[".repeat(1 << 20),
            "[1,".to_owned(),
            "1e999".to_owned(),
            "\"\u{0}\"".to_owned(),
        ] {
            assert!(Tree::parse(text.as_bytes()).is_err());
        }
        assert!(Tree::parse(b"\"\xff\"").is_err());
    }
}
