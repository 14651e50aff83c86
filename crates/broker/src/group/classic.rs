//! One group: what it answers to joins, syncs, heartbeats, leaves and commits.
//!
//! Invariants: a waiting request is answered exactly once; whoever waits does not time out; ids in
//! `pending` are not in `members`; every static name leads to a member. How a generation comes
//! about is in `rebalance.rs`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::types::{
    Effect, Heartbeat, Join, Joined, Leave, Limits, MemberView, Protocols, State, Sync, Synced,
    Ticket, View,
};
use crate::wire::ErrorCode;

/// How long a client that cannot come back with its id may stay in its first join, so that one that
/// went away does not stay for ever (`group.coordinator.new.member.join.timeout` of Kafka).
const FIRST_JOIN_LIMIT_MS: u64 = 300_000;

/// One consumer group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(super) limits: Limits,
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Static names and the member that has each.
    pub(super) instances: BTreeMap<String, String>,
    /// Ids given out that have not joined, and until when each counts.
    pub(super) pending: BTreeMap<String, u64>,
    pub(super) gathering: Option<Gathering>,
    /// Members that have not asked for their assignment, and until when they may.
    pub(super) unsynced: BTreeSet<String>,
    pub(super) sync_deadline_ms: Option<u64>,
}

/// The time in which members of the next generation are gathered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gathering {
    pub(super) deadline_ms: u64,
    /// For a group that had no members: how much longer it may wait for newcomers.
    pub(super) extension_ms: Option<u64>,
    pub(super) newcomers: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) session_timeout_ms: u64,
    pub(super) rebalance_timeout_ms: u64,
    pub(super) protocols: Protocols,
    pub(super) assignment: Bytes,
    pub(super) joining: Option<Ticket>,
    pub(super) syncing: Option<Ticket>,
    /// When it is given up, unless it waits for an answer.
    pub(super) session_deadline_ms: u64,
    /// When its first join is given up.
    pub(super) first_join_deadline_ms: Option<u64>,
}

impl Member {
    fn new(now_ms: u64, join: &Join) -> Self {
        Self {
            instance_id: join.instance_id.clone(),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            session_deadline_ms: now_ms + join.session_timeout_ms,
            first_join_deadline_ms: None,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    /// When the member is given up if nothing is heard from it.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        if self.is_waiting() {
            self.first_join_deadline_ms
        } else {
            Some(self.session_deadline_ms)
        }
    }

    pub(super) fn revive(&mut self, now_ms: u64) {
        self.session_deadline_ms = now_ms + self.session_timeout_ms;
    }

    pub(super) fn metadata_for(&self, protocol: Option<&str>) -> Bytes {
        let found = self
            .protocols
            .iter()
            .find(|(name, _)| Some(name.as_str()) == protocol);
        found.map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }
}

impl Group {
    /// Makes an empty group. `generation` is the last one known of it, from the log.
    pub(crate) fn new(limits: Limits, generation: i32) -> Self {
        Self {
            limits,
            state: State::Empty,
            generation: generation.max(0),
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            gathering: None,
            unsynced: BTreeSet::new(),
            sync_deadline_ms: None,
        }
    }

    /// Tells if nothing in the group is worth keeping.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Empty && self.pending.is_empty()
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn generation(&self) -> i32 {
        self.generation
    }

    pub(crate) fn protocol_type(&self) -> &str {
        self.protocol_type.as_deref().unwrap_or_default()
    }

    /// Takes a join. Its answer comes as an effect, now or later.
    pub(crate) fn join(&mut self, now_ms: u64, join: Join, effects: &mut Vec<Effect>) {
        if let Err(error) = self.try_join(now_ms, &join, effects) {
            let id = if error == ErrorCode::MemberIdRequired {
                &join.fresh_id
            } else {
                &join.member_id
            };
            effects.push(Effect::Joined(join.ticket, Joined::refused(error, id)));
        }
    }

    fn try_join(
        &mut self,
        now_ms: u64,
        join: &Join,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        if !self.supports(&join.protocol_type, &join.protocols) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if join.member_id.is_empty() {
            return self.join_unknown(now_ms, join, effects);
        }
        if self.pending.contains_key(&join.member_id) && join.instance_id.is_none() {
            let id = join.member_id.clone();
            self.add_member(now_ms, id, join, effects);
            return Ok(());
        }
        self.check_member(&join.member_id, join.instance_id.as_deref())?;
        self.join_known(now_ms, join, effects);
        Ok(())
    }

