//! The one that orders. Takes commands, gives each accepted record its place, and answers once
//! the record is durable. Pure: it reads no clock, touches no disk and starts no thread; what it
//! wants done it says in [`Output`]s, and what was done it is told in [`Input`]s.
//!
//! Invariants: a record has its offset before it has its group, and its group before its answer;
//! nothing is refused after it was given an offset; answers leave in log order; the visible state
//! (topics, high watermarks, committed offsets) is that of the durable prefix, never ahead of it.

mod append;
mod clock;
mod command;
mod durable;
mod history;
mod offsets;
mod topics;
mod upkeep;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tidegate_event_log::{AlterTopic, Disposition, Place, TopicConfig};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use self::append::OpenLanes;
pub use self::append::{RECORD_OVERHEAD_BYTES, repeat_of};
pub use self::clock::{LogClock, News};
use self::durable::{Answer, Effect, InFlight};
use self::history::History;
pub use self::history::{
    CheckpointImage, CheckpointJob, Done, HistoryJob, HistorySettings,
    Recovered as HistoryRecovered, ShipJob, Unshipped,
};
pub use self::topics::handle_of;
use crate::batch::BatchHeader;
use crate::object::l0::L0Size;
use crate::read::partition::Topic;
use crate::shared::Shared;
use crate::state::State;
use crate::state::claims::{ClaimKey, Claims, Frozen};
use crate::state::command::OffsetsCommitted;
use crate::state::extents::ObjectName;
use crate::wal::{GroupBuilder, SegmentId, Segments, WriteJob};

/// A group is sealed once it holds this much, even if the disk is busy. No command is larger, so a
/// group never grows to more than twice as much.
pub const GROUP_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// With writes in flight, a smaller group waits for one of them to end.
const GROUP_WORTH_A_WRITE_BYTES: usize = 12 * 1024;

/// Commands that wait for room in the write-ahead log at the same time.
const HELD_COMMANDS_LIMIT: usize = 100_000;

/// How long a command may wait for room before it is refused, with nothing stored.
pub const HELD_LIMIT_MS: u64 = 4_000;

/// Something the sequencer is asked or told.
#[derive(Debug)]
pub enum Input {
    Append(AppendCommand),
    Produce(ProduceCommand),
    Lookup(LookupCommand),
    CreateTopic(CreateTopicCommand),
    AlterTopic(AlterTopicCommand),
    DeleteTopic(DeleteTopicCommand),
    GiveProducerId(oneshot::Sender<Result<i64, Refusal>>),
    CommitOffsets(CommitOffsetsCommand),
    /// Time to look for offsets that expire. These consumer groups have members.
    CheckOffsets(BTreeSet<String>),
    /// A group was written; these are its bytes as they stand on disk.
    Written {
        group_no: u64,
        bytes: Bytes,
    },
    /// A segment was created, or could not be.
    Grown {
        segment: SegmentId,
        created: bool,
    },
    /// The one history job in flight has ended.
    HistoryDone(history::Done),
    /// The one job of upkeep in flight has ended.
    UpkeepDone(crate::upkeep::Done),
}

/// Something the sequencer wants done.
#[derive(Debug)]
pub enum Output {
    Write(WriteJob),
    GrowWal(SegmentId),
    /// Remove a segment that recovery had needed beyond the budget.
    ShrinkWal(SegmentId),
    History(Box<HistoryJob>),
    Upkeep(Box<crate::upkeep::Job>),
    /// Free these tables of claims.
    Drop(Vec<Arc<Frozen>>),
}

/// Why a command was refused. Nothing was stored.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("no such topic or partition")]
    NoSuchPartition,
    #[error("a claim run was sealed meanwhile: look the claims up again")]
    Recheck,
    #[error("the claims fill their budget: keyed events wait until windows end")]
    ClaimsFull,
    #[error("the write-ahead log is full: history cannot be stored fast enough")]
    WalFull,
    #[error("the log is stopping")]
    Stopping,
    #[error("the topic exists")]
    TopicExists,
    /// A topic cannot be changed so.
    #[error("{0}")]
    BadTopic(String),
    #[error("all topics together would have more partitions than `max.partitions` allows")]
    TooManyPartitions,
    #[error("no more consumer groups or committed offsets are kept until others expire")]
    OffsetsFull,
    #[error("the batch is out of order")]
    OutOfOrder,
    #[error("a newer producer epoch has written")]
    FencedProducer,
}

