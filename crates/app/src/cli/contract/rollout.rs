//! `contract rollout list|resume|abort`: what bridges do, and what somebody says to one that halted.

use bytes::Bytes;
use clap::Subcommand;
use serde_json::Value;

use crate::cli::client::{Server, segment};
use crate::cli::failure::Failure;
use crate::ui::{Answer, Column, Ui, column, wide};

/// Bridges from earlier event types.
#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// List the bridges and what they do.
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Go on with a rollout that halted or was aborted; its canaries are watched anew.
    Resume {
        /// The later contract's name.
        name: String,
        /// Copy the rest without waiting for canaries any more.
        #[arg(long)]
        in_full: bool,
        #[command(flatten)]
        server: Server,
    },
    /// Copy nothing more until it is resumed.
    Abort {
        /// The later contract's name.
        name: String,
        #[command(flatten)]
        server: Server,
    },
}

const BRIDGES: &[Column] = &[
    column("contract", "/contract"),
    column("from", "/from"),
    column("state", "/state"),
    column("dealt_with", "/dealt_with"),
    column("lag", "/lag"),
    column("waits_for", "/waits_for"),
    column("detail", "/detail"),
    wide("source", "/source"),
    wide("target", "/target"),
    wide("first_part", "/first_part"),
    wide("halt", "/halt"),
];

const SAID: &[Column] = &[
    column("contract", "/contract"),
    column("resumed", "/resumed"),
    column("in_full", "/in_full"),
    column("aborted", "/aborted"),
];

impl Rollout {
    /// Asks and prints.
    ///
    /// # Errors
    /// The gateway's.
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::List { server } => {
                let bridges = server.client()?.get("/v1/bridges").await?;
                ui.print(&Answer::list(bridges, "bridges", BRIDGES))
            }
            Self::Resume {
                name,
                in_full,
                server,
            } => {
                let path = format!("resume?in_full={in_full}");
                let said = say(&server, &name, &path).await?;
                ui.print(&Answer::one(said, SAID))
            }
            Self::Abort { name, server } => {
                let said = say(&server, &name, "abort").await?;
                ui.print(&Answer::one(said, SAID))
            }
        }
    }
}

async fn say(server: &Server, name: &str, what: &str) -> Result<Value, Failure> {
    let path = format!("/v1/bridges/{}/{what}", segment(name));
    server.client()?.post(&path, &[], Bytes::new()).await
}
