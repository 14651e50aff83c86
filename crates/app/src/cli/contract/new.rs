//! `contract new`: writes a contract that does not exist yet, of arguments or of answers. What is asked
//! and what comes of it is the contract crate's; here are the terminal, the folder and the files, none
//! of which is ever written over.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tidegate_contract::draft::{
    Answers, Draft, EDITOR_SCHEMA, Files, Form, Known, Order, Question, Refusal, Step, infer, next,
    paths, stub,
};
use tidegate_contract::model::Class;
use tidegate_contract::{Contracts, format, lint, load};

use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column};

/// A sample is an event's data; contracts allow 1 MiB by default.
const MAX_SAMPLE_BYTES: u64 = 16 * 1024 * 1024;
/// Nobody answers with more.
const MAX_ANSWER_BYTES: u64 = 4 * 1024;

/// Write a new contract.
#[derive(Args, Debug)]
pub(crate) struct New {
    /// The contract's name, such as `order-placed`.
    name: String,
    /// The folder of contracts.
    #[arg(value_name = "DIR", default_value = "contracts")]
    folder: PathBuf,
    /// Ask what is needed, and say so where something else than tidegate fits better.
    #[arg(long, conflicts_with_all = ["class", "key", "owner", "pager", "summary"])]
    ask: bool,
    /// What kind of event it is: `fact`, `command` or `telemetry`.
    #[arg(long, value_parser = class, required_unless_present = "ask")]
    class: Option<Class>,
    /// Where the data holds what the event is about, such as `$.orderId`.
    #[arg(long, value_name = "PATH", value_parser = key, required_unless_present = "ask")]
    key: Option<tidegate_contract::path::Path>,
    /// The team that answers for it; not needed where there is one only.
    #[arg(long, value_name = "TEAM")]
    owner: Option<String>,
    /// Where that team is reached, if it is new: `mailto:…` or `webhook:https://…`.
    #[arg(long, value_name = "ADDRESS")]
    pager: Option<String>,
    /// What the event means, in a sentence.
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// Make the schema of this JSON file: the data of one event, or a list of several.
    #[arg(long, value_name = "FILE")]
    from_sample: Option<PathBuf>,
}

const WRITTEN: &[Column] = &[column("file", "/file")];

fn class(text: &str) -> Result<Class, String> {
    text.parse()
        .map_err(|_| "one of `fact`, `command`, `telemetry`".to_owned())
}

fn key(text: &str) -> Result<tidegate_contract::path::Path, String> {
    text.parse()
        .map_err(|error: tidegate_contract::path::PathError| error.to_string())
}

