//! What a copied event looks like, and what becomes of one that cannot be copied.

use std::collections::BTreeMap;

use tidegate_event_log::{Append, Header, Log as _, Record};

use super::*;
use crate::bridges::copy::{self, Copied, Source, plan, waves};

async fn send_with(world: &World, headers: &[(&str, &str)], key: &str, data: &str) {
    let headers = headers.iter();
    let append = Append {
        topic: "paid".into(),
        partition: Some(1),
        record: Record {
            key: Some(key.to_owned().into()),
            value: Some(data.to_owned().into()),
            headers: headers
                .map(|(name, value)| Header::new((*name).to_owned(), (*value).to_owned()))
                .collect(),
        },
        claim: None,
    };
    world.inner.append(vec![append]).await.remove(0).unwrap();
}

fn headers(stored: &StoredRecord) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = stored.record.headers.iter();
    headers
        .map(|header| (text(&header.name), text(header.value.as_deref().unwrap())))
        .collect()
}

#[tokio::test]
async fn a_copy_names_its_cause_its_source_and_keeps_trace_and_correlation() {
    let world = World::new().await;
    let sent = [
        ("ce_specversion", "1.0"),
        ("ce_id", "e-1"),
        ("ce_source", "/shop"),
        ("ce_type", "paid"),
        ("ce_time", "2023-11-14T22:13:20Z"),
        ("ce_dataschema", "https://example.com/paid"),
        ("ce_correlationid", "c-9"),
        ("ce_causationid", "before"),
        (
            "ce_traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("content-type", "application/json"),
        ("tidegate_contract", "paid"),
        ("tidegate_tenant", "acme"),
        ("tidegate_request_id", "r-1"),
    ];
    send_with(&world, &sent, "o-1", r#"{"id": "o-1", "cents": 250}"#).await;
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec(ACTIVE)).await;
    let copied = world.records("paid-2").await;
    let [(_, stored)] = &copied[..] else {
        panic!("{copied:?}")
    };
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "e-1~paid-2"),
        ("ce_source", "/shop"),
        ("ce_type", "paid-2"),
        ("ce_time", "2023-11-14T22:13:20Z"),
        ("ce_correlationid", "c-9"),
        ("ce_causationid", "e-1"),
        (
            "ce_traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("content-type", "application/json"),
        ("tidegate_bridge_source", "paid-1-0"),
        ("tidegate_contract", "paid-2"),
        ("tidegate_contract_version", "2.0.0"),
        ("tidegate_tenant", "acme"),
        ("tidegate_request_id", "r-1"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers(stored), BTreeMap::from(expected));
    assert_eq!(stored.record.key.as_deref(), Some(&b"o-1"[..]));
    let value = stored.record.value.as_deref();
    assert_eq!(value, Some(&br#"{"orderId":"o-1","total":2}"#[..]));
}

#[tokio::test]
async fn a_record_without_an_envelope_is_known_by_its_place() {
    let world = World::new().await;
    send_with(&world, &[], "o-1", r#"{"id": "o-1", "cents": 100}"#).await;
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec(ACTIVE)).await;
    let copied = world.records("paid-2").await;
    let headers = headers(&copied[0].1);
    assert_eq!(headers["ce_id"], "paid-1-0~paid-2");
    assert_eq!(headers["ce_causationid"], "paid-1-0");
    assert_eq!(headers["ce_source"], "/paid-2");
    assert_eq!(headers["tidegate_tenant"], "default");
}

#[tokio::test]
async fn what_cannot_be_copied_is_kept_with_every_reason_and_stalls_nothing() {
    let world = World::new().await;
    let bad = [
        ("unmapped", r#"{"id": "a"}"#),
        ("wrong", r#"{"id": "b", "cents": 1, "number": {}}"#),
        ("no-json", "{"),
        ("good", r#"{"id": "a", "cents": 700}"#),
    ];
    world.send(&bad).await;
    let mut worker = world.worker().await.unwrap();
    // `number` has to be a number in the later contract.
    let strict = spec(Says {
        map: "message.cents > 1 ? message.cents : 'x'",
        ..ACTIVE
    });
    world.settle(&mut worker, &strict).await;
    assert_eq!(world.ids("paid-2").await, ["good~paid-2"]);
    assert_eq!(
        world.ids(quarantine::TOPIC).await,
        ["no-json", "unmapped", "wrong"]
    );
    for (_, stored) in world.records(quarantine::TOPIC).await {
        let headers = headers(&stored);
        let id = headers["ce_id"].as_str();
        let reason = match id {
            "unmapped" => {
                r#""detail":"cannot make `total` of the earlier data: it needs `cents`, which is not there","rule":"migration.map""#
            }
            "wrong" => r##""pointer":"#/data/total""##,
            _ => r##"{"pointer":"#/earlier","detail":"is not JSON"##,
        };
        assert!(headers["tidegate_reasons"].contains(reason), "{headers:?}");
        assert_eq!(headers["ce_causationid"], id);
        assert_eq!(headers["tidegate_contract"], "paid-2");
        assert!(headers["tidegate_bridge_source"].starts_with("paid-"));
        let sent = bad.iter().find(|(sent, _)| *sent == id).unwrap().1;
        assert_eq!(stored.record.value.as_deref(), Some(sent.as_bytes()));
    }
    assert_eq!(worker.told()["lag"], 0);
}

#[tokio::test]
async fn what_the_log_does_not_take_is_kept_too() {
    let world = World::new().await;
    world.inner.delete_topic("paid-2").await.unwrap();
    let config = TopicConfig::from([("max.message.bytes".to_owned(), "400".to_owned())]);
    let small = TopicSpec {
        name: "paid-2".to_owned(),
        partitions: Some(2),
        config,
    };
    world.inner.create_topic(small).await.unwrap();
    let long = format!(r#"{{"id": "{}", "cents": 100}}"#, "x".repeat(300));
    let short = r#"{"id": "b", "cents": 100}"#;
    world.send(&[("long", &long), ("short", short)]).await;
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec(ACTIVE)).await;
    assert_eq!(world.ids("paid-2").await, ["short~paid-2"]);
    assert_eq!(world.ids(quarantine::TOPIC).await, ["long"]);
}

#[tokio::test]
async fn a_topic_that_somebody_deleted_is_made_again() {
    let world = World::new().await;
    let one = r#"{"id": "a", "cents": 100}"#;
    world.inner.delete_topic("paid-2").await.unwrap();
    world.send(&[("e-1", one)]).await;
    let mut worker = world.worker().await.unwrap();
    world.settle(&mut worker, &spec(ACTIVE)).await;
    assert_eq!(world.ids("paid-2").await, ["e-1~paid-2"]);
}

fn item(of: i64, key: Option<&str>, is_quarantined: bool) -> Copied {
    Copied {
        of,
        append: Append {
            topic: "t".into(),
            partition: None,
            record: Record {
                key: key.map(|key| key.to_owned().into()),
                ..Record::default()
            },
            claim: None,
        },
        json: Default::default(),
        is_quarantined,
        warnings: Vec::new(),
    }
}

#[test]
fn no_call_has_two_records_of_a_key() {
    let items = vec![
        item(0, Some("a"), false),
        item(1, Some("b"), false),
        item(2, Some("a"), false),
        item(3, None, false),
        item(4, Some("a"), true),
        item(5, Some("a"), false),
        item(6, Some("b"), false),
    ];
    let waves: Vec<Vec<i64>> = waves(items)
        .into_iter()
        .map(|wave| wave.iter().map(|item| item.of).collect())
        .collect();
    assert_eq!(waves, [vec![0, 1, 3, 4], vec![2, 6], vec![5]]);
}

#[test]
fn a_plan_ends_before_the_event_that_would_fail_a_canary() {
    let spec = spec(Says {
        canary: "canary: {first: 10}",
        readers: true,
        ..ACTIVE
    });
    let stored = |offset, data: &str| StoredRecord {
        offset,
        timestamp_ms: 0,
        record: Record {
            value: Some(data.to_owned().into()),
            ..Record::default()
        },
    };
    let records = [
        stored(4, r#"{"id": "a", "cents": 100}"#),
        stored(5, r#"{"id": "a"}"#),
        stored(6, r#"{"id": "a", "cents": 100000}"#),
    ];
    let source = Source {
        topic: "paid",
        topic_id: [0; 16],
        partition: 2,
    };
    let check = |left: Option<u64>, next: i64, cause: Option<&str>| {
        let watched = left.map(|quarantine_left| copy::Watched { quarantine_left });
        let plan = plan(&spec, source, &records, 4, watched);
        let halt = plan.halt.map(|halt| {
            assert_eq!(halt.first.offset, next);
            serde_json::to_value(halt.cause).unwrap()
        });
        assert_eq!((plan.next, halt), (next, cause.map(|cause| cause.into())));
        assert_eq!(plan.items.len(), usize::try_from(next - 4).unwrap());
    };
    check(None, 7, None);
    check(Some(0), 5, Some("quarantine"));
    check(Some(1), 6, Some("requirement"));
}
