//! A deprecated contract loses its readers.

use super::super::{Findings, Rule};
use super::sunset_kept::has_passed;
use crate::load::Level;
use crate::model::{Contracts, Lifecycle};

pub(in super::super) static RULE: Rule = Rule {
    name: "deprecated-unread",
    level: Level::Warning,
    why: "a contract can be retired when nobody reads it any more; until then these are the ones to talk to",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  lifecycle: deprecated
  deprecation: {since: 2026-01-15, sunset: 2026-12-31, successor: order-accepted}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-accepted, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team-billing}
spec:
  contract: order-placed
  accepts: ">=1 <2"
  via: {kafka: {group: billing}}
  duplicates: {handling: idempotent}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  lifecycle: deprecated
  deprecation: {since: 2026-01-15, sunset: 2026-12-31, successor: order-accepted}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-accepted, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team-billing}
spec:
  contract: order-accepted
  accepts: ">=1 <2"
  via: {kafka: {group: billing}}
  duplicates: {handling: idempotent}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        if contract.lifecycle != Lifecycle::Deprecated || has_passed(contract, findings.today) {
            continue;
        }
        let readers: Vec<String> = contracts
            .readers_of(&contract.name)
            .map(|reader| format!("`{}`", reader.name))
            .collect();
        if !readers.is_empty() {
            let message = format!(
                "contract `{}` is deprecated and still read by {}",
                contract.name,
                readers.join(", ")
            );
            let hint = "move them to what comes after it, then set `lifecycle: retired`";
            findings.add(contract.as_ref(), "spec.lifecycle", message, hint);
        }
    }
}
