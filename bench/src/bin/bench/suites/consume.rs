//! Reading: what was just written, and history that is in nobody's memory.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use tidegate_bench::kafka;
use tidegate_bench::usage::{Client, Meter};

use super::{COLD_RECORDS, HISTORY_TOPIC, PORT_PARTITIONS, Suites, fresh_run, settle, turns};
use crate::samples::Sample;

/// What fits in the memory that tidegate keeps for readers (`log.hot_memory`, 256 MiB): about 190 MiB.
const HOT_RECORDS: u64 = 180_000;

impl Suites<'_> {
    /// Reading: what was just written, then history that is in nobody's memory.
    pub(crate) fn consume(&mut self) -> Result<()> {
        const TARGETS: [&str; 2] = ["tidegate", "kafka"];
        let hot = "bench.hot";
        let hot_records = self.effort.records(HOT_RECORDS);
        let cold_records = self.effort.records(COLD_RECORDS);
        for target in turns(self.lab, &TARGETS, 0) {
            // History first: what comes after it drives it out of tidegate's memory.
            self.fill(target, HISTORY_TOPIC, cold_records)?;
            self.fill(target, hot, hot_records)?;
        }
        for (name, topic, records) in [
            ("hot", hot, hot_records),
            ("cold", HISTORY_TOPIC, cold_records),
        ] {
            for repetition in 1..=self.effort.repeat {
                for target in turns(self.lab, &TARGETS, repetition) {
                    for tool in ["java", "kcat"] {
                        let row = format!("consume-{name}-{tool}");
                        settle();
                        let evicted = match name {
                            "cold" => Some(evict(&self.lab.places.work)?),
                            _ => None,
                        };
                        self.take(Sample::new(&row, target, repetition), |suites, sample| {
                            if let Some(bytes) = evicted {
                                sample.set("evicted_mib", bytes as f64 / 1_048_576.0);
                            }
                            match tool {
                                "java" => suites.consumer_perf_test(sample, topic, records)?,
                                _ => suites.kcat(sample, topic)?,
                            }
                            if sample.values.get("acked") != Some(&(records as f64)) {
                                bail!("not all of the {records} records came");
                            }
                            Ok(())
                        });
                    }
                }
            }
        }
        for target in turns(self.lab, &TARGETS, 0) {
            kafka::delete_topics(self.lab.bootstrap(target)?, &[hot])?;
        }
        Ok(())
    }

    fn kcat(&self, sample: &mut Sample, topic: &str) -> Result<()> {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", self.lab.bootstrap(&sample.target)?, "-C", "-t", topic])
            .args(["-o", "beginning", "-e", "-q", "-f", "."]);
        let meter = Meter::start(&self.lab.watched(), Client::Children);
        let begun = Instant::now();
        let printed = self.output(&mut kcat, 90.0)?;
        let wall_s = begun.elapsed().as_secs_f64();
        let records = printed.len() as f64;
        sample.set("acked", records);
        sample.set("events_per_s", records / wall_s);
        sample.take_use(&meter.stop(), records);
        Ok(())
    }

    /// Fills a topic; what is there already is left alone.
    pub(super) fn fill(&self, target: &str, topic: &str, records: u64) -> Result<()> {
        let bootstrap = self.lab.bootstrap(target)?;
        kafka::create_topic(bootstrap, topic, PORT_PARTITIONS, &[])?;
        if kafka::ends(bootstrap, topic)?.iter().sum::<i64>() == records as i64 {
            return Ok(());
        }
        let (run, time) = fresh_run()?;
        let mut produce = self.produce_command(bootstrap, topic, run, &time);
        produce.args(["--records", &records.to_string()]);
        let outcome = self.outcome(&mut produce, 120.0)?;
        let stored = kafka::ends(bootstrap, topic)?.iter().sum::<i64>();
        if outcome.acked != records || stored != records as i64 {
            bail!(
                "of {records} records {} were acknowledged, {stored} stored",
                outcome.acked
            );
        }
        Ok(())
    }
}

/// Drives the files below `directory` out of the page cache; returns how many bytes they have.
fn evict(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Brokers delete while we look.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            bytes += evict(&entry.path()).unwrap_or(0);
        } else if let Ok(file) = std::fs::File::open(entry.path()) {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}
