//! The embedded log: Kafka's wire protocol, a disk write-ahead log in front of objects.
//!
//! One deterministic state machine fed by one totally ordered log. The log lives in objects; the
//! write-ahead log is where it is durable first. See `ARCHITECTURE.md` for the walk through it.

pub mod api;
pub mod batch;
pub mod boot;
pub mod broker;
mod chores;
mod driver;
pub mod env;
mod group;
pub mod history;
mod log;
pub mod net;
pub mod object;
mod open;
pub mod read;
pub mod rules;
pub mod sequencer;
pub mod settings;
pub mod shared;
pub mod state;
pub mod topic_settings;
pub mod topics;
pub mod upkeep;
pub mod wal;
mod wire;

pub use self::broker::{Broker, Options};
pub use self::open::OpenError;
pub use self::topics::{NewTopic, TopicError};
