//! Contracts as data: what an event looks like, who owns it, and whether one keeps it. Pure: no
//! network, no clock, no async; the time of receipt is an argument, and files are read in `load`
//! only. What is done with a verdict (quarantine, problem, receipt) is the gateway's.

#![warn(
    missing_docs,
    reason = "the operator, the gateway and the CLI read these items"
)]

pub mod check;
pub mod date;
pub mod diff;
pub mod draft;
pub mod event;
pub mod event_type;
pub mod exchange;
pub mod explain;
pub mod expression;
pub mod field_map;
pub mod format;
pub mod lineage;
pub mod lint;
pub mod load;
pub mod migration;
pub mod model;
pub mod path;
pub mod privacy;
pub mod reader;
pub mod record;
pub mod samples;
pub mod schema;
pub mod schema_id;
pub mod tree;
pub mod units;

#[cfg(test)]
mod tests;

pub use check::{Checked, Placement, Reason, Violation};
pub use event::Event;
pub use load::{Diagnostic, Diagnostics, Level};
pub use model::{Contracts, EventContract, Team};
pub use reader::Reader;
