//! Copies what is left of an object that is mostly dead into an object of its own, so that the old
//! one can go.
//!
//! Batches are copied as bytes, each checked against its index and its CRC on the way. The new
//! object must cover the same offsets in as many batches, or it is not made.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::object::create::create;
use crate::object::l0::{self, L0Body, L0Head, L0Kind, L0Record, ObjectExtent};
use crate::object::{Key, ObjectError, Objects};
use crate::state::extents::{Extent, Extents, ObjectName};

/// How much is read at once. An object is at most some 70 MiB, and less than half of it is live.
const READ_BYTES: u64 = 8 * 1024 * 1024;

/// Picks the object whose rewriting frees most, `least_dead_bytes` at least: more than half dead, but
/// not wholly, and not among `except`.
pub(super) fn candidate(
    extents: &Extents,
    least_dead_bytes: u64,
    except: &BTreeMap<ObjectName, u64>,
) -> Option<ObjectName> {
    let dead = |name: &ObjectName| {
        let usage = extents.objects()[name];
        usage.data_bytes.saturating_sub(usage.live_bytes)
    };
    extents
        .objects()
        .iter()
        .filter(|(name, usage)| {
            let dead = dead(name);
            usage.live_bytes > 0
                && dead > usage.live_bytes
                && dead >= least_dead_bytes
                && !except.contains_key(name)
        })
        .map(|(name, _)| *name)
        .max_by_key(dead)
}

/// Copies the live extents of `old` into the object `new`, and returns where they are there.
///
/// # Errors
/// `Corrupt` (of the old object: nothing was made), `NotFound`, `Unexpected`; `Unavailable`: perhaps
/// made; do it again.
pub async fn rewrite(
    objects: &Objects,
    old: ObjectName,
    live: &[Extent],
    new: u64,
    cluster_id: [u8; 16],
    epoch: u32,
    put_id: [u8; 16],
) -> Result<Vec<ObjectExtent>, ObjectError> {
    let old = Key::from(old);
    let old_head = l0::read_head(objects, old).await?;
    let mut records = Vec::new();
    for extent in live {
        copy(objects, old, &extent.section, &mut records).await?;
    }
    records.sort_by_key(|record| record.lsn);
    let head = L0Head {
        kind: L0Kind::Data,
        number: new,
        cluster_id,
        epoch,
        put_id,
        ..old_head
    };
    let object = l0::build(&head, records);
    if !same_cover(live, &object.extents) {
        return Err(ObjectError::Corrupt {
            key: old,
            what: "a copy would cover other offsets",
        });
    }
    create(objects, object.key, &object.body).await?;
    Ok(object.extents)
}

async fn copy(
    objects: &Objects,
    old: Key,
    section: &ObjectExtent,
    records: &mut Vec<L0Record>,
) -> Result<(), ObjectError> {
    let (topic_id, mut entries) = l0::read_section(objects, old, section).await?;
    while !entries.is_empty() {
        let start = entries[0].position;
        let within = entries.partition_point(|entry| entry.range().end - start <= READ_BYTES);
        let rest = entries.split_off(within.max(1));
        for (entry, batch) in entries
            .iter()
            .zip(l0::read_batches(objects, old, &entries).await?)
        {
            records.push(L0Record {
                lsn: entry.lsn,
                body: L0Body::Data {
                    topic: section.topic,
                    topic_id,
                    partition: section.partition,
                    flags: entry.flags,
                    header: entry.header,
                    batch,
                    // What was claimed is in runs: only the log itself is ever replayed.
                    claims: Bytes::new(),
                },
            });
        }
        entries = rest;
    }
    Ok(())
}

/// Whether the new extents are the old ones in another place.
fn same_cover(live: &[Extent], new: &[ObjectExtent]) -> bool {
    let cover = |section: &ObjectExtent| {
        let place = (section.topic, section.partition, section.first_lsn);
        let offsets = (
            section.first_offset,
            section.last_offset,
            section.max_timestamp,
        );
        (place, offsets, section.bytes, section.batches)
    };
    let mut old: Vec<_> = live.iter().map(|extent| cover(&extent.section)).collect();
    old.sort_unstable();
    old == new.iter().map(cover).collect::<Vec<_>>()
}
