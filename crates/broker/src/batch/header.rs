//! The 61 bytes in front of the records: read, write, check, patch.

use super::{BatchError, Compression};

/// The size of a v2 batch header.
pub const HEADER_BYTES: usize = 61;

/// Bytes in front of those that `batch_length` counts: base offset and the length itself.
const UNCOUNTED_BYTES: usize = 12;
/// The CRC covers everything from the attributes on.
const CRC_FROM: usize = 21;
const CRC_AT: usize = 17;

const CODEC_BITS: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// The header of a v2 record batch, in the order of its bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes that follow this field.
    pub batch_length: i32,
    /// Epoch of the leader that placed the batch.
    pub leader_epoch: i32,
    /// Always 2.
    pub magic: i8,
    /// CRC-32C over everything behind it.
    pub crc: u32,
    /// Codec, timestamp type and the kinds of batch.
    pub attributes: i16,
    /// Offset of the last record minus that of the first.
    pub last_offset_delta: i32,
    /// What the timestamps of records are relative to, in milliseconds since 1970.
    pub base_timestamp: i64,
    /// The largest timestamp, in milliseconds since 1970.
    pub max_timestamp: i64,
    /// -1: not idempotent.
    pub producer_id: i64,
    /// -1: not idempotent.
    pub producer_epoch: i16,
    /// Sequence of the first record; -1: not idempotent.
    pub base_sequence: i32,
    /// How many records follow.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header of a batch, without its CRC.
    ///
    /// # Errors
    /// `Truncated`, `Magic`, `Length`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(BatchError::Truncated {
            have: bytes.len(),
            need: HEADER_BYTES,
        })?;
        let parsed = Self {
            base_offset: i64::from_be_bytes(field(header, 0)),
            batch_length: i32::from_be_bytes(field(header, 8)),
            leader_epoch: i32::from_be_bytes(field(header, 12)),
            magic: i8::from_be_bytes(field(header, 16)),
            crc: u32::from_be_bytes(field(header, CRC_AT)),
            attributes: i16::from_be_bytes(field(header, CRC_FROM)),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            record_count: i32::from_be_bytes(field(header, 57)),
        };
        // The magic first: what follows it differs in other formats.
        if parsed.magic != 2 {
            return Err(BatchError::Magic(parsed.magic));
        }
        if parsed.total_bytes() < HEADER_BYTES {
            return Err(BatchError::Length(parsed.batch_length));
        }
        Ok(parsed)
    }

    /// Writes the header, the inverse of [`Self::parse`].
    pub fn write(&self, out: &mut [u8; HEADER_BYTES]) {
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[16..17].copy_from_slice(&self.magic.to_be_bytes());
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// Returns the size of the batch, header included; 0 if `batch_length` is negative.
    pub fn total_bytes(&self) -> usize {
        usize::try_from(self.batch_length).map_or(0, |length| length + UNCOUNTED_BYTES)
    }

    /// Returns the offset of the last record.
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// Returns the sequence of the last record; after the largest `i32` comes 0, as in Kafka's
    /// `DefaultRecordBatch.incrementSequence`. -1 if the batch has no sequence.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta.max(0));
        i32::try_from(last & i64::from(i32::MAX)).expect("masked to 31 bits")
    }

    /// Returns how the records are compressed.
    ///
    /// # Errors
    /// `Codec`.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        let codec = (self.attributes & CODEC_BITS).to_be_bytes()[1];
        Compression::from_codec(codec).ok_or(BatchError::Codec(codec))
    }

    /// Tells if the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Tells if the batch holds transaction markers instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Tells if all records have the time of their append, `max_timestamp`.
    pub fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }
}

/// Checks that `bytes` are exactly one batch as a producer may send it, and returns its header.
///
/// Records are not opened: their number is checked against the offsets they take.
///
/// # Errors
/// Every kind but those of opening records.
pub fn validate(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let need = header.total_bytes();
    if bytes.len() < need {
        let have = bytes.len();
        return Err(BatchError::Truncated { have, need });
    }
    if bytes.len() > need {
        return Err(BatchError::Trailing(bytes.len() - need));
    }
    let computed = crc32c::crc32c(&bytes[CRC_FROM..]);
    if computed != header.crc {
        let stored = header.crc;
        return Err(BatchError::Checksum { stored, computed });
    }
    if header.record_count < 1 || header.last_offset_delta != header.record_count - 1 {
        return Err(BatchError::Count {
            records: header.record_count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    header.compression()?;
    Ok(header)
}

/// Writes where the batch stands. Both fields lie outside the CRC.
///
/// # Panics
/// If `bytes` are shorter than a header.
pub fn place(bytes: &mut [u8], base_offset: i64, leader_epoch: i32) {
    bytes[0..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Computes the CRC of a batch and stores it.
///
/// # Panics
/// If `bytes` are shorter than a header.
pub fn seal_crc(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *header[at..]
        .first_chunk()
        .expect("every field lies inside the header")
}
