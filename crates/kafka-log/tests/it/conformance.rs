//! An external cluster keeps the promise that every log keeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use tidegate_event_log::Log;
use tidegate_event_log::conformance::{Subject, run_all};
use tidegate_kafka_log::{KafkaLog, KafkaOptions};

use crate::nodes::Nodes;
use crate::support::kafka;
use crate::wipe::wipe;

async fn subject(bootstrap: &str, deadline: Duration) -> Subject {
    wipe(bootstrap).await;
    let ahead_ms = Arc::new(AtomicI64::new(0));
    let clock = Arc::clone(&ahead_ms);
    let now_ms = move || {
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        i64::try_from(wall).unwrap() + clock.load(Ordering::Relaxed)
    };
    let mut options = KafkaOptions::new(bootstrap);
    options.deadline = deadline;
    let log: Arc<dyn Log> = Arc::new(KafkaLog::open_by(options, now_ms).await.unwrap());
    Subject::new(log)
        .with_gaps()
        .with_clock(move |by: Duration| {
            let by = i64::try_from(by.as_millis()).unwrap();
            ahead_ms.fetch_add(by, Ordering::Relaxed);
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_cluster_conforms() {
    let (kafka, _turn) = kafka().await;
    let deadline = Duration::from_secs(5);
    run_all(async || subject(&kafka.bootstrap, deadline).await).await;
}

/// Three copies of everything, of which an ack waits for two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: `make torture`"]
async fn a_cluster_of_three_nodes_conforms() {
    // Rules let time pass, which records then have.
    let nodes = Nodes::start(&["log.message.timestamp.after.max.ms=9223372036854775807"]);
    // The first transaction of a cluster has it make a hundred partitions, three copies of each.
    let deadline = Duration::from_secs(30);
    run_all(async || subject(&nodes.bootstrap, deadline).await).await;
}
