//! The embedded log as the rooms above see it: `Log`, kept by the broker.

use std::sync::Arc;
use std::time::Duration;

use tidegate_event_log::{
    AlterTopic, Append, Appended, Bounds, Claim, Log, LogError, Offset, Read, StoredRecord, Topic,
    TopicConfig, TopicSpec, Watermarks, partitioner,
};
use tokio::sync::oneshot;

use crate::batch;
use crate::broker::Broker;
use crate::object::ObjectError;
use crate::read::fetch::ReadError;
use crate::read::partition::{self, Partition};
use crate::sequencer::{
    self, AppendAnswer, AppendCommand, Input, LookupCommand, NewClaim, NewRecord, Placed,
    RECORD_OVERHEAD_BYTES, Refusal,
};
use crate::state::claims::{self, ClaimKey};
use crate::state::command::{OffsetEntry, OffsetsCommitted};
use crate::topic_settings::{MAX_MESSAGE_BYTES_LIMIT, PARTITIONS_LIMIT};
use crate::topics::{NewTopic, TopicError};

/// The longest window of a claim.
const LARGEST_WINDOW: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The longest identity of a claim.
const LARGEST_IDENTITY_BYTES: usize = 64 * 1024;

/// The longest name of a consumer group, as for Kafka clients.
const LARGEST_GROUP_BYTES: usize = 1024;

/// Records handed to the sequencer in one command, with what each costs beside its body: a part of a
/// group, so that one large call does not hold up the others, and fits.
const COMMAND_LIMIT_BYTES: usize = 1024 * 1024;

/// What a record may add to its own bytes inside a batch: deltas, lengths, batch header.
const FRAMING_BYTES: usize = 256;

/// How much a batch may grow when it is unpacked for a read of records.
const LARGEST_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

#[async_trait::async_trait]
impl Log for Broker {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, LogError>> {
        let mut answers: Vec<Option<Result<Placed, LogError>>> = vec![None; appends.len()];
        let mut waiting: Vec<(usize, NewRecord)> = Vec::with_capacity(appends.len());
        for (at, append) in appends.iter().enumerate() {
            match self.prepare(append) {
                Ok(record) => waiting.push((at, record)),
                Err(error) => answers[at] = Some(Err(error)),
            }
        }
        while !waiting.is_empty() {
            let mut bytes = 0;
            let take = waiting
                .iter()
                .take_while(|(_, record)| {
                    bytes += record.body.len() + RECORD_OVERHEAD_BYTES;
                    bytes <= COMMAND_LIMIT_BYTES
                })
                .count()
                .max(1);
            let rest = waiting.split_off(take);
            self.append_command(waiting, &mut answers).await;
            waiting = rest;
        }
        let topics = Broker::topics(self);
        let answered = appends.into_iter().zip(answers);
        answered
            .map(|(append, answer)| {
                let placed = answer.unwrap_or_else(|| Err(stopped()))?;
                let topic = match topics.by_number(placed.topic) {
                    Some(topic) if *topic.name != *append.topic => topic.name.clone(),
                    _ => append.topic,
                };
                Ok(appended(topic, placed))
            })
            .collect()
    }

    async fn lookup(&self, claim: &Claim) -> Result<Option<Appended>, LogError> {
        let claim = self.hashed(claim)?;
        loop {
            let runs = self.shared().runs.load_full();
            if let Some(held) = self.claim_in_runs(&runs, &claim).await? {
                return Ok(self.named(held));
            }
            let (reply, answer) = oneshot::channel();
            let (key, fingerprint, runs_version) = (claim.key, claim.fingerprint, runs.version);
            let command = LookupCommand {
                key,
                fingerprint,
                runs_version,
                reply,
            };
            self.send(Input::Lookup(command), 0)
                .await
                .map_err(|_| stopped())?;
            match answer.await.map_err(|_| stopped())? {
                Err(Refusal::Recheck) => {}
                Ok(found) => return Ok(found.and_then(|held| self.named(held))),
                Err(refusal) => return Err(log_error(&refusal)),
            }
        }
    }

