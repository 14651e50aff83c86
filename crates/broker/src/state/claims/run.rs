//! A stored run: what of it stays in memory, and reading the rest.
//!
//! In memory are the filters and a fence for each block, 17 bits a claim together. A question that
//! the filter cannot deny costs the read of one block. Every block is checked when it is read.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};

use super::format::{self, BLOCK_BYTES, Block, FILTER_BLOCKS, FOOTER_BYTES, Footer, Layout};
use super::{ClaimKey, Entry, filter};
use crate::object::{Key, ObjectError, Objects};

/// How much of fences and filters is read at once while a run is opened.
const OPEN_BYTES: u64 = 4 * 1024 * 1024;
/// How many blocks are read at once when a run is read from end to end.
const READ_BLOCKS: u64 = 64;

/// A run, as a checkpoint names it. Stored there: stable, fields in this order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunRef {
    pub id: u64,
    put_id: [u8; 16],
    pub entries: u64,
    /// The times of its oldest and newest claim.
    pub first_ms: i64,
    pub last_ms: i64,
    /// When its last claim expires.
    pub last_expiry_ms: i64,
    pub longest_window_s: u32,
}

impl RunRef {
    /// The run's object.
    pub fn key(&self) -> Key {
        Key::Claims(self.id)
    }

    #[cfg(test)]
    pub(super) fn invented(id: u64, entries: u64, times: Range<i64>, window_s: u32) -> Self {
        Self {
            id,
            put_id: [0; 16],
            entries,
            first_ms: times.start,
            last_ms: times.end,
            last_expiry_ms: times.end + i64::from(window_s) * 1000,
            longest_window_s: window_s,
        }
    }
}

impl From<&Footer> for RunRef {
    fn from(footer: &Footer) -> Self {
        Self {
            id: footer.id,
            put_id: footer.put_id,
            entries: footer.entries,
            first_ms: footer.first_ms,
            last_ms: footer.last_ms,
            last_expiry_ms: footer.last_expiry_ms,
            longest_window_s: footer.longest_window_s,
        }
    }
}

/// An open run.
pub struct Run {
    place: RunRef,
    fences: Box<[u64]>,
    filters: Box<[u32]>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Run").field(&self.place).finish()
    }
}

impl Run {
    pub(super) fn new(place: RunRef, fences: Vec<u64>, filters: Vec<u32>) -> Self {
        Self {
            place,
            fences: fences.into(),
            filters: filters.into(),
        }
    }

    /// Reads what of a run stays in memory.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Unavailable`.
    pub async fn open(objects: &Objects, place: &RunRef) -> Result<Self, ObjectError> {
        let key = place.key();
        let corrupt = |what| ObjectError::Corrupt { key, what };
        // The reference comes from a checkpoint with a checksum, so its count can be believed; the
        // object's size confirms it before anything is reserved.
        let layout = Layout::of(place.entries);
        if objects.size(key).await? != layout.object_bytes() {
            return Err(corrupt("its size is wrong"));
        }
        let (start, end) = (layout.footer_position(), layout.object_bytes());
        debug_assert_eq!(end - start, FOOTER_BYTES as u64);
        let (footer, _) = objects.get(key, start..end).await?;
        let footer = Footer::parse(&footer).map_err(corrupt)?;
        if RunRef::from(&footer) != *place {
            return Err(corrupt("another run's bytes"));
        }
        let mut fences = Vec::with_capacity(usize::try_from(layout.blocks).unwrap_or(0));
        let range = layout.fences_position()..layout.filters_position();
        let crc = read_through(objects, key, range, |mut bytes| {
            while bytes.has_remaining() {
                fences.push(bytes.get_u64_le());
            }
        })
        .await?;
        let mut filters = Vec::with_capacity(usize::try_from(layout.filter_words).unwrap_or(0));
        let range = layout.filters_position()..layout.footer_position();
        let filters_crc = read_through(objects, key, range, |mut bytes| {
            while bytes.has_remaining() {
                filters.push(bytes.get_u32_le());
            }
        })
        .await?;
        if (crc, filters_crc) != (footer.fences_crc, footer.filters_crc) {
            return Err(corrupt("wrong checksum of fences or filters"));
        }
        Ok(Self::new(place.clone(), fences, filters))
    }

    /// What a checkpoint needs to name the run.
    pub fn place(&self) -> &RunRef {
        &self.place
    }

