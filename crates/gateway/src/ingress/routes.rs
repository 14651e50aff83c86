//! The addresses of the door: a request in, its events to `accept`, the answer out.
//!
//! A refusal is counted here, once, whatever refused it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use serde::Serialize;
use tidegate_contract::event::{Event, is_json};
use tidegate_contract::event_type;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cloudevent::{self, Mode};
use super::key::idempotency_key;
use super::lane::Lane;
use super::receipt::Receipt;
use super::submission::{Original, Submission};
use super::{body, deprecation, source};
use crate::Gateway;
use crate::answer::parameter;
use crate::identity::Caller;
use crate::openapi::{CloudEvent, CloudEventBatch, problems};
use crate::problem::{Body9457, Kind, Problem};
use crate::request::Context;

/// What a structured event may need beside its data: base64 makes four bytes of three.
const STRUCTURED_EXTRA_BYTES: usize = 64 * 1024;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(post_events))
        .routes(routes!(post_plain))
        .routes(routes!(source::routes::post_source))
        .merge(super::reads::router())
}

problems!(EventsRefused: MalformedJson InvalidEvent IdempotencyKeyMissing IdempotencyKeyInvalid BodyTooLarge
    BatchTooLarge UnsupportedMediaType ContractViolation UnknownEventType ContractClosed IdempotencyKeyReused
    QuotaExceeded OutcomeUnknown);
problems!(PlainRefused: MalformedJson InvalidEvent IdempotencyKeyMissing IdempotencyKeyInvalid ContractNotFound
    BodyTooLarge UnsupportedMediaType ContractViolation ContractClosed IdempotencyKeyReused QuotaExceeded OutcomeUnknown);

/// Takes events in, as CloudEvents: one in binary mode (`ce-` headers, any media type), one in structured
/// mode, or a batch. The event's `type` finds the contract. A 202 means that all of it is durable.
#[utoipa::path(
    post,
    path = "/v1/events",
    tag = "events",
    params(
        ("ce-specversion" = Option<String>, Header, pattern = r"^1\.0$", description = "`1.0`, in binary mode."),
        ("ce-id" = Option<String>, Header, min_length = 1, description = "The event's id, in binary mode."),
        ("ce-source" = Option<String>, Header, min_length = 1, description = "Where it happened, in binary mode."),
        ("ce-type" = Option<String>, Header, min_length = 1, description = "Finds the contract, in binary mode."),
        ("Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = r#"^("([ !#-\[\]-~]|\\["\\])+"|[!#-~]+)$"#, description = "The name of this intent, a string of structured fields: a repeat gets the first receipt.")
    ),
    request_body(content(
        (CloudEvent = "application/cloudevents+json"),
        (CloudEventBatch = "application/cloudevents-batch+json"),
        (serde_json::Value = "application/json"),
    )),
    responses(
        (status = 202, description = "All of it is durable.", body = Taken, headers(
            ("Location" = String, description = "Where the receipt can be read again."),
            ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the first receipt of a repeat."),
            ("X-Request-Id" = String, description = "Which request it was."),
            ("Deprecation" = Option<String>, description = "Since when the contract is deprecated (RFC 9745)."),
            ("Sunset" = Option<String>, description = "When the contract ends (RFC 8594)."),
            ("Link" = Option<String>, description = "The contract that comes after (RFC 5829)."),
        )),
        (status = 207, description = "Some events of the batch are stored: each has its own answer.", body = BatchView),
        EventsRefused,
    )
)]
async fn post_events(State(gateway): State<Arc<Gateway>>, request: Request) -> Response<Body> {
    let (
        Parts {
            headers,
            extensions,
            ..
        },
        body,
    ) = request.into_parts();
    let mut context = Context::new(&gateway, &headers).by(Caller::of(&extensions));
    match cloudevent::mode(&headers) {
        Ok(Mode::Batch) => match accept_batch(&gateway, &mut context, body).await {
            Ok(results) => batch_answer(&gateway, &context, results),
            Err(problem) => gateway.refuse(&context, problem),
        },
        Ok(mode) => {
            let result = accept_event(&gateway, &mut context, mode, body).await;
            answer(&gateway, &context, result)
        }
        Err(problem) => gateway.refuse(&context, problem),
    }
}

