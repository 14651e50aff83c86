//! Memory that direct I/O accepts: its first byte lies at a multiple of [`BLOCK_BYTES`].
//!
//! Without `unsafe` an allocation cannot be asked for an alignment, so each is a block longer than
//! it needs to be and begins at its first aligned byte.

use std::fmt;

use super::BLOCK_BYTES;

/// Bytes at an aligned address, a whole number of blocks.
pub struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedBuffer {
    /// Makes a buffer of zeros with room for `len` bytes, rounded up to a whole block.
    pub fn zeroed(len: usize) -> Self {
        let len = len.next_multiple_of(BLOCK_BYTES);
        let bytes = vec![0; len + BLOCK_BYTES - 1];
        // The vector never grows, so the address stays.
        let start = bytes.as_ptr().align_offset(BLOCK_BYTES);
        Self { bytes, start, len }
    }

    /// Makes a buffer that begins with `bytes`, padded by zeros to a whole block.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.as_mut_slice()[..bytes.len()].copy_from_slice(bytes);
        buffer
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not even one block.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns all bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }

    /// Returns all bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_at_a_block_and_hold_whole_blocks() {
        for len in [0, 1, 4095, 4096, 4097, 100_000] {
            let buffer = AlignedBuffer::zeroed(len);
            assert_eq!(buffer.as_slice().as_ptr().addr() % BLOCK_BYTES, 0);
            assert_eq!(buffer.len(), len.next_multiple_of(BLOCK_BYTES));
        }
    }
}
