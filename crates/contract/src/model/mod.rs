//! Contracts as typed, checked data: what `load.rs` makes of the files and the rest reads. Every
//! value here is effective, written or default; `explain.rs` tells which. Immutable once loaded.
//!
//! Its files are those of the format's keys (`format/keys`), so a key and what becomes of it have the
//! same place in both.

mod data;
mod event;
mod ingress;
mod privacy;
mod set;
mod topic;
mod words;

use std::fmt;
use std::str::FromStr;

pub use self::data::{
    Compatibility, CompatibilityPolicy, FieldRule, KeyRules, MissingKey, OnFailure, Ordering,
    SchemaFormat, SchemaIdPlace, SchemaRules,
};
pub use self::event::{ContentMode, EventRules, MissingTime, SourceRule, TimeRules};
pub(crate) use self::ingress::{AUTH_PATTERN, MAX_AMOUNT};
pub use self::ingress::{
    AckAfter, Auth, Fingerprint, Idempotency, IngressRules, Limit, OnInvalid, Quota, QuotaPer,
    RequestRules, Scope,
};
pub use self::privacy::{Classification, PersonalField, Protect};
pub use self::set::Contracts;
pub use self::topic::{Cleanup, ENVELOPE_BYTES, Enforce, Peak, TopicRules};
pub use self::words::UnknownWord;
pub(crate) use self::words::words;
use crate::date::Date;
use crate::explain::Explained;
use crate::load::Document;
use crate::migration::Migration;
use crate::privacy::Guards;
use crate::units::Duration;

/// What producer and consumers agreed on one event type.
#[derive(Debug)]
pub struct EventContract {
    /// Unique in its set.
    pub name: String,
    /// The version of the promise.
    pub version: Version,
    /// The business area.
    pub domain: Option<String>,
    /// The name of a [`Team`] in the same set.
    pub owner: Option<String>,
    /// What the event means, for people.
    pub summary: Option<String>,
    /// What kind of event it is.
    pub class: Class,
    /// Who may read it.
    pub audience: Audience,
    /// Whether events are taken.
    pub lifecycle: Lifecycle,
    /// Since when it is on its way out.
    pub deprecation: Option<Deprecation>,
    /// The lint findings about it that are meant to be.
    pub allows: Vec<Allowance>,
    /// The envelope's attributes.
    pub event: EventRules,
    /// What the data looks like.
    pub schema: SchemaRules,
    /// What is ordered against what.
    pub key: KeyRules,
    /// Where the events are kept.
    pub topic: TopicRules,
    /// What happens at the edge.
    pub ingress: IngressRules,
    /// The fields that are about persons.
    pub personal: Vec<PersonalField>,
    /// How sensitive the data is.
    pub classification: Option<Classification>,
    /// Where the events may be kept; nothing means anywhere.
    pub regions: Vec<String>,
    pub(crate) guards: Guards,
    /// What is hidden from readers who may not see fields about persons.
    pub(crate) hiding: Guards,
    /// How far back events must stay readable; absent means the whole retention.
    pub replay_window: Option<Duration>,
    /// The earlier event type that this one takes over from.
    pub migration: Option<Migration>,
    pub(crate) explained: Vec<Explained>,
    pub(crate) document: Document,
}

impl EventContract {
    /// Returns the file that the contract stands in, as the loader was given it.
    pub fn file(&self) -> &str {
        &self.document.file
    }
}

/// The version of a promise, ordered number by number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// Raised when consumers must change.
    pub major: u32,
    /// Raised when something was added.
    pub minor: u32,
    /// Raised when nothing that is promised changed.
    pub patch: u32,
}

impl FromStr for Version {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self {
                major,
                minor,
                patch,
            }),
            _ => Err(UnknownWord::new(text)),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

words! {
    /// What kind of event it is; chooses the defaults.
    Class {
        /// Something that happened.
        Fact = "fact",
        /// A request to do something.
        Command = "command",
        /// A measurement.
        Telemetry = "telemetry",
    }
}

words! {
    /// Who may read the events.
    Audience {
        /// Readers of one company.
        Internal = "internal",
        /// Readers of known other companies.
        Partner = "partner",
        /// Anybody.
        Public = "public",
    }
}

words! {
    /// Whether the contract is in force.
    Lifecycle {
        /// Not yet: events are refused and nothing is kept.
        Draft = "draft",
        /// In force.
        Active = "active",
        /// In force, on its way out.
        Deprecated = "deprecated",
        /// No longer: events are refused and nothing is kept.
        Retired = "retired",
    }
}

impl Lifecycle {
    /// Says whether the edge takes events under a contract in this state.
    pub fn accepts_events(self) -> bool {
        matches!(self, Self::Active | Self::Deprecated)
    }
}

/// Since when a contract is on its way out, and what comes after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deprecation {
    /// From when nobody should start to send it.
    pub since: Date,
    /// From when events may be refused; later than `since`.
    pub sunset: Option<Date>,
    /// The contract to send to instead.
    pub successor: Option<String>,
}

/// A lint rule whose findings about one document are meant to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Allowance {
    /// The rule.
    pub rule: String,
    /// The reason, for people.
    pub why: String,
}

/// Who answers for contracts.
#[derive(Debug)]
pub struct Team {
    /// Unique in its set.
    pub name: String,
    /// Where it is reached, `webhook:https://…` or `mailto:…`.
    pub pager: String,
    /// How many of it must approve a change.
    pub approves: Approves,
    pub(crate) explained: Vec<Explained>,
    pub(crate) document: Document,
}

/// How many approvals of a team a change needs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Approves {
    /// A new topic.
    pub topic: u32,
    /// A breaking change of its contracts.
    pub breaking: u32,
    /// A new or changed reader of its events.
    pub reader: u32,
}
