//! Record batches, Kafka's format v2: the header, its checks and patches, a builder, a reader.
//!
//! Ours and no library's, because the produce path needs the 61 header bytes and one CRC, and a
//! reader must never reserve by a count that a peer wrote. Records are opened only here, and only
//! to be read by the product itself; whatever passes through stays as the producer sent it.
//!
//! Format: Kafka's protocol guide, «Record Batch»; `DefaultRecordBatch` of Apache Kafka.

mod build;
mod compression;
mod header;
mod read;
#[cfg(test)]
mod tests;
mod varint;
mod view;

pub use build::{OpenBatch, encode_record};
pub use compression::Compression;
pub use header::{BatchHeader, HEADER_BYTES, place, seal_crc, validate};
pub(crate) use read::look_at;
pub use read::{Placed, Records, records};
pub use view::HeaderRef;

/// Why bytes are not a record batch.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a header, or than the header announces.
    #[error("record batch of `{need}` bytes is cut off after `{have}`")]
    Truncated {
        /// Bytes at hand.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The announced length is impossible.
    #[error("record batch announces `{0}` bytes, fewer than its header has")]
    Length(i32),
    /// Bytes follow the batch where exactly one is allowed.
    #[error("`{0}` bytes follow the one record batch that is allowed")]
    Trailing(usize),
    /// A message format other than v2.
    #[error("record batch has magic `{0}`; only 2 is supported")]
    Magic(i8),
    /// The CRC-32C differs.
    #[error("record batch has checksum `{stored:08x}` but its bytes give `{computed:08x}`")]
    Checksum {
        /// As in the header.
        stored: u32,
        /// As computed.
        computed: u32,
    },
    /// No records, or not as many as there are offsets.
    #[error("record batch of `{records}` records has last offset delta `{last_offset_delta}`")]
    Count {
        /// `record_count` of the header.
        records: i32,
        /// `last_offset_delta` of the header.
        last_offset_delta: i32,
    },
    /// A codec number that Kafka does not define.
    #[error("record batch has the unknown compression codec `{0}`")]
    Codec(u8),
    /// The compressed records cannot be unpacked.
    #[error("records do not unpack as `{0}`")]
    Unpack(Compression),
    /// The unpacked records are larger than the reader allows.
    #[error("records unpack to more than `{0}` bytes")]
    TooLarge(usize),
    /// A record does not follow the format.
    #[error("record `{index}` of the batch is malformed: {what}")]
    Record {
        /// Its place in the batch, from 0.
        index: i32,
        /// What is wrong.
        what: &'static str,
    },
}
