//! The sources of webhooks: names of the operator's own, each with the same few keys.
//!
//! `secret` and `secrets` are one setting under two names, so that a flag wins over either; a list is kept
//! as its items with commas between. The provider is the source's name unless it is said.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_contract::units;
use tidegate_gateway::{Algorithm, Encoding, HmacScheme, Provider};

use super::SecretReference;
use super::layers::{SOURCES, Written};

/// What a source may say of itself.
const KEYS: [&str; 11] = [
    "provider",
    "secret",
    "secrets",
    "tolerance",
    "header",
    "algorithm",
    "encoding",
    "prefix",
    "timestamp",
    "id",
    "type",
];
/// The keys of `provider: hmac` alone.
const HMAC_KEYS: [&str; 7] = [
    "header",
    "algorithm",
    "encoding",
    "prefix",
    "timestamp",
    "id",
    "type",
];
const PROVIDERS: &str = "`github`, `stripe`, `shopify`, `slack`, `standard` or `hmac`";
/// A name is part of an address and of event types.
const MAX_NAME_CHARACTERS: usize = 64;
/// A rotation needs two.
const MAX_SECRETS: usize = 10;
/// What providers advise.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Beyond it a signature of yesterday would do.
const MAX_TOLERANCE: Duration = Duration::from_hours(24);

/// A source, its secrets not yet fetched.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) provider: Provider,
    pub(crate) secrets: Vec<SecretReference>,
    pub(crate) tolerance: Duration,
}

/// Parts `sources.NAME.KEY`.
fn parts(key: &str) -> Option<(&str, &str)> {
    let own = key.strip_prefix(SOURCES)?.strip_prefix('.')?;
    let (name, key) = own.split_once('.')?;
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let fits = (1..=MAX_NAME_CHARACTERS).contains(&name.len()) && name.bytes().all(known);
    fits.then_some((name, key))
}

/// Returns the key under which a setting of a source is kept, if it is one.
pub(super) fn key(key: &str) -> Option<String> {
    let (name, own) = parts(key).filter(|(_, own)| KEYS.contains(own))?;
    let kept = match own {
        "secret" => "secrets",
        other => other,
    };
    Some(format!("{SOURCES}.{name}.{kept}"))
}

/// Says what is wrong with the name of a source, if a setting is that of one.
pub(super) fn name_hint(key: &str) -> Option<String> {
    let (name, _) = key
        .strip_prefix(SOURCES)?
        .strip_prefix('.')?
        .split_once('.')?;
    let hint = format!(
        "a source's name has up to {MAX_NAME_CHARACTERS} of `a` to `z`, `0` to `9`, `-` and `_`; `{name}` has not"
    );
    parts(key).is_none().then_some(hint)
}

/// Says whether a setting may be a list.
pub(super) fn is_list(key: &str) -> bool {
    parts(key).is_some_and(|(_, own)| own == "secrets")
}

/// Returns the keys that the source of a key may have.
pub(super) fn keys_beside(key: &str) -> Vec<String> {
    let beside = |(name, _)| KEYS.map(|own| format!("{SOURCES}.{name}.{own}")).to_vec();
    parts(key).map(beside).unwrap_or_default()
}

/// Reads the sources of these settings; `refuse` takes down what is wrong, by its key.
pub(super) fn read(
    values: &BTreeMap<String, Written>,
    refuse: &mut dyn FnMut(&str, String),
) -> Vec<Source> {
    let mut of_names: BTreeMap<&str, BTreeMap<&str, &Written>> = BTreeMap::new();
    for (key, written) in values {
        if let Some((name, own)) = parts(key) {
            of_names.entry(name).or_default().insert(own, written);
        }
    }
    let read = |(name, keys)| Keys { name, keys }.source(refuse);
    of_names.into_iter().filter_map(read).collect()
}

/// The settings of one source.
struct Keys<'a> {
    name: &'a str,
    keys: BTreeMap<&'a str, &'a Written>,
}

