//! Where history is: which object holds which offsets of which partition.
//!
//! Invariants: the extents of a partition are in offset order, without gap or overlap; every extent
//! lies in an object of `objects`; an object without a live extent is in `retired` with the time
//! since when, until the collector has deleted it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::object::l0::ObjectExtent;

/// An object that holds batches.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum ObjectName {
    /// An object of the dense log, by sequence.
    Log(u64),
    /// A rewritten object, by id.
    Data(u64),
}

/// A stretch of one partition inside one object.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Extent {
    pub object: ObjectName,
    pub section: ObjectExtent,
}

/// How much of an object is still wanted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Usage {
    pub data_bytes: u64,
    pub live_bytes: u64,
}

/// All extents of all partitions, and the objects they lie in.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Extents {
    partitions: BTreeMap<(u32, u32), Arc<Vec<Extent>>>,
    objects: BTreeMap<ObjectName, Usage>,
    /// Objects without a live extent, and since when (wall clock, milliseconds).
    retired: BTreeMap<ObjectName, i64>,
}

/// An extent that does not continue its partition.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("extent of {topic}/{partition} begins at {found} where {expected} is next")]
pub struct ExtentGap {
    topic: u32,
    partition: u32,
    expected: i64,
    found: i64,
}

impl Extents {
    /// Adds an object with its extents, those of topics that no longer exist left out.
    ///
    /// # Errors
    /// An extent leaves a gap or overlaps; nothing was added.
    pub fn add(
        &mut self,
        object: ObjectName,
        sections: &[ObjectExtent],
        exists: impl Fn(u32) -> bool,
        now_ms: i64,
    ) -> Result<(), ExtentGap> {
        let live = || sections.iter().filter(|section| exists(section.topic));
        for section in live() {
            let (topic, partition) = (section.topic, section.partition);
            let last = self
                .of(topic, partition)
                .last()
                .map(|extent| extent.section.last_offset);
            if let Some(expected) = last
                .map(|last| last + 1)
                .filter(|e| *e != section.first_offset)
            {
                let found = section.first_offset;
                return Err(ExtentGap {
                    topic,
                    partition,
                    expected,
                    found,
                });
            }
        }
        let mut usage = Usage {
            data_bytes: sections.iter().map(|section| section.bytes).sum(),
            live_bytes: 0,
        };
        for section in live() {
            usage.live_bytes += section.bytes;
            let extents = self
                .partitions
                .entry((section.topic, section.partition))
                .or_default();
            Arc::make_mut(extents).push(Extent {
                object,
                section: section.clone(),
            });
        }
        if usage.live_bytes == 0 {
            self.retired.insert(object, now_ms);
        }
        self.objects.insert(object, usage);
        Ok(())
    }

    /// Drops the extents that lie below a partition's log start.
    pub fn move_log_start(&mut self, topic: u32, partition: u32, log_start: i64, now_ms: i64) {
        let Some(extents) = self.partitions.get_mut(&(topic, partition)) else {
            return;
        };
        let dead = extents.partition_point(|extent| extent.section.last_offset < log_start);
        if dead > 0 {
            let dropped: Vec<Extent> = Arc::make_mut(extents).drain(..dead).collect();
            self.release(&dropped, now_ms);
        }
    }

