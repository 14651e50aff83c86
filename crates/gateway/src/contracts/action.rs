//! What a plan is made of, as routes answer it and an id stands for it: plain data.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_contract::diff::{Change, Severity};
use tidegate_event_log::TopicSpec;
use utoipa::ToSchema;

use super::approvals::Approvals;
use super::topics::{Setting, described};

/// Something that has to be done.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[schema(as = PlanAction)]
pub(crate) enum Action {
    CreateTopic {
        topic: String,
        contract: String,
        partitions: i32,
        settings: BTreeMap<String, String>,
        /// The same for people.
        about: String,
    },
    /// One that is there comes under a contract.
    AdoptTopic {
        topic: String,
        contract: String,
    },
    GrowTopic {
        topic: String,
        contract: String,
        from: i32,
        to: i32,
    },
    WidenTopic {
        topic: String,
        contract: String,
        settings: Vec<Setting>,
    },
    /// The schema of a contract gets a version of its subject.
    RegisterSchema {
        subject: String,
        contract: String,
        version: i32,
    },
    PutDocument(Entry),
    ReplaceDocument(Entry),
    RemoveDocument(Entry),
    NarrowTopic {
        topic: String,
        contract: String,
        settings: Vec<Setting>,
    },
    DeleteTopic {
        topic: String,
        contract: String,
    },
}

/// A document as an action has it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PlannedDocument)]
pub(crate) struct Entry {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The version in force, if it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    pub(crate) file: String,
    pub(crate) line: u32,
    /// The hash over its text and its schemas.
    pub(super) content: String,
    /// What the change means.
    pub(crate) findings: Vec<Finding>,
}

/// What a change means, as `contract diff` says it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PlanFinding)]
pub(crate) struct Finding {
    pub(crate) severity: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Why a plan cannot be applied.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = PlanRefusal)]
pub(crate) struct Refusal {
    /// A document or a topic.
    pub(crate) about: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What has to be done, and whether it may be.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Plan {
    pub(crate) id: String,
    /// The generation it starts from.
    pub(crate) generation: u64,
    /// Whether there is anything to do.
    pub(crate) changes: bool,
    pub(crate) add: usize,
    pub(crate) change: usize,
    pub(crate) remove: usize,
    pub(crate) actions: Vec<Action>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) approvals: Vec<Approvals>,
    /// What stays as it is though somebody may expect otherwise.
    pub(crate) notes: Vec<String>,
}

impl Action {
    /// Returns how the action is counted and shown.
    pub(crate) fn sign(&self) -> char {
        match self {
            Self::CreateTopic { .. } | Self::RegisterSchema { .. } | Self::PutDocument(_) => '+',
            Self::AdoptTopic { .. } => '=',
            Self::GrowTopic { .. }
            | Self::WidenTopic { .. }
            | Self::ReplaceDocument(_)
            | Self::NarrowTopic { .. } => '~',
            Self::RemoveDocument(_) | Self::DeleteTopic { .. } => '-',
        }
    }

    /// New topics first, then those that are taken over, what changes of the others, then schemas.
    pub(super) fn order(&self) -> u8 {
        match self {
            Self::CreateTopic { .. } => 0,
            Self::AdoptTopic { .. } => 1,
            Self::RegisterSchema { .. } => 3,
            _ => 2,
        }
    }

    /// Makes the topic of a contract, or of a reader's dead letters.
    pub(super) fn create_topic(document: &str, wanted: TopicSpec) -> Self {
        Self::CreateTopic {
            about: described(&wanted),
            topic: wanted.name,
            contract: document.to_owned(),
            partitions: wanted.partitions.unwrap_or(1),
            settings: wanted.config,
        }
    }
}

impl From<Change> for Finding {
    fn from(change: Change) -> Self {
        let found = change.finding;
        Self {
            severity: change.severity.as_str(),
            rule: change.rule,
            message: found.message,
            hint: found.hint.filter(|_| change.severity != Severity::Safe),
            file: found.file,
            line: found.line,
            column: found.column,
        }
    }
}

/// An id that another plan does not have: of what it does, and what it starts from.
pub(super) fn id_of(generation: u64, actions: &[Action]) -> String {
    let what = serde_json::to_vec(&(generation, actions)).expect("strings, numbers and lists only");
    let mut id = blake3::hash(&what).to_hex().to_string();
    id.truncate(32);
    id
}
