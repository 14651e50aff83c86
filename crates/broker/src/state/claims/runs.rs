//! The set of runs in force: immutable, replaced as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ClaimKey, Entry, Run, RunRef};
use crate::object::{Folder, Key, ObjectError, Objects};

/// All runs at one moment.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Grows by one with each run that came from memory. Whoever looked in a set of another version
    /// may have missed a claim that left memory meanwhile. A merge changes no answer, nor this.
    pub version: u64,
    list: Vec<Arc<Run>>,
    next_id: u64,
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
        // A run that was stored but never came into a checkpoint keeps its id.
        let listed = objects
            .list(Folder::Claims)
            .await?
            .into_iter()
            .filter_map(|l| match l.key {
                Key::Claims(id) => Some(id),
                _ => None,
            });
        let next_id = places
            .iter()
            .map(|place| place.id)
            .chain(listed)
            .max()
            .map_or(1, |id| id + 1);
        Ok(Self {
            version: 0,
            list,
            next_id,
        })
    }

    /// Finds who holds the claim at `log_time_ms`.
    ///
    /// If a claim was made again, after its window or the end of its topic, the later one counts.
    ///
    /// # Errors
    /// `NotFound` (the run was merged away meanwhile: look in the newer set), `Corrupt`,
    /// `Unavailable`.
    pub async fn lookup(
        &self,
        objects: &Objects,
        key: ClaimKey,
        log_time_ms: i64,
    ) -> Result<Option<Entry>, ObjectError> {
        let mut latest: Option<Entry> = None;
        for run in &self.list {
            if log_time_ms >= run.place().last_expiry_ms || !run.may_hold(&key) {
                continue;
            }
            if let Some(entry) = run.lookup(objects, &key).await?
                && entry.is_held(log_time_ms)
                && latest.is_none_or(|latest| latest.order() < entry.order())
            {
                latest = Some(entry);
            }
        }
        Ok(latest)
    }

    /// The id for the next run.
    pub fn next_id(&self) -> u64 {
        self.next_id.max(1)
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
        let list: Vec<_> = kept.chain(merged).collect();
        let next_id = list.iter().map(|run| run.place().id + 1).max().unwrap_or(1);
        Self {
            version: self.version,
            next_id: next_id.max(self.next_id()),
            list,
        }
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
