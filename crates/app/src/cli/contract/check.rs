//! `contract lint|check|diff`: what is wrong with contracts, and what a change means. All three
//! write findings in the forms that people and their CI read.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tidegate_contract::diff::{self, Change, Severity};
use tidegate_contract::load::{Diagnostic, Level};
use tidegate_contract::{Contracts, lint, load};

use super::Folder;
use super::reference;
use super::report::{Described, Finding, Report, ReportFormat, Weight};
use super::running::{self, Found, Running};
use crate::cli::failure::{Exit, Failure, finding};
use crate::ui::{Answer, Column, Ui, column, wide};

/// Which form a report has.
#[derive(Args, Debug)]
pub(crate) struct Form {
    /// How findings are written; in GitHub's CI, annotations come by themselves with the text.
    #[arg(long, value_name = "FORM")]
    format: Option<ReportFormat>,
}

/// Check contracts.
#[derive(Args, Debug)]
pub(crate) struct Lint {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    form: Form,
}

/// Compare two states of contracts.
#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// The earlier contracts: a folder, or a commit, branch or tag.
    #[arg(value_name = "REF")]
    old: String,
    /// The folder of the later ones.
    #[arg(value_name = "DIR", default_value = "contracts")]
    folder: PathBuf,
    #[command(flatten)]
    form: Form,
}

/// Hold contracts against an earlier state.
#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    folder: Folder,
    /// The contracts in force: a folder, a commit, branch or tag, or the address of a running gateway.
    /// Those given before the last one are older, and are what transitive compatibility looks at.
    #[arg(long, value_name = "REF", required = true)]
    against: Vec<String>,
    /// Against a gateway: hold all events of the replay windows against the contracts, not a sample.
    #[arg(long, conflicts_with = "sample")]
    full: bool,
    /// Against a gateway: so many events of each contract, 0 for none; the gateway's default is 10,000.
    #[arg(long, value_name = "EVENTS")]
    sample: Option<u64>,
    /// From which weight on a change is a finding.
    #[arg(long, value_name = "WEIGHT", default_value = "breaking")]
    fail_on: FailOn,
    #[command(flatten)]
    form: Form,
}

/// From which weight on a change ends the check with 3.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum FailOn {
    /// Somebody who kept the earlier contract fails.
    Breaking,
    /// Also what somebody may count on.
    Risky,
}

const FINDINGS: &[Column] = &[
    column("level", "/level"),
    column("file", "/file"),
    column("line", "/line"),
    column("column", "/column"),
    column("rule", "/rule"),
    column("message", "/message"),
    column("hint", "/hint"),
];

const CHANGES: &[Column] = &[
    column("severity", "/severity"),
    column("contract", "/contract"),
    column("rule", "/rule"),
    column("key", "/key"),
    column("message", "/message"),
    wide("file", "/file"),
    wide("line", "/line"),
    wide("column", "/column"),
    wide("hint", "/hint"),
    wide("reader", "/reader/name"),
    wide("field", "/field"),
    wide("first_offset", "/first_offset/offset"),
];

impl Lint {
    /// Reads the files and prints what is wrong with them.
    ///
    /// # Errors
    /// `Found` if contracts cannot be used.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let folder = &self.folder.folder;
        let (contracts, found) = match load::folder(folder) {
            Ok(contracts) => {
                let found = lint::lint_on(&contracts, super::today());
                (Some(contracts), found)
            }
            Err(found) => (None, found),
        };
        let count = contracts.as_ref().map(Contracts::len);
        let findings: Vec<Value> = found.iter().map(finding).collect();
        let value = json!({ "contracts": count, "findings": findings });
        let text = match count {
            Some(count) if found.is_empty() => format!("{count} contracts, nothing found"),
            _ => found.to_string(),
        };
        let report = Report {
            command: "contract lint",
            contracts: Vec::new(),
            findings: found.iter().map(of_file).collect(),
            rules: lint::RULES
                .iter()
                .map(|rule| Described {
                    name: rule.name,
                    what: rule.why,
                })
                .collect(),
        };
        let answer = Answer::list(value, "findings", FINDINGS).with_text(text);
        self.form.print(ui, &report, answer)?;
        if found.has_errors() {
            let errors = found.iter().filter(|finding| finding.level == Level::Error);
            let message = format!("{} errors in `{}`", errors.count(), folder.display());
            return Err(Failure::new(Exit::Found, message));
        }
        Ok(())
    }
}

