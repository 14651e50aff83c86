//! All groups of this broker: finds the group, tells it the time, carries its answers to whoever
//! waits, and wakes when something is due.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::Group;
use super::types::{
    Effect, Heartbeat, Join, Joined, Leave, Limits, ListedGroup, Sync, Synced, Ticket, View,
};
use crate::env::{Clock, Random, random_id};
use crate::wire::ErrorCode;

/// Groups with members at one time.
const GROUPS_LIMIT: usize = 100_000;

/// Tells the last generation of a group that the log knows.
pub(crate) type KnownGeneration = Box<dyn Fn(&str) -> Option<i32> + Send + std::marker::Sync>;

/// The coordinator of all groups.
pub(crate) struct Coordinator {
    limits: Limits,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    known_generation: KnownGeneration,
    inner: Mutex<Inner>,
    earlier: Notify,
}

#[derive(Default)]
struct Inner {
    groups: HashMap<String, Entry>,
    /// When each group wants a tick; one entry a group at most.
    timers: BTreeSet<(u64, String)>,
    waiting: HashMap<Ticket, Reply>,
    last_ticket: Ticket,
}

struct Entry {
    group: Group,
    timer_ms: Option<u64>,
}

enum Reply {
    Join(oneshot::Sender<Joined>),
    Sync(oneshot::Sender<Synced>),
}

impl Coordinator {
    /// Starts a coordinator. Its timer ends with the last handle.
    pub(crate) fn start(
        limits: Limits,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        known_generation: KnownGeneration,
    ) -> Arc<Self> {
        let coordinator = Arc::new(Self {
            limits,
            clock,
            random,
            known_generation,
            inner: Mutex::default(),
            earlier: Notify::new(),
        });
        tokio::spawn(run_timer(Arc::downgrade(&coordinator)));
        coordinator
    }

    /// Joins a group; `join.ticket` and `join.fresh_id` are filled in here.
    ///
    /// The answer comes when the next generation is known. Dropping it leaves the member waiting.
    pub(crate) fn join(&self, name: &str, mut join: Join) -> oneshot::Receiver<Joined> {
        let (reply, answer) = oneshot::channel();
        let base = join.instance_id.as_ref().unwrap_or(&join.client_id);
        join.fresh_id = format!("{base}-{}", self.random_suffix());
        let mut inner = self.inner.lock();
        if !inner.groups.contains_key(name) {
            // An id given by an earlier process, or before the group was forgotten.
            let error = if !join.member_id.is_empty() {
                ErrorCode::UnknownMemberId
            } else if inner.groups.len() >= GROUPS_LIMIT {
                ErrorCode::CoordinatorNotAvailable
            } else {
                ErrorCode::None
            };
            if error != ErrorCode::None {
                // The receiver is in our hand: this cannot fail.
                drop(reply.send(Joined::refused(error, &join.member_id)));
                return answer;
            }
            let generation = (self.known_generation)(name).unwrap_or(0);
            let group = Group::new(self.limits, generation);
            let timer_ms = None;
            inner
                .groups
                .insert(name.to_owned(), Entry { group, timer_ms });
        }
        join.ticket = inner.ticket(Reply::Join(reply));
        self.change(inner, name, |group, now_ms, effects| {
            group.join(now_ms, join, effects);
        });
        answer
    }

    /// Asks for an assignment; `sync.ticket` is filled in here.
    pub(crate) fn sync(&self, name: &str, mut sync: Sync) -> oneshot::Receiver<Synced> {
        let (reply, answer) = oneshot::channel();
        let mut inner = self.inner.lock();
        if inner.groups.contains_key(name) {
            sync.ticket = inner.ticket(Reply::Sync(reply));
            self.change(inner, name, |group, now_ms, effects| {
                group.sync(now_ms, sync, effects);
            });
        } else {
            drop(reply.send(Synced::refused(ErrorCode::UnknownMemberId)));
        }
        answer
    }

    /// Takes a sign of life.
    pub(crate) fn heartbeat(&self, name: &str, beat: &Heartbeat) -> ErrorCode {
        let now_ms = self.now_ms();
        // It only moves deadlines back, so the timer may stay as it is.
        match self.inner.lock().groups.get_mut(name) {
            None => ErrorCode::UnknownMemberId,
            Some(entry) => entry.group.heartbeat(now_ms, beat),
        }
    }

