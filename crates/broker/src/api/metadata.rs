//! Metadata (3), versions 0-13: brokers, topics, partitions.
//!
//! Creates a topic that is asked for by name, if the client and `auto.create.topics.enable` agree;
//! it is durable before the answer, so that no client sees a partition without a leader. Versions
//! 10 and 11 carry topic ids but are not asked by them (KIP-516).

use std::sync::Arc;

use super::{Caller, CloseReason, operations};
use crate::read::partition::{Topic, TopicTable};
use crate::topics::{NewTopic, TopicError, check_topic_name, is_internal};
use crate::wire::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::{ErrorCode, MetadataRequest, MetadataResponse, Uuid, message, text};

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: MetadataRequest,
) -> Result<MetadataResponse, CloseReason> {
    let broker = caller.broker();
    let node = broker.node_id();
    let topic_operations = if request.include_topic_authorized_operations {
        operations::TOPIC
    } else {
        operations::UNASKED
    };
    let show = |topic: &Arc<Topic>| {
        let mut shown = show_topic(caller, version, topic);
        shown.topic_authorized_operations = topic_operations;
        shown
    };
    // Version 0 knows no null: an empty list asks for all.
    let asked = request
        .topics
        .filter(|asked| version > 0 || !asked.is_empty());
    let mut topics = Vec::new();
    match asked {
        None => topics.extend(broker.topics().iter().map(show)),
        Some(asked) => {
            for topic in asked {
                let found = match &topic.name {
                    Some(name) => {
                        find_or_create(caller, name, request.allow_auto_topic_creation).await
                    }
                    None if version < 12 => Err(ErrorCode::InvalidRequest),
                    None => by_id(&broker.topics(), topic.topic_id),
                };
                topics.push(match found {
                    Ok(topic) => show(&topic),
                    Err(error) => {
                        let name = topic.name.or((version < 12).then(|| text("")));
                        message!(MetadataResponseTopic {
                            error_code: error.code(),
                            name,
                            topic_id: if version < 10 {
                                Uuid::ZERO
                            } else {
                                topic.topic_id
                            },
                            topic_authorized_operations: operations::UNASKED,
                        })
                    }
                });
            }
        }
    }
    let this = message!(MetadataResponseBroker {
        node_id: node,
        host: text(&caller.port.advertised.host),
        port: i32::from(caller.port.advertised.port),
    });
    let cluster_operations = if request.include_cluster_authorized_operations {
        operations::CLUSTER
    } else {
        operations::UNASKED
    };
    Ok(message!(MetadataResponse {
        brokers: vec![this],
        cluster_id: (version >= 2).then(|| text(broker.cluster_id())),
        controller_id: if version >= 1 { node } else { -1 },
        topics,
        cluster_authorized_operations: cluster_operations,
    }))
}

fn by_id(topics: &TopicTable, id: Uuid) -> Result<Arc<Topic>, ErrorCode> {
    let found = topics.by_id(id.as_bytes());
    found.cloned().ok_or(ErrorCode::UnknownTopicId)
}

async fn find_or_create(
    caller: &Caller,
    name: &str,
    client_allows: bool,
) -> Result<Arc<Topic>, ErrorCode> {
    let broker = caller.broker();
    if let Some(topic) = broker.topics().by_name(name) {
        return Ok(Arc::clone(topic));
    }
    if check_topic_name(name).is_err() {
        return Err(ErrorCode::InvalidTopic);
    }
    let settings = broker.settings();
    if !client_allows || !settings.auto_create_topics || is_internal(name) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let new = NewTopic {
        name: name.to_owned(),
        partitions: settings.num_partitions,
        config: Default::default(),
    };
    match broker.create_topic(new).await {
        Ok(topic) => Ok(topic),
        // Another client was faster.
        Err(TopicError::Exists) => {
            let topics = broker.topics();
            let topic = topics.by_name(name).cloned();
            topic.ok_or(ErrorCode::UnknownTopicOrPartition)
        }
        Err(TopicError::Invalid(_)) => Err(ErrorCode::InvalidTopic),
        Err(TopicError::TooMany(_)) => Err(ErrorCode::PolicyViolation),
        Err(TopicError::Unknown | TopicError::Unavailable(_)) => Err(ErrorCode::RequestTimedOut),
    }
}

fn show_topic(caller: &Caller, version: i16, topic: &Topic) -> MetadataResponseTopic {
    let node = caller.broker().node_id();
    let epoch = caller.broker().epoch();
    let partitions = topic.partitions.iter().map(|partition| {
        message!(MetadataResponsePartition {
            partition_index: partition.index.cast_signed(),
            leader_id: node,
            leader_epoch: if version >= 7 { epoch } else { -1 },
            replica_nodes: vec![node],
            isr_nodes: vec![node],
        })
    });
    message!(MetadataResponseTopic {
        name: Some(text(&topic.name)),
        topic_id: if version >= 10 {
            Uuid::from_bytes(topic.id)
        } else {
            Uuid::ZERO
        },
        is_internal: version >= 1 && topic.internal,
        partitions: partitions.collect(),
    })
}
