//! The codecs of record batches, unpacked with a bound on what comes out.
//!
//! Snappy comes raw (librdkafka, Go) and in xerial's framing (Java); both are read.

use std::fmt;
use std::io::Read;

use bytes::{BufMut, Bytes, BytesMut};

use super::BatchError;

/// What xerial's snappy-java writes in front: magic, then two version numbers of 4 bytes.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, raw or in xerial's framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878. Producers may use it with Produce 7 and later (KIP-110).
    Zstd,
}

impl Compression {
    pub(super) fn from_codec(codec: u8) -> Option<Self> {
        Some(match codec {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// Unpacks `packed` to at most `max_bytes`.
    ///
    /// # Errors
    /// `Unpack`, `TooLarge`.
    pub(super) fn unpack(self, packed: &[u8], max_bytes: usize) -> Result<Bytes, BatchError> {
        match self {
            Self::None if packed.len() > max_bytes => Err(BatchError::TooLarge(max_bytes)),
            Self::None => Ok(Bytes::copy_from_slice(packed)),
            Self::Gzip => self.drain(flate2::read::MultiGzDecoder::new(packed), max_bytes),
            Self::Snappy => unpack_snappy(packed, max_bytes),
            Self::Lz4 => self.drain(lz4_flex::frame::FrameDecoder::new(packed), max_bytes),
            Self::Zstd => match zstd::stream::read::Decoder::with_buffer(packed) {
                Ok(decoder) => self.drain(decoder, max_bytes),
                Err(_) => Err(BatchError::Unpack(self)),
            },
        }
    }

    fn drain(self, decoder: impl Read, max_bytes: usize) -> Result<Bytes, BatchError> {
        let mut unpacked = Vec::new();
        // One byte more than allowed tells «exactly full» from «too large».
        let mut bounded = decoder.take((max_bytes as u64).saturating_add(1));
        if bounded.read_to_end(&mut unpacked).is_err() {
            return Err(BatchError::Unpack(self));
        }
        if unpacked.len() > max_bytes {
            return Err(BatchError::TooLarge(max_bytes));
        }
        Ok(Bytes::from(unpacked))
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

fn unpack_snappy(packed: &[u8], max_bytes: usize) -> Result<Bytes, BatchError> {
    let malformed = || BatchError::Unpack(Compression::Snappy);
    let mut unpacked = BytesMut::new();
    if !packed.starts_with(XERIAL_MAGIC) {
        unpack_snappy_block(packed, &mut unpacked, max_bytes)?;
        return Ok(unpacked.freeze());
    }
    let mut rest = packed.get(XERIAL_HEADER_BYTES..).ok_or_else(malformed)?;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk().ok_or_else(malformed)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| malformed())?;
        let block = after.get(..len).ok_or_else(malformed)?;
        unpack_snappy_block(block, &mut unpacked, max_bytes)?;
        rest = &after[len..];
    }
    Ok(unpacked.freeze())
}

/// Snappy compresses at best to about a twentieth, so the size a block announces is first held
/// against its own length, then against the limit, and only then reserved.
fn unpack_snappy_block(
    block: &[u8],
    unpacked: &mut BytesMut,
    max_bytes: usize,
) -> Result<(), BatchError> {
    /// A copy element of 3 bytes gives at most 64.
    const BEST_RATIO: usize = 32;
    let malformed = |_| BatchError::Unpack(Compression::Snappy);
    let len = snap::raw::decompress_len(block).map_err(malformed)?;
    if len > block.len().saturating_mul(BEST_RATIO) {
        return Err(BatchError::Unpack(Compression::Snappy));
    }
    let from = unpacked.len();
    if len > max_bytes - from {
        return Err(BatchError::TooLarge(max_bytes));
    }
    unpacked.put_bytes(0, len);
    let written = snap::raw::Decoder::new()
        .decompress(block, &mut unpacked[from..])
        .map_err(malformed)?;
    unpacked.truncate(from + written);
    Ok(())
}
