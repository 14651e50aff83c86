//! Standard Webhooks: `webhook-signature` holds a list of `v1,` (HMAC-SHA256) and `v1a,` (Ed25519)
//! signatures over `id.time.body`. The id stays the same over retries; the type stands in the body.
//!
//! Source: the Standard Webhooks specification 1.0, «Signature scheme» and «Webhook headers».

use std::borrow::Cow;

use aws_lc_rs::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tidegate_contract::event::{Event, timestamp_ms};

use super::proof::{MAX_SIGNATURES, digest, near, only, proves, refused};
use super::read::{is_name, members, missing, required};
use super::{Delivery, data_of, own_source};
use crate::problem::Problem;
use crate::settings::{Algorithm, Encoding, Secret, Source};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
/// An Ed25519 signature has 64 bytes.
const SIGNATURE_BYTES: usize = 64;

/// A secret, read by what stands before it.
pub(super) enum Key {
    /// `whsec_`: both sides have it.
    Shared(Vec<u8>),
    /// `whpk_`: it can verify, and not sign.
    Public(Vec<u8>),
}

impl Key {
    /// Reads a secret; nothing if it is none of this scheme.
    pub(super) fn read(secret: &Secret) -> Option<Self> {
        let text = std::str::from_utf8(secret.expose()).ok()?;
        if let Some(public) = text.strip_prefix("whpk_") {
            let key = STANDARD.decode(public).ok()?;
            return (key.len() == ED25519_PUBLIC_KEY_LEN).then_some(Self::Public(key));
        }
        let shared = text.strip_prefix("whsec_").unwrap_or(text);
        let key = STANDARD.decode(shared).ok()?;
        (!key.is_empty()).then_some(Self::Shared(key))
    }
}

pub(super) fn verify(source: &Source, delivery: &Delivery<'_>) -> Result<(), Problem> {
    let id = only(delivery.headers, ID)?;
    let seconds = only(delivery.headers, TIMESTAMP)?;
    let list = only(delivery.headers, SIGNATURE)?;
    // A dot in the id would let two texts be signed as one.
    if !is_name(id) || id.contains('.') {
        return Err(refused(ID, "is no id without dots"));
    }
    let parts = [
        id.as_bytes(),
        b".",
        seconds.as_bytes(),
        b".",
        &delivery.body,
    ];
    let keys: Vec<Key> = source.secrets.iter().filter_map(Key::read).collect();
    let (mut digests, mut signatures) = (Vec::new(), Vec::new());
    for signature in list.split_ascii_whitespace().take(MAX_SIGNATURES) {
        match signature.split_once(',') {
            Some(("v1", text)) => {
                digests.extend(digest(text, Algorithm::Sha256, Encoding::Base64));
            }
            Some(("v1a", text)) => {
                let bytes = STANDARD.decode(text).unwrap_or_default();
                signatures.extend((bytes.len() == SIGNATURE_BYTES).then_some(bytes));
            }
            _ => {}
        }
    }
    let shared = keys.iter().filter_map(|key| match key {
        Key::Shared(key) => Some(&key[..]),
        Key::Public(_) => None,
    });
    let proven = proves(Algorithm::Sha256, shared, &parts, &digests)
        || is_signed(&keys, &parts, &signatures);
    if !proven {
        return Err(refused(SIGNATURE, super::NO_MATCH));
    }
    near(TIMESTAMP, seconds, delivery.received_ms, source.tolerance)
}

/// Says whether one of the signatures is that of the parts under one of the public keys.
fn is_signed(keys: &[Key], parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    let public = keys.iter().filter_map(|key| match key {
        Key::Public(key) => Some(UnparsedPublicKey::new(&ED25519, key)),
        Key::Shared(_) => None,
    });
    if signatures.is_empty() {
        return false;
    }
    let message = parts.concat();
    public.into_iter().any(|key| {
        let verifies = |signature: &Vec<u8>| key.verify(&message, signature).is_ok();
        signatures.iter().any(verifies)
    })
}

#[derive(Deserialize)]
struct Members<'b> {
    #[serde(borrow)]
    r#type: Option<Cow<'b, str>>,
    #[serde(borrow)]
    timestamp: Option<Cow<'b, str>>,
}

pub(super) fn event(delivery: &Delivery<'_>) -> Result<Event, Problem> {
    let found: Members<'_> = members(&delivery.body)?;
    let id = only(delivery.headers, ID).map_err(|_| missing(ID))?;
    let event_type = required(found.r#type, "#/type")?;
    let time = found.timestamp.filter(|time| timestamp_ms(time).is_some());
    Ok(Event {
        id: id.to_owned(),
        source: own_source(delivery),
        event_type: format!("{}.{event_type}", delivery.source),
        time: time.map(Cow::into_owned),
        ..data_of(delivery)
    })
}
