//! Data into the open group: records from the gateway, collected into one open batch a partition,
//! and batches from the Kafka port, verbatim but for the twelve bytes of their place.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_event_log::{Disposition, Place};

use super::durable::Answer;
use super::{
    AppendAnswer, AppendCommand, LookupCommand, NewClaim, NewRecord, Now, Placed, ProduceCommand,
    Produced, Refusal, Sequencer,
};
use crate::batch::{BatchHeader, HEADER_BYTES, OpenBatch};
use crate::read::partition::{Partition, RecentBatch};
use crate::state::Entry as LogEntry;
use crate::state::claims;
use crate::state::producers::Verdict;
use crate::wal::{RecordKind, flags};

/// An open batch is closed at this size, so that readers with small limits are not sent megabytes.
const OPEN_BATCH_LIMIT_BYTES: usize = 1024 * 1024;

/// An open batch takes no record later than this after its first, whose time they all have: a disk
/// that stalls must not make claims older than they are.
const OPEN_BATCH_LASTS_MS: i64 = 100;

/// What a record costs beside its body: length, deltas and attributes, its claim, and its share of
/// a batch header.
pub const RECORD_OVERHEAD_BYTES: usize = 128;

/// The open batches of the open group, in the order in which they were opened.
#[derive(Debug, Default)]
pub(super) struct OpenLanes {
    lanes: Vec<OpenLane>,
    by_partition: HashMap<(u32, u32), usize>,
    bytes: usize,
    /// Buffers of closed batches, for use again.
    spare: Vec<OpenBatch>,
}

#[derive(Debug)]
struct OpenLane {
    topic: u32,
    partition: Arc<Partition>,
    base_offset: i64,
    /// The time of all its records: that of the first. A claim's time is thus the batch's, and can
    /// be read from there.
    timestamp_ms: i64,
    batch: OpenBatch,
    /// Claims as the write-ahead log stores them.
    claims: Vec<u8>,
}

impl OpenLanes {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Sequencer {
    pub(super) fn append(&mut self, command: AppendCommand, now: Now) {
        let claims_anything = command.records.iter().any(|record| record.claim.is_some());
        if claims_anything && command.runs_version != self.claims.runs_version() {
            // All or none: a part handed back alone would come to stand behind its successors.
            return drop(command.reply.send(AppendAnswer::Recheck(command.records)));
        }
        let bytes: usize = command
            .records
            .iter()
            .map(|record| record.body.len() + RECORD_OVERHEAD_BYTES)
            .sum();
        self.make_room(bytes, now);
        let log_time_ms = self.claims_time(now);
        if claims_anything {
            self.record_claims_time(log_time_ms);
        }
        let stamp_ms = self.clock.stamp(now);
        let answers = command
            .records
            .iter()
            .map(|record| self.append_one(record, log_time_ms, stamp_ms))
            .collect();
        self.answer_when_durable(Answer::Append(command.reply, answers));
    }

    fn append_one(
        &mut self,
        record: &NewRecord,
        log_time_ms: i64,
        stamp_ms: i64,
    ) -> Result<Placed, Refusal> {
        let partition = self.partition(record.topic, record.partition)?;
        if let Some(claim) = &record.claim {
            if let Some(held) = self.held_claim(claim.key, log_time_ms) {
                return Ok(repeat_of(&held, claim.fingerprint));
            }
            if self.claims.held_bytes() + claims::ENTRY_BYTES > self.settings.claims_budget_bytes {
                return Err(Refusal::ClaimsFull);
            }
        }
        let (offset, timestamp_ms) = self.push_record(record, &partition, stamp_ms);
        if let Some(claim) = &record.claim {
            self.claims
                .insert(claim.key, entry_of(claim, record, offset, timestamp_ms));
        }
        let place = Place {
            partition: record.partition.cast_signed(),
            offset,
            timestamp_ms,
        };
        Ok(Placed {
            topic: record.topic,
            place,
            disposition: Disposition::Stored,
        })
    }

