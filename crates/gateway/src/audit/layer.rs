//! Before each request that is no reading: what does it do, who asks, from where? After it: was it
//! refused?

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, Response};
use axum::middleware::Next;

use super::effects::{Effect, effect};
use super::record::{Actor, Origin, bounded_name};
use super::{Act, Whose};
use crate::Gateway;
use crate::identity::Caller;
use crate::identity::caller::Proof;
use crate::problem::{Kind, Problem};
use crate::registry::error::Code;
use crate::request::Context;
use crate::server::Peer;
use crate::tls::PeerCertificate;

/// What the audit calls a request that would have changed nothing.
const ENTER: &str = "door.enter";

/// Gives requests that change something their [`Act`], and writes down those that were refused.
pub(crate) async fn watch(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let Some(route) = request.extensions().get::<MatchedPath>() else {
        // No route, no effect.
        return next.run(request).await;
    };
    let verb = match effect(request.method().as_str(), route.as_str()) {
        Some(Effect::Changes(verb)) => verb,
        Some(Effect::Asks) => return next.run(request).await,
        None => {
            let (method, route) = (request.method(), route.as_str());
            tracing::error!(%method, route, "nobody declared what this route does: it is refused");
            let problem = Problem::new(Kind::Internal, "the gateway failed");
            return Context::new(&gateway, request.headers()).problem(problem);
        }
    };
    let act = act_of(&gateway, &mut request, verb);
    request.extensions_mut().insert(act.clone());
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    // Where the log fails, a record of it would only be waited for.
    if response.status().is_client_error() {
        act.refused(&path, &reason(&response), Whose::Caller).await;
    }
    response
}

/// Writes down that a caller was not let in.
pub(crate) async fn turned_away(gateway: &Gateway, request: &mut Request, problem: &Problem) {
    let route = request.extensions().get::<MatchedPath>();
    let declared = route.and_then(|route| effect(request.method().as_str(), route.as_str()));
    let verb = match declared {
        Some(Effect::Changes(verb)) => verb,
        Some(Effect::Asks) | None => ENTER,
    };
    let path = request.uri().path().to_owned();
    let act = act_of(gateway, request, verb);
    let whose = match problem.kind() {
        Kind::Unauthenticated => Whose::Stranger,
        _ => Whose::Caller,
    };
    act.refused(&path, problem.kind().slug(), whose).await;
}

fn act_of(gateway: &Gateway, request: &mut Request, verb: &'static str) -> Act {
    let request_id = Context::new(gateway, request.headers()).request_id;
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        // Whoever looks at the request later knows it by the same id.
        request.headers_mut().insert("x-request-id", id);
    }
    let extensions = request.extensions();
    let peer = extensions.get::<Peer>();
    let from = Origin {
        peer: peer.map(|peer| peer.address.to_string()),
        door: peer.map(|peer| peer.door.name().to_owned()),
        request: Some(request_id),
    };
    let actor = actor(&Caller::of(extensions), extensions.get());
    gateway.audit.act(verb, actor, from)
}

/// Says who a caller is. One that nobody asked for credentials is known by its certificate, if it showed one.
fn actor(caller: &Caller, certificate: Option<&PeerCertificate>) -> Actor {
    let how = match (&caller.proof, certificate) {
        (Proof::Nothing | Proof::Unasked, Some(shown)) => {
            return Actor {
                tenant: caller.tenant.to_string(),
                name: bounded_name(&name_in(shown)),
                how: "certificate".to_owned(),
            };
        }
        (Proof::Nothing | Proof::Unasked, None) => "none",
        (Proof::Key, _) => "key",
        (Proof::Token { .. }, _) => "token",
        (Proof::Signature, _) => "signature",
        (Proof::Certificate, _) => "certificate",
    };
    Actor {
        tenant: caller.tenant.to_string(),
        name: bounded_name(&caller.name),
        how: how.to_owned(),
    }
}

fn name_in(shown: &PeerCertificate) -> String {
    match shown.names().first() {
        Some(name) => name.text().to_owned(),
        None => format!("sha256:{}", shown.sha256()),
    }
}

fn reason(response: &Response<Body>) -> String {
    let extensions = response.extensions();
    let code = || {
        extensions
            .get::<Code>()
            .map(|code| format!("registry-{}", code.0))
    };
    let slug = extensions.get::<Kind>().map(|kind| kind.slug().to_owned());
    slug.or_else(code)
        .unwrap_or_else(|| format!("http-{}", response.status().as_u16()))
}
