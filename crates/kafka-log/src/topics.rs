//! Topics of a cluster: what is there, with its settings, and how it is made, changed and deleted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rdkafka::admin::OwnedResourceSpecifier;
use rdkafka::admin::{
    AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::Consumer;
use tidegate_event_log::{AlterTopic, Bounds, LogError, TopicConfig, TopicSpec};

use crate::check::{MAX_PARTITIONS, check_name, check_partitions};
use crate::cluster::{Cluster, blocking};
use crate::error;
use crate::options::MAX_MESSAGE_BYTES;

/// How long what is known of topics is believed. Another replica's change is seen after that at the latest.
const BELIEVED: Duration = Duration::from_secs(5);
/// A change is told to the nodes one after the other; so often it is looked for.
const LOOK_PAUSE: Duration = Duration::from_millis(10);
/// A cluster that just deleted a thousand partitions is slow to make others.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// Belongs to how the log is run, as the number of copies does, not to the topic.
const MIN_INSYNC: &str = "min.insync.replicas";
/// The settings of the log whose defaults are told.
const TOLD: [&str; 3] = ["retention.ms", "retention.bytes", "max.message.bytes"];

/// What is known of a topic.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Known {
    pub(crate) partitions: i32,
    pub(crate) max_message_bytes: usize,
    /// The settings that differ from the cluster's.
    pub(crate) config: TopicConfig,
}

/// What is known of all topics, as it was at a moment.
pub(crate) struct View {
    pub(crate) topics: BTreeMap<String, Known>,
    at: Instant,
}

pub(crate) struct Topics {
    cluster: Arc<Cluster>,
    view: RwLock<Option<Arc<View>>>,
    /// Whoever holds it looks.
    looking: tokio::sync::Mutex<()>,
    /// Whoever holds it changes topics: Kafka's client replaces all settings of a topic at once.
    changing: tokio::sync::Mutex<()>,
}

impl Topics {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            view: RwLock::new(None),
            looking: tokio::sync::Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// Returns what is known, not older than a few seconds.
    pub(crate) async fn view(&self) -> Result<Arc<View>, LogError> {
        let known = self.view.read().clone();
        if let Some(view) = known.filter(|view| view.at.elapsed() < BELIEVED) {
            return Ok(view);
        }
        self.look().await
    }

    /// Looks at the cluster now, or shares a look that began after the question.
    pub(crate) async fn look(&self) -> Result<Arc<View>, LogError> {
        let asked = Instant::now();
        let _looking = self.looking.lock().await;
        let known = self.view.read().clone();
        if let Some(view) = known.filter(|view| view.at >= asked) {
            return Ok(view);
        }
        let at = Instant::now();
        let cluster = Arc::clone(&self.cluster);
        let mut partitions = blocking(move || partitions(&cluster, None)).await?;
        let settings = self.settings(partitions.keys().cloned().collect()).await?;
        let topics = settings.into_iter().filter_map(|(name, (config, limit))| {
            let known = Known {
                partitions: partitions.remove(&name)?,
                max_message_bytes: limit,
                config,
            };
            Some((name, known))
        });
        let view = Arc::new(View {
            topics: topics.collect(),
            at,
        });
        *self.view.write() = Some(Arc::clone(&view));
        Ok(view)
    }

    /// Returns what is known of a topic; one that is not known is looked for.
    pub(crate) async fn known(&self, topic: &str) -> Result<Known, LogError> {
        if let Some(known) = self.view().await?.topics.get(topic) {
            return Ok(known.clone());
        }
        let view = self.look().await?;
        let known = view.topics.get(topic).cloned();
        known.ok_or_else(|| LogError::NotFound(format!("topic `{topic}`")))
    }

    /// Says whether a topic has a partition.
    pub(crate) async fn check(&self, topic: &str, partition: i32) -> Result<Known, LogError> {
        let mut known = self.known(topic).await?;
        if partition >= known.partitions {
            self.look().await?;
            known = self.known(topic).await?;
        }
        if (0..known.partitions).contains(&partition) {
            return Ok(known);
        }
        Err(LogError::NotFound(format!(
            "partition {partition} of `{topic}`"
        )))
    }

    /// Asks for the settings of topics: those of their own, and the limit of a record that holds.
    async fn settings(
        &self,
        names: Vec<String>,
    ) -> Result<BTreeMap<String, (TopicConfig, usize)>, LogError> {
        let min_insync = self.cluster.min_insync().to_string();
        let resources: Vec<_> = names
            .iter()
            .map(|name| ResourceSpecifier::Topic(name))
            .collect();
        if resources.is_empty() {
            return Ok(BTreeMap::new());
        }
        let options = self.cluster.admin_options();
        let described = self.cluster.admin.describe_configs(&resources, &options);
        let described = described
            .await
            .map_err(|error| error::question(&error, "settings of topics"))?;
        let mut settings = BTreeMap::new();
        // A topic that is gone by now is left out.
        for resource in described.into_iter().flatten() {
            let OwnedResourceSpecifier::Topic(name) = &resource.specifier else {
                continue;
            };
            let limit = resource
                .get("max.message.bytes")
                .and_then(|entry| entry.value.as_deref()?.parse().ok());
            let own = resource.entries.iter().filter(|entry| {
                entry.source == ConfigSource::DynamicTopic
                    && !(entry.name == MIN_INSYNC && entry.value.as_ref() == Some(&min_insync))
            });
            let own = own.filter_map(|entry| Some((entry.name.clone(), entry.value.clone()?)));
            let limit = limit.unwrap_or(MAX_MESSAGE_BYTES).min(MAX_MESSAGE_BYTES);
            settings.insert(name.clone(), (own.collect(), limit));
        }
        Ok(settings)
    }

