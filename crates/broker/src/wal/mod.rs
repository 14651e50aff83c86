//! The write-ahead log: where a record is durable first. A ring of preallocated segments on a local
//! disk, written in groups, several at a time, each durable when its write returns.
//!
//! What a group means is not known here. Invariants: nothing that was acked is lost or passes for a
//! torn tail; nothing is ever rewritten in place; a failed write is never tried again.

mod files;
mod format;
mod group;
mod group_commit;
pub mod inspect;
mod recover;
mod scan;
mod segments;
#[cfg(test)]
mod tests;

pub use self::files::{ReadGroupError, SegmentFiles};
pub use self::format::{
    FORMAT, GROUP_HEADER_BYTES, Group, GroupError, GroupHeader, MAX_GROUP_BYTES,
    RECORD_HEADER_BYTES, RawRecord, RecordKind, SegmentHeader, SegmentHeaderError, flags,
    parse_group,
};
pub use self::group::{FinishedGroup, Full, GroupBuilder, GroupFrame, SealedGroup};
pub use self::group_commit::{FinishedWrite, WriteDone, WriteFailure, WriteJob, Writers, abort};
pub use self::recover::{Expect, OnGroup, RecoverError, Recovered, Shipped, Torn, recover};
pub use self::scan::ReadError;
pub use self::segments::{
    DEFAULT_SEGMENT_BYTES, GroupPlace, Placement, SegmentId, Segments, SegmentsConfig, file_name,
    parse_file_name,
};
