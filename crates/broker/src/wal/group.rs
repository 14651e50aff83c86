//! A group on its way to the disk: filled by the sequencer with one copy of each record, sealed
//! with its place, finished (sums) by the thread that writes it, shared with readers as it stands.

use std::fmt;
use std::mem;

use bytes::Bytes;

use super::format::{
    GROUP_HEADER_BYTES, GroupHeader, MAX_GROUP_BYTES, RECORD_HEADER_BYTES, RecordHeader,
    RecordKind, flags, padded, position_in_group,
};
use crate::batch::seal_crc;
use crate::env::BLOCK_BYTES;
use crate::env::aligned::AlignedBuffer;

/// The room a new builder has; it doubles as it must.
const FIRST_BUFFER_BYTES: usize = 64 * 1024;

/// The group cannot take the record: it would grow past [`MAX_GROUP_BYTES`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the group is full")]
pub struct Full;

/// What a group is given when it is sealed.
#[derive(Clone, Copy, Debug)]
pub struct GroupFrame {
    pub group_no: u64,
    /// The last group that is durable, with all before it.
    pub committed_no: u64,
    pub epoch: u32,
    pub first_lsn: u64,
    pub wall_ms: i64,
    /// The salt of the segment it goes to.
    pub salt: u64,
}

/// The open group.
pub struct GroupBuilder {
    buffer: AlignedBuffer,
    /// The end of the last record.
    end: usize,
    records: u32,
}

impl Default for GroupBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl GroupBuilder {
    /// Makes an empty group.
    pub fn new() -> Self {
        let buffer = AlignedBuffer::zeroed(FIRST_BUFFER_BYTES);
        Self {
            buffer,
            end: GROUP_HEADER_BYTES,
            records: 0,
        }
    }

    /// Adds a record, its body given in parts, and returns where the body begins in the group.
    ///
    /// With [`flags::CRC_PENDING`] the batch's CRC is computed by [`SealedGroup::finish`].
    ///
    /// # Errors
    /// [`Full`]: nothing was added.
    pub fn push(
        &mut self,
        kind: RecordKind,
        flags: u8,
        topic: u32,
        partition: u32,
        ext: &[u8],
        body: &[&[u8]],
    ) -> Result<u32, Full> {
        let body_bytes: usize = body.iter().map(|part| part.len()).sum();
        let body_start = self.end + RECORD_HEADER_BYTES + ext.len();
        let end = body_start + body_bytes;
        if end > MAX_GROUP_BYTES {
            return Err(Full);
        }
        self.reserve(end);
        let header = RecordHeader {
            kind: kind as u8,
            flags,
            topic,
            partition,
            ext_bytes: position_in_group(ext.len()),
            body_bytes: position_in_group(body_bytes),
            lsn_delta: self.records,
        };
        let bytes = self.buffer.as_mut_slice();
        header.encode(&mut bytes[self.end..]);
        bytes[body_start - ext.len()..body_start].copy_from_slice(ext);
        let mut at = body_start;
        for part in body {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.end = end;
        self.records += 1;
        Ok(position_in_group(body_start))
    }

    /// Whether there is no record yet.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Returns the number of records.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// Returns header and records in bytes; nothing, if there is no record.
    pub fn len_bytes(&self) -> usize {
        if self.is_empty() { 0 } else { self.end }
    }

    /// Returns what the group would take on disk if it were sealed now. Even an empty one does.
    pub fn sealed_len_bytes(&self) -> usize {
        padded(self.end)
    }

    /// Closes the group and begins the next one.
    pub fn seal(&mut self, frame: GroupFrame) -> SealedGroup {
        let len = padded(self.end);
        self.buffer.as_mut_slice()[self.end..len].fill(0);
        let header = GroupHeader {
            salt: frame.salt,
            group_no: frame.group_no,
            committed_no: frame.committed_no,
            first_lsn: frame.first_lsn,
            wall_ms: frame.wall_ms,
            epoch: frame.epoch,
            records: self.records,
            body_bytes: position_in_group(self.end - GROUP_HEADER_BYTES),
            meta_crc: 0,
        };
        // Readers keep the group as it is, so a small one must not hold a large buffer. A large one
        // goes as it stands, and the next group is likely to be as large.
        let buffer = if len * 2 > self.buffer.len() {
            let next = AlignedBuffer::zeroed(self.buffer.len());
            mem::replace(&mut self.buffer, next)
        } else {
            AlignedBuffer::copy_of(&self.buffer.as_slice()[..len])
        };
        self.end = GROUP_HEADER_BYTES;
        self.records = 0;
        SealedGroup { header, buffer }
    }

    fn reserve(&mut self, end: usize) {
        if end > self.buffer.len() {
            let wanted = end.next_power_of_two().min(padded(MAX_GROUP_BYTES));
            let mut larger = AlignedBuffer::zeroed(wanted);
            larger.as_mut_slice()[..self.end].copy_from_slice(&self.buffer.as_slice()[..self.end]);
            self.buffer = larger;
        }
    }
}

impl fmt::Debug for GroupBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "GroupBuilder({} records, {} bytes)",
            self.records, self.end
        )
    }
}

/// A group with its place and without its sums.
#[derive(Debug)]
pub struct SealedGroup {
    header: GroupHeader,
    buffer: AlignedBuffer,
}

impl SealedGroup {
    /// Computes pending CRCs of batches and the CRCs of the group. All the work of a group that
    /// needs no order is here, so that several threads share it.
    pub fn finish(mut self) -> FinishedGroup {
        let end = GROUP_HEADER_BYTES + self.header.body_bytes as usize;
        let len = padded(end);
        let bytes = &mut self.buffer.as_mut_slice()[..end];
        let mut at = GROUP_HEADER_BYTES;
        let mut crc = 0;
        while at < end {
            let header = bytes[at..]
                .first_chunk()
                .expect("the builder wrote whole records");
            let mut header = RecordHeader::decode(header);
            let body = at + RECORD_HEADER_BYTES + header.ext_bytes as usize;
            let record_end = body + header.body_bytes as usize;
            if header.flags & flags::CRC_PENDING != 0 {
                seal_crc(&mut bytes[body..record_end]);
                header.flags &= !flags::CRC_PENDING;
                header.encode(&mut bytes[at..]);
            }
            crc = crc32c::crc32c_append(crc, &bytes[at..body + header.covered_body_bytes()]);
            at = record_end;
        }
        self.header.meta_crc = crc;
        self.header.encode(bytes);
        FinishedGroup {
            buffer: self.buffer,
            len,
        }
    }
}

/// A group as it stands on disk: aligned, padded, with all sums.
#[derive(Debug)]
pub struct FinishedGroup {
    buffer: AlignedBuffer,
    len: usize,
}

impl FinishedGroup {
    /// Returns the bytes to be written.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.as_slice()[..self.len]
    }

    /// Shares the bytes, without a copy unless most of the buffer would be kept for nothing.
    pub fn into_shared(self) -> Bytes {
        if self.buffer.len() >= 2 * self.len {
            Bytes::copy_from_slice(self.bytes())
        } else {
            Bytes::from_owner(self)
        }
    }
}

impl AsRef<[u8]> for FinishedGroup {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

const _: () = assert!(MAX_GROUP_BYTES.is_multiple_of(BLOCK_BYTES));
