//! Two sets of contracts to what changed between them: each change safe, risky or breaking, with the
//! rule that says so, whom it concerns, and its place in the file. Contracts are the same by their
//! name. The schema is held to the promise of the earlier contract, not to a new one that weakens it.
//! Readers are told by name when what they rely on changes; `retained` adds what the log's own events
//! say of a new contract.

mod json;
mod keys;
mod parts;
mod readers;
pub mod retained;
mod rules;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::load::Diagnostic;
use crate::model::{Compatibility, Contracts, EventContract};
use crate::reader::Reader;
use crate::schema::compatibility::{self, Direction};

pub use rules::{RULES, Rule};

/// More reasons of one schema are counted, not told.
const MAX_SCHEMA_REASONS: usize = 20;

/// The key that the schema's findings stand at.
const SCHEMA_KEY: &str = "spec.schema.file";

/// What a change means for those who live with the contract.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Somebody who kept the earlier contract fails under the new one.
    Breaking,
    /// Nobody fails by it, but something they may count on is another.
    Risky,
    /// Nobody notices.
    Safe,
}

impl Severity {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Breaking => "breaking",
            Self::Risky => "risky",
            Self::Safe => "safe",
        }
    }
}

/// One change between two sets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The contract's name; of a renamed one, the earlier.
    pub contract: String,
    /// What it means.
    pub severity: Severity,
    /// The rule that says so.
    pub rule: &'static str,
    /// The key it is about, `spec.topic.partitions`.
    pub key: String,
    /// What changed and where; in the earlier set if it is gone from the new one.
    pub finding: Diagnostic,
    /// The reader that it breaks or is about.
    pub reader: Option<Concerned>,
    /// The first event of the log that shows it.
    pub first_offset: Option<EventPlace>,
}

/// A reader that a change is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Concerned {
    /// The reader's name.
    pub name: String,
    /// The team that answers for it.
    pub owner: String,
    /// The consumer group whose offsets say how far it is.
    pub group: String,
    /// The field that it reads and that the change is about.
    pub field: Option<String>,
}

impl Concerned {
    fn of(reader: &Reader, field: Option<String>) -> Self {
        Self {
            name: reader.name.clone(),
            owner: reader.owner.clone(),
            group: reader.via.group(),
            field,
        }
    }
}

/// Where an event stands in the log.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EventPlace {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// `breaking: contracts/orders.yaml:12:5: … [partitions-lowered]`, with the line and a hint.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.finding.write_as(self.severity.as_str(), f)
    }
}

/// Compares two sets of contracts and their readers: the worst change first, then by contract.
///
/// What the new set lacks is gone. Where readers live in a repository of their own, complete the set
/// first ([`Contracts::completed_by`], [`Contracts::over`]).
pub fn diff(old: &Contracts, new: &Contracts) -> Vec<Change> {
    let mut changes = Vec::new();
    for before in old {
        if let Some(after) = new.by_name(&before.name) {
            contract(before, after, &mut changes);
            continue;
        }
        let event_type = &before.event.event_type;
        let renamed = new.with_type(event_type);
        match renamed.filter(|after| old.by_name(&after.name).is_none()) {
            Some(after) => {
                let message = format!(
                    "contract `{}` is called `{}` now: senders to `/v1/events/{}` find nothing",
                    before.name, after.name, before.name
                );
                changes.push(change(
                    after,
                    &before.name,
                    "metadata.name",
                    &rules::RENAMED,
                    message,
                ));
                contract(before, after, &mut changes);
            }
            None => changes.push(removed(before)),
        }
    }
    for after in new {
        let known = old.by_name(&after.name).is_some()
            || old
                .with_type(&after.event.event_type)
                .is_some_and(|before| new.by_name(&before.name).is_none());
        if !known {
            let message = format!("contract `{}` is new", after.name);
            changes.push(change(
                after,
                &after.name,
                "metadata.name",
                &rules::ADDED,
                message,
            ));
        }
    }
    readers::compare(old, new, &mut changes);
    sort(&mut changes);
    changes
}

/// Puts the worst change first; then they go by contract.
pub fn sort(changes: &mut [Change]) {
    changes.sort_by(|a, b| (a.severity, &a.contract).cmp(&(b.severity, &b.contract)));
}

/// Holds schemas against a still earlier set, as the transitive levels ask of those contracts whose
/// `last` version before the new one promises them. `name` tells people which set it is.
pub fn diff_earlier(
    name: &str,
    earlier: &Contracts,
    last: &Contracts,
    new: &Contracts,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for before in earlier {
        let (Some(promised), Some(after)) = (last.by_name(&before.name), new.by_name(&before.name))
        else {
            continue;
        };
        let (level, policy) = (promised.schema.compatibility, promised.schema.policy);
        if level.is_transitive() {
            let found = compatibility::check(
                level,
                policy,
                &after.schema.schema,
                &[&before.schema.schema],
            );
            incompatible(
                before,
                after,
                &format!("`{level}` against `{name}`"),
                found,
                &mut changes,
            );
        }
    }
    changes
}

