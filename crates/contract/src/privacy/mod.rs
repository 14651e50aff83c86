//! Fields about persons, protected before an event is stored: taken out, masked, hashed, or reason enough
//! to refuse it. Pure; who knows the key makes the hashes.
//!
//! What is not protected keeps its bytes: members are copied as they came, of members with the same name
//! every one is protected. What a contract cannot keep is refused when it is loaded; what its schema leaves
//! open is looked at once more after it was protected, so that what is stored keeps the schema.

mod load;
mod members;
mod redact;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use self::members::RawMembers;
use crate::check::{Reason, Reasons, Violation, push_pointer_name};
use crate::event::{Event, is_json};
use crate::model::{EventContract, OnInvalid, Protect};
use crate::path::Path;
use crate::schema::Schema;
use crate::tree::Tree;

pub(crate) use self::load::{guards, problem};
pub use self::redact::{Form, Kept};
pub(crate) use self::view::hiding;

/// Stands for what a mask hides.
const HIDDEN: &str = "****";
/// So many characters of a masked text stay, where it has [`MASKED_FROM`].
const SHOWN_CHARACTERS: usize = 4;
/// Of a shorter text the last characters would tell too much.
const MASKED_FROM: usize = 12;
/// A hash is written in so many hex digits.
pub(crate) const HASH_CHARACTERS: u64 = 64;
/// A mask has from 4 to 8 characters.
pub(crate) const MASK_CHARACTERS: (u64, u64) = (4, 8);

/// Makes the hash of a text, 64 hex digits, the same for the same text.
pub type Hash<'h> = &'h dyn Fn(&str) -> String;

/// What is protected, by the names on the way to it.
pub(crate) type Guards = Vec<Guard>;

/// A member that is protected, or leads to one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Guard {
    /// The names it may have: Protobuf has two for one field.
    pub(crate) names: Vec<String>,
    pub(crate) then: Then,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    Protect(Protect),
    Inside(Guards),
}

/// What is done with a value that is not what the contract expects there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unexpected {
    /// The event is refused.
    Refused,
    /// It is taken for what is to be hidden.
    Hidden,
}

/// How values are protected.
struct Protecting<'p> {
    hash: Hash<'p>,
    unexpected: Unexpected,
    /// What is taken out becomes `null`: in Avro a record has all of its fields.
    drops_to_null: bool,
}

/// Hides a text, its last characters aside if it is long.
fn masked(text: &str) -> String {
    let count = text.chars().count();
    match count {
        0 => String::new(),
        _ if count < MASKED_FROM => HIDDEN.to_owned(),
        _ => {
            let shown = text.chars().skip(count - SHOWN_CHARACTERS);
            HIDDEN.chars().chain(shown).collect()
        }
    }
}

impl Protecting<'_> {
    /// Copies an object with its guarded members protected.
    fn object(&self, text: &str, guards: &[Guard], pointer: &str) -> Result<String, Reason> {
        let Ok(RawMembers(members)) = serde_json::from_str(text) else {
            return self.unexpected(pointer, "must be an object, to be protected");
        };
        let mut written = String::with_capacity(text.len());
        for (name, raw) in members {
            let guard = guards
                .iter()
                .find(|guard| guard.names.iter().any(|known| *known == name));
            let value = match guard {
                Some(guard) => {
                    let mut pointer = pointer.to_owned();
                    push_pointer_name(&mut pointer, &name);
                    self.member(raw, &guard.then, &pointer)?
                }
                None => Some(Cow::Borrowed(raw.get())),
            };
            if let Some(value) = value {
                written.push(if written.is_empty() { '{' } else { ',' });
                let name = serde_json::to_string(&name).expect("a string is written");
                written.push_str(&name);
                written.push(':');
                written.push_str(&value);
            }
        }
        if written.is_empty() {
            written.push('{');
        }
        written.push('}');
        Ok(written)
    }

    /// Protects a member; nothing if it goes.
    fn member<'v>(
        &self,
        raw: &'v RawValue,
        then: &Then,
        pointer: &str,
    ) -> Result<Option<Cow<'v, str>>, Reason> {
        let raw = raw.get();
        if raw == "null" {
            return Ok(Some(Cow::Borrowed(raw)));
        }
        let protect = match then {
            Then::Inside(guards) => {
                return self.object(raw, guards, pointer).map(Cow::Owned).map(Some);
            }
            Then::Protect(protect) => protect,
        };
        let replaced = match protect {
            // Found where the data has another form: a branch of a union of Avro's.
            Protect::Reject if self.unexpected == Unexpected::Refused => {
                let detail = "must not be there: events with it are not taken";
                return Err(Reason::new(pointer, detail, "privacy.fields"));
            }
            Protect::Drop | Protect::Reject if self.drops_to_null => "null".to_owned(),
            Protect::Drop | Protect::Reject => return Ok(None),
            Protect::Mask | Protect::Hash => match serde_json::from_str::<String>(raw) {
                Ok(text) => {
                    let hidden = match (protect, text.is_empty()) {
                        (_, true) => text,
                        (Protect::Hash, _) => (self.hash)(&text),
                        _ => masked(&text),
                    };
                    serde_json::to_string(&hidden).expect("a string is written")
                }
                Err(_) => self.unexpected(pointer, "must be a text, to be protected")?,
            },
        };
        Ok(Some(Cow::Owned(replaced)))
    }

    fn unexpected(&self, pointer: &str, detail: &str) -> Result<String, Reason> {
        match self.unexpected {
            Unexpected::Hidden => Ok("null".to_owned()),
            Unexpected::Refused => Err(Reason::new(pointer, detail, "privacy.fields")),
        }
    }
}

