//! The readable reference of [`Log`]: every promise in the plainest code that keeps it.
//!
//! One lock around all state, records in vectors, claims by their full identity. Nothing survives
//! the process, so it is for tests and for reading; the clock is passed in. It leaves retention
//! and compaction to the logs that have history: here every record stays until its topic goes.

mod check;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::check::{check_claim, check_commit, check_config, check_name, check_partitions};
use crate::{
    AlterTopic, Append, Appended, Bounds, Claim, Disposition, Fingerprint, Log, LogError, Offset,
    Place, Read, StoredRecord, Topic, TopicSpec, Watermarks, partitioner,
};

/// Partitions of a topic that names no number; Kafka's own `num.partitions`.
const DEFAULT_PARTITIONS: i32 = 1;
/// Topics that begin so hold the product's own state.
const INTERNAL_PREFIX: &str = "_tidegate.";
/// The schema registry's topic has the name that Confluent's gave it.
const SCHEMAS: &str = "_schemas";

type Now = dyn Fn() -> i64 + Send + Sync;

/// A [`Log`] in memory.
pub struct MemoryLog {
    now_ms: Arc<Now>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    topics: BTreeMap<String, TopicState>,
    claims: HashMap<Bytes, Held>,
    /// Committed offsets of each group, by topic and partition.
    groups: BTreeMap<String, BTreeMap<([u8; 16], usize), Offset>>,
    /// The newest time given to a record or seen by a lookup; log time never goes back.
    log_time_ms: i64,
    /// Where the next record without a key goes.
    round_robin: usize,
}

struct TopicState {
    topic: Topic,
    max_message_bytes: usize,
    partitions: Vec<Vec<StoredRecord>>,
}

struct Held {
    fingerprint: Fingerprint,
    topic: [u8; 16],
    name: Arc<str>,
    place: Place,
    ends_ms: i64,
}

impl MemoryLog {
    /// Makes an empty log whose records are stamped with `now_ms`, milliseconds since 1970 (UTC).
    pub fn new(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self {
            now_ms: Arc::new(now_ms),
            state: Mutex::new(State::default()),
            changed: Notify::new(),
        }
    }
}

impl State {
    fn advance_to(&mut self, now_ms: i64) -> i64 {
        self.log_time_ms = self.log_time_ms.max(now_ms);
        self.log_time_ms
    }

    fn topic(&self, name: &str) -> Result<&TopicState, LogError> {
        self.topics
            .get(name)
            .ok_or_else(|| LogError::NotFound(format!("no topic `{name}`")))
    }

    fn partition(&self, topic: &str, partition: i32) -> Result<&Vec<StoredRecord>, LogError> {
        let found = self.topic(topic)?;
        usize::try_from(partition)
            .ok()
            .and_then(|index| found.partitions.get(index))
            .ok_or_else(|| {
                LogError::NotFound(format!("topic `{topic}` has no partition `{partition}`"))
            })
    }

    fn held(&self, claim: &Claim) -> Option<Appended> {
        let held = self.claims.get(&claim.identity)?;
        if held.ends_ms <= self.log_time_ms {
            return None;
        }
        let disposition = if held.fingerprint == claim.fingerprint {
            Disposition::Repeated
        } else {
            Disposition::Mismatched
        };
        Some(Appended {
            topic: held.name.clone(),
            place: held.place,
            disposition,
        })
    }

    fn append(&mut self, append: Append, timestamp_ms: i64) -> Result<Appended, LogError> {
        let found = self.topic(&append.topic)?;
        let (topic, partitions) = (found.topic.id, found.topic.partitions);
        let size_bytes = append.record.size_bytes();
        if size_bytes > found.max_message_bytes {
            return Err(LogError::Invalid(format!(
                "a record of `{size_bytes}` bytes is above `max.message.bytes` of topic `{}`, `{}`",
                append.topic, found.max_message_bytes
            )));
        }
        let partition = match (append.partition, &append.record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::for_key(key, partitions),
            (None, None) => {
                self.round_robin = self.round_robin.wrapping_add(1);
                let count = usize::try_from(partitions).expect("a partition count is positive");
                i32::try_from(self.round_robin % count).expect("less than an i32 count")
            }
        };
        self.partition(&append.topic, partition)?;
        if let Some(claim) = &append.claim {
            check_claim(claim)?;
            if let Some(first) = self.held(claim) {
                return Ok(first);
            }
        }
        let records = self
            .topics
            .get_mut(&*append.topic)
            .and_then(|found| found.partitions.get_mut(usize::try_from(partition).ok()?))
            .expect("looked up above, under the same lock");
        let place = Place {
            partition,
            offset: to_offset(records.len()),
            timestamp_ms,
        };
        records.push(StoredRecord {
            offset: place.offset,
            timestamp_ms,
            record: append.record,
        });
        if let Some(claim) = append.claim {
            let window_ms = i64::try_from(claim.window.as_millis()).expect("at most 400 days");
            let ends_ms = timestamp_ms.saturating_add(window_ms);
            let held = Held {
                fingerprint: claim.fingerprint,
                topic,
                name: append.topic.clone(),
                place,
                ends_ms,
            };
            self.claims.insert(claim.identity, held);
        }
        Ok(Appended {
            topic: append.topic,
            place,
            disposition: Disposition::Stored,
        })
    }
}

