//! From librdkafka's errors to what a caller can do. Pure. An append counts as not stored only where the code says so
//! whatever happened to earlier tries of the client; everything else is in doubt.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tidegate_event_log::LogError;

/// What became of an append that failed.
pub(crate) fn delivery(error: &KafkaError, topic: &str) -> LogError {
    use RDKafkaErrorCode as Code;
    let Some(code) = error.rdkafka_error_code() else {
        return LogError::in_doubt(error.to_string());
    };
    match code {
        Code::MessageSizeTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::PolicyViolation
        | Code::InvalidArgument => {
            LogError::Invalid(format!("topic `{topic}` refuses the record: {code}"))
        }
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic => LogError::NotFound(format!("topic `{topic}`: {code}")),
        // Refused before it was sent, or by the broker before it looked at the record.
        Code::QueueFull
        | Code::PurgeQueue
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::SaslAuthenticationFailed => {
            LogError::not_stored(format!("topic `{topic}`: {code}"))
        }
        _ => LogError::in_doubt(format!("topic `{topic}`: {code}")),
    }
}

/// A question that failed; nothing was to be stored.
pub(crate) fn question(error: &KafkaError, about: &str) -> LogError {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopicId,
        ) => LogError::NotFound(format!("`{about}`: {error}")),
        Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
            LogError::Invalid(format!("`{about}`: the offset is outside of what is kept"))
        }
        _ => LogError::not_stored(format!("`{about}`: {error}")),
    }
}

/// Says whether a question came to a node that is not the leader, or not yet: by itself that is over soon.
pub(crate) fn is_between_leaders(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::FencedLeaderEpoch
                | Code::UnknownLeaderEpoch
        )
    )
}

/// A change of a topic that was not even made, or that the cluster did not answer.
pub(crate) fn creation(error: &KafkaError, topic: &str) -> LogError {
    match error {
        KafkaError::AdminOpCreation(_) => LogError::Invalid(format!("topic `{topic}`: {error}")),
        _ => match error.rdkafka_error_code() {
            Some(code) => change(code, topic),
            None => LogError::in_doubt(format!("topic `{topic}`: {error}")),
        },
    }
}

/// A change of a topic that failed.
pub(crate) fn change(code: RDKafkaErrorCode, topic: &str) -> LogError {
    use RDKafkaErrorCode as Code;
    let text = format!("topic `{topic}`: {code}");
    match code {
        Code::TopicAlreadyExists => LogError::Conflict(text),
        Code::UnknownTopicOrPartition | Code::UnknownTopic => LogError::NotFound(text),
        Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidConfig
        | Code::InvalidRequest
        | Code::PolicyViolation => LogError::Invalid(text),
        _ => LogError::in_doubt(text),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_event_log::Outcome;

    use super::*;

    #[test]
    fn only_what_cannot_be_in_the_log_counts_as_not_stored() {
        use RDKafkaErrorCode as Code;
        for (code, expected) in [
            (Code::QueueFull, Outcome::NotStored),
            (Code::MessageSizeTooLarge, Outcome::NotStored),
            (Code::UnknownPartition, Outcome::NotStored),
            (Code::PurgeQueue, Outcome::NotStored),
            (Code::PurgeInflight, Outcome::Unknown),
            (Code::MessageTimedOut, Outcome::Unknown),
            (Code::RequestTimedOut, Outcome::Unknown),
            (Code::NotEnoughReplicas, Outcome::Unknown),
            (Code::NotEnoughReplicasAfterAppend, Outcome::Unknown),
            (Code::BrokerTransportFailure, Outcome::Unknown),
        ] {
            let error = delivery(&KafkaError::MessageProduction(code), "t");
            assert_eq!(error.outcome(), expected, "{code:?}");
        }
    }
}
