//! Which partitions of the claims topic this replica owns, and the group's generation in which it does.
//!
//! The group rebalances eagerly: every generation begins with everything taken away and ends with an assignment, so the
//! group's metadata, taken at the assignment, belongs to just these partitions. A transaction that shows the metadata of
//! an earlier generation is refused by the group's coordinator.
//!
//! Metadata of a member that was put out of the group names no generation, and the coordinator refuses it to nobody. So
//! it is taken before the client takes the assignment over, and counts only if that is not lost by then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{
    BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance,
};
use rdkafka::error::KafkaError;
use tidegate_event_log::LogError;
use tokio::sync::watch;

use super::TOPIC;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::groups::CLAIMS;

/// So long a replica that is silent keeps what it owns. Kafka's own least.
const SESSION: Duration = Duration::from_secs(6);
/// So often the group is served.
const POLL: Duration = Duration::from_millis(100);

/// What is owned in one generation.
pub(crate) struct Tenure {
    pub(crate) number: u64,
    pub(crate) partitions: BTreeSet<i32>,
    pub(crate) metadata: ConsumerGroupMetadata,
}

pub(crate) type Current = watch::Receiver<Option<Arc<Tenure>>>;

struct Member {
    context: Context,
    tenure: watch::Sender<Option<Arc<Tenure>>>,
    numbers: AtomicU64,
    /// Of the assignment that is being taken over.
    metadata: Mutex<Option<ConsumerGroupMetadata>>,
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.context.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }

    fn generate_oauth_token(
        &self,
        settings: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.context.generate_oauth_token(settings)
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if !matches!(rebalance, Rebalance::Assign(_)) {
            self.tenure.send_replace(None);
            return;
        }
        // In this order: what is not lost afterwards was not lost when the metadata was taken.
        let metadata = consumer.group_metadata();
        *self.metadata.lock() = metadata.filter(|_| !consumer.assignment_lost());
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(assigned) = rebalance else {
            return;
        };
        // Membership is all that is wanted of this client; the claims are read by others.
        if let Err(error) = consumer.pause(assigned) {
            tracing::warn!(error = %error, "claims are fetched twice");
        }
        let elements = assigned.elements();
        let partitions: BTreeSet<i32> = elements.iter().map(|at| at.partition()).collect();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let tenure = self.metadata.lock().take().map(|metadata| {
            tracing::info!(tenure = number, partitions = ?partitions, "claims are owned");
            Arc::new(Tenure {
                number,
                partitions,
                metadata,
            })
        });
        self.tenure.send_replace(tenure);
    }
}

/// Being a member of the group, until it is told to leave or nobody listens any more.
pub(crate) struct Membership {
    leaves: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Membership {
    /// Leaves the group, so that others own the claims at once; returns when the cluster was told.
    pub(crate) fn leave(&self) {
        self.leaves.store(true, Ordering::Relaxed);
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the member of the group of claims failed");
        }
    }
}

/// Joins the group.
pub(crate) fn join(cluster: &Cluster) -> Result<(Current, Membership), LogError> {
    let (tenure, current) = watch::channel(None);
    let mut config = cluster.options.reader();
    config
        .set("group.id", CLAIMS)
        .set("partition.assignment.strategy", "roundrobin")
        .set("session.timeout.ms", SESSION.as_millis().to_string())
        .set("heartbeat.interval.ms", "1500")
        .set("auto.offset.reset", "earliest");
    let member = Member {
        context: cluster.context.clone(),
        tenure: tenure.clone(),
        numbers: AtomicU64::new(0),
        metadata: Mutex::default(),
    };
    let made = |error: KafkaError| LogError::Invalid(format!("a kafka client: {error}"));
    let consumer = BaseConsumer::from_config_and_context(&config, member).map_err(made)?;
    consumer.subscribe(&[TOPIC]).map_err(made)?;
    let leaves = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&leaves);
    let thread = std::thread::Builder::new().name("kafka-claims".to_owned());
    let spawned = thread.spawn(move || {
        while !tenure.is_closed() && !told.load(Ordering::Relaxed) {
            if let Some(Err(error)) = consumer.poll(POLL) {
                tracing::warn!(error = %error, "the group of claims had an error");
            }
        }
        // Left on purpose, so that others need not wait for the session to end.
        tenure.send_replace(None);
        consumer.unsubscribe();
    });
    let thread = spawned.map_err(|error| LogError::not_stored(error.to_string()))?;
    let thread = Mutex::new(Some(thread));
    Ok((current, Membership { leaves, thread }))
}
