//! What the broker asks of the world: time, randomness and a disk. Passed in, so that a seed
//! replays a run; [`real`] is the only place that touches the machine.

pub mod aligned;
pub mod real;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970 (UTC). May jump.
    fn wall_ms(&self) -> i64;
    /// Time since some start. Never goes back.
    fn elapsed(&self) -> Duration;
}

/// Waits, in the time of the matching [`Clock`].
#[async_trait]
pub trait Sleeper: Send + Sync + 'static {
    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// Gives random bytes that nobody can guess.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Returns 16 random bytes.
pub fn random_id(random: &dyn Random) -> [u8; 16] {
    let mut id = [0; 16];
    random.fill(&mut id);
    id
}

/// Makes the name of an object durable, where the store is a directory. A store elsewhere has done so
/// when it shows the object.
pub trait Names: Send + Sync + 'static {
    /// Makes durable that there is an object at `path`, below the store's root.
    ///
    /// # Errors
    /// Those of the file system: the name may be lost with the machine.
    fn make_durable(&self, path: &str) -> io::Result<()>;
}

/// A flat directory of files that belongs to this process alone.
pub trait Disk: Send + Sync + 'static {
    /// Returns the names of all files, sorted.
    ///
    /// # Errors
    /// Those of the file system.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and durable writing.
    ///
    /// # Errors
    /// Those of the file system.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a file of `len` zero bytes, really written, and makes file and name durable.
    ///
    /// # Errors
    /// `AlreadyExists`, `StorageFull` (nothing is left behind), and others of the file system.
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>>;

    /// Removes a file, durably.
    ///
    /// # Errors
    /// Those of the file system.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// The alignment of positions, lengths and buffers that [`DiskFile::write_at`] asks for.
pub const BLOCK_BYTES: usize = 4096;

/// A file of fixed length.
pub trait DiskFile: Send + Sync + 'static {
    /// Writes all of `bytes` at `position`, durable when it returns.
    ///
    /// Position and length are multiples of [`BLOCK_BYTES`], and `bytes` starts at such an address.
    ///
    /// # Errors
    /// Those of the file system; what was written is then unknown.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Reads exactly `bytes.len()` bytes at `position`.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end, and others of the file system.
    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()>;

    /// Returns the length in bytes.
    ///
    /// # Errors
    /// Those of the file system.
    fn len_bytes(&self) -> io::Result<u64>;
}
