//! The log under the gateway of a test. `LOG` says which: `embedded` (the default) or `kafka`.
//!
//! Each test has one of its own: a broker in a folder of its own, or a cluster of one node that nobody else uses
//! meanwhile. A cluster is used again and emptied before, because starting one takes longer than a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;
use tidegate_broker::{Broker, Options};
use tidegate_event_log::Log;
use tidegate_gateway::Clock;
use tidegate_kafka_log::{KafkaLog, KafkaOptions};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::held::Held;
use crate::wipe::wipe;

/// Settings of a cluster. The tests' time stands in the past: nothing may end by the cluster's own.
const CLUSTER: [&str; 6] = [
    "--set",
    "log.initial.task.delay.ms=86400000",
    "--set",
    "offsets.topic.num.partitions=1",
    "--set",
    "transaction.state.log.num.partitions=1",
];

/// How long a test waits for the cluster of another one.
const PATIENCE: Duration = Duration::from_secs(120);

/// A clock that stands until it is moved.
pub(crate) struct HandClock {
    now_ms: AtomicI64,
    began: Instant,
    began_ms: i64,
}

impl HandClock {
    pub(crate) fn new() -> Self {
        let began_ms = 1_700_000_000_000;
        Self {
            now_ms: AtomicI64::new(began_ms),
            began: Instant::now(),
            began_ms,
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.now_ms.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }
}

/// The broker's tasks go on while the clock stands, and a move of it is no leap of the wall clock's.
impl tidegate_broker::env::Clock for HandClock {
    fn wall_ms(&self) -> i64 {
        self.now_ms()
    }

    fn elapsed(&self) -> Duration {
        let moved = u64::try_from(self.now_ms() - self.began_ms).unwrap();
        self.began.elapsed() + Duration::from_millis(moved)
    }
}

/// What a log needs for as long as it is used.
pub(crate) enum Keeper {
    Embedded {
        broker: Broker,
        _folder: TempDir,
    },
    Kafka {
        cluster: Option<Held>,
        _permit: SemaphorePermit<'static>,
    },
}

/// Clusters at most: each test thread has one, and another while it drops that of its last log.
static PERMITS: Semaphore = Semaphore::const_new(4);
/// Clusters that nobody uses.
static CLUSTERS: Mutex<Vec<Held>> = Mutex::new(Vec::new());

/// What keeps the logs of this process.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Embedded,
    Kafka,
}

fn kind() -> Kind {
    match std::env::var("LOG").as_deref() {
        Ok("embedded") | Err(_) => Kind::Embedded,
        Ok("kafka") => Kind::Kafka,
        Ok(other) => panic!("LOG is `{other}`, and not `embedded` or `kafka`"),
    }
}

/// Opens a log with nothing in it.
pub(crate) async fn open(clock: &Arc<HandClock>) -> (Arc<dyn Log>, Keeper) {
    match kind() {
        Kind::Embedded => embedded(clock),
        Kind::Kafka => kafka(clock).await,
    }
}

/// Stretches a deadline of a gateway, which tests of a log that hangs have short, to what a busy cluster needs.
pub(crate) fn patience(deadline: Duration) -> Duration {
    match kind() {
        Kind::Embedded => deadline,
        Kind::Kafka => deadline.max(Duration::from_secs(15)),
    }
}

fn embedded(clock: &Arc<HandClock>) -> (Arc<dyn Log>, Keeper) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        wal_segment_bytes: 20 << 20,
        ..Options::new(folder.path())
    };
    let broker = Broker::open_by(options, Arc::clone(clock) as _).unwrap();
    let log = Arc::new(broker.clone());
    let keeper = Keeper::Embedded {
        broker,
        _folder: folder,
    };
    (log, keeper)
}

async fn kafka(clock: &Arc<HandClock>) -> (Arc<dyn Log>, Keeper) {
    let permit = timeout(PATIENCE, PERMITS.acquire()).await;
    let permit = permit.expect("a log that is not used is dropped").unwrap();
    let free = CLUSTERS.lock().pop();
    let cluster = match free {
        Some(cluster) => {
            wipe(&cluster.bootstrap).await;
            cluster
        }
        None => Held::start(&CLUSTER),
    };
    let options = KafkaOptions::new(&cluster.bootstrap);
    let clock = Arc::clone(clock);
    let log = KafkaLog::open_by(options, move || clock.now_ms());
    let log: Arc<dyn Log> = Arc::new(log.await.unwrap());
    let keeper = Keeper::Kafka {
        cluster: Some(cluster),
        _permit: permit,
    };
    (log, keeper)
}

/// Says whether a topic holds a log's own state, and not the gateway's.
pub(crate) fn keeps_for_itself(topic: &str) -> bool {
    let of_kafka_log = ["_tidegate.claims", "_tidegate.cluster"];
    topic.starts_with("__") || of_kafka_log.contains(&topic)
}

impl Drop for Keeper {
    fn drop(&mut self) {
        match self {
            Self::Embedded { broker, .. } => broker.stop(),
            Self::Kafka { cluster, .. } => CLUSTERS.lock().extend(cluster.take()),
        }
    }
}
