//! The keys of `topic`: where the events are kept.

use super::*;

pub(super) static TOPIC_KEYS: &[Key] = &[
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
