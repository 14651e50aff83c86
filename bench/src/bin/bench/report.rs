//! The dated table: Markdown for people, JSON for the next comparison.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::aims::{self, Verdict};
use crate::machine::Machine;
use crate::peers;
use crate::plan::Plan;
use crate::samples::{Samples, number};

pub(crate) struct Report<'a> {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) command: String,
    pub(crate) repeat: u32,
    pub(crate) seconds: f64,
    pub(crate) machine: &'a Machine,
    pub(crate) load_before: String,
    pub(crate) load_after: String,
    pub(crate) plan: &'a Plan,
    pub(crate) floor: Option<Value>,
    pub(crate) samples: &'a Samples,
}

struct Row {
    name: &'static str,
    title: &'static str,
    columns: &'static [Column],
}

/// A value's name and its heading.
type Column = (&'static str, &'static str);

const HTTP: &[Column] = &[
    ("events_per_s", "events/s"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("cpu_s", "servers' CPU s"),
    ("client_cpu_s", "client's CPU s"),
    ("rss_mib", "RSS MiB"),
    ("strangers_cpus", "strangers"),
];
const HALF: &[Column] = &[
    ("events_per_s", "events/s"),
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("out_p50_ms", "to the consumer: p50 ms"),
    ("out_p95_ms", "p95 ms"),
    ("out_p99_ms", "p99 ms"),
    ("cpu_s", "servers' CPU s"),
    ("strangers_cpus", "strangers"),
];
const THROUGHPUT: &[Column] = &[
    ("events_per_s", "records/s"),
    ("cpu_s", "server's CPU s"),
    ("client_cpu_s", "client's CPU s"),
    ("rss_mib", "RSS MiB"),
    ("strangers_cpus", "strangers"),
];
const TIMES: &[Column] = &[
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("cpu_s", "server's CPU s"),
    ("strangers_cpus", "strangers"),
];
const REPLAY: &[Column] = &[
    ("p50_ms", "p50 ms"),
    ("p95_ms", "p95 ms"),
    ("p99_ms", "p99 ms"),
    ("read_per_s", "records/s read"),
    ("strangers_cpus", "strangers"),
];
const REST: &[Column] = &[
    ("start_s", "fresh start s"),
    ("restart_s", "start again s"),
    ("rss_mib", "RSS at rest MiB"),
];
const CHECK: &[Column] = &[
    ("cpu_us", "CPU µs an event"),
    ("bytes", "bytes of an event"),
];
const COMMAND: &[Column] = &[
    ("contracts", "contracts"),
    ("wall_s", "s"),
    ("cpu_s", "CPU s"),
];
const ANSWERS: &[Column] = &[
    ("events", "events"),
    ("slowest_s", "slowest answer s"),
    ("said_stored", "said stored"),
    ("said_not_stored", "said not stored"),
    ("said_unknown", "said unknown"),
    ("said_nothing", "no answer"),
    ("untrue", "untrue"),
    ("doubles", "twice after the repeat"),
    ("lost", "never stored"),
];

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "check-orders", title: "An event held against its contract: orders, half of them text", columns: CHECK },
    Row { name: "check-readings", title: "An event held against its contract: readings, small values only", columns: CHECK },
    Row { name: "check-command", title: "`contract check`, each schema with one property more", columns: COMMAND },
    Row { name: "rest", title: "At rest", columns: REST },
    Row { name: "answers", title: "What is said of events while something is down, and what the log says", columns: ANSWERS },
    Row { name: "http64", title: "HTTP, one event a request, 64 connections", columns: HTTP },
    Row { name: "http256", title: "HTTP, one event a request, 256 connections", columns: HTTP },
    Row { name: "batch100", title: "HTTP, 100 events a request, 16 connections", columns: HTTP },
    Row { name: "http-rate", title: "HTTP, 2,000 events/s on 64 connections, times from when an event was due", columns: HTTP },
    Row { name: "saturation", title: "HTTP, 64 connections, to find the saturation", columns: HTTP },
    Row { name: "http-half", title: "HTTP, half of tidegate's events/s at 64 connections, a Kafka consumer reads along, times from when an event was due", columns: HALF },
    Row { name: "java", title: "Kafka produce, producer-perf-test, client defaults, 1 KiB, one partition", columns: THROUGHPUT },
    Row { name: "java-256k", title: "The same with batch.size=262144", columns: THROUGHPUT },
    Row { name: "librdkafka", title: "Kafka produce, librdkafka, idempotent, 1 KiB, 10,000 keys, one partition", columns: THROUGHPUT },
    Row { name: "rules-json-off", title: "the same in JSON with an envelope, to a topic that asks for nothing", columns: THROUGHPUT },
    Row { name: "rules-json-on", title: "the same, schema, key, headers and size enforced", columns: THROUGHPUT },
    Row { name: "rules-avro-off", title: "the same in Avro with an envelope, to a topic that asks for nothing", columns: THROUGHPUT },
    Row { name: "rules-avro-on", title: "the same, schema, key, headers and size enforced", columns: THROUGHPUT },
    Row { name: "ack-java", title: "Acknowledgements at 2,000 records/s, producer-perf-test, linger 0 (whole milliseconds)", columns: TIMES },
    Row { name: "ack-librdkafka", title: "Acknowledgements at 2,000 records/s, librdkafka, linger 0, times from when a record was due", columns: TIMES },
    Row { name: "consume-hot-java", title: "Consume what was just written, consumer-perf-test", columns: THROUGHPUT },
    Row { name: "consume-hot-kcat", title: "Consume what was just written, kcat (the whole process)", columns: THROUGHPUT },
    Row { name: "consume-cold-java", title: "Consume history that is in no memory, consumer-perf-test", columns: THROUGHPUT },
    Row { name: "consume-cold-kcat", title: "Consume history that is in no memory, kcat (the whole process)", columns: THROUGHPUT },
    Row { name: "replay-none", title: "2,000 records/s, nobody reads", columns: REPLAY },
    Row { name: "replay-ten", title: "2,000 records/s while ten consumers read all history", columns: REPLAY },
];

