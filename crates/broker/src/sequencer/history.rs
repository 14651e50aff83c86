//! History: when the log's tail becomes an object, when a checkpoint is cut, when the write-ahead
//! log may forget.
//!
//! One object or checkpoint is in flight at a time, so they are in log order by construction; beside
//! it one job of upkeep. Who deletes and who stores a checkpoint wait for each other. A
//! cut lies at the end of a group, and a checkpoint at a cut: the state it stores is exactly that
//! of the objects up to it. What is shipped up to a cut becomes as many objects as it takes for
//! none to be too large to be read back. Extents change when the record that changes them is
//! durable, never before: a checkpoint may be stored first. A segment is recycled only when objects
//! and a durable checkpoint cover its groups.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::upkeep::UpkeepInFlight;
use super::{Input, Now, Output, Sequencer};
use crate::object::l0::{L0Size, ObjectExtent};
use crate::read::hot::Whereabouts;
use crate::state::claims::{Frozen, Run, RunRef, Runs};
use crate::state::extents::{Extents, ObjectName};
use crate::state::{Image, Snapshot};
use crate::upkeep;
use crate::wal::GroupPlace;

/// When history moves. Defaults are those of log-design 3.6 and 3.14.
#[derive(Clone, Debug)]
pub struct HistorySettings {
    /// Unshipped bytes that make an object.
    pub ship_bytes: u64,
    /// Age of the oldest unshipped group that makes an object.
    pub ship_after_ms: u64,
    /// The budget of the write-ahead log; half of it unshipped makes an object.
    pub wal_budget_bytes: u64,
    /// Bytes, time and objects after which the next object comes with a checkpoint.
    pub checkpoint_bytes: u64,
    pub checkpoint_after_ms: u64,
    pub checkpoint_objects: u64,
    /// Claims in memory that make an object with a checkpoint, which moves them into a run.
    pub claims_in_memory_bytes: u64,
    /// Kafka's `log.retention.check.interval.ms`.
    pub retention_check_ms: u64,
    /// How long an object outlives its last reference.
    pub delete_after_ms: i64,
    /// The least that rewriting an object must free to be worth another one.
    pub rewrite_dead_bytes: u64,
    /// Kafka's `producer.id.expiration.ms`.
    pub producer_expiry_ms: i64,
    /// How many producers are remembered, each counted once for every partition it writes to. One takes
    /// about 250 bytes.
    pub producers_limit: usize,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            ship_bytes: 64 * 1024 * 1024,
            ship_after_ms: 30_000,
            wal_budget_bytes: 1024 * 1024 * 1024,
            checkpoint_bytes: 256 * 1024 * 1024,
            checkpoint_after_ms: 300_000,
            checkpoint_objects: 64,
            claims_in_memory_bytes: 64 * 1024 * 1024,
            retention_check_ms: 300_000,
            delete_after_ms: 900_000,
            rewrite_dead_bytes: 1024 * 1024,
            producer_expiry_ms: 86_400_000,
            producers_limit: 500_000,
        }
    }
}

/// A job on history, run away from the sequencer, one at a time.
#[derive(Debug)]
pub enum HistoryJob {
    Ship(ShipJob),
    Checkpoint(CheckpointJob),
}

/// A range of the log that becomes an object.
#[derive(Clone, Debug)]
pub struct ShipJob {
    pub seq: u64,
    pub epoch: u32,
    pub cluster_id: [u8; 16],
    pub first_lsn: u64,
    pub last_lsn: u64,
    pub first_group: u64,
    pub last_group: u64,
    /// The groups, and those bytes that are still in memory.
    pub groups: Vec<(GroupPlace, Option<bytes::Bytes>)>,
    /// Topic ids by number. A topic deleted meanwhile is not in it.
    pub topic_ids: HashMap<u32, [u8; 16]>,
}

/// A checkpoint to be stored, with the claims that leave memory by it.
#[derive(Debug)]
pub struct CheckpointJob {
    pub epoch: u32,
    pub state: Snapshot,
    pub extents: Extents,
    /// As in [`CheckpointImage`].
    pub next_seq: u64,
    pub last_group: u64,
    pub last_lsn: u64,
    pub runs: Vec<RunRef>,
    pub frozen: Option<Arc<Frozen>>,
}

/// A checkpoint as stored. Stable: postcard, fields in this order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CheckpointImage {
    pub state: Image,
    pub extents: Extents,
    /// The next object of the dense log.
    pub next_seq: u64,
    /// The group at whose end the state was taken.
    pub last_group: u64,
    pub last_lsn: u64,
    pub runs: Vec<RunRef>,
}

