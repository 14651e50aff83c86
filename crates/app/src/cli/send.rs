//! `send`: one event to a gateway, as a CloudEvent in binary mode or as a plain body to a contract.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::client::{Server, segment};
use super::failure::{Exit, Failure};
use crate::ui::{Answer, Column, Ui, column, wide};

/// CloudEvents HTTP binding 1.0.2 §3.1.3.2: space, double quote, percent, and all that is not ASCII.
pub(super) const HEADER_VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Send an event and print its receipt.
#[derive(Args, Debug)]
pub(crate) struct Send {
    /// The event's type, such as `com.example.order.placed`. With `--contract`, the file.
    #[arg(value_name = "TYPE")]
    first: Option<String>,
    /// The file with the event's data; `-` or nothing is stdin.
    #[arg(value_name = "FILE")]
    second: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
    /// The event's id; a random one if there is none.
    #[arg(long)]
    id: Option<String>,
    /// The event's source.
    #[arg(long, default_value = "/tidegate/send")]
    source: String,
    /// The event's time (RFC 3339).
    #[arg(long)]
    time: Option<String>,
    /// The media type of the data.
    #[arg(long, value_name = "MEDIA_TYPE", default_value = "application/json")]
    content_type: String,
    /// Send a plain body to this contract, which gives it type and source.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["id", "source", "time", "second"])]
    contract: Option<String>,
    /// The name of this intent: a repeat gets the first receipt.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

const RECEIPT: &[Column] = &[
    column("receipt", "/id"),
    column("event", "/event/id"),
    column("topic", "/topic"),
    column("partition", "/partition"),
    column("offset", "/offset"),
    column("time", "/time"),
    column("duplicate", "/duplicate"),
    wide("type", "/event/type"),
    wide("source", "/event/source"),
    wide("contract", "/contract"),
];

impl Send {
    /// Sends and prints.
    ///
    /// # Errors
    /// The gateway's, with `Refused` for an event it does not take.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let client = self.server.client()?;
        let mut headers = vec![("content-type", self.content_type.clone())];
        if let Some(key) = &self.idempotency_key {
            // A string of structured fields (RFC 8941 §3.3.3), as the header's draft has it.
            let quoted = key.replace('\\', "\\\\").replace('"', "\\\"");
            headers.push(("idempotency-key", format!("\"{quoted}\"")));
        }
        let (path, file) = match (&self.contract, &self.first) {
            (Some(contract), file) => {
                let path = format!("/v1/events/{}", segment(contract));
                (path, file.as_ref().map(PathBuf::from))
            }
            (None, Some(event_type)) => {
                headers.extend(self.attributes(event_type));
                ("/v1/events".to_owned(), self.second.clone())
            }
            (None, None) => {
                let message = "neither the event's type nor `--contract` is given";
                let hint = "write `tidegate send TYPE FILE`";
                return Err(Failure::new(Exit::Usage, message).with_hint(hint));
            }
        };
        let body = read(ui, file.as_deref())?;
        let receipt = client.post(&path, &headers, body).await?;
        ui.print(&Answer::one(receipt, RECEIPT))
    }

    fn attributes(&self, event_type: &str) -> Vec<(&'static str, String)> {
        let header = |value: &str| utf8_percent_encode(value, HEADER_VALUE).to_string();
        let id = self
            .id
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let mut headers = vec![
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", header(&id)),
            ("ce-source", header(&self.source)),
            ("ce-type", header(event_type)),
        ];
        headers.extend(self.time.as_deref().map(|time| ("ce-time", header(time))));
        headers
    }
}

fn read(ui: &Ui, file: Option<&Path>) -> Result<Bytes, Failure> {
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => {
            let bytes = std::fs::read(file).with_context(|| format!("`{}`", file.display()))?;
            Ok(bytes.into())
        }
        None => {
            if std::io::stdin().is_terminal() {
                ui.note("type the event's data, then Ctrl-D");
            }
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .context("stdin")?;
            Ok(bytes.into())
        }
    }
}
