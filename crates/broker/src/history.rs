//! Does the history jobs that the sequencer decides, one after the other: objects, checkpoints,
//! upkeep. What may pass is tried for ever, since the log lives on while the store is away; what
//! does not pass stops the process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::batch::BatchHeader;
use crate::boot::Ground;
use crate::env::{Clock, Random, random_id};
use crate::object::checkpoint::Checkpoint;
use crate::object::l0::{L0Body, L0Head, L0Kind, L0Record, build};
use crate::object::manifest::{self, Manifest};
use crate::object::{Key, ObjectError, Objects, create};
use crate::sequencer::{CheckpointJob, Done, HistoryJob, ShipJob};
use crate::state::claims::Runs;
use crate::upkeep;
use crate::wal::{self, GroupPlace, RecordKind, SegmentFiles};

/// How long to wait before a job is tried again after the store has given up on it.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Runs history jobs.
pub struct HistoryRunner {
    objects: Objects,
    files: Arc<SegmentFiles>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    /// The manifest in force.
    manifest: Manifest,
    runs: Arc<Runs>,
    /// How many objects with such a number this process has made.
    made: u64,
}

/// Why a job stops the process.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the write-ahead log cannot be read back: {0}")]
    Wal(String),
}

impl HistoryRunner {
    /// Makes a runner for the process that published `manifest`.
    pub fn new(
        ground: &Ground,
        manifest: Manifest,
        files: Arc<SegmentFiles>,
        runs: Arc<Runs>,
    ) -> Self {
        Self {
            objects: ground.objects.clone(),
            files,
            random: ground.random.clone(),
            clock: ground.clock.clone(),
            manifest,
            runs,
            made: 0,
        }
    }

    /// Does one job.
    ///
    /// # Errors
    /// What cannot pass: another writer, damaged data.
    pub async fn run(&mut self, job: HistoryJob) -> Result<Done, Fatal> {
        match job {
            HistoryJob::Ship(job) => self.ship(job).await,
            HistoryJob::Checkpoint(job) => self.checkpoint(job).await,
            HistoryJob::Upkeep(job) => {
                let fresh_id = self.fresh_id();
                let context = upkeep::Context {
                    objects: &self.objects,
                    random: self.random.as_ref(),
                    manifest: &self.manifest,
                    runs: &self.runs,
                    fresh_id,
                    wall_ms: self.clock.wall_ms(),
                };
                let done = upkeep::run(context, job).await?;
                if let upkeep::Done::ClaimsMerged { runs } = &done {
                    self.runs = runs.clone();
                }
                Ok(Done::Upkeep(done))
            }
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
            put_id: random_id(self.random.as_ref()),
            epoch: job.epoch,
            number: job.seq,
            first_lsn: job.first_lsn,
            last_lsn: job.last_lsn,
            first_group: job.first_group,
            last_group: job.last_group,
        };
        let object = build(&head, records);
        let key = Key::Log(job.seq);
        self.persist(async || create::create(&self.objects, key, &object.body).await)
            .await?;
        Ok(Done::Shipped {
            sections: object.extents,
        })
    }

    async fn checkpoint(&mut self, job: CheckpointJob) -> Result<Done, Fatal> {
        let CheckpointJob {
            epoch,
            mut image,
            frozen,
        } = job;
        if let Some(frozen) = frozen {
            let id = self.fresh_id();
            let put_id = random_id(self.random.as_ref());
            let mut run = None;
            self.persist(async || {
                run = Some(frozen.store(&self.objects, id, put_id).await?);
                Ok(())
            })
            .await?;
            let run = run.expect("the claims were stored");
            self.runs = Arc::new(self.runs.with(Arc::new(run)));
        }
        image.runs = self.runs.refs();
        let runs = image.runs.iter().map(|run| run.id).collect();
        let put_id = random_id(self.random.as_ref());
        let checkpoint =
            Checkpoint::encode(epoch, image.last_lsn, image.next_seq, runs, put_id, &image);
        let mut place = None;
        self.persist(async || {
            place = Some(checkpoint.store(&self.objects).await?);
            Ok(())
        })
        .await?;
        let place = place.expect("the checkpoint was stored");
        let next = self
            .manifest
            .with_checkpoint(place, random_id(self.random.as_ref()));
        self.persist(async || manifest::publish(&self.objects, &next).await)
            .await?;
        self.manifest = next;
        Ok(Done::Checkpointed {
            runs: self.runs.clone(),
        })
    }

    /// A number for an object that is not part of the dense log. The epoch is in it, so that what a
    /// crash left behind unreferenced is never in the way.
    fn fresh_id(&mut self) -> u64 {
        self.made += 1;
        u64::from(self.manifest.epoch) << 32 | self.made
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
                    self.objects.sleep(TRY_AGAIN_AFTER).await;
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
