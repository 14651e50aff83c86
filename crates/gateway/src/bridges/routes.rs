//! The addresses of bridges: what they do, and what somebody says to one that halted.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::Response;
use serde::{Deserialize, Serialize};
use tidegate_contract::lineage::Lineage;
use tidegate_event_log::{LogError, Record};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Bridges;
use super::look::watch_from_now;
use super::spec::Spec;
use super::state::{Change, Rollout, Table};
use super::status::Status;
use crate::Gateway;
use crate::answer::{changed_within, json, parameter};
use crate::audit::{Act, Object};
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::Call;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(get_bridges))
        .routes(routes!(get_bridge))
        .routes(routes!(post_resume))
        .routes(routes!(post_abort))
        .routes(routes!(get_lineage))
}

problems!(NoBridge: ContractNotFound);
problems!(BridgeProblems: ContractNotFound BridgeState OutcomeUnknown);

impl Bridges {
    fn status(&self, spec: &Spec) -> Status {
        let known = self.shared.status.lock().get(spec.name()).cloned();
        known.unwrap_or_else(|| Status::new(spec))
    }

    fn find(&self, contract: &str) -> Result<Arc<Spec>, Problem> {
        let found = self.in_force().bridge(contract).cloned();
        let missing = "no contract of this name with a `migration` is in force";
        found.ok_or_else(|| Problem::new(Kind::ContractNotFound, missing))
    }

    /// Returns where events come from and who reads them, with what bridges do right now.
    fn lineage(&self) -> Lineage {
        let in_force = self.in_force();
        let mut lineage = in_force.lineage();
        for contract in &mut lineage.contracts {
            if let (Some(bridge), Some(spec)) =
                (&mut contract.bridge, in_force.bridge(&contract.name))
            {
                let status = self.status(spec);
                bridge.state = Some(status.state.to_owned());
                bridge.lag = Some(status.lag);
            }
        }
        lineage
    }

    async fn resume(
        &self,
        contract: &str,
        in_full: bool,
        act: &Act,
    ) -> Result<Result<(), Problem>, LogError> {
        let spec = match self.find(contract) {
            Ok(spec) => spec,
            Err(problem) => return Ok(Err(problem)),
        };
        let watch = watch_from_now(&self.shared, &spec).await?;
        let decide = |table: &Table| {
            may_resume(rollout(table, &spec), in_full).map(|()| {
                let watch = watch.clone();
                Some(Change::Resumed { in_full, watch }.record(contract))
            })
        };
        let object = |table: &Table, record: &Record| object(contract, table, record);
        self.shared.states.change_by(act, object, decide).await
    }

    async fn abort(&self, contract: &str, act: &Act) -> Result<Result<(), Problem>, LogError> {
        let spec = match self.find(contract) {
            Ok(spec) => spec,
            Err(problem) => return Ok(Err(problem)),
        };
        let decide = |table: &Table| match rollout(table, &spec) {
            Some(rollout) if rollout.ended => Err(state("the bridge has ended")),
            Some(rollout) if rollout.aborted => Err(state("the rollout is aborted already")),
            Some(_) => Ok(Some(Change::Aborted.record(contract))),
            None => Err(state("the bridge has not started")),
        };
        let object = |table: &Table, record: &Record| object(contract, table, record);
        self.shared.states.change_by(act, object, decide).await
    }
}

/// Says to the audit what is about to change.
fn object(contract: &str, table: &Table, record: &Record) -> Object {
    let value = record.value.as_deref().map(serde_json::from_slice);
    let before = table.get(contract);
    Object {
        name: format!("bridge/{contract}"),
        before: before.map(|rollout| {
            serde_json::json!({
                "halted": rollout.halt.is_some(), "aborted": rollout.aborted,
                "in_full": rollout.in_full, "ended": rollout.ended,
            })
        }),
        after: value.and_then(Result::ok),
    }
}

fn rollout<'t>(table: &'t Table, spec: &Spec) -> Option<&'t Rollout> {
    let rollout = table.get(spec.name());
    rollout.filter(|rollout| rollout.from == spec.migration().from)
}

