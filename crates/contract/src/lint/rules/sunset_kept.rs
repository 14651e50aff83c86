//! A sunset that has passed leaves no reader behind.

use super::super::{Findings, Rule};
use crate::date::Date;
use crate::load::Level;
use crate::model::{Contracts, EventContract};

pub(in super::super) static RULE: Rule = Rule {
    name: "sunset-kept",
    level: Level::Warning,
    why: "senders were told a day; whoever reads after it reads what may stop at any time",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  lifecycle: deprecated
  deprecation: {since: 2026-01-15, sunset: 2026-03-31, successor: order-accepted}
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
  deprecation: {since: 2026-01-15, sunset: 2026-03-31, successor: order-accepted}
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

/// Says whether the contract should have ended by a day.
pub(super) fn has_passed(contract: &EventContract, today: Option<Date>) -> bool {
    let sunset = contract.deprecation.as_ref().and_then(|told| told.sunset);
    today
        .zip(sunset)
        .is_some_and(|(today, sunset)| today >= sunset)
}

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let readers: Vec<String> = contracts
            .readers_of(&contract.name)
            .map(|reader| format!("`{}`", reader.name))
            .collect();
        let sunset = contract.deprecation.as_ref().and_then(|told| told.sunset);
        let (Some(sunset), false) = (sunset, readers.is_empty()) else {
            continue;
        };
        if has_passed(contract, findings.today) {
            let message = format!(
                "contract `{}` ended on `{sunset}` and is still read by {}",
                contract.name,
                readers.join(", ")
            );
            let hint = "move the readers, or tell senders a later `deprecation.sunset`";
            findings.add(contract.as_ref(), "spec.deprecation.sunset", message, hint);
        }
    }
}
