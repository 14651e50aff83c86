//! A bridge stops at the last reader's commit, and not before.

use super::*;

const EVENTS: [(&str, &str); 4] = [
    ("e-1", r#"{"id": "a", "cents": 100}"#),
    ("e-2", r#"{"id": "b", "cents": 200}"#),
    ("e-3", r#"{"id": "c", "cents": 300}"#),
    ("e-4", r#"{"id": "d", "cents": 400}"#),
];

#[tokio::test]
async fn it_stops_at_the_last_readers_commit() {
    let world = World::new().await;
    world.send(&EVENTS).await;
    let mut worker = world.worker().await.unwrap();
    let says = |lifecycle| Says {
        lifecycle,
        readers: true,
        ..ACTIVE
    };
    let (active, retired) = (spec(says("active")), spec(says("retired")));
    world.read_all("g-billing", "paid").await;
    world.read_all("connect-reports", "paid").await;
    // Everybody has read all, and more may come.
    world.settle(&mut worker, &active).await;
    assert_eq!(worker.told()["state"], "up-to-date");
    world.send(&EVENTS[..2]).await;
    world.settle(&mut worker, &retired).await;
    let waits = worker.told();
    assert_eq!(waits["state"], "waits-for-readers");
    assert_eq!(
        waits["waits_for"],
        serde_json::json!(["billing", "reports"])
    );
    world.read_all("g-billing", "paid").await;
    world.settle(&mut worker, &retired).await;
    assert_eq!(worker.told()["waits_for"], serde_json::json!(["reports"]));
    // All partitions but one event.
    let ends = world.ends("paid").await;
    let last = ends.iter().rposition(|end| *end > 0).unwrap();
    for (partition, end) in ends.iter().enumerate() {
        let (number, at) = (i32::try_from(partition).unwrap(), *end);
        let at = if partition == last { at - 1 } else { at };
        let committed = world.inner.commit("connect-reports", "paid", number, at);
        committed.await.unwrap();
    }
    world.settle(&mut worker, &retired).await;
    assert_eq!(worker.told()["state"], "waits-for-readers");
    assert!(!worker.rollout().ended);
    world.read_all("connect-reports", "paid").await;
    world.settle(&mut worker, &retired).await;
    assert_eq!(worker.told()["state"], "ended");
    // A restart knows it; what comes after all is copied after all.
    let mut worker = world.worker().await.unwrap();
    assert!(worker.rollout().ended);
    world.send(&EVENTS[2..3]).await;
    world.settle(&mut worker, &retired).await;
    assert_eq!(world.records("paid-2").await.len(), 7);
    assert_eq!(worker.told()["state"], "waits-for-readers");
}

#[tokio::test]
async fn a_reader_that_is_gone_or_moved_holds_nothing_up() {
    let world = World::new().await;
    world.send(&EVENTS).await;
    let mut worker = world.worker().await.unwrap();
    let with_readers = Says {
        lifecycle: "retired",
        readers: true,
        ..ACTIVE
    };
    world.settle(&mut worker, &spec(with_readers)).await;
    assert_eq!(worker.told()["state"], "waits-for-readers");
    let without = Says {
        readers: false,
        ..with_readers
    };
    world.settle(&mut worker, &spec(without)).await;
    assert_eq!(worker.told()["state"], "ended");
}

#[tokio::test]
async fn a_deprecated_type_ends_when_it_is_quiet() {
    let world = World::new().await;
    world.send(&EVENTS).await;
    let mut worker = world.worker().await.unwrap();
    let deprecated = spec(Says {
        lifecycle: "deprecated",
        ..ACTIVE
    });
    world.settle(&mut worker, &deprecated).await;
    assert_eq!(worker.told()["state"], "up-to-date");
    world.clock.advance(Duration::from_hours(1));
    world.settle(&mut worker, &deprecated).await;
    assert_eq!(worker.told()["state"], "ended");
    world.send(&EVENTS[..1]).await;
    world.settle(&mut worker, &deprecated).await;
    assert_eq!(world.records("paid-2").await.len(), 5);
    assert_eq!(worker.told()["state"], "up-to-date");
}

#[tokio::test]
async fn a_bridge_goes_on_after_its_earlier_contract_is_gone() {
    let world = World::new().await;
    world.send(&EVENTS[..2]).await;
    let mut worker = world.worker().await.unwrap();
    let whole = spec(ACTIVE);
    world.settle(&mut worker, &whole).await;
    world.send(&EVENTS[2..]).await;
    let alone = Spec {
        contract: Arc::clone(&whole.contract),
        earlier: None,
        earlier_ids: None,
        stamp: None,
        readers: Vec::new(),
        canaries: Vec::new(),
    };
    world.settle(&mut worker, &alone).await;
    assert_eq!(world.records("paid-2").await.len(), 4);
    assert_eq!(worker.told()["state"], "ended");
}

#[tokio::test]
async fn positions_are_committed_again_before_the_log_forgets_them() {
    let world = World::new().await;
    world.send(&EVENTS).await;
    let mut worker = world.worker().await.unwrap();
    let active = spec(ACTIVE);
    world.settle(&mut worker, &active).await;
    let ends = world.ends("paid").await;
    // As if the log had let the group go.
    for partition in 0..3 {
        let group = active.group();
        world
            .inner
            .commit(&group, "paid", partition, 0)
            .await
            .unwrap();
    }
    world.clock.advance(Duration::from_hours(1));
    world.settle(&mut worker, &active).await;
    let committed = world
        .inner
        .committed(&active.group(), "paid")
        .await
        .unwrap();
    let committed: Vec<Offset> = committed.into_iter().flatten().collect();
    assert_eq!(committed, ends);
}
