//! Every answer to an event that was sent several times, against what is in the log. Pure: answers in, the log's
//! records in, complaints out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::account::{At, Stored};
use super::reader::time_ms;

/// What a 2xx says of an event, and every other 2xx for it as well.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Receipt {
    id: String,
    topic: String,
    at: At,
    time_ms: i64,
}

impl Receipt {
    fn parse(event: &str, body: &Value) -> Option<Self> {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let receipt = Self {
            id: text("id")?,
            topic: text("topic")?,
            at: At {
                partition: body["partition"].as_i64()?.try_into().ok()?,
                offset: body["offset"].as_i64()?,
            },
            time_ms: time_ms(body["time"].as_str()?)?,
        };
        (body["event"]["id"] == event).then_some(receipt)
    }
}

/// What was told of an event.
struct Told {
    first: Receipt,
    answers: usize,
    /// Answers that were the first for their event, by their own account.
    stored: usize,
}

/// All answers, by event.
#[derive(Default)]
pub(super) struct Receipts {
    told: BTreeMap<String, Told>,
    complaints: Vec<String>,
}

impl Receipts {
    /// Takes down a 2xx for an event.
    pub(super) fn note(&mut self, event: &str, body: &Value) {
        let Some(receipt) = Receipt::parse(event, body) else {
            let other = format!("{event}: no receipt of it: {body}");
            return self.complaints.push(other);
        };
        let told = self.told.entry(event.to_owned()).or_insert_with(|| Told {
            first: receipt.clone(),
            answers: 0,
            stored: 0,
        });
        told.answers += 1;
        told.stored += usize::from(body["duplicate"] == false);
        if told.first != receipt {
            let first = &told.first;
            let differs = format!("{event} has the receipts {first:?} and {receipt:?}");
            self.complaints.push(differs);
        }
        if told.stored > 1 {
            let twice = format!("{event} was told twice to be no duplicate, last by {body}");
            self.complaints.push(twice);
        }
    }

    /// Takes down what is wrong beside receipts.
    pub(super) fn complain(&mut self, complaint: String) {
        self.complaints.push(complaint);
    }

    /// Returns how many events have a receipt.
    pub(super) fn events(&self) -> usize {
        self.told.len()
    }

    /// Closes the account over `topic`, whose records these are: all complaints. Each event was sent `sends` times.
    pub(super) fn close(mut self, topic: &str, sends: usize, records: &[Stored]) -> Vec<String> {
        let mut found: BTreeMap<&str, &Stored> = BTreeMap::new();
        for stored in records {
            let Stored { id, at, .. } = stored;
            if let Some(before) = found.insert(id, stored) {
                let twice = format!("{id} stands at {:?} and at {at:?}", before.at);
                self.complaints.push(twice);
            }
            if !self.told.contains_key(id) {
                let foreign = format!("{id} at {at:?} has no receipt");
                self.complaints.push(foreign);
            }
        }
        for (event, told) in &self.told {
            let Told { first, answers, .. } = told;
            if *answers != sends {
                let few = format!("{event} has {answers} answers to {sends} sends");
                self.complaints.push(few);
            }
            let Some(stored) = found.get(event.as_str()) else {
                let lost = format!("{event} has {first:?} and is lost");
                self.complaints.push(lost);
                continue;
            };
            let Stored { at, time_ms, .. } = stored;
            if (topic, first.at, first.time_ms) != (&first.topic, *at, *time_ms) {
                let moved = format!("{event} has {first:?} and stands at {at:?}, {time_ms}");
                self.complaints.push(moved);
            }
            if stored.data != data(event) {
                let other = format!("{event} has other bytes than were sent: {stored:?}");
                self.complaints.push(other);
            }
        }
        self.complaints
    }
}

/// The data of an event, by its id.
pub(super) fn data(event: &str) -> String {
    format!(r#"{{"key":"shelf of {event}","text":"{event}"}}"#)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(offset: i64, is_duplicate: bool) -> Value {
        json!({
            "id": format!("t-0-{offset}-x"),
            "event": {"id": "e"},
            "topic": "t",
            "partition": 0,
            "offset": offset,
            "time": "1970-01-01T00:00:07.001Z",
            "duplicate": is_duplicate,
        })
    }

    fn stored(offset: i64) -> Stored {
        Stored {
            at: At {
                partition: 0,
                offset,
            },
            id: "e".to_owned(),
            key: "shelf of e".to_owned(),
            data: data("e"),
            time_ms: 7_001,
        }
    }

    /// Two answers to two sends against the log; each complaint has to have its words.
    #[track_caller]
    fn check(answers: &[Value], log: &[Stored], expected: &[&str]) {
        let mut receipts = Receipts::default();
        answers.iter().for_each(|body| receipts.note("e", body));
        let complaints = receipts.close("t", 2, log);
        assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
        for (complaint, words) in complaints.iter().zip(expected) {
            assert!(complaint.contains(words), "{complaint} has not `{words}`");
        }
    }

    #[test]
    fn one_event_and_one_receipt_are_no_complaint() {
        let twice = [answer(3, false), answer(3, true)];
        check(&twice, &[stored(3)], &[]);
        // The answer to the first was lost.
        let repeats = [answer(3, true), answer(3, true)];
        check(&repeats, &[stored(3)], &[]);
    }

    #[test]
    fn every_broken_promise_is_a_complaint() {
        let good = [answer(3, false), answer(3, true)];
        check(&good, &[], &["is lost"]);
        check(&good, &[stored(2), stored(3)], &["stands at"]);
        check(&good, &[stored(2)], &["and stands at"]);
        check(&good[..1], &[stored(3)], &["has 1 answers to 2 sends"]);
        check(&[], &[stored(3)], &["has no receipt"]);
        let both = [answer(3, false), answer(3, false)];
        check(&both, &[stored(3)], &["twice to be no duplicate"]);
        let differ = [answer(3, false), answer(4, true)];
        check(&differ, &[stored(3)], &["has the receipts"]);
        let mut other = answer(3, true);
        other["event"]["id"] = "f".into();
        let answers = [answer(3, false), answer(3, true), other];
        check(&answers, &[stored(3)], &["no receipt of it"]);
        let mut late = stored(3);
        late.time_ms += 1;
        check(&good, &[late], &["and stands at"]);
        let mut altered = stored(3);
        altered.data.pop();
        check(&good, &[altered], &["other bytes"]);
    }
}
