//! Fetch (1), versions 4-18: record batches out of the log.
//!
//! What is in memory is answered at once. Older data is read when nothing hot was found, or when it
//! belongs to the partition the client names first (clients rotate, so every partition is first in
//! turn). A fetch that finds less than it asks for parks until there is enough, its time is up or
//! its client is gone. The batch that holds the offset is sent whole, and the first partition with
//! data always gets a batch (KIP-74).
//!
//! Departures: no fetch sessions; every answer says session 0, which KIP-227 allows, and clients
//! send full requests. `fetch.max.bytes` of the broker bounds every answer.

mod response;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use self::response::{FetchedPartition, FetchedTopic, Response};
use super::list_offsets::read_error;
use super::{Caller, CloseReason, TopicKey, check_leader_epoch, find_partition};
use crate::batch::{BatchHeader, Compression};
use crate::broker::Broker;
use crate::read::fetch::{Fetched, HotFetch, ReadError};
use crate::read::partition::Partition;
use crate::wire::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::{self, Answer, ErrorCode, FetchRequest, RequestHead};

/// The first version that names topics by id (KIP-516).
const TOPIC_IDS_FROM: i16 = 13;
/// The first version whose consumers know zstd (KIP-110).
const ZSTD_FROM: i16 = 10;
/// A fetch waits no longer than this, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const READ_COMMITTED: i8 = 1;
/// The session epoch that says: no session, or the end of one (KIP-227).
const FINAL_EPOCH: i32 = -1;

/// One partition of a request.
struct Asked {
    partition: Arc<Partition>,
    offset: i64,
    max_bytes: usize,
    last_epoch: i32,
}

/// What one pass over all partitions gave.
#[derive(Default)]
struct Pass {
    bytes: usize,
    /// Nothing is to be gained by waiting.
    is_final: bool,
    partitions: Vec<FetchedPartition>,
}

/// Answers a fetch.
pub(super) async fn handle(
    caller: &Caller,
    head: RequestHead,
    frame: Bytes,
) -> Result<Answer, CloseReason> {
    let (_, request) = wire::decode::<FetchRequest>(frame, head.version)?;
    if request.session_id != 0 && request.session_epoch != FINAL_EPOCH {
        let error = ErrorCode::FetchSessionIdNotFound;
        return Ok(Response::refused(error).encode(head));
    }
    let asked: Vec<Result<Asked, ErrorCode>> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |asked| (topic, asked)))
        .map(|(topic, asked)| resolve(caller, head.version, topic, asked))
        .collect();
    let pass = fetch(caller, head.version, &request, &asked).await;
    let mut partitions = pass.partitions.into_iter();
    let topics = request.topics.into_iter().map(|topic| FetchedTopic {
        partitions: topic
            .partitions
            .iter()
            .zip(&mut partitions)
            .map(|(asked, fetched)| (asked.partition, fetched))
            .collect(),
        name: topic.topic,
        id: topic.topic_id,
    });
    let response = Response {
        error: ErrorCode::None,
        topics: topics.collect(),
        read_committed: request.isolation_level == READ_COMMITTED,
    };
    Ok(response.encode(head))
}

fn resolve(
    caller: &Caller,
    version: i16,
    topic: &FetchTopic,
    asked: &FetchPartition,
) -> Result<Asked, ErrorCode> {
    let broker = caller.broker();
    let key = if version < TOPIC_IDS_FROM {
        TopicKey::Name(&topic.topic)
    } else {
        TopicKey::Id(topic.topic_id)
    };
    let topics = broker.topics();
    let partition = find_partition(key.find(&topics)?, asked.partition)?;
    check_leader_epoch(broker, asked.current_leader_epoch)?;
    Ok(Asked {
        partition: Arc::clone(partition),
        offset: asked.fetch_offset,
        max_bytes: usize::try_from(asked.partition_max_bytes).unwrap_or(0),
        last_epoch: asked.last_fetched_epoch,
    })
}

/// Reads until there is enough or no reason to wait longer.
async fn fetch(
    caller: &Caller,
    version: i16,
    request: &FetchRequest,
    asked: &[Result<Asked, ErrorCode>],
) -> Pass {
    let broker = caller.broker();
    let limit = request.max_bytes.min(broker.settings().fetch_max_bytes);
    let max_bytes = usize::try_from(limit).unwrap_or(0);
    let min_bytes = usize::try_from(request.min_bytes)
        .unwrap_or(0)
        .min(max_bytes);
    let wait_ms = u64::try_from(request.max_wait_ms).unwrap_or(0);
    let until = Instant::now() + Duration::from_millis(wait_ms).min(LONGEST_WAIT);
    let mut is_last = wait_ms == 0 || asked.is_empty();
    loop {
        // Before reading: what is appended from here on counts for the wait.
        let seen: Vec<(&Arc<Partition>, u64)> = asked
            .iter()
            .flatten()
            .map(|asked| (&asked.partition, asked.partition.appended_bytes()))
            .collect();
        let pass = read(broker, version, asked, max_bytes).await;
        if is_last || pass.is_final || pass.bytes >= min_bytes {
            return pass;
        }
        let missing = u64::try_from(min_bytes - pass.bytes).unwrap_or(u64::MAX);
        let parked = broker.purgatory().park(seen, missing);
        let enough = tokio::select! {
            enough = timeout_at(until, parked.enough()) => enough.is_ok(),
            () = caller.gone() => false,
        };
        is_last = !enough;
    }
}