    /// Drops all extents of a topic.
    pub fn drop_topic(&mut self, topic: u32, now_ms: i64) {
        let keys: Vec<_> = self
            .partitions
            .range((topic, 0)..=(topic, u32::MAX))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if let Some(extents) = self.partitions.remove(&key) {
                self.release(&extents, now_ms);
            }
        }
    }

    /// Puts the extents of a rewritten object in the place of those it was made from.
    ///
    /// Extents that died while it was rewritten stay dead. Returns whether any was replaced.
    pub fn replace(
        &mut self,
        old: ObjectName,
        new: ObjectName,
        sections: &[ObjectExtent],
        now_ms: i64,
    ) -> bool {
        let mut usage = Usage {
            data_bytes: sections.iter().map(|section| section.bytes).sum(),
            live_bytes: 0,
        };
        for section in sections {
            let Some(extents) = self.partitions.get_mut(&(section.topic, section.partition)) else {
                continue;
            };
            let at = extents.iter().position(|extent| {
                extent.object == old
                    && extent.section.first_offset == section.first_offset
                    && extent.section.last_offset == section.last_offset
            });
            if let Some(at) = at {
                let place = &mut Arc::make_mut(extents)[at];
                let dead = std::mem::replace(
                    place,
                    Extent {
                        object: new,
                        section: section.clone(),
                    },
                );
                usage.live_bytes += section.bytes;
                self.release(&[dead], now_ms);
            }
        }
        if usage.live_bytes == 0 {
            self.retired.insert(new, now_ms);
        }
        self.objects.insert(new, usage);
        usage.live_bytes > 0
    }

    fn release(&mut self, dead: &[Extent], now_ms: i64) {
        for extent in dead {
            if let Some(usage) = self.objects.get_mut(&extent.object) {
                usage.live_bytes = usage.live_bytes.saturating_sub(extent.section.bytes);
                if usage.live_bytes == 0 {
                    self.retired.entry(extent.object).or_insert(now_ms);
                }
            }
        }
    }

    /// Forgets an object that has been deleted.
    pub fn forget(&mut self, object: ObjectName) {
        self.retired.remove(&object);
        self.objects.remove(&object);
    }

    /// The extents of a partition, oldest first.
    pub fn of(&self, topic: u32, partition: u32) -> &[Extent] {
        self.partitions
            .get(&(topic, partition))
            .map_or(&[], |extents| extents)
    }

    /// The extents of a partition, shared with its readers.
    pub fn shared(&self, topic: u32, partition: u32) -> Arc<Vec<Extent>> {
        self.partitions
            .get(&(topic, partition))
            .cloned()
            .unwrap_or_default()
    }

    /// All partitions that have extents.
    pub fn partitions(&self) -> impl Iterator<Item = (&(u32, u32), &Arc<Vec<Extent>>)> {
        self.partitions.iter()
    }

    /// All objects and how much of each is wanted.
    pub fn objects(&self) -> &BTreeMap<ObjectName, Usage> {
        &self.objects
    }

    /// Objects that hold nothing live, and since when.
    pub fn retired(&self) -> &BTreeMap<ObjectName, i64> {
        &self.retired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(topic: u32, first: i64, last: i64, bytes: u64) -> ObjectExtent {
        ObjectExtent {
            topic,
            partition: 0,
            first_offset: first,
            last_offset: last,
            bytes,
            max_timestamp: 0,
            data_position: 0,
            index_position: 0,
            batches: 1,
            first_lsn: 1,
        }
    }

    #[test]
    fn an_object_is_retired_with_its_last_extent() {
        let mut extents = Extents::default();
        let sections = [section(1, 0, 9, 100), section(2, 0, 4, 50)];
        extents
            .add(ObjectName::Log(1), &sections, |_| true, 1)
            .unwrap();
        extents
            .add(ObjectName::Log(2), &[section(1, 10, 19, 70)], |_| true, 2)
            .unwrap();
        extents.move_log_start(1, 0, 9, 3);
        assert_eq!(extents.of(1, 0).len(), 2, "offset 9 is still wanted");
        extents.move_log_start(1, 0, 10, 4);
        assert_eq!(extents.of(1, 0).len(), 1);
        assert!(extents.retired().is_empty());
        assert_eq!(extents.objects()[&ObjectName::Log(1)].live_bytes, 50);
        extents.drop_topic(2, 5);
        assert_eq!(extents.retired().get(&ObjectName::Log(1)), Some(&5));
        extents.forget(ObjectName::Log(1));
        assert!(extents.retired().is_empty());
    }

    #[test]
    fn a_gap_or_an_overlap_is_refused() {
        let mut extents = Extents::default();
        extents
            .add(ObjectName::Log(1), &[section(1, 0, 9, 1)], |_| true, 1)
            .unwrap();
        for first in [9, 11] {
            let before = extents.clone();
            assert!(
                extents
                    .add(ObjectName::Log(2), &[section(1, first, 20, 1)], |_| true, 1)
                    .is_err()
            );
            assert_eq!(extents, before);
        }
    }

    #[test]
    fn a_rewritten_object_takes_the_place_of_the_living_only() {
        let mut extents = Extents::default();
        let sections = [
            section(1, 0, 9, 100),
            section(2, 0, 4, 50),
            section(3, 0, 4, 50),
        ];
        extents
            .add(ObjectName::Log(1), &sections, |_| true, 1)
            .unwrap();
        extents.drop_topic(2, 2);
        // Topic 3 dies while the object is rewritten.
        extents.drop_topic(3, 3);
        let new = ObjectName::Data(7);
        assert!(extents.replace(
            ObjectName::Log(1),
            new,
            &[section(1, 0, 9, 100), section(3, 0, 4, 50)],
            4
        ));
        assert_eq!(extents.of(1, 0)[0].object, new);
        assert!(extents.of(3, 0).is_empty());
        assert_eq!(extents.retired().get(&ObjectName::Log(1)), Some(&4));
        assert_eq!(
            extents.objects()[&new],
            Usage {
                data_bytes: 150,
                live_bytes: 100
            }
        );
    }
}
