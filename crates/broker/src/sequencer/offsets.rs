//! Committed offsets: kept while their group has members, and for some time after (KIP-211).
//!
//! An offset expires when its group has had no members for `offsets.retention.minutes`, and nobody has
//! committed it for as long, by log time. Who has members only the Kafka port knows, and it says so
//! every `offsets.retention.check.interval.ms`; what changed since becomes a record, so a start goes on
//! with the times it finds. A group that had members when the process died counts as empty from the
//! first time that it is seen so. Departure: offsets of topics that a group with members no longer
//! reads do not expire.

use std::collections::BTreeSet;

use super::durable::{Answer, Effect};
use super::{CommitOffsetsCommand, Now, Refusal, Sequencer};
use crate::state::CommittedGroup;
use crate::state::command::{Command, GroupsSeen, OffsetsCommitted, OffsetsExpired};

/// Groups with committed offsets, and offsets of one group: a commit copies the group's.
const GROUPS_LIMIT: usize = 100_000;
const OFFSETS_A_GROUP: usize = 100_000;

/// What one check puts into records: far below what a group of the write-ahead log takes. The rest waits
/// for the next.
const CHECK_BYTES: usize = 512 * 1024;

/// What a name or a partition takes in a record beside its own bytes, at most.
const ENTRY_BYTES: usize = 16;

impl Sequencer {
    pub(super) fn commit_offsets(&mut self, command: CommitOffsetsCommand, now: Now) {
        let mut offsets = command.offsets;
        if self.are_too_many(&offsets) {
            return drop(command.reply.send(Err(Refusal::OffsetsFull)));
        }
        offsets.commit_ms = self.clock.read(now);
        let name = offsets.group.clone();
        self.push_command(&Command::OffsetsCommitted(offsets), now);
        let group = self
            .state
            .group(&name)
            .expect("a commit makes its group")
            .clone();
        self.effects
            .push(Effect::GroupsChanged(vec![(name, group)]));
        self.answer_when_durable(Answer::Done(command.reply));
    }

    /// Whether a commit has no room in memory. What a group had before does not count twice, as long as
    /// there is room at all: a consumer must be able to go on.
    fn are_too_many(&self, committed: &OffsetsCommitted) -> bool {
        let known = self.state.group(&committed.group);
        let is_new = |entry: &&crate::state::command::OffsetEntry| {
            let key = (entry.topic, entry.partition);
            known.is_none_or(|group| !group.offsets.contains_key(&key))
        };
        let new = committed.entries.iter().filter(is_new).count();
        let many = known.map_or(0, |group| group.offsets.len()) + new > OFFSETS_A_GROUP;
        let groups = known.is_none() && self.state.groups().len() >= GROUPS_LIMIT;
        let full = self.state.groups_bytes() >= self.settings.offsets_budget_bytes;
        groups || new > 0 && (many || full)
    }

    /// Notes which groups have members, `occupied`, and forgets the offsets whose time has come.
    pub(super) fn check_offsets(&mut self, occupied: &BTreeSet<String>, now: Now) {
        let at_ms = self.clock.read(now);
        let mut seen = GroupsSeen {
            at_ms,
            occupied: Vec::new(),
            empty: Vec::new(),
        };
        let mut expired = OffsetsExpired { groups: Vec::new() };
        let mut bytes = 0;
        for (name, group) in self.state.groups() {
            if bytes >= CHECK_BYTES {
                break;
            }
            match (occupied.contains(name), group.empty_since_ms) {
                (true, None) => continue,
                (true, Some(_)) => seen.occupied.push(name.clone()),
                (false, None) => seen.empty.push(name.clone()),
                (false, Some(since_ms)) => {
                    let most = (CHECK_BYTES - bytes) / ENTRY_BYTES;
                    let Some(gone) = self.expired(group, since_ms, at_ms, most) else {
                        continue;
                    };
                    bytes += gone.len() * ENTRY_BYTES;
                    expired.groups.push((name.clone(), gone));
                }
            }
            bytes += name.len() + ENTRY_BYTES;
        }
        if !(seen.occupied.is_empty() && seen.empty.is_empty()) {
            self.push_command(&Command::GroupsSeen(seen), now);
        }
        if !expired.groups.is_empty() {
            let command = Command::OffsetsExpired(expired.clone());
            self.push_command(&command, now);
            let (mut changed, mut gone) = (Vec::new(), Vec::new());
            for (name, _) in expired.groups {
                match self.state.group(&name).cloned() {
                    Some(group) => changed.push((name, group)),
                    None => gone.push(name),
                }
            }
            self.effects.push(Effect::GroupsChanged(changed));
            self.effects.push(Effect::GroupsGone(gone));
        }
    }

    /// The offsets of an empty group that expire now, if it is time for any or for the group itself.
    fn expired(
        &self,
        group: &CommittedGroup,
        since_ms: i64,
        at_ms: i64,
        most: usize,
    ) -> Option<Vec<(u32, u32)>> {
        let old =
            |from_ms: i64| at_ms.saturating_sub(from_ms) >= self.settings.offsets_retention_ms;
        if !old(since_ms) {
            return None;
        }
        let offsets = group.offsets.iter();
        let gone: Vec<_> = offsets
            .filter(|(_, committed)| old(committed.commit_ms))
            .map(|(key, _)| *key)
            .take(most)
            .collect();
        (!gone.is_empty() || group.offsets.is_empty()).then_some(gone)
    }
}
