//! Who has to approve of a plan: pure. A team says how many people it asks for a new topic, for a change
//! that breaks somebody, and for a change of a reader of its events. The names are declared: there is no
//! identity yet, so a name is worth what whoever writes it is worth.
//!
//! What a team asks for is the larger of what it asked before and what it asks in the plan, so that no
//! plan lowers its own bar.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tidegate_contract::{Contracts, Team};

use super::action::Action;
use super::plan::CONSUMER_CONTRACT;

/// The approvals that a plan needs of one team for one reason.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = PlanApprovals)]
pub(crate) struct Approvals {
    pub(crate) team: String,
    /// `topic`, `breaking` or `reader`.
    #[serde(rename = "for")]
    pub(crate) for_: &'static str,
    pub(crate) needed: u32,
    pub(crate) given: BTreeSet<String>,
}

impl Approvals {
    pub(crate) fn is_missing(&self) -> bool {
        self.given.len() < self.needed as usize
    }
}

/// Both states of what a plan changes.
pub(crate) struct Owners<'a> {
    pub(crate) before: &'a Contracts,
    pub(crate) after: &'a Contracts,
}

/// What a plan does to a team's things.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Concern {
    Topic,
    Breaking,
    Reader,
}

impl Concern {
    fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Breaking => "breaking",
            Self::Reader => "reader",
        }
    }

    fn asked_by(self, team: Option<&Arc<Team>>) -> u32 {
        team.map_or(0, |team| match self {
            Self::Topic => team.approves.topic,
            Self::Breaking => team.approves.breaking,
            Self::Reader => team.approves.reader,
        })
    }
}

impl Owners<'_> {
    /// The teams that own a contract, before and after.
    fn of_contract(&self, name: &str) -> impl Iterator<Item = String> {
        let both = [self.before, self.after].map(|set| set.by_name(name));
        both.into_iter().flatten().filter_map(|it| it.owner.clone())
    }

    /// The teams whose events a reader reads, before and after.
    fn of_read(&self, reader: &str) -> impl Iterator<Item = String> {
        let both = [self.before, self.after].map(|set| set.reader(reader));
        let both = both.into_iter().flatten();
        both.flat_map(|reader| self.of_contract(&reader.contract))
    }

    fn asked(&self, team: &str, concern: Concern) -> u32 {
        let both = [self.before, self.after].map(|set| concern.asked_by(set.team(team)));
        both.into_iter().max().unwrap_or(0)
    }

    /// Whether a team asks for less afterwards.
    fn is_lowered(&self, team: &str) -> bool {
        let after = self.after.team(team);
        let all = [Concern::Topic, Concern::Breaking, Concern::Reader];
        all.iter()
            .any(|concern| concern.asked_by(self.before.team(team)) > concern.asked_by(after))
    }
}

/// Returns the approvals that a plan needs, and those that it has.
pub(crate) fn needed(
    actions: &[Action],
    owners: &Owners<'_>,
    given: &BTreeSet<String>,
) -> Vec<Approvals> {
    let mut concerned: BTreeMap<(String, Concern), u32> = BTreeMap::new();
    let mut ask = |teams: &mut dyn Iterator<Item = String>, concern: Concern| {
        for team in teams {
            let needed = owners.asked(&team, concern);
            if needed > 0 {
                concerned.insert((team, concern), needed);
            }
        }
    };
    for action in actions {
        match action {
            Action::CreateTopic { contract, .. } => {
                ask(&mut owners.of_contract(contract), Concern::Topic);
            }
            // What needs `--migrating` breaks an order; what is deleted, everybody.
            Action::GrowTopic { contract, .. } => {
                let contract = owners.after.by_name(contract);
                let breaks = contract.filter(|it| super::topics::growth_breaks(it).is_some());
                if let Some(contract) = breaks {
                    ask(&mut owners.of_contract(&contract.name), Concern::Breaking);
                }
            }
            Action::DeleteTopic { contract, .. } => {
                ask(&mut owners.of_contract(contract), Concern::Breaking);
            }
            Action::PutDocument(entry)
            | Action::ReplaceDocument(entry)
            | Action::RemoveDocument(entry) => {
                if entry.findings.iter().any(|it| it.severity == "breaking") {
                    ask(&mut owners.of_contract(&entry.name), Concern::Breaking);
                }
                if entry.kind == CONSUMER_CONTRACT {
                    ask(&mut owners.of_read(&entry.name), Concern::Reader);
                }
                if entry.kind == "Team" && owners.is_lowered(&entry.name) {
                    ask(&mut std::iter::once(entry.name.clone()), Concern::Breaking);
                }
            }
            Action::RegisterSchema { .. }
            | Action::AdoptTopic { .. }
            | Action::WidenTopic { .. }
            | Action::NarrowTopic { .. } => {}
        }
    }
    let concerned = concerned.into_iter();
    concerned
        .map(|((team, concern), needed)| Approvals {
            team,
            for_: concern.as_str(),
            needed,
            given: given.clone(),
        })
        .collect()
}
