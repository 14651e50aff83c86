//! The machine itself: the only file of the broker that touches clock, randomness and disk.
//!
//! A file of the log is written through a descriptor with `O_DIRECT` and `O_DSYNC`, so a write has
//! reached the device, past its volatile cache, when it returns; and read through a second one
//! with the page cache. Where a file system refuses `O_DIRECT`, `O_DSYNC` alone gives the same
//! promise with one more copy.
#![expect(
    clippy::disallowed_methods,
    reason = "here the machine is what is passed in elsewhere"
)]

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::aligned::AlignedBuffer;
use super::{BLOCK_BYTES, Clock, Disk, DiskFile, Names, Random, Sleeper};

/// The machine's clocks.
#[derive(Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// Makes a clock whose elapsed time begins now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Waits on the tokio runtime.
#[derive(Clone, Copy, Debug)]
pub struct RealSleeper;

#[async_trait]
impl Sleeper for RealSleeper {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The kernel's random numbers.
#[derive(Clone, Copy, Debug)]
pub struct RealRandom;

impl Random for RealRandom {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("Linux has had getrandom(2) since 3.17");
    }
}

/// Why a data directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("data directory `{}` is in use by process {pid}", directory.display())]
    InUse { directory: PathBuf, pid: String },
    #[error("cannot lock data directory `{}`: {error}", directory.display())]
    Io {
        directory: PathBuf,
        error: io::Error,
    },
}

/// A data directory that no other process may use. The kernel lets go of it with the process,
/// however that ends, so the file may stay behind.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Creates `directory` if it does not exist, and locks its file `lock`.
    ///
    /// # Errors
    /// [`LockError::InUse`] names the process that holds it.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let failed = |error| LockError::Io {
            directory: directory.to_owned(),
            error,
        };
        create_directory(directory).map_err(failed)?;
        let path = directory.join("lock");
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = open.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let written = fs::read_to_string(&path).unwrap_or_default();
                let pid = match written.trim() {
                    // The holder has not come to write it yet.
                    "" => "(unknown)".to_owned(),
                    pid => pid.to_owned(),
                };
                return Err(LockError::InUse {
                    directory: directory.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// What one write fills with zeros: large enough that its cost is the device's.
const FILL_BYTES: usize = 1024 * 1024;

/// A directory of the machine.
///
/// [`Disk::create`] really writes the zeros, and does so past the page cache: on the machine this
/// was written on 64 MiB take about 45 ms so, 290 ms through the cache. Allocated but unwritten
/// blocks (`fallocate`, 4 ms) would move that cost, as a journal commit each, into the first lap of
/// acks. So a first start creates one segment and leaves the second to the growing of the ring.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    /// Whether `O_DIRECT` has not been refused yet.
    direct: AtomicBool,
    read_only: bool,
}

impl RealDisk {
    /// Opens `directory`, creating it if it does not exist. Files that a crash left half created are
    /// removed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open_directory(directory: &Path) -> io::Result<Self> {
        create_directory(directory)?;
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "part")
            {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            direct: AtomicBool::new(true),
            read_only: false,
        })
    }

    /// Looks at `directory`, perhaps while its owner writes. Every change is refused.
    pub fn look_at(directory: &Path) -> Self {
        let directory = directory.to_owned();
        Self {
            directory,
            direct: AtomicBool::new(false),
            read_only: true,
        }
    }

    /// Runs `attempt` with `O_DIRECT` unless that is known to be refused, and without it if it is
    /// refused now. File systems say so with `EINVAL`, some when opening, some when reading.
    fn direct_if_possible<T>(&self, attempt: impl Fn(i32) -> io::Result<T>) -> io::Result<T> {
        if self.direct.load(Ordering::Relaxed) {
            match attempt(libc::O_DIRECT) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                done_or_failed => return done_or_failed,
            }
        }
        let done = attempt(0)?;
        // Said once, and only if the flag was what was wrong.
        if self.direct.swap(false, Ordering::Relaxed) {
            tracing::info!(
                directory = %self.directory.display(),
                "the file system refuses O_DIRECT; writing through the page cache, synced",
            );
        }
        Ok(done)
    }

    fn must_be_writable(&self) -> io::Result<()> {
        match self.read_only {
            true => Err(ErrorKind::PermissionDenied.into()),
            false => Ok(()),
        }
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(allowed) {
            let message = format!("`{name}` is no name for a file of the log");
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        Ok(self.directory.join(name))
    }

    fn open_file(&self, path: &Path) -> io::Result<RealFile> {
        let reader = File::open(path)?;
        let len_bytes = reader.metadata()?.len();
        if self.read_only {
            return Ok(RealFile {
                writer: None,
                reader,
                len_bytes,
            });
        }
        // What a killed process wrote may still be on its way to the device. After this, whatever is
        // read from the file is there to stay.
        reader.sync_all()?;
        let writer = self.direct_if_possible(|direct| {
            let writer = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(libc::O_DSYNC | direct)
                .open(path)?;
            let _read = writer.read_at(AlignedBuffer::zeroed(BLOCK_BYTES).as_mut_slice(), 0)?;
            Ok(writer)
        })?;
        Ok(RealFile {
            writer: Some(writer),
            reader,
            len_bytes,
        })
    }

    /// Makes names in the directory durable.
    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.file_type()?.is_file()
                && !name.ends_with(".part")
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.open_file(&self.path(name)?)?))
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.must_be_writable()?;
        let path = self.path(name)?;
        if path.try_exists()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        // A name is given only to a file that is whole.
        let part = self.path(&format!("{name}.part"))?;
        let filled = self.direct_if_possible(|direct| fill_with_zeros(&part, len, direct));
        if let Err(error) = filled.and_then(|()| fs::rename(&part, &path)) {
            // The first error is the one to tell; the directory is swept when it is next opened.
            drop(fs::remove_file(&part));
            return Err(error);
        }
        self.sync_directory()?;
        Ok(Arc::new(self.open_file(&path)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.must_be_writable()?;
        fs::remove_file(self.path(name)?)?;
        self.sync_directory()
    }
}

