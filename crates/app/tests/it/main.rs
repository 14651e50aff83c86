//! The binary as scripts and people meet it: what it prints, where, and with which exit code.

#![expect(
    clippy::unwrap_used,
    reason = "in a test an unwrap is a claim that holds or fails it"
)]

mod adopt;
mod apply;
mod architecture;
mod audit;
mod bridges;
mod contracts;
mod crash;
mod demo;
mod doctor;
mod exchange;
#[path = "../../../kafka-log/tests/it/held.rs"]
mod held;
mod kafka;
mod new_contract;
#[path = "../../../kafka-log/tests/it/nodes.rs"]
mod nodes;
mod program;
mod readers;
mod reading;
mod reference;
mod schema;
mod serve;
mod shared_quotas;
mod tls;
mod usage;
