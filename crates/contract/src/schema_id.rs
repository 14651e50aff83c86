//! Schema ids on the wire, as Confluent's serializers write and read them. In the prefix form the value
//! begins with 0x00 and the 4 bytes of a number; in the header form `__value_schema_id` holds 0x00 and a
//! number or 0x01 and a GUID. For Protobuf the place of the message in its file follows: its length and
//! its indexes as zig-zag numbers, a single 0 standing for the first message.

use crate::model::SchemaFormat;

/// The record header of the header form.
pub const VALUE_HEADER: &str = "__value_schema_id";

const NUMBER: u8 = 0;
const GUID: u8 = 1;
/// Before the data in the prefix form, without a message's place.
const PREFIX_BYTES: usize = 5;
/// Messages stand in messages, by hand.
const MAX_INDEXES: usize = 64;

/// What names a schema.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SchemaId {
    /// Its number in a context of the registry.
    Number(i32),
    /// The digest of all that makes it this schema, the most significant half first.
    Guid([u8; 16]),
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Guid(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// A schema id with what belongs to it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Written {
    /// The schema.
    pub id: SchemaId,
    /// The place of the message, from the outermost in; empty for other languages than Protobuf.
    pub message: Vec<usize>,
}

impl Written {
    /// Returns the value of [`VALUE_HEADER`].
    pub fn to_header(&self) -> Vec<u8> {
        let mut bytes = match self.id {
            SchemaId::Number(_) => vec![NUMBER],
            SchemaId::Guid(_) => vec![GUID],
        };
        match self.id {
            SchemaId::Number(number) => bytes.extend_from_slice(&number.to_be_bytes()),
            SchemaId::Guid(guid) => bytes.extend_from_slice(&guid),
        }
        self.put_message(&mut bytes);
        bytes
    }

    /// Returns what stands before the data; nothing for a GUID, which that form does not know.
    pub fn to_prefix(&self) -> Option<Vec<u8>> {
        match self.id {
            SchemaId::Number(_) => Some(self.to_header()),
            SchemaId::Guid(_) => None,
        }
    }

    fn put_message(&self, bytes: &mut Vec<u8>) {
        match self.message.as_slice() {
            [] => {}
            [0] => bytes.push(0),
            indexes => {
                let number = |count: usize| i64::try_from(count).expect("few messages");
                put_zig_zag(bytes, number(indexes.len()));
                for index in indexes {
                    put_zig_zag(bytes, number(*index));
                }
            }
        }
    }

    /// Reads the value of [`VALUE_HEADER`].
    ///
    /// # Errors
    /// It is not in the form; the text says how.
    pub fn of_header(bytes: &[u8], format: SchemaFormat) -> Result<Self, &'static str> {
        let (id, rest) = match bytes.split_first() {
            Some((&NUMBER, rest)) => number(rest)?,
            Some((&GUID, rest)) => {
                let (guid, rest) = rest.split_first_chunk().ok_or("is cut off")?;
                (SchemaId::Guid(*guid), rest)
            }
            _ => return Err("begins with neither 0x00 nor 0x01"),
        };
        let (message, rest) = message(rest, format)?;
        match rest {
            [] => Ok(Self { id, message }),
            _ => Err("has bytes behind its end"),
        }
    }

    /// Takes a prefix off a value; nothing if it has none.
    ///
    /// # Errors
    /// It is not in the form; the text says how.
    pub fn of_prefix(
        value: &[u8],
        format: SchemaFormat,
    ) -> Result<Option<(Self, &[u8])>, &'static str> {
        match value.split_first() {
            Some((&NUMBER, rest)) if value.len() >= PREFIX_BYTES => {
                let (id, rest) = number(rest)?;
                let (message, data) = message(rest, format)?;
                Ok(Some((Self { id, message }, data)))
            }
            _ => Ok(None),
        }
    }
}

fn number(bytes: &[u8]) -> Result<(SchemaId, &[u8]), &'static str> {
    let (number, rest) = bytes.split_first_chunk().ok_or("is cut off")?;
    Ok((SchemaId::Number(i32::from_be_bytes(*number)), rest))
}

fn message(mut rest: &[u8], format: SchemaFormat) -> Result<(Vec<usize>, &[u8]), &'static str> {
    if format != SchemaFormat::Protobuf {
        return Ok((Vec::new(), rest));
    }
    let mut next = || take_zig_zag(&mut rest).ok_or("has message indexes that are cut off");
    let count = next()?;
    if count == 0 {
        return Ok((vec![0], rest));
    }
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_INDEXES);
    let mut indexes = Vec::new();
    for _ in 0..count.ok_or("has an impossible number of message indexes")? {
        let index = usize::try_from(next()?).map_err(|_| "has a negative message index")?;
        indexes.push(index);
    }
    Ok((indexes, rest))
}

/// Appends a zig-zag number, as Avro and Protobuf write them.
pub(crate) fn put_zig_zag(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push((rest & 0x7f) as u8);
}

fn take_zig_zag(rest: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..35).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_confluents_serializers_write_them() {
        let written = |id, message: &[usize]| Written {
            id,
            message: message.to_vec(),
        };
        let (number, guid) = (SchemaId::Number(258), SchemaId::Guid([7; 16]));
        let check = |written: &Written, format, bytes: &[u8]| {
            assert_eq!(written.to_header(), bytes);
            assert_eq!(Written::of_header(bytes, format).as_ref(), Ok(written));
        };
        check(&written(number, &[]), SchemaFormat::Avro, &[0, 0, 0, 1, 2]);
        check(
            &written(number, &[0]),
            SchemaFormat::Protobuf,
            &[0, 0, 0, 1, 2, 0],
        );
        check(
            &written(number, &[1, 0]),
            SchemaFormat::Protobuf,
            &[0, 0, 0, 1, 2, 4, 2, 0],
        );
        check(
            &written(guid, &[]),
            SchemaFormat::Json,
            &[&[1][..], &[7; 16]].concat(),
        );
        assert_eq!(written(guid, &[]).to_prefix(), None);
        assert_eq!(guid.to_string(), "07070707-0707-0707-0707-070707070707");
        let prefixed = [0, 0, 0, 1, 2, 0, b'x'];
        let found = Written::of_prefix(&prefixed, SchemaFormat::Protobuf);
        assert_eq!(found, Ok(Some((written(number, &[0]), &b"x"[..]))));
    }

    #[test]
    fn what_is_no_id_is_told() {
        for (bytes, problem) in [
            (&[][..], "begins with neither 0x00 nor 0x01"),
            (&[2, 0, 0, 0, 1], "begins with neither 0x00 nor 0x01"),
            (&[0, 0, 0, 1], "is cut off"),
            (&[1, 0, 0, 1], "is cut off"),
            (&[0, 0, 0, 0, 1], "has message indexes that are cut off"),
            (
                &[0, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f],
                "has an impossible number of message indexes",
            ),
            (
                &[0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                "has message indexes that are cut off",
            ),
            (&[0, 0, 0, 0, 1, 2, 1], "has a negative message index"),
            (&[0, 0, 0, 0, 1, 0, 0], "has bytes behind its end"),
        ] {
            let found = Written::of_header(bytes, SchemaFormat::Protobuf);
            assert_eq!(found, Err(problem), "{bytes:?}");
        }
        for value in [&b"{}"[..], b"", &[0, 0, 0, 1]] {
            assert_eq!(Written::of_prefix(value, SchemaFormat::Json), Ok(None));
        }
    }
}
