//! The measurements. In each, the targets take turns within a repetition, and who begins moves on
//! with every repetition; the disk is synced before each, so that nobody pays for the pages that
//! another left behind; afterwards the log is asked what it holds.

pub(crate) mod answers;
mod check;
mod consume;
mod floor;
mod http;
mod perf_test;
mod port;
mod replay;
mod rest;
mod rules;
mod warm;

use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use tidegate_bench::kafka::{self, Ends};
use tidegate_bench::orders::Orders;
use tidegate_bench::outcome::Outcome;
use tidegate_bench::usage::Watched;

use crate::lab::{Lab, output_of};
use crate::plan::Suite;
use crate::samples::{Sample, Samples};
pub(crate) use check::check;
pub(crate) use floor::floor;
use http::Http;
pub(crate) use rest::rest;
use warm::JvmUse;

/// What a run of the bench was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) seconds: f64,
    pub(crate) repeat: u32,
}

const WARM_UP_S: f64 = 1.0;
/// Partitions of the topics behind HTTP, and of those that Kafka clients write to.
const HTTP_PARTITIONS: i32 = 6;
const PORT_PARTITIONS: i32 = 1;
const CONTRACT_TOPIC: &str = "bench.orders";
const DEFAULT_TOPIC: &str = "bench.default";
const FSYNCED_TOPIC: &str = "bench.fsynced";
const FSYNCED: &[(&str, &str)] = &[("flush.messages", "1")];
const PORT_TARGETS: [&str; 3] = ["tidegate", "kafka", "kafka-fsynced"];
/// A rate that everybody keeps up with.
const RATE: f64 = 2_000.0;
/// A JIT needs this long at a low rate before its times are its own.
const LEAST_RATE_SECONDS: f64 = 8.0;
/// History: about 1.1 GiB, more than the memory that tidegate keeps for readers (`log.hot_memory`).
const COLD_RECORDS: u64 = 1_000_000;
/// Windows shorter than this are a try, for which less is read too.
const FULL_SECONDS: f64 = 3.0;
const HISTORY_TOPIC: &str = "bench.history";

pub(crate) struct Suites<'a> {
    pub(crate) lab: &'a Lab<'a>,
    pub(crate) samples: &'a mut Samples,
    pub(crate) effort: Effort,
}

impl Effort {
    /// How long a window at a fixed rate is.
    pub(crate) fn rate_seconds(self) -> f64 {
        self.seconds.max(LEAST_RATE_SECONDS.min(self.seconds * 2.0))
    }

    /// How long each way of writing is tried on the disk.
    pub(crate) fn floor_seconds(self) -> f64 {
        self.seconds.min(1.0)
    }

    /// How long each check of an event is measured.
    pub(crate) fn check_seconds(self) -> f64 {
        (self.seconds / 8.0).min(0.5)
    }

    /// How much of what a whole run reads is read.
    pub(crate) fn share_of_records(self) -> f64 {
        match self.seconds < FULL_SECONDS {
            true => 0.1,
            false => 1.0,
        }
    }

    fn records(self, records: u64) -> u64 {
        (records as f64 * self.share_of_records()) as u64
    }
}

/// The part of every event that tells the runs apart, and the time the events bear.
fn fresh_run() -> Result<(u32, String)> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let time = time::OffsetDateTime::from_unix_timestamp(now as i64)?
        .format(&time::format_description::well_known::Rfc3339)?;
    Ok((fastrand::u32(..), time))
}

/// Returns the targets that are there, another first in every repetition.
fn turns<'t>(lab: &Lab<'_>, targets: &[&'t str], repetition: u32) -> Vec<&'t str> {
    let mut targets: Vec<_> = targets
        .iter()
        .copied()
        .filter(|target| *target != "tidegate" || lab.tidegate.is_some())
        .collect();
    let shift = repetition as usize % targets.len().max(1);
    targets.rotate_left(shift);
    targets
}

/// Writes back what is dirty: what was measured before must not be paid for in what comes.
fn settle() {
    rustix::fs::sync();
}

fn watch(command: &mut Command, watched: &[Watched]) {
    for Watched { name, pid } in watched {
        command.args(["--watch", &format!("{name}={pid}")]);
    }
}

/// Holds the log's ends against the acknowledgements; returns the ends.
fn check_growth(sample: &mut Sample, bootstrap: &str, topic: &str, before: &[i64]) -> Result<Ends> {
    let after = kafka::ends(bootstrap, topic)?;
    sample.check_stored(kafka::records_between(before, &after));
    Ok(after)
}

/// Holds the log against the acknowledgements: its ends, then every record of it.
fn check_log(
    sample: &mut Sample,
    bootstrap: &str,
    topic: &str,
    before: &[i64],
    orders: &Orders,
) -> Result<()> {
    let after = check_growth(sample, bootstrap, topic, before)?;
    if sample.problems.is_empty() {
        let distinct = kafka::distinct(bootstrap, topic, before, &after, orders)?;
        sample.set("distinct", distinct as f64);
    }
    Ok(())
}

impl Suites<'_> {
    /// Runs a suite of the servers that stand side by side.
    pub(crate) fn run(&mut self, suite: Suite) -> Result<()> {
        let http = |row, connections| Http {
            row,
            connections,
            batch: None,
            rate: None,
            follow: false,
            targets: &["tidegate", "baseline", "baseline-fsynced", "bare"],
        };
        match suite {
            // They have servers of their own.
            Suite::Check | Suite::Floor | Suite::Rest | Suite::Answers | Suite::WarmUp => Ok(()),
            Suite::Http64 => self.http(http("http64", 64)),
            Suite::Http256 => self.http(http("http256", 256)),
            Suite::Batch100 => self.http(Http {
                batch: Some(100),
                ..http("batch100", 16)
            }),
            Suite::HttpRate => self.http(Http {
                rate: Some(RATE),
                targets: &["tidegate", "baseline", "baseline-fsynced"],
                ..http("http-rate", 64)
            }),
            Suite::HttpHalf => self.half_of_saturation(),
            Suite::Java => self.java("java", &[]),
            Suite::Java256k => self.java("java-256k", &["batch.size=262144"]),
            Suite::Librdkafka => self.librdkafka("librdkafka", None),
            Suite::Rules => self.rules(),
            Suite::AckJava => self.java_rate(),
            Suite::AckLibrdkafka => self.librdkafka("ack-librdkafka", Some(RATE)),
            Suite::Consume => self.consume(),
            Suite::Replay => self.replay(),
        }
    }

    /// Takes one sample: what goes wrong is a problem of the sample, not the end of the run.
    fn take(&mut self, mut sample: Sample, once: impl FnOnce(&Self, &mut Sample) -> Result<()>) {
        let jvm = JvmUse::start(self.lab);
        if let Err(error) = once(self, &mut sample) {
            sample.problems.push(format!("{error:#}"));
        }
        jvm.stop(&mut sample);
        self.samples.add(sample);
    }

    fn output(&self, command: &mut Command, seconds: f64) -> Result<String> {
        let limit = Duration::from_secs_f64(seconds);
        output_of(command, limit, &self.lab.places.work)
    }

    fn outcome(&self, command: &mut Command, seconds: f64) -> Result<Outcome> {
        let printed = self.output(command, seconds + 90.0)?;
        serde_json::from_str(&printed).context("a load program printed no outcome")
    }
}
