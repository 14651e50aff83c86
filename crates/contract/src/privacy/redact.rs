//! What a sender sent wrong, made fit to be kept: what is protected in an event is hidden in its original
//! too. Wherever a value is not what the contract expects, it is hidden whole; what cannot be read at
//! all is kept where nobody is shown it, unless the contract has fields that are never kept.

use bytes::Bytes;

use super::{Guard, Hash, Then, Unexpected};
use crate::model::{EventContract, Protect};
use crate::schema::Schema;

/// What the bytes of a request are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// The event's data.
    Data,
    /// A CloudEvent in its JSON form, with the data inside.
    Envelope,
    /// A body that the data is made of; what is where in it, only the map knows.
    Request,
}

/// An original, as it may be kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kept {
    /// May be shown.
    Shown(Bytes),
    /// May hold what is protected: kept, and shown to nobody.
    Withheld(Bytes),
    /// May hold what is never kept.
    Nothing,
}

impl EventContract {
    /// Hides in an original what is protected in its event.
    pub fn redact(
        &self,
        form: Form,
        media_type: Option<&str>,
        original: &Bytes,
        hash: Hash<'_>,
    ) -> Kept {
        if !self.protects() {
            return Kept::Shown(original.clone());
        }
        match self.redacted(form, media_type, original, hash) {
            Some(redacted) => Kept::Shown(redacted),
            None if self.rejected().next().is_some() => Kept::Nothing,
            None => Kept::Withheld(original.clone()),
        }
    }

    fn redacted(
        &self,
        form: Form,
        media_type: Option<&str>,
        original: &[u8],
        hash: Hash<'_>,
    ) -> Option<Bytes> {
        let protecting = self.protecting(hash, Unexpected::Hidden);
        match form {
            Form::Data => protecting.data(self, media_type, original).ok(),
            // Of the others the data has several forms in JSON.
            Form::Envelope if matches!(self.schema.schema, Schema::Json(_)) => {
                let guards = [
                    Guard {
                        names: vec!["data".to_owned()],
                        then: Then::Inside(self.guards.clone()),
                    },
                    Guard {
                        names: vec!["data_base64".to_owned()],
                        then: Then::Protect(Protect::Drop),
                    },
                ];
                let written = protecting.text(original, &guards, "#").ok()?;
                Some(written.into())
            }
            Form::Envelope | Form::Request => None,
        }
    }
}
