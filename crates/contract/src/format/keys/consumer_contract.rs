//! The keys of a `ConsumerContract`: what one reader relies on, and who answers for it.

use super::*;

/// The keys of a `ConsumerContract`.
pub(crate) static CONSUMER_CONTRACT: &[Key] = &[
    API_VERSION_KEY,
    KIND_KEY,
    required_group(
        "metadata",
        &[
            required("name", A_NAME, "the reader's name"),
            required(
                "owner",
                A_NAME,
                "the `Team` that answers for the reader and its dead letters",
            ),
            optional(
                "domain",
                A_NAME,
                "the business area; groups readers in lists",
                "no domain",
            ),
            ALLOW_KEY,
        ],
        "which reader this is",
    ),
    required_group("spec", READER, "what it reads and what it relies on"),
];

static READER: &[Key] = &[
    optional(
        "summary",
        text(&PROSE, 500, "a sentence of at most 500 characters"),
        "what the reader does with the events, for people",
        "no summary",
    ),
    required(
        "contract",
        A_NAME,
        "the `EventContract` whose events it reads",
    ),
    required(
        "accepts",
        text(
            &VERSION_RANGE,
            100,
            "a range of versions such as `>=2.1 <3`, in quotes",
        ),
        "the versions of the contract that it can read; `contract check` says when a new one is outside",
    ),
    required(
        "via",
        Form::OneOf(VIA),
        "how the events reach it; exactly one of its keys",
    ),
    optional(
        "reads",
        list(&A_PATH, 200),
        "the fields it uses; `contract check` says when one of them goes or changes",
        "any field: whatever breaks the schema breaks the reader",
    ),
    optional(
        "requires",
        list(&Form::Map(REQUIREMENT), 50),
        "what must hold of every event it reads, beyond the schema",
        "nothing beyond the schema",
    ),
    optional(
        "duplicates",
        Form::Map(DUPLICATES),
        "what it does with an event it meets twice",
        "not known; `contract lint` warns, since delivery is at least once",
    ),
    group(
        "failure",
        FAILURE,
        "what becomes of events it cannot process",
    ),
    default(
        "priority",
        Form::Word(&[
            word("critical", "its failure is the company's"),
            word("analytical", "its failure makes reports late"),
            word("repair", "reads to mend something; nothing waits for it"),
            word(
                "experimental",
                "may break: a change is told as risky, not breaking",
            ),
        ]),
        same("critical"),
        "how much weighs what breaks it",
        "a reader that says nothing is taken to matter",
    ),
    group("maxLag", MAX_LAG, "how far behind it may be"),
    optional(
        "outage",
        A_DURATION,
        "the longest outage that it must survive without losing events",
        "not planned for",
    ),
    group("rebuild", REBUILD, "how it starts over"),
    default(
        "canary",
        Form::Flag,
        same("false"),
        "whether it gets a new version first, and halts the rollout when it fails",
        "somebody has to volunteer",
    ),
    not_yet("effects"),
    not_yet("omit"),
];

static VIA: &[Key] = &[
    group("kafka", VIA_KAFKA, "a consumer group of any Kafka client"),
    group("connect", VIA_CONNECT, "a sink connector of Kafka Connect"),
    not_yet("webhook"),
    not_yet("sink"),
];

static VIA_KAFKA: &[Key] = &[required(
    "group",
    text(&GROUP, 255, "a consumer group's id without spaces"),
    "the consumer group whose committed offsets say how far it is",
)];

static VIA_CONNECT: &[Key] = &[required(
    "connector",
    text(&GROUP, 200, "a connector's name without spaces"),
    "the connector; its consumer group is `connect-` and this name",
)];

static REQUIREMENT: &[Key] = &[
    optional("name", A_NAME, "names the rule in findings", "its number"),
    required(
        "expr",
        AN_EXPRESSION,
        "a CEL expression over `message`, the event's data; true is good",
    ),
];

static DUPLICATES: &[Key] = &[
    required(
        "handling",
        Form::Word(&[
            word("idempotent", "doing it twice is doing it once"),
            word("tolerated", "twice does harm that somebody accepted"),
            word("none", "not handled; `contract lint` warns"),
        ]),
        "what happens when an event comes twice",
    ),
    optional(
        "by",
        A_PATH,
        "the field by which it knows a repeat",
        "it does not say",
    ),
];

static FAILURE: &[Key] = &[
    optional(
        "deadLetter",
        Form::Map(DEAD_LETTER),
        "where the reader puts what it cannot process; made on `contract apply`",
        "no dead letters that tidegate knows of",
    ),
    not_yet("inPlace"),
    not_yet("tiers"),
    not_yet("keepOrder"),
    not_yet("stopAt"),
];

static DEAD_LETTER: &[Key] = &[
    required("owner", A_NAME, "the `Team` that looks after them"),
    default(
        "topic",
        text(
            &TOPIC,
            249,
            "letters, digits, `.`, `_` and `-`, first a letter or digit",
        ),
        same("{name}.dead-letters"),
        "the topic they are in",
        "one reader, one topic of dead letters",
    ),
    default(
        "retention",
        A_DURATION,
        same("90d"),
        "how long they are kept",
        "a quarter: longer than any holiday, short of an archive",
    ),
    not_yet("alertWhen"),
];

static MAX_LAG: &[Key] = &[
    optional(
        "time",
        A_DURATION,
        "how old the oldest unread event may be before somebody is told",
        "nobody is told",
    ),
    not_yet("marginToRetention"),
];

static REBUILD: &[Key] = &[optional(
    "target",
    A_DURATION,
    "how long reading all history again may take",
    "not planned for",
)];
