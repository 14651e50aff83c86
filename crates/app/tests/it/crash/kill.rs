//! Killed at random moments while 64 connections send: what was acked is there, once, in order,
//! byte for byte, and what was refused is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::account::{Account, Fate, Sent};
use super::sender::{Life, Record, Sender};
use super::serving::{Place, Serving, TOPIC};
use super::{Dice, reader};

const CONNECTIONS: usize = 64;
const PARTITIONS: i32 = 4;
/// Kills unless `TIDEGATE_KILLS` says how many.
const KILLS: usize = 4;

/// Everything that moves data moves often, so that kills hit it under way: objects, checkpoints,
/// runs of claims, segments used again. Memory is too small to read from.
const SETTINGS: &str = "\
log:
  wal: {segment: 32MiB, budget: 64MiB}
  hot_memory: 1MiB
  ship: {size: 4MiB, after: 150ms}
  checkpoint: {size: 6MiB, after: 400ms, objects: 2}
  delete_after: 1s
";

#[test]
fn kill_9_under_load_loses_nothing_that_was_acked() {
    let kills = std::env::var("TIDEGATE_KILLS").ok();
    let kills = kills.map_or(KILLS, |text| text.parse().expect("a number of kills"));
    let mut dice = Dice::thrown();
    let place = Place::new(SETTINGS);
    let runtime = Runtime::new().unwrap();
    let (publish, life) = watch::channel(None);
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|number| Sender::new(number, Dice::new(dice.next()), life.clone()))
        .map(|sender| runtime.spawn(sender.run(Arc::clone(&stop))))
        .collect();

    let mut slowest = Duration::ZERO;
    for number in 0..=kills {
        // Sometimes it is killed while it starts, which has to change nothing.
        if dice.below(3) == 0 {
            place.serve_briefly(Duration::from_millis(dice.below(120)));
        }
        let serving = place.serve();
        slowest = slowest.max(serving.ready_after);
        let url = serving.url.clone();
        drop(publish.send_replace(Some(Life { number, url })));
        std::thread::sleep(Duration::from_millis(200 + dice.below(1_300)));
        if number == 0 {
            refuse_a_second_process(&place, &serving);
        }
        if number == kills {
            stop.store(true, Ordering::Relaxed);
            let records = senders
                .into_iter()
                .map(|sender| runtime.block_on(sender).unwrap())
                .collect();
            serving.kill_9();
            return settle(&runtime, &place, records, kills, slowest);
        }
        serving.kill_9();
        drop(publish.send_replace(None));
    }
}

/// A second process on a directory in use says whose it is, and does it no harm.
fn refuse_a_second_process(place: &Place, first: &Serving) {
    let second = place.command(&[]).output().unwrap();
    let said = std::fs::read_to_string(place.path("stderr")).unwrap();
    assert!(!second.status.success() && second.stdout.is_empty());
    let holder = format!("in use by process {}", first.pid().as_raw_nonzero());
    assert!(said.contains(&holder), "{said}");
}

/// Reads everything back from a process that knows it from the disk only.
fn settle(
    runtime: &Runtime,
    place: &Place,
    records: Vec<Record>,
    kills: usize,
    mut slowest: Duration,
) {
    let serving = place.serve();
    slowest = slowest.max(serving.ready_after);
    let mut complaints = Vec::new();
    let mut sent: Vec<Vec<Sent>> = Vec::new();
    let (mut repeats, mut found_stored, mut stored_by_retry, mut kept) = (0, 0, 0, 0);
    for record in records {
        complaints.extend(record.complaints);
        let unexplained = record.broken.iter().filter(|life| **life == kills).count();
        if unexplained > 0 {
            complaints.push(format!("{unexplained} connections broke without a kill"));
        }
        repeats += record.repeats;
        found_stored += record.found_stored;
        stored_by_retry += record.stored_by_retry;
        kept += record.quarantined.len();
        runtime.block_on(async {
            check_kept(&serving.url, &record.quarantined, &mut complaints).await;
            if let Some(receipt) = &record.last_receipt {
                let found = get(&serving.url, &format!("/v1/receipts/{receipt}")).await;
                if found["id"] != **receipt {
                    complaints.push(format!("receipt {receipt} is not there: {found}"));
                }
            }
        });
        sent.push(record.sent);
    }
    let (mut by_http, mut by_kafka) = (Account::new(&sent), Account::new(&sent));
    let mut stored = 0;
    runtime.block_on(async {
        let client = reader::kafka(&serving.kafka).await;
        for partition in 0..PARTITIONS {
            let see = |record| {
                stored += 1;
                by_http.see(&record);
            };
            reader::over_http(&serving.url, TOPIC, partition, see).await;
            reader::over_kafka(&client, TOPIC, partition, |record| by_kafka.see(&record)).await;
        }
    });
    complaints.extend(by_http.close());
    complaints.extend(by_kafka.close());
    let events: Vec<&Sent> = sent.iter().flatten().collect();
    let count = |fate: fn(&Fate) -> bool| events.iter().filter(|sent| fate(&sent.fate)).count();
    let acked = count(|fate| matches!(fate, Fate::Acked(_)));
    let refused = count(|fate| *fate == Fate::Refused);
    eprintln!(
        "{kills} kills: {acked} events acked, {stored} in the log; {refused} refused, {kept} of them \
         kept in quarantine; {repeats} repeats; in doubt and retried: {found_stored} had been stored, \
         {stored_by_retry} had not; slowest start {slowest:?}"
    );
    let shown = &complaints[..complaints.len().min(20)];
    assert!(complaints.is_empty(), "{}: {shown:#?}", complaints.len());
    assert_eq!(acked, stored, "every event in the log has a receipt by now");
    assert!(acked > 500 && repeats > 0 && kept > 0, "there was a load");
}

/// Every entry that a refusal named is there, with the caller's bytes.
async fn check_kept(url: &str, kept: &[(String, String)], complaints: &mut Vec<String>) {
    for (path, data) in kept {
        let entry = get(url, path).await;
        let same = serde_json::from_str::<Value>(data).is_ok_and(|data| entry["data"] == data);
        if !same || entry["size_bytes"] != data.len() {
            complaints.push(format!("{path} does not keep {data}: {entry}"));
        }
    }
}

async fn get(url: &str, path: &str) -> Value {
    let response = reqwest::get(format!("{url}{path}")).await.unwrap();
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}
