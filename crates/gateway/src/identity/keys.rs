//! API keys: how they look, what is kept of them in topic `_tidegate.keys`, and the table folded from it.
//!
//! A key is `tgk_{id}_{secret}`. The secret is 256 random bits, so its plain BLAKE3 hash is kept: there
//! is nothing to guess that a slow hash would protect. A key that is rotated has two secrets until the
//! earlier one's time is over. The records' JSON is a stored format: names stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_event_log::{Record, StoredRecord};

use super::caller::{Caller, Proof, Role};
use crate::kept::Fold;

/// How a key begins, so that scanners for leaked secrets know one.
pub(crate) const PREFIX: &str = "tgk_";
/// Keys, those included that are revoked.
pub(crate) const MAX_KEYS: usize = 10_000;
/// Crockford's alphabet in lower case: nothing in it is mistaken for something else.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_CHARACTERS: usize = 16;
const SECRET_CHARACTERS: usize = 52;

/// A key as its holder has it, in two parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyText<'a> {
    pub(crate) id: &'a str,
    secret: &'a str,
}

impl<'a> KeyText<'a> {
    /// Takes a key apart; `None` if it is none.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is = |part: &str, characters| {
            part.len() == characters && part.bytes().all(|byte| ALPHABET.contains(&byte))
        };
        (is(id, ID_CHARACTERS) && is(secret, SECRET_CHARACTERS)).then_some(Self { id, secret })
    }
}

/// A new secret: what the holder gets to see once, and what is kept.
pub(crate) struct NewSecret {
    pub(crate) text: String,
    pub(crate) hash: String,
}

impl NewSecret {
    /// Makes the secret of a key from random bytes.
    pub(crate) fn of(id: &str, random: [u8; 32]) -> Self {
        let secret = base32(&random);
        Self {
            hash: hash_of(&secret),
            text: format!("{PREFIX}{id}_{secret}"),
        }
    }
}

/// Makes a key's id from random bytes.
pub(crate) fn new_id(random: [u8; 10]) -> String {
    base32(&random)
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
    }
    text
}

fn hash_of(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// What is kept of a secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct SecretRecord {
    pub(crate) hash: String,
    pub(crate) created_ms: i64,
    /// When it ends because the key was rotated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until_ms: Option<i64>,
}

/// What is kept of a key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct KeyRecord {
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) contracts: Vec<String>,
    /// The newest first, at most two.
    pub(crate) secrets: Vec<SecretRecord>,
    pub(crate) created_ms: i64,
    pub(crate) created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_ms: Option<i64>,
}

impl KeyRecord {
    /// Makes the record of a key.
    pub(crate) fn record(&self) -> Record {
        entry(&self.id, &Entry::Key(self.clone()))
    }

    pub(crate) fn is_over(&self, now_ms: i64) -> bool {
        self.revoked_ms.is_some() || self.expires_ms.is_some_and(|end| end <= now_ms)
    }
}

/// Makes the record of when a key was last used.
pub(crate) fn used_record(id: &str, at_ms: i64) -> Record {
    entry(id, &Entry::Used { at_ms })
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
enum Entry {
    Key(KeyRecord),
    Used { at_ms: i64 },
}

fn entry(id: &str, entry: &Entry) -> Record {
    let value = serde_json::to_vec(entry).expect("texts and numbers only");
    Record {
        key: Some(Bytes::copy_from_slice(id.as_bytes())),
        value: Some(value.into()),
        headers: Vec::new(),
    }
}

/// A key and whom it makes.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) record: KeyRecord,
    caller: Arc<Caller>,
    used_ms: Arc<AtomicI64>,
    /// As the topic has it.
    pub(crate) noted_ms: i64,
}

impl Key {
    fn of(record: KeyRecord) -> Self {
        let caller = Caller {
            tenant: record.tenant.as_str().into(),
            name: record.name.as_str().into(),
            roles: record.roles.iter().copied().collect(),
            proof: Proof::Key,
            contracts: record.contracts.iter().map(|c| c.as_str().into()).collect(),
        };
        Self {
            record,
            caller: Arc::new(caller),
            used_ms: Arc::default(),
            noted_ms: 0,
        }
    }

    /// Returns when it was last used, by this process or, noted now and then, by another; 0 is never.
    pub(crate) fn used_ms(&self) -> i64 {
        self.used_ms.load(Ordering::Relaxed).max(self.noted_ms)
    }
}

/// All keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(BTreeMap<String, Key>);

impl Fold for Keys {
    const TOPIC: &'static str = "_tidegate.keys";

    fn apply(&mut self, stored: &StoredRecord) -> Result<(), String> {
        let value = stored.record.value.as_deref().unwrap_or_default();
        let key = stored.record.key.as_deref().unwrap_or_default();
        let id = std::str::from_utf8(key).map_err(|error| error.to_string())?;
        match serde_json::from_slice(value).map_err(|error| error.to_string())? {
            Entry::Key(record) if record.id != id => return Err("its key is another id".to_owned()),
            Entry::Key(record) => {
                let mut new = Key::of(record);
                if let Some(old) = self.0.get(id) {
                    new.used_ms = Arc::clone(&old.used_ms);
                    new.noted_ms = old.noted_ms;
                }
                self.0.insert(id.to_owned(), new);
            }
            Entry::Used { at_ms } => {
                if let Some(known) = self.0.get_mut(id) {
                    known.noted_ms = known.noted_ms.max(at_ms);
                }
            }
        }
        Ok(())
    }
}

