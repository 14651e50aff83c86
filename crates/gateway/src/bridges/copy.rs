//! From an earlier record to what is appended for it: the later event, or an entry of the
//! quarantine with every reason. Pure: the same record under the same contracts gives the same.
//!
//! Both carry the same claim, on the place of the earlier record: whichever is stored first, after
//! whatever crash and under whichever contract, is the only one.

use std::collections::HashMap;

use bytes::Bytes;
use tidegate_contract::check::{Reason, Violation};
use tidegate_contract::event::Event;
use tidegate_contract::migration::Earlier;
use tidegate_contract::model::SourceRule;
use tidegate_contract::record::Incoming;
use tidegate_event_log::{Append, Claim, Offset, StoredRecord};

use super::spec::Spec;
use super::state::{At, Cause, Halt};
use crate::clock::rfc3339;
use crate::identity::caller::DEFAULT_TENANT;
use crate::ingress::claim;
use crate::ingress::quarantine::{self, Unbridged};
use crate::ingress::record::{self, HeaderList, header};

/// The attribute that names the event this one was made of.
const CAUSATION: &str = "causationid";
/// CloudEvents sets no limit; contracts hold ids to this one.
const MAX_ID_BYTES: usize = 1024;
/// Framing of a record and of each header, as at the HTTP door.
const FRAMING_BYTES: usize = 16;

/// The partition that records come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) topic: &'a str,
    /// Another one if the topic was made anew.
    pub(crate) topic_id: [u8; 16],
    pub(crate) partition: i32,
}

impl Source<'_> {
    fn at(&self, offset: Offset) -> At {
        At {
            topic: self.topic.to_owned(),
            partition: self.partition,
            offset,
        }
    }
}

/// What is left of what the first part may lose, while canaries are watched.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Watched {
    pub(crate) quarantine_left: u64,
}

/// What is appended for one record.
#[derive(Clone, Debug)]
pub(crate) struct Copied {
    /// The offset of the record it is made of.
    pub(crate) of: Offset,
    pub(crate) append: Append,
    /// The data as JSON, in whatever encoding it is appended; none of what is quarantined.
    pub(crate) json: Bytes,
    pub(crate) is_quarantined: bool,
    /// The rules it breaks that only warn.
    pub(crate) warnings: Vec<String>,
}

/// What is appended for a stretch of records, up to one that halts the rollout.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) items: Vec<Copied>,
    pub(crate) halt: Option<Halt>,
    /// The offset after the last record that is dealt with.
    pub(crate) next: Offset,
}

/// Plans a stretch of records. With `watched`, a record that would fail a canary ends it, untouched.
pub(crate) fn plan(
    spec: &Spec,
    source: Source<'_>,
    records: &[StoredRecord],
    from: Offset,
    mut watched: Option<Watched>,
) -> Plan {
    let mut plan = Plan {
        items: Vec::with_capacity(records.len()),
        halt: None,
        next: from,
    };
    for stored in records {
        let copied = copy(spec, source, stored);
        if let Some(watched) = &mut watched {
            plan.halt = fails(spec, source, stored, &copied, watched);
            if plan.halt.is_some() {
                return plan;
            }
        }
        plan.items.push(copied);
        plan.next = stored.offset + 1;
    }
    plan
}

fn fails(
    spec: &Spec,
    source: Source<'_>,
    stored: &StoredRecord,
    copied: &Copied,
    watched: &mut Watched,
) -> Option<Halt> {
    let first = source.at(stored.offset);
    if copied.is_quarantined {
        let Some(left) = watched.quarantine_left.checked_sub(1) else {
            let detail = "more events break the contract than `migration.canary.maxQuarantined` \
                          lets; this one was not yet moved";
            return Some(Halt {
                cause: Cause::Quarantine,
                detail: detail.to_owned(),
                reader: None,
                first,
            });
        };
        watched.quarantine_left = left;
        return None;
    }
    spec.canaries.iter().find_map(|canary| {
        let unmet = canary.unmet(&copied.json)?;
        Some(Halt {
            cause: Cause::Requirement,
            detail: format!(
                "canary `{}` requires `{}` of events, and this one would break it",
                canary.name, unmet.name
            ),
            reader: Some(canary.name.clone()),
            first: first.clone(),
        })
    })
}

