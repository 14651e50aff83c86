//! Everybody runs warm before anything counts.

use anyhow::{Context, Result, bail};
use tidegate_bench::kafka;
use tidegate_bench::usage::jvm_seconds;

use super::http::Http;
use super::{DEFAULT_TOPIC, FSYNCED, FSYNCED_TOPIC, HTTP_PARTITIONS, Suites, turns};
use crate::lab::Lab;
use crate::samples::{Sample, servers_of};

/// How long Kafka may take to run warm: a window each.
const WARM_UP_ROUNDS: u32 = 8;
/// The share of its time that a warm JVM still compiles.
const WARM: f64 = 0.1;

impl Suites<'_> {
    /// Makes the topics that the hand-written service writes to, and lets every server run warm: a
    /// JVM's first seconds are not what it is measured by.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        let bootstrap = &self.lab.kafka.bootstrap;
        kafka::create_topic(bootstrap, DEFAULT_TOPIC, HTTP_PARTITIONS, &[])?;
        kafka::create_topic(bootstrap, FSYNCED_TOPIC, HTTP_PARTITIONS, FSYNCED)?;
        let mut problems: Vec<String> = self.lab.missing.iter().cloned().collect();
        for (target, most) in [
            ("tidegate", 1),
            ("baseline", WARM_UP_ROUNDS),
            ("baseline-fsynced", 2),
        ] {
            if turns(self.lab, &[target], 0).is_empty() {
                continue;
            }
            // The others may work.
            if let Err(error) = self.warm_up(target, most) {
                problems.push(format!("{error:#}"));
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => bail!(problems.join("; ")),
        }
    }

    /// Puts load on a target until Kafka's compilers have little left to do.
    fn warm_up(&mut self, target: &str, most: u32) -> Result<()> {
        for round in 1..=most {
            let mut sample = Sample::new("warm-up", target, round);
            let many = Http {
                row: "warm-up",
                connections: 256,
                batch: None,
                rate: None,
                follow: false,
                targets: &[],
            };
            let jvm = JvmUse::start(self.lab);
            self.http_once(many, &mut sample)
                .with_context(|| format!("{target} does not work"))?;
            jvm.stop(&mut sample);
            let warm = sample
                .values
                .get("compilers")
                .is_none_or(|share| *share < WARM);
            let problems = sample.problems.join("; ");
            self.samples.add(sample);
            if !problems.is_empty() {
                bail!("{target} does not work: {problems}");
            }
            if warm {
                break;
            }
        }
        Ok(())
    }
}

/// What Kafka's compilers took of its time, over a whole measurement.
pub(super) struct JvmUse {
    pid: u32,
    before: (f64, f64),
}

impl JvmUse {
    pub(super) fn start(lab: &Lab<'_>) -> Self {
        let pid = lab.kafka.pid;
        Self {
            pid,
            before: jvm_seconds(pid),
        }
    }

    pub(super) fn stop(self, sample: &mut Sample) {
        let (all, compilers) = jvm_seconds(self.pid);
        let (all, compilers) = (all - self.before.0, compilers - self.before.1);
        if servers_of(&sample.target).contains(&"kafka") && all > 0.0 {
            sample.set("compilers", compilers.max(0.0) / all);
        }
    }
}
