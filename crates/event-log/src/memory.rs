//! placeholder
pub struct MemoryLog;