/// Reads every partition once, up to `max_bytes` in all.
async fn read(
    broker: &Broker,
    version: i16,
    asked: &[Result<Asked, ErrorCode>],
    max_bytes: usize,
) -> Pass {
    let mut pass = Pass::default();
    let mut cold = Vec::new();
    for (at, asked) in asked.iter().enumerate() {
        let fetched = match asked {
            Err(error) => FetchedPartition::refused(*error),
            Ok(asked) if asked.partition.is_deleted() => {
                FetchedPartition::refused(if version < TOPIC_IDS_FROM {
                    ErrorCode::UnknownTopicOrPartition
                } else {
                    ErrorCode::UnknownTopicId
                })
            }
            Ok(asked) => {
                let left = max_bytes.saturating_sub(pass.bytes);
                match read_hot(broker, asked, left) {
                    Some(fetched) => fetched,
                    None => {
                        cold.push((at, asked));
                        FetchedPartition::empty(&asked.partition)
                    }
                }
            }
        };
        pass.add(version, fetched);
    }
    for (at, asked) in cold {
        let is_first = at == 0;
        let left = max_bytes.saturating_sub(pass.bytes);
        if pass.bytes > 0 && (!is_first || left == 0) {
            continue;
        }
        let bytes = left.min(asked.max_bytes);
        let read = broker
            .fetch_cold(&asked.partition, asked.offset, bytes)
            .await;
        let fetched = match read {
            Ok(fetched) => FetchedPartition::found(fetched),
            Err(ReadError::OutOfRange {
                log_start,
                high_watermark,
            }) => FetchedPartition::out_of_range(log_start, high_watermark),
            Err(error) => FetchedPartition {
                error: read_error(&error),
                ..FetchedPartition::empty(&asked.partition)
            },
        };
        // What is cold does not come by waiting: whatever was found is the answer.
        pass.is_final |= fetched.bytes > 0;
        let fetched = pass.checked(version, fetched);
        pass.partitions[at] = fetched;
    }
    pass
}

/// Reads what is in memory; `None` if the data is elsewhere.
fn read_hot(broker: &Broker, asked: &Asked, left: usize) -> Option<FetchedPartition> {
    let partition = &asked.partition;
    if let Some((epoch, end)) = diverging(partition, asked) {
        return Some(FetchedPartition {
            diverging: Some((epoch, end)),
            ..FetchedPartition::empty(partition)
        });
    }
    let (log_start, high_watermark) = (partition.log_start(), partition.high_watermark());
    if !(log_start..=high_watermark).contains(&asked.offset) {
        return Some(FetchedPartition::out_of_range(log_start, high_watermark));
    }
    if left == 0 {
        return Some(FetchedPartition::empty(partition));
    }
    match broker.fetch_hot(partition, asked.offset, left.min(asked.max_bytes)) {
        HotFetch::Ready(fetched) => Some(FetchedPartition::found(fetched)),
        HotFetch::Cold => None,
        HotFetch::OutOfRange {
            log_start,
            high_watermark,
        } => Some(FetchedPartition::out_of_range(log_start, high_watermark)),
    }
}

/// Tells if the client read something that is no longer there (KIP-595): the last epoch they share
/// and its end.
fn diverging(partition: &Partition, asked: &Asked) -> Option<(i32, i64)> {
    if asked.last_epoch < 0 {
        return None;
    }
    let (epoch, end) = partition.epoch_end(asked.last_epoch)?;
    (epoch < asked.last_epoch || end < asked.offset).then_some((epoch, end))
}

impl Pass {
    fn add(&mut self, version: i16, fetched: FetchedPartition) {
        let fetched = self.checked(version, fetched);
        self.partitions.push(fetched);
    }

    fn checked(&mut self, version: i16, mut fetched: FetchedPartition) -> FetchedPartition {
        if version < ZSTD_FROM && fetched.batches.iter().any(is_zstd) {
            fetched.error = ErrorCode::UnsupportedCompressionType;
            fetched.batches.clear();
            fetched.bytes = 0;
        }
        self.bytes += fetched.bytes;
        self.is_final |= fetched.error != ErrorCode::None || fetched.diverging.is_some();
        fetched
    }
}

fn is_zstd(batch: &Bytes) -> bool {
    BatchHeader::parse(batch).is_ok_and(|header| header.compression() == Ok(Compression::Zstd))
}

impl FetchedPartition {
    fn found(fetched: Fetched) -> Self {
        Self {
            error: ErrorCode::None,
            high_watermark: fetched.high_watermark,
            log_start: fetched.log_start,
            diverging: None,
            bytes: fetched.bytes,
            batches: fetched.batches,
        }
    }

    fn empty(partition: &Partition) -> Self {
        Self {
            high_watermark: partition.high_watermark(),
            log_start: partition.log_start(),
            ..Self::refused(ErrorCode::None)
        }
    }

    fn out_of_range(log_start: i64, high_watermark: i64) -> Self {
        Self {
            high_watermark,
            log_start,
            ..Self::refused(ErrorCode::OffsetOutOfRange)
        }
    }

    fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: -1,
            log_start: -1,
            diverging: None,
            bytes: 0,
            batches: Vec::new(),
        }
    }
}
