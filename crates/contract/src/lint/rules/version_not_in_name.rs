//! The version of a contract is not in its names.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "version-not-in-name",
    level: Level::Warning,
    why: "the version stands in `metadata.version` and changes; a name with `v1` or `v1.2` in it is wrong with the next one (a later `v2` beside it is how a breaking change gets a topic of its own)",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {name: order-placed.v1}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders, version: 1.0.0}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {name: order-placed}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let names = [
            (&contract.name, "metadata.name"),
            (&contract.topic.name, "spec.topic.name"),
            (&contract.event.event_type, "spec.event.type"),
        ];
        for (name, key) in names {
            // A default follows the contract's name, which is told once.
            if key != "metadata.name" && *name == contract.name {
                continue;
            }
            if let Some(version) = version(name) {
                let message = format!("`{version}` in `{name}` is a version");
                let hint =
                    "take it out; `metadata.version` says which version of the promise it is";
                findings.add(contract.as_ref(), key, message, hint);
            }
        }
    }
}

/// Finds `v0`, `v1`, or a version of more than one number.
fn version(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split(['.', '-', '_']).collect();
    parts.iter().enumerate().find_map(|(at, part)| {
        let number = part.strip_prefix(['v', 'V'])?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let more = parts.get(at + 1).filter(|next| is_number(next));
        match (is_number(number), more) {
            (true, Some(next)) => Some(format!("{part}.{next}")),
            (true, None) if matches!(number, "0" | "1") => Some((*part).to_owned()),
            _ => None,
        }
    })
}
