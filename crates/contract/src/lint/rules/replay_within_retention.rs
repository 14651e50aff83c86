//! History that may be read again is kept.

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;

pub(in super::super) static RULE: Rule = Rule {
    name: "replay-within-retention",
    level: Level::Error,
    why: "the promise to read a month again is empty when the log keeps a week",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 7d}
  replay: {window: 30d}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
  topic: {retention: 30d}
  replay: {window: 30d}
"##,
    schemas: &[],
    check,
};

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let topic = &contract.topic;
        if let Some(window) = contract.replay_window
            && window > topic.retention
        {
            let message = format!(
                "replay window `{window}` is longer than the retention of topic `{}`, `{}`",
                topic.name, topic.retention
            );
            let hint = "raise `topic.retention` or shorten `replay.window`";
            findings.add(contract.as_ref(), "spec.replay.window", message, hint);
        }
    }
}