/// Adds a reason for each member that must not be there.
fn find_rejected(guards: &[Guard], data: &Tree<'_>, pointer: &str, reasons: &mut Reasons) {
    for guard in guards {
        for name in &guard.names {
            let Some(value) = data.get(name).filter(|value| !value.is_null()) else {
                continue;
            };
            let mut pointer = pointer.to_owned();
            push_pointer_name(&mut pointer, name);
            match &guard.then {
                Then::Inside(inside) => find_rejected(inside, value, &pointer, reasons),
                Then::Protect(Protect::Reject) => {
                    let detail = "must not be there: events with it are not taken";
                    reasons.push(Reason::new(pointer, detail, "privacy.fields"));
                }
                Then::Protect(_) => {}
            }
        }
    }
}

impl EventContract {
    /// Says whether anything is done to events before they are stored.
    pub fn protects(&self) -> bool {
        !self.guards.is_empty()
    }

    /// Says whether hashes are made, so that a key is needed.
    pub fn hashes(&self) -> bool {
        let mut fields = self.personal.iter();
        fields.any(|field| field.protect == Some(Protect::Hash))
    }

    /// Adds a reason for each field that must not be there.
    pub(crate) fn check_rejected(&self, data: &Tree<'_>, reasons: &mut Reasons) -> bool {
        let before = reasons.total();
        find_rejected(&self.guards, data, "#/data", reasons);
        reasons.total() > before
    }

    /// Returns the paths that must not be there.
    pub(crate) fn rejected(&self) -> impl Iterator<Item = &Path> {
        let rejected = self.personal.iter();
        rejected
            .filter(|field| field.protect == Some(Protect::Reject))
            .map(|field| &field.path)
    }

    /// Returns the data as it is stored, of an event that keeps the contract; nothing if it is stored as
    /// it came.
    ///
    /// # Errors
    /// A value cannot be protected, or what would be stored does not keep the schema.
    pub fn protect(&self, event: &Event, hash: Hash<'_>) -> Result<Option<Bytes>, Violation> {
        if !self.protects() {
            return Ok(None);
        }
        let Some(data) = &event.data else {
            return Ok(None);
        };
        let on_invalid = match self.rejected().next() {
            Some(_) => OnInvalid::Reject,
            None => self.ingress.on_invalid,
        };
        let refuse = |reason: Reason| self.refuse(reason, on_invalid);
        let protecting = self.protecting(hash, Unexpected::Refused);
        let media_type = event.datacontenttype.as_deref();
        let protected = protecting.data(self, media_type, data).map_err(refuse)?;
        let mut reasons = Reasons::default();
        let read = self.schema.schema.read(media_type, &protected);
        let read = read.map_err(refuse)?;
        if !read.fits {
            Self::check_schema(&self.schema.schema, &read.tree, &mut reasons);
        }
        if reasons.is_empty() {
            return Ok(Some(protected));
        }
        let pointer = "#/data";
        let detail = "does not keep the schema once its fields about persons are protected";
        Err(refuse(Reason::new(pointer, detail, "privacy.fields")))
    }

    fn protecting<'h>(&self, hash: Hash<'h>, unexpected: Unexpected) -> Protecting<'h> {
        Protecting {
            hash,
            unexpected,
            drops_to_null: matches!(self.schema.schema, Schema::Avro(_)),
        }
    }
}

impl Protecting<'_> {
    /// Copies a JSON text with its guarded members protected.
    fn text(&self, text: &[u8], guards: &[Guard], pointer: &str) -> Result<String, Reason> {
        let problem = |detail| Reason::new(pointer, detail, "privacy.fields");
        let text = std::str::from_utf8(text).map_err(|_| problem("is not UTF-8"))?;
        // What is no JSON may hold anything anywhere.
        let read = serde_json::from_str::<&RawValue>(text);
        read.map_err(|_| problem("is not JSON"))?;
        self.object(text, guards, pointer)
    }

    /// Protects data of a media type; what is in the schema's own encoding stays in it.
    fn data(
        &self,
        contract: &EventContract,
        media_type: Option<&str>,
        data: &[u8],
    ) -> Result<Bytes, Reason> {
        let schema = &contract.schema.schema;
        let problem = |detail: String| Reason::new("#/data", detail, "privacy.fields");
        let is_json = is_json(media_type.unwrap_or("application/json"));
        if is_json && matches!(schema, Schema::Json(_)) {
            let written = self.text(data, &contract.guards, "#/data");
            return written.map(Bytes::from);
        }
        // In JSON these have several forms of one value; decoded they have one.
        let encoded = match is_json {
            true => Cow::Owned(schema.encode(data).map_err(problem)?),
            false => Cow::Borrowed(data),
        };
        let own = Some(schema.own_media_type());
        let json = schema.read(own, &encoded)?.tree.to_value().to_string();
        let written = self.object(&json, &contract.guards, "#/data")?;
        match is_json {
            true => Ok(written.into()),
            false => schema
                .encode(written.as_bytes())
                .map(Bytes::from)
                .map_err(problem),
        }
    }
}
