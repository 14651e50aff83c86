//! Events that have a name: sent as careful callers do, read by a client of the tests' own, and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tidegate_event_log::{
    Append, Appended, Claim, Fingerprint, Log, LogError, Place, Record, TopicConfig, TopicSpec,
};
use tidegate_kafka_log::{KafkaLog, KafkaOptions};

pub(crate) const PARTITIONS: i32 = 3;
/// Longer than a session, and than an open transaction of a replica that died is kept, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Places by name: what every answer and every record must agree on.
pub(crate) type Places = BTreeMap<String, Place>;

/// An event without a claim.
pub(crate) fn unclaimed(topic: &str, name: &str) -> Append {
    let name = Bytes::copy_from_slice(name.as_bytes());
    Append {
        topic: topic.into(),
        partition: None,
        record: Record {
            key: Some(name.clone()),
            value: Some(name),
            headers: Vec::new(),
        },
        claim: None,
    }
}

pub(crate) fn append(topic: &str, name: &str) -> Append {
    let mut fingerprint = [0; 16];
    blake3::Hasher::new()
        .update(name.as_bytes())
        .finalize_xof()
        .fill(&mut fingerprint);
    let claim = Claim {
        identity: [topic, "/", name].concat().into(),
        fingerprint: Fingerprint(fingerprint),
        window: Duration::from_hours(24),
    };
    Append {
        claim: Some(claim),
        ..unclaimed(topic, name)
    }
}

/// Sends an event as a careful caller does: again, with the same claim, until it is answered.
pub(crate) async fn store(
    replica: impl Fn() -> Arc<KafkaLog>,
    topic: &str,
    name: &str,
) -> Appended {
    let began = Instant::now();
    loop {
        let answer = replica().append(vec![append(topic, name)]).await.remove(0);
        match answer {
            Ok(appended) => return appended,
            Err(LogError::Unavailable { .. }) if began.elapsed() < PATIENCE => {}
            Err(error) => panic!("{name}: {error} after {:?}", began.elapsed()),
        }
    }
}

/// Opens a log that is patient: a transaction's time is over before a caller's.
pub(crate) async fn open(bootstrap: &str) -> Arc<KafkaLog> {
    let mut options = KafkaOptions::new(bootstrap);
    options.deadline = Duration::from_secs(20);
    open_by(options).await
}

/// Opens a log, again while the cluster has no answer, as a supervisor does.
pub(crate) async fn open_by(options: KafkaOptions) -> Arc<KafkaLog> {
    let began = Instant::now();
    loop {
        match KafkaLog::open(options.clone()).await {
            Ok(log) => return Arc::new(log),
            Err(LogError::Unavailable { .. }) if began.elapsed() < PATIENCE => {}
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn topic(log: &KafkaLog, name: &str) {
    let spec = TopicSpec {
        name: name.to_owned(),
        partitions: Some(PARTITIONS),
        config: TopicConfig::new(),
    };
    log.create_topic(spec).await.unwrap();
}

/// Reads all that is committed, with a client of its own.
pub(crate) fn committed(bootstrap: &str, topic: &str) -> Vec<(String, Place)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "check")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut records, mut ended) = (Vec::new(), BTreeSet::new());
    while ended.len() < PARTITIONS as usize {
        match consumer.poll(PATIENCE).expect("the end comes") {
            Ok(message) => {
                let name = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
                let place = Place {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp_ms: message.timestamp().to_millis().unwrap(),
                };
                records.push((name, place));
            }
            Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
            Err(error) => panic!("{error}"),
        }
    }
    records
}

/// Each name is in the topic once, at the place that every answer named.
pub(crate) fn check(bootstrap: &str, topic: &str, answered: &Places) {
    let records = committed(bootstrap, topic);
    let stored: Places = records.iter().cloned().collect();
    assert_eq!(stored.len(), records.len(), "one record a name");
    assert_eq!(&stored, answered, "every answer names the record");
}

/// Notes an answer, which must be the one that others got.
pub(crate) fn note(answered: &Mutex<Places>, name: &str, place: Place) {
    let before = *answered.lock().entry(name.to_owned()).or_insert(place);
    assert_eq!(before, place, "{name} has one place");
}
