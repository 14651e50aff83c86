//! The log on a real Apache Kafka, which `tools/kafka` runs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod held;
mod proxy;
mod replicas;
mod support;
mod wipe;
