//! Contracts made ready for traffic: what each event of a contract needs, worked out once.
//!
//! A set of lanes is immutable and swapped as a whole when contracts change; a request keeps the
//! lane it started with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidegate_contract::check::{Reason, Violation};
use tidegate_contract::event_type::{self, ByType};
use tidegate_contract::model::{ENVELOPE_BYTES, SchemaIdPlace};
use tidegate_contract::privacy::Hash;
use tidegate_contract::record::Incoming;
use tidegate_contract::schema_id::{SchemaId, VALUE_HEADER, Written};
use tidegate_contract::tree::Tree;
use tidegate_contract::{Contracts, Event, EventContract};
use tidegate_event_log::{Claim, Fingerprint, TopicConfig, TopicSpec};

use super::claim::{self, Identity};
use super::deprecation::{self, Told};
use super::draft::StoredForm;
use super::port::RecordRules;
use super::quota::{LaneQuota, Quotas};
use super::record::{self, HeaderList};
use crate::identity::Caller;
use crate::metrics::{LaneCounters, Metrics};
use crate::registry::Registered;
use crate::registry::store::Store;
use crate::registry::subject::SubjectIds;

/// One contract, ready.
pub(crate) struct Lane {
    pub(crate) contract: Arc<EventContract>,
    pub(crate) counters: LaneCounters,
    pub(crate) max_data_bytes: usize,
    /// How large a record may be, envelope and kept request included.
    pub(crate) max_record_bytes: usize,
    pub(crate) window: Duration,
    /// Prepared values of headers.
    pub(crate) name: Bytes,
    pub(crate) topic: Arc<str>,
    pub(crate) version: Bytes,
    /// What its events are called; nothing if they are a family.
    event_type: Option<Bytes>,
    /// How much may be sent.
    pub(crate) quotas: Box<[LaneQuota]>,
    /// What senders are told of its end.
    pub(crate) told: Told,
    /// The id of the schema as records carry it, if they do.
    pub(crate) stamp: Option<Stamp>,
    /// The schema ids that its records may carry, if they carry any.
    pub(crate) ids: Option<Arc<SubjectIds>>,
    rules: Option<Arc<RecordRules>>,
    partitions: i32,
    turn: AtomicUsize,
}

/// The id of a contract's schema, ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// The number, for people.
    pub(crate) number: Bytes,
    pub(crate) place: SchemaIdPlace,
    /// The header's value, or what stands before the data.
    pub(crate) bytes: Bytes,
}

impl Stamp {
    fn of(contract: &EventContract, registered: &Registered) -> Option<Self> {
        let place = contract.schema.schema_id?;
        let number = registered.value.id;
        let id = match place {
            SchemaIdPlace::Header => SchemaId::Guid(registered.guid.bytes()),
            SchemaIdPlace::Prefix => SchemaId::Number(number),
        };
        let message = contract.schema.schema.message_indexes();
        let written = Written {
            id,
            message: message.unwrap_or_default(),
        };
        Some(Self {
            number: Bytes::from(number.to_string()),
            place,
            bytes: written.to_header().into(),
        })
    }

    /// Writes the id where it goes: into the headers, or before the data, which is returned.
    pub(crate) fn write(&self, headers: &mut HeaderList, data: Option<Bytes>) -> Option<Bytes> {
        headers.add(record::SCHEMA_ID, self.number.clone());
        match self.place {
            SchemaIdPlace::Header => {
                headers.add(VALUE_HEADER, self.bytes.clone());
                data
            }
            SchemaIdPlace::Prefix => data.map(|data| [&self.bytes[..], &data].concat().into()),
        }
    }
}

/// What the schemas of contracts are in the registry, by the contracts' names.
pub(crate) type Schemas = HashMap<String, Registered>;