    /// Puts a record into its partition's open batch and returns its offset and timestamp.
    fn push_record(
        &mut self,
        record: &NewRecord,
        partition: &Arc<Partition>,
        stamp_ms: i64,
    ) -> (i64, i64) {
        let key = (record.topic, record.partition);
        let over = self.lanes.by_partition.get(&key).is_some_and(|at| {
            let lane = &self.lanes.lanes[*at];
            lane.batch.len_bytes() + record.body.len() > OPEN_BATCH_LIMIT_BYTES
                || stamp_ms >= lane.timestamp_ms + OPEN_BATCH_LASTS_MS
        });
        if over {
            // Order in the partition is the order in the group: all lanes go before a new one opens.
            self.close_lanes();
        }
        let at = match self.lanes.by_partition.get(&key) {
            Some(at) => *at,
            None => {
                let base_offset = self
                    .state
                    .partition(record.topic, record.partition)
                    .map_or(0, |lane| lane.next_offset);
                let mut batch = self
                    .lanes
                    .spare
                    .pop()
                    .unwrap_or_else(|| OpenBatch::new(0, 0));
                batch.reset(base_offset, stamp_ms);
                self.lanes.lanes.push(OpenLane {
                    topic: record.topic,
                    partition: partition.clone(),
                    base_offset,
                    timestamp_ms: stamp_ms,
                    batch,
                    claims: Vec::new(),
                });
                self.lanes
                    .by_partition
                    .insert(key, self.lanes.lanes.len() - 1);
                self.lanes.lanes.len() - 1
            }
        };
        let lane = &mut self.lanes.lanes[at];
        let index = lane.batch.record_count();
        lane.batch.push(&record.body, lane.timestamp_ms);
        if let Some(claim) = &record.claim {
            claims::encode_in_record(
                &mut lane.claims,
                claim.key,
                claim.fingerprint,
                u32::try_from(index).expect("a batch holds fewer than 2^31 records"),
                claim.window_s,
            );
        }
        self.lanes.bytes += record.body.len() + RECORD_OVERHEAD_BYTES;
        (lane.base_offset + i64::from(index), lane.timestamp_ms)
    }

    /// Moves all open batches into the open group.
    pub(super) fn close_lanes(&mut self) {
        let lanes = std::mem::take(&mut self.lanes.lanes);
        self.lanes.by_partition.clear();
        self.lanes.bytes = 0;
        for mut lane in lanes {
            let leader_epoch = self.state.epoch.cast_signed();
            let bytes = lane.batch.close(leader_epoch);
            let header = BatchHeader::parse(bytes).expect("a closed batch has a header");
            let (head, tail) = bytes.split_at(HEADER_BYTES);
            self.group_size.add_data(bytes.len(), lane.claims.len());
            push_data(
                &mut self.group,
                &mut self.state,
                &mut self.effects,
                lane.topic,
                &lane.partition,
                &header,
                Data {
                    flags: flags::CRC_PENDING,
                    claims: &lane.claims,
                    parts: [head, tail],
                },
                self.next_group,
            );
            self.lanes.spare.push(lane.batch);
        }
    }

