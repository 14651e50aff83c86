//! Those who send: what they ask of the log, and what its answers tell the model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tidegate_broker::batch::{self, BatchHeader, HEADER_BYTES, OpenBatch};
use tidegate_broker::read::partition::{Partition, Topic};
use tidegate_broker::sequencer::{
    AppendAnswer, AppendCommand, CommitOffsetsCommand, CreateTopicCommand, DeleteTopicCommand,
    Input, NewClaim, NewRecord, Placed, ProduceCommand, Produced, Refusal,
};
use tidegate_broker::state::claims::ClaimKey;
use tidegate_broker::state::command::{OffsetEntry, OffsetsCommitted};
use tidegate_event_log::{Disposition, Record};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::model::{Fate, Lane, Sent, window_ms, window_s};
use super::world::{Plant, Process, World, poll_until_dead};

const SENDERS: u64 = 4;
const CLAIMS: u64 = 60;

/// A question that waits for its answer.
pub(super) enum Waiting {
    Append(Vec<(u64, NewRecord)>, oneshot::Receiver<AppendAnswer>),
    Produce(Vec<u64>, oneshot::Receiver<Result<Produced, Refusal>>),
    Create(oneshot::Receiver<Result<Arc<Topic>, Refusal>>),
    Delete(oneshot::Receiver<Result<(), Refusal>>),
    /// A change by its number, and the partitions it asks for.
    Alter(u64, usize, oneshot::Receiver<Result<Arc<Topic>, Refusal>>),
    Commit(u64, i64, oneshot::Receiver<Result<(), Refusal>>),
}

/// A batch as it was sent, and its records.
type SentBatch = (BatchHeader, Bytes, Vec<u64>);

/// An idempotent producer; it outlives the broker's process, as clients do.
#[derive(Default)]
pub(super) struct Producer {
    pub(super) id: i64,
    /// Next sequence and last batch, a partition each.
    pub(super) lanes: BTreeMap<Lane, (i32, Option<SentBatch>)>,
}

impl World {
    pub(super) fn any_lane(&mut self, process: &Process) -> Option<(Arc<Topic>, Arc<Partition>)> {
        let topics = Self::topics(process);
        let topic = self.rng.pick(&topics)?.clone();
        let partition = self.rng.pick(&topic.partitions)?.clone();
        Some((topic, partition))
    }