/// How a job ended. Jobs repeat what may pass by themselves, and stop the process at what does not.
#[derive(Debug)]
pub enum Done {
    Shipped {
        sections: Vec<ObjectExtent>,
    },
    /// `run` holds the claims that left memory, if any did.
    Checkpointed {
        run: Option<Arc<Run>>,
    },
}

/// What recovery hands over.
#[derive(Debug, Default)]
pub struct Recovered {
    pub extents: Extents,
    pub next_seq: u64,
    /// Groups that no object holds yet, oldest first.
    pub unshipped: VecDeque<Unshipped>,
    pub shipped_lsn: u64,
    pub checkpoint_lsn: u64,
    pub objects_since_checkpoint: u64,
}

/// A group that no object holds yet.
#[derive(Clone, Debug)]
pub struct Unshipped {
    pub place: GroupPlace,
    pub last_lsn: u64,
    /// What it adds to an object.
    pub size: L0Size,
}

/// A decided end of the objects to come.
#[derive(Debug)]
struct Cut {
    last_group: u64,
    last_lsn: u64,
    checkpoint: Option<(Snapshot, Option<Arc<Frozen>>)>,
}

/// Where history stands.
#[derive(Debug)]
pub(super) struct History {
    pub(super) settings: HistorySettings,
    pub(super) extents: Extents,
    next_seq: u64,
    unshipped: VecDeque<Unshipped>,
    unshipped_bytes: u64,
    oldest_unshipped_ms: u64,
    shipped_lsn: u64,
    cut: Option<Cut>,
    /// The last group and record of the object that is being stored.
    shipping: Option<(u64, u64)>,
    /// A job is in flight; the cut, if there is one, is its own.
    busy: bool,
    checkpoint_lsn: u64,
    checkpoint_ms: u64,
    objects_since_checkpoint: u64,
    bytes_since_checkpoint: u64,
    retention_checked_ms: u64,
    pub(super) upkeep: upkeep::Upkeep,
    pub(super) upkeep_at_ms: u64,
    pub(super) upkeep_in_flight: Option<UpkeepInFlight>,
    /// Group and record of the checkpoint that is being stored.
    pub(super) checkpoint_in_flight: Option<(u64, u64)>,
}

impl History {
    pub(super) fn new(settings: HistorySettings, recovered: Recovered, now: Now) -> Self {
        let unshipped_bytes = recovered
            .unshipped
            .iter()
            .map(|group| u64::from(group.place.len))
            .sum();
        Self {
            upkeep: upkeep::Upkeep::new(settings.delete_after_ms, settings.rewrite_dead_bytes),
            upkeep_at_ms: now.elapsed_ms,
            upkeep_in_flight: None,
            settings,
            extents: recovered.extents,
            next_seq: recovered.next_seq.max(1),
            unshipped: recovered.unshipped,
            unshipped_bytes,
            oldest_unshipped_ms: now.elapsed_ms,
            shipped_lsn: recovered.shipped_lsn,
            cut: None,
            shipping: None,
            busy: false,
            checkpoint_lsn: recovered.checkpoint_lsn,
            checkpoint_ms: now.elapsed_ms,
            objects_since_checkpoint: recovered.objects_since_checkpoint,
            bytes_since_checkpoint: unshipped_bytes,
            retention_checked_ms: now.elapsed_ms,
            checkpoint_in_flight: None,
        }
    }

    pub(super) fn extents(&self) -> &Extents {
        &self.extents
    }

    pub(super) fn topic_deleted(&mut self, topic: u32, now: Now) {
        self.extents.drop_topic(topic, now.wall_ms);
    }

    pub(super) fn log_start_moved(&mut self, topic: u32, partition: u32, start: i64, now: Now) {
        self.extents
            .move_log_start(topic, partition, start, now.wall_ms);
    }

    fn ship_is_due(&self, now: Now) -> bool {
        let old = now.elapsed_ms >= self.oldest_unshipped_ms + self.settings.ship_after_ms;
        let much = self
            .settings
            .ship_bytes
            .min(self.settings.wal_budget_bytes / 2);
        old || self.unshipped_bytes >= much
    }

    fn checkpoint_is_due(&self, now: Now, claims_in_memory_bytes: u64) -> bool {
        let settings = &self.settings;
        // A small log must be able to recycle its segments long before 256 MiB have passed.
        let much = settings.checkpoint_bytes.min(settings.wal_budget_bytes / 4);
        self.bytes_since_checkpoint >= much
            || self.objects_since_checkpoint + 1 >= settings.checkpoint_objects
            || now.elapsed_ms >= self.checkpoint_ms + settings.checkpoint_after_ms
            || claims_in_memory_bytes >= settings.claims_in_memory_bytes
    }
}

