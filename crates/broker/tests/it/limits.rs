//! What the running log does at its limits: many small records, a store that is away.

use std::time::Duration;

use bytes::Bytes;
use tidegate_broker::sequencer::HistorySettings;
use tidegate_broker::{Broker, NewTopic, Options, TopicError};
use tidegate_event_log::{Append, Claim, Fingerprint, Log, Record};

fn append(value: usize, claim: Option<usize>) -> Append {
    Append {
        topic: "topic".into(),
        partition: Some(0),
        record: Record {
            key: None,
            value: Some(Bytes::from(vec![7; value])),
            headers: Vec::new(),
        },
        claim: claim.map(|number| Claim {
            identity: Bytes::from(number.to_le_bytes().to_vec()),
            fingerprint: Fingerprint([0; 16]),
            window: Duration::from_secs(60),
        }),
    }
}

async fn create(broker: &Broker) {
    let new = NewTopic {
        name: "topic".to_owned(),
        partitions: 1,
        config: Default::default(),
    };
    broker.create_topic(new).await.unwrap();
}

fn stop_within(broker: &Broker, at_most: Duration) {
    let broker = broker.clone();
    let (stopped, waits) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        broker.stop();
        stopped.send(()).unwrap();
    });
    waits.recv_timeout(at_most).expect("the log stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_smallest_records_with_claims_fit_their_groups_in_any_number() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::open(Options::new(directory.path())).unwrap();
    create(&broker).await;
    let appends = (0..260_000).map(|number| append(0, Some(number)));
    let answers = broker.append(appends.collect()).await;
    assert!(answers.iter().all(Result::is_ok));
    stop_within(&broker, Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_too_long_for_a_record_of_the_log_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Broker::open(Options::new(directory.path())).unwrap();
    // Kafka's own settings have no length, and this one is kept whatever it says.
    let new = NewTopic {
        name: "topic".to_owned(),
        partitions: 1,
        config: [("segment.bytes".to_owned(), "0".repeat(9 << 20))].into(),
    };
    let created = broker.create_topic(new).await;
    assert!(matches!(created, Err(TopicError::Invalid(_))));
    stop_within(&broker, Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the test breaks the store")]
async fn while_the_store_is_away_the_log_grows_and_still_stops() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        wal_segment_bytes: 32 << 20,
        wal_budget_bytes: 160 << 20,
        history: HistorySettings {
            ship_after_ms: 500,
            ..HistorySettings::default()
        },
        ..Options::new(directory.path())
    };
    let broker = Broker::open(options).unwrap();
    // No object of the log can be created where its folder should be.
    std::fs::write(directory.path().join("objects/log"), "").unwrap();
    create(&broker).await;
    // Twice what the first two segments hold.
    for _ in 0..120 {
        let answers = broker.append(vec![append(1_000_000, None)]).await;
        assert!(answers[0].is_ok(), "{answers:?}");
    }
    stop_within(&broker, Duration::from_secs(20));
}

#[test]
fn a_log_whose_last_handle_is_dropped_lets_go_of_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    drop(Broker::open(Options::new(directory.path())).unwrap());
    let mut tries = 0;
    let broker = loop {
        match Broker::open(Options::new(directory.path())) {
            Ok(broker) => break broker,
            Err(error) => assert!(tries < 1_000, "{error}"),
        }
        tries += 1;
        std::thread::sleep(Duration::from_millis(20));
    };
    stop_within(&broker, Duration::from_secs(30));
}
