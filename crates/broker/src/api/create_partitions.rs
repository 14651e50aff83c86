//! CreatePartitions (37), versions 0-3: topics grow, durable when answered.
//!
//! The partitions that a topic has stay as they are; a key may belong to another one afterwards.
//! Departures: topics of the product itself do not grow (17); more partitions than
//! `max.partitions` are refused as a breach of policy (44).

use std::collections::HashMap;

use tidegate_event_log::AlterTopic;

use super::{Caller, CloseReason, TopicKey};
use crate::topics::TopicError;
use crate::wire::create_partitions_request::CreatePartitionsTopic;
use crate::wire::create_partitions_response::CreatePartitionsTopicResult;
use crate::wire::{CreatePartitionsRequest, CreatePartitionsResponse, ErrorCode, message, text};

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    _version: i16,
    request: CreatePartitionsRequest,
) -> Result<CreatePartitionsResponse, CloseReason> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for topic in &request.topics {
        *times.entry(&topic.name).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let grown = if times.get(&*asked.name) == Some(&1) {
            grow(caller, asked, request.validate_only).await
        } else {
            let reason = "the request names the topic more than once";
            Err((ErrorCode::InvalidRequest, reason.to_owned()))
        };
        let (error, reason) = match grown {
            Ok(()) => (ErrorCode::None, None),
            Err((error, reason)) => (error, Some(text(reason))),
        };
        results.push(message!(CreatePartitionsTopicResult {
            name: asked.name.clone(),
            error_code: error.code(),
            error_message: reason,
        }));
    }
    Ok(message!(CreatePartitionsResponse { results }))
}

async fn grow(
    caller: &Caller,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let broker = caller.broker();
    let name = asked.name.as_str();
    let topics = broker.topics();
    let topic = TopicKey::Name(name)
        .find(&topics)
        .map_err(|error| (error, format!("no topic `{name}`")))?;
    if topic.internal {
        let reason = format!("`{name}` is one of the product's own topics");
        return Err((ErrorCode::InvalidTopic, reason));
    }
    let present = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if asked.count <= present {
        let reason = format!("`{name}` has {present} partitions, and gets more or stays");
        return Err((ErrorCode::InvalidPartitions, reason));
    }
    if let Some(assignments) = &asked.assignments {
        let new = asked.count - present;
        let count = i32::try_from(assignments.len()).unwrap_or(i32::MAX);
        if count != new || assignments.iter().any(|a| a.broker_ids.is_empty()) {
            let reason =
                format!("{count} assignments for {new} new partitions, each with a broker");
            return Err((ErrorCode::InvalidReplicaAssignment, reason));
        }
    }
    let alter = AlterTopic {
        partitions: Some(asked.count),
        ..AlterTopic::default()
    };
    broker
        .check_alter(topic, &alter)
        .map_err(|error| refused(&error))?;
    if !validate_only {
        let grown = broker.alter_topic(name, alter).await;
        grown.map_err(|error| refused(&error))?;
    }
    Ok(())
}

fn refused(error: &TopicError) -> (ErrorCode, String) {
    let code = match error {
        TopicError::Invalid(_) | TopicError::Exists => ErrorCode::InvalidPartitions,
        TopicError::TooMany(_) => ErrorCode::PolicyViolation,
        TopicError::Unknown => ErrorCode::UnknownTopicOrPartition,
        TopicError::Unavailable(_) => ErrorCode::RequestTimedOut,
    };
    (code, error.to_string())
}
