//! `event tail`: the events of a topic as they come.

use clap::Args;

use crate::cli::client::Server;
use crate::cli::failure::Failure;
use crate::cli::stream::{Streamed, Wanted};
use crate::ui::{Ui, printable};

/// Data is cut there on a line for people.
const SHOWN_CHARS: usize = 160;

/// Print a topic's events as they come, until Ctrl-C. For machines each is a line of JSON, whatever the
/// format.
#[derive(Args, Debug)]
pub(crate) struct Tail {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    server: Server,
}

impl Tail {
    pub(super) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        let mut following = self.wanted.follow(self.server.client()?, ui).await?;
        loop {
            let (event, json) = following.next().await?;
            match ui.is_for_people() {
                true => ui.line(&line(&following.topic, &event))?,
                // JSON as it was sent may go over several lines.
                false => ui.line(&json.replace('\n', " "))?,
            }
        }
    }
}

/// Writes an event on a line, as people read it.
fn line(topic: &str, event: &Streamed) -> String {
    let data = match (&event.data, &event.data_base64) {
        (Some(data), _) => data.get(),
        (None, Some(bytes)) => bytes,
        (None, None) => "-",
    };
    let data = printable(data).replace('\n', " ");
    let cut = match data.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &data[..end]),
        None => data,
    };
    let Streamed {
        partition,
        offset,
        time,
        ..
    } = event;
    let key = printable(event.key.as_deref().unwrap_or("-"));
    let kind = printable(event.header("ce_type").unwrap_or("-"));
    format!("{topic}/{partition}/{offset}  {time}  {key}  {kind}  {cut}")
}
