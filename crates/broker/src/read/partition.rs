//! A partition as readers see it, and the table of all topics.
//!
//! The sequencer publishes here, once for each durable group; connection tasks read. Invariants: the
//! high watermark, the log start and the byte counter never go back; `recent` and `extents` together
//! cover every offset from the log start to the high watermark.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::RwLock;
use tidegate_event_log::TopicConfig;

use crate::state::extents::Extent;
use crate::topic_settings::TopicSettings;

/// A batch in a group of the write-ahead log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecentBatch {
    pub base_offset: i64,
    pub last_offset: i64,
    pub max_timestamp: i64,
    pub group_no: u64,
    /// Position and length inside the group.
    pub position: u32,
    pub len: u32,
}

#[derive(Debug, Default)]
struct Inner {
    recent: VecDeque<RecentBatch>,
    extents: Arc<Vec<Extent>>,
    /// Leader epochs and their first offsets, oldest first.
    epochs: Vec<(u32, i64)>,
}

/// One partition, shared between the sequencer and its readers.
#[derive(Debug)]
pub struct Partition {
    pub topic: u32,
    pub index: u32,
    high_watermark: AtomicI64,
    log_start: AtomicI64,
    appended_bytes: AtomicU64,
    deleted: AtomicBool,
    inner: RwLock<Inner>,
}

/// Where the records from an offset on can be read.
#[derive(Clone, Debug)]
pub enum Location {
    /// In these batches of the write-ahead log, consecutive, never empty.
    Recent(Vec<RecentBatch>),
    /// In this extent.
    Object(Extent),
    /// At the high watermark: nothing yet.
    End,
    /// Below the log start or above the high watermark.
    OutOfRange,
}

impl Partition {
    /// Makes an empty partition.
    pub fn new(topic: u32, index: u32) -> Self {
        Self {
            topic,
            index,
            high_watermark: AtomicI64::new(0),
            log_start: AtomicI64::new(0),
            appended_bytes: AtomicU64::new(0),
            deleted: AtomicBool::new(false),
            inner: RwLock::default(),
        }
    }

    /// The first offset not yet readable.
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// The first offset still kept.
    pub fn log_start(&self) -> i64 {
        self.log_start.load(Ordering::Acquire)
    }

