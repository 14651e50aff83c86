//! The keys of `schema` and `key`: what the data looks like, and what is ordered against what.

use super::*;

pub(super) static SCHEMA: &[Key] = &[
    default(
        "format",
        Form::Word(&[
            word("json", "JSON Schema, draft-07 or 2020-12"),
            word(
                "avro",
                "Apache Avro; data is JSON, or binary as `application/avro`",
            ),
            word(
                "protobuf",
                "Protocol Buffers; data is ProtoJSON, or binary as `application/protobuf`",
            ),
        ]),
        same("json"),
        "the language of the schema",
        "the data of an HTTP request is most often JSON",
    ),
    required(
        "file",
        text(
            &SCHEMA_FILE,
            500,
            "a relative path such as `schemas/order.json`, or with a pointer into the file, \
             `schemas/all.json#/definitions/order`",
        ),
        "the schema's file, seen from this file; `#/…` points to a part of it, or names a type or message",
    ),
    default(
        "compatibility",
        Form::Word(&[
            word("NONE", "a new version owes the earlier one nothing"),
            word(
                "BACKWARD",
                "its readers read what was written under the one before",
            ),
            word("BACKWARD_TRANSITIVE", "… under any before"),
            word(
                "FORWARD",
                "readers of the one before read what is written under it",
            ),
            word("FORWARD_TRANSITIVE", "readers of any before do"),
            word("FULL", "both, with the one before"),
            word("FULL_TRANSITIVE", "both, with any before"),
        ]),
        same("BACKWARD"),
        "what a new version of the schema owes the earlier ones; `contract check` holds it to that",
        "readers meet events of the whole retention, so a new schema must read the old ones",
    ),
    default(
        "compatibilityPolicy",
        Form::Word(&[
            word(
                "LENIENT",
                "nobody wrote a property before it was declared: it may be added",
            ),
            word(
                "STRICT",
                "an open object may have held anything under a new name",
            ),
        ]),
        same("LENIENT"),
        "how the compatibility of JSON Schemas is judged",
        "under STRICT nearly no property can ever be added",
    ),
    optional(
        "subject",
        text(
            &SUBJECT,
            255,
            "a registry subject such as `commerce.order-value`, with its context `:.shop:order-value`",
        ),
        "the registry subject that holds the schema; it is registered when the contract comes into force",
        "the schema is not registered",
    ),
    optional(
        "schemaId",
        Form::Word(&[
            word(
                "header",
                "the GUID in the record's header `__value_schema_id`",
            ),
            word("prefix", "0x00 and the 4 bytes of the id before the data"),
        ]),
        "where records carry the id of their schema; needs `subject`",
        "no schema id is written, and none is asked for",
    ),
    optional(
        "rules",
        list(&Form::Map(RULE), 50),
        "what must hold of the data beyond the schema",
        "nothing beyond the schema",
    ),
];

static RULE: &[Key] = &[
    required("name", A_NAME, "names the rule in problems and metrics"),
    required(
        "expr",
        AN_EXPRESSION,
        "a CEL expression over `message`, the data; true is good",
    ),
    optional(
        "onFailure",
        Form::Word(&[
            word("reject", "answer 422, keep nothing"),
            word("quarantine", "answer 422, keep the event for its owner"),
            word("warn", "accept the event and count it"),
        ]),
        "what becomes of an event that breaks the rule",
        "what `ingress.onInvalid` says",
    ),
];

pub(super) static KEY: &[Key] = &[
    required(
        "from",
        A_PATH,
        "where the data holds the record's key: a text, an integer or a flag",
    ),
    default(
        "onMissing",
        Form::Word(&[
            word(
                "keyless",
                "the record has no key: it is kept, in no order with others",
            ),
            word("reject", "an event without its key is refused"),
        ]),
        each("keyless", "reject", "keyless"),
        "what becomes of an event without the key",
        "a fact without a key still happened; commands to nobody must not slip past the order",
    ),
    default(
        "ordering",
        Form::Word(&[
            word("per-key", "events with the same key stay in order"),
            word(
                "per-partition",
                "the events of a partition stay in order, whatever their key",
            ),
            word(
                "none",
                "no order: records keep their key and may go to any partition",
            ),
        ]),
        each("per-key", "per-key", "none"),
        "which events readers see in the order they were accepted",
        "order per key is what readers expect; measurements carry their time and need none",
    ),
];
