//! Kafka's own broker settings, as `--kafka-set KEY=VALUE` takes them.
//!
//! Each is declared once, below: name, default, bounds and help give the parser, DescribeConfigs
//! and the reference page. Names and meanings are Kafka's; a default that differs says so.

use std::fmt;

use crate::topic_settings::{MAX_MESSAGE_BYTES_LIMIT, TopicSettings};

/// Why a setting was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// Not `KEY=VALUE`.
    #[error("`{0}` is not `KEY=VALUE`")]
    Form(String),
    /// No setting of that name.
    #[error("unknown Kafka setting `{name}`\nhint: the nearest known one is `{nearest}`")]
    Unknown {
        /// As given.
        name: String,
        /// The most similar known name.
        nearest: &'static str,
    },
    /// A value the setting cannot have.
    #[error("Kafka setting `{name}` cannot be `{value}`: {expected}")]
    Value {
        /// The setting.
        name: &'static str,
        /// As given.
        value: String,
        /// What it can be.
        expected: String,
    },
}

/// A setting as tools and pages show it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// Kafka's name.
    pub name: &'static str,
    /// The value now.
    pub value: String,
    /// The value if nothing is set.
    pub default: String,
    /// What it does.
    pub help: &'static str,
    /// Its type, as DescribeConfigs names it.
    pub kind: Kind,
}

/// The type of a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
}

trait Value: Copy + fmt::Display {
    const KIND: Kind;
    type Bounds;
    fn parse(text: &str, bounds: &Self::Bounds) -> Result<Self, String>;
}

impl Value for bool {
    const KIND: Kind = Kind::Boolean;
    type Bounds = ();

    fn parse(text: &str, (): &()) -> Result<Self, String> {
        // Kafka takes either case.
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("it is `true` or `false`".to_owned()),
        }
    }
}

macro_rules! number {
    ($type:ty, $kind:expr) => {
        impl Value for $type {
            const KIND: Kind = $kind;
            type Bounds = std::ops::RangeInclusive<$type>;

            fn parse(text: &str, bounds: &Self::Bounds) -> Result<Self, String> {
                let number = text.parse().ok().filter(|number| bounds.contains(number));
                number.ok_or_else(|| {
                    format!("it is a number from {} to {}", bounds.start(), bounds.end())
                })
            }
        }
    };
}
number!(i32, Kind::Int);
number!(i64, Kind::Long);

macro_rules! settings {
    ($($name:literal $field:ident: $type:ty = $default:expr, $bounds:expr, $help:literal;)*) => {
        /// The settings of the Kafka port and of topics that say nothing themselves.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct Settings {
            $(#[doc = $help] pub $field: $type,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        const NAMES: &[&str] = &[$($name),*];

        impl Settings {
            /// Sets one by its name.
            ///
            /// # Errors
            /// `Unknown`, `Value`.
            pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
                match name {
                    $($name => {
                        self.$field = <$type as Value>::parse(value, &$bounds)
                            .map_err(|expected| SettingError::Value {
                                name: $name,
                                value: value.to_owned(),
                                expected,
                            })?;
                    })*
                    _ => return Err(unknown(name)),
                }
                Ok(())
            }

            /// Returns all settings, by name.
            pub fn shown(&self) -> Vec<Shown> {
                let default = Self::default();
                let mut shown = vec![$(Shown {
                    name: $name,
                    value: self.$field.to_string(),
                    default: default.$field.to_string(),
                    help: $help,
                    kind: <$type as Value>::KIND,
                }),*];
                shown.sort_by_key(|setting| setting.name);
                shown
            }
        }
    };
}

