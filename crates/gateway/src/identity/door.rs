//! What stands before every route: who calls, and may it come here? The caller goes on in the
//! request's extensions.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Response;
use axum::middleware::Next;
use axum::response::IntoResponse;

use super::access::{self, Rule};
use super::caller::{Caller, Roles};
use crate::Gateway;
use crate::audit;
use crate::problem::{Kind, Problem};
use crate::registry::Error;
use crate::request::Context;
use crate::server::{Door, Peer};
use crate::tls::PeerCertificate;

/// Lets callers into the events door.
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let rule = access::of_events(request.method(), route(&request));
    match admit(&gateway, rule, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(problem) => gateway.refuse(&Context::new(&gateway, request.headers()), problem),
    }
}

/// Lets callers into the schema registry, whose clients know errors of another form.
pub(crate) async fn registry(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let rule = access::of_registry(request.method(), route(&request));
    match admit(&gateway, Some(rule), &mut request).await {
        Ok(()) => next.run(request).await,
        Err(problem) => Error::refused(&problem).into_response(),
    }
}

fn route(request: &Request) -> &str {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or("", MatchedPath::as_str)
}

async fn admit(
    gateway: &Gateway,
    rule: Option<Rule>,
    request: &mut Request,
) -> Result<(), Problem> {
    let Some(rule) = rule else {
        let detail = "nobody is let in here";
        return Err(Problem::new(Kind::Forbidden, detail));
    };
    let Rule::For(roles) = rule else {
        return Ok(());
    };
    let admitted = known(gateway, roles, request).await;
    if let Err(problem) = &admitted
        && matches!(problem.kind(), Kind::Unauthenticated | Kind::Forbidden)
    {
        let door = request.extensions().get::<Peer>().map(|peer| peer.door);
        let door = door.map_or("none", Door::name);
        let reason = problem.kind().slug();
        gateway.metrics.count_turned_away(door, reason);
        audit::turned_away(gateway, request, problem).await;
    }
    admitted
}

/// Finds out who calls, and whether it has one of these roles.
async fn known(gateway: &Gateway, roles: Roles, request: &mut Request) -> Result<(), Problem> {
    let shown = request.extensions().get::<PeerCertificate>();
    let now_ms = gateway.clock.now_ms();
    let caller = gateway.identity.caller(request.headers(), shown, now_ms);
    let caller = caller.await?;
    request.extensions_mut().insert(Arc::clone(&caller));
    if caller.roles.meets(roles) {
        return Ok(());
    }
    let detail = format!("this asks for one of the roles {roles}");
    Err(Problem::new(Kind::Forbidden, detail).about(&caller.name))
}

/// The caller of a request, as handlers take it.
pub(crate) type Admitted = axum::Extension<Arc<Caller>>;
