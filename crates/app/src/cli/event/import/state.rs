//! How far a file was sent, kept beside it until it is done. Written anew as a whole after each batch, by
//! renaming, so that it is never half.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::batch::Batch;
use super::deliver::Outcome;
use crate::cli::failure::{Exit, Failure};

/// So many refused lines are named; the rest is counted.
const MAX_NAMED: usize = 1_000;

/// What was done, a stored format.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Done {
    /// The byte to go on from.
    offset: u64,
    /// Lines before it.
    line: u64,
    accepted: u64,
    repeated: u64,
    refused: u64,
    /// The refused ones.
    lines: Vec<Refused>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Refused {
    line: u64,
    problem: String,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantine: Option<String>,
}

pub(super) struct State {
    path: PathBuf,
    done: Done,
}

impl State {
    /// Goes on where an earlier run stopped, or begins.
    ///
    /// # Errors
    /// What stands beside the file is of another file, or cannot be read.
    pub(super) fn begin(file: &Path, size: u64, offset: Option<u64>) -> Result<Self, Failure> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".import.json");
        let path = file.with_file_name(name);
        let hint = format!("remove `{}` to begin anew", path.display());
        let done = match (offset, fs::read(&path)) {
            (Some(offset), _) => Done {
                offset,
                ..Done::default()
            },
            (None, Ok(kept)) => serde_json::from_slice(&kept).map_err(|error| {
                let message = format!("`{}`: {error}", path.display());
                Failure::new(Exit::Failed, message).with_hint(hint.clone())
            })?,
            (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => Done::default(),
            (None, Err(error)) => {
                let message = format!("`{}`: {error}", path.display());
                return Err(Failure::new(Exit::Failed, message));
            }
        };
        if done.offset > size {
            let message = format!("the file ends before byte {}", done.offset);
            return Err(Failure::new(Exit::Failed, message).with_hint(hint));
        }
        Ok(Self { path, done })
    }

    pub(super) fn offset(&self) -> u64 {
        self.done.offset
    }

    pub(super) fn line(&self) -> u64 {
        self.done.line
    }

    /// Takes down what became of a batch.
    pub(super) fn done(&mut self, batch: &Batch, outcomes: Vec<Outcome>) {
        for (line, outcome) in batch.lines.iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted => self.done.accepted += 1,
                Outcome::Repeated => self.done.repeated += 1,
                Outcome::Refused {
                    problem,
                    detail,
                    quarantine,
                } => {
                    self.done.refused += 1;
                    if self.done.lines.len() < MAX_NAMED {
                        self.done.lines.push(Refused {
                            line: line.number,
                            problem,
                            detail,
                            quarantine,
                        });
                    }
                }
            }
        }
        self.done.offset = batch.end;
        self.done.line = batch.end_line;
    }

    /// Writes it down.
    ///
    /// # Errors
    /// The folder of the file cannot be written.
    pub(super) fn save(&self) -> Result<(), Failure> {
        let mut new = self.path.clone().into_os_string();
        new.push(".new");
        let named = || format!("`{}`", self.path.display());
        let text = serde_json::to_vec(&self.done).context("the state cannot be written")?;
        fs::write(&new, text).with_context(named)?;
        Ok(fs::rename(&new, &self.path).with_context(named)?)
    }

    /// Ends it: the counts are handed over, and nothing stays beside the file.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn finish(self) -> Result<Value, Failure> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let message = format!("`{}`: {error}", self.path.display());
                return Err(Failure::new(Exit::Failed, message));
            }
            _ => {}
        }
        Ok(json!({
            "accepted": self.done.accepted,
            "repeated": self.done.repeated,
            "refused": self.done.refused,
            "lines": self.done.lines,
        }))
    }
}
