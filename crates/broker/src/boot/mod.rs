//! From stored bytes to a running state: manifest, checkpoint, objects after it, write-ahead log
//! after those; then the epoch is claimed and the sequencer made.
//!
//! Start-up reads a checkpoint and what came after it, never history. Every record passes through
//! `State::apply`, so a gap or a record out of place stops the start instead of being skipped.

mod base;
mod fold;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use self::base::Base;
pub use self::fold::ReplayError;
use crate::env::{Clock, Disk, Random, random_id};
use crate::history::{self, HistoryRunner, UpkeepRunner};
use crate::object::l0::L0Size;
use crate::object::manifest::{self, Manifest};
use crate::object::{Key, ObjectError, Objects};
use crate::sequencer::{self, HistoryRecovered, Refusal, Sequencer, Unshipped, handle_of};
use crate::shared::Shared;
use crate::state::command::ClusterCreated;
use crate::topic_settings::TopicSettings;
use crate::wal::{self, SegmentFiles, SegmentsConfig};

/// What the log stands on.
#[derive(Clone)]
pub struct Ground {
    pub disk: Arc<dyn Disk>,
    pub objects: Objects,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

/// The settings of recovery.
#[derive(Clone, Debug)]
pub struct Config {
    pub wal_segment_bytes: u64,
    pub wal_budget_bytes: u64,
    pub hot_budget_bytes: usize,
    pub topic_defaults: TopicSettings,
    pub sequencer: sequencer::Settings,
}

/// A recovered log, its epoch claimed, nothing of it running yet.
pub struct Booted {
    pub sequencer: Sequencer,
    pub shared: Arc<Shared>,
    pub runner: HistoryRunner,
    pub upkeep: UpkeepRunner,
    pub files: Arc<SegmentFiles>,
    pub epoch: u32,
    pub cluster_id: [u8; 16],
    pub claim_secret: [u8; 16],
    /// Answered when the epoch is durable; until then nothing may be shown to anybody.
    pub durable: oneshot::Receiver<Result<(), Refusal>>,
    /// What was found, for the log line of the start.
    pub found: Found,
}

/// What recovery read.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub checkpoint_lsn: u64,
    pub objects: u64,
    pub groups: u64,
    pub last_lsn: u64,
    /// Groups at the end that were never acked and are discarded.
    pub torn: bool,
}

/// Why a log does not open. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error(transparent)]
    Wal(#[from] wal::RecoverError),
    #[error("the disk: {0}")]
    Disk(#[from] std::io::Error),
    #[error("object `{key}`: {source}")]
    Replay { key: Key, source: ReplayError },
    #[error("object `{key}` belongs to another cluster")]
    ForeignObject { key: Key },
    #[error(
        "the newest checkpoint (record {newest}) cannot be read: {damage}; and the log cannot be \
         recovered from {older}: {source}\n\
         hint: put back the damaged object from a copy"
    )]
    Checkpoints {
        newest: u64,
        damage: ObjectError,
        /// What was before it.
        older: String,
        source: Box<BootError>,
    },
    #[error(
        "the object store has not answered for {waited_s} s, last for `{key}`: {source}\n\
         hint: nothing was changed; start again once the store answers"
    )]
    StoreAway {
        waited_s: u64,
        key: Key,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("objects end at record {found}, and the checkpoint had {expected}")]
    ObjectsEnd { found: u64, expected: u64 },
}

