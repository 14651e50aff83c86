//! Stripe's webhooks: `Stripe-Signature: t=…,v1=…,v1=…`, an HMAC over `t.body` for each secret that
//! is valid at the time. Type, id and time stand in the body.
//!
//! Source: Stripe Docs, «Receive Stripe events in your webhook endpoint», «Verify webhook signatures
//! manually»; signatures of another scheme than `v1` are to be ignored.

use std::borrow::Cow;

use serde::Deserialize;
use tidegate_contract::event::Event;

use super::proof::{MAX_SIGNATURES, as_they_are, digest, near, only, proves, refused};
use super::read::{members, required};
use super::{Delivery, data_of};
use crate::clock::rfc3339;
use crate::problem::Problem;
use crate::settings::{Algorithm, Encoding, Source};

const SOURCE: &str = "https://stripe.com";
const TYPE_PREFIX: &str = "com.stripe.";
const SIGNATURE: &str = "Stripe-Signature";

pub(super) fn verify(source: &Source, delivery: &Delivery<'_>) -> Result<(), Problem> {
    let pairs = only(delivery.headers, SIGNATURE)?
        .split(',')
        .take(MAX_SIGNATURES)
        .filter_map(|pair| pair.trim().split_once('='));
    let (mut seconds, mut digests) = (None, Vec::new());
    for (name, value) in pairs {
        match name {
            "t" => seconds = Some(value),
            "v1" => digests.extend(digest(value, Algorithm::Sha256, Encoding::Hex)),
            _ => {}
        }
    }
    let Some(seconds) = seconds else {
        return Err(refused(SIGNATURE, "has no time `t=`"));
    };
    if digests.is_empty() {
        return Err(refused(SIGNATURE, "has no `v1=` and 64 hex digits"));
    }
    let parts = [seconds.as_bytes(), b".", &delivery.body];
    let keys = as_they_are(&source.secrets);
    if !proves(Algorithm::Sha256, keys, &parts, &digests) {
        return Err(refused(SIGNATURE, super::NO_MATCH));
    }
    near(SIGNATURE, seconds, delivery.received_ms, source.tolerance)
}

#[derive(Deserialize)]
struct Members<'b> {
    #[serde(borrow)]
    id: Option<Cow<'b, str>>,
    #[serde(borrow)]
    r#type: Option<Cow<'b, str>>,
    created: Option<i64>,
}

pub(super) fn event(delivery: &Delivery<'_>) -> Result<Event, Problem> {
    let found: Members<'_> = members(&delivery.body)?;
    let event_type = required(found.r#type, "#/type")?;
    Ok(Event {
        id: required(found.id, "#/id")?,
        source: SOURCE.to_owned(),
        event_type: format!("{TYPE_PREFIX}{event_type}"),
        time: found
            .created
            .map(|seconds| rfc3339(seconds.saturating_mul(1_000))),
        ..data_of(delivery)
    })
}
