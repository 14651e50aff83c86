//! The keys of `apiVersion: contract/v1`, kind by kind. To add one: give it an entry here with the
//! form that its enforcer reads, a help line, and the default with its reason; then read it in
//! `load/build.rs`. A key whose enforcer does not exist yet stands here as `not_yet`.

use super::{ByClass, Form, Key, Pattern, Presence, Word};
use crate::path::PATH_PATTERN;
use crate::units::{DURATION_PATTERN, SIZE_PATTERN};

/// The only version of the format.
pub(crate) const API_VERSION: &str = "contract/v1";

static NAME: Pattern = Pattern::new("^[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?$");
static VERSION: Pattern =
    Pattern::new(r"^(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})$");
static PROSE: Pattern = Pattern::new(r"\S");
static ATTRIBUTE: Pattern = Pattern::new("^[!-~]+$");
static URI_REFERENCE: Pattern =
    Pattern::new("^([A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$");
static PATH: Pattern = Pattern::new(PATH_PATTERN);
static DURATION: Pattern = Pattern::new(DURATION_PATTERN);
static SIZE: Pattern = Pattern::new(SIZE_PATTERN);
/// Apache Kafka's legal topic names; a leading `_` or `.` is kept for internal topics.
static TOPIC: Pattern = Pattern::new("^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$");
/// A relative path with `/`, then perhaps a JSON Pointer into the file.
static SCHEMA_FILE: Pattern = Pattern::new(
    r"^(\./)?(\.\./)*[^./\\#:\s][^/\\#:\s]*(/[^./\\#:\s][^/\\#:\s]*)*(#(/[^\s#]*)?)?$",
);
static PAGER: Pattern = Pattern::new(r"^(webhook:https://|mailto:)[!-~]+$");

const fn text(pattern: &'static Pattern, max_chars: usize, what: &'static str) -> Form {
    Form::Text {
        pattern,
        max_chars,
        what,
    }
}

const A_NAME: Form = text(
    &NAME,
    100,
    "a name of lower-case letters, digits, `.`, `_` and `-`",
);
const A_PATH: Form = text(&PATH, 1_700, "a path such as `$.order.id`");
const A_DURATION: Form = text(&DURATION, 11, "a duration such as `30s`, `24h` or `7d`");
const A_SIZE: Form = text(&SIZE, 12, "a size such as `256KiB` or `1MiB`");

const fn required(name: &'static str, form: Form, help: &'static str) -> Key {
    Key {
        name,
        help,
        form,
        presence: Presence::Required,
    }
}

const fn optional(name: &'static str, form: Form, help: &'static str, absent: &'static str) -> Key {
    Key {
        name,
        help,
        form,
        presence: Presence::Optional { absent },
    }
}

const fn default(
    name: &'static str,
    form: Form,
    value: ByClass,
    help: &'static str,
    reason: &'static str,
) -> Key {
    Key {
        name,
        help,
        form,
        presence: Presence::Default { value, reason },
    }
}

const fn group(name: &'static str, keys: &'static [Key], help: &'static str) -> Key {
    Key {
        name,
        help,
        form: Form::Map(keys),
        presence: Presence::Group,
    }
}

/// A group that holds a required key, so it is required itself.
const fn required_group(name: &'static str, keys: &'static [Key], help: &'static str) -> Key {
    Key {
        name,
        help,
        form: Form::Map(keys),
        presence: Presence::Required,
    }
}

const fn not_yet(name: &'static str) -> Key {
    Key {
        name,
        help: "",
        form: Form::Flag,
        presence: Presence::NotYet,
    }
}

const fn word(word: &'static str, help: &'static str) -> Word {
    Word {
        word,
        help,
        supported: true,
    }
}

const fn later(word: &'static str) -> Word {
    Word {
        word,
        help: "",
        supported: false,
    }
}

const fn same(value: &'static str) -> ByClass {
    ByClass::Same(value)
}

const fn each(fact: &'static str, command: &'static str, telemetry: &'static str) -> ByClass {
    ByClass::Each {
        fact,
        command,
        telemetry,
    }
}

/// The kinds a document may have.
pub(crate) static KINDS: &[Word] = &[
    word(
        "EventContract",
        "what producer and consumers agreed on an event type",
    ),
    word("Team", "who answers for contracts"),
    later("ConsumerContract"),
];

static API_VERSIONS: &[Word] = &[word(API_VERSION, "the first version of the format")];

const API_VERSION_KEY: Key = required(
    "apiVersion",
    Form::Word(API_VERSIONS),
    "the version of this format",
);
const KIND_KEY: Key = required("kind", Form::Word(KINDS), "what this document declares");

/// The keys of a `Team`.
pub(crate) static TEAM: &[Key] = &[
    API_VERSION_KEY,
    KIND_KEY,
    required_group(
        "metadata",
        &[required("name", A_NAME, "the name that `owner` refers to")],
        "which team this is",
    ),
    required_group(
        "spec",
        &[
            required(
                "pager",
                text(&PAGER, 500, "`webhook:https://…` or `mailto:…`"),
                "where the team is reached when its events are in trouble",
            ),
            not_yet("members"),
            not_yet("approves"),
        ],
        "how to reach it",
    ),
];

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
            later("partner"),
            later("public"),
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
    group("event", EVENT, "the CloudEvents attributes"),
    required_group("schema", SCHEMA, "what the data looks like"),
    required_group("key", KEY, "what is ordered against what"),
    group("topic", TOPIC_KEYS, "where the events are kept"),
    group("ingress", INGRESS, "what happens at the edge"),
    not_yet("delivery"),
    not_yet("privacy"),
    not_yet("quarantine"),
    not_yet("replay"),
    not_yet("objectives"),
];

static EVENT: &[Key] = &[
    default(
        "type",
        text(&ATTRIBUTE, 255, "printable ASCII without spaces"),
        same("{name}"),
        "the `type` attribute; an event with this type is under this contract",
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
    not_yet("subject"),
    not_yet("schemaId"),
    not_yet("rules"),
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
    not_yet("request"),
    not_yet("auth"),
    not_yet("ackAfter"),
    not_yet("quotas"),
];

static IDEMPOTENCY: &[Key] = &[
    default(
        "required",
        Form::Flag,
        each("false", "true", "false"),
        "whether an event must bring an identity: its own id or an Idempotency-Key",
        "a command done twice is the harm; an id that is given is used in every class",
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
