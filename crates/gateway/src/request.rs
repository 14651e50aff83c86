//! What is known of a request besides its body: who asks, when, under which trace, until when.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Response};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Gateway;
use crate::identity::Caller;
use crate::ingress::quota::Told;
use crate::problem::{Occurrence, Problem};

/// A caller's own request id is kept up to this length.
const MAX_REQUEST_ID: usize = 128;
/// W3C Trace Context §3.3.1.4: at least 512 characters of `tracestate` are carried.
const MAX_TRACESTATE: usize = 512;

/// What a handler is given of a request: where to look, and who asks.
pub(crate) struct Call {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) headers: HeaderMap,
    caller: Arc<Caller>,
}

impl Call {
    pub(crate) fn context(&self) -> Context<'_> {
        Context::new(&self.gateway, &self.headers).by(Arc::clone(&self.caller))
    }
}

impl FromRequestParts<Arc<Gateway>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Infallible> {
        Ok(Self {
            gateway: Arc::clone(gateway),
            headers: parts.headers.clone(),
            caller: Caller::of(&parts.extensions),
        })
    }
}

/// A request, without its body.
pub(crate) struct Context<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// Who asks; nobody, unless it was said.
    pub(crate) caller: Arc<Caller>,
    pub(crate) request_id: String,
    pub(crate) received_ms: i64,
    /// What the caller is told of quotas.
    told: Mutex<Option<Told>>,
    /// When the caller is answered at the latest.
    pub(crate) deadline: Instant,
    /// Request headers that are kept beside a quarantined event.
    pub(crate) kept_headers: &'a [HeaderName],
}

impl<'a> Context<'a> {
    pub(crate) fn new(gateway: &'a Gateway, headers: &'a HeaderMap) -> Self {
        let received_ms = gateway.clock.now_ms();
        let own = headers
            .get("x-request-id")
            .and_then(|value| value.to_str().ok());
        let request_id = match own {
            Some(id) if is_request_id(id) => id.to_owned(),
            _ => gateway.ids.next(received_ms).to_string(),
        };
        let deadline = Instant::now() + gateway.settings.answer_deadline;
        Self {
            headers,
            caller: Caller::nobody(),
            request_id,
            told: Mutex::default(),
            received_ms,
            deadline,
            kept_headers: &gateway.kept_headers,
        }
    }

    /// Says who asks.
    pub(crate) fn by(mut self, caller: Arc<Caller>) -> Self {
        self.caller = caller;
        self
    }

    /// Notes what the caller is told of quotas; of several events the first that was refused counts.
    pub(crate) fn tell(&self, told: Told) {
        let mut noted = self.told.lock();
        let is_final = noted
            .as_ref()
            .is_some_and(|noted| told.violated.is_empty() || !noted.violated.is_empty());
        if !is_final {
            *noted = Some(told);
        }
    }

    pub(crate) fn write_told(&self, headers: &mut HeaderMap) {
        if let Some(told) = &*self.told.lock() {
            told.write(headers);
        }
    }

    /// Starts the deadline anew: the body is there, what follows is the gateway's time.
    pub(crate) fn body_arrived(&mut self, gateway: &Gateway) {
        self.deadline = Instant::now() + gateway.settings.answer_deadline;
    }

    /// Returns `traceparent`, if it is one (W3C Trace Context §3.2).
    pub(crate) fn traceparent(&self) -> Option<&'a str> {
        let text = self.headers.get("traceparent")?.to_str().ok()?;
        is_traceparent(text).then_some(text)
    }

    /// Returns `tracestate`, which means something beside a `traceparent` only.
    pub(crate) fn tracestate(&self) -> Option<Bytes> {
        self.traceparent()?;
        let mut values = self.headers.get_all("tracestate").iter();
        let mut joined = values.next()?.to_str().ok()?.to_owned();
        for value in values {
            joined.push(',');
            joined.push_str(value.to_str().ok()?);
        }
        (!joined.is_empty() && joined.len() <= MAX_TRACESTATE).then(|| Bytes::from(joined))
    }

    pub(crate) fn occurrence(&self) -> Occurrence<'_> {
        let trace_id = self.traceparent().and_then(|text| text.get(3..35));
        Occurrence {
            request_id: &self.request_id,
            trace_id,
        }
    }

    pub(crate) fn problem(&self, problem: Problem) -> Response<Body> {
        let mut response = problem.into_response(self.occurrence());
        self.write_told(response.headers_mut());
        response
    }
}

/// A caller's id becomes part of a URI, so it holds what a path segment may (RFC 3986 §3.3).
fn is_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~:@+=".contains(&b))
}

fn is_traceparent(text: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = text.split('-');
    let (Some(version), Some(trace), Some(parent), Some(flags)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let known_length = version != "00" || parts.next().is_none();
    let not_zero = |part: &str| part.bytes().any(|b| b != b'0');
    hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && not_zero(trace)
        && hex(parent, 16)
        && not_zero(parent)
        && hex(flags, 2)
        && known_length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_known_by_its_form() {
        for (text, expected) in [
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                true,
            ),
            (
                "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later",
                true,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
                false,
            ),
            (
                "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                false,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(is_traceparent(text), expected, "{text}");
        }
    }
}