impl Sequencer {
    /// Notes a sealed group, at whose end the state stands now, and cuts there if it is time.
    pub(super) fn history_sealed(&mut self, place: &GroupPlace, size: L0Size, now: Now) {
        let history = &mut self.history;
        if history.unshipped.is_empty() {
            history.oldest_unshipped_ms = now.elapsed_ms;
        }
        history.unshipped.push_back(Unshipped {
            place: place.clone(),
            last_lsn: self.state.last_lsn,
            size,
        });
        history.unshipped_bytes += u64::from(place.len);
        history.bytes_since_checkpoint += u64::from(place.len);
        self.cut_if_due(now);
    }

    /// Decides the end of the objects to come: here, where nothing is open.
    fn cut_if_due(&mut self, now: Now) {
        let claims_bytes = self.claims.in_memory_bytes();
        let history = &self.history;
        let claims_due = claims_bytes >= history.settings.claims_in_memory_bytes;
        // A full write-ahead log waits for nothing but this: what is shipped but in no checkpoint
        // keeps its segments, and no record would come that could ever make one due.
        // So does one above its budget, or else a process that dies early again and again adds a
        // segment at each start.
        let no_room = !self.has_room() && !self.segments.is_growing();
        let full = no_room || self.segments.is_over_budget();
        let anything = self.state.last_lsn > history.shipped_lsn && !history.unshipped.is_empty();
        let helps = full && self.state.last_lsn > history.checkpoint_lsn;
        if history.busy
            || history.cut.is_some()
            || !(anything || helps)
            || !(history.ship_is_due(now) || claims_due || full)
        {
            return;
        }
        let checkpoint = (full || history.checkpoint_is_due(now, claims_bytes))
            .then(|| (self.state.snapshot(), self.claims.freeze()));
        self.history.cut = Some(Cut {
            last_group: self.next_group - 1,
            last_lsn: self.state.last_lsn,
            checkpoint,
        });
        self.history_durable(now);
    }

    /// Ships the decided range once all of it is durable.
    pub(super) fn history_durable(&mut self, now: Now) {
        let durable_group = self.durable_group;
        let ready = self
            .history
            .cut
            .as_ref()
            .is_some_and(|cut| cut.last_group <= durable_group);
        if ready && !self.history.busy {
            self.ship_up_to_cut(now);
        }
    }

    /// Ships the next object on the way to the cut; at the cut, stores its checkpoint.
    fn ship_up_to_cut(&mut self, now: Now) {
        let history = &mut self.history;
        let cut = history.cut.as_ref().expect("there is a cut to ship up to");
        if history.shipped_lsn == cut.last_lsn {
            return self.cut_reached(now);
        }
        let mut size = L0Size::default();
        let mut groups = Vec::new();
        let (mut last_group, mut last_lsn) = (0, 0);
        for group in &history.unshipped {
            let place = &group.place;
            if place.group_no > cut.last_group || size.is_full(history.settings.ship_bytes) {
                break;
            }
            size += group.size;
            (last_group, last_lsn) = (place.group_no, group.last_lsn);
            let bytes = match self.shared.hot.find(place.group_no) {
                Whereabouts::Memory(bytes) => Some(bytes),
                Whereabouts::Disk(_) | Whereabouts::Gone => None,
            };
            groups.push((place.clone(), bytes));
        }
        history.shipping = Some((last_group, last_lsn));
        let job = ShipJob {
            seq: history.next_seq,
            epoch: self.state.epoch,
            cluster_id: self.state.cluster_id,
            first_lsn: history.shipped_lsn + 1,
            last_lsn,
            first_group: groups.first().map_or(0, |(place, _)| place.group_no),
            last_group,
            groups,
            topic_ids: self
                .topics
                .values()
                .map(|topic| (topic.number, topic.id))
                .collect(),
        };
        history.busy = true;
        self.outputs
            .push_back(Output::History(Box::new(HistoryJob::Ship(job))));
    }

    /// Takes the end of the job in flight.
    pub(super) fn history_done(&mut self, done: Done, now: Now) {
        self.history.busy = false;
        match done {
            Done::Shipped { sections } => self.shipped(&sections, now),
            Done::Checkpointed { run } => self.checkpointed(run, now),
        }
    }

