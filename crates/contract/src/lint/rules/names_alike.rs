//! The names of a set are written in one way.

use std::collections::BTreeMap;

use super::super::{Findings, Rule};
use crate::load::Level;
use crate::model::{Contracts, EventContract};

pub(in super::super) static RULE: Rule = Rule {
    name: "names-alike",
    level: Level::Warning,
    why: "whoever looks for a topic should not have to try `-`, `_` and capitals",
    bad: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-paid, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order_sent, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"##,
    good: r##"
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-paid, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: order-sent, owner: team-orders}
spec:
  class: fact
  schema: {file: schemas/any.json}
  key: {from: $.orderId}
"##,
    schemas: &[],
    check,
};

/// How the words of a name are joined.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Style {
    Dashes,
    Underscores,
    Capitals,
    Mixed,
}

impl Style {
    /// Finds the style of a name; names of one word have any. Dots are levels, not style.
    fn of(name: &str) -> Option<Self> {
        let capitals = name.chars().any(char::is_uppercase);
        match (name.contains('-'), name.contains('_'), capitals) {
            (false, false, false) => None,
            (true, false, false) => Some(Self::Dashes),
            (false, true, false) => Some(Self::Underscores),
            (false, false, true) => Some(Self::Capitals),
            _ => Some(Self::Mixed),
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Dashes => "with `-`",
            Self::Underscores => "with `_`",
            Self::Capitals => "with capitals",
            Self::Mixed => "in more than one way",
        }
    }
}

/// What a name is of, the key it stands at, and how it is found.
type Named = (&'static str, &'static str, fn(&EventContract) -> &str);

const NAMES: [Named; 3] = [
    ("contract", "metadata.name", |contract| &contract.name),
    ("topic", "spec.topic.name", |contract| &contract.topic.name),
    ("event type", "spec.event.type", |contract| {
        &contract.event.event_type
    }),
];

fn check(contracts: &Contracts, findings: &mut Findings) {
    for (what, key, name) in NAMES {
        let mut counts: BTreeMap<Style, usize> = BTreeMap::new();
        for contract in contracts {
            if let Some(style) = Style::of(name(contract)) {
                *counts.entry(style).or_default() += 1;
            }
        }
        counts.remove(&Style::Mixed);
        // Two of a kind are a habit; below that there is nothing to keep to.
        let usual = counts.iter().max_by_key(|(_, count)| **count);
        let Some((&usual, &count)) = usual.filter(|(_, count)| **count >= 2) else {
            continue;
        };
        for contract in contracts {
            let written = name(contract);
            // A default follows the contract's name, which is told once.
            let follows = key != "metadata.name" && written == contract.name;
            match Style::of(written) {
                Some(style) if style != usual && !follows => {
                    let message = format!(
                        "{what} `{written}` is written {}, {count} others {}",
                        style.what(),
                        usual.what()
                    );
                    let hint = "write new names as the others are; names in use are best allowed";
                    findings.add(contract.as_ref(), key, message, hint);
                }
                _ => {}
            }
        }
    }
}
