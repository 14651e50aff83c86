//! Wall clocks that leap, told to the same simulated machine.

use tidegate_broker::env::Clock;
use tidegate_event_log::Disposition;

use super::rules::world;
use super::world::{Process, World};

const YEAR_MS: i64 = 365 * 24 * 3_600_000;
const MINUTE_MS: u64 = 60_000;

/// A log with a claimed record in history, whose topic keeps records for a week, closed.
fn closed_log() -> World {
    let (mut world, mut process) = world();
    let topic = world.create(&mut process, &[("retention.ms", "604800000")]);
    world.append_claimed(&mut process, &topic, 1);
    world.write_all(&mut process);
    for _ in 0..3 {
        world.wait(&mut process, 30_000);
        world.write_all(&mut process);
        world.run_jobs(&mut process);
    }
    world
}

fn open(world: &mut World) -> Process {
    let mut process = world.boot();
    world.store.fail_one_in(0);
    world.write_all(&mut process);
    process
}

fn minutes_pass(world: &mut World, process: &mut Process, minutes: u64) {
    for _ in 0..minutes {
        world.wait(process, MINUTE_MS);
        world.write_all(process);
        world.run_jobs(process);
    }
}

fn log_start(process: &Process) -> i64 {
    World::topics(process)[0].partitions[0].log_start()
}

/// Says whether the claim of the first record is still held.
fn is_claimed(world: &mut World, process: &mut Process) -> bool {
    let topic = World::topics(process)[0].clone();
    world.disposition_of(process, &topic, 1) == Disposition::Repeated
}

#[test]
fn a_start_with_a_clock_years_ahead_ends_nothing() {
    let mut world = closed_log();
    let before = world.clock.wall_ms();
    world.clock.jump(14 * YEAR_MS);
    let mut process = open(&mut world);
    minutes_pass(&mut world, &mut process, 55);
    assert_eq!(log_start(&process), 0, "history is kept");
    assert!(is_claimed(&mut world, &mut process), "claims are kept");
    // Nor does a start after it that has the right time.
    world.clock.jump(-14 * YEAR_MS);
    let mut process = world.die_before_the_writes(process);
    minutes_pass(&mut world, &mut process, 70);
    let passed = process.log.shared.log_time_ms() - before;
    assert!(passed < 3 * 3_600_000, "log time is {passed} ms ahead");
    assert_eq!(log_start(&process), 0);
    assert!(is_claimed(&mut world, &mut process));
    world.check_everything(&process);
}

#[test]
fn a_log_that_was_off_for_weeks_goes_on_and_expires_what_is_old_after_an_hour() {
    let mut world = closed_log();
    world.clock.jump(YEAR_MS / 10);
    let before = world.clock.wall_ms();
    let mut process = open(&mut world);
    let topic = World::topics(&process)[0].clone();
    world.append_claimed(&mut process, &topic, 2);
    world.write_all(&mut process);
    minutes_pass(&mut world, &mut process, 55);
    assert_eq!(log_start(&process), 0, "not yet");
    minutes_pass(&mut world, &mut process, 10);
    assert_eq!(
        log_start(&process),
        1,
        "the old record went, the one made meanwhile is not old"
    );
    assert!(process.log.shared.log_time_ms() > before);
    world.check_everything(&process);
}
