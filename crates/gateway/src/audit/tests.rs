use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use tidegate_event_log::MemoryLog;

use super::effects::EFFECTS;
use super::store::{PARTITION, TOPIC, text_of};
use super::*;
use crate::clock::SystemClock;

async fn log() -> Arc<dyn Log> {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(|| SystemClock.now_ms()));
    log.create_topic(topic_spec()).await.unwrap();
    log
}

fn audit(log: &Arc<dyn Log>) -> Arc<Audit> {
    Arc::new(Audit::new(
        Arc::clone(log),
        Arc::new(SystemClock),
        Duration::from_secs(20),
    ))
}

fn object(name: &str) -> Object {
    Object {
        name: name.to_owned(),
        before: Some(json!({ "level": "BACKWARD" })),
        after: Some(json!({ "level": "FULL" })),
    }
}

async fn change(audit: &Arc<Audit>, name: &str) {
    let intent = audit.own_act("test.change").begin(object(name)).await;
    intent.unwrap().end(Outcome::Done, None).await;
}

async fn texts(log: &Arc<dyn Log>) -> Vec<String> {
    let read = log.read(TOPIC, PARTITION, 0, usize::MAX).await.unwrap();
    let records = read.records.iter();
    records
        .map(|stored| text_of(&stored.record).unwrap().to_owned())
        .collect()
}

fn verified(texts: &[String]) -> Result<Chain, Broken> {
    let mut chain = Chain::default();
    for text in texts {
        chain.take(text)?;
    }
    Ok(chain)
}

