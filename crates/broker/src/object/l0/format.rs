//! The bytes of an object. Stored format, stable: format 1, numbers little endian.
//!
//! ```text
//! header 160 B  magic "TGL0OBJ\0", format u32, kind u32 (1 log, 2 rewritten), put_id [16],
//!               cluster_id [16], epoch u32, zero u32, number u64, first_lsn u64, last_lsn u64,
//!               first_group u64, last_group u64, data_bytes u64, meta_bytes u64, index_bytes u64,
//!               key_id [16], nonce [12] (both zero: not encrypted), zero u64, crc u32 of all before
//! data          the batches of each partition back to back, partitions in ascending order
//! meta section  in the order of the log: kind u32 (1 META, 2 claims of a batch), lsn_delta u32
//!               (from first_lsn), length u32, then the bytes
//! index         for each partition a block: head 96 B, then an entry of 80 B for each batch
//!   head        topic u32, partition u32, topic_id [16], first_offset i64, last_offset i64,
//!               first_lsn u64, data_position u64, data_bytes u64, max_timestamp i64, batches u32,
//!               zero [16], crc u32 of the block without these four bytes
//!   entry       lsn u64, position u64, base_offset i64, base_timestamp i64, max_timestamp i64,
//!               producer_id i64, batch_length i32, leader_epoch i32, crc u32,
//!               last_offset_delta i32, base_sequence i32, record_count i32, attributes i16,
//!               producer_epoch i16, magic i8, flags u8, zero u16
//! footer 64 B   put_id [16], meta_position u64, index_position u64, meta_crc u32, index_crc u32,
//!               partitions u32, batches u32, zero u32, crc u32 of all before, magic "TGL0END\0"
//! ```
//! Payloads have no checksum of ours: a batch carries its own, and its header here repeats it.

use bytes::{Buf, BufMut, Bytes};

use super::{BatchEntry, L0Head, L0Kind, ObjectExtent};
use crate::batch::{BatchHeader, HEADER_BYTES as BATCH_HEADER_BYTES};

pub(super) const HEADER_BYTES: usize = 160;
pub(super) const FOOTER_BYTES: usize = 64;
pub(super) const BLOCK_HEAD_BYTES: usize = 96;
pub(super) const ENTRY_BYTES: usize = 80;
pub(super) const META_HEAD_BYTES: usize = 12;

const MAGIC: &[u8; 8] = b"TGL0OBJ\0";
const END_MAGIC: &[u8; 8] = b"TGL0END\0";
const FORMAT: u32 = 1;
/// Key id and nonce.
const SEALED_BYTES: usize = 16 + 12;
const KIND_META: u32 = 1;
const KIND_CLAIMS: u32 = 2;

/// What is wrong with the bytes.
pub(super) type Wrong = &'static str;

/// The sizes of the parts between header and footer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sizes {
    pub(super) data: u64,
    pub(super) meta: u64,
    pub(super) index: u64,
}

impl Sizes {
    pub(super) fn meta_position(&self) -> u64 {
        HEADER_BYTES as u64 + self.data
    }

    pub(super) fn index_position(&self) -> u64 {
        self.meta_position() + self.meta
    }

    /// The whole object's size; `None` if no object can be so large.
    pub(super) fn object(&self) -> Option<u64> {
        (HEADER_BYTES as u64 + FOOTER_BYTES as u64)
            .checked_add(self.data)?
            .checked_add(self.meta)?
            .checked_add(self.index)
    }
}

pub(super) fn write_header(head: &L0Head, sizes: &Sizes) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.put_slice(MAGIC);
    bytes.put_u32_le(FORMAT);
    bytes.put_u32_le(match head.kind {
        L0Kind::Log => 1,
        L0Kind::Data => 2,
    });
    bytes.put_slice(&head.put_id);
    bytes.put_slice(&head.cluster_id);
    bytes.put_u32_le(head.epoch);
    bytes.put_u32_le(0);
    for number in [
        head.number,
        head.first_lsn,
        head.last_lsn,
        head.first_group,
        head.last_group,
        sizes.data,
        sizes.meta,
        sizes.index,
    ] {
        bytes.put_u64_le(number);
    }
    bytes.put_bytes(0, SEALED_BYTES + 8);
    bytes.put_u32_le(crc32c::crc32c(&bytes));
    debug_assert_eq!(bytes.len(), HEADER_BYTES);
    bytes
}

