//! Does the history jobs that the sequencer decides, in two lanes: objects and checkpoints in one,
//! upkeep in the other, each one after the other. What may pass is tried for ever in the first, since
//! the log lives on while the store is away; what does not pass stops the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::batch::BatchHeader;
use crate::boot::Ground;
use crate::env::{Clock, Random, random_id};
use crate::object::checkpoint::Checkpoint;
use crate::object::l0::{L0Body, L0Head, L0Kind, L0Record, build};
use crate::object::manifest::{self, Manifest};
use crate::object::{Key, ObjectError, Objects, create};
use crate::sequencer::{CheckpointImage, CheckpointJob, Done, HistoryJob, ShipJob};
use crate::upkeep;
use crate::wal::{self, GroupPlace, RecordKind, SegmentFiles};

/// How long to wait before a job is tried again after the store has given up on it.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Stores objects and checkpoints.
#[derive(Clone)]
pub struct HistoryRunner {
    common: Arc<Common>,
    files: Arc<SegmentFiles>,
}

/// Does upkeep.
#[derive(Clone)]
pub struct UpkeepRunner {
    common: Arc<Common>,
}

/// What both lanes need.
struct Common {
    objects: Objects,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    /// The manifest in force. Checkpoints change it, and nothing is deleted beside a checkpoint.
    manifest: ArcSwap<Manifest>,
    /// How many objects with a number of their own this process has made.
    made: AtomicU64,
}

/// Why a job stops the process.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the write-ahead log cannot be read back: {0}")]
    Wal(String),
}

/// Makes the lanes of the process that published `manifest`.
pub fn lanes(
    ground: &Ground,
    manifest: Manifest,
    files: Arc<SegmentFiles>,
) -> (HistoryRunner, UpkeepRunner) {
    let common = Arc::new(Common {
        objects: ground.objects.clone(),
        random: ground.random.clone(),
        clock: ground.clock.clone(),
        manifest: ArcSwap::from_pointee(manifest),
        made: AtomicU64::new(0),
    });
    let upkeep = UpkeepRunner {
        common: common.clone(),
    };
    (HistoryRunner { common, files }, upkeep)
}

impl UpkeepRunner {
    /// Does one job.
    ///
    /// # Errors
    /// What cannot pass: another writer.
    pub async fn run(&self, job: upkeep::Job) -> Result<upkeep::Done, Fatal> {
        let common = &self.common;
        let manifest = common.manifest.load_full();
        let context = upkeep::Context {
            objects: &common.objects,
            random: common.random.as_ref(),
            manifest: &manifest,
            fresh_id: common.fresh_id(),
            wall_ms: common.clock.wall_ms(),
        };
        Ok(upkeep::run(context, job).await?)
    }
}

impl Common {
    /// A number for an object that is not part of the dense log. The epoch is in it, so that what a
    /// crash left behind unreferenced is never in the way.
    fn fresh_id(&self) -> u64 {
        let made = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        u64::from(self.manifest.load().epoch) << 32 | made
    }
}

impl HistoryRunner {
    /// Does one job.
    ///
    /// # Errors
    /// What cannot pass: another writer, damaged data.
    pub async fn run(&self, job: HistoryJob) -> Result<Done, Fatal> {
        match job {
            HistoryJob::Ship(job) => self.ship(job).await,
            HistoryJob::Checkpoint(job) => self.checkpoint(job).await,
        }
    }

    async fn ship(&self, job: ShipJob) -> Result<Done, Fatal> {
        let mut records = Vec::new();
        for (place, bytes) in &job.groups {
            let bytes = match bytes {
                Some(bytes) => bytes.clone(),
                None => self
                    .files
                    .read_group(place)
                    .map_err(|e| Fatal::Wal(e.to_string()))?,
            };
            records_of(place, &bytes, &job, &mut records)?;
        }
        let head = L0Head {
            kind: L0Kind::Log,
            cluster_id: job.cluster_id,
            put_id: random_id(self.common.random.as_ref()),
            epoch: job.epoch,
            number: job.seq,
            first_lsn: job.first_lsn,
            last_lsn: job.last_lsn,
            first_group: job.first_group,
            last_group: job.last_group,
        };
        let object = build(&head, records);
        let key = Key::Log(job.seq);
        self.persist(async || create::create(&self.common.objects, key, &object.body).await)
            .await?;
        Ok(Done::Shipped {
            sections: object.extents,
        })
    }

