//! Keeps history small: retention, rewriting of objects that are mostly dead, deletion of what
//! nothing refers to, merging of claim runs. Decisions are pure; the jobs run beside the log and
//! beside shipping, one at a time: a merge of gigabytes keeps nothing waiting.
//!
//! Invariants: an object is deleted only when neither kept checkpoint refers to it, and not before
//! the delay has passed since it held nothing live. Nothing is deleted while a checkpoint is being
//! stored: what that one names is in no manifest yet. A merge only says what takes the place of what;
//! the sequencer, who alone knows the set of runs, puts it there.

pub mod collect;
pub mod retain;
pub mod rewrite;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::env::{Random, random_id};
use crate::object::l0::ObjectExtent;
use crate::object::manifest::Manifest;
use crate::object::{ObjectError, Objects};
use crate::sequencer::Now;
use crate::state::claims::{Run, Runs, merge};
use crate::state::extents::{Extent, Extents, ObjectName};

/// Something to be done to history.
#[derive(Debug)]
pub enum Job {
    /// Delete these objects and, if all that is known is given, those that are not in it.
    Collect {
        objects: Vec<ObjectName>,
        known: Option<Known>,
    },
    /// Copy the live extents of `old` into an object of their own.
    Rewrite { old: ObjectName, live: Vec<Extent> },
    /// Merge runs of claims, and drop those that are over.
    /// Those of topics that no longer exist are left out.
    MergeClaims {
        sources: Vec<Arc<Run>>,
        /// The runs that go: the sources, and those that are over.
        gone: BTreeSet<u64>,
        log_time_ms: i64,
        topics: BTreeSet<u32>,
    },
}

/// All that is in use when a job begins.
#[derive(Debug)]
pub struct Known {
    pub objects: BTreeSet<ObjectName>,
    pub runs: Arc<Runs>,
}

/// What was done. A job that failed has collected nothing.
#[derive(Debug)]
pub enum Done {
    Collected {
        objects: Vec<ObjectName>,
    },
    Rewritten {
        old: ObjectName,
        new: ObjectName,
        sections: Vec<ObjectExtent>,
    },
    ClaimsMerged {
        gone: BTreeSet<u64>,
        merged: Option<Arc<Run>>,
    },
}

/// What a job needs.
pub struct Context<'a> {
    pub objects: &'a Objects,
    pub random: &'a dyn Random,
    /// The manifest in force.
    pub manifest: &'a Manifest,
    /// A number that no object of this cluster has.
    pub fresh_id: u64,
    pub wall_ms: i64,
}

/// How often objects are listed to find those that nothing knows.
const ORPHANS_EVERY_MS: u64 = 3_600_000;

/// How long a job that did not help is left alone: one whose source is damaged never will.
const AGAIN_AFTER_MS: u64 = 3_600_000;

/// Decides what to do next.
#[derive(Debug, Default)]
pub struct Upkeep {
    delete_after_ms: i64,
    rewrite_dead_bytes: u64,
    /// What the two kept checkpoints do not refer to, the newer first. Empty until this process has
    /// stored two: what earlier ones refer to is not known here.
    unreferenced: [BTreeSet<ObjectName>; 2],
    /// The same for the checkpoint that is being stored.
    pending: BTreeSet<ObjectName>,
    orphans_at_ms: u64,
    /// Objects that were to be rewritten and runs that were to be merged, and when.
    tried: BTreeMap<ObjectName, u64>,
    tried_merge: Option<(merge::Plan, u64)>,
}

impl Upkeep {
    /// Makes a plan for a process that has stored no checkpoint yet.
    pub fn new(delete_after_ms: i64, rewrite_dead_bytes: u64) -> Self {
        Self {
            delete_after_ms,
            rewrite_dead_bytes,
            ..Self::default()
        }
    }

    /// Notes what the checkpoint that is being stored does not refer to.
    pub fn checkpoint_cut(&mut self, extents: &Extents) {
        self.pending = extents.retired().keys().copied().collect();
    }

    /// Notes that it is stored, and that the one before the previous is no longer kept.
    pub fn checkpointed(&mut self) {
        let [newer, older] = &mut self.unreferenced;
        *older = std::mem::replace(newer, std::mem::take(&mut self.pending));
    }

