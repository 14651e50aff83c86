//! Joins the rooms' routers into the doors the gateway opens: events and API, schema registry, operations.
//!
//! Limits of single requests are the rooms' matter; those of connections are in `server.rs`.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use utoipa_axum::router::OpenApiRouter;

use crate::Gateway;
use crate::problem::{Kind, Problem};
use crate::request::Context;
use crate::server::{Door, Listening, serve};
use crate::{audit, bridges, contracts, identity, ingress, openapi, query, reading, registry};

/// Prometheus asks for this form by name.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves events and API on `listening` until `shutdown` ends, then lets running requests end.
///
/// # Errors
/// The listener failed for good.
pub async fn serve_http(
    listening: impl Into<Listening> + Send,
    gateway: Arc<Gateway>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = api(Arc::clone(&gateway));
    let draining = Arc::clone(&gateway);
    let shutdown = async move {
        shutdown.await;
        draining.start_draining();
    };
    serve(
        listening.into(),
        router,
        Door::Events,
        Arc::clone(&gateway),
        shutdown,
    )
    .await?;
    // What was taken in is copied before the log stops; what was not, the next process goes on with.
    gateway.bridges.stop(gateway.settings.drain_timeout).await;
    Ok(())
}

/// Serves the schema registry, as clients of Confluent's know it.
///
/// # Errors
/// The listener failed for good.
pub async fn serve_registry(
    listening: impl Into<Listening> + Send,
    gateway: Arc<Gateway>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = registry::routes::router(Arc::clone(&gateway));
    serve(listening.into(), router, Door::Registry, gateway, shutdown).await
}

/// Serves the operations door: metrics, liveness, readiness. It is not to be reached from outside.
///
/// # Errors
/// The listener failed for good.
pub async fn serve_ops(
    listening: impl Into<Listening> + Send,
    gateway: Arc<Gateway>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let router = operations(Arc::clone(&gateway));
    serve(
        listening.into(),
        router,
        Door::Operations,
        gateway,
        shutdown,
    )
    .await
}

fn api(gateway: Arc<Gateway>) -> Router {
    let rooms = OpenApiRouter::with_openapi(openapi::begun())
        .merge(contracts::check::routes::router())
        .merge(contracts::routes::router())
        .merge(query::routes::router())
        .merge(reading::routes::router())
        .merge(bridges::routes::router())
        .merge(identity::routes::router())
        .merge(audit::routes::router())
        .route_layer(from_fn_with_state(Arc::clone(&gateway), audit::watch))
        // Events are no changes; each is its own record.
        .merge(ingress::routes::router());
    let (router, document) = rooms.split_for_parts();
    let document = Bytes::from(openapi::written(document));
    let media_type = HeaderValue::from_static("application/json");
    router
        .route(
            openapi::PATH,
            get(async move || ([(CONTENT_TYPE, media_type)], document)),
        )
        .route("/problems/{slug}", get(get_problem))
        .route_layer(from_fn_with_state(
            Arc::clone(&gateway),
            identity::door::events,
        ))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(gateway)
}

fn operations(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/metrics", get(get_metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(get_ready))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(gateway)
}

async fn get_problem(
    State(gateway): State<Arc<Gateway>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    match Kind::by_slug(&slug) {
        Some(kind) => {
            let media_type = HeaderValue::from_static("text/markdown; charset=utf-8");
            ([(CONTENT_TYPE, media_type)], kind.page()).into_response()
        }
        None => not_found(State(gateway), headers).await,
    }
}

async fn not_found(State(gateway): State<Arc<Gateway>>, headers: HeaderMap) -> Response<Body> {
    let problem = Problem::new(Kind::NotFound, "there is nothing at this address");
    Context::new(&gateway, &headers).problem(problem)
}

async fn method_not_allowed(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
) -> Response<Body> {
    let problem = Problem::new(Kind::MethodNotAllowed, "this address has other methods");
    Context::new(&gateway, &headers).problem(problem)
}

async fn get_metrics(State(gateway): State<Arc<Gateway>>) -> Response<Body> {
    let schemas = gateway.registry.table();
    let (subjects, ids) = schemas.counts();
    gateway.metrics.schemas.hold(subjects, ids, schemas.bytes());
    let text = gateway.metrics.encode(gateway.inflight.bytes());
    (
        [(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS))],
        text,
    )
        .into_response()
}

async fn get_ready(State(gateway): State<Arc<Gateway>>) -> Response<Body> {
    match gateway.readiness().await {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
