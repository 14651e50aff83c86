//! A reader reads fields that the schema declares, and knows a repeat by one.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;
use crate::path::Path;
use crate::schema::Outlined;

pub(in super::super) static RULE: Rule = Rule {
    name: "reader-fields-declared",
    level: Level::Warning,
    why: "a field that no schema declares may be missing tomorrow, and no check will say whom that breaks",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/order.json}
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
  reads: [$.orderId, $.total.currency]
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/order.json}
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
  reads: [$.orderId, $.total.amount]
"##,
    schemas: &[(
        "schemas/order.json",
        r##"{"properties": {"orderId": {"type": "string"}, "total": {"properties": {"amount": {"type": "integer"}}}}}"##,
    )],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for reader in contracts.readers() {
        let Some(contract) = contracts.by_name(&reader.contract) else {
            continue;
        };
        let fields = contract.schema.schema.outline();
        let reads = reader.reads.iter().enumerate();
        let reads = reads.map(|(place, path)| (format!("spec.reads[{place}]"), "reads", path));
        let by = reader.duplicates.iter().filter_map(|d| d.by.as_ref());
        let by = by.map(|path| ("spec.duplicates.by".to_owned(), "knows a repeat by", path));
        for (place, does, path) in reads.chain(by) {
            if contract.schema.schema.may_hold(path) || is_open(&fields, path) {
                continue;
            }
            let message = format!(
                "reader `{}` {does} `{path}`, which the schema of `{}` does not declare",
                reader.name, contract.name
            );
            let hint = "declare the field in the schema, or name another";
            findings.add(reader.as_ref(), &place, message, hint);
        }
    }
}

/// Says whether a path leads into something of which the schema declares no part at all.
fn is_open(fields: &[Outlined], path: &Path) -> bool {
    let names = path.names();
    (0..names.len()).any(|length| {
        let above = &names[..length];
        let known = above.is_empty() || fields.iter().any(|field| field.names == above);
        let has_parts = fields
            .iter()
            .any(|field| field.names.len() > length && field.names.starts_with(above));
        known && !has_parts
    })
}
