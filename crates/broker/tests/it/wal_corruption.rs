//! What rots in a write-ahead log, and what recovery makes of it. The rule: a group that was acked is
//! there with every byte, or the log does not open; one that was not is there whole or not at all.

use tidegate_broker::env::Disk;
use tidegate_broker::wal::{
    self, GroupBuilder, GroupPlace, ReadGroupError, RecordKind, RecoverError, SegmentHeader,
    file_name,
};

use crate::support::disk::{MemDisk, SECTOR_BYTES};
use crate::support::wal::{
    CLUSTER, FIRST, Opening, SEGMENT_BYTES, TestWal, Written, recovers, three_groups,
};

/// A v2 batch with a right CRC.
fn batch(payload: &[u8]) -> Vec<u8> {
    let mut batch = vec![7; 61];
    batch.extend_from_slice(payload);
    tidegate_broker::batch::seal_crc(&mut batch);
    batch
}

/// Seals a small group with a batch, its claims and a command.
fn seal_small(wal: &mut TestWal) -> wal::FinishedWrite {
    let mut builder = GroupBuilder::new();
    builder
        .push(RecordKind::Data, 0, 1, 2, &[3; 40], &[&batch(b"payload")])
        .unwrap();
    builder
        .push(RecordKind::Meta, 0, 0, 0, &[], &[b"command"])
        .unwrap();
    wal.seal_builder(builder)
}

#[track_caller]
fn is_rot(disk: &MemDisk, group: &Written, why: &str) {
    let error = Opening::epoch(9).refused(&disk.copy());
    let RecoverError::Rot {
        group_no,
        file,
        position,
    } = &error
    else {
        panic!("{why}: {error}");
    };
    let place = &group.place;
    let expected = (place.group_no, file_name(place.segment), place.position);
    assert_eq!((*group_no, file.clone(), *position), expected, "{why}");
    assert!(
        error
            .to_string()
            .contains("hint: `tidegate log inspect DATA`"),
        "{error}"
    );
}

