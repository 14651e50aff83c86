//! Appends without a claim: straight out, by an idempotent producer, each answered by its own delivery report.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use tidegate_event_log::{Append, Claim, LogError, Place, Record, partitioner};

use crate::check::{check_claim, check_record};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error;
use crate::topics::{Known, Topics};

/// The most bytes of a batch. librdkafka does not split one that a topic refuses, so topics with a lower limit have a
/// producer of their own, whose batches are single records.
pub(crate) const BATCH_BYTES: usize = 1_000_000;

pub(crate) type Producer = FutureProducer<Context>;

/// A record that a topic will take, and its partition.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) limit: usize,
    pub(crate) record: Record,
}

/// What became of a record, once it is awaited.
pub(crate) struct Sent {
    topic: Arc<str>,
    answer: Result<DeliveryFuture, LogError>,
}

pub(crate) struct Straight {
    cluster: Arc<Cluster>,
    batches: Producer,
    singles: Producer,
    /// The newest time of a record. Held while records are queued, so that the times of a partition do not go back.
    newest_ms: Mutex<i64>,
    keyless: AtomicUsize,
}

impl Straight {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Result<Self, LogError> {
        let make = |settings: &[(&str, &str)]| {
            let mut config = cluster.options.producer();
            for (name, value) in settings {
                config.set(*name, *value);
            }
            Producer::from_config_and_context(&config, cluster.context.clone())
                .map_err(|error| LogError::Invalid(format!("a kafka producer: {error}")))
        };
        let bytes = BATCH_BYTES.to_string();
        Ok(Self {
            batches: make(&[("batch.size", &bytes)])?,
            singles: make(&[("batch.num.messages", "1")])?,
            cluster,
            newest_ms: Mutex::new(i64::MIN),
            keyless: AtomicUsize::new(0),
        })
    }

    /// Chooses the partition and looks whether the topic takes the record.
    pub(crate) async fn prepare(
        &self,
        topics: &Topics,
        append: Append,
    ) -> Result<(Prepared, Option<Claim>), LogError> {
        let known = match append.partition {
            Some(partition) => topics.check(&append.topic, partition).await?,
            None => topics.known(&append.topic).await?,
        };
        check_record(&append.record, known.max_message_bytes, &append.topic)?;
        if let Some(claim) = &append.claim {
            check_claim(claim)?;
        }
        let prepared = Prepared {
            partition: self.choose(&append, &known),
            topic: append.topic,
            limit: known.max_message_bytes,
            record: append.record,
        };
        Ok((prepared, append.claim))
    }

    fn choose(&self, append: &Append, known: &Known) -> i32 {
        match (append.partition, &append.record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::for_key(key, known.partitions),
            (None, None) => {
                let turn = self.keyless.fetch_add(1, Ordering::Relaxed);
                let count = usize::try_from(known.partitions.max(1)).expect("it is positive");
                i32::try_from(turn % count).expect("less than a count that is an i32")
            }
        }
    }

    /// The time of a record that is appended now; it does not go back.
    pub(crate) fn now_ms(&self) -> i64 {
        let mut newest_ms = self.newest_ms.lock();
        *newest_ms = (*newest_ms).max((self.cluster.now_ms)());
        *newest_ms
    }

    /// Has the producers learn the partitions that a topic has by now. Blocks.
    pub(crate) fn learn(&self, topic: &str) -> Result<(), LogError> {
        for producer in [&self.batches, &self.singles] {
            let learned = producer
                .client()
                .fetch_metadata(Some(topic), self.cluster.options.deadline);
            learned.map_err(|error| error::question(&error, topic))?;
        }
        Ok(())
    }

    /// Queues records in their order; each is answered when it is awaited.
    pub(crate) fn send(&self, records: Vec<&Prepared>) -> Vec<Sent> {
        let mut newest_ms = self.newest_ms.lock();
        *newest_ms = (*newest_ms).max((self.cluster.now_ms)());
        let queue = |prepared: &Prepared| {
            let producer = if prepared.limit < BATCH_BYTES {
                &self.singles
            } else {
                &self.batches
            };
            queue(producer, prepared, *newest_ms)
        };
        records.into_iter().map(queue).collect()
    }
}

/// Queues a record. It does not block: a full queue is an answer.
pub(crate) fn queue(producer: &Producer, prepared: &Prepared, timestamp_ms: i64) -> Sent {
    let record = &prepared.record;
    let mut message = FutureRecord::<[u8], [u8]>::to(&prepared.topic)
        .partition(prepared.partition)
        .timestamp(timestamp_ms);
    if let Some(key) = &record.key {
        message = message.key(key);
    }
    if let Some(value) = &record.value {
        message = message.payload(value);
    }
    if !record.headers.is_empty() {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for header in &record.headers {
            let key = std::str::from_utf8(&header.name).expect("the record was checked");
            let value = header.value.as_deref();
            headers = headers.insert(Header { key, value });
        }
        message = message.headers(headers);
    }
    let answer = producer
        .send_result(message)
        .map_err(|(error, _)| error::delivery(&error, &prepared.topic));
    Sent {
        topic: Arc::clone(&prepared.topic),
        answer,
    }
}

impl Sent {
    /// Waits for the delivery report.
    pub(crate) async fn place(self) -> Result<Place, LogError> {
        let cancelled = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight);
        match self.answer?.await {
            Ok(Ok(delivery)) => Ok(Place {
                partition: delivery.partition,
                offset: delivery.offset,
                timestamp_ms: delivery.timestamp.to_millis().unwrap_or(-1),
            }),
            Ok(Err((error, _))) => Err(error::delivery(&error, &self.topic)),
            Err(_) => Err(error::delivery(&cancelled, &self.topic)),
        }
    }
}