    pub(super) fn send(&mut self, lane: Lane, claim: Option<u64>, sender: Option<u64>) -> u64 {
        let claim = claim.filter(|_| !self.model.deleting.contains(&lane.0));
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

    pub(super) fn send_append(&mut self, process: &mut Process) {
        let sender = self.rng.below(SENDERS);
        let mut records = Vec::new();
        // A command with claims may come back, to be looked up again, and then stands behind what was
        // sent after it; who wants an order waits for the answer.
        let claims = self.rng.chance(2, 3);
        for _ in 0..=self.rng.below(4) {
            let Some((topic, partition)) = self.any_lane(process) else {
                return;
            };
            let claim = (claims && self.rng.chance(2, 3)).then(|| self.rng.below(CLAIMS));
            let number = self.send(
                (topic.id, partition.index),
                claim,
                (!claims).then_some(sender),
            );
            let padding = usize::try_from(self.rng.below(700)).unwrap();
            let body = batch::encode_record(&record(number, padding));
            let forgotten = self.plant == Some(Plant::ClaimsForgotten) && self.rng.chance(1, 8);
            let claim = claim.map(|claim_number| NewClaim {
                key: ClaimKey::of(
                    &[7; 16],
                    &[
                        claim_number.to_le_bytes(),
                        u64::from(forgotten).to_le_bytes(),
                    ]
                    .concat(),
                ),
                fingerprint: [u8::try_from(claim_number).unwrap(); 16],
                window_s: window_s(claim_number),
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
    pub(super) fn append(&mut self, process: &mut Process, records: Vec<(u64, NewRecord)>) {
        let runs = process.log.shared.runs.load_full();
        let mut unclaimed = Vec::new();
        for (number, record) in records {
            let Some(claim) = record.claim else {
                unclaimed.push((number, record));
                continue;
            };
            let now_ms = process.log.shared.log_time_ms();
            let topics = process.log.shared.topics();
            let exists = |topic| topics.by_number(topic).is_some();
            let lookup = Box::pin(runs.lookup(&self.ground.objects, claim.key, now_ms, exists));
            match self.runtime.block_on(poll_until_dead(lookup, &self.store)) {
                Some(Ok(None)) => unclaimed.push((number, record)),
                Some(Ok(Some(held))) => {
                    self.repeated(number, held.partition, held.offset, held.timestamp_ms);
                }
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

    pub(super) fn refused(&mut self, number: u64) {
        self.model.sent.get_mut(&number).unwrap().fate = Fate::Refused;
    }

    /// A repeat names the place of the first.
    pub(super) fn repeated(&mut self, number: u64, partition: u32, offset: i64, timestamp_ms: i64) {
        self.refused(number);
        // The claims of a topic that is being deleted end at some moment; they are not followed.
        let Some(claim) = self.model.sent[&number].claim else {
            return;
        };
        if let Some((first, since)) = self.model.claims.get(&claim) {
            if timestamp_ms >= since + window_ms(claim) {
                // Somebody whose answer was lost has claimed it after the window.
                self.model.claims.remove(&claim);
                return;
            }
            let first = &self.model.sent[first];
            assert_eq!(first.lane.1, partition, "claim {claim} is held elsewhere");
            assert_eq!(
                first.fate,
                Fate::Acked(offset),
                "claim {claim} has another place"
            );
        }
    }

    pub(super) fn send_produce(&mut self, process: &mut Process) {
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

    pub(super) fn send_create(&mut self, process: &mut Process) {
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
        if self.rng.chance(1, 6) {
            config.insert("retention.ms".to_owned(), "3000".to_owned());
        }
        self.model.names.insert(id, name.clone());
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

    pub(super) fn send_delete(&mut self, process: &mut Process) {
        let topics = Self::topics(process);
        let Some(topic) = self.rng.pick(&topics).cloned() else {
            return;
        };
        // A deletion names a name: by the time it is executed another topic may have it, if that was
        // asked for before.
        let named = self.model.names.iter();
        let named = named.filter(|(_, name)| **name == *topic.name);
        self.model.deleting.extend(named.map(|(id, _)| *id));
        // Claims end with the topic that holds them.
        let (sent, deleting) = (&mut self.model.sent, &self.model.deleting);
        self.model
            .claims
            .retain(|_, (number, _)| !deleting.contains(&sent[number].lane.0));
        for sent in sent.values_mut() {
            sent.claim = sent.claim.filter(|_| !deleting.contains(&sent.lane.0));
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

    pub(super) fn send_commit(&mut self, process: &mut Process) {
        if self.rng.chance(1, 4) {
            let occupied = (0..3).filter(|_| self.rng.chance(1, 2));
            let occupied = occupied.map(|group| format!("group-{group}")).collect();
            let input = Input::CheckOffsets(occupied);
            return process.log.sequencer.take(input, self.now());
        }
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
    pub(super) fn collect_answers(&mut self, process: &mut Process) {
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
                            self.acked(*number, offset, 1_000);
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
                Waiting::Alter(change, partitions, mut answer) => match answer.try_recv() {
                    Err(_) => process
                        .waiting
                        .push(Waiting::Alter(change, partitions, answer)),
                    Ok(answer) => self.altered(change, partitions, answer),
                },
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

    pub(super) fn acked(&mut self, number: u64, offset: i64, timestamp_ms: i64) {
        self.note(number ^ offset.cast_unsigned());
        let twice = self.plant == Some(Plant::OffsetsTwice) && self.rng.chance(1, 10);
        let offset = if twice { (offset - 1).max(0) } else { offset };
        if self.plant != Some(Plant::ReadAhead) {
            self.model.acked(number, offset, timestamp_ms);
        }
    }

    pub(super) fn appended(&mut self, number: u64, answer: Result<Placed, Refusal>) {
        match answer {
            Err(_) => self.refused(number),
            Ok(Placed {
                place,
                disposition: Disposition::Stored,
                ..
            }) => self.acked(number, place.offset, place.timestamp_ms),
            Ok(Placed {
                place,
                disposition: Disposition::Repeated,
                ..
            }) => {
                let partition = place.partition.cast_unsigned();
                self.repeated(number, partition, place.offset, place.timestamp_ms);
            }
            Ok(Placed {
                disposition: Disposition::Mismatched,
                ..
            }) => {
                panic!("record {number} has its claim's fingerprint")
            }
        }
    }
}

pub(super) fn record(number: u64, padding: usize) -> Record {
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
