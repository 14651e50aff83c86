//! Whatever breaks between, in whatever order: no event is lost, none is copied twice, those of a key
//! stay in order, and nothing ends before its last reader.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_event_log::{
    AlterTopic, Appended, Bounds, Claim, Disposition, Read, Topic, Watermarks,
};

use super::*;
use crate::bridges::state::{Change, Table};
use crate::ingress::record::BRIDGE_SOURCE;
use crate::kept::Fold as _;

/// The memory log behind a device that breaks at a chosen call and stays broken.
struct Breaking {
    inner: Arc<MemoryLog>,
    /// Calls left until it breaks.
    left: AtomicI64,
    /// Which appends of the call it breaks at are stored all the same, a bit each.
    stored: AtomicU64,
}

impl Breaking {
    /// Says whether the call is answered; the one it breaks at may be done in part.
    fn turn(&self) -> Result<(), bool> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            left if left > 0 => Ok(()),
            left => Err(left == 0),
        }
    }

    fn call(&self) -> Result<(), LogError> {
        self.turn().map_err(|_| LogError::in_doubt("it broke"))
    }
}

#[async_trait::async_trait]
impl Log for Breaking {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, LogError>> {
        let broken = match self.turn() {
            Ok(()) => return self.inner.append(appends).await,
            Err(now) => now,
        };
        let count = appends.len();
        if broken {
            let mask = self.stored.load(Ordering::Relaxed);
            let some = appends.into_iter().enumerate();
            let some = some.filter(|(at, _)| mask >> (at % 64) & 1 == 1);
            drop(
                self.inner
                    .append(some.map(|(_, append)| append).collect())
                    .await,
            );
        }
        vec![Err(LogError::in_doubt("it broke")); count]
    }

    async fn lookup(&self, claim: &Claim) -> Result<Option<Appended>, LogError> {
        self.call()?;
        self.inner.lookup(claim).await
    }

    async fn read(
        &self,
        topic: &str,
        partition: i32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Read, LogError> {
        self.call()?;
        // Small pieces make many steps.
        let max_bytes = max_bytes.min(400);
        self.inner.read(topic, partition, from, max_bytes).await
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
        self.call()?;
        self.inner.watermarks(topic, partition).await
    }

    async fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
    ) -> Result<Option<Offset>, LogError> {
        self.call()?;
        self.inner.offset_at(topic, partition, timestamp_ms).await
    }

    async fn topics(&self) -> Result<Vec<Topic>, LogError> {
        self.call()?;
        self.inner.topics().await
    }

    async fn bounds(&self) -> Result<Bounds, LogError> {
        self.inner.bounds().await
    }

    async fn create_topic(&self, spec: TopicSpec) -> Result<Topic, LogError> {
        self.call()?;
        self.inner.create_topic(spec).await
    }

    async fn alter_topic(&self, name: &str, alter: AlterTopic) -> Result<Topic, LogError> {
        self.inner.alter_topic(name, alter).await
    }

    async fn delete_topic(&self, name: &str) -> Result<(), LogError> {
        self.inner.delete_topic(name).await
    }

    async fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<Offset>>, LogError> {
        self.call()?;
        self.inner.committed(group, topic).await
    }

    async fn commit(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), LogError> {
        match self.turn() {
            Ok(()) => self.inner.commit(group, topic, partition, offset).await,
            Err(now) => {
                if now && self.stored.load(Ordering::Relaxed) & 1 == 1 {
                    drop(self.inner.commit(group, topic, partition, offset).await);
                }
                Err(LogError::in_doubt("it broke"))
            }
        }
    }

    async fn groups(&self) -> Result<Vec<String>, LogError> {
        self.inner.groups().await
    }
}

