//! From the open group to the answer: seal, write, wait until every earlier group is durable too,
//! publish, answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    AppendAnswer, GROUP_WORTH_A_WRITE_BYTES, Now, Output, Placed, Produced, Refusal, Sequencer,
};
use crate::read::partition::{Partition, RecentBatch, Topic};
use crate::state::CommittedGroup;
use crate::wal::{GroupFrame, GroupPlace, SegmentId, WriteJob};

/// When the log goes idle, the last group is covered by an empty one after this time, so that rot
/// in it cannot pass for a torn tail.
const COVER_AFTER_MS: u64 = 50;

/// How long to wait after the disk was too full for another segment.
const GROW_AGAIN_AFTER_MS: u64 = 5_000;

/// An answer that waits for durability.
#[derive(Debug)]
pub(super) enum Answer {
    Append(oneshot::Sender<AppendAnswer>, Vec<Result<Placed, Refusal>>),
    Produce(oneshot::Sender<Result<Produced, Refusal>>, Produced),
    Lookup(oneshot::Sender<Result<Option<Placed>, Refusal>>, Placed),
    Topic(oneshot::Sender<Result<Arc<Topic>, Refusal>>, Arc<Topic>),
    Done(oneshot::Sender<Result<(), Refusal>>),
    ProducerId(oneshot::Sender<Result<i64, Refusal>>, i64),
}

/// A change of what readers see, made when its group is durable.
#[derive(Debug)]
pub(super) enum Effect {
    Batch(Arc<Partition>, RecentBatch),
    /// A topic is new, or has changed.
    TopicThere(Arc<Topic>),
    TopicDeleted(u32),
    LogStartMoved(Arc<Partition>, i64),
    GroupsChanged(Vec<(String, Arc<CommittedGroup>)>),
    GroupsGone(Vec<String>),
    /// Log time was recorded.
    TimePassed(i64),
}

/// A sealed group on its way to the disk.
#[derive(Debug)]
pub(super) struct InFlight {
    place: GroupPlace,
    last_lsn: u64,
    answers: Vec<Answer>,
    effects: Vec<Effect>,
    bytes: Option<Bytes>,
}

impl Sequencer {
    /// Keeps an answer until all that was taken so far is durable; gives it now if it is.
    pub(super) fn answer_when_durable(&mut self, answer: Answer) {
        if !self.group.is_empty() || !self.lanes.is_empty() {
            self.answers.push(answer);
        } else if let Some(last) = self.in_flight.back_mut() {
            last.answers.push(answer);
        } else {
            answer.give();
        }
    }

    /// Seals the open group if a write is worth it now.
    ///
    /// With no write in flight it always is. With some, the group grows until one of them ends or it
    /// is large enough to be worth a write of its own; so latency at rest is one write, and under
    /// load the groups grow by themselves.
    pub fn flush(&mut self, now: Now) {
        let bytes = self.group.len_bytes() + self.lanes.bytes();
        if self.group.is_empty() && self.lanes.is_empty() {
            return;
        }
        let worth_it = match self.in_flight.len() {
            0 => true,
            writes if writes < self.settings.writes_in_flight => bytes >= GROUP_WORTH_A_WRITE_BYTES,
            _ => bytes >= self.settings.group_limit_bytes,
        };
        if worth_it {
            self.seal(now);
        }
    }

    /// Closes the open group and gives it to the writers.
    pub(super) fn seal(&mut self, now: Now) {
        self.close_lanes();
        self.close_with_time();
        // An empty group covers the ones before it and needs no cover itself.
        self.uncovered = !self.group.is_empty();
        let group_no = self.next_group;
        let committed_no = self.durable_group;
        let len = self.group.sealed_len_bytes();
        let placement = self
            .segments
            .place(len, group_no)
            .expect("room for a group of any size was there before it was opened");
        let group = self.group.seal(GroupFrame {
            group_no,
            committed_no,
            epoch: self.state.epoch,
            first_lsn: self.group_first_lsn,
            wall_ms: now.wall_ms,
            salt: placement.salt,
        });
        let place = GroupPlace {
            segment: placement.segment,
            position: placement.position,
            len: u32::try_from(len).expect("a group is smaller than 4 GiB"),
            group_no,
            first_lsn: self.group_first_lsn,
            epoch: self.state.epoch,
        };
        self.in_flight.push_back(InFlight {
            place: place.clone(),
            last_lsn: self.state.last_lsn,
            answers: std::mem::take(&mut self.answers),
            effects: std::mem::take(&mut self.effects),
            bytes: None,
        });
        self.outputs.push_back(Output::Write(WriteJob {
            segment: placement.segment,
            position: placement.position,
            open: placement.open,
            group_no,
            group,
        }));
        self.next_group += 1;
        self.group_first_lsn = self.state.last_lsn + 1;
        self.idle_since_ms = None;
        let size = std::mem::take(&mut self.group_size);
        self.history_sealed(&place, size, now);
        if self.segments.wants_growth() && self.grow_again_ms.is_none() {
            self.grow();
        }
    }

