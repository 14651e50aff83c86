//! HTTP events to receipts.

use std::time::Duration;

use anyhow::{Context, Result};
use tidegate_bench::follow::{Followed, Follower};
use tidegate_bench::kafka::{self, Ends};
use tidegate_bench::orders::Orders;

use super::{
    CONTRACT_TOPIC, DEFAULT_TOPIC, Effort, FSYNCED_TOPIC, Suites, WARM_UP_S, check_log, fresh_run,
    settle, turns, watch,
};
use crate::samples::Sample;

/// One HTTP measurement.
#[derive(Clone, Copy)]
pub(crate) struct Http<'a> {
    pub(crate) row: &'a str,
    pub(crate) connections: usize,
    pub(crate) batch: Option<usize>,
    pub(crate) rate: Option<f64>,
    /// Whether a Kafka consumer reads along.
    pub(crate) follow: bool,
    pub(crate) targets: &'a [&'a str],
}

impl Suites<'_> {
    /// HTTP events to receipts.
    pub(crate) fn http(&mut self, http: Http<'_>) -> Result<()> {
        for repetition in 1..=self.effort.repeat {
            for target in turns(self.lab, http.targets, repetition) {
                let sample = Sample::new(http.row, target, repetition);
                self.take(sample, |suites, sample| suites.http_once(http, sample));
            }
        }
        Ok(())
    }

    pub(super) fn http_once(&self, http: Http<'_>, sample: &mut Sample) -> Result<()> {
        let lab = self.lab;
        let (address, topic) = match sample.target.as_str() {
            "tidegate" => {
                let tidegate = lab.tidegate.as_ref().context("there is no tidegate")?;
                (tidegate.http()?, Some(CONTRACT_TOPIC))
            }
            "baseline" => (lab.baseline.http()?, Some(DEFAULT_TOPIC)),
            "baseline-fsynced" => (lab.baseline.http()?, Some(FSYNCED_TOPIC)),
            _ => (lab.bare.http()?, None),
        };
        let (form, path) = match (sample.target.as_str(), http.batch, topic) {
            ("tidegate", None, _) => ("binary", "/v1/events".to_owned()),
            ("tidegate", Some(_), _) => ("batch", "/v1/events".to_owned()),
            (_, None, Some(topic)) => ("plain", format!("/topics/{topic}")),
            (_, Some(_), Some(topic)) => ("batch", format!("/topics/{topic}/batch")),
            (_, batch, None) => (batch.map_or("binary", |_| "batch"), "/".to_owned()),
        };
        let bootstrap = lab.bootstrap(&sample.target)?;
        let ends = |topic: Option<&str>| -> Result<Ends> {
            topic.map_or_else(|| Ok(Ends::new()), |topic| kafka::ends(bootstrap, topic))
        };
        let (run, time) = fresh_run()?;
        let seconds = match http.rate {
            Some(_) => self.effort.rate_seconds(),
            None => self.effort.seconds,
        };
        let mut load = lab.places.program("load");
        load.args(["--address", &address.to_string()])
            .args(["--path", &path, "--form", form])
            .args(["--connections", &http.connections.to_string()])
            .args(["--warm-up", &WARM_UP_S.to_string()])
            .args(["--seconds", &seconds.to_string()])
            .args(["--run", &run.to_string(), "--time", &time]);
        if let Some(batch) = http.batch {
            load.args(["--batch", &batch.to_string()]);
        }
        if let Some(rate) = http.rate {
            load.args(["--rate", &rate.to_string()]);
            sample.set("rate", rate);
        }
        watch(&mut load, &lab.watched());
        let before = ends(topic)?;
        settle();
        let follower = match topic {
            Some(topic) if http.follow => {
                // The consumer is in this process, and no stranger.
                load.args(["--watch", &format!("consumer={}", std::process::id())]);
                let warm_up = Duration::from_secs_f64(WARM_UP_S);
                Some(Follower::start(bootstrap, topic, &before, warm_up)?)
            }
            _ => None,
        };
        let outcome = self.outcome(&mut load, seconds)?;
        sample.take(&outcome);
        if let Some(follower) = follower {
            take_followed(sample, &follower.finish(outcome.acked)?);
        }
        let Some(topic) = topic else {
            return Ok(());
        };
        check_log(sample, bootstrap, topic, &before, &Orders::new(run, &time))
    }

    /// A rate that tidegate carries twice over, as far as this run has shown.
    pub(crate) fn half_of_saturation(&mut self) -> Result<()> {
        let saturation = match self.samples.median("http64", "tidegate", "events_per_s") {
            Some(events_per_s) => events_per_s,
            None => {
                let effort = self.effort;
                self.effort = Effort {
                    seconds: effort.seconds.min(3.0),
                    repeat: 1,
                };
                self.http(Http {
                    row: "saturation",
                    connections: 64,
                    batch: None,
                    rate: None,
                    follow: false,
                    targets: &["tidegate"],
                })?;
                self.effort = effort;
                match self
                    .samples
                    .median("saturation", "tidegate", "events_per_s")
                {
                    Some(events_per_s) => events_per_s,
                    None => return Ok(()),
                }
            }
        };
        self.http(Http {
            row: "http-half",
            connections: 64,
            batch: None,
            rate: Some((saturation / 2.0).round()),
            follow: true,
            targets: &["tidegate", "baseline"],
        })
    }
}

fn take_followed(sample: &mut Sample, followed: &Followed) {
    let acked = sample.values.get("acked").copied().unwrap_or(0.0);
    if followed.records as f64 != acked {
        let problem = format!("the consumer had {} of {acked} events", followed.records);
        sample.problems.push(problem);
    }
    if let Some(latency) = &followed.latency {
        sample.set("out_p50_ms", latency.p50_ms);
        sample.set("out_p95_ms", latency.p95_ms);
        sample.set("out_p99_ms", latency.p99_ms);
    }
}
