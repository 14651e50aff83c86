//! The addresses at which receipts, kept requests and the quarantine are read.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::original::{self, KeptRequest};
use super::quarantine::{Entry, Page};
use super::receipt::{Receipt, ReceiptId};
use crate::Gateway;
use crate::answer::{parameter, within};
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::Call;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 500;

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(get_receipt))
        .routes(routes!(get_request))
        .routes(routes!(get_quarantine))
        .routes(routes!(get_quarantine_entry))
}

problems!(NothingThere: NotFound);

/// Reads a receipt again.
#[utoipa::path(
    get,
    path = "/v1/receipts/{id}",
    tag = "events",
    params(("id" = String, Path, description = "The receipt's id.")),
    responses((status = 200, body = Receipt), NothingThere)
)]
async fn get_receipt(call: Call, id: Result<Path<String>, PathRejection>) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Path(id) = parameter(id)?;
        let found = match ReceiptId::parse(&id) {
            Some(id) => {
                let found = id.resolve(&*gateway.log, &context.caller);
                within(context, found).await?
            }
            None => None,
        };
        found.ok_or_else(|| Problem::new(Kind::NotFound, "there is no receipt of this id"))
    })
    .await
}

/// Reads the request that an event was made of, where its contract gives plain bodies another shape.
#[utoipa::path(
    get,
    path = "/v1/receipts/{id}/request",
    tag = "events",
    params(("id" = String, Path, description = "The receipt's id.")),
    responses((status = 200, body = KeptRequest), NothingThere)
)]
async fn get_request(call: Call, id: Result<Path<String>, PathRejection>) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Path(id) = parameter(id)?;
        let topic = ReceiptId::parse(&id).map(|id| id.topic().to_owned());
        let lanes = gateway.lanes();
        let lane = topic.and_then(|topic| lanes.of_topic(&topic));
        if lane.is_some_and(|lane| lane.contract.is_about_persons())
            && !context.caller.sees_persons()
        {
            // Where in it they are, only the contract's map knows.
            let detail = "the request may hold fields about persons: owners see it";
            return Err(Problem::new(Kind::Forbidden, detail));
        }
        let found = within(context, original::read(&*gateway.log, &id, &context.caller)).await?;
        let detail = "no request is kept under this id: the event's data is the body as it came";
        found.ok_or_else(|| Problem::new(Kind::NotFound, detail))
    })
    .await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct QuarantineQuery {
    /// `next` of the page before.
    cursor: Option<i64>,
    /// How many at most.
    limit: Option<usize>,
    /// Of this contract only; a page may then be empty and have a `next` all the same.
    contract: Option<String>,
}

/// Lists events that broke their contracts, in the order they came.
#[utoipa::path(
    get,
    path = "/v1/quarantine",
    tag = "events",
    params(QuarantineQuery),
    responses((status = 200, body = Page))
)]
async fn get_quarantine(
    call: Call,
    query: Result<Query<QuarantineQuery>, QueryRejection>,
) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Query(query) = parameter(query)?;
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let page = gateway.quarantine_page(
            &context.caller,
            query.cursor.unwrap_or(0),
            limit,
            query.contract.as_deref(),
        );
        within(context, page).await
    })
    .await
}

/// Reads an event that broke its contract, with its bytes as they came.
#[utoipa::path(
    get,
    path = "/v1/quarantine/{id}",
    tag = "events",
    params(("id" = String, Path, description = "The entry's id.")),
    responses((status = 200, body = Entry), NothingThere)
)]
async fn get_quarantine_entry(
    call: Call,
    id: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Path(id) = parameter(id)?;
        let entry = within(context, gateway.quarantine_entry(&context.caller, &id)).await?;
        entry.ok_or_else(|| Problem::new(Kind::NotFound, "there is no quarantine entry of this id"))
    })
    .await
}
