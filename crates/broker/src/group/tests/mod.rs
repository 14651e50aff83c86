//! The classic group protocol, scenario by scenario.

mod any_order;
mod static_members;

use bytes::Bytes;

use super::Group;
use super::types::{
    Effect, Heartbeat, Join, Joined, Leave, Limits, Protocols, State, Sync, Synced, Ticket,
};
use crate::wire::ErrorCode;

const SESSION_MS: u64 = 10_000;
const REBALANCE_MS: u64 = 60_000;
const INITIAL_DELAY_MS: u64 = 200;

/// A group, the time, and the answers that have not been looked at.
struct World {
    group: Group,
    now_ms: u64,
    effects: Vec<Effect>,
    last_ticket: Ticket,
}

impl World {
    fn new() -> Self {
        Self::with_delay(0)
    }

    fn with_delay(initial_delay_ms: u64) -> Self {
        let limits = Limits {
            initial_delay_ms,
            max_members: 5,
        };
        Self {
            group: Group::new(limits, 0),
            now_ms: 1_000,
            effects: Vec::new(),
            last_ticket: 0,
        }
    }

    fn join(&mut self, change: impl FnOnce(&mut Join)) -> Ticket {
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let mut join = Join {
            ticket,
            member_id: String::new(),
            fresh_id: format!("m{ticket}"),
            instance_id: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            protocol_type: "consumer".to_owned(),
            protocols: protocols(&["range"]),
            returns_with_id: false,
            can_skip_assignment: true,
        };
        change(&mut join);
        self.group.join(self.now_ms, join, &mut self.effects);
        ticket
    }

    /// Joins anew, or again with the id of before.
    fn member(&mut self, id: &str) -> Ticket {
        self.join(|join| id.clone_into(&mut join.member_id))
    }

    fn sync(&mut self, id: &str, assignments: &[(&str, &str)]) -> Ticket {
        self.last_ticket += 1;
        let assignments = assignments.iter();
        let sync = Sync {
            ticket: self.last_ticket,
            generation: self.group.generation(),
            member_id: id.to_owned(),
            assignments: assignments
                .map(|(id, bytes)| ((*id).to_owned(), Bytes::copy_from_slice(bytes.as_bytes())))
                .collect(),
            ..Sync::default()
        };
        self.group.sync(self.now_ms, sync, &mut self.effects);
        self.last_ticket
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.group.tick(self.now_ms, &mut self.effects);
    }

    /// Takes the answer to a join.
    fn joined(&mut self, asked: Ticket) -> Option<Joined> {
        let at = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Joined(ticket, _) if *ticket == asked))?;
        match self.effects.remove(at) {
            Effect::Joined(_, joined) => Some(joined),
            Effect::Synced(..) => None,
        }
    }

    fn synced(&mut self, asked: Ticket) -> Option<Synced> {
        let at = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Synced(ticket, _) if *ticket == asked))?;
        match self.effects.remove(at) {
            Effect::Synced(_, synced) => Some(synced),
            Effect::Joined(..) => None,
        }
    }

    fn beat(&mut self, id: &str) -> ErrorCode {
        let beat = self.credentials(id);
        self.group.heartbeat(self.now_ms, &beat)
    }

    fn commit(&mut self, generation: i32, id: &str) -> ErrorCode {
        let from = Heartbeat {
            generation,
            member_id: id.to_owned(),
            instance_id: None,
        };
        self.group.check_commit(self.now_ms, &from)
    }

    fn leave(&mut self, id: &str) -> ErrorCode {
        let leave = Leave {
            member_id: id.to_owned(),
            instance_id: None,
        };
        self.group.leave(self.now_ms, &leave, &mut self.effects)
    }

    fn credentials(&self, id: &str) -> Heartbeat {
        Heartbeat {
            generation: self.group.generation(),
            member_id: id.to_owned(),
            instance_id: None,
        }
    }

    /// Two members, `m1` leading, both with their assignments.
    fn stable_pair() -> Self {
        let mut world = Self::new();
        let first = world.member("");
        assert_eq!(world.joined(first).unwrap().generation, 1);
        let second = world.member("");
        let again = world.member("m1");
        assert_eq!(world.joined(again).unwrap().members.len(), 2);
        assert_eq!(world.joined(second).unwrap().members.len(), 0);
        let second = world.sync("m2", &[]);
        let first = world.sync("m1", &[("m1", "one"), ("m2", "two")]);
        assert_eq!(world.synced(first).unwrap().assignment, "one");
        assert_eq!(world.synced(second).unwrap().assignment, "two");
        assert_eq!(world.group.state(), State::Stable);
        assert_eq!(world.effects, []);
        world
    }
}