#[async_trait::async_trait]
impl Log for MemoryLog {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, LogError>> {
        let answers = {
            let mut state = self.state.lock();
            let timestamp_ms = state.advance_to((self.now_ms)());
            appends
                .into_iter()
                .map(|append| state.append(append, timestamp_ms))
                .collect()
        };
        self.changed.notify_waiters();
        answers
    }

    async fn lookup(&self, claim: &Claim) -> Result<Option<Appended>, LogError> {
        let mut state = self.state.lock();
        state.advance_to((self.now_ms)());
        Ok(state.held(claim))
    }

    async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, LogError> {
        let state = self.state.lock();
        let all = state.partition(topic, partition)?;
        let high_watermark = to_offset(all.len());
        let rest = usize::try_from(from)
            .ok()
            .and_then(|from| all.get(from..))
            .ok_or_else(|| {
                LogError::Invalid(format!("offset `{from}` is outside `0..={high_watermark}`"))
            })?;
        let mut left = max_bytes;
        let records: Vec<_> = rest
            .iter()
            .enumerate()
            .map_while(|(index, stored)| {
                if index > 0 {
                    left = left.checked_sub(stored.record.size_bytes())?;
                }
                Some(stored.clone())
            })
            .collect();
        Ok(Read {
            next: from + to_offset(records.len()),
            records,
            high_watermark,
        })
    }

    async fn watch(
        &self,
        topic: &str,
        partition: i32,
        beyond: Offset,
        at_most: Duration,
    ) -> Result<Offset, LogError> {
        let id = self.state.lock().topic(topic)?.topic.id;
        let high = || {
            let state = self.state.lock();
            if state.topic(topic)?.topic.id != id {
                return Err(LogError::NotFound(format!(
                    "topic `{topic}` was deleted meanwhile"
                )));
            }
            Ok(to_offset(state.partition(topic, partition)?.len()))
        };
        let wait = async {
            loop {
                // Enlisted before looking, so that no append slips in between.
                let changed = self.changed.notified();
                let high = high()?;
                if high > beyond {
                    return Ok(high);
                }
                changed.await;
            }
        };
        tokio::time::timeout(at_most, wait)
            .await
            .unwrap_or_else(|_| high())
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        let state = self.state.lock();
        let high = to_offset(state.partition(topic, partition)?.len());
        Ok(Watermarks { log_start: 0, high })
    }

