//! Reads objects back, in pieces of known size, and believes nothing that its checksum does not say.

use bytes::Bytes;

use super::format::{self, Block, FOOTER_BYTES, Footer, HEADER_BYTES, MetaEntry, Sizes, Wrong};
use super::{BatchEntry, L0Head, L0Kind, L0Tail, ObjectExtent, ReplayRecord};
use crate::object::{Key, ObjectError, Objects};

/// The largest index and meta section that is read. An object is closed at 8 MiB of index; the last
/// group adds at most a few more.
const MAX_TAIL_BYTES: u64 = 64 * 1024 * 1024;

/// Reads who wrote an object and which range it covers.
///
/// # Errors
/// `NotFound`, `Corrupt`, `Unavailable`.
pub async fn read_head(objects: &Objects, key: Key) -> Result<L0Head, ObjectError> {
    Ok(header(objects, key).await?.0)
}

/// Reads everything of an object but the payload.
///
/// # Errors
/// `NotFound`, `Corrupt`, `Unavailable`.
pub async fn read_tail(objects: &Objects, key: Key) -> Result<L0Tail, ObjectError> {
    let (head, sizes) = header(objects, key).await?;
    let start = sizes.meta_position();
    let end = start + sizes.meta + sizes.index + FOOTER_BYTES as u64;
    let (tail, _) = objects.get(key, start..end).await?;
    parse_tail(head, sizes, &tail).map_err(|what| ObjectError::Corrupt { key, what })
}

/// Reads the index of one extent.
///
/// # Errors
/// `NotFound`, `Corrupt`, `Unavailable`.
pub async fn read_batch_index(
    objects: &Objects,
    key: Key,
    extent: &ObjectExtent,
) -> Result<Vec<BatchEntry>, ObjectError> {
    Ok(read_section(objects, key, extent).await?.1)
}

/// Reads the id of an extent's topic and its index.
///
/// # Errors
/// `NotFound`, `Corrupt`, `Unavailable`.
pub async fn read_section(
    objects: &Objects,
    key: Key,
    extent: &ObjectExtent,
) -> Result<([u8; 16], Vec<BatchEntry>), ObjectError> {
    let corrupt = |what| ObjectError::Corrupt { key, what };
    let length = format::block_bytes(extent.batches) as u64;
    if length > MAX_TAIL_BYTES {
        return Err(corrupt("an impossible index"));
    }
    let end = extent
        .index_position
        .checked_add(length)
        .ok_or(corrupt("an impossible index"))?;
    let (block, _) = objects.get(key, extent.index_position..end).await?;
    let block = format::parse_block(&block, extent.index_position).map_err(corrupt)?;
    if block.extent != *extent {
        return Err(corrupt("its index is of another extent"));
    }
    Ok((block.topic_id, block.entries))
}

/// Reads batches that lie next to each other, and checks each against its header in the index.
///
/// The caller bounds how much that is.
///
/// # Errors
/// `NotFound`, `Corrupt`, `Unavailable`.
pub async fn read_batches(
    objects: &Objects,
    key: Key,
    entries: &[BatchEntry],
) -> Result<Vec<Bytes>, ObjectError> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Ok(Vec::new());
    };
    let (mut bytes, _) = objects.get(key, first.position..last.range().end).await?;
    let corrupt = |what| ObjectError::Corrupt { key, what };
    let mut batches = Vec::with_capacity(entries.len());
    let mut position = first.position;
    for entry in entries {
        let length = entry.header.total_bytes();
        if entry.position != position || bytes.len() < length {
            return Err(corrupt("a batch out of place"));
        }
        position += length as u64;
        let batch = bytes.split_to(length);
        match crate::batch::validate(&batch) {
            Ok(header) if header == entry.header => batches.push(batch),
            _ => return Err(corrupt("a damaged batch")),
        }
    }
    Ok(batches)
}

