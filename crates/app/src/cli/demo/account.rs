//! The account: what came of each event in each pass, what stands in the log, and whether that is
//! what has to be. Pure; every mistake is named, none hides another.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_contract::Contracts;
use tidegate_contract::model::Ordering;

use super::input::{Counts, Expected, Input};
use super::reader::Found;
use super::seconds;
use super::sender::Outcome;
use crate::ui::{Answer, Column, column};

/// Mistakes that are named; the rest is counted.
const NAMED_MISTAKES: usize = 20;

/// One time all events were sent.
pub(super) struct Pass {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) took: Duration,
}

/// What the Kafka client read.
pub(super) struct ReadBack {
    /// The client.
    pub(super) by: String,
    pub(super) topics: usize,
    pub(super) took: Duration,
    pub(super) found: Vec<Found>,
}

/// The account of a demo.
pub(super) struct Account {
    first: Pass,
    second: Pass,
    read: ReadBack,
    contracts: usize,
    pub(super) mistakes: Vec<String>,
}

const COLUMNS: &[Column] = &[
    column("first_accepted", "/first/accepted"),
    column("first_repeated", "/first/repeated"),
    column("first_quarantined", "/first/quarantined"),
    column("first_refused", "/first/refused"),
    column("second_accepted", "/second/accepted"),
    column("second_repeated", "/second/repeated"),
    column("second_quarantined", "/second/quarantined"),
    column("second_refused", "/second/refused"),
    column("read_back", "/read_back/records"),
    column("adds_up", "/adds_up"),
];

impl Account {
    /// Compares what was found with what has to be.
    pub(super) fn take(
        input: &Input,
        contracts: &Contracts,
        first: Pass,
        second: Pass,
        read: ReadBack,
        status: &Value,
    ) -> Self {
        let mut mistakes = Vec::new();
        let expected = &input.expected;
        let counted = (Counts::of(&first.outcomes), Counts::of(&second.outcomes));
        if contracts.len() != expected.contracts {
            let (found, expected) = (contracts.len(), expected.contracts);
            mistakes.push(format!("{found} contracts, not {expected}"));
        }
        for (pass, counted, expected) in [
            ("first pass", counted.0, expected.first),
            ("redelivery", counted.1, expected.second),
        ] {
            if counted != expected {
                mistakes.push(format!("{pass}: {counted:?}, not {expected:?}"));
            }
        }
        compare_passes(&first, &second, &mut mistakes);
        compare_log(input, contracts, &first, &read, &mut mistakes);
        compare_status(status, counted, &mut mistakes);
        let contracts = contracts.len();
        Self {
            first,
            second,
            read,
            contracts,
            mistakes,
        }
    }

    /// Returns it for printing.
    pub(super) fn answer(&self, expected: &Expected) -> Answer {
        let (first, second) = (
            Counts::of(&self.first.outcomes),
            Counts::of(&self.second.outcomes),
        );
        let value = json!({
            "title": expected.title,
            "events": self.first.outcomes.len(),
            "types": expected.types,
            "contracts": self.contracts,
            "first": first,
            "second": second,
            "read_back": {
                "records": self.read.found.len(),
                "topics": self.read.topics,
                "by": self.read.by,
            },
            "adds_up": self.mistakes.is_empty(),
            "mistakes": self.mistakes,
        });
        Answer::one(value, COLUMNS).with_text(self.text(expected, first, second))
    }

    fn text(&self, expected: &Expected, first: Counts, second: Counts) -> String {
        let mut lines = vec![
            format!(
                "{}: {} events of {} types, {} contracts",
                expected.title,
                self.first.outcomes.len(),
                expected.types,
                self.contracts
            ),
            String::new(),
            format!("  {:12}{:>12}{:>12}", "", "first pass", "redelivery"),
        ];
        for (name, first, second, meaning) in [
            (
                "accepted",
                first.accepted,
                second.accepted,
                "durable, each with a receipt",
            ),
            (
                "repeated",
                first.repeated,
                second.repeated,
                "answered with the first receipt",
            ),
            (
                "quarantined",
                first.quarantined,
                second.quarantined,
                "break their contract; kept once, the entry is named again",
            ),
            (
                "refused",
                first.refused,
                second.refused,
                "no contract covers their type; counted and sampled",
            ),
        ] {
            lines.push(format!("  {name:12}{first:>12}{second:>12}   {meaning}"));
        }
        let (one, two) = (seconds(self.first.took), seconds(self.second.took));
        lines.push(format!("  {:12}{one:>12}{two:>12}", "took"));
        lines.push(String::new());
        let ReadBack {
            by,
            topics,
            took,
            found,
        } = &self.read;
        let (records, took) = (found.len(), seconds(*took));
        lines.push(format!(
            "  read back   {records:>12}   records of {topics} topics through the Kafka port by {by}, {took}"
        ));
        lines.push(String::new());
        if self.mistakes.is_empty() {
            let holds = "nothing else is in the log, keys and bytes are equal, order per key holds";
            lines.push(format!("it adds up: {holds}"));
        } else {
            lines.push("it does not add up:".to_owned());
            let named = self.mistakes.iter().take(NAMED_MISTAKES);
            lines.extend(named.map(|mistake| format!("  {mistake}")));
            if let more @ 1.. = self.mistakes.len().saturating_sub(NAMED_MISTAKES) {
                lines.push(format!("  and {more} more"));
            }
        }
        lines.join("\n")
    }
}

