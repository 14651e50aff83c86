//! Kafka's own load programs, and the lines they print.

use anyhow::{Context, Result};
use tidegate_bench::kafka;
use tidegate_bench::orders::BODY_BYTES;
use tidegate_bench::usage::{Client, Meter};

use super::{Suites, check_growth};
use crate::samples::Sample;

impl Suites<'_> {
    pub(super) fn perf_test(
        &self,
        sample: &mut Sample,
        topic: &str,
        settings: &[&str],
        records: u64,
        warm_up: u64,
        throughput: f64,
    ) -> Result<()> {
        let bootstrap = self.lab.bootstrap(&sample.target)?;
        let before = kafka::ends(bootstrap, topic)?;
        let mut tool = self.lab.places.kafka(&["tool", "producer-perf-test"]);
        tool.args(["--bootstrap-server", bootstrap, "--topic", topic])
            .args(["--record-size", &BODY_BYTES.to_string()])
            .args(["--num-records", &records.to_string()])
            .args(["--throughput", &throughput.to_string()])
            .args(["--reporting-interval", "100000"]);
        if warm_up > 0 {
            tool.args(["--warmup-records", &warm_up.to_string()]);
        }
        tool.args(["--command-property", "acks=all"]).args(settings);
        let meter = Meter::start(&self.lab.watched(), Client::Children);
        let printed = self.output(&mut tool, 120.0)?;
        let used = meter.stop();
        let line = printed
            .lines()
            .rfind(|line| line.contains("records/sec"))
            .context("producer-perf-test printed no result")?;
        let result = PerfTest::parse(line)
            .with_context(|| format!("producer-perf-test printed `{line}`"))?;
        sample.set("acked", records as f64);
        sample.set("events_per_s", result.records_per_s);
        if throughput > 0.0 {
            // Without a rate the times are those of the client's own queue.
            sample.set("p50_ms", result.p50_ms);
            sample.set("p95_ms", result.p95_ms);
            sample.set("p99_ms", result.p99_ms);
        }
        sample.take_use(&used, records as f64);
        check_growth(sample, bootstrap, topic, &before)?;
        Ok(())
    }

    pub(super) fn consumer_perf_test(
        &self,
        sample: &mut Sample,
        topic: &str,
        records: u64,
    ) -> Result<()> {
        let mut tool = self.lab.places.kafka(&["tool", "consumer-perf-test"]);
        tool.args(["--bootstrap-server", self.lab.bootstrap(&sample.target)?])
            .args(["--topic", topic, "--num-records", &records.to_string()])
            .args(["--hide-header"]);
        let meter = Meter::start(&self.lab.watched(), Client::Children);
        let printed = self.output(&mut tool, 90.0)?;
        let used = meter.stop();
        let line = printed
            .lines()
            .rfind(|line| line.matches(", ").count() >= 9)
            .context("consumer-perf-test printed no result")?;
        // …, records, records/s, time of the rebalance, of fetching, MB/s and records/s of fetching
        let columns: Vec<&str> = line.split(", ").collect();
        sample.set("acked", columns[4].parse()?);
        sample.set("events_per_s", columns[9].parse()?);
        sample.take_use(&used, records as f64);
        Ok(())
    }
}

/// A line of producer-perf-test.
struct PerfTest {
    records_per_s: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl PerfTest {
    fn parse(line: &str) -> Option<Self> {
        let before = |what: &str| -> Option<f64> {
            let (head, _) = line.split_once(what)?;
            head.trim_end().rsplit([' ', '(']).next()?.parse().ok()
        };
        Some(Self {
            records_per_s: before(" records/sec")?,
            p50_ms: before(" ms 50th")?,
            p95_ms: before(" ms 95th")?,
            p99_ms: before(" ms 99th")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_producer_perf_test_is_read() {
        let line = "20000 records sent, 11402.5 records/sec (11.14 MB/sec), 2.31 ms avg latency, \
                    250.00 ms max latency, 1 ms 50th, 4 ms 95th, 24 ms 99th, 61 ms 99.9th.";
        let result = PerfTest::parse(line).expect("it is one");
        assert_eq!(result.records_per_s, 11402.5);
        assert_eq!(
            (result.p50_ms, result.p95_ms, result.p99_ms),
            (1.0, 4.0, 24.0)
        );
    }
}
