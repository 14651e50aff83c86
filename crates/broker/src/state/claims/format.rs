//! The bytes of a run. Stored format, stable: format 1, numbers little endian.
//!
//! ```text
//! block 4096 B  68 entries of 60 B in key order: key [16], fingerprint [16], topic u32,
//!               partition u32, offset i64, timestamp_ms i64, window_s u32; unused ones zero;
//!               then count u32, block number u32, the run's id u32 (its lower half),
//!               crc u32 of all before
//! fences        for each block the first eight bytes of its first key, as a number u64
//! filters       for each 256 blocks a filter (see `filter`), words u32
//! footer 128 B  magic "TGCLAIM\0", format u32, zero u32, id u64, put_id [16], entries u64,
//!               first_ms i64, last_ms i64, last_expiry_ms i64, longest_window_s u32,
//!               fences_crc u32, filters_crc u32, zero [32], crc u32 of all before,
//!               magic "TGCLEND\0"
//! ```
//! All positions follow from the number of entries: every block but the last is full.

use bytes::{Buf, BufMut};

use super::{ClaimKey, Entry, filter};

pub(super) const BLOCK_BYTES: usize = 4096;
pub(super) const BLOCK_ENTRIES: usize = 68;
/// The blocks that share a filter: enough to fill it evenly, few enough to build it in memory.
pub(super) const FILTER_BLOCKS: usize = 256;
pub(super) const FOOTER_BYTES: usize = 128;
const STORED_ENTRY_BYTES: usize = 60;
const ENTRIES_BYTES: usize = BLOCK_ENTRIES * STORED_ENTRY_BYTES;
const MAGIC: &[u8; 8] = b"TGCLAIM\0";
const END_MAGIC: &[u8; 8] = b"TGCLEND\0";
const FORMAT: u32 = 1;

/// What is wrong with the bytes.
pub(super) type Wrong = &'static str;

/// Where the parts of a run of so many entries are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) blocks: u64,
    pub(super) filter_words: u64,
}

impl Layout {
    pub(super) fn of(entries: u64) -> Self {
        let per_filter = (BLOCK_ENTRIES * FILTER_BLOCKS) as u64;
        let rest = usize::try_from(entries % per_filter).expect("fewer than a filter holds");
        let full = filter::words_for(BLOCK_ENTRIES * FILTER_BLOCKS) as u64;
        Self {
            blocks: entries.div_ceil(BLOCK_ENTRIES as u64),
            filter_words: entries / per_filter * full + filter::words_for(rest) as u64,
        }
    }

    pub(super) fn fences_position(&self) -> u64 {
        self.blocks * BLOCK_BYTES as u64
    }

    pub(super) fn filters_position(&self) -> u64 {
        self.fences_position() + self.blocks * 8
    }

    pub(super) fn footer_position(&self) -> u64 {
        self.filters_position() + self.filter_words * 4
    }

    pub(super) fn object_bytes(&self) -> u64 {
        self.footer_position() + FOOTER_BYTES as u64
    }
}

pub(super) fn write_entry(into: &mut Vec<u8>, key: &ClaimKey, entry: &Entry) {
    into.put_slice(&key.0);
    into.put_slice(&entry.fingerprint);
    into.put_u32_le(entry.topic);
    into.put_u32_le(entry.partition);
    into.put_i64_le(entry.offset);
    into.put_i64_le(entry.timestamp_ms);
    into.put_u32_le(entry.window_s);
}

fn parse_entry(mut bytes: &[u8]) -> (ClaimKey, Entry) {
    let (mut key, mut fingerprint) = ([0; 16], [0; 16]);
    bytes.copy_to_slice(&mut key);
    bytes.copy_to_slice(&mut fingerprint);
    let (topic, partition) = (bytes.get_u32_le(), bytes.get_u32_le());
    let (offset, timestamp_ms) = (bytes.get_i64_le(), bytes.get_i64_le());
    let window_s = bytes.get_u32_le();
    (
        ClaimKey(key),
        Entry {
            fingerprint,
            topic,
            partition,
            offset,
            timestamp_ms,
            window_s,
        },
    )
}

/// Closes the block that begins at `start` and holds `entries` entries.
pub(super) fn close_block(into: &mut Vec<u8>, start: usize, entries: usize, number: u64, id: u64) {
    debug_assert_eq!(into.len() - start, entries * STORED_ENTRY_BYTES);
    into.resize(start + ENTRIES_BYTES, 0);
    into.put_u32_le(u32::try_from(entries).expect("at most 68"));
    into.put_u32_le(low(number));
    into.put_u32_le(low(id));
    into.put_u32_le(crc32c::crc32c(&into[start..]));
}

