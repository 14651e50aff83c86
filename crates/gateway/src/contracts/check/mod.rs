//! Contracts that somebody wants, held against what is in force: readers first, then the events that
//! the log keeps.
//!
//! Events are read in pieces of bounded size and judged one piece after the other off the threads that
//! serve; when the caller goes, nothing more is read. A sample has a budget of records, bytes and time
//! a contract; a full check has none but time. Nothing is written.

pub(crate) mod routes;
mod sample;
mod written;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tidegate_contract::Contracts;
use tidegate_contract::diff::retained::{Judge, Tally};
use tidegate_contract::diff::{self, Change};
use tidegate_contract::load::{Diagnostics, Level, Texts};
use tidegate_event_log::{LogError, StoredRecord};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use self::sample::{Stretch, stretches};
use self::written::{Find, Writers, read};
use super::upload;
use crate::Gateway;
use crate::problem::{Fault, Kind, Problem};
use crate::registry::schema_of_id;

/// Files that were sent stand in a folder of their own, so that findings tell them from those in force.
const GIVEN: &str = "given:/";
/// What one read brings into memory.
const PIECE_BYTES: usize = 512 * 1024;
/// Of one contract's events, unless all are asked for.
const SAMPLE_BYTES: usize = 64 * 1024 * 1024;
/// So many times the time for one.
const SAMPLES_TOGETHER: u32 = 5;
/// A log of some tens of millions of events takes so long.
const FULL_TIME: Duration = Duration::from_secs(10 * 60);
/// Until the one that is under way is likely over.
const RETRY: Duration = Duration::from_secs(5);

/// Lets one check run at a time.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turn {
    fn take(&self) -> Result<Arc<OwnedSemaphorePermit>, Problem> {
        let taken = Arc::clone(&self.0).try_acquire_owned();
        taken.map(Arc::new).map_err(|_| {
            let detail = "another check of contracts is under way, and they go one at a time";
            Problem::new(Kind::Overloaded, detail).with_retry_after(RETRY)
        })
    }
}

/// How many events are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scope {
    All,
    /// So many of each contract.
    Sample(u64),
}

/// What was found.
#[derive(Debug)]
struct Checked {
    /// Contracts in the files that were sent.
    contracts: usize,
    changes: Vec<Change>,
    events: Vec<Looked>,
}

/// How many events of one contract were looked at.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EventsLookedAt)]
struct Looked {
    contract: String,
    topic: String,
    looked_at: u64,
    of: u64,
    /// Of those looked at: events that break the contract in force as well.
    broken_already: u64,
    /// What ended it before all were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_by: Option<&'static str>,
}

/// Whether there was time for all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum InTime {
    Yes,
    No,
}

impl Looked {
    fn nothing(contract: String, topic: String) -> Self {
        Self {
            contract,
            topic,
            looked_at: 0,
            of: 0,
            broken_already: 0,
            stopped_by: Some("time"),
        }
    }
}

/// What the files mean before any event is read.
struct Compared {
    contracts: usize,
    changes: Vec<Change>,
    judges: Vec<Judge>,
}

impl Gateway {
    /// Holds contracts against those in force, their readers and the events kept.
    ///
    /// # Errors
    /// `Overloaded` while another check runs, `ContractsInvalid`, `LogUnavailable`.
    async fn check_contracts(&self, given: Texts, scope: Scope) -> Result<Checked, Problem> {
        let turn = self.contract_checks.take()?;
        let in_force = self.contracts.contracts();
        let compared = run(&turn, move || compare(&in_force, &given)).await?;
        let Compared {
            contracts,
            mut changes,
            judges,
        } = compared.map_err(|found| invalid(&found))?;
        let (each, together) = match scope {
            Scope::All => (FULL_TIME, FULL_TIME),
            Scope::Sample(_) => {
                let each = self.settings.sample_time;
                (each, each * SAMPLES_TOGETHER)
            }
        };
        let end = Instant::now() + together;
        let mut events = Vec::new();
        for judge in judges {
            let deadline = end.min(Instant::now() + each);
            let looking = self.look(&turn, judge, scope, deadline);
            let looked = looking.await.map_err(|error| unreadable(&error))?;
            if let Some((looked, found)) = looked {
                events.push(looked);
                changes.extend(found);
            }
        }
        diff::sort(&mut changes);
        Ok(Checked {
            contracts,
            changes,
            events,
        })
    }

