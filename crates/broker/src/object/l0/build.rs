//! Builds an object from the records of a range, without copying a batch.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::format::{
    self, BLOCK_HEAD_BYTES, ENTRY_BYTES, Footer, HEADER_BYTES, META_HEAD_BYTES, MetaEntry, Sizes,
};
use super::{BatchEntry, FULL_INDEX_BYTES, L0Body, L0Head, L0Kind, L0Record, ObjectExtent};
use crate::object::{Body, Key};
use crate::wal::{Group, RecordKind};

/// An object, ready to be created.
#[derive(Clone, Debug)]
pub struct L0Object {
    pub key: Key,
    pub body: Body,
    /// By topic number and partition.
    pub extents: Vec<ObjectExtent>,
}

/// How large an object gets, counted while its range grows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct L0Size {
    pub data_bytes: u64,
    /// Index and meta section together: what recovery reads.
    pub tail_bytes: u64,
}

impl L0Size {
    /// Counts a batch and its claims.
    pub fn add_data(&mut self, batch_bytes: usize, claims_bytes: usize) {
        self.data_bytes += batch_bytes as u64;
        self.tail_bytes += (ENTRY_BYTES + META_HEAD_BYTES + claims_bytes) as u64;
    }

    /// Counts a META record.
    pub fn add_meta(&mut self, bytes: usize) {
        self.tail_bytes += (META_HEAD_BYTES + bytes) as u64;
    }

    /// Counts all the records of a group of the write-ahead log.
    pub fn of_group(group: &Group<'_>) -> Self {
        let mut size = Self::default();
        for record in group.records() {
            match record.kind {
                RecordKind::Meta => size.add_meta(record.body.len()),
                RecordKind::Data => size.add_data(record.body.len(), record.ext.len()),
            }
        }
        size
    }

    /// Whether the object should be closed, given the size that objects should have.
    pub fn is_full(&self, object_bytes: u64) -> bool {
        self.data_bytes >= object_bytes || self.tail_bytes >= FULL_INDEX_BYTES
    }
}

impl std::ops::AddAssign for L0Size {
    fn add_assign(&mut self, other: Self) {
        self.data_bytes += other.data_bytes;
        self.tail_bytes += other.tail_bytes;
    }
}

#[derive(Default)]
struct Lane {
    topic_id: [u8; 16],
    batches: Vec<Bytes>,
    entries: Vec<BatchEntry>,
}

/// Builds the object of `head` from its records in the order of the log.
///
/// # Panics
/// The records of a log object are not exactly those of its range: a bug that must not be stored.
pub fn build(head: &L0Head, records: impl IntoIterator<Item = L0Record>) -> L0Object {
    let mut lanes: BTreeMap<(u32, u32), Lane> = BTreeMap::new();
    let mut meta = Vec::new();
    let mut next_lsn = head.first_lsn;
    for record in records {
        let follows = match head.kind {
            L0Kind::Log => record.lsn == next_lsn,
            L0Kind::Data => record.lsn >= next_lsn,
        };
        assert!(follows, "record {} where {next_lsn} is next", record.lsn);
        next_lsn = record.lsn + 1;
        match record.body {
            L0Body::Meta(body) => {
                let entry = MetaEntry::Meta(body);
                format::write_meta(&mut meta, head.first_lsn, record.lsn, &entry);
            }
            L0Body::Data {
                topic,
                topic_id,
                partition,
                flags,
                header,
                batch,
                claims,
            } => {
                assert_eq!(
                    batch.len(),
                    header.total_bytes(),
                    "the header is the batch's"
                );
                if !claims.is_empty() {
                    let entry = MetaEntry::Claims(claims);
                    format::write_meta(&mut meta, head.first_lsn, record.lsn, &entry);
                }
                let lane = lanes.entry((topic, partition)).or_default();
                lane.topic_id = topic_id;
                lane.batches.push(batch);
                // The position is known when all partitions before this one are.
                lane.entries.push(BatchEntry {
                    lsn: record.lsn,
                    flags,
                    header,
                    position: 0,
                });
            }
        }
    }
    assert!(
        head.kind == L0Kind::Data || next_lsn == head.last_lsn + 1,
        "the range ends at {}, its records at {next_lsn}",
        head.last_lsn
    );
    assemble(head, lanes, meta)
}

fn assemble(head: &L0Head, mut lanes: BTreeMap<(u32, u32), Lane>, meta: Vec<u8>) -> L0Object {
    let data: u64 = lanes
        .values()
        .flat_map(|lane| &lane.batches)
        .map(|b| b.len() as u64)
        .sum();
    let batches: usize = lanes.values().map(|lane| lane.entries.len()).sum();
    let index_bytes = lanes.len() * BLOCK_HEAD_BYTES + batches * ENTRY_BYTES;
    let sizes = Sizes {
        data,
        meta: meta.len() as u64,
        index: index_bytes as u64,
    };

    let mut parts = vec![Bytes::from(format::write_header(head, &sizes))];
    let mut index = Vec::with_capacity(index_bytes);
    let mut extents = Vec::with_capacity(lanes.len());
    let mut position = HEADER_BYTES as u64;
    for ((topic, partition), lane) in &mut lanes {
        let data_position = position;
        for entry in &mut lane.entries {
            entry.position = position;
            position += entry.length();
        }
        parts.append(&mut lane.batches);
        let extent = ObjectExtent {
            topic: *topic,
            partition: *partition,
            first_offset: lane.entries.first().map_or(0, BatchEntry::base_offset),
            last_offset: lane.entries.last().map_or(0, BatchEntry::last_offset),
            bytes: position - data_position,
            max_timestamp: lane
                .entries
                .iter()
                .map(|e| e.header.max_timestamp)
                .max()
                .unwrap_or(-1),
            data_position,
            index_position: sizes.index_position() + index.len() as u64,
            batches: u32::try_from(lane.entries.len()).expect("far fewer than 2^32 batches"),
            first_lsn: lane.entries.first().map_or(0, |entry| entry.lsn),
        };
        debug_assert_eq!(format::check_cover(&extent, &lane.entries), Ok(()));
        format::write_block(&mut index, &extent, lane.topic_id, &lane.entries);
        extents.push(extent);
    }
    let footer = Footer {
        put_id: head.put_id,
        sizes,
        meta_crc: crc32c::crc32c(&meta),
        index_crc: crc32c::crc32c(&index),
        partitions: u32::try_from(extents.len()).expect("far fewer than 2^32 partitions"),
        batches: u32::try_from(batches).expect("far fewer than 2^32 batches"),
    };
    parts.extend([meta, index, footer.write()].map(Bytes::from));
    let key = match head.kind {
        L0Kind::Log => Key::Log(head.number),
        L0Kind::Data => Key::Data(head.number),
    };
    L0Object {
        key,
        body: Body::new(parts, 0..HEADER_BYTES as u64),
        extents,
    }
}
