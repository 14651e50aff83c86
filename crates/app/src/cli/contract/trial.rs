//! `contract test`: samples of events, from files or recorded by a running tidegate, against their
//! contracts and against every reader. The verdicts are the contract crate's; here samples are found
//! and findings written, in the forms of `contract check`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tidegate_contract::exchange::pact::{self, Interaction, Pact};
use tidegate_contract::samples::{Found, RULES, Trial};
use tidegate_contract::{Contracts, Event, EventContract};

use super::check::Form;
use super::exchange::{failure, read};
use super::report::{Described, Finding, Report, Weight};
use super::{Folder, unknown};
use crate::cli::block_on;
use crate::cli::client::{Client, Server, segment};
use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

/// Samples of one contract at most.
const MAX_SAMPLES: usize = 10_000;
/// Findings that are written at most; the rest is counted.
const MAX_FOUND: usize = 1_000;
/// From how many places of a partition recorded events are taken.
const WINDOWS: i64 = 4;

/// Try samples of events against contracts and their readers.
#[derive(Args, Debug)]
pub(crate) struct Test {
    #[command(flatten)]
    folder: Folder,
    /// The folder of samples, `CONTRACT/NAME.json` or `CONTRACT/NAME.ndjson`; without it `samples` in the
    /// contracts' folder.
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    samples: Option<PathBuf>,
    /// Take events that a running gateway recorded in place of files.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// How many recorded events a contract are taken, spread over its topic.
    #[arg(long, value_name = "COUNT", default_value_t = 200, requires = "from")]
    limit: u32,
    /// A pact of version 4: each of its messages must be like one sample at least; may be repeated.
    #[arg(long, value_name = "FILE")]
    pact: Vec<PathBuf>,
    /// Only this contract; messages of pacts that name none are of it.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    #[command(flatten)]
    form: Form,
}

const FOUND: &[Column] = &[
    column("level", "/level"),
    column("contract", "/contract"),
    column("reader", "/reader"),
    column("sample", "/sample"),
    column("at", "/at"),
    column("why", "/why"),
    wide("rule", "/rule"),
];

/// A sample: where it is from, and itself or why there is none.
struct Sample {
    /// `order.json`, `order.ndjson:3` or `0@41`, a partition and an offset.
    name: String,
    /// The file and the line in it; empty if it was recorded.
    file: String,
    line: u32,
    content: Content,
}

enum Content {
    Text(String),
    Recorded(Box<Event>),
}

/// A message of a pact, with the contract that it is of.
struct Message<'p> {
    contract: String,
    consumer: &'p str,
    interaction: &'p Interaction,
}

/// Something found, with where.
struct Told {
    contract: String,
    sample: String,
    file: String,
    line: u32,
    found: Found,
}

impl Test {
    /// Tries all samples and prints who fails on which, and why.
    ///
    /// # Errors
    /// `Found` if somebody fails, or the contracts cannot be used; `Usage`, `NotFound`, the gateway's.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let folder = &self.folder.folder;
        let contracts = self.form.read(ui, "contract test", folder)?;
        if let Some(name) = &self.contract
            && contracts.by_name(name).is_none()
        {
            return Err(unknown(&contracts, name));
        }
        let wanted = |name: &str| self.contract.as_deref().is_none_or(|only| only == name);
        let samples = match &self.from {
            Some(url) => block_on(recorded(url, self.limit, &contracts, &wanted))?,
            None => {
                let folder = match &self.samples {
                    Some(folder) => folder.clone(),
                    None => folder.join("samples"),
                };
                written(&folder, self.samples.is_some())?
            }
        };
        let mut pacts = Vec::new();
        for file in &self.pact {
            let name = file.display().to_string();
            let read = pact::read(&name, &read(file)?);
            pacts.push((name, read.map_err(|error| failure(Exit::Usage, error))?));
        }
        let mut tried = Tried::default();
        tried.strangers(&samples, &contracts);
        let messages = tried.messages(&pacts, &contracts, self.contract.as_deref());
        for contract in contracts.iter().filter(|c| wanted(&c.name)) {
            let of = samples.get(&contract.name).map_or(&[][..], Vec::as_slice);
            tried.contract(&contracts, contract, of, &messages);
        }
        tried.print(ui, &self.form)
    }
}

/// What all trials came to.
#[derive(Default)]
struct Tried {
    contracts: Vec<String>,
    samples: usize,
    told: Vec<Told>,
    more: usize,
    more_errors: usize,
}

impl Tried {
    fn push(&mut self, told: Told) {
        if self.told.len() >= MAX_FOUND {
            self.more += 1;
            self.more_errors += usize::from(told.found.is_error);
            return;
        }
        self.told.push(told);
    }

    /// Samples of contracts that there are not.
    fn strangers(&mut self, samples: &BTreeMap<String, Vec<Sample>>, contracts: &Contracts) {
        for (name, of) in samples {
            if let (None, Some(first)) = (contracts.by_name(name), of.first()) {
                self.push(Told {
                    contract: name.clone(),
                    sample: first.name.clone(),
                    file: first.file.clone(),
                    line: 0,
                    found: Found {
                        rule: "sample-unreadable",
                        reader: None,
                        pointer: String::new(),
                        detail: format!("there is no contract `{name}`"),
                        is_error: true,
                    },
                });
            }
        }
    }

