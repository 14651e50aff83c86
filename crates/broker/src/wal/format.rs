//! The bytes of the write-ahead log: segment headers, groups, records. Stable: a change is a new
//! format number, and the tests hold every byte.
//!
//! A segment is a header block and then groups back to back. A group is one device write: a header,
//! records, zeros up to the block. All numbers are little-endian. The group's `meta_crc` covers all
//! it holds but the payload of batches, which have a CRC of their own, so no payload is summed
//! twice. A group counts only with the salt of its segment's header and the number after its
//! predecessor's: what an earlier use of the segment left behind has an old salt.

use crate::env::BLOCK_BYTES;

/// The format this code writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// A group's header.
pub const GROUP_HEADER_BYTES: usize = 96;

/// A record's header.
pub const RECORD_HEADER_BYTES: usize = 32;

/// The largest group: what the sequencer seals at (4 MiB), and one more command.
pub const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// `TGWALSEG`
const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"TGWALSEG");

/// `TGGR`
const GROUP_MAGIC: u32 = u32::from_le_bytes(*b"TGGR");

/// The bytes of a batch that [`GroupHeader::meta_crc`] covers: its header, place and CRC included.
pub(super) const COVERED_BATCH_BYTES: usize = crate::batch::HEADER_BYTES;

/// Flags of a record.
pub mod flags {
    /// The batch's CRC is still to be computed; never stored.
    pub const CRC_PENDING: u8 = 1;
}

/// What a record is. 3 to 6 are reserved: begin and end of atomic groups of records, control, and
/// state of groups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordKind {
    /// A record batch, verbatim, with its claims.
    Data = 1,
    /// A command to the state.
    Meta = 2,
}

/// Why bytes are no segment header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SegmentHeaderError {
    #[error("the segment was never used")]
    Unused,
    #[error("the segment header is damaged")]
    Damaged,
    #[error("the segment has format {0}, newer than {FORMAT}")]
    Newer(u32),
}

/// The first block of a segment, written anew for each use of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SegmentHeader {
    pub cluster_id: [u8; 16],
    /// The order in which segments were begun.
    pub sequence: u64,
    /// The first group of this use. From it on, segments begun earlier do not count.
    pub first_group: u64,
    /// Random; repeated in every group.
    pub salt: u64,
    /// The epoch that began the segment.
    pub epoch: u32,
}

impl SegmentHeader {
    /// Encodes the block.
    pub fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        block[0..8].copy_from_slice(&SEGMENT_MAGIC.to_le_bytes());
        block[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        block[16..32].copy_from_slice(&self.cluster_id);
        block[32..40].copy_from_slice(&self.sequence.to_le_bytes());
        block[40..48].copy_from_slice(&self.first_group.to_le_bytes());
        block[48..56].copy_from_slice(&self.salt.to_le_bytes());
        block[56..60].copy_from_slice(&self.epoch.to_le_bytes());
        let crc = segment_crc(&block);
        block[12..16].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Decodes the block. Magic, format and CRC stand where they stand in every format to come.
    ///
    /// # Errors
    /// Each variant of [`SegmentHeaderError`] says which.
    pub fn decode(block: &[u8; BLOCK_BYTES]) -> Result<Self, SegmentHeaderError> {
        if block.iter().all(|byte| *byte == 0) {
            return Err(SegmentHeaderError::Unused);
        }
        let magic_is_right = u64_at(block, 0) == SEGMENT_MAGIC;
        if !magic_is_right || u32_at(block, 12) != segment_crc(block) {
            return Err(SegmentHeaderError::Damaged);
        }
        match u32_at(block, 8) {
            FORMAT => {}
            newer => return Err(SegmentHeaderError::Newer(newer)),
        }
        Ok(Self {
            cluster_id: array_at(block, 16),
            sequence: u64_at(block, 32),
            first_group: u64_at(block, 40),
            salt: u64_at(block, 48),
            epoch: u32_at(block, 56),
        })
    }
}

fn segment_crc(block: &[u8; BLOCK_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block[..12]), &block[16..])
}

/// Why bytes are no group.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GroupError {
    #[error("there is no group header")]
    NoHeader,
    #[error("the group is cut short")]
    Cut,
    #[error("the group's records are damaged")]
    Damaged,
    #[error("the batch of record {0} is damaged")]
    BatchDamaged(u64),
    #[error("the group has record kind {kind} with flags {flags}, unknown to this version")]
    Unknown { kind: u8, flags: u8 },
}

