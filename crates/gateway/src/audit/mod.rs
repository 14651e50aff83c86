//! Who changed what, from where, and what became of it: a chain of records that nobody can change
//! unseen.
//!
//! A change begins with its intent and ends with its outcome, and no change is made before its intent is
//! durable. A crash between leaves an intent without an outcome: «not known», and the verifier says so.
//! Events are not audited; each is its own record with its caller. What refuses to change anything is
//! written too, at a bounded rate.

mod chain;
mod effects;
mod layer;
mod record;
pub(crate) mod routes;
mod store;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use parking_lot::Mutex;
use serde_json::Value;
use tidegate_event_log::{Log, LogError, Outcome as Stored};
use tokio::runtime::Handle;
use tokio::time::Instant;

pub use self::chain::{Broken, Chain};
pub(crate) use self::layer::{turned_away, watch};
pub(crate) use self::record::Outcome;
use self::record::{Actor, Entry, FORMAT, Origin, Phase, bounded_name, bounded_state, no_hash};
use self::store::Store;
pub(crate) use self::store::topic_spec;
use crate::clock::{Clock, rfc3339};

/// How many refusals of callers that are known are written.
const OF_CALLERS: Rate = Rate {
    at_once: 100,
    every: Duration::from_millis(100),
};
/// How many of those that nobody knows: whoever reaches the door can bring about any number, and the
/// audit keeps all of it for ever.
const OF_STRANGERS: Rate = Rate {
    at_once: 20,
    every: Duration::from_secs(1),
};

/// The audit of one gateway.
pub(crate) struct Audit {
    store: Store,
    clock: Arc<dyn Clock>,
    of_callers: Mutex<Refusals>,
    of_strangers: Mutex<Refusals>,
}

/// So many at once, and beyond that one each so long.
#[derive(Clone, Copy, Debug)]
struct Rate {
    at_once: u32,
    every: Duration,
}

/// Whose request was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    /// One that is known, or that nobody had to ask.
    Caller,
    /// Somebody who did not prove who it is.
    Stranger,
}

/// How many refusals may be written now.
struct Refusals {
    rate: Rate,
    left: u32,
    counted: Instant,
    left_out: u64,
}

impl Refusals {
    fn new(rate: Rate) -> Mutex<Self> {
        Mutex::new(Self {
            rate,
            left: rate.at_once,
            counted: Instant::now(),
            left_out: 0,
        })
    }

    /// Takes one; returns how many were left out before it, or nothing if it is left out too.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.counted);
        let more = u32::try_from(passed.as_millis() / self.rate.every.as_millis());
        let more = more.unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(self.rate.at_once);
            self.counted = now;
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Audit {
    pub(crate) fn new(log: Arc<dyn Log>, clock: Arc<dyn Clock>, within: Duration) -> Self {
        Self {
            store: Store::new(log, within),
            clock,
            of_callers: Refusals::new(OF_CALLERS),
            of_strangers: Refusals::new(OF_STRANGERS),
        }
    }

    /// Returns an act of the gateway itself, such as what a folder of contracts asks of it at its start.
    pub(crate) fn own_act(self: &Arc<Self>, verb: &'static str) -> Act {
        let actor = Actor {
            tenant: String::new(),
            name: "tidegate".to_owned(),
            how: "itself".to_owned(),
        };
        let from = Origin {
            peer: None,
            door: None,
            request: None,
        };
        self.act(verb, actor, from)
    }

    fn act(self: &Arc<Self>, verb: &'static str, actor: Actor, from: Origin) -> Act {
        Act(Arc::new(Doing {
            audit: Arc::clone(self),
            verb,
            actor,
            from,
            begun: Arc::default(),
        }))
    }
}

/// Somebody's request to change something. Whoever changes something begins it first. Clones are the same.
#[derive(Clone)]
pub(crate) struct Act(Arc<Doing>);

struct Doing {
    audit: Arc<Audit>,
    verb: &'static str,
    actor: Actor,
    from: Origin,
    /// Shared by the parts of an act.
    begun: Arc<AtomicBool>,
}

/// What is about to change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    /// Its kind and name, such as `subject/orders-value`.
    pub(crate) name: String,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
}

impl Act {
    /// Returns the same act, for a part of it that has a name of its own.
    pub(crate) fn named(&self, verb: &'static str) -> Self {
        let doing = &self.0;
        Self(Arc::new(Doing {
            audit: Arc::clone(&doing.audit),
            verb,
            actor: doing.actor.clone(),
            from: doing.from.clone(),
            begun: Arc::clone(&doing.begun),
        }))
    }

