//! Killed after its write-ahead log went round several times: history in objects is whole, what was
//! said in segments long used again still holds, and a start does not read it all.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rskafka::chrono::DateTime;
use rskafka::client::Client;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::account::{At, Stored};
use super::serving::{CONTRACT, EVENT_TYPE, Place, SOURCE, Serving, TOPIC};
use super::{Dice, reader};

const MIB: u64 = 1024 * 1024;
/// A topic that no contract makes again at the start.
const KAFKA_TOPIC: &str = "crash.through-the-kafka-port";
const KAFKA_PARTITIONS: i32 = 3;
const HTTP_PARTITIONS: i32 = 4;
/// A request or produced batch holds as much: below Kafka's default limit of a batch.
const BATCH_BYTES: usize = 900 * 1024;
const RECORD_BYTES: usize = 60 * 1024;
/// What the issue asks for on a quiet machine; a busy one is given more.
const READY_AIM: Duration = Duration::from_secs(2);
const READY_LIMIT: Duration = Duration::from_secs(10);

#[test]
fn four_wal_budgets_survive_kill_9() {
    let settings = "\
log: {wal: {segment: 32MiB, budget: 64MiB}, hot_memory: 8MiB, ship: {after: 3s}}
";
    Run {
        settings,
        wal_budget_bytes: 64 * MIB,
        bytes: 4 * 64 * MIB,
        kafka_forgets: false,
    }
    .go();
}

/// The topic of the contract keeps everything, the other one nearly nothing.
#[test]
#[ignore = "10 GiB of history: `make torture`"]
fn ten_gibibytes_of_history_with_mixed_retention_survive_kill_9() {
    let settings = "\
log: {delete_after: 2s, ship: {after: 3s}}
kafka:
  settings: {log.retention.bytes: 268435456, log.retention.check.interval.ms: 1000}
";
    Run {
        settings,
        wal_budget_bytes: 1024 * MIB,
        bytes: 10 * 1024 * MIB,
        kafka_forgets: true,
    }
    .go();
}

struct Run {
    settings: &'static str,
    wal_budget_bytes: u64,
    /// Over both topics.
    bytes: u64,
    kafka_forgets: bool,
}

/// What was said at the very beginning.
struct First {
    topic: Value,
    receipt: Value,
}

impl Run {
    fn go(self) {
        let runtime = Runtime::new().unwrap();
        let mut dice = Dice::thrown();
        let mut events = Written::new(dice.next());
        let mut records = Written::new(dice.next());
        let place = Place::new(self.settings);
        let serving = place.serve();
        let first = runtime.block_on(say_first(&serving, &mut events));

        let began = Instant::now();
        let half = self.bytes / 2;
        let (by_http, by_kafka) = runtime.block_on(async {
            let over_http = events.over_http(&serving.url, half);
            tokio::join!(over_http, records.over_kafka(&serving.kafka, half))
        });
        let written_in = began.elapsed();
        serving.kill_9();

        // Killed again at once: what a start does must be as good as what it found.
        let mut starts = Vec::new();
        for _ in 0..2 {
            let serving = place.serve();
            starts.push(serving.ready_after);
            runtime.block_on(check_first(&serving, &first));
            serving.kill_9();
        }
        let serving = place.serve();
        starts.push(serving.ready_after);
        runtime.block_on(check_first(&serving, &first));
        runtime.block_on(self.check(&serving, &events, &records));
        let wal = || place.file_sizes("data/wal").iter().sum::<u64>();
        // A start may need a segment beyond the budget until objects cover the others.
        let limit = Instant::now() + Duration::from_secs(20);
        while wal() > self.wal_budget_bytes {
            assert!(Instant::now() < limit, "{} bytes of segments", wal());
            std::thread::sleep(Duration::from_millis(20));
        }
        serving.kill_9();
        let objects = place.file_sizes("data/objects");
        let kept: u64 = objects.iter().sum();
        let least = if self.kafka_forgets { half } else { self.bytes };
        assert!(kept + self.wal_budget_bytes >= least, "{kept} bytes kept");
        if self.kafka_forgets {
            assert!(
                kept < half + half / 2,
                "{kept} bytes kept of what nobody keeps"
            );
        }
        eprintln!(
            "{} MiB in {written_in:.1?}, {by_http} and {by_kafka} requests told to come back; {} \
             objects of {} MiB; {} MiB of segments; ready after {starts:.0?} (aim {READY_AIM:?})",
            self.bytes / MIB,
            objects.len(),
            kept / MIB,
            wal() / MIB
        );
        assert!(starts.iter().all(|took| *took < READY_LIMIT), "{starts:?}");
    }

