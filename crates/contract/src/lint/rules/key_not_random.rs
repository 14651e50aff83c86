//! An order per key needs a key that comes more than once.

use super::super::words::words;
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Contracts, Ordering};

pub(in super::super) static RULE: Rule = Rule {
    name: "key-not-random",
    level: Level::Warning,
    why: "a key that is new with every event orders nothing, and the order that was meant does not hold",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.eventId}
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

/// Fields that are new with every event, their words without gaps.
const NEW_EACH_TIME: &[&str] = &[
    "deliveryid",
    "eventid",
    "eventuuid",
    "guid",
    "idempotencykey",
    "messageid",
    "msgid",
    "nonce",
    "spanid",
    "traceid",
    "uuid",
];

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let key = &contract.key;
        // Deeper ones are ids of something in the data, which may come again.
        let [name] = key.from.names() else {
            continue;
        };
        let random = NEW_EACH_TIME.contains(&words(name).concat().as_str());
        if key.ordering == Ordering::PerKey && random {
            let message = format!(
                "key `{}` is another one with every event, so none is in order with another",
                key.from
            );
            let hint = "take what the event is about as the key, or set `key.ordering: none`";
            findings.add(contract.as_ref(), "spec.key.from", message, hint);
        }
    }
}
