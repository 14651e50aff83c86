//! The Fetch response, written by hand: the records in it are slices of groups and objects, and
//! are not copied on their way to the socket. Held against two other encoders in the tests.
//!
//! Source: `FetchResponse.json` of Apache Kafka, versions 4-18.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{Answer, AnswerWriter, ErrorCode, RequestHead, StrBytes, Uuid};

const LOG_START_FROM: i16 = 5;
const SESSIONS_FROM: i16 = 7;
const PREFERRED_REPLICA_FROM: i16 = 11;
const FLEXIBLE_FROM: i16 = 12;
const TOPIC_IDS_FROM: i16 = 13;
/// Tag of the epoch and offset at which the client's log parts from ours.
const DIVERGING_EPOCH_TAG: u8 = 0;

/// A whole response.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) error: ErrorCode,
    pub(super) topics: Vec<FetchedTopic>,
    pub(super) read_committed: bool,
}

#[derive(Debug)]
pub(super) struct FetchedTopic {
    pub(super) name: StrBytes,
    pub(super) id: Uuid,
    /// Partition numbers and what was found.
    pub(super) partitions: Vec<(i32, FetchedPartition)>,
}

#[derive(Clone, Debug)]
pub(super) struct FetchedPartition {
    pub(super) error: ErrorCode,
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
    pub(super) diverging: Option<(i32, i64)>,
    /// The size of all batches.
    pub(super) bytes: usize,
    pub(super) batches: Vec<Bytes>,
}

impl Response {
    /// An answer without topics.
    pub(super) fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            topics: Vec::new(),
            read_committed: false,
        }
    }

    /// Encodes the answer to a request with this head.
    pub(super) fn encode(self, head: RequestHead) -> Answer {
        let version = head.version;
        let is_flexible = version >= FLEXIBLE_FROM;
        let mut writer = AnswerWriter::new(head.correlation_id, is_flexible);
        let out = &mut writer.buffer;
        let throttle_ms = 0;
        out.put_i32(throttle_ms);
        if version >= SESSIONS_FROM {
            let no_session = 0;
            out.put_i16(self.error.code());
            out.put_i32(no_session);
        }
        put_len(out, is_flexible, self.topics.len());
        for topic in self.topics {
            let out = &mut writer.buffer;
            if version < TOPIC_IDS_FROM {
                put_name(out, is_flexible, &topic.name);
            } else {
                out.put_slice(topic.id.as_bytes());
            }
            put_len(out, is_flexible, topic.partitions.len());
            for (index, partition) in topic.partitions {
                put_partition(&mut writer, version, index, partition, self.read_committed);
            }
            if is_flexible {
                writer.buffer.put_u8(0);
            }
        }
        if is_flexible {
            writer.buffer.put_u8(0);
        }
        writer.finish()
    }
}

fn put_partition(
    writer: &mut AnswerWriter,
    version: i16,
    index: i32,
    partition: FetchedPartition,
    read_committed: bool,
) {
    let is_flexible = version >= FLEXIBLE_FROM;
    let out = &mut writer.buffer;
    out.put_i32(index);
    out.put_i16(partition.error.code());
    out.put_i64(partition.high_watermark);
    // Without open transactions the last stable offset is the high watermark.
    out.put_i64(partition.high_watermark);
    if version >= LOG_START_FROM {
        out.put_i64(partition.log_start);
    }
    match (is_flexible, read_committed) {
        (true, false) => out.put_u8(0),
        (true, true) => out.put_u8(1),
        (false, false) => out.put_i32(-1),
        (false, true) => out.put_i32(0),
    }
    if version >= PREFERRED_REPLICA_FROM {
        let no_preference = -1;
        out.put_i32(no_preference);
    }
    // Empty, never null: librdkafka takes null for a broken message set (KAFKA-18646).
    put_len(out, is_flexible, partition.bytes);
    for batch in partition.batches {
        writer.put_payload(batch);
    }
    let out = &mut writer.buffer;
    match partition.diverging {
        _ if !is_flexible => {}
        None => out.put_u8(0),
        Some((epoch, end_offset)) => {
            let (count, len) = (1, 4 + 8 + 1);
            out.put_slice(&[count, DIVERGING_EPOCH_TAG, len]);
            out.put_i32(epoch);
            out.put_i64(end_offset);
            out.put_u8(0);
        }
    }
}

fn put_name(out: &mut BytesMut, is_flexible: bool, name: &str) {
    // The name came with the request, in a string of at most as many bytes.
    if is_flexible {
        put_len(out, true, name.len());
    } else {
        out.put_i16(i16::try_from(name.len()).expect("a name as long as it was in the request"));
    }
    out.put_slice(name.as_bytes());
}

/// Puts the length of an array or of bytes that is not null.
fn put_len(out: &mut BytesMut, is_flexible: bool, len: usize) {
    let len = u32::try_from(len).expect("answers are limited far below 2 GiB");
    if !is_flexible {
        out.put_u32(len);
        return;
    }
    let mut rest = len + 1;
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}
