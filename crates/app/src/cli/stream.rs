//! A topic as a gateway streams it: server-sent events, read to the end of nothing. Where the connection
//! ends, it is made again with the last id, so that each event comes once.

use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidegate_contract::event::timestamp_ms;
use tidegate_contract::units::Duration as Ago;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{sleep, timeout};

use super::client::{Client, query, segment};
use super::failure::{Exit, Failure};
use crate::ui::Ui;

/// The gateway shows every 15 s that a stream lives.
const SILENCE: Duration = Duration::from_secs(45);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// The log's largest record is 4 MiB; base64, escapes and headers make more of it.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// What to read, and from where on.
#[derive(clap::Args, Debug)]
pub(crate) struct Wanted {
    /// The topic.
    topic: String,
    /// Only events of which this expression in CEL is true, over `event` (attributes) and `message` (data).
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// Begin there: `earliest`, `latest`, a time (RFC 3339), or so long ago, such as `10m`.
    #[arg(long, value_name = "WHEN", default_value = "latest")]
    from: String,
}

impl Wanted {
    fn path(&self, now: OffsetDateTime) -> Result<String, Failure> {
        let from = match self.from.as_str() {
            word @ ("earliest" | "latest") => word.to_owned(),
            time if timestamp_ms(time).is_some() => time.to_owned(),
            ago => {
                let ago: Ago = ago.parse().map_err(|_| {
                    let message = format!("`{ago}` is no place to begin");
                    let hint = "write `earliest`, `latest`, a time such as `2026-01-01T00:00:00Z`, or `10m`";
                    Failure::new(Exit::Usage, message).with_hint(hint)
                })?;
                let start = now - Duration::from_millis(ago.as_ms());
                start.format(&Rfc3339).expect("a year of four digits")
            }
        };
        let mut path = format!(
            "/v1/topics/{}/events?from={}",
            segment(&self.topic),
            query(&from)
        );
        if let Some(filter) = &self.filter {
            path.push_str(&format!("&filter={}", query(filter)));
        }
        Ok(path)
    }

    /// Begins to read.
    ///
    /// # Errors
    /// `Usage`; those of the gateway.
    pub(crate) async fn follow<'u>(
        &self,
        client: Client,
        ui: &'u Ui,
    ) -> Result<Following<'u>, Failure> {
        let path = self.path(OffsetDateTime::now_utc())?;
        let response = client.open_stream(&path, None).await?;
        Ok(Following {
            ui,
            client,
            path,
            topic: self.topic.clone(),
            response: Some(response),
            parser: Parser::default(),
        })
    }
}

/// An event as it is streamed.
#[derive(Debug, Deserialize)]
pub(crate) struct Streamed {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) time: String,
    pub(crate) key: Option<String>,
    pub(crate) headers: Vec<StreamedHeader>,
    pub(crate) data: Option<Box<RawValue>>,
    pub(crate) data_base64: Option<String>,
}

/// A record's header.
#[derive(Debug, Deserialize)]
pub(crate) struct StreamedHeader {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

impl Streamed {
    /// Returns the first header of a name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|header| header.name == name);
        named.next()?.value.as_deref()
    }
}

/// A topic being read.
pub(crate) struct Following<'u> {
    ui: &'u Ui,
    client: Client,
    path: String,
    pub(crate) topic: String,
    response: Option<Response>,
    parser: Parser,
}

impl Following<'_> {
    /// Waits for the next event and returns it with its JSON text.
    ///
    /// # Errors
    /// The gateway refuses to go on, or does not speak as one.
    pub(crate) async fn next(&mut self) -> Result<(Streamed, String), Failure> {
        loop {
            while let Some(message) = self.parser.next() {
                match message.kind.as_deref() {
                    None => return read(message.data),
                    Some("gap") => {
                        let gap = format!("events were no longer kept: {}", message.data);
                        self.ui.note(&gap);
                    }
                    // One of a newer gateway.
                    Some(_) => {}
                }
            }
            match &mut self.response {
                None => self.reconnect().await?,
                Some(response) => match timeout(SILENCE, response.chunk()).await {
                    Ok(Ok(Some(bytes))) if self.parser.open.len() < MAX_MESSAGE_BYTES => {
                        self.parser.push(&bytes);
                    }
                    Ok(Ok(Some(_))) => {
                        let message = "an event of the stream is larger than any event may be";
                        return Err(Failure::new(Exit::Failed, message));
                    }
                    _ => self.response = None,
                },
            }
        }
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        let mut pause = FIRST_RETRY;
        loop {
            sleep(pause).await;
            self.parser.open.clear();
            let id = self.parser.id.as_deref();
            match self.client.open_stream(&self.path, id).await {
                Ok(response) => {
                    self.response = Some(response);
                    return Ok(());
                }
                Err(failure) if failure.exit == Exit::Unreachable => {
                    self.ui.note("the gateway is away; trying again");
                    pause = (pause * 2).min(LONGEST_RETRY);
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn read(data: String) -> Result<(Streamed, String), Failure> {
    match serde_json::from_str(&data) {
        Ok(event) => Ok((event, data)),
        Err(error) => {
            let message = format!("the stream has what is no event: {error}");
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

/// A message of a stream.
#[derive(Debug, Eq, PartialEq)]
struct Message {
    kind: Option<String>,
    data: String,
}

/// Takes a stream apart (HTML Living Standard §9.2.6). The gateway ends its lines with a line feed.
#[derive(Debug, Default)]
struct Parser {
    open: Vec<u8>,
    id: Option<String>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
    }

    /// Takes the next message that is there in full and has data.
    fn next(&mut self) -> Option<Message> {
        loop {
            let end = self.open.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.open.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let (mut kind, mut data) = (None, None::<String>);
            for line in block.lines() {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match name {
                    "id" => self.id = Some(value.to_owned()),
                    "event" => kind = Some(value.to_owned()),
                    "data" => match &mut data {
                        Some(data) => {
                            data.push('\n');
                            data.push_str(value);
                        }
                        None => data = Some(value.to_owned()),
                    },
                    _ => {}
                }
            }
            if let Some(data) = data {
                return Some(Message { kind, data });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_however_their_bytes_come() {
        let stream = "retry: 1000\nid: 0.0\n\nid: 1.0\ndata: {\ndata: }\n\n: heartbeat\nid: 5.0\n\nevent: gap\ndata: {}\n\nid: 9";
        for size in 1..stream.len() {
            let mut parser = Parser::default();
            let mut messages = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                parser.push(piece);
                while let Some(message) = parser.next() {
                    messages.push((message, parser.id.clone().unwrap()));
                }
            }
            let message = |kind: Option<&str>, data: &str, id: &str| {
                let kind = kind.map(str::to_owned);
                let data = data.to_owned();
                (Message { kind, data }, id.to_owned())
            };
            let expected = [
                message(None, "{\n}", "1.0"),
                message(Some("gap"), "{}", "5.0"),
            ];
            assert_eq!(messages, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn where_to_begin_is_a_word_a_time_or_a_while_ago() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        for (from, expected) in [
            ("earliest", Some("earliest")),
            ("2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
            ("10m", Some("2023-11-14T22:03:20Z")),
            ("yesterday", None),
        ] {
            let wanted = Wanted {
                topic: "a b".to_owned(),
                filter: Some("event.id == 'x'".to_owned()),
                from: from.to_owned(),
            };
            let path = wanted.path(now).ok();
            let expected = expected.map(|from| {
                let filter = "event.id%20%3D%3D%20'x'";
                format!("/v1/topics/a%20b/events?from={from}&filter={filter}")
            });
            assert_eq!(path, expected, "{from}");
        }
    }
}
