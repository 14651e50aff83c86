//! Nodes of a cluster are killed, the leader first and all at last: what was acked is where its answer said, and an
//! event with a claim is stored once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tidegate_event_log::{Log, LogError, Place};
use tidegate_kafka_log::{KafkaLog, KafkaOptions};
use tokio::time::sleep;

use crate::events::{
    PARTITIONS, PATIENCE, Places, check, committed, note, open, open_by, store, topic, unclaimed,
};
use crate::nodes::{LIMIT, NODES, Nodes};

const SENDERS: usize = 4;
/// Events of each kind between two kills.
const MORE: usize = 100;

/// Senders that go on until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    claimed: Arc<Mutex<Places>>,
    /// Without a claim: those that were acked. Others may be in the log as well, for their answer was lost.
    straight: Arc<Mutex<Places>>,
    senders: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(log: &Arc<KafkaLog>) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            claimed: Arc::default(),
            straight: Arc::default(),
            senders: Vec::new(),
        };
        for sender in 0..SENDERS {
            let (log, stop) = (Arc::clone(log), Arc::clone(&load.stop));
            let (claimed, straight) = (Arc::clone(&load.claimed), Arc::clone(&load.straight));
            load.senders.push(tokio::spawn(async move {
                let names = (0..).map(|number| format!("{sender}-{number}"));
                for name in names.take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let stored = store(|| Arc::clone(&log), "claimed", &name).await;
                    note(&claimed, &name, stored.place);
                    let sent = log.append(vec![unclaimed("straight", &name)]).await;
                    match sent.into_iter().next().unwrap() {
                        Ok(appended) => note(&straight, &name, appended.place),
                        Err(LogError::Unavailable { .. }) => {}
                        Err(error) => panic!("{name}: {error}"),
                    }
                }
            }));
        }
        load
    }

    /// Waits until so many more events of each kind are acked.
    async fn more(&self) {
        let acked = || [&self.claimed, &self.straight].map(|places| places.lock().len());
        let (before, limit) = (acked(), Instant::now() + PATIENCE * 2);
        while std::iter::zip(acked(), before).any(|(now, before)| now < before + MORE) {
            assert!(Instant::now() < limit, "{before:?}, then {:?}", acked());
            sleep(Duration::from_millis(20)).await;
        }
        eprintln!("with and without a claim {:?} acked", acked());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; `make torture` runs it"]
async fn what_was_acked_outlives_its_leader_and_the_death_of_all_nodes() {
    let nodes = Nodes::start(&[]);
    let log = open_by(KafkaOptions::new(nodes.bootstrap.clone())).await;
    for name in ["claimed", "straight"] {
        topic(&log, name).await;
    }
    let load = Load::start(&log);
    load.more().await;

    let led = leader(&nodes.client("read_committed")).unwrap();
    nodes.kill(&[led]);
    nodes.until("another node leads", |client| {
        let leader = leader(client)?;
        Ok(leader > 0 && leader != led)
    });
    load.more().await;
    // Who comes meanwhile makes topics with as many copies as ever.
    topic(&*open(&nodes.bootstrap).await, "late").await;
    nodes.restart(&[led]);
    let client = nodes.client("read_committed");
    let metadata = client.fetch_metadata(Some("late"), LIMIT).unwrap();
    for partition in metadata.topics()[0].partitions() {
        assert_eq!(partition.replicas().len(), 3, "of {}", partition.id());
    }
    load.more().await;

    let all: Vec<i32> = (1..=NODES).collect();
    nodes.kill(&all);
    nodes.restart(&all);
    load.more().await;

    load.stop.store(true, Ordering::Relaxed);
    for sender in load.senders {
        sender.await.unwrap();
    }
    check(&nodes.bootstrap, "claimed", &load.claimed.lock());
    let records = committed(&nodes.bootstrap, "straight");
    let by_place: BTreeMap<_, _> = records.iter().map(|(name, at)| (key(*at), name)).collect();
    for (name, at) in load.straight.lock().iter() {
        assert_eq!(by_place.get(&key(*at)), Some(&name), "{name} at {at:?}");
    }
    // The log itself finds what the client does.
    let mut read = 0;
    for partition in 0..PARTITIONS {
        read += count(&log, partition).await;
    }
    assert_eq!(read, records.len());
}

/// The node that leads the first partition; below 1 there is none.
fn leader(client: &BaseConsumer) -> Result<i32, KafkaError> {
    let metadata = client.fetch_metadata(Some("straight"), LIMIT)?;
    let mut partitions = metadata.topics()[0].partitions().iter();
    let first = partitions.find(|at| at.id() == 0);
    Ok(first.map_or(-1, |at| at.leader()))
}

fn key(place: Place) -> (i32, i64, i64) {
    (place.partition, place.offset, place.timestamp_ms)
}

async fn count(log: &KafkaLog, partition: i32) -> usize {
    let (mut from, mut records) = (0, 0);
    loop {
        let read = log.read("straight", partition, from, 1 << 20).await;
        let read = read.unwrap();
        records += read.records.len();
        from = read.next;
        if read.next >= read.high_watermark {
            return records;
        }
    }
}