/// Makes what is appended for a record.
pub(crate) fn copy(spec: &Spec, source: Source<'_>, stored: &StoredRecord) -> Copied {
    match bridged(spec, source, stored) {
        Ok(copied) => copied,
        Err(violation) => quarantined(spec, source, stored, &violation),
    }
}

/// Makes the entry of a record that cannot be a later event.
pub(crate) fn quarantined(
    spec: &Spec,
    source: Source<'_>,
    stored: &StoredRecord,
    violation: &Violation,
) -> Copied {
    let place = place(source, stored);
    let append = quarantine::keep_unbridged(Unbridged {
        contract: &spec.contract,
        violation,
        stored,
        place: &place,
        claim: claim(spec, source, stored),
    });
    Copied {
        of: stored.offset,
        append,
        json: Bytes::new(),
        is_quarantined: true,
        warnings: Vec::new(),
    }
}

/// Says that the log itself does not take the later event.
pub(crate) fn refused(spec: &Spec, detail: String) -> Violation {
    Violation {
        contract: spec.contract.name.clone(),
        errors: vec![Reason {
            pointer: "#".to_owned(),
            detail,
            rule: "topic.maxMessage".to_owned(),
        }],
        more: 0,
        id: None,
        on_invalid: spec.contract.ingress.on_invalid,
    }
}

fn bridged(spec: &Spec, source: Source<'_>, stored: &StoredRecord) -> Result<Copied, Violation> {
    let contract = &spec.contract;
    let json = earlier_data(spec, stored)?;
    let mut event = event(spec, source, stored);
    event.data = Some(json.clone());
    let own_id = std::mem::take(&mut event.id);
    if contract.event.id.is_none() {
        event.id.clone_from(&own_id);
    }
    let checked = contract.check(&event, stored.timestamp_ms)?;
    if spec.stamp.is_some()
        && let Some(encoded) = contract.in_own_encoding(&event)?
    {
        event.data = Some(encoded);
        event.datacontenttype = Some(contract.schema.schema.own_media_type().to_owned());
    }
    if event.time.is_none() {
        event.time = checked.time_ms.map(rfc3339);
    }
    let mut headers = HeaderList::new();
    headers.add("ce_specversion", Bytes::from_static(b"1.0"));
    headers.add(record::CE_ID, checked.id.unwrap_or(own_id));
    headers.add(record::CE_SOURCE, std::mem::take(&mut event.source));
    headers.add(record::CE_TYPE, std::mem::take(&mut event.event_type));
    headers.add_attributes(&mut event);
    headers.add_some(record::CONTENT_TYPE, event.datacontenttype.take());
    headers.add(record::CONTRACT, contract.name.clone());
    headers.add(record::CONTRACT_VERSION, contract.version.to_string());
    headers.add(record::BRIDGE_SOURCE, place(source, stored));
    let tenant = header(stored, record::TENANT_NAME).unwrap_or(DEFAULT_TENANT);
    headers.add(record::TENANT_NAME, tenant.to_owned());
    for name in ["traceparent", "tracestate", record::REQUEST_ID] {
        headers.add_some(name, header(stored, name).map(str::to_owned));
    }
    let mut data = event.data;
    if let Some(stamp) = &spec.stamp {
        data = stamp.write(&mut headers, data);
    }
    let record = headers.into_record(checked.key, data);
    let size_bytes = record.size_bytes() + (record.headers.len() + 1) * FRAMING_BYTES;
    let limit = spec.max_record_bytes();
    if size_bytes > limit {
        let detail = format!("has {size_bytes} bytes with its envelope; {limit} are taken");
        return Err(refused(spec, detail));
    }
    let append = Append {
        topic: contract.topic.name.as_str().into(),
        partition: None,
        record,
        claim: Some(claim(spec, source, stored)),
    };
    Ok(Copied {
        of: stored.offset,
        append,
        json,
        is_quarantined: false,
        warnings: checked.warnings,
    })
}