    fn join_unknown(
        &mut self,
        now_ms: u64,
        join: &Join,
        effects: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let holder = join
            .instance_id
            .as_ref()
            .and_then(|instance| self.instances.get(instance));
        if let Some(old_id) = holder.cloned() {
            self.replace_static(now_ms, &old_id, join, effects);
            return Ok(());
        }
        if self.members.len() + self.pending.len() >= self.limits.max_members {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        if join.instance_id.is_none() && join.returns_with_id {
            let until_ms = now_ms + join.session_timeout_ms;
            self.pending.insert(join.fresh_id.clone(), until_ms);
            return Err(ErrorCode::MemberIdRequired);
        }
        self.add_member(now_ms, join.fresh_id.clone(), join, effects);
        Ok(())
    }

    fn join_known(&mut self, now_ms: u64, join: &Join, effects: &mut Vec<Effect>) {
        let is_leader = self.leader.as_deref() == Some(join.member_id.as_str());
        let member = &self.members[&join.member_id];
        let same = member.protocols == join.protocols;
        match self.state {
            // The answer to its join was lost: the same answer again.
            State::CompletingRebalance if same => {
                let joined = self.joined(&join.member_id);
                self.answer_join_again(now_ms, join, joined, effects);
            }
            // A follower that says nothing new need not disturb the others.
            State::Stable if same && !is_leader => {
                let joined = self.joined(&join.member_id);
                self.answer_join_again(now_ms, join, joined, effects);
            }
            _ => self.update_member(now_ms, join, effects),
        }
    }

    fn answer_join_again(
        &mut self,
        now_ms: u64,
        join: &Join,
        joined: Joined,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(member) = self.members.get_mut(&join.member_id) {
            member.revive(now_ms);
        }
        effects.push(Effect::Joined(join.ticket, joined));
    }

    fn add_member(&mut self, now_ms: u64, id: String, join: &Join, effects: &mut Vec<Effect>) {
        self.pending.remove(&id);
        let mut member = Member::new(now_ms, join);
        member.joining = Some(join.ticket);
        if !join.returns_with_id && join.instance_id.is_none() {
            member.first_join_deadline_ms = Some(now_ms + FIRST_JOIN_LIMIT_MS);
        }
        if let Some(instance) = &join.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
        if let Some(gathering) = &mut self.gathering {
            gathering.newcomers = true;
        }
        self.rebalance(now_ms, effects);
    }

    fn update_member(&mut self, now_ms: u64, join: &Join, effects: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(&join.member_id) else {
            return;
        };
        member.protocols.clone_from(&join.protocols);
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.client_id.clone_from(&join.client_id);
        member.client_host.clone_from(&join.client_host);
        // A client that sends its join again has given up the first one.
        if let Some(earlier) = member.joining.replace(join.ticket) {
            let refused = Joined::refused(ErrorCode::RebalanceInProgress, &join.member_id);
            effects.push(Effect::Joined(earlier, refused));
        }
        self.rebalance(now_ms, effects);
    }

    /// A static member came back without its id: it takes its old place under a new one, and the
    /// old id is shut out (KIP-345).
    fn replace_static(
        &mut self,
        now_ms: u64,
        old_id: &str,
        join: &Join,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut member) = self.members.remove(old_id) else {
            return;
        };
        fence(&mut member, old_id, effects);
        let id = join.fresh_id.clone();
        member.protocols.clone_from(&join.protocols);
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.client_id.clone_from(&join.client_id);
        member.client_host.clone_from(&join.client_host);
        member.revive(now_ms);
        self.members.insert(id.clone(), member);
        if let Some(instance) = &join.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.unsynced.remove(old_id) {
            self.unsynced.insert(id.clone());
        }
        let was_leader = self.leader.as_deref() == Some(old_id);
        if was_leader {
            self.leader = Some(id.clone());
        }
        if self.state == State::Stable && self.select_protocol() == self.protocol_name {
            let mut joined = self.joined(&id);
            joined.skip_assignment = was_leader && join.can_skip_assignment;
            if !join.can_skip_assignment {
                // An older client that finds itself leader would assign anew and wait for a
                // generation that does not come, so it is told of the leader it was.
                joined.members = Vec::new();
                if was_leader {
                    old_id.clone_into(&mut joined.leader);
                }
            }
            effects.push(Effect::Joined(join.ticket, joined));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = Some(join.ticket);
        }
        self.rebalance(now_ms, effects);
    }