pub(super) fn parse_header(bytes: &[u8]) -> Result<(L0Head, Sizes), Wrong> {
    let mut rest = bytes.get(..HEADER_BYTES).ok_or("it ends too early")?;
    if !rest.starts_with(MAGIC) {
        return Err("no object of the log");
    }
    let (covered, mut crc) = rest.split_at(HEADER_BYTES - 4);
    if crc32c::crc32c(covered) != crc.get_u32_le() {
        return Err("wrong checksum of the header");
    }
    rest.advance(MAGIC.len());
    if rest.get_u32_le() != FORMAT {
        return Err("written by a newer version");
    }
    let kind = match rest.get_u32_le() {
        1 => L0Kind::Log,
        2 => L0Kind::Data,
        _ => return Err("of an unknown kind"),
    };
    let put_id = take_id(&mut rest);
    let cluster_id = take_id(&mut rest);
    let epoch = rest.get_u32_le();
    rest.advance(4);
    let head = L0Head {
        kind,
        cluster_id,
        put_id,
        epoch,
        number: rest.get_u64_le(),
        first_lsn: rest.get_u64_le(),
        last_lsn: rest.get_u64_le(),
        first_group: rest.get_u64_le(),
        last_group: rest.get_u64_le(),
    };
    let sizes = Sizes {
        data: rest.get_u64_le(),
        meta: rest.get_u64_le(),
        index: rest.get_u64_le(),
    };
    if rest[..SEALED_BYTES].iter().any(|byte| *byte != 0) {
        return Err("encrypted, which this version cannot read");
    }
    if head.first_lsn > head.last_lsn || head.first_group > head.last_group {
        return Err("an impossible range");
    }
    Ok((head, sizes))
}

/// What the footer adds to the header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Footer {
    pub(super) put_id: [u8; 16],
    pub(super) sizes: Sizes,
    pub(super) meta_crc: u32,
    pub(super) index_crc: u32,
    pub(super) partitions: u32,
    pub(super) batches: u32,
}

impl Footer {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.put_slice(&self.put_id);
        bytes.put_u64_le(self.sizes.meta_position());
        bytes.put_u64_le(self.sizes.index_position());
        bytes.put_u32_le(self.meta_crc);
        bytes.put_u32_le(self.index_crc);
        bytes.put_u32_le(self.partitions);
        bytes.put_u32_le(self.batches);
        bytes.put_u32_le(0);
        bytes.put_u32_le(crc32c::crc32c(&bytes));
        bytes.put_slice(END_MAGIC);
        debug_assert_eq!(bytes.len(), FOOTER_BYTES);
        bytes
    }

    /// Parses the footer of the object with this header.
    pub(super) fn parse(bytes: &[u8], head: &L0Head, sizes: Sizes) -> Result<Self, Wrong> {
        let mut rest = bytes.get(..FOOTER_BYTES).ok_or("it ends too early")?;
        let (covered, mut end) = rest.split_at(FOOTER_BYTES - 12);
        if end.get_u32_le() != crc32c::crc32c(covered) || end != END_MAGIC {
            return Err("wrong checksum of the footer");
        }
        let put_id = take_id(&mut rest);
        let positions = (rest.get_u64_le(), rest.get_u64_le());
        if put_id != head.put_id || positions != (sizes.meta_position(), sizes.index_position()) {
            return Err("its footer belongs to another object");
        }
        Ok(Self {
            put_id,
            sizes,
            meta_crc: rest.get_u32_le(),
            index_crc: rest.get_u32_le(),
            partitions: rest.get_u32_le(),
            batches: rest.get_u32_le(),
        })
    }
}

