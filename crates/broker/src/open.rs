//! Opens the log on this machine: the data directory, its lock, the threads.
//!
//! Layout of the directory: `lock`, `wal/` (segments), `objects/` (history).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crossbeam_channel::{bounded, unbounded};
use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::boot::{self, BootError, Booted, Ground};
use crate::broker::{Broker, Inner, Options, QUEUE_LIMIT_BYTES, Threads};
use crate::chores::{History, Segments, spawn};
use crate::driver::{self, Message, Sinks};
use crate::env::real::{
    DirLock, LockError, RealClock, RealDisk, RealNames, RealRandom, RealSleeper,
};
use crate::env::{Clock, Disk, random_id};
use crate::object::Objects;
use crate::read::cold::ColdReader;
use crate::sequencer::{self, Input};
use crate::wal::{self, Writers};

/// Cold reads at a time; more would only queue in the disk.
const COLD_READS: usize = 8;

/// Memory for consumer groups and their committed offsets: some two million offsets without notes.
const OFFSETS_BUDGET_BYTES: u64 = 256 * 1024 * 1024;

/// Jobs and chores in their queues: there is one of each at a time, but for segments to be removed.
const CHORES: usize = 16;

/// Why the log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "a write-ahead log of {budget_bytes} bytes in segments of {segment_bytes}\n\
         hint: segments have at least {least_bytes} bytes, and there is room for two of them"
    )]
    WalTooSmall {
        segment_bytes: u64,
        budget_bytes: u64,
        least_bytes: u64,
    },
    #[error("data directory `{path}`: {source}")]
    Directory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
}

impl Broker {
    /// Opens the log in a data directory, creating it if it is empty. Blocks while it recovers.
    ///
    /// # Errors
    /// The directory is in use, cannot be written, or holds data that is damaged.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_by(options, Arc::new(RealClock::new()))
    }

    /// Opens the log as [`Broker::open`] does, with another clock.
    ///
    /// # Errors
    /// Those of [`Broker::open`].
    pub fn open_by(options: Options, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let least_bytes = 5 * sequencer::GROUP_LIMIT_BYTES as u64;
        let (segment_bytes, budget_bytes) = (options.wal_segment_bytes, options.wal_budget_bytes);
        if segment_bytes < least_bytes || budget_bytes < 2 * segment_bytes {
            return Err(OpenError::WalTooSmall {
                segment_bytes,
                budget_bytes,
                least_bytes,
            });
        }
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Directory { path, source }
        };
        let data = &options.data;
        let lock = DirLock::take(data)?;
        let objects_dir = data.join("objects");
        create_dir(&objects_dir).map_err(at(&objects_dir))?;
        let wal_dir = data.join("wal");
        let disk: Arc<dyn Disk> =
            Arc::new(RealDisk::open_directory(&wal_dir).map_err(at(&wal_dir))?);
        remove_staged(&objects_dir).map_err(at(&objects_dir))?;
        let store = LocalFileSystem::new_with_prefix(&objects_dir)
            .map_err(|error| at(&objects_dir)(io::Error::other(error)))?
            .with_fsync(true)
            .with_automatic_cleanup(false);
        let ground = Ground {
            objects: Objects::new(Arc::new(store), "", Arc::new(RealSleeper))
                .with_names(Arc::new(RealNames::new(&objects_dir))),
            disk: disk.clone(),
            clock,
            random: Arc::new(RealRandom),
        };
        let config = boot::Config {
            wal_segment_bytes: options.wal_segment_bytes,
            wal_budget_bytes: options.wal_budget_bytes,
            hot_budget_bytes: options.hot_budget_bytes,
            topic_defaults: options.kafka.topic_defaults(),
            sequencer: sequencer::Settings {
                group_limit_bytes: sequencer::GROUP_LIMIT_BYTES,
                writes_in_flight: options.writes_in_flight,
                claims_budget_bytes: options.claims_budget_bytes,
                max_partitions: usize::try_from(options.kafka.max_partitions).unwrap_or(usize::MAX),
                offsets_retention_ms: i64::from(options.kafka.offsets_retention_minutes) * 60_000,
                offsets_budget_bytes: OFFSETS_BUDGET_BYTES,
                history: options.history.clone(),
            },
        };
        let runtime = history_runtime("tidegate-history")?;
        // A thread of its own, since the caller's may belong to another runtime.
        let booted = std::thread::scope(|scope| {
            let boot = scope.spawn(|| {
                runtime.block_on(boot::boot_patiently(
                    &ground,
                    config,
                    options.store_patience,
                ))
            });
            boot.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        start(options, ground, booted, runtime, lock)
    }
}

/// Each lane of history has a runtime of its own, so that it starves neither the doors nor the other.
fn history_runtime(name: &str) -> Result<tokio::runtime::Runtime, OpenError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_time()
        .build()
        .map_err(OpenError::Thread)
}