fn protocols(names: &[&str]) -> Protocols {
    let each = names.iter();
    each.map(|name| ((*name).to_owned(), Bytes::from_static(b"topics")))
        .collect()
}

fn error_of(joined: Option<Joined>) -> ErrorCode {
    joined.expect("answered").error
}

#[test]
fn an_empty_group_waits_for_more_members_than_the_first() {
    let mut world = World::with_delay(INITIAL_DELAY_MS);
    let first = world.member("");
    world.pass(INITIAL_DELAY_MS - 1);
    assert_eq!(world.joined(first), None);
    let second = world.member("");
    // The newcomer extends the delay once.
    world.pass(1);
    assert_eq!(world.joined(first), None);
    world.pass(INITIAL_DELAY_MS);
    let led = world.joined(first).unwrap();
    let followed = world.joined(second).unwrap();
    assert_eq!((led.generation, followed.generation), (1, 1));
    assert_eq!(
        (led.leader.as_str(), followed.leader.as_str()),
        ("m1", "m1")
    );
    assert_eq!((led.members.len(), followed.members.len()), (2, 0));
    assert_eq!(led.protocol_name.as_deref(), Some("range"));
}

#[test]
fn newcomers_extend_the_first_delay_no_longer_than_the_rebalance_timeout() {
    let mut world = World::with_delay(INITIAL_DELAY_MS);
    let first = world.join(|join| join.rebalance_timeout_ms = 500);
    for _ in 0..2 {
        world.pass(INITIAL_DELAY_MS - 50);
        world.join(|join| join.rebalance_timeout_ms = 500);
        world.pass(50);
    }
    assert_eq!(world.joined(first), None);
    world.pass(100);
    assert_eq!(world.joined(first).unwrap().members.len(), 3);
}

#[test]
fn a_member_id_is_given_first_to_those_who_come_back_with_it() {
    let mut world = World::new();
    let ticket = world.join(|join| join.returns_with_id = true);
    let refused = world.joined(ticket).unwrap();
    assert_eq!(refused.error, ErrorCode::MemberIdRequired);
    assert_eq!(refused.member_id, "m1");
    assert_eq!(world.group.state(), State::Empty);
    let ticket = world.join(|join| {
        "m1".clone_into(&mut join.member_id);
        join.returns_with_id = true;
    });
    let joined = world.joined(ticket).unwrap();
    assert_eq!(
        (joined.error, joined.member_id.as_str()),
        (ErrorCode::None, "m1")
    );
}

#[test]
fn an_id_that_is_not_used_is_forgotten_and_holds_nobody_up() {
    let mut world = World::new();
    let joined = world.member("");
    world.joined(joined);
    let ticket = world.join(|join| join.returns_with_id = true);
    assert_eq!(error_of(world.joined(ticket)), ErrorCode::MemberIdRequired);
    let sync = world.sync("m1", &[("m1", "all")]);
    assert_eq!(world.synced(sync).unwrap().assignment, "all");
    // The next generation waits for the id that was given out, until its session would end.
    let again = world.member("m1");
    assert_eq!(world.joined(again), None);
    world.pass(SESSION_MS);
    assert_eq!(world.joined(again).unwrap().generation, 2);
    let late = world.member("m2");
    assert_eq!(error_of(world.joined(late)), ErrorCode::UnknownMemberId);
}

