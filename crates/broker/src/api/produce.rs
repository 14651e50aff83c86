//! Produce (0), versions 3-13: record batches into the log. Advertised from 0.
//!
//! Every batch is checked here, once, by its header and CRC. Records are opened only where their topic
//! has rules (`rules.rs`); one that breaks them has its whole batch refused with 87, a text and, as
//! KIP-467 has them, the records that are to blame. All batches of a request are queued before the
//! next request is looked at, so that a pipeline keeps its order; the answer follows when they are
//! durable. acks 1 gives what acks -1 gives.
//!
//! Departures: one batch a partition, of format 2 (Kafka converts older ones). The time-out of the
//! request is not used: the log itself refuses with 19 what it could not place within seconds.
//! Transactions do not exist yet (53, 48). Topics of the product itself cannot be written (17).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Caller, CloseReason, Reply, TopicKey, encode, find_partition};
use crate::batch::{self, BatchError, BatchHeader, Compression};
use crate::read::partition::{Topic, TopicTable};
use crate::rules::{self, TopicRules};
use crate::sequencer::{Produced, Refusal};
use crate::wire::produce_request::TopicProduceData;
use crate::wire::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use crate::wire::{
    self, Answer, ErrorCode, ProduceRequest, ProduceResponse, RequestHead, message, text,
};

/// The first version that names topics by id (KIP-516).
const TOPIC_IDS_FROM: i16 = 13;
/// The first version whose producers may use zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
/// The first version with a text beside the error (KIP-467).
const MESSAGES_FROM: i16 = 8;
/// The first version that carries the log start.
const LOG_START_FROM: i16 = 5;

/// Why a batch was not taken, for the client and for its log.
struct Refused {
    error: ErrorCode,
    reason: String,
    /// The records that are to blame, by their places in the batch.
    records: Vec<(i32, String)>,
}

impl Refused {
    fn new(error: ErrorCode, reason: impl Into<String>) -> Self {
        Self {
            error,
            reason: reason.into(),
            records: Vec::new(),
        }
    }

    fn by_rules(refused: rules::Refused) -> Self {
        match refused {
            // Java's producer then splits the batch, which is what helps.
            rules::Refused::Unreadable(error @ BatchError::TooLarge(_)) => {
                Self::new(ErrorCode::MessageTooLarge, error.to_string())
            }
            rules::Refused::Unreadable(error) => {
                Self::new(ErrorCode::InvalidRecord, error.to_string())
            }
            rules::Refused::Records(records) => {
                let (at, first) = records.first().map_or((0, ""), |(at, why)| (*at, why));
                let reason = format!("record {at} of the batch: {first}");
                Self {
                    error: ErrorCode::InvalidRecord,
                    reason,
                    records,
                }
            }
            rules::Refused::Failed => Self::new(ErrorCode::UnknownServerError, ""),
        }
    }
}

/// The answer for one partition, here or to come.
enum Outcome {
    Queued(oneshot::Receiver<Result<Produced, Refusal>>),
    Refused(Refused),
}

struct QueuedTopic {
    topic: TopicProduceData,
    partitions: Vec<(i32, Outcome)>,
}

/// Queues all batches of a request, in order, and returns the answer that will come.
pub(super) async fn handle(
    caller: &Caller,
    head: RequestHead,
    frame: Bytes,
) -> Result<Reply, CloseReason> {
    let (_, request) = wire::decode::<ProduceRequest>(frame, head.version)?;
    let topics = caller.broker().topics();
    let whole = check_request(&request);
    let mut queued = Vec::with_capacity(request.topic_data.len());
    for mut topic in request.topic_data {
        let found = find_topic(&topics, &topic, head.version);
        let rules = match found {
            Ok(topic) => caller.port.checks.of_topic(&topic.name),
            Err(_) => None,
        };
        let batches = std::mem::take(&mut topic.partition_data);
        let mut partitions = Vec::with_capacity(batches.len());
        for partition in batches {
            let outcome = match (whole, found) {
                (Err(error), _) | (_, Err(error)) => Outcome::Refused(Refused::new(error, "")),
                (Ok(()), Ok(topic)) => {
                    let records = partition.records.unwrap_or_default();
                    let asked = (head.version, partition.index);
                    queue(caller, asked, topic, rules.as_ref(), records).await
                }
            };
            partitions.push((partition.index, outcome));
        }
        queued.push(QueuedTopic { topic, partitions });
    }
    let acks = request.acks;
    Ok(Reply::Later(Box::pin(async move {
        let answer = collect(head, queued).await;
        if acks == 0 {
            silent(&answer)
        } else {
            encode_answer(head, answer)
        }
    })))
}

