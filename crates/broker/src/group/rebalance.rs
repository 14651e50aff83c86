//! From one generation to the next: gather the members, choose the assignor, hand the leader
//! everyone's metadata and everyone the leader's assignment.

use std::collections::{BTreeMap, BTreeSet};

use super::classic::{Gathering, Group, Member};
use super::types::{Assignments, Effect, Joined, JoinedMember, Protocols, State, Synced};
use crate::wire::ErrorCode;

impl Group {
    /// Starts to gather members, or completes what is gathered already.
    pub(super) fn rebalance(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        match self.state {
            State::PreparingRebalance => {}
            State::Empty => {
                let delay_ms = self.limits.initial_delay_ms;
                let longest_ms = self.longest_rebalance_ms();
                self.gathering = Some(Gathering {
                    deadline_ms: now_ms + delay_ms,
                    extension_ms: Some(longest_ms.saturating_sub(delay_ms)),
                    newcomers: false,
                });
                self.state = State::PreparingRebalance;
                // Without a delay the first member need not wait for a tick.
                self.gathering_due(now_ms, effects);
                return;
            }
            State::CompletingRebalance | State::Stable => {
                self.refuse_syncs(now_ms, effects);
                self.unsynced.clear();
                self.sync_deadline_ms = None;
                self.gathering = Some(Gathering {
                    deadline_ms: now_ms + self.longest_rebalance_ms(),
                    extension_ms: None,
                    newcomers: false,
                });
                self.state = State::PreparingRebalance;
            }
        }
        self.complete_if_gathered(now_ms, effects);
    }

    /// Goes on to the next generation if everyone is here. A group that was empty waits out its
    /// delay instead.
    pub(super) fn complete_if_gathered(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(gathering) = self.gathering else {
            return;
        };
        let all_here = self.members.values().all(|member| member.joining.is_some());
        let nobody_left = self.members.is_empty() && self.pending.is_empty();
        let waits_for_more = gathering.extension_ms.is_some() && !nobody_left;
        if all_here && self.pending.is_empty() && !waits_for_more {
            self.complete(now_ms, effects);
        }
    }

    /// Ends the gathering if its time is over.
    pub(super) fn gathering_due(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        let Some(gathering) = &mut self.gathering else {
            return;
        };
        if gathering.deadline_ms > now_ms {
            return;
        }
        if let Some(extension_ms) = gathering.extension_ms {
            let delay_ms = self.limits.initial_delay_ms.min(extension_ms);
            if gathering.newcomers && delay_ms > 0 {
                gathering.newcomers = false;
                gathering.extension_ms = Some(extension_ms - delay_ms);
                gathering.deadline_ms = now_ms + delay_ms;
                return;
            }
        }
        self.complete(now_ms, effects);
    }

