//! Reads whole batches from an offset on: from memory at once, else from the write-ahead log or
//! an object, under a limit of their own, so that readers of old data never slow the rest.

use std::sync::Arc;

use bytes::Bytes;

use super::cold::ColdReader;
use super::hot::{HotGroups, Whereabouts};
use super::partition::{Location, Partition, RecentBatch};
use crate::batch;
use crate::object::l0::BatchEntry;
use crate::state::extents::Extent;
use crate::wal::GroupPlace;

/// How much one batch may grow when it is unpacked to find a record in it.
const LARGEST_UNPACKED_BYTES: usize = 64 * 1024 * 1024;

/// Batches of one partition, in order.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Whole batches; the first holds the offset asked for.
    pub batches: Vec<Bytes>,
    pub bytes: usize,
    pub high_watermark: i64,
    pub log_start: i64,
}

/// What a read without IO comes to.
#[derive(Debug)]
pub enum HotFetch {
    Ready(Fetched),
    /// The data is there, but not in memory.
    Cold,
    OutOfRange {
        log_start: i64,
        high_watermark: i64,
    },
}

/// Why a read failed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    #[error("the offset is outside {log_start}..{high_watermark}")]
    OutOfRange { log_start: i64, high_watermark: i64 },
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    #[error("history cannot be read now: {0}")]
    Unavailable(String),
}

/// Where a batch's bytes are to be read.
enum Source {
    Wal(GroupPlace, RecentBatch),
    Object(Extent),
}

/// Reads what is in memory.
///
/// At least one batch if there is one, however large; beyond it no more than `max_bytes`.
pub fn fetch_hot(hot: &HotGroups, partition: &Partition, from: i64, max_bytes: usize) -> HotFetch {
    let (log_start, high_watermark) = (partition.log_start(), partition.high_watermark());
    let mut fetched = Fetched {
        high_watermark,
        log_start,
        ..Fetched::default()
    };
    match partition.locate(from, max_bytes) {
        Location::End => HotFetch::Ready(fetched),
        Location::OutOfRange => HotFetch::OutOfRange {
            log_start,
            high_watermark,
        },
        Location::Object(_) => HotFetch::Cold,
        Location::Recent(batches) => {
            for batch in &batches {
                // Offsets past the watermark that was read first would contradict the answer.
                if batch.base_offset >= high_watermark {
                    break;
                }
                let Whereabouts::Memory(group) = hot.find(batch.group_no) else {
                    break;
                };
                fetched.bytes += batch.len as usize;
                fetched.batches.push(slice_of(&group, batch));
            }
            if fetched.batches.is_empty() {
                HotFetch::Cold
            } else {
                HotFetch::Ready(fetched)
            }
        }
    }
}

