//! One simulated machine: a disk and a store that outlive the process, processes that live on them
//! one after the other, senders and readers around.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use tidegate_broker::batch::{self, BatchHeader, HEADER_BYTES, OpenBatch};
use tidegate_broker::boot::{self, BootError, Booted, Found, Ground};
use tidegate_broker::env::{Clock, Disk, Random, Sleeper};
use tidegate_broker::object::{ObjectError, Objects};
use tidegate_broker::read::cold::ColdReader;
use tidegate_broker::read::fetch::{self, Fetched, HotFetch, ReadError};
use tidegate_broker::read::partition::{Partition, Topic};
use tidegate_broker::sequencer::{
    AppendAnswer, AppendCommand, CommitOffsetsCommand, CreateTopicCommand, DeleteTopicCommand,
    HistoryJob, HistorySettings, Input, NewClaim, NewRecord, Now, Output, ProduceCommand, Produced,
    Refusal, Settings,
};
use tidegate_broker::state::claims::ClaimKey;
use tidegate_broker::state::command::{Command, EpochStarted, OffsetEntry, OffsetsCommitted};
use tidegate_broker::state::{Entry, Image, State};
use tidegate_broker::topic_settings::TopicSettings;
use tidegate_broker::wal::{FinishedWrite, SegmentId, file_name};
use tidegate_event_log::{Appended, Disposition, Record};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::disk::SimDisk;
use super::model::{Fate, Lane, Model, Sent};
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
}

/// splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(0x1234_5678),
        )
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn chance(&mut self, wins: u64, of: u64) -> bool {
        self.below(of) < wins
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[usize::try_from(self.below(from.len() as u64)).unwrap()])
    }
}

#[derive(Clone)]
struct SimClock(Arc<Mutex<(i64, Duration)>>);

impl SimClock {
    fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap();
        time.0 += i64::try_from(by.as_millis()).unwrap();
        time.1 += by;
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        self.0.lock().unwrap().0
    }

    fn elapsed(&self) -> Duration {
        self.0.lock().unwrap().1
    }
}