/// What a group says of itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GroupHeader {
    pub salt: u64,
    pub group_no: u64,
    /// The last group that was durable, with all before it, when this one was sealed.
    pub committed_no: u64,
    /// The number of the first record; of the next one, if there is none.
    pub first_lsn: u64,
    /// When it was sealed, in milliseconds since 1970 (UTC).
    pub wall_ms: i64,
    pub epoch: u32,
    pub records: u32,
    pub body_bytes: u32,
    /// CRC-32C over all record headers, extensions and commands, and the first 61 bytes of batches.
    pub meta_crc: u32,
}

impl GroupHeader {
    /// Decodes a header, checking its CRC and that its sizes are possible.
    ///
    /// # Errors
    /// [`GroupError::NoHeader`].
    pub fn decode(bytes: &[u8]) -> Result<Self, GroupError> {
        let bytes: &[u8; GROUP_HEADER_BYTES] = bytes
            .get(..GROUP_HEADER_BYTES)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(GroupError::NoHeader)?;
        let crc = crc32c::crc32c(&bytes[8..]);
        if u32_at(bytes, 0) != GROUP_MAGIC || u32_at(bytes, 4) != crc {
            return Err(GroupError::NoHeader);
        }
        let header = Self {
            salt: u64_at(bytes, 8),
            group_no: u64_at(bytes, 16),
            committed_no: u64_at(bytes, 24),
            first_lsn: u64_at(bytes, 32),
            wall_ms: i64::from_le_bytes(array_at(bytes, 40)),
            epoch: u32_at(bytes, 48),
            records: u32_at(bytes, 52),
            body_bytes: u32_at(bytes, 56),
            meta_crc: u32_at(bytes, 60),
        };
        let possible = header.body_bytes as usize <= MAX_GROUP_BYTES - GROUP_HEADER_BYTES
            && header.records as usize <= header.body_bytes as usize / RECORD_HEADER_BYTES;
        if possible {
            Ok(header)
        } else {
            Err(GroupError::NoHeader)
        }
    }

    /// Writes the header to the front of `bytes`.
    pub(super) fn encode(&self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..GROUP_HEADER_BYTES];
        bytes.fill(0);
        bytes[0..4].copy_from_slice(&GROUP_MAGIC.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.salt.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.group_no.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.committed_no.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_lsn.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.wall_ms.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.records.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[60..64].copy_from_slice(&self.meta_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// Returns what the group takes on disk, padding included.
    pub fn padded_bytes(&self) -> usize {
        padded(GROUP_HEADER_BYTES + self.body_bytes as usize)
    }

    /// Returns the number of the first record after this group.
    pub fn next_lsn(&self) -> u64 {
        self.first_lsn.saturating_add(u64::from(self.records))
    }
}

/// Rounds up to a whole block.
pub(super) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

/// The 32 bytes in front of a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RecordHeader {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) topic: u32,
    pub(super) partition: u32,
    pub(super) ext_bytes: u32,
    pub(super) body_bytes: u32,
    pub(super) lsn_delta: u32,
}

impl RecordHeader {
    pub(super) fn encode(&self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..RECORD_HEADER_BYTES];
        bytes.fill(0);
        bytes[0] = self.kind;
        bytes[1] = self.flags;
        // 2..4: a shard, should one sequencer not be enough one day.
        bytes[4..8].copy_from_slice(&self.topic.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.partition.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.ext_bytes.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.lsn_delta.to_le_bytes());
    }

    pub(super) fn decode(bytes: &[u8; RECORD_HEADER_BYTES]) -> Self {
        Self {
            kind: bytes[0],
            flags: bytes[1],
            topic: u32_at(bytes, 4),
            partition: u32_at(bytes, 8),
            ext_bytes: u32_at(bytes, 12),
            body_bytes: u32_at(bytes, 16),
            lsn_delta: u32_at(bytes, 20),
        }
    }

    /// How many bytes of the body the group's own CRC covers.
    pub(super) fn covered_body_bytes(&self) -> usize {
        if self.kind == RecordKind::Data as u8 {
            COVERED_BATCH_BYTES.min(self.body_bytes as usize)
        } else {
            self.body_bytes as usize
        }
    }
}

/// A record as it stands in a group.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    pub lsn: u64,
    pub kind: RecordKind,
    pub topic: u32,
    pub partition: u32,
    /// Claims, for data.
    pub ext: &'a [u8],
    /// The batch or the command.
    pub body: &'a [u8],
    /// Where the body begins in the group.
    pub body_position: u32,
}

