//! What several rooms of these tests stand on.

pub(crate) mod disk;
pub(crate) mod store;
pub(crate) mod wal;
