//! A bridge comes from a contract that is there.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "bridge-source-known",
    level: Level::Warning,
    why: "a bridge finds the earlier events by their contract; under a name that is misspelt it copies nothing",
    bad: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed-2, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  migration: {from: order-placd, map: {orderId: $.id}}
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
  migration: {from: order-placed, map: {orderId: $.id}}
"#,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let Some(migration) = &contract.migration else {
            continue;
        };
        if contracts.by_name(&migration.from).is_none() {
            let message = format!(
                "contract `{}` takes over from `{}`, which is no contract of this set",
                contract.name, migration.from
            );
            let hint = "keep the earlier contract, `retired`, until its bridge has ended";
            findings.add(&**contract, "spec.migration.from", message, hint);
        }
    }
}
