//! What the log means: the fold of its records, and nothing else.
//!
//! `State` changes only through [`State::apply`], at the sequencer's tail while serving and record
//! by record while recovering, so that both come to the same state (invariant 10). Its image,
//! stored in checkpoints, is equal for equal logs. Claims are folded beside it, in [`claims`],
//! because they are too many for an image; extents in [`extents`], because they say where the log
//! is, not what it means.

pub mod claims;
pub mod command;
pub mod extents;
mod image;
pub mod producers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_event_log::TopicConfig;

use self::command::{Command, OffsetsCommitted, OffsetsExpired};
pub use self::image::{Image, Later, Snapshot};
use self::producers::Producers;
use crate::batch::BatchHeader;

/// How far apart times are remembered: expiry is as exact as that.
const MARK_EVERY_MS: i64 = 10 * 60 * 1000;

/// Ten weeks of them; more become coarser.
const MARKS_LIMIT: usize = 10_000;

/// Log time at a record.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
struct TimeMark {
    log_time_ms: i64,
    lsn: u64,
}

/// The log's state after its last applied record.
#[derive(Clone, Debug)]
pub struct State {
    pub cluster_id: [u8; 16],
    pub claim_secret: [u8; 16],
    /// The epoch of the process that last opened the log; every partition's leader epoch.
    pub epoch: u32,
    /// The number of the last applied record; 0 in an empty log.
    pub last_lsn: u64,
    /// Log time as last recorded. Never goes back.
    pub log_time_ms: i64,
    /// Log times and the records that told them, oldest first: so a record's age can be told.
    marks: VecDeque<TimeMark>,
    pub next_topic: u32,
    pub next_producer_id: i64,
    topics: BTreeMap<u32, Arc<Topic>>,
    names: HashMap<String, u32>,
    pub producers: Producers,
    groups: BTreeMap<String, Arc<CommittedGroup>>,
    /// What they take, about.
    groups_bytes: u64,
}

/// A topic, by what the log says of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Topic {
    pub number: u32,
    pub id: [u8; 16],
    pub name: String,
    pub config: TopicConfig,
    pub internal: bool,
    pub partitions: Vec<Partition>,
}

/// The ends of a partition and its leader epochs.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Partition {
    pub log_start: i64,
    /// The offset that the next record gets: the log end offset.
    pub next_offset: i64,
    /// Leader epochs and the offsets they started at, oldest first.
    pub epochs: Vec<(u32, i64)>,
}

/// The committed offsets of a consumer group.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct CommittedGroup {
    pub generation: i32,
    /// By topic number and partition.
    pub offsets: BTreeMap<(u32, u32), Committed>,
    /// Since when it has had no members, as far as is known.
    #[serde(skip)]
    pub empty_since_ms: Option<i64>,
}

/// One committed offset.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Committed {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_ms: i64,
}

/// One record, as much of it as the state needs.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    /// A batch at its place.
    Data {
        topic: u32,
        partition: u32,
        header: &'a BatchHeader,
    },
    Meta(&'a Command),
}

/// A record that cannot follow the ones before it: the log is damaged or a fold is wrong.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ApplyError {
    #[error("record {found} follows record {last}")]
    NotDense { last: u64, found: u64 },
    #[error("record {lsn}: no topic of number {topic} with partition {partition}")]
    NoSuchPartition {
        lsn: u64,
        topic: u32,
        partition: u32,
    },
    #[error(
        "record {lsn}: batch at offset {found} of {topic}/{partition} where {expected} is next"
    )]
    OffsetGap {
        lsn: u64,
        topic: u32,
        partition: u32,
        expected: i64,
        found: i64,
    },
    #[error("record {lsn}: {what}")]
    Impossible { lsn: u64, what: &'static str },
}

impl Default for State {
    /// The state of an empty log.
    fn default() -> Self {
        Self {
            cluster_id: [0; 16],
            claim_secret: [0; 16],
            epoch: 0,
            last_lsn: 0,
            log_time_ms: 0,
            marks: VecDeque::new(),
            next_topic: 1,
            next_producer_id: 1,
            topics: BTreeMap::new(),
            names: HashMap::new(),
            producers: Producers::default(),
            groups: BTreeMap::new(),
            groups_bytes: 0,
        }
    }
}

impl State {
    /// Applies the record `lsn`, which must be the one after the last.
    ///
    /// # Errors
    /// The record cannot follow; the state is as before.
    pub fn apply(&mut self, lsn: u64, entry: &Entry<'_>) -> Result<(), ApplyError> {
        if lsn != self.last_lsn + 1 {
            return Err(ApplyError::NotDense {
                last: self.last_lsn,
                found: lsn,
            });
        }
        match entry {
            Entry::Data {
                topic,
                partition,
                header,
            } => self.apply_data(lsn, *topic, *partition, header)?,
            Entry::Meta(command) => self.apply_command(lsn, command)?,
        }
        self.last_lsn = lsn;
        Ok(())
    }