impl Lane {
    fn new(
        contract: &Arc<EventContract>,
        metrics: &Metrics,
        registry: &Arc<Store>,
        registered: Option<&Registered>,
        quotas: &Quotas,
        partitions: i32,
    ) -> Self {
        let (store, own) = (Arc::clone(registry), Arc::clone(contract));
        let ids = match (registered, &contract.schema.subject) {
            (Some(registered), _) => Some(SubjectIds::new(store, own, registered)),
            (None, Some(subject)) => Some(SubjectIds::of_subject(store, own, subject)),
            (None, None) => None,
        };
        let ids = ids.map(Arc::new);
        Self {
            stamp: registered.and_then(|registered| Stamp::of(contract, registered)),
            rules: RecordRules::of(contract, ids.clone(), metrics.port_refusals.clone()),
            ids,
            counters: metrics.lane(&contract.name),
            max_data_bytes: usize::try_from(contract.topic.max_message.as_bytes())
                .unwrap_or(usize::MAX),
            max_record_bytes: usize::try_from(max_record_bytes(contract)).unwrap_or(usize::MAX),
            window: Duration::from_millis(contract.ingress.idempotency.window.as_ms()),
            name: Bytes::from(contract.name.clone()),
            version: Bytes::from(contract.version.to_string()),
            event_type: event_type::family(&contract.event.event_type)
                .is_none()
                .then(|| Bytes::from(contract.event.event_type.clone())),
            quotas: quotas.of(contract),
            told: deprecation::told(contract),
            partitions: partitions.max(1),
            topic: contract.topic.name.as_str().into(),
            turn: AtomicUsize::new(0),
            contract: Arc::clone(contract),
        }
    }

