//! The threads that work beside the sequencer's: one for objects and checkpoints, one for upkeep, one
//! for segments of the write-ahead log. Three, because a merge of gigabytes must not keep objects
//! waiting, and while those wait for the object store, as long as that is away, the write-ahead log
//! must grow.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::watch;

use crate::driver::{Message, SegmentChore};
use crate::history::{Fatal, HistoryRunner, UpkeepRunner};
use crate::sequencer::{HistoryJob, Input};
use crate::upkeep;
use crate::wal::SegmentFiles;

/// How long a job that is under way may take once the log stops. What is left undone the next
/// process does again, as after a crash.
const LAST_JOB_TAKES: Duration = Duration::from_secs(2);

/// Does the jobs of one lane of history.
pub(crate) trait Lane: Send + 'static {
    /// What is to be done.
    type Job: Send;
    /// How it ended.
    type Done: Into<Input>;

    /// Does one job. An error stops the process.
    fn job(&self, job: Self::Job) -> impl Future<Output = Result<Self::Done, Fatal>>;
}

impl Lane for HistoryRunner {
    type Job = HistoryJob;
    type Done = crate::sequencer::Done;

    async fn job(&self, job: HistoryJob) -> Result<Self::Done, Fatal> {
        self.run(job).await
    }
}

impl Lane for UpkeepRunner {
    type Job = upkeep::Job;
    type Done = upkeep::Done;

    async fn job(&self, job: upkeep::Job) -> Result<Self::Done, Fatal> {
        self.run(job).await
    }
}

/// Does jobs on history, one after the other.
pub(crate) struct History<L> {
    pub(crate) lane: L,
    pub(crate) messages: Sender<Message>,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// Becomes true when the log has stopped.
    pub(crate) stopped: watch::Receiver<bool>,
}

impl<L: Lane> History<L> {
    /// Works until the sequencer's thread has ended, and a little longer if a job is under way.
    pub(crate) fn run(mut self, jobs: &Receiver<Box<L::Job>>) {
        for job in jobs {
            let job = self.lane.job(*job);
            let given_up = async {
                // An error says that every handle is gone, and with them whoever could stop the log.
                drop(self.stopped.wait_for(|stopped| *stopped).await);
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
                SegmentChore::Drop(tables) => drop(tables),
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
