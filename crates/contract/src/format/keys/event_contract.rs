//! The keys of an `EventContract`: the promise between the senders and the readers of an event.

use super::*;

/// The keys of an `EventContract`.
pub(crate) static EVENT_CONTRACT: &[Key] = &[
    API_VERSION_KEY,
    KIND_KEY,
    required_group(
        "metadata",
        METADATA,
        "which contract this is, and who answers for it",
    ),
    required_group("spec", SPEC, "the promise itself"),
];

static METADATA: &[Key] = &[
    required(
        "name",
        A_NAME,
        "the contract's name, as in `/v1/events/{name}`",
    ),
    default(
        "version",
        text(
            &VERSION,
            20,
            "a version of three numbers such as `2.3.0`, in quotes if need be",
        ),
        same("1.0.0"),
        "version of the promise, not of the schema; stored with every event",
        "a contract is a first version until it says otherwise",
    ),
    optional(
        "domain",
        A_NAME,
        "the business area; groups contracts in lists",
        "no domain",
    ),
    optional(
        "owner",
        A_NAME,
        "the `Team` that answers for the events and their quarantine",
        "nobody answers; `contract lint` warns",
    ),
    ALLOW_KEY,
];

static SPEC: &[Key] = &[
    optional(
        "summary",
        text(&PROSE, 500, "a sentence of at most 500 characters"),
        "what the event means, for people",
        "no summary",
    ),
    required(
        "class",
        Form::Word(&[
            word("fact", "something that happened; kept and replayable"),
            word(
                "command",
                "a request to do something; must not be done twice",
            ),
            word(
                "telemetry",
                "a measurement; short-lived, many, single ones may be lost",
            ),
            later("state"),
        ]),
        "what kind of event this is; chooses the defaults",
    ),
    default(
        "audience",
        Form::Word(&[
            word("internal", "readers of one company"),
            word("partner", "readers of known other companies"),
            word("public", "anybody"),
        ]),
        same("internal"),
        "who may read the events",
        "the narrowest audience, so that nothing leaves by mistake",
    ),
    default(
        "lifecycle",
        Form::Word(&[
            word(
                "draft",
                "not in force: events are refused and nothing is kept",
            ),
            word("active", "in force"),
            word(
                "deprecated",
                "in force, on its way out; events are accepted",
            ),
            word(
                "retired",
                "no longer in force: events are refused and nothing is kept",
            ),
        ]),
        same("active"),
        "whether events are taken: `active` and `deprecated` accept, `draft` and `retired` refuse",
        "a contract that is loaded is meant",
    ),
    optional(
        "deprecation",
        Form::Map(DEPRECATION),
        "since when the contract is on its way out, and what comes after; senders are told in headers",
        "senders are not told",
    ),
    group("event", EVENT, "the CloudEvents attributes"),
    required_group("schema", SCHEMA, "what the data looks like"),
    required_group("key", KEY, "what is ordered against what"),
    group("topic", TOPIC_KEYS, "where the events are kept"),
    group("ingress", INGRESS, "what happens at the edge"),
    not_yet("delivery"),
    group("privacy", PRIVACY, "what in the data is about persons"),
    not_yet("quarantine"),
    group("replay", REPLAY, "how history may be read again"),
    not_yet("objectives"),
    optional(
        "migration",
        Form::Map(MIGRATION),
        "the earlier event type that this one takes over from: a bridge copies its events",
        "it takes over from none",
    ),
];

static MIGRATION: &[Key] = &[
    required(
        "from",
        A_NAME,
        "the earlier `EventContract`; its events are copied until every reader has moved",
    ),
    required(
        "map",
        Form::Entries {
            name: &MEMBER,
            what: "a name of the data such as `orderId`",
            sample: "orderId",
            item: &AN_EXPRESSION,
            max: 500,
        },
        "each member of the data: a path such as `$.id`, or a CEL expression over `message`, the earlier data",
    ),
    optional(
        "canary",
        Form::Map(CANARY),
        "copy a first part, and the rest once the readers with `canary: true` have read it well",
        "everything is copied at once",
    ),
];

static CANARY: &[Key] = &[
    required(
        "first",
        Form::Count {
            min: 1,
            max: 1_000_000,
        },
        "how many events are copied before the canaries have read them",
    ),
    default(
        "for",
        A_DURATION,
        same("10m"),
        "how long the canaries are watched after the first part, at least",
        "retries take minutes before they end in dead letters",
    ),
    default(
        "maxQuarantined",
        Form::Count { min: 0, max: 100 },
        same("0"),
        "how many percent of the first part may break this contract",
        "one event that cannot be copied shows a map that is wrong",
    ),
];

static DEPRECATION: &[Key] = &[
    required(
        "since",
        A_DATE,
        "the day from which nobody should start to send it (`Deprecation`, RFC 9745)",
    ),
    optional(
        "sunset",
        A_DATE,
        "the day from which events may be refused (`Sunset`, RFC 8594)",
        "no end is set",
    ),
    optional(
        "successor",
        A_NAME,
        "the contract to send to instead (`Link: …; rel=\"successor-version\"`)",
        "nothing comes after it",
    ),
];