#[test]
fn joins_that_cannot_be_are_refused() {
    let check = |change: &dyn Fn(&mut Join), expected: ErrorCode| {
        let mut world = World::stable_pair();
        let ticket = world.join(|join| change(join));
        assert_eq!(error_of(world.joined(ticket)), expected);
        assert_eq!(world.group.state(), State::Stable);
    };
    check(
        &|join| "nobody".clone_into(&mut join.member_id),
        ErrorCode::UnknownMemberId,
    );
    check(
        &|join| join.protocols = protocols(&["sticky"]),
        ErrorCode::InconsistentGroupProtocol,
    );
    check(
        &|join| join.protocols = Vec::new(),
        ErrorCode::InconsistentGroupProtocol,
    );
    check(
        &|join| "connect".clone_into(&mut join.protocol_type),
        ErrorCode::InconsistentGroupProtocol,
    );
    check(
        &|join| {
            "m1".clone_into(&mut join.member_id);
            join.instance_id = Some("static".to_owned());
        },
        ErrorCode::UnknownMemberId,
    );
}

#[test]
fn a_group_has_a_largest_size() {
    let mut world = World::new();
    for _ in 0..4 {
        world.member("");
    }
    world.join(|join| join.returns_with_id = true);
    let ticket = world.member("");
    assert_eq!(
        error_of(world.joined(ticket)),
        ErrorCode::GroupMaxSizeReached
    );
}

#[test]
fn the_protocol_is_one_that_all_know_and_most_prefer() {
    let check = |members: &[&[&str]], expected: &str| {
        let mut world = World::with_delay(INITIAL_DELAY_MS);
        let tickets: Vec<Ticket> = members
            .iter()
            .map(|names| world.join(|join| join.protocols = protocols(names)))
            .collect();
        world.pass(INITIAL_DELAY_MS);
        world.pass(INITIAL_DELAY_MS);
        let joined = world.joined(tickets[0]).unwrap();
        assert_eq!(joined.protocol_name.as_deref(), Some(expected));
    };
    check(&[&["a", "b"]], "a");
    check(&[&["a", "b"], &["b"]], "b");
    check(&[&["a", "b"], &["b", "a"], &["b", "a"]], "b");
    check(&[&["x", "b", "a"], &["a", "b"], &["b", "a"]], "b");
}

#[test]
fn a_new_member_makes_the_others_join_again() {
    let mut world = World::stable_pair();
    let third = world.member("");
    assert_eq!(world.beat("m1"), ErrorCode::RebalanceInProgress);
    assert_eq!(world.beat("m2"), ErrorCode::RebalanceInProgress);
    let sync = world.sync("m2", &[]);
    assert_eq!(
        world.synced(sync).unwrap().error,
        ErrorCode::RebalanceInProgress
    );
    let first = world.member("m1");
    let second = world.member("m2");
    for (ticket, members) in [(first, 3), (second, 0), (third, 0)] {
        let joined = world.joined(ticket).unwrap();
        assert_eq!((joined.generation, joined.members.len()), (3, members));
    }
    assert_eq!(world.beat("m1"), ErrorCode::None);
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut world = World::stable_pair();
    let third = world.member("");
    let second = world.member("m2");
    world.pass(SESSION_MS - 1);
    assert_eq!(world.joined(third), None);
    // The session of the first ends before the rebalance timeout does.
    world.pass(1);
    let led = world.joined(second).unwrap();
    assert_eq!((led.leader.as_str(), led.members.len()), ("m2", 2));
    assert_eq!(world.joined(third).unwrap().leader, "m2");
    assert_eq!(world.beat("m1"), ErrorCode::UnknownMemberId);
}

#[test]
fn the_rebalance_timeout_ends_the_wait_for_those_who_only_beat() {
    let mut world = World::stable_pair();
    let third = world.member("");
    let second = world.member("m2");
    for _ in 0..REBALANCE_MS / 5_000 {
        assert_eq!(world.joined(third), None);
        assert_eq!(world.beat("m1"), ErrorCode::RebalanceInProgress);
        world.pass(5_000);
    }
    assert_eq!(world.joined(second).unwrap().members.len(), 2);
    assert!(world.joined(third).is_some());
}

