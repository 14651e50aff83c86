//! What the operator's settings mean for contracts that protect fields: the key of their hashes, and the
//! region in which they may be in force.
//!
//! The form of a hash is stored and joined on, so it stays as it is: a test holds it.

use std::fmt;

use tidegate_contract::EventContract;

use crate::settings::Settings;

/// Makes a key of the operator's secret that serves nothing else.
const PURPOSE: &str = "tidegate 2026-11 privacy.hash_key, texts of protected fields";

/// The settings, ready.
#[derive(Clone, Default)]
pub(crate) struct Privacy {
    region: Option<String>,
    key: Option<[u8; 32]>,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Privacy({:?})", self.region)
    }
}

impl Privacy {
    pub(crate) fn of(settings: &Settings) -> Self {
        let secret = settings.hash_key.as_ref();
        Self {
            region: settings.region.clone(),
            key: secret.map(|secret| blake3::derive_key(PURPOSE, secret.expose())),
        }
    }

    /// Says why a contract cannot be in force here, and what to do about it.
    pub(crate) fn problem(&self, contract: &EventContract) -> Option<(String, &'static str)> {
        if contract.hashes() && self.key.is_none() {
            return Some((
                "it protects fields by `hash`, and there is no key to hash with".to_owned(),
                "set `privacy.hash_key` to a reference, `env:NAME` or `file:PATH`",
            ));
        }
        let regions = &contract.regions;
        if regions.is_empty()
            || self
                .region
                .as_ref()
                .is_some_and(|own| regions.contains(own))
        {
            return None;
        }
        let listed: Vec<String> = regions.iter().map(|region| format!("`{region}`")).collect();
        let own = match &self.region {
            Some(own) => format!("this gateway is in `{own}`"),
            None => "this gateway does not say where it is".to_owned(),
        };
        let message = format!(
            "its events may be kept in {} only, and {own}",
            listed.join(", ")
        );
        Some((
            message,
            "set `region`, or add it to `privacy.regions` of the contract",
        ))
    }

    /// Returns the hash of a text: keyed BLAKE3 in hex.
    pub(crate) fn hash(&self, text: &str) -> String {
        let key = self
            .key
            .as_ref()
            .expect("contracts that hash are in force with a key only");
        blake3::keyed_hash(key, text.as_bytes())
            .to_hex()
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    #[test]
    fn the_stored_form_of_a_hash_stays_as_it_is() {
        let with = |secret: &str| {
            Privacy::of(&Settings {
                hash_key: Some(Secret::new(secret)),
                ..Settings::default()
            })
        };
        let hash = with("key").hash("ada@example.com");
        assert_eq!(
            hash,
            "5dea71500e8db1a9b3280ce5ff92fd9e3983581360309280b3cf35c2ae74424d"
        );
        assert_eq!(with("key").hash("ada@example.com"), hash);
        assert_ne!(with("other").hash("ada@example.com"), hash);
        assert_eq!(format!("{:?}", with("key")), "Privacy(None)");
    }
}