/// Appends an entry of the meta section.
pub(super) fn write_meta(into: &mut Vec<u8>, first_lsn: u64, lsn: u64, entry: &MetaEntry) {
    let (kind, bytes) = match entry {
        MetaEntry::Meta(bytes) => (KIND_META, bytes),
        MetaEntry::Claims(bytes) => (KIND_CLAIMS, bytes),
    };
    let delta = lsn
        .checked_sub(first_lsn)
        .and_then(|delta| u32::try_from(delta).ok());
    into.put_u32_le(kind);
    into.put_u32_le(delta.expect("an object holds far fewer than 2^32 records"));
    into.put_u32_le(u32::try_from(bytes.len()).expect("a record is far smaller than 4 GiB"));
    into.put_slice(bytes);
}

/// An entry of the meta section.
pub(super) enum MetaEntry {
    Meta(Bytes),
    Claims(Bytes),
}

/// Parses the meta section, whose checksum was right.
pub(super) fn parse_meta(
    mut section: Bytes,
    first_lsn: u64,
) -> Result<Vec<(u64, MetaEntry)>, Wrong> {
    let mut entries = Vec::new();
    while !section.is_empty() {
        if section.len() < META_HEAD_BYTES {
            return Err("a cut entry of the meta section");
        }
        let kind = section.get_u32_le();
        let lsn = first_lsn
            .checked_add(section.get_u32_le().into())
            .ok_or("an impossible lsn")?;
        let length = section.get_u32_le() as usize;
        if section.len() < length {
            return Err("a cut entry of the meta section");
        }
        let bytes = section.split_to(length);
        entries.push((
            lsn,
            match kind {
                KIND_META => MetaEntry::Meta(bytes),
                KIND_CLAIMS => MetaEntry::Claims(bytes),
                _ => return Err("a record of unknown kind: written by a newer version"),
            },
        ));
    }
    Ok(entries)
}

/// Writes the index block of one partition.
pub(super) fn write_block(
    into: &mut Vec<u8>,
    extent: &ObjectExtent,
    topic_id: [u8; 16],
    entries: &[BatchEntry],
) {
    let start = into.len();
    into.put_u32_le(extent.topic);
    into.put_u32_le(extent.partition);
    into.put_slice(&topic_id);
    into.put_i64_le(extent.first_offset);
    into.put_i64_le(extent.last_offset);
    into.put_u64_le(extent.first_lsn);
    into.put_u64_le(extent.data_position);
    into.put_u64_le(extent.bytes);
    into.put_i64_le(extent.max_timestamp);
    into.put_u32_le(extent.batches);
    into.put_bytes(0, 16);
    let crc_at = into.len();
    into.put_u32_le(0);
    debug_assert_eq!(into.len() - start, BLOCK_HEAD_BYTES);
    for entry in entries {
        write_entry(into, entry);
    }
    let crc = block_crc(&into[start..]);
    into[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
}

fn block_crc(block: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&block[..BLOCK_HEAD_BYTES - 4]);
    crc32c::crc32c_append(crc, &block[BLOCK_HEAD_BYTES..])
}

fn write_entry(into: &mut Vec<u8>, entry: &BatchEntry) {
    let header = &entry.header;
    into.put_u64_le(entry.lsn);
    into.put_u64_le(entry.position);
    into.put_i64_le(header.base_offset);
    into.put_i64_le(header.base_timestamp);
    into.put_i64_le(header.max_timestamp);
    into.put_i64_le(header.producer_id);
    into.put_i32_le(header.batch_length);
    into.put_i32_le(header.leader_epoch);
    into.put_u32_le(header.crc);
    into.put_i32_le(header.last_offset_delta);
    into.put_i32_le(header.base_sequence);
    into.put_i32_le(header.record_count);
    into.put_i16_le(header.attributes);
    into.put_i16_le(header.producer_epoch);
    into.put_i8(header.magic);
    into.put_u8(entry.flags);
    into.put_u16_le(0);
}

