//! A reader knows what it does with an event that comes twice.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;
use crate::reader::Handling;

pub(in super::super) static RULE: Rule = Rule {
    name: "reader-handles-duplicates",
    level: Level::Warning,
    why: "delivery is at least once: after every crash and every replay events come again",
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
        let handling = reader
            .duplicates
            .as_ref()
            .map(|duplicates| duplicates.handling);
        let (key, what) = match handling {
            None => (
                "metadata.name",
                "does not say what it does with an event that comes twice",
            ),
            Some(Handling::None) => (
                "spec.duplicates.handling",
                "does not handle an event that comes twice",
            ),
            Some(Handling::Idempotent | Handling::Tolerated) => continue,
        };
        let message = format!("reader `{}` {what}", reader.name);
        let hint = "make it `idempotent`, or say `duplicates: {handling: tolerated}` if twice does no harm";
        findings.add(reader.as_ref(), key, message, hint);
    }
}
