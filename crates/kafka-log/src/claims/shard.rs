//! The partitions of the claims topic as this replica knows them: which it owns, and which of those it has read to the
//! end that counts, so that it may serve them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::Consumer;
use tidegate_event_log::{Appended, Claim, LogError, Offset, StoredRecord};
use tokio::time::sleep;

use super::TOPIC;
use super::record::{Held, Key};
use super::table::Table;
use super::tenure::{Current, Tenure};
use crate::bulletin::{Bulletin, topic_entry};
use crate::cluster::{Client, Cluster, blocking};
use crate::error;
use crate::marks::Marks;
use crate::reading::Readers;
use crate::topics::Topics;

const READ_BYTES: usize = 4 * 1024 * 1024;
/// Between two looks whether an open transaction has ended, or whether a cluster that failed is back.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Shards {
    pub(super) cluster: Arc<Cluster>,
    pub(super) topics: Arc<Topics>,
    pub(super) marks: Arc<Marks>,
    pub(super) readers: Arc<Readers>,
    bulletin: Arc<Bulletin>,
    current: Current,
    /// Sees the end of what is written, committed or not.
    pub(super) written: Arc<Client>,
    shards: Vec<Shard>,
}

struct Shard {
    state: Mutex<State>,
    /// Whoever holds it reads.
    position: tokio::sync::Mutex<Offset>,
}

#[derive(Default)]
struct State {
    table: Table,
    /// The tenure in which it is served; 0 is none.
    served_in: u64,
}

impl Shard {
    fn fold(&self, records: &[StoredRecord]) {
        let mut state = self.state.lock();
        for stored in records {
            match Held::parse(stored) {
                Some((key, held)) => state.table.insert(key, held),
                None => tracing::error!(offset = stored.offset, "a claim cannot be read"),
            }
        }
    }
}

