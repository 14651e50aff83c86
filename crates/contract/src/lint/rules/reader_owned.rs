//! A reader names a team that is there.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "reader-owned",
    level: Level::Warning,
    why: "somebody has to be told when the reader lags or breaks",
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
metadata: {name: billing, owner: team-nobody}
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
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for reader in contracts.readers() {
        let owner = &reader.owner;
        if contracts.team(owner).is_none() {
            let message = format!(
                "reader `{}` belongs to `{owner}`, which is no team of these contracts",
                reader.name
            );
            let hint = "add a document of `kind: Team` with this name, and a pager";
            findings.add(reader.as_ref(), "metadata.owner", message, hint);
        }
    }
}
