//! An event is no row of a table.

use std::collections::BTreeSet;

use super::super::words::words;
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Class, Contracts};

pub(in super::super) static RULE: Rule = Rule {
    name: "table-not-topic",
    level: Level::Warning,
    why: "readers of rows depend on your tables: no column can change any more, and nobody is told what happened, only what is different",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders_table, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/row.json}
  key: {from: $.after.id}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"##,
    schemas: &[(
        "schemas/row.json",
        r##"{"properties": {"op": {"type": "string"}, "before": {"type": "object"}, "after": {"type": "object"}}}"##,
    )],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let name = words(&contract.name);
        let topic = words(&contract.topic.name);
        let named = [&name, &topic].into_iter().any(|words| {
            let last = words.last().map(String::as_str);
            words.len() > 1
                && (last == Some("table") || words.iter().any(|w| w == "cdc" || w == "tbl"))
        });
        let fields: BTreeSet<String> = contract
            .schema
            .schema
            .outline()
            .into_iter()
            .filter(|field| field.names.len() == 1)
            .map(|field| words(&field.names[0]).concat())
            .collect();
        let has = |names: &[&str]| names.iter().any(|name| fields.contains(*name));
        let found = if has(&["before"]) && has(&["after"]) && has(&["op", "operation"]) {
            "its data is a change of a row: `before`, `after` and what was done"
        } else if contract.class == Class::Fact
            && has(&["id"])
            && has(&["createdat", "created"])
            && has(&["updatedat", "updated"])
        {
            "its data is a row: an id, when it was created, when it was updated"
        } else if named {
            "its name is that of a table"
        } else {
            continue;
        };
        let message = format!("contract `{}` looks like a table: {found}", contract.name);
        let hint = "say what happened, in the words of the business, with what readers need; keep change capture inside";
        findings.add(contract.as_ref(), "metadata.name", message, hint);
    }
}