impl Keys {
    pub(crate) fn get(&self, id: &str) -> Option<&Key> {
        self.0.get(id)
    }

    /// Returns the keys by their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whom a key makes, if it is one that holds now, and notes its use.
    pub(crate) fn caller(&self, text: KeyText<'_>, now_ms: i64) -> Option<Arc<Caller>> {
        let key = self.0.get(text.id)?;
        if key.record.is_over(now_ms) {
            return None;
        }
        let hash = hash_of(text.secret);
        let holds = |secret: &&SecretRecord| {
            secret.until_ms.is_none_or(|until| now_ms < until)
                && verify_slices_are_equal(secret.hash.as_bytes(), hash.as_bytes()).is_ok()
        };
        key.record.secrets.iter().find(holds)?;
        key.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        Some(Arc::clone(&key.caller))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn record(secrets: Vec<SecretRecord>) -> KeyRecord {
        KeyRecord {
            id: new_id([7; 10]),
            tenant: "acme".to_owned(),
            name: "shop".to_owned(),
            roles: vec![Role::Producer],
            contracts: Vec::new(),
            secrets,
            created_ms: 1,
            created_by: "root".to_owned(),
            expires_ms: None,
            revoked_ms: None,
        }
    }

    fn secret(new: &NewSecret, until_ms: Option<i64>) -> SecretRecord {
        SecretRecord {
            hash: new.hash.clone(),
            created_ms: 1,
            until_ms,
        }
    }

    fn fold(keys: &mut Keys, record: Record) {
        let stored = StoredRecord {
            offset: 0,
            timestamp_ms: 0,
            record,
        };
        keys.apply(&stored).unwrap();
    }

    fn finds(keys: &Keys, text: &str) -> bool {
        KeyText::parse(text).is_some_and(|text| keys.caller(text, NOW).is_some())
    }

    #[test]
    fn a_key_holds_until_it_ends_and_a_rotated_secret_until_its_overlap_does() {
        let id = new_id([7; 10]);
        let (new, old) = (NewSecret::of(&id, [1; 32]), NewSecret::of(&id, [2; 32]));
        let both = |until| vec![secret(&new, None), secret(&old, Some(until))];
        for (name, record, of_new, of_old) in [
            ("overlap", record(both(NOW + 1)), true, true),
            ("over", record(both(NOW)), true, false),
            (
                "expired",
                KeyRecord {
                    expires_ms: Some(NOW),
                    ..record(both(NOW + 1))
                },
                false,
                false,
            ),
            (
                "revoked",
                KeyRecord {
                    revoked_ms: Some(5),
                    ..record(both(NOW + 1))
                },
                false,
                false,
            ),
        ] {
            let mut keys = Keys::default();
            fold(&mut keys, record.record());
            assert_eq!(finds(&keys, &new.text), of_new, "{name}");
            assert_eq!(finds(&keys, &old.text), of_old, "{name}");
            let other = NewSecret::of(&id, [3; 32]);
            assert!(!finds(&keys, &other.text));
        }
    }

    #[test]
    fn the_last_use_survives_a_change_of_the_key() {
        let id = new_id([7; 10]);
        let new = NewSecret::of(&id, [1; 32]);
        let mut keys = Keys::default();
        let record = record(vec![secret(&new, None)]);
        fold(&mut keys, record.record());
        assert_eq!(keys.get(&id).unwrap().used_ms(), 0);
        assert!(finds(&keys, &new.text));
        fold(&mut keys, record.record());
        assert_eq!(keys.get(&id).unwrap().used_ms(), NOW);
        fold(&mut keys, used_record(&id, NOW + 7));
        assert_eq!(keys.get(&id).unwrap().used_ms(), NOW + 7);
    }

    #[test]
    fn what_is_no_key_is_told_from_one() {
        let text = NewSecret::of(&new_id([7; 10]), [1; 32]).text;
        assert!(KeyText::parse(&text).is_some());
        for wrong in [
            "",
            "tgk_",
            "tgk__",
            &text[..text.len() - 1],
            &text.to_uppercase(),
            &text.replace("tgk_", "xyz_"),
            &format!("{text}0"),
        ] {
            assert_eq!(KeyText::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_stored_forms_stay_as_they_are() {
        let mut kept = record(vec![SecretRecord {
            hash: "00".to_owned(),
            created_ms: 2,
            until_ms: Some(3),
        }]);
        kept.contracts = vec!["orders".to_owned()];
        kept.expires_ms = Some(9);
        let stored = kept.record();
        assert_eq!(stored.key.as_deref(), Some(&b"0w3ge1r70w3ge1r7"[..]));
        assert_eq!(
            std::str::from_utf8(stored.value.as_deref().unwrap()).unwrap(),
            r#"{"is":"key","id":"0w3ge1r70w3ge1r7","tenant":"acme","name":"shop","roles":["producer"],"contracts":["orders"],"secrets":[{"hash":"00","created_ms":2,"until_ms":3}],"created_ms":1,"created_by":"root","expires_ms":9}"#
        );
        let used = used_record("a", 5).value.unwrap();
        assert_eq!(&used[..], br#"{"is":"used","at_ms":5}"#);
    }
}