fn fill_with_zeros(path: &Path, len: u64, direct: i32) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(direct)
        .open(path)?;
    let zeros = AlignedBuffer::zeroed(FILL_BYTES);
    let mut position = 0;
    while position < len {
        let bytes = usize::try_from(len - position).map_or(FILL_BYTES, |rest| rest.min(FILL_BYTES));
        file.write_all_at(&zeros.as_slice()[..bytes], position)?;
        position += bytes as u64;
    }
    file.sync_all()
}

/// The names of a store of files below a directory.
#[derive(Clone, Debug)]
pub struct RealNames {
    root: PathBuf,
}

impl RealNames {
    /// Makes the names of the store at `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }
}

impl Names for RealNames {
    /// A directory is metadata: what a file system with a journal could not write it either writes the
    /// next time or refuses for good. So a sync that succeeds after one that failed can be believed.
    fn make_durable(&self, path: &str) -> io::Result<()> {
        let file = self.root.join(path);
        File::open(&file)?.sync_all()?;
        for directory in file.ancestors().skip(1) {
            File::open(directory)?.sync_all()?;
            if directory == self.root {
                break;
            }
        }
        Ok(())
    }
}

/// Creates a directory and those above it, and makes its name durable.
fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    match directory.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

#[derive(Debug)]
struct RealFile {
    /// Nothing, if the file is only looked at.
    writer: Option<File>,
    reader: File,
    len_bytes: u64,
}