static PRIVACY: &[Key] = &[
    optional(
        "fields",
        Form::Entries {
            name: &PATH,
            what: "a path such as `$.customer.email`",
            sample: "$.customer.email",
            item: &Form::Map(PERSONAL_FIELD),
            max: 200,
        },
        "the fields that are about persons; each must be in the schema",
        "no field is known to be about persons",
    ),
    optional(
        "classification",
        Form::Word(&[
            word("public", "anybody may know it"),
            word("internal", "anybody in the company may"),
            word("confidential", "who needs it may"),
            word("restricted", "few may"),
        ]),
        "how sensitive the data is; every event carries it as `dataclassification`",
        "events carry what their senders say, if anything",
    ),
    optional(
        "regions",
        list(&A_NAME, 50),
        "where the events may be kept: the contract comes into force only where the setting `region` is one of these",
        "anywhere",
    ),
];

static PERSONAL_FIELD: &[Key] = &[
    required(
        "category",
        A_NAME,
        "what it tells about the person: `contact`, `identity`, `online-id` …",
    ),
    optional(
        "protect",
        Form::Word(&[
            word("drop", "it is taken out before the event is stored"),
            word(
                "mask",
                "`****` and the last 4 characters of a text of 12 or more are stored",
            ),
            word(
                "hash",
                "its keyed hash is stored, the same for the same text",
            ),
            word("reject", "an event that has it is refused and not kept"),
            later("encrypt"),
        ]),
        "what becomes of it before anything is stored",
        "it is stored as it is",
    ),
    not_yet("subject"),
];

static REPLAY: &[Key] = &[
    optional(
        "window",
        A_DURATION,
        "how far back events must stay readable under new versions; `contract check` tries them",
        "the whole retention of the topic",
    ),
    not_yet("requestBy"),
    not_yet("approve"),
    not_yet("maxRate"),
    not_yet("onlyTo"),
    not_yet("drill"),
];

static EVENT: &[Key] = &[
    default(
        "type",
        text(
            &ATTRIBUTE,
            255,
            "printable ASCII without spaces; `*` at the end makes it a family",
        ),
        same("{name}"),
        "the `type` attribute: events of this type are under this contract; with `com.github.*` those of a family, as far as no other contract names them closer",
        "one name for contract and type until the type must be another",
    ),
    optional(
        "source",
        text(
            &URI_REFERENCE,
            1_000,
            "a URI reference such as `/commerce/orders`",
        ),
        "the `source` attribute: events of another source are refused, plain bodies get it",
        "any source is accepted, plain bodies get `/` and the contract's name",
    ),
    optional(
        "id",
        A_PATH,
        "where the data holds the event's id; a CloudEvent's `id` must be the same",
        "the `id` attribute, else the Idempotency-Key, else generated",
    ),
    group(
        "time",
        TIME,
        "which time the event has and how far off it may be",
    ),
    default(
        "mode",
        Form::Word(&[
            word(
                "binary",
                "attributes are record headers, the data is the record's value",
            ),
            later("structured"),
        ]),
        same("binary"),
        "CloudEvents content mode on the log",
        "consumers read the data without an envelope around it",
    ),
];

static TIME: &[Key] = &[
    optional(
        "from",
        A_PATH,
        "where the data holds the event's time, an RFC 3339 text",
        "the `time` attribute",
    ),
    default(
        "maxSkew",
        A_DURATION,
        same("5m"),
        "how far the event's time may lie ahead of its receipt",
        "clocks differ by seconds; a time further ahead is a mistake",
    ),
    optional(
        "maxAge",
        A_DURATION,
        "how far the event's time may lie behind its receipt",
        "any age: late data is still data",
    ),
    default(
        "onMissing",
        Form::Word(&[
            word(
                "receipt",
                "the time of receipt stands in; no event time is invented",
            ),
            word("reject", "an event without a time is refused"),
        ]),
        same("receipt"),
        "what becomes of an event without a time",
        "some SDKs send no `time`",
    ),
];

