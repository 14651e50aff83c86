//! The keys of an `EventContract`: the promise between the senders and the readers of an event. What its
//! groups hold has files of its own.

use super::data::{KEY, SCHEMA};
use super::event::EVENT;
use super::ingress::INGRESS;
use super::privacy::PRIVACY;
use super::topic::TOPIC_KEYS;
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
