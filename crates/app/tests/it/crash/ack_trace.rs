//! A kill leaves the page cache alive, so it does not show that an ack waits for the disk. The
//! kernel's own account of the process does.

use std::fs;
use std::process::Command;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::serving::{EVENT_TYPE, Place, SOURCE};
use super::trace;

/// One after the other on one connection, then so many at a time, so often.
const SEQUENTIAL: usize = 40;
const AT_A_TIME: usize = 16;
const BURSTS: usize = 8;

const CALLS: &str = "trace=openat,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,\
                     read,readv,recvfrom,recvmsg,fdatasync,fsync";

#[test]
fn an_ack_follows_its_write() {
    let found = Command::new("strace").arg("-V").output();
    assert!(found.is_ok(), "strace is missing; tools/setup installs it");
    let place = Place::new("log: {wal: {segment: 32MiB, budget: 64MiB}}\n");
    // Groups are shown whole up to 16 KiB, which a burst of small events stays below.
    let strace = [
        "strace", "-f", "-ttt", "-y", "-s", "16384", "-o", "trace", "-e", CALLS,
    ];
    let serving = place.serve_under(&strace);
    let mut ids: Vec<String> = Vec::new();
    Runtime::new().unwrap().block_on(async {
        let client = reqwest::Client::new();
        for number in 0..SEQUENTIAL {
            ids.push(format!("alone-{number:06}"));
            post(client.clone(), serving.url.clone(), ids[number].clone()).await;
        }
        for burst in 0..BURSTS {
            let mut together = JoinSet::new();
            for number in 0..AT_A_TIME {
                let id = format!("burst-{burst:03}-{number:03}");
                ids.push(id.clone());
                together.spawn(post(client.clone(), serving.url.clone(), id));
            }
            together.join_all().await;
        }
    });
    serving.terminate();
    let trace = fs::read(place.path("trace")).unwrap();
    let trace = String::from_utf8_lossy(&trace);
    let seen = trace::check(&trace, &ids).unwrap_or_else(|faults| panic!("{faults:#?}"));
    eprintln!("{seen:?} in {} lines", trace.lines().count());
    assert_eq!(seen.acks, SEQUENTIAL + AT_A_TIME * BURSTS);
    // The same trace of a process that forgot to sync is red.
    trace::check(&trace.replace("O_DSYNC", "O_CLOEXEC"), &ids).unwrap_err();
}

async fn post(client: reqwest::Client, url: String, id: String) {
    let request = client
        .post(format!("{url}/v1/events"))
        .header("ce-specversion", "1.0")
        .header("ce-id", &id)
        .header("ce-source", SOURCE)
        .header("ce-type", EVENT_TYPE)
        .header("content-type", "application/json")
        .body(format!(r#"{{"key":"{id}","text":"traced"}}"#));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 202, "{}", response.text().await.unwrap());
}