#[test]
fn a_last_group_cut_at_any_byte_is_discarded_or_whole() {
    for behind in [0x00, 0xa5] {
        let mut wal = three_groups();
        let write = seal_small(&mut wal);
        let (position, bytes) = write.writes().last().unwrap();
        let whole = wal.groups[&4].bytes;
        for cut in 0..=bytes.len() {
            let disk = wal.disk.copy();
            let mut landed = vec![behind; bytes.len()];
            landed[..cut].copy_from_slice(&bytes[..cut]);
            disk.poke(FIRST, position, &landed);
            let last_group = if cut < whole { 3 } else { 4 };
            if cut < 300 || cut.is_multiple_of(97) {
                recovers(
                    &disk,
                    &wal,
                    last_group,
                    &format!("cut at {cut}, then {behind:#x}"),
                );
            }
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_of_the_last_group_loses_only_that() {
    let mut wal = three_groups();
    let write = seal_small(&mut wal);
    write.run(&wal.files).unwrap();
    let last = wal.groups[&4].clone();
    for cut in 0..last.bytes {
        let disk = wal.disk.copy();
        disk.truncate(FIRST, last.place.position + cut as u64);
        recovers(&disk, &wal, 3, &format!("cut at {cut}"));
    }
}

#[test]
fn any_missing_sector_of_a_large_group_discards_it() {
    let mut wal = three_groups();
    let write = wal.seal(&[&[1; 9_000], &[2; 20_000]]);
    let (position, bytes) = write.writes().last().unwrap();
    let whole = wal.groups[&4].bytes;
    for sector in 0..bytes.len() / SECTOR_BYTES {
        let start = sector * SECTOR_BYTES;
        let last_group = if start < whole { 3 } else { 4 };
        for (what, missing) in [
            ("alone", start..start + SECTOR_BYTES),
            ("on", start..bytes.len()),
        ] {
            let disk = wal.disk.copy();
            let mut landed = bytes.to_vec();
            landed[missing].fill(0xa5);
            disk.poke(FIRST, position, &landed);
            recovers(&disk, &wal, last_group, &format!("sector {sector} {what}"));
        }
    }
}

#[test]
fn a_flipped_bit_in_the_uncovered_tail_discards_it() {
    let mut wal = three_groups();
    let write = seal_small(&mut wal);
    write.run(&wal.files).unwrap();
    let last = wal.groups[&4].clone();
    for at in 0..last.bytes as u64 {
        let disk = wal.disk.copy();
        disk.flip(FIRST, last.place.position + at, (at % 8) as u8);
        let found = recovers(&disk, &wal, 3, &format!("byte {at}"));
        assert_eq!(
            found.torn.is_some(),
            at >= 96,
            "byte {at}: without a header nothing is seen"
        );
    }
}

#[test]
fn a_flipped_bit_in_an_acked_range_is_refused_by_name() {
    let mut wal = three_groups();
    let write = seal_small(&mut wal);
    wal.committed = write.run(&wal.files).unwrap().group_no;
    wal.cover();
    recovers(&wal.disk, &wal, 5, "undamaged");
    for group in [2, 4] {
        let group = wal.groups[&group].clone();
        for at in 0..group.bytes as u64 {
            let disk = wal.disk.copy();
            disk.flip(FIRST, group.place.position + at, (at % 8) as u8);
            is_rot(
                &disk,
                &group,
                &format!("byte {at} of group {}", group.place.group_no),
            );
        }
    }
}

#[test]
fn an_acked_write_that_the_disk_lost_is_refused() {
    let mut wal = three_groups();
    wal.disk.lose_writes(1);
    let lost = wal.write(&[b"lost"]);
    wal.cover();
    is_rot(&wal.disk, &lost, "lost write");
}

#[test]
fn what_earlier_laps_left_behind_is_never_taken_for_the_log() {
    let mut wal = Opening::epoch(1).open(&MemDisk::new()).unwrap();
    let body = vec![9; 3 * 4096];
    for lap in 0..60 {
        let group = wal.write(&[&body, &[lap]]);
        // Two groups back is in objects and in a checkpoint.
        wal.segments.recycle(group.place.group_no.saturating_sub(2));
    }
    let (segments, _) = wal.segments.count();
    assert!(segments <= 3, "the ring went round in {segments} segments");
    let shipped = wal.groups[&57].clone();
    let last_lsn = shipped.records.last().unwrap().0;
    let opening = Opening::epoch(2).shipped(57, last_lsn);
    let found = opening.open(&wal.disk.copy()).unwrap();
    assert_eq!(found.group_numbers(), [58, 59, 60]);
    assert_eq!(found.groups[&60], wal.groups[&60]);

    // A header torn on its way into a used segment leaves that segment without groups that count.
    let last = wal.groups[&60].clone();
    let opened = loop {
        let group = wal.write(&[&body]);
        wal.segments.recycle(group.place.group_no - 2);
        if group.place.segment != last.place.segment {
            break group.place;
        }
    };
    wal.disk
        .poke(&file_name(opened.segment), 0, &[0xa5; SECTOR_BYTES]);
    let lsn = wal.groups[&(opened.group_no - 2)].records.last().unwrap().0;
    let opening = Opening::epoch(2).shipped(opened.group_no - 2, lsn);
    assert_eq!(
        opening.open(&wal.disk).unwrap().group_numbers(),
        [opened.group_no - 1]
    );
}

#[test]
fn a_rotten_segment_header_is_refused_while_its_groups_are_needed() {
    let mut wal = Opening::epoch(1).open(&MemDisk::new()).unwrap();
    while wal.write(&[&[5; 9_000]]).place.segment < 3 {}
    wal.cover();
    let last = wal.next_group - 1;
    let of_segment = |wal: &TestWal, segment| {
        let groups: Vec<_> = wal
            .groups
            .values()
            .filter(|group| group.place.segment == segment)
            .cloned()
            .collect();
        groups
    };
    for segment in 1..=3 {
        let disk = wal.disk.copy();
        disk.flip(&file_name(segment), 33, 0);
        let first = of_segment(&wal, segment)[0].place.group_no;
        let error = Opening::epoch(2).refused(&disk);
        match error {
            RecoverError::Gap { group_no } | RecoverError::Rot { group_no, .. } => {
                assert_eq!(group_no, first, "segment {segment}");
            }
            other => panic!("segment {segment}: {other}"),
        }
        // Once objects hold its groups, nobody asks for it.
        let end = of_segment(&wal, segment).pop().unwrap();
        let lsn = end.place.first_lsn + end.records.len() as u64 - 1;
        let shipped = Opening::epoch(2).shipped(end.place.group_no, lsn);
        let found = shipped.open(&disk).unwrap();
        assert_eq!(found.next_group, last + 1, "segment {segment}");
    }
}

#[test]
fn what_objects_hold_may_rot_or_be_missing() {
    let mut wal = Opening::epoch(1).open(&MemDisk::new()).unwrap();
    while wal.write(&[&[5; 9_000]]).place.segment < 3 {}
    wal.cover();
    let shipped = wal
        .groups
        .values()
        .find(|group| group.place.segment == 2)
        .unwrap()
        .clone();
    let opening = Opening::epoch(2).shipped(shipped.place.group_no, shipped.place.first_lsn);
    let expected: Vec<_> = wal.groups.range(shipped.place.group_no + 1..).collect();

    let rotten = wal.disk.copy();
    for group in wal.groups.range(..=shipped.place.group_no) {
        rotten.poke(
            &file_name(group.1.place.segment),
            group.1.place.position,
            &[0xa5; 4096],
        );
    }
    let missing = wal.disk.copy();
    missing.remove(FIRST).unwrap();
    for (why, disk) in [("rotten", rotten), ("missing", missing)] {
        let found = opening
            .open(&disk)
            .unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!(found.groups.iter().collect::<Vec<_>>(), expected, "{why}");
    }
    // One group less in objects, and the file is missed.
    let error = Opening::epoch(2).refused(&{
        let disk = wal.disk.copy();
        disk.remove(FIRST).unwrap();
        disk
    });
    assert!(
        matches!(error, RecoverError::Gap { group_no: 1 }),
        "{error}"
    );
}

#[test]
fn a_log_wholly_in_objects_goes_on_after_them() {
    let wal = three_groups();
    let found = Opening::epoch(2).shipped(3, 6).open(&wal.disk).unwrap();
    assert_eq!(
        (found.groups.len(), found.next_group, found.next_lsn),
        (0, 4, 7)
    );
    let fresh = Opening::epoch(2)
        .shipped(3, 6)
        .open(&wal.disk)
        .unwrap()
        .write(&[b"fourth"]);
    assert_eq!(
        fresh.place.segment, 2,
        "the last header stays until a newer one stands"
    );
    let error = Opening::epoch(2).shipped(3, 6).refused(&MemDisk::new());
    assert!(
        matches!(error, RecoverError::Gap { group_no: 4 }),
        "{error}"
    );
}

#[test]
fn segments_that_do_not_belong_here_are_refused() {
    let foreign = Opening {
        cluster_id: [9; 16],
        ..Opening::default()
    };
    let mut other = foreign.open(&MemDisk::new()).unwrap();
    other.write(&[b"of another cluster"]);
    let error = Opening::epoch(2).refused(&other.disk);
    assert!(
        matches!(&error, RecoverError::Foreign { file } if file == FIRST),
        "{error}"
    );

    let mut wal = three_groups();
    wal.cover();
    let error = Opening::epoch(1).refused(&wal.disk.copy());
    assert!(
        matches!(
            error,
            RecoverError::Ahead {
                found: 1,
                known: 0,
                ..
            }
        ),
        "{error}"
    );

    // Records that do not follow those in objects.
    let error = Opening::epoch(2).shipped(1, 5).refused(&wal.disk.copy());
    assert!(
        matches!(error, RecoverError::Disordered { group_no: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_newer_format_or_kind_is_named() {
    let wal = three_groups();
    let mut header = SegmentHeader {
        cluster_id: CLUSTER,
        sequence: 2,
        first_group: 4,
        salt: 1,
        epoch: 1,
    }
    .encode();
    header[8] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), &header[16..]);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    let disk = wal.disk.copy();
    disk.create("wal-000002.seg", SEGMENT_BYTES).unwrap();
    disk.poke("wal-000002.seg", 0, &header);
    let error = Opening::epoch(2).refused(&disk);
    assert!(
        matches!(error, RecoverError::NewerFormat { found: 2, .. }),
        "{error}"
    );

    let disk = wal.disk.copy();
    let second = &wal.groups[&2];
    let mut bytes = disk.peek(FIRST, second.place.position, second.bytes);
    bytes[96] = 5;
    let records = crc32c::crc32c(&bytes[96..]);
    bytes[60..64].copy_from_slice(&records.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[8..96]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    disk.poke(FIRST, second.place.position, &bytes);
    let error = Opening::epoch(2).refused(&disk);
    let expected = RecoverError::UnknownKind {
        group_no: 2,
        file: FIRST.into(),
        kind: 5,
        flags: 0,
    };
    assert_eq!(error.to_string(), expected.to_string());
}

#[test]
fn a_swapped_segment_is_not_taken_for_the_one_it_replaces() {
    let mut wal = Opening::epoch(1).open(&MemDisk::new()).unwrap();
    while wal.write(&[&[5; 9_000]]).place.segment < 2 {}
    let before = wal.disk.copy();
    while wal.write(&[&[6; 9_000]]).place.segment < 3 {}
    wal.cover();
    // An old copy of a segment: its header is right, its later groups are not there.
    let disk = wal.disk.copy();
    disk.take_from(&before, "wal-000002.seg");
    let missing = wal.groups.values().find(|group| {
        group.place.segment == 2 && group.records.iter().any(|(_, body)| body[0] == 6)
    });
    is_rot(&disk, missing.unwrap(), "old copy");
}

#[test]
fn a_group_is_read_back_or_known_to_be_gone() {
    let wal = three_groups();
    let place = wal.groups[&2].place.clone();
    let bytes = wal.files.read_group(&place).unwrap();
    assert_eq!(
        bytes,
        wal.disk.peek(FIRST, place.position, place.len as usize)
    );
    let older = GroupPlace {
        group_no: 1,
        ..place.clone()
    };
    assert!(matches!(
        wal.files.read_group(&older),
        Err(ReadGroupError::Gone)
    ));
    wal.disk.flip(FIRST, place.position + 140, 3);
    assert!(matches!(
        wal.files.read_group(&place),
        Err(ReadGroupError::Damaged(_))
    ));
    wal.disk.truncate(FIRST, place.position);
    assert!(matches!(
        wal.files.read_group(&place),
        Err(ReadGroupError::Io(_))
    ));
}

#[test]
fn a_report_names_every_damage_and_changes_nothing() {
    let mut wal = three_groups();
    wal.cover();
    let report = wal::inspect::inspect(&wal.disk).unwrap();
    assert_eq!(report.damages(), 0);
    let groups = report.segments[0].groups.clone().unwrap();
    assert_eq!(
        (groups.groups, groups.records, groups.committed_group),
        (4, 6, 3)
    );

    let (body, header) = (&wal.groups[&2].place, &wal.groups[&3].place);
    wal.disk.flip(FIRST, body.position + 130, 0);
    wal.disk.flip(FIRST, header.position + 20, 0);
    let writes = wal.disk.writes();
    let report = wal::inspect::inspect(&wal.disk).unwrap();
    let damage: Vec<_> = report.segments[0]
        .damage
        .iter()
        .map(|damage| (damage.group_no, damage.position, damage.readable_from))
        .collect();
    let behind = wal.groups[&4].place.position;
    assert_eq!(
        damage,
        [(2, body.position, None), (3, header.position, Some(behind))]
    );
    assert_eq!(wal.disk.writes(), writes);
}
