//! Reads a topic of a Kafka cluster back whole, with a client of its own: what is committed, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::account::{At, Stored};
use crate::nodes::{LIMIT, Nodes};

const PATIENCE: Duration = Duration::from_secs(60);

/// Reads all that is committed of a topic, once no transaction in it is open any more.
pub(super) fn read(nodes: &Nodes, topic: &str) -> Vec<Stored> {
    let reader = nodes.client("read_committed");
    let metadata = reader.fetch_metadata(Some(topic), LIMIT).unwrap();
    let partitions = metadata.topics()[0].partitions().iter();
    let partitions: Vec<i32> = partitions.map(|at| at.id()).collect();
    assert!(!partitions.is_empty(), "{topic} is there");
    nodes.until("every transaction is decided", |written| {
        let end = |client: &BaseConsumer, partition| {
            let marks = client.fetch_watermarks(topic, partition, LIMIT);
            marks.map(|(_, end)| end)
        };
        for partition in &partitions {
            if end(&reader, *partition)? != end(written, *partition)? {
                return Ok(false);
            }
        }
        Ok(true)
    });
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning)
            .unwrap();
    }
    reader.assign(&list).unwrap();
    let (mut records, mut ended) = (Vec::new(), BTreeSet::new());
    while ended.len() < partitions.len() {
        match reader.poll(PATIENCE).expect("the end comes") {
            Ok(message) => records.push(stored(&message)),
            Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
            Err(error) => panic!("{error}"),
        }
    }
    records
}

fn stored(message: &BorrowedMessage<'_>) -> Stored {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec());
    let headers = message.headers().unwrap();
    let id = headers.iter().find(|header| header.key == "ce_id");
    Stored {
        at: At {
            partition: message.partition(),
            offset: message.offset(),
        },
        id: text(id.and_then(|header| header.value)).unwrap(),
        key: text(message.key()).unwrap(),
        data: text(message.payload()).unwrap(),
        time_ms: message.timestamp().to_millis().unwrap(),
    }
}
