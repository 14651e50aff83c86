//! Accepts events: from a request to receipts. The order of the steps is the promise: nothing
//! unchecked is appended to a contract's topic, and no receipt leaves before the log's ack.
//!
//! All events of a request go to the log in one `append`, the refused ones that are kept among
//! them. Before a refusal counts, the log is asked whether the event was accepted earlier: a
//! contract that was tightened since does not take a receipt back.

use std::sync::Arc;

use futures::future::join_all;
use tidegate_contract::EventContract;
use tidegate_event_log::{Append, Appended, Disposition, LogError};
use tokio::time::{Instant, timeout_at};

use super::draft::{Draft, Label};
use super::lane::Lane;
use super::receipt::{self, Receipt};
use super::refusal::{Earlier, Refusal, Why};
use super::submission::Submission;
use super::{quarantine, quota};
use crate::Gateway;
use crate::answer::{RETRY_AFTER, log_problem, not_stored};
use crate::identity::Caller;
use crate::problem::{Kind, Problem};
use crate::request::Context;

/// What is to become of one event.
enum Plan {
    Store(Draft),
    Refuse(Box<Refusal>),
    Done(Result<Receipt, Problem>),
}

impl Gateway {
    /// Accepts the events of one request, in their order, and answers for each.
    ///
    /// # Errors
    /// Each by itself. `OutcomeUnknown`: perhaps appended; every other problem: not accepted, and
    /// kept in quarantine if it says so.
    pub(crate) async fn accept(
        &self,
        context: &Context<'_>,
        submissions: Vec<Result<Submission, Problem>>,
    ) -> Vec<Result<Receipt, Problem>> {
        let mut plans: Vec<Plan> = submissions
            .into_iter()
            .map(|submission| match submission {
                Ok(submission) => self.plan(context, submission),
                Err(problem) => Plan::Done(Err(problem)),
            })
            .collect();
        self.find_earlier(context, &mut plans).await;
        let appends: Vec<Append> = plans.iter_mut().filter_map(Plan::take_append).collect();
        if !appends.is_empty() {
            let mut answers = self.append(context.deadline, appends).await.into_iter();
            for plan in &mut plans {
                if plan.was_appended() {
                    let answer = answers.next().expect("one answer for each append");
                    self.conclude(context, plan, answer).await;
                }
            }
        }
        plans.into_iter().map(Plan::into_answer).collect()
    }

    /// Decides about one event; nothing is stored yet.
    fn plan(&self, context: &Context<'_>, mut submission: Submission) -> Plan {
        let lane = submission
            .lane
            .clone()
            .or_else(|| self.lanes().by_type(&submission.event.event_type).cloned());
        let Some(lane) = lane else {
            let event_type = &submission.event.event_type;
            let detail = format!("no contract in force has the type `{event_type}`");
            return Plan::Done(Err(
                Problem::new(Kind::UnknownEventType, detail).about(event_type)
            ));
        };
        if let Err(problem) = may_send(&context.caller, &lane.contract) {
            return Plan::Done(Err(problem));
        }
        let hash = |text: &str| self.terms.privacy.hash(text);
        if let Err(problem) = take_quota(context, &lane, &submission) {
            let why = Why::Quota(problem);
            let refusal = Refusal::new(context, &lane, submission, why, &hash);
            return Plan::Refuse(Box::new(refusal));
        }
        let made = submission.make_data(&lane);
        let event = &submission.event;
        let checked = made.and_then(|()| lane.contract.check(event, context.received_ms));
        let judged = checked.and_then(|checked| Ok((checked, lane.in_stored_form(event, &hash)?)));
        match judged {
            Ok(checked) => match self.draft(context, &lane, submission, checked) {
                Ok(draft) => Plan::Store(draft),
                Err(problem) => Plan::Done(Err(problem.about(&lane.contract.name))),
            },
            Err(violation) => {
                let why = Why::Contract(&violation);
                let refusal = Refusal::new(context, &lane, submission, why, &hash);
                Plan::Refuse(Box::new(refusal))
            }
        }
    }

    /// Turns refusals of events that were accepted earlier into their receipts.
    async fn find_earlier(&self, context: &Context<'_>, plans: &mut [Plan]) {
        let refused = plans
            .iter_mut()
            .filter(|plan| matches!(plan, Plan::Refuse(_)));
        join_all(refused.map(async |plan| {
            if let Plan::Refuse(refusal) = &*plan
                && let Some(answer) = self.earlier(context, refusal).await
            {
                *plan = Plan::Done(answer);
            }
        }))
        .await;
    }

    /// Answers for a refused event if it was accepted earlier, or if that cannot be told.
    async fn earlier(
        &self,
        context: &Context<'_>,
        refusal: &Refusal,
    ) -> Option<Result<Receipt, Problem>> {
        let Earlier { claim, label } = refusal.earlier.as_ref()?;
        match timeout_at(context.deadline, self.log.lookup(claim)).await {
            Ok(Ok(Some(found))) if found.disposition == Disposition::Repeated => {
                Some(self.repeat(context, label, found).await)
            }
            // Other data under the key is judged, and kept, by itself.
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(Err(not_stored(&error.to_string()))),
            Err(_) => Some(Err(not_stored("the log did not answer in time"))),
        }
    }

