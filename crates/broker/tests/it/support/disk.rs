//! A disk in memory that does what disks do to those who trust them: it fills up, fails, loses
//! writes, flips bits, and at a crash tears the writes that are on their way, sector by sector.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_broker::env::{BLOCK_BYTES, Disk, DiskFile};

/// What a device writes at once.
pub(crate) const SECTOR_BYTES: usize = 512;

type Block = Arc<[u8; BLOCK_BYTES]>;

/// Zeros, but for the blocks that were written.
#[derive(Clone, Default)]
struct Content {
    len: u64,
    blocks: BTreeMap<u64, Block>,
}

impl Content {
    /// Splits a range at the blocks: block number, range in the block, range in the bytes.
    fn pieces(
        position: u64,
        len: usize,
    ) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let place = position + at as u64;
            let start = (place % BLOCK_BYTES as u64) as usize;
            let take = (BLOCK_BYTES - start).min(len - at);
            at += take;
            (take > 0).then(|| {
                (
                    place / BLOCK_BYTES as u64,
                    start..start + take,
                    at - take..at,
                )
            })
        })
    }

    fn read(&self, bytes: &mut [u8], position: u64) {
        for (number, inside, outside) in Self::pieces(position, bytes.len()) {
            match self.blocks.get(&number) {
                Some(block) => bytes[outside].copy_from_slice(&block[inside]),
                None => bytes[outside].fill(0),
            }
        }
    }

    fn write(&mut self, bytes: &[u8], position: u64) {
        for (number, inside, outside) in Self::pieces(position, bytes.len()) {
            let block = self.blocks.entry(number);
            let block = block.or_insert_with(|| Arc::new([0; BLOCK_BYTES]));
            Arc::make_mut(block)[inside].copy_from_slice(&bytes[outside]);
        }
    }
}

/// A write that has not returned.
#[derive(Clone)]
pub(crate) struct InFlight {
    pub(crate) file: String,
    pub(crate) position: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What a crash makes of a write in flight.
pub(crate) enum Fate {
    Absent,
    Whole,
    /// Only the sectors for which this says so.
    Torn(Box<dyn FnMut(usize) -> bool>),
}

#[derive(Clone, Default)]
struct State {
    files: BTreeMap<String, Content>,
    room_bytes: Option<u64>,
    in_flight: Vec<InFlight>,
    lose_writes: u32,
    fail_writes: Option<ErrorKind>,
    fail_reads: Option<(String, u64)>,
    writes: u64,
}

/// The disk. Clones are the same disk; [`MemDisk::copy`] is another one.
#[derive(Clone, Default)]
pub(crate) struct MemDisk(Arc<Mutex<State>>);

impl MemDisk {
    /// Makes an empty disk without bounds.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Makes a disk of its own that holds the same. Cheap: blocks are shared until written.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    /// Bounds what all files together may take.
    pub(crate) fn set_room(&self, bytes: Option<u64>) {
        self.0.lock().room_bytes = bytes;
    }

    /// Lets the next writes succeed without effect.
    pub(crate) fn lose_writes(&self, writes: u32) {
        self.0.lock().lose_writes = writes;
    }

    /// Lets every write fail.
    pub(crate) fn fail_writes(&self, kind: ErrorKind) {
        self.0.lock().fail_writes = Some(kind);
    }

    /// Lets reads that touch this byte fail.
    pub(crate) fn fail_reads(&self, file: &str, position: u64) {
        self.0.lock().fail_reads = Some((file.to_owned(), position));
    }

    /// Returns how many writes have succeeded.
    pub(crate) fn writes(&self) -> u64 {
        self.0.lock().writes
    }

    /// Begins a write that does not return before the crash.
    pub(crate) fn begin(&self, file: &str, position: u64, bytes: &[u8]) {
        let write = InFlight {
            file: file.to_owned(),
            position,
            bytes: bytes.to_vec(),
        };
        self.0.lock().in_flight.push(write);
    }