#[tokio::test]
async fn writers_at_the_same_time_make_one_chain() {
    let log = log().await;
    // Two processes that know nothing of each other.
    let gateways = [audit(&log), audit(&log)];
    let mut writers = Vec::new();
    for number in 0..20 {
        let audit = Arc::clone(&gateways[number % 2]);
        let name = number.to_string();
        writers.push(tokio::spawn(async move { change(&audit, &name).await }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let texts = texts(&log).await;
    let chain = verified(&texts).unwrap();
    assert_eq!((chain.records(), chain.first()), (40, Some(0)));
    assert_eq!(chain.head().unwrap().0, 39);
    assert_eq!(chain.open().count(), 0);
}

#[tokio::test]
async fn another_start_goes_on_where_the_chain_ends() {
    let log = log().await;
    change(&audit(&log), "first").await;
    change(&audit(&log), "second").await;
    assert_eq!(verified(&texts(&log).await).unwrap().records(), 4);
}

/// Changes a record and gives it the hash of what it says now.
fn forged(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from));
    let (entry, _) = Entry::unseal(text).unwrap();
    let text = serde_json::to_string(&entry).unwrap().replace(from, to);
    serde_json::from_str::<Entry>(&text).unwrap().seal().0
}

#[tokio::test]
async fn whatever_is_done_to_the_records_is_found_at_its_place() {
    let log = log().await;
    let audit = audit(&log);
    for name in ["a", "b", "c"] {
        change(&audit, name).await;
    }
    let whole = texts(&log).await;
    let head = verified(&whole).unwrap().head().unwrap().1.to_owned();
    type Tamper = fn(&mut Vec<String>);
    let cases: [(&str, Tamper, u64, &str); 9] = [
        (
            "changed",
            |it| it[2] = it[2].replace("\"b\"", "\"x\""),
            2,
            "its hash is another",
        ),
        (
            "changed in its spaces",
            |it| it[2] = it[2].replace("\"verb\":", "\"verb\": "),
            2,
            "its hash is another",
        ),
        (
            "changed, with the right hash",
            |it| it[2] = forged(&it[2], "\"b\"", "\"x\""),
            3,
            "which was changed",
        ),
        ("taken away", |it| drop(it.remove(2)), 2, "taken away"),
        ("two moved", |it| it.swap(2, 4), 2, "taken away or moved"),
        (
            "one twice",
            |it| it.insert(3, it[2].clone()),
            3,
            "taken away or moved",
        ),
        (
            "one added",
            |it| it.insert(2, forged(&it[2], "\"b\"", "\"x\"")),
            3,
            "has sequence 2 after 2",
        ),
        ("emptied", |it| it[1].clear(), 1, "has no hash"),
        (
            "the first replaced",
            |it| it[0] = forged(&it[0], "\"previous\":\"0", "\"previous\":\"1"),
            0,
            "is the first and names one before it",
        ),
    ];
    for (what, tamper, place, why) in cases {
        let mut texts = whole.clone();
        tamper(&mut texts);
        let broken = verified(&texts).expect_err(what);
        assert_eq!(broken.place, place, "{what}: {broken}");
        assert!(broken.why.contains(why), "{what}: {broken}");
    }
    // What is cut off the end only a noted head shows.
    let mut cut = Chain::default();
    let hashes: Vec<String> = whole[..5].iter().map(|it| cut.take(it).unwrap()).collect();
    assert!(!hashes.contains(&head));
    // And a beginning that is gone is told by the first sequence.
    assert_eq!(verified(&whole[2..]).unwrap().first(), Some(2));
}

#[tokio::test]
async fn a_crash_between_intent_and_outcome_is_told_as_not_known() {
    let log = log().await;
    let audit_of_one = audit(&log);
    change(&audit_of_one, "before").await;
    let intent = audit_of_one
        .own_act("test.change")
        .begin(object("cut"))
        .await;
    // Nothing of a process that ended runs.
    std::mem::forget(intent);
    change(&audit(&log), "after").await;
    let chain = verified(&texts(&log).await).unwrap();
    assert_eq!(chain.open().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_change_that_nobody_waits_for_ends_as_unknown() {
    let log = log().await;
    drop(
        audit(&log)
            .own_act("test.change")
            .begin(object("left"))
            .await,
    );
    while texts(&log).await.len() < 2 {
        tokio::task::yield_now().await;
    }
    let texts = texts(&log).await;
    let (outcome, _) = Entry::unseal(&texts[1]).unwrap();
    assert_eq!(
        (outcome.intent, outcome.outcome),
        (Some(0), Some(Outcome::Unknown))
    );
}

#[tokio::test]
async fn behind_a_damaged_end_nothing_is_written() {
    let log = log().await;
    let record = tidegate_event_log::Record {
        value: Some("{}".into()),
        ..tidegate_event_log::Record::default()
    };
    let damage = tidegate_event_log::Append {
        topic: TOPIC.into(),
        partition: Some(PARTITION),
        record,
        claim: None,
    };
    log.append(vec![damage]).await.remove(0).unwrap();
    let begun = audit(&log).own_act("test.change").begin(object("a")).await;
    assert!(begun.is_err());
    assert_eq!(texts(&log).await.len(), 1);
}

#[tokio::test]
async fn states_are_bounded_and_records_read_as_documented() {
    let large = bounded_state(json!("x".repeat(10_000)));
    assert_eq!(large["bytes"], 10_002);
    let entry = Entry {
        time: "2026-01-31T12:00:00.000Z".to_owned(),
        after: Some(json!({ "level": "FULL" })),
        ..audit(&log().await)
            .own_act("registry.config")
            .entry(Phase::Intent, "subject/orders-value")
    };
    // Stable: others verify it.
    insta::assert_snapshot!(entry.seal().0, @r#"{"format":1,"sequence":0,"previous":"0000000000000000000000000000000000000000000000000000000000000000","time":"2026-01-31T12:00:00.000Z","phase":"intent","verb":"registry.config","object":"subject/orders-value","actor":{"tenant":"","name":"tidegate","how":"itself"},"from":{},"after":{"level":"FULL"},"hash":"af9f1fffdee020ad78d5564293c6cf96e250174e39692bcab4545e2f9409d894"}"#);
}

#[test]
fn refusals_are_written_at_a_bounded_rate_and_the_rest_is_counted() {
    let start = Instant::now();
    let mut refusals = Refusals {
        rate: OF_CALLERS,
        left: 2,
        counted: start,
        left_out: 0,
    };
    let admitted: Vec<_> = [0, 0, 0, 0, 150, 160]
        .map(|ms| refusals.admit(start + Duration::from_millis(ms)))
        .to_vec();
    assert_eq!(admitted, [Some(0), Some(0), None, None, Some(2), None]);
}

/// How a handler's description begins; it names method and path.
const DESCRIBED: &str = "#[utoipa::path(";

/// Finds the routes in the rooms' sources, with their methods that are no reading.
fn routes_in(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(".route(") {
        let mut depth = 0;
        let rest = &text[at + ".route".len()..];
        let end = rest.find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let call = &rest[..end.unwrap_or(rest.len())];
        let path = call.split('"').nth(1).unwrap_or_default();
        for method in ["post", "put", "patch", "delete", "any"] {
            let called = [
                format!(" {method}("),
                format!(".{method}("),
                format!("({method}("),
            ];
            if called.iter().any(|it| call.contains(it.as_str())) {
                found.push((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    for (at, _) in text.match_indices(DESCRIBED) {
        let described = text[at + DESCRIBED.len()..].trim_start();
        let (method, rest) = described.split_once(',').unwrap();
        let path = rest.split('"').nth(1).unwrap();
        if method != "get" {
            found.push((method.to_uppercase(), path.to_owned()));
        }
    }
    found
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_method_that_is_no_reading_is_declared_and_every_declaration_is_a_route() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut routes = BTreeSet::new();
    for file in sources(Path::new(root)) {
        // Events are their own records; this file has the pattern in it.
        let path = file.strip_prefix(root).unwrap();
        if !path.starts_with("ingress") && !path.starts_with("audit/tests.rs") {
            routes.extend(routes_in(&std::fs::read_to_string(&file).unwrap()));
        }
    }
    let declared = EFFECTS.iter();
    let declared = declared.map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()));
    assert_eq!(routes, declared.collect());
}
