//! The addresses of plans, sets and approvals.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::action::Plan;
use super::apply::{Applied, Request, Wanted};
use super::plan::Options;
use super::record::Why;
use super::upload::{File, MAX_UPLOAD_BYTES, read, texts};
use crate::Gateway;
use crate::answer::{json, parameter};
use crate::audit::Act;
use crate::clock::rfc3339;
use crate::identity::Caller;
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::Call;

/// A name that somebody gives himself.
const MAX_NAME_CHARS: usize = 200;
/// An approval, or names to act on.
const MAX_SMALL_BYTES: usize = 64 * 1024;
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1_000;
const PLAN_ID_CHARS: usize = 32;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(post_plan))
        .routes(routes!(post_set, get_sets))
        .routes(routes!(post_approval))
}

problems!(PlanProblems: MalformedJson ContractNotFound ContractsFromFolder BodyTooLarge ContractsInvalid);
problems!(ApplyProblems: MalformedJson ContractNotFound ContractsFromFolder PlanChanged PlanRefused ApprovalMissing
    BodyTooLarge ContractsInvalid ContractsInDoubt);
problems!(ApprovalProblems: MalformedJson ContractsFromFolder PlanRefused BodyTooLarge ContractsInDoubt);

/// What to put in force: files, or a version of a contract that was in force.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ContractsWanted)]
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

/// A version of a contract that was in force.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EarlierVersion)]
struct Earlier {
    name: String,
    version: String,
}

/// Who approves of which plan.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Approving {
    #[schema(pattern = "^[0-9a-f]{32}$")]
    plan: String,
    #[serde(default)]
    #[schema(max_length = 200)]
    name: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SetsQuery {
    /// How many at most.
    limit: Option<usize>,
}

/// A set of contracts that came into force.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractSet)]
struct SetView {
    generation: u64,
    time: String,
    by: String,
    why: Why,
    plan: String,
    approved: Vec<String>,
    documents: usize,
}

/// Sets, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractSets)]
struct SetsView {
    /// `log`, or `folder`, which has no sets.
    source: &'static str,
    sets: Vec<SetView>,
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

/// Says what an apply would do.
#[utoipa::path(
    post,
    path = "/v1/contract-plans",
    tag = "contracts",
    request_body = Asked,
    responses((status = 200, body = Plan), PlanProblems)
)]
async fn post_plan(call: Call, body: Body) -> Response<Body> {
    call.answer(async |gateway, context| {
        let (asked, _held) =
            read::<Asked>(gateway, context.headers, body, MAX_UPLOAD_BYTES).await?;
        let request = asked.request(&context.caller)?;
        gateway
            .plan_contracts(request.wanted, request.options)
            .await
    })
    .await
}

/// Returns the name that stands in the history of contracts.
fn acting(caller: &Caller, given: String) -> Result<String, Problem> {
    let named = caller.acts_as(given);
    named.map_err(|detail| Problem::new(Kind::Forbidden, detail))
}

/// Puts contracts in force.
#[utoipa::path(
    post,
    path = "/v1/contract-sets",
    tag = "contracts",
    request_body = Asked,
    responses((status = 200, body = Applied), ApplyProblems)
)]
async fn post_set(call: Call, act: Act, body: Body) -> Response<Body> {
    call.answer(async |gateway, context| {
        let (asked, _held) =
            read::<Asked>(gateway, context.headers, body, MAX_UPLOAD_BYTES).await?;
        gateway
            .apply_contracts(asked.request(&context.caller)?, act)
            .await
    })
    .await
}

/// Approves of a plan.
#[utoipa::path(
    post,
    path = "/v1/contract-approvals",
    tag = "contracts",
    request_body = Approving,
    responses((status = 200, body = Approving), ApprovalProblems)
)]
async fn post_approval(call: Call, act: Act, body: Body) -> Response<Body> {
    call.answer(async |gateway, context| {
        let (approving, _held) =
            read::<Approving>(gateway, context.headers, body, MAX_SMALL_BYTES).await?;
        let Approving { plan, name } = approving;
        let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        if plan.len() != PLAN_ID_CHARS || !plan.chars().all(is_hex) {
            let detail = "`plan` is not the id of a plan: 32 hexadecimal digits";
            return Err(Problem::new(Kind::BadRequest, detail));
        }
        let name = acting(&context.caller, name.trim().to_owned())?;
        let is_name = (1..=MAX_NAME_CHARS).contains(&name.chars().count());
        if !is_name || name.chars().any(char::is_control) {
            return Err(Problem::new(Kind::BadRequest, "`name` is not a name"));
        }
        let approved = gateway.approve_plan(plan.clone(), name.clone(), &act);
        approved.await?;
        Ok(Approving { plan, name })
    })
    .await
}

/// Lists the sets that came into force, the newest first.
#[utoipa::path(
    get,
    path = "/v1/contract-sets",
    tag = "contracts",
    params(SetsQuery),
    responses((status = 200, body = SetsView))
)]
async fn get_sets(call: Call, query: Result<Query<SetsQuery>, QueryRejection>) -> Response<Body> {
    let context = call.context();
    let listed = parameter(query).map(|Query(query)| {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let folded = call.gateway.contracts.folded();
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
        SetsView { source, sets }
    });
    json(&context, listed)
}
