//! `contract test`: samples of events, from files or recorded by a running tidegate, against their
//! contracts and against every reader. The verdicts are the contract crate's; here samples are found
//! and findings written, in the forms of `contract check`.

mod samples;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tidegate_contract::exchange::pact::{self, Interaction, Pact};
use tidegate_contract::samples::{Found, RULES, Trial};
use tidegate_contract::{Contracts, EventContract};

use self::samples::{Content, Sample, recorded, written};
use super::check::Form;
use super::exchange::{failure, read};
use super::report::{Described, Finding, Report, Weight};
use super::{Folder, unknown};
use crate::cli::block_on;
use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

/// Findings that are written at most; the rest is counted.
const MAX_FOUND: usize = 1_000;

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
        reader: None,
        first_offset: None,
    }
}
