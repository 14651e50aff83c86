//! Canaries try out the first part; a failing one halts the rollout by itself.

use super::*;
use crate::bridges::look::watch_from_now;
use crate::bridges::state::Change;

const CANARY: Says = Says {
    canary: "canary: {first: 5, for: 10m}",
    readers: true,
    ..ACTIVE
};

async fn send(world: &World, from: usize, count: usize) {
    for number in from..from + count {
        let data = format!(r#"{{"id": "k-{}", "cents": 100}}"#, number % 4);
        world.send(&[(&format!("e-{number}"), &data)]).await;
    }
}

/// Says to go on, as the HTTP door does.
async fn resume(worker: &Worker, spec: &Spec, in_full: bool) {
    let watch = watch_from_now(worker.shared(), spec).await.unwrap();
    let states = &worker.shared().states;
    let change = |_: &_| {
        let watch = watch.clone();
        Ok::<_, ()>(Some(Change::Resumed { in_full, watch }.record("paid-2")))
    };
    states.change(change).await.unwrap().unwrap();
}

async fn dead_letters(world: &World) -> impl AsyncFn(&str) {
    let topic = TopicSpec {
        name: "scout.dead".to_owned(),
        partitions: Some(1),
        config: TopicConfig::new(),
    };
    world.inner.create_topic(topic).await.unwrap();
    let log = Arc::clone(&world.inner);
    async move |value: &str| {
        let append = Append {
            topic: "scout.dead".into(),
            partition: Some(0),
            record: Record {
                value: Some(value.to_owned().into()),
                ..Record::default()
            },
            claim: None,
        };
        log.append(vec![append]).await.remove(0).unwrap();
    }
}

#[tokio::test]
async fn the_rest_follows_when_the_canary_has_read_the_first_part_well() {
    let world = World::new().await;
    send(&world, 0, 20).await;
    let spec = spec(CANARY);
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec).await;
    assert_eq!(world.records("paid-2").await.len(), 5);
    assert_eq!(worker.told()["state"], "waits-for-canaries");
    assert_eq!(worker.told()["waits_for"], serde_json::json!(["scout"]));
    // A restart repeats nothing and still waits.
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec).await;
    assert_eq!(world.records("paid-2").await.len(), 5);
    world.read_all("g-scout", "paid-2").await;
    world.settle(&mut worker, &spec).await;
    assert_eq!(worker.told()["state"], "watches-canaries");
    world.clock.advance(Duration::from_mins(10));
    world.settle(&mut worker, &spec).await;
    assert_eq!(world.records("paid-2").await.len(), 20);
    assert_eq!(worker.told()["state"], "up-to-date");
    assert_eq!(worker.told()["dealt_with"], 20);
}

#[tokio::test]
async fn a_dead_letter_halts_it_until_somebody_says_so() {
    let world = World::new().await;
    let dead_letter = dead_letters(&world).await;
    // What was there before does not count.
    dead_letter("of last year").await;
    send(&world, 0, 20).await;
    let spec = spec(CANARY);
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec).await;
    assert_eq!(worker.told()["state"], "waits-for-canaries");
    dead_letter("cannot be read").await;
    world.read_all("g-scout", "paid-2").await;
    world.clock.advance(Duration::from_mins(60));
    world.settle(&mut worker, &spec).await;
    let told = worker.told();
    assert_eq!(told["state"], "halted");
    let expected = serde_json::json!({
        "cause": "dead-letters",
        "detail": "canary `scout` put events into its dead letters",
        "reader": "scout",
        "first": {"topic": "scout.dead", "partition": 0, "offset": 1},
    });
    assert_eq!(told["halt"], expected);
    // Over a restart too, and whatever time passes.
    let mut worker = world.worker().await.unwrap();
    world.clock.advance(Duration::from_hours(50));
    world.settle(&mut worker, &spec).await;
    assert_eq!(worker.told()["state"], "halted");
    assert_eq!(world.records("paid-2").await.len(), 5);
    resume(&worker, &spec, false).await;
    world.settle(&mut worker, &spec).await;
    // It is watched anew, from now on.
    assert_eq!(worker.told()["state"], "watches-canaries");
    world.clock.advance(Duration::from_mins(10));
    world.settle(&mut worker, &spec).await;
    assert_eq!(world.records("paid-2").await.len(), 20);
}

