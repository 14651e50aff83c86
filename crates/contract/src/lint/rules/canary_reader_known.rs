//! A rollout that waits for canaries has one.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "canary-reader-known",
    level: Level::Warning,
    why: "after its first part a bridge waits for the canaries; without one it waits for ever",
    bad: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.id}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed-2, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  migration: {from: order-placed, map: {orderId: $.id}, canary: {first: 100}}
"#,
    good: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.id}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed-2, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  migration: {from: order-placed, map: {orderId: $.id}, canary: {first: 100}}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: reports, owner: team-orders}
spec:
  contract: order-placed-2
  accepts: ">=1 <2"
  via: {kafka: {group: reports}}
  duplicates: {handling: idempotent, by: $.orderId}
  canary: true
"#,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let canary = contract.migration.as_ref().and_then(|m| m.canary.as_ref());
        let has_one = contracts
            .readers_of(&contract.name)
            .any(|reader| reader.canary);
        if canary.is_some() && !has_one {
            let message = format!(
                "the rollout of `{}` waits for canaries, and none of its readers is one",
                contract.name
            );
            let hint = "set `canary: true` in a reader, or remove `migration.canary`";
            findings.add(&**contract, "spec.migration.canary.first", message, hint);
        }
    }
}
