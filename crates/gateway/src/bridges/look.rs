//! What a bridge has to know of the log before it decides: how far readers are, what canaries did
//! since they are watched, what is in quarantine. Asks only; the log's failures go up.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tidegate_contract::Reader;
use tidegate_event_log::{Log, LogError, Offset, StoredRecord, Watermarks};
use tokio::time::timeout;

use super::Shared;
use super::decide::CanaryFacts;
use super::spec::Spec;
use super::state::{At, Rollout, Watch};
use crate::ingress::quarantine;
use crate::ingress::record::{self, header};
use crate::state::read_last;

/// A log that does not answer for so long is taken to be unavailable.
pub(super) const CALL: Duration = Duration::from_secs(30);
/// How much of the quarantine is read at a time.
const READ_BYTES: usize = 512 * 1024;

/// Returns when the last event of a topic came.
pub(super) async fn newest_ms(
    log: &dyn Log,
    topic: &str,
    bounds: &[Watermarks],
) -> Result<Option<i64>, LogError> {
    let mut newest = None;
    for (partition, bounds) in (0..).zip(bounds) {
        if bounds.high > bounds.log_start {
            let found = answered(read_last(log, topic, partition, *bounds)).await?;
            newest = newest.max(found.map(|stored| stored.timestamp_ms));
        }
    }
    Ok(newest)
}

/// Returns the readers that have not committed the end of a topic.
pub(super) async fn behind(
    log: &dyn Log,
    topic: &str,
    readers: &[Arc<Reader>],
    bounds: &[Watermarks],
) -> Result<Vec<String>, LogError> {
    let mut behind = Vec::new();
    for reader in readers {
        let group = reader.via.group();
        let committed = answered(log.committed(&group, topic)).await?;
        for (partition, bounds) in bounds.iter().enumerate() {
            let at = committed.get(partition).copied().flatten();
            let from = at.unwrap_or(bounds.log_start).max(bounds.log_start);
            if !is_passed(log, topic, to_partition(partition), from, bounds.high).await? {
                behind.push(reader.name.clone());
                break;
            }
        }
    }
    Ok(behind)
}

/// Asks the log about each canary.
pub(super) async fn canaries(
    log: &dyn Log,
    spec: &Spec,
    rollout: &Rollout,
) -> Result<Vec<CanaryFacts>, LogError> {
    let partitions = partitions(log, spec.target()).await?;
    let bounds = watermarks(log, spec.target(), partitions).await?;
    let asked = spec.canaries.iter().map(async |canary| {
        let group = canary.via.group();
        let committed = answered(log.committed(&group, spec.target())).await?;
        let lag_counts = canary.max_lag.is_some();
        Ok(CanaryFacts {
            name: canary.name.clone(),
            dead_letter: first_dead_letter(log, canary, &rollout.watch).await?,
            has_read: has_read(log, spec, rollout, &bounds, &committed).await?,
            oldest_unread: match lag_counts {
                true => oldest_unread(log, spec, rollout, &bounds, &committed).await?,
                false => None,
            },
            max_lag_ms: canary
                .max_lag
                .map(|lag| i64::try_from(lag.as_ms()).unwrap_or(i64::MAX)),
        })
    });
    join_all(asked).await.into_iter().collect()
}