    fn apply_data(
        &mut self,
        lsn: u64,
        topic: u32,
        partition: u32,
        header: &BatchHeader,
    ) -> Result<(), ApplyError> {
        let lane = self
            .partition_mut(topic, partition)
            .ok_or(ApplyError::NoSuchPartition {
                lsn,
                topic,
                partition,
            })?;
        if header.base_offset != lane.next_offset {
            let (expected, found) = (lane.next_offset, header.base_offset);
            return Err(ApplyError::OffsetGap {
                lsn,
                topic,
                partition,
                expected,
                found,
            });
        }
        lane.next_offset = header.last_offset() + 1;
        self.producers.note(lsn, topic, partition, header);
        Ok(())
    }

    fn apply_command(&mut self, lsn: u64, command: &Command) -> Result<(), ApplyError> {
        let impossible = |what| Err(ApplyError::Impossible { lsn, what });
        match command {
            Command::ClusterCreated(created) => {
                if lsn != 1 {
                    return impossible("a cluster is created by its first record");
                }
                self.cluster_id = created.cluster_id;
                self.claim_secret = created.claim_secret;
            }
            Command::EpochStarted(started) => {
                if started.epoch <= self.epoch {
                    return impossible("an epoch starts that is not newer");
                }
                self.epoch = started.epoch;
                self.pass_time(lsn, started.log_time_ms);
                for topic in self.topics.values_mut() {
                    for lane in &mut Arc::make_mut(topic).partitions {
                        lane.start_epoch(started.epoch);
                    }
                }
            }
            Command::TopicCreated(created) => {
                if created.number != self.next_topic || self.names.contains_key(&created.name) {
                    return impossible("a topic is created with a number or name that is taken");
                }
                let mut lane = Partition::default();
                lane.start_epoch(self.epoch);
                self.next_topic += 1;
                self.names.insert(created.name.clone(), created.number);
                let topic = Topic {
                    number: created.number,
                    id: created.id,
                    name: created.name.clone(),
                    config: created.config.clone(),
                    internal: created.internal,
                    partitions: vec![lane; created.partitions as usize],
                };
                self.topics.insert(created.number, Arc::new(topic));
            }
            Command::TopicAltered(altered) => {
                let Some(topic) = self.topics.get_mut(&altered.number) else {
                    return impossible("a topic is altered that does not exist");
                };
                if (altered.partitions as usize) < topic.partitions.len() {
                    return impossible("a topic gets fewer partitions");
                }
                let topic = Arc::make_mut(topic);
                let mut lane = Partition::default();
                lane.start_epoch(self.epoch);
                topic.partitions.resize(altered.partitions as usize, lane);
                topic.config.clone_from(&altered.config);
            }
            Command::TopicDeleted(deleted) => {
                let Some(topic) = self.topics.remove(&deleted.number) else {
                    return impossible("a topic is deleted that does not exist");
                };
                self.names.remove(&topic.name);
                self.producers.drop_topic(topic.number);
                for group in self.groups.values_mut() {
                    if group
                        .offsets
                        .keys()
                        .any(|(number, _)| *number == topic.number)
                    {
                        let offsets = &mut Arc::make_mut(group).offsets;
                        offsets.retain(|(number, _), committed| {
                            let stays = *number != topic.number;
                            if !stays {
                                self.groups_bytes -= committed.memory_bytes();
                            }
                            stays
                        });
                    }
                }
            }
            Command::LogStartMoved(moved) => {
                for (topic, partition, log_start) in &moved.moves {
                    // A topic deleted since the move was decided has no start to move.
                    if let Some(lane) = self.partition_mut(*topic, *partition) {
                        lane.log_start = lane.log_start.max((*log_start).min(lane.next_offset));
                    }
                }
            }
            Command::ProducerIdGiven(given) => {
                self.next_producer_id = self.next_producer_id.max(given.producer_id + 1);
            }
            Command::ProducersExpired(expired) => {
                self.producers.expire(expired.before_lsn);
                self.marks.retain(|mark| mark.lsn > expired.before_lsn);
            }
            Command::OffsetsCommitted(committed) => self.commit_offsets(committed),
            Command::TimePassed(passed) => self.pass_time(lsn, passed.log_time_ms),
            Command::GroupsSeen(seen) => {
                self.see_groups(&seen.occupied, None);
                self.see_groups(&seen.empty, Some(seen.at_ms));
            }
            Command::OffsetsExpired(expired) => self.expire_offsets(expired),
        }
        Ok(())
    }

