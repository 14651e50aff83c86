//! Reads segments from front to back, for recovery and inspection: what is there, and what stands
//! where it should not.

use std::io;
use std::sync::Arc;

use super::format::{GROUP_HEADER_BYTES, GroupHeader, SegmentHeader, SegmentHeaderError};
use super::segments::{HEADER_BLOCK_BYTES, SegmentId, file_name, parse_file_name};
use crate::env::{BLOCK_BYTES, Disk, DiskFile};

/// What one read takes at least; the kernel reads ahead of it.
const READ_BYTES: u64 = 1024 * 1024;

/// A segment's file and what its first block says.
pub(super) struct Found {
    pub(super) segment: SegmentId,
    pub(super) len_bytes: u64,
    pub(super) header: Result<SegmentHeader, SegmentHeaderError>,
    pub(super) scanner: Scanner,
}

/// An error of the disk, and where it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{file}` at byte {position}: {error}")]
pub struct ReadError {
    pub file: String,
    pub position: u64,
    #[source]
    pub error: io::Error,
}

/// Opens all segments, in the order of their files.
pub(super) fn survey(disk: &dyn Disk) -> Result<Vec<Found>, ReadError> {
    let failed = |file: &str, error| ReadError {
        file: file.to_owned(),
        position: 0,
        error,
    };
    let names = disk.list().map_err(|error| failed(".", error))?;
    let mut found = Vec::new();
    for segment in names.iter().filter_map(|name| parse_file_name(name)) {
        let name = file_name(segment);
        let file = disk.open(&name).map_err(|error| failed(&name, error))?;
        let len_bytes = file.len_bytes().map_err(|error| failed(&name, error))?;
        let mut scanner = Scanner::new(segment, file, len_bytes);
        let header = match scanner
            .bytes(0, BLOCK_BYTES)?
            .map(<[u8; BLOCK_BYTES]>::try_from)
        {
            Some(Ok(block)) => SegmentHeader::decode(&block),
            // Not even a block: the file was cut.
            _ => Err(SegmentHeaderError::Damaged),
        };
        found.push(Found {
            segment,
            len_bytes,
            header,
            scanner,
        });
    }
    Ok(found)
}

/// A window that moves over a segment.
pub(super) struct Scanner {
    segment: SegmentId,
    file: Arc<dyn DiskFile>,
    len_bytes: u64,
    start: u64,
    window: Vec<u8>,
}

impl Scanner {
    fn new(segment: SegmentId, file: Arc<dyn DiskFile>, len_bytes: u64) -> Self {
        Self {
            segment,
            file,
            len_bytes,
            start: 0,
            window: Vec::new(),
        }
    }

    /// Returns `len` bytes at `position`; nothing, if the file ends before.
    pub(super) fn bytes(&mut self, position: u64, len: usize) -> Result<Option<&[u8]>, ReadError> {
        let Some(end) = position
            .checked_add(len as u64)
            .filter(|end| *end <= self.len_bytes)
        else {
            return Ok(None);
        };
        if position < self.start || end > self.start + self.window.len() as u64 {
            let take = (len as u64).max(READ_BYTES).min(self.len_bytes - position);
            self.window
                .resize(usize::try_from(take).expect("a window is a few MiB"), 0);
            self.start = position;
            self.file
                .read_at(&mut self.window, position)
                .map_err(|error| {
                    self.window.clear();
                    ReadError {
                        file: file_name(self.segment),
                        position,
                        error,
                    }
                })?;
        }
        let from = usize::try_from(position - self.start).expect("within the window");
        Ok(Some(&self.window[from..from + len]))
    }

    /// Returns the group header at `position`, if one stands there.
    pub(super) fn group_header(&mut self, position: u64) -> Result<Option<GroupHeader>, ReadError> {
        let bytes = self.bytes(position, GROUP_HEADER_BYTES)?;
        Ok(bytes.and_then(|bytes| GroupHeader::decode(bytes).ok()))
    }

    /// Finds the first group header at or after `position` that is wanted, block by block.
    pub(super) fn find(
        &mut self,
        mut position: u64,
        wanted: impl Fn(&GroupHeader) -> bool,
    ) -> Result<Option<(u64, GroupHeader)>, ReadError> {
        while position < self.len_bytes {
            if let Some(header) = self.group_header(position)?.filter(&wanted) {
                return Ok(Some((position, header)));
            }
            position += BLOCK_BYTES as u64;
        }
        Ok(None)
    }

    /// Whether the first group's block is all zeros: with no header either, nothing ever stood here.
    pub(super) fn is_blank(&mut self) -> Result<bool, ReadError> {
        let block = self.bytes(HEADER_BLOCK_BYTES, BLOCK_BYTES)?;
        Ok(block.is_none_or(|block| block.iter().all(|byte| *byte == 0)))
    }

    /// Gives the window's memory back.
    pub(super) fn rest(&mut self) {
        self.window = Vec::new();
    }
}
