//! What a bridge does right now, as people and programs read it: made by its worker after each step.

use serde::Serialize;

use super::decide::{Mark, Step, Wait, copied};
use super::spec::Spec;
use super::state::{Halt, Rollout};
use crate::clock::rfc3339;

/// One bridge. Counts are of events since it started, over restarts.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Bridge)]
pub(crate) struct Status {
    contract: String,
    from: String,
    source: Option<String>,
    target: String,
    /// In a word.
    pub(crate) state: &'static str,
    /// Why it does not copy, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The readers it waits for.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    waits_for: Vec<String>,
    dealt_with: u64,
    pub(crate) lag: i64,
    /// While canaries are watched: how many events they try out.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_part: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halt: Option<Halt>,
}

impl Status {
    /// Describes a bridge of which nothing is known yet.
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            contract: spec.name().to_owned(),
            from: spec.migration().from.clone(),
            source: None,
            target: spec.target().to_owned(),
            state: "starting",
            detail: None,
            waits_for: Vec::new(),
            dealt_with: 0,
            lag: 0,
            first_part: None,
            halt: None,
        }
    }

    /// Describes a bridge whose earlier contract is nowhere.
    pub(crate) fn without_source(spec: &Spec) -> Self {
        let from = &spec.migration().from;
        Self {
            state: "no-source",
            detail: Some(format!("contract `{from}` is not in force")),
            ..Self::new(spec)
        }
    }

    /// Describes what is about to be done. What is only about to be written down is told when it is.
    pub(crate) fn of(
        spec: &Spec,
        source: &str,
        rollout: Option<&Rollout>,
        marks: &[Mark],
        step: &Step,
    ) -> Option<Self> {
        let (state, detail, waits_for) = told(step)?;
        let watched = rollout.is_some_and(|rollout| !rollout.in_full);
        let halt = rollout.and_then(|rollout| rollout.halt.clone());
        Some(Self {
            source: Some(source.to_owned()),
            state,
            detail: halt.as_ref().map(|halt| halt.detail.clone()).or(detail),
            waits_for,
            dealt_with: rollout.map_or(0, |rollout| copied(rollout, marks)),
            lag: marks.iter().map(|mark| mark.unread()).sum(),
            first_part: spec.canary().filter(|_| watched).map(|c| c.first),
            halt,
            ..Self::new(spec)
        })
    }

    /// Says that the log does not serve.
    pub(crate) fn unavailable(&mut self, error: &str) {
        self.state = "unavailable";
        self.detail = Some(error.to_owned());
    }
}

/// Tells a step: in a word, for people, and whom it waits for.
fn told(step: &Step) -> Option<(&'static str, Option<String>, Vec<String>)> {
    let wait = match step {
        Step::Copy { watched: true, .. } => return Some(("first-part", None, Vec::new())),
        Step::Copy { watched: false, .. } => return Some(("copying", None, Vec::new())),
        Step::Wait(wait) => wait,
        _ => return None,
    };
    let plain = |state| (state, None, Vec::new());
    let explained = |state, detail: String| (state, Some(detail), Vec::new());
    Some(match wait {
        Wait::Halted => plain("halted"),
        Wait::Aborted => plain("aborted"),
        Wait::Ended => plain("ended"),
        Wait::Events => plain("up-to-date"),
        Wait::Contract => explained("closed", "the contract takes no events".to_owned()),
        Wait::Canaries(slow) if slow.is_empty() => {
            let detail = "no reader of the contract is a canary".to_owned();
            explained("waits-for-canaries", detail)
        }
        Wait::Canaries(slow) => ("waits-for-canaries", None, slow.clone()),
        Wait::Watching { until_ms } => {
            let detail = format!("canaries are watched until {}", rfc3339(*until_ms));
            explained("watches-canaries", detail)
        }
        Wait::Readers(behind) => ("waits-for-readers", None, behind.clone()),
    })
}
