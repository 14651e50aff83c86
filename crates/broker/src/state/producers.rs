//! What the log remembers of idempotent producers: enough to tell a repeat from a gap.
//!
//! One entry for each producer and partition, with the last five batches, since a client keeps at
//! most five requests in flight (KIP-98). The rules are those of Apache Kafka 4's
//! `ProducerAppendInfo.checkSequence`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::BatchHeader;

/// How many batches of a producer are remembered: Kafka's `NUM_BATCHES_TO_RETAIN`.
const REMEMBERED_BATCHES: usize = 5;

/// A batch as a producer numbered it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NumberedBatch {
    pub first_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: i64,
    pub last_offset: i64,
}

/// One producer in one partition.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Producer {
    pub epoch: i16,
    /// Oldest first.
    pub batches: VecDeque<NumberedBatch>,
    /// Where its open transaction begins. Always `None` until transactions exist.
    pub open_transaction: Option<i64>,
    /// The record of its last batch, for expiry.
    pub last_lsn: u64,
}

/// What to do with a produced batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Append it.
    Next,
    /// It is stored already, there.
    Repeat(NumberedBatch),
    /// A sequence is missing, or repeated too late to be known.
    OutOfOrder,
    /// A newer incarnation of the producer has written.
    Fenced,
}

/// A producer in a partition: its id, topic number, partition.
type Key = (i64, u32, u32);

/// How many parts the producers are kept in. With the most there may be, a part has about 500.
const SHARDS: usize = 1024;

/// All producers. In parts, so that a clone shares them all, and a change copies one.
#[derive(Clone, Debug)]
pub struct Producers {
    shards: Vec<Arc<HashMap<Key, Producer>>>,
    len: usize,
}

impl Default for Producers {
    fn default() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            len: 0,
        }
    }
}

