//! Where samples come from: files of a folder, or the events that a running tidegate recorded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use tidegate_contract::model::{SchemaFormat, SchemaIdPlace};
use tidegate_contract::schema_id::Written;
use tidegate_contract::{Contracts, Event, EventContract, event_type};

use crate::cli::client::{Client, Server, segment};
use crate::cli::contract::exchange::read;
use crate::cli::failure::{Exit, Failure};

/// Samples of one contract at most.
const MAX_SAMPLES: usize = 10_000;
/// From how many places of a partition recorded events are taken.
const WINDOWS: i64 = 4;

/// A sample: where it is from, and itself or why there is none.
pub(super) struct Sample {
    /// `order.json`, `order.ndjson:3` or `0@41`, a partition and an offset.
    pub(super) name: String,
    /// The file and the line in it; empty if it was recorded.
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) content: Content,
}

pub(super) enum Content {
    Text(String),
    Recorded(Box<Event>),
}

/// Finds the samples of a folder, by contract.
pub(super) fn written(
    folder: &Path,
    is_named: bool,
) -> Result<BTreeMap<String, Vec<Sample>>, Failure> {
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    if !folder.is_dir() {
        if is_named {
            let message = format!("there is no folder `{}`", folder.display());
            return Err(Failure::new(Exit::Usage, message)
                .with_hint("it holds a folder a contract, with `*.json` in it"));
        }
        return Ok(samples);
    }
    for inner in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let contract = name_of(&inner);
        for path in entries(&inner)? {
            let ending = path.extension().unwrap_or_default();
            let is_lines = ending == "ndjson" || ending == "jsonl";
            if !path.is_file() || !(is_lines || ending == "json") {
                continue;
            }
            let text = read(&path)?;
            let of = samples.entry(contract.clone()).or_default();
            let (name, file) = (name_of(&path), path.display().to_string());
            match is_lines {
                false => of.push(Sample {
                    name,
                    file,
                    line: 0,
                    content: Content::Text(text),
                }),
                true => of.extend(
                    (1..)
                        .zip(text.lines())
                        .filter(|(_, l)| !l.trim().is_empty())
                        .map(|(line, text)| Sample {
                            name: format!("{name}:{line}"),
                            file: file.clone(),
                            line,
                            content: Content::Text(text.to_owned()),
                        }),
                ),
            }
            if of.len() > MAX_SAMPLES {
                let message = format!(
                    "`{}` holds more than {MAX_SAMPLES} samples",
                    inner.display()
                );
                return Err(Failure::new(Exit::Usage, message).with_hint("fewer show the same"));
            }
        }
    }
    Ok(samples)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let wrong = |error: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format!("cannot read `{}`: {error}", folder.display()),
        )
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if !name_of(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Takes recorded events of every contract, spread over the partitions of its topic and over time.
pub(super) async fn recorded(
    url: &str,
    limit: u32,
    contracts: &Contracts,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Vec<Sample>>, Failure> {
    let client = Server::at(url).client()?;
    let mut samples = BTreeMap::new();
    for contract in contracts.iter().filter(|c| wanted(&c.name)) {
        let of = recorded_of(&client, limit, contract).await?;
        samples.insert(contract.name.clone(), of);
    }
    Ok(samples)
}

async fn recorded_of(
    client: &Client,
    limit: u32,
    contract: &EventContract,
) -> Result<Vec<Sample>, Failure> {
    let topic = segment(&contract.topic.name);
    let shown = match client.get(&format!("/v1/topics/{topic}")).await {
        Ok(shown) => shown,
        // The contract is not in force there: nothing was recorded.
        Err(failure) if failure.exit == Exit::NotFound => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    let partitions = shown["partition_offsets"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let limit = i64::from(limit).clamp(1, MAX_SAMPLES as i64);
    let lanes = i64::try_from(partitions.len()).unwrap_or(i64::MAX).max(1);
    let mut samples = Vec::new();
    for marks in partitions {
        let number = |name: &str| marks[name].as_i64().unwrap_or_default();
        let (start, end) = (number("log_start_offset"), number("high_watermark"));
        let left = limit - i64::try_from(samples.len()).unwrap_or(i64::MAX);
        for (from, count) in windows(start, end, (limit / lanes).max(1).min(left)) {
            let partition = number("partition");
            let path = format!(
                "/v1/topics/{topic}/events?partition={partition}&offset={from}&limit={count}"
            );
            let page = client.get(&path).await?;
            let events = page["events"].as_array().map_or(&[][..], Vec::as_slice);
            samples.extend(events.iter().map(|record| Sample {
                name: format!("{partition}@{}", record["offset"]),
                file: String::new(),
                line: 0,
                content: Content::Recorded(Box::new(event_of(record, contract))),
            }));
        }
    }
    Ok(samples)
}

/// Which offsets of a partition are read: first, last, and evenly between, `count` in all.
fn windows(start: i64, end: i64, count: i64) -> Vec<(i64, i64)> {
    let there = end.saturating_sub(start);
    if there <= 0 || count <= 0 {
        return Vec::new();
    }
    if there <= count {
        return vec![(start, there)];
    }
    let windows = WINDOWS.min(count);
    let size = count / windows;
    let last = end - size;
    (0..windows)
        .map(|number| {
            let from = match windows {
                1 => last,
                windows => start + (last - start) * number / (windows - 1),
            };
            (from, size)
        })
        .collect()
}

/// A record as the event that it holds (CloudEvents Kafka binding 1.0.2 §3.2).
fn event_of(record: &Value, contract: &EventContract) -> Event {
    let headers = record["headers"].as_array().map_or(&[][..], Vec::as_slice);
    let header = |name: &str| {
        let found = headers.iter().find(|header| header["name"] == name);
        found
            .and_then(|header| header["value"].as_str())
            .map(str::to_owned)
    };
    let data = match (&record["data"], record["data_base64"].as_str()) {
        (Value::Null, Some(text)) => tidegate_contract::samples::base64(text).map(Bytes::from),
        (Value::Null, None) => None,
        (value, _) => Some(Bytes::from(value.to_string())),
    };
    let (data, own_encoding) = without_id(data, contract);
    Event {
        // Whoever wrote without an envelope is held to the data alone.
        id: header("ce_id").unwrap_or_default(),
        source: header("ce_source")
            .unwrap_or_else(|| contract.event.source.for_plain_body().to_owned()),
        event_type: header("ce_type")
            .unwrap_or_else(|| event_type::example(&contract.event.event_type)),
        time: header("ce_time").or_else(|| record["time"].as_str().map(str::to_owned)),
        datacontenttype: header("content-type")
            .or_else(|| header("ce_datacontenttype"))
            .or_else(|| own_encoding.map(str::to_owned)),
        data,
        ..Event::default()
    }
}

/// Takes the schema's id off data that carries it, and says in which encoding that is then.
fn without_id(
    data: Option<Bytes>,
    contract: &EventContract,
) -> (Option<Bytes>, Option<&'static str>) {
    let format = contract.schema.format;
    let own = match format {
        SchemaFormat::Json => None,
        SchemaFormat::Avro => Some("application/avro"),
        SchemaFormat::Protobuf => Some("application/protobuf"),
    };
    match (contract.schema.schema_id, &data) {
        (Some(SchemaIdPlace::Prefix), Some(bytes)) => match Written::of_prefix(bytes, format) {
            Ok(Some((_, rest))) => (Some(bytes.slice_ref(rest)), own),
            _ => (data, None),
        },
        (Some(SchemaIdPlace::Header), Some(_)) => (data, own),
        _ => (data, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_inside_and_reach_both_ends() {
        let check = |range: (i64, i64), count, expected: &[(i64, i64)]| {
            assert_eq!(windows(range.0, range.1, count), expected);
        };
        check((0, 0), 10, &[]);
        check((5, 9), 10, &[(5, 4)]);
        check((0, 100), 8, &[(0, 2), (32, 2), (65, 2), (98, 2)]);
        check((10, 100), 1, &[(99, 1)]);
        check((10, 100), 3, &[(10, 1), (54, 1), (99, 1)]);
        check((0, 9), 0, &[]);
    }
}
