//! How committed offsets end, told to the same simulated machine.

use std::collections::BTreeSet;

use tidegate_broker::sequencer::{CommitOffsetsCommand, Input, Refusal};
use tidegate_broker::state::command::{OffsetEntry, OffsetsCommitted};
use tokio::sync::oneshot;

use super::world::{Process, World};

const DAY_MS: u64 = 86_400_000;

fn world(tweak: fn(&mut tidegate_broker::boot::Config)) -> (World, Process) {
    let mut world = World::new(1, None);
    world.tweak = tweak;
    let mut process = world.boot();
    world.store.fail_one_in(0);
    world.write_all(&mut process);
    world.create(&mut process, &[]);
    (world, process)
}

fn for_a_week(config: &mut tidegate_broker::boot::Config) {
    config.sequencer.offsets_retention_ms = 7 * 86_400_000;
}

impl World {
    fn commit(&mut self, process: &mut Process, group: &str, note: usize) -> Result<(), Refusal> {
        let entry = OffsetEntry {
            topic: World::topics(process)[0].number,
            partition: 0,
            offset: 5,
            leader_epoch: -1,
            metadata: "n".repeat(note),
        };
        let offsets = OffsetsCommitted {
            group: group.to_owned(),
            generation: 1,
            commit_ms: 0,
            entries: vec![entry],
        };
        let (reply, mut answer) = oneshot::channel();
        self.take(
            process,
            Input::CommitOffsets(CommitOffsetsCommand { offsets, reply }),
        );
        self.write_all(process);
        answer.try_recv().expect("it is durable")
    }

    /// A day passes, then the port says who has members.
    fn a_day_later(&mut self, process: &mut Process, occupied: &[&str]) {
        for _ in 0..48 {
            self.wait(process, DAY_MS / 48);
            self.write_all(process);
            self.run_jobs(process);
        }
        let occupied: BTreeSet<String> = occupied.iter().map(|name| (*name).to_owned()).collect();
        self.take(process, Input::CheckOffsets(occupied));
        self.write_all(process);
    }
}

fn groups(process: &Process) -> Vec<String> {
    let names = process.log.shared.group_names();
    let state: Vec<String> = process
        .log
        .sequencer
        .state()
        .groups()
        .map(|(k, _)| k.clone())
        .collect();
    assert_eq!(names, state, "readers see what the state has");
    names
}

#[test]
fn offsets_expire_a_week_after_their_group_was_last_seen_with_members() {
    let (mut world, mut process) = world(for_a_week);
    for group in ["empty", "left", "read", "stays"] {
        world.commit(&mut process, group, 0).unwrap();
    }
    for day in 1..=9 {
        let left = if day <= 3 { "left" } else { "stays" };
        world.a_day_later(&mut process, &["stays", left]);
        // A consumer without a group's members commits by itself.
        world.commit(&mut process, "read", 0).unwrap();
        // First seen empty on the first day; a start between does not begin anew.
        let expected: &[&str] = match day {
            ..8 => &["empty", "left", "read", "stays"],
            _ => &["left", "read", "stays"],
        };
        assert_eq!(groups(&process), expected, "day {day}");
        process = world.die_before_the_writes(process);
        world.store.fail_one_in(0);
        world.write_all(&mut process);
    }
    // Last seen with members on the third day, first without on the fourth.
    world.a_day_later(&mut process, &["stays"]);
    assert_eq!(groups(&process), ["left", "read", "stays"]);
    world.a_day_later(&mut process, &["stays"]);
    assert_eq!(groups(&process), ["read", "stays"]);
    // One with members keeps its offsets for ever; a deleted topic's go, and the group with them.
    world.check_everything(&process);
}

#[test]
fn commits_are_refused_when_their_memory_is_full_and_those_at_work_go_on() {
    let (mut world, mut process) = world(|config| {
        for_a_week(config);
        config.sequencer.offsets_budget_bytes = 20_000;
    });
    world.commit(&mut process, "first", 100).unwrap();
    let taken = (0..100).take_while(|number| {
        world.grow(&mut process);
        world
            .commit(&mut process, &format!("group-{number}"), 100)
            .is_ok()
    });
    let taken = taken.count();
    assert!((30..60).contains(&taken), "{taken} groups");
    let refused = world.commit(&mut process, "another", 0);
    assert_eq!(refused, Err(Refusal::OffsetsFull));
    world.commit(&mut process, "first", 100).unwrap();
    for _ in 0..9 {
        world.a_day_later(&mut process, &["first"]);
    }
    assert_eq!(groups(&process), ["first"]);
    world.commit(&mut process, "another", 0).unwrap();
}
