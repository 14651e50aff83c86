//! The clients that ask and change a cluster, and the clock. Calls of librdkafka that block run on threads of their own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use tidegate_event_log::{LogError, Watermarks};

use crate::context::Context;
use crate::error;
use crate::options::KafkaOptions;

/// The group of clients that only read and ask: librdkafka wants a name. It never has members or offsets.
const NO_GROUP: &str = "_tidegate.readers";
/// How often a client that nobody reads from looks for events, such as a token that ends.
const POLL: Duration = Duration::from_millis(250);
/// How often one is asked that does not know yet that it is the leader.
const LEADER_PAUSE: Duration = Duration::from_millis(20);

pub(crate) type Now = dyn Fn() -> i64 + Send + Sync;
pub(crate) type Client = BaseConsumer<Context>;

pub(crate) struct Cluster {
    pub(crate) options: KafkaOptions,
    pub(crate) context: Context,
    pub(crate) id: String,
    pub(crate) nodes: usize,
    pub(crate) now_ms: Arc<Now>,
    pub(crate) admin: AdminClient<Context>,
    /// Sees what is committed.
    committed: Arc<Client>,
}

impl Cluster {
    /// Connects, and asks who the cluster is.
    pub(crate) fn connect(options: KafkaOptions, now_ms: Arc<Now>) -> Result<Self, LogError> {
        let context = Context {
            token_file: options.token_file.clone(),
        };
        let made = |error: KafkaError| LogError::Invalid(format!("a kafka client: {error}"));
        let admin = AdminClient::from_config_and_context(&options.admin(), context.clone());
        let committed = asking(&options.reader(), &context).map_err(made)?;
        let unreachable =
            |why: &str| LogError::not_stored(format!("no kafka at `{}`: {why}", options.brokers));
        let metadata = committed.fetch_metadata(None, options.deadline);
        let metadata = metadata.map_err(|error| unreachable(&error.to_string()))?;
        let id = committed.client().fetch_cluster_id(options.deadline);
        let id = id.ok_or_else(|| unreachable("it has no cluster id"))?;
        let nodes = nodes(&metadata);
        drop(metadata);
        Ok(Self {
            admin: admin.map_err(made)?,
            context,
            id,
            nodes,
            now_ms,
            committed,
            options,
        })
    }

    /// The id of a topic: of its name, and of what was told of it when it was made.
    pub(crate) fn topic_id(&self, name: &str, told: Option<&str>) -> [u8; 16] {
        let mut id = [0; 16];
        let mut hash = blake3::Hasher::new_derive_key("tidegate 2026 topic id on kafka");
        for part in [&self.id, name, told.unwrap_or_default()] {
            hash.update(&part.len().to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize_xof().fill(&mut id);
        id
    }

    pub(crate) fn replication(&self) -> i32 {
        let nodes = i32::try_from(self.nodes).unwrap_or(i32::MAX);
        let default = if nodes >= 3 { 3 } else { 1 };
        self.options.replication.unwrap_or(default)
    }

    pub(crate) fn min_insync(&self) -> i32 {
        let default = if self.replication() >= 3 { 2 } else { 1 };
        self.options.min_insync.unwrap_or(default)
    }

    pub(crate) fn admin_options(&self) -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(self.options.deadline))
            .operation_timeout(Some(self.options.deadline))
    }

    /// Makes a client that reads.
    pub(crate) fn reader(&self, settings: &[(&str, &str)]) -> Result<Client, KafkaError> {
        let mut config = self.options.reader();
        config.set("group.id", NO_GROUP);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Client::from_config_and_context(&config, self.context.clone())
    }

    /// The client that is asked. Its calls block.
    pub(crate) fn asked(&self) -> &Client {
        &self.committed
    }

    /// Asks for the range of what is committed in a partition. Blocks.
    pub(crate) fn marks(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        let marks =
            self.ask_leader(|client, limit| client.fetch_watermarks(topic, partition, limit));
        let (log_start, high) = marks.map_err(|error| error::question(&error, topic))?;
        Ok(Watermarks { log_start, high })
    }

    /// Asks something of the leader of a partition. A node that was just made the leader may not know of it yet, and
    /// then it is asked again. Blocks.
    pub(crate) fn ask_leader<T>(
        &self,
        ask: impl Fn(&Client, Duration) -> Result<T, KafkaError>,
    ) -> Result<T, KafkaError> {
        let deadline = Instant::now() + self.options.deadline;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match ask(&self.committed, left) {
                Err(error) if error::is_between_leaders(&error) && Instant::now() < deadline => {
                    std::thread::sleep(LEADER_PAUSE);
                }
                answer => return answer,
            }
        }
    }
}

/// Runs something that blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(LogError::in_doubt(error.to_string())))
}

/// Counts the nodes. One that is down is in no list of nodes, but still in those of the copies: a topic that is made
/// meanwhile is to have as many as ever.
fn nodes(metadata: &Metadata) -> usize {
    let topics = metadata.topics().iter();
    let copies = topics.flat_map(|topic| topic.partitions().iter().flat_map(|at| at.replicas()));
    let living = metadata.brokers().iter().map(|node| node.id());
    living.chain(copies.copied()).collect::<BTreeSet<_>>().len()
}

/// Makes a client that is only asked, and serves its events until it is dropped.
fn asking(config: &ClientConfig, context: &Context) -> Result<Arc<Client>, KafkaError> {
    let client = Client::from_config_and_context(config, context.clone())?;
    let client = Arc::new(client);
    let weak = Arc::downgrade(&client);
    let served = std::thread::Builder::new().name("kafka-events".to_owned());
    let thread = served.spawn(move || {
        while let Some(client) = weak.upgrade() {
            if let Some(Err(error)) = client.poll(POLL) {
                tracing::debug!(error = %error, "a kafka client had an error");
            }
        }
    });
    thread.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
    Ok(client)
}
