//! The members of a JSON object in their order, each value as it was written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::tree::Name;

/// Names without their escapes, and values as they came; a name may be there twice.
pub(super) struct RawMembers<'t>(pub(super) Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de: 't, 't> Deserialize<'de> for RawMembers<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(std::marker::PhantomData))
    }
}

struct Reader<'t>(std::marker::PhantomData<&'t str>);

impl<'de: 't, 't> Visitor<'de> for Reader<'t> {
    type Value = RawMembers<'t>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawMembers<'t>, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry::<Name<'t>, &'t RawValue>()? {
            members.push((name, value));
        }
        Ok(RawMembers(members))
    }
}
