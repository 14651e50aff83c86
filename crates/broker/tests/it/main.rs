//! The broker's rooms through their public doors.

mod support;
mod wal_corruption;
mod wal_crash;
mod conformance;
mod sim;
