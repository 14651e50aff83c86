//! Anybody else's webhooks: a keyed digest of the body in a header, in the form that the settings say.
//! With a timestamp header the signed text is `time.body`. Id and type come from headers, if the settings
//! name them; without an id the contract may have it in the data (`event.id`).

use axum::http::HeaderMap;
use tidegate_contract::event::Event;

use super::proof::{as_they_are, digest, near, only, proves, refused};
use super::read::{missing, name_of};
use super::{Delivery, data_of, own_source};
use crate::problem::Problem;
use crate::settings::{HmacScheme, Source};

pub(super) fn verify(
    scheme: &HmacScheme,
    source: &Source,
    delivery: &Delivery<'_>,
) -> Result<(), Problem> {
    let header = &scheme.header;
    let text = only(delivery.headers, header)?.strip_prefix(scheme.prefix.as_str());
    let digest = text.and_then(|text| digest(text, scheme.algorithm, scheme.encoding));
    let Some(digest) = digest else {
        return Err(refused(header, "is no signature in this source's form"));
    };
    let seconds = match &scheme.timestamp {
        Some(name) => Some((name, only(delivery.headers, name)?)),
        None => None,
    };
    let body = &delivery.body[..];
    let keys = as_they_are(&source.secrets);
    let proven = match seconds {
        Some((_, seconds)) => {
            let parts = [seconds.as_bytes(), b".", body];
            proves(scheme.algorithm, keys, &parts, &[digest])
        }
        None => proves(scheme.algorithm, keys, &[body], &[digest]),
    };
    if !proven {
        return Err(refused(header, super::NO_MATCH));
    }
    match seconds {
        Some((name, seconds)) => near(name, seconds, delivery.received_ms, source.tolerance),
        None => Ok(()),
    }
}

/// The source's name, and behind it the type that a header names, if the settings say which.
pub(super) fn event_type(scheme: &HmacScheme, source: &str, headers: &HeaderMap) -> Option<String> {
    match &scheme.event_type {
        Some(header) => Some(format!("{source}.{}", name_of(headers, header)?)),
        None => Some(source.to_owned()),
    }
}

pub(super) fn event(scheme: &HmacScheme, delivery: &Delivery<'_>) -> Result<Event, Problem> {
    let event_type = event_type(scheme, delivery.source, delivery.headers);
    let header = scheme.event_type.as_deref().unwrap_or_default();
    let event_type = event_type.ok_or_else(|| missing(header))?;
    let id = match &scheme.id {
        Some(header) => name_of(delivery.headers, header).ok_or_else(|| missing(header))?,
        None => "",
    };
    Ok(Event {
        id: id.to_owned(),
        source: own_source(delivery),
        event_type,
        ..data_of(delivery)
    })
}
