//! Who calls: credentials of a request to a [`Caller`], and whether it may come to the address.
//!
//! `door.rs` stands before every route of the events door and the registry's: it finds the caller and
//! asks `access.rs`. Handlers find the caller in the request's extensions. While authentication is off
//! everybody is one caller with every role; the doors are on loopback then.

mod access;
pub(crate) mod caller;
mod certificates;
pub(crate) mod door;
mod keys;
pub(crate) mod routes;
mod token;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_event_log::{Log, LogError};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::caller::Caller;
use self::caller::{DEFAULT_TENANT, Proof, Roles};
use self::certificates::Certificates;
use self::keys::{KeyText, Keys, used_record};
use self::tokens::Tokens;
use crate::clock::Clock;
use crate::kept::Kept;
use crate::problem::{Kind, Problem};
use crate::settings::{self, Secret};
use crate::tls::PeerCertificate;

/// How often it is looked which keys were used.
const LOOK_AT_USE: Duration = Duration::from_secs(60);
/// How far a use that is noted in the topic may lie behind the last one.
const NOTE_AFTER_MS: i64 = 60 * 60 * 1_000;

/// What callers are known by.
pub(crate) struct Identity {
    asks: bool,
    first_key: Option<Secret>,
    first: Arc<Caller>,
    anonymous: Arc<Caller>,
    pub(crate) keys: Arc<Kept<Keys>>,
    tokens: Arc<Tokens>,
    certificates: Certificates,
    /// The tasks end with it.
    _stop: DropGuard,
}

/// What a request brings to be known by.
enum Credentials<'a> {
    None,
    Key(KeyText<'a>),
    /// Anything else that a bearer shows.
    Bearer(&'a str),
    Unknown,
}

impl Identity {
    /// Reads the keys and begins to follow what others do to them.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub(crate) async fn start(
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        settings: settings::Identity,
    ) -> Result<Self, LogError> {
        let keys = Arc::new(Kept::open(log).await?);
        let stop = CancellationToken::new();
        let (followed, noted) = (Arc::clone(&keys), Arc::clone(&keys));
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            followed.follow().await;
        }));
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            note_use(&noted, &*clock).await;
        }));
        let tokens = Arc::new(Tokens::new(settings.issuers));
        let refreshed = Arc::clone(&tokens);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            refreshed.refresh().await;
        }));
        Ok(Self {
            asks: settings.required,
            first_key: settings.first_key,
            first: Arc::new(Caller {
                tenant: DEFAULT_TENANT.into(),
                name: "first-key".into(),
                roles: Roles::ALL,
                proof: Proof::Key,
                contracts: Box::default(),
            }),
            anonymous: Arc::new(Caller::anonymous()),
            keys,
            tokens,
            certificates: Certificates::new(settings.certificates),
            _stop: stop.drop_guard(),
        })
    }

    /// Finds out who sent a request with this head over a connection that may have begun with a
    /// certificate; what the request itself brings counts first.
    ///
    /// # Errors
    /// `Unauthenticated`; `BadRequest` if it says it in two ways.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        shown: Option<&PeerCertificate>,
        now_ms: i64,
    ) -> Result<Arc<Caller>, Problem> {
        if !self.asks {
            return Ok(Arc::clone(&self.anonymous));
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next(), values.next()) else {
            let detail = "`Authorization` is there twice; send it once";
            return Err(Problem::new(Kind::BadRequest, detail));
        };
        let text = value.map_or(Ok(""), |value| value.to_str()).unwrap_or("?");
        let mut decoded = String::new();
        match credentials(text, &mut decoded) {
            Credentials::None => match shown {
                Some(shown) => self.certificates.caller(shown, now_ms),
                None => Err(unauthenticated(
                    "send `Authorization: Bearer` with an API key or a token",
                )),
            },
            Credentials::Key(key) => self.keys.now().caller(key, now_ms).ok_or_else(|| {
                unauthenticated("the API key is unknown, or its time is over, or it was revoked")
            }),
            Credentials::Bearer(token) if self.is_first_key(token) => Ok(Arc::clone(&self.first)),
            Credentials::Bearer(token) => self.tokens.caller(token, now_ms).await,
            Credentials::Unknown => Err(unauthenticated(
                "`Authorization` is neither `Bearer` with an API key or a token, nor `Basic` with an API key",
            )),
        }
    }

    fn is_first_key(&self, token: &str) -> bool {
        let first = self.first_key.as_ref();
        first.is_some_and(|first| verify_slices_are_equal(first.expose(), token.as_bytes()).is_ok())
    }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
}

/// Reads an `Authorization` header. Clients of the registry know `Basic` alone: the key is the password
/// then, under any name, or its two parts are name and password.
fn credentials<'a>(text: &'a str, decoded: &'a mut String) -> Credentials<'a> {
    if text.is_empty() {
        return Credentials::None;
    }
    let Some((scheme, rest)) = text.split_once(' ') else {
        return Credentials::Unknown;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return match KeyText::parse(rest) {
            Some(key) => Credentials::Key(key),
            None => Credentials::Bearer(rest),
        };
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Credentials::Unknown;
    }
    let Some(pair) = STANDARD
        .decode(rest)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
    else {
        return Credentials::Unknown;
    };
    *decoded = pair;
    match decoded.split_once(':') {
        Some((_, password)) => match KeyText::parse(password) {
            Some(key) => Credentials::Key(key),
            None => Credentials::Bearer(password),
        },
        None => Credentials::Unknown,
    }
}

/// Notes now and then when keys were last used, so that it survives the process.
async fn note_use(keys: &Kept<Keys>, clock: &dyn Clock) {
    loop {
        sleep(LOOK_AT_USE).await;
        let due: Vec<(String, i64)> = keys
            .now()
            .iter()
            .filter(|key| key.used_ms() >= key.noted_ms + NOTE_AFTER_MS)
            .map(|key| (key.record.id.clone(), key.used_ms().min(clock.now_ms())))
            .collect();
        for (id, at_ms) in due {
            let note = |known: &Keys| {
                let is_news = known.get(&id).is_some_and(|key| key.noted_ms < at_ms);
                Ok::<_, std::convert::Infallible>(is_news.then(|| used_record(&id, at_ms)))
            };
            if let Err(error) = keys.change(note).await {
                tracing::warn!(error = %error, "the last use of a key is not noted");
                break;
            }
        }
    }
}
