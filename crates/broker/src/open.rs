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
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::boot::{self, BootError, Booted, Ground};
use crate::broker::{Broker, Inner, Options, QUEUE_LIMIT_BYTES, Threads};
use crate::driver::{self, Chore, Message, Sinks};
use crate::env::real::{DirLock, LockError, RealClock, RealDisk, RealRandom, RealSleeper};
use crate::env::{Clock, Disk, random_id};
use crate::history::HistoryRunner;
use crate::object::Objects;
use crate::read::cold::ColdReader;
use crate::sequencer::{self, Input};
use crate::wal::{self, SegmentFiles, Writers};

/// Cold reads at a time; more would only queue in the disk.
const COLD_READS: usize = 8;

/// Chores in the queue: one history job at a time, and one segment.
const CHORES: usize = 16;

/// Why the log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
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
        let store = LocalFileSystem::new_with_prefix(&objects_dir)
            .map_err(|error| at(&objects_dir)(io::Error::other(error)))?
            .with_fsync(true)
            .with_automatic_cleanup(false);
        let ground = Ground {
            objects: Objects::new(Arc::new(store), "", Arc::new(RealSleeper)),
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
                history: options.history.clone(),
            },
        };
        // History has a runtime of its own, so that it cannot starve the doors.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidegate-history")
            .enable_time()
            .build()
            .map_err(OpenError::Thread)?;
        // A thread of its own, since the caller's may belong to another runtime.
        let booted = std::thread::scope(|scope| {
            let boot = scope.spawn(|| runtime.block_on(boot::boot(&ground, config)));
            boot.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        start(options, ground, booted, runtime, lock)
    }
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
    let (chores, chore_list) = bounded(CHORES);
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
    let history = History {
        files: files.clone(),
        runner,
        segment_bytes: options.wal_segment_bytes,
        messages: messages.clone(),
        runtime,
    };
    let history = spawn("tidegate-history", move || history.run(&chore_list))?;
    let clock = ground.clock.clone();
    let sequencer = spawn("tidegate-sequencer", move || {
        let write = Box::new(move |job| writers.submit(job));
        driver::run(sequencer, &inbox, &clock, Sinks { write, chores });
        // The lock is held until the last write has ended.
        drop(lock);
    })?;
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
        threads: Mutex::new(Some(Threads {
            sequencer,
            rest: vec![history],
        })),
    })))
}

/// The history thread: jobs on objects, new segments.
struct History {
    files: Arc<SegmentFiles>,
    runner: HistoryRunner,
    segment_bytes: u64,
    messages: Sender<Message>,
    runtime: tokio::runtime::Runtime,
}

impl History {
    /// Works until the sequencer's thread has ended.
    fn run(mut self, chores: &Receiver<Chore>) {
        for chore in chores {
            let input = match chore {
                Chore::GrowWal(segment) => {
                    let created = self.files.create(segment, self.segment_bytes);
                    if let Err(error) = &created {
                        tracing::warn!(%error, "no room for another segment of the write-ahead log");
                    }
                    Input::Grown {
                        segment,
                        created: created.is_ok(),
                    }
                }
                Chore::ShrinkWal(segment) => {
                    if let Err(error) = self.files.remove(segment) {
                        tracing::warn!(%error, segment, "a segment is not needed and cannot be removed");
                    }
                    continue;
                }
                Chore::History(job) => match self.runtime.block_on(self.runner.run(*job)) {
                    Ok(done) => done.into(),
                    Err(error) => {
                        tracing::error!(%error, "history cannot go on; the process stops");
                        std::process::abort();
                    }
                },
            };
            if self.messages.send(Message::Input(input, None)).is_err() {
                return;
            }
        }
    }
}

fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> Result<thread::JoinHandle<()>, OpenError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(OpenError::Thread)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this file is where the log meets the machine"
)]
fn create_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}