/// Records from the gateway, each on its own.
#[derive(Debug)]
pub struct AppendCommand {
    pub records: Vec<NewRecord>,
    /// The set of claim runs in which the caller looked and found nothing.
    pub runs_version: u64,
    pub reply: oneshot::Sender<AppendAnswer>,
}

/// The answer to an [`AppendCommand`].
#[derive(Debug)]
pub enum AppendAnswer {
    /// What became of each record, in order.
    Records(Vec<Result<Placed, Refusal>>),
    /// Nothing was stored: a claim run was sealed meanwhile. Look the claims up in the new set.
    Recheck(Vec<NewRecord>),
}

/// What became of a record, and where it stands, or the one that was there first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placed {
    pub topic: u32,
    pub place: Place,
    pub disposition: Disposition,
}

/// One encoded record (see [`crate::batch::encode_record`]).
#[derive(Debug)]
pub struct NewRecord {
    pub topic: u32,
    pub partition: u32,
    pub body: Bytes,
    pub claim: Option<NewClaim>,
}

/// A claim, hashed.
#[derive(Clone, Copy, Debug)]
pub struct NewClaim {
    pub key: ClaimKey,
    pub fingerprint: [u8; 16],
    pub window_s: u32,
}

/// One validated batch from the Kafka port.
#[derive(Debug)]
pub struct ProduceCommand {
    pub topic: u32,
    pub partition: u32,
    pub header: BatchHeader,
    pub batch: Bytes,
    pub reply: oneshot::Sender<Result<Produced, Refusal>>,
}

/// Where a produced batch stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Produced {
    pub base_offset: i64,
    pub log_start: i64,
}

/// A question about a claim that no run holds.
#[derive(Debug)]
pub struct LookupCommand {
    pub key: ClaimKey,
    pub fingerprint: [u8; 16],
    pub runs_version: u64,
    pub reply: oneshot::Sender<Result<Option<Placed>, Refusal>>,
}

/// A topic to be created; name and settings are valid.
#[derive(Debug)]
pub struct CreateTopicCommand {
    pub name: String,
    pub id: [u8; 16],
    pub partitions: u32,
    pub config: TopicConfig,
    pub internal: bool,
    pub reply: oneshot::Sender<Result<Arc<Topic>, Refusal>>,
}

/// A topic to be changed; what cannot be is found out against the tail.
#[derive(Debug)]
pub struct AlterTopicCommand {
    pub name: String,
    pub alter: AlterTopic,
    pub reply: oneshot::Sender<Result<Arc<Topic>, Refusal>>,
}

#[derive(Debug)]
pub struct DeleteTopicCommand {
    pub name: String,
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// Offsets to be committed; `commit_ms` is set by the sequencer.
#[derive(Debug)]
pub struct CommitOffsetsCommand {
    pub offsets: OffsetsCommitted,
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// The settings of the sequencer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// [`GROUP_LIMIT_BYTES`], but for simulations.
    pub group_limit_bytes: usize,
    /// Group writes in flight at the same time.
    pub writes_in_flight: usize,
    /// Memory and disk that claims may hold.
    pub claims_budget_bytes: u64,
    /// `max.partitions`: how many all topics together may have.
    pub max_partitions: usize,
    /// Kafka's `offsets.retention.minutes`.
    pub offsets_retention_ms: i64,
    /// What consumer groups and their offsets may take in memory.
    pub offsets_budget_bytes: u64,
    pub history: HistorySettings,
}

/// Time as the driver tells it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall_ms: i64,
    pub elapsed_ms: u64,
}

/// A command without room, and until when it waits. It keeps its place in the queue's limit, so that
/// a full log does not fill memory.
#[derive(Debug)]
struct Held {
    until_ms: u64,
    input: Input,
    permit: Option<OwnedSemaphorePermit>,
}

