//! What a changed value of each key means. Values that differ in their text only (`7d`, `168h`) are
//! no change. A key without a judgement would be a promise nobody watches: a test asks for each.

use std::cmp::Ordering;

use super::rules::{self, Rule};
use crate::event_type;
use crate::model::{
    EventContract, MissingKey, MissingTime, OnInvalid, Ordering as KeyOrder, SchemaFormat,
};

/// What a change means: the rule, and for whom.
type Judged = Option<(&'static Rule, &'static str)>;

/// Judges the change of one key; nothing if both values mean the same, or if it is told elsewhere.
pub(super) fn judge(
    before: &EventContract,
    after: &EventContract,
    key: &str,
    from: Option<&str>,
    to: Option<&str>,
) -> Judged {
    let (event, topic) = (&before.event, &before.topic);
    let idempotency = (&before.ingress.idempotency, &after.ingress.idempotency);
    Some(match key {
        "metadata.version" if after.version < before.version => (
            &rules::VERSION_LOWERED,
            "events before it claim a later promise",
        ),
        "metadata.owner" if to.is_none() => (&rules::OWNER_REMOVED, "nobody answers for it"),
        "metadata.version" | "metadata.domain" | "metadata.owner" | "spec.summary"
        | "spec.audience" => (&rules::DESCRIBED, "nothing that is promised changed"),
        "spec.replay.window" => {
            let window = |contract: &EventContract| {
                contract.replay_window.unwrap_or(contract.topic.retention)
            };
            let (old, new) = (window(before), window(after));
            return compare(
                old > new,
                old == new,
                (
                    &rules::REPLAY_SHORTENED,
                    "older events may become unreadable",
                ),
            );
        }
        "spec.privacy.classification" => (
            &rules::CLASSIFICATION_CHANGED,
            "events carry another one from then on",
        ),
        "spec.class" => (&rules::CLASS_CHANGED, "its defaults go with it"),
        "spec.lifecycle" => match (before.lifecycle, after.lifecycle) {
            (old, new) if old.accepts_events() && !new.accepts_events() => {
                (&rules::EVENTS_REFUSED, "events are refused from then on")
            }
            _ => (
                &rules::LIFECYCLE_MOVED,
                "events are taken as before, or for the first time",
            ),
        },
        "spec.event.type" if event_type::includes(&after.event.event_type, &event.event_type) => {
            (&rules::RELAXED, "events of more types are taken")
        }
        "spec.event.type" => (
            &rules::TYPE_CHANGED,
            "events of the earlier type are refused",
        ),
        "spec.event.source" if to.is_some() => (
            &rules::SOURCE_NARROWED,
            "events of other sources are refused",
        ),
        "spec.event.source" => (&rules::RELAXED, "events of any source are taken"),
        "spec.event.id" if from.is_none() => (
            &rules::IDENTITY_REQUIRED,
            "events whose data lacks it are refused",
        ),
        "spec.event.id" => (
            &rules::IDENTITY_CHANGED,
            "an event repeated across the change is taken for a new one",
        ),
        "spec.event.mode" => (
            &rules::MODE_CHANGED,
            "readers find the attributes elsewhere",
        ),
        "spec.event.time.from" => (&rules::TIME_CHANGED, "events have another time"),
        "spec.event.time.maxSkew" => {
            let (old, new) = (event.time.max_skew, after.event.time.max_skew);
            return narrowed(old > new, old == new);
        }
        "spec.event.time.maxAge" => {
            let (old, new) = (event.time.max_age, after.event.time.max_age);
            let narrower = new.is_some_and(|new| old.is_none_or(|old| old > new));
            return narrowed(narrower, old == new);
        }
        "spec.event.time.onMissing" if after.event.time.on_missing == MissingTime::Reject => {
            (&rules::TIME_REQUIRED, "events without a time are refused")
        }
        "spec.event.time.onMissing" => (&rules::RELAXED, "events without a time are taken"),
        // The verdict about the schema tells both.
        "spec.schema.file" => return None,
        "spec.schema.format" if !before.schema.compatibility.directions().is_empty() => {
            return None;
        }
        "spec.schema.format" => (&rules::FORMAT_UNBOUND, "readers need another decoder"),
        "spec.schema.compatibility" => {
            let (old, new) = (before.schema.compatibility, after.schema.compatibility);
            let kept = old
                .directions()
                .iter()
                .all(|d| new.directions().contains(d))
                && (new.is_transitive() || !old.is_transitive());
            return promise(kept);
        }
        "spec.schema.compatibilityPolicy" => return promise(to == Some("STRICT")),
        "spec.schema.subject" => (
            &rules::SUBJECT_CHANGED,
            "clients of the registry find the schema elsewhere",
        ),
        // A header more changes nothing for who reads JSON; under Avro and Protobuf the data that came
        // as JSON turns binary with it.
        "spec.schema.schemaId"
            if from.is_none()
                && to == Some("header")
                && after.schema.format == SchemaFormat::Json =>
        {
            (&rules::RELAXED, "the schema's id stands beside the data")
        }
        "spec.schema.schemaId" => (
            &rules::SCHEMA_ID_MOVED,
            "readers find the schema's id elsewhere",
        ),
        "spec.key.from" => (&rules::KEY_MOVED, "what was in one order is in two"),
        "spec.key.onMissing" if after.key.on_missing == MissingKey::Reject => {
            (&rules::KEY_REQUIRED, "events without the key are refused")
        }
        "spec.key.onMissing" => (
            &rules::KEY_OPTIONAL,
            "records without a key come, in no order",
        ),
        "spec.key.ordering" if after.key.ordering == KeyOrder::None => (
            &rules::ORDER_LOST,
            "events of one key may overtake each other",
        ),
        "spec.key.ordering" => (&rules::RELAXED, "the order that readers had they keep"),
        "spec.topic.name" => (
            &rules::TOPIC_CHANGED,
            "readers of the earlier topic get nothing more",
        ),
        "spec.topic.partitions" if after.topic.partitions < topic.partitions => {
            (&rules::PARTITIONS_LOWERED, "no log takes partitions away")
        }
        "spec.topic.partitions" if after.key.ordering == KeyOrder::PerKey => (
            &rules::PARTITIONS_REORDER,
            "keys go to other partitions, and events of one key may overtake each other",
        ),
        "spec.topic.partitions" => (&rules::PARTITIONS_RAISED, "no order depends on it"),
        "spec.topic.retention" => {
            let (old, new) = (topic.retention, after.topic.retention);
            return compare(
                old > new,
                old == new,
                (&rules::RETENTION_SHORTENED, "events that are kept today go"),
            );
        }
        "spec.topic.peak.events" => {
            let (old, new) = (topic.peak.events, after.topic.peak.events);
            return peak(old.zip(new).map(|(old, new)| old.cmp(&new)));
        }
        "spec.topic.peak.bytes" => {
            let (old, new) = (topic.peak.bytes, after.topic.peak.bytes);
            return peak(old.zip(new).map(|(old, new)| old.cmp(&new)));
        }
        "spec.topic.cleanup" => (&rules::CLEANUP_CHANGED, "other events are kept"),
        "spec.topic.maxMessage" => {
            let (old, new) = (topic.max_message, after.topic.max_message);
            if old == new {
                return None;
            }
            if old > new {
                (&rules::LIMIT_LOWERED, "larger events are refused")
            } else {
                (&rules::LIMIT_RAISED, "readers meet larger events")
            }
        }
        "spec.topic.enforce" => {
            let (old, new) = (&topic.enforce, &after.topic.enforce);
            let narrower = new.iter().any(|one| !old.contains(one));
            let same = !narrower && old.len() == new.len();
            return compare(
                narrower,
                same,
                (
                    &rules::ENFORCEMENT_RAISED,
                    "records of Kafka clients that were taken may be refused",
                ),
            );
        }
        "spec.ingress.idempotency.required" if idempotency.1.required => (
            &rules::IDENTITY_REQUIRED,
            "events without an identity are refused",
        ),
        "spec.ingress.idempotency.required" => (
            &rules::IDENTITY_CHANGED,
            "an event without an identity may be taken twice",
        ),
        "spec.ingress.idempotency.window" => {
            let (old, new) = (idempotency.0.window, idempotency.1.window);
            return compare(
                old > new,
                old == new,
                (
                    &rules::WINDOW_SHORTENED,
                    "late repeats are taken for new events",
                ),
            );
        }
        "spec.ingress.idempotency.scope" | "spec.ingress.idempotency.fingerprint" => (
            &rules::IDENTITY_CHANGED,
            "an event repeated across the change is taken for a new one",
        ),
        "spec.ingress.onInvalid" if after.ingress.on_invalid == OnInvalid::Reject => (
            &rules::QUARANTINE_LOST,
            "nothing of a refused event is kept",
        ),
        "spec.ingress.onInvalid" => (&rules::RELAXED, "refused events are kept for their owner"),
        _ => return None,
    })
}

fn narrowed(narrower: bool, same: bool) -> Judged {
    let rule = (
        &rules::TIME_NARROWED,
        "events that were taken may be refused",
    );
    compare(narrower, same, rule)
}

fn compare(worse: bool, same: bool, rule: (&'static Rule, &'static str)) -> Judged {
    match (same, worse) {
        (true, _) => None,
        (false, true) => Some(rule),
        (false, false) => Some((&rules::RELAXED, "what held before holds still")),
    }
}

/// Judges a changed peak; without the one or the other, nothing can be said.
fn peak(order: Option<Ordering>) -> Judged {
    Some(match order {
        Some(Ordering::Equal) => return None,
        Some(Ordering::Less) => (&rules::PEAK_RAISED, "readers meet more in the same time"),
        Some(Ordering::Greater) => (&rules::RELAXED, "readers have more time for each"),
        None => (&rules::DESCRIBED, "nothing that is promised changed"),
    })
}

fn promise(kept: bool) -> Judged {
    Some(match kept {
        true => (&rules::PROMISE_KEPT, "what was promised is promised still"),
        false => (
            &rules::PROMISE_WEAKENED,
            "the next schema may do what this one may not",
        ),
    })
}
