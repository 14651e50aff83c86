//! What the data of events look like, and what is ordered against what.

use super::words::words;
use crate::expression::Expression;
use crate::path::Path;
use crate::schema::Schema;

/// What the data looks like.
#[derive(Debug)]
pub struct SchemaRules {
    /// The schema's language.
    pub format: SchemaFormat,
    /// The file as written, with its pointer.
    pub file: String,
    /// The schema itself.
    pub schema: Schema,
    /// What a new version of the schema owes this one.
    pub compatibility: Compatibility,
    /// How that is judged for JSON Schema.
    pub policy: CompatibilityPolicy,
    /// The registry subject that holds it.
    pub subject: Option<String>,
    /// Where records carry its id; only with a subject.
    pub schema_id: Option<SchemaIdPlace>,
    /// What must hold of the data beyond the schema.
    pub rules: Vec<FieldRule>,
    /// Tells whether the text is another; good within one process.
    pub(crate) fingerprint: u64,
}

words! {
    /// The language of a schema.
    SchemaFormat {
        /// JSON Schema, draft-07 or 2020-12.
        Json = "json",
        /// Apache Avro.
        Avro = "avro",
        /// Protocol Buffers.
        Protobuf = "protobuf",
    }
}

words! {
    /// What a new version of a schema owes the earlier ones (Confluent Schema Registry).
    Compatibility {
        /// Nothing.
        None = "NONE",
        /// Its readers read what was written under the last one.
        Backward = "BACKWARD",
        /// Its readers read what was written under any earlier one.
        BackwardTransitive = "BACKWARD_TRANSITIVE",
        /// Readers of the last one read what is written under it.
        Forward = "FORWARD",
        /// Readers of any earlier one read what is written under it.
        ForwardTransitive = "FORWARD_TRANSITIVE",
        /// Both ways with the last one.
        Full = "FULL",
        /// Both ways with any earlier one.
        FullTransitive = "FULL_TRANSITIVE",
    }
}

words! {
    /// How the compatibility of JSON Schemas is judged (Confluent Schema Registry).
    CompatibilityPolicy {
        /// By what any document could hold: an open object may hold any new property already.
        Strict = "STRICT",
        /// By what people mean: nobody wrote a property before it was declared.
        Lenient = "LENIENT",
    }
}

words! {
    /// Where records carry the id of their schema (Confluent's wire formats).
    SchemaIdPlace {
        /// The GUID in the header `__value_schema_id`.
        Header = "header",
        /// 0x00 and the number before the data.
        Prefix = "prefix",
    }
}

/// A rule of a contract over the data.
#[derive(Debug)]
pub struct FieldRule {
    /// Names it in problems and metrics; unique in its contract.
    pub name: String,
    /// True of good data.
    pub expression: Expression,
    /// What becomes of an event that breaks it.
    pub on_failure: OnFailure,
}

words! {
    /// What becomes of an event that breaks a rule of its contract.
    OnFailure {
        /// Nothing is kept; the answer is 422.
        Reject = "reject",
        /// The event is kept for its owner; the answer is 422.
        Quarantine = "quarantine",
        /// The event is accepted and counted.
        Warn = "warn",
    }
}

/// The record's key.
#[derive(Debug)]
pub struct KeyRules {
    /// Where the data holds it.
    pub from: Path,
    /// What becomes of an event without it.
    pub on_missing: MissingKey,
    /// Which events stay in order.
    pub ordering: Ordering,
}

words! {
    /// What becomes of an event whose data lacks the key.
    MissingKey {
        /// The record has no key and stands in no order with others.
        Keyless = "keyless",
        /// The event is refused.
        Reject = "reject",
    }
}

words! {
    /// Which events readers see in the order they were accepted.
    Ordering {
        /// Those with the same key.
        PerKey = "per-key",
        /// Those of the same partition.
        PerPartition = "per-partition",
        /// None: a record may go to any partition, whatever its key.
        None = "none",
    }
}
