//! What a bridge does next, by what is known of the log: copy, wait and for whom, halt, end. Pure:
//! the clock is passed in, and the same facts give the same step.
//!
//! A rollout with canaries copies a bounded first part and waits until each of them has committed
//! past it. A bridge ends when nothing more comes and every reader of the earlier events has read all.

use tidegate_contract::migration::Canary;
use tidegate_contract::model::Lifecycle;
use tidegate_event_log::Offset;

use super::state::{At, Cause, Halt, Rollout};

/// An earlier contract that is deprecated is taken to get nothing more after so long without events.
pub(crate) const QUIET_MS: i64 = 60 * 60 * 1000;

/// One partition of the source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    /// Where copying goes on.
    pub(crate) position: Offset,
    pub(crate) high: Offset,
}

impl Mark {
    pub(crate) fn unread(self) -> i64 {
        (self.high - self.position).max(0)
    }
}

/// What is known of a canary.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct CanaryFacts {
    pub(crate) name: String,
    /// Its first dead letter since it is watched.
    pub(crate) dead_letter: Option<At>,
    /// Whether it has committed past the first part.
    pub(crate) has_read: bool,
    /// The unread event that has waited longest while it was watched, and since when.
    pub(crate) oldest_unread: Option<(At, i64)>,
    pub(crate) max_lag_ms: Option<i64>,
}

/// What is known when a step is decided.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) now_ms: i64,
    /// Whether the later contract takes events.
    pub(crate) is_open: bool,
    pub(crate) canary: Option<Canary>,
    pub(crate) rollout: Option<&'a Rollout>,
    pub(crate) source: &'a [Mark],
    /// The state of the earlier contract; gone if it is in force no more.
    pub(crate) earlier: Option<Lifecycle>,
    /// When the last of the earlier events came.
    pub(crate) newest_ms: Option<i64>,
    /// The readers of the earlier events that have not read all of them.
    pub(crate) readers_behind: &'a [String],
    pub(crate) canaries: &'a [CanaryFacts],
}

/// What a bridge does next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Write down that copying begins.
    Start,
    /// Copy at most so many events, `watched` with the eyes of the canaries.
    Copy { at_most: u64, watched: bool },
    /// Write down that the first part is copied.
    CloseFirstPart,
    /// Write down that the canaries have read it well.
    Pass,
    /// Write down that a canary failed.
    Halt(Halt),
    /// Write down that all is copied and read.
    End,
    /// Write down that there is something to copy after all.
    Reopen,
    /// Do nothing until something changes.
    Wait(Wait),
}

/// What a bridge waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wait {
    /// The later contract to take events.
    Contract,
    /// Somebody to say how to go on after a canary failed.
    Halted,
    /// Somebody to say to go on.
    Aborted,
    /// These canaries to commit past the first part; nobody, if there is none.
    Canaries(Vec<String>),
    /// The time for which canaries are watched.
    Watching { until_ms: i64 },
    /// More events, while the earlier contract may get some.
    Events,
    /// These readers of the earlier events to read them all, or to move.
    Readers(Vec<String>),
    /// Nothing: it is over.
    Ended,
}

/// Decides.
pub(crate) fn next(facts: &Facts<'_>) -> Step {
    if !facts.is_open {
        return Step::Wait(Wait::Contract);
    }
    let Some(rollout) = facts.rollout else {
        return Step::Start;
    };
    if rollout.aborted {
        return Step::Wait(Wait::Aborted);
    }
    if rollout.halt.is_some() {
        return Step::Wait(Wait::Halted);
    }
    let unread: i64 = facts.source.iter().map(|mark| mark.unread()).sum();
    match (rollout.ended, unread > 0) {
        (true, true) => return Step::Reopen,
        (true, false) => return Step::Wait(Wait::Ended),
        (false, _) => {}
    }
    match facts.canary.filter(|_| !rollout.in_full) {
        Some(canary) => {
            if let Some(step) = watched(facts, rollout, canary, unread) {
                return step;
            }
        }
        None if unread > 0 => {
            let (at_most, watched) = (u64::MAX, false);
            return Step::Copy { at_most, watched };
        }
        None => {}
    }
    at_the_end(facts)
}

/// Decides while canaries are watched; nothing if all is copied and the first part is not full.
fn watched(facts: &Facts<'_>, rollout: &Rollout, canary: Canary, unread: i64) -> Option<Step> {
    if let Some(halt) = facts.canaries.iter().find_map(|c| failure(c, facts.now_ms)) {
        return Some(Step::Halt(halt));
    }
    let Some(part) = &rollout.first_part else {
        let left = canary.first.saturating_sub(copied(rollout, facts.source));
        return match (left, unread) {
            (0, _) => Some(Step::CloseFirstPart),
            (_, 0) => None,
            (at_most, _) => Some(Step::Copy {
                at_most,
                watched: true,
            }),
        };
    };
    let slow = facts.canaries.iter().filter(|canary| !canary.has_read);
    let slow: Vec<String> = slow.map(|canary| canary.name.clone()).collect();
    if !slow.is_empty() || facts.canaries.is_empty() {
        return Some(Step::Wait(Wait::Canaries(slow)));
    }
    let watch_ms = i64::try_from(canary.watch.as_ms()).unwrap_or(i64::MAX);
    let until_ms = part.at_ms.saturating_add(watch_ms);
    Some(match facts.now_ms < until_ms {
        true => Step::Wait(Wait::Watching { until_ms }),
        false => Step::Pass,
    })
}

/// Returns how many of the earlier events this rollout has dealt with.
pub(crate) fn copied(rollout: &Rollout, source: &[Mark]) -> u64 {
    let start = |partition: usize| rollout.source_starts.get(partition).copied().unwrap_or(0);
    let copied = source.iter().enumerate();
    copied
        .map(|(partition, mark)| u64::try_from(mark.position - start(partition)).unwrap_or(0))
        .sum()
}

fn failure(canary: &CanaryFacts, now_ms: i64) -> Option<Halt> {
    let name = &canary.name;
    if let Some(first) = &canary.dead_letter {
        return Some(Halt {
            cause: Cause::DeadLetters,
            detail: format!("canary `{name}` put events into its dead letters"),
            reader: Some(name.clone()),
            first: first.clone(),
        });
    }
    let (max_lag_ms, (first, since_ms)) = (canary.max_lag_ms?, canary.oldest_unread.as_ref()?);
    let waited_ms = now_ms.saturating_sub(*since_ms);
    (waited_ms > max_lag_ms).then(|| Halt {
        cause: Cause::Lag,
        detail: format!(
            "canary `{name}` has not read an event for {waited_ms} ms; its `maxLag.time` is {max_lag_ms} ms"
        ),
        reader: Some(name.clone()),
        first: first.clone(),
    })
}

fn at_the_end(facts: &Facts<'_>) -> Step {
    let more_may_come = match facts.earlier {
        None | Some(Lifecycle::Retired) => false,
        Some(Lifecycle::Draft | Lifecycle::Active) => true,
        Some(Lifecycle::Deprecated) => facts
            .newest_ms
            .is_some_and(|newest| facts.now_ms.saturating_sub(newest) < QUIET_MS),
    };
    if more_may_come {
        return Step::Wait(Wait::Events);
    }
    match facts.readers_behind {
        [] => Step::End,
        behind => Step::Wait(Wait::Readers(behind.to_vec())),
    }
}