    /// Finds the contract of each message of the pacts; what has none, or cannot be judged, is found.
    fn messages<'p>(
        &mut self,
        pacts: &'p [(String, Pact)],
        contracts: &Contracts,
        only: Option<&str>,
    ) -> Vec<Message<'p>> {
        let mut messages = Vec::new();
        for (file, pact) in pacts {
            let mut tell = |contract: &str, detail: String, is_error| {
                self.push(Told {
                    contract: contract.to_owned(),
                    sample: String::new(),
                    file: file.clone(),
                    line: 0,
                    found: Found {
                        rule: "pact-not-judged",
                        reader: Some(pact.consumer.clone()),
                        pointer: String::new(),
                        detail,
                        is_error,
                    },
                });
            };
            for told in &pact.told {
                tell("", told.clone(), false);
            }
            for interaction in &pact.interactions {
                let named = interaction.contract(Some(contracts));
                let named = named.or_else(|| only.map(str::to_owned));
                let what = &interaction.description;
                match named {
                    Some(contract) if contracts.by_name(&contract).is_some() => {
                        messages.push(Message {
                            contract,
                            consumer: &pact.consumer,
                            interaction,
                        });
                    }
                    Some(other) => {
                        tell(
                            &other,
                            format!("message `{what}` is of `{other}`, which is no contract here"),
                            true,
                        );
                    }
                    None => tell(
                        "",
                        format!("message `{what}` names no contract: say it with `--contract`"),
                        true,
                    ),
                }
            }
        }
        messages
    }

    fn contract(
        &mut self,
        all: &Contracts,
        contract: &EventContract,
        samples: &[Sample],
        messages: &[Message<'_>],
    ) {
        self.contracts.push(contract.name.clone());
        self.samples += samples.len();
        let readers = all.readers_of(&contract.name).map(|reader| &**reader);
        let mut trial = Trial::new(contract, readers);
        for message in messages.iter().filter(|m| m.contract == contract.name) {
            trial.expect(message.consumer, message.interaction);
        }
        for sample in samples {
            let event = match &sample.content {
                Content::Text(text) => trial.read(text.as_bytes()),
                Content::Recorded(event) => Ok((**event).clone()),
            };
            let found = match event {
                Ok(event) => trial.try_event(&event),
                Err(found) => vec![found],
            };
            for found in found {
                self.push(Told {
                    contract: contract.name.clone(),
                    sample: sample.name.clone(),
                    file: sample.file.clone(),
                    line: sample.line,
                    found,
                });
            }
        }
        for found in trial.finish() {
            let reader = found
                .reader
                .as_deref()
                .and_then(|reader| all.reader(reader));
            let file = reader.map_or(contract.file(), |reader| reader.file());
            self.push(Told {
                contract: contract.name.clone(),
                sample: String::new(),
                file: file.to_owned(),
                line: 0,
                found,
            });
        }
    }

    fn print(self, ui: &Ui, form: &Form) -> Result<(), Failure> {
        let errors = self.told.iter().filter(|told| told.found.is_error).count() + self.more_errors;
        let counted = format!(
            "{} contracts, {} samples",
            self.contracts.len(),
            self.samples
        );
        let values: Vec<Value> = self.told.iter().map(value).collect();
        let value = json!({
            "contracts": self.contracts.len(),
            "samples": self.samples,
            "findings": values,
            "more": self.more,
        });
        let report = Report {
            command: "contract test",
            contracts: self.contracts,
            findings: self.told.iter().map(finding).collect(),
            rules: RULES
                .iter()
                .map(|rule| Described {
                    name: rule.name,
                    what: rule.what,
                })
                .collect(),
        };
        let mut answer = Answer::list(value, "findings", FOUND);
        if self.told.is_empty() {
            answer = answer.with_text(format!("{counted}, nothing found"));
        }
        form.print(ui, &report, answer)?;
        if self.more > 0 {
            ui.note(&format!("{} more findings are not shown", self.more));
        }
        match errors {
            0 => Ok(()),
            count => {
                let findings = if count == 1 { "finding" } else { "findings" };
                Err(Failure::new(
                    Exit::Found,
                    format!("{count} {findings} in {counted}"),
                ))
            }
        }
    }
}

fn value(told: &Told) -> Value {
    let found = &told.found;
    json!({
        "level": if found.is_error { "error" } else { "warning" },
        "rule": found.rule,
        "contract": told.contract,
        "reader": found.reader,
        "sample": told.sample,
        "at": found.pointer,
        "why": found.detail,
        "file": told.file,
        "line": told.line,
    })
}

fn finding(told: &Told) -> Finding {
    let found = &told.found;
    let mut message = String::new();
    if let Some(reader) = &found.reader {
        message.push_str(&format!("reader `{reader}`: "));
    }
    if told.file.is_empty() {
        message.push_str(&format!("recorded event `{}`: ", told.sample));
    }
    if !found.pointer.is_empty() {
        message.push_str(&format!("`{}`: ", found.pointer));
    }
    message.push_str(&found.detail);
    Finding {
        weight: match found.is_error {
            true => Weight::Error,
            false => Weight::Warning,
        },
        rule: found.rule.to_owned(),
        contract: told.contract.clone(),
        file: told.file.clone(),
        line: told.line,
        column: 0,
        message,
        hint: None,
    }
}

/// Finds the samples of a folder, by contract.
fn written(folder: &Path, is_named: bool) -> Result<BTreeMap<String, Vec<Sample>>, Failure> {
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
async fn recorded(
    url: &str,
    limit: u32,
    contracts: &Contracts,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Vec<Sample>>, Failure> {
    let client = Server::at(url.to_owned()).client()?;
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
    Event {
        // Whoever wrote without an envelope is held to the data alone.
        id: header("ce_id").unwrap_or_default(),
        source: header("ce_source")
            .unwrap_or_else(|| contract.event.source.for_plain_body().to_owned()),
        event_type: header("ce_type").unwrap_or_else(|| contract.event.event_type.clone()),
        time: header("ce_time").or_else(|| record["time"].as_str().map(str::to_owned)),
        datacontenttype: header("content-type").or_else(|| header("ce_datacontenttype")),
        data,
        ..Event::default()
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
