//! From an earlier event type to a later one: what a contract says of the type it takes over from,
//! and how one event's data becomes the other's. Pure; copying is the gateway's.
//!
//! What is made here is not yet judged: the later contract checks it as it checks any event.

use bytes::Bytes;

use crate::check::{Reason, Reasons, Violation};
use crate::field_map::{FieldMap, Unmade};
use crate::model::EventContract;
use crate::reader::{Reader, Requirement};
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

impl EventContract {
    /// Makes data under this contract of an event of the earlier type. `earlier` knows how that is
    /// encoded; without it, it is JSON.
    ///
    /// # Errors
    /// The data cannot be read, or not all members can be made of it.
    pub fn data_of_earlier(
        &self,
        migration: &Migration,
        earlier: Option<&Self>,
        media_type: Option<&str>,
        data: Option<&[u8]>,
    ) -> Result<Bytes, Violation> {
        let mut reasons = Reasons::default();
        let made = make(migration, earlier, media_type, data, &mut reasons);
        made.ok_or_else(|| self.violation(reasons, None, self.ingress.on_invalid))
    }
}

fn make(
    migration: &Migration,
    earlier: Option<&EventContract>,
    media_type: Option<&str>,
    data: Option<&[u8]>,
    reasons: &mut Reasons,
) -> Option<Bytes> {
    let mut unread = |detail: String| {
        let rule = "migration.from";
        reasons.push(Reason::new("#/earlier", detail, rule));
    };
    let Some(data) = data else {
        unread("has no data".to_owned());
        return None;
    };
    let tree = match earlier {
        Some(earlier) => earlier
            .schema
            .schema
            .read(media_type, data)
            .map_err(|reason| unread(reason.detail)),
        None => Tree::parse(data).map_err(|error| unread(format!("is not JSON: {error}"))),
    };
    let made = migration.map.apply(&tree.ok()?);
    let made = made.map_err(|unmade| {
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
    use crate::load;
    use crate::model::Contracts;

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
            let made = new.data_of_earlier(migration, old.map(|old| &**old), None, data);
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
            (None, "`#/earlier` has no data"),
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