    pub(super) fn produce(&mut self, command: ProduceCommand, now: Now) {
        let ProduceCommand {
            topic,
            partition: index,
            mut header,
            batch,
            reply,
        } = command;
        let partition = match self.partition(topic, index) {
            Ok(partition) => partition,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        self.make_room(batch.len() + RECORD_OVERHEAD_BYTES, now);
        if self.lanes.by_partition.contains_key(&(topic, index)) {
            self.close_lanes();
        }
        let log_start = self
            .state
            .partition(topic, index)
            .map_or(0, |lane| lane.log_start);
        match self.state.producers.judge(topic, index, &header) {
            Verdict::OutOfOrder => return drop(reply.send(Err(Refusal::OutOfOrder))),
            Verdict::Fenced => return drop(reply.send(Err(Refusal::FencedProducer))),
            Verdict::Repeat(first) => {
                let produced = Produced {
                    base_offset: first.base_offset,
                    log_start,
                };
                return self.answer_when_durable(Answer::Produce(reply, produced));
            }
            Verdict::Next => {}
        }
        header.base_offset = self
            .state
            .partition(topic, index)
            .map_or(0, |lane| lane.next_offset);
        header.leader_epoch = self.state.epoch.cast_signed();
        let mut head = [0; HEADER_BYTES];
        header.write(&mut head);
        self.group_size.add_data(batch.len(), 0);
        push_data(
            &mut self.group,
            &mut self.state,
            &mut self.effects,
            topic,
            &partition,
            &header,
            Data {
                flags: 0,
                claims: &[],
                parts: [&head, &batch[HEADER_BYTES..]],
            },
            self.next_group,
        );
        let produced = Produced {
            base_offset: header.base_offset,
            log_start,
        };
        self.answer_when_durable(Answer::Produce(reply, produced));
    }

    pub(super) fn lookup(&mut self, command: LookupCommand, now: Now) {
        if command.runs_version != self.claims.runs_version() {
            return drop(command.reply.send(Err(Refusal::Recheck)));
        }
        let log_time_ms = self.claims_time(now);
        match self.held_claim(command.key, log_time_ms) {
            None => drop(command.reply.send(Ok(None))),
            Some(held) => {
                let found = repeat_of(&held, command.fingerprint);
                self.answer_when_durable(Answer::Lookup(command.reply, found));
            }
        }
    }

    /// Finds a claim that is held in memory, its window not over and its topic still there.
    fn held_claim(&self, key: claims::ClaimKey, log_time_ms: i64) -> Option<claims::Entry> {
        self.claims
            .check(key, log_time_ms)
            .filter(|held| self.topics.contains_key(&held.topic))
    }

    fn partition(&self, topic: u32, partition: u32) -> Result<Arc<Partition>, Refusal> {
        self.topics
            .get(&topic)
            .and_then(|topic| topic.partitions.get(partition as usize))
            .cloned()
            .ok_or(Refusal::NoSuchPartition)
    }

    /// Seals the open group if `bytes` more would make it too large.
    pub(super) fn make_room(&mut self, bytes: usize, now: Now) {
        let held = self.group.len_bytes() + self.lanes.bytes();
        if held > 0 && held + bytes > self.settings.group_limit_bytes {
            self.seal(now);
        }
    }
}

/// A batch on its way into the group: claims and bytes, the header apart because it was patched.
struct Data<'a> {
    flags: u8,
    claims: &'a [u8],
    parts: [&'a [u8]; 2],
}

#[expect(
    clippy::too_many_arguments,
    reason = "disjoint fields of the sequencer, borrowed one by one"
)]
fn push_data(
    group: &mut crate::wal::GroupBuilder,
    state: &mut crate::state::State,
    effects: &mut Vec<super::durable::Effect>,
    topic: u32,
    partition: &Arc<Partition>,
    header: &BatchHeader,
    data: Data<'_>,
    group_no: u64,
) {
    let len = data.parts[0].len() + data.parts[1].len();
    let position = group
        .push(
            RecordKind::Data,
            data.flags,
            topic,
            partition.index,
            data.claims,
            &data.parts,
        )
        .expect("room was made before the record got its offset");
    let entry = LogEntry::Data {
        topic,
        partition: partition.index,
        header,
    };
    state
        .apply(state.last_lsn + 1, &entry)
        .expect("the batch was given the next offset of a partition that exists");
    effects.push(super::durable::Effect::Batch(
        partition.clone(),
        RecentBatch {
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            group_no,
            position,
            len: u32::try_from(len).expect("a batch is smaller than a group"),
        },
    ));
}

/// The answer to who wants a claim that is held.
pub fn repeat_of(held: &claims::Entry, fingerprint: [u8; 16]) -> Placed {
    let disposition = if held.fingerprint == fingerprint {
        Disposition::Repeated
    } else {
        Disposition::Mismatched
    };
    let place = Place {
        partition: held.partition.cast_signed(),
        offset: held.offset,
        timestamp_ms: held.timestamp_ms,
    };
    Placed {
        topic: held.topic,
        place,
        disposition,
    }
}

fn entry_of(claim: &NewClaim, record: &NewRecord, offset: i64, timestamp_ms: i64) -> claims::Entry {
    claims::Entry {
        fingerprint: claim.fingerprint,
        topic: record.topic,
        partition: record.partition,
        offset,
        timestamp_ms,
        window_s: claim.window_s,
    }
}
