//! What Kafka clients get: records to acknowledgements, as fast as they go and at a fixed rate.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Result;
use tidegate_bench::kafka;
use tidegate_bench::orders::Orders;

use super::{
    FSYNCED, PORT_PARTITIONS, PORT_TARGETS, RATE, Suites, WARM_UP_S, check_log, fresh_run, settle,
    turns, watch,
};
use crate::samples::Sample;

impl Suites<'_> {
    /// Makes a topic for what follows on every broker, under the name of the row and target.
    fn port_topic(&self, row: &str, target: &str) -> Result<String> {
        let topic = format!("bench.{row}.{target}");
        let settings = if target == "kafka-fsynced" {
            FSYNCED
        } else {
            &[]
        };
        kafka::create_topic(
            self.lab.bootstrap(target)?,
            &topic,
            PORT_PARTITIONS,
            settings,
        )?;
        Ok(topic)
    }

    /// Runs something for every Kafka target in turn, each with a topic of its own.
    pub(super) fn port(
        &mut self,
        row: &str,
        targets: &[&str],
        mut once: impl FnMut(&Self, &mut Sample, &str) -> Result<()>,
    ) -> Result<()> {
        for repetition in 1..=self.effort.repeat {
            for target in turns(self.lab, targets, repetition) {
                self.take(Sample::new(row, target, repetition), |suites, sample| {
                    let topic = suites.port_topic(row, target)?;
                    settle();
                    once(suites, sample, &topic)
                });
            }
        }
        for target in turns(self.lab, targets, 0) {
            let topic = format!("bench.{row}.{target}");
            kafka::delete_topics(self.lab.bootstrap(target)?, &[&topic])?;
        }
        Ok(())
    }

    /// Kafka's own producer-perf-test, as fast as it goes.
    pub(crate) fn java(&mut self, row: &str, settings: &[&str]) -> Result<()> {
        let mut rates = BTreeMap::new();
        let seconds = self.effort.seconds;
        self.port(row, &PORT_TARGETS, |suites, sample, topic| {
            let rate = match rates.get(&sample.target) {
                Some(rate) => *rate,
                // How many records make up the time is not known before a first, short try.
                None => {
                    let mut pilot = sample.clone();
                    suites.perf_test(&mut pilot, topic, settings, 20_000, 0, -1.0)?;
                    pilot.values["events_per_s"] * 2.0
                }
            };
            let warm_up = (rate * WARM_UP_S) as u64;
            let records = (rate * seconds) as u64 + warm_up;
            suites.perf_test(sample, topic, settings, records, warm_up, -1.0)?;
            rates.insert(sample.target.clone(), sample.values["events_per_s"]);
            Ok(())
        })
    }

    /// The same at a fixed rate, without linger: how long an acknowledgement takes.
    pub(crate) fn java_rate(&mut self) -> Result<()> {
        let seconds = self.effort.rate_seconds();
        self.port("ack-java", &PORT_TARGETS, |suites, sample, topic| {
            let measured = (RATE * seconds) as u64;
            let warm_up = measured / 4;
            suites.perf_test(
                sample,
                topic,
                &["linger.ms=0"],
                measured + warm_up,
                warm_up,
                RATE,
            )
        })
    }

    /// librdkafka, as fast as it goes or at a fixed rate.
    pub(crate) fn librdkafka(&mut self, row: &str, rate: Option<f64>) -> Result<()> {
        self.port(row, &PORT_TARGETS, |suites, sample, topic| {
            suites.produce(sample, topic, rate)
        })
    }

    pub(super) fn produce(
        &self,
        sample: &mut Sample,
        topic: &str,
        rate: Option<f64>,
    ) -> Result<()> {
        let bootstrap = self.lab.bootstrap(&sample.target)?;
        let (run, time) = fresh_run()?;
        let mut produce = self.produce_command(bootstrap, topic, run, &time);
        let seconds = match rate {
            Some(rate) => {
                produce.args(["--rate", &rate.to_string(), "--set", "linger.ms=0"]);
                self.effort.rate_seconds()
            }
            None => self.effort.seconds,
        };
        produce
            .args(["--warm-up", &WARM_UP_S.to_string()])
            .args(["--seconds", &seconds.to_string()]);
        let before = kafka::ends(bootstrap, topic)?;
        let outcome = self.outcome(&mut produce, seconds)?;
        sample.take(&outcome);
        check_log(sample, bootstrap, topic, &before, &Orders::new(run, &time))
    }

    pub(super) fn produce_command(
        &self,
        bootstrap: &str,
        topic: &str,
        run: u32,
        time: &str,
    ) -> Command {
        let mut produce = self.lab.places.program("produce");
        produce
            .args(["--bootstrap", bootstrap, "--topic", topic])
            .args(["--run", &run.to_string(), "--time", time])
            .args(["--set", "socket.nagle.disable=true"]);
        watch(&mut produce, &self.lab.watched());
        produce
    }
}