impl Diff {
    /// Prints every change, also the safe ones.
    ///
    /// # Errors
    /// `Found` if the contracts cannot be used, `Usage` if there is no such reference.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let old = reference::contracts(&self.old, &self.folder)?;
        let new = self.form.read(ui, "contract diff", &self.folder)?;
        let complete = reference::complete(&self.old, &old, &new);
        let found = Found::of_files(diff::diff(&old, &complete));
        let title = "contract diff";
        self.form.print_changes(ui, title, &self.old, &new, &found)
    }
}

impl Check {
    /// Prints the changes that are not safe.
    ///
    /// # Errors
    /// `Found` if there are breaking ones or the contracts cannot be used, `Usage` if there is no
    /// such reference, `Failed` if a gateway cannot be asked.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let folder = &self.folder.folder;
        let Some((against, earlier)) = self.against.split_last() else {
            return Err(Failure::new(Exit::Usage, "`--against` names nothing"));
        };
        let is_running = running::is_address(against);
        if !is_running && (self.full || self.sample.is_some()) {
            let message = "`--full` and `--sample` are about the events of a running gateway";
            let hint = "name it: `--against http://HOST:PORT`";
            return Err(Failure::new(Exit::Usage, message).with_hint(hint));
        }
        if let Some(early) = earlier.iter().find(|one| running::is_address(one)) {
            let message = format!("`{early}` has what is in force, and is not the last one");
            return Err(Failure::new(Exit::Usage, message).with_hint("name it last"));
        }
        let mut sets = Vec::new();
        for reference in earlier {
            sets.push((reference, reference::contracts(reference, folder)?));
        }
        let in_force = match is_running {
            true => None,
            false => Some(reference::contracts(against, folder)?),
        };
        let new = self.form.read(ui, "contract check", folder)?;
        let mut found = match &in_force {
            Some(old) => {
                let new = reference::complete(against, old, &new);
                Found::of_files(diff::diff(old, &new))
            }
            None => {
                let running = Running {
                    url: against,
                    full: self.full,
                    sample: self.sample,
                };
                running.check(folder)?
            }
        };
        found
            .changes
            .retain(|change| change.severity != Severity::Safe);
        for (name, earlier) in &sets {
            // What a running gateway has promised it does not tell; there the new word counts.
            let last = in_force.as_ref().unwrap_or(&new);
            let changes = diff::diff_earlier(name, earlier, last, &new);
            found.changes.extend(changes);
        }
        found.changes.sort_by_key(|change| change.severity);
        let title = "contract check";
        self.form.print_changes(ui, title, against, &new, &found)?;
        let fails = |change: &&Change| match self.fail_on {
            FailOn::Breaking => change.severity == Severity::Breaking,
            FailOn::Risky => change.severity != Severity::Safe,
        };
        match found.changes.iter().filter(fails).count() {
            0 => Ok(()),
            count => Err(Failure::new(
                Exit::Found,
                summary(count, self.fail_on, against),
            )),
        }
    }
}

fn summary(count: usize, fail_on: FailOn, against: &str) -> String {
    let what = match fail_on {
        FailOn::Breaking => "breaking",
        FailOn::Risky => "breaking or risky",
    };
    let changes = if count == 1 { "change" } else { "changes" };
    format!("{count} {what} {changes} against `{against}`")
}

