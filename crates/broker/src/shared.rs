//! What the sequencer publishes and everyone else reads: the durable prefix of the log, as handles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::RwLock;

use crate::read::hot::HotGroups;
use crate::read::partition::{Topic, TopicTable};
use crate::read::purgatory::Purgatory;
use crate::state::CommittedGroup;
use crate::state::claims::Runs;
use crate::topic_settings::TopicSettings;

/// The published side of the log.
#[derive(Debug)]
pub struct Shared {
    topics: ArcSwap<TopicTable>,
    groups: RwLock<BTreeMap<String, Arc<CommittedGroup>>>,
    pub hot: HotGroups,
    pub purgatory: Purgatory,
    /// The claim runs to look in before the sequencer is asked.
    pub runs: ArcSwap<Runs>,
    pub topic_defaults: TopicSettings,
    /// Log time as the sequencer last told it; claims in runs expire by it.
    log_time_ms: AtomicI64,
    pub stats: Stats,
}

/// Counters of the log, for metrics and tests.
#[derive(Debug, Default)]
pub struct Stats {
    durable_lsn: AtomicU64,
    shipped_lsn: AtomicU64,
    groups: AtomicU64,
    bytes: AtomicU64,
}

/// A reading of [`Stats`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// The last durable record.
    pub durable_lsn: u64,
    /// The last record that objects hold.
    pub shipped_lsn: u64,
    /// Group writes since the start, and their bytes.
    pub groups: u64,
    pub bytes: u64,
}

impl Shared {
    /// Makes the published side of an empty log.
    pub fn new(hot_budget_bytes: usize, topic_defaults: TopicSettings, runs: Arc<Runs>) -> Self {
        Self {
            topics: ArcSwap::default(),
            groups: RwLock::default(),
            hot: HotGroups::new(hot_budget_bytes),
            purgatory: Purgatory::default(),
            runs: ArcSwap::new(runs),
            topic_defaults,
            log_time_ms: AtomicI64::new(0),
            stats: Stats::default(),
        }
    }

    /// Log time, at most one tick old.
    pub fn log_time_ms(&self) -> i64 {
        self.log_time_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_log_time(&self, log_time_ms: i64) {
        self.log_time_ms.store(log_time_ms, Ordering::Relaxed);
    }

    /// All topics now.
    pub fn topics(&self) -> Arc<TopicTable> {
        self.topics.load_full()
    }

    /// The committed offsets of a group.
    pub fn group(&self, name: &str) -> Option<Arc<CommittedGroup>> {
        self.groups.read().get(name).cloned()
    }

    /// The names of all groups with committed offsets.
    pub fn group_names(&self) -> Vec<String> {
        self.groups.read().keys().cloned().collect()
    }

    /// Makes a topic visible, in place of its former self if it has one.
    pub(crate) fn put_topic(&self, topic: Arc<Topic>) {
        let mut table = TopicTable::clone(&self.topics.load());
        table.insert(topic);
        self.topics.store(Arc::new(table));
    }

    pub(crate) fn remove_topic(&self, number: u32) {
        let mut table = TopicTable::clone(&self.topics.load());
        let removed = table.remove(number);
        self.topics.store(Arc::new(table));
        for partition in removed.iter().flat_map(|topic| &topic.partitions) {
            partition.delete();
            self.purgatory.deleted(partition);
        }
    }

    pub(crate) fn set_topics(&self, topics: impl IntoIterator<Item = Arc<Topic>>) {
        let mut table = TopicTable::default();
        for topic in topics {
            table.insert(topic);
        }
        self.topics.store(Arc::new(table));
    }

    pub(crate) fn set_groups(&self, groups: Vec<(String, Arc<CommittedGroup>)>) {
        self.groups.write().extend(groups);
    }

    pub(crate) fn forget_groups(&self, names: &[String]) {
        let mut groups = self.groups.write();
        for name in names {
            groups.remove(name);
        }
    }
}

impl Stats {
    pub(crate) fn group_durable(&self, last_lsn: u64, bytes: usize) {
        self.durable_lsn.store(last_lsn, Ordering::Release);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn shipped(&self, lsn: u64) {
        self.shipped_lsn.store(lsn, Ordering::Release);
    }

    /// Reads all counters.
    pub fn progress(&self) -> Progress {
        Progress {
            durable_lsn: self.durable_lsn.load(Ordering::Acquire),
            shipped_lsn: self.shipped_lsn.load(Ordering::Acquire),
            groups: self.groups.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}