    /// Writes that something is about to change.
    ///
    /// # Errors
    /// It was not written, so nothing may be changed.
    pub(crate) async fn begin(&self, object: Object) -> Result<Intent, LogError> {
        let mut entry = self.entry(Phase::Intent, &object.name);
        entry.before = object.before.map(bounded_state);
        entry.after = object.after.map(bounded_state);
        // Whatever becomes of the intent, it is no refusal any more.
        self.0.begun.store(true, Ordering::Relaxed);
        let sequence = self.0.audit.store.append(entry.clone()).await;
        let sequence = sequence.map_err(|error| {
            tracing::error!(error = %error, verb = entry.verb, "a change is refused: it cannot be audited");
            LogError::not_stored("the audit cannot be written")
        })?;
        Ok(Intent {
            audit: Arc::clone(&self.0.audit),
            open: Some((sequence, entry)),
        })
    }

    fn entry(&self, phase: Phase, object: &str) -> Entry {
        let doing = &self.0;
        Entry {
            format: FORMAT,
            sequence: 0,
            previous: no_hash(),
            time: rfc3339(doing.audit.clock.now_ms()),
            phase,
            intent: None,
            verb: doing.verb.to_owned(),
            object: bounded_name(object),
            actor: doing.actor.clone(),
            from: doing.from.clone(),
            before: None,
            after: None,
            outcome: None,
            problem: None,
            left_out: 0,
        }
    }

    /// Writes that it was refused, unless it has begun or too much is refused.
    async fn refused(&self, object: &str, problem: &str, whose: Whose) {
        if self.0.begun.load(Ordering::Relaxed) {
            return;
        }
        let refusals = match whose {
            Whose::Caller => &self.0.audit.of_callers,
            Whose::Stranger => &self.0.audit.of_strangers,
        };
        let admitted = refusals.lock().admit(Instant::now());
        let Some(left_out) = admitted else { return };
        let mut entry = self.entry(Phase::Refused, object);
        entry.problem = Some(problem.to_owned());
        entry.left_out = left_out;
        if let Err(error) = self.0.audit.store.append(entry).await {
            tracing::error!(error = %error, "a refusal is not in the audit");
        }
    }
}

/// Handlers of routes that change something take it; `layer.rs` put it there.
impl<S: Send + Sync> FromRequestParts<S> for Act {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let act = parts.extensions.get::<Self>().cloned();
        Ok(act.expect("a route that changes something is behind the layer; a test walks them"))
    }
}

/// A change that has begun. One that is dropped, because nobody waits for it any more, ends as unknown.
#[must_use = "an intent without an outcome is one that nobody knows"]
pub(crate) struct Intent {
    audit: Arc<Audit>,
    /// Its sequence and what it says; gone when it has ended.
    open: Option<(u64, Entry)>,
}

impl Intent {
    /// Writes what became of it. Where that fails the change is as it is, and its outcome is not known.
    pub(crate) async fn end(mut self, outcome: Outcome, problem: Option<&str>) {
        if let Some(open) = self.open.take() {
            let problem = problem.map(str::to_owned);
            let ending = ended(Arc::clone(&self.audit), open, outcome, problem);
            // It is written though the caller leaves now.
            if let Err(error) = tokio::spawn(ending).await {
                tracing::error!(error = %error, "the outcome of a change is not in the audit");
            }
        }
    }

    /// Writes what became of it, by what the log said.
    pub(crate) async fn end_with<T>(self, result: &Result<T, LogError>) {
        let (outcome, problem) = match result {
            Ok(_) => (Outcome::Done, None),
            Err(error) if error.outcome() == Stored::Unknown => {
                (Outcome::Unknown, Some("outcome-unknown"))
            }
            Err(_) => (Outcome::Failed, Some("log-unavailable")),
        };
        self.end(outcome, problem).await;
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if let (Some(open), Ok(runtime)) = (self.open.take(), Handle::try_current()) {
            let audit = Arc::clone(&self.audit);
            runtime.spawn(ended(audit, open, Outcome::Unknown, None));
        }
    }
}

async fn ended(
    audit: Arc<Audit>,
    (intent, mut entry): (u64, Entry),
    outcome: Outcome,
    problem: Option<String>,
) {
    entry.phase = Phase::Outcome;
    entry.intent = Some(intent);
    entry.time = rfc3339(audit.clock.now_ms());
    entry.before = None;
    entry.after = None;
    entry.outcome = Some(outcome);
    entry.problem = problem;
    if let Err(error) = audit.store.append(entry).await {
        tracing::error!(error = %error, intent, "the outcome of a change is not in the audit");
    }
}
