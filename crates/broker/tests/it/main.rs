//! The broker's rooms through their public doors.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod kafka_port;
mod limits;
mod object_faults;
mod sim;
mod support;
mod wal_corruption;
mod wal_crash;
