//! Every way a request can fail, as the caller reads it: RFC 9457 `application/problem+json`.
//!
//! A variant of [`Kind`] owns slug, title, status and page; a test holds it to its page in
//! `docs/problems/`, which the gateway serves at `/problems/{slug}`, so that `type` is a link.
//! Details never show payloads, secrets or the inside of a 5xx.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $slug:literal $status:literal $title:literal;)*) => {
        /// A type of problem.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them, in the order of their status.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Returns the name in the problem's `type`, stable.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug,)* }
            }

            /// Returns the short summary, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }

            /// Returns the HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$kind => $status,)* }
            }

            /// Returns the page that explains it, Markdown.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$kind => {
                        include_str!(concat!("../../../docs/problems/", $slug, ".md"))
                    })*
                }
            }
        }
    };
}

kinds! {
    /// The request itself breaks HTTP or a rule of ours.
    BadRequest "bad-request" 400 "The request is malformed";
    /// The body is cut off, or is no JSON where JSON is due.
    MalformedJson "malformed-json" 400 "The body is not valid JSON";
    /// Attributes are missing or break CloudEvents.
    InvalidEvent "invalid-event" 400 "The CloudEvents attributes are not valid";
    /// The contract requires a key.
    IdempotencyKeyMissing "idempotency-key-missing" 400 "An idempotency key is required";
    /// The key is not one.
    IdempotencyKeyInvalid "idempotency-key-invalid" 400 "The idempotency key is not valid";
    /// The caller did not prove who it is.
    Unauthenticated "unauthenticated" 401 "Who calls is not known";
    /// The sender did not prove who it is.
    SignatureInvalid "signature-invalid" 401 "The signature is missing or wrong";
    /// The caller may not do this.
    Forbidden "forbidden" 403 "This is not allowed to the caller";
    /// Nothing stands at this address.
    NotFound "not-found" 404 "There is nothing here";
    /// The address names a contract that is not in force.
    ContractNotFound "contract-not-found" 404 "There is no such contract";
    /// The address knows other methods.
    MethodNotAllowed "method-not-allowed" 405 "The method is not allowed here";
    /// The bridge is in a state in which this cannot be asked of it.
    BridgeState "bridge-state" 409 "The bridge is in another state";
    /// The request did not arrive in time.
    RequestTimeout "request-timeout" 408 "The request took too long to arrive";
    /// A folder is the source of contracts.
    ContractsFromFolder "contracts-from-folder" 409 "The contracts come from a folder";
    /// The plan is not the one that was seen.
    PlanChanged "plan-changed" 409 "The plan is out of date";
    /// The plan would do what it may not.
    PlanRefused "plan-refused" 409 "The plan is refused";
    /// Owners have not agreed.
    ApprovalMissing "approval-missing" 409 "Approvals are missing";
    /// The body is over its limit.
    BodyTooLarge "body-too-large" 413 "The body is too large";
    /// The batch has too many events.
    BatchTooLarge "batch-too-large" 413 "The batch has too many events";
    /// The media type is not one that is read here.
    UnsupportedMediaType "unsupported-media-type" 415 "The media type is not supported";
    /// The data or the envelope breaks the contract.
    ContractViolation "contract-violation" 422 "The event breaks its contract";
    /// No contract governs the event's type.
    UnknownEventType "unknown-event-type" 422 "No contract covers this event type";
    /// The contract takes no events now.
    ContractClosed "contract-closed" 422 "The contract takes no events";
    /// The key stands for other data.
    IdempotencyKeyReused "idempotency-key-reused" 422 "The idempotency key stands for other data";
    /// Contracts with findings.
    ContractsInvalid "contracts-invalid" 422 "The contracts cannot be used";
    /// More was sent than a quota allows.
    QuotaExceeded "quota-exceeded" 429 "A quota is exhausted";
    /// A fault of the gateway.
    Internal "internal" 500 "The gateway failed";
    /// Too many connections or bytes at a time.
    Overloaded "overloaded" 503 "The gateway is at its limit";
    /// The log takes nothing now; nothing was stored.
    LogUnavailable "log-unavailable" 503 "The log is unavailable";
    /// What callers are known by cannot be had now.
    IdentityUnavailable "identity-unavailable" 503 "Who calls cannot be found out now";
    /// Perhaps stored.
    OutcomeUnknown "outcome-unknown" 503 "It is not known whether the event was stored";
    /// Perhaps in force.
    ContractsInDoubt "contracts-in-doubt" 503 "It is not known whether the contracts are in force";
}

impl Kind {
    /// Returns the kind of a slug.
    pub fn by_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }

    fn status_code(self) -> StatusCode {
        StatusCode::from_u16(self.status()).expect("a test walks all of them")
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Fault {
    /// A JSON Pointer fragment into the data (`#/total`), or the name of an attribute or header.
    pub pointer: String,
    /// What is wrong, without the value.
    pub detail: String,
    /// The rule that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// One occurrence of a problem. Boxed inside: most requests have none, and carry a pointer.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    kind: Kind,
    detail: String,
    errors: Vec<Fault>,
    quarantine: Option<String>,
    retry_after: Option<Duration>,
    violated_policies: Vec<String>,
    /// What it is about, for the operator's samples: a contract or an event type.
    about: Option<String>,
}

/// The request a problem belongs to, for its `instance` and `traceid`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occurrence<'a> {
    pub(crate) request_id: &'a str,
    pub(crate) trace_id: Option<&'a str>,
}

