//! A record of the log as an event that was written: its data without a schema id before it, its media
//! type, and the schema it was written under where the record names one that the registry knows.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_contract::diff::EventPlace;
use tidegate_contract::diff::retained::Stored;
use tidegate_contract::schema::Schema;
use tidegate_event_log::StoredRecord;

use crate::ingress::{CE_TIME, content_type_of, header};

/// The header in which newer serializers of Confluent's put a schema id.
const ID_HEADER: &str = "__value_schema_id";
/// Before the data: a zero and four bytes of a number.
const PREFIX_BYTES: usize = 5;
/// Schemas that are kept parsed; a topic has few.
const MAX_SCHEMAS: usize = 256;

/// Finds the schema of an id.
pub(super) type Registered = Arc<dyn Fn(i32) -> Option<Schema> + Send + Sync>;

/// Schemas by their ids, parsed once.
pub(super) struct Writers {
    registered: Registered,
    known: HashMap<i32, Option<Arc<Schema>>>,
}

impl Writers {
    pub(super) fn new(registered: Registered) -> Self {
        Self {
            registered,
            known: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, id: i32) -> Option<Arc<Schema>> {
        if self.known.len() >= MAX_SCHEMAS {
            self.known.clear();
        }
        let known = self.known.entry(id);
        let found = known.or_insert_with(|| (self.registered)(id).map(Arc::new));
        found.clone()
    }
}

/// Reads a record as data of `schema`, with the id of the schema it names; nothing of one without a
/// value.
pub(super) fn read(
    schema: &Schema,
    topic: &str,
    partition: i32,
    record: &StoredRecord,
) -> Option<(Stored, Option<i32>)> {
    let value = record.record.value.as_ref()?;
    let media_type = content_type_of(record);
    let of_header = id_of_header(record);
    let of_prefix = || match media_type {
        // Whoever names a media type means the whole value.
        Some(_) => None,
        None => prefix(schema, value),
    };
    let (id, data) = match of_header {
        Some(id) => (Some(id), value.clone()),
        None => match of_prefix() {
            Some((id, data)) => (id, data),
            None => (None, value.clone()),
        },
    };
    let binary = || match (id, of_header) {
        (None, None) => None,
        _ => schema.binary_media_type(),
    };
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
    Some((stored, id))
}

fn id_of_header(record: &StoredRecord) -> Option<i32> {
    let mut headers = record.record.headers.iter();
    let header = headers.find(|header| header.name == ID_HEADER.as_bytes())?;
    number(header.value.as_deref()?)
}

/// Reads what begins with a zero and a number.
fn number(bytes: &[u8]) -> Option<i32> {
    let rest = bytes.strip_prefix(&[0])?;
    let (number, _) = rest.split_first_chunk::<4>()?;
    Some(i32::from_be_bytes(*number))
}

/// Takes a schema id off the data. For Protobuf the place of the message in its file follows: a zero for
/// the first one, else a count and so many numbers; another message than the first has no id here.
fn prefix(schema: &Schema, value: &Bytes) -> Option<(Option<i32>, Bytes)> {
    let id = number(value)?;
    let mut rest = value.slice(PREFIX_BYTES..);
    if !matches!(schema, Schema::Protobuf(_)) {
        return Some((Some(id), rest));
    }
    let first = *rest.first()?;
    if first == 0 {
        return Some((Some(id), rest.slice(1..)));
    }
    // Numbers of one byte, as zig-zag: nobody has more messages in a file than that.
    let count = usize::from(first / 2);
    if first >= 0x80 || first % 2 == 1 || rest.len() <= count {
        return None;
    }
    let indexes = rest.split_to(1 + count);
    let is_first = indexes[1..].iter().all(|index| *index == 0) && count == 1;
    Some((is_first.then_some(id), rest))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tidegate_contract::model::SchemaFormat;
    use tidegate_event_log::{Header, Record};

    use super::*;

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

    #[test]
    fn schema_ids_are_taken_off_the_data() {
        let schema = |format, text: &str| Schema::registered(format, text, &BTreeMap::new());
        let json = schema(SchemaFormat::Json, "{}").unwrap();
        let avro = schema(SchemaFormat::Avro, "\"int\"").unwrap();
        let proto = "syntax = \"proto3\"; message A {} message B {}";
        let proto = schema(SchemaFormat::Protobuf, proto).unwrap();
        let check = |schema: &Schema, record: StoredRecord, expected: (Option<i32>, &[u8])| {
            let (stored, id) = read(schema, "t", 1, &record).unwrap();
            assert_eq!((id, &stored.data[..]), expected);
            stored.media_type
        };
        let plain = record(b"{}", &[]);
        assert_eq!(check(&json, plain, (None, b"{}")), None);
        let prefixed = record(b"\0\0\0\0\x09{}", &[]);
        assert_eq!(check(&json, prefixed, (Some(9), b"{}")), None);
        let prefixed = record(b"\0\0\0\x01\x09x", &[]);
        let media_type = check(&avro, prefixed, (Some(265), b"x"));
        assert_eq!(media_type.as_deref(), Some("application/avro"));
        // A media type says that a zero is the data's own.
        let typed = record(b"\0\0\0\0\x09x", &[("content-type", b"application/avro")]);
        check(&avro, typed, (None, b"\0\0\0\0\x09x"));
        let headed = record(b"x", &[(ID_HEADER, b"\0\0\0\0\x03")]);
        check(&avro, headed, (Some(3), b"x"));
        check(&proto, record(b"\0\0\0\0\x09\0x", &[]), (Some(9), b"x"));
        check(&proto, record(b"\0\0\0\0\x09\x02\0x", &[]), (Some(9), b"x"));
        check(&proto, record(b"\0\0\0\0\x09\x02\x02x", &[]), (None, b"x"));
        let mut nothing = record(b"", &[]);
        nothing.record.value = None;
        assert!(read(&json, "t", 1, &nothing).is_none());
    }
}
