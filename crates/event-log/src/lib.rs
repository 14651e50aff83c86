//! The promise of the log: what the rooms above may rely on, whatever keeps it.
//!
//! Three things keep it: the embedded broker, an external Kafka cluster, and
//! [`MemoryLog`], the readable reference. All pass the same [`conformance`] suite, and a new
//! rule is first a test there. This crate knows neither contracts nor HTTP nor a wire protocol.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod memory;
pub mod partitioner;
mod record;

use std::time::Duration;

pub use error::{LogError, Outcome};
pub use memory::MemoryLog;
pub use record::{
    AlterTopic, Append, Appended, Bounds, Claim, Disposition, Fingerprint, Header, Headers, Offset,
    Place, Read, Record, StoredRecord, Topic, TopicConfig, TopicSpec, Watermarks,
};

/// A durable, partitioned, totally ordered-per-partition log of records.
///
/// # Promises
///
/// 1. **An ack means durable.** `append` answers `Ok` for a record only when the record will be
///    read at that place after any crash the log's durability covers. Until then no reader sees it.
/// 2. **Offsets grow and are final.** Accepted records of a partition get growing offsets in the
///    order in which the log took them; an offset never holds another value. In the embedded log
///    they are `0, 1, 2, …`; on Kafka the end of a transaction takes an offset that holds no record,
///    so nobody may count on a record at every offset.
/// 3. **Order.** Within one `append` call, records of one partition keep their order. Of two
///    calls, the one that was answered before the other was made comes first.
/// 4. **A claim is one with its record.** An append that carries a [`Claim`] is stored only if
///    nobody holds that claim, and stores record and claim in one atomic step. A second append
///    with the claim inside its window is not stored: it is told the place of the first, after
///    that is durable, and whether it carried the same data ([`Disposition`]). Windows are measured
///    in log time, which never goes back.
/// 5. **Nothing is rejected after it was given an offset.** An error says in
///    [`LogError::outcome`] whether the record may be stored all the same.
/// 6. **Readers see a prefix.** `read` returns records below the high watermark only, and a
///    record once read is read the same for as long as it is retained.
/// 7. **A topic changes in one step and only grows.** Its number of partitions never falls; what is
///    in a partition stays there, but a key may belong to another one after growth. Everybody sees
///    the change once `alter_topic` has answered, and after any crash from then on.
/// 8. **A committed offset is the last one committed.** It is durable when answered, and stays until
///    its topic goes, or until its group has been silent for as long as the log keeps groups.
#[async_trait::async_trait]
pub trait Log: Send + Sync + 'static {
    /// Appends records, each on its own: one may be stored while its neighbour is refused.
    ///
    /// The answers are in the order of `appends`, one for each. The topic must exist.
    ///
    /// # Errors
    /// Each by itself: `NotFound` (no such topic or partition), `Invalid` (too large, claim not
    /// well-formed), `Unavailable` (out of room, stopping, or not durable in time; see
    /// [`LogError::outcome`]), `Fenced` (another process owns the log now).
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, LogError>>;

    /// Returns the place held by `claim`, if it is held and its window is not over.
    ///
    /// The place is durable. `Disposition::Repeated` or `Disposition::Mismatched` says whether
    /// the fingerprint is the same.
    ///
    /// # Errors
    /// `Unavailable` if the claims cannot be read now.
    async fn lookup(&self, claim: &Claim) -> Result<Option<Appended>, LogError>;

    /// Reads records of one partition from `from` on, at least one if there is one below the
    /// high watermark, and no more than `max_bytes` of keys, values and headers beyond that one.
    ///
    /// An offset equal to the high watermark gives an empty answer, not an error.
    ///
    /// # Errors
    /// `NotFound` (no such topic or partition), `Invalid` (offset below the log start or above the
    /// high watermark), `Corrupt`, `Unavailable`.
    async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, LogError>;

    /// Waits until the high watermark of the partition is above `beyond`, or `at_most` has passed.
    ///
    /// Returns the high watermark either way.
    ///
    /// # Errors
    /// `NotFound`, also when the topic is deleted meanwhile.
    async fn watch(
        &self,
        topic: &str,
        partition: i32,
        beyond: Offset,
        at_most: Duration,
    ) -> Result<Offset, LogError>;

    /// Returns the first readable offset and the high watermark of a partition.
    ///
    /// # Errors
    /// `NotFound`.
    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError>;

    /// Returns the first offset whose timestamp is at or after `timestamp_ms`, if there is one.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Corrupt`.
    async fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
    ) -> Result<Option<Offset>, LogError>;

    /// Returns all topics, internal ones included, by name.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn topics(&self) -> Result<Vec<Topic>, LogError>;

    /// Returns what the log takes, and what holds where a topic sets nothing.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn bounds(&self) -> Result<Bounds, LogError>;

    /// Creates a topic and returns it once it is durable.
    ///
    /// # Errors
    /// `Conflict` (the name is taken), `Invalid` (name, partition count or setting), `Unavailable`.
    async fn create_topic(&self, spec: TopicSpec) -> Result<Topic, LogError>;

    /// Changes settings of a topic, lets it grow, or both in one step, and returns it once the
    /// change is durable. A change that changes nothing is none, and no error.
    ///
    /// What a narrower retention no longer keeps goes with the log's next upkeep, not at once.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` (fewer partitions, too many, or a setting; nothing was changed),
    /// `Unavailable`.
    async fn alter_topic(&self, name: &str, alter: AlterTopic) -> Result<Topic, LogError>;

    /// Deletes a topic and its records. Claims that its records hold end with it, and so do the
    /// offsets that groups committed for it.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    async fn delete_topic(&self, name: &str) -> Result<(), LogError>;

    /// Returns how far a consumer group has read a topic: for each partition, in order, the offset
    /// to go on from, `None` where the group has committed none.
    ///
    /// # Errors
    /// `NotFound` (no such topic; a group that nobody knows has committed nothing), `Unavailable`.
    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<Offset>>, LogError>;

    /// Commits the offset from which a group goes on in a partition, durably.
    ///
    /// For workers of the product, which share out partitions by themselves: the log does not ask
    /// whether the group has members elsewhere. The offset may lie anywhere, as in Kafka.
    ///
    /// # Errors
    /// `NotFound` (no such topic or partition), `Invalid` (a negative offset; a group's name that
    /// is empty or above 1 KiB), `Unavailable` (also when the log keeps no more groups).
    async fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError>;

    /// Returns the names of all groups that have committed offsets, in order. One whose last offset
    /// is gone may still be among them.
    ///
    /// # Errors
    /// `Unavailable`.
    async fn groups(&self) -> Result<Vec<String>, LogError>;
}
