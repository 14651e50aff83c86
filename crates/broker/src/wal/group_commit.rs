//! The threads that write groups, several at a time. A group is durable when its write returns;
//! that all before it are durable too is for the receiver of [`WriteDone`] to wait for.
//!
//! A failed write is never tried again: what the disk then holds is unknown, and a second attempt
//! that succeeds proves nothing about the first (fsyncgate). The process aborts and recovers.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::files::SegmentFiles;
use super::format::SegmentHeader;
use super::group::{FinishedGroup, SealedGroup};
use super::segments::{SegmentId, file_name};
use crate::chores::AbortOnPanic;
use crate::env::aligned::AlignedBuffer;

/// A sealed group and where it goes.
#[derive(Debug)]
pub struct WriteJob {
    pub segment: SegmentId,
    pub position: u64,
    /// The header that begins the segment with this group.
    pub open: Option<SegmentHeader>,
    pub group_no: u64,
    pub group: SealedGroup,
}

/// A group that is durable.
#[derive(Debug)]
pub struct WriteDone {
    pub group_no: u64,
    /// The group as it stands on disk.
    pub bytes: Bytes,
}

/// A job whose sums are done: one or two writes are left, and their order matters.
#[derive(Debug)]
pub struct FinishedWrite {
    segment: SegmentId,
    position: u64,
    header: Option<AlignedBuffer>,
    group_no: u64,
    group: FinishedGroup,
}

impl WriteJob {
    /// Does all that needs no disk.
    pub fn finish(self) -> FinishedWrite {
        FinishedWrite {
            segment: self.segment,
            position: self.position,
            header: self
                .open
                .map(|header| AlignedBuffer::copy_of(&header.encode())),
            group_no: self.group_no,
            group: self.group.finish(),
        }
    }
}

impl FinishedWrite {
    /// Returns the segment that is written to.
    pub fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Returns the writes, position and bytes, each to be durable before the next begins.
    pub fn writes(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let header = self.header.iter().map(|block| (0, block.as_slice()));
        header.chain([(self.position, self.group.bytes())])
    }

    /// Says that all writes are durable.
    pub fn done(self) -> WriteDone {
        WriteDone {
            group_no: self.group_no,
            bytes: self.group.into_shared(),
        }
    }

    /// Writes to the disk.
    ///
    /// # Errors
    /// Those of the disk; what was written is then unknown.
    pub fn run(self, files: &SegmentFiles) -> io::Result<WriteDone> {
        let file = files.get(self.segment)?;
        for (position, bytes) in self.writes() {
            file.write_at(bytes, position)?;
        }
        Ok(self.done())
    }
}

/// A write that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write group {group_no} to `{}`", file_name(*segment))]
pub struct WriteFailure {
    pub group_no: u64,
    pub segment: SegmentId,
    #[source]
    pub error: io::Error,
}

/// Ends the process at once, without a word to anybody who waits for an ack.
pub fn abort(failure: &WriteFailure) {
    tracing::error!(
        group = failure.group_no,
        file = file_name(failure.segment),
        error = %failure.error,
        "the write-ahead log cannot be written; stopping at once",
    );
    std::process::abort();
}

/// The writer threads. Dropping them waits for the jobs they were given.
pub struct Writers {
    jobs: Option<Sender<WriteJob>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Writers {
    /// Starts `threads` writers.
    ///
    /// `on_done` is called on their threads, in no order; it must not wait for whoever calls
    /// [`Writers::submit`]. `on_failure` is [`abort`], but for tests; no job begins after it.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(
        threads: usize,
        files: &Arc<SegmentFiles>,
        on_done: impl Fn(WriteDone) + Send + Sync + 'static,
        on_failure: impl Fn(&WriteFailure) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = bounded(threads);
        let shared = Arc::new(Writer {
            files: files.clone(),
            failed: AtomicBool::new(false),
            on_done,
            on_failure,
        });
        let start = |number| {
            let (writer, jobs) = (shared.clone(), receiver.clone());
            let thread = thread::Builder::new().name(format!("wal-{number}"));
            thread.spawn(move || writer.write_all(&jobs))
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self {
            jobs: Some(sender),
            threads,
        })
    }

    /// Hands a job to the next free thread. Waits while as many jobs lie ready as there are threads.
    pub fn submit(&self, job: WriteJob) {
        let jobs = self.jobs.as_ref().expect("the channel is open until drop");
        // The threads end early only after a failure, and then nothing is written any more.
        drop(jobs.send(job));
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic in a hook was reported by its own thread.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writers({} threads)", self.threads.len())
    }
}

struct Writer<D, F> {
    files: Arc<SegmentFiles>,
    failed: AtomicBool,
    on_done: D,
    on_failure: F,
}

impl<D: Fn(WriteDone), F: Fn(&WriteFailure)> Writer<D, F> {
    fn write_all(&self, jobs: &Receiver<WriteJob>) {
        // A writer that is gone would leave everybody waiting for its group.
        let _guard = AbortOnPanic;
        for job in jobs {
            if self.failed.load(Ordering::SeqCst) {
                continue;
            }
            let (group_no, segment) = (job.group_no, job.segment);
            match job.finish().run(&self.files) {
                Ok(done) => (self.on_done)(done),
                Err(error) => {
                    self.failed.store(true, Ordering::SeqCst);
                    (self.on_failure)(&WriteFailure {
                        group_no,
                        segment,
                        error,
                    });
                }
            }
        }
    }
}