fn shard_of(key: &Key) -> usize {
    let (producer, topic, partition) = *key;
    // Producer ids are given one after the other, and so are topics and partitions; a factor of many
    // bits (that of SplitMix64) spreads any pattern of them.
    let mut bits = producer.cast_unsigned() ^ u64::from(topic).rotate_left(40);
    bits = (bits ^ u64::from(partition).rotate_left(20)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(bits >> 54).unwrap_or(0)
}

impl Producers {
    /// Decides what to do with a batch. Batches without a producer id are always next.
    pub fn judge(&self, topic: u32, partition: u32, header: &BatchHeader) -> Verdict {
        if header.producer_id < 0 {
            return Verdict::Next;
        }
        let key = (header.producer_id, topic, partition);
        let Some(known) = self.shards[shard_of(&key)].get(&key) else {
            // Unknown, or forgotten after its expiry: Kafka accepts any sequence then.
            return Verdict::Next;
        };
        if header.producer_epoch < known.epoch {
            return Verdict::Fenced;
        }
        if header.producer_epoch > known.epoch {
            // KIP-360: a new epoch starts its sequence again.
            return if header.base_sequence == 0 {
                Verdict::Next
            } else {
                Verdict::OutOfOrder
            };
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        let repeat = known
            .batches
            .iter()
            .find(|batch| batch.first_sequence == first && batch.last_sequence == last);
        if let Some(batch) = repeat {
            return Verdict::Repeat(batch.clone());
        }
        let expected = known
            .batches
            .back()
            .map(|batch| following(batch.last_sequence));
        if expected.is_none_or(|expected| expected == first) {
            Verdict::Next
        } else {
            Verdict::OutOfOrder
        }
    }

    /// Remembers a batch that has its offset.
    pub fn note(&mut self, lsn: u64, topic: u32, partition: u32, header: &BatchHeader) {
        if header.producer_id < 0 {
            return;
        }
        let key = (header.producer_id, topic, partition);
        let shard = Arc::make_mut(&mut self.shards[shard_of(&key)]);
        let before = shard.len();
        let producer = shard.entry(key).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            open_transaction: None,
            last_lsn: lsn,
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(NumberedBatch {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
        });
        producer.last_lsn = lsn;
        self.len += shard.len() - before;
    }

    /// Forgets producers whose last batch is older than `before_lsn`.
    pub fn expire(&mut self, before_lsn: u64) {
        self.retain(|_, producer| producer.last_lsn >= before_lsn);
    }

    /// The record before which the last batches of about a tenth of all producers lie.
    pub fn oldest_tenth(&self) -> u64 {
        let mut last: Vec<u64> = self.iter().map(|(_, entry)| entry.last_lsn).collect();
        let tenth = last.len() / 10;
        match last.is_empty() {
            true => 0,
            false => *last.select_nth_unstable(tenth).1 + 1,
        }
    }

    /// Forgets all producers of a topic.
    pub fn drop_topic(&mut self, topic: u32) {
        self.retain(|(_, of, _), _| *of != topic);
    }

    fn retain(&mut self, keep: impl Fn(&Key, &Producer) -> bool) {
        for shard in &mut self.shards {
            if shard.iter().any(|(key, producer)| !keep(key, producer)) {
                let shard = Arc::make_mut(shard);
                let before = shard.len();
                shard.retain(|key, producer| keep(key, producer));
                self.len -= before - shard.len();
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&Key, &Producer)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in key order, as a checkpoint stores them.
    pub fn image(&self) -> Vec<((i64, u32, u32), Producer)> {
        let mut entries: Vec<_> = self
            .iter()
            .map(|(key, producer)| (*key, producer.clone()))
            .collect();
        entries.sort_by_key(|(key, _)| *key);
        entries
    }

    /// The inverse of [`Producers::image`].
    pub fn from_image(entries: Vec<((i64, u32, u32), Producer)>) -> Self {
        let mut producers = Self {
            len: entries.len(),
            ..Self::default()
        };
        for (key, producer) in entries {
            Arc::make_mut(&mut producers.shards[shard_of(&key)]).insert(key, producer);
        }
        producers
    }
}

/// The sequence after `sequence`: it wraps from the largest `i32` to 0.
fn following(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32, records: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 49,
            leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: records - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 9,
            producer_epoch: epoch,
            base_sequence: first,
            record_count: records,
        }
    }

    /// Notes `before` (epoch, first sequence, records), then judges `asked`.
    fn check(before: &[(i16, i32, i32)], asked: (i16, i32, i32), expected: &str) {
        let mut producers = Producers::default();
        let mut offset = 0;
        for (lsn, (epoch, first, records)) in (1..).zip(before) {
            let header = batch(*epoch, *first, *records, offset);
            producers.note(lsn, 1, 0, &header);
            offset += i64::from(*records);
        }
        let verdict = match producers.judge(1, 0, &batch(asked.0, asked.1, asked.2, 0)) {
            Verdict::Next => "next".to_owned(),
            Verdict::Repeat(batch) => format!("repeat of {}", batch.base_offset),
            Verdict::OutOfOrder => "out of order".to_owned(),
            Verdict::Fenced => "fenced".to_owned(),
        };
        assert_eq!(verdict, expected, "{asked:?} after {before:?}");
    }

    #[test]
    fn sequences_follow_kafkas_rules() {
        check(&[], (0, 7, 1), "next");
        check(&[(0, 0, 3)], (0, 3, 1), "next");
        check(&[(0, 0, 3)], (0, 0, 3), "repeat of 0");
        check(&[(0, 0, 3)], (0, 0, 2), "out of order");
        check(&[(0, 0, 3)], (0, 4, 1), "out of order");
        check(&[(1, 0, 3)], (0, 3, 1), "fenced");
        check(&[(0, 0, 3)], (1, 0, 1), "next");
        check(&[(0, 0, 3)], (1, 3, 1), "out of order");
        let six = [
            (0, 0, 1),
            (0, 1, 1),
            (0, 2, 1),
            (0, 3, 1),
            (0, 4, 1),
            (0, 5, 1),
        ];
        check(&six, (0, 1, 1), "repeat of 1");
        check(&six, (0, 0, 1), "out of order");
        check(&[(0, i32::MAX, 1)], (0, 0, 1), "next");
        check(&[(0, i32::MAX - 1, 3)], (0, 1, 1), "next");
    }

    #[test]
    fn an_image_brings_everything_back() {
        let mut producers = Producers::default();
        producers.note(5, 1, 0, &batch(0, 0, 3, 0));
        let back = Producers::from_image(producers.image());
        assert_eq!(back.image(), producers.image());
        producers.expire(6);
        assert_eq!(producers.len(), 0);
    }

    #[test]
    fn a_clone_shares_what_does_not_change_and_sees_nothing_of_what_does() {
        let mut producers = Producers::default();
        let header = |id: i64, first| BatchHeader {
            producer_id: id,
            ..batch(0, first, 1, 0)
        };
        for id in 0..10_000 {
            producers.note(1, 1, 0, &header(id, 0));
        }
        let largest = producers.shards.iter().map(|shard| shard.len()).max();
        assert!(
            largest < Some(50),
            "ids in a row are spread: {largest:?} in one part"
        );
        let snapshot = producers.clone();
        let before = snapshot.image();
        producers.note(2, 1, 0, &header(7, 1));
        producers.note(3, 1, 0, &header(10_000, 0));
        producers.drop_topic(2);
        assert_eq!((producers.len(), snapshot.len()), (10_001, 10_000));
        assert_eq!(snapshot.image(), before);
        let shards = producers.shards.iter().zip(&snapshot.shards);
        let copied = shards
            .filter(|(one, other)| !Arc::ptr_eq(one, other))
            .count();
        assert!((1..=2).contains(&copied), "{copied} parts were copied");
    }

    #[test]
    fn the_oldest_tenth_goes_first() {
        let mut producers = Producers::default();
        for lsn in (1..=30).rev() {
            let mut header = batch(0, 0, 1, 0);
            header.producer_id = i64::try_from(lsn).unwrap();
            producers.note(lsn, 1, 0, &header);
        }
        producers.expire(producers.oldest_tenth());
        let left: Vec<u64> = producers
            .image()
            .iter()
            .map(|(_, one)| one.last_lsn)
            .collect();
        assert_eq!(left, (5..=30).collect::<Vec<_>>());
        assert_eq!(Producers::default().oldest_tenth(), 0);
    }
}
