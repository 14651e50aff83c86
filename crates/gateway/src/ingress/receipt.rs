//! Proof of acceptance: which event stands where in the log, and since when.
//!
//! A receipt's id is its place and a hash of the event's id, so it needs no index: it is resolved
//! by reading the log there and comparing. The id is a stable format, kept by callers.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, Serializer};
use tidegate_event_log::{Log, LogError, Place, StoredRecord};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::claim::short_hash;
use super::record::{self, text};
use crate::clock::rfc3339;
use crate::identity::Caller;

/// Where an accepted event stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Receipt {
    pub(crate) id: String,
    pub(crate) event_id: Bytes,
    pub(crate) source: Bytes,
    pub(crate) event_type: Bytes,
    pub(crate) contract: Bytes,
    pub(crate) topic: Arc<str>,
    pub(crate) place: Place,
    /// Whether this event had been accepted before.
    pub(crate) duplicate: bool,
}

/// A receipt as it is written.
#[derive(Serialize, ToSchema)]
struct View<'a> {
    id: &'a str,
    event: EventView<'a>,
    contract: &'a str,
    topic: &'a str,
    partition: i32,
    offset: i64,
    time: String,
    duplicate: bool,
}

/// The event's identity and type.
#[derive(Serialize, ToSchema)]
#[schema(as = EventIdentity)]
struct EventView<'a> {
    id: &'a str,
    source: &'a str,
    r#type: &'a str,
}

/// Makes the id of the receipt of an event at a place.
pub(crate) fn id(topic: &str, place: Place, event_id: &[u8]) -> String {
    let Place {
        partition, offset, ..
    } = place;
    format!("{topic}-{partition}-{offset}-{}", short_hash(event_id))
}

impl Receipt {
    /// Returns the address where it can be read again.
    pub(crate) fn path(&self) -> String {
        format!("/v1/receipts/{}", self.id)
    }

    /// Makes the receipt of a record, if the gateway wrote it.
    pub(crate) fn of(topic: &str, partition: i32, stored: &StoredRecord) -> Option<Self> {
        let header = |name| {
            record::header(stored, name).map(|value| Bytes::copy_from_slice(value.as_bytes()))
        };
        let event_id = header(record::CE_ID)?;
        let place = Place {
            partition,
            offset: stored.offset,
            timestamp_ms: stored.timestamp_ms,
        };
        Some(Self {
            id: id(topic, place, &event_id),
            event_id,
            source: header(record::CE_SOURCE)?,
            event_type: header(record::CE_TYPE)?,
            contract: header(record::CONTRACT)?,
            topic: topic.into(),
            place,
            duplicate: false,
        })
    }
}

impl ToSchema for Receipt {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        View::schemas(schemas);
    }
}

impl PartialSchema for Receipt {
    fn schema() -> RefOr<Schema> {
        View::schema()
    }
}

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        View {
            id: &self.id,
            event: EventView {
                id: text(&self.event_id),
                source: text(&self.source),
                r#type: text(&self.event_type),
            },
            contract: text(&self.contract),
            topic: &self.topic,
            partition: self.place.partition,
            offset: self.place.offset,
            time: rfc3339(self.place.timestamp_ms),
            duplicate: self.duplicate,
        }
        .serialize(serializer)
    }
}

/// A receipt's id, taken apart: `{topic}-{partition}-{offset}-{hash}`.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ReceiptId<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    hash: &'a str,
}

impl<'a> ReceiptId<'a> {
    /// Takes an id apart from its end: topics may hold dashes. Internal topics have no receipts.
    pub(crate) fn parse(id: &'a str) -> Option<Self> {
        let mut parts = id.rsplitn(4, '-');
        let (hash, offset) = (parts.next()?, number(parts.next()?)?);
        let partition = i32::try_from(number(parts.next()?)?).ok()?;
        let topic = parts
            .next()
            .filter(|topic| !topic.is_empty() && !topic.starts_with('_'))?;
        (hash.len() == 8).then_some(Self {
            topic,
            partition,
            offset,
            hash,
        })
    }

    /// Returns the topic that the event is said to be in.
    pub(crate) fn topic(&self) -> &'a str {
        self.topic
    }

    /// Reads the record it names, if there is one: no such place, another event there, or one of a
    /// tenant that the caller does not see, is none.
    pub(crate) async fn record(
        &self,
        log: &dyn Log,
        caller: &Caller,
    ) -> Result<Option<StoredRecord>, LogError> {
        let place = Place {
            partition: self.partition,
            offset: self.offset,
            timestamp_ms: 0,
        };
        let found = read_one(log, self.topic, place).await?;
        Ok(found.filter(|stored| {
            let id = record::header(stored, record::CE_ID);
            id.is_some_and(|id| short_hash(id.as_bytes()) == self.hash)
                && caller.sees(record::tenant_of(stored))
        }))
    }

    /// Reads the receipt, if there is one that the caller may see.
    pub(crate) async fn resolve(
        &self,
        log: &dyn Log,
        caller: &Caller,
    ) -> Result<Option<Receipt>, LogError> {
        let found = self.record(log, caller).await?;
        Ok(found.and_then(|stored| Receipt::of(self.topic, self.partition, &stored)))
    }
}

/// One number has one spelling: no sign, no leading zero.
pub(crate) fn number(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Reads the record at a place; nothing if it is not there, or not there any more.
pub(crate) async fn read_one(
    log: &dyn Log,
    topic: &str,
    place: Place,
) -> Result<Option<StoredRecord>, LogError> {
    match log.read(topic, place.partition, place.offset, 0).await {
        Ok(read) => Ok(read
            .records
            .into_iter()
            .find(|stored| stored.offset == place.offset)),
        Err(LogError::NotFound(_) | LogError::Invalid(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the receipt of the event at a place.
pub(crate) async fn read_back(
    log: &dyn Log,
    topic: &str,
    place: Place,
) -> Result<Option<Receipt>, LogError> {
    let stored = read_one(log, topic, place).await?;
    Ok(stored.and_then(|stored| Receipt::of(topic, place.partition, &stored)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_apart_from_its_end() {
        let id = |topic, partition, offset, hash| {
            Some(ReceiptId {
                topic,
                partition,
                offset,
                hash,
            })
        };
        for (text, expected) in [
            ("orders-0-12-0a1b2c3d", id("orders", 0, 12, "0a1b2c3d")),
            ("a-1-2-3-4-0a1b2c3d", id("a-1-2", 3, 4, "0a1b2c3d")),
            ("orders-0-12-0a1b", None),
            ("orders-0--1-0a1b2c3d", None),
            ("orders-00-1-0a1b2c3d", None),
            ("orders-0-99999999999999999999-0a1b2c3d", None),
            ("orders-99999999999-1-0a1b2c3d", None),
            ("-0-1-0a1b2c3d", None),
            ("_tidegate.quarantine-0-1-0a1b2c3d", None),
            ("", None),
        ] {
            assert_eq!(ReceiptId::parse(text), expected, "{text}");
        }
    }
}