    /// Makes a topic and returns once every partition has a leader.
    pub(crate) async fn create(&self, spec: &TopicSpec) -> Result<Known, LogError> {
        check_name(&spec.name)?;
        if let Some(partitions) = spec.partitions {
            check_partitions(1, partitions)?;
        }
        check_limit(&spec.config)?;
        let _changing = self.changing.lock().await;
        let replication = TopicReplication::Fixed(self.cluster.replication());
        // -1: as many as the cluster gives a topic that names no number.
        let partitions = spec.partitions.unwrap_or(-1);
        let min_insync = self.cluster.min_insync().to_string();
        let mut new = NewTopic::new(&spec.name, partitions, replication);
        if !spec.config.contains_key(MIN_INSYNC) {
            new = new.set(MIN_INSYNC, &min_insync);
        }
        for (name, value) in &spec.config {
            new = new.set(name, value);
        }
        let options = self.cluster.admin_options();
        let created = self.cluster.admin.create_topics([&new], &options).await;
        let created = created.map_err(|error| error::creation(&error, &spec.name))?;
        for answer in created {
            answer.map_err(|(topic, code)| error::change(code, &topic))?;
        }
        self.until(&spec.name, Seen::Led).await?;
        self.known(&spec.name).await
    }

    /// Changes a topic and returns once the change is seen.
    pub(crate) async fn alter(&self, name: &str, alter: &AlterTopic) -> Result<Known, LogError> {
        let _changing = self.changing.lock().await;
        self.look().await?;
        let before = self.known(name).await?;
        let partitions = alter.partitions.unwrap_or(before.partitions);
        check_partitions(before.partitions, partitions)?;
        let config = alter.applied_to(&before.config);
        check_limit(&alter.set)?;
        if config != before.config {
            self.try_settings(&config).await?;
        }
        if partitions > before.partitions {
            self.grow(name, partitions).await?;
        }
        if config != before.config {
            self.alter_settings(name, &config).await?;
        }
        self.until(name, Seen::Changed(partitions, &config)).await?;
        self.known(name).await
    }

    async fn grow(&self, name: &str, partitions: i32) -> Result<(), LogError> {
        let count = usize::try_from(partitions).expect("it was checked to be positive");
        let options = self.cluster.admin_options();
        let more = NewPartitions::new(name, count);
        let grown = self
            .cluster
            .admin
            .create_partitions([&more], &options)
            .await;
        let grown = grown.map_err(|error| error::creation(&error, name))?;
        for answer in grown {
            answer.map_err(|(topic, code)| error::change(code, &topic))?;
        }
        self.until(name, Seen::Led).await
    }

    /// Looks whether settings can be, as those of a topic that is not made: the client does not tell what the cluster
    /// finds wrong with settings of one that is there.
    async fn try_settings(&self, config: &TopicConfig) -> Result<(), LogError> {
        let name = "_tidegate.trial";
        let mut trial = NewTopic::new(name, 1, TopicReplication::Fixed(1));
        for (name, value) in config {
            trial = trial.set(name, value);
        }
        let options = self.cluster.admin_options().validate_only(true);
        let tried = self.cluster.admin.create_topics([&trial], &options).await;
        let tried = tried.map_err(|error| error::creation(&error, name))?;
        for answer in tried {
            answer.map_err(|(topic, code)| error::change(code, &topic))?;
        }
        Ok(())
    }

    async fn alter_settings(&self, name: &str, config: &TopicConfig) -> Result<(), LogError> {
        let min_insync = self.cluster.min_insync().to_string();
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
        if !config.contains_key(MIN_INSYNC) {
            change = change.set(MIN_INSYNC, &min_insync);
        }
        for (name, value) in config {
            change = change.set(name, value);
        }
        let options = self.cluster.admin_options();
        let altered = self.cluster.admin.alter_configs([&change], &options).await;
        let altered = altered.map_err(|error| error::creation(&error, name))?;
        for answer in altered {
            answer.map_err(|(_, code)| error::change(code, name))?;
        }
        Ok(())
    }

