//! A log that does what a test wants to go wrong, over a real one.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_event_log::{
    AlterTopic, Append, Appended, Bounds, Claim, Log, LogError, Offset, Read, Topic, TopicSpec,
    Watermarks,
};
use tokio::sync::Notify;

use crate::logs::Keeper;

/// What goes wrong in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Fault {
    None = 0,
    /// Appends are taken and never answered.
    StoresAndHangs = 1,
    /// Nothing is answered, nothing is taken.
    Hangs = 2,
    /// Refuses, having stored nothing.
    NotStored = 3,
    /// Fails, and nobody knows.
    InDoubt = 4,
    /// Appends are taken, stored a while later, and never answered.
    StoresLate = 5,
}

/// Faults leave it alone, as a change is not even tried where it fails; breaks do not.
pub(crate) const AUDIT: &str = "_tidegate.audit";

/// The log goes away in the middle of something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Break {
    /// Calls that still go well.
    pub(crate) after: usize,
    /// Whether the first call that fails does its work all the same, and nobody hears of it.
    pub(crate) done: bool,
    /// Whether all calls fail from then on.
    pub(crate) stays: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Call {
    Fine,
    Lost,
    DoneAndLost,
}

/// How much later.
const LATE: Duration = Duration::from_millis(600);

const FAULTS: [Fault; 6] = [
    Fault::None,
    Fault::StoresAndHangs,
    Fault::Hangs,
    Fault::NotStored,
    Fault::InDoubt,
    Fault::StoresLate,
];

/// A real log that can be made to fail.
pub(crate) struct FaultyLog {
    inner: Arc<dyn Log>,
    fault: AtomicU8,
    breaks: Mutex<Option<Break>>,
    /// Told of each append that was late, once it was tried.
    pub(crate) landed: Arc<Notify>,
    /// Goes last, when nothing of the log is used any more.
    _keeper: Keeper,
}

impl FaultyLog {
    pub(crate) fn over(log: Arc<dyn Log>, keeper: Keeper) -> Self {
        Self {
            inner: log,
            fault: AtomicU8::new(0),
            breaks: Mutex::default(),
            landed: Arc::default(),
            _keeper: keeper,
        }
    }

    /// Returns the log itself, without faults.
    pub(crate) fn real(&self) -> &Arc<dyn Log> {
        &self.inner
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::Relaxed);
    }

    /// Breaks the log in so many calls; nothing mends it.
    pub(crate) fn break_in(&self, breaks: Option<Break>) {
        *self.breaks.lock() = breaks;
    }

    /// Whether the break has come.
    pub(crate) fn is_broken(&self) -> bool {
        self.breaks.lock().is_none_or(|it| it.after == 0)
    }

    fn call(&self) -> Call {
        let mut breaks = self.breaks.lock();
        match *breaks {
            Some(Break {
                after: 0,
                done,
                stays,
            }) => {
                *breaks = stays.then_some(Break {
                    after: 0,
                    done: false,
                    stays,
                });
                if done { Call::DoneAndLost } else { Call::Lost }
            }
            Some(Break { after, .. }) => {
                breaks.as_mut().unwrap().after = after - 1;
                Call::Fine
            }
            None => Call::Fine,
        }
    }

    /// Does something, unless the log is broken.
    async fn unless_broken<T>(
        &self,
        work: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        match self.call() {
            Call::Fine => work.await,
            Call::Lost => Err(LogError::not_stored("broken")),
            Call::DoneAndLost => {
                drop(work.await);
                Err(LogError::in_doubt("broken"))
            }
        }
    }

    async fn fail(&self) -> Result<(), LogError> {
        match FAULTS[usize::from(self.fault.load(Ordering::Relaxed))] {
            Fault::None | Fault::StoresAndHangs | Fault::StoresLate => Ok(()),
            Fault::Hangs => std::future::pending().await,
            Fault::NotStored => Err(LogError::not_stored("no room")),
            Fault::InDoubt => Err(LogError::in_doubt("the device is gone")),
        }
    }
}

#[async_trait::async_trait]
impl Log for FaultyLog {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, LogError>> {
        let is_audit = appends.iter().all(|it| &*it.topic == AUDIT);
        if is_audit && self.fault.load(Ordering::Relaxed) != Fault::None as u8 {
            return self.inner.append(appends).await;
        }
        if let Err(error) = self.fail().await {
            return vec![Err(error); appends.len()];
        }
        match self.call() {
            Call::Fine => {}
            Call::Lost => return vec![Err(LogError::not_stored("broken")); appends.len()],
            Call::DoneAndLost => {
                let count = self.inner.append(appends).await.len();
                return vec![Err(LogError::in_doubt("broken")); count];
            }
        }
        if self.fault.load(Ordering::Relaxed) == Fault::StoresLate as u8 {
            let (log, landed) = (Arc::clone(&self.inner), Arc::clone(&self.landed));
            tokio::spawn(async move {
                tokio::time::sleep(LATE).await;
                drop(log.append(appends).await);
                landed.notify_one();
            });
            std::future::pending::<()>().await;
            return Vec::new();
        }
        let answers = self.inner.append(appends).await;
        if self.fault.load(Ordering::Relaxed) == Fault::StoresAndHangs as u8 {
            std::future::pending::<()>().await;
        }
        answers
    }

    async fn lookup(&self, claim: &Claim) -> Result<Option<Appended>, LogError> {
        self.fail().await?;
        self.inner.lookup(claim).await
    }

    async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, LogError> {
        self.fail().await?;
        let read = self.inner.read(topic, partition, from, max_bytes);
        self.unless_broken(read).await
    }

    async fn watch(
        &self,
        topic: &str,
        partition: i32,
        beyond: Offset,
        at_most: Duration,
    ) -> Result<Offset, LogError> {
        self.inner.watch(topic, partition, beyond, at_most).await
    }

    async fn watermarks(&self, topic: &str, partition: i32) -> Result<Watermarks, LogError> {
        self.fail().await?;
        self.inner.watermarks(topic, partition).await
    }

    async fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
    ) -> Result<Option<Offset>, LogError> {
        self.inner.offset_at(topic, partition, timestamp_ms).await
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        self.fail().await?;
        self.unless_broken(self.inner.topics()).await
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.fail().await?;
        self.unless_broken(self.inner.bounds()).await
    }

    async fn create_topic(&self, spec: TopicSpec) -> Result<Topic, LogError> {
        self.unless_broken(self.inner.create_topic(spec)).await
    }

    async fn alter_topic(&self, name: &str, alter: AlterTopic) -> Result<Topic, LogError> {
        self.fail().await?;
        self.unless_broken(self.inner.alter_topic(name, alter))
            .await
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        self.unless_broken(self.inner.delete_topic(name)).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<Offset>>, LogError> {
        self.fail().await?;
        self.inner.committed(group, topic).await
    }

    async fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError> {
        self.fail().await?;
        self.inner.commit(group, topic, partition, offset).await
    }

    async fn groups(&self) -> Result<Vec<String>, LogError> {
        self.fail().await?;
        self.inner.groups().await
    }
}
