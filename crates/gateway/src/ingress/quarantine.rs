//! What a known caller sent wrong, kept for the contract's owner: the bytes as they came, every
//! reason, and where they came from. One internal topic holds all of it.
//!
//! Entries are appended by `accept.rs` in the same append as the good events of the request. Their
//! ids are place and hash, like receipts'. Header names are a stored format.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tidegate_contract::EventContract;
use tidegate_contract::check::Violation;
use tidegate_contract::privacy::{Form, Hash, Kept};
use tidegate_event_log::{
    Append, Claim, Log, LogError, Place, StoredRecord, TopicConfig, TopicSpec,
};
use utoipa::ToSchema;

use super::claim::short_hash;
use super::lane::Lane;
use super::receipt::{number, read_one};
use super::record::{self, HeaderList, MAX_HEADER_BYTES, header};
use super::submission::Submission;
use crate::Gateway;
use crate::answer::Payload;
use crate::clock::rfc3339;
use crate::identity::Caller;
use crate::request::Context;

pub(crate) const TOPIC: &str = "_tidegate.quarantine";
/// The embedded log takes no larger record.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Whoever wrote the earlier record may have written longer ones; they stay there.
const MAX_ATTRIBUTE_BYTES: usize = 4 * 1024;
/// Room for the headers of an entry.
const RESERVED_BYTES: usize = 64 * 1024;
/// A page is bounded by its bytes as well as by its entries.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

const ENTRY: &str = "tidegate_entry";
const REASONS: &str = "tidegate_reasons";
const MORE_REASONS: &str = "tidegate_more_reasons";
const RECEIVED: &str = "tidegate_received";
/// The bytes may hold what the contract protects: they are kept, and shown to nobody.
const WITHHELD: &str = "tidegate_withheld";
/// How the media types of CloudEvents as one body begin.
const ENVELOPE: &str = "application/cloudevents";
const REQUEST_HEADER_PREFIX: &str = "http_";

/// An entry on its way into the topic.
pub(crate) struct Keep {
    /// The hash part of its id.
    pub(crate) entry: String,
    pub(crate) append: Option<Append>,
}

#[derive(Serialize, ToSchema)]
struct Reason<'a> {
    pointer: &'a str,
    detail: &'a str,
    rule: &'a str,
}

/// Returns the topic as the gateway wants it. It keeps everything until there is compaction.
pub(crate) fn topic_spec() -> TopicSpec {
    TopicSpec {
        name: TOPIC.to_owned(),
        // One, so that a page has one order.
        partitions: Some(1),
        config: TopicConfig::from([
            (
                "max.message.bytes".to_owned(),
                MAX_MESSAGE_BYTES.to_string(),
            ),
            ("retention.ms".to_owned(), "-1".to_owned()),
            // A cluster may have a limit for all topics.
            ("retention.bytes".to_owned(), "-1".to_owned()),
        ]),
    }
}

/// Says what the bytes of a submission's original are.
fn form_of(lane: &Lane, submission: &Submission) -> Form {
    let media_type = submission.original.content_type.as_deref();
    let is_envelope = media_type.is_some_and(|text| {
        let start = text.trim_start().get(..ENVELOPE.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(ENVELOPE))
    });
    match submission.plain && lane.contract.ingress.request.is_some() {
        true => Form::Request,
        false if is_envelope => Form::Envelope,
        false => Form::Data,
    }
}

/// Makes the entry of an event that breaks its contract, what is protected in it hidden; nothing if it may
/// hold what is never kept.
pub(crate) fn keep(
    context: &Context<'_>,
    lane: &Lane,
    submission: Submission,
    violation: &Violation,
    claim: Option<Claim>,
    hash: Hash<'_>,
) -> Option<Keep> {
    let form = form_of(lane, &submission);
    let media_type = submission.original.content_type.as_deref();
    let original = &submission.original.bytes;
    let (bytes, withheld) = match lane.contract.redact(form, media_type, original, hash) {
        Kept::Shown(bytes) => (bytes, false),
        Kept::Withheld(bytes) => (bytes, true),
        Kept::Nothing => return None,
    };
    let Submission {
        mut event,
        key,
        original,
        source_door,
        ..
    } = submission;
    let entry = match &claim {
        Some(claim) => short_hash(&claim.identity),
        None => short_hash(context.request_id.as_bytes()),
    };
    let mut headers = HeaderList::new();
    headers.add(ENTRY, entry.clone());
    headers.add(REASONS, reasons(violation));
    if violation.more > 0 {
        headers.add(MORE_REASONS, violation.more.to_string());
    }
    headers.add(RECEIVED, rfc3339(context.received_ms));
    headers.add(record::CONTRACT, lane.name.clone());
    headers.add(record::CONTRACT_VERSION, lane.version.clone());
    let some = |text: String| (!text.is_empty()).then_some(text);
    headers.add_some(record::CE_ID, some(std::mem::take(&mut event.id)));
    headers.add_some(record::CE_SOURCE, some(std::mem::take(&mut event.source)));
    headers.add_some(record::CE_TYPE, some(std::mem::take(&mut event.event_type)));
    let origin = !record::has_origin(&event);
    headers.add_attributes(&mut event);
    headers.add_some(record::CONTENT_TYPE, original.content_type);
    headers.add_caller(context, key.as_deref(), origin);
    headers.add_some(record::SOURCE_DOOR, source_door);
    if withheld {
        headers.add(WITHHELD, Bytes::from_static(b"protected fields"));
    }
    for name in context.kept_headers {
        if let Some(value) = context.headers.get(name) {
            let bytes = &value.as_bytes()[..value.len().min(MAX_HEADER_BYTES)];
            let name = format!("{REQUEST_HEADER_PREFIX}{name}");
            headers.add_named(name, Bytes::copy_from_slice(bytes));
        }
    }
    let record = headers.into_record(Some(lane.name.clone()), Some(bytes));
    let append = Append {
        topic: TOPIC.into(),
        partition: Some(0),
        record,
        claim,
    };
    Some(Keep {
        entry,
        append: Some(append),
    })
}

