//! Every event is sent several times, at whichever replica, at once or far apart, until each send has its receipt.
//! What is sent is released in portions, so that it is under way whenever something is killed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Dice;
use super::account::Stored;
use super::receipts::{Receipts, data};
use super::serving::{CONTRACT, EVENT_TYPE, SOURCE, TOPIC};

/// So often is every event sent.
const SENDS: usize = 5;
/// The gateway answers in 5 s whatever is slow; on a busy machine a little later. A process that is stopped never does.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A cluster of which every node was killed takes its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(50);

/// Where the replicas are, for as long as each stays there.
pub(super) type Doors = Arc<Mutex<Vec<String>>>;

/// How the answers came.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    attempts: usize,
    /// Told to come back.
    refused: usize,
    /// The connection broke, or nobody answered.
    silent: usize,
    slowest: Duration,
}

/// Senders at work.
pub(super) struct Repeats {
    events: usize,
    order: Arc<[usize]>,
    /// How many were taken by a sender, and how many may be.
    next: Arc<AtomicUsize>,
    released: watch::Sender<usize>,
    began: Instant,
    senders: Vec<JoinHandle<Counts>>,
    receipts: Arc<Mutex<Receipts>>,
}

impl Repeats {
    /// Starts the senders, which wait for the first portion.
    pub(super) fn start(
        runtime: &Runtime,
        events: usize,
        senders: usize,
        dice: &mut Dice,
        doors: &Doors,
    ) -> Self {
        let order = order(events, dice);
        let (next, released) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(0));
        let receipts = Arc::default();
        let senders = (0..senders).map(|_| {
            let client = reqwest::Client::builder().timeout(ANSWER_LIMIT);
            let sender = Sender {
                order: Arc::clone(&order),
                next: Arc::clone(&next),
                released: released.subscribe(),
                doors: Arc::clone(doors),
                dice: Dice::new(dice.next()),
                client: client.build().unwrap(),
                receipts: Arc::clone(&receipts),
                counts: Counts::default(),
            };
            runtime.spawn(sender.run())
        });
        Self {
            senders: senders.collect(),
            events,
            order,
            next,
            released,
            began: Instant::now(),
            receipts,
        }
    }

    /// Has another portion sent, of so many in all, once the one before is under way to its end.
    pub(super) fn release(&self, portions: usize) {
        let (all, limit) = (self.order.len(), Instant::now() + PATIENCE);
        while self.next.load(Ordering::Relaxed) < *self.released.borrow() {
            assert!(Instant::now() < limit, "the senders go on");
            std::thread::sleep(PAUSE);
        }
        let more = all.div_ceil(portions);
        self.released
            .send_modify(|released| *released = (*released + more).min(all));
    }

    /// Has the rest sent, and waits until every send has its answer.
    pub(super) fn settle(self, runtime: &Runtime) -> Settled {
        self.release(1);
        let mut counts = Counts::default();
        for sender in self.senders {
            let its = runtime.block_on(sender).unwrap();
            counts.attempts += its.attempts;
            counts.refused += its.refused;
            counts.silent += its.silent;
            counts.slowest = counts.slowest.max(its.slowest);
        }
        Settled {
            events: self.events,
            counts,
            took: self.began.elapsed(),
            receipts: std::mem::take(&mut self.receipts.lock().unwrap()),
        }
    }
}

/// All answers to everything that was sent.
pub(super) struct Settled {
    events: usize,
    counts: Counts,
    took: Duration,
    receipts: Receipts,
}

impl Settled {
    /// Each event is in the log once, where all its receipts say.
    pub(super) fn check(self, records: &[Stored]) {
        let Self {
            events,
            counts,
            took,
            receipts,
        } = self;
        let Counts {
            attempts,
            refused,
            silent,
            slowest,
        } = counts;
        let answered = receipts.events();
        let complaints = receipts.close(TOPIC, SENDS, records);
        eprintln!(
            "{events} events, each sent {SENDS} times, in {took:.0?}: {answered} with receipts, {} in the log; {attempts} \
             attempts, {refused} told to come back, {silent} without an answer; slowest answer {slowest:.1?}; {} complaints",
            records.len(),
            complaints.len()
        );
        let shown = &complaints[..complaints.len().min(20)];
        assert!(complaints.is_empty(), "{}: {shown:#?}", complaints.len());
        assert_eq!((answered, records.len()), (events, events));
        assert!(silent > 0, "something was killed under load");
    }
}

/// The events by number in the order in which they are sent: all sends of every other one together, the others' far apart.
fn order(events: usize, dice: &mut Dice) -> Arc<[usize]> {
    let mut sends = Vec::with_capacity(events * SENDS);
    for event in 0..events {
        let together = dice.next();
        for _ in 0..SENDS {
            let apart = dice.next();
            let when = if event % 2 == 0 { together } else { apart };
            sends.push((when, event));
        }
    }
    sends.sort_unstable();
    sends.into_iter().map(|(_, event)| event).collect()
}

struct Sender {
    order: Arc<[usize]>,
    next: Arc<AtomicUsize>,
    released: watch::Receiver<usize>,
    doors: Doors,
    dice: Dice,
    client: reqwest::Client,
    receipts: Arc<Mutex<Receipts>>,
    counts: Counts,
}

impl Sender {
    async fn run(mut self) -> Counts {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(number) = self.order.get(at).copied() else {
                return self.counts;
            };
            let released = self.released.wait_for(|released| *released > at).await;
            drop(released.expect("the rest is released in the end"));
            self.send(number).await;
        }
    }

    /// Sends an event until it is accepted, as a caller does that is told to come back.
    async fn send(&mut self, number: usize) {
        let event = format!("e-{number}");
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            self.counts.attempts += 1;
            let asked = Instant::now();
            match self.attempt(number, &event).await {
                Ok((202, body)) => {
                    self.counts.slowest = self.counts.slowest.max(asked.elapsed());
                    return self.receipts.lock().unwrap().note(&event, &body);
                }
                Ok((503 | 504, _)) => self.counts.refused += 1,
                Ok((status, body)) => {
                    let other = format!("{event}: answered {status} {body}");
                    return self.receipts.lock().unwrap().complain(other);
                }
                Err(_) => self.counts.silent += 1,
            }
            sleep(PAUSE).await;
        }
        let late = format!("{event}: no receipt in {PATIENCE:?}");
        self.receipts.lock().unwrap().complain(late);
    }

    async fn attempt(
        &mut self,
        number: usize,
        event: &str,
    ) -> Result<(u16, Value), reqwest::Error> {
        let url = {
            let doors = self.doors.lock().unwrap();
            let any = usize::try_from(self.dice.below(doors.len() as u64)).expect("it is below");
            doors[any].clone()
        };
        // An event is one by its id or by its key, whichever way its sender names it, and always the same way.
        let post = if number.is_multiple_of(3) {
            let post = self.client.post(format!("{url}/v1/events/{CONTRACT}"));
            post.header("idempotency-key", format!("\"{event}\""))
        } else {
            let post = self.client.post(format!("{url}/v1/events"));
            post.header("ce-specversion", "1.0")
                .header("ce-id", event)
                .header("ce-source", SOURCE)
                .header("ce-type", EVENT_TYPE)
        };
        let post = post.header("content-type", "application/json");
        let response = post.body(data(event)).send().await?;
        let (status, body) = (response.status().as_u16(), response.bytes().await?);
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        Ok((
            status,
            serde_json::from_slice(&body).unwrap_or_else(|_| text()),
        ))
    }
}
