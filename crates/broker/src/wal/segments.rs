//! Which segment and position the next group takes: a ring of files that are used again and again,
//! because writing into blocks that were written before costs the file system no journal entry.
//! Pure: it names files, and others open and write them.
//!
//! Invariants: a segment is begun only when it is free, under a new header with a new salt and the
//! next sequence; it is freed only when told that its groups are no longer needed.

use std::collections::BTreeMap;

use super::format::{MAX_GROUP_BYTES, SegmentHeader};
use super::group::Full;
use crate::env::BLOCK_BYTES;

/// The number of a segment's file.
pub type SegmentId = u64;

/// The header block in front of the groups.
pub(super) const HEADER_BLOCK_BYTES: u64 = BLOCK_BYTES as u64;

/// The size of a segment unless said otherwise.
pub const DEFAULT_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Returns the name of a segment's file.
pub fn file_name(segment: SegmentId) -> String {
    format!("wal-{segment:06}.seg")
}

/// Returns the segment whose file has this name.
pub fn parse_file_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_prefix("wal-")?.strip_suffix(".seg")?;
    let number = digits.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// Where a group stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupPlace {
    pub segment: SegmentId,
    pub position: u64,
    /// What it takes on disk, padding included.
    pub len: u32,
    pub group_no: u64,
    pub first_lsn: u64,
    pub epoch: u32,
}

/// Where the next group goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placement {
    pub segment: SegmentId,
    pub position: u64,
    /// The salt of this use of the segment, to be repeated in the group.
    pub salt: u64,
    /// The group is the segment's first: this header must be durable before the group is acked.
    pub open: Option<SegmentHeader>,
}

/// What the ring is made for.
#[derive(Clone, Copy, Debug)]
pub struct SegmentsConfig {
    pub cluster_id: [u8; 16],
    /// The epoch of this process.
    pub epoch: u32,
    /// The size of new segments.
    pub segment_bytes: u64,
    /// What all segments together may take; two segments are allowed in any case.
    pub budget_bytes: u64,
    /// Random, and new for each process: salts are drawn from it.
    pub salt_seed: u64,
}

/// A segment in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Use {
    first_group: u64,
    /// The first group after it; `None` while the segment takes groups.
    end_group: Option<u64>,
}

#[derive(Debug)]
struct Slot {
    len_bytes: u64,
    used: Option<Use>,
}

/// The segment that takes groups.
#[derive(Clone, Copy, Debug)]
struct Open {
    segment: SegmentId,
    salt: u64,
    position: u64,
    len_bytes: u64,
}

/// The ring.
#[derive(Debug)]
pub struct Segments {
    config: SegmentsConfig,
    slots: BTreeMap<SegmentId, Slot>,
    open: Option<Open>,
    next_sequence: u64,
    /// The segment that is being created.
    growing: Option<SegmentId>,
}

impl Segments {
    /// Makes a ring without segments, whose next header has `next_sequence`.
    pub fn new(config: SegmentsConfig, next_sequence: u64) -> Self {
        Self {
            config,
            slots: BTreeMap::new(),
            open: None,
            next_sequence,
            growing: None,
        }
    }

    /// Adds a file that holds groups `first_group..end_group`, found by recovery.
    pub(super) fn add_used(
        &mut self,
        segment: SegmentId,
        len_bytes: u64,
        first_group: u64,
        end_group: u64,
    ) {
        let used = Some(Use {
            first_group,
            end_group: Some(end_group),
        });
        self.slots.insert(segment, Slot { len_bytes, used });
    }

    /// Adds a free file.
    pub fn add_free(&mut self, segment: SegmentId, len_bytes: u64) {
        self.slots.insert(
            segment,
            Slot {
                len_bytes,
                used: None,
            },
        );
    }

    /// Gives the group after all others its place.
    ///
    /// # Errors
    /// [`Full`]: no free segment is left. [`Segments::has_room`] tells beforehand.
    pub fn place(&mut self, len_bytes: usize, group_no: u64) -> Result<Placement, Full> {
        let len = len_bytes as u64;
        debug_assert!(
            len.is_multiple_of(HEADER_BLOCK_BYTES),
            "groups are whole blocks"
        );
        if let Some(open) = &mut self.open
            && open.len_bytes - open.position >= len
        {
            let position = open.position;
            open.position += len;
            return Ok(Placement {
                segment: open.segment,
                position,
                salt: open.salt,
                open: None,
            });
        }
        let (segment, len_bytes) = self.free_for(len).ok_or(Full)?;
        if let Some(full) = self.open.take() {
            self.use_of(full.segment).end_group = Some(group_no);
        }
        let header = SegmentHeader {
            cluster_id: self.config.cluster_id,
            sequence: self.next_sequence,
            first_group: group_no,
            salt: mix(self.config.salt_seed.wrapping_add(self.next_sequence)),
            epoch: self.config.epoch,
        };
        self.next_sequence += 1;
        let slot = self
            .slots
            .get_mut(&segment)
            .expect("a free segment was just found");
        slot.used = Some(Use {
            first_group: group_no,
            end_group: None,
        });
        let position = HEADER_BLOCK_BYTES;
        self.open = Some(Open {
            segment,
            salt: header.salt,
            position: position + len,
            len_bytes,
        });
        Ok(Placement {
            segment,
            position,
            salt: header.salt,
            open: Some(header),
        })
    }