impl DiskFile for RealFile {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        debug_assert!(bytes.len().is_multiple_of(BLOCK_BYTES), "whole blocks");
        debug_assert!(
            bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES),
            "at an aligned address"
        );
        if position + bytes.len() as u64 > self.len_bytes {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "a write past the end of the file",
            ));
        }
        // Goes on after EINTR and after a short write.
        let writer = self.writer.as_ref().ok_or(ErrorKind::PermissionDenied)?;
        writer.write_all_at(bytes, position)
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        self.reader.read_exact_at(bytes, position)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.len_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn disk() -> (tempfile::TempDir, RealDisk) {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open_directory(&directory.path().join("wal")).unwrap();
        (directory, disk)
    }

    /// Returns the flags that the kernel has for a descriptor.
    fn flags_of(file: &File) -> i32 {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .unwrap();
        i32::from_str_radix(flags.trim(), 8).unwrap()
    }

    #[test]
    fn every_write_is_synced_with_and_without_direct_io() {
        let (_directory, disk) = disk();
        drop(disk.create("a.seg", 8192).unwrap());
        for direct in [true, false] {
            disk.direct.store(direct, Ordering::Relaxed);
            let file = disk.open_file(&disk.path("a.seg").unwrap()).unwrap();
            let flags = flags_of(file.writer.as_ref().unwrap());
            assert_eq!(flags & libc::O_DSYNC, libc::O_DSYNC);
            if !direct {
                assert_eq!(flags & libc::O_DIRECT, 0);
            }
        }
    }

    #[test]
    fn a_created_file_is_zeros_really_written_and_takes_blocks() {
        let (directory, disk) = disk();
        let len = 3 * FILL_BYTES as u64 / 2;
        let file = disk.create("a.seg", len).unwrap();
        assert_eq!(file.len_bytes().unwrap(), len);
        let mut read = vec![1; len as usize];
        file.read_at(&mut read, 0).unwrap();
        assert!(read.iter().all(|byte| *byte == 0));
        let metadata = fs::metadata(directory.path().join("wal/a.seg")).unwrap();
        let allocated = std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
        assert!(
            allocated >= len,
            "{allocated} of {len} bytes have a place on the device"
        );

        let block = AlignedBuffer::copy_of(b"block");
        file.write_at(block.as_slice(), 4096).unwrap();
        let mut read = [0; 5];
        file.read_at(&mut read, 4096).unwrap();
        assert_eq!(&read, b"block");
        let past = file.write_at(block.as_slice(), len).unwrap_err();
        assert_eq!(past.kind(), ErrorKind::InvalidInput);
        let past = file.read_at(&mut read, len).unwrap_err();
        assert_eq!(past.kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn names_are_listed_whole_and_checked() {
        let (directory, disk) = disk();
        for name in ["b.seg", "a.seg"] {
            drop(disk.create(name, 4096).unwrap());
        }
        assert_eq!(
            disk.create("a.seg", 4096).err().unwrap().kind(),
            ErrorKind::AlreadyExists
        );
        fs::write(directory.path().join("wal/c.seg.part"), "half").unwrap();
        assert_eq!(disk.list().unwrap(), ["a.seg", "b.seg"]);
        disk.remove("a.seg").unwrap();
        let again = RealDisk::open_directory(&directory.path().join("wal")).unwrap();
        assert_eq!(again.list().unwrap(), ["b.seg"]);
        assert!(!directory.path().join("wal/c.seg.part").exists());
        assert_eq!(
            disk.open("a.seg").err().unwrap().kind(),
            ErrorKind::NotFound
        );
        for name in ["", "..", "../a", "a/b", ".a", "a b"] {
            assert_eq!(
                disk.open(name).err().unwrap().kind(),
                ErrorKind::InvalidInput,
                "{name}"
            );
        }
    }

    #[test]
    fn looking_changes_nothing() {
        let (directory, disk) = disk();
        drop(disk.create("a.seg", 8192).unwrap());
        let looked = RealDisk::look_at(&directory.path().join("wal"));
        let file = looked.open("a.seg").unwrap();
        file.read_at(&mut [0; 10], 0).unwrap();
        let block = AlignedBuffer::zeroed(BLOCK_BYTES);
        let refused = [
            file.write_at(block.as_slice(), 0),
            looked.create("b.seg", 4096).map(drop),
            looked.remove("a.seg"),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
        }
        assert_eq!(looked.list().unwrap(), ["a.seg"]);
    }

    #[test]
    fn a_second_holder_is_told_the_first_ones_pid() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let lock = DirLock::take(&data).unwrap();
        let refused = DirLock::take(&data).unwrap_err().to_string();
        let pid = std::process::id();
        let expected = format!(
            "data directory `{}` is in use by process {pid}",
            data.display()
        );
        assert_eq!(refused, expected);
        drop(lock);
        DirLock::take(&data).unwrap();
    }
}
