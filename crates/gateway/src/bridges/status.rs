//! What a bridge does right now, as people and programs read it: made by its worker after each step.

use serde::Serialize;

use super::decide::{Mark, Step, Wait, copied};
use super::spec::Spec;
use super::state::{Halt, Rollout};
use crate::clock::rfc3339;

/// One bridge. Counts are of events since it started, over restarts.
#[derive(Clone, Debug, Serialize)]
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

    /// Describes what is about to be done.
    pub(crate) fn of(
        spec: &Spec,
        source: &str,
        rollout: Option<&Rollout>,
        marks: &[Mark],
        step: &Step,
    ) -> Self {
        let (state, detail, waits_for) = told(step);
        let watched = rollout.is_some_and(|rollout| !rollout.in_full);
        let halt = rollout.and_then(|rollout| rollout.halt.clone());
        Self {
            source: Some(source.to_owned()),
            state,
            detail: halt.as_ref().map(|halt| halt.detail.clone()).or(detail),
            waits_for,
            dealt_with: rollout.map_or(0, |rollout| copied(rollout, marks)),
            lag: marks.iter().map(|mark| mark.unread()).sum(),
            first_part: spec.canary().filter(|_| watched).map(|c| c.first),
            halt,
            ..Self::new(spec)
        }
    }

    /// Says that the log does not serve.
    pub(crate) fn unavailable(&mut self, error: &str) {
        self.state = "unavailable";
        self.detail = Some(error.to_owned());
    }
}

/// Tells a step: in a word, for people, and whom it waits for.
fn told(step: &Step) -> (&'static str, Option<String>, Vec<String>) {
    let plain = |state| (state, None, Vec::new());
    match step {
        Step::Start | Step::Reopen => plain("starting"),
        Step::Copy { watched: true, .. } | Step::CloseFirstPart => plain("first-part"),
        Step::Copy { .. } | Step::Pass => plain("copying"),
        Step::Halt(_) | Step::Wait(Wait::Halted) => plain("halted"),
        Step::End | Step::Wait(Wait::Ended) => plain("ended"),
        Step::Wait(Wait::Aborted) => plain("aborted"),
        Step::Wait(Wait::Events) => plain("up-to-date"),
        Step::Wait(Wait::Contract) => {
            let detail = "the contract takes no events".to_owned();
            ("closed", Some(detail), Vec::new())
        }
        Step::Wait(Wait::Canaries(slow)) if slow.is_empty() => {
            let detail = "no reader of the contract is a canary".to_owned();
            ("waits-for-canaries", Some(detail), Vec::new())
        }
        Step::Wait(Wait::Canaries(slow)) => ("waits-for-canaries", None, slow.clone()),
        Step::Wait(Wait::Watching { until_ms }) => {
            let detail = format!("canaries are watched until {}", rfc3339(*until_ms));
            ("watches-canaries", Some(detail), Vec::new())
        }
        Step::Wait(Wait::Readers(behind)) => ("waits-for-readers", None, behind.clone()),
    }
}
