//! A reader accepts the version of its contract.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;
use crate::reader::Priority;

pub(in super::super) static RULE: Rule = Rule {
    name: "reader-accepts-version",
    level: Level::Warning,
    why: "the reader has said that it cannot read these events",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders, version: 2.0.0}
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
metadata: {name: order-placed, owner: team-orders, version: 2.0.0}
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
  accepts: ">=1 <3"
  via: {kafka: {group: billing}}
  duplicates: {handling: idempotent}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for reader in contracts.readers() {
        let Some(contract) = contracts.by_name(&reader.contract) else {
            continue;
        };
        // What takes no events has none to read, and an experiment may break.
        let matters =
            contract.lifecycle.accepts_events() && reader.priority != Priority::Experimental;
        if matters && !reader.accepts.contains(contract.version) {
            let message = format!(
                "reader `{}` accepts `{}`, and contract `{}` is version `{}`",
                reader.name, reader.accepts, contract.name, contract.version
            );
            let hint = "see that the reader can read it, then widen `accepts`";
            findings.add(reader.as_ref(), "spec.accepts", message, hint);
        }
    }
}
