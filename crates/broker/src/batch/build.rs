//! Builds batches of records that reach the log as plain data.

use bytes::{BufMut, Bytes, BytesMut};
use tidegate_event_log::Record;

use super::header::{BatchHeader, HEADER_BYTES};
use super::varint;

/// Encodes a record from its key on: what precedes the key (length, attributes, deltas) depends on
/// the batch it will stand in, and [`OpenBatch::push`] writes that.
pub fn encode_record(record: &Record) -> Bytes {
    // Every length takes at most 5 bytes; a record has two, a header two more.
    let room = record.size_bytes() + 15 + 10 * record.headers.len();
    let mut body = BytesMut::with_capacity(room);
    put_field(&mut body, record.key.as_deref());
    put_field(&mut body, record.value.as_deref());
    varint::put(&mut body, length(record.headers.len()));
    for header in &record.headers {
        put_field(&mut body, Some(&header.name));
        put_field(&mut body, header.value.as_deref());
    }
    body.freeze()
}

fn put_field(out: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        None => varint::put(out, -1),
        Some(bytes) => {
            varint::put(out, length(bytes.len()));
            out.put_slice(bytes);
        }
    }
}

fn length(len: usize) -> i64 {
    debug_assert!(
        len <= i32::MAX as usize,
        "record sizes are limited far below"
    );
    i64::try_from(len).expect("no slice is longer than isize::MAX")
}

/// A batch that is being filled: uncompressed, without a producer id, its CRC still to be sealed.
#[derive(Debug)]
pub struct OpenBatch {
    buffer: BytesMut,
    base_offset: i64,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    record_count: i32,
}

impl OpenBatch {
    /// Starts a batch whose first record takes `base_offset`.
    pub fn new(base_offset: i64, base_timestamp_ms: i64) -> Self {
        let mut batch = Self {
            buffer: BytesMut::new(),
            base_offset,
            base_timestamp_ms,
            max_timestamp_ms: base_timestamp_ms,
            record_count: 0,
        };
        batch.reset(base_offset, base_timestamp_ms);
        batch
    }

    /// Starts over, keeping the buffer.
    pub fn reset(&mut self, base_offset: i64, base_timestamp_ms: i64) {
        self.buffer.clear();
        self.buffer.put_bytes(0, HEADER_BYTES);
        self.base_offset = base_offset;
        self.base_timestamp_ms = base_timestamp_ms;
        self.max_timestamp_ms = base_timestamp_ms;
        self.record_count = 0;
    }

    /// Appends a record. `body` comes from [`encode_record`].
    pub fn push(&mut self, body: &[u8], timestamp_ms: i64) {
        let timestamp_delta = timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        let offset_delta = i64::from(self.record_count);
        let attributes = 1;
        let len =
            attributes + varint::len(timestamp_delta) + varint::len(offset_delta) + body.len();
        varint::put(&mut self.buffer, length(len));
        self.buffer.put_u8(0);
        varint::put(&mut self.buffer, timestamp_delta);
        varint::put(&mut self.buffer, offset_delta);
        self.buffer.put_slice(body);
        self.max_timestamp_ms = if self.record_count == 0 {
            timestamp_ms
        } else {
            self.max_timestamp_ms.max(timestamp_ms)
        };
        self.record_count += 1;
    }

    /// Returns the offset of the first record.
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Returns how many records were pushed.
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Returns the size of the batch so far, header included.
    pub fn len_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Writes the header and returns the batch, complete but for the CRC, which is 0: whoever
    /// writes the batch out calls [`super::seal_crc`], off the thread that orders.
    ///
    /// At least one record has been pushed.
    pub fn close(&mut self, leader_epoch: i32) -> &[u8] {
        debug_assert!(self.record_count > 0, "an empty batch takes no offset");
        let counted = self.buffer.len() - 12;
        let header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: i32::try_from(counted).expect("the caller closes batches of a few MiB"),
            leader_epoch,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: self.record_count - 1,
            base_timestamp: self.base_timestamp_ms,
            max_timestamp: self.max_timestamp_ms,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: self.record_count,
        };
        let head = self.buffer.first_chunk_mut();
        header.write(head.expect("the buffer begins with room for a header"));
        &self.buffer
    }
}
