//! The measurements. In each, the targets take turns within a repetition, and who begins moves on
//! with every repetition; the disk is synced before each, so that nobody pays for the pages that
//! another left behind; afterwards the log is asked what it holds.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use tidegate_bench::kafka::{self, Ends};
use tidegate_bench::orders::{BODY_BYTES, Orders};
use tidegate_bench::outcome::Outcome;
use tidegate_bench::usage::{Client, Meter, Watched, jvm_seconds, rss_mib};

use crate::lab::{self, Kafka, Lab, Places, output_of};
use crate::samples::{Sample, Samples, servers_of};

/// What a run of the bench was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) seconds: f64,
    pub(crate) repeat: u32,
}

const WARM_UP_S: f64 = 1.0;
/// How long Kafka may take to run warm: a window each.
const WARM_UP_ROUNDS: u32 = 8;
/// The share of its time that a warm JVM still compiles.
const WARM: f64 = 0.1;
/// Partitions of the topics behind HTTP, and of those that Kafka clients write to.
const HTTP_PARTITIONS: i32 = 6;
const PORT_PARTITIONS: i32 = 1;
const CONTRACT_TOPIC: &str = "bench.orders";
const DEFAULT_TOPIC: &str = "bench.default";
const FSYNCED_TOPIC: &str = "bench.fsynced";
const FSYNCED: &[(&str, &str)] = &[("flush.messages", "1")];
const PORT_TARGETS: [&str; 3] = ["tidegate", "kafka", "kafka-fsynced"];
/// A rate that everybody keeps up with.
pub(crate) const RATE: f64 = 2_000.0;
/// A JIT needs this long at a low rate before its times are its own.
const LEAST_RATE_SECONDS: f64 = 8.0;
/// What fits in the memory that tidegate keeps for readers (`log.hot_memory`, 256 MiB), and what does
/// not: about 190 MiB and 1.1 GiB.
const HOT_RECORDS: u64 = 180_000;
const COLD_RECORDS: u64 = 1_000_000;
/// Windows shorter than this are a try, for which less is read too.
const FULL_SECONDS: f64 = 3.0;
const HISTORY_TOPIC: &str = "bench.history";
const READERS: usize = 10;

/// One HTTP measurement.
#[derive(Clone, Copy)]
pub(crate) struct Http<'a> {
    pub(crate) row: &'a str,
    pub(crate) connections: usize,
    pub(crate) batch: Option<usize>,
    pub(crate) rate: Option<f64>,
    pub(crate) targets: &'a [&'a str],
}

pub(crate) struct Suites<'a> {
    pub(crate) lab: &'a Lab<'a>,
    pub(crate) samples: &'a mut Samples,
    pub(crate) effort: Effort,
}

impl Effort {
    /// How long a window at a fixed rate is.
    fn rate_seconds(self) -> f64 {
        self.seconds.max(LEAST_RATE_SECONDS.min(self.seconds * 2.0))
    }

