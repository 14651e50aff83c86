//! What was measured: a sample a repetition, and the medians that the tables show.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_bench::outcome::Outcome;
use tidegate_bench::usage::Use;

/// One measurement of one target in one row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) row: String,
    pub(crate) target: String,
    pub(crate) repetition: u32,
    pub(crate) values: BTreeMap<String, f64>,
    /// Why it is void; empty if it counts.
    pub(crate) problems: Vec<String>,
}

/// Which watched processes serve a target.
pub(crate) fn servers_of(target: &str) -> &'static [&'static str] {
    match target {
        "tidegate" => &["tidegate"],
        "baseline" | "baseline-fsynced" => &["baseline", "kafka"],
        "bare" => &["bare"],
        _ => &["kafka"],
    }
}

impl Sample {
    pub(crate) fn new(row: &str, target: &str, repetition: u32) -> Self {
        Self {
            row: row.to_owned(),
            target: target.to_owned(),
            repetition,
            values: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.values.insert(name.to_owned(), value);
    }

    /// Takes over an outcome of a load program.
    pub(crate) fn take(&mut self, outcome: &Outcome) {
        self.set("events_per_s", outcome.events_per_s);
        self.set("acked", outcome.acked as f64);
        self.set("unsent", outcome.unsent as f64);
        if let Some(latency) = &outcome.latency {
            self.set("p50_ms", latency.p50_ms);
            self.set("p95_ms", latency.p95_ms);
            self.set("p99_ms", latency.p99_ms);
            self.set("p999_ms", latency.p999_ms);
            self.set("max_ms", latency.max_ms);
        }
        if let Some(used) = &outcome.used {
            self.take_use(used, outcome.window_events as f64);
        }
        self.problems.extend(outcome.problems.iter().cloned());
        if outcome.window_events == 0 {
            self.problems
                .push("nothing was acknowledged in the window".to_owned());
        }
    }

    /// Takes over what the processes used for `events`, as seconds per 100,000 of them.
    pub(crate) fn take_use(&mut self, used: &Use, events: f64) {
        let per = 100_000.0 / events.max(1.0);
        let servers = servers_of(&self.target);
        let (mut cpu_s, mut rss_mib) = (0.0, 0.0);
        for process in &used.watched {
            if servers.contains(&process.name.as_str()) {
                cpu_s += process.cpu_s;
                rss_mib += process.rss_mib;
                self.set(&format!("cpu_s.{}", process.name), process.cpu_s * per);
            } else {
                self.set(
                    &format!("idle_cpus.{}", process.name),
                    process.cpu_s / used.wall_s,
                );
            }
        }
        self.set("cpu_s", cpu_s * per);
        self.set("rss_mib", rss_mib);
        self.set("client_cpu_s", used.client_cpu_s * per);
        self.set("strangers_cpus", used.strangers_cpus);
        self.set("stolen_cpus", used.stolen_cpus);
    }

    /// Holds the log against the acknowledgements: both counts must be the same.
    pub(crate) fn check_stored(&mut self, stored: i64) {
        self.set("stored", stored as f64);
        let acked = self.values.get("acked").copied().unwrap_or(0.0) as i64;
        if acked != stored {
            self.problems.push(format!(
                "{acked} acknowledged, but the log grew by {stored}"
            ));
        }
    }
}

/// Everything measured so far.
#[derive(Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

/// The middle, and both ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Samples {
    /// Notes a sample, and says so on stderr.
    pub(crate) fn add(&mut self, sample: Sample) {
        let figure = |name: &str, unit: &str| {
            sample
                .values
                .get(name)
                .map(|value| format!("  {}{unit}", number(*value)))
                .unwrap_or_default()
        };
        eprintln!(
            "bench: {:<16} {:<17} {}{}{}{}{}{}{}{}{}{}",
            sample.row,
            sample.target,
            sample.repetition,
            figure("events_per_s", "/s"),
            figure("p99_ms", " ms p99"),
            figure("cpu_s", " CPU s"),
            figure("rss_mib", " MiB"),
            figure("cpu_us", " µs"),
            figure("slowest_s", " s slowest"),
            figure("untrue", " untrue"),
            figure("doubles", " twice"),
            if sample.problems.is_empty() {
                String::new()
            } else {
                format!("  FAILED: {}", sample.problems.join("; "))
            },
        );
        self.0.push(sample);
    }

    /// Returns the rows in the order they were measured.
    pub(crate) fn rows(&self) -> Vec<&str> {
        let mut rows: Vec<&str> = Vec::new();
        for sample in &self.0 {
            if !rows.contains(&sample.row.as_str()) {
                rows.push(&sample.row);
            }
        }
        rows
    }

    /// Returns the targets of a row, in a fixed order: ours first.
    pub(crate) fn targets(&self, row: &str) -> Vec<&str> {
        let mut targets: Vec<&str> = Vec::new();
        for sample in self.0.iter().filter(|sample| sample.row == row) {
            if !targets.contains(&sample.target.as_str()) {
                targets.push(&sample.target);
            }
        }
        targets.sort_by_key(|target| {
            let known = ["kafka", "kafka-fsynced", "baseline", "baseline-fsynced"];
            let place = known.iter().position(|known| known == target);
            // What is done to it may stand behind its name.
            (
                !target.starts_with("tidegate"),
                place.unwrap_or(known.len()),
            )
        });
        targets
    }

    pub(crate) fn of<'a>(
        &'a self,
        row: &'a str,
        target: &'a str,
    ) -> impl Iterator<Item = &'a Sample> {
        self.0
            .iter()
            .filter(move |sample| sample.row == row && sample.target == target)
    }

    /// Returns the median of a value; `None` if it was not measured, or if a repetition is void.
    pub(crate) fn median(&self, row: &str, target: &str, value: &str) -> Option<f64> {
        if self.is_void(row, target) {
            return None;
        }
        self.spread(row, target, value).map(|spread| spread.median)
    }

    /// Says whether any repetition failed its checks.
    pub(crate) fn is_void(&self, row: &str, target: &str) -> bool {
        self.of(row, target)
            .any(|sample| !sample.problems.is_empty())
    }

    pub(crate) fn spread(&self, row: &str, target: &str, value: &str) -> Option<Spread> {
        let mut values: Vec<f64> = self
            .of(row, target)
            .filter_map(|sample| sample.values.get(value).copied())
            .collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => return None,
            odd if odd % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Spread {
            low: values[0],
            median,
            high: values[values.len() - 1],
        })
    }
}

/// Writes a figure with three digits that count.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 3,
    };
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && whole.len() > 4 && digit != '-' {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (0.0123, "0.012"),
            (0.52, "0.52"),
            (3.456, "3.46"),
            (34.56, "34.6"),
            (1234.5, "1234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_void_repetition_takes_the_row_with_it() {
        let mut samples = Samples::default();
        for (repetition, acked) in [(1, 5.0), (2, 6.0)] {
            let mut sample = Sample::new("http64", "tidegate", repetition);
            sample.set("acked", acked);
            sample.check_stored(5);
            samples.0.push(sample);
        }
        assert_eq!(samples.median("http64", "tidegate", "stored"), None);
        assert!(samples.spread("http64", "tidegate", "stored").is_some());
    }
}
