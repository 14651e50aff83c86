//! `log inspect`: what stands in a data directory, read from its files. Changes nothing, and needs
//! no gateway; beside a running one the end of the log may look torn.

use std::path::PathBuf;

use clap::Subcommand;

use super::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

/// The log's files.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Show the segments of the write-ahead log; ends with 3 if one of them is damaged.
    Inspect {
        /// The data directory.
        data: PathBuf,
    },
}

const SEGMENTS: &[Column] = &[
    column("file", "/file"),
    column("state", "/header/state"),
    column("groups", "/groups/groups"),
    column("first_group", "/groups/first_group"),
    column("last_group", "/groups/last_group"),
    column("records", "/groups/records"),
    column("first_lsn", "/groups/first_lsn"),
    column("next_lsn", "/groups/next_lsn"),
    column("damage", "/damage"),
    wide("epoch", "/header/epoch"),
    wide("cluster", "/header/cluster_id"),
    wide("len_bytes", "/len_bytes"),
    wide("end_position", "/groups/end_position"),
];

impl Log {
    /// Reads the files and prints.
    ///
    /// # Errors
    /// `NotFound`, `Found` if there is damage, `Failed` if the files cannot be read.
    pub(crate) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let Self::Inspect { data } = self;
        if !data.join("wal").is_dir() {
            let message = format!(
                "`{}` is not a data directory: it has no `wal`",
                data.display()
            );
            return Err(Failure::new(Exit::NotFound, message));
        }
        let (report, damage) = crate::wire::inspect_log(&data)?;
        ui.print(&Answer::list(report, "segments", SEGMENTS))?;
        if damage.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Exit::Found, damage.join("\n"))
            .with_hint("`serve` says whether it matters: what history holds is not needed here"))
    }
}
