//! CreateTopics (19), versions 2-7: new topics, durable when answered.
//!
//! Any replication factor is accepted and answered as 1: Kafka Connect, Streams and Debezium ask
//! for 3 and do not start otherwise. Departures: topics of the product itself cannot be created
//! (17); `cleanup.policy=compact` is refused until there is compaction (40);
//! more partitions than `max.partitions` are refused as a breach of policy (44).

use std::collections::HashMap;

use super::{Caller, CloseReason};
use crate::topics::{NewTopic, TopicError, check_topic_name, is_internal};
use crate::wire::create_topics_request::CreatableTopic;
use crate::wire::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use crate::wire::{CreateTopicsRequest, CreateTopicsResponse, ErrorCode, Uuid, message, text};

/// The first version that tells what was created (KIP-525).
const DETAILS_FROM: i16 = 5;
const TOPIC_IDS_FROM: i16 = 7;
/// A setting of the topic itself, as `ConfigSource` of Kafka numbers it.
const TOPIC_CONFIG: i8 = 1;

struct Refused(ErrorCode, String);

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: CreateTopicsRequest,
) -> Result<CreateTopicsResponse, CloseReason> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let created = if times.get(&*asked.name) == Some(&1) {
            create(caller, asked, request.validate_only).await
        } else {
            let reason = "the request names the topic more than once";
            Err(Refused(ErrorCode::InvalidRequest, reason.to_owned()))
        };
        topics.push(match created {
            Err(Refused(error, reason)) => message!(CreatableTopicResult {
                name: asked.name.clone(),
                error_code: error.code(),
                error_message: Some(text(reason)),
                configs: None,
            }),
            Ok((id, new)) => show(version, asked, id, &new),
        });
    }
    Ok(message!(CreateTopicsResponse { topics }))
}

async fn create(
    caller: &Caller,
    asked: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, NewTopic), Refused> {
    let broker = caller.broker();
    let name = asked.name.as_str();
    check_topic_name(name).map_err(|reason| Refused(ErrorCode::InvalidTopic, reason))?;
    if is_internal(name) {
        let reason = format!("`{name}` is a name for the product's own topics");
        return Err(Refused(ErrorCode::InvalidTopic, reason));
    }
    let mut new = NewTopic {
        name: name.to_owned(),
        partitions: 1,
        config: Default::default(),
    };
    for config in &asked.configs {
        let Some(value) = &config.value else {
            let reason = format!("topic setting `{}` has no value", config.name);
            return Err(Refused(ErrorCode::InvalidConfig, reason));
        };
        new.config
            .insert(config.name.to_string(), value.to_string());
    }
    // With one partition, what is wrong can only be a setting.
    broker
        .check_topic(&new)
        .map_err(|error| refused(error, ErrorCode::InvalidConfig))?;
    new.partitions = partitions(caller, asked)?;
    broker
        .check_topic(&new)
        .map_err(|error| refused(error, ErrorCode::InvalidPartitions))?;
    if validate_only {
        return Ok((Uuid::ZERO, new));
    }
    let created = broker.create_topic(new.clone()).await;
    let topic = created.map_err(|error| refused(error, ErrorCode::InvalidConfig))?;
    Ok((Uuid::from_bytes(topic.id), new))
}

fn partitions(caller: &Caller, asked: &CreatableTopic) -> Result<i32, Refused> {
    if asked.assignments.is_empty() {
        return Ok(match asked.num_partitions {
            -1 => caller.broker().settings().num_partitions,
            partitions => partitions,
        });
    }
    let mut indexes: Vec<i32> = asked
        .assignments
        .iter()
        .map(|a| a.partition_index)
        .collect();
    indexes.sort_unstable();
    let is_dense = (0..)
        .zip(&indexes)
        .all(|(expected, index)| expected == *index);
    let has_brokers = asked.assignments.iter().all(|a| !a.broker_ids.is_empty());
    if !is_dense || !has_brokers {
        let reason = "assignments are for partitions from 0 on, each with a broker".to_owned();
        return Err(Refused(ErrorCode::InvalidReplicaAssignment, reason));
    }
    Ok(i32::try_from(indexes.len()).unwrap_or(i32::MAX))
}

fn refused(error: TopicError, if_invalid: ErrorCode) -> Refused {
    let code = match &error {
        TopicError::Exists => ErrorCode::TopicAlreadyExists,
        TopicError::Invalid(_) => if_invalid,
        TopicError::TooMany(_) => ErrorCode::PolicyViolation,
        TopicError::Unknown => ErrorCode::UnknownTopicOrPartition,
        TopicError::Unavailable(_) => ErrorCode::RequestTimedOut,
    };
    Refused(code, error.to_string())
}

fn show(version: i16, asked: &CreatableTopic, id: Uuid, new: &NewTopic) -> CreatableTopicResult {
    let mut result = message!(CreatableTopicResult {
        name: asked.name.clone(),
        topic_id: if version >= TOPIC_IDS_FROM {
            id
        } else {
            Uuid::ZERO
        },
        configs: None,
    });
    if version >= DETAILS_FROM {
        let configs = new.config.iter().map(|(name, value)| {
            message!(CreatableTopicConfigs {
                name: text(name),
                value: Some(text(value)),
                config_source: TOPIC_CONFIG,
            })
        });
        result.num_partitions = new.partitions;
        result.replication_factor = 1;
        result.configs = Some(configs.collect());
    }
    result
}
