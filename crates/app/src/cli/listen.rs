//! `listen`: what comes into a topic, sent on to a program on a developer's own machine, as CloudEvents in
//! binary mode (HTTP binding 1.0.2 §3.1). One at a time, in the stream's order; a failing program does not
//! stop it, and nothing is sent twice.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use percent_encoding::utf8_percent_encode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url};
use serde_json::json;

use super::client::{Server, http_client};
use super::failure::{Exit, Failure};
use super::send::HEADER_VALUE;
use super::stream::{Streamed, Wanted};
use crate::ui::{Ui, printable};

/// As long as webhooks get.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Send a topic's events on to a program on this machine, until Ctrl-C.
#[derive(Args, Debug)]
pub(crate) struct Listen {
    #[command(flatten)]
    wanted: Wanted,
    /// Where each event is posted.
    #[arg(long, value_name = "URL")]
    forward_to: Url,
    #[command(flatten)]
    server: Server,
}

impl Listen {
    /// Reads and forwards.
    ///
    /// # Errors
    /// The gateway's; not the program's.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        if self.forward_to.scheme() != "http" {
            let message = format!("`{}` does not begin with `http://`", self.forward_to);
            return Err(Failure::new(Exit::Usage, message));
        }
        let http = http_client()?;
        let mut following = self.wanted.follow(self.server.client()?, ui).await?;
        ui.note(&format!(
            "forwarding `{}` to {}",
            following.topic, self.forward_to
        ));
        loop {
            let (event, _) = following.next().await?;
            let (headers, body) = request(&event)?;
            let began = Instant::now();
            let post = http.post(self.forward_to.clone()).timeout(TIMEOUT);
            let answer = post.headers(headers).body(body).send().await;
            let status = answer.as_ref().map(reqwest::Response::status);
            let took = began.elapsed();
            ui.line(&told(
                ui,
                &following.topic,
                &event,
                status.as_ref().ok(),
                took,
            ))?;
        }
    }
}

/// Makes the request that brings an event.
fn request(event: &Streamed) -> Result<(HeaderMap, Vec<u8>), Failure> {
    let mut headers = HeaderMap::new();
    for header in &event.headers {
        let (name, value) = match (header.name.as_str(), &header.value) {
            (_, None) => continue,
            (name @ ("content-type" | "traceparent" | "tracestate"), Some(value)) => {
                (name.to_owned(), value.clone())
            }
            (name, Some(value)) => match name.strip_prefix("ce_") {
                Some(attribute) => {
                    let value = utf8_percent_encode(value, HEADER_VALUE).to_string();
                    (format!("ce-{attribute}"), value)
                }
                None => continue,
            },
        };
        // A record of a Kafka client may have headers that HTTP has not.
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    // Where a schema made JSON of the data, the bytes stand beside it.
    let body = match (&event.data_base64, &event.data) {
        (Some(bytes), _) => STANDARD
            .decode(bytes)
            .context("the gateway's base64 cannot be read")?,
        (None, Some(data)) => data.get().as_bytes().to_vec(),
        (None, None) => Vec::new(),
    };
    Ok((headers, body))
}

fn told(
    ui: &Ui,
    topic: &str,
    event: &Streamed,
    status: Option<&StatusCode>,
    took: Duration,
) -> String {
    let ms = took.as_millis();
    let place = format!("{topic}/{}/{}", event.partition, event.offset);
    let (id, kind) = (event.header("ce_id"), event.header("ce_type"));
    if !ui.is_for_people() {
        let status = status.map(StatusCode::as_u16);
        return json!({ "place": place, "id": id, "type": kind, "status": status, "took_ms": u64::try_from(ms).unwrap_or(u64::MAX) })
            .to_string();
    }
    let status = status.map_or("no answer".to_owned(), |status| status.as_u16().to_string());
    let kind = printable(kind.unwrap_or("-"));
    let id = printable(id.unwrap_or("-"));
    format!(
        "{}  {status:9}  {ms:>5} ms  {place}  {kind}  {id}",
        event.time
    )
}
