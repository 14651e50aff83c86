//! ListOffsets (2), versions 1-11: an offset for a time, or one of the ends of a partition.
//!
//! Departures: history in objects is not told apart from the rest, so «earliest local» (-4) is the
//! earliest, «last tiered» (-5) and «earliest pending upload» (-6) are unknown.

use std::sync::Arc;

use super::{Caller, CloseReason, TopicKey, check_leader_epoch, find_partition};
use crate::read::fetch::ReadError;
use crate::read::partition::Partition;
use crate::wire::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::wire::{ErrorCode, ListOffsetsRequest, ListOffsetsResponse, message};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LAST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// The oldest version that may ask for each special time.
const SINCE: [(i64, i16); 4] = [
    (MAX_TIMESTAMP, 7),
    (EARLIEST_LOCAL, 8),
    (LAST_TIERED, 9),
    (EARLIEST_PENDING_UPLOAD, 11),
];

/// An offset with the time of its record, -1 for none of either.
struct Found {
    offset: i64,
    timestamp_ms: i64,
}

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: ListOffsetsRequest,
) -> Result<ListOffsetsResponse, CloseReason> {
    let topics = caller.broker().topics();
    let mut answered = Vec::new();
    for asked in request.topics {
        let topic = TopicKey::Name(&asked.name).find(&topics);
        let mut partitions = Vec::new();
        for partition in asked.partitions {
            let found = match topic {
                Err(error) => Err(error),
                Ok(topic) => match find_partition(topic, partition.partition_index) {
                    Err(error) => Err(error),
                    Ok(found) => {
                        let epoch = partition.current_leader_epoch;
                        find(caller, version, found, epoch, partition.timestamp).await
                    }
                },
            };
            let mut answer = message!(ListOffsetsPartitionResponse {
                partition_index: partition.partition_index,
                timestamp: -1,
                offset: -1,
            });
            match found {
                Err(error) => answer.error_code = error.code(),
                Ok((found, epoch)) => {
                    answer.offset = found.offset;
                    answer.timestamp = found.timestamp_ms;
                    answer.leader_epoch = if version >= 4 { epoch } else { -1 };
                }
            }
            partitions.push(answer);
        }
        answered.push(message!(ListOffsetsTopicResponse {
            name: asked.name,
            partitions,
        }));
    }
    Ok(message!(ListOffsetsResponse { topics: answered }))
}

async fn find(
    caller: &Caller,
    version: i16,
    partition: &Arc<Partition>,
    believed_epoch: i32,
    timestamp: i64,
) -> Result<(Found, i32), ErrorCode> {
    let broker = caller.broker();
    check_leader_epoch(broker, believed_epoch)?;
    let since = SINCE.iter().find(|(special, _)| *special == timestamp);
    if since.is_some_and(|(_, since)| version < *since) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let at = |offset| Found {
        offset,
        timestamp_ms: -1,
    };
    let found = match timestamp {
        LATEST => return Ok((at(partition.high_watermark()), broker.epoch())),
        EARLIEST | EARLIEST_LOCAL => {
            let found = at(partition.log_start());
            let epoch = partition.epoch_of(found.offset);
            return Ok((found, if epoch < 0 { broker.epoch() } else { epoch }));
        }
        MAX_TIMESTAMP => broker.max_timestamp(partition).await,
        0.. => broker.offset_for_timestamp(partition, timestamp).await,
        _ => Ok(None),
    };
    match found {
        Ok(Some((offset, timestamp_ms))) => {
            let found = Found {
                offset,
                timestamp_ms,
            };
            Ok((found, partition.epoch_of(offset)))
        }
        Ok(None) => Ok((at(-1), -1)),
        Err(error) => Err(read_error(&error)),
    }
}

/// Returns the code for a failed read, and leaves a trace of it.
pub(super) fn read_error(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt(_) | ReadError::Unavailable(_) => {
            tracing::warn!(error = %error, "kafka read failed");
            ErrorCode::KafkaStorageError
        }
    }
}
