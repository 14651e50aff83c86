//! A fact is named as something that happened, a command as something to do.

use super::super::words::{is_imperative, is_past, words};
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Class, Contracts};

pub(in super::super) static RULE: Rule = Rule {
    name: "named-as-class",
    level: Level::Warning,
    why: "the name tells readers whether they may say no: nobody can refuse what has happened",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: create-order, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-created, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let name = words(&contract.name);
        let (Some(first), Some(last)) = (name.first(), name.last()) else {
            continue;
        };
        // One word alone is as often a noun.
        if name.len() < 2 {
            continue;
        }
        let typed = words(&contract.event.event_type);
        let past = name.iter().chain(&typed).any(|word| is_past(word));
        let (found, hint) = match contract.class {
            Class::Fact if !past && (is_imperative(first) || is_imperative(last)) => (
                "a fact, and its name asks for something",
                "name it as what happened, such as `order-created`, or make it `class: command`",
            ),
            Class::Command if is_past(last) && !is_imperative(first) => (
                "a command, and its name tells that something happened",
                "name it as what to do, such as `create-order`, or make it `class: fact`",
            ),
            _ => continue,
        };
        let message = format!("contract `{}` is {found}", contract.name);
        findings.add(contract.as_ref(), "metadata.name", message, hint);
    }
}
