//! Three replicas over one cluster share a quota: together they admit what it says.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::kafka::Kafka;
use crate::program::Served;

/// Events a second.
const LIMIT: f64 = 100.0;
/// Until the first burst is over.
const WARM: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);
/// Callers of each replica. Each sends again as soon as it is answered.
const CALLERS: usize = 4;

const CONTRACTS: &str = r#"
apiVersion: contract/v1
kind: Team
metadata: {name: team}
spec: {pager: "mailto:team@example.com"}
---
apiVersion: contract/v1
kind: EventContract
metadata: {name: orders, owner: team}
spec:
  class: fact
  schema: {file: order.json}
  key: {from: $.customer}
  ingress: {quotas: [{name: rate, per: contract, limit: 100, every: 1s, burst: 20}]}
"#;

fn write_contracts(folder: &Path) {
    std::fs::write(folder.join("all.yaml"), CONTRACTS).unwrap();
    let schema = r#"{"type": "object", "properties": {"customer": {"type": "string"}}, "required": ["customer"]}"#;
    std::fs::write(folder.join("order.json"), schema).unwrap();
}

/// What callers were answered while it counted.
#[derive(Default)]
struct Counts {
    runs: AtomicBool,
    ends: AtomicBool,
    admitted: AtomicUsize,
    refused: AtomicUsize,
}

async fn call(url: String, counts: Arc<Counts>) {
    let client = reqwest::Client::new();
    while !counts.ends.load(Ordering::Relaxed) {
        let sent = client
            .post(format!("{url}/v1/events/orders"))
            .header("content-type", "application/json")
            .body(r#"{"customer": "c"}"#)
            .send()
            .await;
        let Ok(answer) = sent else {
            // Killed.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let counter = match answer.status().as_u16() {
            202 => &counts.admitted,
            429 => &counts.refused,
            other => panic!("status {other}: {:?}", answer.text().await),
        };
        if counts.runs.load(Ordering::Relaxed) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if answer.status() == 429 {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Measures what replicas admit by the limit; one may be killed in the middle.
async fn admitted(replicas: Vec<Served>, kills: bool) -> f64 {
    let counts = Arc::new(Counts::default());
    let urls = replicas.iter().map(|replica| replica.url.clone());
    let callers = urls.flat_map(|url| (0..CALLERS).map(move |_| url.clone()));
    let callers: Vec<_> = callers
        .map(|url| tokio::spawn(call(url, Arc::clone(&counts))))
        .collect();
    sleep(WARM).await;
    let mut replicas = replicas;
    let began = Instant::now();
    counts.runs.store(true, Ordering::Relaxed);
    sleep(MEASURED / 2).await;
    if kills {
        drop(replicas.pop());
    }
    sleep(MEASURED.saturating_sub(began.elapsed())).await;
    counts.runs.store(false, Ordering::Relaxed);
    let measured = began.elapsed();
    counts.ends.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let (admitted, refused) = (
        counts.admitted.load(Ordering::Relaxed),
        counts.refused.load(Ordering::Relaxed),
    );
    let ratio = admitted as f64 / (LIMIT * measured.as_secs_f64());
    eprintln!(
        "admitted {admitted}, refused {refused} in {measured:?}: {ratio:.3} of the limit, killed: {kills}"
    );
    assert!(refused > 0, "all that was sent was admitted");
    ratio
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_admit_what_one_quota_says_also_when_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    write_contracts(folder.path());
    let kafka = Kafka::start();
    let start = || kafka.replica_of(folder.path().to_str().unwrap());
    for kills in [false, true] {
        let ratio = admitted(vec![start(), start(), start()], kills).await;
        assert!(
            (0.9..=1.05).contains(&ratio),
            "{ratio} of the limit, killed: {kills}"
        );
    }
}
