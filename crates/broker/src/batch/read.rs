//! Opens a batch and reads its records one by one.

use std::ops::ControlFlow;

use bytes::Bytes;
use tidegate_event_log::{Header, Offset, Record};

use super::header::{BatchHeader, HEADER_BYTES};
use super::view::{self, HeaderRef};
use super::{BatchError, Compression};

/// Opens the records of one batch, unpacking at most `max_decompressed` bytes.
///
/// The checksum is not computed again; whatever the bytes are, memory stays within what they and
/// the limit allow. Batches of transaction markers give no records.
///
/// # Errors
/// `Truncated`, `Magic`, `Length`, `Codec`, `Unpack`, `TooLarge`; the iterator ends with `Record`
/// at the first malformed one.
pub fn records(batch: &[u8], max_decompressed: usize) -> Result<Records, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let need = header.total_bytes();
    let packed = batch.get(HEADER_BYTES..need).ok_or(BatchError::Truncated {
        have: batch.len(),
        need,
    })?;
    let (bytes, left) = if header.is_control() {
        (Bytes::new(), 0)
    } else {
        let bytes = header.compression()?.unpack(packed, max_decompressed)?;
        (bytes, header.record_count)
    };
    Ok(Records {
        header,
        bytes,
        at: 0,
        left,
    })
}

/// A record with its offset and its timestamp in milliseconds since 1970.
pub type Placed = (Offset, i64, Record);

/// The records of a batch, in offset order.
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    bytes: Bytes,
    at: usize,
    left: i32,
}

impl Records {
    /// Returns the header of the batch.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn read(&mut self) -> Result<Placed, &'static str> {
        let mut rest = &self.bytes[self.at..];
        let mut headers = Vec::new();
        let read = view::take(&mut rest, &mut headers)?;
        let part = |field: &[u8]| self.bytes.slice_ref(field);
        let record = Record {
            key: read.key.map(part),
            value: read.value.map(part),
            headers: headers
                .into_iter()
                .map(|(name, value)| Header {
                    name: part(name),
                    value: value.map(part),
                })
                .collect(),
        };
        let (timestamp_delta, offset_delta) = (read.timestamp_delta, read.offset_delta);
        self.at = self.bytes.len() - rest.len();
        let timestamp_ms = if self.header.has_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.wrapping_add(timestamp_delta)
        };
        let offset = self.header.base_offset.wrapping_add(offset_delta);
        Ok((offset, timestamp_ms, record))
    }
}

/// Shows the records of a batch where they lie, one after the other, unpacking at most
/// `max_decompressed` bytes, until `see` says that it has seen enough. As strict as a reader can be:
/// offsets follow each other, and nothing is left over.
///
/// # Errors
/// Those of [`records`].
pub(crate) fn look_at(
    batch: &[u8],
    max_decompressed: usize,
    mut see: impl FnMut(i32, Option<&[u8]>, Option<&[u8]>, &[HeaderRef<'_>]) -> ControlFlow<()>,
) -> Result<(), BatchError> {
    let header = BatchHeader::parse(batch)?;
    let need = header.total_bytes();
    let packed = batch.get(HEADER_BYTES..need).ok_or(BatchError::Truncated {
        have: batch.len(),
        need,
    })?;
    let unpacked;
    let mut rest = match header.compression()? {
        Compression::None => packed,
        packing => {
            unpacked = packing.unpack(packed, max_decompressed)?;
            &unpacked
        }
    };
    let mut headers = Vec::new();
    for index in 0..header.record_count {
        let malformed = |what| BatchError::Record { index, what };
        let record = view::take(&mut rest, &mut headers).map_err(malformed)?;
        if record.offset_delta != i64::from(index) {
            return Err(malformed("its offset is not the next one"));
        }
        if see(index, record.key, record.value, &headers).is_break() {
            return Ok(());
        }
    }
    if !rest.is_empty() {
        let index = header.record_count - 1;
        let what = "bytes follow the last record";
        return Err(BatchError::Record { index, what });
    }
    Ok(())
}

impl Iterator for Records {
    type Item = Result<Placed, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        let index = self.header.record_count - self.left;
        let read = self.read().and_then(|record| {
            self.left -= 1;
            if self.left == 0 && self.at != self.bytes.len() {
                return Err("bytes follow the last record");
            }
            Ok(record)
        });
        Some(read.map_err(|what| {
            self.left = 0;
            BatchError::Record { index, what }
        }))
    }
}