    async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, LogError> {
        let partition = self.partition(topic, partition)?;
        let fetched = self
            .fetch(&partition, from, max_bytes)
            .await
            .map_err(read_error)?;
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        'batches: for batch in &fetched.batches {
            let unpacked = batch::records(batch, LARGEST_UNPACKED_BYTES)
                .map_err(|error| LogError::Corrupt(error.to_string()))?;
            for found in unpacked {
                let (offset, timestamp_ms, record) =
                    found.map_err(|error| LogError::Corrupt(error.to_string()))?;
                if offset < from {
                    continue;
                }
                if !records.is_empty() && bytes + record.size_bytes() > max_bytes {
                    break 'batches;
                }
                bytes += record.size_bytes();
                next = offset + 1;
                records.push(StoredRecord {
                    offset,
                    timestamp_ms,
                    record,
                });
            }
        }
        Ok(Read {
            records,
            next,
            high_watermark: fetched.high_watermark,
        })
    }

    async fn watch(
        &self,
        topic: &str,
        partition: i32,
        beyond: Offset,
        at_most: Duration,
    ) -> Result<Offset, LogError> {
        let partition = self.partition(topic, partition)?;
        self.wait_beyond(&partition, beyond, at_most).await;
        if partition.is_deleted() {
            return Err(LogError::NotFound(format!("topic `{topic}` was deleted")));
        }
        Ok(partition.high_watermark())
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        let partition = self.partition(topic, partition)?;
        Ok(Watermarks {
            log_start: partition.log_start(),
            high: partition.high_watermark(),
        })
    }

    async fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
    ) -> Result<Option<Offset>, LogError> {
        let partition = self.partition(topic, partition)?;
        let found = self.offset_for_timestamp(&partition, timestamp_ms).await;
        Ok(found.map_err(read_error)?.map(|(offset, _)| offset))
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        Ok(Broker::topics(self)
            .iter()
            .map(|topic| plain(topic))
            .collect())
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        let defaults = self.shared().topic_defaults;
        let setting = |name: &str, value: String| (name.to_owned(), value);
        Ok(Bounds {
            defaults: TopicConfig::from([
                setting("retention.ms", defaults.retention_ms.to_string()),
                setting("retention.bytes", defaults.retention_bytes.to_string()),
                setting("max.message.bytes", defaults.max_message_bytes.to_string()),
            ]),
            max_message_bytes: MAX_MESSAGE_BYTES_LIMIT as u64,
            partitions_a_topic: PARTITIONS_LIMIT.cast_signed(),
            partitions_together: i64::from(self.settings().max_partitions),
        })
    }

    async fn create_topic(&self, spec: TopicSpec) -> Result<Topic, LogError> {
        let partitions = match spec.partitions {
            Some(partitions) => partitions,
            None => self.default_partitions(),
        };
        let new = NewTopic {
            name: spec.name,
            partitions,
            config: spec.config,
        };
        let topic = Broker::create_topic(self, new).await.map_err(topic_error)?;
        Ok(plain(&topic))
    }

    async fn alter_topic(&self, name: &str, alter: AlterTopic) -> Result<Topic, LogError> {
        let altered = Broker::alter_topic(self, name, alter)
            .await
            .map_err(topic_error)?;
        Ok(plain(&altered))
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        Broker::delete_topic(self, name).await.map_err(topic_error)
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<Offset>>, LogError> {
        let topics = Broker::topics(self);
        let topic = topics.by_name(topic).ok_or_else(|| no_such_topic(topic))?;
        let group = Broker::committed(self, group);
        let of = |partition: &Arc<Partition>| {
            let key = (partition.topic, partition.index);
            Some(group.as_ref()?.offsets.get(&key)?.offset)
        };
        Ok(topic.partitions.iter().map(of).collect())
    }

    async fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError> {
        let partition = self.partition(topic, partition)?;
        if group.is_empty() || group.len() > LARGEST_GROUP_BYTES {
            let bytes = group.len();
            return Err(LogError::Invalid(format!(
                "a group's name of {bytes} bytes: from 1 to {LARGEST_GROUP_BYTES} are possible"
            )));
        }
        if offset < 0 {
            return Err(LogError::Invalid(format!("offset {offset} is below 0")));
        }
        let entry = OffsetEntry {
            topic: partition.topic,
            partition: partition.index,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let offsets = OffsetsCommitted {
            group: group.to_owned(),
            // Below every generation of a group with members, whose own number stays.
            generation: -1,
            commit_ms: 0,
            entries: vec![entry],
        };
        self.commit_offsets(offsets)
            .await
            .map_err(|refusal| log_error(&refusal))
    }

    async fn groups(&self) -> Result<Vec<String>, LogError> {
        Ok(Broker::groups(self))
    }
}

impl Broker {
    fn partition(&self, topic: &str, partition: i32) -> Result<Arc<Partition>, LogError> {
        let topics = Broker::topics(self);
        let found = topics.by_name(topic).ok_or_else(|| no_such_topic(topic))?;
        usize::try_from(partition)
            .ok()
            .and_then(|at| found.partitions.get(at))
            .cloned()
            .ok_or_else(|| LogError::NotFound(format!("partition {partition} of `{topic}`")))
    }

    /// Chooses the partition, checks the sizes and encodes one record.
    fn prepare(&self, append: &Append) -> Result<NewRecord, LogError> {
        let topics = Broker::topics(self);
        let topic = topics
            .by_name(&append.topic)
            .ok_or_else(|| no_such_topic(&append.topic))?;
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let partition = match (append.partition, &append.record.key) {
            (Some(partition), _) if (0..count).contains(&partition) => partition,
            (Some(partition), _) => {
                let name = &append.topic;
                return Err(LogError::NotFound(format!(
                    "partition {partition} of `{name}`"
                )));
            }
            (None, Some(key)) => partitioner::for_key(key, count),
            (None, None) => self.next_keyless().rem_euclid(count),
        };
        let body = batch::encode_record(&append.record);
        let limit = topic.settings.max_message_bytes;
        if body.len() + FRAMING_BYTES > limit.max(FRAMING_BYTES) {
            let bytes = body.len();
            return Err(LogError::Invalid(format!(
                "a record of {bytes} bytes is larger than `max.message.bytes={limit}` of `{}`",
                append.topic
            )));
        }
        let claim = append
            .claim
            .as_ref()
            .map(|claim| self.hashed(claim))
            .transpose()?;
        Ok(NewRecord {
            topic: topic.number,
            partition: partition.cast_unsigned(),
            body,
            claim,
        })
    }

    fn hashed(&self, claim: &Claim) -> Result<NewClaim, LogError> {
        if claim.identity.len() > LARGEST_IDENTITY_BYTES {
            return Err(LogError::Invalid(
                "a claim's identity is longer than 64 KiB".to_owned(),
            ));
        }
        if claim.window > LARGEST_WINDOW {
            return Err(LogError::Invalid(
                "a claim's window is longer than 400 days".to_owned(),
            ));
        }
        // Part of a second would end a window early; log time has milliseconds, windows seconds.
        let window_s = claim.window.as_secs() + u64::from(claim.window.subsec_nanos() > 0);
        Ok(NewClaim {
            key: ClaimKey::of(self.claim_secret(), &claim.identity),
            fingerprint: claim.fingerprint.0,
            window_s: u32::try_from(window_s).expect("400 days of seconds fit"),
        })
    }

    /// Looks in the runs of older claims.
    async fn claim_in_runs(
        &self,
        runs: &Arc<claims::Runs>,
        claim: &NewClaim,
    ) -> Result<Option<Placed>, LogError> {
        let topics = Broker::topics(self);
        let exists = |topic| topics.by_number(topic).is_some();
        let mut runs = runs.clone();
        let found = loop {
            let log_time_ms = self.shared().log_time_ms();
            let looked = runs
                .lookup(self.objects(), claim.key, log_time_ms, exists)
                .await;
            match looked {
                Ok(found) => break found,
                Err(error) => {
                    let newer = self.shared().runs.load_full();
                    // A run that was merged away meanwhile: the newer set holds the same claims.
                    let merged = matches!(error, ObjectError::NotFound { .. });
                    if !merged || Arc::ptr_eq(&runs, &newer) {
                        return Err(LogError::not_stored(error.to_string()));
                    }
                    runs = newer;
                }
            }
        };
        Ok(found.map(|held| sequencer::repeat_of(&held, claim.fingerprint)))
    }

    /// Names the topic of a claim; a claim whose topic was deleted meanwhile ended with it.
    fn named(&self, held: Placed) -> Option<Appended> {
        let topics = Broker::topics(self);
        let topic = topics.by_number(held.topic)?;
        Some(appended(topic.name.clone(), held))
    }

    /// Appends records in one command, after their claims were looked up in the runs.
    async fn append_command(
        &self,
        mut records: Vec<(usize, NewRecord)>,
        answers: &mut [Option<Result<Placed, LogError>>],
    ) {
        loop {
            let runs = self.shared().runs.load_full();
            let mut unclaimed = Vec::with_capacity(records.len());
            for (at, record) in records {
                let held = match &record.claim {
                    Some(claim) if !runs.is_empty() => self.claim_in_runs(&runs, claim).await,
                    _ => Ok(None),
                };
                match held {
                    Ok(None) => unclaimed.push((at, record)),
                    Ok(Some(held)) => answers[at] = Some(Ok(held)),
                    Err(error) => answers[at] = Some(Err(error)),
                }
            }
            if unclaimed.is_empty() {
                return;
            }
            let (places, new): (Vec<usize>, Vec<NewRecord>) = unclaimed.into_iter().unzip();
            let bytes = new.iter().map(|record| record.body.len()).sum();
            let (reply, answer) = oneshot::channel();
            let command = AppendCommand {
                records: new,
                runs_version: runs.version,
                reply,
            };
            if self.send(Input::Append(command), bytes).await.is_err() {
                return;
            }
            match answer.await {
                Ok(AppendAnswer::Recheck(again)) => {
                    records = places.into_iter().zip(again).collect();
                }
                Ok(AppendAnswer::Records(placed)) => {
                    for (at, result) in places.into_iter().zip(placed) {
                        answers[at] = Some(result.map_err(|refusal| log_error(&refusal)));
                    }
                    return;
                }
                // Without an answer the process is going down, and the records may be on disk.
                Err(_) => {
                    for at in places {
                        answers[at] = Some(Err(LogError::in_doubt("the log stopped")));
                    }
                    return;
                }
            }
        }
    }
}

fn appended(topic: Arc<str>, placed: Placed) -> Appended {
    Appended {
        topic,
        place: placed.place,
        disposition: placed.disposition,
    }
}

fn plain(topic: &partition::Topic) -> Topic {
    Topic {
        name: topic.name.to_string(),
        id: topic.id,
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        config: topic.config.clone(),
        internal: topic.internal,
    }
}

fn no_such_topic(name: &str) -> LogError {
    LogError::NotFound(format!("topic `{name}`"))
}

fn stopped() -> LogError {
    LogError::not_stored("the log is stopping")
}

fn log_error(refusal: &Refusal) -> LogError {
    match refusal {
        Refusal::NoSuchPartition => LogError::NotFound(refusal.to_string()),
        Refusal::TopicExists => LogError::Conflict(refusal.to_string()),
        Refusal::OutOfOrder
        | Refusal::FencedProducer
        | Refusal::BadTopic(_)
        | Refusal::TooManyPartitions => LogError::Invalid(refusal.to_string()),
        Refusal::Recheck
        | Refusal::ClaimsFull
        | Refusal::OffsetsFull
        | Refusal::WalFull
        | Refusal::Stopping => LogError::not_stored(refusal.to_string()),
    }
}

fn topic_error(error: TopicError) -> LogError {
    match error {
        TopicError::Exists => LogError::Conflict("the topic exists".to_owned()),
        TopicError::Unknown => LogError::NotFound("no such topic".to_owned()),
        TopicError::Invalid(what) | TopicError::TooMany(what) => LogError::Invalid(what),
        TopicError::Unavailable(why) => LogError::not_stored(why),
    }
}

fn read_error(error: ReadError) -> LogError {
    match error {
        ReadError::OutOfRange {
            log_start,
            high_watermark,
        } => LogError::Invalid(format!(
            "the offset is outside {log_start}..{high_watermark}, the range that is kept"
        )),
        ReadError::Corrupt(what) => LogError::Corrupt(what),
        ReadError::Unavailable(why) => LogError::not_stored(why),
    }
}
