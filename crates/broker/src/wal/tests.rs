//! The bytes of format 1, and the rules of the ring.

use proptest::prelude::*;

use super::*;
use crate::env::BLOCK_BYTES;

const SALT: u64 = 0x0102_0304_0506_0708;

fn frame(group_no: u64) -> GroupFrame {
    GroupFrame {
        group_no,
        committed_no: group_no - 1,
        epoch: 7,
        first_lsn: 100,
        wall_ms: 5,
        salt: SALT,
    }
}

/// A v2 batch header with `payload` after it, its CRC right.
fn batch(payload: &[u8]) -> Vec<u8> {
    let mut batch: Vec<u8> = (0..61).collect();
    batch.extend_from_slice(payload);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn segment_headers_of_format_1_are_these_bytes() {
    let header = SegmentHeader {
        cluster_id: *b"0123456789abcdef",
        sequence: 3,
        first_group: 0x1122,
        salt: SALT,
        epoch: 9,
    };
    let block = header.encode();
    assert_eq!(
        hex(&block[..64]),
        concat!(
            "544757414c534547", // TGWALSEG
            "01000000",
            "0d9670d2", // CRC
            "30313233343536373839616263646566",
            "0300000000000000",
            "2211000000000000",
            "0807060504030201",
            "09000000",
            "00000000",
        )
    );
    assert!(block[64..].iter().all(|byte| *byte == 0));
    assert_eq!(SegmentHeader::decode(&block), Ok(header));
}

#[test]
fn groups_of_format_1_are_these_bytes() {
    let mut builder = GroupBuilder::new();
    let data = batch(b"pay");
    let at = builder.push(
        RecordKind::Data,
        0,
        2,
        3,
        b"claim",
        &[&data[..61], &data[61..]],
    );
    assert_eq!(at, Ok(96 + 32 + 5));
    builder
        .push(RecordKind::Meta, 0, 0, 0, &[], &[b"command"])
        .unwrap();
    assert_eq!(builder.len_bytes(), 96 + 32 + 5 + 64 + 32 + 7);
    let group = builder.seal(frame(42)).finish();
    let bytes = group.bytes();
    assert_eq!(bytes.len(), BLOCK_BYTES);
    assert_eq!(
        hex(&bytes[..96]),
        concat!(
            "54474752", // TGGR
            "8679015d", // CRC of the rest of the header
            "0807060504030201",
            "2a00000000000000", // group
            "2900000000000000", // committed
            "6400000000000000", // first record
            "0500000000000000", // wall clock
            "07000000",         // epoch
            "02000000",         // records
            "8c000000",         // bytes
            "d9e50349",         // CRC of records
            "0000000000000000000000000000000000000000000000000000000000000000",
        )
    );
    assert_eq!(
        hex(&bytes[96..133]),
        concat!(
            "01",       // data
            "00",       // flags
            "0000",     // shard
            "02000000", // topic
            "03000000", // partition
            "05000000", // claims
            "40000000", // batch
            "00000000", // record of the group
            "0000000000000000",
            "636c61696d",
        )
    );
    assert_eq!(bytes[133..197], data);
    assert_eq!(
        hex(&bytes[197..236]),
        concat!(
            "02000000",
            "00000000",
            "00000000",
            "00000000",
            "07000000",
            "01000000",
            "0000000000000000",
            "636f6d6d616e64",
        )
    );
    assert!(bytes[236..].iter().all(|byte| *byte == 0));
}

#[test]
fn any_changed_byte_of_a_segment_header_is_seen() {
    let header = SegmentHeader {
        cluster_id: [1; 16],
        sequence: 1,
        first_group: 1,
        salt: 1,
        epoch: 1,
    };
    for at in (0..64).chain((64..BLOCK_BYTES).step_by(61)) {
        let mut block = header.encode();
        block[at] ^= 0x40;
        assert_eq!(
            SegmentHeader::decode(&block),
            Err(SegmentHeaderError::Damaged),
            "byte {at}"
        );
    }
    assert_eq!(
        SegmentHeader::decode(&[0; BLOCK_BYTES]),
        Err(SegmentHeaderError::Unused)
    );
}

#[test]
fn a_newer_segment_is_named_not_taken_for_damage() {
    let header = SegmentHeader {
        cluster_id: [1; 16],
        sequence: 1,
        first_group: 1,
        salt: 1,
        epoch: 1,
    };
    let mut block = header.encode();
    block[8] = 2;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&block[..12]), &block[16..]);
    block[12..16].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(
        SegmentHeader::decode(&block),
        Err(SegmentHeaderError::Newer(2))
    );
}

#[test]
fn any_changed_byte_of_a_group_is_seen() {
    let mut builder = GroupBuilder::new();
    builder
        .push(RecordKind::Data, 0, 2, 3, &[9; 40], &[&batch(&[7; 300])])
        .unwrap();
    builder
        .push(RecordKind::Meta, 0, 0, 0, &[], &[b"command"])
        .unwrap();
    let len = builder.len_bytes();
    let group = builder.seal(frame(1)).finish();
    for at in 0..len {
        let mut bytes = group.bytes().to_vec();
        bytes[at] ^= 1;
        assert!(parse_group(&bytes).is_err(), "byte {at}");
    }
    for cut in 0..len {
        assert!(parse_group(&group.bytes()[..cut]).is_err(), "cut at {cut}");
    }
    assert!(parse_group(&group.bytes()[..len]).is_ok());
}

