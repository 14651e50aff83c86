//! Whether the record that a claim names is still there, where the ids of topics do not say so.
//!
//! Replicas learn the id of a topic one after the other, so a claim may name the id that its writer knew, not the one
//! that holds. An id that differs is a reason to look, never an answer: what could not be looked at any more stands.

use rdkafka::consumer::Consumer;
use tidegate_event_log::{LogError, StoredRecord};
use tokio::time::{Instant, sleep};

use super::record::Held;
use super::shard::{PAUSE, Shards};
use crate::cluster::blocking;
use crate::error;
use crate::topics::Known;

/// One record is enough.
const READ_BYTES: usize = 1;

impl Shards {
    /// Looks for the record of a claim in the topic as it is now.
    pub(super) async fn is_there(&self, held: &Held) -> Result<bool, LogError> {
        let view = self.topics.look().await?;
        let Some(known) = view.topics.get(&*held.topic) else {
            return Ok(false);
        };
        let place = held.place;
        if place.partition >= known.partitions || place.offset >= self.written(held).await? {
            return Ok(false);
        }
        let deadline = Instant::now() + self.cluster.options.deadline;
        loop {
            let marks = self.marks.of(&held.topic, place.partition).await?;
            if place.offset < marks.log_start {
                return Ok(true);
            }
            if place.offset < marks.high {
                let (topic, partition) = (&*held.topic, place.partition);
                let read = self
                    .readers
                    .read(topic, partition, place.offset, READ_BYTES, marks);
                return Ok(is_of(held, read.await?.records.first(), known));
            }
            // Behind an open transaction.
            if Instant::now() >= deadline {
                let reason = format!(
                    "partition {} of `{}` is held up",
                    place.partition, held.topic
                );
                return Err(LogError::not_stored(reason));
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks where the partition of a claim's record ends, committed or not.
    async fn written(&self, held: &Held) -> Result<i64, LogError> {
        let (written, limit) = (self.written.clone(), self.cluster.options.deadline);
        let (topic, partition) = (held.topic.clone(), held.place.partition);
        blocking(move || {
            let marks = written.fetch_watermarks(&topic, partition, limit);
            Ok(marks.map_err(|error| error::question(&error, &topic))?.1)
        })
        .await
    }
}

/// Says whether the first record from a claim's place on is the claim's own.
fn is_of(held: &Held, first: Option<&StoredRecord>, known: &Known) -> bool {
    let has = |name: &str, part: &str| {
        let value = known.config.get(name);
        value.is_some_and(|value| value.contains(part))
    };
    match first.filter(|stored| stored.offset == held.place.offset) {
        Some(stored) => {
            stored.timestamp_ms == held.place.timestamp_ms
                || has("message.timestamp.type", "LogAppendTime")
        }
        None => has("cleanup.policy", "compact"),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_event_log::{Fingerprint, Place, Record, TopicConfig};

    use super::*;

    #[test]
    fn a_record_is_known_by_its_place_and_its_time() {
        let held = Held {
            fingerprint: Fingerprint([0; 16]),
            topic: "t".into(),
            topic_id: [0; 16],
            place: Place {
                partition: 0,
                offset: 5,
                timestamp_ms: 70,
            },
            ends_ms: 100,
        };
        let appended = ("message.timestamp.type", "LogAppendTime");
        let compacted = ("cleanup.policy", "compact,delete");
        for (found, setting, expected) in [
            (Some((5, 70)), None, true),
            // Another record: the topic was made again.
            (Some((5, 71)), None, false),
            (Some((5, 71)), Some(appended), true),
            // The end of a transaction of the topic that was made again.
            (Some((6, 70)), None, false),
            (None, None, false),
            (Some((6, 71)), Some(compacted), true),
            (None, Some(compacted), true),
            (Some((5, 71)), Some(compacted), false),
        ] {
            let stored = found.map(|(offset, timestamp_ms)| StoredRecord {
                offset,
                timestamp_ms,
                record: Record::default(),
            });
            let setting = setting.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let known = Known {
                partitions: 1,
                max_message_bytes: 1,
                config: TopicConfig::from_iter(setting.clone()),
            };
            let is_there = is_of(&held, stored.as_ref(), &known);
            assert_eq!(is_there, expected, "{found:?} with {setting:?}");
        }
    }
}
