//! IncrementalAlterConfigs (44), versions 0-1: settings of topics, durable when answered.
//!
//! All changes of a topic are made in one step or not at all. What a narrower retention no longer
//! keeps goes with the next upkeep. Departures: settings of the broker and of groups and client
//! metrics cannot be changed while it runs (42); topics of the product itself keep theirs (17).

use std::collections::{BTreeSet, HashMap};

use tidegate_event_log::{AlterTopic, TopicConfig};

use super::{Caller, CloseReason, TopicKey};
use crate::topics::TopicError;
use crate::wire::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::wire::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::wire::{
    ErrorCode, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, message, text,
};

/// The kind of a resource, as `ConfigResource.Type` of Kafka numbers it.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// What to do with a setting, as `AlterConfigOp.OpType` of Kafka numbers it.
mod operation {
    pub(super) const SET: i8 = 0;
    pub(super) const DELETE: i8 = 1;
    pub(super) const APPEND: i8 = 2;
    pub(super) const SUBTRACT: i8 = 3;
}

/// The one setting that is a list, and what it is where it is not set.
const LIST: (&str, &str) = ("cleanup.policy", "delete");

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    _version: i16,
    request: IncrementalAlterConfigsRequest,
) -> Result<IncrementalAlterConfigsResponse, CloseReason> {
    let mut times: HashMap<(i8, &str), usize> = HashMap::new();
    for resource in &request.resources {
        let key = (resource.resource_type, &*resource.resource_name);
        *times.entry(key).or_default() += 1;
    }
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let key = (resource.resource_type, &*resource.resource_name);
        let altered = if times.get(&key) == Some(&1) {
            alter(caller, resource, request.validate_only).await
        } else {
            let reason = "the request names the resource more than once";
            Err((ErrorCode::InvalidRequest, reason.to_owned()))
        };
        let (error, reason) = match altered {
            Ok(()) => (ErrorCode::None, None),
            Err((error, reason)) => (error, Some(text(reason))),
        };
        responses.push(message!(AlterConfigsResourceResponse {
            error_code: error.code(),
            error_message: reason,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }));
    }
    Ok(message!(IncrementalAlterConfigsResponse { responses }))
}

async fn alter(
    caller: &Caller,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), (ErrorCode, String)> {
    let broker = caller.broker();
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {}
        BROKER => {
            let reason = "settings of the broker are those it was started with (`--kafka-set`)";
            return Err((ErrorCode::InvalidRequest, reason.to_owned()));
        }
        other => {
            let reason = format!("resources of type `{other}` have no settings here");
            return Err((ErrorCode::InvalidRequest, reason));
        }
    }
    let topics = broker.topics();
    let topic = TopicKey::Name(name)
        .find(&topics)
        .map_err(|error| (error, format!("no topic `{name}`")))?;
    if topic.internal {
        let reason = format!("`{name}` is one of the product's own topics");
        return Err((ErrorCode::InvalidTopic, reason));
    }
    let alter = changes(&resource.configs, &topic.config)?;
    broker
        .check_alter(topic, &alter)
        .map_err(|error| refused(&error))?;
    if !validate_only {
        let altered = broker.alter_topic(name, alter).await;
        altered.map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// What the operations of a request come to on a topic with these settings.
fn changes(
    asked: &[AlterableConfig],
    present: &TopicConfig,
) -> Result<AlterTopic, (ErrorCode, String)> {
    let mut alter = AlterTopic::default();
    let mut seen = BTreeSet::new();
    for config in asked {
        let name = config.name.as_str();
        if !seen.insert(name) {
            let reason = format!("the request names setting `{name}` more than once");
            return Err((ErrorCode::InvalidRequest, reason));
        }
        if config.config_operation == operation::DELETE {
            alter.unset.insert(name.to_owned());
            continue;
        }
        let Some(value) = config.value.as_deref() else {
            let reason = format!("setting `{name}` has no value");
            return Err((ErrorCode::InvalidRequest, reason));
        };
        let value = match config.config_operation {
            operation::SET => value.to_owned(),
            operation::APPEND | operation::SUBTRACT if name != LIST.0 => {
                let reason = format!("setting `{name}` is no list to add to or take from");
                return Err((ErrorCode::InvalidConfig, reason));
            }
            operation::APPEND => list(present, |words| {
                let new = value.split(',').map(str::trim);
                let new: Vec<&str> = new.filter(|word| !words.contains(word)).collect();
                [words, new].concat()
            }),
            operation::SUBTRACT => list(present, |mut words| {
                words.retain(|word| !value.split(',').any(|gone| gone.trim() == *word));
                words
            }),
            other => {
                let reason = format!("`{other}` is no operation on setting `{name}`");
                return Err((ErrorCode::InvalidRequest, reason));
            }
        };
        alter.set.insert(name.to_owned(), value);
    }
    Ok(alter)
}

fn list<'a>(present: &'a TopicConfig, change: impl FnOnce(Vec<&'a str>) -> Vec<&'a str>) -> String {
    let words = present.get(LIST.0).map_or(LIST.1, String::as_str);
    change(words.split(',').collect()).join(",")
}

fn refused(error: &TopicError) -> (ErrorCode, String) {
    let code = match error {
        TopicError::Invalid(_) | TopicError::Exists | TopicError::TooMany(_) => {
            ErrorCode::InvalidConfig
        }
        TopicError::Unknown => ErrorCode::UnknownTopicOrPartition,
        TopicError::Unavailable(_) => ErrorCode::RequestTimedOut,
    };
    (code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::StrBytes;

    /// Names that are forgotten, and settings that are set.
    type Change<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

    fn check(asked: &[(&str, i8, Option<&str>)], expected: Result<Change<'_>, ErrorCode>) {
        let asked: Vec<_> = asked
            .iter()
            .map(|(name, operation, value)| {
                message!(AlterableConfig {
                    name: StrBytes::from(*name),
                    config_operation: *operation,
                    value: value.map(text),
                })
            })
            .collect();
        let found = changes(&asked, &TopicConfig::new()).map_err(|(code, _)| code);
        let expected = expected.map(|(unset, set)| AlterTopic {
            partitions: None,
            unset: unset.iter().map(|name| (*name).to_owned()).collect(),
            set: set
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        });
        assert_eq!(found, expected, "{asked:?}");
    }

    #[test]
    fn operations_become_one_change() {
        let cleanup = LIST.0;
        check(&[], Ok((&[], &[])));
        check(
            &[
                ("a", 0, Some("1")),
                ("b", 1, None),
                ("c", 1, Some("ignored")),
            ],
            Ok((&["b", "c"], &[("a", "1")])),
        );
        check(
            &[(cleanup, 2, Some("delete"))],
            Ok((&[], &[(cleanup, "delete")])),
        );
        check(
            &[(cleanup, 2, Some("compact"))],
            Ok((&[], &[(cleanup, "delete,compact")])),
        );
        check(
            &[(cleanup, 3, Some("compact"))],
            Ok((&[], &[(cleanup, "delete")])),
        );
        check(&[(cleanup, 3, Some("delete"))], Ok((&[], &[(cleanup, "")])));
        check(&[("a", 2, Some("1"))], Err(ErrorCode::InvalidConfig));
        check(&[("a", 0, None)], Err(ErrorCode::InvalidRequest));
        check(&[("a", 4, Some("1"))], Err(ErrorCode::InvalidRequest));
        check(
            &[("a", 0, Some("1")), ("a", 1, None)],
            Err(ErrorCode::InvalidRequest),
        );
    }
}
