//! The records of `_tidegate.audit`. **Stable**: others verify them without tidegate.
//!
//! A record is one JSON object in UTF-8 whose last member is `hash`: the SHA-256, in lower-case hexadecimal,
//! of the record's bytes without that member, so of all before `,"hash":"` and a closing `}`. `previous` is
//! the `hash` of the record before it, and 64 zeros in the first. SHA-256 and not a faster one because
//! every machine has a program for it, and a change of state is rare.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The form described here.
pub(crate) const FORMAT: u32 = 1;
/// What stands before the hash, and after it.
const BEFORE_HASH: &str = ",\"hash\":\"";
const AFTER_HASH: &str = "\"}";
const HASH_CHARS: usize = 64;
/// A name is cut here; whole names are in what it names.
const MAX_NAME_CHARS: usize = 512;
/// What was there before and after, each; what is larger is its digest.
const MAX_STATE_BYTES: usize = 8 * 1024;

/// The `previous` of the first record.
pub(crate) fn no_hash() -> String {
    "0".repeat(HASH_CHARS)
}

/// Who asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Actor {
    pub(crate) tenant: String,
    pub(crate) name: String,
    /// How that is known, such as `certificate`; `none` if nobody had to say.
    pub(crate) how: String,
}

/// From where.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Origin {
    /// The address of the peer; none for what the gateway does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
}

/// Which part of a change a record tells of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// It is about to be done; without an outcome nobody knows whether it was.
    Intent,
    /// What became of it.
    Outcome,
    /// It was asked for and not begun.
    Refused,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Done,
    /// Not done, or not to its end; the problem says which.
    Failed,
    /// The log did not say.
    Unknown,
}

/// A record without its hash. The order of members is part of the format.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Entry {
    pub(crate) format: u32,
    /// Counted from 0 without a gap.
    pub(crate) sequence: u64,
    pub(crate) previous: String,
    /// RFC 3339, by the gateway's clock.
    pub(crate) time: String,
    pub(crate) phase: Phase,
    /// In an outcome: the sequence of its intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<u64>,
    pub(crate) verb: String,
    pub(crate) object: String,
    pub(crate) actor: Actor,
    pub(crate) from: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// In a refusal: how many before it were too many to be written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Entry {
    /// Writes the record and returns it with its hash.
    pub(crate) fn seal(&self) -> (String, String) {
        let mut text = serde_json::to_string(self).expect("strings, numbers and JSON only");
        let hash = sha256(text.as_bytes());
        text.pop();
        text.push_str(BEFORE_HASH);
        text.push_str(&hash);
        text.push_str(AFTER_HASH);
        (text, hash)
    }

    /// Reads a record and the hash that it carries, which is the one of its bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn unseal(text: &str) -> Result<(Self, String), &'static str> {
        let rest = text.strip_suffix(AFTER_HASH).ok_or("has no hash")?;
        let at = rest.len().checked_sub(HASH_CHARS).ok_or("has no hash")?;
        let (rest, hash) = rest.split_at_checked(at).ok_or("has no hash")?;
        let body = rest.strip_suffix(BEFORE_HASH).ok_or("has no hash")?;
        if sha256(format!("{body}}}").as_bytes()) != hash {
            return Err("is not what was written: its hash is another");
        }
        let entry: Self = serde_json::from_str(text).map_err(|_| "cannot be read")?;
        if entry.format != FORMAT {
            return Err("is of another format");
        }
        Ok((entry, hash.to_owned()))
    }
}

/// Returns the SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(HASH_CHARS);
    for byte in digest(&SHA256, bytes).as_ref() {
        write!(text, "{byte:02x}").expect("a string takes any text");
    }
    text
}

/// Returns a name that is not too long.
pub(crate) fn bounded_name(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}

/// Returns a state, or its digest and size if it is large.
pub(crate) fn bounded_state(state: Value) -> Value {
    let text = state.to_string();
    if text.len() <= MAX_STATE_BYTES {
        return state;
    }
    json!({ "sha256": sha256(text.as_bytes()), "bytes": text.len() })
}