    fn shipped(&mut self, sections: &[ObjectExtent], now: Now) {
        let (last_group, last_lsn) = self.history.shipping.take().expect("an object was stored");
        let name = ObjectName::Log(self.history.next_seq);
        // A topic whose deletion is not durable is still there.
        let topics = self.shared.topics();
        let exists = |topic| topics.by_number(topic).is_some();
        self.history
            .extents
            .add(name, sections, exists, now.wall_ms)
            .expect("objects are shipped in log order");
        self.readers_see_extents(sections);
        self.forget_shipped(last_group);
        let history = &mut self.history;
        history.oldest_unshipped_ms = now.elapsed_ms;
        history.shipped_lsn = last_lsn;
        history.next_seq += 1;
        history.objects_since_checkpoint += 1;
        self.shared.stats.shipped(last_lsn);
        self.ship_up_to_cut(now);
    }

    fn forget_shipped(&mut self, last_group: u64) {
        self.shared.hot.shipped(last_group);
        let history = &mut self.history;
        while history
            .unshipped
            .front()
            .is_some_and(|group| group.place.group_no <= last_group)
        {
            let group = history
                .unshipped
                .pop_front()
                .expect("the front was just seen");
            history.unshipped_bytes -= u64::from(group.place.len);
        }
    }

    fn cut_reached(&mut self, now: Now) {
        let cut = self.history.cut.take().expect("a cut was reached");
        if cut.checkpoint.is_some()
            && self.history.upkeep_in_flight == Some(UpkeepInFlight::Deletes)
        {
            // What the checkpoint will name is in no manifest yet, so it could be deleted as unknown.
            self.history.cut = Some(cut);
            return;
        }
        // Groups without records, which no object needs.
        self.forget_shipped(cut.last_group);
        if let Some((state, frozen)) = cut.checkpoint {
            let history = &mut self.history;
            history.busy = true;
            history.objects_since_checkpoint = 0;
            history.bytes_since_checkpoint = history.unshipped_bytes;
            history.checkpoint_ms = now.elapsed_ms;
            history.upkeep.checkpoint_cut(&history.extents);
            let job = CheckpointJob {
                epoch: self.state.epoch,
                state,
                extents: history.extents.clone(),
                next_seq: history.next_seq,
                last_group: cut.last_group,
                last_lsn: cut.last_lsn,
                runs: self.claims.run_refs(),
                frozen,
            };
            history.checkpoint_in_flight = Some((cut.last_group, cut.last_lsn));
            self.outputs
                .push_back(Output::History(Box::new(HistoryJob::Checkpoint(job))));
        }
    }

    /// Gives readers the new extents of the partitions in `sections`.
    pub(super) fn readers_see_extents(&self, sections: &[ObjectExtent]) {
        let hot_front = self.shared.hot.front();
        let topics = self.shared.topics();
        for section in sections {
            let handle = topics
                .by_number(section.topic)
                .and_then(|topic| topic.partitions.get(section.partition as usize));
            if let Some(handle) = handle {
                let extents = self
                    .history
                    .extents
                    .shared(section.topic, section.partition);
                handle.set_extents(extents, hot_front);
            }
        }
    }

    fn checkpointed(&mut self, run: Option<Arc<Run>>, now: Now) {
        let (group, lsn) = self
            .history
            .checkpoint_in_flight
            .take()
            .expect("a checkpoint was in flight");
        self.history.checkpoint_lsn = lsn;
        if let Some(run) = run {
            let runs = self.shared.runs.load().with(run);
            self.install(runs);
        }
        self.segments.recycle(group + 1);
        while let Some(surplus) = self.segments.take_surplus() {
            self.outputs.push_back(Output::ShrinkWal(surplus));
        }
        self.history.upkeep.checkpointed();
        self.release_held(now);
    }

    /// Puts a set of runs in force.
    pub(super) fn install(&mut self, runs: Runs) {
        let runs = Arc::new(runs);
        let gone = self.claims.runs_installed(&runs);
        self.shared.runs.store(runs);
        if !gone.is_empty() {
            // Freeing a million claims takes tens of milliseconds, and nobody waits for it.
            self.outputs.push_back(Output::Drop(gone));
        }
    }

    /// Does what time asks of history.
    pub(super) fn history_tick(&mut self, now: Now) {
        if self.group.is_empty() && self.lanes.is_empty() {
            self.cut_if_due(now);
        }
        self.forget_producers(now);
        let history = &self.history;
        if now.elapsed_ms >= history.retention_checked_ms + history.settings.retention_check_ms {
            self.history.retention_checked_ms = now.elapsed_ms;
            self.retain(now);
        }
        if self.history.upkeep_in_flight.is_none() && now.elapsed_ms >= self.history.upkeep_at_ms {
            self.upkeep_tick(now);
        }
    }
}

impl From<Done> for Input {
    fn from(done: Done) -> Self {
        Self::HistoryDone(done)
    }
}

impl From<upkeep::Done> for Input {
    fn from(done: upkeep::Done) -> Self {
        Self::UpkeepDone(done)
    }
}
