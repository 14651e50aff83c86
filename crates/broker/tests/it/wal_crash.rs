//! Crashes of a process that writes ahead, one after the other, and disks that are full or fail.

use std::io::ErrorKind;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_broker::env::{BLOCK_BYTES, Disk};
use tidegate_broker::wal::{
    self, GroupBuilder, RecoverError, SegmentFiles, WriteFailure, WriteJob, Writers, file_name,
};

use crate::support::disk::{Fate, MemDisk, SECTOR_BYTES};
use crate::support::wal::{
    FIRST, Opening, SEGMENT_BYTES, TestWal, Written, recovers, three_groups,
};

#[test]
fn groups_behind_a_hole_are_discarded_for_good() {
    let mut wal = three_groups();
    let hole = wal.seal(&[b"hole"]);
    for body in [b"after-1", b"after-2"] {
        wal.seal(&[body]).run(&wal.files).unwrap();
    }
    drop(hole);
    let mut second = recovers(&wal.disk, &wal, 3, "hole");
    assert_eq!(
        second.torn.map(|torn| (torn.group_no, torn.later_groups)),
        Some((4, 2))
    );
    // On the disk itself, not the copy.
    second = Opening::epoch(2).open(&wal.disk).unwrap();
    second.write(&[b"fourth"]);
    second.write(&[b"fifth"]);
    let third = recovers(&wal.disk, &second, 5, "the hole was superseded");
    assert_eq!(third.groups[&4].records, [(7, b"fourth".to_vec())]);
    assert_eq!(third.torn, None);
}

#[test]
fn two_crashes_in_a_row_recover_the_same_log() {
    let mut wal = three_groups();
    let sealed = [wal.seal(&[b"hole"]), wal.seal(&[b"landed"])];
    sealed[1]
        .writes()
        .for_each(|(position, bytes)| wal.disk.poke(FIRST, position, bytes));
    let mut second = Opening::epoch(2).open(&wal.disk).unwrap();
    let write = second.seal(&[b"fourth"]);
    let header_and_group: Vec<_> = write
        .writes()
        .map(|(position, bytes)| (position, bytes.to_vec()))
        .collect();
    assert_eq!(header_and_group.len(), 2, "a new epoch begins a segment");
    let file = file_name(write.segment());
    let sectors = BLOCK_BYTES / SECTOR_BYTES;
    for header_sectors in 0..1_u32 << sectors {
        for group_landed in [false, true] {
            let disk = wal.disk.copy();
            let (position, header) = &header_and_group[0];
            for (at, sector) in header.chunks(SECTOR_BYTES).enumerate() {
                if header_sectors >> at & 1 == 1 {
                    disk.poke(&file, position + (at * SECTOR_BYTES) as u64, sector);
                }
            }
            if group_landed {
                let (position, group) = &header_and_group[1];
                disk.poke(&file, *position, group);
            }
            // All that is not zero in the header is in its first sector.
            let header_landed = header_sectors & 1 == 1;
            let last_group = if header_landed && group_landed { 4 } else { 3 };
            let why = format!("header {header_sectors:b}, group {group_landed}");
            let third = recovers(&disk, &second, last_group, &why);
            let mut third = TestWal {
                disk: disk.copy(),
                ..third
            };
            third = Opening::epoch(3).open(&third.disk).unwrap();
            third.write(&[b"third life"]);
            recovers(&third.disk, &third, last_group + 1, &why);
        }
    }
}

