//! The segment files by number: opened once, shared by writers and readers.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::format::{GroupError, parse_group};
use super::segments::{GroupPlace, SegmentId, file_name};
use crate::env::{Disk, DiskFile};

/// Why a group could not be read back. Ask again where it is: if its segment was used again
/// meanwhile, objects hold it by now.
#[derive(Debug, thiserror::Error)]
pub enum ReadGroupError {
    #[error("another group stands there")]
    Gone,
    #[error("{0}")]
    Damaged(#[from] GroupError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The open files of the write-ahead log.
pub struct SegmentFiles {
    disk: Arc<dyn Disk>,
    open: RwLock<HashMap<SegmentId, Arc<dyn DiskFile>>>,
}

impl SegmentFiles {
    /// Makes an empty set over `disk`.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self {
            disk,
            open: RwLock::default(),
        }
    }

    /// Returns the disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Creates the file of a segment that the ring does not have. Slow: it writes `len_bytes` of zeros.
    ///
    /// A file that is there already is one that could not be removed, or was given its name when its
    /// creation failed; it goes first, or else this segment could never be created again.
    ///
    /// # Errors
    /// As [`Disk::create`]; `StorageFull` is no reason to stop.
    pub fn create(&self, segment: SegmentId, len_bytes: u64) -> io::Result<()> {
        let name = file_name(segment);
        let file = match self.disk.create(&name, len_bytes) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(segment)?;
                self.disk.create(&name, len_bytes)?
            }
            created => created?,
        };
        self.open.write().insert(segment, file);
        Ok(())
    }

    /// Returns a segment's file, opening it if that was not done yet.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn get(&self, segment: SegmentId) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.open.read().get(&segment) {
            return Ok(file.clone());
        }
        let mut open = self.open.write();
        if let Some(file) = open.get(&segment) {
            return Ok(file.clone());
        }
        let file = self.disk.open(&file_name(segment))?;
        open.insert(segment, file.clone());
        Ok(file)
    }

    /// Removes a segment's file.
    ///
    /// # Errors
    /// As [`Disk::remove`].
    pub fn remove(&self, segment: SegmentId) -> io::Result<()> {
        self.open.write().remove(&segment);
        self.disk.remove(&file_name(segment))
    }

    /// Reads a group back, every byte checked.
    ///
    /// # Errors
    /// Each variant of [`ReadGroupError`] says which.
    pub fn read_group(&self, place: &GroupPlace) -> Result<Bytes, ReadGroupError> {
        let file = self.get(place.segment)?;
        let mut bytes = vec![0; place.len as usize];
        file.read_at(&mut bytes, place.position)?;
        let header = *parse_group(&bytes)?.header();
        if (header.group_no, header.epoch) != (place.group_no, place.epoch) {
            return Err(ReadGroupError::Gone);
        }
        Ok(Bytes::from(bytes))
    }
}

impl fmt::Debug for SegmentFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentFiles({} open)", self.open.read().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::real::RealDisk;

    #[test]
    fn a_file_left_behind_does_not_keep_its_segment_from_being_created() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::open_directory(directory.path()).unwrap());
        let files = SegmentFiles::new(disk.clone());
        // Of another length, and not zeros.
        let block = crate::env::aligned::AlignedBuffer::copy_of(b"left");
        let left = disk.create(&file_name(2), 4096).unwrap();
        left.write_at(block.as_slice(), 0).unwrap();
        files.create(2, 8192).unwrap();
        let mut read = [1; 4];
        let file = files.get(2).unwrap();
        file.read_at(&mut read, 0).unwrap();
        assert_eq!((file.len_bytes().unwrap(), read), (8192, [0; 4]));
    }
}