    /// Tells if an offset commit is allowed, and in which generation it counts.
    pub(crate) fn check_commit(&self, name: &str, from: &Heartbeat) -> Result<i32, ErrorCode> {
        let now_ms = self.now_ms();
        if let Some(entry) = self.inner.lock().groups.get_mut(name) {
            return match entry.group.check_commit(now_ms, from) {
                ErrorCode::None => Ok(entry.group.generation()),
                error => Err(error),
            };
        }
        // No member to be found, so only a consumer that assigns itself may commit.
        if from.generation < 0 {
            Ok((self.known_generation)(name).unwrap_or(0))
        } else {
            Err(ErrorCode::IllegalGeneration)
        }
    }

    /// Takes members out, and tells for each what became of it.
    pub(crate) fn leave(&self, name: &str, leaves: &[Leave]) -> Vec<ErrorCode> {
        let inner = self.inner.lock();
        if !inner.groups.contains_key(name) {
            return vec![ErrorCode::UnknownMemberId; leaves.len()];
        }
        self.change(inner, name, |group, now_ms, effects| {
            let each = leaves.iter();
            each.map(|leave| group.leave(now_ms, leave, effects))
                .collect()
        })
        .unwrap_or_default()
    }

    /// Shows a group that has members.
    pub(crate) fn view(&self, name: &str) -> Option<View> {
        let inner = self.inner.lock();
        inner.groups.get(name).map(|entry| entry.group.view())
    }

    /// Lists the groups that have members.
    pub(crate) fn list(&self) -> Vec<ListedGroup> {
        let inner = self.inner.lock();
        let listed = inner.groups.iter().map(|(name, entry)| ListedGroup {
            group: name.clone(),
            protocol_type: entry.group.protocol_type().to_owned(),
            state: entry.group.state(),
        });
        listed.collect()
    }

    /// Lets a group change, then carries out what came of it.
    fn change<T>(
        &self,
        mut inner: parking_lot::MutexGuard<'_, Inner>,
        name: &str,
        change: impl FnOnce(&mut Group, u64, &mut Vec<Effect>) -> T,
    ) -> Option<T> {
        let entry = inner.groups.get_mut(name)?;
        let mut effects = Vec::new();
        let result = change(&mut entry.group, self.now_ms(), &mut effects);
        let before = entry.timer_ms;
        let after = entry.group.next_deadline_ms();
        let is_idle = entry.group.is_idle();
        entry.timer_ms = after;
        if before != after {
            if let Some(at_ms) = before {
                inner.timers.remove(&(at_ms, name.to_owned()));
            }
            if let Some(at_ms) = after {
                inner.timers.insert((at_ms, name.to_owned()));
            }
            if inner.timers.first().map(|(at_ms, _)| *at_ms) == after {
                self.earlier.notify_one();
            }
        }
        if is_idle {
            inner.groups.remove(name);
        }
        for effect in effects {
            // Whoever waited may have gone: its session will end.
            match effect {
                Effect::Joined(ticket, joined) => {
                    if let Some(Reply::Join(reply)) = inner.waiting.remove(&ticket) {
                        drop(reply.send(joined));
                    }
                }
                Effect::Synced(ticket, synced) => {
                    if let Some(Reply::Sync(reply)) = inner.waiting.remove(&ticket) {
                        drop(reply.send(synced));
                    }
                }
            }
        }
        Some(result)
    }

    /// Ticks the groups that are due and returns how long nothing else is.
    fn tick(&self) -> Option<Duration> {
        loop {
            let now_ms = self.now_ms();
            let inner = self.inner.lock();
            let (at_ms, name) = inner.timers.first()?.clone();
            if at_ms > now_ms {
                return Some(Duration::from_millis(at_ms - now_ms));
            }
            self.change(inner, &name, Group::tick);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns what makes a member id unique: a random UUID, as Kafka's are.
    fn random_suffix(&self) -> String {
        let mut id = random_id(self.random.as_ref());
        id[6] = (id[6] & 0x0f) | 0x40;
        id[8] = (id[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (at, byte) in id.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
        }
        text
    }
}

impl Inner {
    fn ticket(&mut self, reply: Reply) -> Ticket {
        self.last_ticket += 1;
        self.waiting.insert(self.last_ticket, reply);
        self.last_ticket
    }
}

impl std::fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coordinator")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// How long the timer sleeps at most, so that it notices that the coordinator is gone.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

async fn run_timer(coordinator: Weak<Coordinator>) {
    while let Some(strong) = coordinator.upgrade() {
        let idle = strong.tick().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        tokio::select! {
            () = tokio::time::sleep(idle) => {}
            () = strong.earlier.notified() => {}
        }
    }
}
