//! Round trips, Kafka's own format through another implementation, and hostile bytes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression as Codec, Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};
use proptest::prelude::*;
use tidegate_event_log::{Header, Record};

use super::*;

const MIB: usize = 1 << 20;

fn record(key: Option<&str>, value: Option<&str>, headers: &[(&str, Option<&str>)]) -> Record {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Record {
        key: key.map(bytes),
        value: value.map(bytes),
        headers: headers
            .iter()
            .map(|(name, value)| Header {
                name: bytes(name),
                value: value.map(bytes),
            })
            .collect(),
    }
}

/// A batch of ours, sealed, with `records` at timestamps 1000, 1001 …
fn ours(base_offset: i64, records: &[Record]) -> Vec<u8> {
    let mut open = OpenBatch::new(base_offset, 1_000);
    for (record, timestamp_ms) in records.iter().zip(1_000..) {
        open.push(&encode_record(record), timestamp_ms);
    }
    let mut batch = open.close(7).to_vec();
    seal_crc(&mut batch);
    batch
}

fn read(batch: &[u8]) -> Result<Vec<Placed>, BatchError> {
    records(batch, MIB)?.collect()
}

/// A batch as the other implementation writes it.
fn theirs(codec: Codec, values: &[&[u8]]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let records: Vec<TheirRecord> = values
        .iter()
        .zip(0_i64..)
        .map(|(value, at)| TheirRecord {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 3,
            producer_id: 9,
            producer_epoch: 2,
            timestamp_type: TimestampType::Creation,
            offset: 40 + at,
            sequence: 5 + i32::try_from(at).unwrap(),
            timestamp: 1_000 + at,
            key: Some(Bytes::from_static(b"key")),
            value: Some(Bytes::copy_from_slice(value)),
            headers: IndexMap::from([(
                StrBytes::from_static_str("name"),
                Some(Bytes::from_static(b"value")),
            )]),
        })
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: codec,
    };
    RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    out.to_vec()
}

const CODECS: [(Codec, Compression); 5] = [
    (Codec::None, Compression::None),
    (Codec::Gzip, Compression::Gzip),
    (Codec::Snappy, Compression::Snappy),
    (Codec::Lz4, Compression::Lz4),
    (Codec::Zstd, Compression::Zstd),
];

#[test]
fn batches_of_another_implementation_read_in_every_codec() {
    for (codec, compression) in CODECS {
        let long = vec![b'x'; 100_000];
        let batch = theirs(codec, &[b"one", &long, b""]);
        let header = validate(&batch).unwrap();
        assert_eq!(header.compression(), Ok(compression));
        assert_eq!((header.producer_id, header.producer_epoch), (9, 2));
        assert_eq!((header.base_sequence, header.last_sequence()), (5, 7));
        assert_eq!((header.base_offset, header.last_offset()), (40, 42));
        let read = read(&batch).unwrap();
        let places: Vec<_> = read.iter().map(|(offset, at, _)| (*offset, *at)).collect();
        assert_eq!(places, [(40, 1_000), (41, 1_001), (42, 1_002)]);
        assert_eq!(read[1].2.value.as_deref(), Some(long.as_slice()));
        assert_eq!(read[0].2.headers, [Header::new("name", "value")]);
        assert_eq!(
            records(&batch, 1_000).err(),
            Some(BatchError::TooLarge(1_000)),
            "{codec:?}"
        );
    }
}

#[test]
fn another_implementation_reads_our_batches() {
    let records = [
        record(Some("k"), Some("v"), &[("a", Some("1")), ("b", None)]),
        record(None, None, &[]),
    ];
    let mut bytes = Bytes::from(ours(12, &records));
    let set = RecordBatchDecoder::decode(&mut bytes).unwrap();
    assert_eq!(set.records.len(), 2);
    assert_eq!(set.records[0].offset, 12);
    assert_eq!(set.records[0].partition_leader_epoch, 7);
    assert_eq!(set.records[0].headers.len(), 2);
    assert_eq!(
        (set.records[1].offset, set.records[1].timestamp),
        (13, 1_001)
    );
    assert_eq!((&set.records[1].key, &set.records[1].value), (&None, &None));
}

