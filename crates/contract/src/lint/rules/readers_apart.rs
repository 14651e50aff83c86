//! Two readers of one contract have a consumer group each.

use std::collections::HashMap;

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;
use crate::reader::Via;

pub(in super::super) static RULE: Rule = Rule {
    name: "readers-apart",
    level: Level::Warning,
    why: "a group shares its events out: each of the two readers gets some of them, and neither gets all",
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
  via: {kafka: {group: orders}}
  duplicates: {handling: idempotent}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: shipping, owner: team-billing}
spec:
  contract: order-placed
  accepts: ">=1 <2"
  via: {kafka: {group: orders}}
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
  via: {kafka: {group: orders-billing}}
  duplicates: {handling: idempotent}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: shipping, owner: team-billing}
spec:
  contract: order-placed
  accepts: ">=1 <2"
  via: {kafka: {group: orders-shipping}}
  duplicates: {handling: idempotent}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    let mut seen: HashMap<(&str, String), &str> = HashMap::new();
    for reader in contracts.readers() {
        let group = reader.via.group();
        let Some(first) = seen.insert((&reader.contract, group.clone()), &reader.name) else {
            continue;
        };
        let message = format!(
            "readers `{first}` and `{}` of `{}` share consumer group `{group}`",
            reader.name, reader.contract
        );
        let key = match reader.via {
            Via::Kafka { .. } => "spec.via.kafka.group",
            Via::Connect { .. } => "spec.via.connect.connector",
        };
        findings.add(
            reader.as_ref(),
            key,
            message,
            "give each of them a group of its own",
        );
    }
}
