//! From segments to the log they hold. Streams: one group and a window are in memory.
//!
//! Segments, in the order in which they were begun, say which groups count: those from a segment's
//! first group up to the first group of any segment begun later. The first group that cannot be
//! read ends the log, unless a later one that counts says that it had been durable: then it was
//! acked and has rotted, and recovery refuses. Everything after the end was never acked. It is not
//! overwritten but superseded: the next group begins a fresh segment, whose header outranks it.

use std::error::Error;
use std::io::ErrorKind;

use super::format::{
    FORMAT, Group, GroupError, GroupHeader, SegmentHeader, SegmentHeaderError, parse_group,
};
use super::scan::{Found, ReadError, Scanner, survey};
use super::segments::{
    GroupPlace, HEADER_BLOCK_BYTES, SegmentId, Segments, SegmentsConfig, file_name,
};
use crate::env::{BLOCK_BYTES, Disk};

/// How far objects hold the log. What they hold is not read from segments, and not missed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shipped {
    pub last_group: u64,
    pub last_lsn: u64,
}

/// What recovery is to find.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    pub cluster_id: [u8; 16],
    pub shipped: Shipped,
    /// The last group that a durable checkpoint covers. Segments with later ones stay, even if objects
    /// hold all of it.
    pub checkpoint_group: u64,
}

/// The log as it was found.
#[derive(Debug)]
pub struct Recovered {
    /// The ring, with at least one segment free.
    pub segments: Segments,
    /// The number of the next group. Before anything found here is shown to anybody, that group must
    /// be durable: it is what says that the ones before it count.
    pub next_group: u64,
    pub next_lsn: u64,
    /// What was written and not acked, if anything was.
    pub torn: Option<Torn>,
}

/// Groups at the end that do not count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Torn {
    /// The first group that cannot be read.
    pub group_no: u64,
    pub segment: SegmentId,
    pub position: u64,
    /// Groups after it that could be read.
    pub later_groups: u64,
}

