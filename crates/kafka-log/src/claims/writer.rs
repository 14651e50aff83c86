//! Writes events and their claims, each event and its claim in one transaction, one transaction at a time.
//!
//! The order of a transaction is the proof (decision 0012): events, then their claims, both acked, then the group's
//! metadata, then the commit. The group's coordinator refuses the metadata of a generation that is over, so a claim that
//! is committed was written while its partition had no later owner, or before that one looked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::topic_partition_list::{Offset as At, TopicPartitionList};
use tidegate_event_log::{Appended, Claim, Disposition, LogError, Outcome, Place};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::TOPIC;
use super::record::{Held, Key};
use super::shard::Shards;
use super::tenure::Tenure;
use crate::check::batch_bytes;
use crate::cluster::Cluster;
use crate::straight::{BATCH_BYTES, Prepared, Producer, Straight, queue};

/// Events of one transaction at most.
const EVENTS: usize = 1_000;
/// Bytes of one transaction at most, beside its first event.
const BYTES: usize = 8 * 1024 * 1024;
/// An open transaction of a replica that died ends by itself after this time.
const TRANSACTION: Duration = Duration::from_secs(10);
/// A record of a claim is far below Kafka's own limit.
const CLAIM_LIMIT: usize = 1_048_588;

/// An event that asks to be stored once.
pub(crate) struct Job {
    pub(crate) key: Key,
    pub(crate) partition: i32,
    pub(crate) claim: Claim,
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) topic_id: [u8; 16],
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What becomes of a job.
pub(crate) enum Reply {
    Answered(Result<Appended, LogError>),
    /// This replica does not serve the claim's partition, or not any more; nothing was stored.
    NotMine,
}

/// How a transaction went wrong.
enum Wrong {
    /// Some events cannot be stored, by their places in the batch; the others can be tried again.
    Refused(HashMap<usize, LogError>),
    /// Another generation began.
    Fenced,
    /// Taken back.
    Aborted(String),
    /// Perhaps committed.
    InDoubt(String),
}

pub(crate) struct Writer {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) straight: Arc<Straight>,
    pub(crate) shards: Arc<Shards>,
    /// Names this replica to the transaction coordinator, one process each.
    pub(crate) transactional_id: String,
    pub(crate) producer: Option<Producer>,
}