async fn accept_event(
    gateway: &Gateway,
    context: &mut Context<'_>,
    mode: Mode,
    body: Body,
) -> Result<Receipt, Problem> {
    let headers = context.headers;
    let key = idempotency_key(headers)?;
    let limit = match mode {
        Mode::Binary => event_limit(
            gateway,
            headers.get("ce-type").and_then(|t| t.to_str().ok()),
        ),
        _ => {
            let data = gateway
                .lanes()
                .largest_data_bytes()
                .max(gateway.settings.max_event_bytes);
            data / 3 * 4 + STRUCTURED_EXTRA_BYTES
        }
    };
    let (bytes, _held) = body::read(gateway, headers, body, limit).await?;
    context.body_arrived(gateway);
    let event = match mode {
        Mode::Binary => cloudevent::from_binary(headers, bytes.clone())?,
        _ => cloudevent::from_structured(&bytes, cloudevent::utf_8(&bytes)?)?,
    };
    let original = Original {
        bytes,
        content_type: content_type(headers),
    };
    let submission = Submission {
        lane: None,
        event,
        key,
        original,
        source_door: None,
        plain: false,
    };
    accept_one(gateway, context, submission).await
}

async fn accept_batch(
    gateway: &Gateway,
    context: &mut Context<'_>,
    body: Body,
) -> Result<Vec<Result<Receipt, Problem>>, Problem> {
    if context.headers.contains_key("idempotency-key") {
        let detail = "a batch has no `Idempotency-Key`: each of its events brings its own id";
        return Err(Problem::new(Kind::IdempotencyKeyInvalid, detail));
    }
    let limit = gateway.settings.max_batch_bytes;
    let (bytes, _held) = body::read(gateway, context.headers, body, limit).await?;
    context.body_arrived(gateway);
    let text = cloudevent::utf_8(&bytes)?;
    let events = cloudevent::split_batch(text, gateway.settings.max_batch_events)?;
    let submissions = events
        .into_iter()
        .map(|event| {
            let original = Original {
                bytes: bytes.slice_ref(event.get().as_bytes()),
                content_type: Some(cloudevent::STRUCTURED.to_owned()),
            };
            let event = cloudevent::from_structured(&bytes, event.get())?;
            Ok(Submission {
                lane: None,
                event,
                key: None,
                original,
                source_door: None,
                plain: false,
            })
        })
        .collect();
    Ok(gateway.accept(context, submissions).await)
}

/// Takes a plain JSON body in; the contract gives it its envelope.
#[utoipa::path(
    post,
    path = "/v1/events/{contract}",
    tag = "events",
    params(
        ("contract" = String, Path, description = "The contract's name."),
        ("Idempotency-Key" = Option<String>, Header, max_length = 255, pattern = r#"^("([ !#-\[\]-~]|\\["\\])+"|[!#-~]+)$"#, description = "The name of this intent, a string of structured fields: a repeat gets the first receipt.")
    ),
    request_body(content((serde_json::Value = "application/json"))),
    responses(
        (status = 202, description = "It is durable.", body = Receipt, headers(
            ("Location" = String, description = "Where the receipt can be read again."),
            ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the first receipt of a repeat."),
            ("X-Request-Id" = String, description = "Which request it was."),
            ("Deprecation" = Option<String>, description = "Since when the contract is deprecated (RFC 9745)."),
            ("Sunset" = Option<String>, description = "When the contract ends (RFC 8594)."),
            ("Link" = Option<String>, description = "The contract that comes after (RFC 5829)."),
        )),
        PlainRefused,
    )
)]
async fn post_plain(
    State(gateway): State<Arc<Gateway>>,
    contract: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    post_one(&gateway, request, async |context, body| {
        accept_plain(&gateway, context, contract, body).await
    })
    .await
}

