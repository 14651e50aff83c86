//! Events that are sent five times each while everything that can be killed is: each is in the log once, and every 2xx
//! has the same receipt. On three replicas over a Kafka of three nodes, and on the embedded log.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use tokio::runtime::Runtime;

use super::account::Stored;
use super::repeats::{Doors, Repeats};
use super::serving::{Place, Serving, TOPIC};
use super::{Dice, committed, reader};
use crate::nodes::{LIMIT, NODES, Nodes};

const REPLICAS: usize = 3;
const PARTITIONS: i32 = 4;
/// The group whose members are the replicas (decision 0012).
const GROUP: &str = "_tidegate.claims";
/// How long a replica may try to start while the cluster recovers.
const PATIENCE: Duration = Duration::from_secs(180);

/// What is done to replicas and nodes while events are sent.
#[derive(Clone, Copy, Debug)]
enum Act {
    KillReplica,
    KillNode,
    /// At the same time.
    KillReplicaAndNode,
    /// Stopped until others own what it owned, then let go on where it was.
    SuspendReplica,
    KillAllNodes,
}

#[test]
fn an_event_sent_five_times_is_stored_once_by_replicas_on_kafka() {
    let acts = vec![Act::KillReplica, Act::KillNode, Act::SuspendReplica];
    on_kafka(300, 24, acts);
}

#[test]
#[ignore = "ten minutes of kills: `make torture`"]
fn ten_thousand_events_sent_five_times_are_stored_once_by_replicas_on_kafka() {
    let mut acts = vec![Act::KillAllNodes];
    for (act, times) in [
        (Act::KillReplica, 8),
        (Act::KillNode, 5),
        (Act::KillReplicaAndNode, 3),
        (Act::SuspendReplica, 4),
    ] {
        acts.extend(std::iter::repeat_n(act, times));
    }
    on_kafka(10_000, 48, acts);
}

#[test]
fn an_event_sent_five_times_is_stored_once_on_the_embedded_log() {
    on_the_embedded_log(1_000, 3);
}

#[test]
#[ignore = "fifty thousand requests: `make torture`"]
fn ten_thousand_events_sent_five_times_are_stored_once_on_the_embedded_log() {
    on_the_embedded_log(10_000, 30);
}

fn on_the_embedded_log(events: usize, kills: usize) {
    let mut dice = Dice::thrown();
    let place = Place::new("");
    let runtime = Runtime::new().unwrap();
    let mut serving = place.serve();
    let doors = Doors::default();
    doors.lock().unwrap().push(serving.url.clone());
    let repeats = Repeats::start(&runtime, events, 48, &mut dice, &doors);
    for _ in 0..kills {
        repeats.release(kills);
        std::thread::sleep(Duration::from_millis(dice.below(400)));
        serving.kill_9();
        serving = place.serve();
        doors.lock().unwrap()[0] = serving.url.clone();
    }
    let settled = repeats.settle(&runtime);
    serving.kill_9();
    let serving = place.serve();
    let mut records: Vec<Stored> = Vec::new();
    runtime.block_on(async {
        let client = reader::kafka(&serving.kafka).await;
        for partition in 0..PARTITIONS {
            reader::over_kafka(&client, TOPIC, partition, |record| records.push(record)).await;
        }
    });
    settled.check(&records);
}

fn on_kafka(events: usize, senders: usize, mut acts: Vec<Act>) {
    let mut dice = Dice::thrown();
    for at in (1..acts.len()).rev() {
        acts.swap(at, dice.below(at as u64 + 1) as usize);
    }
    let nodes = Nodes::start(&[]);
    let runtime = Runtime::new().unwrap();
    let mut replicas = Replicas::start(&nodes);
    let repeats = Repeats::start(&runtime, events, senders, &mut dice, &replicas.doors);
    let began = Instant::now();
    let portions = acts.len();
    for act in acts {
        repeats.release(portions);
        std::thread::sleep(Duration::from_millis(dice.below(1_500)));
        eprintln!("{:>4} s: {act:?}", began.elapsed().as_secs());
        replicas.play(act, &mut dice);
    }
    let settled = repeats.settle(&runtime);
    // All have left, so that nothing is written any more.
    replicas.serving.into_iter().for_each(Serving::terminate);
    settled.check(&committed::read(&nodes, TOPIC));
}

struct Replicas<'a> {
    nodes: &'a Nodes,
    places: Vec<Place>,
    serving: Vec<Serving>,
    doors: Doors,
}

impl<'a> Replicas<'a> {
    fn start(nodes: &'a Nodes) -> Self {
        let places: Vec<Place> = (0..REPLICAS)
            .map(|_| Place::over(&nodes.bootstrap))
            .collect();
        let serving: Vec<Serving> = places
            .iter()
            .map(|place| place.serve_at_last(PATIENCE))
            .collect();
        let doors = Doors::default();
        let urls = serving.iter().map(|serving| serving.url.clone());
        doors.lock().unwrap().extend(urls);
        Self {
            nodes,
            places,
            serving,
            doors,
        }
    }

    /// Does it, and returns when everything runs again.
    fn play(&mut self, act: Act, dice: &mut Dice) {
        let replica = dice.below(REPLICAS as u64) as usize;
        let node = 1 + dice.below(NODES as u64) as i32;
        // A node that is missed for 9 s is no leader any more; sometimes it is back before.
        let missed = Duration::from_millis(dice.below(15_000));
        match act {
            Act::KillReplica => {
                self.kill(replica);
                self.restart(replica);
            }
            Act::KillNode => {
                self.nodes.kill(&[node]);
                std::thread::sleep(missed);
                self.nodes.restart(&[node]);
            }
            Act::KillReplicaAndNode => {
                self.nodes.kill(&[node]);
                self.kill(replica);
                std::thread::sleep(missed);
                std::thread::scope(|scope| {
                    let nodes = self.nodes;
                    scope.spawn(move || nodes.restart(&[node]));
                    self.restart(replica);
                });
            }
            Act::SuspendReplica => {
                self.serving[replica].suspend();
                self.until_members(REPLICAS - 1);
                std::thread::sleep(missed / 4);
                self.serving[replica].resume();
                self.until_members(REPLICAS);
            }
            Act::KillAllNodes => {
                let all: Vec<i32> = (1..=NODES).collect();
                self.nodes.kill(&all);
                std::thread::sleep(missed);
                self.nodes.restart(&all);
            }
        }
    }

    /// Waits until so many replicas have divided the claims among them.
    fn until_members(&self, members: usize) {
        self.nodes.until("the claims are divided", |client| {
            let found = client.fetch_group_list(Some(GROUP), LIMIT)?;
            let mut found = found.groups().iter();
            Ok(found.any(|group| group.state() == "Stable" && group.members().len() == members))
        });
    }

    fn kill(&mut self, replica: usize) {
        self.serving.remove(replica).kill_9();
    }

    fn restart(&mut self, replica: usize) {
        let serving = self.places[replica].serve_at_last(PATIENCE);
        self.doors.lock().unwrap()[replica] = serving.url.clone();
        self.serving.insert(replica, serving);
    }
}