impl Writer {
    /// Serves jobs until nobody can send any more.
    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::new();
        while jobs.recv_many(&mut batch, EVENTS).await > 0 {
            let mut waiting = std::mem::take(&mut batch);
            // Each round answers at least one job, the first.
            while !waiting.is_empty() {
                waiting = self.round(waiting).await;
            }
        }
    }

    /// Answers jobs and returns those that have to wait for the next round.
    async fn round(&mut self, jobs: Vec<Job>) -> Vec<Job> {
        let tenure = self.shards.tenure();
        let jobs = self.settled(jobs).await;
        let (mut batch, mut later, mut leaders) = (Vec::<Job>::new(), Vec::new(), HashMap::new());
        let mut followers = Vec::new();
        let mut room = Room::default();
        for job in jobs {
            if Instant::now() >= job.deadline {
                job.answer(Err(LogError::not_stored("the event waited too long")));
            } else if !tenure
                .as_ref()
                .is_some_and(|tenure| self.shards.serves(job.partition, tenure))
            {
                job.refer();
            } else if let Some(answer) =
                self.shards
                    .get(job.partition, job.key, &job.claim, self.now_ms())
            {
                job.answer(answer);
            } else if let Some(at) = leaders.get(&job.key) {
                followers.push((*at, job));
            } else if room.takes(&job.prepared) {
                leaders.insert(job.key, batch.len());
                batch.push(job);
            } else {
                later.push(job);
            }
        }
        let Some(tenure) = tenure.filter(|_| !batch.is_empty()) else {
            return later;
        };
        match self.transact(&tenure, &batch).await {
            Ok(held) => {
                for (at, job) in followers {
                    let told = held[at].told(job.claim.fingerprint);
                    job.answer(Ok(told));
                }
                for (job, held) in batch.into_iter().zip(held) {
                    let stored = Appended {
                        topic: Arc::clone(&held.topic),
                        place: held.place,
                        disposition: Disposition::Stored,
                    };
                    self.shards.insert(job.partition, job.key, held);
                    job.answer(Ok(stored));
                }
            }
            Err(wrong) => {
                let followers = followers.into_iter().map(|(_, job)| job);
                later.extend(self.undo(wrong, batch, followers.collect(), &tenure));
            }
        }
        later
    }

    /// Has the claims that jobs repeat settled; those of which it cannot be known whether they stand are refused.
    async fn settled(&self, jobs: Vec<Job>) -> Vec<Job> {
        let claims: Vec<_> = jobs.iter().map(|job| (job.partition, job.key)).collect();
        let mut certain = Vec::with_capacity(jobs.len());
        for (job, settled) in jobs.into_iter().zip(self.shards.settle(&claims).await) {
            match settled {
                Ok(()) => certain.push(job),
                Err(error) => job.answer(Err(LogError::not_stored(error.to_string()))),
            }
        }
        certain
    }

    /// Answers the jobs of a transaction that was not committed, or perhaps was, and returns those to try again.
    fn undo(
        &mut self,
        wrong: Wrong,
        batch: Vec<Job>,
        followers: Vec<Job>,
        tenure: &Tenure,
    ) -> Vec<Job> {
        let all = |batch: Vec<Job>, followers: Vec<Job>| batch.into_iter().chain(followers);
        match wrong {
            Wrong::Refused(mut refused) => {
                let mut again = followers;
                for (at, job) in batch.into_iter().enumerate() {
                    match refused.remove(&at) {
                        Some(error) => job.answer(Err(error)),
                        None => again.push(job),
                    }
                }
                return again;
            }
            Wrong::Fenced => all(batch, followers).for_each(Job::refer),
            Wrong::Aborted(reason) => {
                for job in all(batch, followers) {
                    job.answer(Err(LogError::not_stored(&*reason)));
                }
            }
            Wrong::InDoubt(reason) => {
                // Whoever asks next is told the truth: what the log then holds.
                self.producer = None;
                let touched = batch.iter().map(|job| job.partition).collect();
                self.shards.doubt(touched, tenure);
                for job in all(batch, followers) {
                    job.answer(Err(LogError::in_doubt(&*reason)));
                }
            }
        }
        Vec::new()
    }

    fn now_ms(&self) -> i64 {
        (self.cluster.now_ms)()
    }

    /// Stores the events of a batch and their claims.
    async fn transact(&mut self, tenure: &Arc<Tenure>, batch: &[Job]) -> Result<Vec<Held>, Wrong> {
        let producer = self.producer().await?;
        let begun = producer.clone();
        if let Err(error) = step(move || begun.begin_transaction()).await {
            self.producer = None;
            return Err(Wrong::Aborted(error.to_string()));
        }
        match self.fill(&producer, tenure, batch).await {
            Ok(held) => self.commit(producer).await.map(|()| held),
            Err(wrong) => {
                let aborted = producer.clone();
                if let Err(error) = step(move || aborted.abort_transaction(TRANSACTION)).await {
                    // It was not committed, and nobody can commit it now: the next producer of the name ends it.
                    tracing::warn!(error = %error, "a transaction of claims could not be taken back");
                    self.producer = None;
                }
                Err(wrong)
            }
        }
    }

    /// Everything before the commit.
    async fn fill(
        &self,
        producer: &Producer,
        tenure: &Arc<Tenure>,
        batch: &[Job],
    ) -> Result<Vec<Held>, Wrong> {
        let log_time_ms = batch
            .iter()
            .map(|job| self.shards.log_time_ms(job.partition))
            .max();
        let now_ms = self.straight.now_ms().max(log_time_ms.unwrap_or(0));
        let events = batch
            .iter()
            .map(|job| queue(producer, &job.prepared, now_ms));
        let (mut places, mut refused) = (Vec::with_capacity(batch.len()), HashMap::new());
        for (at, sent) in events.collect::<Vec<_>>().into_iter().enumerate() {
            match sent.place().await {
                Ok(place) => places.push(place),
                Err(error) => drop(refused.insert(at, error)),
            }
        }
        if !refused.is_empty() {
            // After an abort nothing of it is in the log; what was refused for good is told from what was lost.
            refused.retain(|_, error| error.outcome() == Outcome::NotStored);
            return Err(if refused.is_empty() {
                Wrong::Aborted("the cluster did not take the event in time".to_owned())
            } else {
                Wrong::Refused(refused)
            });
        }
        let held: Vec<_> = batch
            .iter()
            .zip(places)
            .map(|(job, place)| {
                job.held(Place {
                    timestamp_ms: now_ms,
                    ..place
                })
            })
            .collect();
        let claims = batch.iter().zip(&held).map(|(job, held)| Prepared {
            topic: TOPIC.into(),
            partition: job.partition,
            limit: CLAIM_LIMIT,
            record: held.record(job.key),
        });
        let claims: Vec<_> = claims
            .map(|claim| queue(producer, &claim, now_ms))
            .collect();
        for sent in claims {
            let place = sent.place().await;
            place.map_err(|error| Wrong::Aborted(error.to_string()))?;
        }
        // Last, when all of it is written: see above.
        let mut offsets = TopicPartitionList::new();
        for job in batch {
            // The offset itself says nothing; it is how a transaction shows whose it is.
            if offsets.find_partition(TOPIC, job.partition).is_none() {
                offsets
                    .add_partition_offset(TOPIC, job.partition, At::Offset(0))
                    .map_err(|error| Wrong::Aborted(error.to_string()))?;
            }
        }
        let (shown, tenure) = (producer.clone(), Arc::clone(tenure));
        step(move || shown.send_offsets_to_transaction(&offsets, &tenure.metadata, TRANSACTION))
            .await
            .map_err(|error| wrong(&error))?;
        Ok(held)
    }

    async fn commit(&mut self, producer: Producer) -> Result<(), Wrong> {
        let deadline = Instant::now() + TRANSACTION;
        loop {
            let committed = producer.clone();
            let error = match step(move || committed.commit_transaction(TRANSACTION)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let is_passing =
                matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
            if !is_passing || Instant::now() >= deadline {
                return Err(Wrong::InDoubt(error.to_string()));
            }
        }
    }

    /// Returns the producer, made anew after it was in doubt: whatever its name left open is ended then.
    async fn producer(&mut self) -> Result<Producer, Wrong> {
        if let Some(producer) = &self.producer {
            return Ok(producer.clone());
        }
        let mut config = self.cluster.options.producer();
        config
            .set("transactional.id", &self.transactional_id)
            .set(
                "transaction.timeout.ms",
                TRANSACTION.as_millis().to_string(),
            )
            .set("batch.size", BATCH_BYTES.to_string());
        // A record is given up before its transaction is.
        let timeout = self.cluster.options.deadline.mul_f64(0.8);
        let timeout = timeout.min(TRANSACTION.mul_f64(0.9)).as_millis().max(1);
        config.set("delivery.timeout.ms", timeout.to_string());
        let made = Producer::from_config_and_context(&config, self.cluster.context.clone());
        let producer = made.map_err(|error| Wrong::Aborted(error.to_string()))?;
        let named = producer.clone();
        step(move || named.init_transactions(TRANSACTION))
            .await
            .map_err(|error| Wrong::Aborted(error.to_string()))?;
        self.producer = Some(producer.clone());
        Ok(producer)
    }
}

