//! The threads that work beside the sequencer's: one for jobs on history, one for segments of the
//! write-ahead log. Two, because a job may wait for the object store as long as that is away, and it
//! is then that the write-ahead log must grow.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::Notify;

use crate::driver::{Message, SegmentChore};
use crate::history::HistoryRunner;
use crate::sequencer::{HistoryJob, Input};
use crate::wal::SegmentFiles;

/// How long a job that is under way may take once the log stops. What is left undone the next
/// process does again, as after a crash.
const LAST_JOB_TAKES: Duration = Duration::from_secs(2);

/// Does jobs on history, one after the other.
pub(crate) struct History {
    pub(crate) runner: HistoryRunner,
    pub(crate) messages: Sender<Message>,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// Told once, when the log has stopped.
    pub(crate) stopped: Arc<Notify>,
}

impl History {
    /// Works until the sequencer's thread has ended, and a little longer if a job is under way.
    pub(crate) fn run(mut self, jobs: &Receiver<Box<HistoryJob>>) {
        for job in jobs {
            let job = self.runner.run(*job);
            let given_up = async {
                self.stopped.notified().await;
                tokio::time::sleep(LAST_JOB_TAKES).await;
            };
            let done = self.runtime.block_on(async {
                tokio::select! {
                    done = job => Some(done),
                    () = given_up => None,
                }
            });
            let done: Input = match done {
                Some(Ok(done)) => done.into(),
                Some(Err(error)) => {
                    tracing::error!(%error, "history cannot go on; the process stops");
                    std::process::abort();
                }
                None => {
                    tracing::warn!(
                        "stopping with history unfinished: the next start goes on with it"
                    );
                    break;
                }
            };
            if self.messages.send(Message::Input(done, None)).is_err() {
                break;
            }
        }
        // A request that hangs must not hold up the end.
        self.runtime.shutdown_background();
    }
}

/// Creates and removes segments.
pub(crate) struct Segments {
    pub(crate) files: Arc<SegmentFiles>,
    pub(crate) segment_bytes: u64,
    pub(crate) messages: Sender<Message>,
}

impl Segments {
    /// Works until the sequencer's thread has ended.
    pub(crate) fn run(self, chores: &Receiver<SegmentChore>) {
        for chore in chores {
            match chore {
                SegmentChore::Grow(segment) => {
                    let created = self.files.create(segment, self.segment_bytes);
                    if let Err(error) = &created {
                        tracing::warn!(%error, "no room for another segment of the write-ahead log");
                    }
                    let created = created.is_ok();
                    let grown = Message::Input(Input::Grown { segment, created }, None);
                    if self.messages.send(grown).is_err() {
                        return;
                    }
                }
                SegmentChore::Shrink(segment) => {
                    if let Err(error) = self.files.remove(segment) {
                        tracing::warn!(%error, segment, "a segment is not needed and cannot be removed");
                    }
                }
            }
        }
    }
}

/// Ends the process with the thread: a log that has lost one of its threads answers nobody, and
/// only a new process helps.
pub(crate) struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("a thread of the log has panicked; the process stops");
            std::process::abort();
        }
    }
}

/// Starts a thread of the log.
pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _guard = AbortOnPanic;
        body();
    })
}
