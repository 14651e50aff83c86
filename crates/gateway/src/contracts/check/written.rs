//! A record of the log as an event that was written: its data without a schema id before it, its media
//! type, and the schema it was written under where the record names one that the registry knows.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_contract::diff::EventPlace;
use tidegate_contract::diff::retained::Stored;
use tidegate_contract::model::SchemaRules;
use tidegate_contract::schema::Schema;
use tidegate_contract::schema_id::{SchemaId, Written};
use tidegate_event_log::StoredRecord;

use crate::ingress::{CE_TIME, content_type_of, framed, header};

/// Schemas that are kept parsed; a topic has few.
const MAX_SCHEMAS: usize = 256;

/// Finds the schema of an id.
pub(super) type Find = Box<dyn Fn(SchemaId) -> Option<Schema> + Send + Sync>;

/// The schemas that records name, parsed once.
pub(super) struct Writers {
    find: Find,
    known: HashMap<Written, Option<Arc<Schema>>>,
}

impl Writers {
    pub(super) fn new(find: Find) -> Self {
        Self {
            find,
            known: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, written: Written) -> Option<Arc<Schema>> {
        if let Some(known) = self.known.get(&written) {
            return known.clone();
        }
        if self.known.len() >= MAX_SCHEMAS {
            self.known.clear();
        }
        let found = (self.find)(written.id).and_then(|schema| match written.message.as_slice() {
            [] => Some(schema),
            indexes => schema.at_message(indexes),
        });
        let found = found.map(Arc::new);
        self.known.insert(written, found.clone());
        found
    }
}

/// Reads a record as data of a contract's schema, with what names the schema it was written under;
/// nothing of one without a value.
pub(super) fn read(
    rules: &SchemaRules,
    topic: &str,
    partition: i32,
    record: &StoredRecord,
) -> Option<(Stored, Option<Written>)> {
    let (written, data) = framed(record, rules.format, rules.subject.as_deref())?;
    let media_type = content_type_of(record);
    // Data with a schema id is in the schema's own encoding.
    let binary = || written.as_ref().and(rules.schema.binary_media_type());
    let stored = Stored {
        place: EventPlace {
            topic: topic.to_owned(),
            partition,
            offset: record.offset,
        },
        at_ms: record.timestamp_ms,
        media_type: media_type.or_else(binary).map(str::to_owned),
        time: header(record, CE_TIME).map(str::to_owned),
        data,
    };
    Some((stored, written))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_contract::{EventContract, load};
    use tidegate_event_log::{Header, Record};

    use super::*;

    const ID_HEADER: &str = "__value_schema_id";

    fn record(value: &[u8], headers: &[(&str, &[u8])]) -> StoredRecord {
        let headers = headers.iter();
        StoredRecord {
            offset: 7,
            timestamp_ms: 5,
            record: Record {
                key: None,
                value: Some(Bytes::copy_from_slice(value)),
                headers: headers
                    .map(|(name, value)| {
                        Header::new((*name).to_owned(), Bytes::copy_from_slice(value))
                    })
                    .collect(),
            },
        }
    }

    fn contract(format: &str, text: &str, subject: &str) -> Arc<EventContract> {
        let yaml = format!(
            "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: t}}\nspec:\n  class: fact\n  \
             event: {{source: /t}}\n  key: {{from: $.id}}\n  schema: {{format: {format}, file: s{subject}}}\n"
        );
        let files = [("t.yaml".to_owned(), yaml)];
        let set = load::sources(&files, &|_| Some(text.to_owned()));
        let set = set.unwrap_or_else(|found| panic!("{found}"));
        Arc::clone(set.by_name("t").unwrap())
    }

    #[test]
    fn schema_ids_are_taken_off_the_data() {
        const AVRO: &str =
            r#"{"type": "record", "name": "A", "fields": [{"name": "id", "type": "string"}]}"#;
        const PROTO: &str =
            "syntax = \"proto3\"; message A { string id = 1; } message B { string id = 1; }";
        let json = contract("json", "{\"properties\": {\"id\": {}}}", "");
        let avro = contract("avro", AVRO, "");
        let with_subject = contract("avro", AVRO, ", subject: t-value");
        let proto = contract("protobuf", PROTO, "#/A");
        let number = |number, message: &[usize]| {
            Some(Written {
                id: SchemaId::Number(number),
                message: message.to_vec(),
            })
        };
        let check =
            |contract: &EventContract, record: StoredRecord, expected: (Option<Written>, &[u8])| {
                let (stored, written) = read(&contract.schema, "t", 1, &record).unwrap();
                assert_eq!((written, &stored.data[..]), expected);
                stored.media_type
            };
        let plain = record(b"{}", &[]);
        assert_eq!(check(&json, plain, (None, b"{}")), None);
        let prefixed = record(b"\0\0\0\0\x09{}", &[]);
        assert_eq!(check(&json, prefixed, (number(9, &[]), b"{}")), None);
        let prefixed = record(b"\0\0\0\x01\x09x", &[]);
        let media_type = check(&avro, prefixed, (number(265, &[]), b"x"));
        assert_eq!(media_type.as_deref(), Some("application/avro"));
        // A media type says that a zero is the data's own, unless there is a subject.
        let typed = || record(b"\0\0\0\0\x09x", &[("content-type", b"application/avro")]);
        check(&avro, typed(), (None, b"\0\0\0\0\x09x"));
        check(&with_subject, typed(), (number(9, &[]), b"x"));
        // The gateway writes both.
        let ours = [
            ("content-type", &b"application/avro"[..]),
            ("tidegate_schema_id", b"9"),
        ];
        check(
            &avro,
            record(b"\0\0\0\0\x09x", &ours),
            (number(9, &[]), b"x"),
        );
        let headed = record(b"\0\0\0\0\0", &[(ID_HEADER, b"\0\0\0\0\x03")]);
        check(&avro, headed, (number(3, &[]), b"\0\0\0\0\0"));
        let guid = Written {
            id: SchemaId::Guid([0xfe; 16]),
            message: vec![1],
        };
        let headed = record(b"\0\0\0\0\0", &[(ID_HEADER, &guid.to_header())]);
        check(&proto, headed, (Some(guid), b"\0\0\0\0\0"));
        for (prefix, message) in [
            (&b"\0\0\0\0\x09\0x"[..], &[0][..]),
            (b"\0\0\0\0\x09\x02\0x", &[0]),
            (b"\0\0\0\0\x09\x04\x02\x06x", &[1, 3]),
        ] {
            check(&proto, record(prefix, &[]), (number(9, message), b"x"));
        }
        // Neither is in the form.
        let broken = record(b"\0\0\0\0\x09\x04\x02", &[]);
        check(&proto, broken, (None, b"\0\0\0\0\x09\x04\x02"));
        check(&avro, record(b"x", &[(ID_HEADER, b"9")]), (None, b"x"));
        let mut nothing = record(b"", &[]);
        nothing.record.value = None;
        assert!(read(&json.schema, "t", 1, &nothing).is_none());
    }
}