#[test]
fn a_discarded_group_with_the_right_number_is_known_by_its_salt() {
    let mut first = Opening::epoch(1).open(&MemDisk::new()).unwrap();
    let body = vec![1; 9_000];
    let mut len = 0;
    while first.segments.has_room(len) {
        len = first.write(&[&body]).place.len as usize;
    }
    // The first group of the second segment is lost, the two after it have landed.
    let hole = first.seal(&[&body]);
    let lost = first.groups[&(first.next_group - 1)].place.clone();
    assert_eq!((lost.segment, lost.position), (2, 4096));
    let (_, header) = hole.writes().next().unwrap();
    first.disk.poke("wal-000002.seg", 0, header);
    for _ in 0..2 {
        first.seal(&[&body]).run(&first.files).unwrap();
    }
    // The second life leaves nothing but a header.
    let mut second = Opening::epoch(2).open(&first.disk).unwrap();
    assert_eq!(second.next_group, lost.group_no);
    let write = second.seal(&[&body]);
    let (_, header) = write.writes().next().unwrap();
    second.disk.poke("wal-000003.seg", 0, header);
    // The third writes where the first wrote, the same number at the same place, and one group only.
    let mut third = Opening::epoch(3).open(&first.disk).unwrap();
    let written = third.write(&[&body]);
    assert_eq!((written.place.segment, written.place.position), (2, 4096));
    assert_eq!(written.place.group_no, lost.group_no);
    let last = lost.group_no;
    let found = recovers(
        &first.disk,
        &third,
        last,
        "what follows is of the first life",
    );
    assert_eq!(found.torn, None);
}

#[test]
fn a_full_disk_stops_neither_the_ring_nor_the_log_that_stands() {
    let disk = MemDisk::new();
    disk.set_room(Some(SEGMENT_BYTES));
    let mut wal = Opening::epoch(1).open(&disk).unwrap();
    wal.write(&[b"first"]);
    let segment = wal.segments.grow().unwrap();
    let full = wal.files.create(segment, SEGMENT_BYTES).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    wal.segments.growth_failed(segment);
    assert_eq!(disk.list().unwrap(), [FIRST], "nothing is left behind");
    wal.write(&[b"second"]);
    wal.cover();

    // All segments hold what is needed: the next epoch has nowhere to begin.
    let error = Opening::epoch(2).refused(&disk);
    assert!(
        matches!(
            error,
            RecoverError::DiskFull {
                bytes: SEGMENT_BYTES
            }
        ),
        "{error}"
    );
    assert_eq!(disk.list().unwrap(), [FIRST], "nothing was changed");
    disk.set_room(Some(2 * SEGMENT_BYTES));
    let found = recovers(&disk, &wal, 3, "with room");
    assert_eq!(found.segments.count(), (2, 1));
}

#[test]
fn a_disk_that_cannot_be_read_is_no_torn_tail() {
    let wal = three_groups();
    let last = &wal.groups[&3].place;
    wal.disk.fail_reads(FIRST, last.position + 10);
    let error = Opening::epoch(2).refused(&wal.disk);
    assert!(matches!(error, RecoverError::Read(_)), "{error}");
}

#[test]
fn a_failed_write_is_reported_once_and_nothing_is_acked_after() {
    let mut wal = three_groups();
    let writes: Vec<_> = (0..8_u8).map(|body| wal.seal(&[&[body]])).collect();
    drop(writes);
    let done = Arc::new(Mutex::new(Vec::new()));
    let failures = Arc::new(Mutex::new(Vec::new()));
    wal.disk.fail_writes(ErrorKind::StorageFull);
    let (acked, failed) = (done.clone(), failures.clone());
    let writers = Writers::start(
        1,
        &Arc::new(SegmentFiles::new(Arc::new(wal.disk.clone()))),
        move |done| acked.lock().push(done.group_no),
        move |failure: &WriteFailure| failed.lock().push(failure.group_no),
    )
    .unwrap();
    for group_no in 4..8 {
        writers.submit(job(group_no));
    }
    drop(writers);
    assert_eq!(
        (done.lock().clone(), failures.lock().clone()),
        (vec![], vec![4])
    );
}

fn job(group_no: u64) -> WriteJob {
    let frame = wal::GroupFrame {
        group_no,
        committed_no: 3,
        epoch: 1,
        first_lsn: 7,
        wall_ms: 0,
        salt: 1,
    };
    let position = group_no * 4096;
    let group = GroupBuilder::new().seal(frame);
    WriteJob {
        segment: 1,
        position,
        open: None,
        group_no,
        group,
    }
}