    /// Whether a group of this length has a place now.
    pub fn has_room(&self, len_bytes: usize) -> bool {
        let len = len_bytes as u64;
        self.open
            .is_some_and(|open| open.len_bytes - open.position >= len)
            || self.free_for(len).is_some()
    }

    /// Whether a group of any size has a place now.
    pub(super) fn has_room_for_any(&self) -> bool {
        self.free_for(self.largest_group()).is_some()
    }

    /// Frees the segments that hold only groups below `group_no`.
    pub fn recycle(&mut self, group_no: u64) {
        for slot in self.slots.values_mut() {
            let end = slot.used.and_then(|used| used.end_group);
            if end.is_some_and(|end| end <= group_no) {
                slot.used = None;
            }
        }
    }

    /// Whether another segment should be created: none is free, and the budget allows one more.
    pub fn wants_growth(&self) -> bool {
        let taken: u64 = self.slots.values().map(|slot| slot.len_bytes).sum();
        let affordable =
            self.slots.len() < 2 || taken + self.config.segment_bytes <= self.config.budget_bytes;
        self.growing.is_none() && affordable && self.free_for(self.largest_group()).is_none()
    }

    /// Names the segment to be created, if one should be. Until [`Segments::grown`] or
    /// [`Segments::growth_failed`] there is no other.
    pub fn grow(&mut self) -> Option<SegmentId> {
        if !self.wants_growth() {
            return None;
        }
        self.growing = Some(self.next_segment());
        self.growing
    }

    /// Whether there is a segment that the budget does not allow: recovery needed a fresh one.
    pub fn is_over_budget(&self) -> bool {
        let taken: u64 = self.slots.values().map(|slot| slot.len_bytes).sum();
        taken > self.config.budget_bytes && self.slots.len() > 2
    }

    /// Whether a segment is being created.
    pub fn is_growing(&self) -> bool {
        self.growing.is_some()
    }

    /// Takes the created segment, of the configured length.
    pub fn grown(&mut self, segment: SegmentId) {
        self.growing = None;
        self.add_free(segment, self.config.segment_bytes);
    }

    /// Notes that the segment could not be created; [`Segments::grow`] may ask again.
    pub fn growth_failed(&mut self, segment: SegmentId) {
        debug_assert_eq!(self.growing, Some(segment), "one segment grows at a time");
        self.growing = None;
    }

    /// Takes a free segment above the budget out of the ring, for its file to be removed. There is
    /// one when recovery needed a fresh segment and all were in use.
    pub fn take_surplus(&mut self) -> Option<SegmentId> {
        if !self.is_over_budget() {
            return None;
        }
        let mut free = self
            .slots
            .iter()
            .rev()
            .filter(|(_, slot)| slot.used.is_none());
        let surplus = free.next().map(|(segment, _)| *segment)?;
        // One free segment is left to roll into.
        free.next()?;
        self.slots.remove(&surplus);
        Some(surplus)
    }

    /// The number of a file that does not exist yet.
    pub(super) fn next_segment(&self) -> SegmentId {
        self.slots.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Returns the size of new segments.
    pub fn segment_bytes(&self) -> u64 {
        self.config.segment_bytes
    }

    /// Returns how many segments there are, and how many of them are free.
    pub fn count(&self) -> (usize, usize) {
        let free = self
            .slots
            .values()
            .filter(|slot| slot.used.is_none())
            .count();
        (self.slots.len(), free)
    }

    /// The largest group that a new segment takes.
    fn largest_group(&self) -> u64 {
        (MAX_GROUP_BYTES as u64).min(self.config.segment_bytes.saturating_sub(HEADER_BLOCK_BYTES))
    }

    fn free_for(&self, len: u64) -> Option<(SegmentId, u64)> {
        self.slots
            .iter()
            .find(|(_, slot)| slot.used.is_none() && slot.len_bytes >= HEADER_BLOCK_BYTES + len)
            .map(|(segment, slot)| (*segment, slot.len_bytes))
    }

    fn use_of(&mut self, segment: SegmentId) -> &mut Use {
        self.slots
            .get_mut(&segment)
            .and_then(|slot| slot.used.as_mut())
            .expect("the open segment is in use")
    }
}

/// Spreads a number over 64 bits (the finalizer of SplitMix64): distinct numbers, distinct salts.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
