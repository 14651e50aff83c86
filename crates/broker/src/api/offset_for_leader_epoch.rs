//! OffsetForLeaderEpoch (23), versions 2-4: where a leader epoch ended.
//!
//! A consumer that comes back after a change of leader finds out if its place still exists
//! (KIP-320). Here nothing is ever truncated, so the answer is always «yes, up to there».

use super::{Caller, CloseReason, TopicKey, check_leader_epoch, find_partition};
use crate::wire::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use crate::wire::{ErrorCode, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, message};

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    _version: i16,
    request: OffsetForLeaderEpochRequest,
) -> Result<OffsetForLeaderEpochResponse, CloseReason> {
    let broker = caller.broker();
    let topics = broker.topics();
    let find = |topic: &str, index: i32, believed: i32, asked: i32| {
        let topic = TopicKey::Name(topic).find(&topics)?;
        let partition = find_partition(topic, index)?;
        check_leader_epoch(broker, believed)?;
        Ok(partition.epoch_end(asked).unwrap_or((-1, -1)))
    };
    let answered = request.topics.into_iter().map(|asked| {
        let partitions = asked.partitions.iter().map(|partition| {
            let found: Result<(i32, i64), ErrorCode> = find(
                &asked.topic,
                partition.partition,
                partition.current_leader_epoch,
                partition.leader_epoch,
            );
            let (error, (leader_epoch, end_offset)) = match found {
                Ok(found) => (ErrorCode::None, found),
                Err(error) => (error, (-1, -1)),
            };
            message!(EpochEndOffset {
                error_code: error.code(),
                partition: partition.partition,
                leader_epoch,
                end_offset,
            })
        });
        let partitions = partitions.collect();
        message!(OffsetForLeaderTopicResult {
            topic: asked.topic,
            partitions,
        })
    });
    Ok(message!(OffsetForLeaderEpochResponse {
        topics: answered.collect(),
    }))
}
