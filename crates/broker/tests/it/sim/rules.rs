//! Rules of the log whose breach takes more luck than seeds have: each a story of its own, told to
//! the same simulated machine.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_broker::batch;
use tidegate_broker::object::{Folder, Key};
use tidegate_broker::read::partition::Topic;
use tidegate_broker::sequencer::{
    AppendCommand, CreateTopicCommand, DeleteTopicCommand, Input, NewRecord,
};
use tidegate_broker::wal::SegmentId;
use tokio::sync::oneshot;

use super::senders::{Waiting, record};
use super::world::{Process, World};

impl World {
    fn create(&mut self, process: &mut Process, config: &[(&str, &str)]) -> std::sync::Arc<Topic> {
        let (reply, answer) = oneshot::channel();
        let config: BTreeMap<_, _> = config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let command = CreateTopicCommand {
            name: "topic".to_owned(),
            id: [9; 16],
            partitions: 1,
            config,
            internal: false,
            reply,
        };
        process.waiting.push(Waiting::Create(answer));
        self.take(process, Input::CreateTopic(command));
        self.write_all(process);
        Self::topics(process)[0].clone()
    }

    /// Appends a record of about `bytes` bytes and leaves it in the open group.
    fn append_of(&mut self, process: &mut Process, topic: &Topic, bytes: usize) {
        let number = self.send((topic.id, 0), None, None);
        let body = batch::encode_record(&record(number, bytes));
        let (partition, claim) = (0, None);
        let record = || NewRecord {
            topic: topic.number,
            partition,
            body: body.clone(),
            claim,
        };
        let (reply, answer) = oneshot::channel();
        process
            .waiting
            .push(Waiting::Append(vec![(number, record())], answer));
        let command = AppendCommand {
            records: vec![record()],
            runs_version: 0,
            reply,
        };
        self.take(process, Input::Append(command));
    }

    fn take(&mut self, process: &mut Process, input: Input) {
        process.log.sequencer.take(input, self.now());
        self.drain(process);
    }

    fn write_all(&mut self, process: &mut Process) {
        process.log.sequencer.flush(self.now());
        self.drain(process);
        while !process.writes.is_empty() {
            self.complete_write(process, 0, true);
        }
    }

    fn wait(&mut self, process: &mut Process, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        process.log.sequencer.tick(self.now());
        self.drain(process);
    }

    /// The disk has no room for another segment.
    fn refuse_growth(&mut self, process: &mut Process) {
        let asked: Vec<SegmentId> = std::mem::take(&mut process.grow);
        for segment in asked {
            let created = false;
            self.take(process, Input::Grown { segment, created });
        }
    }

    /// The process dies, and the writes under way never began.
    fn die_before_the_writes(&mut self, process: Process) -> Process {
        drop(process);
        self.boot()
    }
}

fn world() -> (World, Process) {
    let mut world = World::new(1, None);
    let mut process = world.boot();
    world.store.fail_one_in(0);
    world.write_all(&mut process);
    (world, process)
}

#[test]
fn a_topic_whose_deletion_was_not_durable_still_has_its_history() {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[]);
    world.append_of(&mut process, &topic, 100);
    world.write_all(&mut process);
    world.wait(&mut process, 30_000);
    assert!(
        process.history.is_some(),
        "an object and a checkpoint are due"
    );
    world.model.deleting.insert(topic.id);
    let (reply, answer) = oneshot::channel();
    process.waiting.push(Waiting::Delete(answer));
    let name = topic.name.to_string();
    world.take(
        &mut process,
        Input::DeleteTopic(DeleteTopicCommand { name, reply }),
    );
    process.log.sequencer.flush(world.now());
    world.drain(&mut process);
    // Both are stored before the deletion is.
    world.run_history(&mut process);
    world.run_history(&mut process);
    let process = world.die_before_the_writes(process);
    assert_eq!(World::topics(&process).len(), 1);
    world.check_everything(&process);
}

#[test]
fn a_log_start_that_was_not_durable_has_moved_nothing() {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[("retention.bytes", "0")]);
    world.append_of(&mut process, &topic, 100);
    world.write_all(&mut process);
    world.wait(&mut process, 2_500);
    world.run_history(&mut process);
    world.run_history(&mut process);
    world.append_of(&mut process, &topic, 100);
    world.write_all(&mut process);
    // Decides the end of an object with a checkpoint, and then to move the log start.
    world.wait(&mut process, 30_000);
    assert!(
        process.history.is_some(),
        "an object and a checkpoint are due"
    );
    assert!(!process.writes.is_empty(), "the log start is on its way");
    world.run_history(&mut process);
    world.run_history(&mut process);
    let process = world.die_before_the_writes(process);
    world.check_everything(&process);
}

#[test]
fn a_log_that_cannot_grow_goes_on_with_the_segments_it_has() {
    let mut world = World::new(1, None);
    world.tweak = |config| {
        let history = &mut config.sequencer.history;
        // What a checkpoint waits for is more than two segments hold.
        history.wal_budget_bytes = 1 << 30;
        history.ship_bytes = 24 * 1024;
        history.checkpoint_bytes = 1 << 29;
        history.checkpoint_after_ms = u64::MAX / 2;
        history.checkpoint_objects = 1_000;
    };
    let mut process = world.boot();
    world.store.fail_one_in(0);
    world.write_all(&mut process);
    let topic = world.create(&mut process, &[]);
    // The second segment there was room for, and no more.
    for segment in std::mem::take(&mut process.grow) {
        let segment_bytes = super::world::SEGMENT_BYTES;
        process.log.files.create(segment, segment_bytes).unwrap();
        let created = true;
        world.take(&mut process, Input::Grown { segment, created });
    }
    for round in 0..400 {
        world.append_of(&mut process, &topic, 2_000);
        for _ in 0..30 {
            world.write_all(&mut process);
            world.refuse_growth(&mut process);
            world.run_history(&mut process);
            if process.waiting.is_empty() {
                break;
            }
            world.wait(&mut process, 100);
        }
        assert!(process.waiting.is_empty(), "record {round} waits for ever");
    }
    let refused = world.model.sent.values();
    let refused = refused.filter(|sent| sent.fate == super::model::Fate::Refused);
    assert_eq!(refused.count(), 0, "nothing had to be refused");
    world.check_everything(&process);
}

#[test]
fn an_outage_of_the_store_makes_no_object_that_is_too_large_to_read_back() {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[]);
    for segment in 2..4 {
        process
            .log
            .files
            .create(segment, super::world::SEGMENT_BYTES)
            .unwrap();
        let created = true;
        world.take(&mut process, Input::Grown { segment, created });
        process.grow.clear();
    }
    // The store is away: the job that is due is not done.
    for _ in 0..100 {
        world.append_of(&mut process, &topic, 2_000);
        world.write_all(&mut process);
    }
    for _ in 0..40 {
        world.run_history(&mut process);
        world.wait(&mut process, 100);
        world.write_all(&mut process);
    }
    let listed = world.ground.objects.list(Folder::Log);
    let listed = world.runtime.block_on(listed).unwrap();
    let objects = listed
        .iter()
        .filter(|listed| matches!(listed.key, Key::Log(_)));
    let largest = objects.map(|listed| listed.bytes).max();
    assert!(largest < Some(48 * 1024), "{largest:?} bytes in one object");
    let process = world.die_before_the_writes(process);
    world.check_everything(&process);
}