    /// Decides the next job, if there is one.
    ///
    /// `topics` are the numbers of those that exist, durably: the claims of all others are left out of
    /// a merge, and a checkpoint from before the end of a topic may name its outcome. `may_delete`
    /// says that no checkpoint is being stored.
    pub fn next_job(
        &mut self,
        extents: &Extents,
        runs: &Arc<Runs>,
        topics: impl Iterator<Item = u32>,
        log_time_ms: i64,
        may_delete: bool,
        now: Now,
    ) -> Option<Job> {
        if may_delete && let Some(job) = self.collect_job(extents, runs, now) {
            return Some(job);
        }
        let recent = |tried_ms: u64| now.elapsed_ms < tried_ms + AGAIN_AFTER_MS;
        let plan = merge::plan(&runs.refs(), log_time_ms);
        let tried = self.tried_merge.as_ref();
        if !plan.is_empty() && !tried.is_some_and(|(tried, at)| *tried == plan && recent(*at)) {
            self.tried_merge = Some((plan.clone(), now.elapsed_ms));
            return Some(Job::MergeClaims {
                sources: runs.select(&plan.merge),
                gone: plan.merge.iter().chain(&plan.drop).copied().collect(),
                log_time_ms,
                topics: topics.collect(),
            });
        }
        self.tried.retain(|_, tried_ms| recent(*tried_ms));
        let old = rewrite::candidate(extents, self.rewrite_dead_bytes, &self.tried)?;
        self.tried.insert(old, now.elapsed_ms);
        let live = extents
            .partitions()
            .flat_map(|(_, extents)| extents.iter())
            .filter(|extent| extent.object == old)
            .cloned()
            .collect();
        Some(Job::Rewrite { old, live })
    }

    fn collect_job(&mut self, extents: &Extents, runs: &Arc<Runs>, now: Now) -> Option<Job> {
        let [newer, older] = &self.unreferenced;
        let due: Vec<ObjectName> = extents
            .retired()
            .iter()
            .filter(|(name, since)| {
                newer.contains(name)
                    && older.contains(name)
                    && now.wall_ms.saturating_sub(**since) >= self.delete_after_ms
            })
            .map(|(name, _)| *name)
            .take(collect::OBJECTS_A_JOB)
            .collect();
        let orphans = now.elapsed_ms >= self.orphans_at_ms;
        if orphans {
            self.orphans_at_ms = now.elapsed_ms + ORPHANS_EVERY_MS;
        }
        let known = orphans.then(|| Known {
            objects: extents.objects().keys().copied().collect(),
            runs: runs.clone(),
        });
        (!due.is_empty() || orphans).then_some(Job::Collect {
            objects: due,
            known,
        })
    }
}

/// Does one job. What the store does not let it do now, or damage does not let it do ever, is logged
/// and left: history can wait for upkeep.
///
/// # Errors
/// `Unexpected`: somebody else writes to the same objects; stop.
pub async fn run(context: Context<'_>, job: Job) -> Result<Done, ObjectError> {
    let done = match job {
        Job::Collect { objects, known } => collect::collect(&context, &objects, known.as_ref())
            .await
            .map(|objects| Done::Collected { objects }),
        Job::Rewrite { old, live } => rewrite(&context, old, &live).await,
        Job::MergeClaims {
            sources,
            gone,
            log_time_ms,
            topics,
        } => merge_claims(&context, &sources, log_time_ms, &topics)
            .await
            .map(|merged| Done::ClaimsMerged { gone, merged }),
    };
    match done {
        Err(ObjectError::Unexpected { key }) => Err(ObjectError::Unexpected { key }),
        Err(error) => {
            tracing::error!(%error, "upkeep of history failed and is left for later");
            Ok(Done::Collected {
                objects: Vec::new(),
            })
        }
        Ok(done) => Ok(done),
    }
}

async fn rewrite(
    context: &Context<'_>,
    old: ObjectName,
    live: &[Extent],
) -> Result<Done, ObjectError> {
    let new = context.fresh_id;
    let put_id = random_id(context.random);
    let Manifest {
        cluster_id, epoch, ..
    } = *context.manifest;
    let sections =
        rewrite::rewrite(context.objects, old, live, new, cluster_id, epoch, put_id).await?;
    Ok(Done::Rewritten {
        old,
        new: ObjectName::Data(new),
        sections,
    })
}

async fn merge_claims(
    context: &Context<'_>,
    sources: &[Arc<Run>],
    log_time_ms: i64,
    topics: &BTreeSet<u32>,
) -> Result<Option<Arc<Run>>, ObjectError> {
    if sources.is_empty() {
        return Ok(None);
    }
    let put_id = random_id(context.random);
    let id = context.fresh_id;
    let merged = merge::merge(context.objects, sources, id, put_id, log_time_ms, topics).await?;
    Ok(merged.map(Arc::new))
}

#[cfg(test)]
mod tests;