    /// Takes the end of a write, and publishes and answers every group that is durable by it.
    pub(super) fn written(&mut self, group_no: u64, bytes: Bytes, now: Now) {
        let first = self.durable_group + 1;
        let at = group_no
            .checked_sub(first)
            .and_then(|at| usize::try_from(at).ok());
        let Some(written) = at.and_then(|at| self.in_flight.get_mut(at)) else {
            debug_assert!(false, "group {group_no} was written twice");
            return;
        };
        written.bytes = Some(bytes);
        while self
            .in_flight
            .front()
            .is_some_and(|group| group.bytes.is_some())
        {
            let group = self.in_flight.pop_front().expect("the front was just seen");
            self.durable(group, now);
        }
        if self.in_flight.is_empty() {
            self.idle_since_ms = Some(now.elapsed_ms);
        }
        self.history_durable(now);
        self.release_held(now);
    }

    fn durable(&mut self, group: InFlight, now: Now) {
        self.durable_group = group.place.group_no;
        let durable_bytes = group.bytes.as_ref().map_or(0, Bytes::len);
        self.shared.hot.push(group.place, group.bytes);
        self.shared
            .stats
            .group_durable(group.last_lsn, durable_bytes);
        let hot_front = self.shared.hot.front();
        let mut advanced: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut woken: Vec<Arc<Partition>> = Vec::new();
        for effect in group.effects {
            match effect {
                Effect::Batch(partition, batch) => {
                    partition.publish(batch, hot_front);
                    if advanced.insert((partition.topic, partition.index)) {
                        woken.push(partition);
                    }
                }
                Effect::TopicThere(topic) => self.shared.put_topic(topic),
                Effect::TopicDeleted(number) => {
                    self.shared.remove_topic(number);
                    self.history.topic_deleted(number, now);
                }
                Effect::LogStartMoved(partition, log_start) => {
                    partition.move_log_start(log_start);
                    let (topic, index) = (partition.topic, partition.index);
                    self.history.log_start_moved(topic, index, log_start, now);
                }
                Effect::GroupsChanged(groups) => self.shared.set_groups(groups),
                Effect::GroupsGone(groups) => self.shared.forget_groups(&groups),
                Effect::TimePassed(log_time_ms) => self.durable_time_ms = log_time_ms,
            }
        }
        // Readers are woken once a partition, after all of it is visible.
        for partition in woken {
            self.shared.purgatory.advanced(&partition);
        }
        for answer in group.answers {
            answer.give();
        }
    }

    /// Covers the last group by an empty one once the log has been idle for a moment.
    pub(super) fn cover_last_group(&mut self, now: Now) {
        let idle = self
            .idle_since_ms
            .is_some_and(|since| now.elapsed_ms >= since + COVER_AFTER_MS);
        let nothing_open = self.group.is_empty() && self.lanes.is_empty();
        if idle && nothing_open && self.uncovered && self.in_flight.is_empty() && self.has_room() {
            self.seal(now);
        }
    }

    pub(super) fn grow(&mut self) {
        self.grow_again_ms = None;
        if let Some(segment) = self.segments.grow() {
            self.outputs.push_back(Output::GrowWal(segment));
        }
    }

    pub(super) fn grown(&mut self, segment: SegmentId, created: bool, now: Now) {
        if created {
            self.segments.grown(segment);
            self.release_held(now);
            if self.segments.wants_growth() {
                self.grow();
            }
        } else {
            // The disk is full: the log goes on with the segments it has, and asks again later.
            self.segments.growth_failed(segment);
            self.grow_again_ms = Some(now.elapsed_ms + GROW_AGAIN_AFTER_MS);
        }
    }
}

impl Answer {
    /// Answers. A caller that has gone away needs none.
    fn give(self) {
        match self {
            Self::Append(reply, appended) => drop(reply.send(AppendAnswer::Records(appended))),
            Self::Produce(reply, produced) => drop(reply.send(Ok(produced))),
            Self::Lookup(reply, found) => drop(reply.send(Ok(Some(found)))),
            Self::Topic(reply, topic) => drop(reply.send(Ok(topic))),
            Self::Done(reply) => drop(reply.send(Ok(()))),
            Self::ProducerId(reply, producer_id) => drop(reply.send(Ok(producer_id))),
        }
    }
}
