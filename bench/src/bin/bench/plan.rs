//! What a run consists of, in which order, how long it will take, and what became of it. A suite
//! that fails takes nothing with it but itself.

use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::suites::Effort;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Suite {
    Floor,
    Check,
    Rest,
    Answers,
    /// Starts the servers that the suites below share, and lets them run warm.
    #[value(skip)]
    WarmUp,
    Http64,
    Http256,
    Batch100,
    HttpRate,
    HttpHalf,
    Java,
    #[value(name = "java-256k")]
    Java256k,
    Librdkafka,
    Rules,
    AckJava,
    AckLibrdkafka,
    Consume,
    Replay,
}

/// What stands around a window, in seconds, on two processors that others use too: for a load of our
/// own (its second of warm-up, reading the log back), for Kafka's tools (a JVM of its own), and for a
/// load beside ten readers.
const AROUND_LOAD_S: f64 = 2.5;
const AROUND_JAVA_S: f64 = 3.5;
const AROUND_REPLAY_S: f64 = 4.5;

impl Suite {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or("warm-up".to_owned(), |value| value.get_name().to_owned())
    }

    /// Says whether it measures the servers that stand side by side; the others have their own.
    pub(crate) fn is_of_lab(self) -> bool {
        !matches!(
            self,
            Self::Floor | Self::Check | Self::Rest | Self::Answers | Self::WarmUp
        )
    }

    /// Returns how long it takes, in seconds: windows, and what stands around them.
    pub(crate) fn estimate_s(self, effort: Effort) -> f64 {
        let (window, at_rate) = (effort.seconds, effort.rate_seconds());
        let repeat = f64::from(effort.repeat);
        let load = |targets: f64, window: f64| targets * repeat * (window + AROUND_LOAD_S);
        let java = |targets: f64, window: f64| targets * repeat * (window + AROUND_JAVA_S);
        match self {
            Self::Floor => 12.0 * effort.floor_seconds() + 2.0,
            // Twelve targets, and the command over two sets.
            Self::Check => repeat * (12.0 * effort.check_seconds() + 2.0) + 2.0,
            Self::Rest => repeat * 24.0,
            Self::Answers => 95.0,
            Self::WarmUp => 12.0 + 9.0 * (window + AROUND_LOAD_S),
            Self::Http64 | Self::Http256 | Self::Batch100 => load(4.0, window),
            // Kafka fsynced falls behind and is given time to catch up.
            Self::HttpRate => load(3.0, at_rate) + repeat * 5.0,
            Self::HttpHalf => load(2.0, at_rate),
            // A second of warm-up, and once a short try.
            Self::Java | Self::Java256k => java(3.0, window + 1.0) + 3.0 * AROUND_JAVA_S,
            Self::Librdkafka => load(3.0, window),
            Self::Rules => load(4.0, window),
            Self::AckJava => java(3.0, at_rate * 1.25),
            Self::AckLibrdkafka => load(3.0, at_rate),
            // Writing, then both brokers with both tools, hot and cold.
            Self::Consume => effort.share_of_records() * (40.0 + repeat * 30.0) + repeat * 12.0,
            Self::Replay => 4.0 * repeat * (at_rate + AROUND_REPLAY_S),
        }
    }
}

/// What became of a suite.
#[derive(Serialize)]
pub(crate) struct Done {
    pub(crate) suite: String,
    pub(crate) estimate_s: f64,
    pub(crate) took_s: f64,
    /// Why it is not whole.
    pub(crate) failure: Option<String>,
}

/// A run on its way.
pub(crate) struct Plan {
    suites: Vec<Suite>,
    effort: Effort,
    limit_s: f64,
    begun: Instant,
    pub(crate) done: Vec<Done>,
}

