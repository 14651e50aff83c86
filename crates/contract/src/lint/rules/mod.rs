//! The rules, one a file.

pub(super) mod bridge_source_known;
pub(super) mod canary_reader_known;
pub(super) mod owner_declared;
pub(super) mod schema_compiles;
pub(super) mod topic_names_apart;
pub(super) mod window_within_retention;
