//! One event as it comes to the door, with the bytes it came in.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_contract::check::Violation;
use tidegate_contract::event::Event;
use tidegate_event_log::Fingerprint;

use super::claim;
use super::lane::Lane;

/// One event at the door.
pub(crate) struct Submission {
    /// The contract, if the address names it; else the type finds it.
    pub(crate) lane: Option<Arc<Lane>>,
    /// The event; its id is empty if the caller gave none.
    pub(crate) event: Event,
    pub(crate) key: Option<String>,
    pub(crate) original: Original,
    /// The name in `/v1/sources/{source}`.
    pub(crate) source_door: Option<String>,
    /// Whether the body is the caller's own, with no envelope: it may have a shape of its own.
    pub(crate) plain: bool,
}

/// The bytes as they came, for the quarantine.
pub(crate) struct Original {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: Option<String>,
}

impl Submission {
    /// Returns what the caller sent as data: a repeat sends the same again, whatever the contract
    /// makes of it.
    pub(super) fn sent(&self) -> Option<&[u8]> {
        match self.plain {
            true => Some(&*self.original.bytes).filter(|bytes| !bytes.is_empty()),
            false => self.event.data.as_deref(),
        }
    }

    /// Digests what the caller sent: a repeat has the same.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        claim::fingerprint(&self.event.event_type, self.sent())
    }

    /// Makes the event's data of the body, where the contract has another shape for bodies.
    ///
    /// # Errors
    /// The body cannot be mapped to data.
    pub(super) fn make_data(&mut self, lane: &Lane) -> Result<(), Violation> {
        if !self.plain {
            return Ok(());
        }
        let event = &mut self.event;
        let media_type = event.datacontenttype.as_deref();
        let body = event.data.as_deref().unwrap_or_default();
        if let Some(made) = lane.contract.data_of_request(media_type, body) {
            event.data = Some(made?);
            event.datacontenttype = Some("application/json".to_owned());
        }
        Ok(())
    }
}