    /// Crashes: each write in flight has its fate, in any order.
    pub(crate) fn crash(&self, mut fate: impl FnMut(&InFlight) -> Fate) {
        let mut state = self.0.lock();
        for write in std::mem::take(&mut state.in_flight) {
            let content = state.files.get_mut(&write.file).expect("the file is there");
            match fate(&write) {
                Fate::Absent => {}
                Fate::Whole => content.write(&write.bytes, write.position),
                Fate::Torn(mut lands) => {
                    for (number, sector) in write.bytes.chunks(SECTOR_BYTES).enumerate() {
                        if lands(number) {
                            let at = write.position + (number * SECTOR_BYTES) as u64;
                            content.write(sector, at);
                        }
                    }
                }
            }
        }
    }

    /// Reads without asking.
    pub(crate) fn peek(&self, file: &str, position: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.lock().files[file].read(&mut bytes, position);
        bytes
    }

    /// Writes without asking, at any position.
    pub(crate) fn poke(&self, file: &str, position: u64, bytes: &[u8]) {
        let mut state = self.0.lock();
        state
            .files
            .get_mut(file)
            .expect("the file is there")
            .write(bytes, position);
    }

    /// Flips a bit of a byte.
    pub(crate) fn flip(&self, file: &str, position: u64, bit: u8) {
        let byte = self.peek(file, position, 1)[0] ^ (1 << bit);
        self.poke(file, position, &[byte]);
    }

    /// Cuts a file.
    pub(crate) fn truncate(&self, file: &str, len: u64) {
        let mut state = self.0.lock();
        state.files.get_mut(file).expect("the file is there").len = len;
    }

    /// Takes a file from another disk.
    pub(crate) fn take_from(&self, other: &Self, file: &str) {
        let content = other.0.lock().files[file].clone();
        self.0.lock().files.insert(file.to_owned(), content);
    }
}

impl Disk for MemDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if !self.0.lock().files.contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(Arc::new(MemFile {
            disk: self.clone(),
            name: name.to_owned(),
        }))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        if state.files.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let taken: u64 = state.files.values().map(|content| content.len).sum();
        if state.room_bytes.is_some_and(|room| taken + len > room) {
            return Err(ErrorKind::StorageFull.into());
        }
        state.files.insert(
            name.to_owned(),
            Content {
                len,
                ..Content::default()
            },
        );
        drop(state);
        self.open(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0
            .lock()
            .files
            .remove(name)
            .map(drop)
            .ok_or(ErrorKind::NotFound.into())
    }
}

struct MemFile {
    disk: MemDisk,
    name: String,
}

impl DiskFile for MemFile {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        assert!(
            bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES),
            "at an aligned address"
        );
        assert!(bytes.len().is_multiple_of(BLOCK_BYTES), "whole blocks");
        assert!(position.is_multiple_of(BLOCK_BYTES as u64), "at a block");
        let mut state = self.disk.0.lock();
        if let Some(kind) = state.fail_writes {
            return Err(kind.into());
        }
        state.writes += 1;
        if state.lose_writes > 0 {
            state.lose_writes -= 1;
            return Ok(());
        }
        let content = state.files.get_mut(&self.name).ok_or(ErrorKind::NotFound)?;
        assert!(
            position + bytes.len() as u64 <= content.len,
            "files do not grow"
        );
        content.write(bytes, position);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        let state = self.disk.0.lock();
        let content = state.files.get(&self.name).ok_or(ErrorKind::NotFound)?;
        let end = position + bytes.len() as u64;
        if end > content.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let failing = state
            .fail_reads
            .as_ref()
            .filter(|(file, _)| *file == self.name);
        if failing.is_some_and(|(_, at)| (position..end).contains(at)) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        content.read(bytes, position);
        Ok(())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        let state = self.disk.0.lock();
        state
            .files
            .get(&self.name)
            .map(|content| content.len)
            .ok_or(ErrorKind::NotFound.into())
    }
}
