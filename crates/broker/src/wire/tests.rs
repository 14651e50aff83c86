//! The library's messages held against another implementation's, and against hostile bytes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_wire::{KafkaMessage, KafkaRequest, RetainedSize};
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder};

use super::*;
use crate::api::APIS;

/// A seed gives the same bytes always (PCG, O'Neill 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Bytes that often decode: lengths in them are small, and all of them are UTF-8.
    fn message(&mut self) -> Bytes {
        let zeros = 20 + self.below(80);
        let byte = |random: &mut Self| match random.below(100) {
            dice if dice < zeros => 0,
            // One is the empty string or array in compact form.
            dice => [1, 1, 1, 2, 3, 4][dice as usize % 6],
        };
        (0..1_500).map(|_| byte(self)).collect()
    }
}

fn limits() -> DecodeLimits {
    let mut limits = DecodeLimits::default();
    limits.max_array_elements = 20;
    // The other one refuses a tag in versions before the one that defines it, where Kafka, and
    // ours, keep it as unknown (KIP-482).
    limits.max_tagged_fields = 0;
    limits
}

/// Makes filled messages by decoding random bytes, and has the other implementation read and write
/// each: the bytes must be the same. Returns how many messages were compared.
fn compare<Ours: KafkaMessage, Theirs: Decodable + Encodable>(version: i16, seed: u64) -> usize {
    let mut random = Random(seed);
    let mut compared = 0;
    for _ in 0..2_000 {
        let Ok(mut decoder) = Decoder::new(random.message(), limits()) else {
            continue;
        };
        let Ok(message) = Ours::decode(&mut decoder, ApiVersion::new(version)) else {
            continue;
        };
        let mut ours = BytesMut::new();
        if message
            .encode_into(&mut ours, ApiVersion::new(version))
            .is_err()
        {
            continue;
        }
        let ours = ours.freeze();
        let mut rest = ours.clone();
        let read = Theirs::decode(&mut rest, version)
            .unwrap_or_else(|e| panic!("{} {version}: {e}", Ours::NAME));
        assert!(rest.is_empty(), "{} {version}", Ours::NAME);
        let mut again = BytesMut::new();
        read.encode(&mut again, version)
            .expect("they write what they read");
        assert_eq!(ours, again.freeze(), "{} {version}", Ours::NAME);
        compared += 1;
        if compared == 12 {
            break;
        }
    }
    compared
}

macro_rules! compare_all {
    ($($key:literal up to $newest:literal: $request:ident, $response:ident;)*) => {
        #[test]
        fn filled_messages_are_the_same_bytes_in_another_implementation() {
            let mut covered = Vec::new();
            $({
                let api = APIS.iter().find(|api| api.key == $key).expect("served");
                covered.push($key);
                for version in api.least..=api.most.min($newest) {
                    let seed = 1_000 * $key + u64::from(version.cast_unsigned());
                    let compared = compare::<kafka_wire::$request, theirs::$request>(version, seed);
                    assert!(compared > 0, "no {} {version}", stringify!($request));
                    let compared = compare::<kafka_wire::$response, theirs::$response>(version, seed);
                    assert!(compared > 0, "no {} {version}", stringify!($response));
                }
            })*
            let served: Vec<i16> = APIS.iter().map(|api| api.key).collect();
            assert_eq!(covered, served);
        }

        /// Decodes as the port does; returns what the message occupies, if it is one.
        fn decode_any(key: i16, frame: Bytes, version: i16) -> Option<usize> {
            match key {
                $($key => {
                    let (_, message) = decode::<kafka_wire::$request>(frame, version).ok()?;
                    Some(message.retained_size().heap_bytes())
                })*
                _ => None,
            }
        }
    };
}

// «up to» is the newest version the other implementation knows.
compare_all! {
    0 up to 13: ProduceRequest, ProduceResponse;
    1 up to 18: FetchRequest, FetchResponse;
    2 up to 10: ListOffsetsRequest, ListOffsetsResponse;
    3 up to 13: MetadataRequest, MetadataResponse;
    8 up to 9: OffsetCommitRequest, OffsetCommitResponse;
    9 up to 9: OffsetFetchRequest, OffsetFetchResponse;
    10 up to 6: FindCoordinatorRequest, FindCoordinatorResponse;
    11 up to 9: JoinGroupRequest, JoinGroupResponse;
    12 up to 4: HeartbeatRequest, HeartbeatResponse;
    13 up to 5: LeaveGroupRequest, LeaveGroupResponse;
    14 up to 5: SyncGroupRequest, SyncGroupResponse;
    15 up to 6: DescribeGroupsRequest, DescribeGroupsResponse;
    16 up to 5: ListGroupsRequest, ListGroupsResponse;
    18 up to 4: ApiVersionsRequest, ApiVersionsResponse;
    19 up to 7: CreateTopicsRequest, CreateTopicsResponse;
    20 up to 6: DeleteTopicsRequest, DeleteTopicsResponse;
    22 up to 5: InitProducerIdRequest, InitProducerIdResponse;
    23 up to 4: OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
    32 up to 4: DescribeConfigsRequest, DescribeConfigsResponse;
    37 up to 3: CreatePartitionsRequest, CreatePartitionsResponse;
    44 up to 1: IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
    60 up to 2: DescribeClusterRequest, DescribeClusterResponse;
}

