//! Tokens of the issuers that are trusted: their key sets, found, fetched and fetched again, and the
//! tokens that were checked lately.
//!
//! Where a set is, the issuer says itself unless a setting does (OpenID Connect Discovery 1.0 §4).
//! A set that was fetched once is used until a newer one is: an issuer that is down takes nobody out. A
//! key that is not in the set makes it be fetched again, but not more often than every few seconds,
//! whatever strangers send.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use super::caller::Caller;
use super::token::{self, Holds, MAX_TOKEN_BYTES, Refused};
use crate::problem::{Kind, Problem};
use crate::settings::Issuer;

/// How often a set is fetched anyway.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// How often at most because of a key that is not in it, or because the last try failed.
const RETRY: Duration = Duration::from_secs(5);
/// For finding and fetching together: a caller waits for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Of a set, and of what an issuer says of itself.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// Where an issuer says it, behind its own address.
const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Tokens that need not be checked again, and for how long: then their keys are looked at anew.
const MAX_CHECKED: usize = 10_000;
const CHECKED_FOR_MS: i64 = 60 * 1_000;

/// All issuers that are trusted.
pub(crate) struct Tokens {
    issuers: Vec<KeySet>,
    checked: Mutex<HashMap<[u8; 32], Holds>>,
}

/// The keys of an issuer, as far as they are known.
struct KeySet {
    issuer: Issuer,
    client: reqwest::Client,
    keys: ArcSwapOption<JwkSet>,
    /// When the last try began. Whoever holds it is the one who fetches.
    tried: tokio::sync::Mutex<Option<Instant>>,
}

impl Tokens {
    pub(crate) fn new(issuers: Vec<Issuer>) -> Self {
        let key_set = |issuer| KeySet {
            client: client_for(&issuer),
            issuer,
            keys: ArcSwapOption::empty(),
            tried: tokio::sync::Mutex::default(),
        };
        Self {
            issuers: issuers.into_iter().map(key_set).collect(),
            checked: Mutex::default(),
        }
    }

    /// Fetches the sets now and then, as long as it is polled.
    pub(crate) async fn refresh(&self) {
        loop {
            let sets = self.issuers.iter().map(KeySet::fetch_again);
            futures::future::join_all(sets).await;
            let is_whole = self.issuers.iter().all(|set| set.keys.load().is_some());
            sleep(if is_whole { REFRESH } else { RETRY }).await;
        }
    }

    /// Finds out whom a token makes.
    ///
    /// # Errors
    /// `Unauthenticated`; `IdentityUnavailable` if the keys cannot be had.
    pub(crate) async fn caller(&self, token: &str, now_ms: i64) -> Result<Arc<Caller>, Problem> {
        let refuse = |why: &str| {
            let detail = format!("the token does not hold here: {why}");
            Problem::new(Kind::Unauthenticated, detail)
        };
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refuse("it is too long"));
        }
        let digest = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(known) = self.checked.lock().get(&digest)
            && now_ms < known.until_ms
        {
            return Ok(Arc::clone(&known.caller));
        }
        let said = token::issuer_of(token).ok_or_else(|| refuse("it is no JSON Web Token"))?;
        let set = self.issuers.iter().find(|set| set.issuer.issuer == said);
        let set = set.ok_or_else(|| refuse("its issuer is not one that is trusted (`iss`)"))?;
        let holds = match set.check(token, now_ms) {
            Some(Err(Refused::UnknownKey)) | None => {
                set.fetch_if_due().await;
                set.check(token, now_ms)
            }
            Some(answer) => Some(answer),
        };
        match holds {
            Some(Ok(holds)) => {
                let caller = Arc::clone(&holds.caller);
                self.note(digest, holds, now_ms);
                Ok(caller)
            }
            Some(Err(Refused::For(why))) => Err(refuse(why)),
            Some(Err(Refused::UnknownKey)) => Err(refuse("its key is not one of the issuer's")),
            None => Err(Problem::new(
                Kind::IdentityUnavailable,
                "the keys of the token's issuer cannot be fetched now",
            )
            .with_retry_after(RETRY)),
        }
    }

    fn note(&self, digest: [u8; 32], mut holds: Holds, now_ms: i64) {
        holds.until_ms = holds.until_ms.min(now_ms.saturating_add(CHECKED_FOR_MS));
        let mut checked = self.checked.lock();
        if checked.len() >= MAX_CHECKED {
            checked.retain(|_, known| now_ms < known.until_ms);
        }
        if checked.len() < MAX_CHECKED {
            checked.insert(digest, holds);
        }
    }
}

impl KeySet {
    /// Checks a token; `None` if no keys were ever there.
    fn check(&self, token: &str, now_ms: i64) -> Option<Result<Holds, Refused>> {
        let keys = self.keys.load();
        let keys = keys.as_ref()?;
        Some(token::check(token, &self.issuer, keys, now_ms))
    }

    /// Fetches the set, unless that was tried a moment ago.
    async fn fetch_if_due(&self) {
        let mut tried = self.tried.lock().await;
        if tried.is_none_or(|at| at.elapsed() >= RETRY) {
            *tried = Some(Instant::now());
            self.fetch().await;
        }
    }

    async fn fetch_again(&self) {
        let mut tried = self.tried.lock().await;
        *tried = Some(Instant::now());
        self.fetch().await;
    }

    async fn fetch(&self) {
        let fetched = timeout(FETCH_TIMEOUT, self.fetched()).await;
        let fetched = fetched.unwrap_or_else(|_| Err("it took too long".to_owned()));
        match fetched {
            Ok(keys) => self.keys.store(Some(Arc::new(keys))),
            Err(why) => {
                let (name, issuer) = (&self.issuer.name, &self.issuer.issuer);
                tracing::warn!(name, issuer, why, "the keys of an issuer cannot be fetched");
            }
        }
    }

    async fn fetched(&self) -> Result<JwkSet, String> {
        let keys: JwkSet = match &self.issuer.keys_url {
            Some(url) => self.document(url).await?,
            None => self.document(&self.discovered().await?).await?,
        };
        match keys.keys.is_empty() {
            true => Err("the set has no keys".to_owned()),
            false => Ok(keys),
        }
    }

    /// Asks the issuer where its set is.
    async fn discovered(&self) -> Result<String, String> {
        let issuer = &self.issuer.issuer;
        let said = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
        let said: Discovered = self.document(&said).await?;
        // Whoever answers for another issuer answers for nobody (§4.3).
        match said.issuer == *issuer {
            true => Ok(said.jwks_uri),
            false => Err(format!("it says that it is issuer `{}`", said.issuer)),
        }
    }

    async fn document<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let response = self.client.get(url).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        let mut response = response.map_err(|error| error.to_string())?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > MAX_DOCUMENT_BYTES {
                return Err(format!("`{url}` has more than {MAX_DOCUMENT_BYTES} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| format!("`{url}`: {error}"))
    }
}

/// What an issuer says of itself, as far as it is needed.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

/// What is found by way of an issuer with TLS is fetched with TLS, wherever it and redirections lead.
fn client_for(issuer: &Issuer) -> reqwest::Client {
    let only_tls = issuer.keys_url.is_none() && issuer.issuer.starts_with("https://");
    let client = reqwest::Client::builder().https_only(only_tls).build();
    client.expect("its TLS is built in")
}
