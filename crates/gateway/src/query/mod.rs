//! The read models that console and CLI ask for, as plain data over HTTP: topics, contracts in force,
//! the account of what came in.
//!
//! Reads only. Every answer is bounded in entries and bytes, and given within the deadline. It is
//! the one room that reads across the others.

mod readers;
pub(crate) mod routes;
