//! Dead letters belong to a team that can be reached.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "dead-letter-owned",
    level: Level::Warning,
    why: "a dead letter that nobody looks at is a lost event with a longer way",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
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
  failure: {deadLetter: {owner: team-nobody}}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
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
  failure: {deadLetter: {owner: team-billing}}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for reader in contracts.readers() {
        let Some(dead_letter) = &reader.dead_letter else {
            continue;
        };
        let owner = &dead_letter.owner;
        // The same missing team is told once, by `reader-owned`.
        if contracts.team(owner).is_none() && *owner != reader.owner {
            let message = format!(
                "the dead letters of reader `{}` belong to `{owner}`, which is no team of these contracts",
                reader.name
            );
            let hint = "add a document of `kind: Team` with this name, and a pager";
            findings.add(
                reader.as_ref(),
                "spec.failure.deadLetter.owner",
                message,
                hint,
            );
        }
    }
}
