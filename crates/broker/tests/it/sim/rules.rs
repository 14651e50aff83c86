//! Rules of the log whose breach takes more luck than seeds have: each a story of its own, told to
//! the same simulated machine.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_broker::batch;
use tidegate_broker::boot;
use tidegate_broker::env::Clock;
use tidegate_broker::object::{Folder, Key, manifest};
use tidegate_broker::read::partition::Topic;
use tidegate_broker::sequencer::{
    AppendAnswer, AppendCommand, CreateTopicCommand, DeleteTopicCommand, HistoryJob, Input,
    NewClaim, NewRecord,
};
use tidegate_broker::state::claims::ClaimKey;
use tidegate_broker::upkeep::Job;
use tidegate_broker::wal::{SegmentId, file_name};
use tidegate_event_log::Disposition;
use tokio::sync::oneshot;

use super::env::Rng;
use super::model::window_s;
use super::senders::{Producer, Waiting, record};
use super::world::{Process, SEGMENT_BYTES, World};

impl World {
    pub(super) fn create(
        &mut self,
        process: &mut Process,
        config: &[(&str, &str)],
    ) -> std::sync::Arc<Topic> {
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
    pub(super) fn append_of(&mut self, process: &mut Process, topic: &Topic, bytes: usize) {
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

    /// Appends a record with the claim of another and returns what became of it.
    pub(super) fn disposition_of(
        &mut self,
        process: &mut Process,
        topic: &Topic,
        claim: u64,
    ) -> Disposition {
        let runs = process.log.shared.runs.load_full();
        let key = ClaimKey::of(&[7; 16], &claim.to_le_bytes());
        let now_ms = process.log.shared.log_time_ms();
        let held = runs.lookup(&self.ground.objects, key, now_ms, |_| true);
        if self.runtime.block_on(held).unwrap().is_some() {
            return Disposition::Repeated;
        }
        let (reply, mut answer) = oneshot::channel();
        let command = AppendCommand {
            records: vec![claimed(0, topic, claim)],
            runs_version: runs.version,
            reply,
        };
        self.take(process, Input::Append(command));
        self.write_all(process);
        match answer.try_recv().unwrap() {
            AppendAnswer::Records(answers) => answers[0].clone().unwrap().disposition,
            AppendAnswer::Recheck(_) => panic!("nothing was sealed meanwhile"),
        }
    }

    /// Appends a record with a claim that nobody had before.
    pub(super) fn append_claimed(&mut self, process: &mut Process, topic: &Topic, claim: u64) {
        let number = self.send((topic.id, 0), Some(3 * claim + 1), None);
        self.append(process, vec![(number, claimed(number, topic, claim))]);
        self.drain(process);
    }

    pub(super) fn take(&mut self, process: &mut Process, input: Input) {
        process.log.sequencer.take(input, self.now());
        self.drain(process);
    }

    pub(super) fn write_all(&mut self, process: &mut Process) {
        process.log.sequencer.flush(self.now());
        self.drain(process);
        while !process.writes.is_empty() {
            self.complete_write(process, 0, true);
            // What was too little for a write beside another.
            process.log.sequencer.flush(self.now());
            self.drain(process);
        }
    }

    pub(super) fn wait(&mut self, process: &mut Process, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        process.log.sequencer.tick(self.now());
        self.drain(process);
    }

    /// Does the jobs at hand, in both lanes.
    pub(super) fn run_jobs(&mut self, process: &mut Process) {
        self.run_upkeep(process);
        self.run_history(process);
    }

    /// The disk has room for another segment.
    pub(super) fn grow(&mut self, process: &mut Process) {
        for segment in std::mem::take(&mut process.grow) {
            let created = process.log.files.create(segment, SEGMENT_BYTES).is_ok();
            self.take(process, Input::Grown { segment, created });
        }
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
    pub(super) fn die_before_the_writes(&mut self, process: Process) -> Process {
        drop(process);
        self.boot()
    }
}

fn claimed(number: u64, topic: &Topic, claim: u64) -> NewRecord {
    NewRecord {
        topic: topic.number,
        partition: 0,
        body: batch::encode_record(&record(number, 10)),
        claim: Some(NewClaim {
            key: ClaimKey::of(&[7; 16], &claim.to_le_bytes()),
            fingerprint: [1; 16],
            window_s: window_s(3 * claim + 1),
        }),
    }
}

pub(super) fn world() -> (World, Process) {
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
    world.run_jobs(&mut process);
    world.run_jobs(&mut process);
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
    world.run_jobs(&mut process);
    world.run_jobs(&mut process);
    world.append_of(&mut process, &topic, 100);
    world.write_all(&mut process);
    // Decides the end of an object with a checkpoint, and then to move the log start.
    world.wait(&mut process, 30_000);
    assert!(
        process.history.is_some(),
        "an object and a checkpoint are due"
    );
    assert!(!process.writes.is_empty(), "the log start is on its way");
    world.run_jobs(&mut process);
    world.run_jobs(&mut process);
    let process = world.die_before_the_writes(process);
    world.check_everything(&process);
}

#[test]
fn objects_and_checkpoints_do_not_wait_for_a_merge() {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[]);
    let mut claim = 0;
    let mut shipped_beside = 0;
    for _ in 0..60 {
        world.grow(&mut process);
        world.append_claimed(&mut process, &topic, claim);
        claim += 1;
        world.write_all(&mut process);
        world.wait(&mut process, 30_000);
        for _ in 0..3 {
            let ships = process.history.is_some();
            world.run_history(&mut process);
            let merges = matches!(process.upkeep.as_deref(), Some(Job::MergeClaims { .. }));
            // The merge never ends while this goes on.
            shipped_beside += u64::from(merges && ships);
            if !merges {
                world.run_upkeep(&mut process);
            }
        }
    }
    assert!(shipped_beside >= 6, "{shipped_beside} jobs beside a merge");
    for _ in 0..3 {
        world.wait(&mut process, 30_000);
        world.write_all(&mut process);
        world.run_history(&mut process);
    }
    // It began with runs that are still there, and others came meanwhile; all claims are kept.
    world.run_upkeep(&mut process);
    let runs = process.log.shared.runs.load_full();
    assert!(runs.refs().len() > 1, "a merge and what came beside it");
    assert_eq!(runs.entries(), claim, "every claim is in one run");
    world.check_everything(&process);
    let process = world.die_before_the_writes(process);
    world.check_everything(&process);
}

#[test]
fn nothing_is_deleted_while_a_checkpoint_is_stored() {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[]);
    world.append_claimed(&mut process, &topic, 1);
    world.write_all(&mut process);
    world.wait(&mut process, 30_000);
    let collects =
        |process: &Process| matches!(process.upkeep.as_deref(), Some(Job::Collect { .. }));
    assert!(collects(&process), "a start looks for orphans");
    // The object is stored; its checkpoint waits, while the next object would not.
    world.run_history(&mut process);
    world.wait(&mut process, 2_000);
    assert!(
        process.history.is_none(),
        "the checkpoint waits for the end of the deletion"
    );
    world.run_upkeep(&mut process);
    let checkpoints =
        |process: &Process| matches!(process.history.as_deref(), Some(HistoryJob::Checkpoint(_)));
    assert!(checkpoints(&process), "and goes on with it");
    // The other way round: time comes to look for orphans again.
    world.wait(&mut process, 3_600_000);
    assert!(!collects(&process), "the deletion waits for the checkpoint");
    world.run_history(&mut process);
    world.wait(&mut process, 2_000);
    assert!(collects(&process), "and goes on with it");
}

/// A log with two checkpoints and records after the newer one, some of them in an object.
fn world_of_two_checkpoints() -> (World, Process) {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[]);
    for round in 0..4 {
        world.grow(&mut process);
        world.append_claimed(&mut process, &topic, round);
        world.append_of(&mut process, &topic, 2_000);
        world.write_all(&mut process);
        // The third object comes without a checkpoint, and the fourth record in no object.
        world.wait(
            &mut process,
            [30_000, 30_000, 2_500, 10][usize::try_from(round).unwrap()],
        );
        world.write_all(&mut process);
        for _ in 0..3 {
            world.run_jobs(&mut process);
        }
    }
    (world, process)
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_passed_over() {
    for seed in 0..60 {
        let (mut world, process) = world_of_two_checkpoints();
        world.rng = Rng::new(seed);
        drop(process);
        assert!(
            world.rot_the_newest_checkpoint(),
            "there are two checkpoints"
        );
        let mut process = world.boot();
        world.store.fail_one_in(0);
        world.write_all(&mut process);
        world.check_everything(&process);
        // The log goes on from there, to checkpoints that can be read.
        for _ in 0..3 {
            world.grow(&mut process);
            let topic = World::topics(&process)[0].clone();
            world.append_of(&mut process, &topic, 100);
            world.write_all(&mut process);
            world.wait(&mut process, 30_000);
            world.write_all(&mut process);
            for _ in 0..3 {
                world.run_jobs(&mut process);
            }
        }
        let process = world.die_before_the_writes(process);
        world.check_everything(&process);
    }
}

#[test]
fn a_log_that_no_checkpoint_recovers_says_so_and_names_both() {
    let (mut world, process) = world_of_two_checkpoints();
    drop(process);
    let manifest = world
        .runtime
        .block_on(manifest::latest(&world.ground.objects));
    let manifest = manifest.unwrap().unwrap();
    let older = manifest.previous.as_ref().unwrap();
    let (newest, between) = (manifest.checkpoint.as_ref().unwrap(), older.log_start_seq);
    assert!(world.rot_the_newest_checkpoint());
    // An object that only recovery from the older one needs.
    let lost = world.ground.objects.delete(Key::Log(between));
    world.runtime.block_on(lost).unwrap();
    let refused = world.try_boot().err().unwrap().to_string();
    let (newest, older) = (newest.lsn, older.lsn);
    for part in [
        format!("the newest checkpoint (record {newest}) cannot be read"),
        format!("cannot be recovered from the one before it (record {older})"),
        format!("objects end at record {older}, and the checkpoint had {newest}"),
    ] {
        assert!(refused.contains(&part), "{refused}");
    }
}

#[test]
fn a_start_waits_for_the_store_and_not_for_ever() {
    // Requests that fail; seconds that it takes, if it opens.
    for (away_for, expected) in [
        (0, Some(0..1)),
        (8, Some(11..20)),
        (30, Some(45..60)),
        (1_000, None),
    ] {
        let (mut world, process) = world();
        drop(process);
        world.store.away_for(away_for);
        let begun = world.clock.elapsed();
        let config = world.config();
        let patience = Duration::from_secs(60);
        let boot = boot::boot_patiently(&world.ground, config, patience);
        let booted = world.runtime.block_on(boot);
        let seconds = (world.clock.elapsed() - begun).as_secs();
        match (booted, expected) {
            (Ok(_), Some(expected)) => assert!(expected.contains(&seconds), "{seconds} s"),
            (Err(error), None) => {
                assert!((60..80).contains(&seconds), "{seconds} s");
                let told = format!("the object store has not answered for {seconds} s");
                assert!(error.to_string().starts_with(&told), "{error}");
            }
            (booted, _) => panic!("{away_for} failures: {:?}", booted.err()),
        }
    }
}

#[test]
fn silent_producers_are_forgotten_across_starts() {
    let (mut world, mut process) = world();
    world.create(&mut process, &[]);
    let known = |process: &Process| process.log.sequencer.state().producers.len();
    world.send_produce(&mut process);
    world.write_all(&mut process);
    assert_eq!(known(&process), 1);
    // No process lives longer than five hours; together they live 25.
    for life in 0..5 {
        assert_eq!(known(&process), 1, "after {life} lives");
        for _ in 0..30 {
            world.wait(&mut process, 600_000);
            world.write_all(&mut process);
            world.run_jobs(&mut process);
        }
        process = world.die_before_the_writes(process);
        world.store.fail_one_in(0);
        world.write_all(&mut process);
    }
    world.wait(&mut process, 600_000);
    assert_eq!(known(&process), 0);
}

#[test]
fn too_many_producers_are_not_remembered() {
    let mut world = World::new(1, None);
    world.tweak = |config| config.sequencer.history.producers_limit = 20;
    let mut process = world.boot();
    world.store.fail_one_in(0);
    world.write_all(&mut process);
    world.create(&mut process, &[]);
    for id in 0..200 {
        world.grow(&mut process);
        world.producers = vec![Producer {
            id,
            ..Producer::default()
        }];
        world.send_produce(&mut process);
        world.write_all(&mut process);
        world.wait(&mut process, 50);
        world.write_all(&mut process);
        world.run_jobs(&mut process);
        let state = process.log.sequencer.state();
        assert!(state.producers.len() <= 20, "{}", state.producers.len());
    }
    world.check_everything(&process);
}

#[test]
fn a_log_of_one_segment_grows_once_there_is_room() {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[]);
    // The disk is full from the first start on, until the log is.
    for _ in 0..60 {
        world.append_of(&mut process, &topic, 2_000);
        for _ in 0..8 {
            world.write_all(&mut process);
            world.refuse_growth(&mut process);
            world.run_jobs(&mut process);
            world.wait(&mut process, 1_000);
        }
    }
    let refused = |world: &World| {
        let sent = world.model.sent.values();
        sent.filter(|sent| sent.fate == super::model::Fate::Refused)
            .count()
    };
    let before = refused(&world);
    assert!(before > 0, "one segment has room for some forty records");
    // The last failure left a file behind.
    world.ground.disk.create(&file_name(2), 4096).unwrap();
    // Room comes back, and nobody does anything about it: the log asks again by itself.
    let mut asked = 0;
    for _ in 0..20 {
        asked += process.grow.len();
        world.grow(&mut process);
        world.write_all(&mut process);
        world.wait(&mut process, 1_000);
    }
    assert!(asked > 0, "the log asked for no segment");
    for _ in 0..60 {
        world.append_of(&mut process, &topic, 2_000);
        for _ in 0..3 {
            world.write_all(&mut process);
            world.grow(&mut process);
            world.run_jobs(&mut process);
            world.wait(&mut process, 500);
        }
    }
    assert_eq!(refused(&world), before, "the log has room again");
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
            world.run_jobs(&mut process);
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
        world.run_jobs(&mut process);
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
