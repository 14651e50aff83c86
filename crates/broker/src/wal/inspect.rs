//! Says what stands in the segments, damage included, and changes nothing. It judges nothing
//! either: which damage matters depends on what objects hold, and recovery knows that.

use serde::Serialize;

use super::format::{GroupHeader, SegmentHeader, SegmentHeaderError, parse_group};
use super::scan::{Found, ReadError, Scanner, survey};
use super::segments::{HEADER_BLOCK_BYTES, file_name};
use crate::env::Disk;

/// What stands in the write-ahead log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Report {
    /// Segments in the order in which they were begun; those without a readable header first.
    pub segments: Vec<SegmentReport>,
}

impl Report {
    /// Returns how many places are damaged.
    pub fn damages(&self) -> usize {
        self.segments
            .iter()
            .map(|segment| segment.damage.len())
            .sum()
    }
}

/// One segment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SegmentReport {
    pub file: String,
    pub len_bytes: u64,
    pub header: HeaderReport,
    /// From this group on, a segment begun later counts instead.
    pub superseded_from: Option<u64>,
    /// The groups of this use of the segment that can be read; none, if there is no header.
    pub groups: Option<GroupsReport>,
    pub damage: Vec<Damage>,
}

/// The first block of a segment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HeaderReport {
    Unused,
    Damaged,
    Newer {
        format: u32,
    },
    Used {
        /// In hexadecimal.
        cluster_id: String,
        sequence: u64,
        first_group: u64,
        epoch: u32,
    },
}

/// A range of readable groups.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct GroupsReport {
    pub groups: u64,
    pub first_group: u64,
    pub last_group: u64,
    /// The last group that one of these says is durable.
    pub committed_group: u64,
    pub records: u64,
    pub first_lsn: u64,
    /// The record after the last one.
    pub next_lsn: u64,
    /// Sealed between, in milliseconds since 1970 (UTC).
    pub first_wall_ms: i64,
    pub last_wall_ms: i64,
    /// Where the last group ends.
    pub end_position: u64,
}

/// Bytes that should be a group and are none.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Damage {
    pub position: u64,
    /// The group that should stand there.
    pub group_no: u64,
    /// Where the next readable group begins; nothing, if there is none.
    pub readable_from: Option<u64>,
    pub what: String,
}

/// Reads all segments and reports what stands there. Damage is part of the report.
///
/// Bytes after the last group are not called damage: nothing says that they are more than what an
/// earlier use of the segment left.
///
/// # Errors
/// [`ReadError`]: the disk does not give what it holds.
pub fn inspect(disk: &dyn Disk) -> Result<Report, ReadError> {
    let mut found = survey(disk)?;
    found.sort_by_key(|found| found.header.ok().map(|header| header.sequence));
    let mut segments = Vec::new();
    let mut superseded_from = None;
    for Found {
        segment,
        len_bytes,
        header,
        mut scanner,
    } in found.into_iter().rev()
    {
        let mut report = SegmentReport {
            file: file_name(segment),
            len_bytes,
            header: header.into(),
            superseded_from: None,
            groups: None,
            damage: Vec::new(),
        };
        if let Ok(header) = header {
            report.superseded_from = superseded_from;
            superseded_from = Some(header.first_group.min(superseded_from.unwrap_or(u64::MAX)));
            read_groups(&header, &mut scanner, &mut report)?;
        }
        segments.push(report);
    }
    segments.reverse();
    Ok(Report { segments })
}

fn read_groups(
    segment: &SegmentHeader,
    scanner: &mut Scanner,
    report: &mut SegmentReport,
) -> Result<(), ReadError> {
    let mut position = HEADER_BLOCK_BYTES;
    let mut expected = segment.first_group;
    let ours = |header: &GroupHeader| header.salt == segment.salt;
    loop {
        let here = scanner.group_header(position)?;
        let Some(header) = here.filter(|here| ours(here) && here.group_no == expected) else {
            let behind = scanner.find(position, |header| {
                ours(header) && header.group_no > expected
            })?;
            let Some((behind, header)) = behind else {
                return Ok(());
            };
            report.damage.push(Damage {
                position,
                group_no: expected,
                readable_from: Some(behind),
                what: "there is no group header".to_owned(),
            });
            (position, expected) = (behind, header.group_no);
            continue;
        };
        let end = position + header.padded_bytes() as u64;
        let bytes = scanner
            .bytes(position, header.padded_bytes())?
            .unwrap_or(&[]);
        match parse_group(bytes) {
            Ok(_) => add(&mut report.groups, &header, end),
            Err(error) => {
                let readable_from = scanner.group_header(end)?.filter(ours).map(|_| end);
                let what = error.to_string();
                let group_no = header.group_no;
                report.damage.push(Damage {
                    position,
                    group_no,
                    readable_from,
                    what,
                });
            }
        }
        position = end;
        expected += 1;
    }
}

fn add(groups: &mut Option<GroupsReport>, header: &GroupHeader, end_position: u64) {
    let groups = groups.get_or_insert(GroupsReport {
        groups: 0,
        first_group: header.group_no,
        last_group: 0,
        committed_group: 0,
        records: 0,
        first_lsn: header.first_lsn,
        next_lsn: 0,
        first_wall_ms: header.wall_ms,
        last_wall_ms: 0,
        end_position: 0,
    });
    groups.groups += 1;
    groups.last_group = header.group_no;
    groups.committed_group = groups.committed_group.max(header.committed_no);
    groups.records += u64::from(header.records);
    groups.next_lsn = header.next_lsn();
    groups.last_wall_ms = header.wall_ms;
    groups.end_position = end_position;
}

impl From<Result<SegmentHeader, SegmentHeaderError>> for HeaderReport {
    fn from(header: Result<SegmentHeader, SegmentHeaderError>) -> Self {
        match header {
            Ok(header) => Self::Used {
                cluster_id: header
                    .cluster_id
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
                sequence: header.sequence,
                first_group: header.first_group,
                epoch: header.epoch,
            },
            Err(SegmentHeaderError::Unused) => Self::Unused,
            Err(SegmentHeaderError::Damaged) => Self::Damaged,
            Err(SegmentHeaderError::Newer(format)) => Self::Newer { format },
        }
    }
}
