//! From an earlier event type to a later one: what a contract says of the type it takes over from,
//! and how one event's data becomes the other's. Pure; copying is the gateway's.
//!
//! What is made here is not yet judged: the later contract checks it as it checks any event.

use bytes::Bytes;

use crate::check::{Reason, Reasons, Violation};
use crate::field_map::{FieldMap, Unmade};
use crate::model::EventContract;
use crate::reader::{Reader, Requirement};
use crate::record::{Incoming, Writer};
use crate::schema_id::SchemaId;
use crate::tree::Tree;
use crate::units::Duration;

/// What a contract says of the event type before it.
#[derive(Debug)]
pub struct Migration {
    /// The name of the earlier contract.
    pub from: String,
    /// How the data is made of the earlier one.
    pub map: FieldMap,
    /// How the first readers try it out; absent means that nobody does.
    pub canary: Option<Canary>,
}

/// How the first readers try out the copied events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Canary {
    /// How many events are copied before they have read them.
    pub first: u64,
    /// How long they are watched after that, at least.
    pub watch: Duration,
    /// How many percent of the first part may break the contract.
    pub max_quarantined_percent: u64,
}

/// A record of the earlier type and how it is read.
#[derive(Clone, Copy)]
pub struct Earlier<'r> {
    /// The contract it was accepted under; without it, the data is JSON.
    pub contract: Option<&'r EventContract>,
    /// The record as it is stored.
    pub record: Incoming<'r>,
    /// Finds the schema of an id that the record may carry.
    pub resolve: &'r dyn Fn(SchemaId) -> Result<Writer, String>,
}

impl EventContract {
    /// Makes data under this contract of a record of the earlier type: JSON, whatever that was in.
    ///
    /// # Errors
    /// The data cannot be read, or not all members can be made of it.
    pub fn data_of_earlier(
        &self,
        migration: &Migration,
        earlier: &Earlier<'_>,
    ) -> Result<Bytes, Violation> {
        let mut reasons = Reasons::default();
        let made = make(migration, earlier, &mut reasons);
        made.ok_or_else(|| self.violation(reasons, None, self.ingress.on_invalid))
    }
}

fn make(migration: &Migration, earlier: &Earlier<'_>, reasons: &mut Reasons) -> Option<Bytes> {
    let record = &earlier.record;
    let apply = |data: &Tree<'_>| migration.map.apply(data);
    let made = match (earlier.contract, record.value) {
        (Some(contract), _) => contract
            .see_data(record, earlier.resolve, apply)
            .map_err(|reason| reason.detail),
        (None, Some(value)) => Tree::parse(value)
            .map(|data| apply(&data))
            .map_err(|error| format!("is not JSON: {error}")),
        (None, None) => Err("required".to_owned()),
    };
    let made = made.map_err(|detail| {
        reasons.push(Reason::new("#/earlier", detail, "migration.from"));
    });
    let made = made.ok()?.map_err(|unmade| {
        for Unmade { member, detail } in unmade {
            let detail = format!("cannot make `{member}` of the earlier data: it {detail}");
            reasons.push(Reason::new("#/data", detail, "migration.map"));
        }
    });
    made.ok()
}

impl Reader {
    /// Returns the first of its requirements that JSON data does not meet.
    pub fn unmet(&self, data: &[u8]) -> Option<&Requirement> {
        if self.requires.is_empty() {
            return None;
        }
        let tree = Tree::parse(data).unwrap_or(Tree::Null);
        self.requires
            .iter()
            .find(|required| required.expression.holds(&tree) != Ok(true))
    }
}

#[cfg(test)]
mod tests {
    use super::Earlier;
    use crate::load;
    use crate::model::Contracts;
    use crate::record::Incoming;

    fn set(map: &str) -> Contracts {
        let text = format!(
            r#"
apiVersion: contract/v1
kind: EventContract
metadata: {{name: paid}}
spec: {{class: fact, schema: {{file: any.json}}, key: {{from: $.id}}}}
---
apiVersion: contract/v1
kind: EventContract
metadata: {{name: paid-2}}
spec:
  class: fact
  schema: {{file: any.json}}
  key: {{from: $.orderId}}
  migration: {{from: paid, map: {map}}}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {{name: reports, owner: team}}
spec:
  contract: paid-2
  accepts: ">=1 <2"
  via: {{kafka: {{group: reports}}}}
  requires: [{{name: known, expr: "message.total.currency in ['EUR']"}}]
"#
        );
        let files = [("a.yaml".to_owned(), text)];
        load::sources(&files, &|_| Some("{}".to_owned())).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn data_is_made_of_the_earlier_or_every_reason_is_told() {
        let map = r#"{orderId: $.id, total: "{'amount': message.cents, 'currency': 'EUR'}"}"#;
        let contracts = set(map);
        let (old, new) = (contracts.by_name("paid"), contracts.by_name("paid-2"));
        let new = new.unwrap();
        let make = |data: Option<&[u8]>| {
            let migration = new.migration.as_ref().unwrap();
            let earlier = Earlier {
                contract: old.map(|old| &**old),
                record: Incoming {
                    key: None,
                    value: data,
                    headers: &[],
                },
                resolve: &|_| Err("no id is known here".to_owned()),
            };
            let made = new.data_of_earlier(migration, &earlier);
            made.map_err(|violation| violation.to_string())
        };
        let expected = r#"{"orderId":"o-1","total":{"amount":250,"currency":"EUR"}}"#;
        assert_eq!(
            make(Some(br#"{"id": "o-1", "cents": 250}"#)).unwrap(),
            expected
        );
        for (data, said) in [
            (
                Some(&b"{}"[..]),
                "`#/data` cannot make `total` of the earlier data: it needs `cents`, which is not there",
            ),
            (Some(b"{"), "`#/earlier` is not JSON"),
            (None, "`#/earlier` required"),
        ] {
            let found = make(data).unwrap_err();
            assert!(found.contains(said), "{found}");
        }
    }

    #[test]
    fn a_reader_says_what_it_requires_and_does_not_get() {
        let contracts = set("{orderId: $.id}");
        let reader = contracts.reader("reports").unwrap();
        let unmet = |data: &[u8]| reader.unmet(data).map(|unmet| unmet.name.as_str());
        assert_eq!(unmet(br#"{"total": {"currency": "EUR"}}"#), None);
        assert_eq!(unmet(br#"{"total": {"currency": "USD"}}"#), Some("known"));
        assert_eq!(unmet(br#"{"total": {}}"#), Some("known"));
        assert_eq!(unmet(b"no JSON"), Some("known"));
    }
}
