use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::batch::{self, HEADER_BYTES as BATCH_HEADER_BYTES};
use crate::object::create::create;
use crate::object::tests::{in_memory, run};
use crate::object::{Body, Key, ObjectError, Objects};

const TOPIC_ID: [u8; 16] = [0xA; 16];

/// A batch of `records` records whose payload is `payload`; objects never look inside.
pub(crate) fn data(
    lsn: u64,
    (topic, partition): (u32, u32),
    base_offset: i64,
    records: i32,
    payload: &[u8],
    claims: &'static [u8],
) -> L0Record {
    let header = BatchHeader {
        base_offset,
        batch_length: i32::try_from(BATCH_HEADER_BYTES - 12 + payload.len()).unwrap(),
        leader_epoch: 3,
        magic: 2,
        crc: 0,
        attributes: 0,
        last_offset_delta: records - 1,
        base_timestamp: 1_000 + base_offset,
        max_timestamp: 1_000 + base_offset + i64::from(records),
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        record_count: records,
    };
    let mut bytes = [0; BATCH_HEADER_BYTES];
    header.write(&mut bytes);
    let mut bytes = [&bytes, payload].concat();
    batch::seal_crc(&mut bytes);
    let header = BatchHeader::parse(&bytes).unwrap();
    let claims = Bytes::from_static(claims);
    let body = L0Body::Data {
        topic,
        topic_id: TOPIC_ID,
        partition,
        flags: 2,
        header,
        batch: bytes.into(),
        claims,
    };
    L0Record { lsn, body }
}

fn meta(lsn: u64, body: &'static [u8]) -> L0Record {
    L0Record {
        lsn,
        body: L0Body::Meta(Bytes::from_static(body)),
    }
}

pub(crate) fn head(kind: L0Kind, number: u64, first_lsn: u64, last_lsn: u64) -> L0Head {
    L0Head {
        kind,
        cluster_id: [1; 16],
        put_id: [2; 16],
        epoch: 3,
        number,
        first_lsn,
        last_lsn,
        first_group: 5,
        last_group: 6,
    }
}

fn sample() -> (L0Head, Vec<L0Record>) {
    let records = vec![
        meta(11, b"topic created"),
        data(12, (2, 1), 0, 3, b"abc", b"claim of 12"),
        data(13, (1, 0), 7, 1, b"de", b""),
        data(14, (2, 1), 3, 2, b"f", b""),
        meta(15, b""),
    ];
    (head(L0Kind::Log, 4, 11, 15), records)
}

fn replay_of(records: &[L0Record]) -> Vec<(u64, ReplayRecord)> {
    let replay = |record: &L0Record| match record.body.clone() {
        L0Body::Meta(body) => ReplayRecord::Meta(body),
        L0Body::Data {
            topic,
            partition,
            header,
            claims,
            ..
        } => ReplayRecord::Data {
            topic,
            partition,
            header,
            claims,
        },
    };
    records
        .iter()
        .map(|record| (record.lsn, replay(record)))
        .collect()
}

async fn stored(bytes: Vec<u8>, key: Key) -> Objects {
    let objects = in_memory();
    let proof = 0..(bytes.len().min(1) as u64);
    if !bytes.is_empty() {
        create(&objects, key, &Body::new(vec![bytes.into()], proof))
            .await
            .unwrap();
    }
    objects
}

#[test]
fn the_stored_form_is_stable() {
    let (head, records) = sample();
    let object = build(&head, records);
    let hex: Vec<String> = object
        .body
        .to_vec()
        .chunks(40)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(object.key, Key::Log(4));
    assert_eq!(hex.join("\n"), include_str!("golden.hex").trim_end());
}

#[test]
fn an_extent_in_a_checkpoint_is_stable() {
    let extent = ObjectExtent {
        topic: 1,
        partition: 2,
        first_offset: 3,
        last_offset: 4,
        bytes: 5,
        max_timestamp: -1,
        data_position: 160,
        index_position: 300,
        batches: 6,
        first_lsn: 7,
    };
    let stored = [1, 2, 6, 8, 5, 1, 160, 1, 172, 2, 6, 7];
    assert_eq!(postcard::to_stdvec(&extent).unwrap(), stored);
    assert_eq!(
        postcard::from_bytes::<ObjectExtent>(&stored).unwrap(),
        extent
    );
}

