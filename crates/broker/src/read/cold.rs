//! Reads of batches that left memory: from segments of the write-ahead log and from objects.
//! Every batch is checked against its index and its CRC before anyone sees it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::fetch::ReadError;
use super::partition::RecentBatch;
use crate::batch;
use crate::env::{BLOCK_BYTES, DiskFile};
use crate::object::l0::{self, BatchEntry};
use crate::object::{Key, ObjectError, Objects};
use crate::state::extents::{Extent, ObjectName};
use crate::wal::{GroupPlace, SegmentFiles};

/// Batch indexes kept in memory, and how many batches they may have together: some 100 MiB. An index
/// of an extent of 64 MiB in batches of 16 KiB has 4,096, in batches of 80 bytes 200 times as many.
const CACHED_INDEXES: usize = 256;
const CACHED_BATCHES: usize = 1024 * 1024;

/// The most one read takes from an object beyond its first batch.
const READ_LIMIT_BYTES: usize = 8 * 1024 * 1024;

type IndexKey = (ObjectName, u32, u32, i64);

#[derive(Default)]
struct IndexCache {
    entries: HashMap<IndexKey, Arc<Vec<BatchEntry>>>,
    /// Oldest first.
    order: VecDeque<IndexKey>,
    batches: usize,
}

impl IndexCache {
    fn insert(&mut self, name: IndexKey, index: &Arc<Vec<BatchEntry>>) {
        if self.entries.insert(name, index.clone()).is_some() {
            return;
        }
        self.order.push_back(name);
        self.batches += index.len();
        while self.order.len() > CACHED_INDEXES || self.batches > CACHED_BATCHES {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let dropped = self.entries.remove(&oldest);
            self.batches -= dropped.map_or(0, |index| index.len());
        }
    }
}

/// Reads batches from disk and objects, a limited number of each at a time: an object store that hangs
/// keeps nobody from what is still on disk.
pub struct ColdReader {
    objects: Objects,
    files: Arc<SegmentFiles>,
    pub(super) disk: Semaphore,
    pub(super) store: Semaphore,
    indexes: Mutex<IndexCache>,
}

impl ColdReader {
    /// Makes a reader that does at most `reads` reads of each kind at a time.
    pub fn new(objects: Objects, files: Arc<SegmentFiles>, reads: usize) -> Self {
        Self {
            objects,
            files,
            disk: Semaphore::new(reads),
            store: Semaphore::new(reads),
            indexes: Mutex::default(),
        }
    }

    /// Reads one batch from its group on disk.
    pub(super) async fn read_wal(
        &self,
        place: &GroupPlace,
        entry: &RecentBatch,
    ) -> Result<Bytes, ReadError> {
        let _turn = turn(&self.disk).await;
        let files = self.files.clone();
        let at = place.position + u64::from(entry.position);
        let (segment, len) = (place.segment, entry.len as usize);
        let read = tokio::task::spawn_blocking(move || {
            let file = files.get(segment)?;
            read_unaligned(file.as_ref(), at, len)
        });
        let bytes = read
            .await
            .map_err(|error| ReadError::Unavailable(error.to_string()))?
            .map_err(|error| ReadError::Unavailable(error.to_string()))?;
        checked(bytes, entry.base_offset)
    }

    /// Reads batches of one extent from the one that holds `from` on.
    pub(super) async fn read_object(
        &self,
        extent: &Extent,
        from: i64,
        max_bytes: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        let index = self.index_of(extent).await?;
        let first = index.partition_point(|entry| entry.last_offset() < from);
        let start = index
            .get(first)
            .ok_or_else(|| ReadError::Corrupt(format!("{:?} lacks offset {from}", extent.object)))?
            .position;
        let limit = max_bytes.min(READ_LIMIT_BYTES) as u64;
        let within =
            |(at, entry): &(usize, &BatchEntry)| *at == 0 || entry.range().end - start <= limit;
        let taken = index[first..].iter().enumerate().take_while(within).count();
        let entries = &index[first..first + taken];
        let _turn = turn(&self.store).await;
        Ok(l0::read_batches(&self.objects, Key::from(extent.object), entries).await?)
    }

    /// The batch index of an extent, from memory or its object.
    pub async fn index_of(&self, extent: &Extent) -> Result<Arc<Vec<BatchEntry>>, ReadError> {
        let section = &extent.section;
        let name = (
            extent.object,
            section.topic,
            section.partition,
            section.first_offset,
        );
        if let Some(index) = self.indexes.lock().entries.get(&name) {
            return Ok(index.clone());
        }
        let _turn = turn(&self.store).await;
        let index = l0::read_batch_index(&self.objects, Key::from(extent.object), section).await?;
        let index = Arc::new(index);
        self.indexes.lock().insert(name, &index);
        Ok(index)
    }
}

/// Waits for a turn.
async fn turn(reads: &Semaphore) -> SemaphorePermit<'_> {
    reads
        .acquire()
        .await
        .expect("the semaphore is never closed")
}

impl std::fmt::Debug for ColdReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColdReader").finish_non_exhaustive()
    }
}

impl From<ObjectError> for ReadError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Corrupt { .. } => Self::Corrupt(error.to_string()),
            // An object that is gone was replaced; another look finds the new one.
            ObjectError::NotFound { .. }
            | ObjectError::Unavailable { .. }
            | ObjectError::Unexpected { .. } => Self::Unavailable(error.to_string()),
        }
    }
}

/// Reads any range of a file that is read in whole blocks.
fn read_unaligned(file: &dyn DiskFile, at: u64, len: usize) -> std::io::Result<Bytes> {
    let block = BLOCK_BYTES as u64;
    let start = at / block * block;
    let skip = usize::try_from(at - start).unwrap_or(0);
    let mut bytes = BytesMut::zeroed((skip + len).next_multiple_of(BLOCK_BYTES));
    file.read_at(&mut bytes, start)?;
    Ok(bytes.freeze().slice(skip..skip + len))
}

/// Passes a batch on if it is whole and begins where its index says.
fn checked(bytes: Bytes, base_offset: i64) -> Result<Bytes, ReadError> {
    match batch::validate(&bytes) {
        Ok(header) if header.base_offset == base_offset => Ok(bytes),
        Ok(header) => Err(ReadError::Corrupt(format!(
            "a batch at offset {} stands where offset {base_offset} should",
            header.base_offset
        ))),
        Err(error) => Err(ReadError::Corrupt(error.to_string())),
    }
}
