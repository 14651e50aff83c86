//! Topics that change: settings and partitions, while others send and crashes come.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_broker::read::partition::Topic;
use tidegate_broker::sequencer::{AlterTopicCommand, Input, Refusal};
use tidegate_event_log::AlterTopic;
use tokio::sync::oneshot;

use super::rules::world;
use super::senders::Waiting;
use super::world::{Plant, Process, World};

/// A setting that means nothing to the log; changes are numbered by it.
const MARK: &str = "flush.ms";

const PARTITIONS: u64 = 6;

/// The number of the last change of a topic; 0: there was none.
pub(super) fn change_of(topic: &Topic) -> u64 {
    topic
        .config
        .get(MARK)
        .map_or(0, |mark| mark.parse().unwrap())
}

impl World {
    pub(super) fn send_alter(&mut self, process: &mut Process) {
        let topics = Self::topics(process);
        let Some(topic) = self.rng.pick(&topics).cloned() else {
            return;
        };
        let change = self.next_change;
        self.next_change += 1;
        let mut alter = AlterTopic {
            set: BTreeMap::from([(MARK.to_owned(), change.to_string())]),
            ..AlterTopic::default()
        };
        if self.rng.chance(1, 2) {
            // At times fewer than there are, which is refused.
            alter.partitions = Some(i32::try_from(1 + self.rng.below(PARTITIONS)).unwrap());
        }
        match self.rng.below(4) {
            0 => drop(alter.unset.insert("retention.bytes".to_owned())),
            1 => drop(
                alter
                    .set
                    .insert("retention.bytes".to_owned(), "9000".to_owned()),
            ),
            _ => {}
        }
        let partitions = usize::try_from(alter.partitions.unwrap_or(0)).unwrap();
        let name = topic.name.to_string();
        self.model.changes.insert(change, name.clone());
        if self.plant == Some(Plant::AlterForgotten) && self.rng.chance(1, 4) {
            self.model.changed.insert(topic.id, change);
            return;
        }
        let (reply, answer) = oneshot::channel();
        process
            .waiting
            .push(Waiting::Alter(change, partitions, answer));
        let command = AlterTopicCommand { name, alter, reply };
        process
            .log
            .sequencer
            .take(Input::AlterTopic(command), self.now());
    }

    pub(super) fn altered(
        &mut self,
        change: u64,
        partitions: usize,
        answer: Result<Arc<Topic>, Refusal>,
    ) {
        match answer {
            Err(_) => drop(self.model.changes.remove(&change)),
            Ok(topic) => {
                self.note(change);
                assert!(topic.partitions.len() >= partitions);
                assert_eq!(change_of(&topic), change);
                let acked = self.model.changed.entry(topic.id).or_default();
                *acked = change.max(*acked);
                let known = self.model.partitions.entry(topic.id).or_default();
                *known = topic.partitions.len().max(*known);
            }
        }
    }

    /// Changes the topic and writes that down.
    fn alter(&mut self, process: &mut Process, alter: AlterTopic) -> Result<Arc<Topic>, Refusal> {
        let (reply, mut answer) = oneshot::channel();
        let name = "topic".to_owned();
        let command = AlterTopicCommand { name, alter, reply };
        self.take(process, Input::AlterTopic(command));
        self.write_all(process);
        answer.try_recv().expect("it is durable")
    }
}

#[test]
fn a_narrower_retention_holds_from_the_next_check_on() {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[]);
    for _ in 0..3 {
        world.grow(&mut process);
        world.append_of(&mut process, &topic, 3_000);
        world.write_all(&mut process);
        world.wait(&mut process, 30_000);
        world.write_all(&mut process);
        for _ in 0..3 {
            world.run_jobs(&mut process);
        }
    }
    let partition = topic.partitions[0].clone();
    assert_eq!((partition.log_start(), partition.high_watermark()), (0, 3));
    let narrow = AlterTopic {
        set: BTreeMap::from([("retention.bytes".to_owned(), "0".to_owned())]),
        ..AlterTopic::default()
    };
    let altered = world.alter(&mut process, narrow).unwrap();
    assert!(
        Arc::ptr_eq(&altered.partitions[0], &partition),
        "readers keep their partition"
    );
    assert_eq!(partition.log_start(), 0, "not at once");
    world.wait(&mut process, 1_000);
    world.write_all(&mut process);
    assert_eq!(partition.log_start(), 3);
    world.check_everything(&process);
    let process = world.die_before_the_writes(process);
    world.check_everything(&process);
}

#[test]
fn a_change_that_was_not_durable_is_not_there() {
    let (mut world, mut process) = world();
    world.create(&mut process, &[]);
    let (reply, _answer) = oneshot::channel();
    let alter = AlterTopic {
        partitions: Some(4),
        ..AlterTopic::default()
    };
    let name = "topic".to_owned();
    let command = AlterTopicCommand { name, alter, reply };
    world.take(&mut process, Input::AlterTopic(command));
    process.log.sequencer.flush(world.now());
    world.drain(&mut process);
    assert_eq!(
        World::topics(&process)[0].partitions.len(),
        1,
        "nobody sees it yet"
    );
    let process = world.die_before_the_writes(process);
    assert_eq!(World::topics(&process)[0].partitions.len(), 1);
    world.check_everything(&process);
}

#[test]
fn a_topic_grows_no_further_than_all_may_together() {
    let mut world = World::new(1, None);
    world.tweak = |config| config.sequencer.max_partitions = 3;
    let mut process = world.boot();
    world.store.fail_one_in(0);
    world.write_all(&mut process);
    world.create(&mut process, &[]);
    let grow_to = |partitions| AlterTopic {
        partitions: Some(partitions),
        ..AlterTopic::default()
    };
    let refused = world.alter(&mut process, grow_to(4)).unwrap_err();
    assert_eq!(refused, Refusal::TooManyPartitions);
    let grown = world.alter(&mut process, grow_to(3)).unwrap();
    assert_eq!(grown.partitions.len(), 3);
}
