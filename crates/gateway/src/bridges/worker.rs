//! The hands of one bridge: reads what `decide.rs` has to know, does what it says, commits, and waits
//! for the next event. Everything that must outlive the process is in the log before it counts.
//!
//! Any number of workers may be at one bridge, here and in other processes: claims keep each record
//! one, and a position committed too low only means asking again.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, select_all};
use tidegate_contract::Reader;
use tidegate_contract::model::Lifecycle;
use tidegate_event_log::{
    Append, Disposition, Log, LogError, Offset, StoredRecord, Topic, Watermarks,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::copy::{self, Copied, Source, Watched};
use super::decide::{self, CanaryFacts, Facts, Mark, Step, Wait};
use super::spec::{InForce, Spec};
use super::state::{At, Change, FirstPart, Rollout, Table, Watch};
use super::status::Status;
use crate::ingress::quarantine;
use crate::ingress::record::{self, header};
use crate::metrics::BridgeMeters;

/// How often groups are asked where they are; the log does not tell by itself.
pub(crate) const POLL: Duration = Duration::from_millis(500);
/// How long a wait for events lasts before contracts and topics are looked at again.
const IDLE: Duration = Duration::from_secs(5);
/// A batch is bounded in bytes and records; so is what a crash repeats.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_RECORDS: usize = 500;
/// A log that does not answer for so long is taken to be unavailable.
const CALL: Duration = Duration::from_secs(30);
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
            let mut changed = pin!(shared.store.changed());
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
        let table = self.shared.store.table();
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
            Some(rollout) if spec.canary().is_some() => self.canaries(spec, rollout).await?,
            _ => Vec::new(),
        };
        let at_end = marks.iter().all(|mark| mark.unread() == 0);
        let (newest_ms, readers_behind) = match (at_end, self.lifecycle(spec)) {
            (true, None | Some(Lifecycle::Deprecated | Lifecycle::Retired)) => (
                self.newest_ms(&bounds).await?,
                self.behind(&spec.readers, &bounds).await?,
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
        let status = Status::of(spec, &topic, rollout, &marks, &step);
        self.tell(status, rollout);
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
            Ok::<_, std::convert::Infallible>((now == seen).then(|| change.clone()))
        };
        let Ok(()) = answered(self.shared.store.change(&self.name, decide)).await?;
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
        watermarks(
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

    /// Returns when the last of the earlier events came.
    async fn newest_ms(&self, bounds: &[Watermarks]) -> Result<Option<i64>, LogError> {
        let Some(progress) = &self.progress else {
            return Ok(None);
        };
        let mut newest = None;
        for (partition, bounds) in (0..).zip(bounds) {
            if bounds.high > bounds.log_start {
                let last = bounds.high - 1;
                let found = read_one(&*self.shared.log, &progress.topic.name, partition, last);
                newest = newest.max(found.await?.map(|stored| stored.timestamp_ms));
            }
        }
        Ok(newest)
    }

    /// Returns the readers that have not committed the end of the source.
    async fn behind(
        &self,
        readers: &[Arc<Reader>],
        bounds: &[Watermarks],
    ) -> Result<Vec<String>, LogError> {
        let Some(progress) = &self.progress else {
            return Ok(Vec::new());
        };
        let mut behind = Vec::new();
        for reader in readers {
            let group = reader.via.group();
            let committed = self.shared.log.committed(&group, &progress.topic.name);
            let committed = answered(committed).await?;
            let has_unread = bounds.iter().enumerate().any(|(partition, bounds)| {
                let at = committed.get(partition).copied().flatten();
                at.unwrap_or(bounds.log_start).max(bounds.log_start) < bounds.high
            });
            if has_unread {
                behind.push(reader.name.clone());
            }
        }
        Ok(behind)
    }

    /// Asks the log about each canary.
    async fn canaries(&self, spec: &Spec, rollout: &Rollout) -> Result<Vec<CanaryFacts>, LogError> {
        let log = &*self.shared.log;
        let partitions = partitions(log, spec.target()).await?;
        let bounds = watermarks(log, spec.target(), partitions).await?;
        let asked = spec.canaries.iter().map(async |canary| {
            let group = canary.via.group();
            let committed = log.committed(&group, spec.target());
            let committed = answered(committed).await?;
            let unread_from = |partition: usize| {
                let begin = rollout.watch.target_ends.get(partition).copied();
                let at = committed.get(partition).copied().flatten().or(begin);
                at.unwrap_or(0).max(bounds[partition].log_start)
            };
            let mut oldest_unread: Option<(At, i64)> = None;
            if canary.max_lag.is_some() {
                for (partition, bounds) in bounds.iter().enumerate() {
                    let from = unread_from(partition);
                    if from >= bounds.high {
                        continue;
                    }
                    let number = to_partition(partition);
                    let Some(stored) = read_one(log, spec.target(), number, from).await? else {
                        continue;
                    };
                    // It is not blamed for what it did before it was watched.
                    let since_ms = stored.timestamp_ms.max(rollout.watch.since_ms);
                    if oldest_unread.as_ref().is_none_or(|(_, ms)| since_ms < *ms) {
                        let at = At {
                            topic: spec.target().to_owned(),
                            partition: number,
                            offset: stored.offset,
                        };
                        oldest_unread = Some((at, since_ms));
                    }
                }
            }
            let ends = rollout.first_part.as_ref().map(|part| &part.target_ends);
            let ends = ends.into_iter().flatten().enumerate();
            let mut to_read = ends.filter(|(partition, end)| {
                let begin = rollout.watch.target_ends.get(*partition).copied();
                let log_start = bounds.get(*partition).map_or(0, |b| b.log_start);
                **end > log_start.max(begin.unwrap_or(0))
            });
            let has_read = to_read.all(|(partition, end)| {
                let at = committed.get(partition).copied().flatten();
                at.is_some_and(|at| at >= *end)
            });
            Ok(CanaryFacts {
                name: canary.name.clone(),
                dead_letter: first_dead_letter(log, canary, &rollout.watch).await?,
                has_read,
                oldest_unread,
                max_lag_ms: canary
                    .max_lag
                    .map(|lag| i64::try_from(lag.as_ms()).unwrap_or(i64::MAX)),
            })
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Returns how many more events of the first part may be quarantined.
    async fn limits(&mut self, spec: &Spec, rollout: &Rollout) -> Result<Watched, LogError> {
        let is_known = |(watch, _): &(Watch, u64)| *watch == rollout.watch;
        let count = match self.quarantined.as_ref().filter(|known| is_known(known)) {
            Some((_, count)) => *count,
            None => {
                let count = self.count_quarantined(&rollout.watch).await?;
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

    /// Counts what this bridge put into quarantine since a watch began, up to the positions: what is
    /// beyond them is met again.
    async fn count_quarantined(&self, watch: &Watch) -> Result<u64, LogError> {
        let Some(progress) = &self.progress else {
            return Ok(0);
        };
        let is_ours = |stored: &StoredRecord| {
            let place = header(stored, record::BRIDGE_SOURCE)?;
            let mut parts = place.rsplitn(3, '-');
            let offset: Offset = parts.next()?.parse().ok()?;
            let partition: usize = parts.next()?.parse().ok()?;
            let is_ours = header(stored, record::CONTRACT) == Some(&self.name)
                && parts.next() == Some(&progress.topic.name)
                && offset < *progress.positions.get(partition)?;
            is_ours.then_some(())
        };
        let log = &self.shared.log;
        let (mut at, mut count) = (watch.quarantine_end, 0);
        loop {
            let read = answered(log.read(quarantine::TOPIC, 0, at, BATCH_BYTES)).await?;
            let ours = read.records.iter().filter_map(is_ours).count();
            count += u64::try_from(ours).unwrap_or(u64::MAX);
            at = read.next;
            if at >= read.high_watermark {
                return Ok(count);
            }
        }
    }

    fn tell(&self, status: Status, rollout: Option<&Rollout>) {
        let halted = rollout.is_some_and(|rollout| rollout.halt.is_some());
        self.meters.lag.set(status.lag);
        self.meters.halted.set(i64::from(halted));
        self.shared.status.lock().insert(self.name.clone(), status);
    }
}

/// Takes down where everything stands that a rollout is judged by.
pub(crate) async fn watch_from_now(shared: &Shared, spec: &Spec) -> Result<Watch, LogError> {
    let log = &*shared.log;
    let mut dead_letters = BTreeMap::new();
    for canary in &spec.canaries {
        if let Some(dead) = &canary.dead_letter {
            let ends = match ends(log, &dead.topic).await {
                // Made with its first record, perhaps.
                Err(LogError::NotFound(_)) => Vec::new(),
                ends => ends?,
            };
            dead_letters.insert(canary.name.clone(), ends);
        }
    }
    Ok(Watch {
        since_ms: shared.clock.now_ms(),
        dead_letters,
        target_ends: ends(log, spec.target()).await?,
        quarantine_end: answered(log.watermarks(quarantine::TOPIC, 0)).await?.high,
    })
}

async fn first_dead_letter(
    log: &dyn Log,
    canary: &Reader,
    watch: &Watch,
) -> Result<Option<At>, LogError> {
    let Some(dead) = &canary.dead_letter else {
        return Ok(None);
    };
    let known = watch.dead_letters.get(&canary.name);
    let ends = match ends(log, &dead.topic).await {
        Err(LogError::NotFound(_)) => return Ok(None),
        ends => ends?,
    };
    for (partition, end) in ends.into_iter().enumerate() {
        let number = to_partition(partition);
        let before = match known {
            Some(known) => known.get(partition).copied().unwrap_or(0),
            // It became a canary since: what was there before does not count.
            None => {
                let since = log.offset_at(&dead.topic, number, watch.since_ms);
                answered(since).await?.unwrap_or(end)
            }
        };
        if end > before {
            return Ok(Some(At {
                topic: dead.topic.clone(),
                partition: number,
                offset: before,
            }));
        }
    }
    Ok(None)
}

async fn partitions(log: &dyn Log, topic: &str) -> Result<usize, LogError> {
    let topics = answered(log.topics()).await?;
    let found = topics.into_iter().find(|found| found.name == topic);
    let found = found.ok_or_else(|| LogError::NotFound(format!("no topic `{topic}`")))?;
    Ok(usize::try_from(found.partitions).unwrap_or(0))
}

async fn watermarks(
    log: &dyn Log,
    topic: &str,
    partitions: usize,
) -> Result<Vec<Watermarks>, LogError> {
    let asked = (0..partitions).map(|p| answered(log.watermarks(topic, to_partition(p))));
    join_all(asked).await.into_iter().collect()
}

/// Returns the high watermarks of a topic.
async fn ends(log: &dyn Log, topic: &str) -> Result<Vec<Offset>, LogError> {
    let partitions = partitions(log, topic).await?;
    let marks = watermarks(log, topic, partitions).await?;
    Ok(marks.into_iter().map(|marks| marks.high).collect())
}

async fn read_one(
    log: &dyn Log,
    topic: &str,
    partition: i32,
    at: Offset,
) -> Result<Option<StoredRecord>, LogError> {
    let read = answered(log.read(topic, partition, at, 0)).await?;
    Ok(read.records.into_iter().next())
}

/// Waits for the log, but not for ever.
async fn answered<T>(call: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
    match timeout(CALL, call).await {
        Ok(answer) => answer,
        Err(_) => Err(LogError::in_doubt("the log did not answer in time")),
    }
}

fn to_partition(index: usize) -> i32 {
    i32::try_from(index).expect("a log has fewer partitions than an i32 counts")
}
