//! What was decided about a bridge, as records of topic `_tidegate.bridges`, and what they mean,
//! folded. How far it has copied is not here: that is its group's committed offsets.
//!
//! The key of a record is the contract's name, its value a JSON object. A stored format: names stay.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_event_log::{Offset, Record, StoredRecord};
use utoipa::ToSchema;

use crate::kept::Fold;

/// Where something stands in the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[schema(as = LogPlace)]
pub(crate) struct At {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    #[schema(value_type = i64)]
    pub(crate) offset: Offset,
}

/// Why a rollout stopped by itself.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = HaltCause)]
pub(crate) enum Cause {
    /// A canary put events into its dead letters.
    DeadLetters,
    /// An event does not have what a canary requires.
    Requirement,
    /// A canary has not read an event for longer than it may.
    Lag,
    /// More events break the contract than may.
    Quarantine,
}

/// A rollout that stopped by itself: nothing more is copied until somebody says so.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[schema(as = BridgeHalt)]
pub(crate) struct Halt {
    pub(crate) cause: Cause,
    pub(crate) detail: String,
    /// The canary that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reader: Option<String>,
    /// The first record that shows it: a dead letter, an unread or an earlier event.
    pub(crate) first: At,
}

/// From when on the canaries are watched, and what there was before.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Watch {
    pub(crate) since_ms: i64,
    /// The ends of each canary's topic of dead letters.
    #[serde(default)]
    pub(crate) dead_letters: BTreeMap<String, Vec<Offset>>,
    /// The ends of the target's partitions.
    #[serde(default)]
    pub(crate) target_ends: Vec<Offset>,
    /// The end of the quarantine.
    #[serde(default)]
    pub(crate) quarantine_end: Offset,
}

/// The first part of a rollout, copied.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct FirstPart {
    pub(crate) at_ms: i64,
    /// How far the canaries have to read.
    pub(crate) target_ends: Vec<Offset>,
}

/// What is decided, one a record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub(crate) enum Change {
    /// Copying begins; whatever was decided before is over.
    Started {
        from: String,
        source: String,
        source_starts: Vec<Offset>,
        in_full: bool,
        watch: Watch,
    },
    /// The first part is copied.
    FirstPartCopied { part: FirstPart },
    /// The canaries have read it well.
    Passed,
    /// A canary failed.
    Halted { halt: Halt },
    /// Somebody said to go on; `in_full` without waiting for canaries any more.
    Resumed { in_full: bool, watch: Watch },
    /// Somebody said to stop.
    Aborted,
    /// Nothing is left to copy, and nobody reads the earlier events any more.
    Ended,
    /// There is something to copy after all.
    Reopened,
}

/// What the changes of a bridge mean.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rollout {
    pub(crate) from: String,
    pub(crate) source: String,
    pub(crate) source_starts: Vec<Offset>,
    pub(crate) in_full: bool,
    pub(crate) watch: Watch,
    pub(crate) first_part: Option<FirstPart>,
    pub(crate) halt: Option<Halt>,
    pub(crate) aborted: bool,
    pub(crate) ended: bool,
}

impl Change {
    /// Makes the record of a change.
    pub(crate) fn record(&self, contract: &str) -> Record {
        let value = serde_json::to_vec(self).expect("texts and numbers only");
        Record {
            key: Some(Bytes::copy_from_slice(contract.as_bytes())),
            value: Some(value.into()),
            headers: Vec::new(),
        }
    }

    /// Reads a record; its contract comes with it.
    pub(crate) fn parse(stored: &StoredRecord) -> Result<(String, Self), String> {
        let record = &stored.record;
        let key = record.key.as_deref().map(std::str::from_utf8);
        let Some(Ok(contract)) = key else {
            return Err("it has no name".to_owned());
        };
        let value = record.value.as_deref().unwrap_or_default();
        let change = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        Ok((contract.to_owned(), change))
    }
}

/// All bridges that something was decided about.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Table(BTreeMap<String, Rollout>);

impl Fold for Table {
    const TOPIC: &'static str = "_tidegate.bridges";

