//! `event import`: the lines of a file as events, in their order.
//!
//! What is done is written down beside the file, so that a run that was cut off goes on there. A line that
//! is sent again is not stored again: an event has its id, and a plain body gets a key made of its text
//! and its line.

mod batch;
mod deliver;
mod state;

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use self::batch::Lines;
use self::deliver::Door;
use self::state::State;
use crate::cli::client::Server;
use crate::cli::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column};

/// Send the lines of a file as events, each a CloudEvent in JSON or, with `--contract`, a plain body.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The file, NDJSON. How far it was sent stands beside it in `FILE.import.json` until it is done.
    file: PathBuf,
    /// Send each line as a plain body to this contract.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    /// Begin at this byte of the file, wherever an earlier run stopped.
    #[arg(long, value_name = "BYTE")]
    offset: Option<u64>,
    #[command(flatten)]
    server: Server,
}

const COUNTS: &[Column] = &[
    column("accepted", "/accepted"),
    column("repeated", "/repeated"),
    column("refused", "/refused"),
];

impl Import {
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let named = || format!("`{}`", self.file.display());
        let file = File::open(&self.file).with_context(named)?;
        let size = file.metadata().with_context(named)?.len();
        let mut state = State::begin(&self.file, size, self.offset)?;
        if state.offset() > 0 {
            ui.note(&format!("going on at byte {}", state.offset()));
        }
        let door = Door::new(self.server.client()?, self.contract.as_deref());
        let mut lines = Lines::from(BufReader::new(file), state.offset(), state.line());
        let lines = lines
            .as_mut()
            .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", named())))?;
        let kib = |bytes: u64| usize::try_from(bytes / 1024).unwrap_or(usize::MAX);
        let steps = ui.progress("importing (KiB)", kib(size - state.offset().min(size)));
        let began = state.offset();
        let mut shown = 0;
        while let Some(batch) = lines.next(door.at_once()).with_context(named)? {
            let outcomes = door.deliver(&batch.lines).await;
            let outcomes = outcomes.map_err(|failure| {
                failure.with_hint(format!(
                    "run it again: it goes on at byte {}",
                    state.offset()
                ))
            })?;
            state.done(&batch, outcomes);
            state.save()?;
            let done = kib(state.offset() - began);
            steps.advance_by(done - shown);
            shown = done;
        }
        drop(steps);
        let value = state.finish()?;
        let refused = value["refused"].as_u64().unwrap_or(0);
        ui.print(&Answer::one(value.clone(), COUNTS))?;
        for line in value["lines"].as_array().into_iter().flatten() {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            ui.note(&format!(
                "line {}: {}: {}",
                line["line"],
                text("problem"),
                text("detail")
            ));
        }
        match refused {
            0 => Ok(()),
            1 => Err(Failure::new(Exit::Refused, "1 line was refused")),
            count => Err(Failure::new(
                Exit::Refused,
                format!("{count} lines were refused"),
            )),
        }
    }
}