/// A record of an earlier event type that cannot be one of the later type.
pub(crate) struct Unbridged<'a> {
    pub(crate) contract: &'a EventContract,
    pub(crate) violation: &'a Violation,
    pub(crate) stored: &'a StoredRecord,
    /// Where the record stands: `topic-partition-offset`.
    pub(crate) place: &'a str,
    pub(crate) claim: Claim,
}

/// Makes the entry of a record that a bridge cannot copy, with the earlier event's id and bytes.
pub(crate) fn keep_unbridged(unbridged: Unbridged<'_>) -> Append {
    let Unbridged {
        contract,
        violation,
        stored,
        place,
        claim,
    } = unbridged;
    let mut headers = HeaderList::new();
    headers.add(ENTRY, short_hash(&claim.identity));
    headers.add(REASONS, reasons(violation));
    if violation.more > 0 {
        headers.add(MORE_REASONS, violation.more.to_string());
    }
    headers.add(RECEIVED, rfc3339(stored.timestamp_ms));
    headers.add(record::CONTRACT, contract.name.clone());
    headers.add(record::CONTRACT_VERSION, contract.version.to_string());
    headers.add(record::BRIDGE_SOURCE, place.to_owned());
    let of_earlier = |name| {
        let value = header(stored, name).filter(|value| value.len() <= MAX_ATTRIBUTE_BYTES);
        value.map(str::to_owned)
    };
    let cause = of_earlier(record::CE_ID).unwrap_or_else(|| place.to_owned());
    headers.add("ce_causationid", cause);
    for name in [
        record::CE_ID,
        record::CE_SOURCE,
        record::CE_TYPE,
        "ce_correlationid",
        record::CONTENT_TYPE,
        record::TENANT_NAME,
        record::REQUEST_ID,
        "traceparent",
        "tracestate",
    ] {
        headers.add_some(name, of_earlier(name));
    }
    // What is too large to be kept twice stays where it is; the place says where.
    let value = stored.record.value.clone();
    let value = value.filter(|value| value.len() <= MAX_MESSAGE_BYTES - 2 * RESERVED_BYTES);
    Append {
        topic: TOPIC.into(),
        partition: Some(0),
        record: headers.into_record(Some(Bytes::from(contract.name.clone())), value),
        claim: Some(claim),
    }
}

fn reasons(violation: &Violation) -> Vec<u8> {
    let reasons: Vec<Reason<'_>> = violation
        .errors
        .iter()
        .map(|reason| Reason {
            pointer: &reason.pointer,
            detail: &reason.detail,
            rule: &reason.rule,
        })
        .collect();
    serde_json::to_vec(&reasons).expect("strings only")
}

/// Says whether a record's bytes are shown to nobody.
pub(crate) fn is_withheld(stored: &StoredRecord) -> bool {
    header(stored, WITHHELD).is_some()
}

/// Returns the address of an entry.
pub(crate) fn path(entry: &str, place: Place) -> String {
    format!("/v1/quarantine/{}", id(entry, place))
}

fn id(entry: &str, place: Place) -> String {
    format!("{}-{}-{entry}", place.partition, place.offset)
}