/// Why the write-ahead log does not open. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(
        "group {group_no} was acked and cannot be read: `{file}` is damaged at byte {position}\n\
         hint: `tidegate log inspect DATA` shows the damage; put back the file from a copy"
    )]
    Rot {
        group_no: u64,
        file: String,
        position: u64,
    },
    #[error(
        "group {group_no} was acked and is in no segment of the write-ahead log\n\
         hint: `tidegate log inspect DATA` shows what is there; put back the missing file"
    )]
    Gap { group_no: u64 },
    #[error("`{file}` belongs to another cluster\nhint: each cluster needs a directory of its own")]
    Foreign { file: String },
    #[error(
        "`{file}` has format {found}, newer than {FORMAT}, the newest that this version reads\n\
         hint: start the version that wrote it"
    )]
    NewerFormat { file: String, found: u32 },
    #[error(
        "group {group_no} in `{file}` has record kind {kind} with flags {flags}, unknown to this \
         version\nhint: start the version that wrote it"
    )]
    UnknownKind {
        group_no: u64,
        file: String,
        kind: u8,
        flags: u8,
    },
    #[error(
        "`{file}` was written in epoch {found}, and history knows none above {known}\n\
         hint: segments and objects must be of the same moment; put back both from one copy"
    )]
    Ahead {
        file: String,
        found: u32,
        known: u32,
    },
    #[error(
        "group {group_no} in `{file}` does not follow the group before it\n\
         hint: `tidegate log inspect DATA` shows what is there"
    )]
    Disordered { group_no: u64, file: String },
    #[error(
        "no room on disk for a fresh segment of {bytes} bytes, and all others are still needed\n\
         hint: make room and start again; nothing is lost"
    )]
    DiskFull { bytes: u64 },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot create `{file}`: {error}")]
    Create { file: String, error: std::io::Error },
    #[error("group {group_no} in `{file}`: {source}")]
    Replay {
        group_no: u64,
        file: String,
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Takes a group that counts, in order.
pub type OnGroup<'a> =
    dyn FnMut(GroupPlace, &Group<'_>) -> Result<(), Box<dyn Error + Send + Sync>> + 'a;

/// Reads all groups after those that objects hold, and hands each to `on_group`.
///
/// `config.epoch` is the epoch that begins now. The only change on disk is a new segment, if none
/// is free for that epoch to begin in.
///
/// # Errors
/// Each variant of [`RecoverError`] says which.
pub fn recover(
    disk: &dyn Disk,
    config: SegmentsConfig,
    expect: &Expect,
    on_group: &mut OnGroup<'_>,
) -> Result<Recovered, RecoverError> {
    let mut files = Vec::new();
    for Found {
        segment,
        len_bytes,
        header,
        scanner,
    } in survey(disk)?
    {
        let header = checked(segment, header, &config, expect)?;
        files.push(File {
            segment,
            len_bytes,
            scanner,
            lineage: header.map(Lineage::of),
        });
    }
    let unreadable = files.iter().filter(|file| file.lineage.is_none()).count() as u64;
    files.sort_by_key(|file| file.lineage.map(|lineage| lineage.header.sequence));
    let mut limit = u64::MAX;
    for lineage in files
        .iter_mut()
        .rev()
        .filter_map(|file| file.lineage.as_mut())
    {
        lineage.limit = limit;
        limit = limit.min(lineage.header.first_group);
    }
    let newest = files
        .iter()
        .rev()
        .find_map(|file| Some((file.segment, file.lineage?)));
    let next_group = expect.shipped.last_group + 1;
    if newest.is_none() && expect.shipped.last_group > 0 {
        return Err(RecoverError::Gap {
            group_no: next_group,
        });
    }

    let mut walk = Walk {
        next_group,
        next_lsn: expect.shipped.last_lsn + 1,
        epoch: 0,
        files: &mut files,
        on_group,
    };
    walk.pass_empty_groups()?;
    let end = walk.run()?;
    let (next_group, next_lsn) = (walk.next_group, walk.next_lsn);
    let torn = judge_end(&mut files, next_group, end)?;

    // A damaged header may hide a sequence; the next one must outrank it all the same.
    let sequence = newest.map_or(0, |(_, lineage)| lineage.header.sequence);
    let mut segments = Segments::new(config, sequence + unreadable + 1);
    for File {
        segment,
        len_bytes,
        lineage,
        ..
    } in &files
    {
        let counts =
            lineage.map(|lineage| (lineage.header.first_group, lineage.limit.min(next_group)));
        match counts {
            // What a checkpoint covers may go; the newest header stays until a newer one stands.
            Some((first, end))
                if newest.is_some_and(|(newest, _)| newest == *segment)
                    || (first < end && end > expect.checkpoint_group + 1) =>
            {
                segments.add_used(*segment, *len_bytes, first, end);
            }
            _ => segments.add_free(*segment, *len_bytes),
        }
    }
    if !segments.has_room_for_any() {
        create_one(disk, &mut segments)?;
    }
    Ok(Recovered {
        segments,
        next_group,
        next_lsn,
        torn,
    })
}

/// Refuses segments that must not be here; damaged and unused ones have no header.
fn checked(
    segment: SegmentId,
    header: Result<SegmentHeader, SegmentHeaderError>,
    config: &SegmentsConfig,
    expect: &Expect,
) -> Result<Option<SegmentHeader>, RecoverError> {
    let file = || file_name(segment);
    match header {
        Err(SegmentHeaderError::Unused | SegmentHeaderError::Damaged) => Ok(None),
        Err(SegmentHeaderError::Newer(found)) => Err(RecoverError::NewerFormat {
            file: file(),
            found,
        }),
        Ok(header) if header.cluster_id != expect.cluster_id => {
            Err(RecoverError::Foreign { file: file() })
        }
        Ok(header) if header.epoch >= config.epoch => {
            let (found, known) = (header.epoch, config.epoch.saturating_sub(1));
            Err(RecoverError::Ahead {
                file: file(),
                found,
                known,
            })
        }
        Ok(header) => Ok(Some(header)),
    }
}

fn create_one(disk: &dyn Disk, segments: &mut Segments) -> Result<(), RecoverError> {
    let (segment, bytes) = (segments.next_segment(), segments.segment_bytes());
    match disk.create(&file_name(segment), bytes) {
        Ok(_file) => {
            segments.add_free(segment, bytes);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::StorageFull => {
            Err(RecoverError::DiskFull { bytes })
        }
        Err(error) => Err(RecoverError::Create {
            file: file_name(segment),
            error,
        }),
    }
}

/// The groups that count in a segment, by its header and those of later ones.
#[derive(Clone, Copy)]
struct Lineage {
    header: SegmentHeader,
    /// The first group that does not count.
    limit: u64,
}

impl Lineage {
    fn of(header: SegmentHeader) -> Self {
        Self {
            header,
            limit: u64::MAX,
        }
    }

    fn counts(&self, group: &GroupHeader) -> bool {
        group.salt == self.header.salt
            && (self.header.first_group..self.limit).contains(&group.group_no)
    }
}

struct File {
    segment: SegmentId,
    len_bytes: u64,
    scanner: Scanner,
    lineage: Option<Lineage>,
}

/// Where the log ends: the place of the first group that cannot be read.
#[derive(Clone, Copy)]
struct End {
    file: usize,
    position: u64,
    /// Its header could be read.
    begun: bool,
}

struct Walk<'a, 'b> {
    next_group: u64,
    next_lsn: u64,
    epoch: u32,
    files: &'a mut [File],
    on_group: &'a mut OnGroup<'b>,
}

impl Walk<'_, '_> {
    /// Goes on at the first group there is, if the ones missing before it held no records: the last
    /// object before a checkpoint ends where records do, and the segments of empty groups after it may
    /// have been used again by the time that this checkpoint cannot be read.
    fn pass_empty_groups(&mut self) -> Result<(), RecoverError> {
        let next = self.next_group;
        let counts = self.files.iter().enumerate().filter_map(|(at, file)| {
            let lineage = file.lineage?;
            let count = lineage.header.first_group..lineage.limit;
            (count.end > next && !count.is_empty()).then_some((count.start, at, lineage))
        });
        let Some((first, at, lineage)) = counts.min_by_key(|(first, ..)| *first) else {
            return Ok(());
        };
        let header = self.files[at].scanner.group_header(HEADER_BLOCK_BYTES)?;
        let follows = header.is_some_and(|header| {
            header.salt == lineage.header.salt
                && header.group_no == first
                && header.first_lsn == self.next_lsn
        });
        if first > next && follows {
            self.next_group = first;
        }
        Ok(())
    }

    /// Delivers groups until one cannot be read. `None`: no segment is there to hold it.
    fn run(&mut self) -> Result<Option<End>, RecoverError> {
        for at in 0..self.files.len() {
            let Some(lineage) = self.files[at].lineage else {
                continue;
            };
            let counts = lineage.header.first_group..lineage.limit;
            if !counts.contains(&self.next_group) {
                continue;
            }
            if let Some(end) = self.segment(at, lineage)? {
                return Ok(Some(end));
            }
            self.files[at].scanner.rest();
        }
        Ok(None)
    }

    /// Delivers a segment's groups. `None`: all that count.
    fn segment(&mut self, at: usize, lineage: Lineage) -> Result<Option<End>, RecoverError> {
        let segment = self.files[at].segment;
        let mut position = HEADER_BLOCK_BYTES;
        let mut group_no = lineage.header.first_group;
        while group_no < lineage.limit {
            let scanner = &mut self.files[at].scanner;
            let here = scanner.group_header(position)?;
            let here =
                here.filter(|here| here.salt == lineage.header.salt && here.group_no == group_no);
            let Some(here) = here else {
                // Below the first group needed, damage does no harm: go on behind it.
                let wanted =
                    |header: &GroupHeader| lineage.counts(header) && header.group_no > group_no;
                let behind = match group_no < self.next_group {
                    true => scanner.find(position, wanted)?,
                    false => None,
                };
                match behind.filter(|(_, header)| header.group_no <= self.next_group) {
                    Some((behind, header)) => (position, group_no) = (behind, header.group_no),
                    None => {
                        return Ok(Some(End {
                            file: at,
                            position,
                            begun: false,
                        }));
                    }
                }
                continue;
            };
            let len = here.padded_bytes();
            if group_no >= self.next_group {
                let bytes = scanner.bytes(position, len)?.unwrap_or(&[]);
                match parse_group(bytes) {
                    Ok(group) => {
                        let place = GroupPlace {
                            segment,
                            position,
                            len: u32::try_from(len).expect("a group is a few MiB"),
                            group_no,
                            first_lsn: here.first_lsn,
                            epoch: here.epoch,
                        };
                        if here.first_lsn != self.next_lsn || here.epoch < self.epoch {
                            let file = file_name(segment);
                            return Err(RecoverError::Disordered { group_no, file });
                        }
                        (self.on_group)(place, &group).map_err(|source| RecoverError::Replay {
                            group_no,
                            file: file_name(segment),
                            source,
                        })?;
                        self.next_group = group_no + 1;
                        self.next_lsn = here.next_lsn();
                        self.epoch = here.epoch;
                    }
                    Err(GroupError::Unknown { kind, flags }) => {
                        let file = file_name(segment);
                        return Err(RecoverError::UnknownKind {
                            group_no,
                            file,
                            kind,
                            flags,
                        });
                    }
                    Err(_) => {
                        return Ok(Some(End {
                            file: at,
                            position,
                            begun: true,
                        }));
                    }
                }
            }
            position += len as u64;
            group_no += 1;
        }
        Ok(None)
    }
}

/// Tells a torn tail from rot: whether anything behind the end says that `group_no` was durable.
fn judge_end(
    files: &mut [File],
    group_no: u64,
    end: Option<End>,
) -> Result<Option<Torn>, RecoverError> {
    let mut later_groups = 0;
    for (at, file) in files.iter_mut().enumerate() {
        let mut position = match end {
            Some(end) if end.file == at => end.position,
            _ => HEADER_BLOCK_BYTES,
        };
        let lineage = file.lineage;
        match lineage {
            None if file.scanner.is_blank()? => continue,
            Some(lineage) if lineage.limit <= group_no => continue,
            _ => {}
        }
        // Without a header its salt is not known, and what a group says is true all the same.
        let counts = |header: &GroupHeader| {
            header.group_no > group_no && lineage.is_none_or(|lineage| lineage.counts(header))
        };
        while let Some((found, header)) = file.scanner.find(position, counts)? {
            if header.committed_no >= group_no {
                return Err(match end {
                    None => RecoverError::Gap { group_no },
                    Some(End { file, position, .. }) => {
                        let file = file_name(files[file].segment);
                        RecoverError::Rot {
                            group_no,
                            file,
                            position,
                        }
                    }
                });
            }
            later_groups += u64::from(lineage.is_some());
            position = found + header.padded_bytes() as u64;
        }
        file.scanner.rest();
    }
    Ok(end
        .filter(|end| end.begun || later_groups > 0)
        .map(|end| Torn {
            group_no,
            segment: files[end.file].segment,
            position: end.position,
            later_groups,
        }))
}

const _: () = assert!(HEADER_BLOCK_BYTES == BLOCK_BYTES as u64);