impl New {
    /// Writes the files, or says why there should be none.
    ///
    /// # Errors
    /// `Usage` if something is missing or there already, `Found` if the folder's contracts cannot be
    /// used or what would be written cannot.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let there = self.contracts()?;
        if there.by_name(&self.name).is_some() {
            let message = format!("there is a contract `{}` already", self.name);
            return Err(Failure::new(Exit::Usage, message).with_hint("take another name"));
        }
        let known = Known {
            name: self.name.clone(),
            teams: there.teams().map(|team| team.name.clone()).collect(),
            samples: self.samples()?,
        };
        let draft = match self.ask {
            true => match ask(ui, &known)? {
                Ok(draft) => draft,
                Err(refusal) => return self.refuse(ui, refusal),
            },
            false => self.draft(&known)?,
        };
        let files = draft.files();
        self.try_out(&files)?;
        self.write(ui, &files)
    }

    fn contracts(&self) -> Result<Contracts, Failure> {
        if !self.folder.exists() {
            return Ok(Contracts::default());
        }
        load::folder(&self.folder)
            .map_err(|found| Failure::of_findings(Exit::Found, found.iter().cloned().collect()))
    }

    fn samples(&self) -> Result<Vec<Value>, Failure> {
        let Some(path) = &self.from_sample else {
            return Ok(Vec::new());
        };
        let shown = path.display();
        let unusable = |why: String| {
            let message = format!("cannot use sample `{shown}`: {why}");
            Failure::new(Exit::Usage, message)
                .with_hint("a sample is the data of one event as JSON, or a list of several")
        };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(|error| unusable(error.to_string()))?;
        let read = file.take(MAX_SAMPLE_BYTES + 1).read_to_string(&mut text);
        let read = read.map_err(|error| unusable(error.to_string()))?;
        if read as u64 > MAX_SAMPLE_BYTES {
            return Err(unusable(format!(
                "it is larger than {} MiB",
                MAX_SAMPLE_BYTES >> 20
            )));
        }
        let value = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        let samples = match value {
            Value::Array(samples) => samples,
            one => vec![one],
        };
        if samples.is_empty() || !samples.iter().all(Value::is_object) {
            return Err(unusable("it holds something else than objects".to_owned()));
        }
        Ok(samples)
    }

    /// Makes a draft of the arguments.
    fn draft(&self, known: &Known) -> Result<Draft, Failure> {
        let missing = |what: &str, hint: &str| Failure::new(Exit::Usage, what).with_hint(hint);
        let (Some(class), Some(key)) = (self.class, self.key.clone()) else {
            return Err(missing(
                "`--class` and `--key` are needed",
                "or run it with `--ask`",
            ));
        };
        let owner = match (&self.owner, known.teams.as_slice()) {
            (Some(owner), _) => owner.clone(),
            (None, [only]) => only.clone(),
            (None, _) => {
                let hint =
                    "name the team that answers for the events; a new one needs `--pager` too";
                return Err(missing("`--owner` is needed", hint));
            }
        };
        if !known.teams.contains(&owner) && self.pager.is_none() {
            let message = format!("team `{owner}` is new here, so `--pager` is needed");
            return Err(missing(
                &message,
                "such as `--pager mailto:orders@example.com`",
            ));
        }
        let is_there = known.samples.is_empty() || paths(&known.samples).contains(&key.to_string());
        if !is_there {
            let message = format!("no sample has a field `{key}` that could be a key");
            let hint = format!("they have {}", paths(&known.samples).join(", "));
            return Err(missing(&message, &hint));
        }
        let schema = match known.samples.as_slice() {
            [] => stub(&known.name, &[&key]),
            samples => infer(&known.name, samples),
        };
        Ok(Draft {
            name: known.name.clone(),
            class,
            pager: self.pager.clone().filter(|_| !known.teams.contains(&owner)),
            owner,
            summary: self.summary.clone(),
            key,
            order: match class {
                Class::Telemetry => Order::None,
                Class::Fact | Class::Command => Order::Key,
            },
            id: None,
            identity_required: class == Class::Command,
            peak: None,
            reader: None,
            schema,
            because: Vec::new(),
        })
    }

    /// Reads what would be written, beside what is there.
    fn try_out(&self, files: &Files) -> Result<(), Failure> {
        let mut texts = vec![files.contract.clone()];
        let mut schemas = std::collections::BTreeMap::from([files.schema.clone()]);
        if self.folder.exists() {
            let (_, there) = load::texts(&self.folder).map_err(|found| {
                Failure::of_findings(Exit::Found, found.iter().cloned().collect())
            })?;
            texts.extend(there.files);
            schemas.extend(there.schemas);
        }
        let find = |path: &str| schemas.get(path).cloned();
        match load::sources(&texts, &find) {
            Ok(_) => Ok(()),
            Err(found) => Err(Failure::of_findings(
                Exit::Found,
                found.iter().cloned().collect(),
            )),
        }
    }

    fn write(&self, ui: &Ui, files: &Files) -> Result<(), Failure> {
        let own = [&files.schema, &files.contract];
        let mut texts: Vec<(PathBuf, String)> = own
            .into_iter()
            .map(|(path, text)| (self.folder.join(path), text.clone()))
            .collect();
        if let Some((path, _)) = texts.iter().find(|(path, _)| path.exists()) {
            let message = format!("`{}` is there already", path.display());
            return Err(Failure::new(Exit::Usage, message)
                .with_hint("nothing was written; move it, or take another name"));
        }
        let editor = self.folder.join(EDITOR_SCHEMA);
        if !editor.exists() {
            texts.push((editor, format!("{:#}\n", format::json_schema())));
        }
        for (path, text) in &texts {
            create(path, text).map_err(|error| {
                Failure::new(
                    Exit::Failed,
                    format!("cannot write `{}`: {error}", path.display()),
                )
            })?;
        }
        self.tell(ui, &texts)
    }

    /// Prints what was written and what lint says of it.
    fn tell(&self, ui: &Ui, texts: &[(PathBuf, String)]) -> Result<(), Failure> {
        let names: Vec<String> = texts
            .iter()
            .map(|(path, _)| path.display().to_string())
            .collect();
        let contracts = self.contracts()?;
        let found = lint::lint_on(&contracts, super::today());
        let mine = found.iter().filter(|finding| names.contains(&finding.file));
        let mine: Vec<String> = mine.map(ToString::to_string).collect();
        let written: Vec<Value> = names.iter().map(|name| json!({ "file": name })).collect();
        let value = json!({ "written": written, "refused": null });
        let mut text: Vec<String> = names.iter().map(|name| format!("wrote {name}")).collect();
        text.extend(mine);
        text.push(format!(
            "next: tidegate contract lint {}",
            self.folder.display()
        ));
        ui.print(&Answer::list(value, "written", WRITTEN).with_text(text.join("\n")))
    }

    fn refuse(&self, ui: &Ui, refusal: &Refusal) -> Result<(), Failure> {
        let value = json!({
            "written": [],
            "refused": { "why": refusal.why, "instead": refusal.instead },
        });
        let text = format!(
            "not with tidegate: {}\ninstead: {}\nnothing was written",
            refusal.why, refusal.instead
        );
        ui.print(&Answer::list(value, "written", WRITTEN).with_text(text))
    }
}

