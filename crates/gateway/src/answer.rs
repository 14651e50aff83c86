//! Answers of addresses: data as JSON, the log's failures as problems, in time.
//!
//! Shared by the rooms; it knows none of them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response};
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tidegate_contract::event::is_json;
use tidegate_event_log::{LogError, Outcome, StoredRecord};
use tokio::time::timeout_at;
use utoipa::ToSchema;

use crate::Gateway;
use crate::problem::{Kind, Problem};
use crate::request::{Call, Context};

/// When to come back to a log that takes nothing.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A record's value: as JSON where it says and is JSON, byte for byte, else in base64; where a schema makes
/// JSON of it, both.
#[derive(Serialize, ToSchema)]
pub(crate) struct Payload {
    /// The value, if it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value, required = false)]
    data: Option<Box<RawValue>>,
    /// The bytes, unless the value was JSON as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

impl Payload {
    pub(crate) fn of(stored: &StoredRecord, content_type: Option<&str>) -> Self {
        Self::of_bytes(stored.record.value.as_ref(), content_type)
    }

    /// Shows nothing of it.
    pub(crate) fn nothing() -> Self {
        Self {
            data: None,
            data_base64: None,
        }
    }

    /// Shows the JSON that stands for data in another encoding, with the bytes beside it.
    pub(crate) fn decoded(json: Box<RawValue>, bytes: Option<&Bytes>) -> Self {
        Self {
            data: Some(json),
            data_base64: bytes.map(|bytes| STANDARD.encode(bytes)),
        }
    }

    pub(crate) fn of_bytes(value: Option<&Bytes>, content_type: Option<&str>) -> Self {
        let Some(value) = value else {
            return Self::nothing();
        };
        let data = std::str::from_utf8(value)
            .ok()
            .filter(|_| content_type.is_none_or(is_json))
            .and_then(|text| RawValue::from_string(text.to_owned()).ok())
            .filter(|raw| raw.get().len() == value.len());
        let data_base64 = data.is_none().then(|| STANDARD.encode(value));
        Self { data, data_base64 }
    }
}

/// Reads a parameter of path or query, or says that it is none.
pub(crate) fn parameter<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, Problem> {
    parsed.map_err(|error| Problem::new(Kind::BadRequest, error.to_string()))
}

/// Waits for the log no longer than the caller does, and says what its failures mean to a reader.
pub(crate) async fn within<T>(
    context: &Context<'_>,
    read: impl Future<Output = Result<T, LogError>>,
) -> Result<T, Problem> {
    match timeout_at(context.deadline, read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error @ (LogError::NotFound(_) | LogError::Invalid(_)))) => {
            Err(Problem::new(Kind::NotFound, error.to_string()))
        }
        Ok(Err(error)) => Err(not_stored(&error.to_string())),
        Err(_) => Err(not_stored("the log did not answer in time")),
    }
}

/// As [`within`], for what changes something: without an answer it is not known whether it did.
pub(crate) async fn changed_within<T>(
    context: &Context<'_>,
    change: impl Future<Output = Result<T, LogError>>,
) -> Result<T, Problem> {
    let late = || LogError::in_doubt("the log did not answer in time");
    let changed = timeout_at(context.deadline, change).await;
    match changed.unwrap_or_else(|_| Err(late())) {
        Err(error) if error.outcome() == Outcome::Unknown => {
            tracing::warn!(error = %error, "the log failed a change");
            let detail =
                "the log did not say whether the change is made; look before you try again";
            Err(Problem::new(Kind::OutcomeUnknown, detail).with_retry_after(RETRY_AFTER))
        }
        decided => within(context, std::future::ready(decided)).await,
    }
}

/// Says that the log did not answer, and that nothing was stored.
pub(crate) fn not_stored(reason: &str) -> Problem {
    log_problem(&LogError::not_stored(reason))
}

/// Says to the caller what a failure of the log means, and to the operator why.
pub(crate) fn log_problem(error: &LogError) -> Problem {
    let problem = match error {
        LogError::Invalid(_) => {
            tracing::error!(error = %error, "the log refused a record");
            return Problem::new(
                Kind::Internal,
                "the log refused the event; nothing was stored",
            );
        }
        _ if error.outcome() == Outcome::Unknown => Problem::new(
            Kind::OutcomeUnknown,
            "the log did not say whether the event is stored; retry with the same key",
        ),
        _ => Problem::new(
            Kind::LogUnavailable,
            "the log takes nothing now; nothing was stored",
        ),
    };
    tracing::warn!(error = %error, "the log failed a request");
    problem.with_retry_after(RETRY_AFTER)
}

impl Call {
    /// Answers with what is found, or with the problem.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        find: impl AsyncFnOnce(&Arc<Gateway>, &Context<'_>) -> Result<T, Problem>,
    ) -> Response<Body> {
        let context = self.context();
        let found = find(&self.gateway, &context).await;
        json(&context, found)
    }
}

/// Answers with data, or with the problem.
pub(crate) fn json<T: Serialize>(
    context: &Context<'_>,
    result: Result<T, Problem>,
) -> Response<Body> {
    let value = match result {
        Ok(value) => value,
        Err(problem) => return context.problem(problem),
    };
    match serde_json::to_vec(&value) {
        Ok(body) => {
            let mut response = body.into_response();
            let media_type = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            response
        }
        Err(error) => {
            tracing::error!(error = %error, "an answer could not be written");
            context.problem(Problem::new(
                Kind::Internal,
                "the answer could not be written",
            ))
        }
    }
}