    /// Looks at the events of one contract; nothing if its topic is not there.
    async fn look(
        &self,
        turn: &Arc<OwnedSemaphorePermit>,
        judge: Judge,
        scope: Scope,
        deadline: Instant,
    ) -> Result<Option<(Looked, Vec<Change>)>, LogError> {
        // Events stand where the contract in force puts them.
        let in_force = judge.in_force().unwrap_or_else(|| judge.contract());
        let topic = in_force.topic.name.clone();
        if Instant::now() >= deadline {
            // The others took all of the time: this one is told as not looked at.
            let contract = judge.contract().name.clone();
            return Ok(Some((Looked::nothing(contract, topic), Vec::new())));
        }
        let ranges = timeout_at(deadline, self.window(&judge, &topic)).await;
        let ranges = match ranges.map_err(|_| late())? {
            Ok(ranges) => ranges,
            Err(LogError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let of: i64 = ranges.iter().map(|range| range.len()).sum();
        let of = u64::try_from(of).unwrap_or(0);
        let budget = match scope {
            Scope::All => u64::MAX,
            Scope::Sample(count) => count,
        };
        let mut looking = Looking::new(self, judge, topic.clone());
        let mut stopped_by = (of > budget).then_some("sample");
        for stretch in stretches(&ranges, budget) {
            if scope != Scope::All && looking.bytes >= SAMPLE_BYTES {
                stopped_by = Some("bytes");
                break;
            }
            let looked = self.look_at(turn, &mut looking, stretch, deadline);
            if looked.await? == InTime::No {
                stopped_by = Some("time");
                break;
            }
        }
        let of = match stopped_by {
            None => looking.tally.looked_at(),
            Some(_) => of.saturating_sub(looking.without_value),
        };
        let looked = Looked {
            contract: looking.judge.contract().name.clone(),
            topic,
            looked_at: looking.tally.looked_at(),
            of,
            broken_already: looking.tally.broken_already(),
            stopped_by,
        };
        let found = looking.judge.findings(&looking.tally, of);
        Ok(Some((looked, found)))
    }

    /// Judges the events of a stretch, as far as there is time.
    async fn look_at(
        &self,
        turn: &Arc<OwnedSemaphorePermit>,
        looking: &mut Looking,
        stretch: Stretch,
        deadline: Instant,
    ) -> Result<InTime, LogError> {
        let Stretch {
            partition,
            mut from,
            to,
        } = stretch;
        while from < to {
            // A read that is ready is never late.
            if Instant::now() >= deadline {
                return Ok(InTime::No);
            }
            let reading = self.log.read(&looking.topic, partition, from, PIECE_BYTES);
            let Ok(read) = timeout_at(deadline, reading).await else {
                return Ok(InTime::No);
            };
            let read = match read {
                Ok(read) => read,
                // What was kept a moment ago is gone.
                Err(LogError::Invalid(_)) => {
                    let marks = self.log.watermarks(&looking.topic, partition);
                    let marks = timeout_at(deadline, marks).await.map_err(|_| late())??;
                    if marks.log_start <= from {
                        break;
                    }
                    from = marks.log_start;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if read.next <= from {
                break;
            }
            from = read.next;
            let mut records = read.records;
            records.retain(|record| record.offset < to);
            let work = std::mem::replace(looking, Looking::empty(looking));
            let judged = run(turn, move || work.judge(partition, &records)).await;
            *looking = judged.map_err(|_| LogError::not_stored("a check of events failed"))?;
        }
        Ok(InTime::Yes)
    }

    /// Returns what each partition keeps of the replay window.
    async fn window(&self, judge: &Judge, topic: &str) -> Result<Vec<Stretch>, LogError> {
        let contract = judge.contract();
        let window = contract.replay_window.unwrap_or(contract.topic.retention);
        let window_ms = i64::try_from(window.as_ms()).unwrap_or(i64::MAX);
        let begins = self.clock.now_ms().saturating_sub(window_ms);
        let topics = self.log.topics().await?;
        let topic = topics.into_iter().find(|it| it.name == topic);
        let Some(topic) = topic else {
            return Err(LogError::NotFound("no such topic".to_owned()));
        };
        let mut ranges = Vec::new();
        for partition in 0..topic.partitions {
            let marks = self.log.watermarks(&topic.name, partition).await?;
            let from = self.log.offset_at(&topic.name, partition, begins).await?;
            ranges.push(Stretch {
                partition,
                from: from.unwrap_or(marks.high).max(marks.log_start),
                to: marks.high,
            });
        }
        Ok(ranges)
    }
}

/// One contract's events, so far.
struct Looking {
    judge: Arc<Judge>,
    topic: String,
    tally: Tally,
    writers: Option<Writers>,
    bytes: usize,
    without_value: u64,
}

impl Looking {
    fn new(gateway: &Gateway, judge: Judge, topic: String) -> Self {
        let table = gateway.registry.table();
        let in_force = judge.in_force().unwrap_or_else(|| judge.contract());
        let subject = in_force.schema.subject.clone();
        let find: Find = Box::new(move |id| schema_of_id(&table, id, subject.as_deref()));
        Self {
            judge: Arc::new(judge),
            topic,
            tally: Tally::default(),
            writers: Some(Writers::new(find)),
            bytes: 0,
            without_value: 0,
        }
    }

    /// Stands in while the real one is at work elsewhere.
    fn empty(of: &Self) -> Self {
        Self {
            judge: Arc::clone(&of.judge),
            topic: of.topic.clone(),
            tally: Tally::default(),
            writers: None,
            bytes: 0,
            without_value: 0,
        }
    }

    fn judge(mut self, partition: i32, records: &[StoredRecord]) -> Self {
        let judge = Arc::clone(&self.judge);
        let in_force = judge.in_force().unwrap_or_else(|| judge.contract());
        for record in records {
            self.bytes += record.record.size_bytes();
            let Some((stored, written)) = read(&in_force.schema, &self.topic, partition, record)
            else {
                self.without_value += 1;
                continue;
            };
            let writers = self.writers.as_mut();
            let writer = written.zip(writers);
            let writer = writer.and_then(|(written, writers)| writers.of(written));
            judge.judge(&mut self.tally, &stored, writer.as_deref());
        }
        self
    }
}

/// Runs something off the threads that serve. The turn is over when the work is, also when nobody waits
/// for it any more.
async fn run<T: Send + 'static>(
    turn: &Arc<OwnedSemaphorePermit>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let turn = Arc::clone(turn);
    let done = spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(|error| {
        tracing::error!(error = %error, "a check of contracts failed");
        Problem::new(Kind::Internal, "the check failed")
    })
}

fn compare(in_force: &Arc<Contracts>, given: &Texts) -> Result<Compared, Diagnostics> {
    let given = upload::load(given)?;
    // Nothing is taken away that was not named, as with an apply.
    let new = given.over(in_force);
    let judges = new
        .iter()
        .filter_map(|contract| Judge::new(in_force, &new, contract));
    Ok(Compared {
        contracts: given.len(),
        changes: diff::diff(in_force, &new),
        judges: judges.collect(),
    })
}

/// Returns the path of a file as it was sent, if it was; one in force has its own.
fn given(file: &str) -> Option<&str> {
    file.strip_prefix(GIVEN)
}

fn invalid(found: &Diagnostics) -> Problem {
    let errors = found.iter().filter(|it| it.level == Level::Error);
    let told = errors.map(|it| {
        let file = given(&it.file).unwrap_or(&it.file);
        Fault {
            pointer: format!("{file}:{}:{}", it.line, it.column),
            detail: it.message.clone(),
            rule: it.rule.map(str::to_owned),
        }
    });
    let detail = format!("`{}` findings; run `tidegate contract lint`", found.len());
    Problem::new(Kind::ContractsInvalid, detail).with_errors(told.collect())
}

fn late() -> LogError {
    LogError::not_stored("the log did not answer in time")
}

fn unreadable(error: &LogError) -> Problem {
    tracing::warn!(error = %error, "the log failed a check of contracts");
    let detail = "the events that are kept cannot be read now; check again";
    Problem::new(Kind::LogUnavailable, detail).with_retry_after(RETRY)
}
