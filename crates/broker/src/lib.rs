//! The embedded log: Kafka's wire protocol, a disk write-ahead log in front of objects.
//!
//! One deterministic state machine fed by one totally ordered log. The log lives in objects; the
//! write-ahead log is where it is durable first. See `ARCHITECTURE.md` for the walk through it.

pub mod batch;
pub mod env;
pub mod object;
pub mod state;
pub mod wal;
