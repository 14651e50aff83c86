//! The keys of `ingress`: what happens at the edge.

use super::*;

pub(super) static INGRESS: &[Key] = &[
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