fn start(
    options: Options,
    ground: Ground,
    booted: Booted,
    runtime: tokio::runtime::Runtime,
    lock: DirLock,
) -> Result<Broker, OpenError> {
    let Booted {
        sequencer,
        shared,
        runner,
        upkeep,
        files,
        epoch,
        cluster_id,
        claim_secret,
        durable,
        found,
    } = booted;
    tracing::info!(
        epoch,
        checkpoint.lsn = found.checkpoint_lsn,
        objects = found.objects,
        groups = found.groups,
        last.lsn = found.last_lsn,
        torn = found.torn,
        "log recovered"
    );
    let (messages, inbox) = unbounded();
    let (history, jobs) = bounded(CHORES);
    let (upkeep_jobs, due) = bounded(CHORES);
    let (segments, chores) = bounded(CHORES);
    let written = messages.clone();
    let on_done = move |done: wal::WriteDone| {
        // After the sequencer has ended nobody waits for a write.
        let input = Input::Written {
            group_no: done.group_no,
            bytes: done.bytes,
        };
        drop(written.send(Message::Input(input, None)));
    };
    let writers = Writers::start(options.writes_in_flight, &files, on_done, wal::abort)
        .map_err(OpenError::Thread)?;
    let (stopped, stops) = watch::channel(false);
    let history_thread = History {
        lane: runner,
        messages: messages.clone(),
        runtime,
        stopped: stops.clone(),
    };
    let upkeep_thread = History {
        lane: upkeep,
        messages: messages.clone(),
        runtime: history_runtime("tidegate-upkeep")?,
        stopped: stops,
    };
    let segments_thread = Segments {
        files: files.clone(),
        segment_bytes: options.wal_segment_bytes,
        messages: messages.clone(),
    };
    // The directory is locked until the last of them that writes to it has ended.
    let lock = Arc::new(lock);
    let held = lock.clone();
    let history_thread = spawn("tidegate-history", move || {
        history_thread.run(&jobs);
        drop(held);
    })
    .map_err(OpenError::Thread)?;
    let held = lock.clone();
    let upkeep_thread = spawn("tidegate-upkeep", move || {
        upkeep_thread.run(&due);
        drop(held);
    })
    .map_err(OpenError::Thread)?;
    let held = lock.clone();
    let segments_thread = spawn("tidegate-segments", move || {
        segments_thread.run(&chores);
        drop(held);
    })
    .map_err(OpenError::Thread)?;
    let clock = ground.clock.clone();
    let sequencer = spawn("tidegate-sequencer", move || {
        let sinks = Sinks {
            write: Box::new(move |job| writers.submit(job)),
            history,
            upkeep: upkeep_jobs,
            segments,
        };
        driver::run(sequencer, &inbox, &clock, sinks);
        drop(lock);
    })
    .map_err(OpenError::Thread)?;
    let durable = thread::scope(|scope| scope.spawn(|| durable.blocking_recv()).join());
    if !matches!(durable, Ok(Ok(Ok(())))) {
        return Err(OpenError::Thread(io::Error::other("the sequencer ended")));
    }
    Ok(Broker(Arc::new(Inner {
        shared,
        messages,
        queue: Arc::new(Semaphore::new(QUEUE_LIMIT_BYTES)),
        cold: ColdReader::new(ground.objects.clone(), files, COLD_READS),
        objects: ground.objects,
        clock: ground.clock,
        next_keyless: AtomicI32::new(i32::from_le_bytes(
            random_id(ground.random.as_ref())[..4]
                .try_into()
                .expect("four bytes"),
        )),
        random: ground.random,
        settings: options.kafka,
        cluster_id: URL_SAFE_NO_PAD.encode(cluster_id),
        claim_secret,
        epoch,
        stopped,
        threads: Mutex::new(Some(Threads {
            sequencer,
            rest: vec![history_thread, upkeep_thread, segments_thread],
        })),
    })))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this file is where the log meets the machine"
)]
fn create_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Removes what a crash left of objects that were being written: `LocalFileSystem` stages each under
/// its name and `#` with a number, and shows those files to nobody. Makes durable what else is there: a
/// process may have been killed between giving a name and syncing it, and recovery builds on all names.
#[expect(
    clippy::disallowed_methods,
    reason = "this file is where the log meets the machine"
)]
fn remove_staged(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_staged(&path)?;
        } else if is_staged(&entry.file_name().to_string_lossy()) {
            fs::remove_file(&path)?;
        }
    }
    fs::File::open(directory)?.sync_all()
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_files_are_told_from_objects() {
        for (name, staged) in [
            ("00000000000000000007#1", true),
            ("00000000000000000007#12", true),
            ("00000000000000000007", false),
            ("a#b", false),
            ("a#", false),
        ] {
            assert_eq!(is_staged(name), staged, "{name}");
        }
    }
}