static SCHEMA: &[Key] = &[
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

static KEY: &[Key] = &[
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

static TOPIC_KEYS: &[Key] = &[
    default(
        "name",
        text(
            &TOPIC,
            249,
            "letters, digits, `.`, `_` and `-`, first a letter or digit",
        ),
        same("{name}"),
        "the topic's name on the log",
        "one contract, one topic, one name",
    ),
    default(
        "partitions",
        Form::Count { min: 1, max: 1_000 },
        same("3"),
        "how many lanes the topic has",
        "a few readers can share the work; more lanes cost files and memory",
    ),
    default(
        "retention",
        A_DURATION,
        each("30d", "7d", "3d"),
        "how long the log keeps the events",
        "facts are read again, commands are done or stale in a week, measurements age fast",
    ),
    default(
        "cleanup",
        Form::Words(&[
            word("delete", "old events go when their retention ends"),
            later("compact"),
        ]),
        same("delete"),
        "how the topic is cleaned",
        "events are history, and history ends by age",
    ),
    default(
        "maxMessage",
        A_SIZE,
        same("1MiB"),
        "how large the data of one event may be",
        "the limit Kafka clients and brokers have by default",
    ),
    group(
        "peak",
        PEAK,
        "the most that is expected; `contract lint` holds the partitions to it",
    ),
    optional(
        "enforce",
        Form::Words(&[
            word(
                "schema",
                "the data keeps the schema, and its schema id is allowed",
            ),
            word("key", "the record's key is the value at `key.from`"),
            word(
                "headers",
                "the CloudEvents headers are there and the contract's",
            ),
            word("size", "the data is not larger than `maxMessage`"),
        ]),
        "what is asked of records that Kafka clients send to the topic",
        "the Kafka port takes any record",
    ),
];

static PEAK: &[Key] = &[
    optional(
        "events",
        text(&RATE, 12, "a rate such as `2000/s`"),
        "how many events come at most",
        "not known; the partitions are taken as they are",
    ),
    optional(
        "bytes",
        text(&BYTE_RATE, 15, "a rate such as `5MiB/s`"),
        "how much data comes at most",
        "not known; the partitions are taken as they are",
    ),
];

static INGRESS: &[Key] = &[
    group(
        "idempotency",
        IDEMPOTENCY,
        "how an event sent twice is known",
    ),
    default(
        "onInvalid",
        Form::Word(&[
            word("reject", "answer 422, keep nothing"),
            word(
                "quarantine",
                "answer 422, keep the bytes and every reason for the owner",
            ),
        ]),
        each("quarantine", "quarantine", "reject"),
        "what becomes of an event that breaks this contract",
        "what a caller sent wrong is kept for its owner; single measurements are not worth it",
    ),
    optional(
        "request",
        Form::Map(REQUEST),
        "the shape of plain bodies, where it is another one than the event's",
        "a plain body is the event's data",
    ),
    optional(
        "auth",
        list(
            &text(
                &AUTH,
                120,
                "`api-key`, `oauth2`, `oauth2:` and a scope, `mtls` or `signature`",
            ),
            10,
        ),
        "by what a caller may have proved who it is; one of them is enough",
        "any proof that the gateway takes will do; the caller is a producer in any case",
    ),
    default(
        "ackAfter",
        Form::Word(&[
            word("log", "the log has made the event durable"),
            later("buffer"),
        ]),
        same("log"),
        "what has happened to an event before its sender hears that it is accepted",
        "an event that was accepted is not lost",
    ),
    optional(
        "quotas",
        list(&Form::Map(QUOTA), 10),
        "how much may be sent; beyond it the answer is 429",
        "as much as the gateway takes",
    ),
];

static QUOTA: &[Key] = &[
    required(
        "name",
        A_NAME,
        "names the quota in `RateLimit` headers and problems",
    ),
    required(
        "per",
        Form::Word(&[
            word("tenant", "the events of a tenant"),
            word("key", "the events of one caller"),
            word("contract", "all events of the contract"),
        ]),
        "what is counted together",
    ),
    required(
        "limit",
        Form::Amount,
        "how many events, or how much data, may be sent",
    ),
    default(
        "every",
        A_DURATION,
        same("1s"),
        "in which time",
        "a limit is most often thought of in seconds",
    ),
    optional(
        "burst",
        Form::Amount,
        "how much may come at once after a pause",
        "as much as the limit",
    ),
];

static REQUEST: &[Key] = &[
    required(
        "schema",
        text(
            &SCHEMA_FILE,
            500,
            "a relative path such as `schemas/order-request.json`",
        ),
        "the JSON Schema of the body, seen from this file",
    ),
    required(
        "map",
        Form::Entries {
            name: &MEMBER,
            what: "a name of the data such as `orderId`",
            sample: "orderId",
            item: &AN_EXPRESSION,
            max: 500,
        },
        "each member of the data: a path such as `$.id`, or a CEL expression over `request`",
    ),
    optional(
        "headers",
        list(&text(&HEADER, 100, "a header's name in lower case"), 20),
        "request headers that are kept beside the original body",
        "no headers are kept",
    ),
];

static IDEMPOTENCY: &[Key] = &[
    default(
        "required",
        Form::Flag,
        outside(&each("false", "true", "false"), "true"),
        "whether an event must bring an identity: its own id or an Idempotency-Key",
        "a command done twice is the harm, and other companies repeat calls; an id that is given is always used",
    ),
    default(
        "window",
        A_DURATION,
        each("24h", "24h", "1h"),
        "how long a repeat gets its first receipt",
        "senders give up retrying within a day, and measurements within the hour",
    ),
    default(
        "scope",
        Form::Words(&[word("tenant", "the same key of two tenants is two events")]),
        same("tenant"),
        "within what an identity is unique",
        "one caller's key must not answer another's",
    ),
    default(
        "fingerprint",
        Form::Word(&[word("body", "the same identity with other data is refused")]),
        same("body"),
        "what tells a repeat from a reused identity",
        "a receipt for other data would be a lie",
    ),
];
