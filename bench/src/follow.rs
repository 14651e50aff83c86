//! Follows a topic while events are sent: how long from the moment an event was due until a Kafka
//! consumer has it. The consumer is librdkafka's as it comes, with partitions assigned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::is_passing;
use crate::orders::stamp_of;
use crate::outcome::{self, Latency};

/// How long the last events may take once all are acknowledged.
const LIMIT: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(50);

/// What a consumer saw.
pub struct Followed {
    pub records: u64,
    /// Of events that were due after the warm-up.
    pub latency: Option<Latency>,
}

/// A consumer at work.
pub struct Follower {
    /// How many records there will be; the greatest number as long as that is not known.
    expected: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<Followed>>>,
}

impl Follower {
    /// Starts to read `topic` where it ends now.
    ///
    /// # Errors
    /// If there is no consumer to be had.
    pub fn start(bootstrap: &str, topic: &str, ends: &[i64], warm_up: Duration) -> Result<Self> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", "bench-follow")
            .set("enable.auto.commit", "false")
            .create()
            .context("cannot make a consumer")?;
        let mut assignment = TopicPartitionList::new();
        for (partition, &end) in ends.iter().enumerate() {
            assignment.add_partition_offset(topic, partition as i32, Offset::Offset(end))?;
        }
        consumer.assign(&assignment)?;
        let expected = Arc::new(AtomicU64::new(u64::MAX));
        let thread = std::thread::spawn({
            let expected = Arc::clone(&expected);
            move || follow(&consumer, warm_up, &expected)
        });
        Ok(Self {
            expected,
            thread: Some(thread),
        })
    }

    /// Waits until `records` came, or for some seconds.
    ///
    /// # Errors
    /// Those of the consumer.
    pub fn finish(mut self, records: u64) -> Result<Followed> {
        self.expected.store(records, Ordering::Relaxed);
        let thread = self.thread.take().context("it finishes once")?;
        thread.join().expect("no thread panics")
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.expected.store(0, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has another error to tell.
            drop(thread.join());
        }
    }
}

fn follow(consumer: &BaseConsumer, warm_up: Duration, expected: &AtomicU64) -> Result<Followed> {
    let mut histogram = outcome::histogram();
    let mut records = 0;
    let mut from_us = None;
    let mut deadline = None;
    loop {
        let expected = expected.load(Ordering::Relaxed);
        if records >= expected {
            break;
        }
        if expected < u64::MAX && *deadline.get_or_insert(Instant::now() + LIMIT) < Instant::now() {
            break;
        }
        match consumer.poll(STEP) {
            Some(Ok(message)) => {
                records += 1;
                let due_us = message.payload().and_then(stamp_of);
                let due_us = due_us.context("a record has no stamp")?;
                let from_us = *from_us.get_or_insert(due_us + warm_up.as_micros() as u64);
                if due_us >= from_us {
                    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
                    let due = Duration::from_micros(due_us);
                    outcome::record(&mut histogram, now.saturating_sub(due));
                }
            }
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
            Some(Err(error)) => return Err(error).context("cannot follow the log"),
            None => {}
        }
    }
    Ok(Followed {
        records,
        latency: Latency::of(&histogram),
    })
}
