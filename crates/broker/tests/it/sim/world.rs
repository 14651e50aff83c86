//! One simulated machine: a disk and a store that outlive the process, processes that live on them
//! one after the other, senders and readers around.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tidegate_broker::boot::{self, BootError, Booted, Found, Ground};
use tidegate_broker::env::{Clock, Disk};
use tidegate_broker::object::{Key, ObjectError, Objects, manifest};
use tidegate_broker::read::cold::ColdReader;
use tidegate_broker::read::partition::Topic;
use tidegate_broker::sequencer::{HistoryJob, HistorySettings, Input, Now, Output, Settings};
use tidegate_broker::state::command::{Command, EpochStarted};
use tidegate_broker::state::{Entry, Image, State};
use tidegate_broker::topic_settings::TopicSettings;
use tidegate_broker::upkeep;
use tidegate_broker::wal::{FinishedWrite, SegmentId, file_name};

use super::disk::SimDisk;
use super::env::{Rng, SimClock, SimRandom};
use super::jobs::UnderWay;
use super::model::Model;
use super::senders::{Producer, Waiting};
use super::store::SimStore;

/// A bug, put in at a seam of the system, that the checker has to find.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Plant {
    AckBeforeSync,
    LostWrite,
    OffsetsTwice,
    ProducersForgotten,
    ClaimsForgotten,
    OrderSwapped,
    WatermarkBack,
    ReadAhead,
    RecordSkipped,
    AlterForgotten,
}

/// One process.
pub(super) struct Process {
    pub(super) log: Booted,
    pub(super) cold: ColdReader,
    pub(super) writes: Vec<FinishedWrite>,
    pub(super) history: Option<Box<HistoryJob>>,
    pub(super) upkeep: Option<Box<upkeep::Job>>,
    pub(super) under_way: Vec<UnderWay>,
    /// Jobs that have ended, and the sequencer has not heard of it.
    pub(super) done: Vec<Input>,
    pub(super) grow: Vec<SegmentId>,
    pub(super) waiting: Vec<Waiting>,
}

/// What goes wrong for the whole of one life.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weather {
    /// The disk has no room for another segment.
    full_disk: bool,
    /// The store answers so seldom that the write-ahead log fills.
    store_away: bool,
    /// The wall clock is set, forth and back.
    wild_clock: bool,
}

pub(super) struct World {
    pub(super) weather: Weather,
    pub(super) rng: Rng,
    pub(super) plant: Option<Plant>,
    pub(super) clock: SimClock,
    pub(super) disk: SimDisk,
    pub(super) store: SimStore,
    pub(super) ground: Ground,
    /// What a test wants otherwise than all others.
    pub(super) tweak: fn(&mut boot::Config),
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) model: Model,
    pub(super) producers: Vec<Producer>,
    /// The state after a record, for all records of the log as it stands.
    pub(super) images: BTreeMap<u64, Image>,
    pub(super) next_number: u64,
    pub(super) next_commit: i64,
    pub(super) next_change: u64,
    /// How often each kind of job came to its end.
    pub(super) jobs_done: BTreeMap<&'static str, u64>,
    pub(super) trace: u64,
}

const GROUP_LIMIT_BYTES: usize = 16 * 1024;
pub(super) const SEGMENT_BYTES: u64 = 160 * 1024;

impl World {
    pub(super) fn new(seed: u64, plant: Option<Plant>) -> Self {
        let mut rng = Rng::new(seed);
        let clock = SimClock(Arc::new(Mutex::new((1_700_000_000_000, Duration::ZERO))));
        let disk = SimDisk::default();
        let store = SimStore::new(rng.next());
        let objects: Arc<dyn ObjectStore> = Arc::new(store.clone());
        let ground = Ground {
            disk: Arc::new(disk.clone()) as Arc<dyn Disk>,
            objects: Objects::new(objects, "sim", Arc::new(clock.clone())),
            clock: Arc::new(clock.clone()),
            random: Arc::new(SimRandom(Mutex::new(Rng::new(rng.next())))),
        };
        Self {
            weather: Weather::default(),
            plant,
            clock,
            disk,
            store,
            ground,
            tweak: |_| {},
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            model: Model::default(),
            producers: (0..3)
                .map(|id| Producer {
                    id: 1_000 + id,
                    ..Producer::default()
                })
                .collect(),
            images: BTreeMap::new(),
            next_number: 1,
            next_commit: 1,
            next_change: 1,
            jobs_done: BTreeMap::new(),
            trace: seed,
            rng,
        }
    }