    fn pass_time(&mut self, lsn: u64, log_time_ms: i64) {
        self.log_time_ms = self.log_time_ms.max(log_time_ms);
        let (log_time_ms, last) = (self.log_time_ms, self.marks.back());
        if last.is_none_or(|last| log_time_ms - last.log_time_ms >= MARK_EVERY_MS) {
            self.marks.push_back(TimeMark { log_time_ms, lsn });
        }
        if self.marks.len() > MARKS_LIMIT {
            // Every other one: far back, time need not be as fine.
            let mut at = 0_u32;
            self.marks.retain(|_| {
                at += 1;
                at.is_multiple_of(2)
            });
        }
    }

    /// The last record that is known to be at least `age_ms` old, by log time.
    pub fn record_of_age(&self, log_time_ms: i64, age_ms: i64) -> Option<u64> {
        let old = |mark: &&TimeMark| log_time_ms.saturating_sub(mark.log_time_ms) >= age_ms;
        self.marks.iter().rev().find(old).map(|mark| mark.lsn)
    }

    fn commit_offsets(&mut self, committed: &OffsetsCommitted) {
        let name = &committed.group;
        if !self.groups.contains_key(name) {
            self.groups_bytes += CommittedGroup::memory_bytes(name);
        }
        let group = Arc::make_mut(self.groups.entry(name.clone()).or_default());
        group.generation = group.generation.max(committed.generation);
        for entry in &committed.entries {
            if self.topics.contains_key(&entry.topic) {
                let key = (entry.topic, entry.partition);
                let offset = Committed {
                    offset: entry.offset,
                    leader_epoch: entry.leader_epoch,
                    metadata: entry.metadata.clone(),
                    commit_ms: committed.commit_ms,
                };
                self.groups_bytes += offset.memory_bytes();
                if let Some(before) = group.offsets.insert(key, offset) {
                    self.groups_bytes -= before.memory_bytes();
                }
            }
        }
    }

    fn see_groups(&mut self, names: &[String], empty_since_ms: Option<i64>) {
        for name in names {
            if let Some(group) = self.groups.get_mut(name) {
                Arc::make_mut(group).empty_since_ms = empty_since_ms;
            }
        }
    }

    fn expire_offsets(&mut self, expired: &OffsetsExpired) {
        for (name, offsets) in &expired.groups {
            let Some(group) = self.groups.get_mut(name) else {
                continue;
            };
            let group = Arc::make_mut(group);
            for key in offsets {
                if let Some(gone) = group.offsets.remove(key) {
                    self.groups_bytes -= gone.memory_bytes();
                }
            }
            if group.offsets.is_empty() {
                self.groups.remove(name);
                self.groups_bytes -= CommittedGroup::memory_bytes(name);
            }
        }
    }

    /// What groups and their offsets take, about.
    pub fn groups_bytes(&self) -> u64 {
        self.groups_bytes
    }

    /// How many partitions all topics have.
    pub fn partition_count(&self) -> usize {
        self.topics
            .values()
            .map(|topic| topic.partitions.len())
            .sum()
    }

    fn partition_mut(&mut self, topic: u32, partition: u32) -> Option<&mut Partition> {
        let lanes = self.topics.get_mut(&topic)?;
        // Copied at most once after each snapshot; a partition that does not exist copies nothing.
        if partition as usize >= lanes.partitions.len() {
            return None;
        }
        Arc::make_mut(lanes).partitions.get_mut(partition as usize)
    }

    /// A partition by topic number, if both exist.
    pub fn partition(&self, topic: u32, partition: u32) -> Option<&Partition> {
        self.topics.get(&topic)?.partitions.get(partition as usize)
    }

    /// A topic by number.
    pub fn topic(&self, number: u32) -> Option<&Topic> {
        self.topics.get(&number).map(|topic| &**topic)
    }

    /// A topic's number by name.
    pub fn topic_number(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// All topics by number.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values().map(|topic| &**topic)
    }

    /// A group's committed offsets.
    pub fn group(&self, name: &str) -> Option<&Arc<CommittedGroup>> {
        self.groups.get(name)
    }

    /// All groups by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&String, &Arc<CommittedGroup>)> {
        self.groups.iter()
    }
}

impl CommittedGroup {
    /// What a group takes beside its offsets, about.
    fn memory_bytes(name: &str) -> u64 {
        256 + 2 * name.len() as u64
    }
}

impl Committed {
    fn memory_bytes(&self) -> u64 {
        96 + self.metadata.len() as u64
    }
}

impl Partition {
    /// Notes that `epoch` leads from the log end on. An epoch without records leaves no trace.
    fn start_epoch(&mut self, epoch: u32) {
        if self
            .epochs
            .last()
            .is_some_and(|(_, start)| *start == self.next_offset)
        {
            self.epochs.pop();
        }
        self.epochs.push((epoch, self.next_offset));
    }
}