/// Makes the later data, as JSON, of what an earlier record holds in whatever encoding.
fn earlier_data(spec: &Spec, stored: &StoredRecord) -> Result<Bytes, Violation> {
    let headers = stored.record.headers.iter();
    let mut headers: Vec<(&[u8], Option<&[u8]>)> = headers
        .map(|header| (&header.name[..], header.value.as_deref()))
        .collect();
    let ours = header(stored, record::CONTRACT).is_some();
    if ours && header(stored, record::CONTENT_TYPE).is_none() {
        // The HTTP door takes what says nothing for JSON; a Kafka client's is the schema's own.
        headers.push((record::CONTENT_TYPE.as_bytes(), Some(b"application/json")));
    }
    let bare;
    let value = match &spec.earlier {
        Some(_) => stored.record.value.as_deref(),
        None => {
            bare = record::data_of(stored);
            bare.as_deref()
        }
    };
    let earlier = Earlier {
        contract: spec.earlier.as_deref(),
        record: Incoming {
            key: stored.record.key.as_deref(),
            value,
            headers: &headers,
        },
        resolve: &|id| match &spec.earlier_ids {
            Some(ids) => ids.find(id),
            None => Err(format!("schema id `{id}` is not known")),
        },
    };
    spec.contract.data_of_earlier(spec.migration(), &earlier)
}

/// Makes the later event's envelope of the earlier one's; what is not there is made of the place.
fn event(spec: &Spec, source: Source<'_>, stored: &StoredRecord) -> Event {
    let contract = &spec.contract;
    let id = header(stored, record::CE_ID).filter(|id| !id.is_empty());
    let cause = id.map_or_else(|| place(source, stored), str::to_owned);
    let own_source = header(stored, record::CE_SOURCE).filter(|source| !source.is_empty());
    let mut event = Event {
        id: later_id(&cause, &contract.name),
        source: match (&contract.event.source, own_source) {
            (SourceRule::Any { .. }, Some(source)) => source.to_owned(),
            (rule, _) => rule.for_plain_body().to_owned(),
        },
        event_type: contract.event.event_type.clone(),
        datacontenttype: Some("application/json".to_owned()),
        ..Event::default()
    };
    for kept in &stored.record.headers {
        let name = std::str::from_utf8(&kept.name).unwrap_or_default();
        let value = kept.value.as_deref().map(std::str::from_utf8);
        let (Some(name), Some(Ok(value))) = (name.strip_prefix("ce_"), value) else {
            continue;
        };
        let value = value.to_owned();
        match name {
            // `dataschema` speaks of the earlier data.
            "specversion" | "id" | "source" | "type" | "dataschema" | CAUSATION => {}
            "subject" => event.subject = Some(value),
            "time" => event.time = Some(value),
            name => event.extensions.push((name.to_owned(), value)),
        }
    }
    event.extensions.push((CAUSATION.to_owned(), cause));
    event
}

/// Makes an id of an earlier one: the same for the same event, another one for each contract.
fn later_id(cause: &str, contract: &str) -> String {
    let id = format!("{cause}~{contract}");
    match id.len() <= MAX_ID_BYTES {
        true => id,
        false => blake3::hash(id.as_bytes()).to_hex().to_string(),
    }
}

fn place(source: Source<'_>, stored: &StoredRecord) -> String {
    let Source {
        topic, partition, ..
    } = source;
    format!("{topic}-{partition}-{}", stored.offset)
}

/// Claims the place of the earlier record. The window outlasts what the topic keeps, as far as the
/// log can: a position may be lost, and records be met again as long as they are there.
fn claim(spec: &Spec, source: Source<'_>, stored: &StoredRecord) -> Claim {
    let retention = spec.earlier.as_ref().map(|earlier| earlier.topic.retention);
    claim::bridged(
        &spec.contract.name,
        source.topic_id,
        source.partition,
        stored.offset,
        retention.map(|retention| std::time::Duration::from_millis(retention.as_ms())),
    )
}

/// Parts what is appended into calls, in order: no call has two records of one key, and each call
/// is made after the ones before were acked whole. So no record is stored before an earlier one of
/// its key, whatever fails between.
pub(crate) fn waves(items: Vec<Copied>) -> Vec<Vec<Copied>> {
    let mut waves: Vec<Vec<Copied>> = Vec::new();
    let mut next_wave: HashMap<Bytes, usize> = HashMap::new();
    for item in items {
        let key = item.append.record.key.clone();
        let wave = match key.filter(|_| !item.is_quarantined) {
            Some(key) => {
                let next = next_wave.entry(key).or_default();
                *next += 1;
                *next - 1
            }
            None => 0,
        };
        if waves.len() <= wave {
            waves.resize_with(wave + 1, Vec::new);
        }
        waves[wave].push(item);
    }
    waves
}
