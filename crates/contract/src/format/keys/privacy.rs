//! The keys of `privacy`: what in the data is about persons.

use super::*;

pub(super) static PRIVACY: &[Key] = &[
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
