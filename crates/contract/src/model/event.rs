//! The envelope of events: the attributes that CloudEvents give them.

use super::words::words;
use crate::path::Path;
use crate::units::Duration;

/// The CloudEvents attributes of a contract.
#[derive(Debug)]
pub struct EventRules {
    /// The `type` attribute, or a family of them with `*` at its end ([`crate::event_type`]); unique in
    /// its set.
    pub event_type: String,
    /// The `source` attribute.
    pub source: SourceRule,
    /// Where the data holds the event's id.
    pub id: Option<Path>,
    /// Which time the event has.
    pub time: TimeRules,
    /// How it stands in the log.
    pub mode: ContentMode,
}

/// Which sources a contract takes events from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SourceRule {
    /// Any; a plain body gets the one named here.
    Any {
        /// `/` and the contract's name.
        plain: String,
    },
    /// This one only.
    Only(String),
}

impl SourceRule {
    /// Returns the source of an event made of a plain body.
    pub fn for_plain_body(&self) -> &str {
        match self {
            Self::Any { plain } => plain,
            Self::Only(source) => source,
        }
    }
}

/// Which time an event has and how far off it may be.
#[derive(Debug)]
pub struct TimeRules {
    /// Where the data holds it; absent means the `time` attribute.
    pub from: Option<Path>,
    /// How far it may lie ahead of its receipt.
    pub max_skew: Duration,
    /// How far it may lie behind its receipt; absent means any age.
    pub max_age: Option<Duration>,
    /// What becomes of an event without one.
    pub on_missing: MissingTime,
}

words! {
    /// What becomes of an event that has no time.
    MissingTime {
        /// The time of receipt stands in for it.
        Receipt = "receipt",
        /// The event is refused.
        Reject = "reject",
    }
}

words! {
    /// How events stand in the log's records (CloudEvents Kafka binding 1.0.2 §3).
    ContentMode {
        /// Attributes as headers, the data as the value.
        Binary = "binary",
    }
}
