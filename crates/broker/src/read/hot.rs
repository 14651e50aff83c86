//! The groups of the write-ahead log that readers may still need: in memory while the budget
//! lasts, by their place on disk afterwards.
//!
//! A group leaves when objects hold it and memory does not. Group numbers are dense, so a group's
//! index is its distance from the front.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::wal::GroupPlace;

/// Where a group's bytes are.
#[derive(Clone, Debug)]
pub enum Whereabouts {
    Memory(Bytes),
    Disk(GroupPlace),
    /// Objects hold it.
    Gone,
}

#[derive(Debug)]
struct HotGroup {
    place: GroupPlace,
    bytes: Option<Bytes>,
}

#[derive(Debug, Default)]
struct Inner {
    front: u64,
    groups: VecDeque<HotGroup>,
    /// The first group that still has bytes in memory, and how many bytes there are.
    first_in_memory: u64,
    bytes_in_memory: usize,
    shipped_through: u64,
}

/// The shared set of hot groups.
#[derive(Debug)]
pub struct HotGroups {
    budget_bytes: usize,
    inner: RwLock<Inner>,
}

impl HotGroups {
    /// Makes an empty set that keeps at most about `budget_bytes` in memory.
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            budget_bytes,
            inner: RwLock::default(),
        }
    }

    /// Adds the next durable group; `bytes` is `None` for one found by recovery.
    pub fn push(&self, place: GroupPlace, bytes: Option<Bytes>) {
        let mut inner = self.inner.write();
        if inner.groups.is_empty() {
            inner.front = place.group_no;
            inner.first_in_memory = place.group_no;
        }
        debug_assert_eq!(
            place.group_no,
            inner.front + inner.groups.len() as u64,
            "groups are dense"
        );
        inner.bytes_in_memory += bytes.as_ref().map_or(0, Bytes::len);
        inner.groups.push_back(HotGroup { place, bytes });
        inner.evict(self.budget_bytes);
    }

    /// Notes that objects hold all groups up to `group_no`.
    pub fn shipped(&self, group_no: u64) {
        let mut inner = self.inner.write();
        inner.shipped_through = inner.shipped_through.max(group_no);
        inner.evict(self.budget_bytes);
    }

    /// Finds a group.
    pub fn find(&self, group_no: u64) -> Whereabouts {
        let inner = self.inner.read();
        let index = group_no
            .checked_sub(inner.front)
            .and_then(|at| usize::try_from(at).ok());
        match index.and_then(|index| inner.groups.get(index)) {
            None => Whereabouts::Gone,
            Some(HotGroup {
                bytes: Some(bytes), ..
            }) => Whereabouts::Memory(bytes.clone()),
            Some(HotGroup { place, .. }) => Whereabouts::Disk(place.clone()),
        }
    }

    /// The first group that is not gone; partitions forget entries below it.
    pub fn front(&self) -> u64 {
        let inner = self.inner.read();
        inner.front
    }
}

impl Inner {
    fn evict(&mut self, budget_bytes: usize) {
        while self.bytes_in_memory > budget_bytes {
            let at = self.first_in_memory.saturating_sub(self.front);
            let Some(group) = usize::try_from(at)
                .ok()
                .and_then(|at| self.groups.get_mut(at))
            else {
                break;
            };
            self.bytes_in_memory -= group.bytes.take().map_or(0, |bytes| bytes.len());
            self.first_in_memory = self.front + at + 1;
        }
        while self.front <= self.shipped_through
            && self
                .groups
                .front()
                .is_some_and(|group| group.bytes.is_none())
        {
            self.groups.pop_front();
            self.front += 1;
            self.first_in_memory = self.first_in_memory.max(self.front);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(group_no: u64) -> GroupPlace {
        GroupPlace {
            segment: 0,
            position: group_no * 4096,
            len: 4096,
            group_no,
            first_lsn: group_no,
            epoch: 1,
        }
    }

    #[test]
    fn a_group_goes_from_memory_to_disk_to_objects() {
        let hot = HotGroups::new(2 * 4096);
        for group_no in 5..9 {
            hot.push(place(group_no), Some(Bytes::from(vec![0; 4096])));
        }
        assert!(matches!(hot.find(5), Whereabouts::Disk(_)));
        assert!(matches!(hot.find(6), Whereabouts::Disk(_)));
        assert!(matches!(hot.find(7), Whereabouts::Memory(_)));
        assert!(matches!(hot.find(4), Whereabouts::Gone));
        hot.shipped(7);
        assert!(matches!(hot.find(6), Whereabouts::Gone));
        assert!(
            matches!(hot.find(7), Whereabouts::Memory(_)),
            "shipped, and still quick to read"
        );
        assert_eq!(hot.front(), 7);
        hot.push(place(9), Some(Bytes::from(vec![0; 4096])));
        assert!(matches!(hot.find(7), Whereabouts::Gone));
        assert!(matches!(hot.find(8), Whereabouts::Memory(_)));
    }
}