/// The sequencer.
#[derive(Debug)]
pub struct Sequencer {
    settings: Settings,
    shared: Arc<Shared>,
    state: State,
    claims: Claims,
    clock: LogClock,
    /// The last record that tells the time, and the last such time that is durable.
    time_lsn: u64,
    durable_time_ms: i64,
    /// What the open group has to tell, since claims in it were found to be free by it.
    group_time_ms: Option<i64>,
    /// The handles of all topics at the tail, ahead of the published table.
    topics: HashMap<u32, Arc<Topic>>,
    segments: Segments,
    group: GroupBuilder,
    group_first_lsn: u64,
    /// What the open group adds to an object.
    group_size: L0Size,
    lanes: OpenLanes,
    answers: Vec<Answer>,
    effects: Vec<Effect>,
    next_group: u64,
    in_flight: VecDeque<InFlight>,
    /// Whether the last group has records and no later group on disk says that it is durable.
    uncovered: bool,
    durable_group: u64,
    idle_since_ms: Option<u64>,
    /// When to ask for another segment after the disk was full.
    grow_again_ms: Option<u64>,
    held: VecDeque<Held>,
    history: History,
    outputs: VecDeque<Output>,
    stopping: bool,
}

/// What recovery hands over.
#[derive(Debug)]
pub struct Recovered {
    pub state: State,
    pub claims: Claims,
    pub topics: HashMap<u32, Arc<Topic>>,
    pub segments: Segments,
    /// The number of the first group to be written.
    pub next_group: u64,
    pub history: history::Recovered,
}

impl Sequencer {
    /// Makes a sequencer that goes on where recovery ended. It must be told to start its epoch
    /// ([`Sequencer::start_epoch`]) before anything else.
    pub fn new(settings: Settings, shared: Arc<Shared>, recovered: Recovered, now: Now) -> Self {
        let durable_time_ms = recovered.state.log_time_ms;
        let clock = LogClock::new(durable_time_ms, now);
        let history = History::new(settings.history.clone(), recovered.history, now);
        Self {
            group_first_lsn: recovered.state.last_lsn + 1,
            state: recovered.state,
            claims: recovered.claims,
            time_lsn: 0,
            durable_time_ms,
            group_time_ms: None,
            clock,
            topics: recovered.topics,
            segments: recovered.segments,
            group: GroupBuilder::new(),
            group_size: L0Size::default(),
            lanes: OpenLanes::default(),
            answers: Vec::new(),
            effects: Vec::new(),
            next_group: recovered.next_group,
            in_flight: VecDeque::new(),
            uncovered: false,
            durable_group: recovered.next_group - 1,
            idle_since_ms: None,
            grow_again_ms: None,
            held: VecDeque::new(),
            history,
            outputs: VecDeque::new(),
            stopping: false,
            settings,
            shared,
        }
    }

    /// Takes one input. Groups are sealed by [`Sequencer::flush`], once the inputs at hand are taken.
    pub fn take(&mut self, input: Input, now: Now) {
        self.take_admitted(input, None, now);
    }

    /// Takes one input, and what its place in the queue is held by until it is executed.
    pub fn take_admitted(&mut self, input: Input, permit: Option<OwnedSemaphorePermit>, now: Now) {
        match input {
            Input::Written { group_no, bytes } => self.written(group_no, bytes, now),
            Input::Grown { segment, created } => self.grown(segment, created, now),
            Input::HistoryDone(done) => self.history_done(done, now),
            Input::UpkeepDone(done) => self.upkept(done, now),
            command => self.admit(command, permit, now),
        }
    }

    /// The next thing to be done, if any.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Takes a command if there is room for it, holds it if there may be soon, refuses it else.
    fn admit(&mut self, command: Input, permit: Option<OwnedSemaphorePermit>, now: Now) {
        // A question needs no room.
        let needs_room = !matches!(command, Input::Lookup(_));
        if self.stopping {
            refuse(command, &Refusal::Stopping);
        } else if !needs_room || self.held.is_empty() && self.has_room() {
            self.execute(command, now);
        } else if self.held.len() < HELD_COMMANDS_LIMIT {
            self.held.push_back(Held {
                until_ms: now.elapsed_ms + HELD_LIMIT_MS,
                input: command,
                permit,
            });
        } else {
            refuse(command, &Refusal::WalFull);
        }
    }

    /// Whether two groups grown to their limit have a place: the open one, and the one that the next
    /// command may open by sealing it. Asked before a record gets an offset, so that nothing is
    /// refused after.
    fn has_room(&self) -> bool {
        let largest = 2 * self.settings.group_limit_bytes;
        self.segments.has_room(2 * largest)
    }

