//! What is shown to readers who may not see fields about persons: a copy of the data in which each of
//! them is hidden, whatever becomes of it before it is stored. Events that are older than a protection
//! are hidden so, too; a hash stays, since it is made to be joined on.

use super::{Guards, HASH_CHARACTERS, Protecting, Unexpected, load, masked};
use crate::model::{EventContract, PersonalField, Protect};
use crate::path::Path;
use crate::schema::Schema;
use crate::tree::Tree;

/// Makes the guards that hide all of these fields.
pub(crate) fn hiding(fields: &[PersonalField], schema: &Schema) -> Guards {
    let mut guards = Guards::new();
    for field in fields {
        // One that holds another hides it, too.
        let outer = |other: &PersonalField| {
            other.path != field.path
                && other.path.names().len() < field.path.names().len()
                && other.path.meets(&field.path)
        };
        if fields.iter().any(outer) {
            continue;
        }
        let protect = match field.protect {
            Some(Protect::Hash) => Protect::Hash,
            _ => Protect::Mask,
        };
        load::add(&mut guards, &schema.names_of(&field.path), protect);
    }
    guards
}

/// Leaves a hash as it is, and masks what was stored before there were hashes.
fn known_by_hash(text: &str) -> String {
    let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match text.len() as u64 == HASH_CHARACTERS && text.bytes().all(digit) {
        true => text.to_owned(),
        false => masked(text),
    }
}

impl EventContract {
    /// Says whether events have fields about persons.
    pub fn is_about_persons(&self) -> bool {
        !self.personal.is_empty()
    }

    /// Says whether what a path names tells something about a person.
    pub fn tells_of_persons(&self, path: &Path) -> bool {
        self.personal.iter().any(|field| field.path.meets(path))
    }

    /// Returns JSON that was sent as data, every field about a person hidden in it; nothing if nobody can
    /// tell what is where.
    pub fn hide_persons(&self, json: &[u8]) -> Option<String> {
        let schema = &self.schema.schema;
        if matches!(schema, Schema::Json(_)) {
            return self.hider().text(json, &self.hiding, "#/data").ok();
        }
        // In JSON these have several forms of one value; decoded they have one.
        let encoded = schema.encode(json).ok()?;
        let read = schema.read(Some(schema.own_media_type()), &encoded).ok()?;
        self.hide_persons_decoded(&read.tree)
    }

    /// Does the same to data that was decoded.
    pub fn hide_persons_decoded(&self, data: &Tree<'_>) -> Option<String> {
        let json = data.to_value().to_string();
        self.hider().object(&json, &self.hiding, "#/data").ok()
    }

    fn hider(&self) -> Protecting<'static> {
        self.protecting(&known_by_hash, Unexpected::Hidden)
    }
}
