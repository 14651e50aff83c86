//! An event as a record of the log: the CloudEvents Kafka binding 1.0.2 in binary mode, §3.2, and
//! beside it who sent it and under which contract.
//!
//! Header names are a stored format, read by consumers: they stay as they are. The value is the
//! caller's bytes unchanged, unless the contract has records carry their schema's id: then it is in the
//! schema's own encoding, with the id before it if that is where it goes.

use bytes::Bytes;
use tidegate_contract::event::{Event, is_json};
use tidegate_contract::model::SchemaFormat;
use tidegate_contract::schema_id::{self, Written};
use tidegate_event_log::{Header, Headers, Record, StoredRecord};

use super::submission::Original;
use crate::identity::caller::Proof;
use crate::request::Context;

pub(crate) const CONTRACT: &str = "tidegate_contract";
pub(crate) const CONTRACT_VERSION: &str = "tidegate_contract_version";
pub(crate) const TENANT_NAME: &str = "tidegate_tenant";
pub(crate) const CALLER_NAME: &str = "tidegate_caller";
pub(crate) const REQUEST_ID: &str = "tidegate_request_id";
pub(crate) const IDEMPOTENCY_KEY: &str = "tidegate_idempotency_key";
pub(crate) const SOURCE_DOOR: &str = "tidegate_source";
pub(crate) const BRIDGE_SOURCE: &str = "tidegate_bridge_source";
pub(crate) const REQUEST_BODY: &str = "tidegate_request_body";
pub(crate) const REQUEST_CONTENT_TYPE: &str = "tidegate_request_content_type";
pub(crate) const REQUEST_HEADER_PREFIX: &str = "tidegate_request_header_";
pub(crate) const CONTENT_TYPE: &str = "content-type";
/// The number of the record's schema, where records carry ids.
pub(crate) const SCHEMA_ID: &str = "tidegate_schema_id";
pub(crate) const CE_ID: &str = "ce_id";
pub(crate) const CE_SOURCE: &str = "ce_source";
pub(crate) const CE_TYPE: &str = "ce_type";
pub(crate) const CE_TIME: &str = "ce_time";

/// A kept header of a request is cut here.
pub(crate) const MAX_HEADER_BYTES: usize = 512;

/// How the media type of Protobuf begins, as the gateway writes it.
const PROTOBUF: &str = "application/protobuf";

/// Headers in the making.
pub(crate) struct HeaderList(Headers);

impl HeaderList {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(18))
    }

    pub(crate) fn add(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.0
            .push(Header::new(Bytes::from_static(name.as_bytes()), value));
    }

    pub(crate) fn add_some(&mut self, name: &'static str, value: Option<impl Into<Bytes>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    pub(crate) fn add_named(&mut self, name: String, value: impl Into<Bytes>) {
        self.0.push(Header::new(Bytes::from(name), value));
    }

    /// Adds the optional attributes; `id`, `source` and `type` are the caller's to add, since
    /// they may be prepared already.
    pub(crate) fn add_attributes(&mut self, event: &mut Event) {
        self.add_some("ce_subject", event.subject.take());
        self.add_some(CE_TIME, event.time.take());
        self.add_some("ce_dataschema", event.dataschema.take());
        for (name, value) in event.extensions.drain(..) {
            match name.as_str() {
                "partitionkey" => self.add("ce_partitionkey", value),
                "traceparent" => self.add("ce_traceparent", value),
                "tracestate" => self.add("ce_tracestate", value),
                _ => self.add_named(format!("ce_{name}"), value),
            }
        }
    }

    /// Adds who sent it, by which request, and under which trace: per hop in `traceparent`, the
    /// origin in `ce_traceparent` unless the event brought its own.
    pub(crate) fn add_caller(&mut self, context: &Context<'_>, key: Option<&str>, origin: bool) {
        let caller = &*context.caller;
        self.add(
            TENANT_NAME,
            Bytes::copy_from_slice(caller.tenant.as_bytes()),
        );
        if caller.proof != Proof::Nothing {
            self.add(CALLER_NAME, Bytes::copy_from_slice(caller.name.as_bytes()));
        }
        self.add(
            REQUEST_ID,
            Bytes::copy_from_slice(context.request_id.as_bytes()),
        );
        self.add_some(
            IDEMPOTENCY_KEY,
            key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        );
        if let Some(traceparent) = context.traceparent() {
            let traceparent = Bytes::copy_from_slice(traceparent.as_bytes());
            let tracestate = context.tracestate();
            if origin {
                self.add("ce_traceparent", traceparent.clone());
                self.add_some("ce_tracestate", tracestate.clone());
            }
            self.add("traceparent", traceparent);
            self.add_some("tracestate", tracestate);
        }
    }

    /// Adds the body that the data was made of, and the headers of these names beside it, in one
    /// record with the event: what is replayed later may be made of it anew.
    pub(crate) fn add_request<'n>(
        &mut self,
        context: &Context<'_>,
        original: Original,
        kept: impl Iterator<Item = &'n str>,
    ) {
        self.add(REQUEST_BODY, original.bytes);
        self.add_some(REQUEST_CONTENT_TYPE, original.content_type);
        for name in kept {
            if let Some(value) = context.headers.get(name) {
                let bytes = &value.as_bytes()[..value.len().min(MAX_HEADER_BYTES)];
                let name = format!("{REQUEST_HEADER_PREFIX}{name}");
                self.add_named(name, Bytes::copy_from_slice(bytes));
            }
        }
    }

    pub(crate) fn into_record(self, key: Option<Bytes>, value: Option<Bytes>) -> Record {
        Record {
            key,
            value,
            headers: self.0,
        }
    }
}

