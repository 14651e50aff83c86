//! Contracts made ready for traffic: what each event of a contract needs, worked out once.
//!
//! A set of lanes is immutable and swapped as a whole when contracts change; a request keeps the
//! lane it started with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tidegate_contract::{Contracts, EventContract};
use tidegate_event_log::{TopicConfig, TopicSpec};

use crate::metrics::{LaneCounters, Metrics};

/// Room for key and headers beside the data: `topic.maxMessage` speaks of the data alone.
const ENVELOPE_BYTES: usize = 64 * 1024;

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
    pub(crate) event_type: Bytes,
    partitions: i32,
    turn: AtomicUsize,
}

impl Lane {
    fn new(contract: &Arc<EventContract>, metrics: &Metrics, partitions: i32) -> Self {
        Self {
            counters: metrics.lane(&contract.name),
            max_data_bytes: usize::try_from(contract.topic.max_message.as_bytes())
                .unwrap_or(usize::MAX),
            max_record_bytes: usize::try_from(max_record_bytes(contract)).unwrap_or(usize::MAX),
            window: Duration::from_millis(contract.ingress.idempotency.window.as_ms()),
            name: Bytes::from(contract.name.clone()),
            version: Bytes::from(contract.version.to_string()),
            event_type: Bytes::from(contract.event.event_type.clone()),
            partitions: partitions.max(1),
            topic: contract.topic.name.as_str().into(),
            turn: AtomicUsize::new(0),
            contract: Arc::clone(contract),
        }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// Picks partitions by turns, for records whose place does not matter.
    pub(crate) fn any_partition(&self) -> i32 {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = usize::try_from(self.partitions).expect("positive since `new`");
        i32::try_from(turn % count).expect("less than an i32")
    }
}

/// Data, the body it was made of where that is another one, and the envelope.
fn max_record_bytes(contract: &EventContract) -> u64 {
    let data = contract.topic.max_message.as_bytes();
    let kept = contract.ingress.request.as_ref().map_or(0, |_| data);
    data.saturating_add(kept)
        .saturating_add(ENVELOPE_BYTES as u64)
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
    by_type: HashMap<String, Arc<Lane>>,
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
    ) -> Self {
        let mut lanes = Self::default();
        for contract in contracts {
            let partitions = partitions.get(&contract.topic.name).copied().unwrap_or(1);
            let lane = Arc::new(Lane::new(contract, metrics, partitions));
            lanes.largest_data_bytes = lanes.largest_data_bytes.max(lane.max_data_bytes);
            lanes
                .by_name
                .insert(contract.name.clone(), Arc::clone(&lane));
            lanes
                .by_type
                .insert(contract.event.event_type.clone(), Arc::clone(&lane));
            lanes.all.push(lane);
        }
        lanes
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Arc<Lane>> {
        self.by_name.get(name)
    }

    pub(crate) fn by_type(&self, event_type: &str) -> Option<&Arc<Lane>> {
        self.by_type.get(event_type)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.all.iter()
    }

    /// Returns the size of the largest data that any contract takes.
    pub(crate) fn largest_data_bytes(&self) -> usize {
        self.largest_data_bytes
    }
}