fn removed(before: &EventContract) -> Change {
    let name = &before.name;
    if before.lifecycle.accepts_events() {
        let message = format!(
            "contract `{name}` is gone while it is `{}`: its events are refused, its readers wait",
            before.lifecycle
        );
        change(before, name, "metadata.name", &rules::REMOVED, message)
    } else {
        let message = format!(
            "contract `{name}`, which was `{}`, is gone",
            before.lifecycle
        );
        change(
            before,
            name,
            "metadata.name",
            &rules::REMOVED_UNUSED,
            message,
        )
    }
}

fn contract(before: &EventContract, after: &EventContract, changes: &mut Vec<Change>) {
    for old in before.explain() {
        if parts::owns(&old.key) {
            continue;
        }
        // A key without a value in one of them may be missing there.
        let new = after.explain().iter().find(|new| new.key == old.key);
        let (from, to) = (
            old.value.as_deref(),
            new.and_then(|new| new.value.as_deref()),
        );
        if from == to {
            continue;
        }
        let Some((rule, why)) = keys::judge(before, after, &old.key, from, to) else {
            continue;
        };
        let shown =
            |value: Option<&str>| value.map_or_else(|| "nothing".to_owned(), |v| format!("`{v}`"));
        let key = old.key.strip_prefix("spec.").unwrap_or(&old.key);
        let message = format!("`{key}` was {}, is {}: {why}", shown(from), shown(to));
        changes.push(change(after, &before.name, &old.key, rule, message));
    }
    for found in parts::compare(before, after) {
        let parts::Found { key, rule, message } = found;
        changes.push(change(after, &before.name, &key, rule, message));
    }
    schema(before, after, changes);
}

/// Says whether two contracts have the same schema.
fn same_schema(before: &EventContract, after: &EventContract) -> bool {
    let (old, new) = (&before.schema, &after.schema);
    let pointer = |file: &str| {
        file.split_once('#')
            .map_or_else(String::new, |(_, pointer)| pointer.to_owned())
    };
    old.fingerprint == new.fingerprint
        && old.format == new.format
        && pointer(&old.file) == pointer(&new.file)
}

fn schema(before: &EventContract, after: &EventContract, changes: &mut Vec<Change>) {
    let (old, new) = (&before.schema, &after.schema);
    if same_schema(before, after) {
        return;
    }
    let level = old.compatibility;
    let reasons = compatibility::check(level, old.policy, &new.schema, &[&old.schema]);
    if reasons.is_empty() {
        let (rule, message) = match level {
            Compatibility::None => (
                &rules::SCHEMA_UNBOUND,
                "the schema changed, and `NONE` promises nothing about that".to_owned(),
            ),
            level => (
                &rules::SCHEMA_CHANGED,
                format!("the schema changed and keeps `{level}`"),
            ),
        };
        changes.push(change(after, &before.name, SCHEMA_KEY, rule, message));
    }
    incompatible(before, after, &format!("`{level}`"), reasons, changes);
}

/// Tells each reason why the schema breaks `promise`.
fn incompatible(
    before: &EventContract,
    after: &EventContract,
    promise: &str,
    reasons: Vec<compatibility::Reason>,
    changes: &mut Vec<Change>,
) {
    let more = reasons.len().saturating_sub(MAX_SCHEMA_REASONS);
    let mut add = |message| {
        let rule = &rules::SCHEMA_INCOMPATIBLE;
        changes.push(change(after, &before.name, SCHEMA_KEY, rule, message));
    };
    for reason in reasons.into_iter().take(MAX_SCHEMA_REASONS) {
        let who = match reason.direction {
            Direction::Backward => "the new schema refuses what the earlier one allowed",
            Direction::Forward => "the earlier schema refuses what the new one allows",
        };
        let found = reason.found;
        add(format!(
            "the schema breaks {promise}: at `{}` {} ({}): {who}",
            found.path, found.detail, found.rule
        ));
    }
    if more > 0 {
        add(format!("the schema breaks {promise} in {more} more places"));
    }
}

/// Makes a change with its place in the contract that has it.
fn change(
    at: &EventContract,
    name: &str,
    key: &str,
    rule: &'static Rule,
    message: String,
) -> Change {
    let hint = (!rule.hint.is_empty()).then(|| rule.hint.to_owned());
    let finding = at.document.finding(key, message, hint);
    judged(name, key, rule, finding)
}

/// Makes a change of a finding that has its place.
fn judged(name: &str, key: &str, rule: &'static Rule, mut finding: Diagnostic) -> Change {
    finding.rule = Some(rule.name);
    let mut change = Change {
        contract: name.to_owned(),
        severity: rule.severity,
        rule: rule.name,
        key: key.to_owned(),
        finding,
        reader: None,
        first_offset: None,
    };
    change.weigh(rule.severity);
    change
}

impl Change {
    fn weigh(&mut self, severity: Severity) {
        self.severity = severity;
        self.finding.level = match severity {
            Severity::Breaking => crate::load::Level::Error,
            Severity::Risky | Severity::Safe => crate::load::Level::Warning,
        };
    }
}
