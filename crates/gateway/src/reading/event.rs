//! A record of a topic as its reader sees it: where it stands, its key, its headers, its data. JSON is
//! shown as it was sent; Avro and Protobuf as the JSON that the contract's schema makes of them, with the
//! bytes beside it; anything else in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::to_raw_value;
use tidegate_contract::event::is_json;
use tidegate_contract::model::SchemaFormat;
use tidegate_contract::record::{Header, Incoming};
use tidegate_contract::tree::Tree;
use tidegate_event_log::StoredRecord;
use utoipa::ToSchema;

use super::filter::Filter;
use crate::answer::Payload;
use crate::clock::rfc3339;
use crate::ingress::lane::Lane;
use crate::ingress::{content_type_of, data_of, receipt::Receipt};

/// How attributes of CloudEvents are named in Kafka's headers (CloudEvents Kafka binding 1.0.2 §3.2.3).
const ATTRIBUTE_PREFIX: &str = "ce_";

/// An event as it stands in the log.
#[derive(Serialize, ToSchema)]
pub(super) struct StoredEvent {
    partition: i32,
    offset: i64,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    headers: Vec<RecordHeader>,
    /// If the gateway wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
    #[serde(flatten)]
    payload: Payload,
}

/// A record's header.
#[derive(Serialize, ToSchema)]
struct RecordHeader {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// Where a record was read, and the contract of its topic, if there is one.
#[derive(Clone, Copy)]
pub(super) struct Stands<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) lane: Option<&'a Lane>,
}

impl Stands<'_> {
    /// Shows a record.
    pub(super) fn show(&self, stored: &StoredRecord) -> StoredEvent {
        let (key, key_base64) = readable(stored.record.key.as_deref());
        let headers = stored.record.headers.iter().map(|header| {
            let (value, value_base64) = readable(header.value.as_deref());
            let name = String::from_utf8_lossy(&header.name).into_owned();
            RecordHeader {
                name,
                value,
                value_base64,
            }
        });
        StoredEvent {
            partition: self.partition,
            offset: stored.offset,
            time: rfc3339(stored.timestamp_ms),
            key,
            key_base64,
            headers: headers.collect(),
            receipt: Receipt::of(self.topic, self.partition, stored),
            payload: self.payload(stored),
        }
    }

    /// Says whether a reader's filter wants a record; without one, any.
    pub(super) fn is_wanted(&self, stored: &StoredRecord, filter: Option<&Filter>) -> bool {
        let Some(filter) = filter else {
            return true;
        };
        if !filter.reads_data() {
            return filter.wants(attributes(stored), &Tree::Null);
        }
        let decoded = self.decoded(stored, |data| filter.wants(attributes(stored), data));
        decoded.unwrap_or_else(|| {
            let data = data_of(stored).unwrap_or_default();
            let data = Tree::parse(&data).unwrap_or_default();
            filter.wants(attributes(stored), &data)
        })
    }

    fn payload(&self, stored: &StoredRecord) -> Payload {
        let data = data_of(stored);
        let json = self.decoded(stored, |data| to_raw_value(data).ok());
        match json.flatten() {
            Some(json) => Payload::decoded(json, data.as_ref()),
            None => Payload::of_bytes(data.as_ref(), content_type_of(stored)),
        }
    }

    /// Reads data in the encoding of the contract's schema; nothing if it is in no such encoding.
    fn decoded<T>(&self, stored: &StoredRecord, see: impl FnOnce(&Tree<'_>) -> T) -> Option<T> {
        let lane = self.lane?;
        let is_binary = lane.contract.schema.format != SchemaFormat::Json;
        if !is_binary || content_type_of(stored).is_some_and(is_json) {
            return None;
        }
        let headers = stored.record.headers.iter();
        let headers: Vec<Header<'_>> = headers
            .map(|header| (&header.name[..], header.value.as_deref()))
            .collect();
        let record = Incoming {
            key: stored.record.key.as_deref(),
            value: stored.record.value.as_deref(),
            headers: &headers,
        };
        lane.see_data(&record, see).ok()
    }
}

/// Returns the attributes of a CloudEvent that are in a record's headers.
fn attributes(stored: &StoredRecord) -> impl Iterator<Item = (&str, &str)> {
    stored.record.headers.iter().filter_map(|header| {
        let name = std::str::from_utf8(&header.name).ok()?;
        let value = std::str::from_utf8(header.value.as_deref()?).ok()?;
        let name = match name {
            "content-type" => "datacontenttype",
            _ => name.strip_prefix(ATTRIBUTE_PREFIX)?,
        };
        Some((name, value))
    })
}

/// Returns bytes as text if they are text, else in base64.
fn readable(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(std::str::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text.to_owned()), None),
        Some(Err(_)) => (None, bytes.map(|bytes| STANDARD.encode(bytes))),
    }
}