/// Writes a file that must not be there.
fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// Asks until it is known what to write. A person is asked again, a pipe is not.
fn ask(ui: &Ui, known: &Known) -> Result<Result<Draft, &'static Refusal>, Failure> {
    let is_person = io::stdin().is_terminal();
    let mut answers = Answers::default();
    let fields = paths(&known.samples);
    loop {
        let question = match next(known, &answers) {
            Step::Ask(question) => question,
            Step::Write(draft) => return Ok(Ok(*draft)),
            Step::Refuse(refusal) => return Ok(Err(refusal)),
        };
        if is_person {
            ui.note(&shown(question, known, &fields));
        }
        match (question.read(&line(question)?), is_person) {
            (Ok(answer), _) => answers.add(question, answer),
            (Err(wrong), true) => ui.note(&wrong),
            (Err(wrong), false) => {
                let message = format!("question `{}`: {wrong}", question.id);
                return Err(Failure::new(Exit::Usage, message).with_hint(question.text));
            }
        }
    }
}

fn line(question: &Question) -> Result<String, Failure> {
    let mut line = String::new();
    let read = io::stdin()
        .lock()
        .take(MAX_ANSWER_BYTES)
        .read_line(&mut line);
    match read {
        Ok(0) => {
            let message = format!("there is no answer to `{}`: {}", question.id, question.text);
            let hint = "run it in a terminal, give one answer a line on stdin, or use `--class` and `--key`";
            Err(Failure::new(Exit::Usage, message).with_hint(hint))
        }
        Ok(_) => Ok(line),
        Err(error) => Err(Failure::new(Exit::Failed, format!("stdin: {error}"))),
    }
}

fn shown(question: &Question, known: &Known, fields: &[String]) -> String {
    let mut lines = vec![
        String::new(),
        question.text.to_owned(),
        format!("  ({})", question.why),
    ];
    match &question.form {
        Form::Choice(choices) => {
            let choices = choices.iter().enumerate();
            lines.extend(
                choices
                    .map(|(at, choice)| format!("  {} {}: {}", at + 1, choice.word, choice.text)),
            );
        }
        Form::Text { what, default, .. } => {
            lines.push(format!("  {what}"));
            if let Some(default) = default.filter(|default| !default.is_empty()) {
                lines.push(format!("  empty: {default}"));
            }
        }
    }
    match question.id {
        "owner" if !known.teams.is_empty() => {
            lines.push(format!("  there are: {}", known.teams.join(", ")))
        }
        "key" | "id" if !fields.is_empty() => {
            lines.push(format!("  the sample has: {}", fields.join(", ")))
        }
        _ => {}
    }
    lines.join("\n")
}