    /// A digest of all that happened.
    pub(super) fn trace(&self) -> u64 {
        self.trace
    }

    pub(super) fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(17);
    }

    pub(super) fn now(&self) -> Now {
        Now {
            wall_ms: self.clock.wall_ms(),
            elapsed_ms: u64::try_from(self.clock.elapsed().as_millis()).unwrap(),
        }
    }

    /// One process, from its start to its crash, or to its orderly end.
    pub(super) fn live(&mut self, last: bool) {
        let mut process = self.boot();
        self.check_everything(&process);
        self.weather = Weather {
            full_disk: self.rng.chance(1, 5),
            store_away: self.rng.chance(1, 5),
            wild_clock: self.rng.chance(1, 5),
        };
        let steps = 150 + self.rng.below(400);
        for _ in 0..steps {
            self.step(&mut process);
            if self.store.take_death() {
                return self.crash(process);
            }
        }
        if last {
            self.settle(&mut process);
            self.check_everything(&process);
        } else {
            self.crash(process);
        }
    }

    pub(super) fn boot(&mut self) -> Process {
        self.store
            .fail_one_in(if self.rng.chance(1, 3) { 30 } else { 0 });
        for _ in 0..100 {
            if self.rng.chance(1, 4) {
                self.store.die_after(self.rng.below(12));
            }
            let config = self.config();
            let boot = Box::pin(boot::boot(&self.ground, config));
            let booted = self.runtime.block_on(poll_until_dead(boot, &self.store));
            if self.store.take_death() {
                continue;
            }
            match booted.expect("only death leaves a start undone") {
                Ok(log) => return self.process(log),
                Err(BootError::Object(ObjectError::Unavailable { .. })) => {}
                Err(error) => panic!("the log does not open: {error}"),
            }
        }
        panic!("the log did not open in a hundred tries");
    }

    /// One try to open the log, with a store that does nothing wrong.
    pub(super) fn try_boot(&mut self) -> Result<Booted, BootError> {
        self.store.fail_one_in(0);
        let config = self.config();
        let boot = Box::pin(boot::boot(&self.ground, config));
        self.runtime.block_on(boot)
    }

    pub(super) fn config(&mut self) -> boot::Config {
        let mut config = boot::Config {
            wal_segment_bytes: SEGMENT_BYTES,
            wal_budget_bytes: 4 * SEGMENT_BYTES,
            // Little, so that reads come from the disk and from objects.
            hot_budget_bytes: 24 * 1024,
            topic_defaults: TopicSettings {
                retention_ms: -1,
                ..TopicSettings::default()
            },
            sequencer: Settings {
                group_limit_bytes: GROUP_LIMIT_BYTES,
                writes_in_flight: 4,
                claims_budget_bytes: 1 << 30,
                max_partitions: 1_000,
                offsets_retention_ms: i64::MAX,
                offsets_budget_bytes: 1 << 30,
                history: HistorySettings {
                    ship_bytes: 24 * 1024,
                    ship_after_ms: 2_000,
                    wal_budget_bytes: 4 * SEGMENT_BYTES,
                    checkpoint_bytes: 60 * 1024,
                    checkpoint_after_ms: 20_000,
                    checkpoint_objects: 4,
                    claims_in_memory_bytes: 2_000,
                    retention_check_ms: 1_000,
                    delete_after_ms: 5_000,
                    rewrite_dead_bytes: 2_000,
                    producer_expiry_ms: 86_400_000,
                    producers_limit: 1_000,
                },
            },
        };
        (self.tweak)(&mut config);
        config
    }

    fn process(&mut self, log: Booted) -> Process {
        self.check_recovered_state(&log);
        self.note(u64::from(log.epoch));
        let cold = ColdReader::new(self.ground.objects.clone(), log.files.clone(), 8);
        let mut process = Process {
            log,
            cold,
            writes: Vec::new(),
            history: None,
            upkeep: None,
            under_way: Vec::new(),
            done: Vec::new(),
            grow: Vec::new(),
            waiting: Vec::new(),
        };
        self.drain(&mut process);
        process
    }

    /// Invariant 10: recovery comes to the state that the log had.
    fn check_recovered_state(&mut self, log: &Booted) {
        let Found { last_lsn, .. } = log.found;
        self.images.retain(|lsn, _| *lsn <= last_lsn);
        let Some(image) = self.images.get(&last_lsn) else {
            return;
        };
        let mut expected = State::from_image(image.clone());
        let mut next = last_lsn + 1;
        if self.plant == Some(Plant::RecordSkipped) {
            next = last_lsn;
            expected.last_lsn -= 1;
        }
        // Retries in the middle of a start move the clock; the epoch's own time is not the question.
        let epoch = EpochStarted {
            epoch: log.epoch,
            log_time_ms: log.sequencer.state().log_time_ms,
        };
        expected
            .apply(next, &Entry::Meta(&Command::EpochStarted(epoch)))
            .unwrap();
        let found = log.sequencer.state().image();
        assert_eq!(
            expected.image(),
            found,
            "recovery came to another state at {last_lsn}"
        );
    }

    /// Executes what the sequencer wants done, as far as it is done at once.
    pub(super) fn drain(&mut self, process: &mut Process) {
        while let Some(output) = process.log.sequencer.next_output() {
            match output {
                Output::Write(job) => {
                    let early = matches!(self.plant, Some(Plant::AckBeforeSync | Plant::ReadAhead));
                    let write = job.finish();
                    process.writes.push(write);
                    if early && self.rng.chance(1, 4) {
                        self.complete_write(process, process.writes.len() - 1, false);
                    }
                }
                Output::GrowWal(segment) => process.grow.push(segment),
                Output::ShrinkWal(segment) => process.log.files.remove(segment).unwrap(),
                Output::History(job) => {
                    assert!(process.history.is_none(), "one history job at a time");
                    process.history = Some(job);
                }
                Output::Drop(_) => {}
                Output::Upkeep(job) => {
                    assert!(process.upkeep.is_none(), "one job of upkeep at a time");
                    process.upkeep = Some(job);
                }
            }
        }
        let state = process.log.sequencer.state();
        self.images
            .entry(state.last_lsn)
            .or_insert_with(|| state.image());
        if self.images.len() > 4_000 {
            self.images.pop_first();
        }
        self.collect_answers(process);
    }

    pub(super) fn complete_write(&mut self, process: &mut Process, at: usize, really: bool) {
        let write = process.writes.swap_remove(at);
        let lost = self.plant == Some(Plant::LostWrite) && self.rng.chance(1, 6);
        let done = if really && !lost {
            write
                .run(&process.log.files)
                .expect("the simulated disk does not fail here")
        } else {
            write.done()
        };
        self.note(done.group_no);
        let input = Input::Written {
            group_no: done.group_no,
            bytes: done.bytes,
        };
        process.log.sequencer.take(input, self.now());
        self.drain(process);
    }

    fn step(&mut self, process: &mut Process) {
        match self.rng.below(100) {
            0..28 => self.send_append(process),
            28..42 => self.send_produce(process),
            42..46 => self.send_create(process),
            46 => self.send_delete(process),
            47..51 => self.send_commit(process),
            51..54 => self.send_alter(process),
            54..76 => {
                if !process.writes.is_empty() {
                    let at = self.rng.below(process.writes.len() as u64);
                    self.complete_write(process, usize::try_from(at).unwrap(), true);
                }
            }
            76..82 => {
                if self.rng.chance(1, 25) {
                    self.store.die_after(self.rng.below(8));
                }
                if !self.weather.store_away || self.rng.chance(1, 20) {
                    match self.rng.below(4) {
                        0 | 1 => self.begin_history(process),
                        2 => self.begin_upkeep(process),
                        _ => {}
                    }
                    self.go_on_with_a_job(process);
                }
                // Both lanes go on by themselves: their ends come in any order, at once or late.
                if self.rng.chance(1, 2) {
                    self.hear_of_a_job(process);
                }
            }
            82..84 => {
                if !self.weather.store_away {
                    self.go_on_with_a_job(process);
                }
                self.hear_of_a_job(process);
            }
            84..86 => {
                if let Some(segment) = process.grow.pop() {
                    let full = self.weather.full_disk || self.rng.chance(1, 5);
                    let created = !full && process.log.files.create(segment, SEGMENT_BYTES).is_ok();
                    process
                        .log
                        .sequencer
                        .take(Input::Grown { segment, created }, self.now());
                }
            }
            86..93 => {
                let long = self.rng.chance(1, 8);
                let mut ms = self.rng.below(if long { 6_000 } else { 120 });
                if self.rng.chance(1, 60) {
                    ms += 3_600_000;
                }
                self.clock.advance(Duration::from_millis(ms));
                if self.weather.wild_clock && self.rng.chance(1, 6) {
                    self.set_wall_clock();
                }
                process.log.sequencer.tick(self.now());
            }
            _ => self.read_somewhere(process),
        }
        if self.rng.chance(2, 3) {
            process.log.sequencer.flush(self.now());
        }
        self.drain(process);
    }

    /// Sets the wall clock: by minutes mostly, by a day at times, forth or back.
    fn set_wall_clock(&mut self) {
        let most = if self.rng.chance(1, 4) {
            86_400_000
        } else {
            600_000
        };
        let by = self.rng.below(most).cast_signed();
        self.clock
            .jump(if self.rng.chance(1, 2) { by } else { -by });
    }

    /// Ends all that is under way, in good order.
    pub(super) fn settle(&mut self, process: &mut Process) {
        self.store.fail_one_in(0);
        for _ in 0..200 {
            process.log.sequencer.flush(self.now());
            self.drain(process);
            while !process.writes.is_empty() {
                self.complete_write(process, 0, true);
            }
            self.run_history(process);
            self.run_upkeep(process);
            for segment in std::mem::take(&mut process.grow) {
                let created = process.log.files.create(segment, SEGMENT_BYTES).is_ok();
                process
                    .log
                    .sequencer
                    .take(Input::Grown { segment, created }, self.now());
            }
            self.clock.advance(Duration::from_millis(100));
            process.log.sequencer.tick(self.now());
            self.drain(process);
        }
        // Invariant 13: once faults stop, everybody gets an answer.
        assert!(process.waiting.is_empty(), "somebody still waits");
    }

    /// The process dies. Each write under way is done, torn or not begun.
    fn crash(&mut self, process: Process) {
        self.note(0xdead);
        for write in process.writes {
            let segment = write.segment();
            let fate = self.rng.below(3);
            for (position, bytes) in write.writes() {
                match fate {
                    0 => break,
                    1 => self
                        .disk
                        .tear(&file_name(segment), position, bytes, &mut self.rng),
                    _ => {
                        let file = process.log.files.get(segment).unwrap();
                        file.write_at(bytes, position).unwrap();
                    }
                }
                // The header comes first, and the group begins only when it is durable.
                if fate == 1 && position == 0 {
                    break;
                }
            }
        }
        self.clock
            .advance(Duration::from_millis(self.rng.below(3_000)));
        if self.rng.chance(1, 4) {
            self.rot_the_newest_checkpoint();
        }
    }

    /// Damages or removes an object that only the newest of two checkpoints needs. Says whether there
    /// are two.
    pub(super) fn rot_the_newest_checkpoint(&mut self) -> bool {
        let store = self.store.inner();
        let objects = Objects::new(store.clone(), "sim", Arc::new(self.clock.clone()));
        let manifest = self.runtime.block_on(manifest::latest(&objects)).unwrap();
        let Some((newest, previous)) =
            manifest.and_then(|manifest| Some((manifest.checkpoint?, manifest.previous?)))
        else {
            return false;
        };
        let runs = newest
            .runs
            .iter()
            .filter(|run| !previous.runs.contains(run));
        let chunks: Vec<Key> = newest.keys().collect();
        let keys: Vec<Key> = runs.map(|run| Key::Claims(*run)).chain(chunks).collect();
        let key = *self.rng.pick(&keys).unwrap();
        self.note(0x407);
        let path = Path::from(format!("sim/{key}"));
        // A damaged block of a run is found when it is read; a checkpoint does not replace it.
        if matches!(key, Key::Claims(_)) || self.rng.chance(1, 3) {
            self.runtime.block_on(store.delete(&path)).unwrap();
        } else {
            let bytes = objects.get_all(key, 1 << 30);
            let mut bytes = self.runtime.block_on(bytes).unwrap().to_vec();
            let at = self.rng.below(bytes.len() as u64);
            bytes[usize::try_from(at).unwrap()] ^= 1 << self.rng.below(8);
            self.runtime
                .block_on(store.put(&path, bytes.into()))
                .unwrap();
        }
        true
    }

    pub(super) fn topics(process: &Process) -> Vec<Arc<Topic>> {
        process.log.shared.topics().iter().cloned().collect()
    }
}

/// Runs a future until it is done or the process has died in the middle of it.
pub(super) async fn poll_until_dead<T>(
    mut future: std::pin::Pin<Box<impl Future<Output = T>>>,
    _: &SimStore,
) -> Option<T> {
    // Nothing in the simulation waits for anything but death, so one poll tells.
    match futures::poll!(&mut future) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}