/// What happens, one after the other.
#[derive(Clone, Debug)]
enum Op {
    /// Events with these keys; a key above 3 cannot be copied.
    Send(Vec<u8>),
    /// One of two processes takes so many steps.
    Work {
        process: usize,
        steps: u8,
    },
    /// The device breaks after so many calls while a process works; the process starts anew.
    Crash {
        process: usize,
        after: u8,
        stored: u64,
    },
    /// A reader of the earlier events commits all of a partition, or all but the last event.
    Commit {
        reader: usize,
        partition: i32,
        whole: bool,
    },
    /// A reader commits all there is.
    CommitAll(usize),
    Retire,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => proptest::collection::vec(0u8..6, 1..12).prop_map(Op::Send),
        4 => (0usize..2, 1u8..12).prop_map(|(process, steps)| Op::Work { process, steps }),
        4 => (0usize..2, 0u8..40, any::<u64>())
            .prop_map(|(process, after, stored)| Op::Crash { process, after, stored }),
        1 => (0usize..2, 0i32..3, any::<bool>())
            .prop_map(|(reader, partition, whole)| Op::Commit { reader, partition, whole }),
        2 => (0usize..2).prop_map(Op::CommitAll),
        1 => Just(Op::Retire),
    ]
}

const GROUPS: [&str; 2] = ["g-billing", "connect-reports"];

struct Run {
    world: World,
    breaking: Arc<Breaking>,
    workers: [Option<Worker>; 2],
    active: Arc<Spec>,
    retired: Arc<Spec>,
    is_retired: bool,
    sent: usize,
}

impl Run {
    async fn new() -> Self {
        let mut world = World::new().await;
        let breaking = Arc::new(Breaking {
            inner: Arc::clone(&world.inner),
            left: AtomicI64::new(i64::MAX),
            stored: AtomicU64::new(0),
        });
        world.log = breaking.clone();
        let says = |lifecycle| Says {
            lifecycle,
            readers: true,
            ..ACTIVE
        };
        Self {
            world,
            breaking,
            workers: [None, None],
            active: spec(says("active")),
            retired: spec(says("retired")),
            is_retired: false,
            sent: 0,
        }
    }

    /// Takes a step; a process that meets an error starts anew.
    async fn step(&mut self, process: usize) -> bool {
        let spec = match self.is_retired {
            true => Arc::clone(&self.retired),
            false => Arc::clone(&self.active),
        };
        let mut worker = match self.workers[process].take() {
            Some(worker) => worker,
            None => match self.world.worker().await {
                Ok(worker) => worker,
                Err(_) => return false,
            },
        };
        let endings = self.endings().await;
        let stepped = worker.step(&spec).await;
        if self.endings().await > endings {
            self.ended_rightly().await;
        }
        let goes_on = matches!(stepped, Ok(Next::Again));
        if stepped.is_ok() {
            self.workers[process] = Some(worker);
        }
        goes_on
    }

    /// Returns how often it was decided that the bridge has ended.
    async fn endings(&self) -> usize {
        let states = self.world.records(Table::TOPIC).await;
        let ended = |(_, stored): &&(i32, StoredRecord)| {
            Change::parse(stored).is_ok_and(|(_, change)| change == Change::Ended)
        };
        states.iter().filter(ended).count()
    }

    async fn ended_rightly(&self) {
        assert!(self.is_retired, "more may come");
        let ends = self.world.ends("paid").await;
        for group in GROUPS {
            let committed = self.world.inner.committed(group, "paid").await.unwrap();
            for (at, end) in committed.iter().zip(&ends) {
                assert!(
                    at.unwrap_or(0) >= *end,
                    "{group}: {committed:?} of {ends:?}"
                );
            }
        }
    }

