//! Records, places and claims as plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

/// A place in a partition, counted from 0, never used twice.
pub type Offset = i64;

/// A record header. Names may repeat, and their order is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// The name, UTF-8.
    pub name: Bytes,
    /// The value; Kafka tells an absent one from an empty one.
    pub value: Option<Bytes>,
}

impl Header {
    /// Makes a header with a value.
    pub fn new(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
        }
    }
}

/// The headers of a record, in order.
pub type Headers = Vec<Header>;

/// What a producer hands over: key, value, headers. The log adds place and time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// Chooses the partition and, for readers, the order. `None`: no key.
    pub key: Option<Bytes>,
    /// The data. `None` is Kafka's null value, a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// Names and values beside the data.
    pub headers: Headers,
}

impl Record {
    /// Returns the size of key, value and headers in bytes, without any framing.
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|header| header.name.len() + header.value.as_ref().map_or(0, Bytes::len))
            .sum();
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + headers
    }
}

/// A 128-bit digest of what a claim stands for, to tell a repeat from another use of its name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fingerprint(pub [u8; 16]);

/// «This is the one append of that name.»
///
/// Stored with the record in one step. The log keeps a keyed 128-bit hash of `identity`, not the
/// identity itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The name in full: scope, tenant, contract and key, unambiguously joined. At most 64 KiB.
    pub identity: Bytes,
    /// A digest of the data.
    pub fingerprint: Fingerprint,
    /// How long, in log time from the append on, the claim is held. At most 400 days.
    pub window: Duration,
}

/// One record on its way into the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Append {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, or `None` to let [`crate::partitioner`] choose by the key.
    pub partition: Option<i32>,
    /// What to store.
    pub record: Record,
    /// Store it only if nobody holds this claim.
    pub claim: Option<Claim>,
}

/// Where a record stands and since when.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: Offset,
    /// When the log took it, in milliseconds since 1970 (UTC).
    pub timestamp_ms: i64,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disposition {
    /// Stored now.
    Stored,
    /// Not stored: the claim was held, with the same fingerprint.
    Repeated,
    /// Not stored: the claim was held, with another fingerprint.
    Mismatched,
}

/// The answer to an append: what became of it, and the place of the record that holds its claim.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Appended {
    /// The topic of that place. It is another one than was asked for if the claim was made there.
    pub topic: Arc<str>,
    /// The place of this record if it was stored, else of the one that was there first.
    pub place: Place,
    /// Which of the two it is.
    pub disposition: Disposition,
}

/// A record as read back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp in milliseconds since 1970 (UTC).
    pub timestamp_ms: i64,
    /// Its content.
    pub record: Record,
}

/// A stretch of a partition, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Read {
    /// Records in offset order.
    pub records: Vec<StoredRecord>,
    /// Where to read on.
    pub next: Offset,
    /// The high watermark when it was read.
    pub high_watermark: Offset,
}

/// The readable range of a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Watermarks {
    /// First offset still kept.
    pub log_start: Offset,
    /// First offset not yet readable.
    pub high: Offset,
}

/// Settings of a topic, by Kafka's own names (`retention.ms`, `max.message.bytes` …).
pub type TopicConfig = BTreeMap<String, String>;

/// A topic to be created.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicSpec {
    /// 1 to 249 characters of `a-z A-Z 0-9 . _ -`, not `.` or `..`.
    pub name: String,
    /// The number of partitions, at least 1; `None` takes the log's default.
    pub partitions: Option<i32>,
    /// Settings that differ from the log's defaults.
    pub config: TopicConfig,
}

/// What is to change of a topic that exists; the default changes nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AlterTopic {
    /// The number of partitions from now on, not below the present one; `None` leaves it.
    pub partitions: Option<i32>,
    /// Settings to forget, so that the log's defaults hold; one that is not set is no error.
    pub unset: BTreeSet<String>,
    /// Settings to set, after those were forgotten. All others stay.
    pub set: TopicConfig,
}

impl AlterTopic {
    /// Returns `config` with the changes made.
    pub fn applied_to(&self, config: &TopicConfig) -> TopicConfig {
        let mut changed = config.clone();
        changed.retain(|name, _| !self.unset.contains(name));
        changed.extend(self.set.clone());
        changed
    }
}

/// What a log takes, for those who want to know before they ask for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// What holds where a topic sets nothing: at least `retention.ms`, `retention.bytes` and
    /// `max.message.bytes`.
    pub defaults: TopicConfig,
    /// The largest `max.message.bytes` of a topic.
    pub max_message_bytes: u64,
    /// The most partitions of a topic.
    pub partitions_a_topic: i32,
    /// The most partitions of all topics together.
    pub partitions_together: i64,
}

/// A topic that exists.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its random id, another one if it is deleted and created again.
    pub id: [u8; 16],
    /// The number of its partitions.
    pub partitions: i32,
    /// Its settings, as given.
    pub config: TopicConfig,
    /// Whether the product keeps its own state in it.
    pub internal: bool,
}
