//! `contract new|lint|check|diff|test|export|import|list|readers|explain|lineage|schema`: contracts in files, without
//! a gateway unless one is named; `plan|apply|approve|rollback|rollout`: contracts in force in one.

mod adopt;
mod apply;
mod check;
mod exchange;
mod lineage;
mod new;
mod plan;
mod readers;
mod reference;
mod report;
mod rollout;
mod running;
mod trial;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tidegate_contract::date::Date;
use tidegate_contract::explain::{Explained, Origin};
use tidegate_contract::{Contracts, EventContract, format, load};

pub(super) use self::exchange::read as read_document;
use super::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

/// Contracts in files.
#[derive(Debug, Subcommand)]
pub(crate) enum Contract {
    /// Write a new contract, of arguments or of answers; says so where something else fits better.
    New(new::New),
    /// Check contracts; ends with 3 if one of them cannot be used.
    Lint(check::Lint),
    /// Hold contracts against an earlier state; ends with 3 if a change breaks somebody.
    Check(check::Check),
    /// Print what changed between two states of contracts, each change safe, risky or breaking.
    Diff(check::Diff),
    /// Try samples of events against contracts and their readers; ends with 3 if somebody fails.
    Test(trial::Test),
    /// Write contracts as AsyncAPI, ODCS or JSON Schema documents, or as pages.
    Export(exchange::Export),
    /// Read contracts from AsyncAPI or ODCS documents or from topics that exist, and readers from pacts.
    #[command(subcommand)]
    Import(exchange::Import),
    /// List who reads what; from a running gateway with how far each reader is.
    Readers(readers::Readers),
    /// Print what `apply` would do in a running gateway.
    Plan(apply::Plan),
    /// Put contracts in force in a running gateway.
    Apply(apply::Apply),
    /// Record that somebody approves of a plan.
    Approve(apply::Approve),
    /// Put an earlier version of a contract in force again.
    Rollback(apply::Rollback),
    /// List the contracts of a folder, or those in force.
    List {
        #[command(flatten)]
        folder: Folder,
        /// List those in force in the gateway at this address.
        #[arg(long, visible_alias = "url", value_name = "URL")]
        to: Option<String>,
        /// List the sets that were in force there, newest first.
        #[arg(long, requires = "to")]
        history: bool,
    },
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
    column("readers", "/readers"),
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
            Self::New(new) => new.run(ui),
            Self::Lint(lint) => lint.run(ui),
            Self::Check(check) => check.run(ui),
            Self::Diff(diff) => diff.run(ui),
            Self::Test(test) => test.run(ui),
            Self::Export(export) => export.run(ui),
            Self::Import(import) => import.run(ui),
            Self::Plan(plan) => super::block_on(plan.run(ui)),
            Self::Apply(apply) => super::block_on(apply.run(ui)),
            Self::Approve(approve) => super::block_on(approve.run(ui)),
            Self::Rollback(rollback) => super::block_on(rollback.run(ui)),
            Self::List {
                to: Some(url),
                history,
                ..
            } => super::block_on(apply::list(ui, url, history)),
            Self::List {
                folder: Folder { folder },
                ..
            } => {
                let set = read(&folder)?;
                let contracts: Vec<Value> = set.iter().map(|c| listed(&set, c)).collect();
                let contracts = json!({ "contracts": contracts });
                ui.print(&Answer::list(contracts, "contracts", LIST))
            }
            Self::Readers(readers) => readers.run(ui),
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

/// Returns the day by this machine's clock, for promises that have one.
fn today() -> Option<Date> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Date::of_unix_seconds(i64::try_from(now.as_secs()).ok()?)
}

fn read(folder: &Path) -> Result<Contracts, Failure> {
    load::folder(folder)
        .map_err(|found| Failure::of_findings(Exit::Found, found.iter().cloned().collect()))
}

fn listed(set: &Contracts, contract: &EventContract) -> Value {
    let readers = set.readers_of(&contract.name);
    let readers: Vec<&String> = readers.map(|reader| &reader.name).collect();
    json!({
        "name": contract.name,
        "version": contract.version.to_string(),
        "type": contract.event.event_type,
        "topic": contract.topic.name,
        "lifecycle": contract.lifecycle.as_str(),
        "readers": readers,
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