#[test]
fn a_session_ends_without_signs_of_life() {
    let mut world = World::stable_pair();
    world.pass(SESSION_MS / 2);
    assert_eq!(world.beat("m1"), ErrorCode::None);
    world.pass(SESSION_MS / 2);
    assert_eq!(world.group.state(), State::PreparingRebalance);
    assert_eq!(world.beat("m2"), ErrorCode::UnknownMemberId);
    let first = world.member("m1");
    let joined = world.joined(first).unwrap();
    assert_eq!((joined.generation, joined.members.len()), (3, 1));
}

#[test]
fn waiting_is_no_silence() {
    let mut world = World::stable_pair();
    let third = world.member("");
    let second = world.member("m2");
    for _ in 0..4 {
        world.pass(SESSION_MS / 2);
        world.beat("m1");
    }
    let first = world.member("m1");
    assert!(
        [first, second, third]
            .into_iter()
            .all(|ticket| world.joined(ticket).is_some())
    );
}

#[test]
fn a_first_join_that_nobody_waits_for_ends_some_time() {
    let mut world = World::stable_pair();
    let third = world.member("");
    for _ in 0..61 {
        world.pass(5_000);
        // Both keep the rebalance from ending by joining again and again.
        world.join(|join| {
            "m1".clone_into(&mut join.member_id);
            join.rebalance_timeout_ms = 10_000_000;
        });
        world.beat("m2");
    }
    let refused = world.joined(third);
    assert!(refused.is_some());
}

#[test]
fn the_leader_that_goes_is_followed_by_another() {
    let mut world = World::stable_pair();
    assert_eq!(world.leave("m1"), ErrorCode::None);
    assert_eq!(world.leave("m1"), ErrorCode::UnknownMemberId);
    let second = world.member("m2");
    let joined = world.joined(second).unwrap();
    assert_eq!((joined.leader.as_str(), joined.members.len()), ("m2", 1));
}

#[test]
fn the_last_one_leaves_an_empty_group_behind() {
    let mut world = World::stable_pair();
    world.leave("m1");
    world.leave("m2");
    assert_eq!(world.group.state(), State::Empty);
    assert!(world.group.is_idle());
    assert_eq!(world.group.next_deadline_ms(), None);
    // The generation goes on.
    let ticket = world.member("");
    assert_eq!(world.joined(ticket).unwrap().generation, 4);
}

#[test]
fn a_repeated_join_gets_the_same_answer() {
    let mut world = World::new();
    let first = world.member("");
    let answer = world.joined(first).unwrap();
    let again = world.member("m1");
    assert_eq!(world.joined(again), Some(answer));
    // Stable: a follower is answered, the leader starts a rebalance.
    let mut world = World::stable_pair();
    let follower = world.member("m2");
    assert_eq!(world.joined(follower).unwrap().generation, 2);
    assert_eq!(world.group.state(), State::Stable);
    let leader = world.member("m1");
    assert_eq!(world.joined(leader), None);
    assert_eq!(world.group.state(), State::PreparingRebalance);
}

#[test]
fn other_topics_of_a_follower_start_a_rebalance() {
    let mut world = World::stable_pair();
    world.join(|join| {
        "m2".clone_into(&mut join.member_id);
        join.protocols[0].1 = Bytes::from_static(b"more topics");
    });
    assert_eq!(world.group.state(), State::PreparingRebalance);
}

#[test]
fn a_join_sent_twice_answers_the_first_with_an_error() {
    let mut world = World::stable_pair();
    world.member("");
    let first = world.member("m1");
    let again = world.member("m1");
    assert_eq!(
        error_of(world.joined(first)),
        ErrorCode::RebalanceInProgress
    );
    world.member("m2");
    assert_eq!(error_of(world.joined(again)), ErrorCode::None);
}

