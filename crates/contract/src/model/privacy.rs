//! What in the data is about persons, and how sensitive the data is.

use super::words::words;
use crate::path::Path;

/// A field that tells something about a person.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PersonalField {
    /// Where the data holds it.
    pub path: Path,
    /// What it tells.
    pub category: String,
    /// What becomes of it before the event is stored; absent means that it is stored as it is.
    pub protect: Option<Protect>,
}

words! {
    /// What becomes of a field about a person before the event is stored.
    Protect {
        /// It is taken out.
        Drop = "drop",
        /// Of its text the last characters stay.
        Mask = "mask",
        /// Its keyed hash stands in its place.
        Hash = "hash",
        /// An event that has it is refused and not kept.
        Reject = "reject",
    }
}

words! {
    /// How sensitive the data is (CloudEvents extension `dataclassification`, its recommended labels).
    Classification {
        /// Anybody may know it.
        Public = "public",
        /// Anybody in the company may.
        Internal = "internal",
        /// Who needs it may.
        Confidential = "confidential",
        /// Few may.
        Restricted = "restricted",
    }
}
