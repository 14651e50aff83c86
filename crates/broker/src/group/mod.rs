//! Consumer groups of the classic protocol: who is a member, who leads, what each one reads.
//!
//! [`classic::Group`] is a pure state machine: a request or the time goes in, answers to waiting
//! requests come out. [`Coordinator`] holds all groups, gives them ids and a timer, and carries the
//! answers back. Memberships live in memory only: committed offsets and the generation are in the
//! log, and after a restart members join again, as they do after any rebalance.
//!
//! The rules are those of Apache Kafka's `ClassicGroup` and `GroupMetadataManager`.

mod classic;
mod coordinator;
mod rebalance;
#[cfg(test)]
mod tests;
mod types;

pub(crate) use classic::Group;
pub(crate) use coordinator::Coordinator;
pub(crate) use types::{Heartbeat, Join, Joined, Leave, Limits, State, Sync, Synced, View};
