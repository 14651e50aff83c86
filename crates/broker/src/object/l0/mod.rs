//! The objects that hold batches: a range of the log, sorted by partition for reading.
//!
//! An object of the dense log holds every record of its range, batches verbatim and META records
//! and claims beside them, so that objects alone are a complete log. A rewritten object holds the
//! batches of one older object that are still wanted. Both have the same form, so readers do not
//! care which one they read. The index repeats all batch headers: recovery never reads a payload.

mod build;
mod format;
mod read;
#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::build::{L0Object, L0Size, build};
pub use self::read::{read_batch_index, read_batches, read_head, read_section, read_tail};
use crate::batch::BatchHeader;

/// The index at which an object is closed early, however little data it has.
pub const FULL_INDEX_BYTES: u64 = 8 * 1024 * 1024;

/// What an object holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum L0Kind {
    /// All records of a range of the log.
    Log,
    /// What is left of an older object.
    Data,
}

/// Who wrote an object and which range of the log it covers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct L0Head {
    pub kind: L0Kind,
    pub cluster_id: [u8; 16],
    pub put_id: [u8; 16],
    pub epoch: u32,
    /// The sequence in the dense log, or the id of a rewritten object.
    pub number: u64,
    pub first_lsn: u64,
    pub last_lsn: u64,
    pub first_group: u64,
    pub last_group: u64,
}

/// A record on its way into an object.
#[derive(Clone, Debug)]
pub struct L0Record {
    pub lsn: u64,
    pub body: L0Body,
}

/// What a record holds.
#[derive(Clone, Debug)]
pub enum L0Body {
    /// A batch, verbatim, and the claims made with it as the write-ahead log holds them.
    Data {
        topic: u32,
        topic_id: [u8; 16],
        partition: u32,
        /// The flags of the write-ahead log's record.
        flags: u8,
        header: BatchHeader,
        batch: Bytes,
        claims: Bytes,
    },
    /// A command of the state machine.
    Meta(Bytes),
}

/// A record as recovery reads it back: everything but the payload.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplayRecord {
    Data {
        topic: u32,
        partition: u32,
        header: BatchHeader,
        claims: Bytes,
    },
    Meta(Bytes),
}

/// A stretch of one partition inside an object: its batches back to back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ObjectExtent {
    pub topic: u32,
    pub partition: u32,
    pub first_offset: i64,
    pub last_offset: i64,
    pub bytes: u64,
    pub max_timestamp: i64,
    /// Where its batches begin.
    pub data_position: u64,
    /// Where its part of the index begins.
    pub index_position: u64,
    pub batches: u32,
    pub first_lsn: u64,
}

/// Everything of an object but the payload.
#[derive(Clone, Debug)]
pub struct L0Tail {
    pub head: L0Head,
    /// All records in the order of the log; for a rewritten object those that are left.
    pub replay: Vec<(u64, ReplayRecord)>,
    /// By topic number and partition.
    pub extents: Vec<ObjectExtent>,
}

/// A batch, by its place in the object.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchEntry {
    pub lsn: u64,
    pub flags: u8,
    pub header: BatchHeader,
    /// Where the batch begins.
    pub position: u64,
}

impl BatchEntry {
    /// The first offset of the batch.
    pub fn base_offset(&self) -> i64 {
        self.header.base_offset
    }

    /// The last offset of the batch.
    pub fn last_offset(&self) -> i64 {
        self.header.last_offset()
    }

    /// The size of the batch in bytes.
    pub fn length(&self) -> u64 {
        self.header.total_bytes() as u64
    }

    /// The bytes that the batch takes.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.position..self.position + self.length()
    }
}