/// Runs a step of a transaction, which blocks.
async fn step(
    work: impl FnOnce() -> Result<(), KafkaError> + Send + 'static,
) -> Result<(), KafkaError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(KafkaError::Canceled))
}

fn wrong(error: &KafkaError) -> Wrong {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::FencedInstanceId
            | Code::RebalanceInProgress,
        ) => Wrong::Fenced,
        _ => Wrong::Aborted(error.to_string()),
    }
}

/// How much more goes into a transaction. Batches do not cross transactions, so a topic with a limit below a batch's
/// gets no more of one transaction than that limit. Where one did not fit, none that follows does: order stays.
#[derive(Default)]
struct Room {
    bytes: usize,
    small: HashMap<(Arc<str>, i32), usize>,
}

impl Room {
    fn takes(&mut self, prepared: &Prepared) -> bool {
        let bytes = batch_bytes(&prepared.record);
        if prepared.limit < BATCH_BYTES {
            let key = (Arc::clone(&prepared.topic), prepared.partition);
            if !fits(self.small.entry(key).or_default(), bytes, prepared.limit) {
                return false;
            }
        }
        fits(&mut self.bytes, bytes, BYTES)
    }
}

/// Takes up room, of which the first has as much as it needs; without enough of it there is none left.
fn fits(taken: &mut usize, bytes: usize, limit: usize) -> bool {
    let fits = *taken == 0 || taken.saturating_add(bytes) <= limit;
    *taken = if fits { *taken + bytes } else { usize::MAX };
    fits
}

impl Job {
    fn held(&self, place: Place) -> Held {
        Held {
            fingerprint: self.claim.fingerprint,
            topic: Arc::clone(&self.prepared.topic),
            topic_id: self.topic_id,
            ends_ms: Held::end(place.timestamp_ms, self.claim.window),
            place,
        }
    }

    fn answer(self, answer: Result<Appended, LogError>) {
        // Nobody waits any more: the next try finds the claim.
        drop(self.reply.send(Reply::Answered(answer)));
    }

    fn refer(self) {
        drop(self.reply.send(Reply::NotMine));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_event_log::Record;

    use super::*;

    #[test]
    fn a_transaction_takes_no_more_than_a_batch_of_a_small_topic() {
        let prepared = |topic: &str, limit: usize, bytes: usize| Prepared {
            topic: topic.into(),
            partition: 0,
            limit,
            record: Record {
                value: Some(Bytes::from(vec![0; bytes])),
                ..Record::default()
            },
        };
        let mut room = Room::default();
        for (topic, limit, bytes, expected) in [
            ("small", 1_000, 600, true),
            ("small", 1_000, 600, false),
            // It would fit, and would overtake.
            ("small", 1_000, 10, false),
            ("other", 1_000, 600, true),
            ("large", 2_000_000, 1_500_000, true),
            ("large", 2_000_000, 1_500_000, true),
            ("large", 100_000_000, 50_000_000, false),
            ("other", 1_000, 1, false),
        ] {
            let taken = room.takes(&prepared(topic, limit, bytes));
            assert_eq!(taken, expected, "{topic}, {bytes} bytes");
        }
        let mut room = Room::default();
        assert!(
            room.takes(&prepared("large", 100_000_000, 50_000_000)),
            "the first"
        );
    }
}