#[async_trait::async_trait]
impl Sleeper for SimClock {
    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

struct SimRandom(Mutex<Rng>);

impl Random for SimRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rng = self.0.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&rng.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A question that waits for its answer.
enum Waiting {
    Append(Vec<(u64, NewRecord)>, oneshot::Receiver<AppendAnswer>),
    Produce(Vec<u64>, oneshot::Receiver<Result<Produced, Refusal>>),
    Create(oneshot::Receiver<Result<Arc<Topic>, Refusal>>),
    Delete(oneshot::Receiver<Result<(), Refusal>>),
    Commit(u64, i64, oneshot::Receiver<Result<(), Refusal>>),
}

/// An idempotent producer; it outlives the broker's process, as clients do.
#[derive(Default)]
struct Producer {
    id: i64,
    /// Next sequence and last batch, a partition each.
    lanes: BTreeMap<Lane, (i32, Option<(BatchHeader, Bytes, Vec<u64>)>)>,
}

/// One process.
struct Process {
    log: Booted,
    cold: ColdReader,
    writes: Vec<FinishedWrite>,
    history: Option<Box<HistoryJob>>,
    grow: Vec<SegmentId>,
    waiting: Vec<Waiting>,
}

pub(super) struct World {
    rng: Rng,
    plant: Option<Plant>,
    clock: SimClock,
    disk: SimDisk,
    store: SimStore,
    ground: Ground,
    runtime: tokio::runtime::Runtime,
    model: Model,
    producers: Vec<Producer>,
    /// The state after a record, for all records of the log as it stands.
    images: BTreeMap<u64, Image>,
    next_number: u64,
    next_commit: i64,
    trace: u64,
}

const SENDERS: u64 = 4;
const CLAIMS: u64 = 60;
const GROUP_LIMIT_BYTES: usize = 16 * 1024;
const SEGMENT_BYTES: u64 = 160 * 1024;

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
            plant,
            clock,
            disk,
            store,
            ground,
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
            trace: seed,
            rng,
        }
    }

    /// A digest of all that happened.
    pub(super) fn trace(&self) -> u64 {
        self.trace
    }

    fn note(&mut self, what: u64) {
        self.trace = (self.trace ^ what)
            .wrapping_mul(0x0000_0100_0000_01b3)
            .rotate_left(17);
    }

    fn now(&self) -> Now {
        Now {
            wall_ms: self.clock.wall_ms(),
            elapsed_ms: u64::try_from(self.clock.elapsed().as_millis()).unwrap(),
        }
    }

    /// One process, from its start to its crash, or to its orderly end.
    pub(super) fn live(&mut self, last: bool) {
        let mut process = self.boot();
        self.check_everything(&process);
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

    fn boot(&mut self) -> Process {
        self.store
            .fail_one_in(if self.rng.chance(1, 3) { 30 } else { 0 });
        for _ in 0..100 {
            if self.rng.chance(1, 4) {
                self.store.die_after(self.rng.below(12));
            }
            let started = self.now();
            let config = self.config();
            let boot = Box::pin(boot::boot(&self.ground, config));
            let booted = self.runtime.block_on(poll_until_dead(boot, &self.store));
            if self.store.take_death() {
                continue;
            }
            match booted.expect("only death leaves a start undone") {
                Ok(log) => return self.process(log, started),
                Err(BootError::Object(ObjectError::Unavailable { .. })) => {}
                Err(error) => panic!("the log does not open: {error}"),
            }
        }
        panic!("the log did not open in a hundred tries");
    }

    fn config(&mut self) -> boot::Config {
        boot::Config {
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
                    producer_expiry_ms: 86_400_000,
                },
            },
        }
    }

    fn process(&mut self, log: Booted, started: Now) -> Process {
        self.check_recovered_state(&log, started);
        self.note(u64::from(log.epoch));
        let cold = ColdReader::new(self.ground.objects.clone(), log.files.clone(), 8);
        let mut process = Process {
            log,
            cold,
            writes: Vec::new(),
            history: None,
            grow: Vec::new(),
            waiting: Vec::new(),
        };
        self.drain(&mut process);
        process
    }

    /// Invariant 10: recovery comes to the state that the log had.
    fn check_recovered_state(&mut self, log: &Booted, started: Now) {
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
        let wall_ms = started.wall_ms;
        let epoch = EpochStarted {
            epoch: log.epoch,
            wall_ms,
        };
        expected
            .apply(next, &Entry::Meta(&Command::EpochStarted(epoch)))
            .unwrap();
        let found = log.sequencer.state().image();
        // Retries in the middle of a start move the clock; the epoch's own time is not the question.
        expected.log_time_ms = log.sequencer.state().log_time_ms;
        assert_eq!(
            expected.image(),
            found,
            "recovery came to another state at {last_lsn}"
        );
    }

    /// Executes what the sequencer wants done, as far as it is done at once.
    fn drain(&mut self, process: &mut Process) {
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
                Output::History(job) => {
                    assert!(process.history.is_none(), "one history job at a time");
                    process.history = Some(job);
                }
            }
        }
        let state = process.log.sequencer.state();
        if !self.images.contains_key(&state.last_lsn) {
            self.images.insert(state.last_lsn, state.image());
            if self.images.len() > 4_000 {
                self.images.pop_first();
            }
        }
        self.collect_answers(process);
    }

    fn complete_write(&mut self, process: &mut Process, at: usize, really: bool) {
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

    fn run_history(&mut self, process: &mut Process) {
        let Some(job) = process.history.take() else {
            return;
        };
        let run = Box::pin(process.log.runner.run(*job));
        let done = self.runtime.block_on(poll_until_dead(run, &self.store));
        // A process that died in the middle is noticed by whoever called.
        let Some(done) = done else { return };
        let done = done.unwrap_or_else(|error| panic!("history cannot go on: {error}"));
        process.log.sequencer.take(done.into(), self.now());
        self.drain(process);
    }

    fn step(&mut self, process: &mut Process) {
        match self.rng.below(100) {
            0..28 => self.send_append(process),
            28..42 => self.send_produce(process),
            42..46 => self.send_create(process),
            46 => self.send_delete(process),
            47..51 => self.send_commit(process),
            51..76 => {
                if !process.writes.is_empty() {
                    let at = self.rng.below(process.writes.len() as u64);
                    self.complete_write(process, usize::try_from(at).unwrap(), true);
                }
            }
            76..82 => {
                if self.rng.chance(1, 25) {
                    self.store.die_after(self.rng.below(8));
                }
                self.run_history(process);
            }
            82..85 => {
                if let Some(segment) = process.grow.pop() {
                    let full = self.rng.chance(1, 5);
                    let created = !full && process.log.files.create(segment, SEGMENT_BYTES).is_ok();
                    process
                        .log
                        .sequencer
                        .take(Input::Grown { segment, created }, self.now());
                }
            }
            85..93 => {
                let long = self.rng.chance(1, 8);
                let ms = self.rng.below(if long { 6_000 } else { 120 });
                self.clock.advance(Duration::from_millis(ms));
                process.log.sequencer.tick(self.now());
            }
            _ => self.read_somewhere(process),
        }
        if self.rng.chance(2, 3) {
            process.log.sequencer.flush(self.now());
        }
        self.drain(process);
    }

    /// Ends all that is under way, in good order.
    fn settle(&mut self, process: &mut Process) {
        self.store.fail_one_in(0);
        for _ in 0..200 {
            process.log.sequencer.flush(self.now());
            self.drain(process);
            while !process.writes.is_empty() {
                self.complete_write(process, 0, true);
            }
            self.run_history(process);
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
    }

    fn topics(process: &Process) -> Vec<Arc<Topic>> {
        process.log.shared.topics().iter().cloned().collect()
    }

    fn any_lane(&mut self, process: &Process) -> Option<(Arc<Topic>, Arc<Partition>)> {
        let topics = Self::topics(process);
        let topic = self.rng.pick(&topics)?.clone();
        let partition = self.rng.pick(&topic.partitions)?.clone();
        Some((topic, partition))
    }

    fn send(&mut self, lane: Lane, claim: Option<u64>, sender: Option<u64>) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.model.sent.insert(
            number,
            Sent {
                lane,
                fate: Fate::InDoubt,
                claim,
                sender,
            },
        );
        number
    }

    fn send_append(&mut self, process: &mut Process) {
        let sender = self.rng.below(SENDERS);
        let mut records = Vec::new();
        for _ in 0..=self.rng.below(4) {
            let Some((topic, partition)) = self.any_lane(process) else {
                return;
            };
            let claim = self.rng.chance(2, 5).then(|| self.rng.below(CLAIMS));
            let number = self.send(
                (topic.id, partition.index),
                claim,
                claim.is_none().then_some(sender),
            );
            let padding = usize::try_from(self.rng.below(700)).unwrap();
            let body = batch::encode_record(&record(number, padding));
            let forgotten = self.plant == Some(Plant::ClaimsForgotten) && self.rng.chance(1, 8);
            let claim = claim.map(|claim| NewClaim {
                key: ClaimKey::of(
                    &[7; 16],
                    &[claim.to_le_bytes(), u64::from(forgotten).to_le_bytes()].concat(),
                ),
                fingerprint: [u8::try_from(claim).unwrap(); 16],
                window_s: 10_000,
            });
            let record = NewRecord {
                topic: topic.number,
                partition: partition.index,
                body,
                claim,
            };
            records.push((number, record));
        }
        if self.plant == Some(Plant::OrderSwapped) && self.rng.chance(1, 4) {
            records.reverse();
        }
        self.append(process, records);
    }

    /// As `Log::append` does it: the runs first, then the sequencer.
    fn append(&mut self, process: &mut Process, records: Vec<(u64, NewRecord)>) {
        let runs = process.log.shared.runs.load_full();
        let mut unclaimed = Vec::new();
        for (number, record) in records {
            let Some(claim) = record.claim else {
                unclaimed.push((number, record));
                continue;
            };
            let now_ms = self.clock.wall_ms();
            let topics = process.log.shared.topics();
            let exists = |topic| topics.by_number(topic).is_some();
            let lookup = Box::pin(runs.lookup(&self.ground.objects, claim.key, now_ms, exists));
            match self.runtime.block_on(poll_until_dead(lookup, &self.store)) {
                Some(Ok(None)) => unclaimed.push((number, record)),
                Some(Ok(Some(held))) => self.repeated(number, held.partition, held.offset),
                // The store does not answer, or the process died: not sent.
                Some(Err(_)) | None => self.refused(number),
            }
        }
        let numbers = unclaimed
            .iter()
            .map(|(number, record)| (*number, again(record)))
            .collect();
        let records: Vec<NewRecord> = unclaimed.into_iter().map(|(_, record)| record).collect();
        if records.is_empty() {
            return;
        }
        let (reply, answer) = oneshot::channel();
        let command = AppendCommand {
            records,
            runs_version: runs.version,
            reply,
        };
        process.waiting.push(Waiting::Append(numbers, answer));
        process
            .log
            .sequencer
            .take(Input::Append(command), self.now());
    }

    fn refused(&mut self, number: u64) {
        self.model.sent.get_mut(&number).unwrap().fate = Fate::Refused;
    }

    /// A repeat names the place of the first.
    fn repeated(&mut self, number: u64, partition: u32, offset: i64) {
        self.refused(number);
        // The claims of a topic that is being deleted end at some moment; they are not followed.
        let Some(claim) = self.model.sent[&number].claim else {
            return;
        };
        if let Some(first) = self.model.claims.get(&claim) {
            let first = &self.model.sent[first];
            assert_eq!(first.lane.1, partition, "claim {claim} is held elsewhere");
            assert_eq!(
                first.fate,
                Fate::Acked(offset),
                "claim {claim} has another place"
            );
        }
    }

    fn send_produce(&mut self, process: &mut Process) {
        let Some((topic, partition)) = self.any_lane(process) else {
            return;
        };
        let lane = (topic.id, partition.index);
        let at = usize::try_from(self.rng.below(self.producers.len() as u64)).unwrap();
        let again = self.rng.chance(1, 3);
        let last = self.producers[at].lanes.entry(lane).or_default().1.clone();
        let (mut header, mut batch, numbers) = match last {
            Some(last) if again => last,
            // Its last batch is in doubt: an idempotent producer sends nothing new before it knows.
            Some((_, _, numbers)) if self.model.sent[&numbers[0]].fate == Fate::InDoubt => return,
            _ => {
                let count = 1 + self.rng.below(3);
                let numbers: Vec<u64> = (0..count)
                    .map(|_| self.send(lane, None, Some(100 + at as u64)))
                    .collect();
                let producer = &mut self.producers[at];
                let lane = producer.lanes.get_mut(&lane).unwrap();
                let (header, batch) = idempotent_batch(producer.id, lane.0, &numbers);
                lane.0 += i32::try_from(count).unwrap();
                lane.1 = Some((header, batch.clone(), numbers.clone()));
                (header, batch, numbers)
            }
        };
        if again && self.plant == Some(Plant::ProducersForgotten) && self.rng.chance(1, 3) {
            (header, batch) =
                idempotent_batch(9_999_000 + i64::from(header.base_sequence), 0, &numbers);
        }
        let (reply, answer) = oneshot::channel();
        let (topic, partition) = (topic.number, partition.index);
        let command = ProduceCommand {
            topic,
            partition,
            header,
            batch,
            reply,
        };
        process.waiting.push(Waiting::Produce(numbers, answer));
        process
            .log
            .sequencer
            .take(Input::Produce(command), self.now());
    }

    fn send_create(&mut self, process: &mut Process) {
        if Self::topics(process).len() >= 6 {
            return;
        }
        let name = format!("topic-{}", self.rng.below(12));
        let mut id = [0; 16];
        self.ground.random.fill(&mut id);
        let mut config = BTreeMap::new();
        if self.rng.chance(1, 3) {
            config.insert("retention.bytes".to_owned(), "9000".to_owned());
        }
        let (reply, answer) = oneshot::channel();
        let partitions = u32::try_from(1 + self.rng.below(3)).unwrap();
        let command = CreateTopicCommand {
            name,
            id,
            partitions,
            config,
            internal: false,
            reply,
        };
        process.waiting.push(Waiting::Create(answer));
        process
            .log
            .sequencer
            .take(Input::CreateTopic(command), self.now());
    }

    fn send_delete(&mut self, process: &mut Process) {
        let topics = Self::topics(process);
        let Some(topic) = self.rng.pick(&topics).cloned() else {
            return;
        };
        let id = topic.id;
        self.model.deleting.insert(id);
        // Claims end with the topic that holds them.
        let sent = &self.model.sent;
        self.model
            .claims
            .retain(|_, number| sent[number].lane.0 != id);
        for sent in self
            .model
            .sent
            .values_mut()
            .filter(|sent| sent.lane.0 == id)
        {
            sent.claim = None;
        }
        let (reply, answer) = oneshot::channel();
        let command = DeleteTopicCommand {
            name: topic.name.to_string(),
            reply,
        };
        process.waiting.push(Waiting::Delete(answer));
        process
            .log
            .sequencer
            .take(Input::DeleteTopic(command), self.now());
    }

    fn send_commit(&mut self, process: &mut Process) {
        let group = self.rng.below(3);
        let Some(topic) = Self::topics(process).first().cloned() else {
            return;
        };
        let offset = self.next_commit;
        self.next_commit += 1;
        let entry = OffsetEntry {
            topic: topic.number,
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let group_id = group * 1_000_000 + u64::from(topic.number);
        let offsets = OffsetsCommitted {
            group: format!("group-{group}"),
            generation: 1,
            commit_ms: 0,
            entries: vec![entry],
        };
        self.model
            .committed
            .entry(group_id)
            .or_insert((-1, BTreeSet::new()))
            .1
            .insert(offset);
        let (reply, answer) = oneshot::channel();
        process
            .waiting
            .push(Waiting::Commit(group_id, offset, answer));
        let command = CommitOffsetsCommand { offsets, reply };
        process
            .log
            .sequencer
            .take(Input::CommitOffsets(command), self.now());
    }

    /// Hands answers that have come to the model.
    fn collect_answers(&mut self, process: &mut Process) {
        let mut resend = Vec::new();
        for waiting in std::mem::take(&mut process.waiting) {
            match waiting {
                Waiting::Append(numbers, mut answer) => match answer.try_recv() {
                    Err(TryRecvError::Empty) => {
                        process.waiting.push(Waiting::Append(numbers, answer))
                    }
                    Err(TryRecvError::Closed) => panic!("an append was dropped without an answer"),
                    Ok(AppendAnswer::Recheck(records)) => {
                        let numbers = numbers.into_iter().map(|(number, _)| number);
                        resend.push(numbers.zip(records).collect());
                    }
                    Ok(AppendAnswer::Records(answers)) => {
                        for ((number, _), answer) in numbers.into_iter().zip(answers) {
                            self.appended(number, answer);
                        }
                    }
                },
                Waiting::Produce(numbers, mut answer) => match answer.try_recv() {
                    Err(_) => process.waiting.push(Waiting::Produce(numbers, answer)),
                    Ok(Ok(produced)) => {
                        for (number, offset) in numbers.iter().zip(produced.base_offset..) {
                            self.acked(*number, offset);
                        }
                    }
                    // Its producer sends the same batch again, as clients do.
                    Ok(Err(refusal)) => assert_ne!(refusal, Refusal::OutOfOrder, "no gap was sent"),
                },
                Waiting::Create(mut answer) => match answer.try_recv() {
                    Err(_) => process.waiting.push(Waiting::Create(answer)),
                    Ok(Ok(topic)) => drop(self.model.created.insert(topic.id)),
                    Ok(Err(_)) => {}
                },
                Waiting::Delete(mut answer) => {
                    if answer.try_recv().is_err() {
                        process.waiting.push(Waiting::Delete(answer));
                    }
                }
                Waiting::Commit(group, offset, mut answer) => match answer.try_recv() {
                    Err(_) => process.waiting.push(Waiting::Commit(group, offset, answer)),
                    Ok(Ok(())) => {
                        let (acked, asked) = self.model.committed.get_mut(&group).unwrap();
                        *acked = offset.max(*acked);
                        asked.retain(|asked| *asked > offset);
                    }
                    Ok(Err(_)) => {}
                },
            }
        }
        for records in resend {
            self.append(process, records);
        }
    }

    fn acked(&mut self, number: u64, offset: i64) {
        self.note(number ^ offset.cast_unsigned());
        let twice = self.plant == Some(Plant::OffsetsTwice) && self.rng.chance(1, 10);
        let offset = if twice { (offset - 1).max(0) } else { offset };
        if self.plant != Some(Plant::ReadAhead) {
            self.model.acked(number, offset);
        }
    }

    fn appended(&mut self, number: u64, answer: Result<Appended, Refusal>) {
        match answer {
            Err(_) => self.refused(number),
            Ok(Appended {
                place,
                disposition: Disposition::Stored,
            }) => self.acked(number, place.offset),
            Ok(Appended {
                place,
                disposition: Disposition::Repeated,
            }) => {
                self.repeated(number, place.partition.cast_unsigned(), place.offset);
            }
            Ok(Appended {
                disposition: Disposition::Mismatched,
                ..
            }) => {
                panic!("record {number} has its claim's fingerprint")
            }
        }
    }

    fn fetch(
        &self,
        process: &Process,
        partition: &Arc<Partition>,
        from: i64,
        bytes: usize,
    ) -> Result<Fetched, ReadError> {
        let hot = &process.log.shared.hot;
        match fetch::fetch_hot(hot, partition, from, bytes) {
            HotFetch::Ready(fetched) => Ok(fetched),
            HotFetch::OutOfRange {
                log_start,
                high_watermark,
            } => Err(ReadError::OutOfRange {
                log_start,
                high_watermark,
            }),
            HotFetch::Cold => self.runtime.block_on(fetch::fetch_cold(
                hot,
                &process.cold,
                partition,
                from,
                bytes,
            )),
        }
    }

    fn read_somewhere(&mut self, process: &mut Process) {
        let Some((topic, partition)) = self.any_lane(process) else {
            return;
        };
        let (start, high) = (partition.log_start(), partition.high_watermark());
        let lane = (topic.id, partition.index);
        self.model.watermarks(lane, start, high);
        let from = start
            + self
                .rng
                .below((high - start).cast_unsigned() + 1)
                .cast_signed();
        let bytes = usize::try_from(self.rng.below(4_000)).unwrap();
        self.store.fail_one_in(0);
        match self.fetch(process, &partition, from, bytes) {
            Ok(fetched) => {
                let records = records_of(&fetched);
                if from < fetched.high_watermark {
                    assert!(
                        records.iter().any(|(offset, _)| *offset == from),
                        "{from} was asked for"
                    );
                }
                self.model.read(lane, fetched.high_watermark, &records);
            }
            Err(ReadError::OutOfRange { log_start, .. }) => assert!(log_start > from),
            Err(error) => panic!("{lane:?} cannot be read at {from}: {error}"),
        }
    }

    /// Reads all that is there and holds it against what was promised.
    fn check_everything(&mut self, process: &Process) {
        self.store.fail_one_in(0);
        let topics = Self::topics(process);
        self.model
            .check_topics(&topics.iter().map(|topic| topic.id).collect());
        for topic in &topics {
            for partition in &topic.partitions {
                let lane = (topic.id, partition.index);
                let (start, mut high) = (partition.log_start(), partition.high_watermark());
                let mut records = Vec::new();
                let mut from = start;
                while from < high {
                    let fetched =
                        self.fetch(process, partition, from, 3_000)
                            .unwrap_or_else(|error| {
                                panic!("{lane:?} cannot be read at {from}: {error}")
                            });
                    let read = records_of(&fetched);
                    records.extend(read.into_iter().filter(|(offset, _)| *offset >= from));
                    from = records
                        .last()
                        .expect("a read below the watermark gives records")
                        .0
                        + 1;
                }
                if self.plant == Some(Plant::WatermarkBack) && high > start {
                    high -= 1;
                    records.pop();
                }
                self.model.check_lane(lane, start, high, &records);
            }
        }
        for group in 0..3 {
            let committed = process.log.shared.group(&format!("group-{group}"));
            for topic in &topics {
                let found = committed
                    .as_ref()
                    .and_then(|group| group.offsets.get(&(topic.number, 0)));
                let id = group * 1_000_000 + u64::from(topic.number);
                self.model
                    .check_commit(id, found.map(|committed| committed.offset));
            }
        }
    }
}

fn record(number: u64, padding: usize) -> Record {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(8 + padding, 0x5a);
    Record {
        key: None,
        value: Some(value.into()),
        headers: Vec::new(),
    }
}

fn again(record: &NewRecord) -> NewRecord {
    NewRecord {
        topic: record.topic,
        partition: record.partition,
        body: record.body.clone(),
        claim: record.claim,
    }
}

fn idempotent_batch(producer_id: i64, sequence: i32, numbers: &[u64]) -> (BatchHeader, Bytes) {
    let mut open = OpenBatch::new(0, 1_000);
    for number in numbers {
        open.push(&batch::encode_record(&record(*number, 20)), 1_000);
    }
    let mut bytes = open.close(0).to_vec();
    let mut header = BatchHeader::parse(&bytes).unwrap();
    header.producer_id = producer_id;
    header.producer_epoch = 0;
    header.base_sequence = sequence;
    let mut head = [0; HEADER_BYTES];
    header.write(&mut head);
    bytes[..HEADER_BYTES].copy_from_slice(&head);
    batch::seal_crc(&mut bytes);
    (batch::validate(&bytes).unwrap(), bytes.into())
}

fn records_of(fetched: &Fetched) -> Vec<(i64, u64)> {
    let mut found = Vec::new();
    for batch in &fetched.batches {
        for record in batch::records(batch, 1 << 20).unwrap() {
            let (offset, _, record) = record.unwrap();
            let value = record.value.unwrap();
            found.push((offset, u64::from_le_bytes(value[..8].try_into().unwrap())));
        }
    }
    found
}

/// Runs a future until it is done or the process has died in the middle of it.
async fn poll_until_dead<T>(
    mut future: std::pin::Pin<Box<impl Future<Output = T>>>,
    _: &SimStore,
) -> Option<T> {
    // Nothing in the simulation waits for anything but death, so one poll tells.
    match futures::poll!(&mut future) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}
