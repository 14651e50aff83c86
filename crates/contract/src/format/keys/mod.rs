//! The keys of `apiVersion: contract/v1`, kind by kind. To add one: give it an entry here with the
//! form that its enforcer reads, a help line, and the default with its reason; then read it in
//! `load/build.rs`. A key whose enforcer does not exist yet stands here as `not_yet`.

mod consumer_contract;
mod data;
mod event;
mod event_contract;
mod ingress;
mod privacy;
mod topic;

pub(crate) use self::consumer_contract::CONSUMER_CONTRACT;
pub(crate) use self::event_contract::EVENT_CONTRACT;

use super::{ByKind, Form, Key, Pattern, Presence, Word};
use crate::date::DATE_PATTERN;
use crate::model::AUTH_PATTERN;
use crate::path::PATH_PATTERN;
use crate::units::{BYTE_RATE_PATTERN, DURATION_PATTERN, RATE_PATTERN, SIZE_PATTERN};

/// The only version of the format.
pub(crate) const API_VERSION: &str = "contract/v1";

static NAME: Pattern = Pattern::new("^[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?$");
static VERSION: Pattern =
    Pattern::new(r"^(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})$");
static PROSE: Pattern = Pattern::new(r"\S");
static ATTRIBUTE: Pattern = Pattern::new("^[!-~]+$");
static URI_REFERENCE: Pattern =
    Pattern::new("^([A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$");
/// A subject of the schema registry, in its context or in the default one.
static SUBJECT: Pattern =
    Pattern::new(r"^(:\.[A-Za-z0-9][A-Za-z0-9._-]*:)?[A-Za-z0-9][A-Za-z0-9._/-]*$");
static PATH: Pattern = Pattern::new(PATH_PATTERN);
static DURATION: Pattern = Pattern::new(DURATION_PATTERN);
static SIZE: Pattern = Pattern::new(SIZE_PATTERN);
static RATE: Pattern = Pattern::new(RATE_PATTERN);
static BYTE_RATE: Pattern = Pattern::new(BYTE_RATE_PATTERN);
static DATE: Pattern = Pattern::new(DATE_PATTERN);
/// Apache Kafka's legal topic names; a leading `_` or `.` is kept for internal topics.
static TOPIC: Pattern = Pattern::new("^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$");
/// A relative path with `/`, then perhaps a JSON Pointer into the file.
static SCHEMA_FILE: Pattern = Pattern::new(
    r"^(\./)?(\.\./)*[^./\\#:\s][^/\\#:\s]*(/[^./\\#:\s][^/\\#:\s]*)*(#(/[^\s#]*)?)?$",
);
/// A name in a map that the writer names, such as a property of the data.
static MEMBER: Pattern = Pattern::new(r#"^[^\s.$*@'"\[\]()]{1,100}$"#);
static EXPRESSION: Pattern = Pattern::new(r"\S");
/// What `semver` reads as a requirement; blanks between its parts are ours.
static VERSION_RANGE: Pattern = Pattern::new(
    r"^(>=|<=|>|<|=|\^|~)?(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){0,2}( (>=|<=|>|<|=|\^|~)?(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){0,2}){0,3}$",
);
/// Header names of HTTP (RFC 9110 §5.1), in lower case.
static HEADER: Pattern = Pattern::new("^[a-z0-9!#$%&'*+.^_`|~-]{1,100}$");
/// A kind of proof; a token's scope is OAuth 2.0's `scope-token` (RFC 6749 §3.3).
static AUTH: Pattern = Pattern::new(AUTH_PATTERN);
/// A consumer group's id: Kafka itself takes any text.
static GROUP: Pattern = Pattern::new("^[!-~]+$");
static PAGER: Pattern = Pattern::new(r"^(webhook:https://|mailto:)[!-~]+$");

/// Whether a text may be a document's name.
pub(crate) fn is_name(text: &str) -> bool {
    NAME.is_match(text)
}

/// Whether a text may be the name of a contract's topic.
pub(crate) fn is_topic(text: &str) -> bool {
    text.len() <= 249 && TOPIC.is_match(text)
}

/// Whether a text may be the name of a contract's subject.
pub(crate) fn is_subject(text: &str) -> bool {
    text.len() <= 255 && SUBJECT.is_match(text)
}

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
const AN_EXPRESSION: Form = text(&EXPRESSION, 4_000, "a CEL expression");
const A_DATE: Form = text(&DATE, 10, "a date such as `2026-03-31`");
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
    value: ByKind,
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

const fn list(item: &'static Form, max: usize) -> Form {
    Form::List { item, max }
}

const fn outside(internal: &'static ByKind, outside: &'static str) -> ByKind {
    ByKind::Outside { internal, outside }
}

const fn same(value: &'static str) -> ByKind {
    ByKind::Same(value)
}

const fn each(fact: &'static str, command: &'static str, telemetry: &'static str) -> ByKind {
    ByKind::Each {
        fact,
        command,
        telemetry,
    }
}

/// The lint findings that somebody wants as they are; the same for contracts and readers.
const ALLOW_KEY: Key = optional(
    "allow",
    list(&AN_ALLOWANCE, 50),
    "lint findings about this document that are meant to be",
    "every finding is told",
);

static AN_ALLOWANCE: Form = Form::Map(ALLOWANCE);

static ALLOWANCE: &[Key] = &[
    required(
        "rule",
        A_NAME,
        "the lint rule whose findings are allowed here",
    ),
    required(
        "why",
        text(&PROSE, 500, "a sentence of at most 500 characters"),
        "why it is right here, for whoever reads the file next",
    ),
];

/// A kind of document.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
}

/// The kinds a document may have.
pub(crate) static KINDS: &[Kind] = &[
    Kind {
        name: "EventContract",
        keys: EVENT_CONTRACT,
    },
    Kind {
        name: "ConsumerContract",
        keys: CONSUMER_CONTRACT,
    },
    Kind {
        name: "Team",
        keys: TEAM,
    },
];

pub(super) static KIND_NAMES: &[Word] = &[
    word(
        "EventContract",
        "what producer and consumers agreed on an event type",
    ),
    word(
        "ConsumerContract",
        "what one reader of an event type relies on",
    ),
    word("Team", "who answers for contracts"),
];

static API_VERSIONS: &[Word] = &[word(API_VERSION, "the first version of the format")];

const API_VERSION_KEY: Key = required(
    "apiVersion",
    Form::Word(API_VERSIONS),
    "the version of this format",
);
const KIND_KEY: Key = required(
    "kind",
    Form::Word(KIND_NAMES),
    "what this document declares",
);

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
            group(
                "approves",
                APPROVES,
                "how many of the team must approve a change before `contract apply` makes it",
            ),
            not_yet("members"),
        ],
        "how to reach it",
    ),
];

static APPROVES: &[Key] = &[
    default(
        "topic",
        Form::Count { min: 0, max: 10 },
        same("0"),
        "approvals that a new topic of the team needs",
        "small teams trust their reviews in git",
    ),
    default(
        "breaking",
        Form::Count { min: 0, max: 10 },
        same("0"),
        "approvals that a breaking change of the team's contracts needs",
        "small teams trust their reviews in git",
    ),
    default(
        "reader",
        Form::Count { min: 0, max: 10 },
        same("0"),
        "approvals that a new or changed reader of the team's events needs",
        "small teams trust their reviews in git",
    ),
];
