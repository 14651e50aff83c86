//! `contract plan|apply|approve|rollback` and `list --to`: contracts in force in a running gateway.
//! The gateway decides; what is sent are the files as they are.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use tidegate_contract::load;

use super::{Folder, LIST, plan};
use crate::cli::client::{Client, Server};
use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

pub(super) const PLANS: &str = "/v1/contract-plans";
const SETS: &str = "/v1/contract-sets";

/// What may be done beside putting documents in force.
#[derive(Args, Debug)]
struct Options {
    /// Look at these documents only.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Take this document out of force; a contract's topic and history stay.
    #[arg(long, value_name = "NAME")]
    delete: Vec<String>,
    /// Delete this topic of a contract that is taken out, with all its events.
    #[arg(long, value_name = "TOPIC")]
    delete_topic: Vec<String>,
    /// Let the topic of this contract keep less, or take smaller messages.
    #[arg(long, value_name = "NAME")]
    allow_narrowing: Vec<String>,
    /// Give a topic more partitions although that breaks the order of its keys.
    #[arg(long)]
    migrating: bool,
}

/// Print what `apply` would do.
#[derive(Args, Debug)]
pub(crate) struct Plan {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    options: Options,
    /// End with 3 if there is something to do.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Who applies, and what.
#[derive(Args, Debug)]
struct Applying {
    /// Apply only if the plan is this one.
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
    /// Who applies, `$USER` if nobody is named; declared, as there is no identity yet.
    #[arg(long = "as", value_name = "NAME")]
    by: Option<String>,
}

/// Put contracts in force.
#[derive(Args, Debug)]
pub(crate) struct Apply {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    applying: Applying,
}

/// Record an approval.
#[derive(Args, Debug)]
pub(crate) struct Approve {
    /// The plan's id, as `contract plan` prints it.
    plan: String,
    /// Who approves; declared, as there is no identity yet.
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: Server,
}

/// Put an earlier version in force again.
#[derive(Args, Debug)]
pub(crate) struct Rollback {
    /// The document and the version that it had, `order-placed@1.2.0`.
    #[arg(value_name = "NAME@VERSION")]
    target: String,
    #[command(flatten)]
    server: Server,
    /// Print what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Let the topic of the contract keep less, or take smaller messages.
    #[arg(long)]
    allow_narrowing: bool,
    #[command(flatten)]
    applying: Applying,
}

const HISTORY: &[Column] = &[
    column("generation", "/generation"),
    column("time", "/time"),
    column("by", "/by"),
    column("why", "/why"),
    column("documents", "/documents"),
    wide("approved", "/approved"),
    wide("plan", "/plan"),
];

impl Options {
    fn to_json(&self) -> Value {
        json!({
            "only": self.only,
            "delete": self.delete,
            "delete_topics": self.delete_topic,
            "allow_narrowing": self.allow_narrowing,
            "migrating": self.migrating,
        })
    }
}

impl Plan {
    /// Asks and prints.
    ///
    /// # Errors
    /// `Found` if the plan is refused, or if it has changes and that was asked for; the gateway's.
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let mut body = upload(&self.folder.folder)?;
        body["options"] = self.options.to_json();
        let plan = self.server.client()?.post_long(PLANS, &body).await?;
        show_plan(ui, plan, self.detailed_exitcode)
    }
}

impl Apply {
    /// Applies and prints what was done.
    ///
    /// # Errors
    /// `Found` if the files cannot be used; `Refused`, and the gateway's others.
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let mut body = upload(&self.folder.folder)?;
        body["options"] = self.options.to_json();
        self.applying.apply(ui, &self.server.client()?, body).await
    }
}

impl Applying {
    async fn apply(self, ui: &Ui, client: &Client, mut body: Value) -> Result<(), Failure> {
        let by = self.by.or_else(|| std::env::var("USER").ok());
        body["by"] = json!(by.unwrap_or_default());
        if let Some(plan) = self.plan {
            body["plan"] = json!(plan);
        }
        let applied = client.post_long(SETS, &body).await?;
        let mut text = plan::text(&applied["plan"]);
        if applied["applied"] == true {
            let generation = &applied["generation"];
            text.push_str(&format!("\napplied: generation {generation} is in force"));
        }
        ui.print(&Answer::one(applied, &[]).with_text(text))
    }
}

impl Approve {
    /// Records it.
    ///
    /// # Errors
    /// The gateway's.
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let body = json!({ "plan": self.plan, "name": self.name });
        let client = self.server.client()?;
        let approved = client.post_long("/v1/contract-approvals", &body).await?;
        let text = format!("`{}` approves of plan {}", self.name, self.plan);
        ui.print(&Answer::one(approved, &[]).with_text(text))
    }
}

impl Rollback {
    /// Applies the earlier version, or prints what that would do.
    ///
    /// # Errors
    /// `Usage`; `Refused` if no set had it, and the gateway's others.
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let Some((name, version)) = self.target.rsplit_once('@') else {
            let message = format!("`{}` is not of the form NAME@VERSION", self.target);
            return Err(Failure::new(Exit::Usage, message));
        };
        let narrow: &[&str] = if self.allow_narrowing { &[name] } else { &[] };
        let body = json!({
            "rollback": { "name": name, "version": version },
            "options": { "allow_narrowing": narrow },
        });
        let client = self.server.client()?;
        if self.dry_run {
            let plan = client.post_long(PLANS, &body).await?;
            return show_plan(ui, plan, false);
        }
        self.applying.apply(ui, &client, body).await
    }
}

/// Lists contracts in force, or the sets that were.
///
/// # Errors
/// The gateway's.
pub(super) async fn list(ui: &Ui, url: String, history: bool) -> Result<(), Failure> {
    let client = Server::at(&url).client()?;
    if history {
        let sets = client.get(&format!("{SETS}?limit=1000")).await?;
        return ui.print(&Answer::list(sets, "sets", HISTORY));
    }
    let contracts = client.get("/v1/contracts").await?;
    ui.print(&Answer::list(contracts, "contracts", LIST))
}

/// Reads a folder as it is sent. What is wrong with it is told here, with the paths of this machine.
fn upload(folder: &Path) -> Result<Value, Failure> {
    let read = load::texts(folder);
    let (_, texts) =
        read.map_err(|found| Failure::of_findings(Exit::Found, found.iter().cloned().collect()))?;
    Ok(body_of(texts))
}

/// Makes the body of a request about these documents.
pub(super) fn body_of(texts: load::Texts) -> Value {
    let file = |(path, text): (String, String)| json!({ "path": path, "text": text });
    let files: Vec<Value> = texts.files.into_iter().map(file).collect();
    let schemas: Vec<Value> = texts.schemas.into_iter().map(file).collect();
    json!({ "files": files, "schemas": schemas })
}

fn show_plan(ui: &Ui, plan: Value, changes_are_found: bool) -> Result<(), Failure> {
    let refused = plan["refusals"].as_array().map_or(0, Vec::len);
    let changes = plan["changes"] == true;
    let text = plan::text(&plan);
    ui.print(&Answer::one(plan, &[]).with_text(text))?;
    if refused > 0 {
        return Err(Failure::new(Exit::Found, "the plan is refused"));
    }
    if changes && changes_are_found {
        return Err(Failure::new(Exit::Found, "there is something to do"));
    }
    Ok(())
}
