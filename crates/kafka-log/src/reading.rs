//! Reads records of one partition. A small pool of clients, each with one partition assigned: whoever reads on where the
//! last one stopped finds the records already fetched.
//!
//! Offsets of a cluster have gaps, where transactions end. The client passes over them in silence, so the end of a
//! partition is known by its own notice only, and that notice is believed only if it came after the partition was
//! assigned in this very read: an older one may stand for an older end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tidegate_event_log::{Header, LogError, Offset, Read, Record, StoredRecord, Watermarks};
use tokio::sync::Semaphore;

use crate::cluster::{Client, Cluster, blocking};
use crate::error;

/// Clients at most, and so reads at the same time.
const CLIENTS: usize = 8;
/// A client holds a few fetches ahead, not the megabytes of the default.
const SETTINGS: [(&str, &str); 6] = [
    ("enable.partition.eof", "true"),
    ("fetch.wait.max.ms", "20"),
    ("fetch.error.backoff.ms", "20"),
    ("queued.min.messages", "1000"),
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.queue.backoff.ms", "20"),
];
/// So long a read that has a record waits for the next.
const MORE: Duration = Duration::from_millis(1);

pub(crate) struct Readers {
    cluster: Arc<Cluster>,
    permits: Arc<Semaphore>,
    pool: Arc<Mutex<Pool>>,
}

/// Clients that nobody uses, the one used last at the back.
#[derive(Default)]
struct Pool {
    idle: VecDeque<Reader>,
    made: usize,
}

struct Reader {
    client: Client,
    topic: String,
    partition: i32,
    /// Every record below it was handed over.
    position: Offset,
    /// Fetched, and not handed over for want of room.
    held: Option<StoredRecord>,
}

/// What a client has next.
enum Next {
    Record(StoredRecord),
    End,
    Nothing,
}

impl Readers {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            permits: Arc::new(Semaphore::new(CLIENTS)),
            pool: Arc::default(),
        }
    }

    /// Reads from `from` on; `marks` are those of the partition by now.
    pub(crate) async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
        marks: Watermarks,
    ) -> Result<Read, LogError> {
        if from < marks.log_start || from > marks.high {
            return Err(LogError::Invalid(format!(
                "offset `{from}` is outside `{}..={}`",
                marks.log_start, marks.high
            )));
        }
        if from == marks.high {
            return Ok(Read {
                records: Vec::new(),
                next: from,
                high_watermark: from,
            });
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| LogError::not_stored("the log is stopping"))?;
        let (cluster, pool) = (Arc::clone(&self.cluster), Arc::clone(&self.pool));
        let topic = topic.to_owned();
        blocking(move || {
            let taken = pool.lock().take(&topic, partition, from);
            let mut reader = match taken {
                Some(reader) => reader,
                None => Reader::make(&cluster).inspect_err(|_| pool.lock().made -= 1)?,
            };
            let deadline = Instant::now() + cluster.options.deadline;
            let read = reader.read(&topic, partition, from, max_bytes, marks.high, deadline);
            let mut pool = pool.lock();
            match &read {
                Ok(_) => pool.idle.push_back(reader),
                // What it has assigned and fetched is not certain any more.
                Err(_) => pool.made -= 1,
            }
            drop(permit);
            read
        })
        .await
    }

    /// Forgets what was fetched of a topic that is gone.
    pub(crate) fn forget(&self, topic: &str) {
        let mut pool = self.pool.lock();
        let before = pool.idle.len();
        pool.idle.retain(|reader| reader.topic != topic);
        pool.made -= before - pool.idle.len();
    }
}

impl Pool {
    /// Takes the client that stands at the place, or has the partition, or was unused longest; `None` is leave to make one.
    fn take(&mut self, topic: &str, partition: i32, from: Offset) -> Option<Reader> {
        let has = |reader: &Reader| reader.topic == topic && reader.partition == partition;
        let at = |reader: &Reader| has(reader) && reader.position == from;
        let mut idle = self.idle.iter();
        let found = idle.position(at);
        let found = found.or_else(|| self.idle.iter().position(has));
        let found = found.or_else(|| (self.made >= CLIENTS).then_some(0));
        let taken = found.and_then(|index| self.idle.remove(index));
        if taken.is_none() {
            self.made += 1;
        }
        taken
    }
}

impl Reader {
    fn make(cluster: &Cluster) -> Result<Self, LogError> {
        let client = cluster.reader(&SETTINGS);
        let client = client.map_err(|error| error::question(&error, "a reader"))?;
        Ok(Self {
            client,
            topic: String::new(),
            partition: 0,
            position: -1,
            held: None,
        })
    }

    fn assign(&mut self, topic: &str, partition: i32, from: Offset) -> Result<(), LogError> {
        let failed = |error: KafkaError| error::question(&error, topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, At::Offset(from))
            .map_err(failed)?;
        self.client.assign(&list).map_err(failed)?;
        topic.clone_into(&mut self.topic);
        (self.partition, self.position, self.held) = (partition, from, None);
        Ok(())
    }

    fn read(
        &mut self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
        high: Offset,
        deadline: Instant,
    ) -> Result<Read, LogError> {
        let mut is_fresh = false;
        if (self.topic.as_str(), self.partition, self.position) != (topic, partition, from) {
            self.assign(topic, partition, from)?;
            is_fresh = true;
        }
        let (mut records, mut bytes) = (Vec::new(), 0);
        while self.position < high {
            let wait = if records.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                MORE
            };
            match self.next(wait)? {
                // Older than asked for: compressed batches are fetched whole.
                Next::Record(stored) if stored.offset < self.position => {}
                Next::Record(stored) if stored.offset >= high => {
                    self.held = Some(stored);
                    self.position = high;
                }
                Next::Record(stored) => {
                    let size = stored.record.size_bytes();
                    if !records.is_empty() && bytes + size > max_bytes {
                        self.held = Some(stored);
                        break;
                    }
                    bytes += size;
                    self.position = stored.offset + 1;
                    records.push(stored);
                }
                Next::End if is_fresh => self.position = high,
                Next::End if records.is_empty() => {
                    let position = self.position;
                    self.assign(topic, partition, position)?;
                    is_fresh = true;
                }
                Next::End => break,
                Next::Nothing if records.is_empty() => {
                    return Err(LogError::not_stored(format!(
                        "no record of `{topic}` came in time"
                    )));
                }
                Next::Nothing => break,
            }
        }
        Ok(Read {
            records,
            next: self.position,
            high_watermark: high,
        })
    }

    fn next(&mut self, wait: Duration) -> Result<Next, LogError> {
        if let Some(stored) = self.held.take() {
            return Ok(Next::Record(stored));
        }
        let deadline = Instant::now() + wait;
        loop {
            match self.client.poll(wait) {
                Some(Ok(message)) => return Ok(Next::Record(stored(&message))),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Next::End),
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(error::question(&error, &self.topic)),
                None => {}
            }
            if Instant::now() >= deadline {
                return Ok(Next::Nothing);
            }
        }
    }
}

/// librdkafka tells of broken connections and moved leaders, then mends them itself.
fn is_passing(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::Resolve
        )
    )
}

fn stored(message: &BorrowedMessage<'_>) -> StoredRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let headers = headers.iter().map(|header| Header {
            name: Bytes::copy_from_slice(header.key.as_bytes()),
            value: header.value.map(Bytes::copy_from_slice),
        });
        headers.collect()
    });
    StoredRecord {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        record: Record {
            key: message.key().map(Bytes::copy_from_slice),
            value: message.payload().map(Bytes::copy_from_slice),
            headers,
        },
    }
}
