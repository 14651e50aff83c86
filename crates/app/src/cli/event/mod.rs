//! `event`: events as they stand in the log, as they come, and many of them at once.

mod import;
mod show;
mod tail;

use clap::Subcommand;

use crate::cli::failure::Failure;
use crate::ui::Ui;

#[derive(Debug, Subcommand)]
pub(crate) enum Event {
    Show(show::Show),
    Tail(tail::Tail),
    Import(import::Import),
}

impl Event {
    /// Runs it.
    ///
    /// # Errors
    /// The gateway's, and those of each command.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run(ui).await,
            Self::Tail(tail) => tail.run(ui).await,
            Self::Import(import) => import.run(ui).await,
        }
    }
}
