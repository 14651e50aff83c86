//! Members that keep their place under a name of their own (KIP-345, KIP-814).

use super::{INITIAL_DELAY_MS, SESSION_MS, World, error_of};
use crate::group::State;
use crate::group::types::{Join, Leave};
use crate::wire::ErrorCode;

/// Makes a join one of a static member.
pub(super) fn as_static(name: &str) -> impl FnOnce(&mut Join) + '_ {
    move |join| {
        join.instance_id = Some(name.to_owned());
        join.returns_with_id = true;
    }
}

/// Two static members, `a` leading, stable.
fn static_pair() -> World {
    let mut world = World::with_delay(INITIAL_DELAY_MS);
    world.join(as_static("a"));
    world.join(as_static("b"));
    world.pass(INITIAL_DELAY_MS);
    world.pass(INITIAL_DELAY_MS);
    world.effects.clear();
    world.sync("m2", &[]);
    world.sync("m1", &[("m1", "one"), ("m2", "two")]);
    world.effects.clear();
    assert_eq!(world.group.state(), State::Stable);
    world
}

#[test]
fn a_static_member_takes_its_place_again_without_a_rebalance() {
    let mut world = static_pair();
    let back = world.join(as_static("b"));
    let joined = world.joined(back).unwrap();
    assert_eq!((joined.error, joined.generation), (ErrorCode::None, 1));
    assert_eq!(joined.leader, "m1");
    assert_eq!(world.group.state(), State::Stable);
    let sync = world.sync(&joined.member_id, &[]);
    assert_eq!(world.synced(sync).unwrap().assignment, "two");
    // The one it replaced is shut out, by its name and by its id.
    let mut old = world.credentials("m2");
    assert_eq!(
        world.group.heartbeat(world.now_ms, &old),
        ErrorCode::UnknownMemberId
    );
    old.instance_id = Some("b".to_owned());
    assert_eq!(
        world.group.heartbeat(world.now_ms, &old),
        ErrorCode::FencedInstanceId
    );
    let fenced = world.join(|join| {
        "m2".clone_into(&mut join.member_id);
        join.instance_id = Some("b".to_owned());
    });
    assert_eq!(error_of(world.joined(fenced)), ErrorCode::FencedInstanceId);
}

#[test]
fn a_static_leader_that_comes_back_does_not_assign_anew() {
    let mut world = static_pair();
    let back = world.join(as_static("a"));
    let joined = world.joined(back).unwrap();
    assert!(joined.skip_assignment);
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(joined.members.len(), 2);
    // A client that cannot skip is told of its former self.
    let mut world = static_pair();
    let back = world.join(|join| {
        as_static("a")(join);
        join.can_skip_assignment = false;
    });
    let joined = world.joined(back).unwrap();
    assert!(!joined.skip_assignment);
    assert_eq!((joined.leader.as_str(), joined.members.len()), ("m1", 0));
}

#[test]
fn a_static_member_keeps_its_place_through_a_rebalance_until_its_session_ends() {
    let mut world = static_pair();
    let third = world.member("");
    let first = world.join(|join| {
        as_static("a")(join);
        "m1".clone_into(&mut join.member_id);
        join.rebalance_timeout_ms = 1_000;
    });
    world.pass(SESSION_MS - 1);
    assert_eq!(world.joined(third), None);
    world.pass(1);
    assert_eq!(world.joined(first).unwrap().members.len(), 2);
    assert!(world.joined(third).is_some());
}

#[test]
fn static_members_leave_by_their_names() {
    let check = |id: &str, instance: &str, expected: ErrorCode| {
        let mut world = static_pair();
        let leave = Leave {
            member_id: id.to_owned(),
            instance_id: Some(instance.to_owned()),
        };
        let left = world.group.leave(world.now_ms, &leave, &mut world.effects);
        assert_eq!(left, expected);
    };
    check("", "b", ErrorCode::None);
    check("m2", "b", ErrorCode::None);
    check("m1", "b", ErrorCode::FencedInstanceId);
    check("", "c", ErrorCode::UnknownMemberId);
}

#[test]
fn a_place_taken_over_answers_whoever_waited_in_it() {
    let mut world = World::with_delay(INITIAL_DELAY_MS);
    let first = world.join(as_static("a"));
    let second = world.join(as_static("a"));
    assert_eq!(error_of(world.joined(first)), ErrorCode::FencedInstanceId);
    world.pass(INITIAL_DELAY_MS);
    world.pass(INITIAL_DELAY_MS);
    assert_eq!(error_of(world.joined(second)), ErrorCode::None);
}