/// A request header: key, version, correlation id, no client id, no tags.
fn header(key: i16, version: i16, is_flexible: bool) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&key.to_be_bytes());
    header.extend_from_slice(&version.to_be_bytes());
    header.extend_from_slice(&[0, 0, 0, 7, 0xff, 0xff]);
    if is_flexible {
        header.push(0);
    }
    header
}

#[test]
fn an_announced_array_of_two_to_the_31_is_refused() {
    for length in [
        [0x7f, 0xff, 0xff, 0xff],
        [0x80, 0, 0, 0],
        [0xff, 0xff, 0xff, 0xfe],
    ] {
        let mut frame = header(3, 1, false);
        frame.extend_from_slice(&length);
        let decoded = decode::<MetadataRequest>(Bytes::from(frame), 1);
        assert!(matches!(decoded, Err(WireError::Malformed(_))));
        let mut frame = header(0, 3, false);
        frame.extend_from_slice(&[0xff, 0xff, 0, 1, 0, 0, 0, 1]);
        frame.extend_from_slice(&length);
        let decoded = decode::<ProduceRequest>(Bytes::from(frame), 3);
        assert!(matches!(decoded, Err(WireError::Malformed(_))));
    }
    let mut frame = header(3, 12, true);
    frame.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    let decoded = decode::<MetadataRequest>(Bytes::from(frame), 12);
    assert!(matches!(decoded, Err(WireError::Malformed(_))));
}

#[test]
fn records_of_a_produce_are_a_slice_of_the_frame() {
    let mut frame = header(0, 3, false);
    frame.extend_from_slice(&[0xff, 0xff, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, b't']);
    frame.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
    let frame = Bytes::from(frame);
    let (_, request) = decode::<ProduceRequest>(frame.clone(), 3).unwrap();
    let records = request.topic_data[0].partition_data[0]
        .records
        .clone()
        .unwrap();
    assert_eq!(&records[..], [1, 2, 3, 4]);
    assert_eq!(records.as_ptr(), frame[frame.len() - 4..].as_ptr());
}

#[test]
fn no_bytes_break_the_decoders_or_occupy_much_more_than_they_are() {
    // The largest element per byte: a topic of Fetch, 7 bytes in the frame.
    const LARGEST_RATIO: usize = 64;
    let mut random = Random(42);
    for api in APIS {
        for version in api.least..=api.most {
            for round in 0..150 {
                let mut frame = header(api.key, version, round % 2 == 0);
                frame.extend_from_slice(&random.message());
                for _ in 0..random.below(6) {
                    let at = random.below(frame.len() as u64 / 8 + 1) as usize;
                    frame[at] = random.below(256) as u8;
                }
                frame.truncate(8 + random.below(frame.len() as u64) as usize);
                let bytes = frame.len();
                if let Some(occupied) = decode_any(api.key, Bytes::from(frame), version) {
                    let most = LARGEST_RATIO * bytes + 4_096;
                    assert!(
                        occupied <= most,
                        "{} {version}: {occupied} of {bytes}",
                        api.name
                    );
                }
            }
        }
    }
}

#[test]
fn all_versions_served_are_versions_the_library_has() {
    macro_rules! check {
        ($($key:literal: $request:ident,)*) => {
            $({
                let api = APIS.iter().find(|api| api.key == $key).expect("served");
                let supported = <kafka_wire::$request as KafkaMessage>::SUPPORTED_VERSIONS;
                assert!(supported.contains(ApiVersion::new(api.least)), "{api:?}");
                assert!(supported.contains(ApiVersion::new(api.most)), "{api:?}");
                assert_eq!(<kafka_wire::$request as KafkaRequest>::API_KEY.value(), $key);
            })*
        };
    }
    check!(
        0: ProduceRequest, 1: FetchRequest, 2: ListOffsetsRequest, 3: MetadataRequest,
        8: OffsetCommitRequest, 9: OffsetFetchRequest, 10: FindCoordinatorRequest,
        11: JoinGroupRequest, 12: HeartbeatRequest, 13: LeaveGroupRequest, 14: SyncGroupRequest,
        15: DescribeGroupsRequest, 16: ListGroupsRequest, 18: ApiVersionsRequest,
        19: CreateTopicsRequest, 20: DeleteTopicsRequest, 22: InitProducerIdRequest,
        23: OffsetForLeaderEpochRequest, 32: DescribeConfigsRequest,
        37: CreatePartitionsRequest, 44: IncrementalAlterConfigsRequest, 60: DescribeClusterRequest,
    );
}