/// Returns the first header of a name, if its value is text.
pub(crate) fn header<'a>(stored: &'a StoredRecord, name: &str) -> Option<&'a str> {
    let header = stored
        .record
        .headers
        .iter()
        .find(|header| header.name == name.as_bytes())?;
    std::str::from_utf8(header.value.as_deref()?).ok()
}

/// Says whether a header is of the request that the event was made of.
pub(crate) fn is_of_request(header: &Header) -> bool {
    header.name == REQUEST_BODY || header.name.starts_with(REQUEST_HEADER_PREFIX.as_bytes())
}

/// Returns the tenant that a record is of, if it says so.
pub(crate) fn tenant_of(stored: &StoredRecord) -> Option<&str> {
    header(stored, TENANT_NAME)
}

/// Returns the media type a record was stored with.
pub(crate) fn content_type_of(stored: &StoredRecord) -> Option<&str> {
    header(stored, CONTENT_TYPE)
}

/// Returns the data of a record, without the schema id that may stand before it.
pub(crate) fn data_of(stored: &StoredRecord) -> Option<Bytes> {
    let format = match content_type_of(stored) {
        Some(media_type) if media_type.starts_with(PROTOBUF) => SchemaFormat::Protobuf,
        _ => SchemaFormat::Json,
    };
    framed(stored, format, None).map(|(_, data)| data)
}

/// Parts the data of a record from what names its schema: a header, or what stands before the data. That
/// is taken for an id under a `subject`, where the gateway wrote one, and where JSON or nothing is said to
/// be there, since no JSON begins with 0x00. What is not in the form names nothing.
pub(crate) fn framed(
    stored: &StoredRecord,
    format: SchemaFormat,
    subject: Option<&str>,
) -> Option<(Option<Written>, Bytes)> {
    let value = stored.record.value.as_ref()?;
    let name = schema_id::VALUE_HEADER.as_bytes();
    let mut headers = stored.record.headers.iter();
    if let Some(header) = headers.find(|header| header.name == name) {
        let bytes = header.value.as_deref().unwrap_or_default();
        return Some((Written::of_header(bytes, format).ok(), value.clone()));
    }
    let Ok(Some((written, data))) = Written::of_prefix(value, format) else {
        return Some((None, value.clone()));
    };
    let ours = || header(stored, SCHEMA_ID) == Some(&written.id.to_string());
    let is_id = subject.is_some() || content_type_of(stored).is_none_or(is_json) || ours();
    Some(match is_id {
        true => (Some(written), value.slice_ref(data)),
        false => (None, value.clone()),
    })
}

/// Says whether an event already carries the trace it began in.
pub(crate) fn has_origin(event: &Event) -> bool {
    event.extension("traceparent").is_some()
}

/// Reads a header's bytes as text; what this crate wrote is text.
pub(crate) fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
