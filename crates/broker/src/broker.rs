//! The handle on the running log: what the Kafka port and the gateway call. Everything that changes
//! the log goes to the sequencer as a command; everything that reads it does not.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use crate::batch::BatchHeader;
use crate::driver::Message;
use crate::env::{Clock, Random};
use crate::object::Objects;
use crate::read::cold::ColdReader;
use crate::read::fetch::{self, Fetched, HotFetch, ReadError};
use crate::read::partition::{Partition, Topic, TopicTable};
use crate::read::purgatory::Purgatory;
use crate::sequencer::{CommitOffsetsCommand, Input, ProduceCommand, Produced, Refusal};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::state::CommittedGroup;
use crate::state::command::OffsetsCommitted;

/// Bytes of commands that may wait for the sequencer.
pub(crate) const QUEUE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// What a command counts for in the queue beside its data.
const COMMAND_OVERHEAD_BYTES: usize = 512;

/// The node id of the only node.
pub const NODE_ID: i32 = 1;

/// The running log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Broker(pub(crate) Arc<Inner>);

/// What all clones of a handle share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) messages: Sender<Message>,
    pub(crate) queue: Arc<Semaphore>,
    pub(crate) cold: ColdReader,
    pub(crate) objects: Objects,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) settings: Settings,
    pub(crate) cluster_id: String,
    pub(crate) claim_secret: [u8; 16],
    pub(crate) epoch: u32,
    pub(crate) next_keyless: AtomicI32,
    /// Ends the jobs on history that are under way.
    pub(crate) stopped: watch::Sender<bool>,
    pub(crate) threads: Mutex<Option<Threads>>,
}

/// The threads of a log, in the order in which they are to end.
#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) sequencer: JoinHandle<()>,
    pub(crate) rest: Vec<JoinHandle<()>>,
}

/// Where the log is kept and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// The size of a segment of the write-ahead log, and of all of them.
    pub wal_segment_bytes: u64,
    pub wal_budget_bytes: u64,
    /// Group writes in flight.
    pub writes_in_flight: usize,
    /// Memory for groups that are read again.
    pub hot_budget_bytes: usize,
    /// What claims may hold, on disk and in memory together.
    pub claims_budget_bytes: u64,
    pub history: crate::sequencer::HistorySettings,
    /// How long a start waits for an object store that does not answer.
    pub store_patience: Duration,
    /// Kafka's settings (`--kafka-set`).
    pub kafka: Settings,
}

impl Options {
    /// The defaults for a data directory.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            wal_segment_bytes: crate::wal::DEFAULT_SEGMENT_BYTES,
            wal_budget_bytes: 1024 * 1024 * 1024,
            writes_in_flight: 4,
            hot_budget_bytes: 256 * 1024 * 1024,
            claims_budget_bytes: 4 * 1024 * 1024 * 1024,
            history: crate::sequencer::HistorySettings::default(),
            // An orchestrator restarts what fails, with pauses that grow to minutes: a store that is
            // restarted beside us should not cost one of those, and a wrong one should be told soon.
            store_patience: Duration::from_secs(60),
            kafka: Settings::default(),
        }
    }
}

impl Broker {
    /// The cluster's id as Kafka clients see it: 22 characters.
    pub fn cluster_id(&self) -> &str {
        &self.0.cluster_id
    }

    /// The id of this node, the only one.
    pub fn node_id(&self) -> i32 {
        NODE_ID
    }

    /// The leader epoch of every partition: the number of this process among all that opened the log.
    pub fn epoch(&self) -> i32 {
        self.0.epoch.cast_signed()
    }

    /// Kafka's settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// All topics now.
    pub fn topics(&self) -> Arc<TopicTable> {
        self.0.shared.topics()
    }

    /// Where fetches wait for data.
    pub fn purgatory(&self) -> &Purgatory {
        &self.0.shared.purgatory
    }