/// A problem as it is written (RFC 9457 §3.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body9457<'a> {
    /// The page that explains it.
    r#type: String,
    /// The same for every occurrence.
    title: &'static str,
    status: u16,
    /// What happened here, and what to do.
    detail: &'a str,
    /// Which request it was.
    instance: String,
    /// What is wrong, one by one.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    /// Where the refused event is kept.
    quarantine: Option<&'a str>,
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    violated_policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The trace that the request was part of.
    traceid: Option<&'a str>,
    /// The page that explains it.
    docs: String,
}

impl Problem {
    /// Makes a problem with what happened and what to do, in a sentence.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            quarantine: None,
            retry_after: None,
            violated_policies: Vec::new(),
            about: None,
        }))
    }

    /// Names what is wrong, one by one.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<Fault>) -> Self {
        self.0.errors = errors;
        self
    }

    /// Says where the refused event is kept.
    #[must_use]
    pub fn with_quarantine(mut self, path: String) -> Self {
        self.0.quarantine = Some(path);
        self
    }

    /// Names the quotas that were exceeded.
    #[must_use]
    pub(crate) fn with_violated_policies(mut self, names: Vec<String>) -> Self {
        self.0.violated_policies = names;
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Says what it is about to the operator; callers do not see it.
    #[must_use]
    pub(crate) fn about(mut self, about: &str) -> Self {
        self.0.about = Some(about.to_owned());
        self
    }

    pub(crate) fn is_about(&self) -> Option<&str> {
        self.0.about.as_deref()
    }

    /// Says whether the refused event is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.quarantine.is_some()
    }

    /// Returns the type of the problem.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns after how many seconds to come back, if that helps.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after.map(|after| after.as_secs().max(1))
    }

    /// Returns what happened, in a sentence.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Returns the problem as a JSON value, for an event of a batch.
    pub(crate) fn to_json(&self, occurrence: Occurrence<'_>) -> serde_json::Value {
        serde_json::to_value(self.body(occurrence)).expect("strings and numbers only")
    }

    pub(crate) fn into_response(self, occurrence: Occurrence<'_>) -> Response<Body> {
        let body = serde_json::to_vec(&self.body(occurrence)).expect("strings and numbers only");
        let mut response = (self.0.kind.status_code(), body).into_response();
        response.extensions_mut().insert(self.0.kind);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Ok(id) = HeaderValue::from_str(occurrence.request_id) {
            headers.insert("x-request-id", id);
        }
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        // RFC 9110 §15.5.2: a 401 names a challenge.
        let challenge = match self.0.kind {
            Kind::SignatureInvalid => Some("Signature"),
            Kind::Unauthenticated => Some("Bearer realm=\"tidegate\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }

    fn body<'a>(&'a self, occurrence: Occurrence<'a>) -> Body9457<'a> {
        let page = format!("/problems/{}", self.0.kind.slug());
        Body9457 {
            r#type: page.clone(),
            title: self.0.kind.title(),
            status: self.0.kind.status(),
            detail: &self.0.detail,
            instance: format!("/requests/{}", occurrence.request_id),
            errors: &self.0.errors,
            quarantine: self.0.quarantine.as_deref(),
            violated_policies: &self.0.violated_policies,
            traceid: occurrence.trace_id,
            docs: page,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_page_and_every_page_its_kind() {
        let mut slugs = BTreeSet::new();
        for kind in Kind::ALL {
            assert!(
                slugs.insert(format!("{}.md", kind.slug())),
                "{} is there twice",
                kind.slug()
            );
            assert!(kind.status_code().is_client_error() || kind.status_code().is_server_error());
            let expected = format!(
                "# {}\n\n`{}` · HTTP {}\n",
                kind.title(),
                kind.slug(),
                kind.status()
            );
            assert!(
                kind.page().starts_with(&expected),
                "docs/problems/{}.md:\n{expected}",
                kind.slug()
            );
            for part in ["## What happened", "## What to do"] {
                assert!(
                    kind.page().contains(part),
                    "docs/problems/{}.md lacks {part}",
                    kind.slug()
                );
            }
            assert_eq!(Kind::by_slug(kind.slug()), Some(*kind));
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/problems");
        let pages: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(pages, slugs);
    }

    #[test]
    fn a_problem_reads_as_rfc_9457_says() {
        let problem = Problem::new(Kind::ContractViolation, "`order-placed` 1.0.0 refuses it")
            .with_errors(vec![Fault {
                pointer: "#/total".to_owned(),
                detail: "required".to_owned(),
                rule: Some("required".to_owned()),
            }])
            .with_quarantine("/v1/quarantine/0-0-00000000".to_owned());
        let occurrence = Occurrence {
            request_id: "01J00000000000000000000000",
            trace_id: Some("0af7651916cd43dd8448eb211c80319c"),
        };
        insta::assert_json_snapshot!(problem.to_json(occurrence), @r##"
        {
          "type": "/problems/contract-violation",
          "title": "The event breaks its contract",
          "status": 422,
          "detail": "`order-placed` 1.0.0 refuses it",
          "instance": "/requests/01J00000000000000000000000",
          "errors": [
            {
              "pointer": "#/total",
              "detail": "required",
              "rule": "required"
            }
          ],
          "quarantine": "/v1/quarantine/0-0-00000000",
          "traceid": "0af7651916cd43dd8448eb211c80319c",
          "docs": "/problems/contract-violation"
        }
        "##);
    }
}
