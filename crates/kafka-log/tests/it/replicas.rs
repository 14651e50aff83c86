//! Several replicas on one cluster store an event once, whichever is asked, comes, goes, stops or dies.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tidegate_event_log::{Disposition, Log, Place};
use tidegate_kafka_log::{KafkaLog, KafkaOptions};

use crate::events::{PARTITIONS, PATIENCE, Places, append, check, note, open, store, topic};
use crate::proxy::{HEARTBEAT, JOIN_GROUP, PRODUCE, Proxy};
use crate::support::{Kafka, kafka};
use crate::wipe::wipe;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_sent_to_replicas_that_come_and_go_is_stored_once() {
    const NAMES: usize = 150;
    const SENDERS: usize = 6;
    let (kafka, _turn) = kafka().await;
    wipe(&kafka.bootstrap).await;
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(open(&kafka.bootstrap).await);
    }
    topic(&first[0], "t").await;
    let replicas = Arc::new(Mutex::new(first));
    let answered = Arc::new(Mutex::new(Places::new()));
    let stored = Arc::new(Mutex::new(0));
    let senders = (0..SENDERS).map(|sender| {
        let (replicas, answered) = (Arc::clone(&replicas), Arc::clone(&answered));
        let stored = Arc::clone(&stored);
        tokio::spawn(async move {
            for number in 0..NAMES {
                let turn = AtomicUsize::new(number * 7 + sender);
                let any = || {
                    let turn = turn.fetch_add(1, Ordering::Relaxed);
                    Arc::clone(&replicas.lock()[turn % 3])
                };
                // Two senders have the same names.
                let name = format!("{}-{number}", sender / 2);
                let appended = store(any, "t", &name).await;
                note(&answered, &name, appended.place);
                *stored.lock() += usize::from(appended.disposition == Disposition::Stored);
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut at = 0;
    while senders.iter().any(|sender| !sender.is_finished()) && at < 4 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let new = open(&kafka.bootstrap).await;
        replicas.lock()[at % 3] = new;
        at += 1;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(answered.lock().len(), NAMES * SENDERS / 2);
    assert!(*stored.lock() <= NAMES * SENDERS / 2, "told to one caller");
    check(&kafka.bootstrap, "t", &answered.lock());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_stands_though_the_id_of_its_topic_was_told_late() {
    let (kafka, _turn) = kafka().await;
    wipe(&kafka.bootstrap).await;
    let log = open(&kafka.bootstrap).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &kafka.bootstrap);
    // Made by another than a log, so that nobody was told of an id when the event is stored.
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let new = NewTopic::new("t", PARTITIONS, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let created = admin.create_topics([&new], &options).await;
    created.unwrap().remove(0).unwrap();
    while !log.topics().await.unwrap().iter().any(|it| it.name == "t") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let first = store(|| Arc::clone(&log), "t", "name").await;
    let producer: FutureProducer = config.create().unwrap();
    let told = FutureRecord::to("_tidegate.cluster")
        .key("topic/t")
        .payload("late");
    producer.send(told, PATIENCE).await.unwrap();
    let second = open(&kafka.bootstrap).await;
    for asked in [&log, &second, &log] {
        let again = store(|| Arc::clone(asked), "t", "name").await;
        assert_eq!(
            (again.place, again.disposition),
            (first.place, Disposition::Repeated)
        );
        let claim = append("t", "name").claim.unwrap();
        let found = asked.lookup(&claim).await.unwrap().unwrap();
        assert_eq!(found.place, first.place);
    }
    check(
        &kafka.bootstrap,
        "t",
        &Places::from([("name".to_owned(), first.place)]),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_owner_writes_after_its_time_is_never_committed() {
    let (kafka, _turn) = kafka().await;
    wipe(&kafka.bootstrap).await;
    let proxy = Proxy::listen(kafka.detour + 1, kafka.detour).await;
    let late = open(&format!("127.0.0.1:{}", kafka.detour + 1)).await;
    topic(&late, "t").await;
    // It owns everything, and has stored something, so that its producer is at work.
    let first = store(|| Arc::clone(&late), "t", "first").await;
    // The group hears nothing of it any more, and it nothing of the group.
    proxy.hold([HEARTBEAT, JOIN_GROUP]);
    proxy.until_waiting(HEARTBEAT).await;
    let other = open(&kafka.bootstrap).await;
    // Half of its session: long enough to be over before the transaction that begins now is given up.
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.hold([PRODUCE, HEARTBEAT, JOIN_GROUP]);
    let sender = Arc::clone(&late);
    let sent =
        tokio::spawn(async move { sender.append(vec![append("t", "name")]).await.remove(0) });
    proxy.until_waiting(PRODUCE).await;
    let stored = store(|| Arc::clone(&other), "t", "name").await;
    assert_eq!(stored.disposition, Disposition::Stored);
    proxy.hold([]);
    // Its event and its claim are written now, and not committed: it is told what the new owner knows.
    let appended = sent.await.unwrap().unwrap();
    assert_eq!(
        (appended.place, appended.disposition),
        (stored.place, Disposition::Repeated)
    );
    let again = store(|| Arc::clone(&late), "t", "name").await;
    assert_eq!(
        (again.place, again.disposition),
        (stored.place, Disposition::Repeated)
    );
    let answered = [("first", first), ("name", stored)];
    let answered = answered.map(|(name, appended)| (name.to_owned(), appended.place));
    check(&kafka.bootstrap, "t", &Places::from(answered));
}

/// A replica in a process of its own, which can be stopped and killed. It sends each name it is told, several at a
/// time, and tells the places.
struct Replica {
    child: Child,
    answers: std::thread::JoinHandle<Places>,
}

impl Replica {
    fn start(kafka: &Kafka, topic: &str, names: &[String]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["replicas::a_replica_of_another_process", "--exact"])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .env(REPLICA, format!("{} {topic}", kafka.bootstrap))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", names.join(" ")).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let answers = std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines
                .filter_map(|line| parse(line.split_once(ANSWER)?.1))
                .collect()
        });
        Self { child, answers }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }
}

const REPLICA: &str = "TIDEGATE_TEST_REPLICA";
const ANSWER: &str = "stored: ";

fn parse(line: &str) -> Option<(String, Place)> {
    let mut parts = line.split(' ');
    let name = parts.next()?.to_owned();
    let place = Place {
        partition: parts.next()?.parse().ok()?,
        offset: parts.next()?.parse().ok()?,
        timestamp_ms: parts.next()?.parse().ok()?,
    };
    Some((name, place))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other process of the test below"]
async fn a_replica_of_another_process() {
    let Ok(told) = std::env::var(REPLICA) else {
        return;
    };
    let (bootstrap, topic) = told.split_once(' ').unwrap();
    let options = KafkaOptions::new(bootstrap);
    let log = Arc::new(KafkaLog::open(options).await.unwrap());
    let mut names = String::new();
    std::io::stdin().read_line(&mut names).unwrap();
    let names: Vec<_> = names.split_whitespace().collect();
    for names in names.chunks(8) {
        let log = &log;
        let stored = names.iter().map(|name| async move {
            let place = store(|| Arc::clone(log), topic, name).await.place;
            let (partition, offset, at_ms) = (place.partition, place.offset, place.timestamp_ms);
            println!("{ANSWER}{name} {partition} {offset} {at_ms}");
        });
        futures::future::join_all(stored).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_was_stopped_for_too_long_is_fenced() {
    let (kafka, _turn) = kafka().await;
    wipe(&kafka.bootstrap).await;
    let log = open(&kafka.bootstrap).await;
    topic(&log, "t").await;
    let names: Vec<String> = (0..400).map(|number| format!("n{number}")).collect();
    // Alone it would own nothing of what this one has, and the other way round: each has its share.
    let replica = Replica::start(kafka, "t", &names);
    let answered = Mutex::new(Places::new());
    for (number, names) in names.chunks(8).enumerate() {
        if number == 10 {
            replica.signal("-STOP");
        }
        let stored = names.iter().map(|name| async {
            let appended = store(|| Arc::clone(&log), "t", name).await;
            note(&answered, name, appended.place);
        });
        futures::future::join_all(stored).await;
        if number == 40 {
            // All of its claims were taken over by now. It goes on where it was: in the middle of something.
            replica.signal("-CONT");
        }
    }
    let Replica { mut child, answers } = replica;
    assert!(child.wait().unwrap().success());
    let answers = answers.join().unwrap();
    assert_eq!(answers.len(), names.len(), "it sent everything in the end");
    for (name, place) in answers {
        note(&answered, &name, place);
    }
    check(&kafka.bootstrap, "t", &answered.lock());
}