    async fn apply(&mut self, op: &Op) {
        match op {
            Op::Send(keys) => {
                // What is sent once it was retired comes by another door.
                for key in keys {
                    let (id, number) = (format!("e-{}", self.sent), self.sent);
                    let data = match key {
                        0..=3 => format!(r#"{{"id":"k-{key}","cents":100,"number":{number}}}"#),
                        _ => format!(r#"{{"id":"k-{key}","number":{number}}}"#),
                    };
                    self.world.send(&[(&id, &data)]).await;
                    self.sent += 1;
                }
            }
            Op::Work { process, steps } => {
                for _ in 0..*steps {
                    if !self.step(*process).await {
                        break;
                    }
                }
            }
            Op::Crash {
                process,
                after,
                stored,
            } => {
                self.breaking.stored.store(*stored, Ordering::Relaxed);
                let after = i64::from(*after);
                self.breaking.left.store(after, Ordering::Relaxed);
                while self.step(*process).await {}
                self.breaking.left.store(i64::MAX, Ordering::Relaxed);
                self.workers[*process] = None;
            }
            Op::Commit {
                reader,
                partition,
                whole,
            } => {
                let (group, log) = (GROUPS[*reader], &self.world.inner);
                let index = usize::try_from(*partition).unwrap();
                let end = self.world.ends("paid").await[index];
                let before = log.committed(group, "paid").await.unwrap()[index];
                let at = if *whole { end } else { (end - 1).max(0) };
                let at = at.max(before.unwrap_or(0));
                log.commit(group, "paid", *partition, at).await.unwrap();
            }
            Op::CommitAll(reader) => self.world.read_all(GROUPS[*reader], "paid").await,
            Op::Retire => self.is_retired = true,
        }
    }

    async fn finish(&mut self) {
        self.is_retired = true;
        for group in GROUPS {
            self.world.read_all(group, "paid").await;
        }
        for process in [0, 1] {
            while self.step(process).await {}
            let worker = self.workers[process].as_ref().unwrap();
            assert_eq!(worker.told()["state"], "ended");
            assert!(worker.rollout().ended);
        }
    }

    /// Each earlier event has one record, in the target or in quarantine; keys are in order.
    async fn account(&self) {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        let mut last_of_key: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        let copied = self.world.records("paid-2").await;
        let kept = self.world.records(quarantine::TOPIC).await;
        for (_, stored) in copied.iter().chain(&kept) {
            let place = header(stored, BRIDGE_SOURCE).unwrap().to_owned();
            *found.entry(place).or_default() += 1;
        }
        for (_, stored) in &copied {
            let place = header(stored, BRIDGE_SOURCE).unwrap();
            let offset: i64 = place.rsplit('-').next().unwrap().parse().unwrap();
            let key = stored.record.key.as_deref().unwrap().to_vec();
            let before = last_of_key.insert(key, offset);
            assert!(
                before.is_none_or(|before| before < offset),
                "{place} came late"
            );
        }
        let mut expected = BTreeMap::new();
        for (partition, stored) in self.world.records("paid").await {
            expected.insert(format!("paid-{partition}-{}", stored.offset), 1);
        }
        assert_eq!(found, expected);
        assert_eq!(found.len(), self.sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_lost_or_repeated_or_out_of_order(ops in proptest::collection::vec(op(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new().await;
            for op in &ops {
                run.apply(op).await;
            }
            run.finish().await;
            run.account().await;
        });
    }
}

/// The claims are what keeps it: the same without them is noticed.
#[tokio::test]
async fn a_repeat_is_refused_by_its_claim() {
    let mut run = Run::new().await;
    run.apply(&Op::Send(vec![0, 1, 2, 3, 4])).await;
    run.finish().await;
    let (_, source) = run.world.records("paid").await.remove(0);
    let (_, copied) = run.world.records("paid-2").await.remove(0);
    let topics = run.world.inner.topics().await.unwrap();
    let topic = topics
        .into_iter()
        .find(|topic| topic.name == "paid")
        .unwrap();
    let place = header(&copied, BRIDGE_SOURCE).unwrap();
    let (rest, offset) = place.rsplit_once('-').unwrap();
    let partition: i32 = rest.rsplit('-').next().unwrap().parse().unwrap();
    let from = crate::bridges::copy::Source {
        topic: "paid",
        topic_id: topic.id,
        partition,
    };
    let stored = StoredRecord {
        offset: offset.parse().unwrap(),
        ..source
    };
    let again = crate::bridges::copy::copy(&run.active, from, &stored);
    let appended = run.world.inner.append(vec![again.append]).await.remove(0);
    assert_eq!(appended.unwrap().disposition, Disposition::Repeated);
}