#[tokio::test]
async fn a_canary_that_falls_behind_halts_it() {
    let world = World::new().await;
    send(&world, 0, 20).await;
    let spec = spec(CANARY);
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec).await;
    world.clock.advance(Duration::from_mins(5));
    world.settle(&mut worker, &spec).await;
    assert_eq!(worker.told()["state"], "waits-for-canaries");
    world.clock.advance(Duration::from_millis(1));
    world.settle(&mut worker, &spec).await;
    let halt = worker.rollout().halt.unwrap();
    assert_eq!(serde_json::to_value(halt.cause).unwrap(), "lag");
    assert_eq!(halt.first.topic, "paid-2");
    // Told to go on without it.
    resume(&worker, &spec, true).await;
    world.settle(&mut worker, &spec).await;
    assert_eq!(world.records("paid-2").await.len(), 20);
}

#[tokio::test]
async fn an_event_that_a_canary_cannot_read_halts_it_before_it_is_copied() {
    let world = World::new().await;
    let large = r#"{"id": "k-0", "cents": 100000}"#;
    world.send(&[("large", large)]).await;
    let says = CANARY;
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec(says)).await;
    let halt = worker.rollout().halt.unwrap();
    assert_eq!(serde_json::to_value(halt.cause).unwrap(), "requirement");
    assert_eq!((halt.first.topic.as_str(), halt.first.offset), ("paid", 0));
    assert_eq!(world.records("paid-2").await.len(), 0);
    // A map that was mended makes another event of it.
    let mended = spec(Says {
        map: "message.cents / 1000",
        ..says
    });
    resume(&worker, &mended, false).await;
    world.settle(&mut worker, &mended).await;
    assert_eq!(world.ids("paid-2").await, ["large~paid-2"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_copied_halts_it_and_waits_for_a_better_map() {
    let world = World::new().await;
    world.send(&[("bad", r#"{"id": "k-0"}"#)]).await;
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec(CANARY)).await;
    let halt = worker.rollout().halt.unwrap();
    assert_eq!(serde_json::to_value(halt.cause).unwrap(), "quarantine");
    assert_eq!(world.records(quarantine::TOPIC).await.len(), 0);
    let mended = spec(Says { map: "0", ..CANARY });
    resume(&worker, &mended, false).await;
    world.settle(&mut worker, &mended).await;
    assert_eq!(world.ids("paid-2").await, ["bad~paid-2"]);
}

#[tokio::test]
async fn so_many_as_may_break_the_contract_are_quarantined_over_restarts_too() {
    let world = World::new().await;
    let lenient = spec(Says {
        canary: "canary: {first: 10, maxQuarantined: 20}",
        ..CANARY
    });
    let mut worker = world.worker().await.unwrap();
    for number in 0..2 {
        world.send(&[("bad", r#"{"id": "k-0"}"#)]).await;
        world.settle(&mut worker, &lenient).await;
        assert!(worker.rollout().halt.is_none(), "{number}");
        worker = world.worker().await.unwrap();
    }
    assert_eq!(world.records(quarantine::TOPIC).await.len(), 2);
    world.send(&[("bad", r#"{"id": "k-0"}"#)]).await;
    world.settle(&mut worker, &lenient).await;
    assert!(worker.rollout().halt.is_some());
    assert_eq!(world.records(quarantine::TOPIC).await.len(), 2);
}

#[tokio::test]
async fn an_aborted_rollout_copies_nothing_until_it_is_resumed() {
    let world = World::new().await;
    send(&world, 0, 3).await;
    let spec = spec(ACTIVE);
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec).await;
    let states = &worker.shared().states;
    let abort = |_: &_| Ok::<_, ()>(Some(Change::Aborted.record("paid-2")));
    states.change(abort).await.unwrap().unwrap();
    send(&world, 3, 3).await;
    world.settle(&mut worker, &spec).await;
    assert_eq!(world.records("paid-2").await.len(), 3);
    assert_eq!(
        (
            worker.told()["state"].as_str(),
            worker.told()["lag"].as_i64()
        ),
        (Some("aborted"), Some(3))
    );
    resume(&worker, &spec, false).await;
    world.settle(&mut worker, &spec).await;
    assert_eq!(world.records("paid-2").await.len(), 6);
}