#[test]
fn raw_snappy_reads_as_xerial_does() {
    let plain = ours(0, &[record(None, Some(&"ab".repeat(500)), &[])]);
    let packed = snap::raw::Encoder::new()
        .compress_vec(&plain[HEADER_BYTES..])
        .unwrap();
    let mut batch = plain[..HEADER_BYTES].to_vec();
    batch.extend_from_slice(&packed);
    repair(&mut batch, 2);
    assert_eq!(read(&batch), read(&plain));
}

/// Makes length, codec and CRC fit the bytes again.
fn repair(batch: &mut [u8], codec: u8) {
    let counted = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&counted.to_be_bytes());
    batch[22] = codec;
    seal_crc(batch);
}

#[test]
fn validate_names_what_is_wrong() {
    let good = ours(0, &[record(None, Some("v"), &[])]);
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: BatchError| {
        let mut batch = good.clone();
        change(&mut batch);
        assert_eq!(validate(&batch), Err(expected));
    };
    let len = good.len();
    let cut = BatchError::Truncated {
        have: len - 1,
        need: len,
    };
    check(&|batch| batch.truncate(len - 1), cut);
    let headless = BatchError::Truncated { have: 0, need: 61 };
    check(&Vec::clear, headless);
    check(&|batch| batch.push(0), BatchError::Trailing(1));
    check(&|batch| batch[16] = 1, BatchError::Magic(1));
    check(&|batch| batch[8] = 0x80, BatchError::Length(i32::MIN + 57));
    check(&|batch| batch[11] = 48, BatchError::Length(48));
    check(&|batch| repair(batch, 5), BatchError::Codec(5));
    let miscounted = |records, last_offset_delta| BatchError::Count {
        records,
        last_offset_delta,
    };
    let count = |batch: &mut Vec<u8>, delta: i32, count: i32| {
        batch[23..27].copy_from_slice(&delta.to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        repair(batch, 0);
    };
    check(&|batch| count(batch, 0, 0), miscounted(0, 0));
    check(&|batch| count(batch, -1, 0), miscounted(0, -1));
    check(&|batch| count(batch, 1, 1), miscounted(1, 1));
    check(
        &|batch| count(batch, i32::MAX, i32::MIN),
        miscounted(i32::MIN, i32::MAX),
    );
    let mut flipped = good.clone();
    flipped[len - 1] ^= 1;
    assert!(matches!(
        validate(&flipped),
        Err(BatchError::Checksum { .. })
    ));
    assert!(validate(&good).is_ok());
}

#[test]
fn placing_a_batch_keeps_its_checksum() {
    let mut batch = ours(0, &[record(Some("k"), None, &[])]);
    place(&mut batch, 1 << 40, 9);
    let header = validate(&batch).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (1 << 40, 9));
    assert_eq!(read(&batch).unwrap()[0].0, 1 << 40);
}

#[test]
fn sequences_wrap_to_zero() {
    let mut header = BatchHeader::parse(&ours(0, &[record(None, None, &[])])).unwrap();
    assert_eq!(header.last_sequence(), -1);
    header.base_sequence = i32::MAX - 1;
    for (delta, last) in [(0, i32::MAX - 1), (1, i32::MAX), (2, 0), (4, 2)] {
        header.last_offset_delta = delta;
        assert_eq!(header.last_sequence(), last);
    }
}

#[test]
fn log_append_time_is_the_time_of_every_record() {
    let mut batch = ours(0, &[record(None, None, &[]), record(None, None, &[])]);
    repair(&mut batch, 8);
    let times: Vec<_> = read(&batch)
        .unwrap()
        .iter()
        .map(|placed| placed.1)
        .collect();
    assert_eq!(times, [1_001, 1_001]);
}

#[test]
fn control_batches_give_no_records() {
    let mut batch = ours(0, &[record(Some("marker"), None, &[])]);
    repair(&mut batch, 0x20);
    assert_eq!(read(&batch), Ok(Vec::new()));
}

