//! A record of a topic as its reader sees it: where it stands, its key, its headers, its data. JSON is
//! shown as it was sent; Avro and Protobuf as the JSON that the contract's schema makes of them, with the
//! bytes beside it; anything else in base64. From readers who may not see fields about persons these are
//! hidden here, before a filter or anybody else looks at the record.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tidegate_contract::EventContract;
use tidegate_contract::event::is_json;
use tidegate_contract::model::SchemaFormat;
use tidegate_contract::path::Path;
use tidegate_contract::record::{Header, Incoming};
use tidegate_contract::tree::Tree;
use tidegate_event_log::{Header as LogHeader, StoredRecord};
use utoipa::ToSchema;

use super::access::Sight;
use super::filter::Filter;
use crate::answer::Payload;
use crate::clock::rfc3339;
use crate::ingress::lane::Lane;
use crate::ingress::receipt::Receipt;
use crate::ingress::{CE_ID, CE_TIME, content_type_of, data_of, is_of_request};

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
    /// If the gateway wrote it, and nothing in it is hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
    #[serde(flatten)]
    payload: Payload,
    /// Whether fields about persons, and what is made of them, are hidden from this reader.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    persons_hidden: bool,
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
    pub(super) sight: &'a Sight,
}

impl Stands<'_> {
    /// Shows a record.
    pub(super) fn show(&self, stored: &StoredRecord) -> StoredEvent {
        let key = stored.record.key.as_deref();
        let (key, key_base64) = readable(key.filter(|_| !self.hides(|it| Some(&it.key.from))));
        let headers = self.headers(stored).map(|header| {
            let (value, value_base64) = readable(header.value.as_deref());
            let name = String::from_utf8_lossy(&header.name).into_owned();
            RecordHeader {
                name,
                value,
                value_base64,
            }
        });
        let receipt = Receipt::of(self.topic, self.partition, stored);
        let receipt = receipt.filter(|_| !self.hides(|it| it.event.id.as_ref()));
        StoredEvent {
            partition: self.partition,
            offset: stored.offset,
            time: rfc3339(stored.timestamp_ms),
            key,
            key_base64,
            headers: headers.collect(),
            receipt,
            payload: self.payload(stored),
            persons_hidden: self.hidden().is_some(),
        }
    }

    /// Says whether a record is the reader's to see and wanted by its filter, if there is one.
    pub(super) fn is_wanted(&self, stored: &StoredRecord, filter: Option<&Filter>) -> bool {
        if !self.sight.takes_in(stored) {
            return false;
        }
        let Some(filter) = filter else {
            return true;
        };
        let wants = |data: &Tree<'_>| filter.wants(self.attributes(stored), data);
        if !filter.reads_data() {
            return wants(&Tree::Null);
        }
        if let Some(contract) = self.hidden() {
            let text = self.without_persons(contract, stored).unwrap_or_default();
            return wants(&Tree::parse(text.as_bytes()).unwrap_or_default());
        }
        self.decoded(stored, wants).unwrap_or_else(|| {
            let data = data_of(stored).unwrap_or_default();
            wants(&Tree::parse(&data).unwrap_or_default())
        })
    }

    /// Returns the contract whose fields about persons are hidden from the reader.
    fn hidden(&self) -> Option<&EventContract> {
        let contract = &*self.lane?.contract;
        self.sight.hides(contract).then_some(contract)
    }

    /// Says whether what a path of the contract names is hidden.
    fn hides(&self, path: impl Fn(&EventContract) -> Option<&Path>) -> bool {
        let of_person = |contract| path(contract).is_some_and(|it| contract.tells_of_persons(it));
        self.hidden().is_some_and(of_person)
    }

    /// Returns the headers of a record but those that hold what is hidden.
    fn headers<'r>(&self, stored: &'r StoredRecord) -> impl Iterator<Item = &'r LogHeader> {
        let id = self.hides(|contract| contract.event.id.as_ref());
        let time = self.hides(|contract| contract.event.time.from.as_ref());
        let is_hiding = self.hidden().is_some();
        stored.record.headers.iter().filter(move |header| {
            // The body that the data was made of, and headers beside it, may hold anything.
            let is_of_request = is_hiding && is_of_request(header);
            let is_id = id && header.name == CE_ID.as_bytes();
            let is_time = time && header.name == CE_TIME.as_bytes();
            !(is_of_request || is_id || is_time)
        })
    }

    /// Returns the attributes of a CloudEvent that are in a record's headers.
    fn attributes<'r>(&self, stored: &'r StoredRecord) -> impl Iterator<Item = (&'r str, &'r str)> {
        self.headers(stored).filter_map(|header| {
            let name = std::str::from_utf8(&header.name).ok()?;
            let value = std::str::from_utf8(header.value.as_deref()?).ok()?;
            let name = match name {
                "content-type" => "datacontenttype",
                _ => name.strip_prefix(ATTRIBUTE_PREFIX)?,
            };
            Some((name, value))
        })
    }

    fn payload(&self, stored: &StoredRecord) -> Payload {
        if let Some(contract) = self.hidden() {
            let text = self.without_persons(contract, stored);
            let json = text.and_then(|text| RawValue::from_string(text).ok());
            return json.map_or_else(Payload::nothing, |json| Payload::decoded(json, None));
        }
        let data = data_of(stored);
        let json = self.decoded(stored, |data| to_raw_value(data).ok());
        match json.flatten() {
            Some(json) => Payload::decoded(json, data.as_ref()),
            None => Payload::of_bytes(data.as_ref(), content_type_of(stored)),
        }
    }

    /// Returns the data as JSON, fields about persons hidden; nothing if it is not known where they are.
    fn without_persons(&self, contract: &EventContract, stored: &StoredRecord) -> Option<String> {
        let decoded = self.decoded(stored, |data| contract.hide_persons_decoded(data));
        decoded.unwrap_or_else(|| {
            let is_json = content_type_of(stored).is_none_or(is_json);
            let data = data_of(stored).filter(|_| is_json)?;
            contract.hide_persons(&data)
        })
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

/// Returns bytes as text if they are text, else in base64.
fn readable(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(std::str::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text.to_owned()), None),
        Some(Err(_)) => (None, bytes.map(|bytes| STANDARD.encode(bytes))),
    }
}
