//! Every contract names the team that answers for it.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "owner-declared",
    level: Level::Warning,
    why: "quarantined events wait for somebody; without an owner that is nobody",
    bad: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"#,
    good: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"#,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts.iter().filter(|contract| contract.owner.is_none()) {
        let message = format!("contract `{}` has no owner", contract.name);
        let hint = "set `metadata.owner` to a `Team`";
        findings.add(contract.as_ref(), "metadata.name", message, hint);
    }
}
