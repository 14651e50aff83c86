//! The set of runs in force: immutable, replaced as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ClaimKey, Entry, Run, RunRef};
use crate::object::{ObjectError, Objects};

/// All runs at one moment.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Grows by one with each run that came from memory. Whoever looked in a set of another version
    /// may have missed a claim that left memory meanwhile. A merge changes no answer, nor this.
    pub version: u64,
    list: Vec<Arc<Run>>,
}

impl Runs {
    /// Opens the runs of a checkpoint.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Unavailable`.
    pub async fn open(objects: &Objects, places: &[RunRef]) -> Result<Self, ObjectError> {
        let mut list = Vec::with_capacity(places.len());
        for place in places {
            list.push(Arc::new(Run::open(objects, place).await?));
        }
        Ok(Self { version: 0, list })
    }

    /// Finds who holds the claim at `log_time_ms`, in a topic that `exists`.
    ///
    /// A claim made again, after its window or the end of its topic, has several entries. Those of
    /// topics that are gone must not be looked at: they may carry the same time as the one that
    /// counts. Of the others the latest counts.
    ///
    /// # Errors
    /// `NotFound` (the run was merged away meanwhile: look in the newer set), `Corrupt`,
    /// `Unavailable`.
    pub async fn lookup(
        &self,
        objects: &Objects,
        key: ClaimKey,
        log_time_ms: i64,
        exists: impl Fn(u32) -> bool,
    ) -> Result<Option<Entry>, ObjectError> {
        let mut latest: Option<Entry> = None;
        for run in &self.list {
            if log_time_ms >= run.place().last_expiry_ms || !run.may_hold(&key) {
                continue;
            }
            if let Some(entry) = run.lookup(objects, &key).await?
                && entry.is_held(log_time_ms)
                && exists(entry.topic)
                && latest.is_none_or(|latest| latest.timestamp_ms < entry.timestamp_ms)
            {
                latest = Some(entry);
            }
        }
        Ok(latest)
    }

    /// The set with one more run, which came from memory.
    #[must_use]
    pub fn with(&self, run: Arc<Run>) -> Self {
        let mut next = self.replaced(&BTreeSet::new(), Some(run));
        next.version += 1;
        next
    }

    /// The set with the outcome of a merge in the place of the runs it was made from.
    #[must_use]
    pub fn replaced(&self, gone: &BTreeSet<u64>, merged: Option<Arc<Run>>) -> Self {
        let kept = self
            .list
            .iter()
            .filter(|run| !gone.contains(&run.place().id))
            .cloned();
        Self {
            version: self.version,
            list: kept.chain(merged).collect(),
        }
    }

    /// Whether the run with this id is in force.
    pub fn contains(&self, id: u64) -> bool {
        self.list.iter().any(|run| run.place().id == id)
    }

    /// The runs with these ids.
    pub fn select(&self, ids: &[u64]) -> Vec<Arc<Run>> {
        self.list
            .iter()
            .filter(|run| ids.contains(&run.place().id))
            .cloned()
            .collect()
    }

    /// The runs, as a checkpoint names them.
    pub fn refs(&self) -> Vec<RunRef> {
        self.list.iter().map(|run| run.place().clone()).collect()
    }

    /// How many claims all runs have, expired ones included.
    pub fn entries(&self) -> u64 {
        self.list.iter().map(|run| run.place().entries).sum()
    }

    /// What the runs take in memory.
    pub fn memory_bytes(&self) -> usize {
        self.list.iter().map(|run| run.memory_bytes()).sum()
    }

    /// Whether there are no runs.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
