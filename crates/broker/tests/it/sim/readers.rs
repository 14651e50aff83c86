//! Those who read, and what they hold against what was promised.

use std::sync::Arc;

use tidegate_broker::batch;
use tidegate_broker::read::fetch::{self, Fetched, HotFetch, ReadError};
use tidegate_broker::read::partition::Partition;

use super::alter::change_of;
use super::model::Found;
use super::world::{Plant, Process, World};

impl World {
    pub(super) fn fetch(
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

    pub(super) fn read_somewhere(&mut self, process: &mut Process) {
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
                        records.iter().any(|(offset, ..)| *offset == from),
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
    pub(super) fn check_everything(&mut self, process: &Process) {
        self.store.fail_one_in(0);
        let topics = Self::topics(process);
        self.model
            .check_topics(&topics.iter().map(|topic| topic.id).collect());
        for topic in &topics {
            let change = change_of(topic);
            self.model
                .check_topic(topic.id, &topic.name, topic.partitions.len(), change);
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
                    records.extend(read.into_iter().filter(|(offset, ..)| *offset >= from));
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

fn records_of(fetched: &Fetched) -> Vec<Found> {
    let mut found = Vec::new();
    for batch in &fetched.batches {
        for record in batch::records(batch, 1 << 20).unwrap() {
            let (offset, timestamp_ms, record) = record.unwrap();
            let value = record.value.unwrap();
            let number = u64::from_le_bytes(value[..8].try_into().unwrap());
            found.push((offset, number, timestamp_ms));
        }
    }
    found
}
