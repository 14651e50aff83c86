//! From stored bytes to a running state: manifest, checkpoint, objects after it, write-ahead log
//! after those; then the epoch is claimed and the sequencer made.
//!
//! Start-up reads a checkpoint and what came after it, never history. Every record passes through
//! `State::apply`, so a gap or a record out of place stops the start instead of being skipped.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::batch::BatchHeader;
use crate::env::{Clock, Disk, Random, random_id};
use crate::history::{self, HistoryRunner, UpkeepRunner};
use crate::object::l0::{self, L0Size, ReplayRecord};
use crate::object::manifest::{self, Manifest};
use crate::object::{Key, ObjectError, Objects, checkpoint};
use crate::sequencer::{
    self, CheckpointImage, HistoryRecovered, Refusal, Sequencer, Unshipped, handle_of,
};
use crate::shared::Shared;
use crate::state::claims::{self, Claims, Runs};
use crate::state::command::{ClusterCreated, Command, CommandError};
use crate::state::extents::{ExtentGap, Extents, ObjectName};
use crate::state::{ApplyError, Entry, State};
use crate::topic_settings::TopicSettings;
use crate::wal::{self, GroupPlace, RecordKind, SegmentFiles, SegmentsConfig};

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
}

/// Why a record does not fit the ones before it.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("record {lsn}: {source}")]
    Command { lsn: u64, source: CommandError },
    #[error("record {lsn} has damaged claims")]
    Claims { lsn: u64 },
    #[error(transparent)]
    Extent(#[from] ExtentGap),
    #[error("records {first}..={last} follow record {after}")]
    Gap { after: u64, first: u64, last: u64 },
}

/// The state while it is folded.
struct Fold {
    state: State,
    claims: Claims,
    extents: Extents,
    now_ms: i64,
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

    let mut found = Found::default();
    let mut fold = Fold {
        state: State::default(),
        claims: Claims::default(),
        extents: Extents::default(),
        now_ms: now.wall_ms,
    };
    let mut runs = Runs::default();
    let mut shipped = wal::Shipped {
        last_group: 0,
        last_lsn: 0,
    };
    let mut next_seq = 1;
    let mut checkpoint_group = 0;
    let checkpoint = last_manifest
        .as_ref()
        .and_then(|manifest| manifest.checkpoint.as_ref());
    if let Some(checkpoint) = checkpoint {
        let image: CheckpointImage = checkpoint::load(&ground.objects, checkpoint).await?;
        runs = Runs::open(&ground.objects, &image.runs).await?;
        fold.state = State::from_image(image.state);
        fold.extents = image.extents;
        shipped = wal::Shipped {
            last_group: image.last_group,
            last_lsn: image.last_lsn,
        };
        next_seq = image.next_seq;
        checkpoint_group = image.last_group;
        found.checkpoint_lsn = image.last_lsn;
    }
    // Objects that came after the checkpoint.
    loop {
        let key = Key::Log(next_seq);
        let tail = match l0::read_tail(&ground.objects, key).await {
            Ok(tail) => tail,
            Err(ObjectError::NotFound { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        if tail.head.cluster_id != cluster_id {
            return Err(BootError::ForeignObject { key });
        }
        fold.object(next_seq, &tail)
            .map_err(|source| BootError::Replay { key, source })?;
        shipped = wal::Shipped {
            last_group: tail.head.last_group,
            last_lsn: tail.head.last_lsn,
        };
        next_seq += 1;
        found.objects += 1;
    }

    let next_manifest = match &last_manifest {
        None => Manifest::first(cluster_id, put_id()),
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

    let Fold {
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

impl Fold {
    fn object(&mut self, seq: u64, tail: &l0::L0Tail) -> Result<(), ReplayError> {
        let after = self.state.last_lsn;
        let (first, last) = (tail.head.first_lsn, tail.head.last_lsn);
        if first != after + 1 {
            return Err(ReplayError::Gap { after, first, last });
        }
        for (lsn, record) in &tail.replay {
            match record {
                ReplayRecord::Data {
                    topic,
                    partition,
                    header,
                    claims,
                } => {
                    self.data(*lsn, *topic, *partition, header, claims)?;
                }
                ReplayRecord::Meta(body) => self.command(*lsn, body)?,
            }
        }
        if self.state.last_lsn != last {
            return Err(ReplayError::Gap {
                after: self.state.last_lsn,
                first: last,
                last,
            });
        }
        let now_ms = self.now_ms;
        let exists = |topic| self.state.topic(topic).is_some();
        self.extents
            .add(ObjectName::Log(seq), &tail.extents, exists, now_ms)?;
        for topic in self.state.topics() {
            for (index, lane) in (0..).zip(&topic.partitions) {
                self.extents
                    .move_log_start(topic.number, index, lane.log_start, now_ms);
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: &wal::RawRecord<'_>,
        place: &GroupPlace,
        recent: &mut Vec<(u32, u32, crate::read::partition::RecentBatch)>,
    ) -> Result<(), ReplayError> {
        match record.kind {
            RecordKind::Meta => self.command(record.lsn, record.body),
            RecordKind::Data => {
                let header =
                    BatchHeader::parse(record.body).expect("the group's sums were checked");
                self.data(
                    record.lsn,
                    record.topic,
                    record.partition,
                    &header,
                    record.ext,
                )?;
                recent.push((
                    record.topic,
                    record.partition,
                    crate::read::partition::RecentBatch {
                        base_offset: header.base_offset,
                        last_offset: header.last_offset(),
                        max_timestamp: header.max_timestamp,
                        group_no: place.group_no,
                        position: record.body_position,
                        len: u32::try_from(record.body.len()).expect("smaller than a group"),
                    },
                ));
                Ok(())
            }
        }
    }

    fn data(
        &mut self,
        lsn: u64,
        topic: u32,
        partition: u32,
        header: &BatchHeader,
        claims: &[u8],
    ) -> Result<(), ReplayError> {
        // Only batches that the log built itself carry claims, and only those have its own time.
        let timed = !claims.is_empty();
        self.state.apply(
            lsn,
            &Entry::Data {
                topic,
                partition,
                header,
                timed,
            },
        )?;
        for claim in claims::decode_in_record(claims).ok_or(ReplayError::Claims { lsn })? {
            self.claims.insert(
                claim.key,
                claims::Entry {
                    fingerprint: claim.fingerprint,
                    topic,
                    partition,
                    offset: header.base_offset + i64::from(claim.record_index),
                    timestamp_ms: header.max_timestamp,
                    window_s: claim.window_s,
                },
            );
        }
        Ok(())
    }

    fn command(&mut self, lsn: u64, body: &[u8]) -> Result<(), ReplayError> {
        let command =
            Command::decode(body).map_err(|source| ReplayError::Command { lsn, source })?;
        self.state.apply(lsn, &Entry::Meta(&command))?;
        let now_ms = self.now_ms;
        match &command {
            Command::TopicDeleted(deleted) => self.extents.drop_topic(deleted.number, now_ms),
            Command::LogStartMoved(moved) => {
                for (topic, partition, log_start) in &moved.moves {
                    self.extents
                        .move_log_start(*topic, *partition, *log_start, now_ms);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
