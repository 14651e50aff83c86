//! What stands before every route: who calls, and may it come here? The caller goes on in the
//! request's extensions.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Response;
use axum::middleware::Next;
use axum::response::IntoResponse;

use super::access::{self, Rule};
use super::caller::Caller;
use crate::Gateway;
use crate::audit;
use crate::problem::{Kind, Problem};
use crate::registry::Error;
use crate::request::Context;
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
    let shown = request.extensions().get::<PeerCertificate>();
    let now_ms = gateway.clock.now_ms();
    let caller = gateway.identity.caller(request.headers(), shown, now_ms);
    let caller = caller.await?;
    request.extensions_mut().insert(Arc::clone(&caller));
    if !caller.roles.meets(roles) {
        let detail = format!("this asks for one of the roles {roles}");
        let problem = Problem::new(Kind::Forbidden, detail).about(&caller.name);
        audit::turned_away(gateway, request, &problem).await;
        return Err(problem);
    }
    Ok(())
}

/// The caller of a request, as handlers take it.
pub(crate) type Admitted = axum::Extension<Arc<Caller>>;