impl Keys<'_> {
    fn source(&self, refuse: &mut dyn FnMut(&str, String)) -> Option<Source> {
        let any = *self.keys.keys().next()?;
        // `secret: null` is a source that is not there.
        let references = match self.keys.get("secrets") {
            Some(written) => written.text.clone()?,
            None => {
                let message = format!("source `{}` needs `secret` or `secrets`", self.name);
                refuse(&self.full(any), message);
                return None;
            }
        };
        let secrets = self.secrets(&references, refuse);
        let tolerance = self.tolerance(refuse);
        let provider = self.provider(refuse)?;
        if !matches!(provider, Provider::Hmac(_))
            && let Some(own) = HMAC_KEYS.iter().find(|own| self.keys.contains_key(**own))
        {
            let key = self.full(own);
            refuse(&key, format!("`{key}` is of `provider: hmac` alone"));
        }
        Some(Source {
            name: self.name.to_owned(),
            provider,
            secrets: secrets?,
            tolerance: tolerance?,
        })
    }

    fn full(&self, own: &str) -> String {
        format!("{SOURCES}.{}.{own}", self.name)
    }

    fn text(&self, own: &str) -> Option<&str> {
        self.keys.get(own)?.text.as_deref()
    }

    fn secrets(
        &self,
        references: &str,
        refuse: &mut dyn FnMut(&str, String),
    ) -> Option<Vec<SecretReference>> {
        let key = self.full("secrets");
        let secrets: Result<Vec<SecretReference>, String> = references
            .split(',')
            .map(|text| text.trim().parse())
            .collect();
        match secrets {
            Ok(secrets) if secrets.len() <= MAX_SECRETS => Some(secrets),
            Ok(_) => {
                refuse(&key, format!("`{key}` has more than {MAX_SECRETS} secrets"));
                None
            }
            Err(error) => {
                refuse(&key, format!("`{key}`: {error}"));
                None
            }
        }
    }

    fn tolerance(&self, refuse: &mut dyn FnMut(&str, String)) -> Option<Duration> {
        let Some(text) = self.text("tolerance") else {
            return Some(TOLERANCE);
        };
        let key = self.full("tolerance");
        match text.parse::<units::Duration>().map(Duration::from) {
            Ok(tolerance) if tolerance <= MAX_TOLERANCE => Some(tolerance),
            Ok(_) => {
                refuse(&key, format!("`{key}` is more than a day"));
                None
            }
            Err(error) => {
                refuse(&key, format!("`{key}`: {error}"));
                None
            }
        }
    }

    fn provider(&self, refuse: &mut dyn FnMut(&str, String)) -> Option<Provider> {
        let written = self.text("provider");
        Some(match written.unwrap_or(self.name) {
            "github" => Provider::Github,
            "stripe" => Provider::Stripe,
            "shopify" => Provider::Shopify,
            "slack" => Provider::Slack,
            "standard" => Provider::Standard,
            "hmac" => Provider::Hmac(self.scheme(refuse)?),
            other => {
                let message = match written {
                    Some(_) => format!("`{other}` is no provider; one of {PROVIDERS} is"),
                    None => format!("source `{other}` needs `provider`: {PROVIDERS}"),
                };
                let place = written.map_or("secrets", |_| "provider");
                refuse(&self.full(place), message);
                return None;
            }
        })
    }

    fn scheme(&self, refuse: &mut dyn FnMut(&str, String)) -> Option<HmacScheme> {
        let algorithm = self.word(
            "algorithm",
            &[("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)],
        );
        let encoding = self.word(
            "encoding",
            &[("hex", Encoding::Hex), ("base64", Encoding::Base64)],
        );
        let mut told = |result: Result<_, (String, String)>| {
            result.map_err(|(key, message)| refuse(&key, message)).ok()
        };
        let header = told(self.header("header"));
        let timestamp = told(self.header("timestamp"));
        let id = told(self.header("id"));
        let event_type = told(self.header("type"));
        let algorithm = algorithm
            .map_err(|(key, message)| refuse(&key, message))
            .ok();
        let encoding = encoding
            .map_err(|(key, message)| refuse(&key, message))
            .ok();
        let Some(header) = header? else {
            let message = format!("source `{}` needs `header`, the signature's", self.name);
            refuse(&self.full("provider"), message);
            return None;
        };
        Some(HmacScheme {
            header,
            algorithm: algorithm?,
            encoding: encoding?,
            prefix: self.text("prefix").unwrap_or_default().to_owned(),
            timestamp: timestamp?,
            id: id?,
            event_type: event_type?,
        })
    }

    /// Reads one of a few words; the first is the default.
    fn word<T: Copy>(&self, own: &str, words: &[(&str, T)]) -> Result<T, (String, String)> {
        let text = self.text(own).unwrap_or(words[0].0);
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let key = self.full(own);
            let message = format!("`{key}`: `{text}` is not one of {}", known.join(", "));
            (key, message)
        })
    }

    /// Reads the name of a header, if it is written.
    fn header(&self, own: &str) -> Result<Option<String>, (String, String)> {
        let Some(text) = self.text(own) else {
            return Ok(None);
        };
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if (1..=MAX_NAME_CHARACTERS).contains(&text.len()) && text.bytes().all(known) {
            return Ok(Some(text.to_owned()));
        }
        let key = self.full(own);
        let message = format!("`{key}`: `{text}` is no name of a header");
        Err((key, message))
    }
}

#[cfg(test)]
mod tests;
