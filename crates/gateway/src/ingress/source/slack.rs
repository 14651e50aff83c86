//! Slack's Events API: `X-Slack-Signature: v0=…` over `v0:time:body`. Type, id and time stand in the
//! body; an `event_callback` is named by the event inside it. A `url_verification` is a question: its
//! challenge is the answer, and nothing is stored.
//!
//! Source: docs.slack.dev, «Verifying requests from Slack» and «The Events API».

use std::borrow::Cow;

use serde::Deserialize;
use tidegate_contract::event::Event;

use super::proof::{as_they_are, digest, near, only, proves, refused};
use super::read::{members, missing, required};
use super::{Delivery, Meaning, data_of};
use crate::clock::rfc3339;
use crate::problem::Problem;
use crate::settings::{Algorithm, Encoding, Source};

const SOURCE: &str = "https://slack.com";
const TYPE_PREFIX: &str = "com.slack.";
const SIGNATURE: &str = "X-Slack-Signature";
const TIMESTAMP: &str = "X-Slack-Request-Timestamp";
/// Slack's challenges have 52 characters.
const MAX_CHALLENGE_BYTES: usize = 1024;

pub(super) fn verify(source: &Source, delivery: &Delivery<'_>) -> Result<(), Problem> {
    let seconds = only(delivery.headers, TIMESTAMP)?;
    let signature = only(delivery.headers, SIGNATURE)?.strip_prefix("v0=");
    let digest = signature.and_then(|hex| digest(hex, Algorithm::Sha256, Encoding::Hex));
    let Some(digest) = digest else {
        return Err(refused(SIGNATURE, "is not `v0=` and 64 hex digits"));
    };
    let parts = [b"v0:", seconds.as_bytes(), b":", &delivery.body];
    let keys = as_they_are(&source.secrets);
    if !proves(Algorithm::Sha256, keys, &parts, &[digest]) {
        return Err(refused(SIGNATURE, super::NO_MATCH));
    }
    near(TIMESTAMP, seconds, delivery.received_ms, source.tolerance)
}

#[derive(Deserialize)]
struct Members<'b> {
    #[serde(borrow)]
    r#type: Option<Cow<'b, str>>,
    #[serde(borrow)]
    challenge: Option<Cow<'b, str>>,
    #[serde(borrow)]
    event_id: Option<Cow<'b, str>>,
    event_time: Option<i64>,
    #[serde(borrow)]
    event: Option<Inner<'b>>,
}

#[derive(Deserialize)]
struct Inner<'b> {
    #[serde(borrow)]
    r#type: Option<Cow<'b, str>>,
}

pub(super) fn read(delivery: &Delivery<'_>) -> Result<Meaning, Problem> {
    let found: Members<'_> = members(&delivery.body)?;
    let outer = required(found.r#type, "#/type")?;
    if outer == "url_verification" {
        let challenge = found.challenge.unwrap_or_default();
        return match challenge.len() {
            1..=MAX_CHALLENGE_BYTES => Ok(Meaning::Challenge(challenge.into_owned())),
            _ => Err(missing("#/challenge")),
        };
    }
    let event_type = match outer.as_str() {
        "event_callback" => {
            let inner = found.event.and_then(|event| event.r#type);
            required(inner, "#/event/type")?
        }
        _ => outer,
    };
    Ok(Meaning::Event(Event {
        id: required(found.event_id, "#/event_id")?,
        source: SOURCE.to_owned(),
        event_type: format!("{TYPE_PREFIX}{event_type}"),
        time: found
            .event_time
            .map(|seconds| rfc3339(seconds.saturating_mul(1_000))),
        ..data_of(delivery)
    }))
}
