//! What is told of an apply that was not done, or not to its end.

use std::time::Duration;

use tidegate_contract::load::Diagnostics;
use tidegate_event_log::LogError;

use super::store::StoreError;
use crate::gateway::StartError;
use crate::problem::{Fault, Kind, Problem};

/// Findings that are told.
const MAX_TOLD: usize = 100;
pub(super) const RETRY: Duration = Duration::from_secs(1);

pub(super) fn invalid(found: &Diagnostics) -> Problem {
    let told = found.iter().take(MAX_TOLD).map(|it| Fault {
        pointer: match it.line {
            0 => it.file.clone(),
            line => format!("{}:{line}:{}", it.file, it.column),
        },
        detail: match &it.hint {
            Some(hint) => format!("{}; {hint}", it.message),
            None => it.message.clone(),
        },
        rule: it.rule.map(str::to_owned),
    });
    let detail = format!("`{}` findings; nothing was changed", found.len());
    Problem::new(Kind::ContractsInvalid, detail).with_errors(told.collect())
}

pub(super) fn late() -> Problem {
    unavailable(&LogError::not_stored("the log did not answer in time"))
}

pub(super) fn unavailable(error: &LogError) -> Problem {
    tracing::warn!(error = %error, "the log failed an apply of contracts");
    let detail = "the contracts in force are as before; apply again";
    Problem::new(Kind::LogUnavailable, detail).with_retry_after(RETRY)
}

pub(super) fn topic_problem(topic: &str, error: &LogError) -> Problem {
    match error {
        LogError::Conflict(_) | LogError::NotFound(_) => {
            let detail = format!("topic `{topic}` came or went meanwhile: plan again");
            Problem::new(Kind::PlanChanged, detail)
        }
        LogError::Invalid(why) => {
            let detail = format!("the log does not take topic `{topic}`: {why}");
            Problem::new(Kind::PlanRefused, detail)
        }
        _ => unavailable(error),
    }
}

pub(super) fn not_registered(error: StartError) -> Problem {
    tracing::warn!(error = %error, "a schema was not registered");
    match error {
        StartError::Schema {
            contract, subject, ..
        } => {
            let detail = format!(
                "the schema of `{contract}` was not registered under `{subject}`: plan again; the \
                 contracts in force are as before"
            );
            Problem::new(Kind::PlanChanged, detail)
        }
        _ => late(),
    }
}

pub(super) fn not_applied(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(why) => unavailable(&LogError::not_stored(why)),
        StoreError::Overtaken => Problem::new(
            Kind::PlanChanged,
            "somebody else applied contracts meanwhile: plan again",
        ),
        StoreError::InDoubt(why) => {
            tracing::warn!(why, "it is not known whether contracts are in force");
            let detail = "the log did not say; `tidegate contract plan` shows what is in force";
            Problem::new(Kind::ContractsInDoubt, detail).with_retry_after(RETRY)
        }
        StoreError::Damaged(what) => {
            tracing::error!(what, "the contracts' topic is damaged");
            Problem::new(Kind::Internal, "the contracts' topic cannot be read")
        }
    }
}
