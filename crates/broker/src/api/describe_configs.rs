//! DescribeConfigs (32), versions 1-4: settings of topics and of this broker.
//!
//! Every known key comes with its value, where that is from, and what holds without it, because
//! tools read, change and write all of them. Departure: broker settings are those of
//! `--kafka-set`, read-only.

use super::{Caller, CloseReason, TopicKey};
use crate::settings::{Kind, Settings};
use crate::wire::describe_configs_request::DescribeConfigsResource;
use crate::wire::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{
    DescribeConfigsRequest, DescribeConfigsResponse, ErrorCode, StrBytes, message, text,
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value is from, as `ConfigSource` of Kafka numbers it.
mod source {
    pub(super) const TOPIC: i8 = 1;
    pub(super) const STATIC_BROKER: i8 = 4;
    pub(super) const DEFAULT: i8 = 5;
}

/// The type of a value, as `ConfigType` of Kafka numbers it.
mod kind {
    pub(super) const BOOLEAN: i8 = 1;
    pub(super) const STRING: i8 = 2;
    pub(super) const INT: i8 = 3;
    pub(super) const LONG: i8 = 5;
    pub(super) const LIST: i8 = 7;
}

/// A topic setting without a broker setting behind it: name, default, type.
const FIXED: [(&str, &str, i8); 8] = [
    ("cleanup.policy", "delete", kind::LIST),
    ("compression.type", "producer", kind::STRING),
    ("flush.messages", "9223372036854775807", kind::LONG),
    ("flush.ms", "9223372036854775807", kind::LONG),
    ("message.timestamp.type", "CreateTime", kind::STRING),
    ("min.insync.replicas", "1", kind::INT),
    ("segment.bytes", "1073741824", kind::INT),
    ("segment.ms", "604800000", kind::LONG),
];

/// A topic setting and the broker setting that holds where it is not set.
const INHERITED: [(&str, &str, i8); 3] = [
    ("max.message.bytes", "message.max.bytes", kind::INT),
    ("retention.bytes", "log.retention.bytes", kind::LONG),
    ("retention.ms", "log.retention.ms", kind::LONG),
];

pub(super) async fn answer(
    caller: &Caller,
    _client_id: &str,
    version: i16,
    request: DescribeConfigsRequest,
) -> Result<DescribeConfigsResponse, CloseReason> {
    let results = request.resources.into_iter().map(|resource| {
        let (error, reason, mut configs) = match describe(caller, &resource) {
            Ok(configs) => (ErrorCode::None, None, configs),
            Err((error, reason)) => (error, Some(text(reason)), Vec::new()),
        };
        // Nothing named asks for all, as null does (`ConfigHelper` of Kafka).
        let keys = resource.configuration_keys.as_deref().unwrap_or_default();
        if !keys.is_empty() {
            configs.retain(|config| keys.contains(&config.name));
        }
        for config in &mut configs {
            if !request.include_synonyms {
                config.synonyms.clear();
            }
            if !request.include_documentation {
                config.documentation = None;
            }
            if version < 3 {
                config.config_type = 0;
                config.documentation = None;
            }
        }
        message!(DescribeConfigsResult {
            error_code: error.code(),
            error_message: reason,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs,
        })
    });
    Ok(message!(DescribeConfigsResponse {
        results: results.collect(),
    }))
}

fn describe(
    caller: &Caller,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, (ErrorCode, String)> {
    let broker = caller.broker();
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            let topics = broker.topics();
            let topic = TopicKey::Name(name).find(&topics);
            let topic = topic.map_err(|error| (error, format!("no topic `{name}`")))?;
            let set = |key: &str| topic.config.get(key).map(String::as_str);
            Ok(topic_configs(broker.settings(), set))
        }
        // No name: the defaults of all brokers, of which none is set at run time.
        BROKER if name.is_empty() => Ok(Vec::new()),
        BROKER if name.parse() == Ok(broker.node_id()) => Ok(broker_configs(broker.settings())),
        BROKER => {
            let reason = format!("there is no broker `{name}`");
            Err((ErrorCode::InvalidRequest, reason))
        }
        other => {
            let reason = format!("resources of type `{other}` have no settings here");
            Err((ErrorCode::InvalidRequest, reason))
        }
    }
}

fn topic_configs<'a>(
    settings: &Settings,
    set: impl Fn(&str) -> Option<&'a str>,
) -> Vec<DescribeConfigsResourceResult> {
    let broker = settings.shown();
    let mut configs = Vec::new();
    for (name, default, kind) in FIXED {
        let mut synonyms = vec![synonym(name, default, source::DEFAULT)];
        let value = set(name);
        if let Some(value) = value {
            synonyms.insert(0, synonym(name, value, source::TOPIC));
        }
        configs.push(config(name, value.unwrap_or(default), kind, synonyms));
    }
    for (name, inherited, kind) in INHERITED {
        let Some(behind) = broker.iter().find(|shown| shown.name == inherited) else {
            continue;
        };
        let mut synonyms = broker_synonyms(behind.name, &behind.value, &behind.default);
        let value = set(name);
        if let Some(value) = value {
            synonyms.insert(0, synonym(name, value, source::TOPIC));
        }
        configs.push(config(name, value.unwrap_or(&behind.value), kind, synonyms));
    }
    configs.sort_by(|one, other| one.name.cmp(&other.name));
    configs
}

fn broker_configs(settings: &Settings) -> Vec<DescribeConfigsResourceResult> {
    let shown = settings.shown().into_iter().map(|shown| {
        let kind = match shown.kind {
            Kind::Boolean => kind::BOOLEAN,
            Kind::Int => kind::INT,
            Kind::Long => kind::LONG,
        };
        let synonyms = broker_synonyms(shown.name, &shown.value, &shown.default);
        let mut config = config(shown.name, &shown.value, kind, synonyms);
        config.read_only = true;
        config.documentation = Some(text(shown.help));
        config
    });
    shown.collect()
}

fn broker_synonyms(name: &str, value: &str, default: &str) -> Vec<DescribeConfigsSynonym> {
    let default_one = synonym(name, default, source::DEFAULT);
    if value == default {
        vec![default_one]
    } else {
        vec![synonym(name, value, source::STATIC_BROKER), default_one]
    }
}

fn synonym(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    message!(DescribeConfigsSynonym {
        name: text(name),
        value: Some(text(value)),
        source,
    })
}

/// Makes a setting; its source is that of the first synonym, which is the one in force.
fn config(
    name: &str,
    value: &str,
    kind: i8,
    synonyms: Vec<DescribeConfigsSynonym>,
) -> DescribeConfigsResourceResult {
    let source = synonyms
        .first()
        .map_or(source::DEFAULT, |first| first.source);
    message!(DescribeConfigsResourceResult {
        name: StrBytes::from(name),
        value: Some(text(value)),
        config_source: source,
        synonyms,
        config_type: kind,
    })
}
