//! Accepts events: from a request to receipts. The order of the steps is the promise: nothing
//! unchecked is appended to a contract's topic, and no receipt leaves before the log's ack.
//!
//! All events of a request go to the log in one `append`, the refused ones that are kept among
//! them. Before a refusal counts, the log is asked whether the event was accepted earlier: a
//! contract that was tightened since does not take a receipt back.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tidegate_contract::EventContract;
use tidegate_contract::check::{CLASSIFICATION, Checked, Placement, Violation};
use tidegate_contract::event::Event;
use tidegate_contract::model::OnInvalid;
use tidegate_contract::privacy::Hash;
use tidegate_contract::tree::Tree;
use tidegate_event_log::{Append, Appended, Claim, Disposition, LogError, Outcome};
use tokio::time::{Instant, timeout_at};

use super::claim::{self, Identity};
use super::lane::Lane;
use super::receipt::{self, Receipt};
use super::record::{self, HeaderList};
use super::{quarantine, quota};
use crate::Gateway;
use crate::clock::rfc3339;
use crate::identity::Caller;
use crate::problem::{Fault, Kind, Problem};
use crate::request::Context;

/// When to come back to a log that takes nothing.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Kafka's framing of a record and of each header is a few bytes; this is above it.
const FRAMING_BYTES: usize = 16;

/// One event at the door.
pub(crate) struct Submission {
    /// The contract, if the address names it; else the type finds it.
    pub(crate) lane: Option<Arc<Lane>>,
    /// The event; its id is empty if the caller gave none.
    pub(crate) event: Event,
    pub(crate) key: Option<String>,
    pub(crate) original: Original,
    /// The name in `/v1/sources/{source}`.
    pub(crate) source_door: Option<String>,
    /// Whether the body is the caller's own, with no envelope: it may have a shape of its own.
    pub(crate) plain: bool,
}

impl Submission {
    /// Returns what the caller sent as data: a repeat sends the same again, whatever the contract
    /// makes of it.
    fn sent(&self) -> Option<&[u8]> {
        match self.plain {
            true => Some(&*self.original.bytes).filter(|bytes| !bytes.is_empty()),
            false => self.event.data.as_deref(),
        }
    }
}

/// The bytes as they came, for the quarantine.
pub(crate) struct Original {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: Option<String>,
}

/// What is to become of one event.
enum Plan {
    Store(Draft),
    Refuse(Box<Refusal>),
    Done(Result<Receipt, Problem>),
}

/// An event on its way into its topic.
struct Draft {
    lane: Arc<Lane>,
    id: Bytes,
    source: Bytes,
    event_type: Bytes,
    /// Claimed by `Idempotency-Key`: the first event under it may have had another id.
    keyed: bool,
    append: Option<Append>,
}

/// An event that breaks its contract.
struct Refusal {
    lane: Arc<Lane>,
    problem: Problem,
    /// The event it may be a repeat of.
    earlier: Option<Earlier>,
    keep: Option<quarantine::Keep>,
}

