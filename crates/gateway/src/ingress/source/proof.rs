//! What the schemes have in common: a keyed digest of the exact bytes, compared in constant time,
//! and a time that must be near. Bytes of the network are bounded before they cost anything.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::problem::{Kind, Problem};
use crate::settings::{Algorithm, Encoding, Secret};

/// A sender signs with its old and its new secret; more signatures than these are not looked at.
pub(super) const MAX_SIGNATURES: usize = 16;
/// SHA-512 in hex.
const MAX_DIGEST_CHARACTERS: usize = 128;

/// Says that a sender did not prove who it is.
pub(super) fn refused(header: &str, what: &str) -> Problem {
    Problem::new(Kind::SignatureInvalid, format!("`{header}` {what}"))
}

/// Returns the one value of a header, as text.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value
            .to_str()
            .map_err(|_| refused(name, "is not printable ASCII")),
        (None, _) => Err(refused(name, "is missing")),
        (Some(_), Some(_)) => Err(refused(name, "is there twice")),
    }
}

impl Algorithm {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// Reads a digest of this length from its text.
pub(super) fn digest(text: &str, algorithm: Algorithm, encoding: Encoding) -> Option<Vec<u8>> {
    if text.len() > MAX_DIGEST_CHARACTERS {
        return None;
    }
    let bytes = match encoding {
        Encoding::Hex => hex(text.as_bytes())?,
        Encoding::Base64 => STANDARD.decode(text).ok()?,
    };
    (bytes.len() == algorithm.digest_bytes()).then_some(bytes)
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let pairs = text.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok())
        .collect()
}

/// Says whether one of the digests is that of the parts under one of the keys.
pub(super) fn proves<'k>(
    algorithm: Algorithm,
    keys: impl Iterator<Item = &'k [u8]>,
    parts: &[&[u8]],
    digests: &[Vec<u8>],
) -> bool {
    let mut proves = false;
    for key in keys {
        let key = hmac::Key::new(algorithm.hmac(), key);
        let mut signing = hmac::Context::with_key(&key);
        for part in parts {
            signing.update(part);
        }
        let expected = signing.sign();
        // All of them, so that time tells nothing of which one it was.
        for digest in digests {
            proves |= verify_slices_are_equal(expected.as_ref(), digest).is_ok();
        }
    }
    proves
}

/// Returns the bytes of secrets that are keys as they are.
pub(super) fn as_they_are(secrets: &[Secret]) -> impl Iterator<Item = &[u8]> {
    secrets.iter().map(Secret::expose)
}

/// Checks that a time in Unix seconds is near the gateway's, either way.
pub(super) fn near(
    header: &str,
    seconds: &str,
    received_ms: i64,
    tolerance: Duration,
) -> Result<(), Problem> {
    let digits = seconds.bytes().all(|byte| byte.is_ascii_digit());
    let Some(at) = seconds.parse::<i64>().ok().filter(|_| digits) else {
        return Err(refused(header, "has no time in Unix seconds"));
    };
    let away_ms = at.saturating_mul(1_000).abs_diff(received_ms);
    if u128::from(away_ms) > tolerance.as_millis() {
        let limit = tolerance.as_secs();
        let what = format!("has a time more than `{limit}s` from the gateway's");
        return Err(refused(header, &what));
    }
    Ok(())
}
