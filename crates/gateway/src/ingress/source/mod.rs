//! Providers' webhooks: each with its own proof of origin, names and ids, made events here.
//!
//! Every proof covers the exact bytes of the body and is compared in constant time; where a scheme signs a
//! time, one far from the gateway's is refused. The id is the provider's own, so that a redelivery is
//! a repeat. To add one: a variant of [`Provider`], a file beside this one, an arm in each function,
//! a line in `docs/guides/webhooks-in.md`.

mod github;
mod hmac;
mod proof;
mod read;
pub(crate) mod routes;
mod shopify;
mod slack;
mod standard;
mod stripe;
#[cfg(test)]
mod tests;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use tidegate_contract::event::Event;

use crate::problem::Problem;
use crate::settings::{Provider, Secret, Source};

const NO_MATCH: &str = "does not match the body under this source's secrets";

/// A provider's request, read whole.
pub(crate) struct Delivery<'a> {
    /// The name in `/v1/sources/{source}`.
    pub(crate) source: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) received_ms: i64,
}

/// What a verified request is.
pub(crate) enum Meaning {
    Event(Event),
    /// A question whether this address listens, answered with this text.
    Challenge(String),
}

/// Returns the event's type as far as the head tells it, for the limit of the body.
pub(crate) fn event_type(source: &Source, name: &str, headers: &HeaderMap) -> Option<String> {
    match &source.provider {
        Provider::Github => github::event_type(headers),
        Provider::Shopify => shopify::event_type(headers),
        Provider::Hmac(scheme) => hmac::event_type(scheme, name, headers),
        Provider::Stripe | Provider::Slack | Provider::Standard => None,
    }
}

/// Checks that the provider sent exactly these bytes, not long ago.
///
/// # Errors
/// `SignatureInvalid`.
pub(crate) fn verify(source: &Source, delivery: &Delivery<'_>) -> Result<(), Problem> {
    match &source.provider {
        Provider::Github => github::verify(&source.secrets, delivery),
        Provider::Stripe => stripe::verify(source, delivery),
        Provider::Shopify => shopify::verify(&source.secrets, delivery),
        Provider::Slack => slack::verify(source, delivery),
        Provider::Standard => standard::verify(source, delivery),
        Provider::Hmac(scheme) => hmac::verify(scheme, source, delivery),
    }
}

/// Reads a verified request.
///
/// # Errors
/// `BadRequest` or `MalformedJson` if what the provider's events have is missing or malformed.
pub(crate) fn read(source: &Source, delivery: &Delivery<'_>) -> Result<Meaning, Problem> {
    let event = match &source.provider {
        Provider::Github => github::event(delivery),
        Provider::Stripe => stripe::event(delivery),
        Provider::Shopify => shopify::event(delivery),
        Provider::Slack => return slack::read(delivery),
        Provider::Standard => standard::event(delivery),
        Provider::Hmac(scheme) => hmac::event(scheme, delivery),
    };
    event.map(Meaning::Event)
}

/// Says whether a secret can be one of the provider's.
pub(crate) fn is_secret_of(provider: &Provider, secret: &Secret) -> bool {
    match provider {
        Provider::Standard => standard::Key::read(secret).is_some(),
        _ => !secret.expose().is_empty(),
    }
}

/// Returns an event that has nothing yet but its data.
fn data_of(delivery: &Delivery<'_>) -> Event {
    let content_type = delivery
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    Event {
        datacontenttype: content_type.map(str::to_owned),
        data: (!delivery.body.is_empty()).then(|| delivery.body.clone()),
        ..Event::default()
    }
}

/// Returns the `source` of a provider that this gateway knows by its settings only.
fn own_source(delivery: &Delivery<'_>) -> String {
    format!("/sources/{}", delivery.source)
}
