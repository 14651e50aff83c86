//! What other companies read is described.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Audience, Contracts};

pub(in super::super) static RULE: Rule = Rule {
    name: "outside-described",
    level: Level::Warning,
    why: "readers outside cannot ask over the desk what an event means",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  audience: partner
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  audience: partner
  summary: A customer's order was accepted and will be charged.
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let inside = contract.audience == Audience::Internal;
        // That it has an owner is asked of every contract.
        if !inside && contract.summary.is_none() {
            let message = format!(
                "contract `{}` is for `{}` readers and says nothing about itself",
                contract.name, contract.audience
            );
            let hint = "say in `spec.summary` what the event means";
            findings.add(contract.as_ref(), "spec.audience", message, hint);
        }
    }
}