#[test]
fn an_object_gives_back_what_was_put_in() {
    let (head, records) = sample();
    let object = build(&head, records.clone());
    run(async {
        let objects = in_memory();
        create(&objects, object.key, &object.body).await.unwrap();
        create(&objects, object.key, &object.body)
            .await
            .expect("it is ours");
        assert_eq!(read_head(&objects, object.key).await.unwrap(), head);
        let tail = read_tail(&objects, object.key).await.unwrap();
        assert_eq!(tail.head, head);
        assert_eq!(tail.replay, replay_of(&records));
        assert_eq!(tail.extents, object.extents);
        let lanes: Vec<_> = tail
            .extents
            .iter()
            .map(|e| {
                (
                    e.topic,
                    e.partition,
                    e.first_offset,
                    e.last_offset,
                    e.batches,
                )
            })
            .collect();
        assert_eq!(lanes, [(1, 0, 7, 7, 1), (2, 1, 0, 4, 2)]);
        let index = read_batch_index(&objects, object.key, &tail.extents[1])
            .await
            .unwrap();
        let batches = read_batches(&objects, object.key, &index).await.unwrap();
        let sent: Vec<_> = records
            .iter()
            .filter_map(|record| match &record.body {
                L0Body::Data {
                    topic: 2, batch, ..
                } => Some(batch.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(batches, sent);
    });
}

#[test]
fn an_object_without_batches_is_an_object() {
    let records = vec![meta(1, b"cluster created")];
    let object = build(&head(L0Kind::Log, 1, 1, 1), records.clone());
    run(async {
        let objects = in_memory();
        create(&objects, object.key, &object.body).await.unwrap();
        let tail = read_tail(&objects, object.key).await.unwrap();
        assert_eq!(tail.replay, replay_of(&records));
        assert!(tail.extents.is_empty());
    });
}

#[test]
fn damage_is_found_wherever_it_is() {
    let (head, records) = sample();
    let object = build(&head, records);
    let bytes = object.body.to_vec();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        run(async {
            let objects = stored(damaged, object.key).await;
            let tail = read_tail(&objects, object.key).await;
            let mut reading = tail.map(drop);
            for extent in &object.extents {
                if reading.is_ok() {
                    let index = read_batch_index(&objects, object.key, extent)
                        .await
                        .unwrap();
                    reading = read_batches(&objects, object.key, &index).await.map(drop);
                }
            }
            assert!(
                matches!(reading, Err(ObjectError::Corrupt { .. })),
                "byte {at}: {reading:?}"
            );
        });
    }
}

#[test]
fn an_object_cut_anywhere_is_damaged() {
    let (head, records) = sample();
    let object = build(&head, records);
    let bytes = object.body.to_vec();
    for end in 1..bytes.len() {
        run(async {
            let objects = stored(bytes[..end].to_vec(), object.key).await;
            let read = read_tail(&objects, object.key).await;
            assert!(
                matches!(read, Err(ObjectError::Corrupt { .. })),
                "cut at {end}: {read:?}"
            );
        });
    }
}

#[test]
fn an_object_under_another_name_is_damaged() {
    let (head, records) = sample();
    let bytes = build(&head, records).body.to_vec();
    for key in [Key::Log(5), Key::Data(4)] {
        run(async {
            let objects = stored(bytes.clone(), key).await;
            let read = read_head(&objects, key).await;
            assert!(matches!(read, Err(ObjectError::Corrupt { .. })));
        });
    }
}

#[test]
#[should_panic(expected = "record 13 where 12 is next")]
fn a_range_with_a_hole_is_not_built() {
    let (head, mut records) = sample();
    records.remove(1);
    build(&head, records);
}

/// Lengths and counts of hostile headers with right checksums never cost memory or a panic.
#[test]
fn impossible_sizes_are_refused() {
    let (head, records) = sample();
    let object = build(&head, records);
    let bytes = object.body.to_vec();
    for at in (96..120).step_by(8) {
        for size in [u64::MAX, u64::MAX / 2, 1 << 40, 0] {
            let mut hostile = bytes.clone();
            hostile[at..at + 8].copy_from_slice(&size.to_le_bytes());
            let crc = crc32c::crc32c(&hostile[..156]).to_le_bytes();
            hostile[156..160].copy_from_slice(&crc);
            run(async {
                let objects = stored(hostile, object.key).await;
                let read = read_tail(&objects, object.key).await;
                assert!(
                    matches!(read, Err(ObjectError::Corrupt { .. })),
                    "{at} {size}: {read:?}"
                );
            });
        }
    }
    let mut extent = object.extents[0].clone();
    extent.batches = u32::MAX;
    run(async {
        let objects = stored(bytes, object.key).await;
        assert!(
            read_batch_index(&objects, object.key, &extent)
                .await
                .is_err()
        );
    });
}

proptest! {
    /// Whatever records a range has, the object gives them back in order, with extents that cover
    /// each partition without gap.
    #[test]
    fn any_range_comes_back(
        kinds in prop::collection::vec((0_u32..4, 0_u32..3, 1_i32..5, 0_usize..40, any::<bool>()), 1..60)
    ) {
        let mut next = std::collections::BTreeMap::new();
        let mut records = Vec::new();
        for (lsn, (topic, partition, count, size, claimed)) in (100_u64..).zip(&kinds) {
            records.push(if *topic == 0 {
                meta(lsn, if *claimed { b"command" } else { b"" })
            } else {
                let place = (*topic, *partition);
                let offset: &mut i64 = next.entry(place).or_default();
                let claims: &[u8] = if *claimed { b"claims" } else { b"" };
                let record = data(lsn, place, *offset, *count, &vec![7; *size], claims);
                *offset += i64::from(*count);
                record
            });
        }
        let last = 100 + records.len() as u64 - 1;
        let object = build(&head(L0Kind::Log, 9, 100, last), records.clone());
        run(async {
            let objects = in_memory();
            create(&objects, object.key, &object.body).await.unwrap();
            let tail = read_tail(&objects, object.key).await.unwrap();
            assert_eq!(tail.replay, replay_of(&records));
            let covers: Vec<_> = tail.extents.iter().map(|e| ((e.topic, e.partition), e.last_offset + 1)).collect();
            assert_eq!(covers, next.into_iter().collect::<Vec<_>>());
        });
    }

    /// Bytes at random are refused, or are the object.
    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 1..600)) {
        run(async {
            let objects = stored(bytes, Key::Log(4)).await;
            assert!(read_tail(&objects, Key::Log(4)).await.is_err());
        });
    }
}
