//! May this schema follow that one? The verdict of each level, with every reason as a path, the name
//! of a rule and a sentence: for Avro as Java's `SchemaCompatibility` 1.12, for JSON Schema and
//! Protobuf as Confluent's registry. One question makes them all: can a reader with one schema read
//! what was written under another? Costs are bounded; a pair of schemas that is too intricate to be
//! compared is incompatible, with that as its reason.

mod avro;
mod beyond;
mod json;
mod protobuf;

#[cfg(test)]
mod tests;

use super::Schema;
use crate::model::{Compatibility, CompatibilityPolicy};

pub use beyond::BEYOND_CONFLUENT;

/// More reasons for one pair of schemas help nobody.
const MAX_REASONS: usize = 64;
/// What a pair costs at most, in pairs of their types, fields, symbols and alternatives.
const MAX_STEPS: usize = 2_000_000;
/// How deep types may lead to types.
const MAX_DEPTH: usize = 200;

/// The rule that is broken when a comparison costs too much.
pub const TOO_COMPLEX: &str = "TOO_COMPLEX";
/// The rule that is broken when two schemas are in two languages.
pub const FORMAT_CHANGED: &str = "FORMAT_CHANGED";

/// Why a reader's schema cannot read what was written under another.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Incompatibility {
    /// Where in the schema; for Avro a JSON Pointer into the reader's, `/fields/1/type`, else as
    /// Confluent's registry writes it, `#/properties/total`.
    pub path: String,
    /// The rule's name, as Avro and Confluent call it: `READER_FIELD_MISSING_DEFAULT_VALUE`.
    pub rule: &'static str,
    /// A sentence, lower case.
    pub detail: String,
}

impl Incompatibility {
    fn new(path: impl Into<String>, rule: &'static str, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            rule,
            detail: detail.into(),
        }
    }

    fn too_complex(path: impl Into<String>) -> Self {
        let detail = "the schemas are too intricate to be compared";
        Self::new(path, TOO_COMPLEX, detail)
    }
}

/// Who cannot read what.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// Readers of the new schema cannot read what was written under the earlier one.
    Backward,
    /// Readers of the earlier schema cannot read what is written under the new one.
    Forward,
}

impl Direction {
    /// Returns the level's name for this direction.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
        }
    }
}

/// One reason of a verdict.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// Which of the earlier schemas it is about, by its place in what was given.
    pub earlier: usize,
    /// Who cannot read what.
    pub direction: Direction,
    /// What is wrong.
    pub found: Incompatibility,
}

/// Whose rules make a verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rules {
    /// Confluent's registry's, and nothing else.
    Confluent(CompatibilityPolicy),
    /// Those and [`BEYOND_CONFLUENT`].
    Ours(CompatibilityPolicy),
}

impl Rules {
    fn policy(self) -> CompatibilityPolicy {
        match self {
            Self::Confluent(policy) | Self::Ours(policy) => policy,
        }
    }

    /// Says whether what Confluent lets pass is told.
    fn is_ours(self) -> bool {
        matches!(self, Self::Ours(_))
    }
}

/// Says whether a new schema may follow earlier ones, oldest first; no reasons mean that it may.
///
/// The levels that are not transitive look at the last of `earlier` only, as the registry does.
pub fn check(
    level: Compatibility,
    policy: CompatibilityPolicy,
    new: &Schema,
    earlier: &[&Schema],
) -> Vec<Reason> {
    check_by(Rules::Ours(policy), level, new, earlier)
}

/// Says the same by Confluent's rules alone, as a registry answers.
pub fn check_as_confluent(
    level: Compatibility,
    policy: CompatibilityPolicy,
    new: &Schema,
    earlier: &[&Schema],
) -> Vec<Reason> {
    check_by(Rules::Confluent(policy), level, new, earlier)
}

fn check_by(rules: Rules, level: Compatibility, new: &Schema, earlier: &[&Schema]) -> Vec<Reason> {
    let first = match level.is_transitive() {
        true => 0,
        false => earlier.len().saturating_sub(1),
    };
    let mut reasons = Vec::new();
    for (at, old) in earlier.iter().enumerate().skip(first) {
        for direction in level.directions() {
            let found = match direction {
                Direction::Backward => unreadable_by(rules, new, old),
                Direction::Forward => unreadable_by(rules, old, new),
            };
            reasons.extend(found.into_iter().map(|found| Reason {
                earlier: at,
                direction: *direction,
                found,
            }));
        }
    }
    reasons
}

/// Says why `reader` cannot read what was written under `writer`; nothing if it can.
pub fn unreadable(
    reader: &Schema,
    writer: &Schema,
    policy: CompatibilityPolicy,
) -> Vec<Incompatibility> {
    unreadable_by(Rules::Ours(policy), reader, writer)
}

fn unreadable_by(rules: Rules, reader: &Schema, writer: &Schema) -> Vec<Incompatibility> {
    match (reader, writer) {
        (Schema::Avro(reader), Schema::Avro(writer)) => avro::unreadable(reader, writer),
        (Schema::Json(reader), Schema::Json(writer)) => json::unreadable(reader, writer, rules),
        (Schema::Protobuf(reader), Schema::Protobuf(writer)) => {
            protobuf::unreadable(reader, writer, rules)
        }
        _ => vec![Incompatibility::new(
            "",
            FORMAT_CHANGED,
            "the schemas are in two languages",
        )],
    }
}

impl Compatibility {
    /// Says whether a new schema is held against every earlier one, not the last only.
    pub fn is_transitive(self) -> bool {
        matches!(
            self,
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive
        )
    }

    /// Returns what is asked of a pair of schemas.
    pub fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward | Self::BackwardTransitive => &[Direction::Backward],
            Self::Forward | Self::ForwardTransitive => &[Direction::Forward],
            Self::Full | Self::FullTransitive => &[Direction::Backward, Direction::Forward],
        }
    }
}