/// Answers for the one event that a request brings.
async fn post_one(
    gateway: &Gateway,
    request: Request,
    accept: impl AsyncFnOnce(&mut Context<'_>, Body) -> Result<Receipt, Problem>,
) -> Response<Body> {
    let (
        Parts {
            headers,
            extensions,
            ..
        },
        body,
    ) = request.into_parts();
    let mut context = Context::new(gateway, &headers).by(Caller::of(&extensions));
    let result = accept(&mut context, body).await;
    answer(gateway, &context, result)
}

async fn accept_plain(
    gateway: &Gateway,
    context: &mut Context<'_>,
    contract: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Receipt, Problem> {
    let headers = context.headers;
    let Path(name) = parameter(contract)?;
    let lane = gateway.lanes().by_name(&name).cloned().ok_or_else(|| {
        let detail = "no contract of this name is in force; `GET /v1/contracts` lists them";
        Problem::new(Kind::ContractNotFound, detail).about(&name)
    })?;
    let about = |problem: Problem| problem.about(&name);
    json_only(headers).map_err(about)?;
    let key = idempotency_key(headers).map_err(about)?;
    let limit = lane.max_data_bytes;
    let (bytes, _held) = body::read(gateway, headers, body, limit)
        .await
        .map_err(about)?;
    context.body_arrived(gateway);
    let event = Event {
        source: lane.contract.event.source.for_plain_body().to_owned(),
        event_type: plain_type(gateway, &lane, headers).map_err(about)?,
        datacontenttype: content_type(headers),
        data: (!bytes.is_empty()).then(|| bytes.clone()),
        ..Event::default()
    };
    let original = Original {
        bytes,
        content_type: content_type(headers),
    };
    let submission = Submission {
        lane: Some(lane),
        event,
        key,
        original,
        source_door: None,
        plain: true,
    };
    accept_one(gateway, context, submission).await
}

pub(super) async fn accept_one(
    gateway: &Gateway,
    context: &Context<'_>,
    submission: Submission,
) -> Result<Receipt, Problem> {
    let mut answers = gateway.accept(context, vec![Ok(submission)]).await;
    answers.pop().expect("one answer for each submission")
}

/// Finds the type of a plain body: the contract's own; of a family the one that `ce-type` names.
fn plain_type(gateway: &Gateway, lane: &Arc<Lane>, headers: &HeaderMap) -> Result<String, Problem> {
    let rule = &lane.contract.event.event_type;
    if event_type::family(rule).is_none() {
        return Ok(rule.clone());
    }
    let named = headers.get("ce-type").and_then(|value| value.to_str().ok());
    let detail = match named {
        Some(named) => match gateway.lanes().by_type(named) {
            Some(found) if Arc::ptr_eq(found, lane) => return Ok(named.to_owned()),
            Some(found) => format!("`ce-type` is of contract `{}`", found.contract.name),
            None => format!("`ce-type` is not of the family `{rule}`"),
        },
        None => format!("the contract takes the family `{rule}`: name the type in `ce-type`"),
    };
    Err(Problem::new(Kind::InvalidEvent, detail))
}

/// Returns the limit of an event whose type is known before its body.
pub(super) fn event_limit(gateway: &Gateway, event_type: Option<&str>) -> usize {
    event_type
        .and_then(|event_type| {
            gateway
                .lanes()
                .by_type(event_type)
                .map(|lane| lane.max_data_bytes)
        })
        .unwrap_or(gateway.settings.max_event_bytes)
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(CONTENT_TYPE)?.to_str().ok().map(str::to_owned)
}

/// Refuses anything but a JSON document that is no envelope.
pub(super) fn json_only(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = cloudevent::content_type(headers)?.unwrap_or_default();
    if !is_json(media_type) {
        return Err(cloudevent::unsupported(
            "send `Content-Type: application/json`",
        ));
    }
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if essence
        .to_ascii_lowercase()
        .starts_with("application/cloudevents")
    {
        return Err(cloudevent::unsupported("send CloudEvents to `/v1/events`"));
    }
    cloudevent::utf_8_only(media_type)
}

pub(super) fn answer(
    gateway: &Gateway,
    context: &Context<'_>,
    result: Result<Receipt, Problem>,
) -> Response<Body> {
    let receipt = match result {
        Ok(receipt) => receipt,
        Err(problem) => return gateway.refuse(context, problem),
    };
    let mut body = Vec::with_capacity(384);
    serde_json::to_writer(&mut body, &receipt).expect("strings and numbers only");
    let mut response = (StatusCode::ACCEPTED, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(location) = HeaderValue::from_maybe_shared(Bytes::from(receipt.path())) {
        headers.insert(LOCATION, location);
    }
    insert_request_id(headers, context);
    context.write_told(headers);
    tell_of_end(gateway, &receipt, headers);
    if receipt.duplicate {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// Tells a sender of an accepted event that its contract is on its way out.
fn tell_of_end(gateway: &Gateway, receipt: &Receipt, headers: &mut HeaderMap) {
    let name = std::str::from_utf8(&receipt.contract).unwrap_or_default();
    if let Some(lane) = gateway.lanes().by_name(name) {
        deprecation::tell(&lane.told, headers);
    }
}

pub(super) fn insert_request_id(headers: &mut HeaderMap, context: &Context<'_>) {
    if let Ok(id) = HeaderValue::from_str(&context.request_id) {
        headers.insert("x-request-id", id);
    }
}

/// What a 202 holds.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "names for OpenAPI what two functions write")]
enum Taken<'a> {
    One(Receipt),
    Batch(BatchView<'a>),
}

#[derive(Serialize, ToSchema)]
struct EventResult<'a> {
    /// What its HTTP status would have been.
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Receipt, required = false)]
    receipt: Option<&'a Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Body9457, required = false)]
    problem: Option<serde_json::Value>,
}

/// The answers for the events of a batch, in their order.
#[derive(Serialize, ToSchema)]
#[schema(as = BatchResults)]
struct BatchView<'a> {
    #[serde(flatten)]
    #[schema(ignore)]
    problem: Option<serde_json::Value>,
    results: &'a [EventResult<'a>],
}

