//! The request that an event's data was made of, read back: where a contract gives plain bodies a
//! shape of their own (`ingress.request`), the body and the headers it names are kept with the event.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use tidegate_event_log::{Log, LogError, StoredRecord};
use utoipa::ToSchema;

use super::receipt::ReceiptId;
use super::record::{REQUEST_BODY, REQUEST_CONTENT_TYPE, REQUEST_HEADER_PREFIX, header};
use crate::answer::Payload;
use crate::identity::Caller;

/// A request as it came.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeptRequest {
    content_type: Option<String>,
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    headers: Map<String, Value>,
    #[serde(flatten)]
    body: Payload,
}

impl KeptRequest {
    fn of(stored: &StoredRecord) -> Option<Self> {
        let headers = &stored.record.headers;
        let body = headers.iter().find(|header| header.name == REQUEST_BODY)?;
        let content_type = header(stored, REQUEST_CONTENT_TYPE);
        let kept = headers.iter().filter_map(|header| {
            let name = std::str::from_utf8(&header.name).ok()?;
            let name = name.strip_prefix(REQUEST_HEADER_PREFIX)?;
            let value = String::from_utf8_lossy(header.value.as_deref()?).into_owned();
            Some((name.to_owned(), Value::String(value)))
        });
        let bytes: Option<&Bytes> = body.value.as_ref();
        Some(Self {
            content_type: content_type.map(str::to_owned),
            headers: kept.collect(),
            body: Payload::of_bytes(bytes, content_type),
        })
    }
}

/// Reads the request of the event that a receipt names; nothing if none was kept.
pub(crate) async fn read(
    log: &dyn Log,
    id: &str,
    caller: &Caller,
) -> Result<Option<KeptRequest>, LogError> {
    let Some(id) = ReceiptId::parse(id) else {
        return Ok(None);
    };
    let stored = id.record(log, caller).await?;
    Ok(stored.as_ref().and_then(KeptRequest::of))
}