    async fn checkpoint(&self, job: CheckpointJob) -> Result<Done, Fatal> {
        let CheckpointJob {
            epoch,
            state,
            extents,
            next_seq,
            last_group,
            last_lsn,
            mut runs,
            frozen,
        } = job;
        let common = &self.common;
        let mut stored = None;
        if let Some(frozen) = frozen {
            let id = common.fresh_id();
            let put_id = random_id(common.random.as_ref());
            self.persist(async || {
                stored = Some(frozen.store(&common.objects, id, put_id).await?);
                Ok(())
            })
            .await?;
        }
        runs.extend(stored.iter().map(|run| run.place().clone()));
        let ids = runs.iter().map(|run| run.id).collect();
        let image = CheckpointImage {
            state: state.image(),
            extents,
            next_seq,
            last_group,
            last_lsn,
            runs,
        };
        drop(state);
        let put_id = random_id(common.random.as_ref());
        let whole = (&image, &image.state.later);
        let checkpoint = Checkpoint::encode(epoch, last_lsn, next_seq, ids, put_id, &whole);
        drop(image);
        let mut place = None;
        self.persist(async || {
            place = Some(checkpoint.store(&common.objects).await?);
            Ok(())
        })
        .await?;
        let place = place.expect("the checkpoint was stored");
        let next = common
            .manifest
            .load()
            .with_checkpoint(place, random_id(common.random.as_ref()));
        self.persist(async || manifest::publish(&common.objects, &next).await)
            .await?;
        common.manifest.store(Arc::new(next));
        Ok(Done::Checkpointed {
            run: stored.map(Arc::new),
        })
    }

    /// Repeats what the store did not answer, for ever, with the same bytes.
    async fn persist(
        &self,
        mut attempt: impl AsyncFnMut() -> Result<(), ObjectError>,
    ) -> Result<(), ObjectError> {
        loop {
            match attempt().await {
                Err(ObjectError::Unavailable { key, source }) => {
                    tracing::warn!(%key, %source, "history waits for the object store");
                    self.common.objects.sleep(TRY_AGAIN_AFTER).await;
                }
                done => return done,
            }
        }
    }
}

/// Takes the records of one group, their bytes shared with it.
fn records_of(
    place: &GroupPlace,
    bytes: &Bytes,
    job: &ShipJob,
    records: &mut Vec<L0Record>,
) -> Result<(), Fatal> {
    let group = wal::parse_group(bytes)
        .map_err(|error| Fatal::Wal(format!("group {}: {error}", place.group_no)))?;
    if group.header().group_no != place.group_no {
        return Err(Fatal::Wal(format!(
            "another group stands where {} did",
            place.group_no
        )));
    }
    for record in group.records() {
        let body = match record.kind {
            RecordKind::Meta => L0Body::Meta(bytes.slice_ref(record.body)),
            RecordKind::Data => L0Body::Data {
                topic: record.topic,
                topic_id: job
                    .topic_ids
                    .get(&record.topic)
                    .copied()
                    .unwrap_or_default(),
                partition: record.partition,
                flags: 0,
                header: BatchHeader::parse(record.body)
                    .map_err(|error| Fatal::Wal(error.to_string()))?,
                batch: bytes.slice_ref(record.body),
                claims: bytes.slice_ref(record.ext),
            },
        };
        records.push(L0Record {
            lsn: record.lsn,
            body,
        });
    }
    Ok(())
}
