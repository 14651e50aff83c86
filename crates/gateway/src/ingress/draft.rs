//! An event that keeps its contract, made ready for its topic: its id, its claim and its record.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_contract::check::{CLASSIFICATION, Checked, Placement};
use tidegate_contract::event::Event;
use tidegate_event_log::{Append, Appended, Record};

use super::claim::Identity;
use super::lane::Lane;
use super::receipt::{self, Receipt};
use super::record::{self, HeaderList};
use super::submission::Submission;
use crate::Gateway;
use crate::clock::rfc3339;
use crate::problem::{Kind, Problem};
use crate::request::Context;

/// Kafka's framing of a record and of each header is a few bytes; this is above it.
const FRAMING_BYTES: usize = 16;

/// An event on its way into its topic.
pub(super) struct Draft {
    pub(super) label: Label,
    pub(super) append: Option<Append>,
}

/// What a receipt says of an event beside its place.
pub(super) struct Label {
    pub(super) lane: Arc<Lane>,
    pub(super) id: Bytes,
    pub(super) source: Bytes,
    pub(super) event_type: Bytes,
    /// Claimed by `Idempotency-Key`: the first event under it may have had another id.
    pub(super) keyed: bool,
}

/// The data of an event as its record has it, and whether it is in the schema's own encoding now;
/// nothing if it stays as it came.
pub(super) type StoredForm = Option<(Bytes, bool)>;

impl Gateway {
    /// Drafts an event that was found good.
    ///
    /// # Errors
    /// It has no key and its contract requires one, or it is too large with its envelope.
    pub(super) fn draft(
        &self,
        context: &Context<'_>,
        lane: &Arc<Lane>,
        submission: Submission,
        (checked, stored): (Checked, StoredForm),
    ) -> Result<Draft, Problem> {
        let fingerprint = submission.fingerprint();
        let Submission {
            mut event,
            key,
            source_door,
            original,
            plain,
            ..
        } = submission;
        let from_caller = !event.id.is_empty() || checked.id.is_some();
        let id = match (std::mem::take(&mut event.id), checked.id, &key) {
            (id, _, _) if !id.is_empty() => id,
            (_, Some(id), _) => id,
            (_, None, Some(key)) => key.clone(),
            (_, None, None) => self.ids.next(context.received_ms).to_string(),
        };
        let own_id = from_caller.then_some(&*id);
        let identity = Identity::of(key.as_deref(), &event.source, own_id);
        let contract = &lane.contract;
        if identity.is_none() && contract.ingress.idempotency.required {
            let detail = format!("contract `{}` requires `Idempotency-Key`", contract.name);
            return Err(Problem::new(Kind::IdempotencyKeyMissing, detail));
        }
        let claim = identity.map(|identity| lane.claim(&context.caller, identity, fingerprint));
        let label = Label {
            lane: Arc::clone(lane),
            id: id.into(),
            source: std::mem::take(&mut event.source).into(),
            event_type: lane.type_of(&event),
            keyed: key.is_some(),
        };
        complete(lane, &mut event, checked.time_ms, stored);

        let mut headers = HeaderList::new();
        headers.add("ce_specversion", Bytes::from_static(b"1.0"));
        headers.add(record::CE_ID, label.id.clone());
        headers.add(record::CE_SOURCE, label.source.clone());
        headers.add(record::CE_TYPE, label.event_type.clone());
        let origin = !record::has_origin(&event);
        headers.add_attributes(&mut event);
        headers.add_some(record::CONTENT_TYPE, event.datacontenttype);
        headers.add(record::CONTRACT, lane.name.clone());
        headers.add(record::CONTRACT_VERSION, lane.version.clone());
        headers.add_caller(context, key.as_deref(), origin);
        headers.add_some(record::SOURCE_DOOR, source_door);
        // What is protected in the data may stand anywhere in the body that it was made of.
        let keeps_request = plain && !contract.protects();
        if let Some(rules) = contract.ingress.request.as_ref().filter(|_| keeps_request) {
            let kept = rules.headers.iter().map(String::as_str);
            headers.add_request(context, original, kept);
        }
        for rule in &checked.warnings {
            self.metrics.count_warning(&contract.name, rule);
        }
        if let Some(stamp) = &lane.stamp {
            event.data = stamp.write(&mut headers, event.data.take());
        }
        let record = headers.into_record(checked.key, event.data);
        fits(&record, lane.max_record_bytes)?;
        let partition = match checked.placement {
            Placement::ByKey => None,
            Placement::Any => Some(lane.any_partition()),
        };
        let append = Append {
            topic: lane.topic.clone(),
            partition,
            record,
            claim,
        };
        Ok(Draft {
            label,
            append: Some(append),
        })
    }
}

/// Writes into an event what its contract says of it: when it happened, its data as they are stored,
/// how they are classified.
fn complete(lane: &Lane, event: &mut Event, time_ms: Option<i64>, stored: StoredForm) {
    if event.time.is_none() {
        event.time = time_ms.map(rfc3339);
    }
    if let Some((data, is_encoded)) = stored {
        if is_encoded {
            let media_type = lane.contract.schema.schema.own_media_type();
            event.datacontenttype = Some(media_type.to_owned());
        }
        event.data = Some(data);
    }
    if let Some(classification) = lane.contract.classification {
        event.extensions.retain(|(name, _)| name != CLASSIFICATION);
        let said = classification.as_str().to_owned();
        event.extensions.push((CLASSIFICATION.to_owned(), said));
    }
}

/// Asks whether a record is small enough for its topic.
fn fits(record: &Record, limit: usize) -> Result<(), Problem> {
    let size_bytes = record.size_bytes() + (record.headers.len() + 1) * FRAMING_BYTES;
    if size_bytes <= limit {
        return Ok(());
    }
    let detail =
        format!("the event and its envelope have `{size_bytes}` bytes; `{limit}` are taken");
    Err(Problem::new(Kind::BodyTooLarge, detail))
}

impl Label {
    pub(super) fn receipt(&self, appended: &Appended, duplicate: bool) -> Receipt {
        Receipt {
            id: receipt::id(&appended.topic, appended.place, &self.id),
            event_id: self.id.clone(),
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            contract: self.lane.name.clone(),
            topic: appended.topic.clone(),
            place: appended.place,
            duplicate,
        }
    }

    /// Says that other data were accepted under this name.
    pub(super) fn reused(&self) -> Problem {
        let detail = if self.keyed {
            "this `Idempotency-Key` was accepted with other data; give another event another key"
        } else {
            "this `source` and `id` were accepted with other data; give another event another id"
        };
        Problem::new(Kind::IdempotencyKeyReused, detail).about(&self.lane.contract.name)
    }
}