#[test]
fn pending_batch_crcs_are_computed_when_the_group_is_finished() {
    let right = batch(b"payload");
    let mut pending = right.clone();
    pending[17..21].fill(0);
    let mut builder = GroupBuilder::new();
    builder
        .push(RecordKind::Data, flags::CRC_PENDING, 0, 0, &[], &[&pending])
        .unwrap();
    let group = builder.seal(frame(1)).finish();
    let records: Vec<_> = parse_group(group.bytes()).unwrap().records().collect();
    assert_eq!(records[0].body, right);
}

#[test]
fn a_whole_group_with_an_unknown_kind_or_flag_is_not_called_damaged() {
    for (at, value, expected) in [
        (0, 3, GroupError::Unknown { kind: 3, flags: 0 }),
        (0, 0, GroupError::Unknown { kind: 0, flags: 0 }),
        (1, 2, GroupError::Unknown { kind: 2, flags: 2 }),
    ] {
        let mut builder = GroupBuilder::new();
        builder
            .push(RecordKind::Meta, 0, 0, 0, &[], &[b"command"])
            .unwrap();
        let mut bytes = builder.seal(frame(1)).finish().bytes().to_vec();
        bytes[GROUP_HEADER_BYTES + at] = value;
        let mut header = GroupHeader::decode(&bytes).unwrap();
        header.meta_crc = crc32c::crc32c(&bytes[96..96 + header.body_bytes as usize]);
        header.encode(&mut bytes);
        assert_eq!(parse_group(&bytes).unwrap_err(), expected);
    }
}

#[test]
fn an_empty_group_takes_a_block() {
    let mut builder = GroupBuilder::new();
    assert_eq!(
        (builder.len_bytes(), builder.sealed_len_bytes()),
        (0, BLOCK_BYTES)
    );
    let group = builder.seal(frame(8)).finish();
    assert_eq!(group.bytes().len(), BLOCK_BYTES);
    let group = parse_group(group.bytes()).unwrap();
    assert_eq!(
        (group.records().count(), group.header().next_lsn()),
        (0, 100)
    );
}

#[test]
fn a_group_grows_to_its_limit_and_no_further() {
    let mut builder = GroupBuilder::new();
    let room = MAX_GROUP_BYTES - GROUP_HEADER_BYTES - RECORD_HEADER_BYTES;
    let body = vec![1; room];
    assert_eq!(
        builder.push(RecordKind::Meta, 0, 0, 0, &[0], &[&body]),
        Err(Full)
    );
    assert!(builder.is_empty());
    builder
        .push(RecordKind::Meta, 0, 0, 0, &[], &[&body])
        .unwrap();
    let group = builder.seal(frame(1)).finish();
    assert_eq!(group.bytes().len(), MAX_GROUP_BYTES);
    assert!(parse_group(group.bytes()).is_ok());
}

