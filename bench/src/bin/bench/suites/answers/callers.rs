//! Callers who send events one by one, wait for each answer, and note what it said.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_bench::call::{self, Fate};
use tidegate_bench::kafka;
use tidegate_bench::orders::{BODY_BYTES, EVENT_SOURCE, EVENT_TYPE, ID_BYTES, Orders};

use super::judge::{Attempt, Counts, Said};

const CALLERS: usize = 8;
/// Between an answer and the next event: the machine is not what is tried here.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long everybody goes on after the recovery, and how long what is late may take to land.
const AFTERWARDS: Duration = Duration::from_secs(1);
const LANDING: Duration = Duration::from_secs(2);
/// How long all repeats may take together.
const REPEAT_LIMIT: Duration = Duration::from_secs(120);
/// How long a log may take until it can be read again.
const READABLE_LIMIT: Duration = Duration::from_secs(60);

/// Where events go in, and where the log is read.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    pub(super) bootstrap: String,
    pub(super) topic: String,
    pub(super) orders: Orders,
}

impl Door {
    fn send(&self, number: u64) -> Fate {
        let mut id = [0; ID_BYTES];
        self.orders.write_id(number, &mut id);
        let id = String::from_utf8_lossy(&id);
        let mut body = [0; BODY_BYTES];
        self.orders.write_body(number, &mut body);
        let headers = [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-type", EVENT_TYPE),
            ("ce-source", EVENT_SOURCE),
            ("ce-time", self.orders.time()),
            ("ce-id", &id),
            ("idempotency-key", &id),
        ];
        call::post(self.address, &self.path, &headers, &body, PATIENCE)
    }

    /// Sends events while `hurt` breaks something and mends it again.
    pub(super) fn send_while(&self, hurt: impl FnOnce() -> Result<()>) -> Result<Vec<Attempt>> {
        let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
        let attempts = Mutex::new(Vec::new());
        let hurt = std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let begun = Instant::now();
                        let said = Said::of(&self.send(number));
                        let took = begun.elapsed();
                        let attempt = Attempt { number, said, took };
                        attempts.lock().expect("no thread panics").push(attempt);
                        std::thread::sleep(PAUSE);
                    }
                });
            }
            let hurt = hurt();
            if hurt.is_ok() {
                std::thread::sleep(AFTERWARDS);
            }
            over.store(true, Ordering::Relaxed);
            hurt
        });
        hurt?;
        Ok(attempts.into_inner().expect("no thread panics"))
    }

    /// Sends every event again, under the same key, until it is taken; returns how many were not.
    pub(super) fn repeat(&self, attempts: &[Attempt]) -> usize {
        let deadline = Instant::now() + REPEAT_LIMIT;
        let (next, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    while let Some(attempt) =
                        attempts.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    {
                        loop {
                            // Asked before each try: one may take as long as the callers' patience.
                            if Instant::now() > deadline {
                                refused.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                            if Said::of(&self.send(attempt.number)) == Said::Stored {
                                break;
                            }
                            std::thread::sleep(PAUSE * 10);
                        }
                    }
                });
            }
        });
        refused.into_inner() as usize
    }

    /// Counts how often each event is in the log.
    pub(super) fn count(&self) -> Result<Counts> {
        std::thread::sleep(LANDING);
        let deadline = Instant::now() + READABLE_LIMIT;
        loop {
            match self.count_once() {
                Err(_) if Instant::now() < deadline => std::thread::sleep(PAUSE * 50),
                result => return result,
            }
        }
    }

    fn count_once(&self) -> Result<Counts> {
        let ends = kafka::ends(&self.bootstrap, &self.topic)?;
        let mut counts = Counts::new();
        let beginning = vec![0; ends.len()];
        kafka::read(
            &self.bootstrap,
            &self.topic,
            &beginning,
            &ends,
            |key, body| {
                let number = self.orders.known(key, body)? as usize;
                if number >= counts.len() {
                    counts.resize(number * 2 + 1024, 0);
                }
                counts[number] += 1;
                Ok(())
            },
        )?;
        Ok(counts)
    }
}