    fn records(self, records: u64) -> u64 {
        match self.seconds < FULL_SECONDS {
            true => records / 10,
            false => records,
        }
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

impl Suites<'_> {
    /// Makes the topics that the hand-written service writes to, and lets every server run warm: a
    /// JVM's first seconds are not what it is measured by.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        let bootstrap = &self.lab.kafka.bootstrap;
        kafka::create_topic(bootstrap, DEFAULT_TOPIC, HTTP_PARTITIONS, &[])?;
        kafka::create_topic(bootstrap, FSYNCED_TOPIC, HTTP_PARTITIONS, FSYNCED)?;
        for (target, most) in [
            ("tidegate", 1),
            ("baseline", WARM_UP_ROUNDS),
            ("baseline-fsynced", 2),
        ] {
            if !turns(self.lab, &[target], 0).is_empty() {
                self.warm_up(target, most)?;
            }
        }
        Ok(())
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

    fn output(&self, command: &mut Command, seconds: f64) -> Result<String> {
        let limit = Duration::from_secs_f64(seconds);
        output_of(command, limit, &self.lab.places.work)
    }

    fn outcome(&self, command: &mut Command, seconds: f64) -> Result<Outcome> {
        let printed = self.output(command, seconds + 90.0)?;
        serde_json::from_str(&printed).context("a load program printed no outcome")
    }

    /// HTTP events to receipts.
    pub(crate) fn http(&mut self, http: Http<'_>) -> Result<()> {
        for repetition in 1..=self.effort.repeat {
            for target in turns(self.lab, http.targets, repetition) {
                let mut sample = Sample::new(http.row, target, repetition);
                let jvm = JvmUse::start(self.lab);
                if let Err(error) = self.http_once(http, &mut sample) {
                    sample.problems.push(format!("{error:#}"));
                }
                jvm.stop(&mut sample);
                self.samples.add(sample);
            }
        }
        Ok(())
    }

    fn http_once(&self, http: Http<'_>, sample: &mut Sample) -> Result<()> {
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
        let outcome = self.outcome(&mut load, seconds)?;
        sample.take(&outcome);
        let Some(topic) = topic else {
            return Ok(());
        };
        let after = ends(Some(topic))?;
        sample.check_stored(kafka::records_between(&before, &after));
        if sample.problems.is_empty() {
            let orders = Orders::new(run, &time);
            let distinct = kafka::distinct(bootstrap, topic, &before, &after, &orders)?;
            sample.set("distinct", distinct as f64);
        }
        Ok(())
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
            targets: &["tidegate", "baseline"],
        })
    }

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
    fn port(
        &mut self,
        row: &str,
        targets: &[&str],
        mut once: impl FnMut(&Self, &mut Sample, &str) -> Result<()>,
    ) -> Result<()> {
        for repetition in 1..=self.effort.repeat {
            for target in turns(self.lab, targets, repetition) {
                let mut sample = Sample::new(row, target, repetition);
                let jvm = JvmUse::start(self.lab);
                let done = self.port_topic(row, target).and_then(|topic| {
                    settle();
                    once(self, &mut sample, &topic)
                });
                if let Err(error) = done {
                    sample.problems.push(format!("{error:#}"));
                }
                jvm.stop(&mut sample);
                self.samples.add(sample);
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
        let mut rates = std::collections::BTreeMap::new();
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

    fn perf_test(
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
        let after = kafka::ends(bootstrap, topic)?;
        sample.check_stored(kafka::records_between(&before, &after));
        Ok(())
    }

    /// librdkafka, as fast as it goes or at a fixed rate.
    pub(crate) fn librdkafka(&mut self, row: &str, rate: Option<f64>) -> Result<()> {
        self.port(row, &PORT_TARGETS, |suites, sample, topic| {
            suites.produce(sample, topic, rate)
        })
    }

    fn produce(&self, sample: &mut Sample, topic: &str, rate: Option<f64>) -> Result<()> {
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
        let after = kafka::ends(bootstrap, topic)?;
        sample.check_stored(kafka::records_between(&before, &after));
        if sample.problems.is_empty() {
            let orders = Orders::new(run, &time);
            let distinct = kafka::distinct(bootstrap, topic, &before, &after, &orders)?;
            sample.set("distinct", distinct as f64);
        }
        Ok(())
    }

    fn produce_command(&self, bootstrap: &str, topic: &str, run: u32, time: &str) -> Command {
        let mut produce = self.lab.places.program("produce");
        produce
            .args(["--bootstrap", bootstrap, "--topic", topic])
            .args(["--run", &run.to_string(), "--time", time])
            .args(["--set", "socket.nagle.disable=true"]);
        watch(&mut produce, &self.lab.watched());
        produce
    }

    /// Fills a topic; what is there already is left alone.
    fn fill(&self, target: &str, topic: &str, records: u64) -> Result<()> {
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
                        let mut sample = Sample::new(&row, target, repetition);
                        settle();
                        if name == "cold" {
                            let evicted = evict(&self.lab.places.work)?;
                            sample.set("evicted_mib", evicted as f64 / 1_048_576.0);
                        }
                        let jvm = JvmUse::start(self.lab);
                        let done = match tool {
                            "java" => self.consumer_perf_test(&mut sample, topic, records),
                            _ => self.kcat(&mut sample, topic),
                        };
                        if let Err(error) = done {
                            sample.problems.push(format!("{error:#}"));
                        }
                        jvm.stop(&mut sample);
                        if sample.values.get("acked") != Some(&(records as f64)) {
                            sample
                                .problems
                                .push(format!("not all of the {records} records came"));
                        }
                        self.samples.add(sample);
                    }
                }
            }
        }
        for target in turns(self.lab, &TARGETS, 0) {
            kafka::delete_topics(self.lab.bootstrap(target)?, &[hot])?;
        }
        Ok(())
    }

    fn consumer_perf_test(&self, sample: &mut Sample, topic: &str, records: u64) -> Result<()> {
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

    /// How long an acknowledgement takes while ten consumers read all history, and while none does.
    pub(crate) fn replay(&mut self) -> Result<()> {
        let targets = &PORT_TARGETS[..2];
        let history = self.effort.records(COLD_RECORDS);
        for target in turns(self.lab, targets, 0) {
            self.fill(target, HISTORY_TOPIC, history)?;
        }
        let seconds = self.effort.rate_seconds();
        self.port("replay-none", targets, |suites, sample, topic| {
            suites.produce(sample, topic, Some(RATE))
        })?;
        self.port("replay-ten", targets, |suites, sample, topic| {
            let mut readers = suites.lab.places.program("consume");
            readers
                .args(["--bootstrap", suites.lab.bootstrap(&sample.target)?])
                .args(["--topic", HISTORY_TOPIC])
                .args(["--consumers", &READERS.to_string()])
                // From before the clock starts until after it ends.
                .args(["--seconds", &(seconds + WARM_UP_S + 1.0).to_string()]);
            let work = suites.lab.places.work.join("readers");
            std::fs::create_dir_all(&work)?;
            let limit = Duration::from_secs_f64(seconds + 60.0);
            let reading = std::thread::spawn(move || output_of(&mut readers, limit, &work));
            let produced = suites.produce(sample, topic, Some(RATE));
            let printed = reading.join().expect("no thread panics")?;
            produced?;
            let read: serde_json::Value = serde_json::from_str(&printed)?;
            let records = read["records"].as_f64().unwrap_or(0.0);
            sample.set("read_per_s", records / (seconds + WARM_UP_S + 1.0));
            if records < history as f64 / 10.0 {
                sample
                    .problems
                    .push("the readers read next to nothing".to_owned());
            }
            Ok(())
        })
    }
}

