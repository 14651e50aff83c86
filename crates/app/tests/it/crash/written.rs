//! Much data whose every byte is known: written through either door, checked when it is read back.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use rskafka::chrono::DateTime;
use rskafka::client::Client;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use serde_json::Value;

use super::account::{At, Stored};
use super::serving::{EVENT_TYPE, SOURCE};
use super::{Dice, reader};

/// A topic that no contract makes again at the start.
pub(super) const KAFKA_TOPIC: &str = "crash.through-the-kafka-port";
pub(super) const KAFKA_PARTITIONS: i32 = 3;
/// A request or produced batch holds as much: below Kafka's default limit of a batch.
const BATCH_BYTES: usize = 900 * 1024;
const RECORD_BYTES: usize = 60 * 1024;
/// The data of event 0, which is sent by itself.
pub(super) const FIRST_DATA: &str = r#"{"key":"shelf-0","text":"the first of all"}"#;

pub(super) fn at(receipt: &Value) -> At {
    let number = |name: &str| receipt[name].as_i64();
    let partition = number("partition").unwrap_or_else(|| panic!("no receipt: {receipt}"));
    At {
        partition: partition.try_into().unwrap(),
        offset: number("offset").unwrap(),
    }
}

/// What was written to a topic. All of a record but its place follows from its number, its id.
pub(super) struct Written {
    seed: u64,
    pub(super) places: Vec<At>,
}

impl Written {
    pub(super) fn new(seed: u64) -> Self {
        let places = Vec::new();
        Self { seed, places }
    }

    fn key(number: usize) -> String {
        format!("shelf-{}", number % 50)
    }

    fn data(&self, number: usize) -> String {
        let mut dice = Dice::new(self.seed ^ number as u64);
        let length = 100 + dice.below(RECORD_BYTES as u64) as usize;
        let block = dice.letters(500);
        let mut data = format!(r#"{{"key":"{}","text":""#, Self::key(number));
        for turn in 0.. {
            if data.len() >= length {
                break;
            }
            data.push_str(&format!("{turn}"));
            data.push_str(&block);
        }
        data.push_str("\"}");
        data
    }

    /// The next records, together as large as a batch.
    fn next_batch(&self) -> Vec<(usize, String)> {
        let mut bytes = 0;
        let numbers = self.places.len()..;
        let mut batch: Vec<_> = numbers
            .map(|number| (number, self.data(number)))
            .take_while(|(_, data)| {
                bytes += data.len() + 400;
                bytes <= BATCH_BYTES
            })
            .collect();
        batch.truncate(500);
        batch
    }

    /// Writes a batch of events, and says how much it was; or the status of the refusal, and then
    /// the same batch is next.
    pub(super) async fn post(&mut self, client: &reqwest::Client, url: &str) -> Result<u64, u16> {
        let batch = self.next_batch();
        let texts: Vec<String> = batch
            .iter()
            .map(|(number, data)| {
                format!(
                    r#"{{"specversion":"1.0","id":"{number}","source":"{SOURCE}","type":"{EVENT_TYPE}","data":{data}}}"#
                )
            })
            .collect();
        let body = format!("[{}]", texts.join(","));
        let bytes = body.len() as u64;
        let request = client
            .post(format!("{url}/v1/events"))
            .header("content-type", "application/cloudevents-batch+json")
            .body(body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        if status == 503 {
            return Err(status);
        }
        assert_eq!(status, 202, "{body}");
        let results = body["results"].as_array().unwrap();
        assert_eq!(results.len(), batch.len());
        self.places
            .extend(results.iter().map(|result| at(&result["receipt"])));
        Ok(bytes)
    }

    /// Writes batches of events, each until it is accepted; returns how often it was not.
    pub(super) async fn over_http(&mut self, url: &str, bytes: u64) -> usize {
        let client = reqwest::Client::new();
        let (mut written, mut refused) = (0, 0);
        while written < bytes {
            match self.post(&client, url).await {
                Ok(bytes) => written += bytes,
                Err(_) => refused += 1,
            }
        }
        refused
    }

    /// Writes batches of records through the Kafka port, to one partition after the other; returns
    /// how often one was refused for lack of room.
    pub(super) async fn over_kafka(&mut self, address: &str, bytes: u64) -> usize {
        let client = reader::kafka(address).await;
        let mut partitions = BTreeMap::new();
        for partition in 0..KAFKA_PARTITIONS {
            partitions.insert(partition, partition_client(&client, partition).await);
        }
        let (mut written, mut turn, mut refused) = (0, 0, 0);
        while written < bytes {
            let batch = self.next_batch();
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let now_ms = i64::try_from(since.as_millis()).unwrap();
            let records: Vec<Record> = batch
                .iter()
                .map(|(number, data)| Record {
                    key: Some(Self::key(*number).into_bytes()),
                    value: Some(data.clone().into_bytes()),
                    headers: [("ce_id".to_owned(), number.to_string().into_bytes())].into(),
                    timestamp: DateTime::from_timestamp_millis(now_ms).unwrap(),
                })
                .collect();
            let partition = turn % KAFKA_PARTITIONS;
            turn += 1;
            let client = &partitions[&partition];
            let offsets = loop {
                let copy = records.clone();
                match client.produce(copy, Compression::NoCompression).await {
                    Ok(offsets) => break offsets,
                    Err(Error::ServerError {
                        protocol_error: ProtocolError::NotEnoughReplicas,
                        ..
                    }) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            };
            assert_eq!(offsets.len(), batch.len());
            let places = offsets.into_iter().map(|offset| At { partition, offset });
            self.places.extend(places);
            written += batch.iter().map(|(_, data)| data.len() as u64).sum::<u64>();
        }
        refused
    }

    /// Checks a record that was read; counts it.
    pub(super) fn check(&self, stored: &Stored) -> usize {
        let Stored {
            at, id, key, data, ..
        } = stored;
        let number: usize = id.parse().unwrap_or_else(|_| panic!("`{id}` at {at:?}"));
        assert_eq!(self.places.get(number), Some(at), "place of {number}");
        let (expected_key, expected) = match number {
            0 if *data == FIRST_DATA => ("shelf-0".to_owned(), FIRST_DATA.to_owned()),
            _ => (Self::key(number), self.data(number)),
        };
        assert_eq!(*key, expected_key, "key of {number}");
        assert!(
            *data == expected,
            "{number} at {at:?} has other bytes: {data}"
        );
        1
    }
}

async fn partition_client(
    client: &Client,
    partition: i32,
) -> rskafka::client::partition::PartitionClient {
    let unknown = UnknownTopicHandling::Error;
    let client = client.partition_client(KAFKA_TOPIC, partition, unknown);
    client.await.unwrap()
}
