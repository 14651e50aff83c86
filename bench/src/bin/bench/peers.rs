//! The products that do the same over Apache Kafka. They cannot be had from the package registries
//! that `make bench` may use, so nothing here is measured: these are figures of another day, and the
//! hand-written service, measured then and now, is the ruler that makes them readable.

use std::fmt::Write;

use crate::samples::{Samples, number};

const DAY: &str = "2026-11-21";

/// CPU seconds a 100,000 events, 64 connections, one event a request.
struct Quoted {
    name: &'static str,
    gateway_s: f64,
    kafka_s: f64,
}

const fn quoted(name: &'static str, gateway_s: f64, kafka_s: f64) -> Quoted {
    Quoted {
        name,
        gateway_s,
        kafka_s,
    }
}

const RULER: Quoted = quoted("the hand-written service", 2.18, 2.25);
const PEERS: [Quoted; 3] = [
    quoted("Strimzi Kafka Bridge 0.33.1", 71.3, 15.2),
    quoted("Karapace REST proxy 6.2.0, without its linger", 46.9, 6.60),
    quoted("Redpanda Connect 4.102.0, 256 in flight", 35.1, 1.74),
];

/// Writes the figures apart from the measured ones: as many times the ruler and, if tidegate and the
/// ruler were measured in this run, as what they would be here. The ruler is the service alone: what
/// Kafka uses depends on how far its JVM has come.
pub(crate) fn write(out: &mut String, samples: &Samples) -> std::fmt::Result {
    let ruler_s = samples.median("http64", "baseline", "cpu_s.baseline");
    let tidegate_s = samples.median("http64", "tidegate", "cpu_s");
    writeln!(out, "\n## Quoted, not measured in this run: the peers\n")?;
    writeln!(
        out,
        "Medians of three of {DAY}, on a shared machine of two processors, Apache Kafka 4.3.1 behind each, HTTP, one event a request, \
         64 connections. CPU seconds a 100,000 events. They cannot be had here (../README.md). \
         The further the service's own CPU of this run is from that day's, the less the last two columns say.\n"
    )?;
    writeln!(
        out,
        "| gateway | its CPU s | Kafka's | its own, times the hand-written service | by that ruler, CPU s in this run | times all of tidegate |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    let cell = |value: Option<f64>| value.map_or("–".to_owned(), number);
    for peer in std::iter::once(&RULER).chain(&PEERS) {
        let times = peer.gateway_s / RULER.gateway_s;
        let here_s = ruler_s.map(|ruler| times * ruler);
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            peer.name,
            number(peer.gateway_s),
            number(peer.kafka_s),
            number(times),
            cell(here_s),
            cell(
                here_s
                    .zip(tidegate_s)
                    .map(|(peer, tidegate)| peer / tidegate)
            ),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Sample;

    #[test]
    fn the_ruler_of_both_days_joins_the_figures() {
        let mut samples = Samples::default();
        for (target, name, cpu_s) in [
            ("baseline", "cpu_s.baseline", 3.27),
            ("tidegate", "cpu_s", 4.0),
        ] {
            let mut sample = Sample::new("http64", target, 1);
            sample.set(name, cpu_s);
            samples.0.push(sample);
        }
        let mut text = String::new();
        write(&mut text, &samples).expect("a String takes everything");
        assert!(text.contains("| 2.18 | 2.25 | 1.00 | 3.27 | 0.82 |"));
        assert!(
            text.contains("| 71.3 | 15.2 | 32.7 | 107 | 26.7 |"),
            "{text}"
        );
    }
}