/// An event as it would have been accepted before its contract was tightened.
struct Earlier {
    claim: Claim,
    draft: Draft,
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
        let hash = |text: &str| self.privacy.hash(text);
        if let Err(problem) = take_quota(context, &lane, &submission) {
            let why = Why::Quota(problem);
            return Plan::Refuse(Box::new(refuse(context, &lane, submission, why, &hash)));
        }
        let made = match submission.plain {
            true => make_data(&lane, &mut submission),
            false => Ok(()),
        };
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
                Plan::Refuse(Box::new(refuse(context, &lane, submission, why, &hash)))
            }
        }
    }

    fn draft(
        &self,
        context: &Context<'_>,
        lane: &Arc<Lane>,
        submission: Submission,
        (checked, stored): (Checked, Option<(Bytes, bool)>),
    ) -> Result<Draft, Problem> {
        let fingerprint = claim::fingerprint(&submission.event.event_type, submission.sent());
        let Submission {
            mut event,
            key,
            source_door,
            original,
            plain,
            ..
        } = submission;
        let from_caller = !event.id.is_empty() || checked.id.is_some();
        let id = match (std::mem::take(&mut event.id), checked.id, &key) {
            (id, _, _) if !id.is_empty() => id,
            (_, Some(id), _) => id,
            (_, None, Some(key)) => key.clone(),
            (_, None, None) => self.ids.next(context.received_ms).to_string(),
        };
        let identity = match &key {
            Some(key) => Some(Identity::Key(key)),
            None if from_caller => Some(Identity::Event {
                source: &event.source,
                id: &id,
            }),
            None if lane.contract.ingress.idempotency.required => {
                return Err(Problem::new(
                    Kind::IdempotencyKeyMissing,
                    format!(
                        "contract `{}` requires `Idempotency-Key`",
                        lane.contract.name
                    ),
                ));
            }
            None => None,
        };
        let claim = identity.map(|identity| {
            let name = &lane.contract.name;
            claim::accepted(
                &context.caller.tenant,
                name,
                identity,
                fingerprint,
                lane.window,
            )
        });
        if event.time.is_none() {
            event.time = checked.time_ms.map(rfc3339);
        }
        let (id, source) = (
            Bytes::from(id),
            Bytes::from(std::mem::take(&mut event.source)),
        );
        if let Some((data, is_encoded)) = stored {
            if is_encoded {
                let media_type = lane.contract.schema.schema.own_media_type();
                event.datacontenttype = Some(media_type.to_owned());
            }
            event.data = Some(data);
        }
        let mut headers = HeaderList::new();
        headers.add("ce_specversion", Bytes::from_static(b"1.0"));
        headers.add(record::CE_ID, id.clone());
        headers.add(record::CE_SOURCE, source.clone());
        let event_type = lane.type_of(&event);
        headers.add(record::CE_TYPE, event_type.clone());
        let origin = !record::has_origin(&event);
        if let Some(classification) = lane.contract.classification {
            event.extensions.retain(|(name, _)| name != CLASSIFICATION);
            let named = (
                CLASSIFICATION.to_owned(),
                classification.as_str().to_owned(),
            );
            event.extensions.push(named);
        }
        headers.add_attributes(&mut event);
        headers.add_some(record::CONTENT_TYPE, event.datacontenttype);
        headers.add(record::CONTRACT, lane.name.clone());
        headers.add(record::CONTRACT_VERSION, lane.version.clone());
        headers.add_caller(context, key.as_deref(), origin);
        headers.add_some(record::SOURCE_DOOR, source_door);
        // What is protected in the data may stand anywhere in the body that it was made of.
        let keeps_request = plain && !lane.contract.protects();
        if let Some(rules) = lane
            .contract
            .ingress
            .request
            .as_ref()
            .filter(|_| keeps_request)
        {
            let kept = rules.headers.iter().map(String::as_str);
            headers.add_request(context, original, kept);
        }
        for rule in &checked.warnings {
            self.metrics.count_warning(&lane.contract.name, rule);
        }
        if let Some(stamp) = &lane.stamp {
            event.data = stamp.write(&mut headers, event.data.take());
        }
        let record = headers.into_record(checked.key, event.data);
        let size_bytes = record.size_bytes() + (record.headers.len() + 1) * FRAMING_BYTES;
        let limit = lane.max_record_bytes;
        if size_bytes > limit {
            return Err(Problem::new(
                Kind::BodyTooLarge,
                format!(
                    "the event and its envelope have `{size_bytes}` bytes; `{limit}` are taken"
                ),
            ));
        }
        let partition = match checked.placement {
            Placement::ByKey => None,
            Placement::Any => Some(lane.any_partition()),
        };
        let append = Append {
            topic: lane.topic.clone(),
            partition,
            record,
            claim,
        };
        Ok(Draft {
            lane: Arc::clone(lane),
            id,
            source,
            event_type,
            keyed: key.is_some(),
            append: Some(append),
        })
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
        let Earlier { claim, draft } = refusal.earlier.as_ref()?;
        match timeout_at(context.deadline, self.log.lookup(claim)).await {
            Ok(Ok(Some(found))) if found.disposition == Disposition::Repeated => {
                Some(self.repeat(context, draft, found).await)
            }
            // Other data under the key is judged, and kept, by itself.
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(Err(self.not_stored(&error.to_string()))),
            Err(_) => Some(Err(self.not_stored("the log did not answer in time"))),
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
                    draft.lane.counters.accepted.inc();
                    Ok(draft.receipt(&appended, false))
                }
                Disposition::Repeated => self.repeat(context, draft, appended).await,
                Disposition::Mismatched => Err(reused(draft)),
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
                Err(self.log_problem(&error).about(&lane.contract.name))
            }
            (Plan::Done(_), _) => return,
        };
        *plan = Plan::Done(done);
    }

    /// Gives the first receipt of an event that was accepted before.
    async fn repeat(
        &self,
        context: &Context<'_>,
        draft: &Draft,
        earlier: Appended,
    ) -> Result<Receipt, Problem> {
        draft.lane.counters.repeated.inc();
        let derived = draft.receipt(&earlier, true);
        if !draft.keyed {
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

    fn not_stored(&self, reason: &str) -> Problem {
        self.log_problem(&LogError::not_stored(reason))
    }

    /// Says to the caller what a failure of the log means, and to the operator why.
    pub(crate) fn log_problem(&self, error: &LogError) -> Problem {
        let problem = match error {
            LogError::Invalid(_) => {
                tracing::error!(error = %error, "the log refused a record");
                return Problem::new(
                    Kind::Internal,
                    "the log refused the event; nothing was stored",
                );
            }
            _ if error.outcome() == Outcome::Unknown => Problem::new(
                Kind::OutcomeUnknown,
                "the log did not say whether the event is stored; retry with the same key",
            ),
            _ => Problem::new(
                Kind::LogUnavailable,
                "the log takes nothing now; nothing was stored",
            ),
        };
        tracing::warn!(error = %error, "the log failed a request");
        problem.with_retry_after(RETRY_AFTER)
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
            Self::Store(draft) => Some(&draft.lane),
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

impl Draft {
    fn receipt(&self, appended: &Appended, duplicate: bool) -> Receipt {
        Receipt {
            id: receipt::id(&appended.topic, appended.place, &self.id),
            event_id: self.id.clone(),
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            contract: self.lane.name.clone(),
            topic: appended.topic.clone(),
            place: appended.place,
            duplicate,
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

fn reused(draft: &Draft) -> Problem {
    let detail = if draft.keyed {
        "this `Idempotency-Key` was accepted with other data; give another event another key"
    } else {
        "this `source` and `id` were accepted with other data; give another event another id"
    };
    Problem::new(Kind::IdempotencyKeyReused, detail).about(&draft.lane.contract.name)
}

/// Why an event is refused.
enum Why<'v> {
    Contract(&'v Violation),
    Quota(Problem),
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

fn refuse(
    context: &Context<'_>,
    lane: &Arc<Lane>,
    mut submission: Submission,
    why: Why<'_>,
    hash: Hash<'_>,
) -> Refusal {
    if submission.event.id.is_empty() {
        submission.event.id = id_in_data(lane, &submission.event)
            .or_else(|| submission.key.clone())
            .unwrap_or_default();
    }
    let (problem, violation) = match why {
        Why::Contract(violation) => (
            problem_of(lane, &submission.event, violation),
            Some(violation),
        ),
        Why::Quota(problem) => (problem, None),
    };
    let fingerprint = claim::fingerprint(&submission.event.event_type, submission.sent());
    let Submission { event, key, .. } = &submission;
    let identity = match key {
        Some(key) => Some(Identity::Key(key)),
        None if !event.id.is_empty() => Some(Identity::Event {
            source: &event.source,
            id: &event.id,
        }),
        None => None,
    };
    let name = &lane.contract.name;
    let earlier = identity.map(|identity| Earlier {
        claim: claim::accepted(
            &context.caller.tenant,
            name,
            identity,
            fingerprint,
            lane.window,
        ),
        draft: Draft {
            lane: Arc::clone(lane),
            id: event.id.clone().into(),
            source: event.source.clone().into(),
            event_type: lane.type_of(event),
            keyed: key.is_some(),
            append: None,
        },
    });
    let kept_claim = identity.map(|identity| {
        claim::quarantined(
            &context.caller.tenant,
            name,
            identity,
            fingerprint,
            lane.window,
        )
    });
    let violation = violation.filter(|violation| violation.on_invalid == OnInvalid::Quarantine);
    let keep = violation.and_then(|violation| {
        quarantine::keep(context, lane, submission, violation, kept_claim, hash)
    });
    Refusal {
        lane: Arc::clone(lane),
        problem,
        earlier,
        keep,
    }
}

/// Makes the event's data of the body, where the contract has another shape for bodies.
fn make_data(lane: &Lane, submission: &mut Submission) -> Result<(), Violation> {
    let event = &mut submission.event;
    let media_type = event.datacontenttype.as_deref();
    let body = event.data.as_deref().unwrap_or_default();
    if let Some(made) = lane.contract.data_of_request(media_type, body) {
        event.data = Some(made?);
        event.datacontenttype = Some("application/json".to_owned());
    }
    Ok(())
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
