//! What the design wants to reach, as ratios of figures of one run. Told, never asserted.

use serde::Serialize;

use crate::samples::Samples;
use crate::suites::answers;

/// One aim and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) work: &'static str,
    pub(crate) aim: String,
    pub(crate) ours: Option<f64>,
    pub(crate) theirs: Option<f64>,
    pub(crate) ratio: Option<f64>,
    /// `None` if something it needs was not measured, or is void.
    pub(crate) reached: Option<bool>,
}

/// A figure: row, target, value.
type Figure = (&'static str, &'static str, &'static str);

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

struct Aim {
    work: &'static str,
    text: &'static str,
    ours: Figure,
    theirs: Figure,
    bound: Bound,
}

const HTTP_64: &str = "HTTP 1 KiB event → durable receipt, 64 connections";
const HTTP_256: &str = "the same, 256 connections";
const BATCH: &str = "100 events a batch";
const JAVA: &str = "Kafka produce, Java client defaults, 1 KiB";
const JAVA_256K: &str = "the same, 256 KiB batches";
const LIBRDKAFKA: &str = "the same, librdkafka";
const RULES: &str = "the same, every record held against its contract";
const ACK: &str = "durable ack at 2,000 records/s";
const CONSUME: &str = "consume";
const REST: &str = "memory at rest, start to ready";
const ANSWERS: &str = "a true answer, whatever is down";
const REPLAY: &str = "produce p99 while ten consumers replay all history";
const HALF: &str = "at half of this run's saturation";
const CHECK: &str =
    "an event held against its contract, against parsing the same bytes with serde_json";
const PEERS: &str = "HTTP event → receipt, against Strimzi Bridge, Karapace REST, Redpanda Connect";
const EXTERNAL: &str = "over external Kafka, against the hand-written service";
/// Every row of the design's table, in its order.
const WORKS: [&str; 16] = [
    CHECK, HTTP_64, HTTP_256, BATCH, PEERS, ANSWERS, EXTERNAL, JAVA, JAVA_256K, LIBRDKAFKA, RULES,
    ACK, CONSUME, REPLAY, REST, HALF,
];
/// What the design wants and no suite measures: a line all the same, so that nobody takes it for reached.
const NOT_HERE: [(&str, &str); 4] = [
    (PEERS, "≥ 15× less CPU (quoted below, from another day)"),
    (EXTERNAL, "idempotency off: within 10 % of its events/s"),
    (EXTERNAL, "on: ≥ 0.5×, gateway CPU ≤ 2.5×, p95 < 50 ms"),
    (HALF, "HTTP in → webhook out p95 < 200 ms"),
];
/// How long a caller waits for the truth at the most.
const ANSWER_LIMIT_S: f64 = 5.0;

macro_rules! aim {
    ($work:ident, $text:literal, $ours:expr, $theirs:expr, $bound:expr) => {
        Aim {
            work: $work,
            text: $text,
            ours: $ours,
            theirs: $theirs,
            bound: $bound,
        }
    };
}

#[rustfmt::skip]
const AIMS: &[Aim] = &[
    aim!(CHECK, "JSON Schema, orders: CPU ≤ 4×", ("check-orders", "JSON Schema", "cpu_us"), ("check-orders", "serde_json", "cpu_us"), Bound::AtMost(4.0)),
    aim!(CHECK, "JSON Schema, readings: CPU ≤ 4×", ("check-readings", "JSON Schema", "cpu_us"), ("check-readings", "serde_json", "cpu_us"), Bound::AtMost(4.0)),
    aim!(CHECK, "Avro as JSON, orders: CPU ≤ 2×", ("check-orders", "Avro, as JSON", "cpu_us"), ("check-orders", "serde_json", "cpu_us"), Bound::AtMost(2.0)),
    aim!(CHECK, "Avro as JSON, readings: CPU ≤ 2×", ("check-readings", "Avro, as JSON", "cpu_us"), ("check-readings", "serde_json", "cpu_us"), Bound::AtMost(2.0)),
    aim!(CHECK, "Avro, binary, orders: CPU ≤ 2× its JSON", ("check-orders", "Avro, binary", "cpu_us"), ("check-orders", "serde_json", "cpu_us"), Bound::AtMost(2.0)),
    aim!(CHECK, "Avro, binary, readings: CPU ≤ 2× its JSON", ("check-readings", "Avro, binary", "cpu_us"), ("check-readings", "serde_json", "cpu_us"), Bound::AtMost(2.0)),
    aim!(HTTP_64, "CPU ≤ 1/2 of service + Kafka unsynced", ("http64", "tidegate", "cpu_s"), ("http64", "baseline", "cpu_s"), Bound::AtMost(0.5)),
    aim!(HTTP_64, "events/s ≥ 1× unsynced", ("http64", "tidegate", "events_per_s"), ("http64", "baseline", "events_per_s"), Bound::AtLeast(1.0)),
    aim!(HTTP_64, "events/s ≥ 4× fsynced", ("http64", "tidegate", "events_per_s"), ("http64", "baseline-fsynced", "events_per_s"), Bound::AtLeast(4.0)),
    aim!(HTTP_64, "p99 ≤ 1/2 of fsynced", ("http64", "tidegate", "p99_ms"), ("http64", "baseline-fsynced", "p99_ms"), Bound::AtMost(0.5)),
    aim!(HTTP_64, "CPU ≤ 3× a bare axum handler", ("http64", "tidegate", "cpu_s"), ("http64", "bare", "cpu_s"), Bound::AtMost(3.0)),
    aim!(HTTP_256, "events/s ≥ 1.2× unsynced", ("http256", "tidegate", "events_per_s"), ("http256", "baseline", "events_per_s"), Bound::AtLeast(1.2)),
    aim!(HTTP_256, "events/s ≥ 2.5× fsynced", ("http256", "tidegate", "events_per_s"), ("http256", "baseline-fsynced", "events_per_s"), Bound::AtLeast(2.5)),
    aim!(BATCH, "events/s ≥ 2× unsynced", ("batch100", "tidegate", "events_per_s"), ("batch100", "baseline", "events_per_s"), Bound::AtLeast(2.0)),
    aim!(BATCH, "CPU ≤ 1/2 of unsynced", ("batch100", "tidegate", "cpu_s"), ("batch100", "baseline", "cpu_s"), Bound::AtMost(0.5)),
    aim!(JAVA, "records/s ≥ 3× fsynced", ("java", "tidegate", "events_per_s"), ("java", "kafka-fsynced", "events_per_s"), Bound::AtLeast(3.0)),
    aim!(JAVA, "records/s ≥ 0.9× default", ("java", "tidegate", "events_per_s"), ("java", "kafka", "events_per_s"), Bound::AtLeast(0.9)),
    aim!(JAVA_256K, "records/s ≥ 1× default", ("java-256k", "tidegate", "events_per_s"), ("java-256k", "kafka", "events_per_s"), Bound::AtLeast(1.0)),
    aim!(LIBRDKAFKA, "records/s ≥ 1× default", ("librdkafka", "tidegate", "events_per_s"), ("librdkafka", "kafka", "events_per_s"), Bound::AtLeast(1.0)),
    aim!(RULES, "JSON: CPU ≤ 1.25× without", ("rules-json-on", "tidegate", "cpu_s"), ("rules-json-off", "tidegate", "cpu_s"), Bound::AtMost(1.25)),
    aim!(RULES, "Avro: CPU ≤ 1.25× without", ("rules-avro-on", "tidegate", "cpu_s"), ("rules-avro-off", "tidegate", "cpu_s"), Bound::AtMost(1.25)),
    aim!(RULES, "JSON: records/s ≥ 0.75× without", ("rules-json-on", "tidegate", "events_per_s"), ("rules-json-off", "tidegate", "events_per_s"), Bound::AtLeast(0.75)),
    aim!(RULES, "Avro: records/s ≥ 0.75× without", ("rules-avro-on", "tidegate", "events_per_s"), ("rules-avro-off", "tidegate", "events_per_s"), Bound::AtLeast(0.75)),
    aim!(ACK, "Java client: p95 ≤ 1/2 of fsynced", ("ack-java", "tidegate", "p95_ms"), ("ack-java", "kafka-fsynced", "p95_ms"), Bound::AtMost(0.5)),
    aim!(ACK, "Java client: p99 ≤ 1/2 of fsynced", ("ack-java", "tidegate", "p99_ms"), ("ack-java", "kafka-fsynced", "p99_ms"), Bound::AtMost(0.5)),
    aim!(ACK, "librdkafka: p95 ≤ 1/2 of fsynced", ("ack-librdkafka", "tidegate", "p95_ms"), ("ack-librdkafka", "kafka-fsynced", "p95_ms"), Bound::AtMost(0.5)),
    aim!(ACK, "librdkafka: p99 ≤ 1/2 of fsynced", ("ack-librdkafka", "tidegate", "p99_ms"), ("ack-librdkafka", "kafka-fsynced", "p99_ms"), Bound::AtMost(0.5)),
    aim!(CONSUME, "from hot, Java client: ≥ 1× Kafka", ("consume-hot-java", "tidegate", "events_per_s"), ("consume-hot-java", "kafka", "events_per_s"), Bound::AtLeast(1.0)),
    aim!(CONSUME, "from hot, kcat: ≥ 1× Kafka", ("consume-hot-kcat", "tidegate", "events_per_s"), ("consume-hot-kcat", "kafka", "events_per_s"), Bound::AtLeast(1.0)),
    aim!(CONSUME, "from cold, Java client: ≥ 1× Kafka", ("consume-cold-java", "tidegate", "events_per_s"), ("consume-cold-java", "kafka", "events_per_s"), Bound::AtLeast(1.0)),
    aim!(CONSUME, "from cold, kcat: ≥ 1× Kafka", ("consume-cold-kcat", "tidegate", "events_per_s"), ("consume-cold-kcat", "kafka", "events_per_s"), Bound::AtLeast(1.0)),
    aim!(REST, "memory ≤ 1/10 of Kafka", ("rest", "tidegate", "rss_mib"), ("rest", "kafka", "rss_mib"), Bound::AtMost(0.1)),
    aim!(REST, "start to ready ≤ 1/20 of Kafka", ("rest", "tidegate", "start_s"), ("rest", "kafka", "start_s"), Bound::AtMost(0.05)),
];

/// Holds the medians against the aims. `write_ms` is how long the disk takes a small durable write,
/// at a quantile, if the floor was measured.
pub(crate) fn verdicts(samples: &Samples, write_ms: impl Fn(&str) -> Option<f64>) -> Vec<Verdict> {
    let figure = |(row, target, value): Figure| samples.median(row, target, value);
    let mut verdicts: Vec<Verdict> = AIMS
        .iter()
        .map(|aim| {
            verdict(
                aim.work,
                aim.text.to_owned(),
                figure(aim.ours),
                figure(aim.theirs),
                aim.bound,
            )
        })
        .collect();
    for (row, client) in [
        ("ack-java", "Java client"),
        ("ack-librdkafka", "librdkafka"),
    ] {
        for quantile in ["p95_ms", "p99_ms"] {
            let default = samples.median(row, "kafka", quantile);
            let bound = default
                .zip(write_ms(quantile))
                .map(|(ack, write)| ack + write);
            let name = quantile.trim_end_matches("_ms");
            let text = format!("{client}: {name} ≤ default + one device write");
            let ours = samples.median(row, "tidegate", quantile);
            verdicts.push(verdict(ACK, text, ours, bound, Bound::AtMost(1.0)));
        }
    }
    let replay = |row| samples.median(row, "tidegate", "p99_ms");
    verdicts.push(verdict(
        REPLAY,
        "≤ 1.5× its p99 when idle".to_owned(),
        replay("replay-ten"),
        replay("replay-none"),
        Bound::AtMost(1.5),
    ));
    for (aim, value, limit_ms) in [
        ("publish p95 < 50 ms", "p95_ms", 50.0),
        ("HTTP in → consumer out p95 < 200 ms", "out_p95_ms", 200.0),
    ] {
        let ours = samples.median("http-half", "tidegate", value);
        let (aim, limit) = (aim.to_owned(), Some(limit_ms));
        verdicts.push(verdict(HALF, aim, ours, limit, Bound::AtMost(1.0)));
    }
    verdicts.extend(true_answers(samples));
    for (work, aim) in NOT_HERE {
        verdicts.push(verdict(
            work,
            aim.to_owned(),
            None,
            None,
            Bound::AtMost(1.0),
        ));
    }
    // Those of one work side by side, in the order of the design.
    verdicts.sort_by_key(|verdict| WORKS.iter().position(|work| *work == verdict.work));
    verdicts
}

/// The worst of all cases; not measured unless every case was.
fn true_answers(samples: &Samples) -> [Verdict; 2] {
    let ours = |value: &str| -> Option<Vec<f64>> {
        answers::OURS
            .iter()
            .map(|case| samples.median("answers", case.target(), value))
            .collect()
    };
    let slowest = ours("slowest_s").and_then(|all| all.into_iter().reduce(f64::max));
    let wrong = ["untrue", "doubles", "lost"].map(ours);
    let wrong: Option<f64> = wrong.into_iter().flatten().flatten().reduce(|a, b| a + b);
    let limit = Some(ANSWER_LIMIT_S);
    let text = "the slowest answer ≤ 5 s";
    [
        verdict(ANSWERS, text.to_owned(), slowest, limit, Bound::AtMost(1.0)),
        Verdict {
            work: ANSWERS,
            aim: "untrue answers, events stored twice or never: none".to_owned(),
            ours: wrong,
            theirs: Some(0.0),
            ratio: None,
            reached: wrong.map(|count| count == 0.0),
        },
    ]
}

fn verdict(
    work: &'static str,
    aim: String,
    ours: Option<f64>,
    theirs: Option<f64>,
    bound: Bound,
) -> Verdict {
    let ratio = ours
        .zip(theirs)
        .filter(|(_, theirs)| *theirs > 0.0)
        .map(|(ours, theirs)| ours / theirs);
    let reached = ratio.map(|ratio| match bound {
        Bound::AtLeast(least) => ratio >= least,
        Bound::AtMost(most) => ratio <= most,
    });
    Verdict {
        work,
        aim,
        ours,
        theirs,
        ratio,
        reached,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_of_the_design_has_its_line_even_if_nothing_was_measured() {
        let verdicts = verdicts(&Samples::default(), |_| None);
        for work in WORKS {
            assert!(
                verdicts.iter().any(|verdict| verdict.work == work),
                "{work}"
            );
        }
        for verdict in verdicts {
            assert!(WORKS.contains(&verdict.work), "{}", verdict.work);
            assert_eq!(verdict.reached, None, "{}", verdict.aim);
        }
    }
}
