//! The whole state at one record, so that recovery replays only what came after it.
//!
//! Stored format, stable. The image is postcard, perhaps with later additions in postcard behind it, then zstd, cut into chunks of 16 MiB, each an
//! object of its own. Numbers are little endian.
//! ```text
//! chunk    header 64 B: magic "TGCKPT\0\0", format u32, chunk u32, chunks u32, epoch u32, lsn u64,
//!          put_id [16], body_bytes u64, body_crc u32, header_crc u32; then the body
//! trailer  the last 16 B of the last body: image_bytes u64, image_crc u32, zero u32
//! ```

use std::io::{Read, Write};

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::create::{Body, create};
use super::{Key, ObjectError, Objects};

const MAGIC: &[u8; 8] = b"TGCKPT\0\0";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 64;
const TRAILER_BYTES: usize = 16;
const CHUNK_BYTES: usize = 16 * 1024 * 1024;
/// 16 GiB of chunks; names have room for as many.
const MAX_CHUNKS: u32 = 1024;
/// An image is held in memory while it is decoded, so it needs a limit that an operator survives.
const MAX_IMAGE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Fast, and images are mostly numbers: higher levels gain little.
const ZSTD_LEVEL: i32 = 3;

/// A checkpoint, as a manifest names it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CheckpointRef {
    pub epoch: u32,
    /// The last record in it.
    pub lsn: u64,
    pub chunks: u32,
    /// The size of all chunks.
    pub stored_bytes: u64,
    /// The first object of the log that holds a record after `lsn`.
    pub log_start_seq: u64,
    /// The runs of claims that it names: they live as long as it does.
    pub runs: Vec<u64>,
}

impl CheckpointRef {
    /// The names of the checkpoint's chunks.
    pub fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        let (epoch, lsn) = (self.epoch, self.lsn);
        (0..self.chunks).map(move |chunk| Key::Checkpoint { epoch, lsn, chunk })
    }
}

/// An encoded checkpoint that is not stored yet.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    place: CheckpointRef,
    chunks: Vec<Body>,
}

impl Checkpoint {
    /// Encodes `image`, the state after record `lsn`, which names `runs`. Takes a while: not for a
    /// thread others wait on.
    pub fn encode<T: Serialize>(
        epoch: u32,
        lsn: u64,
        log_start_seq: u64,
        runs: Vec<u64>,
        put_id: [u8; 16],
        image: &T,
    ) -> Self {
        let place = CheckpointRef {
            epoch,
            lsn,
            chunks: 0,
            stored_bytes: 0,
            log_start_seq,
            runs,
        };
        Self::encode_in(CHUNK_BYTES, place, put_id, image)
    }

    fn encode_in<T: Serialize>(
        chunk_bytes: usize,
        mut place: CheckpointRef,
        put_id: [u8; 16],
        image: &T,
    ) -> Self {
        let stored = compress(image);
        let count = stored.len().div_ceil(chunk_bytes);
        let count = u32::try_from(count).expect("an image is far below the limit of chunks");
        let mut stored = Bytes::from(stored);
        let mut chunks = Vec::new();
        for chunk in 0..count {
            let body = stored.split_to(stored.len().min(chunk_bytes));
            let mut header = Vec::with_capacity(HEADER_BYTES);
            header.put_slice(MAGIC);
            header.put_u32_le(FORMAT);
            header.put_u32_le(chunk);
            header.put_u32_le(count);
            header.put_u32_le(place.epoch);
            header.put_u64_le(place.lsn);
            header.put_slice(&put_id);
            header.put_u64_le(body.len() as u64);
            header.put_u32_le(crc32c::crc32c(&body));
            header.put_u32_le(crc32c::crc32c(&header));
            chunks.push(Body::new(vec![header.into(), body], 0..HEADER_BYTES as u64));
        }
        place.chunks = count;
        place.stored_bytes = chunks.iter().map(Body::len_bytes).sum();
        Self { place, chunks }
    }

    /// Stores the checkpoint and returns what a manifest needs to name it.
    ///
    /// # Errors
    /// Those of [`create`].
    pub async fn store(&self, objects: &Objects) -> Result<CheckpointRef, ObjectError> {
        for (key, body) in self.place.keys().zip(&self.chunks) {
            create(objects, key, body).await?;
        }
        Ok(self.place.clone())
    }
}

