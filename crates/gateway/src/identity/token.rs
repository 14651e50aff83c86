//! Is this token one of that issuer's, for this gateway, now? And whom does it make? Pure: keys and
//! time are passed in.

use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::caller::{Caller, DEFAULT_TENANT, Proof};
use crate::settings::Issuer;

/// The largest token that is looked at.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far clocks may differ.
const SKEW_S: i64 = 60;
/// Signatures that need no shared secret; `none` and the HMACs are never taken.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why a token does not hold, for the caller: no key, no claim's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// It is signed by a key that is not in the set; a newer set may have it.
    UnknownKey,
    /// It will not hold, whatever keys there are.
    For(&'static str),
}

/// A caller, and for how long its token holds.
#[derive(Debug)]
pub(crate) struct Holds {
    pub(crate) caller: Arc<Caller>,
    pub(crate) until_ms: i64,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<i64>,
    nbf: Option<i64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Reads whose a token says it is, unchecked: it chooses the keys that check it.
pub(crate) fn issuer_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        iss: String,
    }
    let payload = token.split('.').nth(1)?;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = base64::Engine::decode(&engine, payload).ok()?;
    let said: Said = serde_json::from_slice(&bytes).ok()?;
    Some(said.iss)
}

/// Checks a token against the keys of its issuer.
pub(crate) fn check(
    token: &str,
    issuer: &Issuer,
    keys: &JwkSet,
    now_ms: i64,
) -> Result<Holds, Refused> {
    let header = decode_header(token).map_err(|_| Refused::For("it is no JSON Web Token"))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Refused::For("its algorithm is not one that is taken"));
    }
    let key = match &header.kid {
        Some(kid) => keys.find(kid),
        // An issuer with one key need not name it.
        None => match &keys.keys[..] {
            [only] => Some(only),
            _ => None,
        },
    };
    let key = key.ok_or(Refused::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Refused::For("its key cannot be used"))?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[&issuer.issuer]);
    validation.set_audience(&[&issuer.audience]);
    validation.set_required_spec_claims(&["iss", "aud"]);
    // The clock is ours to pass.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    let claims = decode::<Claims>(token, &key, &validation).map_err(|error| {
        use jsonwebtoken::errors::ErrorKind;
        Refused::For(match error.kind() {
            ErrorKind::InvalidAudience => "it is for somebody else (`aud`)",
            ErrorKind::InvalidIssuer => "it is of another issuer (`iss`)",
            ErrorKind::InvalidSignature => "its signature is wrong",
            _ => "it cannot be read",
        })
    })?;
    let Claims {
        sub,
        exp,
        nbf,
        others,
    } = claims.claims;
    let now_s = now_ms.div_euclid(1_000);
    let exp = exp.ok_or(Refused::For("it never ends (`exp`)"))?;
    if now_s >= exp.saturating_add(SKEW_S) {
        return Err(Refused::For("its time is over (`exp`)"));
    }
    if nbf.is_some_and(|begins| now_s < begins.saturating_sub(SKEW_S)) {
        return Err(Refused::For("its time has not begun (`nbf`)"));
    }
    let sub = sub.filter(|sub| is_name(sub));
    let sub = sub.ok_or(Refused::For("it names no subject that can be used (`sub`)"))?;
    let tenant = match &issuer.tenant_claim {
        None => DEFAULT_TENANT,
        Some(claim) => match others.get(claim).and_then(Value::as_str) {
            Some(tenant) if is_name(tenant) => tenant,
            _ => return Err(Refused::For("it names no tenant that can be used")),
        },
    };
    let caller = Caller {
        tenant: tenant.into(),
        name: format!("{}:{sub}", issuer.name).into(),
        roles: words(others.get(&issuer.roles_claim))
            .filter_map(|word| word.parse().ok())
            .collect(),
        proof: Proof::Token {
            // RFC 8693 §4.2 has one text, some issuers a list under another name.
            scopes: words(others.get("scope"))
                .chain(words(others.get("scp")))
                .map(Box::from)
                .collect(),
        },
        contracts: Box::default(),
    };
    Ok(Holds {
        caller: Arc::new(caller),
        until_ms: exp.saturating_add(SKEW_S).saturating_mul(1_000),
    })
}

/// Names stand in records and audits: printable, and not long.
fn is_name(text: &str) -> bool {
    (1..=200).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Returns the words of a claim: a list of texts, or one text with blanks between.
fn words(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = claim.and_then(Value::as_array).into_iter().flatten();
    let text = claim.and_then(Value::as_str).unwrap_or_default();
    list.filter_map(Value::as_str)
        .chain(text.split_ascii_whitespace())
}