    /// Reads everything back and compares.
    async fn check(&self, serving: &Serving, events: &Written, records: &Written) {
        let mut found = 0;
        for partition in 0..HTTP_PARTITIONS {
            let see = |stored| found += events.check(&stored);
            let begin = reader::over_http(&serving.url, TOPIC, partition, see).await;
            assert_eq!(begin, 0, "the contract keeps 30 days");
        }
        assert_eq!(found, events.places.len(), "events");
        let (mut found, mut forgotten) = (0, 0);
        let client = reader::kafka(&serving.kafka).await;
        for partition in 0..KAFKA_PARTITIONS {
            let see = |stored| found += records.check(&stored);
            forgotten += reader::over_kafka(&client, KAFKA_TOPIC, partition, see).await;
        }
        assert_eq!(forgotten > 0, self.kafka_forgets, "{forgotten} forgotten");
        let all = found + usize::try_from(forgotten).unwrap();
        assert_eq!(all, records.places.len(), "records");
    }
}

/// Makes a topic and claims a key, in the log's first segment.
async fn say_first(serving: &Serving, events: &mut Written) -> First {
    let client = reader::kafka(&serving.kafka).await;
    let controller = client.controller_client().unwrap();
    let made = controller.create_topic(KAFKA_TOPIC, KAFKA_PARTITIONS, 1, 5_000);
    made.await.unwrap();
    let receipt = post_first(&serving.url).await;
    assert_eq!(receipt["duplicate"], false, "{receipt}");
    events.places.push(at(&receipt));
    First {
        topic: topic(&serving.url).await,
        receipt,
    }
}

/// What was said first still holds.
async fn check_first(serving: &Serving, first: &First) {
    let topic = topic(&serving.url).await;
    for same in ["id", "partitions", "config"] {
        assert_eq!(topic[same], first.topic[same], "{same} of {topic}");
    }
    let repeat = post_first(&serving.url).await;
    assert_eq!(repeat["duplicate"], true, "{repeat}");
    for same in ["id", "event", "partition", "offset", "time"] {
        assert_eq!(repeat[same], first.receipt[same], "{same} of {repeat}");
    }
}

async fn topic(url: &str) -> Value {
    let response = reqwest::get(format!("{url}/v1/topics/{KAFKA_TOPIC}")).await;
    serde_json::from_slice(&response.unwrap().bytes().await.unwrap()).unwrap()
}

const FIRST_DATA: &str = r#"{"key":"shelf-0","text":"the first of all"}"#;

async fn post_first(url: &str) -> Value {
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/events/{CONTRACT}"))
        .header("content-type", "application/json")
        .header("idempotency-key", "0")
        .body(FIRST_DATA);
    let body = request.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn at(receipt: &Value) -> At {
    let number = |name: &str| receipt[name].as_i64();
    let partition = number("partition").unwrap_or_else(|| panic!("no receipt: {receipt}"));
    At {
        partition: partition.try_into().unwrap(),
        offset: number("offset").unwrap(),
    }
}

/// What was written to a topic. All of a record but its place follows from its number, its id.
struct Written {
    seed: u64,
    places: Vec<At>,
}

impl Written {
    fn new(seed: u64) -> Self {
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

    /// Writes batches of events, each until it is accepted; returns how often it was not.
    async fn over_http(&mut self, url: &str, bytes: u64) -> usize {
        let client = reqwest::Client::new();
        let (mut written, mut refused) = (0, 0);
        while written < bytes {
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
            let receipts = loop {
                let request = client
                    .post(format!("{url}/v1/events"))
                    .header("content-type", "application/cloudevents-batch+json")
                    .body(body.clone());
                let response = request.send().await.unwrap();
                let status = response.status().as_u16();
                let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
                match status {
                    202 => break body["results"].as_array().unwrap().clone(),
                    503 => refused += 1,
                    _ => panic!("{status} {body}"),
                }
            };
            assert_eq!(receipts.len(), batch.len());
            self.places
                .extend(receipts.iter().map(|result| at(&result["receipt"])));
            written += body.len() as u64;
        }
        refused
    }

    /// Writes batches of records through the Kafka port, to one partition after the other; returns
    /// how often one was refused for lack of room.
    async fn over_kafka(&mut self, address: &str, bytes: u64) -> usize {
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
    fn check(&self, stored: &Stored) -> usize {
        let Stored { at, id, key, data } = stored;
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
