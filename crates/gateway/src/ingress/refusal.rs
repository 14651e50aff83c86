//! An event that is refused: what its caller is told, what is kept of it, and which event it may be
//! a repeat of.

use std::borrow::Cow;
use std::sync::Arc;

use tidegate_contract::check::Violation;
use tidegate_contract::event::Event;
use tidegate_contract::model::OnInvalid;
use tidegate_contract::privacy::Hash;
use tidegate_contract::tree::Tree;
use tidegate_event_log::Claim;

use super::claim::Identity;
use super::draft::Label;
use super::lane::Lane;
use super::quarantine;
use super::submission::Submission;
use crate::problem::{Fault, Kind, Problem};
use crate::request::Context;

/// An event that is not taken.
pub(super) struct Refusal {
    pub(super) lane: Arc<Lane>,
    pub(super) problem: Problem,
    /// The event it may be a repeat of.
    pub(super) earlier: Option<Earlier>,
    pub(super) keep: Option<quarantine::Keep>,
}

/// An event as it would have been accepted before its contract was tightened.
pub(super) struct Earlier {
    pub(super) claim: Claim,
    pub(super) label: Label,
}

/// Why an event is refused.
pub(super) enum Why<'v> {
    Contract(&'v Violation),
    Quota(Problem),
}

impl Refusal {
    pub(super) fn new(
        context: &Context<'_>,
        lane: &Arc<Lane>,
        mut submission: Submission,
        why: Why<'_>,
        hash: Hash<'_>,
    ) -> Self {
        if submission.event.id.is_empty() {
            submission.event.id = id_in_data(lane, &submission.event)
                .or_else(|| submission.key.clone())
                .unwrap_or_default();
        }
        let fingerprint = submission.fingerprint();
        let Submission { event, key, .. } = &submission;
        let (problem, violation) = match why {
            Why::Contract(violation) => (problem_of(lane, event, violation), Some(violation)),
            Why::Quota(problem) => (problem, None),
        };
        let id = Some(&*event.id).filter(|id| !id.is_empty());
        let identity = Identity::of(key.as_deref(), &event.source, id);
        let earlier = identity.map(|identity| Earlier {
            claim: lane.claim(&context.caller, identity, fingerprint),
            label: Label {
                lane: Arc::clone(lane),
                id: event.id.clone().into(),
                source: event.source.clone().into(),
                event_type: lane.type_of(event),
                keyed: key.is_some(),
            },
        });
        let kept_claim =
            identity.map(|identity| lane.quarantine_claim(&context.caller, identity, fingerprint));
        let violation = violation.filter(|violation| violation.on_invalid == OnInvalid::Quarantine);
        let keep = violation.and_then(|violation| {
            quarantine::keep(context, lane, submission, violation, kept_claim, hash)
        });
        Self {
            lane: Arc::clone(lane),
            problem,
            earlier,
            keep,
        }
    }
}

/// Finds the id of an event whose data broke another rule, where its contract has ids in the data.
fn id_in_data(lane: &Lane, event: &Event) -> Option<String> {
    let path = lane.contract.event.id.as_ref()?;
    let data = Tree::parse(event.data.as_deref()?).ok()?;
    path.find(&data)?.as_name().map(Cow::into_owned)
}

/// Says what a violation is to the caller. Bytes that are no JSON, or not even meant to be, have
/// their own statuses; they break the contract all the same, and are kept if it keeps such.
fn problem_of(lane: &Lane, event: &Event, violation: &Violation) -> Problem {
    let first = violation.errors.first();
    let kind = match first.map(|reason| (reason.rule.as_str(), reason.pointer.as_str())) {
        Some(("lifecycle", _)) => Kind::ContractClosed,
        Some(("topic.maxMessage", _)) => Kind::BodyTooLarge,
        Some(("schema.format", "#/data")) if event.data.is_some() => Kind::MalformedJson,
        Some(("schema.format", "#/datacontenttype")) => Kind::UnsupportedMediaType,
        _ => Kind::ContractViolation,
    };
    let contract = &lane.contract;
    let mut detail = match first {
        Some(reason) => format!("`{}` {}", reason.pointer, reason.detail),
        None => String::from("the event"),
    };
    match violation.errors.len() + violation.more {
        0 | 1 => {}
        all => detail.push_str(&format!(", and {} more", all - 1)),
    }
    detail.push_str(&format!(
        "; contract `{}` {}",
        contract.name, contract.version
    ));
    let errors = violation
        .errors
        .iter()
        .map(|reason| Fault {
            pointer: reason.pointer.clone(),
            detail: reason.detail.clone(),
            rule: Some(reason.rule.clone()),
        })
        .collect();
    Problem::new(kind, detail)
        .with_errors(errors)
        .about(&contract.name)
}