impl Shards {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        topics: Arc<Topics>,
        marks: Arc<Marks>,
        readers: Arc<Readers>,
        bulletin: Arc<Bulletin>,
        current: Current,
        partitions: i32,
    ) -> Result<Self, LogError> {
        let mut config = cluster.options.reader();
        config.set("isolation.level", "read_uncommitted");
        let written = Client::from_config_and_context(&config, cluster.context.clone());
        let written = written.map_err(|error| error::question(&error, TOPIC))?;
        let shard = |_| Shard {
            state: Mutex::default(),
            position: tokio::sync::Mutex::new(0),
        };
        Ok(Self {
            cluster,
            topics,
            marks,
            readers,
            bulletin,
            current,
            written: Arc::new(written),
            shards: (0..partitions).map(shard).collect(),
        })
    }

    fn shard(&self, partition: i32) -> &Shard {
        let at = usize::try_from(partition).expect("partitions are counted from 0");
        &self.shards[at]
    }

    pub(crate) fn partitions(&self) -> i32 {
        i32::try_from(self.shards.len()).expect("a topic has fewer partitions")
    }

    pub(crate) fn tenure(&self) -> Option<Arc<Tenure>> {
        self.current.borrow().clone()
    }

    /// Says whether this replica owns a partition, served already or not.
    pub(crate) fn owns(&self, partition: i32) -> bool {
        let tenure = self.tenure();
        tenure.is_some_and(|tenure| tenure.partitions.contains(&partition))
    }

    pub(crate) fn serves(&self, partition: i32, tenure: &Tenure) -> bool {
        tenure.partitions.contains(&partition)
            && self.shard(partition).state.lock().served_in == tenure.number
    }

    pub(crate) fn log_time_ms(&self, partition: i32) -> i64 {
        self.shard(partition).state.lock().table.log_time_ms()
    }

    /// Returns what a claim holds, or that there is no room for another; `None` is leave to claim. It believes in the
    /// ids of topics: `settle` first.
    pub(crate) fn get(
        &self,
        partition: i32,
        key: Key,
        claim: &Claim,
        now_ms: i64,
    ) -> Option<Result<Appended, LogError>> {
        let mut state = self.shard(partition).state.lock();
        state.table.advance_to(now_ms);
        if let Some(held) = state.table.get(key) {
            return Some(Ok(held.told(claim.fingerprint)));
        }
        let full = || LogError::not_stored("the log remembers as many claims as it may");
        state.table.is_full().then(|| Err(full()))
    }

    fn held(&self, partition: i32, key: Key) -> Option<Held> {
        self.shard(partition).state.lock().table.get(key).cloned()
    }

    /// Sees that each of these claims is held only if its topic is still there, which ends its claims.
    pub(crate) async fn settle(&self, claims: &[(i32, Key)]) -> Vec<Result<(), LogError>> {
        let held = claims
            .iter()
            .map(|(partition, key)| Some((*partition, *key, self.held(*partition, *key)?)));
        let held: Vec<_> = held.collect();
        let mut fresh = Ok(());
        if held.iter().any(Option::is_some) {
            // Another replica may have made a topic anew since.
            fresh = self.bulletin.read_on().await;
        }
        let settled = held.into_iter().map(|held| async {
            let Some((partition, key, held)) = held else {
                return Ok(());
            };
            fresh.clone()?;
            let told = self.bulletin.get(&topic_entry(&held.topic));
            let topic_id = self.cluster.topic_id(&held.topic, told.as_deref());
            if held.topic_id != topic_id {
                let topic_id = self.is_there(&held).await?.then_some(topic_id);
                let mut state = self.shard(partition).state.lock();
                state.table.rename(key, &held, topic_id);
            }
            Ok(())
        });
        join_all(settled).await
    }

    pub(crate) fn insert(&self, partition: i32, key: Key, held: Held) {
        self.shard(partition).state.lock().table.insert(key, held);
    }

    /// Stops serving partitions until they were read again.
    pub(crate) fn doubt(self: &Arc<Self>, partitions: BTreeSet<i32>, tenure: &Tenure) {
        for partition in partitions {
            let mut state = self.shard(partition).state.lock();
            // What is served in a later tenure was read after this one, and knows.
            if state.served_in == tenure.number {
                state.served_in = 0;
                tokio::spawn(Arc::clone(self).load(partition, tenure.number));
            }
        }
    }

    /// Reads a partition up to where it is written by now, all of it decided, then serves it.
    pub(crate) async fn load(self: Arc<Self>, partition: i32, tenure: u64) {
        let is_over = || self.tenure().is_none_or(|current| current.number != tenure);
        while !is_over() {
            match self.read_to_written(partition, &is_over).await {
                Ok(()) => {
                    self.shard(partition).state.lock().served_in = tenure;
                    return;
                }
                Err(error) => {
                    tracing::warn!(error = %error, partition, "claims cannot be read now");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn read_to_written(
        self: &Arc<Self>,
        partition: i32,
        is_over: &(impl Fn() -> bool + Sync),
    ) -> Result<(), LogError> {
        let shards = Arc::clone(self);
        // Asked after the partition was assigned: what an earlier owner writes later is refused its commit.
        let end = blocking(move || {
            let limit = shards.cluster.options.deadline;
            let marks = shards.written.fetch_watermarks(TOPIC, partition, limit);
            Ok(marks.map_err(|error| error::question(&error, TOPIC))?.1)
        });
        let end = end.await?;
        let shard = self.shard(partition);
        let mut position = shard.position.lock().await;
        while !is_over() {
            let marks = self.marks.of(TOPIC, partition).await?;
            let from = (*position).clamp(marks.log_start, marks.high.max(marks.log_start));
            let read = self
                .readers
                .read(TOPIC, partition, from, READ_BYTES, marks)
                .await?;
            shard.fold(&read.records);
            *position = read.next;
            if read.next >= end {
                return Ok(());
            }
            if read.records.is_empty() {
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}
