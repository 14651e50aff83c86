//! What the contracts in force say of bridges: who copies from whom, who reads the earlier events,
//! and who tries out the later ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_contract::lineage::Lineage;
use tidegate_contract::migration::{Canary, Migration};
use tidegate_contract::{Contracts, EventContract, Reader};
use tidegate_event_log::TopicSpec;

use crate::ingress::lane::{self, Lanes, Stamp};
use crate::registry::subject::SubjectIds;

/// One bridge.
pub(crate) struct Spec {
    /// The later contract, which has a migration.
    pub(crate) contract: Arc<EventContract>,
    /// The earlier one; gone if it is in force no more.
    pub(crate) earlier: Option<Arc<EventContract>>,
    /// The schema ids that the earlier records may carry.
    pub(crate) earlier_ids: Option<Arc<SubjectIds>>,
    /// The schema id that the later records carry.
    pub(crate) stamp: Option<Stamp>,
    /// Who reads the earlier events.
    pub(crate) readers: Vec<Arc<Reader>>,
    /// Who tries out the later ones.
    pub(crate) canaries: Vec<Arc<Reader>>,
}

impl Spec {
    pub(crate) fn migration(&self) -> &Migration {
        let migration = self.contract.migration.as_ref();
        migration.expect("a spec is made of contracts that have one")
    }

    pub(crate) fn canary(&self) -> Option<Canary> {
        self.migration().canary
    }

    pub(crate) fn name(&self) -> &str {
        &self.contract.name
    }

    pub(crate) fn target(&self) -> &str {
        &self.contract.topic.name
    }

    /// Returns the consumer group whose offsets say what was copied.
    pub(crate) fn group(&self) -> String {
        format!("_tidegate.bridge.{}", self.contract.name)
    }

    pub(crate) fn target_spec(&self) -> TopicSpec {
        lane::topic_spec(&self.contract)
    }

    pub(crate) fn max_record_bytes(&self) -> usize {
        usize::try_from(lane::max_record_bytes(&self.contract)).unwrap_or(usize::MAX)
    }
}

/// The contracts in force, as bridges and their pictures need them.
#[derive(Default)]
pub(crate) struct InForce {
    contracts: Vec<Arc<EventContract>>,
    readers: Vec<Arc<Reader>>,
    bridges: BTreeMap<String, Arc<Spec>>,
}

impl InForce {
    pub(crate) fn of(contracts: &Contracts, lanes: &Lanes) -> Self {
        let all: Vec<Arc<EventContract>> = contracts.iter().cloned().collect();
        let bridge = |contract: &Arc<EventContract>| {
            let from = &contract.migration.as_ref()?.from;
            let spec = Spec {
                earlier: contracts.by_name(from).cloned(),
                earlier_ids: lanes.by_name(from).and_then(|lane| lane.ids.clone()),
                stamp: lanes
                    .by_name(&contract.name)
                    .and_then(|lane| lane.stamp.clone()),
                readers: contracts.readers_of(from).cloned().collect(),
                canaries: contracts
                    .readers_of(&contract.name)
                    .filter(|reader| reader.canary)
                    .cloned()
                    .collect(),
                contract: Arc::clone(contract),
            };
            Some((contract.name.clone(), Arc::new(spec)))
        };
        Self {
            bridges: all.iter().filter_map(bridge).collect(),
            readers: contracts.readers().cloned().collect(),
            contracts: all,
        }
    }

    pub(crate) fn bridge(&self, name: &str) -> Option<&Arc<Spec>> {
        self.bridges.get(name)
    }

    /// Visits the names of the contracts that have a bridge.
    pub(crate) fn bridges(&self) -> impl Iterator<Item = &str> {
        self.bridges.keys().map(String::as_str)
    }

    /// Returns where events come from and who reads them, without what bridges do right now.
    pub(crate) fn lineage(&self) -> Lineage {
        Lineage::of_parts(
            self.contracts.iter().map(|contract| &**contract),
            self.readers.iter().map(|reader| &**reader),
        )
    }
}
