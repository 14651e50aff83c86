//! Topics that ask something of records: a batch is read, bounded, and taken whole or not at all.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use tidegate_broker::batch::seal_crc;
use tidegate_broker::rules::{RecordRef, RecordRules, TopicRules};

use super::client::{Client, Server, batch, produce, produced, values, with_sequence};

const HEADER_BYTES: usize = 61;
const INVALID_RECORD: i16 = 87;
const MESSAGE_TOO_LARGE: i16 = 10;

/// Topic `guarded` takes no value that begins with `bad`, while it is asked to.
#[derive(Debug, Default)]
struct NoBadValues {
    off: AtomicBool,
    looked_up: AtomicUsize,
}

impl RecordRules for NoBadValues {
    fn of_topic(&self, topic: &str) -> Option<Arc<dyn TopicRules>> {
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        let guarded = topic == "guarded" && !self.off.load(Ordering::Relaxed);
        guarded.then(|| Arc::new(NoBad) as Arc<dyn TopicRules>)
    }
}

struct NoBad;

impl TopicRules for NoBad {
    fn check(&self, record: &RecordRef<'_>) -> Result<(), String> {
        match record.value {
            Some(value) if value.starts_with(b"bad") => {
                Err(format!("`{}` is bad", String::from_utf8_lossy(value)))
            }
            Some(value) if value.starts_with(b"panic") => panic!("as asked"),
            _ => Ok(()),
        }
    }
}

async fn guarded() -> (Server, Client, Arc<NoBadValues>) {
    let rules = Arc::new(NoBadValues::default());
    let server = Server::with_rules(rules.clone()).await;
    let mut client = server.connect().await;
    client.topic("guarded").await;
    client.topic("open").await;
    (server, client, rules)
}

async fn refused(client: &mut Client, version: i16, batch: Bytes) -> PartitionProduceResponse {
    let request = produce("guarded", batch, -1);
    let response = client.ask(version, request).await;
    response.responses[0].partition_responses[0].clone()
}

/// Code and text of a refusal.
async fn reason(client: &mut Client, batch: Bytes) -> (i16, String) {
    let answer = refused(client, 9, batch).await;
    let text = answer.error_message.map(|text| text.to_string());
    (answer.error_code, text.unwrap_or_default())
}

/// Changes a batch and makes its checksum right again.
fn changed(batch: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    seal_crc(&mut bytes);
    Bytes::from(bytes)
}

fn set_count(bytes: &mut [u8], count: i32) {
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
}

fn packed(batch: &Bytes, codec: u8) -> Bytes {
    let records = &batch[HEADER_BYTES..];
    let packed = match codec {
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(records).unwrap();
            gzip.finish().unwrap()
        }
        2 => snap::raw::Encoder::new().compress_vec(records).unwrap(),
        3 => {
            let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
            lz4.write_all(records).unwrap();
            lz4.finish().unwrap()
        }
        _ => zstd::encode_all(records, 1).unwrap(),
    };
    changed(batch, |bytes| {
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(&packed);
        bytes[22] |= codec;
    })
}

#[tokio::test]
async fn one_bad_record_refuses_its_batch_with_the_reason() {
    let (server, mut client, _) = guarded().await;
    assert_eq!(client.produce("guarded", batch(&["a", "b"])).await, (0, 0));
    let answer = refused(&mut client, 9, batch(&["a", "bad 1", "b", "bad 2"])).await;
    assert_eq!(
        (answer.error_code, answer.base_offset),
        (INVALID_RECORD, -1)
    );
    let text = answer.error_message.unwrap();
    assert_eq!(&*text, "record 1 of the batch: `bad 1` is bad");
    let records: Vec<(i32, String)> = answer
        .record_errors
        .iter()
        .map(|one| {
            (
                one.batch_index,
                one.batch_index_error_message.as_ref().unwrap().to_string(),
            )
        })
        .collect();
    let expected = [(1, "`bad 1` is bad"), (3, "`bad 2` is bad")];
    assert_eq!(records, expected.map(|(at, text)| (at, text.to_owned())));
    // Before version 8 there is no room for a text.
    let answer = refused(&mut client, 7, batch(&["bad"])).await;
    assert_eq!(
        (answer.error_code, answer.error_message),
        (INVALID_RECORD, None)
    );
    // The other topic asks nothing.
    assert_eq!(client.produce("open", batch(&["bad"])).await, (0, 0));
    assert_eq!(client.produce("guarded", batch(&["c"])).await, (0, 2));
    let kept = client.fetch("guarded", 0, 0).await;
    assert_eq!(values(&kept.records), ["a", "b", "c"]);
    assert_eq!(kept.high_watermark, 3);
    server.stop().await;
}

