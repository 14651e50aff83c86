//! What a change can be, declared once: its name, what it means, and what to do about it.

use super::Severity::{self, Breaking, Risky, Safe};

/// A kind of change and what people are told about it.
#[derive(Debug)]
pub struct Rule {
    /// A few words with `-`.
    pub name: &'static str,
    /// What such a change means.
    pub severity: Severity,
    /// What to do; empty if there is nothing to do.
    pub hint: &'static str,
}

macro_rules! rules {
    ($($constant:ident: $name:literal, $severity:ident, $hint:literal;)+) => {
        $(pub(super) static $constant: Rule = Rule {
            name: $name,
            severity: $severity,
            hint: $hint,
        };)+

        /// Every rule, by name.
        pub static RULES: &[&Rule] = &[$(&$constant),+];
    };
}

rules! {
    AUTH_NARROWED: "auth-narrowed", Breaking, "let senders prove themselves the new way first";
    BRIDGE_ADDED: "bridge-added", Safe, "";
    BRIDGE_MAPPED: "bridge-mapped", Risky, "see that readers take both forms: what was copied stays as it is";
    BRIDGE_REMOVED: "bridge-removed", Risky, "see first that its bridge has ended: `tidegate contract rollout list`";
    CLASS_CHANGED: "class-changed", Risky, "write out the defaults that should stay";
    CLASSIFICATION_CHANGED: "classification-changed", Risky, "see that readers who act on `dataclassification` take the new one";
    CLEANUP_CHANGED: "cleanup-changed", Breaking, "make it a new contract with a topic of its own";
    PROMISE_KEPT: "compatibility-raised", Safe, "";
    PROMISE_WEAKENED: "compatibility-weakened", Risky, "say why in the commit: readers relied on it";
    ADDED: "contract-added", Safe, "";
    REMOVED: "contract-removed", Breaking, "set `lifecycle: deprecated`, then `retired`, before the file goes";
    REMOVED_UNUSED: "contract-removed-unused", Safe, "";
    RENAMED: "contract-renamed", Breaking, "keep the name; `spec.summary` and `domain` are for people";
    DESCRIBED: "described", Safe, "";
    ENFORCEMENT_RAISED: "enforcement-raised", Risky, "see that every Kafka producer of the topic keeps the contract already";
    EVENTS_REFUSED: "events-refused", Breaking, "deprecate it first, and wait until nobody sends";
    FIELD_REJECTED: "field-rejected", Breaking, "let senders leave the field out first";
    FORMAT_UNBOUND: "format-changed", Risky, "make it a new contract with a type of its own";
    IDENTITY_CHANGED: "identity-changed", Risky, "let the dedup window pass between two such changes";
    IDENTITY_REQUIRED: "identity-required", Breaking, "let senders bring it first, then require it";
    KEY_MOVED: "key-moved", Breaking, "make it a new contract with a topic of its own";
    KEY_OPTIONAL: "key-optional", Risky, "tell the readers that records without key will come";
    KEY_REQUIRED: "key-required", Breaking, "let senders bring it first, then require it";
    LIFECYCLE_MOVED: "lifecycle-moved", Safe, "";
    LIMIT_LOWERED: "limit-lowered", Breaking, "look at the largest events of the last weeks first";
    LIMIT_RAISED: "limit-raised", Risky, "see that readers' fetch and buffer limits take the larger events";
    MODE_CHANGED: "mode-changed", Breaking, "make it a new contract with a topic of its own";
    ORDER_LOST: "order-lost", Breaking, "make it a new contract with a topic of its own";
    OWNER_REMOVED: "owner-removed", Risky, "name a `Team`";
    PARTITIONS_LOWERED: "partitions-lowered", Breaking, "make it a new contract with a topic of its own";
    PARTITIONS_RAISED: "partitions-raised", Safe, "";
    PARTITIONS_REORDER: "partitions-reorder", Breaking, "make it a new contract with a topic of its own and move the readers";
    PEAK_RAISED: "peak-raised", Risky, "see that the partitions and the readers carry it";
    PERSONAL_UNDECLARED: "personal-undeclared", Risky, "keep it declared as long as the field is there";
    PROTECTION_CHANGED: "protection-changed", Risky, "see that readers take the field in both forms: what is stored stays as it is";
    PROTECTION_LOST: "protection-lost", Risky, "see that everybody who reads the topic may know it";
    QUARANTINE_LOST: "quarantine-lost", Risky, "see that nobody mends events from quarantine";
    QUOTA_LOWERED: "quota-lowered", Risky, "look first at what the senders have sent in the last weeks";
    READER_ACCEPTS_NARROWED: "reader-accepts-narrowed", Risky, "see that no event of the other versions is still to be read";
    READER_ADDED: "reader-added", Safe, "";
    READER_CONTRACT_CHANGED: "reader-contract-changed", Risky, "see that it has read the events of the earlier contract to their end";
    READER_CONTRACT_GONE: "reader-contract-gone", Breaking, "keep the contract until the reader has moved, and agree with its owner";
    READER_CONTRACT_UNKNOWN: "reader-contract-unknown", Risky, "name a contract that is there, or check against the set that has it";
    READER_DEAD_LETTERS_LOST: "reader-dead-letters-lost", Risky, "say where it puts what it cannot process, or that it stops there";
    READER_EVENTS_FAIL: "reader-events-fail", Breaking, "let the new schema go on taking these events, or let the reader's owner skip or migrate them";
    READER_EVENTS_FAILED: "reader-events-failed", Risky, "ask the reader's owner what becomes of these events; they do not owe themselves to this change";
    READER_FIELD_GONE: "reader-field-gone", Breaking, "keep the field until the reader no longer reads it, or make it a new event type";
    READER_FIELD_OPTIONAL: "reader-field-optional", Breaking, "keep the field required until the reader can do without it";
    READER_FIELD_TYPE: "reader-field-type", Breaking, "add a field of the new type beside it, and let the reader move";
    READER_GROUP_MOVED: "reader-group-moved", Risky, "commit the earlier group's offsets for the new group before it starts";
    READER_KEY_MOVED: "reader-key-moved", Breaking, "make it a new contract with a topic of its own and move the reader";
    READER_ORDER_LOST: "reader-order-lost", Breaking, "make it a new contract with a topic of its own and move the reader";
    READER_PRIORITY_LOWERED: "reader-priority-lowered", Risky, "see that nobody counts on it; what breaks it weighs less from now on";
    READER_REMOVED: "reader-removed", Risky, "see that nothing reads with its group any more; changes no longer ask it";
    READER_REORDERED: "reader-reordered", Breaking, "make it a new contract with a topic of its own and move the reader";
    READER_REPLAY_SHORT: "reader-replay-short", Breaking, "keep the replay window as long as the reader needs to start over";
    READER_RETENTION_SHORT: "reader-retention-short", Breaking, "keep the retention above what the reader may lag, be out and need to rebuild";
    READER_RULE_FIELD_GONE: "reader-rule-field-gone", Breaking, "keep the field until the reader's rule no longer names it";
    READER_SCHEMA_BROKEN: "reader-schema-broken", Breaking, "make the change additive, or let the reader say which fields it `reads`";
    READER_TOPIC_MOVED: "reader-topic-moved", Breaking, "keep the topic, or move the reader first";
    READER_VERSION_OUTSIDE: "reader-version-outside", Breaking, "let the reader's owner try the new version and widen `accepts` first";
    REGIONS_CHANGED: "regions-changed", Risky, "see that the gateways that have it in force are in one of them";
    RELAXED: "relaxed", Safe, "";
    REPLAY_SHORTENED: "replay-shortened", Risky, "see that no reader replays further back";
    REQUEST_CHANGED: "request-changed", Breaking, "let senders change first, or make it a new contract";
    REQUEST_MAPPED: "request-mapped", Risky, "see that the data means what it meant";
    RETAINED_FAIL: "retained-events-fail", Breaking, "let the new contract go on taking these events, or make it a new event type";
    RETENTION_SHORTENED: "retention-shortened", Risky, "see that no reader lags or replays further back";
    RULE_ADDED: "rule-added", Breaking, "let it warn first (`onFailure: warn`), and look at what it counts";
    RULE_CHANGED: "rule-changed", Risky, "let the new one warn beside the old one first";
    RULE_REMOVED: "rule-removed", Risky, "see that no reader requires it";
    SCHEMA_CHANGED: "schema-changed", Safe, "";
    SCHEMA_ID_MOVED: "schema-id-moved", Breaking, "move the readers first, or make it a new contract with a topic of its own";
    SCHEMA_INCOMPATIBLE: "schema-incompatible", Breaking, "make the change additive, or make it a new event type";
    SCHEMA_UNBOUND: "schema-unbound", Risky, "set `schema.compatibility`";
    SOURCE_NARROWED: "source-narrowed", Breaking, "let senders change first";
    SUBJECT_CHANGED: "subject-changed", Risky, "tell the producers and readers that ask the registry by the subject";
    SUNSET_NEARER: "sunset-nearer", Risky, "see that every sender knows, and can be done by then";
    TIME_CHANGED: "time-changed", Risky, "tell readers who order or window by it";
    TIME_NARROWED: "time-narrowed", Risky, "look at how late and how skewed events come first";
    TIME_REQUIRED: "time-required", Breaking, "let senders bring it first, then require it";
    TOPIC_CHANGED: "topic-changed", Breaking, "keep the topic, or make it a new contract and move the readers";
    TYPE_CHANGED: "type-changed", Breaking, "make it a new contract; the old type goes on until nobody sends it";
    VERSION_LOWERED: "version-lowered", Risky, "versions of a promise only rise";
    WINDOW_SHORTENED: "window-shortened", Risky, "see that no sender repeats later than that";
}
