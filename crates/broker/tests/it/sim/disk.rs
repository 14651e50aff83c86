//! The simulated disk: what was written is there, byte for byte, and a crash tears what is on its way.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use tidegate_broker::env::{BLOCK_BYTES, Disk, DiskFile};

use super::env::Rng;

type Bytes = Arc<Mutex<Vec<u8>>>;

/// A disk that outlives the process.
#[derive(Clone, Default)]
pub(super) struct SimDisk {
    files: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

struct SimFile(Bytes);

impl SimDisk {
    /// Writes some of the sectors of `bytes`, as a crash in the middle of a write does.
    pub(super) fn tear(&self, name: &str, position: u64, bytes: &[u8], rng: &mut Rng) {
        const SECTOR: usize = 512;
        let files = self.files.lock().unwrap();
        let mut file = files[name].lock().unwrap();
        for (at, sector) in bytes.chunks(SECTOR).enumerate() {
            if rng.chance(1, 2) {
                let start = usize::try_from(position).unwrap() + at * SECTOR;
                file[start..start + sector.len()].copy_from_slice(sector);
            }
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().unwrap().keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        match self.files.lock().unwrap().get(name) {
            Some(bytes) => Ok(Arc::new(SimFile(bytes.clone()))),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let bytes: Bytes = Arc::new(Mutex::new(vec![0; usize::try_from(len).unwrap()]));
        let mut files = self.files.lock().unwrap();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        files.insert(name.to_owned(), bytes.clone());
        Ok(Arc::new(SimFile(bytes)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().unwrap().remove(name);
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        assert_eq!(
            bytes.as_ptr().align_offset(BLOCK_BYTES),
            0,
            "direct I/O asks for alignment"
        );
        assert!(bytes.len().is_multiple_of(BLOCK_BYTES));
        let start = usize::try_from(position).unwrap();
        self.0.lock().unwrap()[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        let file = self.0.lock().unwrap();
        let start = usize::try_from(position).unwrap();
        let found = file
            .get(start..start + bytes.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}