    fn complete(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        // Static members keep their place until their session ends (KIP-345).
        let missing: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none() && member.instance_id.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in missing {
            self.remove_member(&id, effects);
        }
        let leader_joined = |member: &Member| member.joining.is_some();
        let is_led = self
            .leader
            .as_ref()
            .and_then(|id| self.members.get(id))
            .is_some_and(leader_joined);
        if !is_led {
            let joined = self
                .members
                .iter()
                .find(|(_, member)| leader_joined(member));
            match joined {
                Some((id, _)) => self.leader = Some(id.clone()),
                None if self.members.is_empty() => self.leader = None,
                // Only static members that have not come back: wait for them once more.
                None => {
                    self.gathering = Some(Gathering {
                        deadline_ms: now_ms + self.longest_rebalance_ms().max(1),
                        extension_ms: None,
                        newcomers: false,
                    });
                    return;
                }
            }
        }
        self.gathering = None;
        // After the largest comes 1 again: 0 and below mean «no generation».
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.state = State::Empty;
            self.protocol_name = None;
            self.protocol_type = None;
            return;
        }
        self.state = State::CompletingRebalance;
        self.protocol_name = self.select_protocol();
        self.unsynced = self.members.keys().cloned().collect();
        self.sync_deadline_ms = Some(now_ms + self.longest_rebalance_ms());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else {
                continue;
            };
            member.first_join_deadline_ms = None;
            member.assignment.clear();
            if let Some(ticket) = member.joining.take() {
                member.revive(now_ms);
                effects.push(Effect::Joined(ticket, joined));
            }
        }
    }

    /// Returns the answer to a member's join in this generation.
    pub(super) fn joined(&self, id: &str) -> Joined {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == id {
            let protocol = self.protocol_name.as_deref();
            let all = self.members.iter().map(|(id, member)| JoinedMember {
                member_id: id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata_for(protocol),
            });
            all.collect()
        } else {
            Vec::new()
        };
        Joined {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader,
            skip_assignment: false,
            member_id: id.to_owned(),
            members,
        }
    }

    /// Takes the leader's assignment and answers all who asked for theirs.
    pub(super) fn assign(
        &mut self,
        now_ms: u64,
        assignments: Assignments,
        effects: &mut Vec<Effect>,
    ) {
        let mut assignments: BTreeMap<String, _> = assignments.into_iter().collect();
        self.state = State::Stable;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignments.remove(&id).unwrap_or_default();
            }
            self.answer_sync(now_ms, &id, effects);
        }
    }

    pub(super) fn answer_sync(&mut self, now_ms: u64, id: &str, effects: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        if let Some(ticket) = member.syncing.take() {
            member.revive(now_ms);
            let synced = Synced {
                error: ErrorCode::None,
                protocol_type: self.protocol_type.clone(),
                protocol_name: self.protocol_name.clone(),
                assignment: member.assignment.clone(),
            };
            effects.push(Effect::Synced(ticket, synced));
        }
    }

    fn refuse_syncs(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        for member in self.members.values_mut() {
            if let Some(ticket) = member.syncing.take() {
                member.revive(now_ms);
                let refused = Synced::refused(ErrorCode::RebalanceInProgress);
                effects.push(Effect::Synced(ticket, refused));
            }
        }
    }

    /// Takes a member out, answering whatever it waits for.
    pub(super) fn remove_member(&mut self, id: &str, effects: &mut Vec<Effect>) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        let error = ErrorCode::UnknownMemberId;
        if let Some(ticket) = member.joining {
            effects.push(Effect::Joined(ticket, Joined::refused(error, id)));
        }
        if let Some(ticket) = member.syncing {
            effects.push(Effect::Synced(ticket, Synced::refused(error)));
        }
        if let Some(instance) = member.instance_id {
            self.instances.remove(&instance);
        }
        self.unsynced.remove(id);
        if self.leader.as_deref() == Some(id) {
            // Whoever has joined already goes before whoever may not come.
            let joined = self
                .members
                .iter()
                .find(|(_, member)| member.joining.is_some());
            let next = joined.or_else(|| self.members.iter().next());
            self.leader = next.map(|(id, _)| id.clone());
        }
    }

    /// Tells if a member with these protocols can be in one group with the others.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &Protocols) -> bool {
        if protocol_type.is_empty() || protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.is_common(name))
    }

    fn is_common(&self, protocol: &str) -> bool {
        self.members.values().all(|member| {
            let mut names = member.protocols.iter().map(|(name, _)| name);
            names.any(|name| name == protocol)
        })
    }

    /// Returns the assignor that all support and most prefer; of equals the first by name.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let names = first.protocols.iter().map(|(name, _)| name.as_str());
        let common: BTreeSet<&str> = names.filter(|name| self.is_common(name)).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let mut names = member.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(choice) = names.find(|name| common.contains(name)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().max().copied();
        let winner = votes.into_iter().find(|(_, count)| Some(*count) == most);
        winner.map(|(name, _)| name.to_owned())
    }

    fn longest_rebalance_ms(&self) -> u64 {
        let timeouts = self
            .members
            .values()
            .map(|member| member.rebalance_timeout_ms);
        timeouts.max().unwrap_or(0)
    }
}
