//! `contract lint|check|diff|list|explain|lineage|schema`: contracts in files, without a gateway; and
//! `contract rollout`: bridges of one that runs.

mod check;
mod lineage;
mod reference;
mod report;
mod rollout;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_contract::explain::{Explained, Origin};
use tidegate_contract::{Contracts, EventContract, format, load};

use super::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

/// Contracts in files.
#[derive(Debug, Subcommand)]
pub(crate) enum Contract {
    /// Check contracts; ends with 3 if one of them cannot be used.
    Lint(check::Lint),
    /// Hold contracts against an earlier state; ends with 3 if a change breaks somebody.
    Check(check::Check),
    /// Print what changed between two states of contracts, each change safe, risky or breaking.
    Diff(check::Diff),
    /// List the contracts.
    List(Folder),
    /// Print every value in force for a contract, and why.
    Explain {
        /// The contract's name.
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
    /// Draw where events come from, which bridges copy them and who reads them.
    Lineage(lineage::Lineage),
    /// Bridges from earlier event types: what they do, and what to do when a canary failed.
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Print the JSON Schema of contract files, for editors.
    Schema,
}

/// Where contracts are.
#[derive(Args, Debug)]
pub(crate) struct Folder {
    /// The folder of contracts.
    #[arg(value_name = "DIR", default_value = "contracts")]
    folder: PathBuf,
}

const LIST: &[Column] = &[
    column("name", "/name"),
    column("version", "/version"),
    column("type", "/type"),
    column("topic", "/topic"),
    column("lifecycle", "/lifecycle"),
    wide("class", "/class"),
    wide("owner", "/owner"),
    wide("domain", "/domain"),
    wide("file", "/file"),
    wide("summary", "/summary"),
];

const EXPLAINED: &[Column] = &[
    column("key", "/key"),
    column("value", "/value"),
    column("origin", "/origin"),
    column("reason", "/reason"),
];

impl Contract {
    /// Reads the files and prints.
    ///
    /// # Errors
    /// `Found` if contracts cannot be used, `NotFound`.
    pub(crate) fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::Lint(lint) => lint.run(ui),
            Self::Check(check) => check.run(ui),
            Self::Diff(diff) => diff.run(ui),
            Self::List(Folder { folder }) => {
                let contracts: Vec<Value> = read(&folder)?.iter().map(|c| listed(c)).collect();
                let contracts = json!({ "contracts": contracts });
                ui.print(&Answer::list(contracts, "contracts", LIST))
            }
            Self::Explain { name, folder } => {
                let contracts = read(&folder.folder)?;
                let contract = contracts
                    .by_name(&name)
                    .ok_or_else(|| unknown(&contracts, &name))?;
                let keys: Vec<Value> = contract
                    .explain()
                    .iter()
                    .map(|e| explained(contract, e))
                    .collect();
                let answer = json!({ "name": contract.name, "keys": keys });
                ui.print(&Answer::list(answer, "keys", EXPLAINED))
            }
            Self::Lineage(lineage) => lineage.run(ui),
            Self::Rollout(rollout) => super::block_on(rollout.run(ui)),
            Self::Schema => {
                let schema = format::json_schema();
                let text = format!("{schema:#}");
                ui.print(&Answer::one(schema, &[]).with_text(text))
            }
        }
    }
}

fn read(folder: &Path) -> Result<Contracts, Failure> {
    load::folder(folder)
        .map_err(|found| Failure::of_findings(Exit::Found, found.iter().cloned().collect()))
}

fn listed(contract: &EventContract) -> Value {
    json!({
        "name": contract.name,
        "version": contract.version.to_string(),
        "type": contract.event.event_type,
        "topic": contract.topic.name,
        "lifecycle": contract.lifecycle.as_str(),
        "class": contract.class.as_str(),
        "owner": contract.owner,
        "domain": contract.domain,
        "summary": contract.summary,
        "file": contract.file(),
    })
}

fn explained(contract: &EventContract, explained: &Explained) -> Value {
    let origin = match explained.origin {
        Origin::Written(line) => format!("{}:{line}", contract.file()),
        Origin::Default => "default".to_owned(),
        Origin::Absent => "absent".to_owned(),
    };
    json!({
        "key": explained.key,
        "value": explained.value,
        "origin": origin,
        "reason": explained.reason,
    })
}

fn unknown(contracts: &Contracts, name: &str) -> Failure {
    let failure = Failure::new(Exit::NotFound, format!("there is no contract `{name}`"));
    let likeness = |other: &&String| (1e6 * strsim::jaro_winkler(name, other)) as u32;
    match contracts
        .iter()
        .map(|contract| &contract.name)
        .max_by_key(likeness)
    {
        Some(nearest) => failure.with_hint(format!("the nearest one is `{nearest}`")),
        None => failure.with_hint("there are no contracts in this folder"),
    }
}
