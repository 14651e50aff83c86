//! Keeps the runs few: which to merge and which to drop, and the merge itself.
//!
//! A question looks in every run, so there must not be many; a claim that has expired is gone only
//! when its run is dropped or merged, so runs must not become long. Runs of one hour become one.
//! Where windows are long, eight hours become one run, and eight of those, as long as a run spans
//! at most a quarter of the longest window in it. That makes about 40 runs for windows of a week.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use super::run::RunReader;
use super::{ClaimKey, Entry, Run, RunRef, RunWriter};
use crate::object::{ObjectError, Objects};

const HOUR_MS: i64 = 3_600_000;
/// How many runs become one, and how many hours, days and so on are one step of length.
const FAN_IN: usize = 8;
/// The most runs that are merged at once: each is read through its own buffer.
const MOST_AT_ONCE: usize = 32;
/// The longest step, 512 hours: more than a quarter of the longest window is never reached.
const LONGEST_STEP: u32 = 3;

/// What to do with the runs next.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// Runs without a claim that is still held.
    pub drop: Vec<u64>,
    /// Runs that become one.
    pub merge: Vec<u64>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.merge.is_empty()
    }
}

/// Decides what to do with the runs at `log_time_ms`.
pub fn plan(runs: &[RunRef], log_time_ms: i64) -> Plan {
    let (dead, live): (Vec<_>, Vec<_>) = runs
        .iter()
        .partition(|run| run.last_expiry_ms <= log_time_ms);
    let merge = this_hour(&live, log_time_ms)
        .or_else(|| (0..=LONGEST_STEP).find_map(|step| past(&live, log_time_ms, step)))
        .unwrap_or_default();
    Plan {
        drop: dead.iter().map(|run| run.id).collect(),
        merge,
    }
}

/// Runs of the hour that is not over: eight of about the same size become one, so that no claim is
/// copied more than a few times however many checkpoints an hour has.
fn this_hour(live: &[&RunRef], log_time_ms: i64) -> Option<Vec<u64>> {
    let hour = log_time_ms.div_euclid(HOUR_MS);
    let mut by_size: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for run in live
        .iter()
        .filter(|run| run.last_ms.div_euclid(HOUR_MS) >= hour)
    {
        by_size
            .entry(run.entries.max(1).ilog2() / 3)
            .or_default()
            .push(run.id);
    }
    let full = by_size.into_values().find(|ids| ids.len() >= FAN_IN)?;
    Some(full.into_iter().take(MOST_AT_ONCE).collect())
}

/// Runs of a stretch of 8^step hours that is over, if it has more than one.
fn past(live: &[&RunRef], log_time_ms: i64, step: u32) -> Option<Vec<u64>> {
    let stretch_ms = HOUR_MS * 8_i64.pow(step);
    let now = log_time_ms.div_euclid(stretch_ms);
    let mut stretches: BTreeMap<i64, Vec<&RunRef>> = BTreeMap::new();
    for run in live {
        let stretch = run.last_ms.div_euclid(stretch_ms);
        if stretch < now {
            stretches.entry(stretch).or_default().push(run);
        }
    }
    let ripe = stretches.into_values().find(|runs| {
        let window_ms = runs
            .iter()
            .map(|run| i64::from(run.longest_window_s) * 1000)
            .max();
        let pays = step == 0 || window_ms.is_some_and(|window| stretch_ms <= window / 4);
        runs.len() > 1 && pays
    })?;
    Some(ripe.iter().map(|run| run.id).take(MOST_AT_ONCE).collect())
}

/// Merges runs into the run `id`, without the claims that have expired or whose topic is not among
/// `topics`; `None` if none is left.
///
/// # Errors
/// `NotFound`, `Corrupt`, `Unexpected`; `Unavailable`: call again with the same ids.
pub async fn merge(
    objects: &Objects,
    runs: &[Arc<Run>],
    id: u64,
    put_id: [u8; 16],
    log_time_ms: i64,
    topics: &BTreeSet<u32>,
) -> Result<Option<Run>, ObjectError> {
    let expected = runs.iter().map(|run| run.place().entries).sum();
    let mut writer = RunWriter::new(objects, id, put_id, expected);
    let mut readers: Vec<_> = runs
        .iter()
        .map(|run| RunReader::new(objects, run.clone()))
        .collect();
    let mut heads: Vec<Option<Entry>> = vec![None; readers.len()];
    let mut order: BinaryHeap<Reverse<(ClaimKey, usize)>> = BinaryHeap::new();
    for (at, reader) in readers.iter_mut().enumerate() {
        if let Some((key, entry)) = reader.next().await? {
            heads[at] = Some(entry);
            order.push(Reverse((key, at)));
        }
    }
    // The entry that is written unless a later one of the same key follows.
    let mut pending: Option<(ClaimKey, Entry)> = None;
    while let Some(Reverse((key, at))) = order.pop() {
        let entry = heads[at].take().expect("every run in the heap has a head");
        if entry.is_held(log_time_ms) && topics.contains(&entry.topic) {
            match &mut pending {
                Some((same, latest)) if *same == key => {
                    if latest.timestamp_ms < entry.timestamp_ms {
                        *latest = entry;
                    }
                }
                _ => {
                    if let Some((key, entry)) = pending.replace((key, entry)) {
                        writer.push(&key, &entry).await?;
                    }
                }
            }
        }
        if let Some((key, entry)) = readers[at].next().await? {
            heads[at] = Some(entry);
            order.push(Reverse((key, at)));
        }
    }
    if let Some((key, entry)) = pending {
        writer.push(&key, &entry).await?;
    }
    writer.finish().await
}
