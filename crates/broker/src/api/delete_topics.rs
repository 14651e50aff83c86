//! DeleteTopics (20), versions 1-6: topics away, by name or by id.
//!
//! Departure: topics of the product itself cannot be deleted (17).

use super::{Caller, CloseReason, TopicKey};
use crate::topics::TopicError;
use crate::wire::delete_topics_response::DeletableTopicResult;
use crate::wire::{
    DeleteTopicsRequest, DeleteTopicsResponse, ErrorCode, StrBytes, Uuid, message, text,
};

/// The first version that may name topics by id.
const TOPIC_IDS_FROM: i16 = 6;
/// The first version with a text beside the error.
const MESSAGES_FROM: i16 = 5;

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: DeleteTopicsRequest,
) -> Result<DeleteTopicsResponse, CloseReason> {
    let asked: Vec<(Option<StrBytes>, Uuid)> = if version < TOPIC_IDS_FROM {
        let names = request.topic_names.into_iter();
        names.map(|name| (Some(name), Uuid::ZERO)).collect()
    } else {
        let topics = request.topics.into_iter();
        topics.map(|topic| (topic.name, topic.topic_id)).collect()
    };
    let mut responses = Vec::with_capacity(asked.len());
    for (name, id) in asked {
        let deleted = delete(caller, name.as_deref(), id).await;
        responses.push(match deleted {
            Ok((name, id)) => message!(DeletableTopicResult {
                name: Some(name),
                topic_id: if version >= TOPIC_IDS_FROM {
                    id
                } else {
                    Uuid::ZERO
                },
            }),
            Err((error, reason)) => message!(DeletableTopicResult {
                name,
                topic_id: id,
                error_code: error.code(),
                error_message: reason.filter(|_| version >= MESSAGES_FROM).map(text),
            }),
        });
    }
    Ok(message!(DeleteTopicsResponse { responses }))
}

async fn delete(
    caller: &Caller,
    name: Option<&str>,
    id: Uuid,
) -> Result<(StrBytes, Uuid), (ErrorCode, Option<String>)> {
    let broker = caller.broker();
    let key = match name {
        Some(_) if !id.is_zero() => {
            let reason = "a topic is named by its name or by its id, not by both".to_owned();
            return Err((ErrorCode::InvalidRequest, Some(reason)));
        }
        Some(name) => TopicKey::Name(name),
        None => TopicKey::Id(id),
    };
    let topics = broker.topics();
    let topic = key.find(&topics).map_err(|error| (error, None))?;
    if topic.internal {
        let reason = format!("`{}` is one of the product's own topics", topic.name);
        return Err((ErrorCode::InvalidTopic, Some(reason)));
    }
    match broker.delete_topic(&topic.name).await {
        Ok(()) => Ok((text(&topic.name), Uuid::from_bytes(topic.id))),
        Err(TopicError::Unknown) => Err((ErrorCode::UnknownTopicOrPartition, None)),
        Err(error) => Err((ErrorCode::RequestTimedOut, Some(error.to_string()))),
    }
}
