//! A reader reads a contract that is there.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "reader-contract-known",
    level: Level::Warning,
    why: "what breaks the reader cannot be told while its contract has another name; a folder of readers alone is not asked",
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
  contract: order-placd
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
    // Readers may live in repositories of their own.
    if contracts.is_empty() {
        return;
    }
    for reader in contracts.readers() {
        let name = &reader.contract;
        if contracts.by_name(name).is_some() {
            continue;
        }
        let likeness = |known: &&String| (1e6 * strsim::jaro_winkler(name, known)) as u32;
        let nearest = contracts.iter().map(|c| &c.name).max_by_key(likeness);
        let message = format!(
            "reader `{}` reads `{name}`, which is no contract of this set",
            reader.name
        );
        let hint = nearest.map_or_else(String::new, |near| format!("the nearest one is `{near}`"));
        findings.add(reader.as_ref(), "spec.contract", message, &hint);
    }
}
