//! The address at which contracts are held against what is in force.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_contract::diff::Change;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::upload::{File, MAX_UPLOAD_BYTES, read, texts};
use super::{Checked, GIVEN, Looked, Scope, given};
use crate::Gateway;
use crate::answer::json as answer;
use crate::openapi::problems;
use crate::problem::{Kind, Problem};
use crate::request::Call;

/// Events of each contract that are looked at where the caller says nothing.
const DEFAULT_SAMPLE: u64 = 10_000;
const MAX_SAMPLE: u64 = 1_000_000;

pub(crate) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(post_check))
}

problems!(CheckProblems: MalformedJson BodyTooLarge ContractsInvalid);

/// What to check, and against how much.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ContractsToCheck)]
struct Asked {
    files: Vec<File>,
    #[serde(default)]
    schemas: Vec<File>,
    /// Look at all events of the replay windows.
    #[serde(default)]
    full: bool,
    /// Look at so many of each contract; none of them with 0.
    sample: Option<u64>,
}

/// What was found.
#[derive(Serialize, ToSchema)]
#[schema(as = ContractsChecked)]
struct CheckedView<'a> {
    /// Contracts in the files that were sent.
    contracts: usize,
    /// Each as `contract check -o json` prints it; `in_force` where it stands in a file that was not sent.
    changes: Vec<Value>,
    events: &'a [Looked],
}

impl Asked {
    fn scope(&self) -> Result<Scope, Problem> {
        match (self.full, self.sample) {
            (true, None) => Ok(Scope::All),
            (true, Some(_)) => {
                let detail = "it asks for all events and for a sample; one of them counts";
                Err(Problem::new(Kind::BadRequest, detail))
            }
            (false, sample) => {
                let sample = sample.unwrap_or(DEFAULT_SAMPLE);
                Ok(Scope::Sample(sample.min(MAX_SAMPLE)))
            }
        }
    }
}

/// Holds contracts against those in force, their readers and the events that are kept.
#[utoipa::path(
    post,
    path = "/v1/contracts/check",
    tag = "contracts",
    request_body = Asked,
    responses((status = 200, body = CheckedView), CheckProblems)
)]
async fn post_check(call: Call, body: Body) -> Response<Body> {
    let context = call.context();
    let checked = async {
        let (asked, held) =
            read::<Asked>(&call.gateway, &call.headers, body, MAX_UPLOAD_BYTES).await?;
        let scope = asked.scope()?;
        let texts = texts(GIVEN, asked.files, asked.schemas)?;
        let checked = call.gateway.check_contracts(texts, scope).await;
        drop(held);
        checked
    };
    let checked = checked.await;
    answer(&context, checked.as_ref().map(shown).map_err(Clone::clone))
}

fn shown(checked: &Checked) -> CheckedView<'_> {
    CheckedView {
        contracts: checked.contracts,
        changes: checked.changes.iter().map(change).collect(),
        events: &checked.events,
    }
}

/// Writes a change; what stands in a file that is in force and was not sent says so.
fn change(change: &Change) -> Value {
    let mut value = change.to_json();
    match given(&change.finding.file) {
        Some(file) => value["file"] = json!(file),
        None => value["in_force"] = json!(true),
    }
    value
}