async fn header(objects: &Objects, key: Key) -> Result<(L0Head, Sizes), ObjectError> {
    let corrupt = |what| ObjectError::Corrupt { key, what };
    let (bytes, size) = objects.get(key, 0..HEADER_BYTES as u64).await?;
    let (head, sizes) = format::parse_header(&bytes).map_err(corrupt)?;
    let named = match head.kind {
        L0Kind::Log => Key::Log(head.number),
        L0Kind::Data => Key::Data(head.number),
    };
    if named != key {
        return Err(corrupt("another object's bytes"));
    }
    if sizes.object() != Some(size) {
        return Err(corrupt("its size is wrong"));
    }
    if sizes.meta + sizes.index > MAX_TAIL_BYTES {
        return Err(corrupt("an impossible index"));
    }
    Ok((head, sizes))
}

fn parse_tail(head: L0Head, sizes: Sizes, tail: &Bytes) -> Result<L0Tail, Wrong> {
    let meta_bytes = usize::try_from(sizes.meta).map_err(|_| "an impossible index")?;
    let index_bytes = usize::try_from(sizes.index).map_err(|_| "an impossible index")?;
    let meta = tail.slice(..meta_bytes);
    let index = tail.slice(meta_bytes..meta_bytes + index_bytes);
    let footer = Footer::parse(&tail[meta_bytes + index_bytes..], &head, sizes)?;
    if crc32c::crc32c(&meta) != footer.meta_crc || crc32c::crc32c(&index) != footer.index_crc {
        return Err("wrong checksum of index or meta section");
    }
    let blocks = parse_index(&index, &sizes)?;
    let batches: usize = blocks.iter().map(|block| block.entries.len()).sum();
    if blocks.len() != footer.partitions as usize || batches != footer.batches as usize {
        return Err("the index contradicts itself");
    }
    let meta = format::parse_meta(meta, head.first_lsn)?;
    let extents = blocks.iter().map(|block| block.extent.clone()).collect();
    let replay = in_log_order(&head, blocks, meta)?;
    Ok(L0Tail {
        head,
        replay,
        extents,
    })
}

fn parse_index(index: &[u8], sizes: &Sizes) -> Result<Vec<Block>, Wrong> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut at = 0;
    let mut data_position = HEADER_BYTES as u64;
    while at < index.len() {
        let block = format::parse_block(&index[at..], sizes.index_position() + at as u64)?;
        let place = (block.extent.topic, block.extent.partition);
        let sorted = blocks
            .last()
            .is_none_or(|b| (b.extent.topic, b.extent.partition) < place);
        if !sorted || block.extent.data_position != data_position {
            return Err("partitions out of order");
        }
        data_position += block.extent.bytes;
        at += format::block_bytes(block.extent.batches);
        blocks.push(block);
    }
    if data_position != sizes.meta_position() {
        return Err("the index does not cover the data");
    }
    Ok(blocks)
}

/// Puts batches, their claims and META records back into the order of the log.
fn in_log_order(
    head: &L0Head,
    blocks: Vec<Block>,
    meta: Vec<(u64, MetaEntry)>,
) -> Result<Vec<(u64, ReplayRecord)>, Wrong> {
    let mut replay = Vec::new();
    let mut claims = Vec::new();
    for (lsn, entry) in meta {
        match entry {
            MetaEntry::Meta(body) => replay.push((lsn, ReplayRecord::Meta(body))),
            MetaEntry::Claims(body) => claims.push((lsn, body)),
        }
    }
    for block in blocks {
        let (topic, partition) = (block.extent.topic, block.extent.partition);
        replay.extend(block.entries.into_iter().map(|entry| {
            let (header, claims) = (entry.header, Bytes::new());
            (
                entry.lsn,
                ReplayRecord::Data {
                    topic,
                    partition,
                    header,
                    claims,
                },
            )
        }));
    }
    replay.sort_by_key(|(lsn, _)| *lsn);
    let strictly = replay.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let inside = replay
        .iter()
        .all(|(lsn, _)| (head.first_lsn..=head.last_lsn).contains(lsn));
    let count = head.last_lsn - head.first_lsn + 1;
    if !strictly || !inside || head.kind == L0Kind::Log && replay.len() as u64 != count {
        return Err("records are missing or doubled");
    }
    for (of, body) in claims {
        let at = replay.binary_search_by_key(&of, |(lsn, _)| *lsn);
        match at.ok().map(|at| &mut replay[at].1) {
            Some(ReplayRecord::Data { claims, .. }) if claims.is_empty() => *claims = body,
            _ => return Err("claims without a batch"),
        }
    }
    Ok(replay)
}