/// A group whose every byte was checked.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    header: GroupHeader,
    bytes: &'a [u8],
}

impl<'a> Group<'a> {
    /// Returns what the group says of itself.
    pub fn header(&self) -> &GroupHeader {
        &self.header
    }

    /// Returns the records in order.
    pub fn records(&self) -> impl Iterator<Item = RawRecord<'a>> + use<'a> {
        let Self { header, bytes } = *self;
        let mut position = GROUP_HEADER_BYTES;
        (0..header.records).map(move |_| {
            let record = record_at(bytes, position).expect("every record was checked");
            position = record.end;
            RawRecord {
                lsn: header.first_lsn + u64::from(record.header.lsn_delta),
                kind: record.kind.expect("every kind was checked"),
                topic: record.header.topic,
                partition: record.header.partition,
                ext: record.ext,
                body: record.body,
                body_position: position_in_group(record.end - record.body.len()),
            }
        })
    }
}

/// Checks a group, its batches' own CRCs included. Whether it belongs here, by salt and number, is
/// for the caller to say.
///
/// # Errors
/// [`GroupError::Unknown`] if all is whole, but of a kind that this version does not know.
pub fn parse_group(bytes: &[u8]) -> Result<Group<'_>, GroupError> {
    let header = GroupHeader::decode(bytes)?;
    let end = GROUP_HEADER_BYTES + header.body_bytes as usize;
    let bytes = bytes.get(..end).ok_or(GroupError::Cut)?;
    let mut position = GROUP_HEADER_BYTES;
    let mut crc = 0;
    let mut unknown = None;
    let mut batch_damaged = None;
    for delta in 0..header.records {
        let record = record_at(bytes, position).ok_or(GroupError::Damaged)?;
        let body_start = record.end - record.body.len();
        let covered = body_start + record.header.covered_body_bytes();
        crc = crc32c::crc32c_append(crc, &bytes[position..covered]);
        if record.header.lsn_delta != delta {
            return Err(GroupError::Damaged);
        }
        match record.kind {
            Some(kind) if record.header.flags == 0 => {
                if kind == RecordKind::Data && !batch_is_whole(record.body) {
                    batch_damaged.get_or_insert(header.first_lsn + u64::from(delta));
                }
            }
            _ => {
                let RecordHeader { kind, flags, .. } = record.header;
                unknown.get_or_insert(GroupError::Unknown { kind, flags });
            }
        }
        position = record.end;
    }
    if position != end || crc != header.meta_crc {
        return Err(GroupError::Damaged);
    }
    if let Some(unknown) = unknown {
        return Err(unknown);
    }
    match batch_damaged {
        Some(lsn) => Err(GroupError::BatchDamaged(lsn)),
        None => Ok(Group { header, bytes }),
    }
}

struct RecordAt<'a> {
    header: RecordHeader,
    kind: Option<RecordKind>,
    ext: &'a [u8],
    body: &'a [u8],
    end: usize,
}

fn record_at(bytes: &[u8], position: usize) -> Option<RecordAt<'_>> {
    let (header, rest) = bytes.get(position..)?.split_first_chunk()?;
    let header = RecordHeader::decode(header);
    let (ext, rest) = rest.split_at_checked(header.ext_bytes as usize)?;
    let body = rest.get(..header.body_bytes as usize)?;
    let kind = match header.kind {
        1 => Some(RecordKind::Data),
        2 => Some(RecordKind::Meta),
        _ => None,
    };
    let end = position + RECORD_HEADER_BYTES + ext.len() + body.len();
    Some(RecordAt {
        header,
        kind,
        ext,
        body,
        end,
    })
}

/// Whether a batch has the CRC-32C that its header says (Kafka's v2 batch: at 17, over 21 to the end).
fn batch_is_whole(batch: &[u8]) -> bool {
    batch.len() >= COVERED_BATCH_BYTES
        && batch[17..21] == crc32c::crc32c(&batch[21..]).to_be_bytes()
}

/// A position in a group always fits.
pub(super) fn position_in_group(position: usize) -> u32 {
    u32::try_from(position).expect("a group is smaller than 4 GiB")
}

fn array_at<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    bytes[position..position + N]
        .try_into()
        .expect("the range has this length")
}

fn u32_at(bytes: &[u8], position: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, position))
}

fn u64_at(bytes: &[u8], position: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, position))
}
