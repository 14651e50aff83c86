//! Bridges over the memory log: what becomes of events whatever breaks between, when a rollout halts,
//! and when a bridge ends.

mod copies;
mod decisions;
mod endings;
mod faults;
mod rollouts;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tidegate_contract::load;
use tidegate_event_log::{
    Append, Header, Log, LogError, MemoryLog, Offset, Record, StoredRecord, TopicConfig, TopicSpec,
};

use super::Shared;
use super::spec::{InForce, Spec};
use super::state::Rollout;
use super::worker::{Next, Worker};
use crate::clock::Clock;
use crate::ingress::lane::Lanes;
use crate::ingress::quarantine;
use crate::ingress::record::header;
use crate::kept::Kept;
use crate::metrics::Metrics;

/// A paid order in cents becomes one with an amount; without `cents` it cannot.
const PAID: &str = r#"
apiVersion: contract/v1
kind: EventContract
metadata: {name: paid}
spec:
  class: fact
  lifecycle: LIFECYCLE
  schema: {file: any.json}
  key: {from: $.id}
  topic: {partitions: 3}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: paid-2, version: 2.0.0}
spec:
  class: fact
  schema: {file: paid-2.json}
  key: {from: $.orderId}
  topic: {partitions: 2}
  migration:
    from: paid
    map: {orderId: $.id, total: "message.cents / 100", number: $.number}
    CANARY
"#;

const READERS: &str = r#"
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: billing, owner: team}
spec: {contract: paid, accepts: "1", via: {kafka: {group: g-billing}}}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: reports, owner: team}
spec: {contract: paid, accepts: "1", via: {connect: {connector: reports}}}
---
apiVersion: contract/v1
kind: ConsumerContract
metadata: {name: scout, owner: team}
spec:
  contract: paid-2
  accepts: "2"
  via: {kafka: {group: g-scout}}
  requires: [{name: small, expr: message.total < 1000}]
  failure: {deadLetter: {owner: team, topic: scout.dead}}
  maxLag: {time: 5m}
  canary: true
"#;

const PAID_2: &str =
    r#"{"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}}"#;

/// A clock that stands until it is moved.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Hand {
    fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

/// What contracts say, in a few words.
#[derive(Clone, Copy)]
struct Says {
    lifecycle: &'static str,
    canary: &'static str,
    map: &'static str,
    readers: bool,
}

const ACTIVE: Says = Says {
    lifecycle: "active",
    canary: "",
    map: "",
    readers: false,
};

fn spec(says: Says) -> Arc<Spec> {
    let mut text = PAID
        .replace("LIFECYCLE", says.lifecycle)
        .replace("CANARY", says.canary);
    if !says.map.is_empty() {
        text = text.replace("message.cents / 100", says.map);
    }
    if says.readers {
        text.push_str(READERS);
    }
    let schema = |path: &str| match path {
        "paid-2.json" => Some(PAID_2.to_owned()),
        _ => Some("{}".to_owned()),
    };
    let files = [("all.yaml".to_owned(), text)];
    let contracts = load::sources(&files, &schema).unwrap_or_else(|found| panic!("{found}"));
    let in_force = InForce::of(&contracts, &Lanes::default());
    Arc::clone(in_force.bridge("paid-2").unwrap())
}

/// A log with the topics of both contracts, and whoever works on it.
struct World {
    inner: Arc<MemoryLog>,
    log: Arc<dyn Log>,
    clock: Arc<Hand>,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(Hand(AtomicI64::new(1_700_000_000_000)));
        let of_log = Arc::clone(&clock);
        let inner = Arc::new(MemoryLog::new(move || of_log.now_ms()));
        let topic = |name: &str, partitions| TopicSpec {
            name: name.to_owned(),
            partitions: Some(partitions),
            config: TopicConfig::new(),
        };
        for spec in [
            topic("paid", 3),
            topic("paid-2", 2),
            quarantine::topic_spec(),
        ] {
            inner.create_topic(spec).await.unwrap();
        }
        let log: Arc<dyn Log> = inner.clone();
        Self { inner, log, clock }
    }

    /// Starts a worker as a process does that knows the log only.
    async fn worker(&self) -> Result<Worker, LogError> {
        let shared = Shared {
            log: Arc::clone(&self.log),
            clock: self.clock.clone(),
            metrics: Arc::new(Metrics::new()),
            states: Kept::open(Arc::clone(&self.log)).await?,
            status: Default::default(),
        };
        Ok(Worker::new(Arc::new(shared), "paid-2".to_owned()))
    }

    /// Appends earlier events as the HTTP door would.
    async fn send(&self, events: &[(&str, &str)]) {
        let append = |(id, data): &(&str, &str)| {
            let value: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
            let key = value["id"].as_str().map(|key| key.to_owned().into());
            Append {
                topic: "paid".into(),
                partition: None,
                record: Record {
                    key,
                    value: Some(data.to_string().into()),
                    headers: vec![
                        Header::new("ce_id", id.to_string()),
                        Header::new("ce_source", "/shop"),
                        Header::new("content-type", "application/json"),
                    ],
                },
                claim: None,
            }
        };
        for answer in self.inner.append(events.iter().map(append).collect()).await {
            answer.unwrap();
        }
    }

    async fn records(&self, topic: &str) -> Vec<(i32, StoredRecord)> {
        let topics = self.inner.topics().await.unwrap();
        let found = topics.into_iter().find(|found| found.name == topic);
        let mut records = Vec::new();
        for partition in 0..found.map_or(0, |found| found.partitions) {
            let read = self.inner.read(topic, partition, 0, usize::MAX).await;
            let read = read.unwrap().records.into_iter();
            records.extend(read.map(|record| (partition, record)));
        }
        records
    }

    /// Returns the ids of what is in a topic, sorted.
    async fn ids(&self, topic: &str) -> Vec<String> {
        let records = self.records(topic).await;
        let ids = records.iter().map(|(_, stored)| header(stored, "ce_id"));
        let mut ids: Vec<String> = ids.map(|id| id.unwrap_or_default().to_owned()).collect();
        ids.sort();
        ids
    }

    async fn ends(&self, topic: &str) -> Vec<Offset> {
        let mut ends = Vec::new();
        let topics = self.inner.topics().await.unwrap();
        let found = topics.iter().find(|found| found.name == topic).unwrap();
        for partition in 0..found.partitions {
            ends.push(self.inner.watermarks(topic, partition).await.unwrap().high);
        }
        ends
    }

    /// Lets a group commit all that is in a topic.
    async fn read_all(&self, group: &str, topic: &str) {
        for (partition, end) in (0..).zip(self.ends(topic).await) {
            let committed = self.inner.commit(group, topic, partition, end).await;
            committed.unwrap();
        }
    }

    /// Works until there is nothing to do but wait.
    async fn settle(&self, worker: &mut Worker, spec: &Spec) -> Next {
        for _ in 0..100 {
            match worker.step(spec).await.unwrap() {
                Next::Again => {}
                next => return next,
            }
        }
        panic!("it does not come to rest");
    }
}

impl Worker {
    /// Returns what is decided, as the log has it.
    fn rollout(&self) -> Rollout {
        let table = self.shared().states.now();
        table.get("paid-2").cloned().expect("it started")
    }

    /// Returns what it tells, as JSON.
    fn told(&self) -> serde_json::Value {
        let status = self.shared().status.lock();
        serde_json::to_value(status.get("paid-2")).unwrap()
    }
}
