//! OffsetFetch (9), versions 1-10: how far groups have read.
//!
//! From version 8 on a request asks for several groups. No topics given (null, from version 2 on)
//! asks for all. Departure: without transactions every offset is stable, so `require_stable` asks
//! for nothing more; member epochs (KIP-848) are not looked at.

use std::collections::BTreeMap;

use super::{Caller, CloseReason, TopicKey};
use crate::read::partition::TopicTable;
use crate::state::{Committed, CommittedGroup};
use crate::wire::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::wire::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::{
    ErrorCode, OffsetFetchRequest, OffsetFetchResponse, StrBytes, Uuid, message, text,
};

const GROUPS_FROM: i16 = 8;
/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 10;
/// The first version that carries the epoch of the committed offset (KIP-320).
const EPOCHS_FROM: i16 = 5;

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: OffsetFetchRequest,
) -> Result<OffsetFetchResponse, CloseReason> {
    let topics = caller.broker().topics();
    if version >= GROUPS_FROM {
        let groups = request.groups.iter();
        let groups = groups.map(|asked| show_group(caller, version, &topics, asked));
        return Ok(message!(OffsetFetchResponse {
            groups: groups.collect(),
        }));
    }
    let asked = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| {
            message!(OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
            })
        });
        topics.collect()
    });
    let group = message!(OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: asked,
    });
    let shown = show_group(caller, version, &topics, &group);
    let topics = shown.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            message!(OffsetFetchResponsePartition {
                partition_index: partition.partition_index,
                committed_offset: partition.committed_offset,
                committed_leader_epoch: partition.committed_leader_epoch,
                metadata: partition.metadata,
                error_code: partition.error_code,
            })
        });
        message!(OffsetFetchResponseTopic {
            name: topic.name,
            partitions: partitions.collect(),
        })
    });
    Ok(message!(OffsetFetchResponse {
        topics: topics.collect(),
    }))
}

fn show_group(
    caller: &Caller,
    version: i16,
    topics: &TopicTable,
    asked: &OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let committed = caller.broker().committed(&asked.group_id);
    let none = CommittedGroup::default();
    let committed = committed.as_deref().unwrap_or(&none);
    let shown = match &asked.topics {
        None => show_all(version, topics, committed),
        Some(asked) => {
            let asked = asked.iter();
            asked
                .map(|topic| show_asked(version, topics, committed, topic))
                .collect()
        }
    };
    message!(OffsetFetchResponseGroup {
        group_id: asked.group_id.clone(),
        topics: shown,
    })
}

fn show_asked(
    version: i16,
    topics: &TopicTable,
    committed: &CommittedGroup,
    asked: &OffsetFetchRequestTopics,
) -> OffsetFetchResponseTopics {
    let key = if version < TOPIC_IDS_FROM {
        TopicKey::Name(&asked.name)
    } else {
        TopicKey::Id(asked.topic_id)
    };
    let topic = key.find(topics);
    // By name, a topic that is not there has no offsets; by id it is an error (KIP-848).
    let error = match topic {
        Err(ErrorCode::UnknownTopicId) => ErrorCode::UnknownTopicId,
        _ => ErrorCode::None,
    };
    let partitions = asked.partition_indexes.iter().map(|&index| {
        let found = topic.ok().and_then(|topic| {
            let index = u32::try_from(index).ok()?;
            committed.offsets.get(&(topic.number, index))
        });
        show_partition(version, index, found, error)
    });
    message!(OffsetFetchResponseTopics {
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        partitions: partitions.collect(),
    })
}

fn show_all(
    version: i16,
    topics: &TopicTable,
    committed: &CommittedGroup,
) -> Vec<OffsetFetchResponseTopics> {
    let mut by_topic: BTreeMap<u32, Vec<OffsetFetchResponsePartitions>> = BTreeMap::new();
    for ((topic, partition), found) in &committed.offsets {
        let index = partition.cast_signed();
        let shown = show_partition(version, index, Some(found), ErrorCode::None);
        by_topic.entry(*topic).or_default().push(shown);
    }
    let shown = by_topic.into_iter().filter_map(|(number, partitions)| {
        // A topic that was deleted keeps no offsets.
        let topic = topics.by_number(number)?;
        let (name, id) = if version < TOPIC_IDS_FROM {
            (text(&topic.name), Uuid::ZERO)
        } else {
            (StrBytes::default(), Uuid::from_bytes(topic.id))
        };
        Some(message!(OffsetFetchResponseTopics {
            name,
            topic_id: id,
            partitions,
        }))
    });
    shown.collect()
}

fn show_partition(
    version: i16,
    index: i32,
    committed: Option<&Committed>,
    error: ErrorCode,
) -> OffsetFetchResponsePartitions {
    let epoch = committed.filter(|_| version >= EPOCHS_FROM);
    message!(OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: committed.map_or(-1, |committed| committed.offset),
        committed_leader_epoch: epoch.map_or(-1, |committed| committed.leader_epoch),
        metadata: Some(committed.map_or_else(StrBytes::default, |c| text(&c.metadata))),
        error_code: error.code(),
    })
}
