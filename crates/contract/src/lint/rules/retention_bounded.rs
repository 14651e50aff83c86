//! Retention ends.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Class, Contracts};

pub(in super::super) static RULE: Rule = Rule {
    name: "retention-bounded",
    level: Level::Warning,
    why: "what is kept for ever is paid for ever and leaks for ever; a log is no archive, and old measurements are read by nobody",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 36500d}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 365d}
"##,
    schemas: &[],
    check,
};

/// Longer than any law that asks for the books.
const MAX_DAYS: u64 = 3_653;
/// A season: beyond it measurements are read as sums, from another store.
const MAX_TELEMETRY_DAYS: u64 = 90;
const DAY_MS: u64 = 86_400_000;

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let retention = contract.topic.retention;
        let (days, what) = match contract.class {
            Class::Telemetry => (MAX_TELEMETRY_DAYS, "measurements are kept"),
            Class::Fact | Class::Command => (MAX_DAYS, "events are kept"),
        };
        if retention.as_ms() > days * DAY_MS {
            let message = format!("{what} for `{retention}`, longer than `{days}d`");
            let hint = "lower `topic.retention` and archive what must stay; or allow it and say who asks for it";
            findings.add(contract.as_ref(), "spec.topic.retention", message, hint);
        }
    }
}
