//! No two topics differ only in `.` and `_`.

use std::collections::HashMap;

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "topic-names-apart",
    level: Level::Error,
    why: "Kafka's metrics write `.` as `_`, so its brokers refuse the second of two such topics",
    bad: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order.placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order_placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"#,
    good: r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order.placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order_placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {name: order.placed.archive}
"#,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for contract in contracts {
        let topic = contract.topic.name.as_str();
        if let Some(earlier) = seen.insert(topic.replace('.', "_"), topic) {
            let message = format!("topics `{earlier}` and `{topic}` differ only in `.` and `_`");
            let hint = "give one of them another `spec.topic.name`";
            findings.add(contract.as_ref(), "spec.topic.name", message, hint);
        }
    }
}