    /// What the run takes in memory.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.fences) + size_of_val(&*self.filters)
    }

    /// Whether the run may hold the key. `false` is certain and costs no read.
    pub fn may_hold(&self, key: &ClaimKey) -> bool {
        self.blocks_for(key)
            .any(|block| filter::may_hold(self.filter_of(block), key))
    }

    /// Finds a claim, held or expired.
    ///
    /// # Errors
    /// `NotFound`, `Corrupt`, `Unavailable`.
    pub async fn lookup(
        &self,
        objects: &Objects,
        key: &ClaimKey,
    ) -> Result<Option<Entry>, ObjectError> {
        for number in self.blocks_for(key) {
            if !filter::may_hold(self.filter_of(number), key) {
                continue;
            }
            let at = number as u64 * BLOCK_BYTES as u64;
            let (bytes, _) = objects
                .get(self.place.key(), at..at + BLOCK_BYTES as u64)
                .await?;
            if let Some(entry) = self.check(&bytes, number as u64)?.find(key) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The blocks whose keys may begin as this one does: one, or more where fences are equal.
    fn blocks_for(&self, key: &ClaimKey) -> Range<usize> {
        let prefix = key.prefix();
        let first = first_at_least(&self.fences, prefix);
        let equal = self.fences[first..]
            .iter()
            .take_while(|fence| **fence == prefix);
        let end = first + equal.count();
        // The block before the first equal fence may end with the same prefix.
        first.saturating_sub(1)..end
    }

    fn filter_of(&self, block: usize) -> &[u32] {
        let full = filter::words_for(format::BLOCK_ENTRIES * FILTER_BLOCKS);
        let start = block / FILTER_BLOCKS * full;
        &self.filters[start..(start + full).min(self.filters.len())]
    }

    fn check<'a>(&self, bytes: &'a [u8], number: u64) -> Result<Block<'a>, ObjectError> {
        let expected = format::entries_in_block(self.place.entries, number);
        Block::check(bytes, self.place.id, number, expected).map_err(|what| ObjectError::Corrupt {
            key: self.place.key(),
            what,
        })
    }
}

/// Where the first fence that is not below `prefix` stands.
///
/// Keys are hashes, so their place can be guessed: a search from there touches a cache line or two
/// where one through all fences would touch many, and every new claim is looked up in every run.
fn first_at_least(fences: &[u64], prefix: u64) -> usize {
    let guess = (u128::from(prefix) * fences.len() as u128) >> 64;
    let guess = usize::try_from(guess).expect("below the number of fences");
    let (mut low, mut high, mut step) = (guess, guess, 8);
    while low > 0 && fences[low - 1] >= prefix {
        low = low.saturating_sub(step);
        step *= 2;
    }
    while high < fences.len() && fences[high] < prefix {
        high = fences.len().min(high + step);
        step *= 2;
    }
    low + fences[low..high].partition_point(|fence| *fence < prefix)
}

/// Reads a range in pieces of a multiple of eight bytes and returns its checksum.
async fn read_through(
    objects: &Objects,
    key: Key,
    range: Range<u64>,
    mut take: impl FnMut(&[u8]),
) -> Result<u32, ObjectError> {
    let (mut at, mut crc) = (range.start, 0);
    while at < range.end {
        let end = range.end.min(at + OPEN_BYTES);
        let (bytes, _) = objects.get(key, at..end).await?;
        crc = crc32c::crc32c_append(crc, &bytes);
        take(&bytes);
        at = end;
    }
    Ok(crc)
}

/// Reads a run from end to end, a few blocks at a time.
pub(super) struct RunReader<'a> {
    objects: &'a Objects,
    run: Arc<Run>,
    next_block: u64,
    bytes: Bytes,
    entries: std::vec::IntoIter<(ClaimKey, Entry)>,
    last_key: Option<ClaimKey>,
}

impl<'a> RunReader<'a> {
    pub(super) fn new(objects: &'a Objects, run: Arc<Run>) -> Self {
        let entries = Vec::new().into_iter();
        Self {
            objects,
            run,
            next_block: 0,
            bytes: Bytes::new(),
            entries,
            last_key: None,
        }
    }

    /// The next claim in key order; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<(ClaimKey, Entry)>, ObjectError> {
        loop {
            if let Some(next) = self.entries.next() {
                if self.last_key.is_some_and(|last| last >= next.0) {
                    let (key, what) = (self.run.place.key(), "claims out of order");
                    return Err(ObjectError::Corrupt { key, what });
                }
                self.last_key = Some(next.0);
                return Ok(Some(next));
            }
            let blocks = self.run.fences.len() as u64;
            if self.bytes.is_empty() {
                if self.next_block == blocks {
                    return Ok(None);
                }
                let end = blocks.min(self.next_block + READ_BLOCKS);
                let range = self.next_block * BLOCK_BYTES as u64..end * BLOCK_BYTES as u64;
                (self.bytes, _) = self.objects.get(self.run.place.key(), range).await?;
            }
            let block = self.bytes.split_to(BLOCK_BYTES);
            let block = self.run.check(&block, self.next_block)?;
            self.entries = block.entries().collect::<Vec<_>>().into_iter();
            self.next_block += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::first_at_least;

    proptest! {
        #[test]
        fn the_guess_finds_what_a_search_would(
            mut fences in prop::collection::vec(prop_oneof![any::<u64>(), 0_u64..50], 0..300),
            others in prop::collection::vec(prop_oneof![any::<u64>(), 0_u64..50], 20)
        ) {
            fences.sort_unstable();
            for prefix in fences.iter().copied().chain(others).chain([0, u64::MAX]) {
                let expected = fences.partition_point(|fence| *fence < prefix);
                prop_assert_eq!(first_at_least(&fences, prefix), expected);
            }
        }
    }
}
