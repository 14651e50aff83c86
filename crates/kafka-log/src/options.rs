//! What a cluster is reached by, and the settings of its clients that the promises of the log need. Those are pinned:
//! a setting that contradicts one is refused before anything connects.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::peer::PeerOptions;

/// The largest record that this log takes; librdkafka's own limit is far above.
pub(crate) const MAX_MESSAGE_BYTES: usize = 100 * 1024 * 1024;

/// What every producer has, whatever is set: name and value by librdkafka's names, and why.
pub const PINNED: [(&str, &str, &str); 7] = [
    ("acks", "all", "an ack means durable"),
    (
        "enable.idempotence",
        "true",
        "a retry of the client stores nothing twice and keeps the order",
    ),
    ("linger.ms", "0", "a lone event does not wait for others"),
    (
        "message.max.bytes",
        "104857600",
        "the limit of a topic decides",
    ),
    (
        "queue.buffering.max.messages",
        "100000",
        "every queue is bounded",
    ),
    (
        "queue.buffering.max.kbytes",
        "131072",
        "every queue is bounded",
    ),
    (
        "isolation.level",
        "read_committed",
        "readers see nothing that may be taken back",
    ),
];

/// Other names of librdkafka for a setting.
const ALIASES: [(&str, &str); 5] = [
    ("request.required.acks", "acks"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("compression.codec", "compression.type"),
];

/// What the log sets by itself, each time as it needs it.
const OURS: [&str; 15] = [
    "auto.offset.reset",
    "batch.num.messages",
    "batch.size",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "partitioner",
    "session.timeout.ms",
    "transaction.timeout.ms",
    "transactional.id",
];

/// How an external cluster is reached and used.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `host:port`, several with commas between them.
    pub brokers: String,
    /// Settings of the clients by librdkafka's names: `security.protocol`, `sasl.username`, `ssl.ca.location` …
    pub settings: BTreeMap<String, String>,
    /// The file that holds a bearer token for `sasl.mechanism=OAUTHBEARER`; read again before it ends.
    pub token_file: Option<PathBuf>,
    /// Copies of a topic that is created; `None`: three, or as many as there are nodes.
    pub replication: Option<i32>,
    /// Copies that an ack waits for; `None`: two of three, else one.
    pub min_insync: Option<i32>,
    /// How long an answer may take; an append is given up before that.
    pub deadline: Duration,
    /// How replicas reach each other.
    pub peer: PeerOptions,
}

/// The reason why a setting is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// The promises need another value.
    #[error(
        "kafka setting `{name}` cannot be `{value}`: it is `{pinned}`, because {why}\nhint: leave it out"
    )]
    Pinned {
        /// The setting's name, as given.
        name: String,
        /// Its value, as given.
        value: String,
        /// The value it has.
        pinned: &'static str,
        /// What depends on it.
        why: &'static str,
    },
    /// The log sets it by itself.
    #[error("kafka setting `{0}` is the log's own\nhint: leave it out")]
    Ours(String),
}

impl KafkaOptions {
    /// Makes options with the defaults for all but the address.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            settings: BTreeMap::new(),
            token_file: None,
            replication: None,
            min_insync: None,
            deadline: Duration::from_secs(5),
            peer: PeerOptions::default(),
        }
    }

    /// Looks for settings that contradict what the promises need.
    ///
    /// # Errors
    /// The first such setting.
    pub fn check(&self) -> Result<(), SettingError> {
        for (name, value) in &self.settings {
            let alias = ALIASES.iter().find(|(alias, _)| alias == name);
            let known = alias.map_or(name.as_str(), |(_, name)| name);
            if OURS.contains(&known) {
                return Err(SettingError::Ours(name.clone()));
            }
            let pinned = PINNED.iter().find(|(pinned, ..)| *pinned == known);
            if let Some((_, pinned, why)) = pinned.filter(|(_, pinned, _)| pinned != value) {
                return Err(SettingError::Pinned {
                    name: name.clone(),
                    value: value.clone(),
                    pinned,
                    why,
                });
            }
        }
        Ok(())
    }

    /// What all clients have in common.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "tidegate");
        for (name, value) in &self.settings {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// Asks and reads; sees what is committed only.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false");
        config
    }

    /// Appends, without a transaction.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        for (name, value, _) in PINNED {
            if name != "isolation.level" {
                config.set(name, value);
            }
        }
        // An answer is made of it before the caller gives up.
        let timeout = self.deadline.mul_f64(0.8).as_millis().max(1);
        config.set("delivery.timeout.ms", timeout.to_string());
        config
    }

    /// Asks for settings and changes topics, by way of one node that it takes for the controller.
    pub(crate) fn admin(&self) -> ClientConfig {
        let mut config = self.client();
        // The client asks no other node before it has looked who is left, which it does every 5 minutes by default.
        config.set("topic.metadata.refresh.interval.ms", "2000");
        config
    }
}

/// Values of settings may be secrets.
impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("brokers", &self.brokers)
            .field("settings", &self.settings.keys())
            .field("token_file", &self.token_file)
            .field("replication", &self.replication)
            .field("min_insync", &self.min_insync)
            .field("deadline", &self.deadline)
            .field("peer", &self.peer)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_contradicts_a_promise_is_refused() {
        for (name, value, refused) in [
            ("acks", "1", Some("an ack means durable")),
            ("request.required.acks", "0", Some("an ack means durable")),
            ("acks", "all", None),
            ("enable.idempotence", "false", Some("stores nothing twice")),
            ("linger.ms", "100", Some("does not wait")),
            ("queue.buffering.max.ms", "5", Some("does not wait")),
            ("isolation.level", "read_uncommitted", Some("taken back")),
            ("transactional.id", "mine", Some("the log's own")),
            ("message.timeout.ms", "1", Some("the log's own")),
            ("metadata.broker.list", "other:9092", Some("the log's own")),
            ("security.protocol", "sasl_ssl", None),
            ("compression.type", "zstd", None),
        ] {
            let mut options = KafkaOptions::new("localhost:9092");
            options.settings.insert(name.to_owned(), value.to_owned());
            let found = options.check().err().map(|error| error.to_string());
            match (refused, found) {
                (None, None) => {}
                (Some(part), Some(text)) => assert!(text.contains(part), "{name}: {text}"),
                (expected, found) => panic!("{name}={value}: {expected:?}, {found:?}"),
            }
        }
    }

    #[test]
    fn debug_shows_no_value_of_a_setting() {
        let mut options = KafkaOptions::new("localhost:9092");
        let (name, value) = ("sasl.password".to_owned(), "hunter2".to_owned());
        options.settings.insert(name, value);
        let text = format!("{options:?}");
        assert!(
            text.contains("sasl.password") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