/// What Kafka's compilers took of its time, over a whole measurement.
struct JvmUse {
    pid: u32,
    before: (f64, f64),
}

impl JvmUse {
    fn start(lab: &Lab<'_>) -> Self {
        let pid = lab.kafka.pid;
        Self {
            pid,
            before: jvm_seconds(pid),
        }
    }

    fn stop(self, sample: &mut Sample) {
        let (all, compilers) = jvm_seconds(self.pid);
        let (all, compilers) = (all - self.before.0, compilers - self.before.1);
        if servers_of(&sample.target).contains(&"kafka") && all > 0.0 {
            sample.set("compilers", compilers.max(0.0) / all);
        }
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

/// The floor of the disk.
pub(crate) fn floor(places: &Places, seconds: f64) -> Result<serde_json::Value> {
    settle();
    let mut floor = places.program("floor");
    floor
        .arg("--directory")
        .arg(&places.work)
        .args(["--seconds", &seconds.to_string()]);
    let printed = output_of(&mut floor, Duration::from_secs(120), &places.work)?;
    Ok(serde_json::from_str(&printed)?)
}

/// From nothing to ready, and the memory that is held when nobody asks for anything.
pub(crate) fn rest(places: &Places, samples: &mut Samples, effort: Effort) -> Result<()> {
    const IDLE: Duration = Duration::from_secs(3);
    for repetition in 1..=effort.repeat {
        if places.tidegate.is_file() {
            let mut sample = Sample::new("rest", "tidegate", repetition);
            let data = format!("rest-tidegate-{repetition}");
            settle();
            let tidegate = lab::start_tidegate(places, &data)?;
            sample.set("start_s", tidegate.ready_after.as_secs_f64());
            std::thread::sleep(IDLE);
            sample.set("rss_mib", rss_mib(tidegate.pid()));
            drop(tidegate);
            settle();
            let again = lab::start_tidegate(places, &data)?;
            sample.set("restart_s", again.ready_after.as_secs_f64());
            samples.add(sample);
        }
        let mut sample = Sample::new("rest", "kafka", repetition);
        let data = format!("rest-kafka-{repetition}");
        settle();
        let kafka = Kafka::start(places, &data)?;
        sample.set("start_s", kafka.ready_after.as_secs_f64());
        std::thread::sleep(IDLE);
        sample.set("rss_mib", rss_mib(kafka.pid));
        drop(kafka);
        settle();
        let again = Kafka::start(places, &data)?;
        sample.set("restart_s", again.ready_after.as_secs_f64());
        samples.add(sample);
    }
    Ok(())
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