/// Says whether a group has committed past the first part, wherever some of it is.
async fn has_read(
    log: &dyn Log,
    spec: &Spec,
    rollout: &Rollout,
    bounds: &[Watermarks],
    committed: &[Option<Offset>],
) -> Result<bool, LogError> {
    let ends = rollout.first_part.as_ref().map(|part| &part.target_ends);
    for (partition, end) in ends.into_iter().flatten().enumerate() {
        let begin = rollout.watch.target_ends.get(partition).copied();
        let log_start = bounds.get(partition).map_or(0, |bounds| bounds.log_start);
        if *end <= log_start.max(begin.unwrap_or(0)) {
            continue;
        }
        let Some(at) = committed.get(partition).copied().flatten() else {
            return Ok(false);
        };
        let from = at.max(log_start);
        if !is_passed(log, spec.target(), to_partition(partition), from, *end).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Says whether no event is left from an offset up to another. Offsets alone do not say it: on a cluster
/// the end of a transaction has one, which no group need commit.
async fn is_passed(
    log: &dyn Log,
    topic: &str,
    partition: i32,
    from: Offset,
    end: Offset,
) -> Result<bool, LogError> {
    if from >= end {
        return Ok(true);
    }
    let next = read_one(log, topic, partition, from).await?;
    Ok(next.is_none_or(|stored| stored.offset >= end))
}

/// Finds the event that a group has left unread longest, and since when that counts.
async fn oldest_unread(
    log: &dyn Log,
    spec: &Spec,
    rollout: &Rollout,
    bounds: &[Watermarks],
    committed: &[Option<Offset>],
) -> Result<Option<(At, i64)>, LogError> {
    let mut oldest: Option<(At, i64)> = None;
    for (partition, bounds) in bounds.iter().enumerate() {
        let begin = rollout.watch.target_ends.get(partition).copied();
        let at = committed.get(partition).copied().flatten().or(begin);
        let from = at.unwrap_or(0).max(bounds.log_start);
        if from >= bounds.high {
            continue;
        }
        let number = to_partition(partition);
        let Some(stored) = read_one(log, spec.target(), number, from).await? else {
            continue;
        };
        // It is not blamed for what it did before it was watched.
        let since_ms = stored.timestamp_ms.max(rollout.watch.since_ms);
        if oldest.as_ref().is_none_or(|(_, ms)| since_ms < *ms) {
            let at = At {
                topic: spec.target().to_owned(),
                partition: number,
                offset: stored.offset,
            };
            oldest = Some((at, since_ms));
        }
    }
    Ok(oldest)
}

/// Counts what a contract's bridge from `source` put into quarantine since a watch began, up to its
/// positions: what is beyond them is met again.
pub(super) async fn quarantined(
    log: &dyn Log,
    contract: &str,
    source: &str,
    positions: &[Offset],
    watch: &Watch,
) -> Result<u64, LogError> {
    let is_ours = |stored: &StoredRecord| {
        let place = header(stored, record::BRIDGE_SOURCE)?;
        let mut parts = place.rsplitn(3, '-');
        let offset: Offset = parts.next()?.parse().ok()?;
        let partition: usize = parts.next()?.parse().ok()?;
        let is_ours = header(stored, record::CONTRACT) == Some(contract)
            && parts.next() == Some(source)
            && offset < *positions.get(partition)?;
        is_ours.then_some(())
    };
    let (mut at, mut count) = (watch.quarantine_end, 0);
    loop {
        let read = answered(log.read(quarantine::TOPIC, 0, at, READ_BYTES)).await?;
        let ours = read.records.iter().filter_map(is_ours).count();
        count += u64::try_from(ours).unwrap_or(u64::MAX);
        at = read.next;
        if at >= read.high_watermark {
            return Ok(count);
        }
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

pub(super) async fn watermarks(
    log: &dyn Log,
    topic: &str,
    partitions: usize,
) -> Result<Vec<Watermarks>, LogError> {
    let asked = (0..partitions).map(|p| answered(log.watermarks(topic, to_partition(p))));
    join_all(asked).await.into_iter().collect()
}

/// Returns the high watermarks of a topic.
pub(super) async fn ends(log: &dyn Log, topic: &str) -> Result<Vec<Offset>, LogError> {
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
pub(super) async fn answered<T>(
    call: impl Future<Output = Result<T, LogError>>,
) -> Result<T, LogError> {
    match timeout(CALL, call).await {
        Ok(answer) => answer,
        Err(_) => Err(LogError::in_doubt("the log did not answer in time")),
    }
}

pub(super) fn to_partition(index: usize) -> i32 {
    i32::try_from(index).expect("a log has fewer partitions than an i32 counts")
}