    fn execute(&mut self, command: Input, now: Now) {
        match command {
            Input::Append(command) => self.append(command, now),
            Input::Produce(command) => self.produce(command, now),
            Input::Lookup(command) => self.lookup(command, now),
            Input::CreateTopic(command) => self.create_topic(command, now),
            Input::AlterTopic(command) => self.alter_topic(command, now),
            Input::DeleteTopic(command) => self.delete_topic(command, now),
            Input::GiveProducerId(reply) => self.give_producer_id(reply, now),
            Input::CommitOffsets(command) => self.commit_offsets(command, now),
            Input::CheckOffsets(occupied) => self.check_offsets(&occupied, now),
            Input::Written { .. }
            | Input::Grown { .. }
            | Input::HistoryDone(_)
            | Input::UpkeepDone(_) => {
                unreachable!("completions are not commands")
            }
        }
    }

    /// Takes held commands, oldest first, while there is room, and refuses those that waited too long.
    fn release_held(&mut self, now: Now) {
        while let Some(held) = self.held.front() {
            let late = held.until_ms <= now.elapsed_ms;
            if !late && !self.has_room() {
                break;
            }
            let held = self.held.pop_front().expect("the front was just seen");
            if late {
                refuse(held.input, &Refusal::WalFull);
            } else {
                self.execute(held.input, now);
            }
            drop(held.permit);
        }
    }

    /// Does what time asks for. To be called at least ten times a second.
    pub fn tick(&mut self, now: Now) {
        let log_time_ms = self.claims_time(now);
        self.shared.set_log_time(log_time_ms);
        self.release_held(now);
        if self.grow_again_ms.is_some_and(|at| at <= now.elapsed_ms) {
            self.grow();
        }
        self.record_time(now);
        self.history_tick(now);
        self.tell_of_leaps();
        self.cover_last_group(now);
        self.flush(now);
    }

    fn tell_of_leaps(&mut self) {
        const PER_MINUTE: i64 = 60_000;
        match self.clock.take_news() {
            None => {}
            Some(News::Leapt { ahead_ms }) => tracing::error!(
                ahead_minutes = ahead_ms / PER_MINUTE,
                "the wall clock is far ahead of the log's last time: the machine was off or slept for so \
                 long, or its clock is wrong; for an hour nothing expires by it and no history is \
                 deleted: set the clock now if it is wrong"
            ),
            Some(News::Believed { ahead_ms }) => tracing::warn!(
                ahead_minutes = ahead_ms / PER_MINUTE,
                "the wall clock has stood ahead for an hour and is believed"
            ),
            Some(News::SetBack) => tracing::info!("the wall clock is no longer far ahead"),
        }
    }

    /// Stops taking commands; what was taken is still made durable and answered.
    pub fn stop(&mut self, now: Now) {
        self.stopping = true;
        for held in std::mem::take(&mut self.held) {
            refuse(held.input, &Refusal::Stopping);
        }
        self.flush(now);
    }

    /// Whether everything taken is durable and answered.
    pub fn is_drained(&self) -> bool {
        self.group.is_empty() && self.lanes.is_empty() && self.in_flight.is_empty()
    }

    /// The state at the tail.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Objects the log still has, for tests and the simulation.
    pub fn objects(&self) -> impl Iterator<Item = &ObjectName> {
        self.history.extents().objects().keys()
    }
}

/// Answers a command that stored nothing.
fn refuse(command: Input, why: &Refusal) {
    // A caller that has gone away needs no answer.
    match command {
        Input::Append(command) => {
            let refusals = command.records.iter().map(|_| Err(why.clone())).collect();
            drop(command.reply.send(AppendAnswer::Records(refusals)));
        }
        Input::Produce(command) => drop(command.reply.send(Err(why.clone()))),
        Input::Lookup(command) => drop(command.reply.send(Err(why.clone()))),
        Input::CreateTopic(command) => drop(command.reply.send(Err(why.clone()))),
        Input::AlterTopic(command) => drop(command.reply.send(Err(why.clone()))),
        Input::DeleteTopic(command) => drop(command.reply.send(Err(why.clone()))),
        Input::GiveProducerId(reply) => drop(reply.send(Err(why.clone()))),
        Input::CommitOffsets(command) => drop(command.reply.send(Err(why.clone()))),
        Input::CheckOffsets(_)
        | Input::Written { .. }
        | Input::Grown { .. }
        | Input::HistoryDone(_)
        | Input::UpkeepDone(_) => {}
    }
}
