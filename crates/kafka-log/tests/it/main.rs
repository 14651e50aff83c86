//! The log on a real Apache Kafka, which `tools/kafka` runs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod events;
mod held;
mod node_loss;
mod nodes;
mod proxy;
mod replicas;
mod support;
mod wipe;
