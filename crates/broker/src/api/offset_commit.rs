//! OffsetCommit (8), versions 2-10: how far a group has read, durable when answered.
//!
//! All partitions of a request become one record of the log. Departures: the retention time of
//! versions 2-4 is not used; a commit beyond the bounds of groups and offsets is refused (28).

use super::{Caller, CloseReason, TopicKey, find_partition};
use crate::group::Heartbeat;
use crate::read::partition::TopicTable;
use crate::sequencer::Refusal;
use crate::state::command::{OffsetEntry, OffsetsCommitted};
use crate::wire::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::{ErrorCode, OffsetCommitRequest, OffsetCommitResponse, message};

/// The first version that names topics by id (KIP-848).
const TOPIC_IDS_FROM: i16 = 10;
/// Group names are kept in the log and in memory. Kafka bounds them by its strings, 32 KiB.
const GROUP_NAME_LIMIT_BYTES: usize = 1_024;
/// Entries and their notes in one commit, so that it fits a group of the write-ahead log.
const COMMIT_LIMIT_BYTES: usize = 2 * 1024 * 1024;
const ENTRY_BYTES: usize = 64;

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: OffsetCommitRequest,
) -> Result<OffsetCommitResponse, CloseReason> {
    let group = request.group_id.as_str();
    let from = Heartbeat {
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
    };
    let allowed = if group.len() > GROUP_NAME_LIMIT_BYTES {
        Err(ErrorCode::InvalidGroupId)
    } else {
        caller.port.groups.check_commit(group, &from)
    };
    let mut entries = Vec::new();
    let topics = caller.broker().topics();
    let mut answers = collect(
        caller,
        version,
        &topics,
        &request,
        allowed.err(),
        &mut entries,
    );
    let bytes: usize = entries
        .iter()
        .map(|e: &OffsetEntry| ENTRY_BYTES + e.metadata.len())
        .sum();
    let failed = if bytes > COMMIT_LIMIT_BYTES {
        Some(ErrorCode::InvalidRequest)
    } else if entries.is_empty() {
        None
    } else {
        let offsets = OffsetsCommitted {
            group: group.to_owned(),
            generation: allowed.unwrap_or(0),
            commit_ms: 0,
            entries,
        };
        let committed = caller.broker().commit_offsets(offsets).await;
        committed.err().map(|refusal| match refusal {
            Refusal::OffsetsFull => ErrorCode::InvalidCommitOffsetSize,
            // Nothing was stored; clients try again.
            _ => ErrorCode::RequestTimedOut,
        })
    };
    if let Some(error) = failed {
        let partitions = answers.iter_mut().flat_map(|topic| &mut topic.partitions);
        for partition in partitions.filter(|partition| partition.error_code == 0) {
            partition.error_code = error.code();
        }
    }
    Ok(message!(OffsetCommitResponse { topics: answers }))
}

fn collect(
    caller: &Caller,
    version: i16,
    topics: &TopicTable,
    request: &OffsetCommitRequest,
    refused: Option<ErrorCode>,
    entries: &mut Vec<OffsetEntry>,
) -> Vec<OffsetCommitResponseTopic> {
    let longest_note = caller.broker().settings().offset_metadata_max_bytes;
    let longest_note = usize::try_from(longest_note).unwrap_or(0);
    let answered = request.topics.iter().map(|asked| {
        let key = if version < TOPIC_IDS_FROM {
            TopicKey::Name(&asked.name)
        } else {
            TopicKey::Id(asked.topic_id)
        };
        let topic = refused.map_or_else(|| key.find(topics), Err);
        let partitions = asked.partitions.iter().map(|partition| {
            let note = partition.committed_metadata.as_deref().unwrap_or_default();
            let found = topic.and_then(|topic| find_partition(topic, partition.partition_index));
            let error = match found {
                Err(error) => error,
                Ok(_) if note.len() > longest_note => ErrorCode::OffsetMetadataTooLarge,
                Ok(found) => {
                    entries.push(OffsetEntry {
                        topic: found.topic,
                        partition: found.index,
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: note.to_owned(),
                    });
                    ErrorCode::None
                }
            };
            message!(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.code(),
            })
        });
        message!(OffsetCommitResponseTopic {
            name: asked.name.clone(),
            topic_id: asked.topic_id,
            partitions: partitions.collect(),
        })
    });
    answered.collect()
}