fn parse_entry(mut bytes: &[u8]) -> BatchEntry {
    let (lsn, position) = (bytes.get_u64_le(), bytes.get_u64_le());
    let (base_offset, base_timestamp) = (bytes.get_i64_le(), bytes.get_i64_le());
    let (max_timestamp, producer_id) = (bytes.get_i64_le(), bytes.get_i64_le());
    let (batch_length, leader_epoch) = (bytes.get_i32_le(), bytes.get_i32_le());
    let crc = bytes.get_u32_le();
    let (last_offset_delta, base_sequence) = (bytes.get_i32_le(), bytes.get_i32_le());
    let record_count = bytes.get_i32_le();
    let (attributes, producer_epoch) = (bytes.get_i16_le(), bytes.get_i16_le());
    let (magic, flags) = (bytes.get_i8(), bytes.get_u8());
    let header = BatchHeader {
        base_offset,
        batch_length,
        leader_epoch,
        magic,
        crc,
        attributes,
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    };
    BatchEntry {
        lsn,
        flags,
        header,
        position,
    }
}

/// One partition's part of the index.
pub(super) struct Block {
    pub(super) extent: ObjectExtent,
    pub(super) topic_id: [u8; 16],
    pub(super) entries: Vec<BatchEntry>,
}

/// Parses the block at the front of `bytes`, which stands at `index_position` in the object.
///
/// Batches follow each other without gap in bytes and without overlap in offsets.
pub(super) fn parse_block(bytes: &[u8], index_position: u64) -> Result<Block, Wrong> {
    let mut rest = bytes.get(..BLOCK_HEAD_BYTES).ok_or("a cut index")?;
    let (topic, partition) = (rest.get_u32_le(), rest.get_u32_le());
    let topic_id = take_id(&mut rest);
    let (first_offset, last_offset) = (rest.get_i64_le(), rest.get_i64_le());
    let (first_lsn, data_position) = (rest.get_u64_le(), rest.get_u64_le());
    let (data_bytes, max_timestamp) = (rest.get_u64_le(), rest.get_i64_le());
    let batches = rest.get_u32_le();
    rest.advance(16);
    let block = bytes.get(..block_bytes(batches)).ok_or("a cut index")?;
    if rest.get_u32_le() != block_crc(block) {
        return Err("wrong checksum of the index");
    }
    let extent = ObjectExtent {
        topic,
        partition,
        first_offset,
        last_offset,
        bytes: data_bytes,
        max_timestamp,
        data_position,
        index_position,
        batches,
        first_lsn,
    };
    let entries: Vec<BatchEntry> = block[BLOCK_HEAD_BYTES..]
        .chunks_exact(ENTRY_BYTES)
        .map(parse_entry)
        .collect();
    check_cover(&extent, &entries)?;
    Ok(Block {
        extent,
        topic_id,
        entries,
    })
}

/// The size of the index block of a partition with so many batches.
pub(super) fn block_bytes(batches: u32) -> usize {
    BLOCK_HEAD_BYTES + ENTRY_BYTES * batches as usize
}

/// Checks that the batches are what the extent says, in offsets, bytes and order.
pub(super) fn check_cover(extent: &ObjectExtent, entries: &[BatchEntry]) -> Result<(), Wrong> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return Err("a partition without batches");
    };
    let mut position = extent.data_position;
    let mut before: Option<&BatchEntry> = None;
    for entry in entries {
        // A header that cannot be right would overflow the arithmetic that readers do with it.
        let header = &entry.header;
        let sane = header.base_offset >= 0
            && header.last_offset_delta >= 0
            && header
                .base_offset
                .checked_add(header.last_offset_delta.into())
                .is_some()
            && usize::try_from(header.batch_length)
                .is_ok_and(|length| length >= BATCH_HEADER_BYTES - 12);
        if !sane || entry.position != position {
            return Err("a batch out of place");
        }
        if before.is_some_and(|b| b.last_offset() >= header.base_offset || b.lsn >= entry.lsn) {
            return Err("batches out of order");
        }
        position = position
            .checked_add(entry.length())
            .ok_or("a batch out of place")?;
        before = Some(entry);
    }
    let bytes = position - extent.data_position;
    let cover = (
        first.base_offset(),
        last.last_offset(),
        first.lsn,
        bytes,
        entries.len(),
    );
    if cover
        != (
            extent.first_offset,
            extent.last_offset,
            extent.first_lsn,
            extent.bytes,
            extent.batches as usize,
        )
    {
        return Err("the index contradicts itself");
    }
    Ok(())
}

fn take_id(bytes: &mut &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    bytes.copy_to_slice(&mut id);
    id
}