    /// Takes a sync. Its answer comes as an effect, now or later.
    pub(crate) fn sync(&mut self, now_ms: u64, sync: Sync, effects: &mut Vec<Effect>) {
        if let Err(error) = self.check_sync(&sync) {
            effects.push(Effect::Synced(sync.ticket, Synced::refused(error)));
            return;
        }
        let Some(member) = self.members.get_mut(&sync.member_id) else {
            return;
        };
        self.unsynced.remove(&sync.member_id);
        if let Some(earlier) = member.syncing.replace(sync.ticket) {
            let refused = Synced::refused(ErrorCode::RebalanceInProgress);
            effects.push(Effect::Synced(earlier, refused));
        }
        let is_leader = self.leader.as_deref() == Some(sync.member_id.as_str());
        match self.state {
            State::CompletingRebalance if is_leader => {
                self.assign(now_ms, sync.assignments, effects);
            }
            State::Stable => self.answer_sync(now_ms, &sync.member_id, effects),
            _ => {}
        }
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), ErrorCode> {
        self.check_member(&sync.member_id, sync.instance_id.as_deref())?;
        if sync.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |asked: &Option<String>, own: &Option<String>| {
            asked.is_some() && own.is_some() && asked != own
        };
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Takes a sign of life; [`ErrorCode::RebalanceInProgress`] tells the member to join again.
    pub(crate) fn heartbeat(&mut self, now_ms: u64, beat: &Heartbeat) -> ErrorCode {
        if let Err(error) = self.check_generation(beat) {
            return error;
        }
        if let Some(member) = self.members.get_mut(&beat.member_id) {
            member.revive(now_ms);
        }
        match self.state {
            State::Empty => ErrorCode::UnknownMemberId,
            State::PreparingRebalance => ErrorCode::RebalanceInProgress,
            State::CompletingRebalance | State::Stable => ErrorCode::None,
        }
    }

    /// Tells if an offset commit is allowed. It counts as a sign of life.
    pub(crate) fn check_commit(&mut self, now_ms: u64, from: &Heartbeat) -> ErrorCode {
        let anonymous =
            from.generation < 0 && from.member_id.is_empty() && from.instance_id.is_none();
        if from.generation < 0 && self.state == State::Empty {
            return ErrorCode::None;
        }
        if anonymous {
            return ErrorCode::UnknownMemberId;
        }
        if let Err(error) = self.check_generation(from) {
            return error;
        }
        if self.state == State::CompletingRebalance {
            return ErrorCode::RebalanceInProgress;
        }
        if let Some(member) = self.members.get_mut(&from.member_id) {
            member.revive(now_ms);
        }
        ErrorCode::None
    }

    /// Takes a member out at its own wish, or an operator's.
    pub(crate) fn leave(
        &mut self,
        now_ms: u64,
        leave: &Leave,
        effects: &mut Vec<Effect>,
    ) -> ErrorCode {
        let id = match &leave.instance_id {
            None => leave.member_id.clone(),
            Some(instance) => match self.instances.get(instance) {
                None => return ErrorCode::UnknownMemberId,
                Some(id) if !leave.member_id.is_empty() && *id != leave.member_id => {
                    return ErrorCode::FencedInstanceId;
                }
                Some(id) => id.clone(),
            },
        };
        if self.pending.remove(&id).is_some() {
            self.complete_if_gathered(now_ms, effects);
            return ErrorCode::None;
        }
        if !self.members.contains_key(&id) {
            return ErrorCode::UnknownMemberId;
        }
        self.remove_member(&id, effects);
        self.rebalance(now_ms, effects);
        ErrorCode::None
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let pending_before = self.pending.len();
        self.pending.retain(|_, until_ms| *until_ms > now_ms);
        let lost: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.deadline_ms().is_some_and(|at| at <= now_ms))
            .map(|(id, _)| id.clone())
            .collect();
        let mut changed = !lost.is_empty();
        for id in lost {
            self.remove_member(&id, effects);
        }
        if self.sync_deadline_ms.is_some_and(|at| at <= now_ms) {
            self.sync_deadline_ms = None;
            for id in std::mem::take(&mut self.unsynced) {
                self.remove_member(&id, effects);
                changed = true;
            }
        }
        if changed {
            self.rebalance(now_ms, effects);
        } else if self.pending.len() < pending_before {
            self.complete_if_gathered(now_ms, effects);
        }
        self.gathering_due(now_ms, effects);
    }

    /// Returns when [`Self::tick`] has something to do, if nothing happens before.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        let members = self.members.values().filter_map(Member::deadline_ms);
        let gathering = self.gathering.map(|gathering| gathering.deadline_ms);
        members
            .chain(self.pending.values().copied())
            .chain(gathering)
            .chain(self.sync_deadline_ms)
            .min()
    }

    /// Shows the group.
    pub(crate) fn view(&self) -> View {
        let protocol = self.protocol_name.as_deref();
        let is_stable = self.state == State::Stable;
        let members = self.members.iter().map(|(id, member)| MemberView {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if is_stable {
                member.metadata_for(protocol)
            } else {
                Bytes::new()
            },
            assignment: if is_stable {
                member.assignment.clone()
            } else {
                Bytes::new()
            },
        });
        View {
            state: self.state,
            protocol_type: self.protocol_type().to_owned(),
            protocol_name: protocol
                .filter(|_| is_stable)
                .unwrap_or_default()
                .to_owned(),
            members: members.collect(),
        }
    }

    fn check_generation(&self, from: &Heartbeat) -> Result<(), ErrorCode> {
        self.check_member(&from.member_id, from.instance_id.as_deref())?;
        if from.generation == self.generation {
            Ok(())
        } else {
            Err(ErrorCode::IllegalGeneration)
        }
    }

    fn check_member(&self, member_id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            return match self.instances.get(instance) {
                None => Err(ErrorCode::UnknownMemberId),
                Some(id) if id != member_id => Err(ErrorCode::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }
}

/// Answers whatever a member whose place was taken waits for.
fn fence(member: &mut Member, id: &str, effects: &mut Vec<Effect>) {
    let error = ErrorCode::FencedInstanceId;
    if let Some(ticket) = member.joining.take() {
        effects.push(Effect::Joined(ticket, Joined::refused(error, id)));
    }
    if let Some(ticket) = member.syncing.take() {
        effects.push(Effect::Synced(ticket, Synced::refused(error)));
    }
}