    /// The clock the log runs by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// The log's source of randomness.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.0.random
    }

    /// What the log has published and counted.
    pub fn shared(&self) -> &Shared {
        &self.0.shared
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.0.objects
    }

    pub(crate) fn claim_secret(&self) -> &[u8; 16] {
        &self.0.claim_secret
    }

    pub(crate) fn next_keyless(&self) -> i32 {
        self.0.next_keyless.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn default_partitions(&self) -> i32 {
        self.0.settings.num_partitions
    }

    /// Waits until `bytes` more may wait for the sequencer.
    pub async fn admit(&self, bytes: usize) -> OwnedSemaphorePermit {
        let permits = (bytes + COMMAND_OVERHEAD_BYTES).min(QUEUE_LIMIT_BYTES);
        let permits = u32::try_from(permits).expect("the limit fits");
        let queue = self.0.queue.clone();
        queue
            .acquire_many_owned(permits)
            .await
            .expect("the semaphore is never closed")
    }

    /// Queues a command. An error says that the log has stopped and nothing was stored.
    pub(crate) async fn send(&self, input: Input, bytes: usize) -> Result<(), Refusal> {
        let permit = self.admit(bytes).await;
        self.send_admitted(input, permit)
    }

    fn send_admitted(&self, input: Input, permit: OwnedSemaphorePermit) -> Result<(), Refusal> {
        let message = Message::Input(input, Some(permit));
        self.0.messages.send(message).map_err(|_| Refusal::Stopping)
    }

    /// Queues a validated batch now, behind everything queued before; the answer comes when the batch
    /// is durable. `permit` is from [`Broker::admit`], for at least the batch's length.
    pub fn produce(
        &self,
        topic: &Topic,
        partition: u32,
        header: BatchHeader,
        batch: Bytes,
        permit: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Result<Produced, Refusal>> {
        let (reply, answer) = oneshot::channel();
        let command = ProduceCommand {
            topic: topic.number,
            partition,
            header,
            batch,
            reply,
        };
        // If the log has stopped the command is dropped, and the answer with it.
        drop(self.send_admitted(Input::Produce(command), permit));
        answer
    }

    /// Returns a producer id that nobody had before.
    ///
    /// # Errors
    /// The log is stopping or full.
    pub async fn new_producer_id(&self) -> Result<i64, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.ask(Input::GiveProducerId(reply), answer).await
    }

    /// Commits offsets of a group, durably. `commit_ms` is set by the log.
    ///
    /// # Errors
    /// The log is stopping or full.
    pub async fn commit_offsets(&self, offsets: OffsetsCommitted) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        self.ask(
            Input::CommitOffsets(CommitOffsetsCommand { offsets, reply }),
            answer,
        )
        .await
    }

    /// Tells the log which consumer groups have members, and has it look for offsets that expire.
    ///
    /// # Errors
    /// The log is stopping.
    pub async fn check_offsets(&self, occupied: BTreeSet<String>) -> Result<(), Refusal> {
        let bytes = occupied.iter().map(String::len).sum();
        self.send(Input::CheckOffsets(occupied), bytes).await
    }

    /// The committed offsets of a group.
    pub fn committed(&self, group: &str) -> Option<Arc<CommittedGroup>> {
        self.0.shared.group(group)
    }

    /// All groups with committed offsets.
    pub fn groups(&self) -> Vec<String> {
        self.0.shared.group_names()
    }

    pub(crate) async fn ask<T>(
        &self,
        input: Input,
        answer: oneshot::Receiver<Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        self.send(input, 0).await?;
        answer.await.unwrap_or(Err(Refusal::Stopping))
    }

    /// Reads what is in memory: at least one batch if there is one, beyond it at most `max_bytes`.
    pub fn fetch_hot(&self, partition: &Partition, from: i64, max_bytes: usize) -> HotFetch {
        fetch::fetch_hot(&self.0.shared.hot, partition, from, max_bytes)
    }

    /// Reads what is not in memory, when its turn comes.
    ///
    /// # Errors
    /// The offset is not kept, or the data cannot be read.
    pub async fn fetch_cold(
        &self,
        partition: &Arc<Partition>,
        from: i64,
        max_bytes: usize,
    ) -> Result<Fetched, ReadError> {
        fetch::fetch_cold(&self.0.shared.hot, &self.0.cold, partition, from, max_bytes).await
    }

    /// Reads from wherever the data is.
    ///
    /// # Errors
    /// Those of [`Broker::fetch_cold`].
    pub async fn fetch(
        &self,
        partition: &Arc<Partition>,
        from: i64,
        max_bytes: usize,
    ) -> Result<Fetched, ReadError> {
        match self.fetch_hot(partition, from, max_bytes) {
            HotFetch::Ready(fetched) => Ok(fetched),
            HotFetch::Cold => self.fetch_cold(partition, from, max_bytes).await,
            HotFetch::OutOfRange {
                log_start,
                high_watermark,
            } => Err(ReadError::OutOfRange {
                log_start,
                high_watermark,
            }),
        }
    }

    /// Returns the first record at or after a time: its offset and its timestamp.
    ///
    /// # Errors
    /// The data cannot be read.
    pub async fn offset_for_timestamp(
        &self,
        partition: &Arc<Partition>,
        timestamp_ms: i64,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        fetch::offset_for_timestamp(&self.0.shared.hot, &self.0.cold, partition, timestamp_ms).await
    }

    /// Returns the record with the largest timestamp, the first of them: its offset and the timestamp.
    ///
    /// # Errors
    /// The data cannot be read.
    pub async fn max_timestamp(
        &self,
        partition: &Arc<Partition>,
    ) -> Result<Option<(i64, i64)>, ReadError> {
        match partition.max_timestamp() {
            None => Ok(None),
            Some(timestamp_ms) => self.offset_for_timestamp(partition, timestamp_ms).await,
        }
    }

    /// Waits until the high watermark is above `beyond`, the topic is gone, or time is up.
    pub async fn wait_beyond(&self, partition: &Arc<Partition>, beyond: i64, at_most: Duration) {
        let wait = async {
            while partition.high_watermark() <= beyond && !partition.is_deleted() {
                let advanced = self.purgatory().next_advance(partition);
                if partition.high_watermark() > beyond || partition.is_deleted() {
                    return;
                }
                advanced.await;
            }
        };
        // Time being up is an answer too: the caller looks at the high watermark.
        drop(tokio::time::timeout(at_most, wait).await);
    }

    /// Stops: makes durable what was taken, refuses the rest, ends all threads. Blocks.
    pub fn stop(&self) {
        let Some(threads) = self.0.threads.lock().take() else {
            return;
        };
        drop(self.0.messages.send(Message::Stop));
        self.0.stopped.send_replace(true);
        for thread in std::iter::once(threads.sequencer).chain(threads.rest) {
            if thread.join().is_err() {
                tracing::error!("a thread of the log ended by a panic");
            }
        }
    }
}

/// Without a handle nobody can ask anything any more: the threads end, and let go of the directory.
impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.messages.send(Message::Stop));
        self.stopped.send_replace(true);
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("cluster", &self.cluster_id)
            .finish_non_exhaustive()
    }
}
