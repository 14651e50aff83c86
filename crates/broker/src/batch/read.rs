//! Opens a batch and reads its records one by one.

use bytes::Bytes;
use tidegate_event_log::{Header, Offset, Record};

use super::header::{BatchHeader, HEADER_BYTES};
use super::{BatchError, varint};

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
        let len = varint::take(&mut rest).ok_or("its length is cut off")?;
        let start = self.bytes.len() - rest.len();
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| start.checked_add(len))
            .filter(|&end| end <= self.bytes.len())
            .ok_or("its length reaches past the batch")?;
        let mut fields = Fields {
            source: self.bytes.slice(start..end),
            at: 0,
        };
        fields.skip_attributes()?;
        let timestamp_delta = fields.varint()?;
        let offset_delta = fields.varint()?;
        let key = fields.bytes()?;
        let value = fields.bytes()?;
        let headers = fields.headers()?;
        if fields.at != fields.source.len() {
            return Err("bytes are left over");
        }
        self.at = end;
        let timestamp_ms = if self.header.has_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header.base_timestamp.wrapping_add(timestamp_delta)
        };
        let offset = self.header.base_offset.wrapping_add(offset_delta);
        let record = Record {
            key,
            value,
            headers,
        };
        Ok((offset, timestamp_ms, record))
    }
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

/// The fields of one record.
struct Fields {
    source: Bytes,
    at: usize,
}

impl Fields {
    fn skip_attributes(&mut self) -> Result<(), &'static str> {
        if self.source.is_empty() {
            return Err("it is empty");
        }
        self.at = 1;
        Ok(())
    }

    fn varint(&mut self) -> Result<i64, &'static str> {
        let mut rest = &self.source[self.at..];
        let value = varint::take(&mut rest).ok_or("a number is cut off")?;
        self.at = self.source.len() - rest.len();
        Ok(value)
    }

    fn bytes(&mut self) -> Result<Option<Bytes>, &'static str> {
        let len = self.varint()?;
        if len == -1 {
            return Ok(None);
        }
        let len = usize::try_from(len).map_err(|_| "a length is negative")?;
        let end = self
            .at
            .checked_add(len)
            .filter(|&end| end <= self.source.len())
            .ok_or("a length reaches past the record")?;
        let field = self.source.slice(self.at..end);
        self.at = end;
        Ok(Some(field))
    }

    fn headers(&mut self) -> Result<Vec<Header>, &'static str> {
        let count = self.varint()?;
        let count = usize::try_from(count).map_err(|_| "the number of headers is negative")?;
        // A header takes at least two bytes, so this reserves by what is really there.
        if count > (self.source.len() - self.at) / 2 {
            return Err("it announces more headers than it has bytes for");
        }
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.bytes()?.ok_or("a header has no name")?;
            let value = self.bytes()?;
            headers.push(Header { name, value });
        }
        Ok(headers)
    }
}