settings! {
    "num.partitions" num_partitions: i32 = 1, 1..=10_000,
        "Partitions of a topic that is created without a number.";
    "auto.create.topics.enable" auto_create_topics: bool = true, (),
        "Create a topic when a client asks for it by name.";
    "message.max.bytes" message_max_bytes: i32 = 1_048_588, 0..=MAX_MESSAGE_BYTES_LIMIT as i32,
        "The largest record batch, as sent.";
    "socket.request.max.bytes" socket_request_max_bytes: i32 = 104_857_600, 1_024..=i32::MAX,
        "The largest request; a larger one ends its connection.";
    "connections.max.idle.ms" connections_max_idle_ms: i64 = 600_000, 1..=i64::MAX,
        "How long a connection may be silent.";
    // Kafka has no limit; here each connection may hold memory, so there is one.
    "max.connections" max_connections: i32 = 10_000, 1..=1_000_000,
        "How many clients may be connected.";
    // Kafka: 57671680.
    "fetch.max.bytes" fetch_max_bytes: i32 = 33_554_432, 1_024..=1_073_741_824,
        "The most a fetch is answered with, whatever it asks for.";
    "log.retention.ms" log_retention_ms: i64 = 604_800_000, -1..=i64::MAX,
        "How long a topic keeps records; -1 is for ever.";
    "log.retention.bytes" log_retention_bytes: i64 = -1, -1..=i64::MAX,
        "How many bytes a partition keeps; -1 is all.";
    "log.retention.check.interval.ms" log_retention_check_interval_ms: i64 = 300_000, 1..=i64::MAX,
        "How often retention looks for what to delete.";
    "group.min.session.timeout.ms" group_min_session_timeout_ms: i32 = 6_000, 1..=i32::MAX,
        "The shortest session timeout a consumer may ask for.";
    "group.max.session.timeout.ms" group_max_session_timeout_ms: i32 = 1_800_000, 1..=i32::MAX,
        "The longest session timeout a consumer may ask for.";
    // Kafka: 3000, to gather members over a cluster.
    "group.initial.rebalance.delay.ms" group_initial_rebalance_delay_ms: i32 = 200, 0..=600_000,
        "How long an empty group waits for more members than the first.";
    // Kafka has no limit.
    "group.max.size" group_max_size: i32 = 10_000, 1..=1_000_000,
        "How many members a group may have.";
    "offsets.retention.minutes" offsets_retention_minutes: i32 = 10_080, 1..=i32::MAX,
        "How long committed offsets are kept once their group has no members.";
    "offsets.retention.check.interval.ms" offsets_retention_check_interval_ms: i64 = 600_000, 1..=i64::MAX,
        "How often offsets are looked for that expire.";
    // Kafka has none; KIP-578 would have added it under this name.
    "max.partitions" max_partitions: i32 = 100_000, 1..=1_000_000,
        "How many partitions all topics together may have.";
    "offset.metadata.max.bytes" offset_metadata_max_bytes: i32 = 4_096, 0..=65_536,
        "The longest note beside a committed offset.";
}

impl Settings {
    /// Sets one from `KEY=VALUE`.
    ///
    /// # Errors
    /// Every kind.
    pub fn assign(&mut self, assignment: &str) -> Result<(), SettingError> {
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| SettingError::Form(assignment.to_owned()))?;
        self.set(name.trim(), value.trim())
    }

    /// Returns what a topic gets that says nothing itself.
    pub fn topic_defaults(&self) -> TopicSettings {
        TopicSettings {
            retention_ms: self.log_retention_ms,
            retention_bytes: self.log_retention_bytes,
            max_message_bytes: usize::try_from(self.message_max_bytes)
                .expect("bounded from below by 0"),
        }
    }
}

fn unknown(name: &str) -> SettingError {
    let likeness = |known: &&&str| (1_000_000.0 * strsim::jaro_winkler(name, known)) as u32;
    let nearest = NAMES.iter().max_by_key(likeness);
    SettingError::Unknown {
        name: name.to_owned(),
        nearest: nearest.expect("there are settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_taken_or_refused_with_the_reason() {
        let check = |assignment: &str, expected: Result<(), &str>| {
            let result = Settings::default().assign(assignment);
            assert_eq!(
                result.map_err(|e| e.to_string()),
                expected.map_err(str::to_owned)
            );
        };
        check("num.partitions=3", Ok(()));
        check(" num.partitions = 3 ", Ok(()));
        check("auto.create.topics.enable=FALSE", Ok(()));
        check("log.retention.ms=-1", Ok(()));
        check("num.partitions", Err("`num.partitions` is not `KEY=VALUE`"));
        check(
            "num.partition=3",
            Err(
                "unknown Kafka setting `num.partition`\nhint: the nearest known one is `num.partitions`",
            ),
        );
        check(
            "group.initial.rebalance.delay=0",
            Err(
                "unknown Kafka setting `group.initial.rebalance.delay`\nhint: the nearest known one is `group.initial.rebalance.delay.ms`",
            ),
        );
        check(
            "num.partitions=0",
            Err("Kafka setting `num.partitions` cannot be `0`: it is a number from 1 to 10000"),
        );
        check(
            "auto.create.topics.enable=maybe",
            Err(
                "Kafka setting `auto.create.topics.enable` cannot be `maybe`: it is `true` or `false`",
            ),
        );
    }

    #[test]
    fn every_default_is_a_value_it_may_have() {
        let mut settings = Settings::default();
        for shown in Settings::default().shown() {
            settings
                .set(shown.name, &shown.default)
                .expect("a default is valid");
        }
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.topic_defaults(), TopicSettings::default());
    }
}
