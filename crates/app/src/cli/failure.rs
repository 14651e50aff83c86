//! How a command fails: with an exit code that scripts can tell apart, and a text that says what
//! happened and what to do. With `-o json` the same is one JSON object.

use serde_json::{Value, json};
use tidegate_contract::Diagnostic;
use tidegate_contract::load::Level;

/// The exit codes, documented for scripts. 0 is done; 2 is also what clap ends with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// It failed.
    Failed = 1,
    /// It was called wrongly.
    Usage = 2,
    /// It ran and found what it looks for.
    Found = 3,
    /// The server wants to know who asks.
    Credentials = 4,
    /// There is no such thing.
    NotFound = 5,
    /// The server refused it.
    Refused = 6,
    /// The server cannot be reached, or not now.
    Unreachable = 7,
    /// Ctrl-C.
    Interrupted = 130,
}

/// Why a command ends with something else than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Apart, as every result carries it.
    told: Box<Told>,
}

/// What is told about a failure.
#[derive(Debug, Default)]
struct Told {
    message: String,
    hint: Option<String>,
    /// Findings in files; they are told in place of the message.
    findings: Vec<Diagnostic>,
    /// The server's own words (RFC 9457).
    problem: Option<Value>,
}

impl Failure {
    /// Makes a failure with what happened, and where.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        let told = Box::new(Told {
            message,
            ..Told::default()
        });
        Self { exit, told }
    }

    /// Says what to do.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.told.hint = Some(hint.into());
        self
    }

    /// Makes a failure of what is wrong in files.
    pub(crate) fn of_findings(exit: Exit, findings: Vec<Diagnostic>) -> Self {
        let message = match findings.len() {
            1 => findings[0].message.clone(),
            count => format!("{count} findings"),
        };
        let mut failure = Self::new(exit, message);
        failure.told.findings = findings;
        failure
    }

    /// Adds what the server said.
    pub(crate) fn with_problem(mut self, problem: Value) -> Self {
        self.told.problem = Some(problem);
        self
    }

    /// Returns the failure as people read it.
    pub(crate) fn to_text(&self) -> String {
        if !self.told.findings.is_empty() {
            let texts: Vec<String> = self
                .told
                .findings
                .iter()
                .map(Diagnostic::to_string)
                .collect();
            return texts.join("\n\n");
        }
        let mut text = format!("error: {}", self.told.message);
        let errors = self
            .told
            .problem
            .as_ref()
            .and_then(|p| p["errors"].as_array());
        for error in errors.into_iter().flatten() {
            let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("\n  {}: {}", part("pointer"), part("detail")));
        }
        if let Some(hint) = &self.told.hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        text
    }

    /// Returns the failure as a program reads it.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "exit": self.exit as u8, "message": self.told.message });
        if let Some(hint) = &self.told.hint {
            error["hint"] = json!(hint);
        }
        if !self.told.findings.is_empty() {
            error["findings"] = self.told.findings.iter().map(finding).collect();
        }
        if let Some(problem) = &self.told.problem {
            error["problem"] = problem.clone();
        }
        json!({ "error": error })
    }
}

/// Returns a finding as a program reads it.
pub(crate) fn finding(finding: &Diagnostic) -> Value {
    let level = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    json!({
        "level": level,
        "rule": finding.rule,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "hint": finding.hint,
    })
}

/// What went wrong further down, with its causes. A hint in it stays one.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let text = format!("{error:#}");
        match text.split_once("\nhint: ") {
            Some((message, hint)) => Self::new(Exit::Failed, message).with_hint(hint),
            None => Self::new(Exit::Failed, text),
        }
    }
}
