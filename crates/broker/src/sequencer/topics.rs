//! Topics: created, changed and deleted by commands into the open group.
//!
//! A change is decided on the state at the tail, so that of two changes at once neither is lost, and
//! is one record, so that no crash parts settings from partitions. Readers get a new handle of the
//! topic when it is durable; the partitions in it are those that they already have.

use std::sync::Arc;

use super::durable::{Answer, Effect};
use super::{AlterTopicCommand, CreateTopicCommand, DeleteTopicCommand, Now, Refusal, Sequencer};
use crate::read::partition::{Partition, Topic};
use crate::state::command::{Command, TopicAltered, TopicCreated, TopicDeleted};
use crate::topic_settings::{TopicSettings, altered};

impl Sequencer {
    pub(super) fn create_topic(&mut self, command: CreateTopicCommand, now: Now) {
        if self.state.topic_number(&command.name).is_some() {
            return drop(command.reply.send(Err(Refusal::TopicExists)));
        }
        // The product's own topics are few, and without them it does not start.
        let partitions = self.state.partition_count() + command.partitions as usize;
        if partitions > self.settings.max_partitions && !command.internal {
            return drop(command.reply.send(Err(Refusal::TooManyPartitions)));
        }
        let number = self.state.next_topic;
        let created = TopicCreated {
            number,
            id: command.id,
            name: command.name,
            partitions: command.partitions,
            config: command.config,
            internal: command.internal,
        };
        self.push_command(&Command::TopicCreated(created), now);
        let topic = self
            .state
            .topic(number)
            .expect("the topic was just created");
        let handle = Arc::new(handle_of(topic, self.shared.topic_defaults));
        self.topics.insert(number, handle.clone());
        self.effects.push(Effect::TopicThere(handle.clone()));
        self.answer_when_durable(Answer::Topic(command.reply, handle));
    }

    /// Changes a topic, if that changes anything. Later commands are decided on the new one.
    pub(super) fn alter_topic(&mut self, command: AlterTopicCommand, now: Now) {
        let number = self.state.topic_number(&command.name);
        let before = number.and_then(|number| self.state.topic(number));
        let Some(before) = before else {
            return drop(command.reply.send(Err(Refusal::NoSuchPartition)));
        };
        let number = before.number;
        let count = u32::try_from(before.partitions.len()).expect("a topic's are bounded");
        let (config, partitions) = match altered(&command.alter, &before.config, count) {
            Ok(altered) => altered,
            Err(reason) => return drop(command.reply.send(Err(Refusal::BadTopic(reason)))),
        };
        let together = self.state.partition_count() + (partitions - count) as usize;
        if partitions > count && together > self.settings.max_partitions && !before.internal {
            return drop(command.reply.send(Err(Refusal::TooManyPartitions)));
        }
        let mut handle = self.topics[&number].clone();
        if partitions > count || config != before.config {
            let altered = TopicAltered {
                number,
                partitions,
                config,
            };
            self.push_command(&Command::TopicAltered(altered), now);
            let topic = self
                .state
                .topic(number)
                .expect("the topic was just changed");
            // Readers that hold a partition go on with it.
            let kept = &handle.partitions;
            handle = Arc::new(handle_with(topic, self.shared.topic_defaults, kept));
            self.topics.insert(number, handle.clone());
            self.effects.push(Effect::TopicThere(handle.clone()));
        }
        self.answer_when_durable(Answer::Topic(command.reply, handle));
    }

    pub(super) fn delete_topic(&mut self, command: DeleteTopicCommand, now: Now) {
        let Some(number) = self.state.topic_number(&command.name) else {
            return drop(command.reply.send(Err(Refusal::NoSuchPartition)));
        };
        self.push_command(&Command::TopicDeleted(TopicDeleted { number }), now);
        self.topics.remove(&number);
        let groups = self
            .state
            .groups()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        self.effects.push(Effect::TopicDeleted(number));
        self.effects.push(Effect::GroupsChanged(groups));
        self.answer_when_durable(Answer::Done(command.reply));
    }
}

/// Makes the handle of a topic, its partitions empty.
pub fn handle_of(topic: &crate::state::Topic, defaults: TopicSettings) -> Topic {
    handle_with(topic, defaults, &[])
}

/// Makes the handle of a topic whose first partitions have handles.
fn handle_with(
    topic: &crate::state::Topic,
    defaults: TopicSettings,
    kept: &[Arc<Partition>],
) -> Topic {
    let defaults = if topic.internal {
        // Internal topics keep everything until compaction exists.
        TopicSettings {
            retention_ms: -1,
            retention_bytes: -1,
            ..defaults
        }
    } else {
        defaults
    };
    let new = (0..).zip(&topic.partitions).skip(kept.len());
    let new = new.map(|(index, lane)| {
        let partition = Partition::new(topic.number, index);
        partition.set_epochs(lane.epochs.clone());
        Arc::new(partition)
    });
    let partitions = kept.iter().cloned().chain(new).collect();
    Topic {
        number: topic.number,
        id: topic.id,
        name: topic.name.as_str().into(),
        internal: topic.internal,
        config: topic.config.clone(),
        // Settings were valid when they were set; one this version refuses falls back.
        settings: TopicSettings::parse(&topic.config, defaults).unwrap_or(defaults),
        partitions,
    }
}
