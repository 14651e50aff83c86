//! What readers see: partitions up to their high watermark, from memory, the write-ahead log or
//! objects. Readers never wait for the sequencer and it never waits for them.

pub mod cold;
pub mod fetch;
pub mod hot;
pub mod partition;
pub mod purgatory;
