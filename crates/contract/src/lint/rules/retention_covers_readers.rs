//! Events outlast the longest outage of every reader.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;
use crate::units::Duration;

pub(in super::super) static RULE: Rule = Rule {
    name: "retention-covers-readers",
    level: Level::Warning,
    why: "a reader that is down, noticed late and started over must still find what it missed: retention >= outage + detection + rebuild",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 7d}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team-billing}
spec:
  contract: order-placed
  accepts: ">=1 <2"
  via: {kafka: {group: billing}}
  duplicates: {handling: idempotent}
  outage: 6d
  maxLag: {time: 12h}
  rebuild: {target: 24h}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 8d}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team-billing}
spec:
  contract: order-placed
  accepts: ">=1 <2"
  via: {kafka: {group: billing}}
  duplicates: {handling: idempotent}
  outage: 6d
  maxLag: {time: 12h}
  rebuild: {target: 24h}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let retention = contract.topic.retention;
        for reader in contracts.readers_of(&contract.name) {
            let parts = [
                (reader.outage, "outage"),
                (reader.max_lag, "until it is noticed (`maxLag.time`)"),
                (reader.rebuild, "rebuild"),
            ];
            let needed: u64 = parts
                .iter()
                .filter_map(|(time, _)| *time)
                .map(Duration::as_ms)
                .sum();
            if needed <= retention.as_ms() {
                continue;
            }
            let sum: Vec<String> = parts
                .iter()
                .filter_map(|(time, what)| time.map(|time| format!("`{time}` {what}")))
                .collect();
            let message = format!(
                "reader `{}` would lose events: topic `{}` keeps `{retention}`, less than {}",
                reader.name,
                contract.topic.name,
                sum.join(" + ")
            );
            let hint = "raise `topic.retention`, or have the reader back sooner";
            findings.add(contract.as_ref(), "spec.topic.retention", message, hint);
        }
    }
}
