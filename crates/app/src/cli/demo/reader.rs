//! Reads topics back through the Kafka port with a client that is not ours: the library rskafka,
//! which is part of the binary, or the program kcat (librdkafka), which is installed apart.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use rskafka::BackoffConfig;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};

/// A client that reads the topics back.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Reader {
    /// The library rskafka, part of this binary.
    #[default]
    Rskafka,
    /// The program kcat, which has to be installed.
    Kcat,
}

/// A record as the client gives it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

/// A client in doubt tries again; after this long it says so.
const PATIENCE: Duration = Duration::from_secs(10);
const FETCH_BYTES: i32 = 8 * 1024 * 1024;
const FETCH_WAIT_MS: i32 = 100;
/// Partition, offset, length of key and value, and after that line key and value themselves.
const KCAT_FORMAT: &str = "%p %o %K %S\n%k%s\n";

impl Reader {
    /// Returns the client's name and version.
    ///
    /// # Errors
    /// It is not installed.
    pub(super) fn name(self) -> anyhow::Result<String> {
        match self {
            Self::Rskafka => Ok("the Rust client rskafka".to_owned()),
            Self::Kcat => {
                let output = Command::new("kcat").arg("-V").output();
                let output = output.context(
                    "`kcat` does not start\nhint: install it (`apt install kcat`), or leave `--reader` away",
                )?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let version = text.split_once("Version ").map(|(_, rest)| rest);
                let version = version.and_then(|rest| rest.split_whitespace().next());
                Ok(format!("kcat {}", version.unwrap_or_default())
                    .trim_end()
                    .to_owned())
            }
        }
    }

    /// Reads all of a topic.
    ///
    /// # Errors
    /// What the client says.
    pub(super) async fn read(self, address: SocketAddr, topic: &str) -> anyhow::Result<Vec<Found>> {
        match self {
            Self::Rskafka => read_with_library(address, topic).await,
            Self::Kcat => {
                let name = topic.to_owned();
                tokio::task::spawn_blocking(move || read_with_kcat(address, &name)).await?
            }
        }
        .with_context(|| format!("topic `{topic}` cannot be read through the Kafka port"))
    }
}

async fn read_with_library(address: SocketAddr, topic: &str) -> anyhow::Result<Vec<Found>> {
    let backoff = BackoffConfig {
        deadline: Some(PATIENCE),
        ..BackoffConfig::default()
    };
    let client = ClientBuilder::new(vec![address.to_string()])
        .client_id("tidegate-demo")
        .backoff_config(backoff)
        .build()
        .await?;
    let topics = client.list_topics().await?;
    let partitions = topics.into_iter().find(|found| found.name == topic);
    let partitions = partitions
        .ok_or_else(|| anyhow!("there is no such topic"))?
        .partitions;
    let mut found = Vec::new();
    for partition in partitions {
        let unknown = UnknownTopicHandling::Error;
        let client = client.partition_client(topic, partition, unknown).await?;
        read_partition(&client, &mut found).await?;
    }
    Ok(found)
}

async fn read_partition(client: &PartitionClient, found: &mut Vec<Found>) -> anyhow::Result<()> {
    let mut at = client.get_offset(OffsetAt::Earliest).await?;
    let end = client.get_offset(OffsetAt::Latest).await?;
    while at < end {
        let (records, _) = client
            .fetch_records(at, 1..FETCH_BYTES, FETCH_WAIT_MS)
            .await?;
        let last = records.last().map(|record| record.offset);
        at = last.ok_or_else(|| anyhow!("offset {at} of {end} is not there"))? + 1;
        found.extend(records.into_iter().map(|read| Found {
            topic: client.topic().to_owned(),
            partition: client.partition(),
            offset: read.offset,
            key: read.record.key,
            value: read.record.value,
        }));
    }
    Ok(())
}

fn read_with_kcat(address: SocketAddr, topic: &str) -> anyhow::Result<Vec<Found>> {
    let output = Command::new("kcat")
        .args(["-C", "-e", "-q", "-o", "beginning", "-f", KCAT_FORMAT])
        .args(["-X", &format!("fetch.wait.max.ms={FETCH_WAIT_MS}")])
        .args(["-b", &address.to_string(), "-t", topic])
        .output()
        .context("`kcat` does not start")?;
    if !output.status.success() {
        bail!("kcat: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    parse_kcat(topic, &output.stdout)
}

fn parse_kcat(topic: &str, mut output: &[u8]) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    while !output.is_empty() {
        let end = output.iter().position(|byte| *byte == b'\n');
        let (line, rest) = output.split_at(end.context("kcat's output ends in a line")?);
        let numbers = std::str::from_utf8(line)?.split(' ').map(str::parse);
        let numbers = numbers.collect::<Result<Vec<i64>, _>>()?;
        let [partition, offset, key, value] = numbers[..] else {
            bail!("kcat's output has a line of another form");
        };
        output = &rest[1..];
        // A length of -1 says that there is none.
        let mut take = |length: i64| {
            let Ok(length) = usize::try_from(length) else {
                return Ok(None);
            };
            ensure!(output.len() >= length, "kcat's output ends in a record");
            let (taken, rest) = output.split_at(length);
            output = rest;
            Ok(Some(taken.to_vec()))
        };
        found.push(Found {
            topic: topic.to_owned(),
            partition: partition.try_into()?,
            offset,
            key: take(key)?,
            value: take(value)?,
        });
        output = output
            .strip_prefix(b"\n")
            .context("kcat's output ends in a record")?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kcat_prints_is_taken_apart_by_lengths() {
        let found = |offset, key: Option<&str>, value: Option<&str>| Found {
            topic: "t".to_owned(),
            partition: 0,
            offset,
            key: key.map(|key| key.as_bytes().to_vec()),
            value: value.map(|value| value.as_bytes().to_vec()),
        };
        let output = b"0 7 1 3\nka\nb\n0 8 -1 -1\n\n0 9 0 0\n\n";
        let expected = vec![
            found(7, Some("k"), Some("a\nb")),
            found(8, None, None),
            found(9, Some(""), Some("")),
        ];
        assert_eq!(parse_kcat("t", output).unwrap(), expected);
        assert_eq!(parse_kcat("t", b"").unwrap(), []);
        for cut in 1..output.len() {
            // Cut between records it is shorter, cut inside one it is refused.
            match parse_kcat("t", &output[..cut]) {
                Ok(found) => assert_eq!(found[..], expected[..found.len()], "{cut}"),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}