/// A block whose checksum is right.
pub(super) struct Block<'a>(&'a [u8]);

impl<'a> Block<'a> {
    /// Checks the block `number` of the run `id`, in which `expected` entries must be.
    pub(super) fn check(
        bytes: &'a [u8],
        id: u64,
        number: u64,
        expected: usize,
    ) -> Result<Self, Wrong> {
        let (covered, mut crc) = bytes
            .split_at_checked(BLOCK_BYTES - 4)
            .ok_or("a cut block")?;
        if crc.len() != 4 || crc.get_u32_le() != crc32c::crc32c(covered) {
            return Err("wrong checksum of a block");
        }
        let mut about = &covered[ENTRIES_BYTES..];
        let count = about.get_u32_le();
        if (about.get_u32_le(), about.get_u32_le()) != (low(number), low(id)) {
            return Err("another block's bytes");
        }
        if count as usize != expected || expected == 0 || expected > BLOCK_ENTRIES {
            return Err("a block with a wrong number of entries");
        }
        Ok(Self(&covered[..expected * STORED_ENTRY_BYTES]))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (ClaimKey, Entry)> + use<'a> {
        self.0.chunks_exact(STORED_ENTRY_BYTES).map(parse_entry)
    }

    pub(super) fn find(&self, key: &ClaimKey) -> Option<Entry> {
        let (mut low, mut high) = (0, self.0.len() / STORED_ENTRY_BYTES);
        while low < high {
            let middle = usize::midpoint(low, high);
            let at = middle * STORED_ENTRY_BYTES;
            match self.0[at..at + 16].cmp(&key.0) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return Some(parse_entry(&self.0[at..at + STORED_ENTRY_BYTES]).1);
                }
            }
        }
        None
    }
}

/// How many entries the block `number` of a run of `entries` has.
pub(super) fn entries_in_block(entries: u64, number: u64) -> usize {
    let before = number * BLOCK_ENTRIES as u64;
    usize::try_from(entries.saturating_sub(before).min(BLOCK_ENTRIES as u64)).expect("at most 68")
}

/// The footer of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Footer {
    pub(super) id: u64,
    pub(super) put_id: [u8; 16],
    pub(super) entries: u64,
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    pub(super) last_expiry_ms: i64,
    pub(super) longest_window_s: u32,
    pub(super) fences_crc: u32,
    pub(super) filters_crc: u32,
}

impl Footer {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(FORMAT);
        bytes.put_u32_le(0);
        bytes.put_u64_le(self.id);
        bytes.put_slice(&self.put_id);
        bytes.put_u64_le(self.entries);
        bytes.put_i64_le(self.first_ms);
        bytes.put_i64_le(self.last_ms);
        bytes.put_i64_le(self.last_expiry_ms);
        bytes.put_u32_le(self.longest_window_s);
        bytes.put_u32_le(self.fences_crc);
        bytes.put_u32_le(self.filters_crc);
        bytes.put_bytes(0, 32);
        bytes.put_u32_le(crc32c::crc32c(&bytes));
        bytes.put_slice(END_MAGIC);
        debug_assert_eq!(bytes.len(), FOOTER_BYTES);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Wrong> {
        let (mut rest, mut end) = bytes
            .split_at_checked(FOOTER_BYTES - 12)
            .ok_or("it ends too early")?;
        if end.len() != 12 || end.get_u32_le() != crc32c::crc32c(rest) || end != END_MAGIC {
            return Err("wrong checksum of the footer");
        }
        if !rest.starts_with(MAGIC) {
            return Err("no run of claims");
        }
        rest.advance(MAGIC.len());
        if rest.get_u32_le() != FORMAT {
            return Err("written by a newer version");
        }
        rest.advance(4);
        let id = rest.get_u64_le();
        let mut put_id = [0; 16];
        rest.copy_to_slice(&mut put_id);
        Ok(Self {
            id,
            put_id,
            entries: rest.get_u64_le(),
            first_ms: rest.get_i64_le(),
            last_ms: rest.get_i64_le(),
            last_expiry_ms: rest.get_i64_le(),
            longest_window_s: rest.get_u32_le(),
            fences_crc: rest.get_u32_le(),
            filters_crc: rest.get_u32_le(),
        })
    }
}

fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).expect("masked")
}
