//! A write-ahead log without a sequencer: writes groups, keeps what it wrote, and recovers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_broker::wal::{
    self, Expect, FinishedWrite, GroupBuilder, GroupFrame, GroupPlace, RecordKind, RecoverError,
    Recovered, SegmentFiles, Segments, SegmentsConfig, Shipped, Torn, WriteJob,
};

use super::disk::MemDisk;

pub(crate) const CLUSTER: [u8; 16] = *b"the test cluster";
pub(crate) const SEGMENT_BYTES: u64 = 16 * 4096;

/// The file of the first segment.
pub(crate) const FIRST: &str = "wal-000001.seg";

/// A group as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Written {
    pub(crate) place: GroupPlace,
    /// Header and records, without padding.
    pub(crate) bytes: usize,
    pub(crate) records: Vec<(u64, Vec<u8>)>,
}

/// A log that is open.
pub(crate) struct TestWal {
    pub(crate) disk: MemDisk,
    pub(crate) files: SegmentFiles,
    pub(crate) segments: Segments,
    pub(crate) epoch: u32,
    pub(crate) next_group: u64,
    pub(crate) next_lsn: u64,
    /// All groups up to here are durable.
    pub(crate) committed: u64,
    pub(crate) torn: Option<Torn>,
    /// What the log holds after what objects hold: found by recovery, or written since.
    pub(crate) groups: BTreeMap<u64, Written>,
}

/// How to open a log.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) cluster_id: [u8; 16],
    pub(crate) epoch: u32,
    pub(crate) shipped: Shipped,
    pub(crate) budget_segments: u64,
}

impl Default for Opening {
    fn default() -> Self {
        Self {
            cluster_id: CLUSTER,
            epoch: 1,
            shipped: Shipped::default(),
            budget_segments: 4,
        }
    }
}

impl Opening {
    pub(crate) fn epoch(epoch: u32) -> Self {
        Self {
            epoch,
            ..Self::default()
        }
    }

    pub(crate) fn shipped(self, last_group: u64, last_lsn: u64) -> Self {
        Self {
            shipped: Shipped {
                last_group,
                last_lsn,
            },
            ..self
        }
    }

    /// Recovers the log on `disk`.
    pub(crate) fn open(self, disk: &MemDisk) -> Result<TestWal, RecoverError> {
        let config = SegmentsConfig {
            cluster_id: self.cluster_id,
            epoch: self.epoch,
            segment_bytes: SEGMENT_BYTES,
            budget_bytes: self.budget_segments * SEGMENT_BYTES,
            salt_seed: u64::from(self.epoch) << 32,
        };
        let expect = Expect {
            cluster_id: self.cluster_id,
            shipped: self.shipped,
            checkpoint_group: self.shipped.last_group,
        };
        let mut groups = BTreeMap::new();
        let recovered = wal::recover(disk, config, &expect, &mut |place, group| {
            let records = group
                .records()
                .map(|record| (record.lsn, record.body.to_vec()))
                .collect();
            let bytes = wal::GROUP_HEADER_BYTES + group.header().body_bytes as usize;
            groups.insert(
                place.group_no,
                Written {
                    place,
                    bytes,
                    records,
                },
            );
            Ok(())
        })?;
        let Recovered {
            segments,
            next_group,
            next_lsn,
            torn,
        } = recovered;
        Ok(TestWal {
            disk: disk.clone(),
            files: SegmentFiles::new(Arc::new(disk.clone())),
            segments,
            epoch: self.epoch,
            next_group,
            next_lsn,
            committed: next_group - 1,
            torn,
            groups,
        })
    }

    /// Recovers the log, which must be refused, and returns why.
    pub(crate) fn refused(self, disk: &MemDisk) -> RecoverError {
        match self.open(disk) {
            Err(error) => error,
            Ok(wal) => panic!("opened with groups {:?}", wal.groups.keys()),
        }
    }
}

impl TestWal {
    /// Seals a group of commands with these bodies, to be written by the caller.
    pub(crate) fn seal(&mut self, bodies: &[&[u8]]) -> FinishedWrite {
        let mut builder = GroupBuilder::new();
        for body in bodies {
            builder
                .push(RecordKind::Meta, 0, 0, 0, &[], &[body])
                .unwrap();
        }
        self.seal_builder(builder)
    }

    pub(crate) fn seal_builder(&mut self, mut builder: GroupBuilder) -> FinishedWrite {
        let len = builder.sealed_len_bytes();
        if !self.segments.has_room(len)
            && let Some(segment) = self.segments.grow()
        {
            self.files
                .create(segment, self.segments.segment_bytes())
                .unwrap();
            self.segments.grown(segment);
        }
        let placement = self.segments.place(len, self.next_group).unwrap();
        let bytes = builder.len_bytes().max(wal::GROUP_HEADER_BYTES);
        let group = builder.seal(GroupFrame {
            group_no: self.next_group,
            committed_no: self.committed,
            epoch: self.epoch,
            first_lsn: self.next_lsn,
            wall_ms: 0,
            salt: placement.salt,
        });
        let place = GroupPlace {
            segment: placement.segment,
            position: placement.position,
            len: u32::try_from(len).unwrap(),
            group_no: self.next_group,
            first_lsn: self.next_lsn,
            epoch: self.epoch,
        };
        let job = WriteJob {
            segment: placement.segment,
            position: placement.position,
            open: placement.open,
            group_no: self.next_group,
            group,
        };
        let write = job.finish();
        let (_, sealed) = write.writes().last().unwrap();
        let parsed = wal::parse_group(sealed).unwrap();
        let records: Vec<_> = parsed
            .records()
            .map(|record| (record.lsn, record.body.to_vec()))
            .collect();
        self.next_lsn += records.len() as u64;
        self.groups.insert(
            self.next_group,
            Written {
                place,
                bytes,
                records,
            },
        );
        self.next_group += 1;
        write
    }

    /// Writes a group and acks it.
    pub(crate) fn write(&mut self, bodies: &[&[u8]]) -> Written {
        let write = self.seal(bodies);
        let done = write.run(&self.files).unwrap();
        self.committed = done.group_no;
        self.groups[&done.group_no].clone()
    }

    /// Writes an empty group, which covers the ones before it.
    pub(crate) fn cover(&mut self) {
        self.write(&[]);
    }

    /// Begins the writes of a sealed group, to be torn by a crash.
    pub(crate) fn begin(&self, write: &FinishedWrite) {
        for (position, bytes) in write.writes() {
            self.disk
                .begin(&wal::file_name(write.segment()), position, bytes);
        }
    }

    pub(crate) fn group_numbers(&self) -> Vec<u64> {
        self.groups.keys().copied().collect()
    }
}

/// A log of three acked groups, the last of them not covered by another.
pub(crate) fn three_groups() -> TestWal {
    let mut wal = Opening::epoch(1).open(&MemDisk::new()).unwrap();
    for body in [b"first", b"secnd", b"third"] {
        wal.write(&[body, b"more"]);
    }
    wal
}

/// Recovers a copy of `disk` in the next epoch and expects exactly these of `written`.
#[track_caller]
pub(crate) fn recovers(disk: &MemDisk, written: &TestWal, last_group: u64, why: &str) -> TestWal {
    let found = Opening::epoch(written.epoch + 1).open(&disk.copy());
    let found = found.unwrap_or_else(|error| panic!("{why}: {error}"));
    let expected: Vec<_> = written.groups.range(..=last_group).collect();
    assert_eq!(found.groups.iter().collect::<Vec<_>>(), expected, "{why}");
    assert_eq!(found.next_group, last_group + 1, "{why}");
    found
}