    /// Bytes of batches made readable since the process started; only ever grows.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes.load(Ordering::Acquire)
    }

    /// Whether the topic was deleted after this handle was taken.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Returns the largest leader epoch at or below `asked` and the offset where it ended.
    ///
    /// `None` when `asked` is older than all that is known, or newer than the current one.
    pub fn epoch_end(&self, asked: i32) -> Option<(i32, i64)> {
        let inner = self.inner.read();
        let asked = u32::try_from(asked).ok()?;
        if inner
            .epochs
            .last()
            .is_none_or(|(current, _)| asked > *current)
        {
            return None;
        }
        let after = inner.epochs.partition_point(|(epoch, _)| *epoch <= asked);
        let (epoch, _) = *inner.epochs.get(after.checked_sub(1)?)?;
        let end = inner
            .epochs
            .get(after)
            .map_or(self.high_watermark(), |(_, start)| *start);
        Some((epoch.cast_signed(), end))
    }

    /// Returns the leader epoch that wrote `offset`.
    pub fn epoch_of(&self, offset: i64) -> i32 {
        let inner = self.inner.read();
        let after = inner.epochs.partition_point(|(_, start)| *start <= offset);
        after
            .checked_sub(1)
            .and_then(|at| inner.epochs.get(at))
            .map_or(-1, |(epoch, _)| epoch.cast_signed())
    }

    /// Finds where to read from `offset` on, about `max_bytes` of it and at least one batch.
    pub fn locate(&self, offset: i64, max_bytes: usize) -> Location {
        let inner = self.inner.read();
        let high_watermark = self.high_watermark();
        if offset == high_watermark {
            return Location::End;
        }
        if offset < self.log_start() || offset > high_watermark {
            return Location::OutOfRange;
        }
        if inner
            .recent
            .front()
            .is_some_and(|first| first.base_offset <= offset)
        {
            let from = inner
                .recent
                .partition_point(|batch| batch.last_offset < offset);
            let mut batches = Vec::new();
            let mut bytes = 0;
            for batch in inner.recent.range(from..) {
                if !batches.is_empty() && bytes + batch.len as usize > max_bytes {
                    break;
                }
                bytes += batch.len as usize;
                batches.push(*batch);
            }
            return Location::Recent(batches);
        }
        let at = inner
            .extents
            .partition_point(|extent| extent.section.last_offset < offset);
        inner
            .extents
            .get(at)
            .map_or(Location::OutOfRange, |extent| {
                Location::Object(extent.clone())
            })
    }

    /// Finds the first place whose largest timestamp is at or after `timestamp_ms`, in offset order.
    pub fn locate_timestamp(&self, timestamp_ms: i64) -> Location {
        let inner = self.inner.read();
        let log_start = self.log_start();
        let first_recent = inner
            .recent
            .front()
            .map_or(i64::MAX, |batch| batch.base_offset);
        let extent = inner.extents.iter().find(|extent| {
            extent.section.last_offset >= log_start
                && extent.section.first_offset < first_recent
                && extent.section.max_timestamp >= timestamp_ms
        });
        if let Some(extent) = extent {
            return Location::Object(extent.clone());
        }
        let recent = inner
            .recent
            .iter()
            .find(|batch| batch.last_offset >= log_start && batch.max_timestamp >= timestamp_ms);
        recent.map_or(Location::End, |batch| Location::Recent(vec![*batch]))
    }

    /// The largest timestamp of the readable records, as far as extents and batches tell.
    pub fn max_timestamp(&self) -> Option<i64> {
        let inner = self.inner.read();
        let old = inner
            .extents
            .iter()
            .map(|extent| extent.section.max_timestamp);
        old.chain(inner.recent.iter().map(|batch| batch.max_timestamp))
            .max()
    }

    /// Sets everything from what recovery found.
    pub(crate) fn restore(
        &self,
        log_start: i64,
        high_watermark: i64,
        extents: Arc<Vec<Extent>>,
        epochs: Vec<(u32, i64)>,
    ) {
        let mut inner = self.inner.write();
        inner.extents = extents;
        inner.epochs = epochs;
        self.log_start.store(log_start, Ordering::Release);
        self.high_watermark.store(high_watermark, Ordering::Release);
    }

    /// Makes a durable batch readable.
    pub(crate) fn publish(&self, batch: RecentBatch, hot_front: u64) {
        let mut inner = self.inner.write();
        while inner
            .recent
            .front()
            .is_some_and(|first| first.group_no < hot_front)
        {
            inner.recent.pop_front();
        }
        inner.recent.push_back(batch);
        // The watermark first: whoever sees the bytes counted can read them.
        self.high_watermark
            .store(batch.last_offset + 1, Ordering::Release);
        self.appended_bytes
            .fetch_add(u64::from(batch.len), Ordering::AcqRel);
    }

    /// Takes over the extents after an object came or went.
    pub(crate) fn set_extents(&self, extents: Arc<Vec<Extent>>, hot_front: u64) {
        let mut inner = self.inner.write();
        inner.extents = extents;
        while inner
            .recent
            .front()
            .is_some_and(|first| first.group_no < hot_front)
        {
            inner.recent.pop_front();
        }
    }

    /// Forgets batches of groups below `hot_front`; objects hold them.
    pub(crate) fn forget_below(&self, hot_front: u64) {
        let mut inner = self.inner.write();
        while inner
            .recent
            .front()
            .is_some_and(|first| first.group_no < hot_front)
        {
            inner.recent.pop_front();
        }
    }

    pub(crate) fn set_epochs(&self, epochs: Vec<(u32, i64)>) {
        self.inner.write().epochs = epochs;
    }

    pub(crate) fn move_log_start(&self, log_start: i64) {
        self.log_start.fetch_max(log_start, Ordering::AcqRel);
    }

    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
    }
}

/// A topic as readers and the Kafka port see it.
#[derive(Debug)]
pub struct Topic {
    pub number: u32,
    pub id: [u8; 16],
    pub name: Arc<str>,
    pub internal: bool,
    /// The settings as given.
    pub config: TopicConfig,
    /// The same with defaults, parsed.
    pub settings: TopicSettings,
    pub partitions: Vec<Arc<Partition>>,
}

/// All topics at one moment.
#[derive(Clone, Debug, Default)]
pub struct TopicTable {
    names: BTreeMap<Arc<str>, Arc<Topic>>,
    ids: HashMap<[u8; 16], Arc<Topic>>,
    numbers: HashMap<u32, Arc<Topic>>,
}

impl TopicTable {
    /// Finds a topic by name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.names.get(name)
    }

    /// Finds a topic by its random id.
    pub fn by_id(&self, id: &[u8; 16]) -> Option<&Arc<Topic>> {
        self.ids.get(id)
    }

    /// Finds a topic by its number in the log.
    pub fn by_number(&self, number: u32) -> Option<&Arc<Topic>> {
        self.numbers.get(&number)
    }

    /// All topics by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values()
    }

    /// The number of topics.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(crate) fn insert(&mut self, topic: Arc<Topic>) {
        self.names.insert(topic.name.clone(), topic.clone());
        self.ids.insert(topic.id, topic.clone());
        self.numbers.insert(topic.number, topic);
    }

    pub(crate) fn remove(&mut self, number: u32) -> Option<Arc<Topic>> {
        let topic = self.numbers.remove(&number)?;
        self.names.remove(&topic.name);
        self.ids.remove(&topic.id);
        Some(topic)
    }
}
