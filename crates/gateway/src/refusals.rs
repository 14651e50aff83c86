//! What was refused with nothing kept: counts by reason and a few samples of each, so that a
//! refusal is seen without a log search. Samples hold no payload, and there are only so many.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::problem::Kind;

/// Samples of one reason; the oldest goes first.
const SAMPLES: usize = 20;
/// A contract's or type's name is cut here: callers choose it.
const MAX_CHARACTERS: usize = 200;

#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Kind, Refused>>);

/// How often, and the last few.
#[derive(Clone, Default, Serialize, ToSchema)]
pub(crate) struct Refused {
    count: u64,
    #[schema(value_type = Vec<Sample>)]
    samples: VecDeque<Sample>,
}

/// One refusal.
#[derive(Clone, Serialize, ToSchema)]
struct Sample {
    time: String,
    request: String,
    /// The contract or the event type.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
}

impl Refusals {
    pub(crate) fn count(&self, kind: Kind, time_ms: i64, request: &str, about: Option<&str>) {
        let sample = Sample {
            time: rfc3339(time_ms),
            request: request.to_owned(),
            about: about.map(|about| about.chars().take(MAX_CHARACTERS).collect()),
        };
        let mut all = self.0.lock();
        let refused = all.entry(kind).or_default();
        refused.count += 1;
        if refused.samples.len() == SAMPLES {
            refused.samples.pop_front();
        }
        refused.samples.push_back(sample);
    }

    /// Returns counts and samples by slug.
    pub(crate) fn view(&self) -> BTreeMap<&'static str, Refused> {
        self.0
            .lock()
            .iter()
            .map(|(kind, refused)| (kind.slug(), refused.clone()))
            .collect()
    }
}
