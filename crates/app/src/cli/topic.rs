//! `topic list|show`: topics as the gateway's API tells of them.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, Server, segment};
use super::failure::Failure;
use crate::ui::{Answer, Column, Ui, column, wide};

/// Topics of the log.
#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// List the topics.
    List {
        #[command(flatten)]
        server: Server,
        /// With those in which tidegate keeps its own state.
        #[arg(long)]
        internal: bool,
    },
    /// Show one topic with its partitions.
    Show {
        /// The topic's name.
        topic: String,
        #[command(flatten)]
        server: Server,
    },
}

const LIST: &[Column] = &[
    column("name", "/name"),
    column("partitions", "/partitions"),
    column("records", "/records"),
    column("contract", "/contract"),
    wide("id", "/id"),
    wide("internal", "/internal"),
    wide("config", "/config"),
];

const PARTITIONS: &[Column] = &[
    column("partition", "/partition"),
    column("log_start_offset", "/log_start_offset"),
    column("high_watermark", "/high_watermark"),
];

impl Topic {
    /// Asks and prints.
    ///
    /// # Errors
    /// The gateway's, and `NotFound`.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::List { server, internal } => {
                let mut topics = all(&server.client()?).await?;
                topics.retain(|topic| internal || topic["internal"] != true);
                ui.print(&Answer::list(json!({ "topics": topics }), "topics", LIST))
            }
            Self::Show { topic, server } => {
                let path = format!("/v1/topics/{}", segment(&topic));
                let topic = server.client()?.get(&path).await?;
                ui.print(&Answer::list(topic, "partition_offsets", PARTITIONS))
            }
        }
    }
}

/// Reads all pages.
pub(super) async fn all(client: &Client) -> Result<Vec<Value>, Failure> {
    let mut topics = Vec::new();
    let mut cursor = String::new();
    loop {
        let mut page = client
            .get(&format!("/v1/topics?cursor={}", segment(&cursor)))
            .await?;
        if let Value::Array(found) = page["topics"].take() {
            topics.extend(found);
        }
        match page["next"].as_str() {
            Some(next) if next > cursor.as_str() => cursor = next.to_owned(),
            _ => return Ok(topics),
        }
    }
}