impl Form {
    /// Reads contracts; what is wrong with them is a report too where a machine reads it.
    pub(super) fn read(
        &self,
        ui: &Ui,
        command: &'static str,
        folder: &Path,
    ) -> Result<Contracts, Failure> {
        let found = match load::folder(folder) {
            Ok(contracts) => return Ok(contracts),
            Err(found) => found,
        };
        let report = Report {
            command,
            contracts: Vec::new(),
            findings: found.iter().map(of_file).collect(),
            rules: Vec::new(),
        };
        if let Some(text) = self.format.and_then(|format| report.write(format)) {
            ui.line(&text)?;
        }
        let found = found.iter().cloned().collect();
        Err(Failure::of_findings(Exit::Found, found))
    }

    fn print_changes(
        &self,
        ui: &Ui,
        command: &'static str,
        against: &str,
        new: &Contracts,
        found: &Found,
    ) -> Result<(), Failure> {
        let changes = &found.changes;
        let values: Vec<Value> = changes.iter().map(changed).collect();
        let mut value = json!({ "against": against, "contracts": new.len(), "changes": values });
        let mut texts: Vec<String> = changes.iter().map(ToString::to_string).collect();
        if changes.is_empty() {
            let nothing = "nothing found against";
            texts.push(match (new.len(), new.readers().count()) {
                (0, 1) => format!("1 reader, {nothing} `{against}`"),
                (0, readers @ 2..) => format!("{readers} readers, {nothing} `{against}`"),
                (contracts, _) => format!("{contracts} contracts, {nothing} `{against}`"),
            });
        }
        if let Some(events) = &found.events {
            value["events"] = json!(events);
            texts.extend(running::told(events));
        }
        let text = texts.join("\n\n");
        let report = Report {
            command,
            contracts: new.iter().map(|contract| contract.name.clone()).collect(),
            findings: changes.iter().map(of_change).collect(),
            rules: diff::RULES
                .iter()
                .map(|rule| Described {
                    name: rule.name,
                    what: match rule.hint {
                        "" => "a change that nobody notices",
                        hint => hint,
                    },
                })
                .collect(),
        };
        let answer = Answer::list(value, "changes", CHANGES).with_text(text);
        self.print(ui, &report, answer)
    }

    /// Prints in the form that was asked for; without one as `-o` says.
    pub(super) fn print(&self, ui: &Ui, report: &Report, answer: Answer) -> Result<(), Failure> {
        match self.format {
            Some(ReportFormat::Json) => ui.line(&answer.json()),
            Some(ReportFormat::Text) => ui.line(&answer.text()),
            Some(format) => ui.line(&report.write(format).unwrap_or_default()),
            None => {
                ui.print(&answer)?;
                let in_github = std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true");
                match in_github && ui.is_for_people() {
                    true => ui.line(&report.write(ReportFormat::Github).unwrap_or_default()),
                    false => Ok(()),
                }
            }
        }
    }
}

fn changed(change: &Change) -> Value {
    let mut value = change.to_json();
    if let Some(members) = value.as_object_mut() {
        // Whoever reads JSON has the line already.
        members.shift_remove("snippet");
    }
    value
}

fn of_change(change: &Change) -> Finding {
    let weight = match change.severity {
        Severity::Breaking => Weight::Error,
        Severity::Risky => Weight::Warning,
        Severity::Safe => Weight::Note,
    };
    Finding {
        weight,
        contract: change.contract.clone(),
        reader: change.reader.clone(),
        first_offset: change.first_offset.clone(),
        ..of_file(&change.finding)
    }
}

fn of_file(found: &Diagnostic) -> Finding {
    Finding {
        weight: match found.level {
            Level::Error => Weight::Error,
            Level::Warning => Weight::Warning,
        },
        rule: found.rule.unwrap_or("format").to_owned(),
        contract: String::new(),
        file: found.file.clone(),
        line: found.line,
        column: found.column,
        message: found.message.clone(),
        hint: found.hint.clone(),
        reader: None,
        first_offset: None,
    }
}