/// Loads a checkpoint: the image and what later versions added behind it, the default in one that was
/// stored before.
///
/// # Errors
/// `NotFound`, `Corrupt` (also an image of another version's type), `Unavailable`.
pub async fn load<T: DeserializeOwned, L: DeserializeOwned + Default>(
    objects: &Objects,
    place: &CheckpointRef,
) -> Result<(T, L), ObjectError> {
    let whole = Key::Checkpoint {
        epoch: place.epoch,
        lsn: place.lsn,
        chunk: 0,
    };
    let corrupt = |what| ObjectError::Corrupt { key: whole, what };
    if place.chunks == 0 || place.chunks > MAX_CHUNKS {
        return Err(corrupt("an impossible number of chunks"));
    }
    let mut bodies = Vec::new();
    let mut put_id = None;
    for key in place.keys() {
        let stored = objects
            .get_all(key, (HEADER_BYTES + CHUNK_BYTES) as u64)
            .await?;
        let (of, body) =
            open_chunk(place, key, &stored).map_err(|what| ObjectError::Corrupt { key, what })?;
        if *put_id.get_or_insert(of) != of {
            return Err(ObjectError::Corrupt {
                key,
                what: "a chunk of another checkpoint",
            });
        }
        bodies.push(body);
    }
    decompress(bodies).map_err(corrupt)
}

fn open_chunk(
    place: &CheckpointRef,
    key: Key,
    stored: &Bytes,
) -> Result<([u8; 16], Bytes), &'static str> {
    let mut header = stored.get(..HEADER_BYTES).ok_or("it ends too early")?;
    if !header.starts_with(MAGIC) {
        return Err("no checkpoint");
    }
    if crc32c::crc32c(&header[..HEADER_BYTES - 4]) != (&header[HEADER_BYTES - 4..]).get_u32_le() {
        return Err("wrong checksum of the header");
    }
    header.advance(MAGIC.len());
    if header.get_u32_le() != FORMAT {
        return Err("written by a newer version");
    }
    let (chunk, chunks) = (header.get_u32_le(), header.get_u32_le());
    let (epoch, lsn) = (header.get_u32_le(), header.get_u64_le());
    if key != (Key::Checkpoint { epoch, lsn, chunk }) || chunks != place.chunks {
        return Err("another chunk's bytes");
    }
    let mut put_id = [0; 16];
    header.copy_to_slice(&mut put_id);
    let body = stored.slice(HEADER_BYTES..);
    if header.get_u64_le() != body.len() as u64 || header.get_u32_le() != crc32c::crc32c(&body) {
        return Err("wrong checksum of the body");
    }
    Ok((put_id, body))
}

/// Counts and sums what passes through.
struct Summed<W> {
    inner: W,
    bytes: u64,
    crc: u32,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        self.crc = crc32c::crc32c_append(self.crc, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn compress<T: Serialize>(image: &T) -> Vec<u8> {
    let infallible = "writing to memory does not fail";
    let encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL).expect(infallible);
    // Postcard writes byte by byte; the buffer turns that into blocks.
    let summed = Summed {
        inner: encoder,
        bytes: 0,
        crc: 0,
    };
    let buffered = std::io::BufWriter::with_capacity(64 * 1024, summed);
    let buffered = postcard::to_io(image, buffered).expect("plain data always encodes");
    let summed = buffered.into_inner().map_err(|_| ()).expect(infallible);
    let (bytes, crc) = (summed.bytes, summed.crc);
    let mut stored = summed.inner.finish().expect(infallible);
    stored.put_u64_le(bytes);
    stored.put_u32_le(crc);
    stored.put_u32_le(0);
    stored
}

fn decompress<T: DeserializeOwned, L: DeserializeOwned + Default>(
    mut bodies: Vec<Bytes>,
) -> Result<(T, L), &'static str> {
    // The trailer may straddle the last two chunks.
    let mut trailer = [0; TRAILER_BYTES];
    let mut missing = TRAILER_BYTES;
    for body in bodies.iter_mut().rev() {
        let part = body.split_off(body.len().saturating_sub(missing));
        trailer[missing - part.len()..missing].copy_from_slice(&part);
        missing -= part.len();
    }
    if missing > 0 {
        return Err("no trailer");
    }
    let mut trailer = &trailer[..];
    let (image_bytes, image_crc) = (trailer.get_u64_le(), trailer.get_u32_le());
    if image_bytes > MAX_IMAGE_BYTES {
        return Err("an image above the limit");
    }
    let stored = Chunks {
        bodies: bodies.into(),
    };
    let mut image = Vec::new();
    let decoder = zstd::Decoder::with_buffer(std::io::BufReader::new(stored));
    decoder
        .and_then(|decoder| decoder.take(image_bytes + 1).read_to_end(&mut image))
        .map_err(|_| "its compression is damaged")?;
    if image.len() as u64 != image_bytes || crc32c::crc32c(&image) != image_crc {
        return Err("wrong checksum of the image");
    }
    let another = "an image of another version";
    let (image, rest) = postcard::take_from_bytes(&image).map_err(|_| another)?;
    if rest.is_empty() {
        return Ok((image, L::default()));
    }
    match postcard::take_from_bytes(rest) {
        Ok((later, [])) => Ok((image, later)),
        _ => Err(another),
    }
}

