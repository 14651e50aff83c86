//! Contracts held against what is in force here: the readers that are registered, and the events that
//! the log keeps.
//!
//! It decides nothing about contracts itself: what a change means is `tidegate_contract::diff`'s. It
//! never writes, and it never stands in the way of traffic: one check at a time, off the threads that
//! serve, in bounded pieces.

pub(crate) mod check;
pub(crate) mod routes;
mod sample;
mod upload;
mod written;
