//! The hands of one bridge: reads what `decide.rs` has to know, does what it says, commits, and waits
//! for the next event. Everything that must outlive the process is in the log before it counts.
//!
//! Any number of workers may be at one bridge, here and in other processes: claims keep each record
//! one, and a position committed too low only means asking again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use tidegate_contract::model::Lifecycle;
use tidegate_event_log::{Append, Disposition, LogError, Offset, StoredRecord, Topic, Watermarks};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::copy::{self, Copied, Source, Watched};
use super::decide::{self, Facts, Mark, Step, Wait};
use super::look::{self, CALL, answered, ends, to_partition, watch_from_now};
use super::spec::{InForce, Spec};
use super::state::{Change, FirstPart, Rollout, Table, Watch};
use super::status::Status;
use crate::metrics::BridgeMeters;

/// How often groups are asked where they are; the log does not tell by itself.
pub(crate) const POLL: Duration = Duration::from_millis(500);
/// How long a wait for events lasts before contracts and topics are looked at again.
const IDLE: Duration = Duration::from_secs(5);
/// A batch is bounded in bytes and records; so is what a crash repeats.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_RECORDS: usize = 500;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// How often topics are listed to see whether one was made anew or has grown.
const LIST_AFTER: Duration = Duration::from_secs(10);
/// Offsets of a group without members end (KIP-211), so they are committed again now and then.
const COMMIT_AGAIN_MS: i64 = 60 * 60 * 1000;

/// When to look again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// At once.
    Again,
    /// After a while.
    Later(Duration),
    /// With the next event beyond these high watermarks of the source.
    Events(String, Vec<Offset>),
}

/// How far the source is copied, as it is committed.
struct Progress {
    topic: Topic,
    positions: Vec<Offset>,
    listed: Instant,
    committed_ms: i64,
}

