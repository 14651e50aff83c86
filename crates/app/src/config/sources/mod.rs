//! The sources of webhooks: names of the operator's own, each with the same few keys.
//!
//! `secret` and `secrets` are one setting under two names, so that a flag wins over either; a list is kept
//! as its items with commas between. The provider is the source's name unless it is said.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_contract::units;
use tidegate_gateway::{Algorithm, Encoding, HmacScheme, Provider};

use super::SecretReference;
use super::layers::Written;
use super::named::{Entry, Group};

/// Where sources stand, and what one may say of itself.
pub(super) const GROUP: Group = Group {
    path: "sources",
    one: "a source",
    keys: &[
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
    ],
    lists: &["secrets"],
    single: Some(("secret", "secrets")),
};
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
const MAX_HEADER_CHARACTERS: usize = 64;
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

/// Reads the sources of these settings; `refuse` takes down what is wrong, by its key.
pub(super) fn read(
    values: &BTreeMap<String, Written>,
    refuse: &mut dyn FnMut(&str, String),
) -> Vec<Source> {
    let read = |entry| Keys(entry).source(refuse);
    GROUP.entries(values).into_iter().filter_map(read).collect()
}

/// The settings of one source.
struct Keys<'a>(Entry<'a>);

impl Keys<'_> {
    fn source(&self, refuse: &mut dyn FnMut(&str, String)) -> Option<Source> {
        // `secret: null` is a source that is not there.
        let references = match self.0.keys.get("secrets") {
            Some(written) => written.text.clone()?,
            None => {
                let message = format!("source `{}` needs `secret` or `secrets`", self.0.name);
                refuse(&self.0.any(), message);
                return None;
            }
        };
        let secrets = self.secrets(&references, refuse);
        let tolerance = self.tolerance(refuse);
        let provider = self.provider(refuse)?;
        if !matches!(provider, Provider::Hmac(_))
            && let Some(own) = HMAC_KEYS.iter().find(|own| self.0.keys.contains_key(**own))
        {
            let key = self.full(own);
            refuse(&key, format!("`{key}` is of `provider: hmac` alone"));
        }
        Some(Source {
            name: self.0.name.to_owned(),
            provider,
            secrets: secrets?,
            tolerance: tolerance?,
        })
    }

    fn full(&self, own: &str) -> String {
        self.0.full(own)
    }

    fn text(&self, own: &str) -> Option<&str> {
        self.0.text(own)
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
        Some(match written.unwrap_or(self.0.name) {
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
            let message = format!("source `{}` needs `header`, the signature's", self.0.name);
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
        if (1..=MAX_HEADER_CHARACTERS).contains(&text.len()) && text.bytes().all(known) {
            return Ok(Some(text.to_owned()));
        }
        let key = self.full(own);
        let message = format!("`{key}`: `{text}` is no name of a header");
        Err((key, message))
    }
}

#[cfg(test)]
mod tests;
