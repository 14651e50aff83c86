//! One event type has one contract: no topic for a whole service, none for everything.

use std::collections::BTreeSet;

use super::super::words::words;
use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::Contracts;
use crate::schema::Outlined;

pub(in super::super) static RULE: Rule = Rule {
    name: "topic-per-event",
    level: Level::Warning,
    why: "readers of one event pay for all of them, and no promise (schema, key, retention, owner) fits the mixture",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: shop-events, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/everything.json}
  key: {from: $.type}
  topic: {partitions: 1}
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
    schemas: &[(
        "schemas/everything.json",
        r##"{"oneOf": [
  {"properties": {"type": {"const": "placed"}, "orderId": {}, "total": {}, "lines": {}}},
  {"properties": {"type": {"const": "login"}, "user": {}, "device": {}, "place": {}}},
  {"properties": {"type": {"const": "restocked"}, "sku": {}, "count": {}, "shelf": {}}}
]}"##,
    )],
    check,
};

/// Last words of names that say nothing about what happened.
const SAYS_NOTHING: &[&str] = &[
    "all",
    "changed",
    "changes",
    "event",
    "events",
    "everything",
    "feed",
    "message",
    "messages",
    "notification",
    "notifications",
    "stream",
    "updated",
    "updates",
];
/// Fields that tell one kind of event from another.
const TELLS_APART: &[&str] = &[
    "event",
    "eventname",
    "eventtype",
    "kind",
    "messagetype",
    "type",
];

fn check(contracts: &Contracts, findings: &mut Findings) {
    for contract in contracts {
        let names = [
            &contract.name,
            &contract.topic.name,
            &contract.event.event_type,
        ];
        let vague = names.into_iter().any(|name| {
            let words = words(name);
            words
                .last()
                .is_some_and(|word| SAYS_NOTHING.contains(&word.as_str()))
        });
        if !vague {
            continue;
        }
        let schema = &contract.schema.schema;
        let found = mixture(&schema.alternatives()).or_else(|| kinds(&schema.outline()));
        if let Some(found) = found {
            let message = format!("contract `{}` is for many events: {found}", contract.name);
            let hint = "make each kind of event a contract of its own, named by what happened";
            findings.add(contract.as_ref(), "metadata.name", message, hint);
        }
    }
}

/// Finds shapes that have less than half of their fields in common.
fn mixture(shapes: &[BTreeSet<String>]) -> Option<String> {
    let (first, rest) = shapes.split_first().filter(|(_, rest)| rest.len() >= 2)?;
    let shared = rest
        .iter()
        .fold(first.clone(), |shared, shape| &shared & shape);
    let smallest = shapes.iter().map(BTreeSet::len).min()?;
    (shared.len() * 2 < smallest).then(|| {
        format!(
            "its data has {} shapes that share {} of at least {smallest} fields",
            shapes.len(),
            shared.len()
        )
    })
}

/// Finds a field that tells three or more kinds apart.
fn kinds(fields: &[Outlined]) -> Option<String> {
    fields.iter().find_map(|field| {
        let [name] = field.names.as_slice() else {
            return None;
        };
        let values = field.values.filter(|values| *values >= 3)?;
        let tells = TELLS_APART.contains(&words(name).concat().as_str());
        tells.then(|| format!("`{}` tells {values} kinds apart", field.path()))
    })
}
