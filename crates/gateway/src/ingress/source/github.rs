//! GitHub's webhooks: `X-Hub-Signature-256` over the exact bytes, the event's name in
//! `X-GitHub-Event`, its id in `X-GitHub-Delivery`, the same when GitHub redelivers.
//!
//! Source: GitHub Docs, «Webhook events and payloads» and «Validating webhook deliveries».

use axum::http::HeaderMap;
use tidegate_contract::event::Event;

use super::proof::{as_they_are, digest, only, proves, refused};
use super::read::missing;
use super::{Delivery, data_of};
use crate::problem::Problem;
use crate::settings::{Algorithm, Encoding, Secret};

const SOURCE: &str = "https://github.com";
const TYPE_PREFIX: &str = "com.github.";
const EVENT: &str = "x-github-event";
const DELIVERY: &str = "x-github-delivery";
const SIGNATURE: &str = "X-Hub-Signature-256";
/// GitHub's names have at most 45 characters, its delivery ids 36.
const MAX_CHARACTERS: usize = 100;

pub(super) fn event_type(headers: &HeaderMap) -> Option<String> {
    Some(format!("{TYPE_PREFIX}{}", event_name(headers)?))
}

fn event_name(headers: &HeaderMap) -> Option<&str> {
    let name = headers.get(EVENT)?.to_str().ok()?;
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    ((1..=MAX_CHARACTERS).contains(&name.len()) && name.bytes().all(known)).then_some(name)
}

fn delivery_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(DELIVERY)?.to_str().ok()?;
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    ((1..=MAX_CHARACTERS).contains(&id.len()) && id.bytes().all(known)).then_some(id)
}

pub(super) fn verify(secrets: &[Secret], delivery: &Delivery<'_>) -> Result<(), Problem> {
    let signature = only(delivery.headers, SIGNATURE)?.strip_prefix("sha256=");
    let digest = signature.and_then(|hex| digest(hex, Algorithm::Sha256, Encoding::Hex));
    let Some(digest) = digest else {
        return Err(refused(SIGNATURE, "is not `sha256=` and 64 hex digits"));
    };
    let (keys, body) = (as_they_are(secrets), &delivery.body[..]);
    match proves(Algorithm::Sha256, keys, &[body], &[digest]) {
        true => Ok(()),
        false => Err(refused(SIGNATURE, super::NO_MATCH)),
    }
}

pub(super) fn event(delivery: &Delivery<'_>) -> Result<Event, Problem> {
    let headers = delivery.headers;
    let event_type = event_type(headers).ok_or_else(|| missing("X-GitHub-Event"))?;
    let id = delivery_id(headers).ok_or_else(|| missing("X-GitHub-Delivery"))?;
    Ok(Event {
        id: id.to_owned(),
        source: SOURCE.to_owned(),
        event_type,
        ..data_of(delivery)
    })
}
