//! The keys of `event`: the CloudEvents attributes.

use super::*;

pub(super) static EVENT: &[Key] = &[
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
