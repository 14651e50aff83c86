//! Topics as the handle on the log creates, changes and deletes them, and the rules of their names.
//!
//! What can be told without the sequencer is told here; what depends on the tail, it decides.

use std::sync::Arc;

use tidegate_event_log::{AlterTopic, TopicConfig};
use tokio::sync::oneshot;

use crate::broker::Broker;
use crate::env::random_id;
use crate::read::partition::Topic;
use crate::sequencer::{AlterTopicCommand, CreateTopicCommand, DeleteTopicCommand, Input, Refusal};
use crate::topic_settings::{PARTITIONS_LIMIT, altered, check_config};

/// A topic to be created from outside.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    pub config: TopicConfig,
}

/// Why a topic was not created, changed or deleted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TopicError {
    #[error("the topic exists")]
    Exists,
    #[error("no such topic")]
    Unknown,
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    TooMany(String),
    #[error("{0}")]
    Unavailable(String),
}

impl From<Refusal> for TopicError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TopicExists => Self::Exists,
            Refusal::NoSuchPartition => Self::Unknown,
            Refusal::BadTopic(reason) => Self::Invalid(reason),
            Refusal::TooManyPartitions => Self::TooMany(refusal.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl Broker {
    /// Creates a topic and returns it once it is durable and visible.
    ///
    /// # Errors
    /// The name is taken or wrong, a setting is wrong, or the log is stopping or full.
    pub async fn create_topic(&self, new: NewTopic) -> Result<Arc<Topic>, TopicError> {
        self.check_topic(&new)?;
        let (reply, answer) = oneshot::channel();
        let command = CreateTopicCommand {
            id: random_id(self.0.random.as_ref()),
            internal: is_internal(&new.name),
            partitions: new.partitions.cast_unsigned(),
            name: new.name,
            config: new.config,
            reply,
        };
        self.ask(Input::CreateTopic(command), answer)
            .await
            .map_err(TopicError::from)
    }

    /// Checks a topic that is to be created, without creating it.
    ///
    /// # Errors
    /// Those of [`Broker::create_topic`], as far as they are known before.
    pub fn check_topic(&self, new: &NewTopic) -> Result<(), TopicError> {
        check_topic_name(&new.name).map_err(TopicError::Invalid)?;
        let partitions = new.partitions;
        if !u32::try_from(partitions).is_ok_and(|count| (1..=PARTITIONS_LIMIT).contains(&count)) {
            return Err(TopicError::Invalid(format!(
                "{partitions} partitions: from 1 to {PARTITIONS_LIMIT} are possible"
            )));
        }
        check_config(&new.config).map_err(TopicError::Invalid)?;
        if self.topics().by_name(&new.name).is_some() {
            return Err(TopicError::Exists);
        }
        Ok(())
    }

    /// Changes a topic and returns it once the change is durable and visible.
    ///
    /// # Errors
    /// There is none of that name, it cannot be changed so, or the log is stopping or full.
    pub async fn alter_topic(
        &self,
        name: &str,
        alter: AlterTopic,
    ) -> Result<Arc<Topic>, TopicError> {
        let (reply, answer) = oneshot::channel();
        let command = AlterTopicCommand {
            name: name.to_owned(),
            alter,
            reply,
        };
        self.ask(Input::AlterTopic(command), answer)
            .await
            .map_err(TopicError::from)
    }

    /// Checks a change of a topic, without making it.
    ///
    /// # Errors
    /// Those of [`Broker::alter_topic`], as far as they are known before.
    pub fn check_alter(&self, topic: &Topic, alter: &AlterTopic) -> Result<(), TopicError> {
        let partitions = u32::try_from(topic.partitions.len()).expect("a topic's are bounded");
        let altered = altered(alter, &topic.config, partitions).map_err(TopicError::Invalid)?;
        let others: usize = self
            .topics()
            .iter()
            .map(|topic| topic.partitions.len())
            .sum();
        let together = others - topic.partitions.len() + altered.1 as usize;
        if altered.1 > partitions
            && together > usize::try_from(self.settings().max_partitions).unwrap_or(usize::MAX)
        {
            let refusal = Refusal::TooManyPartitions;
            return Err(TopicError::TooMany(refusal.to_string()));
        }
        Ok(())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// There is none of that name, or the log is stopping or full.
    pub async fn delete_topic(&self, name: &str) -> Result<(), TopicError> {
        let (reply, answer) = oneshot::channel();
        let command = DeleteTopicCommand {
            name: name.to_owned(),
            reply,
        };
        self.ask(Input::DeleteTopic(command), answer)
            .await
            .map_err(TopicError::from)
    }
}

/// Whether the product keeps its own state in the topic.
pub fn is_internal(name: &str) -> bool {
    name.starts_with("_tidegate.") || name == "_schemas"
}

/// Checks a topic's name by Kafka's rules.
///
/// # Errors
/// What is wrong with it.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 249 {
        return Err("a topic's name has from 1 to 249 characters".to_owned());
    }
    if name == "." || name == ".." || !name.chars().all(allowed) {
        return Err(format!(
            "topic name `{name}`: only `a-z A-Z 0-9 . _ -` are possible"
        ));
    }
    Ok(())
}