fn check_request(request: &ProduceRequest) -> Result<(), ErrorCode> {
    if !(-1..=1).contains(&request.acks) {
        return Err(ErrorCode::InvalidRequiredAcks);
    }
    if request.transactional_id.is_some() {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    Ok(())
}

fn find_topic<'t>(
    topics: &'t TopicTable,
    asked: &TopicProduceData,
    version: i16,
) -> Result<&'t Topic, ErrorCode> {
    let key = if version < TOPIC_IDS_FROM {
        TopicKey::Name(&asked.name)
    } else {
        TopicKey::Id(asked.topic_id)
    };
    let topic = key.find(topics)?;
    if topic.internal {
        return Err(ErrorCode::InvalidTopic);
    }
    Ok(topic)
}

async fn queue(
    caller: &Caller,
    (version, index): (i16, i32),
    topic: &Topic,
    rules: Option<&Arc<dyn TopicRules>>,
    records: Bytes,
) -> Outcome {
    let checked = match find_partition(topic, index) {
        Err(error) => Err(Refused::new(error, "")),
        Ok(partition) => check_batch(version, topic, &records).map(|header| (partition, header)),
    };
    match checked {
        Err(refused) => Outcome::Refused(refused),
        Ok((partition, header)) => {
            if let Some(rules) = rules
                && let Err(refused) = caller.port.checks.check(rules, &header, &records).await
            {
                return Outcome::Refused(Refused::by_rules(refused));
            }
            let permit = caller.broker().admit(records.len()).await;
            let broker = caller.broker();
            Outcome::Queued(broker.produce(topic, partition.index, header, records, permit))
        }
    }
}

/// The shortest record of format v2: seven fields of a byte each, all empty or null.
const LEAST_RECORD_BYTES: usize = 7;

fn check_batch(version: i16, topic: &Topic, records: &[u8]) -> Result<BatchHeader, Refused> {
    let limit = topic.settings.max_message_bytes;
    if records.len() > limit {
        let len = records.len();
        let reason =
            format!("the batch of `{len}` bytes is larger than `max.message.bytes`, `{limit}`");
        return Err(Refused::new(ErrorCode::MessageTooLarge, reason));
    }
    if records.is_empty() {
        return Err(Refused::new(
            ErrorCode::InvalidRecord,
            "there is no record batch",
        ));
    }
    let header =
        batch::validate(records).map_err(|e| Refused::new(batch_error(&e), e.to_string()))?;
    if header.compression() == Ok(Compression::Zstd) && version < ZSTD_FROM {
        let reason = "zstd needs Produce version 7";
        return Err(Refused::new(ErrorCode::UnsupportedCompressionType, reason));
    }
    let body_bytes = records.len() - batch::HEADER_BYTES;
    let possible_records = match header.compression() {
        Ok(Compression::None) => body_bytes / LEAST_RECORD_BYTES,
        _ if body_bytes == 0 => 0,
        // How many a packed batch has is known when it is unpacked, and here it never is.
        _ => usize::MAX,
    };
    if usize::try_from(header.record_count).is_ok_and(|count| count > possible_records) {
        let reason = "the batch has not the bytes for as many records as it announces";
        return Err(Refused::new(ErrorCode::InvalidRecord, reason));
    }
    if header.is_control() {
        let reason = "only the log itself writes transaction markers";
        return Err(Refused::new(ErrorCode::InvalidRecord, reason));
    }
    if header.is_transactional() {
        let reason = "transactions are not supported yet";
        return Err(Refused::new(ErrorCode::InvalidTxnState, reason));
    }
    if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
        let reason = "a batch of an idempotent producer has no sequence or no epoch";
        return Err(Refused::new(ErrorCode::InvalidRecord, reason));
    }
    Ok(header)
}

