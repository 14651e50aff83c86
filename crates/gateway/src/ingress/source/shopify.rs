//! Shopify's webhooks: `X-Shopify-Hmac-Sha256`, base64, over the exact bytes; topic, shop, ids and time
//! in headers, which the signature does not cover. `X-Shopify-Webhook-Id` stays the same when Shopify sends
//! again; `X-Shopify-Event-Id` is shared by all webhooks that one action set off.
//!
//! Source: shopify.dev, «Verify webhooks» and «Webhook headers».

use axum::http::HeaderMap;
use tidegate_contract::event::{Event, timestamp_ms};

use super::proof::{as_they_are, digest, only, proves, refused};
use super::read::{missing, name_of};
use super::{Delivery, data_of};
use crate::problem::Problem;
use crate::settings::{Algorithm, Encoding, Secret};

const TYPE_PREFIX: &str = "com.shopify.";
const SIGNATURE: &str = "X-Shopify-Hmac-Sha256";

pub(super) fn verify(secrets: &[Secret], delivery: &Delivery<'_>) -> Result<(), Problem> {
    let signature = only(delivery.headers, SIGNATURE)?;
    let Some(digest) = digest(signature, Algorithm::Sha256, Encoding::Base64) else {
        return Err(refused(SIGNATURE, "is not 32 bytes in base64"));
    };
    let (keys, body) = (as_they_are(secrets), &delivery.body[..]);
    match proves(Algorithm::Sha256, keys, &[body], &[digest]) {
        true => Ok(()),
        false => Err(refused(SIGNATURE, super::NO_MATCH)),
    }
}

/// `orders/create` is `com.shopify.orders.create`: types have dots.
pub(super) fn event_type(headers: &HeaderMap) -> Option<String> {
    let topic = name_of(headers, "x-shopify-topic")?;
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'/';
    topic
        .bytes()
        .all(known)
        .then(|| format!("{TYPE_PREFIX}{}", topic.replace('/', ".")))
}

fn shop(headers: &HeaderMap) -> Option<&str> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    name_of(headers, "x-shopify-shop-domain").filter(|shop| shop.bytes().all(known))
}

pub(super) fn event(delivery: &Delivery<'_>) -> Result<Event, Problem> {
    let headers = delivery.headers;
    let event_type = event_type(headers).ok_or_else(|| missing("X-Shopify-Topic"))?;
    let id = name_of(headers, "x-shopify-webhook-id");
    let id = id.ok_or_else(|| missing("X-Shopify-Webhook-Id"))?;
    let shop = shop(headers).ok_or_else(|| missing("X-Shopify-Shop-Domain"))?;
    let time = name_of(headers, "x-shopify-triggered-at");
    let action = name_of(headers, "x-shopify-event-id");
    let correlation = action.map(|id| ("correlationid".to_owned(), id.to_owned()));
    Ok(Event {
        id: id.to_owned(),
        source: format!("https://{shop}"),
        event_type,
        time: time
            .filter(|time| timestamp_ms(time).is_some())
            .map(str::to_owned),
        extensions: correlation.into_iter().collect(),
        ..data_of(delivery)
    })
}
