//! What senders are told of a contract on its way out, in headers that HTTP clients and their tools know:
//! `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` to what comes after (RFC 8288, RFC 5829).
//! Made once a contract; the dates are the contract's, so no clock is asked.

use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_contract::EventContract;
use tidegate_contract::model::Lifecycle;

/// Headers of the answer to an accepted event.
pub(crate) type Told = Vec<(HeaderName, HeaderValue)>;

/// Returns what a contract has to tell; nothing unless it is deprecated and says since when.
pub(crate) fn told(contract: &EventContract) -> Told {
    let Some(deprecation) = &contract.deprecation else {
        return Told::new();
    };
    if contract.lifecycle != Lifecycle::Deprecated {
        return Told::new();
    }
    let since = format!("@{}", deprecation.since.unix_seconds());
    let sunset = deprecation.sunset.map(|sunset| sunset.http_date());
    // A contract's name needs no escape in a path: the format sees to it.
    let successor = deprecation.successor.as_ref();
    let link = successor.map(|name| format!("</v1/events/{name}>; rel=\"successor-version\""));
    let headers = [
        (HeaderName::from_static("deprecation"), Some(since)),
        (HeaderName::from_static("sunset"), sunset),
        (LINK, link),
    ];
    headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, HeaderValue::from_maybe_shared(value?).ok()?)))
        .collect()
}

/// Adds them to an answer.
pub(crate) fn tell(told: &Told, headers: &mut HeaderMap) {
    for (name, value) in told {
        headers.append(name, value.clone());
    }
}
