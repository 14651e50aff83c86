//! A deprecated contract says since when, and what comes after is there.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Contracts, Lifecycle};

pub(in super::super) static RULE: Rule = Rule {
    name: "deprecation-told",
    level: Level::Warning,
    why: "senders see `Deprecation` headers only if the contract says since when",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  lifecycle: deprecated
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  lifecycle: deprecated
  deprecation: {since: 2026-01-15}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let name = &contract.name;
        let deprecated = contract.lifecycle == Lifecycle::Deprecated;
        let successor = contract
            .deprecation
            .as_ref()
            .map(|told| told.successor.as_ref());
        match successor {
            None if deprecated => {
                let message = format!("contract `{name}` is deprecated, and senders are not told");
                let hint =
                    "set `spec.deprecation.since`, and `sunset` and `successor` if there are any";
                findings.add(contract.as_ref(), "spec.lifecycle", message, hint);
            }
            Some(Some(after)) if contracts.by_name(after).is_none() => {
                let message =
                    format!("`{after}`, which comes after `{name}`, is no contract of this set");
                let hint = "add it before senders are sent there";
                findings.add(
                    contract.as_ref(),
                    "spec.deprecation.successor",
                    message,
                    hint,
                );
            }
            _ => {}
        }
    }
}
