//! Makes HTTP load: connections that each wait for their answer before they send the next event, as
//! fast as they can or at a fixed rate.
//!
//! One thread of mio by default, a request built in place, an answer read as far as its status and
//! its end: the load must not be what bounds the result. At a fixed rate an event's time counts from
//! the moment it was due, so a server that stalls is not spared the events that had to wait
//! (coordinated omission).

mod request;
mod worker;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::outcome::{self, Latency, Outcome};
use crate::usage::{Client, Meter, Use, Watched};
use worker::Worker;

/// In which form events are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Form {
    /// CloudEvents: attributes as `ce-` headers, the data as the body.
    Binary,
    /// A body alone.
    Plain,
    /// A JSON array of CloudEvents.
    Batch,
}

/// A load.
pub struct Plan {
    pub address: SocketAddr,
    pub path: String,
    pub form: Form,
    /// Events a request, if the form is a batch.
    pub batch: usize,
    pub connections: usize,
    pub threads: usize,
    pub warm_up: Duration,
    pub window: Duration,
    /// Requests a second over all connections; as many as go without.
    pub rate: Option<f64>,
    pub run: u32,
    pub time: String,
    pub watched: Vec<Watched>,
}

/// The moments of a load.
#[derive(Clone, Copy)]
struct Clock {
    start: Instant,
    /// When it starts, in microseconds since 1970.
    start_us: u64,
    from: Instant,
    to: Instant,
}

impl Clock {
    fn unix_us(&self, at: Instant) -> u64 {
        self.start_us + at.saturating_duration_since(self.start).as_micros() as u64
    }
}

/// What a thread saw.
struct Tally {
    acked: u64,
    window_acked: u64,
    histogram: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
    broken: u64,
    unanswered: u64,
    unsent: u64,
}

/// Runs a load to its end and tells what it saw.
///
/// # Errors
/// If it cannot be started, or the server breaks off all the time; what a server answers is no
/// error but a problem of the outcome.
pub fn run(plan: &Plan) -> Result<Outcome> {
    const SOON: Duration = Duration::from_millis(20);
    let start = Instant::now() + SOON;
    let start_us = (SystemTime::now() + SOON).duration_since(SystemTime::UNIX_EPOCH)?;
    let from = start + plan.warm_up;
    let clock = Clock {
        start,
        start_us: start_us.as_micros() as u64,
        from,
        to: from + plan.window,
    };
    let threads = plan.threads.clamp(1, plan.connections);
    let tallies = Mutex::new(Vec::new());
    let used = std::thread::scope(|scope| -> Result<_> {
        let workers: Vec<_> = (0..threads)
            .map(|index| {
                let tallies = &tallies;
                scope.spawn(move || -> Result<()> {
                    let tally = Worker::new(plan, clock, index, threads)?.run()?;
                    tallies.lock().expect("no thread panics").push(tally);
                    Ok(())
                })
            })
            .collect();
        std::thread::sleep(from.saturating_duration_since(Instant::now()));
        let meter = Meter::start(&plan.watched, Client::Myself);
        std::thread::sleep(clock.to.saturating_duration_since(Instant::now()));
        let used = meter.stop();
        for worker in workers {
            worker.join().expect("no thread panics")?;
        }
        Ok(used)
    })?;
    let tallies = tallies.into_inner().expect("no thread panics");
    Ok(sum_up(plan, &tallies, used))
}

fn sum_up(plan: &Plan, tallies: &[Tally], used: Use) -> Outcome {
    let mut histogram = outcome::histogram();
    let (mut acked, mut window_events) = (0, 0);
    let mut unsent = 0;
    let mut problems = Vec::new();
    for tally in tallies {
        histogram
            .add(&tally.histogram)
            .expect("the bounds are the same");
        acked += tally.acked;
        window_events += tally.window_acked;
        unsent += tally.unsent;
        for (status, count) in &tally.statuses {
            problems.push(format!("{count} requests were answered {status}"));
        }
        for (count, what) in [
            (tally.broken, "connections broke"),
            (tally.unanswered, "requests had no answer"),
        ] {
            if count > 0 {
                problems.push(format!("{count} {what}"));
            }
        }
    }
    Outcome {
        acked,
        window_events,
        events_per_s: window_events as f64 / plan.window.as_secs_f64(),
        latency: Latency::of(&histogram),
        used: Some(used),
        unsent,
        problems,
    }
}
