//! The settings of `serve`: `tidegate.default.yaml`, over it a file, the environment and flags.
//!
//! The default file is the declaration: a key that is not in it is refused with the nearest one.
//! Every value keeps where it came from, so that a wrong one is found. Reads no file but the one
//! it is given; what the values do is `wire.rs`'s.

mod certificates;
mod exposure;
mod issuers;
mod layers;
mod named;
mod read;
mod sources;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tidegate_gateway::tls;

pub(crate) use self::layers::Layers;
#[cfg(test)]
pub(crate) use self::read::LEAST_SEGMENT_BYTES;
pub(crate) use self::sources::Source;

/// The settings, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data: Option<PathBuf>,
    pub(crate) contracts: Option<PathBuf>,
    pub(crate) ingress: Ingress,
    pub(crate) sources: Vec<Source>,
    pub(crate) identity: Identity,
    pub(crate) region: Option<String>,
    pub(crate) hash_key: Option<SecretReference>,
    pub(crate) registry: Registry,
    pub(crate) kafka: Kafka,
    pub(crate) operations: Operations,
    /// In place of the embedded log.
    pub(crate) kafka_log: Option<KafkaLog>,
    pub(crate) log: Log,
}

/// The door for events and the API.
#[derive(Debug)]
pub(crate) struct Ingress {
    pub(crate) listen: Listen,
    pub(crate) tls: Option<tls::Files>,
    pub(crate) max_connections: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) answer_deadline: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) max_event_streams: usize,
    pub(crate) max_event_bytes: usize,
    pub(crate) max_batch_bytes: usize,
    pub(crate) max_batch_events: usize,
    pub(crate) max_inflight_bytes: usize,
}

/// Who calls.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) required: bool,
    pub(crate) first_key: Option<SecretReference>,
    pub(crate) issuers: Vec<tidegate_gateway::Issuer>,
    pub(crate) certificates: Vec<tidegate_gateway::CertificateHolder>,
}

/// The schema registry.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) listen: Listen,
    pub(crate) tls: Option<tls::Files>,
}

/// The Kafka port.
#[derive(Debug)]
pub(crate) struct Kafka {
    pub(crate) listen: Listen,
    pub(crate) settings: Vec<KafkaSetting>,
}

/// One of Kafka's own settings, not yet checked: the broker knows them.
#[derive(Debug)]
pub(crate) struct KafkaSetting {
    pub(crate) name: String,
    pub(crate) value: String,
    /// Where it was written, for a message about it.
    pub(crate) origin: String,
}

/// The operations door.
#[derive(Debug)]
pub(crate) struct Operations {
    pub(crate) listen: Listen,
    pub(crate) tls: Option<tls::Files>,
}

/// An existing cluster that keeps the log.
#[derive(Debug)]
pub(crate) struct KafkaLog {
    pub(crate) brokers: String,
    /// By librdkafka's names; a value may be a reference to it.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) replication: Option<i32>,
    pub(crate) min_insync: Option<i32>,
    pub(crate) peer: SocketAddr,
    pub(crate) peer_advertised: Option<String>,
    pub(crate) peer_secret: Option<SecretReference>,
}

/// The embedded log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) wal_segment_bytes: u64,
    pub(crate) wal_budget_bytes: u64,
    pub(crate) writes_in_flight: usize,
    pub(crate) hot_memory_bytes: usize,
    pub(crate) claims_budget_bytes: u64,
    pub(crate) ship_bytes: u64,
    pub(crate) ship_after: Duration,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) checkpoint_after: Duration,
    pub(crate) checkpoint_objects: u64,
    pub(crate) delete_after: Duration,
}

/// An address of this machine. Whether a door may have it, `exposure.rs` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Listen(pub(crate) SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbered = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        let address: SocketAddr = numbered
            .parse()
            .map_err(|_| format!("`{text}` is not an address such as `127.0.0.1:8080`"))?;
        Ok(Self(address))
    }
}

/// Where a secret is kept. The secret itself stands in no file, flag or output.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SecretReference {
    Environment(String),
    File(PathBuf),
}

impl FromStr for SecretReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            // The text may be the secret itself, so it is not repeated.
            _ => Err("a secret is a reference, `env:NAME` or `file:PATH`".to_owned()),
        }
    }
}

impl SecretReference {
    /// Fetches the secret; a line's end after it is not part of it.
    ///
    /// # Errors
    /// It is not there, or empty.
    pub(crate) fn resolve(&self) -> anyhow::Result<tidegate_gateway::Secret> {
        use anyhow::Context as _;
        let (bytes, place) = match self {
            Self::Environment(name) => {
                let place = format!("environment variable `{name}`");
                let value =
                    std::env::var_os(name).with_context(|| format!("{place} is not set"))?;
                (value.into_encoded_bytes(), place)
            }
            Self::File(path) => {
                let place = format!("secret file `{}`", path.display());
                (std::fs::read(path).with_context(|| place.clone())?, place)
            }
        };
        let end = bytes
            .iter()
            .rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        let secret = &bytes[..end.map_or(0, |last| last + 1)];
        anyhow::ensure!(!secret.is_empty(), "{place} is empty");
        Ok(tidegate_gateway::Secret::new(secret))
    }
}

#[cfg(test)]
mod tests;