#[test]
fn syncs_that_cannot_be_are_refused() {
    let check = |change: &dyn Fn(&mut Sync), expected: ErrorCode| {
        let mut world = World::stable_pair();
        let mut sync = Sync {
            ticket: 99,
            generation: world.group.generation(),
            member_id: "m2".to_owned(),
            ..Sync::default()
        };
        change(&mut sync);
        world.group.sync(world.now_ms, sync, &mut world.effects);
        assert_eq!(world.synced(99).unwrap().error, expected);
    };
    let some = |name: &str| Some(name.to_owned());
    check(&|_| {}, ErrorCode::None);
    check(&|sync| sync.generation = 1, ErrorCode::IllegalGeneration);
    check(&|sync| sync.member_id.clear(), ErrorCode::UnknownMemberId);
    check(
        &|sync| sync.protocol_type = some("connect"),
        ErrorCode::InconsistentGroupProtocol,
    );
    check(
        &|sync| sync.protocol_name = some("sticky"),
        ErrorCode::InconsistentGroupProtocol,
    );
    check(&|sync| sync.protocol_name = some("range"), ErrorCode::None);
    check(
        &|sync| sync.instance_id = some("static"),
        ErrorCode::UnknownMemberId,
    );
}

#[test]
fn a_leader_that_never_assigns_is_out() {
    let mut world = World::stable_pair();
    world.leave("m2");
    let first = world.member("m1");
    world.joined(first);
    let second = world.member("");
    let first = world.member("m1");
    world.joined(first);
    world.joined(second);
    let waiting = world.sync("m5", &[]);
    assert_eq!(
        world.synced(waiting).unwrap().error,
        ErrorCode::UnknownMemberId
    );
    let id = world.group.view().members[1].member_id.clone();
    let waiting = world.sync(&id, &[]);
    for _ in 0..REBALANCE_MS / 5_000 {
        world.beat("m1");
        world.pass(5_000);
    }
    assert_eq!(
        world.synced(waiting).unwrap().error,
        ErrorCode::RebalanceInProgress
    );
    assert_eq!(world.beat("m1"), ErrorCode::UnknownMemberId);
}

#[test]
fn assignments_are_kept_until_the_next_generation() {
    let mut world = World::stable_pair();
    let again = world.sync("m2", &[]);
    assert_eq!(world.synced(again).unwrap().assignment, "two");
    let view = world.group.view();
    assert_eq!(view.members[1].assignment, "two");
    assert_eq!(view.protocol_name, "range");
}

#[test]
fn commits_need_the_generation_or_an_empty_group() {
    let check = |world: &mut World, generation: i32, id: &str, expected: ErrorCode| {
        assert_eq!(world.commit(generation, id), expected, "{generation} {id}");
    };
    let mut world = World::new();
    check(&mut world, -1, "", ErrorCode::None);
    check(&mut world, 0, "m1", ErrorCode::UnknownMemberId);
    let mut world = World::stable_pair();
    check(&mut world, 2, "m1", ErrorCode::None);
    check(&mut world, 1, "m1", ErrorCode::IllegalGeneration);
    check(&mut world, 2, "nobody", ErrorCode::UnknownMemberId);
    check(&mut world, -1, "", ErrorCode::UnknownMemberId);
    // Gathering: what was read before is committed before one joins again.
    world.member("");
    check(&mut world, 2, "m1", ErrorCode::None);
    world.member("m1");
    world.member("m2");
    assert_eq!(world.group.state(), State::CompletingRebalance);
    check(&mut world, 3, "m1", ErrorCode::RebalanceInProgress);
}

#[test]
fn the_generation_continues_from_the_log() {
    let limits = Limits {
        initial_delay_ms: 0,
        max_members: 5,
    };
    let mut world = World::new();
    world.group = Group::new(limits, 41);
    let ticket = world.member("");
    assert_eq!(world.joined(ticket).unwrap().generation, 42);
}