#[test]
fn lengths_inside_records_are_held_against_the_bytes() {
    let check = |body: &[u8], expected: &'static str| {
        let mut open = OpenBatch::new(0, 0);
        open.push(body, 0);
        let error = read(open.close(0)).unwrap_err();
        assert_eq!(
            error,
            BatchError::Record {
                index: 0,
                what: expected
            }
        );
    };
    // Zigzag: 1 is -1, 3 is -2; five bytes of seven ones are 2^34.
    check(&[1, 1], "a number is cut off");
    check(&[3, 1, 0], "a length is negative");
    check(&[2], "a length reaches past the record");
    check(
        &[0xfe, 0xff, 0xff, 0xff, 0x7f, 1, 0],
        "a length reaches past the record",
    );
    check(&[1, 1, 1], "the number of headers is negative");
    check(
        &[1, 1, 0xfe, 0xff, 0xff, 0xff, 0x7f],
        "it announces more headers than it has bytes for",
    );
    check(&[1, 1, 2, 1, 1], "a header has no name");
    check(&[1, 1, 0, 0], "bytes are left over");
}

#[test]
fn a_count_that_lies_ends_with_an_error() {
    let mut batch = ours(0, &[record(None, None, &[])]);
    batch[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
    let mut records = records(&batch, MIB).unwrap();
    assert!(records.next().unwrap().is_ok());
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none());
    let mut batch = ours(0, &[record(None, None, &[]), record(None, None, &[])]);
    batch[57..61].copy_from_slice(&1_i32.to_be_bytes());
    assert!(read(&batch).is_err());
}

fn any_record() -> impl Strategy<Value = Record> {
    let field = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40));
    // Few names, so that they repeat.
    let header = ("[ab]?", field()).prop_map(|(name, value)| Header {
        name: Bytes::from(name),
        value: value.map(Bytes::from),
    });
    (field(), field(), proptest::collection::vec(header, 0..5)).prop_map(|(key, value, headers)| {
        Record {
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers,
        }
    })
}

proptest! {
    #[test]
    fn records_come_back_as_they_went_in(
        base in 0_i64..1 << 50,
        records in proptest::collection::vec(any_record(), 1..20),
    ) {
        let batch = ours(base, &records);
        let header = validate(&batch).unwrap();
        let expected: Vec<Placed> = records
            .into_iter()
            .zip(0..)
            .map(|(record, at)| (base + at, 1_000 + at, record))
            .collect();
        prop_assert_eq!(header.last_offset(), base + i64::from(header.record_count) - 1);
        prop_assert_eq!(read(&batch).unwrap(), expected);
    }

    #[test]
    fn headers_come_back_as_they_went_in(mut bytes in proptest::array::uniform32(any::<u8>())) {
        let mut batch = ours(0, &[record(None, None, &[])]);
        bytes[0] &= 0x3f;
        batch[21..53].copy_from_slice(&bytes);
        let header = BatchHeader::parse(&batch).unwrap();
        let mut again = [0; HEADER_BYTES];
        header.write(&mut again);
        prop_assert_eq!(&again[..], &batch[..HEADER_BYTES]);
    }

    #[test]
    fn numbers_come_back_and_know_their_length(value in any::<i64>(), shift in 0_u32..64) {
        let value = value >> shift;
        let mut out = BytesMut::new();
        varint::put(&mut out, value);
        prop_assert_eq!(out.len(), varint::len(value));
        let mut rest = &out[..];
        prop_assert_eq!(varint::take(&mut rest), Some(value));
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn no_bytes_break_the_reader(
        codec in 0_usize..5,
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..8),
        cut in any::<u16>(),
    ) {
        let mut batch = theirs(CODECS[codec].0, &[b"one", &[b'x'; 300], b""]);
        for (at, byte) in changes {
            let at = at as usize % batch.len();
            batch[at] = byte;
        }
        batch.truncate((cut as usize % (2 * batch.len())).max(1));
        if validate(&batch).is_ok() {
            prop_assert_eq!(BatchHeader::parse(&batch).unwrap().total_bytes(), batch.len());
        }
        if let Ok(records) = records(&batch, MIB) {
            for record in records {
                drop(record);
            }
        }
    }
}
