//! The addresses of plans, sets and approvals.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Response};
use axum::routing::post;
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::apply::{Request, Wanted};
use super::plan::Options;
use super::record::Why;
use super::upload::{File, MAX_UPLOAD_BYTES, read, texts};
use crate::Gateway;
use crate::answer::{json, parameter};
use crate::audit::Act;
use crate::clock::rfc3339;
use crate::identity::Caller;
use crate::identity::door::Admitted;
use crate::problem::{Kind, Problem};
use crate::request::Context;

/// A name that somebody gives himself.
const MAX_NAME_CHARS: usize = 200;
/// An approval, or names to act on.
const MAX_SMALL_BYTES: usize = 64 * 1024;
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1_000;
const PLAN_ID_CHARS: usize = 32;

pub(crate) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/v1/contract-plans", post(post_plan))
        .route("/v1/contract-sets", post(post_set).get(get_sets))
        .route("/v1/contract-approvals", post(post_approval))
}

/// What to put in force: files, or a version of a contract that was in force.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    schemas: Vec<File>,
    rollback: Option<Earlier>,
    #[serde(default)]
    options: Options,
    /// Apply only this plan.
    plan: Option<String>,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Earlier {
    name: String,
    version: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approving {
    plan: String,
    /// May be left out by a caller that is known.
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct SetsQuery {
    limit: Option<usize>,
}

#[derive(Serialize)]
struct SetView {
    generation: u64,
    time: String,
    by: String,
    why: Why,
    plan: String,
    approved: Vec<String>,
    documents: usize,
}

impl Asked {
    fn request(self, caller: &Caller) -> Result<Request, Problem> {
        let bad = |detail: &str| Problem::new(Kind::BadRequest, detail);
        let has_files = !self.files.is_empty();
        let texts = texts("", self.files, self.schemas)?;
        let by = self.by.trim().to_owned();
        if by.chars().count() > MAX_NAME_CHARS || by.chars().any(char::is_control) {
            return Err(bad("`by` is not a name"));
        }
        let by = acting(caller, by)?;
        let wanted = match self.rollback {
            None => Wanted::Documents(texts),
            Some(_) if has_files => {
                return Err(bad(
                    "it has files and a version to go back to; one of them counts",
                ));
            }
            Some(Earlier { name, version }) => Wanted::Earlier { name, version },
        };
        Ok(Request {
            wanted,
            options: self.options,
            plan: self.plan,
            by,
        })
    }
}

async fn post_plan(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Admitted,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let planned = async {
        let (asked, _held) = read::<Asked>(&gateway, &headers, body, MAX_UPLOAD_BYTES).await?;
        let request = asked.request(&caller)?;
        gateway
            .plan_contracts(request.wanted, request.options)
            .await
    };
    json(&context, planned.await)
}

/// Returns the name that stands in the history of contracts.
fn acting(caller: &Caller, given: String) -> Result<String, Problem> {
    let named = caller.acts_as(given);
    named.map_err(|detail| Problem::new(Kind::Forbidden, detail))
}

async fn post_set(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Admitted,
    act: Act,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let applied = async {
        let (asked, _held) = read::<Asked>(&gateway, &headers, body, MAX_UPLOAD_BYTES).await?;
        gateway.apply_contracts(asked.request(&caller)?, act).await
    };
    json(&context, applied.await)
}

async fn post_approval(
    State(gateway): State<Arc<Gateway>>,
    Extension(caller): Admitted,
    act: Act,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let approved = async {
        let (approving, _held) =
            read::<Approving>(&gateway, &headers, body, MAX_SMALL_BYTES).await?;
        let Approving { plan, name } = approving;
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        if plan.len() != PLAN_ID_CHARS || !plan.chars().all(is_hex) {
            let detail = "`plan` is not the id of a plan: 32 hexadecimal digits";
            return Err(Problem::new(Kind::BadRequest, detail));
        }
        let name = acting(&caller, name.trim().to_owned())?;
        let is_name = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
        if !is_name || name.chars().any(char::is_control) {
            return Err(Problem::new(Kind::BadRequest, "`name` is not a name"));
        }
        let approved = gateway.approve_plan(plan.clone(), name.clone(), &act);
        approved.await?;
        Ok(json!({ "plan": plan, "name": name }))
    };
    json(&context, approved.await)
}

async fn get_sets(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<SetsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let context = Context::new(&gateway, &headers);
    let listed = parameter(query).map(|Query(query)| {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let folded = gateway.contracts.folded();
        let sets: Vec<SetView> = folded
            .iter()
            .flat_map(|folded| folded.history())
            .take(limit)
            .map(|listed| SetView {
                generation: listed.set.generation,
                time: rfc3339(listed.set.at_ms),
                by: listed.set.by.clone(),
                why: listed.set.why,
                plan: listed.set.plan.clone(),
                approved: listed.set.approved.clone(),
                documents: listed.documents,
            })
            .collect();
        let source = if folded.is_some() { "log" } else { "folder" };
        json!({ "source": source, "sets": sets })
    });
    json(&context, listed)
}