/// The first wait after a start that the store did not let come to its end; each later one is twice
/// as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Recovers the log as [`boot`] does, and tries again for about `patience` while the store does not
/// answer. Each try claims an epoch of its own, at its very end, so a half-done one leaves nothing.
///
/// # Errors
/// `StoreAway` once the time is up; those of [`boot`].
pub async fn boot_patiently(
    ground: &Ground,
    config: Config,
    patience: Duration,
) -> Result<Booted, BootError> {
    let begun = ground.clock.elapsed();
    let mut wait = FIRST_WAIT;
    loop {
        let (key, source) = match boot(ground, config.clone()).await {
            Err(BootError::Object(ObjectError::Unavailable { key, source })) => (key, source),
            done => return done,
        };
        let waited = ground.clock.elapsed().saturating_sub(begun);
        let waited_s = waited.as_secs();
        if waited >= patience {
            return Err(BootError::StoreAway {
                waited_s,
                key,
                source,
            });
        }
        tracing::warn!(%key, %source, waited_s, "the start waits for the object store");
        ground.objects.sleep(wait.min(patience - waited)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Recovers the log and claims the next epoch.
///
/// # Errors
/// Stored data is damaged, missing or another cluster's, or cannot be read now.
pub async fn boot(ground: &Ground, config: Config) -> Result<Booted, BootError> {
    let now = crate::driver::now(ground.clock.as_ref());
    let put_id = || random_id(ground.random.as_ref());
    let last_manifest = manifest::latest(&ground.objects).await?;
    let cluster_id = last_manifest
        .as_ref()
        .map_or_else(put_id, |manifest| manifest.cluster_id);

    let Base {
        mut fold,
        runs,
        shipped,
        next_seq,
        checkpoint_group,
        checkpoint_lsn,
        objects,
        discarded,
    } = base::read(
        &ground.objects,
        last_manifest.as_ref(),
        cluster_id,
        now.wall_ms,
    )
    .await?;
    let mut found = Found {
        checkpoint_lsn,
        objects,
        ..Found::default()
    };

    let next_manifest = match &last_manifest {
        None => Manifest::first(cluster_id, put_id()),
        Some(manifest) if discarded => manifest.without_newest().with_next_epoch(put_id()),
        Some(manifest) => manifest.with_next_epoch(put_id()),
    };
    let epoch = next_manifest.epoch;
    let segments = SegmentsConfig {
        cluster_id,
        epoch,
        segment_bytes: config.wal_segment_bytes,
        budget_bytes: config.wal_budget_bytes,
        salt_seed: u64::from_le_bytes(put_id()[..8].try_into().expect("eight bytes")),
    };
    let mut unshipped: VecDeque<Unshipped> = VecDeque::new();
    let mut recent = Vec::new();
    let expect = wal::Expect {
        cluster_id,
        shipped,
        checkpoint_group,
    };
    let recovered = wal::recover(
        ground.disk.as_ref(),
        segments,
        &expect,
        &mut |place, group| {
            found.groups += 1;
            for record in group.records() {
                fold.record(&record, &place, &mut recent)
                    .map_err(Box::new)?;
            }
            unshipped.push_back(Unshipped {
                place,
                last_lsn: fold.state.last_lsn,
                size: L0Size::of_group(group),
            });
            Ok(())
        },
    )?;
    found.last_lsn = fold.state.last_lsn;
    found.torn = recovered.torn.is_some();

    // Everything was read and fits. From here on this process writes.
    manifest::publish(&ground.objects, &next_manifest).await?;
    let files = Arc::new(SegmentFiles::new(ground.disk.clone()));

    let fold::Fold {
        state,
        claims,
        extents,
        ..
    } = fold;
    let runs = Arc::new(runs);
    let shared = Arc::new(Shared::new(
        config.hot_budget_bytes,
        config.topic_defaults,
        runs.clone(),
    ));
    let topics: HashMap<u32, Arc<_>> = state
        .topics()
        .map(|topic| {
            (
                topic.number,
                Arc::new(handle_of(topic, config.topic_defaults)),
            )
        })
        .collect();
    for group in &unshipped {
        shared.hot.push(group.place.clone(), None);
    }
    for (topic, partition, batch) in recent {
        let handle: Option<&Arc<crate::read::partition::Partition>> = topics
            .get(&topic)
            .and_then(|topic| topic.partitions.get(partition as usize));
        if let Some(handle) = handle {
            handle.publish(batch, 0);
        }
    }
    for topic in state.topics() {
        for (index, lane) in (0..).zip(&topic.partitions) {
            topics[&topic.number].partitions[index as usize].restore(
                lane.log_start,
                lane.next_offset,
                extents.shared(topic.number, index),
                lane.epochs.clone(),
            );
        }
    }
    shared.set_topics(topics.values().cloned());
    shared.set_groups(
        state
            .groups()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    );

    let cluster = last_manifest.is_none() || state.last_lsn == 0;
    let cluster = cluster.then(|| ClusterCreated {
        cluster_id,
        claim_secret: random_id(ground.random.as_ref()),
    });
    let claim_secret = cluster
        .as_ref()
        .map_or(state.claim_secret, |created| created.claim_secret);
    let (runner, upkeep) = history::lanes(ground, next_manifest, files.clone());
    let mut claims = claims;
    claims.runs_installed(&runs);
    let mut sequencer = Sequencer::new(
        config.sequencer,
        shared.clone(),
        sequencer::Recovered {
            state,
            claims,
            topics,
            segments: recovered.segments,
            next_group: recovered.next_group,
            history: HistoryRecovered {
                extents,
                next_seq,
                unshipped,
                shipped_lsn: shipped.last_lsn,
                checkpoint_lsn: found.checkpoint_lsn,
                objects_since_checkpoint: found.objects,
            },
        },
        now,
    );
    let durable = sequencer.start_epoch(epoch, cluster, now);
    Ok(Booted {
        sequencer,
        shared,
        runner,
        upkeep,
        files,
        epoch,
        cluster_id,
        claim_secret,
        durable,
        found,
    })
}
