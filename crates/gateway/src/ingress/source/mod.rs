//! Providers' webhooks: each with its own proof of origin, names and ids, made events here.
//!
//! To add one: a variant of [`Source`], a file beside this one, an arm in each function.

mod github;

use axum::http::HeaderMap;
use bytes::Bytes;
use tidegate_contract::event::Event;

use crate::problem::Problem;
use crate::settings::Source;

/// Returns the event's type as far as the head tells it, for the limit of the body.
pub(crate) fn event_type(source: &Source, headers: &HeaderMap) -> Option<String> {
    match source {
        Source::Github { .. } => github::event_type(headers),
    }
}

/// Checks that the provider sent exactly these bytes.
///
/// # Errors
/// `SignatureInvalid`.
pub(crate) fn verify(source: &Source, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    match source {
        Source::Github { secret } => github::verify(secret, headers, body),
    }
}

/// Makes the event of a verified request.
///
/// # Errors
/// `BadRequest` if the provider's headers are missing or malformed.
pub(crate) fn event(source: &Source, headers: &HeaderMap, body: Bytes) -> Result<Event, Problem> {
    match source {
        Source::Github { .. } => github::event(headers, body),
    }
}
