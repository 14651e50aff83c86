//! One fact is one event: not a head here and its lines there.

use std::collections::HashMap;

use super::super::words::words;
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Class, Contracts, EventContract};

pub(in super::super) static RULE: Rule = Rule {
    name: "fact-whole",
    level: Level::Warning,
    why: "two topics have no order between them: a reader meets the lines without the head, and has to guess when both are complete",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-header-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-lines-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
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
    schemas: &[],
    check,
};

/// What people call the parts of one thing.
const PARTS: &[&str] = &[
    "body",
    "detail",
    "details",
    "footer",
    "head",
    "header",
    "headers",
    "item",
    "items",
    "line",
    "lines",
    "part",
    "parts",
    "position",
    "positions",
];

fn check(contracts: &Contracts, findings: &mut Findings) {
    // By what is left of the name without the parts' words, the class, the area and the key.
    let mut seen: HashMap<(String, Option<&str>, String), Vec<&EventContract>> = HashMap::new();
    let facts = contracts
        .iter()
        .filter(|contract| contract.class == Class::Fact);
    for contract in facts {
        let (parts, rest): (Vec<String>, Vec<String>) = words(&contract.name)
            .into_iter()
            .partition(|word| PARTS.contains(&word.as_str()));
        if parts.is_empty() || rest.is_empty() {
            continue;
        }
        let area = contract.domain.as_deref().or(contract.owner.as_deref());
        let key = (rest.join("-"), area, contract.key.from.to_string());
        let others = seen.entry(key).or_default();
        if let Some(first) = others.first() {
            let message = format!(
                "contracts `{}` and `{}` look like parts of one fact: same area, same key, near names",
                first.name, contract.name
            );
            let hint =
                "put the parts into one event; what is accepted together is then read together";
            findings.add(contract.as_ref(), "metadata.name", message, hint);
        }
        others.push(contract);
    }
}