/// A repeat gets the first receipt, a bad event its first entry, a refused one is refused again.
fn compare_passes(first: &Pass, second: &Pass, mistakes: &mut Vec<String>) {
    for (at, (first, second)) in first.outcomes.iter().zip(&second.outcomes).enumerate() {
        let same = match (first, second) {
            (Outcome::Accepted(one), Outcome::Repeated(two)) => one == two,
            (Outcome::Quarantined(one), Outcome::Quarantined(two)) => one == two,
            (Outcome::Refused(one), Outcome::Refused(two)) => one == two,
            _ => false,
        };
        if !same {
            mistakes.push(format!(
                "event {}: first {first:?}, then {second:?}",
                at + 1
            ));
        }
    }
}

/// The log holds what was accepted and nothing else, at the place of the receipt, key and bytes
/// as they were sent, and the records of a key in the order in which they were sent, where the
/// contract promises that.
fn compare_log(
    input: &Input,
    contracts: &Contracts,
    first: &Pass,
    read: &ReadBack,
    mistakes: &mut Vec<String>,
) {
    let mut waiting: HashMap<(&str, i32, i64), usize> = HashMap::new();
    for (at, outcome) in first.outcomes.iter().enumerate() {
        if let Outcome::Accepted(receipt) = outcome {
            let place = (receipt.topic.as_str(), receipt.partition, receipt.offset);
            if waiting.insert(place, at).is_some() {
                mistakes.push(format!("two events have the place {place:?}"));
            }
        }
    }
    let mut by_key: BTreeMap<_, Vec<(i32, i64, usize)>> = BTreeMap::new();
    for found in &read.found {
        let place = (found.topic.as_str(), found.partition, found.offset);
        let Some(at) = waiting.remove(&place) else {
            mistakes.push(format!("no receipt names the record at {place:?}"));
            continue;
        };
        let delivery = &input.deliveries[at];
        let contract = delivery.contract(contracts);
        let key = contract.and_then(|contract| delivery.key(contract));
        if found.key != key {
            mistakes.push(format!("event {}: its record has another key", at + 1));
        }
        if found.value.as_deref() != Some(delivery.data.as_ref()) {
            mistakes.push(format!("event {}: its record has other bytes", at + 1));
        }
        if contract.is_some_and(|contract| contract.key.ordering == Ordering::PerKey) {
            let lane = by_key.entry((&found.topic, &found.key)).or_default();
            lane.push((found.partition, found.offset, at));
        }
    }
    for (place, at) in waiting {
        mistakes.push(format!("event {}: there is no record at {place:?}", at + 1));
    }
    for ((topic, _), mut lane) in by_key {
        lane.sort_by_key(|(_, offset, _)| *offset);
        let in_order = lane
            .windows(2)
            .all(|pair| pair[0].0 == pair[1].0 && pair[0].2 < pair[1].2);
        if !in_order {
            mistakes.push(format!(
                "topic `{topic}`: the records of a key are out of order"
            ));
        }
    }
}

/// The gateway's own account of both passes says the same.
fn compare_status(status: &Value, (first, second): (Counts, Counts), mistakes: &mut Vec<String>) {
    let refused = status["refused"].as_object().map_or(0, |kinds| {
        kinds
            .values()
            .filter_map(|kind| kind["count"].as_u64())
            .sum()
    });
    let events = |name: &str| status["events"][name].as_u64().unwrap_or(0);
    for (name, counted, found) in [
        (
            "accepted",
            first.accepted + second.accepted,
            events("accepted"),
        ),
        (
            "repeated",
            first.repeated + second.repeated,
            events("repeated"),
        ),
        ("quarantined", first.quarantined, events("quarantined")),
        (
            "quarantined again",
            second.quarantined,
            events("quarantine_repeated"),
        ),
        ("refused", first.refused + second.refused, refused),
    ] {
        if found != counted as u64 {
            mistakes.push(format!(
                "the gateway's status says {found} {name}, not {counted}"
            ));
        }
    }
}
