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
    /// The contracts in force: a folder, or a commit, branch or tag. Those given before the last one are
    /// older, and are what transitive compatibility looks at.
    #[arg(long, value_name = "REF", required = true)]
    against: Vec<String>,
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
        let changes = diff::diff(&old, &new);
        let title = "contract diff";
        self.form
            .print_changes(ui, title, &self.old, &new, &changes)
    }
}

impl Check {
    /// Prints the changes that are not safe.
    ///
    /// # Errors
    /// `Found` if there are breaking ones or the contracts cannot be used, `Usage` if there is no
    /// such reference.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let folder = &self.folder.folder;
        let mut sets = Vec::new();
        for reference in &self.against {
            sets.push((reference, reference::contracts(reference, folder)?));
        }
        let Some((against, old)) = sets.pop() else {
            return Err(Failure::new(Exit::Usage, "`--against` names nothing"));
        };
        let new = self.form.read(ui, "contract check", folder)?;
        let mut changes = diff::diff(&old, &new);
        changes.retain(|change| change.severity != Severity::Safe);
        for (name, earlier) in &sets {
            changes.extend(diff::diff_earlier(name, earlier, &old, &new));
        }
        changes.sort_by_key(|change| change.severity);
        let title = "contract check";
        self.form
            .print_changes(ui, title, against, &new, &changes)?;
        let fails = |change: &&Change| match self.fail_on {
            FailOn::Breaking => change.severity == Severity::Breaking,
            FailOn::Risky => change.severity != Severity::Safe,
        };
        match changes.iter().filter(fails).count() {
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
        changes: &[Change],
    ) -> Result<(), Failure> {
        let values: Vec<Value> = changes.iter().map(changed).collect();
        let value = json!({ "against": against, "contracts": new.len(), "changes": values });
        let text = match changes {
            [] => format!("{} contracts, nothing found against `{against}`", new.len()),
            changes => changes
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n\n"),
        };
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
    json!({
        "severity": change.severity.as_str(),
        "contract": change.contract,
        "rule": change.rule,
        "key": change.key,
        "message": change.finding.message,
        "hint": change.finding.hint,
        "file": change.finding.file,
        "line": change.finding.line,
        "column": change.finding.column,
    })
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
    }
}
