//! Request frames into messages, messages into answers.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::{KafkaMessage, KafkaRequest, RequestHeader, response_header_version_for};
use kafka_wire_core::{
    ApiVersion, DecodeError, DecodeLimits, Decoder, EncodeError, KafkaDecode, StrBytes,
};

/// Elements of one array. Apache's largest clusters have 200,000 partitions, spread over topics.
const ARRAY_LIMIT: usize = 200_000;
/// Unknown tagged fields of one structure: no client sends any, a newer one may send a few.
const TAGS_LIMIT: usize = 64;
/// Requests other than Produce carry names, numbers and the metadata of group members.
const SMALL_REQUEST_LIMIT_BYTES: usize = 16 * 1024 * 1024;
const PRODUCE_KEY: i16 = 0;

/// Why a frame was not understood, or an answer not written. The connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// Not even a header.
    #[error("a request of {0} bytes has no header")]
    Headless(usize),
    /// The message does not decode.
    #[error("the request does not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// A bug: the answer does not fit the version asked for.
    #[error("the answer does not encode: {0}")]
    Unanswerable(#[from] EncodeError),
}

/// The fields every request begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RequestHead {
    pub(crate) api_key: i16,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
}

impl RequestHead {
    /// Reads what is at the same place in every header version.
    pub(crate) fn peek(frame: &[u8]) -> Result<Self, WireError> {
        let head: &[u8; 8] = frame
            .first_chunk()
            .ok_or(WireError::Headless(frame.len()))?;
        let [k0, k1, v0, v1, c0, c1, c2, c3] = *head;
        Ok(Self {
            api_key: i16::from_be_bytes([k0, k1]),
            version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

/// Decodes a whole request frame, without its length. Returns the client's id and the message;
/// byte fields are slices of the frame. Bytes left over are ignored, as Kafka does.
pub(crate) fn decode<R: KafkaRequest>(
    frame: Bytes,
    version: i16,
) -> Result<(Option<StrBytes>, R), WireError> {
    let version = ApiVersion::new(version);
    let mut limits = DecodeLimits::default();
    let largest = if R::API_KEY.value() == PRODUCE_KEY {
        usize::MAX
    } else {
        SMALL_REQUEST_LIMIT_BYTES
    };
    limits.max_frame_bytes = largest;
    limits.max_bytes_bytes = largest;
    // Kafka's own strings end at 32 KiB; compact ones have no bound of their own.
    limits.max_string_bytes = i16::MAX as usize;
    limits.max_array_elements = ARRAY_LIMIT;
    limits.max_tagged_fields = TAGS_LIMIT;
    let mut decoder = Decoder::new(frame, limits)?;
    let header_version = ApiVersion::new(if R::is_flexible(version) { 2 } else { 1 });
    let header = RequestHeader::decode(&mut decoder, header_version)?;
    let message = R::decode(&mut decoder, version)?;
    Ok((header.client_id, message))
}

/// Encodes the answer to a request of type `R`.
pub(crate) fn encode<R: KafkaRequest>(
    head: RequestHead,
    message: &impl KafkaMessage,
) -> Result<Answer, WireError> {
    let version = ApiVersion::new(head.version);
    let header_version = response_header_version_for::<R>(version)?;
    let mut writer = AnswerWriter::new(head.correlation_id, header_version > 0);
    message.encode_into(&mut writer.buffer, version)?;
    Ok(writer.finish())
}

/// A whole response frame, in pieces that are written one behind the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) bytes: usize,
}

/// Writes a response frame, taking payload by reference.
#[derive(Debug)]
pub(crate) struct AnswerWriter {
    pieces: Vec<Bytes>,
    pub(crate) buffer: BytesMut,
}

impl AnswerWriter {
    /// Starts a frame with its header.
    pub(crate) fn new(correlation_id: i32, tagged_header: bool) -> Self {
        let mut buffer = BytesMut::with_capacity(256);
        buffer.put_i32(0);
        buffer.put_i32(correlation_id);
        if tagged_header {
            buffer.put_u8(0);
        }
        Self {
            pieces: Vec::new(),
            buffer,
        }
    }

    /// Puts `payload` behind what was written, without copying it.
    pub(crate) fn put_payload(&mut self, payload: Bytes) {
        if payload.is_empty() {
            return;
        }
        self.pieces.push(self.buffer.split().freeze());
        self.pieces.push(payload);
    }

    /// Ends the frame and writes its length.
    pub(crate) fn finish(mut self) -> Answer {
        if self.pieces.is_empty() {
            let bytes = self.buffer.len();
            self.buffer[..4].copy_from_slice(&frame_length(bytes));
            return Answer {
                pieces: vec![self.buffer.freeze()],
                bytes,
            };
        }
        if !self.buffer.is_empty() {
            self.pieces.push(self.buffer.freeze());
        }
        let bytes = self.pieces.iter().map(Bytes::len).sum();
        // The first piece is a few bytes of header; nobody else holds it.
        let mut first = BytesMut::from(&self.pieces[0][..]);
        first[..4].copy_from_slice(&frame_length(bytes));
        self.pieces[0] = first.freeze();
        Answer {
            pieces: self.pieces,
            bytes,
        }
    }
}

fn frame_length(bytes: usize) -> [u8; 4] {
    let length = u32::try_from(bytes - 4).expect("answers are limited far below 4 GiB");
    length.to_be_bytes()
}
