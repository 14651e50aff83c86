//! GitHub's webhooks: `X-Hub-Signature-256` over the exact bytes, the event's name in
//! `X-GitHub-Event`, its id in `X-GitHub-Delivery`, the same when GitHub redelivers.
//!
//! Source: GitHub Docs, «Webhook events and payloads» and «Validating webhook deliveries».

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use tidegate_contract::event::Event;

use crate::problem::{Fault, Kind, Problem};
use crate::settings::Secret;

const SOURCE: &str = "https://github.com";
const TYPE_PREFIX: &str = "com.github.";
const EVENT: &str = "x-github-event";
const DELIVERY: &str = "x-github-delivery";
const SIGNATURE: &str = "x-hub-signature-256";
/// GitHub's names have at most 45 characters, its delivery ids 36.
const MAX_CHARACTERS: usize = 100;

pub(crate) fn event_type(headers: &HeaderMap) -> Option<String> {
    Some(format!("{TYPE_PREFIX}{}", event_name(headers)?))
}

fn event_name(headers: &HeaderMap) -> Option<&str> {
    let name = headers.get(EVENT)?.to_str().ok()?;
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    ((1..=MAX_CHARACTERS).contains(&name.len()) && name.bytes().all(known)).then_some(name)
}

fn delivery(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(DELIVERY)?.to_str().ok()?;
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    ((1..=MAX_CHARACTERS).contains(&id.len()) && id.bytes().all(known)).then_some(id)
}

/// Compares the signature in constant time.
pub(crate) fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let refused = |what: &str| {
        Err(Problem::new(
            Kind::SignatureInvalid,
            format!("`X-Hub-Signature-256` {what}"),
        ))
    };
    let Some(signature) = headers.get(SIGNATURE) else {
        return refused("is missing");
    };
    let Some(tag) = signature
        .as_bytes()
        .strip_prefix(b"sha256=")
        .and_then(hex_32)
    else {
        return refused("is not `sha256=` and 64 hex digits");
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    match hmac::verify(&key, body, &tag) {
        Ok(()) => Ok(()),
        Err(_) => refused("does not match the body under this source's secret"),
    }
}

fn hex_32(text: &[u8]) -> Option<[u8; 32]> {
    let mut tag = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in tag.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(tag)
}

pub(crate) fn event(headers: &HeaderMap, body: Bytes) -> Result<Event, Problem> {
    let missing = |name: &str| {
        let detail = format!("`{name}` is missing or malformed");
        let fault = Fault {
            pointer: name.to_owned(),
            detail: "required".to_owned(),
            rule: None,
        };
        Problem::new(Kind::BadRequest, detail).with_errors(vec![fault])
    };
    let event_type = event_type(headers).ok_or_else(|| missing("X-GitHub-Event"))?;
    let id = delivery(headers).ok_or_else(|| missing("X-GitHub-Delivery"))?;
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    Ok(Event {
        id: id.to_owned(),
        source: SOURCE.to_owned(),
        event_type,
        datacontenttype: content_type.map(str::to_owned),
        data: (!body.is_empty()).then_some(body),
        ..Event::default()
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// The example of GitHub Docs, «Validating webhook deliveries», «Testing».
    #[test]
    fn a_signature_is_checked_as_github_makes_it() {
        let secret = Secret::new("It's a Secret to Everybody");
        let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        for (signature, body, expected) in [
            (Some(good), "Hello, World!", true),
            (Some(good), "Hello, World", false),
            (Some(&good[7..]), "Hello, World!", false),
            (Some("sha256=00"), "Hello, World!", false),
            (
                Some("sha1=757107ea0eb2509fc211221cce984b8a37570b6d"),
                "Hello, World!",
                false,
            ),
            (None, "Hello, World!", false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(signature) = signature {
                headers.insert(SIGNATURE, HeaderValue::from_str(signature).unwrap());
            }
            let verified = verify(&secret, &headers, body.as_bytes());
            assert_eq!(verified.is_ok(), expected, "{signature:?} {body}");
        }
    }

    #[test]
    fn a_delivery_becomes_an_event() {
        let mut headers = HeaderMap::new();
        headers.insert(EVENT, HeaderValue::from_static("issue_comment"));
        assert!(event(&headers, Bytes::new()).is_err());
        headers.insert(
            DELIVERY,
            HeaderValue::from_static("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        );
        let found = event(&headers, Bytes::from_static(b"{}")).unwrap();
        assert_eq!(found.event_type, "com.github.issue_comment");
        assert_eq!(found.id, "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        assert_eq!(found.source, SOURCE);
        headers.insert(EVENT, HeaderValue::from_static("../push"));
        assert!(event(&headers, Bytes::new()).is_err());
    }
}
