//! The address of a source: a provider's request in, its event to `accept`, or its question answered.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::Response;
use axum::http::request::Parts;
use axum::response::IntoResponse;

use super::super::body;
use super::super::receipt::Receipt;
use super::super::routes::{
    accept_one, answer, content_type, event_limit, insert_request_id, json_only,
};
use super::super::submission::{Original, Submission};
use super::{Delivery, Meaning};
use crate::Gateway;
use crate::answer::parameter;
use crate::identity::Caller;
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::Context;

/// What became of a provider's request.
enum Delivered {
    Accepted(Receipt),
    Challenge(String),
}

problems!(SourceRefused: MalformedJson InvalidEvent SignatureInvalid NotFound BodyTooLarge UnsupportedMediaType
    ContractViolation UnknownEventType ContractClosed IdempotencyKeyReused QuotaExceeded OutcomeUnknown);

/// Takes a provider's webhook in, with the provider's own signature, headers and ids.
#[utoipa::path(
    post,
    path = "/v1/sources/{source}",
    tag = "events",
    params(("source" = String, Path, description = "The source's name in the settings.")),
    request_body(content((serde_json::Value = "application/json"))),
    responses(
        (status = 200, description = "The answer to a question of the provider's.", body = String, content_type = "text/plain"),
        (status = 202, description = "It is durable.", body = Receipt, headers(
            ("Location" = String, description = "Where the receipt can be read again."),
            ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the first receipt of a repeat."),
            ("X-Request-Id" = String, description = "Which request it was."),
            ("Deprecation" = Option<String>, description = "Since when the contract is deprecated (RFC 9745)."),
            ("Sunset" = Option<String>, description = "When the contract ends (RFC 8594)."),
            ("Link" = Option<String>, description = "The contract that comes after (RFC 5829)."),
        )),
        SourceRefused,
    )
)]
pub(crate) async fn post_source(
    State(gateway): State<Arc<Gateway>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    let (Parts { headers, .. }, body) = request.into_parts();
    let mut context = Context::new(&gateway, &headers);
    match accept_source(&gateway, &mut context, name, body).await {
        Ok(Delivered::Accepted(receipt)) => answer(&gateway, &context, Ok(receipt)),
        Ok(Delivered::Challenge(text)) => {
            let mut response = text.into_response();
            insert_request_id(response.headers_mut(), &context);
            response
        }
        Err(problem) => answer(&gateway, &context, Err(problem)),
    }
}

async fn accept_source(
    gateway: &Gateway,
    context: &mut Context<'_>,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Delivered, Problem> {
    let headers = context.headers;
    let Path(name) = parameter(name)?;
    let settings = gateway.settings.sources.get(&name).ok_or_else(|| {
        Problem::new(Kind::NotFound, "no source of this name is configured").about(&name)
    })?;
    let limit = match super::event_type(settings, &name, headers) {
        Some(event_type) => event_limit(gateway, Some(&event_type)),
        // The type stands in the body.
        None => {
            let largest = gateway.lanes().largest_data_bytes();
            largest.max(gateway.settings.max_event_bytes)
        }
    };
    let (bytes, _held) = body::read(gateway, headers, body, limit).await?;
    context.body_arrived(gateway);
    let delivery = Delivery {
        source: &name,
        headers,
        body: bytes.clone(),
        received_ms: context.received_ms,
    };
    super::verify(settings, &delivery).map_err(|problem| problem.about(&name))?;
    context.caller = Arc::new(Caller::provider(&name));
    json_only(headers)?;
    let meaning = super::read(settings, &delivery).map_err(|problem| problem.about(&name))?;
    let event = match meaning {
        Meaning::Event(event) => event,
        Meaning::Challenge(text) => return Ok(Delivered::Challenge(text)),
    };
    let original = Original {
        bytes,
        content_type: content_type(headers),
    };
    let submission = Submission {
        lane: None,
        event,
        key: None,
        original,
        source_door: Some(name),
        plain: false,
    };
    let receipt = accept_one(gateway, context, submission).await?;
    Ok(Delivered::Accepted(receipt))
}
