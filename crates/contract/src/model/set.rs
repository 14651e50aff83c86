//! All contracts, readers and teams that hold together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{EventContract, Team};
use crate::event_type::ByType;
use crate::reader::Reader;

/// An immutable set of contracts, readers and teams: no two of a kind share a name, no two
/// contracts an event type or a topic, and every owner of a contract is a team of the set. The
/// contract of a reader need not be there: readers live in repositories of their own.
#[derive(Clone, Debug, Default)]
pub struct Contracts {
    contracts: Vec<Arc<EventContract>>,
    by_name: HashMap<String, Arc<EventContract>>,
    by_type: ByType<Arc<EventContract>>,
    readers: BTreeMap<String, Arc<Reader>>,
    teams: BTreeMap<String, Arc<Team>>,
}

impl Contracts {
    /// Makes a set of what the loader has found free of conflicts.
    pub(crate) fn new(
        mut contracts: Vec<Arc<EventContract>>,
        readers: Vec<Arc<Reader>>,
        teams: Vec<Arc<Team>>,
    ) -> Self {
        contracts.sort_by(|a, b| a.name.cmp(&b.name));
        let by_name = contracts.iter().map(|c| (c.name.clone(), Arc::clone(c)));
        let by_name = by_name.collect();
        let by_type = contracts
            .iter()
            .map(|c| (c.event.event_type.clone(), Arc::clone(c)));
        let by_type = by_type.collect();
        Self {
            contracts,
            by_name,
            by_type,
            readers: readers.into_iter().map(|r| (r.name.clone(), r)).collect(),
            teams: teams.into_iter().map(|t| (t.name.clone(), t)).collect(),
        }
    }

    /// Lays this set over another one: of a kind, documents of the same name are replaced, and all
    /// others stay. A contract below whose event type or topic one of these takes is gone.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        let stays = |old: &&Arc<EventContract>| {
            self.by_name(&old.name).is_none()
                && self.with_type(&old.event.event_type).is_none()
                && !self.iter().any(|new| new.topic.name == old.topic.name)
        };
        let contracts = below.iter().filter(stays).chain(self.iter());
        let readers = below.readers.iter().chain(&self.readers);
        let teams = below.teams.iter().chain(&self.teams);
        // Of two with one name the later counts.
        let readers: BTreeMap<_, _> = readers.collect();
        let teams: BTreeMap<_, _> = teams.collect();
        Self::new(
            contracts.cloned().collect(),
            readers.into_values().cloned().collect(),
            teams.into_values().cloned().collect(),
        )
    }

    /// Takes from another set what this one has nothing of: its contracts if this is a set of readers,
    /// its readers if this has none.
    #[must_use]
    pub fn completed_by(&self, other: &Self) -> Self {
        let (mut contracts, mut teams) = (self.contracts.clone(), self.teams.clone());
        if contracts.is_empty() && !self.readers.is_empty() {
            contracts.clone_from(&other.contracts);
            for (name, team) in &other.teams {
                teams
                    .entry(name.clone())
                    .or_insert_with(|| Arc::clone(team));
            }
        }
        let mut readers = &self.readers;
        if readers.is_empty() {
            readers = &other.readers;
        }
        Self::new(
            contracts,
            readers.values().cloned().collect(),
            teams.into_values().collect(),
        )
    }

    /// Returns the contract of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<EventContract>> {
        self.by_name.get(name)
    }

    /// Returns the contract that governs events of this CloudEvents `type`.
    pub fn by_type(&self, event_type: &str) -> Option<&Arc<EventContract>> {
        self.by_type.find(event_type)
    }

    /// Returns the contract whose `event.type` is written like this, a family's too.
    pub fn with_type(&self, rule: &str) -> Option<&Arc<EventContract>> {
        self.by_type.of_rule(rule)
    }

    /// Visits the contracts by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<EventContract>> {
        self.contracts.iter()
    }

    /// Returns how many contracts there are.
    pub fn len(&self) -> usize {
        self.contracts.len()
    }

    /// Says whether there is no contract.
    pub fn is_empty(&self) -> bool {
        self.contracts.is_empty()
    }

    /// Returns the reader of this name.
    pub fn reader(&self, name: &str) -> Option<&Arc<Reader>> {
        self.readers.get(name)
    }

    /// Visits the readers by name.
    pub fn readers(&self) -> impl Iterator<Item = &Arc<Reader>> {
        self.readers.values()
    }

    /// Visits the readers of one contract by name.
    pub fn readers_of<'c>(&'c self, contract: &'c str) -> impl Iterator<Item = &'c Arc<Reader>> {
        self.readers()
            .filter(move |reader| reader.contract == contract)
    }

    /// Returns the team of this name.
    pub fn team(&self, name: &str) -> Option<&Arc<Team>> {
        self.teams.get(name)
    }

    /// Visits the teams by name.
    pub fn teams(&self) -> impl Iterator<Item = &Arc<Team>> {
        self.teams.values()
    }
}

impl<'a> IntoIterator for &'a Contracts {
    type Item = &'a Arc<EventContract>;
    type IntoIter = std::slice::Iter<'a, Arc<EventContract>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
