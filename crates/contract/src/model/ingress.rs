//! What happens at the edge: who may send, how much, and how an event sent twice is known.

use std::str::FromStr;

use super::words::{UnknownWord, words};
use crate::field_map::FieldMap;
use crate::schema::Schema;
use crate::units::{ByteSize, Duration, UnitError};

/// What happens at the edge.
#[derive(Debug)]
pub struct IngressRules {
    /// By what a caller may have proved who it is; empty means by anything.
    pub auth: Vec<Auth>,
    /// What has happened to an event before it is said to be accepted.
    pub ack_after: AckAfter,
    /// How much may be sent.
    pub quotas: Vec<Quota>,
    /// How a repeat is known.
    pub idempotency: Idempotency,
    /// What becomes of an event that breaks the contract.
    pub on_invalid: OnInvalid,
    /// The shape of plain bodies, where it is another one than the event's.
    pub request: Option<RequestRules>,
}

/// What a proof of identity looks like in a contract.
pub(crate) const AUTH_PATTERN: &str = r"^(api-key|mtls|signature|oauth2(:[!#-\[\]-~]{1,100})?)$";

/// A way in which a caller may prove who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Auth {
    /// By an API key.
    ApiKey,
    /// By a token of a trusted issuer.
    Oauth2 {
        /// The scope that the token must have.
        scope: Option<String>,
    },
    /// By the signature of a provider's webhook.
    Signature,
    /// By the certificate that its connection began with.
    Mtls,
}

impl Auth {
    /// Says whether whoever proves the other has proved this.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let any_token = matches!(self, Self::Oauth2 { scope: None });
        self == other || any_token && matches!(other, Self::Oauth2 { .. })
    }
}

impl FromStr for Auth {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Ok(match text {
            "api-key" => Self::ApiKey,
            "signature" => Self::Signature,
            "mtls" => Self::Mtls,
            "oauth2" => Self::Oauth2 { scope: None },
            _ => match text.strip_prefix("oauth2:") {
                Some(scope) if !scope.is_empty() => Self::Oauth2 {
                    scope: Some(scope.to_owned()),
                },
                _ => return Err(UnknownWord::new(text)),
            },
        })
    }
}

words! {
    /// What has happened to an event before its sender hears that it is accepted.
    AckAfter {
        /// The log has made it durable.
        Log = "log",
    }
}

/// How much may be sent.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Unique in its contract; callers read it in headers and problems.
    pub name: String,
    /// What is counted together.
    pub per: QuotaPer,
    /// How much may come.
    pub limit: Limit,
    /// In which time.
    pub every: Duration,
    /// How much may come at once; it counts what the limit counts.
    pub burst: Limit,
}

impl Quota {
    /// Says whether it allows all that another does.
    pub(crate) fn is_at_least(&self, other: &Self) -> bool {
        // Crosswise, so that `1` every second and `60` every minute are the same rate.
        let rate =
            |limit: Limit, every: Duration| u128::from(limit.amount()) * u128::from(every.as_ms());
        self.per == other.per
            && self.limit.is_like(other.limit)
            && rate(self.limit, other.every) >= rate(other.limit, self.every)
            && self.burst.amount() >= other.burst.amount()
    }
}

words! {
    /// Whose events a quota counts together.
    QuotaPer {
        /// Those of a tenant.
        Tenant = "tenant",
        /// Those of a caller: an API key, or a token's subject.
        Key = "key",
        /// All of the contract.
        Contract = "contract",
    }
}

/// The largest limit that is written as a number.
pub(crate) const MAX_AMOUNT: u64 = 999_999_999;

/// What a quota counts, and how much of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// Events.
    Events(u64),
    /// Bytes of data.
    Bytes(ByteSize),
}

impl Limit {
    /// Returns how much it is.
    pub fn amount(self) -> u64 {
        match self {
            Self::Events(events) => events,
            Self::Bytes(bytes) => bytes.as_bytes(),
        }
    }

    /// Says whether both count the same.
    pub fn is_like(self, other: Self) -> bool {
        matches!(self, Self::Events(_)) == matches!(other, Self::Events(_))
    }
}

impl FromStr for Limit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let events = text.parse().map(Self::Events);
        events.or_else(|_| text.parse().map(Self::Bytes))
    }
}

/// How an event sent twice is known.
#[derive(Debug)]
pub struct Idempotency {
    /// Whether an event must bring an identity. If not, one that it brings counts all the same.
    pub required: bool,
    /// How long a repeat gets its first receipt.
    pub window: Duration,
    /// Within what an identity is unique.
    pub scope: Vec<Scope>,
    /// What tells a repeat from a reused identity.
    pub fingerprint: Fingerprint,
}

words! {
    /// Within what an identity is unique.
    Scope {
        /// One tenant.
        Tenant = "tenant",
    }
}

words! {
    /// What tells a repeat from a reused identity.
    Fingerprint {
        /// The bytes of the data.
        Body = "body",
    }
}

words! {
    /// What becomes of an event that breaks its contract; the answer is 422 either way.
    OnInvalid {
        /// Nothing is kept.
        Reject = "reject",
        /// The bytes and every reason are kept for the owner.
        Quarantine = "quarantine",
    }
}

/// The shape of plain bodies and how the event's data is made of it.
#[derive(Debug)]
pub struct RequestRules {
    /// The file as written, with its pointer.
    pub file: String,
    /// The JSON Schema of the body.
    pub schema: Schema,
    /// How the data is made of the body.
    pub map: FieldMap,
    /// The names of the headers that are kept beside the original body, in lower case.
    pub headers: Vec<String>,
}