/// Answers for a batch: 202 if all are stored, 207 if some are, else the status they share; 207
/// too if they share none, since one status would be a lie about some.
fn batch_answer(
    gateway: &Gateway,
    context: &Context<'_>,
    results: Vec<Result<Receipt, Problem>>,
) -> Response<Body> {
    let views: Vec<EventResult<'_>> = results
        .iter()
        .map(|result| match result {
            Ok(receipt) => EventResult {
                status: 202,
                receipt: Some(receipt),
                problem: None,
            },
            Err(problem) => {
                gateway.count_refusal(context, problem);
                EventResult {
                    status: problem.kind().status(),
                    receipt: None,
                    problem: Some(problem.to_json(context.occurrence())),
                }
            }
        })
        .collect();
    let shared = views.first().map_or(202, |first| first.status);
    let status = if views.iter().all(|view| view.status == shared) {
        shared
    } else {
        207
    };
    // When none is stored, the batch as a whole is a problem: the first one's, with all results.
    let problem = (status >= 400).then(|| views[0].problem.clone()).flatten();
    let media_type = if problem.is_some() {
        "application/problem+json"
    } else {
        "application/json"
    };
    let bytes = serde_json::to_vec(&BatchView {
        problem,
        results: &views,
    })
    .expect("strings and numbers only");
    let status = StatusCode::from_u16(status).expect("a status of ours");
    let mut response = (status, bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    // The whole batch is sent again, so it waits for the event that has to wait longest.
    let refused = results.iter().filter_map(|result| result.as_ref().err());
    if let Some(seconds) = refused.filter_map(Problem::retry_after_seconds).max() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    insert_request_id(headers, context);
    context.write_told(headers);
    let mut receipts = results.iter().filter_map(|result| result.as_ref().ok());
    if let Some(first) = receipts.next()
        && receipts.all(|receipt| receipt.contract == first.contract)
    {
        // Of several contracts, nobody could say which one is meant.
        tell_of_end(gateway, first, headers);
    }
    response
}
