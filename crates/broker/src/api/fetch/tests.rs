//! The hand-written response, byte for byte against two other encoders.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::FetchResponse as Theirs;
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_wire::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData,
};
use kafka_wire::{FetchResponse, KafkaMessage};
use kafka_wire_core::{ApiVersion, KafkaEncode};

use super::response::{FetchedPartition, FetchedTopic, Response};
use crate::wire::{ErrorCode, RequestHead, StrBytes, Uuid, message};

const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

fn partition(batches: &[&'static [u8]]) -> FetchedPartition {
    let batches: Vec<Bytes> = batches
        .iter()
        .map(|batch| Bytes::from_static(batch))
        .collect();
    FetchedPartition {
        error: ErrorCode::None,
        high_watermark: 1 << 40,
        log_start: 17,
        diverging: None,
        bytes: batches.iter().map(Bytes::len).sum(),
        batches,
    }
}

fn topic(version: i16, name: &str, partitions: Vec<(i32, FetchedPartition)>) -> FetchedTopic {
    let named = version < 13;
    FetchedTopic {
        name: StrBytes::from(if named { name } else { "" }),
        id: if named {
            Uuid::ZERO
        } else {
            Uuid::from_bytes([9; 16])
        },
        partitions,
    }
}

/// The same response as the library has it.
fn plain(version: i16, response: &Response) -> FetchResponse {
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|(index, partition)| {
            let records: Vec<u8> = partition.batches.concat();
            let none: Vec<AbortedTransaction> = Vec::new();
            let mut data = message!(PartitionData {
                partition_index: *index,
                error_code: partition.error.code(),
                high_watermark: partition.high_watermark,
                last_stable_offset: partition.high_watermark,
                log_start_offset: if version >= 5 {
                    partition.log_start
                } else {
                    -1
                },
                aborted_transactions: response.read_committed.then_some(none),
                preferred_read_replica: -1,
                records: Some(Bytes::from(records)),
            });
            if let (12.., Some((epoch, end_offset))) = (version, partition.diverging) {
                data.diverging_epoch = message!(EpochEndOffset { epoch, end_offset });
            }
            data
        });
        message!(FetchableTopicResponse {
            topic: topic.name.clone(),
            topic_id: topic.id,
            partitions: partitions.collect(),
        })
    });
    message!(FetchResponse {
        error_code: response.error.code(),
        responses: topics.collect(),
    })
}

fn check(make: impl Fn(i16) -> Response) {
    for version in VERSIONS {
        let expected = {
            let mut bytes = BytesMut::new();
            let message = plain(version, &make(version));
            message
                .encode_into(&mut bytes, ApiVersion::new(version))
                .unwrap();
            bytes.freeze()
        };
        let head = RequestHead {
            api_key: 1,
            version,
            correlation_id: 0x0102_0304,
        };
        let answer = make(version).encode(head);
        let frame: Vec<u8> = answer.pieces.concat();
        assert_eq!(frame.len(), answer.bytes);
        let (length, rest) = frame.split_first_chunk().unwrap();
        assert_eq!(u32::from_be_bytes(*length) as usize, rest.len());
        let (correlation_id, rest) = rest.split_first_chunk().unwrap();
        assert_eq!(*correlation_id, [1, 2, 3, 4]);
        let tags = usize::from(FetchResponse::is_flexible(ApiVersion::new(version)));
        assert_eq!(&rest[tags..], &expected[..], "version {version}");
        let mut bytes = Bytes::copy_from_slice(&rest[tags..]);
        let theirs = Theirs::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty());
        let mut again = BytesMut::new();
        theirs.encode(&mut again, version).unwrap();
        assert_eq!(again.freeze(), expected, "version {version}");
    }
}

#[test]
fn every_version_is_the_bytes_of_other_encoders() {
    for read_committed in [false, true] {
        check(|_| Response {
            error: ErrorCode::None,
            topics: Vec::new(),
            read_committed,
        });
        check(|version| {
            let full = vec![
                (0, partition(&[b"first batch", b"second"])),
                (1, partition(&[])),
                (70_000, partition(&[&[7; 300]])),
            ];
            let failed = FetchedPartition {
                error: ErrorCode::OffsetOutOfRange,
                ..partition(&[])
            };
            let topics = vec![
                topic(version, "orders.placed", full),
                topic(version, &"n".repeat(249), vec![(3, failed)]),
            ];
            Response {
                error: ErrorCode::None,
                topics,
                read_committed,
            }
        });
    }
}

#[test]
fn a_log_that_parted_is_told_from_version_12_on() {
    check(|version| {
        let parted = FetchedPartition {
            diverging: (version >= 12).then_some((3, 4_000)),
            ..partition(&[])
        };
        Response {
            error: ErrorCode::None,
            topics: vec![topic(version, "t", vec![(0, parted)])],
            read_committed: false,
        }
    });
}

#[test]
fn a_refused_session_is_told_from_version_7_on() {
    check(|version| {
        Response::refused(if version >= 7 {
            ErrorCode::FetchSessionIdNotFound
        } else {
            ErrorCode::None
        })
    });
}

#[test]
fn records_are_not_copied() {
    let batch = Bytes::from(vec![1; 100_000]);
    let found = FetchedPartition {
        bytes: batch.len(),
        batches: vec![batch.clone()],
        ..partition(&[])
    };
    let response = Response {
        error: ErrorCode::None,
        topics: vec![topic(12, "t", vec![(0, found)])],
        read_committed: false,
    };
    let head = RequestHead {
        api_key: 1,
        version: 12,
        correlation_id: 1,
    };
    let answer = response.encode(head);
    assert!(
        answer
            .pieces
            .iter()
            .any(|piece| piece.as_ptr() == batch.as_ptr())
    );
}