fn batch_error(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Checksum { .. } | BatchError::Truncated { .. } | BatchError::Length(_) => {
            ErrorCode::CorruptMessage
        }
        BatchError::Codec(_) => ErrorCode::UnsupportedCompressionType,
        _ => ErrorCode::InvalidRecord,
    }
}

/// Waits for all batches of a request.
async fn collect(head: RequestHead, queued: Vec<QueuedTopic>) -> ProduceResponse {
    let mut responses = Vec::with_capacity(queued.len());
    for QueuedTopic { topic, partitions } in queued {
        let mut answered = Vec::with_capacity(partitions.len());
        for (index, outcome) in partitions {
            let result = match outcome {
                Outcome::Refused(refused) => Err(refused),
                Outcome::Queued(answer) => match answer.await {
                    Ok(Ok(produced)) => Ok(produced),
                    Ok(Err(refusal)) => Err(Refused::new(
                        refusal_code(&refusal, head.version),
                        refusal.to_string(),
                    )),
                    // The log stopped with the batch in its hands: perhaps it is stored.
                    Err(_) => Err(Refused::new(ErrorCode::RequestTimedOut, "")),
                },
            };
            answered.push(answer_partition(head.version, index, result));
        }
        responses.push(message!(TopicProduceResponse {
            name: topic.name,
            topic_id: topic.topic_id,
            partition_responses: answered,
        }));
    }
    message!(ProduceResponse { responses })
}

fn refusal_code(refusal: &Refusal, version: i16) -> ErrorCode {
    match refusal {
        Refusal::NoSuchPartition if version >= TOPIC_IDS_FROM => ErrorCode::UnknownTopicId,
        Refusal::NoSuchPartition => ErrorCode::UnknownTopicOrPartition,
        Refusal::OutOfOrder => ErrorCode::OutOfOrderSequenceNumber,
        Refusal::FencedProducer => ErrorCode::InvalidProducerEpoch,
        // Nothing was appended, and a later try may succeed (log-design 3.10).
        _ => ErrorCode::NotEnoughReplicas,
    }
}

fn answer_partition(
    version: i16,
    index: i32,
    result: Result<Produced, Refused>,
) -> PartitionProduceResponse {
    match result {
        Ok(produced) => message!(PartitionProduceResponse {
            index,
            base_offset: produced.base_offset,
            log_append_time_ms: -1,
            log_start_offset: if version >= LOG_START_FROM {
                produced.log_start
            } else {
                -1
            },
        }),
        Err(refused) => {
            let reason = Some(refused.reason).filter(|reason| !reason.is_empty());
            let records = refused.records.into_iter().map(|(at, reason)| {
                message!(BatchIndexAndErrorMessage {
                    batch_index: at,
                    batch_index_error_message: Some(text(reason)),
                })
            });
            let record_errors = match version >= MESSAGES_FROM {
                true => records.collect(),
                false => Vec::new(),
            };
            message!(PartitionProduceResponse {
                index,
                error_code: refused.error.code(),
                base_offset: -1,
                log_append_time_ms: -1,
                log_start_offset: -1,
                error_message: reason.filter(|_| version >= MESSAGES_FROM).map(text),
                record_errors,
            })
        }
    }
}

fn encode_answer(
    head: RequestHead,
    answer: ProduceResponse,
) -> Result<Option<Answer>, CloseReason> {
    encode::<ProduceRequest>(head, &answer).map(Some)
}

/// A producer with acks 0 gets no answer; the end of its connection is how it learns of an error.
fn silent(answer: &ProduceResponse) -> Result<Option<Answer>, CloseReason> {
    let mut partitions = answer
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    match partitions.find(|partition| partition.error_code != 0) {
        None => Ok(None),
        Some(failed) => Err(CloseReason::Unacknowledged(failed.error_code)),
    }
}