fn may_resume(rollout: Option<&Rollout>, in_full: bool) -> Result<(), Problem> {
    let Some(rollout) = rollout else {
        return Err(state("the bridge has not started"));
    };
    let stopped = rollout.halt.is_some() || rollout.aborted;
    match (rollout.ended, stopped, in_full && !rollout.in_full) {
        (true, _, _) => Err(state("the bridge has ended")),
        (false, true, _) | (false, false, true) => Ok(()),
        (false, false, false) => Err(state("the rollout neither halted nor was it aborted")),
    }
}

fn state(detail: &str) -> Problem {
    Problem::new(Kind::BridgeState, detail)
}

/// All bridges, and what they do right now.
#[derive(Serialize, ToSchema)]
#[schema(as = Bridges)]
struct BridgesView {
    bridges: Vec<Status>,
}

/// Lists the bridges from earlier event types.
#[utoipa::path(
    get,
    path = "/v1/bridges",
    tag = "bridges",
    responses((status = 200, body = BridgesView))
)]
async fn get_bridges(call: Call) -> Response<Body> {
    let context = call.context();
    let bridges = &call.gateway.bridges;
    let in_force = bridges.in_force();
    let specs = in_force.bridges().filter_map(|name| in_force.bridge(name));
    let bridges = specs.map(|spec| bridges.status(spec)).collect();
    json(&context, Ok(BridgesView { bridges }))
}

/// Says what a bridge does right now.
#[utoipa::path(
    get,
    path = "/v1/bridges/{contract}",
    tag = "bridges",
    params(("contract" = String, Path, description = "The contract that it copies into.")),
    responses((status = 200, body = Status), NoBridge)
)]
async fn get_bridge(call: Call, contract: Result<Path<String>, PathRejection>) -> Response<Body> {
    let context = call.context();
    let bridges = &call.gateway.bridges;
    let found = parameter(contract).and_then(|Path(contract)| bridges.find(&contract));
    json(&context, found.map(|spec| bridges.status(&spec)))
}

/// Says where events come from and who reads them.
#[utoipa::path(
    get,
    path = "/v1/lineage",
    tag = "bridges",
    responses((status = 200, description = "As `contract lineage -o json` prints it.", body = serde_json::Value))
)]
async fn get_lineage(call: Call) -> Response<Body> {
    let context = call.context();
    json(&context, Ok(call.gateway.bridges.lineage()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ResumeQuery {
    /// Without the canaries' first part.
    #[serde(default)]
    in_full: bool,
}

/// A bridge was told to go on.
#[derive(Serialize, ToSchema)]
struct Resumed {
    contract: String,
    resumed: bool,
    in_full: bool,
}

/// A rollout was stopped.
#[derive(Serialize, ToSchema)]
struct Aborted {
    contract: String,
    aborted: bool,
}

/// Lets a bridge go on that halted.
#[utoipa::path(
    post,
    path = "/v1/bridges/{contract}/resume",
    tag = "bridges",
    params(("contract" = String, Path, description = "The contract that it copies into."), ResumeQuery),
    responses((status = 200, body = Resumed), BridgeProblems)
)]
async fn post_resume(
    call: Call,
    act: Act,
    contract: Result<Path<String>, PathRejection>,
    query: Result<Query<ResumeQuery>, QueryRejection>,
) -> Response<Body> {
    call.answer(async |gateway, context| {
        let (Path(contract), Query(query)) = (parameter(contract)?, parameter(query)?);
        let resumed = gateway.bridges.resume(&contract, query.in_full, &act);
        changed_within(context, resumed).await??;
        Ok(Resumed {
            contract,
            resumed: true,
            in_full: query.in_full,
        })
    })
    .await
}

/// Stops a rollout.
#[utoipa::path(
    post,
    path = "/v1/bridges/{contract}/abort",
    tag = "bridges",
    params(("contract" = String, Path, description = "The contract that it copies into.")),
    responses((status = 200, body = Aborted), BridgeProblems)
)]
async fn post_abort(
    call: Call,
    act: Act,
    contract: Result<Path<String>, PathRejection>,
) -> Response<Body> {
    call.answer(async |gateway, context| {
        let Path(contract) = parameter(contract)?;
        changed_within(context, gateway.bridges.abort(&contract, &act)).await??;
        Ok(Aborted {
            contract,
            aborted: true,
        })
    })
    .await
}