#[tokio::test]
async fn rules_are_looked_up_once_a_topic_of_a_request_and_change_at_once() {
    let (server, mut client, rules) = guarded().await;
    assert_eq!(
        client.produce("guarded", batch(&["bad"])).await.0,
        INVALID_RECORD
    );
    assert_eq!(rules.looked_up.load(Ordering::Relaxed), 1);
    rules.off.store(true, Ordering::Relaxed);
    assert_eq!(client.produce("guarded", batch(&["bad"])).await, (0, 0));
    rules.off.store(false, Ordering::Relaxed);
    assert_eq!(
        client.produce("guarded", batch(&["bad"])).await.0,
        INVALID_RECORD
    );
    server.stop().await;
}

#[tokio::test]
async fn packed_batches_are_read_and_stay_as_they_came() {
    let (server, mut client, _) = guarded().await;
    for codec in 1..=4 {
        let good = packed(&batch(&["good", "better"]), codec);
        let (code, offset) = client.produce("guarded", good.clone()).await;
        assert_eq!(code, 0, "codec {codec}");
        let kept = client.fetch("guarded", offset, 0).await.records;
        assert_eq!(kept[HEADER_BYTES..], good[HEADER_BYTES..], "codec {codec}");
        let bad = packed(&batch(&["good", "bad"]), codec);
        let (code, text) = reason(&mut client, bad).await;
        assert_eq!(code, INVALID_RECORD);
        assert_eq!(text, "record 1 of the batch: `bad` is bad");
        // Cut in the middle of what is packed.
        let cut = changed(&good, |bytes| bytes.truncate(bytes.len() - 12));
        assert_eq!(
            reason(&mut client, cut).await.0,
            INVALID_RECORD,
            "codec {codec}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_unfolds() {
    let (server, mut client, _) = guarded().await;
    let zeros = "0".repeat(40 << 20);
    let bomb = packed(&batch(&[&zeros]), 4);
    assert!(bomb.len() < 64 * 1024);
    let (code, text) = reason(&mut client, bomb).await;
    assert_eq!(code, MESSAGE_TOO_LARGE);
    assert_eq!(text, "records unpack to more than `33554432` bytes");
    assert_eq!(client.produce("guarded", batch(&["a"])).await, (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_batch_that_lies_about_its_records_is_refused() {
    let (server, mut client, _) = guarded().await;
    let three = batch(&["aaaaaaaaaaaaaaaa", "b", "c"]);
    let record =
        |bytes: &Bytes, what: &str| (INVALID_RECORD, format!("record {what}"), bytes.clone());
    let cases = [
        record(
            &changed(&three, |bytes| set_count(bytes, 4)),
            "`3` of the batch is malformed: its length is cut off",
        ),
        record(
            &changed(&three, |bytes| set_count(bytes, 2)),
            "`1` of the batch is malformed: bytes follow the last record",
        ),
        // The second record begins with its length, its attributes, the time and the offset.
        record(
            &changed(&three, |bytes| bytes[HEADER_BYTES + 23 + 3] = 4),
            "`1` of the batch is malformed: its offset is not the next one",
        ),
        record(
            &changed(&three, |bytes| bytes[HEADER_BYTES] = 0x7e),
            "`0` of the batch is malformed: its length reaches past the batch",
        ),
        // A packed batch may claim as many as it likes.
        record(
            &changed(&packed(&three, 4), |bytes| set_count(bytes, i32::MAX)),
            "`3` of the batch is malformed: its length is cut off",
        ),
        (
            INVALID_RECORD,
            "records do not unpack as `zstd`".to_owned(),
            changed(&three, |bytes| bytes[22] |= 4),
        ),
        (
            INVALID_RECORD,
            "only the log itself writes transaction markers".to_owned(),
            changed(&three, |bytes| bytes[22] |= 0x20),
        ),
    ];
    for (code, text, bytes) in cases {
        assert_eq!(reason(&mut client, bytes).await, (code, text));
    }
    assert_eq!(client.produce("guarded", three).await, (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn the_last_of_ten_thousand_is_found_and_many_are_not_all_told() {
    let (server, mut client, _) = guarded().await;
    let mut many = vec!["a value of some length"; 10_000];
    many[9_999] = "bad";
    let last = batch(&many);
    assert!(
        last.len() > 64 * 1024,
        "it is checked beside the connection"
    );
    let (code, text) = reason(&mut client, last).await;
    assert_eq!(code, INVALID_RECORD);
    assert_eq!(text, "record 9999 of the batch: `bad` is bad");
    let answer = refused(&mut client, 9, batch(&["bad"; 10_000])).await;
    let told: Vec<i32> = answer
        .record_errors
        .iter()
        .map(|one| one.batch_index)
        .collect();
    assert_eq!(told, (0..16).collect::<Vec<_>>());
    many[9_999] = "good";
    assert_eq!(client.produce("guarded", batch(&many)).await, (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_pipeline_keeps_its_order_past_the_rules() {
    let (server, mut client, _) = guarded().await;
    let large = vec!["a value of some length"; 5_000];
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for at in 0..20 {
        let (batch, count) = match at % 4 {
            0 => (batch(&large), 5_000),
            1 => (batch(&["small"]), 1),
            2 => (batch(&["bad"]), 0),
            _ => (packed(&batch(&["small", "too"]), 4), 2),
        };
        asked.push(client.send(9, &produce("guarded", batch, -1)).await);
        expected.push(match count {
            0 => (INVALID_RECORD, -1),
            _ => (0, offset),
        });
        offset += count;
    }
    for (asked, expected) in asked.into_iter().zip(expected) {
        let (answered, response) = client.receive::<ProduceRequest>(9).await;
        assert_eq!((answered, produced(&response)), (asked, expected));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_refused_batch_takes_no_sequence() {
    let (server, mut client, _) = guarded().await;
    let producer = server.broker.new_producer_id().await.unwrap();
    let send =
        |values: &[&str], epoch, sequence| with_sequence(&batch(values), producer, epoch, sequence);
    assert_eq!(client.produce("guarded", send(&["a"], 0, 0)).await, (0, 0));
    assert_eq!(
        client.produce("guarded", send(&["bad"], 0, 1)).await.0,
        INVALID_RECORD
    );
    // A producer that leaves the bad one out goes on with its number, or in an epoch of its own.
    assert_eq!(client.produce("guarded", send(&["b"], 0, 1)).await, (0, 1));
    assert_eq!(client.produce("guarded", send(&["c"], 1, 0)).await, (0, 2));
    server.stop().await;
}

#[tokio::test]
async fn changed_batches_do_no_harm() {
    let (server, mut client, _) = guarded().await;
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let whole = batch(&["one", "two", "three", "four"]);
    let bases: Vec<Bytes> = (0..=4)
        .map(|codec| {
            if codec == 0 {
                whole.clone()
            } else {
                packed(&whole, codec)
            }
        })
        .collect();
    for _ in 0..400 {
        let base = &bases[random(bases.len())];
        let bytes = changed(base, |bytes| {
            for _ in 0..=random(3) {
                let at = HEADER_BYTES + random(bytes.len() - HEADER_BYTES);
                bytes[at] = u8::try_from(random(256)).unwrap();
            }
            if random(4) == 0 {
                let most = i32::try_from(1 + random(100)).unwrap();
                set_count(bytes, most);
            }
        });
        let (code, _) = reason(&mut client, bytes).await;
        assert!(
            [0, INVALID_RECORD, MESSAGE_TOO_LARGE].contains(&code),
            "{code}"
        );
    }
    server.stop().await;
}