impl Report<'_> {
    fn verdicts(&self) -> Vec<Verdict> {
        aims::verdicts(self.samples, |quantile| {
            let floors = self.floor.as_ref()?.as_array()?;
            let small = floors
                .iter()
                .find(|floor| floor["way"] == "O_DIRECT|O_DSYNC" && floor["size_kib"] == 16)?;
            small["latency"][quantile].as_f64()
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "date": self.date,
            "commit": self.commit,
            "command": self.command,
            "repeat": self.repeat,
            "seconds": self.seconds,
            "minutes": self.plan.minutes(),
            "suites": self.plan.done,
            "machine": self.machine,
            "load_before": self.load_before,
            "load_after": self.load_after,
            "floor": self.floor,
            "aims": self.verdicts(),
            "samples": self.samples.0,
        })
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a String takes everything");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# Measured {}, commit {}\n", self.date, self.commit)?;
        writeln!(
            out,
            "`{}`, {:.0} minutes. How to read it: ../README.md.\n",
            self.command,
            self.plan.minutes()
        )?;
        for line in self.machine.lines() {
            writeln!(out, "- {line}")?;
        }
        writeln!(
            out,
            "- load average before: {}; after: {}",
            self.load_before, self.load_after
        )?;
        for (value, what) in [
            ("strangers_cpus", "processors held by strangers"),
            ("compilers", "share of Kafka's time that its compilers took"),
        ] {
            if let Some(spread) = self.over_all(value) {
                writeln!(
                    out,
                    "- {what}: {spread}, median (least..most) over all samples"
                )?;
            }
        }
        writeln!(
            out,
            "- every figure: median (least..most) of {}, windows of {} s; CPU seconds are user and system time a 100,000 events",
            self.repeat,
            number(self.seconds),
        )?;
        self.write_aims(out)?;
        self.write_floor(out)?;
        for row in ROWS {
            if self.samples.rows().contains(&row.name) {
                self.write_row(out, row)?;
            }
        }
        peers::write(out, self.samples)?;
        self.write_failures(out)
    }

    fn over_all(&self, value: &str) -> Option<String> {
        let samples = self
            .samples
            .0
            .iter()
            .filter(|sample| sample.row != "warm-up");
        let mut values: Vec<f64> = samples
            .filter_map(|sample| sample.values.get(value).copied())
            .collect();
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2)?;
        let (least, most) = (values.first()?, values.last()?);
        Some(format!("{median:.2} ({least:.2}..{most:.2})"))
    }

    fn write_aims(&self, out: &mut String) -> std::fmt::Result {
        let verdicts = self.verdicts();
        let reached = verdicts.iter().filter(|v| v.reached == Some(true)).count();
        let measured = verdicts.iter().filter(|v| v.reached.is_some()).count();
        writeln!(
            out,
            "\n## Aims: {reached} of {measured} measured are reached\n"
        )?;
        writeln!(out, "| work | aim | tidegate | against | ratio | reached |")?;
        writeln!(out, "|---|---|---|---|---|---|")?;
        let mut last = "";
        for verdict in &verdicts {
            let cell = |value: Option<f64>| value.map_or("–".to_owned(), number);
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                if verdict.work == last {
                    ""
                } else {
                    verdict.work
                },
                verdict.aim,
                cell(verdict.ours),
                cell(verdict.theirs),
                cell(verdict.ratio),
                match verdict.reached {
                    Some(true) => "yes",
                    Some(false) => "**no**",
                    None => "not measured",
                },
            )?;
            last = verdict.work;
        }
        Ok(())
    }

    fn write_floor(&self, out: &mut String) -> std::fmt::Result {
        let Some(floors) = self.floor.as_ref().and_then(Value::as_array) else {
            return Ok(());
        };
        writeln!(
            out,
            "\n## The disk's floor: durable writes over a file of zeros\n"
        )?;
        writeln!(
            out,
            "| way | KiB | writes/s | MiB/s | p50 ms | p95 ms | p99 ms |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        for floor in floors {
            let figure = |value: &Value| value.as_f64().map_or("–".to_owned(), number);
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} |",
                // A bar would end the cell.
                floor["way"].as_str().unwrap_or_default().replace('|', " "),
                floor["size_kib"],
                figure(&floor["writes_per_s"]),
                figure(&floor["mib_per_s"]),
                figure(&floor["latency"]["p50_ms"]),
                figure(&floor["latency"]["p95_ms"]),
                figure(&floor["latency"]["p99_ms"]),
            )?;
        }
        Ok(())
    }

    fn write_row(&self, out: &mut String, row: &Row) -> std::fmt::Result {
        writeln!(out, "\n## {}: {}\n", row.name, row.title)?;
        let checked = ![REST, ANSWERS, CHECK, COMMAND].contains(&row.columns);
        let headings: Vec<&str> = row.columns.iter().map(|(_, heading)| *heading).collect();
        let last = if checked { " log = acks |" } else { "" };
        writeln!(out, "| target | {} |{last}", headings.join(" | "))?;
        writeln!(
            out,
            "|{}",
            "---|".repeat(headings.len() + 1 + usize::from(checked))
        )?;
        for target in self.samples.targets(row.name) {
            write!(out, "| {target} |")?;
            for (value, _) in row.columns {
                match self.samples.spread(row.name, target, value) {
                    Some(spread) if spread.low == spread.high => {
                        write!(out, " {} |", number(spread.median))?;
                    }
                    Some(spread) => write!(
                        out,
                        " {} ({}..{}) |",
                        number(spread.median),
                        number(spread.low),
                        number(spread.high),
                    )?,
                    None => write!(out, " – |")?,
                }
            }
            if checked {
                let total = |value| -> f64 {
                    let values = self.samples.of(row.name, target);
                    values.filter_map(|sample| sample.values.get(value)).sum()
                };
                match (self.samples.is_void(row.name, target), target) {
                    (true, _) => write!(out, " **FAILED** |")?,
                    (false, "bare") => write!(out, " – |")?,
                    (false, _) => {
                        write!(out, " yes, {}", number(total("acked")))?;
                        if total("unsent") > 0.0 {
                            write!(out, "; fell behind, {} not sent", number(total("unsent")))?;
                        }
                        write!(out, " |")?;
                    }
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn write_failures(&self, out: &mut String) -> std::fmt::Result {
        let failed: Vec<_> = self
            .samples
            .0
            .iter()
            .filter(|sample| !sample.problems.is_empty())
            .collect();
        if failed.is_empty() && self.plan.failures().next().is_none() {
            return Ok(());
        }
        writeln!(out, "\n## Failed\n")?;
        for done in self.plan.failures() {
            let failure = done.failure.as_deref().unwrap_or_default();
            writeln!(out, "- suite {}: {failure}", done.suite)?;
        }
        for sample in failed {
            writeln!(
                out,
                "- {} {} {}: {}",
                sample.row,
                sample.target,
                sample.repetition,
                sample.problems.join("; "),
            )?;
        }
        Ok(())
    }
}