    async fn append(
        &self,
        deadline: Instant,
        appends: Vec<Append>,
    ) -> Vec<Result<Appended, LogError>> {
        let count = appends.len();
        let started = Instant::now();
        let answers = timeout_at(deadline, self.log.append(appends)).await;
        self.metrics
            .append_seconds
            .observe(started.elapsed().as_secs_f64());
        answers.unwrap_or_else(|_| {
            vec![Err(LogError::in_doubt("the log did not answer in time")); count]
        })
    }

    async fn conclude(
        &self,
        context: &Context<'_>,
        plan: &mut Plan,
        answer: Result<Appended, LogError>,
    ) {
        let done = match (&mut *plan, answer) {
            (Plan::Store(draft), Ok(appended)) => match appended.disposition {
                Disposition::Stored => {
                    draft.label.lane.counters.accepted.inc();
                    Ok(draft.label.receipt(&appended, false))
                }
                Disposition::Repeated => self.repeat(context, &draft.label, appended).await,
                Disposition::Mismatched => Err(draft.label.reused()),
            },
            (Plan::Refuse(refusal), Ok(appended)) => {
                match appended.disposition {
                    Disposition::Stored => refusal.lane.counters.quarantined.inc(),
                    _ => refusal.lane.counters.quarantine_repeated.inc(),
                };
                let keep = refusal.keep.as_ref().expect("it was appended");
                let path = quarantine::path(&keep.entry, appended.place);
                Err(refusal.problem.clone().with_quarantine(path))
            }
            (plan, Err(error)) => {
                let Some(lane) = plan.lane() else { return };
                if matches!(error, LogError::NotFound(_)) {
                    // Deleted under our feet: made again for the next try.
                    self.restore_topics(lane).await;
                }
                Err(log_problem(&error).about(&lane.contract.name))
            }
            (Plan::Done(_), _) => return,
        };
        *plan = Plan::Done(done);
    }

    /// Gives the first receipt of an event that was accepted before.
    async fn repeat(
        &self,
        context: &Context<'_>,
        label: &Label,
        earlier: Appended,
    ) -> Result<Receipt, Problem> {
        label.lane.counters.repeated.inc();
        let derived = label.receipt(&earlier, true);
        if !label.keyed {
            return Ok(derived);
        }
        let read = receipt::read_back(&*self.log, &earlier.topic, earlier.place);
        match timeout_at(context.deadline, read).await {
            Ok(Ok(Some(first))) => Ok(Receipt {
                duplicate: true,
                ..first
            }),
            // Past its retention: what can be said is said.
            Ok(Ok(None)) => Ok(derived),
            Ok(Err(_)) | Err(_) => {
                let detail = "it was accepted before, but its receipt cannot be read now; \
                              retry with the same key";
                Err(Problem::new(Kind::OutcomeUnknown, detail).with_retry_after(RETRY_AFTER))
            }
        }
    }
}

impl Plan {
    fn take_append(&mut self) -> Option<Append> {
        match self {
            Self::Store(draft) => draft.append.take(),
            Self::Refuse(refusal) => refusal.keep.as_mut().and_then(|keep| keep.append.take()),
            Self::Done(_) => None,
        }
    }

    fn was_appended(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Refuse(refusal) => refusal.keep.is_some(),
            Self::Done(_) => false,
        }
    }

    fn lane(&self) -> Option<&Arc<Lane>> {
        match self {
            Self::Store(draft) => Some(&draft.label.lane),
            Self::Refuse(refusal) => Some(&refusal.lane),
            Self::Done(_) => None,
        }
    }

    fn into_answer(self) -> Result<Receipt, Problem> {
        match self {
            Self::Done(answer) => answer,
            // Not one to keep.
            Self::Refuse(refusal) => Err(refusal.problem),
            Self::Store(_) => unreachable!("every append was concluded"),
        }
    }
}

/// Asks whether a contract takes events from a caller.
fn may_send(caller: &Caller, contract: &EventContract) -> Result<(), Problem> {
    let name = &contract.name;
    if !caller.is_for(name) {
        let detail = format!("the caller may not send to contract `{name}`");
        return Err(Problem::new(Kind::Forbidden, detail).about(name));
    }
    if !caller.proved(&contract.ingress.auth) {
        let detail = format!(
            "contract `{name}` takes events from callers who prove themselves another way (`ingress.auth`)"
        );
        return Err(Problem::new(Kind::Forbidden, detail).about(name));
    }
    Ok(())
}

/// Counts an event against the quotas of its contract.
fn take_quota(context: &Context<'_>, lane: &Lane, submission: &Submission) -> Result<(), Problem> {
    let bytes = submission.sent().map_or(0, <[u8]>::len);
    let told = quota::take(&lane.quotas, &context.caller, bytes, context.received_ms);
    let Some(told) = told else {
        return Ok(());
    };
    let refused = (!told.violated.is_empty()).then(|| {
        let detail = format!(
            "quota `{}` of contract `{}` is exhausted",
            told.violated.join("`, `"),
            lane.contract.name
        );
        Problem::new(Kind::QuotaExceeded, detail)
            .with_violated_policies(told.violated.clone())
            .with_retry_after(told.retry_after(&context.request_id))
            .about(&lane.contract.name)
    });
    context.tell(told);
    refused.map_or(Ok(()), Err)
}
