//! Asks a log what it holds, through the Kafka protocol: the same questions for every broker.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::orders::Orders;

const LIMIT: Duration = Duration::from_secs(15);

/// Where the partitions of a topic end, by partition.
pub type Ends = Vec<i64>;

fn consumer(bootstrap: &str) -> Result<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .set("queued.min.messages", "100000")
        .create()
        .context("cannot make a consumer")
}

fn admin(bootstrap: &str) -> Result<AdminClient<DefaultClientContext>> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .context("cannot make an admin client")
}

/// Reads the end of every partition of `topic`.
pub fn ends(bootstrap: &str, topic: &str) -> Result<Ends> {
    let consumer = consumer(bootstrap)?;
    let metadata = consumer.fetch_metadata(Some(topic), LIMIT)?;
    let partitions = metadata
        .topics()
        .first()
        .map_or(0, |topic| topic.partitions().len());
    if partitions == 0 {
        bail!("topic `{topic}` is not there");
    }
    (0..partitions as i32)
        .map(|partition| Ok(consumer.fetch_watermarks(topic, partition, LIMIT)?.1))
        .collect()
}

/// Says whether the broker refuses a record that nothing describes.
pub fn refuses_nonsense(bootstrap: &str, topic: &str) -> Result<bool> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .create()?;
    let before = ends(bootstrap, topic)?;
    let nonsense = BaseRecord::<[u8], [u8]>::to(topic).payload(b"nonsense");
    producer.send(nonsense).map_err(|(error, _)| error)?;
    producer.flush(LIMIT)?;
    Ok(records_between(&before, &ends(bootstrap, topic)?) == 0)
}

/// Counts the records between two readings of a topic's ends.
pub fn records_between(before: &[i64], after: &[i64]) -> i64 {
    after.iter().sum::<i64>() - before.iter().sum::<i64>()
}

/// Makes a topic, with settings by Kafka's names, and waits until it has its leaders.
pub fn create_topic(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<()> {
    let admin = admin(bootstrap)?;
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        new = new.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    for result in block_on(admin.create_topics([&new], &options))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => bail!("topic `{topic}` was not made: {code}"),
        }
    }
    let deadline = Instant::now() + LIMIT;
    while ends(bootstrap, topic).is_err() {
        if Instant::now() > deadline {
            bail!("topic `{topic}` has no leader");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Deletes topics; those that are not there are passed over.
pub fn delete_topics(bootstrap: &str, topics: &[&str]) -> Result<()> {
    let admin = admin(bootstrap)?;
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    for result in block_on(admin.delete_topics(topics, &options))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("topic `{topic}` was not deleted: {code}"),
        }
    }
    Ok(())
}

/// Reads `topic` from `from` to `to` and counts the different events of `orders` in it.
///
/// # Errors
/// A record that is no event of the run, or is there twice, or one that does not come.
pub fn distinct(
    bootstrap: &str,
    topic: &str,
    from: &[i64],
    to: &[i64],
    orders: &Orders,
) -> Result<u64> {
    let expected = records_between(from, to) as u64;
    let mut seen: Vec<u64> = Vec::new();
    read(bootstrap, topic, from, to, |key, body| {
        let number = orders.known(key, body)?;
        let (word, bit) = ((number / 64) as usize, number % 64);
        if word >= seen.len() {
            seen.resize(word * 2 + 1024, 0);
        }
        if seen[word] >> bit & 1 == 1 {
            bail!("event {number} is in the log twice");
        }
        seen[word] |= 1 << bit;
        Ok(())
    })?;
    Ok(expected)
}

/// Reads every record of `topic` from `from` to `to`.
pub fn read(
    bootstrap: &str,
    topic: &str,
    from: &[i64],
    to: &[i64],
    mut each: impl FnMut(Option<&[u8]>, &[u8]) -> Result<()>,
) -> Result<()> {
    let consumer = consumer(bootstrap)?;
    let mut assignment = TopicPartitionList::new();
    let mut left = 0;
    for (partition, (&from, &to)) in from.iter().zip(to).enumerate() {
        if to > from {
            assignment.add_partition_offset(topic, partition as i32, Offset::Offset(from))?;
            left += 1;
        }
    }
    if left == 0 {
        return Ok(());
    }
    consumer.assign(&assignment)?;
    let mut deadline = Instant::now() + LIMIT;
    while left > 0 {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let end = to[message.partition() as usize];
                if message.offset() >= end {
                    continue;
                }
                each(message.key(), message.payload().unwrap_or_default())?;
                if message.offset() + 1 == end {
                    left -= 1;
                }
                deadline = Instant::now() + LIMIT;
            }
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
            Some(Err(error)) => return Err(error).context("cannot read the log"),
            None => {}
        }
        if Instant::now() > deadline {
            bail!("the log gave no record for {LIMIT:?}");
        }
    }
    Ok(())
}

/// librdkafka tells of broken connections, then mends them itself.
pub fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::OperationTimedOut
    )
}
