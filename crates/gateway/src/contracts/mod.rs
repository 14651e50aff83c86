//! Contracts in force, and how others come into force: from a folder that is read at start, or from
//! the log, where plans put them.
//!
//! The set record is the only commit point (decision 0010). Before it an apply does nothing but what
//! adds: topics, wider settings, texts. What narrows or deletes comes after it. So whatever breaks in
//! the middle, the earlier set is in force, and applying again goes on. It leaves what a contract means
//! to `tidegate_contract`, and traffic to `ingress`, which is handed a new set as a whole.

mod action;
mod apply;
mod approvals;
pub(crate) mod check;
mod folder;
mod plan;
mod problems;
mod record;
pub(crate) mod routes;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod topics;
mod upload;

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tidegate_contract::Contracts;
use tidegate_contract::load::{Diagnostics, Piece, pieces};
use tidegate_event_log::Log;

pub(crate) use self::plan::Current;
use self::record::Set;
use self::store::{Folded, Store, StoreError};
use crate::ingress::lane::Lanes;

/// Where contracts come from.
#[derive(Debug)]
pub enum ContractSource {
    /// A folder that was read at start. Whoever changes it starts anew.
    Folder(Contracts),
    /// The log: the set that was applied last.
    Log,
}

/// The contracts in force and what they come from.
pub(crate) struct Room {
    /// Nothing if a folder is the source.
    store: Option<Store>,
    in_force: ArcSwap<InForce>,
}

/// What is in force, and what traffic makes of it: nobody sees one without the other.
struct InForce {
    current: Arc<Current>,
    lanes: Arc<Lanes>,
}

/// The lanes of the contracts in force, for a short while.
pub(crate) struct LanesInForce(Guard<Arc<InForce>>);

impl Deref for LanesInForce {
    type Target = Lanes;

    fn deref(&self) -> &Lanes {
        &self.0.lanes
    }
}

/// Why the contracts in force cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// This version does not take what an earlier one took.
    #[error("generation {generation} of the contracts cannot be used: {found}")]
    Contracts { generation: u64, found: Diagnostics },
}

impl Room {
    /// Opens the room of a source; the topic has to be there.
    pub(crate) async fn open(
        log: &Arc<dyn Log>,
        source: ContractSource,
    ) -> Result<Self, Unreadable> {
        let (store, current) = match source {
            ContractSource::Folder(contracts) => (None, Current::of(contracts)),
            ContractSource::Log => {
                let store = Store::open(Arc::clone(log)).await?;
                let current = read_back(&store).await?;
                (Some(store), current)
            }
        };
        // Lanes follow before anything is served.
        let in_force = InForce {
            current: Arc::new(current),
            lanes: Arc::default(),
        };
        Ok(Self {
            store,
            in_force: ArcSwap::from_pointee(in_force),
        })
    }

    /// Puts contracts in force with their lanes.
    pub(crate) fn put(&self, current: Arc<Current>, lanes: Arc<Lanes>) {
        self.in_force.store(Arc::new(InForce { current, lanes }));
    }

    /// What is folded from the topic, if that is the source.
    pub(crate) fn folded(&self) -> Option<Arc<Folded>> {
        self.store.as_ref().map(Store::folded)
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.in_force.load().current)
    }

    pub(crate) fn contracts(&self) -> Arc<Contracts> {
        Arc::clone(&self.in_force.load().current.contracts)
    }

    pub(crate) fn lanes(&self) -> LanesInForce {
        LanesInForce(self.in_force.load())
    }
}

/// Reads the newest set with its texts.
async fn read_back(store: &Store) -> Result<Current, Unreadable> {
    let set = store.folded().set.clone();
    let pieces = documents(store, &set).await?;
    let generation = set.generation;
    let contracts = self::pieces(&pieces);
    Ok(Current {
        contracts: Arc::new(
            contracts.map_err(|found| Unreadable::Contracts { generation, found })?,
        ),
        pieces,
        set,
    })
}

/// Reads the documents of a set.
async fn documents(store: &Store, set: &Set) -> Result<Vec<Piece>, StoreError> {
    let texts = store.texts(set.texts()).await?;
    let document = |it: &record::Document| Piece {
        kind: it.kind.clone(),
        name: it.name.clone(),
        version: it.version.clone(),
        owner: it.owner.clone(),
        file: it.file.clone(),
        line: it.line,
        text: Arc::clone(&texts[&it.text]),
        schemas: it
            .schemas
            .iter()
            .map(|(path, hash)| (path.clone(), Arc::clone(&texts[hash])))
            .collect(),
    };
    Ok(set.documents.iter().map(document).collect())
}
