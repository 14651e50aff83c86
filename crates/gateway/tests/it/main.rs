//! The gateway through its HTTP doors, over either log: what a caller sees.
//!
//! Faults of the log are injected by a decorator of a real log; where bytes matter, requests go
//! over a bare socket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod bad_input;
mod batches;
mod bridges;
mod certificates;
mod contract_check;
mod contracts;
mod deadlines;
mod deprecation;
mod events;
mod families;
mod faults;
mod harness;
#[path = "../../../kafka-log/tests/it/held.rs"]
mod held;
mod identity;
mod logs;
mod openapi;
mod privacy;
mod quarantine;
mod quotas;
mod reads;
mod registry;
mod repeats;
mod rules;
mod schema_ids;
mod sight;
mod sources;
mod streams;
mod terms;
mod tls;
mod tokens;
mod turned_away;
#[path = "../../../kafka-log/tests/it/wipe.rs"]
mod wipe;