/// An entry as callers read it.
#[derive(Serialize, ToSchema)]
#[schema(as = QuarantineEntry)]
pub(crate) struct Entry {
    id: String,
    time: String,
    received: Option<String>,
    contract: Option<String>,
    contract_version: Option<String>,
    event: Attributes,
    content_type: Option<String>,
    size_bytes: usize,
    #[schema(value_type = Option<Vec<Reason>>)]
    reasons: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_reasons: Option<u64>,
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Where the earlier event stands, if a bridge met it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge_source: Option<String>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    request_headers: serde_json::Map<String, serde_json::Value>,
    /// The bytes are not shown, since they could not be read and the contract protects fields.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    withheld: bool,
    /// The bytes as they came, protected fields hidden; in the page of one entry only.
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    original: Option<Payload>,
}

#[derive(Serialize, ToSchema)]
struct Attributes {
    id: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
}

/// Entries in the order they came.
#[derive(Serialize, ToSchema)]
#[schema(as = QuarantinePage)]
pub(crate) struct Page {
    entries: Vec<Entry>,
    /// Where the next page begins; absent at the end.
    next: Option<String>,
}

impl Entry {
    fn of(stored: &StoredRecord, with_bytes: bool) -> Option<Self> {
        let text = |name: &str| header(stored, name).map(str::to_owned);
        let place = Place {
            partition: 0,
            offset: stored.offset,
            timestamp_ms: stored.timestamp_ms,
        };
        let value = stored.record.value.as_ref();
        let request_headers = stored.record.headers.iter().filter_map(|kept| {
            let name = std::str::from_utf8(&kept.name)
                .ok()?
                .strip_prefix(REQUEST_HEADER_PREFIX)?;
            let value = String::from_utf8_lossy(kept.value.as_deref()?).into_owned();
            Some((name.to_owned(), serde_json::Value::String(value)))
        });
        let is_withheld = is_withheld(stored);
        Some(Self {
            id: id(header(stored, ENTRY)?, place),
            time: rfc3339(stored.timestamp_ms),
            received: text(RECEIVED),
            contract: text(record::CONTRACT),
            contract_version: text(record::CONTRACT_VERSION),
            event: Attributes {
                id: text(record::CE_ID),
                source: text(record::CE_SOURCE),
                r#type: text(record::CE_TYPE),
            },
            content_type: text(record::CONTENT_TYPE),
            size_bytes: value.map_or(0, Bytes::len),
            reasons: text(REASONS).and_then(|json| RawValue::from_string(json).ok()),
            more_reasons: header(stored, MORE_REASONS).and_then(|count| count.parse().ok()),
            request_id: text(record::REQUEST_ID),
            idempotency_key: text(record::IDEMPOTENCY_KEY),
            source: text(record::SOURCE_DOOR),
            bridge_source: text(record::BRIDGE_SOURCE),
            request_headers: request_headers.collect(),
            withheld: is_withheld,
            // Who may see what is withheld is a question of roles: they are asked for here.
            original: (with_bytes && !is_withheld)
                .then(|| Payload::of(stored, header(stored, record::CONTENT_TYPE))),
        })
    }
}

impl Gateway {
    /// Reads entries from `from` on, of one contract if one is asked for.
    pub(crate) async fn quarantine_page(
        &self,
        caller: &Caller,
        from: i64,
        limit: usize,
        contract: Option<&str>,
    ) -> Result<Page, LogError> {
        let marks = self.log.watermarks(TOPIC, 0).await?;
        let mut at = from.clamp(marks.log_start, marks.high);
        let read = self.log.read(TOPIC, 0, at, PAGE_BYTES).await?;
        let mut entries = Vec::new();
        for stored in &read.records {
            if entries.len() == limit {
                break;
            }
            at = stored.offset + 1;
            let asked = contract.is_none_or(|name| header(stored, record::CONTRACT) == Some(name));
            let asked = asked && caller.sees(header(stored, record::TENANT_NAME));
            entries.extend(asked.then(|| Entry::of(stored, false)).flatten());
        }
        if read.records.is_empty() {
            at = read.next;
        }
        let next = (at < read.high_watermark).then(|| at.to_string());
        Ok(Page { entries, next })
    }

    /// Reads one entry with its bytes.
    pub(crate) async fn quarantine_entry(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Option<Entry>, LogError> {
        let mut parts = id.splitn(3, '-');
        let (Some("0"), Some(offset), Some(hash)) = (parts.next(), parts.next(), parts.next())
        else {
            return Ok(None);
        };
        let Some(offset) = number(offset) else {
            return Ok(None);
        };
        let place = Place {
            partition: 0,
            offset,
            timestamp_ms: 0,
        };
        let stored = read_one(&*self.log as &dyn Log, TOPIC, place).await?;
        Ok(stored
            .filter(|stored| header(stored, ENTRY) == Some(hash))
            .filter(|stored| caller.sees(header(stored, record::TENANT_NAME)))
            .and_then(|stored| Entry::of(&stored, true)))
    }
}
