//! A topic's settings, by Kafka's own names, parsed once.

use tidegate_event_log::{AlterTopic, TopicConfig};

/// What a topic's settings mean to the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TopicSettings {
    /// How long records are kept; -1 is for ever.
    pub retention_ms: i64,
    /// How many bytes of a partition are kept; -1 is all.
    pub retention_bytes: i64,
    /// The largest batch, as sent.
    pub max_message_bytes: usize,
}

/// What holds where a topic says nothing. Kafka's own defaults.
impl Default for TopicSettings {
    fn default() -> Self {
        Self {
            retention_ms: 604_800_000,
            retention_bytes: -1,
            max_message_bytes: 1_048_588,
        }
    }
}

/// The largest `max.message.bytes` that fits a group of the write-ahead log.
pub const MAX_MESSAGE_BYTES_LIMIT: usize = 4 * 1024 * 1024;

/// The most partitions a topic may have; each costs memory in every reader's table.
pub const PARTITIONS_LIMIT: u32 = 10_000;

/// The most bytes that a topic's settings may have, names and values: they are one record of the log,
/// and a part of every checkpoint.
const CONFIG_LIMIT_BYTES: usize = 64 * 1024;

/// Settings that are accepted because clients and tools send them and the log keeps what they ask
/// for, whatever their value.
const INDIFFERENT: [&str; 5] = [
    "min.insync.replicas",
    "segment.bytes",
    "segment.ms",
    "flush.messages",
    "flush.ms",
];

impl TopicSettings {
    /// Parses a topic's settings over `defaults`.
    ///
    /// # Errors
    /// What is wrong with which setting.
    pub fn parse(config: &TopicConfig, defaults: Self) -> Result<Self, String> {
        let mut settings = defaults;
        for (name, value) in config {
            match name.as_str() {
                "retention.ms" => settings.retention_ms = number(name, value, -1, i64::MAX)?,
                "retention.bytes" => settings.retention_bytes = number(name, value, -1, i64::MAX)?,
                "max.message.bytes" => {
                    let limit = MAX_MESSAGE_BYTES_LIMIT as i64;
                    let bytes = number(name, value, 0, limit)?;
                    settings.max_message_bytes = usize::try_from(bytes).unwrap_or(0);
                }
                "cleanup.policy" => match value.as_str() {
                    "delete" => {}
                    "compact" | "compact,delete" | "delete,compact" => {
                        return Err(format!("`{name}={value}` is not supported yet"));
                    }
                    _ => return Err(format!("`{value}` is no value of `{name}`")),
                },
                "compression.type" if value == "producer" => {}
                "message.timestamp.type" if value == "CreateTime" => {}
                "compression.type" | "message.timestamp.type" => {
                    return Err(format!("`{name}={value}` is not supported yet"));
                }
                name if INDIFFERENT.contains(&name) => {}
                _ => return Err(format!("unknown topic setting `{name}`")),
            }
        }
        Ok(settings)
    }
}

/// What a topic is after a change: its settings and its number of partitions.
///
/// # Errors
/// What cannot be.
pub fn altered(
    alter: &AlterTopic,
    config: &TopicConfig,
    partitions: u32,
) -> Result<(TopicConfig, u32), String> {
    let config = alter.applied_to(config);
    check_config(&config)?;
    let Some(wanted) = alter.partitions else {
        return Ok((config, partitions));
    };
    match u32::try_from(wanted) {
        Ok(wanted) if (partitions..=PARTITIONS_LIMIT).contains(&wanted) => Ok((config, wanted)),
        _ => Err(format!(
            "{wanted} partitions: the topic has {partitions}, may have up to {PARTITIONS_LIMIT}, and \
             never gets fewer"
        )),
    }
}

/// Checks the settings of a topic.
///
/// # Errors
/// What is wrong with which.
pub fn check_config(config: &TopicConfig) -> Result<(), String> {
    let settings = config.iter();
    let bytes: usize = settings.map(|(name, value)| name.len() + value.len()).sum();
    if bytes > CONFIG_LIMIT_BYTES {
        return Err(format!(
            "settings of {bytes} bytes: at most {CONFIG_LIMIT_BYTES} are possible"
        ));
    }
    TopicSettings::parse(config, TopicSettings::default()).map(|_| ())
}

fn number(name: &str, value: &str, least: i64, most: i64) -> Result<i64, String> {
    value
        .trim()
        .parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("`{name}={value}`: a number from {least} to {most} is needed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &[(&str, &str)], expected: Result<TopicSettings, &str>) {
        let config = settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let parsed = TopicSettings::parse(&config, TopicSettings::default());
        assert_eq!(parsed, expected.map_err(str::to_owned), "{settings:?}");
    }

    #[test]
    fn settings_are_parsed_or_refused_by_name() {
        let default = TopicSettings::default();
        check(&[], Ok(default));
        check(
            &[("retention.ms", "-1")],
            Ok(TopicSettings {
                retention_ms: -1,
                ..default
            }),
        );
        check(&[("cleanup.policy", "delete")], Ok(default));
        check(
            &[("cleanup.policy", "compact")],
            Err("`cleanup.policy=compact` is not supported yet"),
        );
        check(
            &[("retention.mss", "1")],
            Err("unknown topic setting `retention.mss`"),
        );
        check(
            &[("retention.bytes", "many")],
            Err("`retention.bytes=many`: a number from -1 to 9223372036854775807 is needed"),
        );
        check(
            &[("max.message.bytes", "99999999")],
            Err("`max.message.bytes=99999999`: a number from 0 to 4194304 is needed"),
        );
    }
}