/// Reads chunks one after the other, giving each back as soon as it is read.
struct Chunks {
    bodies: std::collections::VecDeque<Bytes>,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(body) = self.bodies.front_mut() {
            if body.is_empty() {
                self.bodies.pop_front();
                continue;
            }
            let taken = body.len().min(into.len());
            body.copy_to_slice(&mut into[..taken]);
            return Ok(taken);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{in_memory, run};
    use super::*;

    fn place(checkpoint: &Checkpoint) -> CheckpointRef {
        checkpoint.place.clone()
    }

    fn empty() -> CheckpointRef {
        place(&Checkpoint {
            chunks: vec![],
            ..Checkpoint::encode(1, 10, 2, vec![], [0; 16], &())
        })
    }

    /// A checkpoint of `(300_u32, "state")` as the first version stored it. Compression may change
    /// from version to version of its library; that the old form is read may not.
    const STORED: &str = "\
        5447434b505400000100000000000000010000000300000063000000000000000707070707070707\
        07070707070707072400000000000000ea02909d79459bc128b52ffd0058400000ac020573746174\
        650100000800000000000000d4dc657800000000";

    #[test]
    fn the_stored_form_is_stable() {
        let bytes: Vec<u8> = (0..STORED.len() / 2)
            .map(|at| u8::from_str_radix(&STORED[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let place = CheckpointRef {
            epoch: 3,
            lsn: 99,
            chunks: 1,
            stored_bytes: bytes.len() as u64,
            log_start_seq: 5,
            runs: Vec::new(),
        };
        run(async {
            let objects = in_memory();
            let key = place.keys().next().unwrap();
            create(&objects, key, &Body::new(vec![bytes.into()], 0..1))
                .await
                .unwrap();
            let (image, later): ((u32, String), u8) = load(&objects, &place).await.unwrap();
            assert_eq!((image, later), ((300, "state".to_owned()), 0));
        });
    }

    #[test]
    fn an_image_of_many_chunks_comes_back() {
        // Random-looking, so that compression does not shrink it to one chunk.
        let mut word = 1_u64;
        let image: Vec<u64> = (0..5000)
            .map(|_| {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word
            })
            .collect();
        // Every chunk size puts the cuts, and the trailer, elsewhere.
        for chunk_bytes in [4093, 10_007, 40_000, 1 << 20] {
            run(async {
                let objects = in_memory();
                let checkpoint = Checkpoint::encode_in(chunk_bytes, empty(), [9; 16], &image);
                let stored = checkpoint.store(&objects).await.unwrap();
                let loaded = load::<Vec<u64>, u8>(&objects, &stored).await.unwrap();
                assert_eq!(loaded, (image.clone(), 0));
                let again = checkpoint.store(&objects).await.unwrap();
                assert_eq!(again, stored, "storing it again is the same checkpoint");
                let wrong: Result<((u8, String), u8), _> = load(&objects, &stored).await;
                assert!(matches!(wrong, Err(ObjectError::Corrupt { .. })));
            });
        }
    }

    #[test]
    fn what_a_later_version_added_comes_back() {
        run(async {
            let objects = in_memory();
            let checkpoint =
                Checkpoint::encode(3, 99, 5, vec![], [7; 16], &("state", (1_u8, 2_u8)));
            let stored = checkpoint.store(&objects).await.unwrap();
            let loaded: (String, (u8, u8)) = load(&objects, &stored).await.unwrap();
            assert_eq!(loaded, ("state".to_owned(), (1, 2)));
        });
    }

    #[test]
    fn damage_is_found() {
        let checkpoint = Checkpoint::encode(3, 99, 5, vec![], [7; 16], &(300_u32, "state"));
        let key = place(&checkpoint).keys().next().unwrap();
        let stored = checkpoint.chunks[0].to_vec();
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 0x10;
            let opened = open_chunk(&checkpoint.place, key, &damaged.into());
            assert!(opened.is_err(), "byte {at}");
            let cut = Bytes::copy_from_slice(&stored[..at]);
            assert!(
                open_chunk(&checkpoint.place, key, &cut).is_err(),
                "cut at {at}"
            );
        }
    }
}