    /// Deletes a topic and returns once it is gone.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), LogError> {
        let _changing = self.changing.lock().await;
        let options = self.cluster.admin_options();
        let deleted = self.cluster.admin.delete_topics(&[name], &options).await;
        let deleted = deleted.map_err(|error| error::creation(&error, name))?;
        for answer in deleted {
            answer.map_err(|(topic, code)| error::change(code, &topic))?;
        }
        self.until(name, Seen::Gone).await
    }

    /// Looks at a topic again and again until it is as it should be.
    async fn until(&self, name: &str, seen: Seen<'_>) -> Result<(), LogError> {
        let late = LogError::in_doubt(format!("a change of topic `{name}` is not seen yet"));
        let look = async {
            while !self.is_seen(name, &seen).await? {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            Ok(())
        };
        tokio::time::timeout(CHANGE_LIMIT, look)
            .await
            .unwrap_or(Err(late))
    }

    async fn is_seen(&self, name: &str, seen: &Seen<'_>) -> Result<bool, LogError> {
        if matches!(seen, Seen::Led) {
            let (cluster, name) = (Arc::clone(&self.cluster), name.to_owned());
            if !blocking(move || partitions_led(&cluster, &name)).await? {
                return Ok(false);
            }
        }
        let view = self.look().await?;
        let known = view.topics.get(name);
        Ok(match seen {
            Seen::Led => known.is_some(),
            Seen::Gone => known.is_none(),
            Seen::Changed(partitions, config) => known
                .is_some_and(|known| known.partitions >= *partitions && known.config == **config),
        })
    }

    /// Returns what the cluster takes.
    pub(crate) async fn bounds(&self) -> Result<Bounds, LogError> {
        let cluster = Arc::clone(&self.cluster);
        let node = blocking(move || {
            let metadata = cluster
                .asked()
                .fetch_metadata(None, cluster.options.deadline);
            let metadata = metadata.map_err(|error| error::question(&error, "cluster"))?;
            let node = metadata.brokers().first().map(|node| node.id());
            node.ok_or_else(|| LogError::not_stored("the cluster has no node"))
        });
        let resource = [ResourceSpecifier::Broker(node.await?)];
        let options = self.cluster.admin_options();
        let described = self.cluster.admin.describe_configs(&resource, &options);
        let described = described
            .await
            .map_err(|error| error::question(&error, "settings of a node"))?;
        let described = described.into_iter().flatten().next();
        let described = described.ok_or_else(|| LogError::not_stored("a node tells nothing"))?;
        let default = |topic_name: &str| {
            let name = match topic_name {
                "max.message.bytes" => "message.max.bytes".to_owned(),
                _ => format!("log.{topic_name}"),
            };
            let value = described.get(&name).and_then(|entry| entry.value.clone());
            // Kafka has three names for the time, in units of their own; `log.retention.ms` may be unset.
            let hours = || {
                let hours = described.get("log.retention.hours")?.value.as_ref()?;
                Some((hours.parse::<i64>().ok()? * 3_600_000).to_string())
            };
            let value = value.or_else(|| (topic_name == "retention.ms").then(hours)?);
            Some((topic_name.to_owned(), value?))
        };
        Ok(Bounds {
            defaults: TOLD.into_iter().filter_map(default).collect(),
            max_message_bytes: MAX_MESSAGE_BYTES as u64,
            partitions_a_topic: MAX_PARTITIONS,
            partitions_together: i64::MAX,
        })
    }
}

/// How a topic should be seen.
enum Seen<'a> {
    /// There, and every partition has a leader.
    Led,
    Gone,
    Changed(i32, &'a TopicConfig),
}

fn check_limit(config: &TopicConfig) -> Result<(), LogError> {
    let limit = config.get("max.message.bytes");
    let limit = limit.and_then(|limit| limit.parse::<u64>().ok());
    if limit.is_some_and(|limit| limit > MAX_MESSAGE_BYTES as u64) {
        return Err(LogError::Invalid(format!(
            "topic setting `max.message.bytes` is above `{MAX_MESSAGE_BYTES}`"
        )));
    }
    Ok(())
}

/// Returns the number of partitions of topics, of all or of one. Blocks.
fn partitions(cluster: &Cluster, topic: Option<&str>) -> Result<BTreeMap<String, i32>, LogError> {
    let metadata = cluster
        .asked()
        .fetch_metadata(topic, cluster.options.deadline);
    let metadata = metadata.map_err(|error| error::question(&error, "topics"))?;
    let there = metadata.topics().iter();
    let there = there.filter(|topic| topic.error().is_none() && !topic.partitions().is_empty());
    Ok(there
        .map(|topic| {
            let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            (topic.name().to_owned(), count)
        })
        .collect())
}

/// Says whether every partition of a topic has a leader. Blocks.
fn partitions_led(cluster: &Cluster, topic: &str) -> Result<bool, LogError> {
    let metadata = cluster
        .asked()
        .fetch_metadata(Some(topic), cluster.options.deadline);
    let metadata = metadata.map_err(|error| error::question(&error, topic))?;
    Ok(metadata.topics().iter().all(|topic| {
        let mut partitions = topic.partitions().iter();
        topic.error().is_none() && partitions.all(|partition| partition.leader() >= 0)
    }))
}