#[test]
fn writers_ack_each_group_after_its_write() {
    let wal = three_groups();
    let before = wal.disk.writes();
    let done = Arc::new(Mutex::new(Vec::new()));
    let (acked, disk) = (done.clone(), wal.disk.clone());
    let writers = Writers::start(
        4,
        &Arc::new(SegmentFiles::new(Arc::new(wal.disk.clone()))),
        move |done| {
            let position = done.group_no * 4096;
            assert_eq!(
                disk.peek(FIRST, position, done.bytes.len()),
                done.bytes,
                "it is there"
            );
            acked.lock().push(done.group_no);
        },
        |failure: &WriteFailure| panic!("{failure}"),
    )
    .unwrap();
    for group_no in 4..12 {
        writers.submit(job(group_no));
    }
    drop(writers);
    let mut done = done.lock().clone();
    done.sort_unstable();
    assert_eq!(done, (4..12).collect::<Vec<_>>());
    assert_eq!(wal.disk.writes() - before, 8);
}

/// A crash in which each write in flight is absent, whole or torn, by the bits of `seed`.
fn crash(wal: &TestWal, mut seed: u64) {
    let mut next = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    wal.disk.crash(|_| match next() % 3 {
        0 => Fate::Absent,
        1 => Fate::Whole,
        _ => {
            let mut bits = next();
            Fate::Torn(Box::new(move |_| {
                bits = bits.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                bits & 1 == 1
            }))
        }
    });
}

proptest::proptest! {
    /// Lives of a log: each writes some groups, acks some, leaves some in flight, and crashes.
    #[test]
    fn every_acked_group_outlives_every_crash(
        lives in proptest::collection::vec(
            (0_usize..12, 0_usize..5, proptest::prelude::any::<u64>(), 1_usize..20_000),
            1..8,
        ),
    ) {
        let disk = MemDisk::new();
        let mut acked: Vec<Written> = Vec::new();
        for (life, (acks, in_flight, seed, bytes)) in lives.into_iter().enumerate() {
            let epoch = u32::try_from(life).unwrap() + 1;
            let opening = Opening { budget_segments: 1000, ..Opening::epoch(epoch) };
            let mut wal = opening.open(&disk).unwrap();
            let found: Vec<_> = wal.groups.values().cloned().collect();
            assert_eq!(found[..acked.len()], acked, "what was acked is there, in order");
            wal.cover();
            for number in 0..acks {
                wal.write(&[&vec![epoch as u8; bytes], &[number as u8]]);
            }
            acked = wal.groups.values().cloned().collect();
            let sealed: Vec<_> =
                (0..in_flight).map(|_| wal.seal(&[&vec![0xee; bytes / 2]])).collect();
            sealed.iter().for_each(|write| wal.begin(write));
            crash(&wal, seed);
        }
        let epoch = 100;
        let again = Opening { budget_segments: 1000, ..Opening::epoch(epoch) };
        let once = again.open(&disk.copy()).unwrap();
        let twice = again.open(&disk).unwrap();
        assert_eq!(once.groups, twice.groups);
        let found: Vec<_> = once.groups.values().cloned().collect();
        assert_eq!(found[..acked.len()], acked);
    }

    /// One flipped bit anywhere: the log opens whole, or without its uncovered last group, or not.
    #[test]
    fn one_flipped_bit_never_changes_what_was_acked(at in 0_u64..3 * SEGMENT_BYTES, bit in 0_u8..8) {
        let mut wal = Opening::epoch(1).open(&MemDisk::new()).unwrap();
        while wal.write(&[&[5; 7_000], b"x"]).place.segment < 3 {}
        let last = wal.next_group - 1;
        wal.disk.flip(&file_name(at / SEGMENT_BYTES + 1), at % SEGMENT_BYTES, bit);
        match Opening::epoch(2).open(&wal.disk) {
            Err(RecoverError::Rot { .. } | RecoverError::Gap { .. }) => {}
            Err(other) => panic!("{other}"),
            Ok(found) => {
                let expected: Vec<_> = wal.groups.range(..found.next_group).collect();
                assert_eq!(found.groups.iter().collect::<Vec<_>>(), expected);
                assert!(found.next_group >= last, "only the last group has no cover");
            }
        }
    }
}