/// The worker of one bridge.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    name: String,
    meters: BridgeMeters,
    progress: Option<Progress>,
    /// How many events were quarantined since this watch began.
    quarantined: Option<(Watch, u64)>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, name: String) -> Self {
        Self {
            meters: shared.metrics.bridge(&name),
            shared,
            name,
            progress: None,
            quarantined: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Works until the bridge goes from the contracts in force, or all is to stop.
    pub(crate) async fn run(
        mut self,
        mut changes: watch::Receiver<Arc<InForce>>,
        stop: CancellationToken,
    ) {
        let shared = Arc::clone(&self.shared);
        let mut backoff = FIRST_BACKOFF;
        while !stop.is_cancelled() {
            // Enlisted before looking, so that no change slips in between.
            let mut changed = pin!(shared.states.changed());
            let spec = changes.borrow_and_update().bridge(&self.name).cloned();
            let Some(spec) = spec else { break };
            let next = match self.step(&spec).await {
                Ok(next) => {
                    backoff = FIRST_BACKOFF;
                    next
                }
                Err(error) => {
                    tracing::warn!(contract = self.name, error = %error, "a bridge cannot go on");
                    self.failed(&spec, &error);
                    let pause = backoff;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                    Next::Later(pause)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.wait(next) => {}
                () = &mut changed => {}
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        self.shared.status.lock().remove(&self.name);
        self.meters.lag.set(0);
        self.meters.halted.set(0);
    }

    fn failed(&mut self, spec: &Spec, error: &LogError) {
        // A topic may have been deleted: all is looked at anew.
        self.progress = None;
        let mut status = self.shared.status.lock();
        let status = status.entry(self.name.clone());
        let status = status.or_insert_with(|| Status::new(spec));
        status.unavailable(&error.to_string());
    }

    async fn wait(&self, next: Next) {
        match next {
            Next::Again => {}
            Next::Later(pause) => sleep(pause).await,
            Next::Events(topic, highs) => {
                let log = &self.shared.log;
                let partitions = (0..).zip(highs);
                let watches: Vec<_> = partitions
                    .map(|(partition, high)| log.watch(&topic, partition, high, IDLE))
                    .collect();
                match watches.is_empty() {
                    true => sleep(POLL).await,
                    false => {
                        let (watched, _, _) = select_all(watches).await;
                        if watched.is_err() {
                            sleep(POLL).await;
                        }
                    }
                }
            }
        }
    }

    /// Looks at the log, decides and does one thing.
    ///
    /// # Errors
    /// The log's: perhaps some of it was done, and the next step goes on from there.
    pub(crate) async fn step(&mut self, spec: &Spec) -> Result<Next, LogError> {
        let table = self.shared.states.now();
        let from = &spec.migration().from;
        let rollout = table.get(&self.name).filter(|r| r.from == *from);
        let topic = match (&spec.earlier, rollout) {
            (Some(earlier), _) => earlier.topic.name.clone(),
            (None, Some(rollout)) => rollout.source.clone(),
            (None, None) => {
                self.tell(Status::without_source(spec), rollout);
                return Ok(Next::Later(IDLE));
            }
        };
        self.locate(spec, &topic).await?;
        let bounds = self.bounds().await?;
        let marks = self.marks(&bounds);
        let now_ms = self.shared.clock.now_ms();
        let watched = rollout.filter(|r| !r.in_full && r.halt.is_none() && !r.aborted);
        let canaries = match watched {
            Some(rollout) if spec.canary().is_some() => {
                look::canaries(&*self.shared.log, spec, rollout).await?
            }
            _ => Vec::new(),
        };
        let at_end = marks.iter().all(|mark| mark.unread() == 0);
        let log = &*self.shared.log;
        let (newest_ms, readers_behind) = match (at_end, self.lifecycle(spec)) {
            (true, None | Some(Lifecycle::Deprecated | Lifecycle::Retired)) => (
                look::newest_ms(log, &topic, &bounds).await?,
                look::behind(log, &topic, &spec.readers, &bounds).await?,
            ),
            _ => (None, Vec::new()),
        };
        let step = decide::next(&Facts {
            now_ms,
            is_open: spec.contract.lifecycle.accepts_events(),
            canary: spec.canary(),
            rollout,
            source: &marks,
            earlier: self.lifecycle(spec),
            newest_ms,
            readers_behind: &readers_behind,
            canaries: &canaries,
        });
        if let Some(status) = Status::of(spec, &topic, rollout, &marks, &step) {
            self.tell(status, rollout);
        }
        self.act(spec, rollout, &marks, step).await
    }

    async fn act(
        &mut self,
        spec: &Spec,
        rollout: Option<&Rollout>,
        marks: &[Mark],
        step: Step,
    ) -> Result<Next, LogError> {
        let change = match step {
            Step::Copy { at_most, watched } => {
                let rollout = rollout.filter(|_| watched);
                self.copy(spec, rollout, marks, at_most).await?;
                return Ok(Next::Again);
            }
            Step::Wait(wait) => {
                self.commit_again(spec).await?;
                let progress = self.progress.as_ref();
                return Ok(match (wait, progress) {
                    (Wait::Events | Wait::Ended, Some(progress)) => {
                        let highs = marks.iter().map(|mark| mark.high).collect();
                        Next::Events(progress.topic.name.clone(), highs)
                    }
                    _ => Next::Later(POLL),
                });
            }
            Step::Start => {
                let progress = self.progress.as_ref();
                Change::Started {
                    from: spec.migration().from.clone(),
                    source: progress.map_or_else(String::new, |p| p.topic.name.clone()),
                    source_starts: marks.iter().map(|mark| mark.position).collect(),
                    in_full: spec.canary().is_none(),
                    watch: watch_from_now(&self.shared, spec).await?,
                }
            }
            Step::CloseFirstPart => Change::FirstPartCopied {
                part: FirstPart {
                    at_ms: self.shared.clock.now_ms(),
                    target_ends: ends(&*self.shared.log, spec.target()).await?,
                },
            },
            Step::Pass => Change::Passed,
            Step::Halt(halt) => Change::Halted { halt },
            Step::End => Change::Ended,
            Step::Reopen => Change::Reopened,
        };
        self.note(spec, rollout, change).await?;
        Ok(Next::Again)
    }

    /// Writes a change down, unless something else was decided since `seen`.
    async fn note(
        &self,
        spec: &Spec,
        seen: Option<&Rollout>,
        change: Change,
    ) -> Result<(), LogError> {
        let from = &spec.migration().from;
        let decide = |table: &Table| {
            let now = table.get(&self.name).filter(|r| r.from == *from);
            Ok::<_, std::convert::Infallible>((now == seen).then(|| change.record(&self.name)))
        };
        let Ok(()) = answered(self.shared.states.change(decide)).await?;
        tracing::info!(contract = self.name, change = ?change, "a bridge goes on");
        Ok(())
    }

    /// Copies at most so many events, batch by batch, each committed after it was acked.
    async fn copy(
        &mut self,
        spec: &Spec,
        watched: Option<&Rollout>,
        marks: &[Mark],
        at_most: u64,
    ) -> Result<(), LogError> {
        let mut left = at_most;
        for (partition, mark) in marks.iter().enumerate() {
            if left == 0 {
                break;
            }
            if mark.unread() == 0 {
                continue;
            }
            let Some(progress) = &self.progress else {
                break;
            };
            let source = Source {
                topic: &progress.topic.name.clone(),
                topic_id: progress.topic.id,
                partition: to_partition(partition),
            };
            let log = Arc::clone(&self.shared.log);
            let read = log.read(source.topic, source.partition, mark.position, BATCH_BYTES);
            let read = answered(read).await?;
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let records = &read.records[..read.records.len().min(most).min(BATCH_RECORDS)];
            let limits = match watched {
                Some(rollout) => Some(self.limits(spec, rollout).await?),
                None => None,
            };
            let plan = copy::plan(spec, source, records, mark.position, limits);
            // Offsets between records may hold nothing, as after a transaction.
            let is_whole = plan.halt.is_none() && records.len() == read.records.len();
            let next = if is_whole { read.next } else { plan.next };
            left -= u64::try_from(plan.items.len()).unwrap_or(left).min(left);
            self.append(spec, source, records, plan.items).await?;
            self.commit(spec, partition, next).await?;
            if let (Some(halt), Some(rollout)) = (plan.halt, watched) {
                return self
                    .note(spec, Some(rollout), Change::Halted { halt })
                    .await;
            }
        }
        Ok(())
    }

    /// Appends what was planned, key by key in order, and counts it.
    async fn append(
        &mut self,
        spec: &Spec,
        source: Source<'_>,
        records: &[StoredRecord],
        items: Vec<Copied>,
    ) -> Result<(), LogError> {
        for wave in copy::waves(items) {
            let mut refused = self.append_wave(&wave).await?;
            for (item, error) in &mut refused {
                let stored = records.iter().find(|stored| stored.offset == item.of);
                let Some(stored) = stored.filter(|_| !item.is_quarantined) else {
                    return Err(error.clone());
                };
                let detail = format!("the log does not take it: {error}");
                let violation = copy::refused(spec, detail);
                *item = copy::quarantined(spec, source, stored, &violation);
            }
            let kept: Vec<Copied> = refused.into_iter().map(|(item, _)| item).collect();
            if let Some((_, error)) = self.append_wave(&kept).await?.into_iter().next() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Appends records of different keys in one call; returns those that the log will never take.
    async fn append_wave(&mut self, wave: &[Copied]) -> Result<Vec<(Copied, LogError)>, LogError> {
        if wave.is_empty() {
            return Ok(Vec::new());
        }
        let appends: Vec<Append> = wave.iter().map(|item| item.append.clone()).collect();
        let answers = timeout(CALL, self.shared.log.append(appends)).await;
        let answers = answers.map_err(|_| LogError::in_doubt("no answer in time"))?;
        let (mut refused, mut failed) = (Vec::new(), None);
        for (item, answer) in wave.iter().zip(answers) {
            match answer {
                Ok(appended) if appended.disposition == Disposition::Stored => self.count(item),
                // Appended before a crash, or by another worker.
                Ok(_) => {}
                Err(error @ LogError::Invalid(_)) => refused.push((item.clone(), error)),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(refused), Err)
    }

    fn count(&mut self, item: &Copied) {
        match item.is_quarantined {
            true => {
                self.meters.quarantined.inc();
                if let Some((_, count)) = &mut self.quarantined {
                    *count += 1;
                }
            }
            false => {
                self.meters.copied.inc();
                for rule in &item.warnings {
                    self.shared.metrics.count_warning(&self.name, rule);
                }
            }
        }
    }

    async fn commit(
        &mut self,
        spec: &Spec,
        partition: usize,
        next: Offset,
    ) -> Result<(), LogError> {
        let Some(progress) = &mut self.progress else {
            return Ok(());
        };
        let (group, topic) = (spec.group(), &progress.topic.name);
        let committed = self
            .shared
            .log
            .commit(&group, topic, to_partition(partition), next);
        answered(committed).await?;
        progress.positions[partition] = next;
        Ok(())
    }

    async fn commit_again(&mut self, spec: &Spec) -> Result<(), LogError> {
        let now_ms = self.shared.clock.now_ms();
        let Some(progress) = &mut self.progress else {
            return Ok(());
        };
        if now_ms.saturating_sub(progress.committed_ms) < COMMIT_AGAIN_MS {
            return Ok(());
        }
        progress.committed_ms = now_ms;
        let positions = progress.positions.clone();
        for (partition, position) in positions.into_iter().enumerate() {
            self.commit(spec, partition, position).await?;
        }
        Ok(())
    }

    /// Finds the source and how far it is committed, unless that is known.
    async fn locate(&mut self, spec: &Spec, name: &str) -> Result<(), LogError> {
        let is_fresh = |progress: &Progress| {
            progress.topic.name == name && progress.listed.elapsed() < LIST_AFTER
        };
        if self.progress.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        let log = &self.shared.log;
        let topics = answered(log.topics()).await?;
        if !topics.iter().any(|topic| topic.name == spec.target()) {
            match answered(log.create_topic(spec.target_spec())).await {
                Ok(_) | Err(LogError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let topic = topics.into_iter().find(|topic| topic.name == name);
        let topic = topic.ok_or_else(|| LogError::NotFound(format!("no topic `{name}`")))?;
        if let Some(progress) = &mut self.progress
            && (progress.topic.id, progress.topic.partitions) == (topic.id, topic.partitions)
        {
            progress.listed = Instant::now();
            return Ok(());
        }
        let committed = answered(log.committed(&spec.group(), name)).await?;
        let mut positions = Vec::with_capacity(committed.len());
        for (partition, committed) in (0..).zip(committed) {
            let marks = answered(log.watermarks(name, partition)).await?;
            positions.push(committed.unwrap_or(marks.log_start));
        }
        self.progress = Some(Progress {
            topic,
            positions,
            listed: Instant::now(),
            committed_ms: self.shared.clock.now_ms(),
        });
        Ok(())
    }

    async fn bounds(&self) -> Result<Vec<Watermarks>, LogError> {
        let Some(progress) = &self.progress else {
            return Ok(Vec::new());
        };
        look::watermarks(
            &*self.shared.log,
            &progress.topic.name,
            progress.positions.len(),
        )
        .await
    }

    /// Holds the positions against what is there: what retention took cannot be copied any more.
    fn marks(&mut self, bounds: &[Watermarks]) -> Vec<Mark> {
        let Some(progress) = &mut self.progress else {
            return Vec::new();
        };
        let partitions = progress.positions.iter_mut().zip(bounds).enumerate();
        partitions
            .map(|(partition, (position, bounds))| {
                let lost = bounds.log_start - *position;
                if lost > 0 {
                    tracing::error!(
                        contract = self.name,
                        partition,
                        lost,
                        "events ended before they were copied"
                    );
                }
                *position = (*position).clamp(bounds.log_start, bounds.high);
                Mark {
                    position: *position,
                    high: bounds.high,
                }
            })
            .collect()
    }

    fn lifecycle(&self, spec: &Spec) -> Option<Lifecycle> {
        spec.earlier.as_ref().map(|earlier| earlier.lifecycle)
    }

    /// Returns how many more events of the first part may be quarantined.
    async fn limits(&mut self, spec: &Spec, rollout: &Rollout) -> Result<Watched, LogError> {
        let is_known = |(watch, _): &(Watch, u64)| *watch == rollout.watch;
        let count = match self.quarantined.as_ref().filter(|known| is_known(known)) {
            Some((_, count)) => *count,
            None => {
                let count = match &self.progress {
                    Some(progress) => {
                        let (topic, positions) = (&progress.topic.name, &progress.positions);
                        let log = &*self.shared.log;
                        look::quarantined(log, &self.name, topic, positions, &rollout.watch).await?
                    }
                    None => 0,
                };
                self.quarantined = Some((rollout.watch.clone(), count));
                count
            }
        };
        let canary = spec.canary();
        let allowed = canary.map_or(0, |c| c.first * c.max_quarantined_percent / 100);
        Ok(Watched {
            quarantine_left: allowed.saturating_sub(count),
        })
    }

    fn tell(&self, status: Status, rollout: Option<&Rollout>) {
        let halted = rollout.is_some_and(|rollout| rollout.halt.is_some());
        self.meters.lag.set(status.lag);
        self.meters.halted.set(i64::from(halted));
        self.shared.status.lock().insert(self.name.clone(), status);
    }
}