    /// Shows the data of a record, by the schema that it was written under.
    pub(crate) fn see_data<T>(
        &self,
        record: &Incoming<'_>,
        see: impl FnOnce(&Tree<'_>) -> T,
    ) -> Result<T, Reason> {
        let resolve = |id| match &self.ids {
            Some(ids) => ids.find(id),
            None => Err(format!("schema id `{id}` is not known")),
        };
        self.contract.see_data(record, &resolve, see)
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// Makes the claim of an event of this lane, once it is accepted.
    pub(crate) fn claim(
        &self,
        caller: &Caller,
        identity: Identity<'_>,
        fingerprint: Fingerprint,
    ) -> Claim {
        let (tenant, name) = (&caller.tenant, &self.contract.name);
        claim::accepted(tenant, name, identity, fingerprint, self.window)
    }

    /// Makes the claim of an event of this lane that is kept in quarantine.
    pub(crate) fn quarantine_claim(
        &self,
        caller: &Caller,
        identity: Identity<'_>,
        fingerprint: Fingerprint,
    ) -> Claim {
        let (tenant, name) = (&caller.tenant, &self.contract.name);
        claim::quarantined(tenant, name, identity, fingerprint, self.window)
    }

    /// Returns the type of an event of this lane, prepared if there is one only.
    pub(crate) fn type_of(&self, event: &Event) -> Bytes {
        let prepared = self.event_type.clone();
        prepared.unwrap_or_else(|| Bytes::copy_from_slice(event.event_type.as_bytes()))
    }

    /// Returns the data of a good event as its record has it.
    ///
    /// # Errors
    /// It has no such form, or a field in it cannot be protected.
    pub(super) fn in_stored_form(
        &self,
        event: &Event,
        hash: Hash<'_>,
    ) -> Result<StoredForm, Violation> {
        let protected = self.contract.protect(event, hash)?;
        if self.stamp.is_none() {
            return Ok(protected.map(|data| (data, false)));
        }
        // With its schema's id a record must be what the id says.
        let encoded = match &protected {
            None => self.contract.in_own_encoding(event)?,
            Some(data) => self.contract.in_own_encoding(&Event {
                data: Some(data.clone()),
                datacontenttype: event.datacontenttype.clone(),
                ..Event::default()
            })?,
        };
        let encoded = encoded.map(|data| (data, true));
        Ok(encoded.or_else(|| protected.map(|data| (data, false))))
    }

    /// Picks partitions by turns, for records whose place does not matter.
    pub(crate) fn any_partition(&self) -> i32 {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = usize::try_from(self.partitions).expect("positive since `new`");
        i32::try_from(turn % count).expect("less than an i32")
    }
}

/// Data, the body it was made of where that is another one, and the envelope.
pub(crate) fn max_record_bytes(contract: &EventContract) -> u64 {
    let data = contract.topic.max_message.as_bytes();
    let kept = contract.ingress.request.as_ref().map_or(0, |_| data);
    data.saturating_add(kept).saturating_add(ENVELOPE_BYTES)
}

/// Returns the topic as a contract wants it.
pub(crate) fn topic_spec(contract: &EventContract) -> TopicSpec {
    let topic = &contract.topic;
    let max_message = max_record_bytes(contract);
    TopicSpec {
        name: topic.name.clone(),
        partitions: i32::try_from(topic.partitions).ok(),
        config: TopicConfig::from([
            (
                "retention.ms".to_owned(),
                topic.retention.as_ms().to_string(),
            ),
            // The contract promises a time; a limit by size of the log's own must not cut it short.
            ("retention.bytes".to_owned(), "-1".to_owned()),
            ("max.message.bytes".to_owned(), max_message.to_string()),
        ]),
    }
}

/// All contracts in force.
#[derive(Default)]
pub(crate) struct Lanes {
    by_name: HashMap<String, Arc<Lane>>,
    by_type: ByType<Arc<Lane>>,
    /// Of topics that ask anything of Kafka clients' records.
    rules: HashMap<Arc<str>, Arc<RecordRules>>,
    /// In the order of their names.
    all: Vec<Arc<Lane>>,
    largest_data_bytes: usize,
}

impl Lanes {
    /// Makes the lanes of contracts whose topics are there, with the partitions they really have.
    pub(crate) fn new(
        contracts: &Contracts,
        partitions: &HashMap<String, i32>,
        metrics: &Metrics,
        registry: &Arc<Store>,
        schemas: &Schemas,
        quotas: &Quotas,
    ) -> Self {
        let mut lanes = Self::default();
        for contract in contracts {
            let partitions = partitions.get(&contract.topic.name).copied().unwrap_or(1);
            let registered = schemas.get(&contract.name);
            let lane = Lane::new(contract, metrics, registry, registered, quotas, partitions);
            let lane = Arc::new(lane);
            if let Some(rules) = &lane.rules {
                let topic = Arc::clone(&lane.topic);
                lanes.rules.insert(topic, Arc::clone(rules));
            }
            lanes.largest_data_bytes = lanes.largest_data_bytes.max(lane.max_data_bytes);
            lanes
                .by_name
                .insert(contract.name.clone(), Arc::clone(&lane));
            lanes.all.push(lane);
        }
        let by_type = lanes
            .all
            .iter()
            .map(|lane| (lane.contract.event.event_type.clone(), Arc::clone(lane)));
        lanes.by_type = by_type.collect();
        lanes
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Arc<Lane>> {
        self.by_name.get(name)
    }

    pub(crate) fn by_type(&self, event_type: &str) -> Option<&Arc<Lane>> {
        self.by_type.find(event_type)
    }

    /// Returns what a topic asks of Kafka clients' records.
    pub(crate) fn rules_of(&self, topic: &str) -> Option<&Arc<RecordRules>> {
        self.rules.get(topic)
    }

    /// Returns the lane whose events a topic has.
    pub(crate) fn of_topic(&self, topic: &str) -> Option<&Lane> {
        let mut lanes = self.all.iter().filter(|lane| lane.topic() == topic);
        lanes.next().map(|lane| &**lane)
    }

    /// Returns the size of the largest data that any contract takes.
    pub(crate) fn largest_data_bytes(&self) -> usize {
        self.largest_data_bytes
    }
}
