//! No dedup window is longer than its topic's retention.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "window-within-retention",
    level: Level::Warning,
    why: "a repeat would get a receipt for an event that the log no longer keeps",
    bad: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 1d}
  ingress: {idempotency: {window: 48h}}
"#,
    good: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 2d}
  ingress: {idempotency: {window: 48h}}
"#,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let (window, topic) = (contract.ingress.idempotency.window, &contract.topic);
        if window > topic.retention {
            let message = format!(
                "dedup window `{window}` is longer than the retention of topic `{}`, `{}`",
                topic.name, topic.retention
            );
            let hint = "raise `topic.retention` or shorten `ingress.idempotency.window`";
            findings.add(
                contract.as_ref(),
                "spec.ingress.idempotency.window",
                message,
                hint,
            );
        }
    }
}