#[test]
fn a_reused_buffer_leaves_nothing_in_the_padding() {
    let mut builder = GroupBuilder::new();
    builder
        .push(RecordKind::Meta, 0, 0, 0, &[], &[&[0xff; 9000]])
        .unwrap();
    builder.seal(frame(1));
    let group = builder.seal(frame(2)).finish();
    assert!(
        group.bytes()[GROUP_HEADER_BYTES..]
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn sharing_a_group_copies_nothing() {
    let group = GroupBuilder::new().seal(frame(1)).finish();
    let address = group.bytes().as_ptr().addr();
    let shared = group.into_shared();
    assert_eq!(
        (shared.as_ptr().addr(), address % BLOCK_BYTES),
        (address, 0)
    );
}

proptest! {
    #[test]
    fn groups_round_trip(
        records in prop::collection::vec(
            (any::<bool>(), any::<u32>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..1500)),
            0..8,
        ),
        first_lsn in 1_u64..1 << 60,
    ) {
        let mut builder = GroupBuilder::new();
        let mut expected = Vec::new();
        for (index, (is_data, topic, partition, payload)) in records.iter().enumerate() {
            let (kind, body) = match is_data {
                true => (RecordKind::Data, batch(payload)),
                false => (RecordKind::Meta, payload.clone()),
            };
            let ext = &payload[..payload.len() / 2];
            let at = builder.push(kind, 0, *topic, *partition, ext, &[&body]).unwrap();
            expected.push((first_lsn + index as u64, kind, *topic, *partition, ext, body, at));
        }
        let len = builder.sealed_len_bytes();
        let group = builder.seal(GroupFrame { first_lsn, ..frame(3) }).finish();
        prop_assert_eq!(group.bytes().len(), len);
        let group = parse_group(group.bytes()).unwrap();
        prop_assert_eq!(group.header().padded_bytes(), len);
        let found: Vec<_> = group.records().collect();
        prop_assert_eq!(found.len(), expected.len());
        for (found, (lsn, kind, topic, partition, ext, body, at)) in found.iter().zip(expected) {
            prop_assert_eq!(
                (found.lsn, found.kind, found.topic, found.partition, found.ext, found.body),
                (lsn, kind, topic, partition, ext, &body[..])
            );
            prop_assert_eq!(found.body_position, at);
        }
    }

    #[test]
    fn hostile_groups_are_refused_without_harm(
        mut bytes in prop::collection::vec(any::<u8>(), 96..400),
        records in any::<u32>(),
        body_bytes in any::<u32>(),
        small in any::<bool>(),
    ) {
        let header = GroupHeader {
            salt: 1, group_no: 1, committed_no: 0, first_lsn: u64::MAX, wall_ms: 0, epoch: 1,
            records: if small { records % 8 } else { records },
            body_bytes: if small { body_bytes % 300 } else { body_bytes },
            meta_crc: 0,
        };
        header.encode(&mut bytes);
        prop_assert!(parse_group(&bytes).is_err() || header.body_bytes == 0);
    }
}

fn ring(segments: u64, budget_segments: u64) -> Segments {
    let config = SegmentsConfig {
        cluster_id: [1; 16],
        epoch: 1,
        segment_bytes: 5 * 4096,
        budget_bytes: budget_segments * 5 * 4096,
        salt_seed: 1,
    };
    let mut ring = Segments::new(config, 1);
    for segment in 1..=segments {
        ring.add_free(segment, 5 * 4096);
    }
    ring
}

#[test]
fn groups_fill_a_segment_and_roll_into_a_free_one() {
    let mut ring = ring(2, 2);
    let first = ring.place(2 * 4096, 1).unwrap();
    assert_eq!((first.segment, first.position), (1, 4096));
    let header = first.open.unwrap();
    assert_eq!(
        (header.sequence, header.first_group, header.salt),
        (1, 1, first.salt)
    );
    let second = ring.place(2 * 4096, 2).unwrap();
    assert_eq!(
        (second.segment, second.position, second.open),
        (1, 3 * 4096, None)
    );
    let third = ring.place(4096, 3).unwrap();
    assert_eq!((third.segment, third.position), (2, 4096));
    assert_eq!(third.open.unwrap().first_group, 3);
    assert_ne!(third.salt, first.salt);
    // The open segment has three blocks left, the other one is in use.
    assert!(ring.has_room(3 * 4096) && !ring.has_room(4 * 4096));
    assert_eq!(ring.place(4 * 4096, 4), Err(Full));
    assert_eq!(ring.place(3 * 4096, 4).unwrap().position, 2 * 4096);
}

#[test]
fn a_segment_is_free_again_when_all_its_groups_are_covered() {
    let mut ring = ring(2, 2);
    for group in 1..=3 {
        ring.place(2 * 4096, group).unwrap();
    }
    ring.recycle(2);
    assert_eq!(ring.count(), (2, 0));
    ring.recycle(100);
    assert_eq!(ring.count(), (2, 1), "the open segment is never freed");
    ring.place(2 * 4096, 4).unwrap();
    let again = ring.place(2 * 4096, 5).unwrap();
    assert_eq!((again.segment, again.open.unwrap().sequence), (1, 3));
}

#[test]
fn the_ring_grows_while_none_is_free_and_the_budget_lasts() {
    let mut ring = ring(1, 3);
    assert!(!ring.wants_growth());
    ring.place(4096, 1).unwrap();
    assert_eq!(ring.grow(), Some(2));
    assert_eq!(ring.grow(), None, "one at a time");
    ring.growth_failed(2);
    assert_eq!(ring.grow(), Some(2));
    ring.grown(2);
    assert!(!ring.wants_growth());
    ring.place(4 * 4096, 2).unwrap();
    assert_eq!(ring.grow(), Some(3));
    ring.grown(3);
    ring.place(4 * 4096, 3).unwrap();
    assert_eq!(ring.grow(), None, "the budget is three");
    assert!(!ring.has_room(4 * 4096));
}

#[test]
fn a_segment_above_the_budget_is_given_back_once_free() {
    let mut ring = ring(3, 2);
    ring.place(4 * 4096, 1).unwrap();
    ring.place(4 * 4096, 2).unwrap();
    assert_eq!(ring.take_surplus(), None, "a free one stays to roll into");
    ring.recycle(2);
    assert!(ring.is_over_budget());
    assert_eq!(ring.take_surplus(), Some(3));
    assert_eq!(ring.take_surplus(), None);
    assert!(!ring.is_over_budget());
    assert_eq!(ring.count(), (2, 1));
}

#[test]
fn file_names_round_trip() {
    assert_eq!(file_name(7), "wal-000007.seg");
    assert_eq!(parse_file_name(&file_name(7)), Some(7));
    assert_eq!(parse_file_name(&file_name(12_345_678)), Some(12_345_678));
    for name in [
        "wal-7.seg",
        "wal-000007.part",
        "lock",
        "wal-+00007.seg",
        "wal-.seg",
    ] {
        assert_eq!(parse_file_name(name), None, "{name}");
    }
}
