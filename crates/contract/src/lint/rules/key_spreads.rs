//! The key has values enough for the partitions.

use super::super::count;
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Contracts, Ordering};

pub(in super::super) static RULE: Rule = Rule {
    name: "key-spreads",
    level: Level::Warning,
    why: "records of one key share a partition: with few keys most partitions stay empty and one is full",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/order.json}
  key: {from: $.currency}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/order.json}
  key: {from: $.orderId}
"##,
    schemas: &[(
        "schemas/order.json",
        r##"{"properties": {"orderId": {"type": "string"}, "currency": {"enum": ["EUR", "USD"]}}}"##,
    )],
    check,
};

/// Fewer keys a partition than this, and chance alone leaves some partitions without any.
const KEYS_A_PARTITION: usize = 4;

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let (key, partitions) = (&contract.key, contract.topic.partitions);
        if partitions == 1 || key.ordering == Ordering::None {
            continue;
        }
        let fields = contract.schema.schema.outline();
        let field = fields.iter().find(|field| field.names == key.from.names());
        let Some(values) = field.and_then(|field| field.values) else {
            continue;
        };
        if values < KEYS_A_PARTITION * partitions as usize {
            let message = format!(
                "key `{}` has {} for {partitions} partitions",
                key.from,
                count(values, "value", "values")
            );
            let hint = "take what the event is about as the key, or set `topic.partitions: 1` if one lane is meant";
            findings.add(contract.as_ref(), "spec.key.from", message, hint);
        }
    }
}