/// Reads what is not in memory, as [`fetch_hot`] does what is.
///
/// # Errors
/// The offset is not kept, or the data cannot be read.
pub async fn fetch_cold(
    hot: &HotGroups,
    cold: &ColdReader,
    partition: &Arc<Partition>,
    from: i64,
    max_bytes: usize,
) -> Result<Fetched, ReadError> {
    // A segment may be recycled, or an object replaced, between the look-up and the read; then the
    // data stands elsewhere, and a second look finds it.
    let mut last = ReadError::Unavailable("history moved while it was read".to_owned());
    for _ in 0..4 {
        let (log_start, high_watermark) = (partition.log_start(), partition.high_watermark());
        let source = match partition.locate(from, max_bytes) {
            Location::End => {
                return Ok(Fetched {
                    high_watermark,
                    log_start,
                    ..Fetched::default()
                });
            }
            Location::OutOfRange => {
                return Err(ReadError::OutOfRange {
                    log_start,
                    high_watermark,
                });
            }
            Location::Recent(batches) => {
                let first = batches[0];
                match hot.find(first.group_no) {
                    Whereabouts::Memory(group) => {
                        let bytes = slice_of(&group, &first);
                        return Ok(Fetched {
                            bytes: bytes.len(),
                            batches: vec![bytes],
                            high_watermark,
                            log_start,
                        });
                    }
                    Whereabouts::Disk(place) => Source::Wal(place, first),
                    Whereabouts::Gone => {
                        partition.forget_below(hot.front());
                        continue;
                    }
                }
            }
            Location::Object(extent) => Source::Object(extent),
        };
        let read = match source {
            Source::Wal(place, batch) => {
                let read = cold.read_wal(&place, &batch).await;
                // Objects hold the group by now, so its segment may have been used again before it was
                // read; what stood there may be whole and have the same offsets, in another partition.
                if matches!(hot.find(batch.group_no), Whereabouts::Gone) {
                    continue;
                }
                read.map(|batch| vec![batch])
            }
            Source::Object(extent) => cold.read_object(&extent, from, max_bytes).await,
        };
        match read {
            Ok(batches) => {
                let bytes = batches.iter().map(Bytes::len).sum();
                return Ok(Fetched {
                    batches,
                    bytes,
                    high_watermark,
                    log_start,
                });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn slice_of(group: &Bytes, batch: &RecentBatch) -> Bytes {
    let from = batch.position as usize;
    group.slice(from..from + batch.len as usize)
}

/// Finds the first record at or after a time: its offset and its timestamp.
///
/// # Errors
/// The data cannot be read.
pub async fn offset_for_timestamp(
    hot: &HotGroups,
    cold: &ColdReader,
    partition: &Arc<Partition>,
    timestamp_ms: i64,
) -> Result<Option<(i64, i64)>, ReadError> {
    let mut from = match partition.locate_timestamp(timestamp_ms) {
        Location::End | Location::OutOfRange => return Ok(None),
        Location::Recent(batches) => batches[0].base_offset,
        Location::Object(extent) => {
            let index = cold.index_of(&extent).await?;
            let entry = index
                .iter()
                .find(|entry| entry.header.max_timestamp >= timestamp_ms);
            entry.map_or(extent.section.first_offset, BatchEntry::base_offset)
        }
    };
    // The batch found has a record at or after the time, unless the log start cut it off.
    from = from.max(partition.log_start());
    while from < partition.high_watermark() {
        let fetched = match fetch_hot(hot, partition, from, 1) {
            HotFetch::Ready(fetched) => fetched,
            HotFetch::Cold => fetch_cold(hot, cold, partition, from, 1).await?,
            HotFetch::OutOfRange { .. } => return Ok(None),
        };
        let Some(batch) = fetched.batches.first() else {
            return Ok(None);
        };
        let records = batch::records(batch, LARGEST_UNPACKED_BYTES)
            .map_err(|error| ReadError::Corrupt(error.to_string()))?;
        for record in records {
            let (offset, timestamp, _) =
                record.map_err(|error| ReadError::Corrupt(error.to_string()))?;
            if offset >= from && timestamp >= timestamp_ms {
                return Ok(Some((offset, timestamp)));
            }
        }
        let header = batch::BatchHeader::parse(batch)
            .map_err(|error| ReadError::Corrupt(error.to_string()))?;
        from = header.last_offset() + 1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io;

    use object_store::memory::InMemory;

    use super::*;
    use crate::batch::OpenBatch;
    use crate::env::real::RealSleeper;
    use crate::env::{Disk, DiskFile};
    use crate::object::Objects;
    use crate::wal::SegmentFiles;

    /// A segment that is used again while it is read: by a group that has another partition's batch
    /// in the same place.
    struct Reused {
        hot: Arc<HotGroups>,
        now_there: Vec<u8>,
    }

    impl DiskFile for Reused {
        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("nobody writes here")
        }

        fn read_at(&self, bytes: &mut [u8], _: u64) -> io::Result<()> {
            self.hot.shipped(1);
            bytes[..self.now_there.len()].copy_from_slice(&self.now_there);
            Ok(())
        }

        fn len_bytes(&self) -> io::Result<u64> {
            Ok(1 << 20)
        }
    }

    struct OneFile(Arc<Reused>);

    impl Disk for OneFile {
        fn list(&self) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }

        fn open(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
            Ok(self.0.clone())
        }

        fn create(&self, _: &str, _: u64) -> io::Result<Arc<dyn DiskFile>> {
            unreachable!("nothing is created")
        }

        fn remove(&self, _: &str) -> io::Result<()> {
            Ok(())
        }
    }

    fn place() -> GroupPlace {
        GroupPlace {
            segment: 1,
            position: 4096,
            len: 4096,
            group_no: 1,
            first_lsn: 1,
            epoch: 1,
        }
    }

    /// A batch, and a reader with one turn of each kind over a segment that holds it.
    fn cold(hot: &Arc<HotGroups>) -> (RecentBatch, ColdReader) {
        let mut other = OpenBatch::new(0, 1_000);
        other.push(&[1, 1, 0], 1_000);
        let mut other = other.close(1).to_vec();
        batch::seal_crc(&mut other);
        let recent = RecentBatch {
            base_offset: 0,
            last_offset: 0,
            max_timestamp: 1_000,
            group_no: 1,
            position: 0,
            len: u32::try_from(other.len()).unwrap(),
        };
        let file = Arc::new(Reused {
            hot: hot.clone(),
            now_there: other,
        });
        let files = Arc::new(SegmentFiles::new(Arc::new(OneFile(file))));
        let objects = Objects::new(Arc::new(InMemory::new()), "", Arc::new(RealSleeper));
        (recent, ColdReader::new(objects, files, 1))
    }

    #[tokio::test]
    async fn a_store_that_hangs_keeps_nobody_from_the_disk() {
        let hot = Arc::new(HotGroups::new(0));
        let (recent, cold) = cold(&hot);
        // Every turn at the store is taken, for ever.
        let _hanging = cold.store.acquire().await.unwrap();
        let place = place();
        let read = cold.read_wal(&place, &recent);
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), read).await;
        read.expect("it waits for nothing").unwrap();
    }

    #[tokio::test]
    async fn a_segment_that_is_used_again_while_it_is_read_shows_no_other_partitions_batch() {
        let hot = Arc::new(HotGroups::new(0));
        let (recent, cold) = cold(&hot);
        hot.push(place(), None);
        let partition = Arc::new(Partition::new(1, 0));
        partition.publish(recent, 0);
        let read = fetch_cold(&hot, &cold, &partition, 0, 1000).await;
        // No object was given to the partition here, so there is nowhere else to look.
        assert!(read.is_err(), "{read:?}");
    }
}
