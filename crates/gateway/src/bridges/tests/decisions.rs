//! Facts to steps.

use tidegate_contract::migration::Canary;
use tidegate_contract::model::Lifecycle;

use crate::bridges::decide::{CanaryFacts, Facts, Mark, QUIET_MS, Step, Wait, next};
use crate::bridges::state::{At, Cause, FirstPart, Halt, Rollout, Watch};

const NOW: i64 = 1_000_000_000;
const MINUTE: i64 = 60_000;

fn at() -> At {
    At {
        topic: "t".to_owned(),
        partition: 0,
        offset: 3,
    }
}

fn rollout() -> Rollout {
    Rollout {
        from: "paid".to_owned(),
        source: "paid".to_owned(),
        source_starts: vec![100, 0],
        in_full: true,
        watch: Watch::default(),
        first_part: None,
        halt: None,
        aborted: false,
        ended: false,
    }
}

fn watched() -> Rollout {
    Rollout {
        in_full: false,
        ..rollout()
    }
}

fn mark(position: i64, high: i64) -> Mark {
    Mark { position, high }
}

fn scout() -> CanaryFacts {
    CanaryFacts {
        name: "scout".to_owned(),
        dead_letter: None,
        has_read: true,
        oldest_unread: None,
        max_lag_ms: Some(5 * MINUTE),
    }
}

fn canary() -> Option<Canary> {
    Some(Canary {
        first: 10,
        watch: "10m".parse().unwrap(),
        max_quarantined_percent: 0,
    })
}

fn facts<'a>(rollout: Option<&'a Rollout>, source: &'a [Mark]) -> Facts<'a> {
    Facts {
        now_ms: NOW,
        is_open: true,
        canary: None,
        rollout,
        source,
        earlier: Some(Lifecycle::Active),
        newest_ms: None,
        readers_behind: &[],
        canaries: &[],
    }
}

#[test]
fn a_bridge_starts_copies_and_waits_for_events() {
    let (all, rollout) = (rollout(), Some(rollout()));
    let rollout = rollout.as_ref();
    let (some, none) = ([mark(100, 105), mark(0, 0)], [mark(105, 105), mark(0, 0)]);
    let copy = |at_most, watched| Step::Copy { at_most, watched };
    assert_eq!(next(&facts(None, &some)), Step::Start);
    assert_eq!(next(&facts(rollout, &some)), copy(u64::MAX, false));
    assert_eq!(next(&facts(rollout, &none)), Step::Wait(Wait::Events));
    let closed = Facts {
        is_open: false,
        ..facts(rollout, &some)
    };
    assert_eq!(next(&closed), Step::Wait(Wait::Contract));
    let aborted = Rollout {
        aborted: true,
        ..all.clone()
    };
    assert_eq!(
        next(&facts(Some(&aborted), &some)),
        Step::Wait(Wait::Aborted)
    );
    let ended = Rollout { ended: true, ..all };
    assert_eq!(next(&facts(Some(&ended), &some)), Step::Reopen);
    assert_eq!(next(&facts(Some(&ended), &none)), Step::Wait(Wait::Ended));
}

#[test]
fn it_ends_when_nothing_comes_and_nobody_is_behind() {
    let rollout = rollout();
    let (done, left) = ([mark(105, 105)], [mark(104, 105)]);
    let behind = ["billing".to_owned()];
    let check = |earlier, newest_ms, readers_behind: &[String], source: &[Mark], expected| {
        let facts = Facts {
            earlier,
            newest_ms,
            readers_behind,
            ..facts(Some(&rollout), source)
        };
        assert_eq!(next(&facts), expected, "{earlier:?} {newest_ms:?}");
    };
    let copy = Step::Copy {
        at_most: u64::MAX,
        watched: false,
    };
    let waits = || Step::Wait(Wait::Readers(vec!["billing".to_owned()]));
    let events = || Step::Wait(Wait::Events);
    let retired = Some(Lifecycle::Retired);
    check(retired, None, &[], &left, copy);
    check(retired, None, &behind, &done, waits());
    check(retired, Some(NOW), &[], &done, Step::End);
    check(None, Some(NOW), &[], &done, Step::End);
    check(Some(Lifecycle::Active), None, &[], &done, events());
    let deprecated = Some(Lifecycle::Deprecated);
    check(deprecated, Some(NOW - QUIET_MS + 1), &[], &done, events());
    check(deprecated, Some(NOW - QUIET_MS), &[], &done, Step::End);
    check(deprecated, Some(NOW - QUIET_MS), &behind, &done, waits());
    check(deprecated, None, &[], &done, Step::End);
}