    async fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
    ) -> Result<Option<Offset>, LogError> {
        let state = self.state.lock();
        let found = state
            .partition(topic, partition)?
            .iter()
            .find(|stored| stored.timestamp_ms >= timestamp_ms);
        Ok(found.map(|stored| stored.offset))
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        Ok(self
            .state
            .lock()
            .topics
            .values()
            .map(|found| found.topic.clone())
            .collect())
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        Ok(check::bounds())
    }

    async fn create_topic(&self, spec: TopicSpec) -> Result<Topic, LogError> {
        check_name(&spec.name)?;
        let partitions = spec.partitions.unwrap_or(DEFAULT_PARTITIONS);
        let count = check_partitions(1, partitions)?;
        let max_message_bytes = check_config(&spec.config)?;
        let mut state = self.state.lock();
        if state.topics.contains_key(&spec.name) {
            return Err(LogError::Conflict(format!("topic `{}` exists", spec.name)));
        }
        let topic = Topic {
            id: uuid::Uuid::new_v4().into_bytes(),
            partitions,
            config: spec.config,
            internal: spec.name.starts_with(INTERNAL_PREFIX) || spec.name == SCHEMAS,
            name: spec.name.clone(),
        };
        let records = vec![Vec::new(); count];
        state.topics.insert(
            spec.name,
            TopicState {
                topic: topic.clone(),
                max_message_bytes,
                partitions: records,
            },
        );
        Ok(topic)
    }

    async fn alter_topic(&self, name: &str, alter: AlterTopic) -> Result<Topic, LogError> {
        let mut state = self.state.lock();
        let found = state
            .topics
            .get_mut(name)
            .ok_or_else(|| LogError::NotFound(format!("no topic `{name}`")))?;
        let partitions = alter.partitions.unwrap_or(found.topic.partitions);
        let count = check_partitions(found.topic.partitions, partitions)?;
        let config = alter.applied_to(&found.topic.config);
        found.max_message_bytes = check_config(&config)?;
        found.topic.config = config;
        found.topic.partitions = partitions;
        found.partitions.resize(count, Vec::new());
        Ok(found.topic.clone())
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        {
            let mut state = self.state.lock();
            let id = state.topic(name)?.topic.id;
            state.topics.remove(name);
            state.claims.retain(|_, held| held.topic != id);
            for offsets in state.groups.values_mut() {
                offsets.retain(|(topic, _), _| *topic != id);
            }
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<Offset>>, LogError> {
        let state = self.state.lock();
        let found = state.topic(topic)?;
        let offsets = state.groups.get(group);
        let of = |at| offsets.and_then(|offsets| offsets.get(&(found.topic.id, at)).copied());
        Ok((0..found.partitions.len()).map(of).collect())
    }

    async fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError> {
        let mut state = self.state.lock();
        state.partition(topic, partition)?;
        check_commit(group, offset)?;
        let id = state.topic(topic)?.topic.id;
        let at = usize::try_from(partition).expect("the partition was found");
        let offsets = state.groups.entry(group.to_owned()).or_default();
        offsets.insert((id, at), offset);
        Ok(())
    }

    async fn groups(&self) -> Result<Vec<String>, LogError> {
        Ok(self.state.lock().groups.keys().cloned().collect())
    }
}

fn to_offset(count: usize) -> Offset {
    Offset::try_from(count).expect("a vector is shorter than 2^63")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::TopicConfig;
    use crate::conformance::{self, Subject};

    fn subject() -> Subject {
        let now = Arc::new(AtomicI64::new(1_700_000_000_000));
        let hand = Arc::clone(&now);
        Subject::new(Arc::new(MemoryLog::new(move || {
            now.load(Ordering::Relaxed)
        })))
        .with_clock(move |by: Duration| {
            hand.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
        })
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn keeps_the_promises() {
        conformance::run_all(async || subject()).await;
    }

    #[tokio::test]
    async fn records_without_a_key_take_turns() {
        let log = MemoryLog::new(|| 0);
        log.create_topic(TopicSpec {
            name: "t".to_owned(),
            partitions: Some(3),
            config: TopicConfig::new(),
        })
        .await
        .unwrap();
        let append = || Append {
            topic: "t".into(),
            partition: None,
            record: Default::default(),
            claim: None,
        };
        for answer in log.append((0..9).map(|_| append()).collect()).await {
            answer.unwrap();
        }
        for partition in 0..3 {
            assert_eq!(log.watermarks("t", partition).await.unwrap().high, 3);
        }
    }

    #[tokio::test]
    async fn log_time_never_goes_back() {
        let now = Arc::new(AtomicI64::new(10));
        let hand = Arc::clone(&now);
        let log = MemoryLog::new(move || now.load(Ordering::Relaxed));
        log.create_topic(TopicSpec {
            name: "t".to_owned(),
            partitions: None,
            config: TopicConfig::new(),
        })
        .await
        .unwrap();
        let append = || Append {
            topic: "t".into(),
            partition: None,
            record: Default::default(),
            claim: None,
        };
        let first = log.append(vec![append()]).await.remove(0).unwrap();
        hand.store(5, Ordering::Relaxed);
        let second = log.append(vec![append()]).await.remove(0).unwrap();
        assert_eq!(
            (first.place.timestamp_ms, second.place.timestamp_ms),
            (10, 10)
        );
    }
}
