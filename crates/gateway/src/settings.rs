//! What an operator may set: limits, deadlines and the sources of webhooks. Reading them from a
//! file is the binary's affair.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::identity::caller::Role;
use crate::tls::CertificateName;

/// The settings of the gateway's doors.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections served at a time; one more is told so and closed.
    pub max_connections: usize,
    /// How long a TLS handshake may take, then a request's head, and how long a connection may idle
    /// between requests.
    pub header_timeout: Duration,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// From the end of the body to the answer, whatever is slow.
    pub answer_deadline: Duration,
    /// How long a plan or an apply of contracts may take; it is nobody's event that waits.
    pub apply_deadline: Duration,
    /// How long the audit may take before a change, which is refused then, and after it.
    pub audit_deadline: Duration,
    /// How long a check of contracts may look at a sample of one contract's events; all of them together
    /// get five times that.
    pub sample_time: Duration,
    /// How long running requests may take to end when the gateway is told to stop.
    pub drain_timeout: Duration,
    /// How long a caller may take nothing of an answer that waits for it: a stream then ends, and after
    /// twice that any connection.
    pub write_timeout: Duration,
    /// Streams of server-sent events at a time.
    pub max_event_streams: usize,
    /// How often a stream shows that it lives.
    pub stream_heartbeat: Duration,
    /// The largest event where no contract says less.
    pub max_event_bytes: usize,
    /// The largest batch.
    pub max_batch_bytes: usize,
    /// The most events in a batch.
    pub max_batch_events: usize,
    /// All bodies being read or stored at a time; more are told to come back.
    pub max_inflight_bytes: usize,
    /// How callers are known.
    pub identity: Identity,
    /// Providers' webhooks by the name in `/v1/sources/{source}`.
    pub sources: BTreeMap<String, Source>,
    /// Where this gateway keeps events; contracts may be bound to regions.
    pub region: Option<String>,
    /// What the hashes of protected fields are made with.
    pub hash_key: Option<Secret>,
    /// How often the files of the doors' TLS are looked at.
    pub tls_look_every: Duration,
    /// What the log calls itself; clients of the registry may ask.
    pub cluster_id: String,
    /// Request headers kept beside a quarantined event, in lower case. Never credentials.
    pub quarantine_headers: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            // The promise is 5 s on the caller's watch; the rest is for the way there and back.
            answer_deadline: Duration::from_millis(4_500),
            apply_deadline: Duration::from_secs(30),
            audit_deadline: Duration::from_secs(2),
            sample_time: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            max_event_streams: 256,
            // Proxies cut idle connections off, many after a minute.
            stream_heartbeat: Duration::from_secs(15),
            max_event_bytes: 1024 * 1024,
            max_batch_bytes: 10 * 1024 * 1024,
            max_batch_events: 1_000,
            max_inflight_bytes: 256 * 1024 * 1024,
            identity: Identity::default(),
            sources: BTreeMap::new(),
            region: None,
            hash_key: None,
            tls_look_every: Duration::from_secs(5),
            cluster_id: String::new(),
            quarantine_headers: [
                "content-type",
                "user-agent",
                "x-github-delivery",
                "x-github-event",
                "x-github-hook-id",
                "x-shopify-event-id",
                "x-shopify-topic",
                "x-shopify-webhook-id",
                "x-slack-retry-num",
                "webhook-id",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}

/// How callers are known.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Whether callers must prove who they are. If not, everybody may do everything.
    pub required: bool,
    /// A key that holds from the start, for an operator of the default tenant: with it the first keys
    /// are made.
    pub first_key: Option<Secret>,
    /// Whose tokens are trusted.
    pub issuers: Vec<Issuer>,
    /// Who is known by the certificate of its connection, where it shows nothing else.
    pub certificates: Vec<CertificateHolder>,
}

/// A caller that is known by a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateHolder {
    /// What the caller is called in records and in the audit.
    pub name: String,
    /// A name that its certificates bear, and those of nobody else.
    pub certificate: CertificateName,
    /// Whose events it sends and reads.
    pub tenant: String,
    /// What it may be here for.
    pub roles: Vec<Role>,
}

/// An issuer of tokens (OpenID Connect, or any that signs JWTs), and what its claims mean here.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// How callers of it are called: `{name}:{sub}`.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// What must be among their `aud`.
    pub audience: String,
    /// The address of its JSON Web Key Set; without it the issuer is asked.
    pub keys_url: Option<String>,
    /// The claim that names the tenant; without it all are of the default tenant.
    pub tenant_claim: Option<String>,
    /// The claim that lists roles; words that are no roles here mean nothing.
    pub roles_claim: String,
}

/// A name of `/v1/sources/{source}`: who sends there, and how its requests are known to be its own.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) provider: Provider,
    /// Any of them verifies, so that a new one is known before the old one ends.
    pub(crate) secrets: Vec<Secret>,
    /// How far a signed time may be from the gateway's, either way.
    pub(crate) tolerance: Duration,
}

impl Source {
    /// Puts a source together.
    ///
    /// # Errors
    /// It has no secret, or one that cannot be the provider's.
    pub fn new(
        provider: Provider,
        secrets: Vec<Secret>,
        tolerance: Duration,
    ) -> Result<Self, SourceError> {
        if secrets.is_empty() {
            return Err(SourceError::NoSecret);
        }
        let fits = |secret| crate::ingress::source::is_secret_of(&provider, secret);
        if !secrets.iter().all(fits) {
            return Err(SourceError::NoSuchSecret);
        }
        Ok(Self {
            provider,
            secrets,
            tolerance,
        })
    }
}

/// Why a source cannot be one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// Nothing could be verified.
    #[error("there is no secret")]
    NoSecret,
    /// Standard Webhooks have base64 behind `whsec_` or `whpk_`.
    #[error("a secret is not one of this provider's, such as `whsec_` or `whpk_` and base64")]
    NoSuchSecret,
}

/// The scheme by which a provider signs.
#[derive(Clone, Debug)]
pub enum Provider {
    /// `X-Hub-Signature-256`.
    Github,
    /// `Stripe-Signature`.
    Stripe,
    /// `X-Shopify-Hmac-Sha256`.
    Shopify,
    /// `X-Slack-Signature`.
    Slack,
    /// Standard Webhooks: `webhook-signature`.
    Standard,
    /// Any other HMAC of the body.
    Hmac(HmacScheme),
}

/// How a sender without a scheme of its own signs.
#[derive(Clone, Debug)]
pub struct HmacScheme {
    /// The header with the signature.
    pub header: String,
    /// The digest.
    pub algorithm: Algorithm,
    /// How the digest is written.
    pub encoding: Encoding,
    /// What stands before it.
    pub prefix: String,
    /// The header with Unix seconds that are signed before the body, as `time.body`.
    pub timestamp: Option<String>,
    /// The header with the event's id.
    pub id: Option<String>,
    /// The header with the last part of the event's type.
    pub event_type: Option<String>,
}

/// A digest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

/// How bytes are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// Two digits a byte, of either case.
    Hex,
    /// The standard alphabet, with padding.
    Base64,
}

/// Bytes that no log and no error shows.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes in.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into_boxed_slice())
    }

    /// What a secret has at least that nobody can guess.
    pub const LONG_ENOUGH: usize = 24;

    /// Says whether it is too long to be guessed.
    pub fn is_long_enough(&self) -> bool {
        self.0.len() >= Self::LONG_ENOUGH
    }

    /// Returns it as text, for other libraries that ask for it; `None` if it is none.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}
