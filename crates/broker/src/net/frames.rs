//! Cuts request frames out of the bytes of a connection.
//!
//! A frame is a length of 4 bytes and as many bytes. The announced length is only ever compared:
//! the buffer grows with what arrived, to at most twice that.

use bytes::{Bytes, BytesMut};

/// What is read at once from a quiet connection.
const READ_BYTES: usize = 16 * 1024;
/// With less room than this a new buffer is taken.
const SMALL_READ_BYTES: usize = 2 * 1024;
/// A peer that has sent frames of this size gets room for one at once.
const TRUSTED_BYTES: usize = 1024 * 1024;
/// How far to read ahead while a request is at work, only to notice that the peer has gone.
const AHEAD_BYTES: usize = 64 * 1024;

/// A frame that cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a request announces `{announced}` bytes; from 8 to `{limit}` are possible")]
pub(super) struct BadFrame {
    announced: i32,
    limit: usize,
}

/// The bytes of a connection that are not handled yet.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: BytesMut,
    limit_bytes: usize,
    largest_seen: usize,
}

impl Frames {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            limit_bytes,
            largest_seen: 0,
        }
    }

    /// Takes the next whole frame, without its length.
    pub(super) fn take(&mut self) -> Result<Option<Bytes>, BadFrame> {
        let Some(len) = self.announced()? else {
            return Ok(None);
        };
        if self.buffer.len() < 4 + len {
            return Ok(None);
        }
        self.largest_seen = self.largest_seen.max(len);
        let mut frame = self.buffer.split_to(4 + len);
        Ok(Some(frame.split_off(4).freeze()))
    }

    /// Returns the buffer with room to read into.
    pub(super) fn room(&mut self) -> &mut BytesMut {
        let missing = match self.announced() {
            Ok(Some(len)) => (4 + len).saturating_sub(self.buffer.len()),
            _ => 0,
        };
        let trusted = self.largest_seen.min(TRUSTED_BYTES);
        let room = missing.min(self.buffer.len().max(trusted)).max(READ_BYTES);
        let wanted = if missing == 0 {
            SMALL_READ_BYTES
        } else {
            missing.min(SMALL_READ_BYTES)
        };
        if self.buffer.capacity() - self.buffer.len() < wanted {
            self.buffer.reserve(room);
        }
        &mut self.buffer
    }

    /// Tells if more may be read although a request is at work.
    pub(super) fn may_read_ahead(&self) -> bool {
        self.buffer.len() < AHEAD_BYTES
    }

    /// Tells if a frame has begun and is not whole.
    pub(super) fn is_cut(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn announced(&self) -> Result<Option<usize>, BadFrame> {
        let Some(length) = self.buffer.first_chunk() else {
            return Ok(None);
        };
        let announced = i32::from_be_bytes(*length);
        // Every request has an API key, a version and a correlation id.
        match usize::try_from(announced) {
            Ok(len) if (8..=self.limit_bytes).contains(&len) => Ok(Some(len)),
            _ => Err(BadFrame {
                announced,
                limit: self.limit_bytes,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn frames(bytes: &[u8]) -> Frames {
        let mut frames = Frames::new(1 << 20);
        frames.room().put_slice(bytes);
        frames
    }

    #[test]
    fn frames_are_cut_where_they_end() {
        let mut frames = frames(b"\0\0\0\x08onetwo34\0\0\0\x09second901\0\0");
        assert_eq!(frames.take(), Ok(Some(Bytes::from_static(b"onetwo34"))));
        assert_eq!(frames.take(), Ok(Some(Bytes::from_static(b"second901"))));
        assert_eq!(frames.take(), Ok(None));
        assert!(frames.is_cut());
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let check = |length: i32| {
            let refused = frames(&length.to_be_bytes()).take();
            assert_eq!(
                refused,
                Err(BadFrame {
                    announced: length,
                    limit: 1 << 20
                })
            );
        };
        for length in [0, 7, -1, i32::MIN, i32::MAX, (1 << 20) + 1] {
            check(length);
        }
    }

    #[test]
    fn room_follows_what_arrived_not_what_was_announced() {
        let mut frames = Frames::new(usize::MAX);
        frames.room().put_slice(&(100_i32 << 20).to_be_bytes());
        for _ in 0..2_000 {
            let arrived = frames.buffer.len();
            let room = frames.room();
            let free = room.capacity() - room.len();
            assert!(free > 0 && room.capacity() <= 4 * arrived + 2 * READ_BYTES);
            room.put_bytes(0, free.min(1_000));
        }
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_frames() {
        let mut stream = Vec::new();
        for len in [8_u32, 100, 20_000, 9, 300_000] {
            stream.extend_from_slice(&len.to_be_bytes());
            stream.extend((0..len).map(|at| at as u8));
        }
        for step in [1, 3, 4, 5, 1_000, 70_000] {
            let mut frames = Frames::new(1 << 20);
            let mut lens = Vec::new();
            for piece in stream.chunks(step) {
                frames.room().put_slice(piece);
                while let Some(frame) = frames.take().unwrap() {
                    lens.push(frame.len());
                }
            }
            assert_eq!(lens, [8, 100, 20_000, 9, 300_000]);
            assert!(!frames.is_cut());
        }
    }
}
