//! What one measurement gave, as the load programs print it and the driver reads it.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::usage::Use;

/// One measurement: a window of time in the middle of a load.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Outcome {
    /// All that was acknowledged, before, in and after the window: what the log must hold.
    pub acked: u64,
    /// What was acknowledged in the window.
    pub window_events: u64,
    pub events_per_s: f64,
    pub latency: Option<Latency>,
    pub used: Option<Use>,
    /// Requests of a fixed rate that were never sent, since the server had fallen too far behind; in
    /// the times they count with how long they had waited.
    #[serde(default)]
    pub unsent: u64,
    /// Everything that was not an acknowledgement. Empty, or the measurement is void.
    pub problems: Vec<String>,
}

/// Times from the moment an event was due to its acknowledgement, in milliseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Latency {
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// Makes a histogram of nanoseconds, up to two minutes, to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 120_000_000_000, 3).expect("the bounds are in order")
}

/// Adds a time; one that is longer than the histogram's end counts as its end.
pub fn record(histogram: &mut Histogram<u64>, elapsed: Duration) {
    histogram.saturating_record(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        (!histogram.is_empty()).then(|| Self {
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: histogram.max() as f64 / 1e6,
        })
    }
}