    fn apply(&mut self, stored: &StoredRecord) -> Result<(), String> {
        let (contract, change) = Change::parse(stored)?;
        self.take_in(contract, change);
        Ok(())
    }
}

impl Table {
    pub(crate) fn get(&self, contract: &str) -> Option<&Rollout> {
        self.0.get(contract)
    }

    /// Takes a change in. One about a bridge that never started means nothing.
    fn take_in(&mut self, contract: String, change: Change) {
        if let Change::Started {
            from,
            source,
            source_starts,
            in_full,
            watch,
        } = change
        {
            let started = Rollout {
                from,
                source,
                source_starts,
                in_full,
                watch,
                first_part: None,
                halt: None,
                aborted: false,
                ended: false,
            };
            self.0.insert(contract, started);
            return;
        }
        let Some(rollout) = self.0.get_mut(&contract) else {
            return;
        };
        match change {
            Change::Started { .. } => {}
            Change::FirstPartCopied { part } => rollout.first_part = Some(part),
            Change::Passed => rollout.in_full = true,
            Change::Halted { halt } => rollout.halt = Some(halt),
            Change::Resumed { in_full, watch } => {
                rollout.in_full |= in_full;
                if let Some(part) = &mut rollout.first_part {
                    part.at_ms = watch.since_ms;
                }
                rollout.watch = watch;
                rollout.halt = None;
                rollout.aborted = false;
            }
            Change::Aborted => rollout.aborted = true,
            Change::Ended => rollout.ended = true,
            Change::Reopened => rollout.ended = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_forms_stay_as_they_are() {
        let at = |topic: &str| At {
            topic: topic.to_owned(),
            partition: 1,
            offset: 7,
        };
        let watch = Watch {
            since_ms: 5,
            dead_letters: BTreeMap::from([("r".to_owned(), vec![1])]),
            target_ends: vec![2, 3],
            quarantine_end: 4,
        };
        let watched =
            r#"{"since_ms":5,"dead_letters":{"r":[1]},"target_ends":[2,3],"quarantine_end":4}"#;
        let cases = [
            (
                Change::Started {
                    from: "a".to_owned(),
                    source: "t".to_owned(),
                    source_starts: vec![0],
                    in_full: false,
                    watch: watch.clone(),
                },
                format!(
                    r#"{{"change":"started","from":"a","source":"t","source_starts":[0],"in_full":false,"watch":{watched}}}"#
                ),
            ),
            (
                Change::FirstPartCopied {
                    part: FirstPart {
                        at_ms: 9,
                        target_ends: vec![3],
                    },
                },
                r#"{"change":"first-part-copied","part":{"at_ms":9,"target_ends":[3]}}"#.to_owned(),
            ),
            (Change::Passed, r#"{"change":"passed"}"#.to_owned()),
            (
                Change::Halted {
                    halt: Halt {
                        cause: Cause::DeadLetters,
                        detail: "d".to_owned(),
                        reader: Some("r".to_owned()),
                        first: at("r.dead-letters"),
                    },
                },
                r#"{"change":"halted","halt":{"cause":"dead-letters","detail":"d","reader":"r","first":{"topic":"r.dead-letters","partition":1,"offset":7}}}"#
                    .to_owned(),
            ),
            (
                Change::Resumed {
                    in_full: true,
                    watch,
                },
                format!(r#"{{"change":"resumed","in_full":true,"watch":{watched}}}"#),
            ),
            (Change::Aborted, r#"{"change":"aborted"}"#.to_owned()),
            (Change::Ended, r#"{"change":"ended"}"#.to_owned()),
            (Change::Reopened, r#"{"change":"reopened"}"#.to_owned()),
        ];
        for (change, expected) in cases {
            let record = change.record("b");
            assert_eq!(record.key.as_deref(), Some(&b"b"[..]));
            assert_eq!(record.value.as_deref(), Some(expected.as_bytes()));
            let stored = StoredRecord {
                offset: 0,
                timestamp_ms: 0,
                record,
            };
            assert_eq!(Change::parse(&stored), Ok(("b".to_owned(), change)));
        }
    }
}