impl Plan {
    /// Plans the suites that are wanted, all if none is named, and says how long they will take.
    pub(crate) fn new(only: &[Suite], effort: Effort, limit_minutes: f64) -> Self {
        let wanted = |suite: &Suite| only.is_empty() || only.contains(suite);
        let mut suites: Vec<Suite> = Suite::value_variants()
            .iter()
            .copied()
            .filter(wanted)
            .collect();
        if let Some(first) = suites.iter().position(|suite| suite.is_of_lab()) {
            suites.insert(first, Suite::WarmUp);
        }
        let plan = Self {
            suites,
            effort,
            limit_s: limit_minutes * 60.0,
            begun: Instant::now(),
            done: Vec::new(),
        };
        let each: Vec<String> = plan
            .suites
            .iter()
            .map(|suite| format!("{} {:.0} s", suite.name(), suite.estimate_s(effort)))
            .collect();
        eprintln!(
            "bench: about {:.0} minutes, {limit_minutes:.0} at most: {}",
            plan.estimate_s() / 60.0,
            each.join(", ")
        );
        plan
    }

    fn estimate_s(&self) -> f64 {
        let estimates = self
            .suites
            .iter()
            .map(|suite| suite.estimate_s(self.effort));
        estimates.sum()
    }

    pub(crate) fn suites(&self) -> &[Suite] {
        &self.suites
    }

    /// Returns what is not whole.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &Done> {
        self.done.iter().filter(|done| done.failure.is_some())
    }

    pub(crate) fn minutes(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() / 60.0
    }

    /// Runs a suite if it is wanted and the time suffices; returns what it gave.
    pub(crate) fn run<T>(&mut self, suite: Suite, run: impl FnOnce() -> Result<T>) -> Option<T> {
        let place = self.suites.iter().position(|wanted| *wanted == suite)?;
        let estimate_s = suite.estimate_s(self.effort);
        let gone_s = self.begun.elapsed().as_secs_f64();
        eprintln!(
            "bench: [{}/{}] {}, {:.0} of about {:.0} minutes have gone",
            place + 1,
            self.suites.len(),
            suite.name(),
            gone_s / 60.0,
            self.estimate_s() / 60.0,
        );
        let result = match gone_s + estimate_s > self.limit_s {
            true => Err(anyhow::anyhow!(
                "left out: it takes about {:.1} minutes, and {:.1} of {:.0} had gone",
                estimate_s / 60.0,
                gone_s / 60.0,
                self.limit_s / 60.0
            )),
            false => run(),
        };
        let failure = result.as_ref().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            eprintln!("bench: {} FAILED: {failure}", suite.name());
        }
        self.done.push(Done {
            suite: suite.name(),
            estimate_s,
            took_s: self.begun.elapsed().as_secs_f64() - gone_s,
            failure,
        });
        result.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORT: Effort = Effort {
        seconds: 4.0,
        repeat: 3,
    };

    #[test]
    fn a_whole_run_has_room_in_its_limit() {
        let plan = Plan::new(&[], EFFORT, 25.0);
        assert!(plan.estimate_s() < 25.0 * 60.0, "{}", plan.estimate_s());
    }

    #[test]
    fn a_suite_that_fails_takes_nothing_with_it() {
        let mut plan = Plan::new(&[Suite::Floor, Suite::Rest], EFFORT, 25.0);
        let failed: Option<()> = plan.run(Suite::Floor, || anyhow::bail!("no disk"));
        assert_eq!(failed, None);
        assert_eq!(plan.run(Suite::Rest, || Ok(7)), Some(7));
        assert_eq!(plan.run(Suite::Java, || Ok(7)), None, "it is not wanted");
        assert_eq!(plan.done.len(), 2);
        let failures: Vec<_> = plan.failures().map(|done| &done.suite).collect();
        assert_eq!(failures, ["floor"]);
    }

    #[test]
    fn what_has_no_time_left_is_left_out_and_told() {
        let mut plan = Plan::new(&[Suite::Rest], EFFORT, 0.5);
        assert_eq!(plan.run(Suite::Rest, || Ok(7)), None);
        let told = plan.done[0].failure.as_deref().unwrap_or_default();
        assert!(told.starts_with("left out: "), "{told}");
    }
}