#[test]
fn the_first_part_is_bounded_and_the_rest_waits_for_the_canaries() {
    let check = |rollout: &Rollout, source: &[Mark], canaries: &[CanaryFacts], expected| {
        let facts = Facts {
            canary: canary(),
            canaries,
            ..facts(Some(rollout), source)
        };
        assert_eq!(next(&facts), expected);
    };
    let watched = watched();
    let copy = |at_most| Step::Copy {
        at_most,
        watched: true,
    };
    let scout = [scout()];
    check(&watched, &[mark(100, 150), mark(0, 9)], &scout, copy(10));
    check(&watched, &[mark(104, 150), mark(3, 9)], &scout, copy(3));
    check(
        &watched,
        &[mark(107, 150), mark(3, 9)],
        &scout,
        Step::CloseFirstPart,
    );
    // All there is, and less than the first part: it goes on with the next event.
    let events = || Step::Wait(Wait::Events);
    check(&watched, &[mark(104, 104), mark(3, 3)], &scout, events());
    let part = |at_ms| Rollout {
        first_part: Some(FirstPart {
            at_ms,
            target_ends: Vec::new(),
        }),
        ..watched.clone()
    };
    let rest = [mark(110, 150), mark(0, 9)];
    let slow = [CanaryFacts {
        has_read: false,
        ..scout[0].clone()
    }];
    let waits = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned());
        Step::Wait(Wait::Canaries(names.collect()))
    };
    check(&part(NOW - 60 * MINUTE), &rest, &slow, waits(&["scout"]));
    check(&part(NOW - 60 * MINUTE), &rest, &[], waits(&[]));
    let watching = Step::Wait(Wait::Watching {
        until_ms: NOW + MINUTE,
    });
    check(&part(NOW - 9 * MINUTE), &rest, &scout, watching);
    check(&part(NOW - 10 * MINUTE), &rest, &scout, Step::Pass);
}

#[test]
fn a_failing_canary_halts_the_rollout_and_it_stays_halted() {
    let watched = watched();
    let rest = [mark(104, 150), mark(0, 9)];
    let check = |rollout: &Rollout, canary_facts: CanaryFacts, expected: Option<Cause>| {
        let canaries = [canary_facts];
        let facts = Facts {
            canary: canary(),
            canaries: &canaries,
            ..facts(Some(rollout), &rest)
        };
        let found = match next(&facts) {
            Step::Halt(halt) => {
                assert_eq!(halt.reader.as_deref(), Some("scout"));
                assert_eq!(halt.first, at());
                Some(halt.cause)
            }
            _ => None,
        };
        assert_eq!(found, expected);
    };
    let dead = CanaryFacts {
        dead_letter: Some(at()),
        ..scout()
    };
    let unread = |age_ms| CanaryFacts {
        oldest_unread: Some((at(), NOW - age_ms)),
        has_read: false,
        ..scout()
    };
    check(&watched, scout(), None);
    check(&watched, dead.clone(), Some(Cause::DeadLetters));
    check(&watched, unread(5 * MINUTE), None);
    check(&watched, unread(5 * MINUTE + 1), Some(Cause::Lag));
    let patient = CanaryFacts {
        max_lag_ms: None,
        ..unread(500 * MINUTE)
    };
    check(&watched, patient, None);
    // In full, nobody is watched any more.
    check(&rollout(), dead, None);
    let halted = Rollout {
        halt: Some(Halt {
            cause: Cause::Lag,
            detail: String::new(),
            reader: None,
            first: at(),
        }),
        ..watched
    };
    let halted = Facts {
        canary: canary(),
        ..facts(Some(&halted), &rest)
    };
    assert_eq!(next(&halted), Step::Wait(Wait::Halted));
}
