//! The broker's rooms through their public doors.

mod conformance;
mod sim;
mod support;
mod wal_corruption;
mod wal_crash;
