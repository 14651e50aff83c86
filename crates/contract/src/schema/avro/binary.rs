//! Avro's binary encoding to the JSON form of the same data (Avro 1.12 «Binary encoding»). Depth,
//! count of values and every length are bounded: blocks of nothing cost no bytes, and a schema that
//! refers to itself nests as deep as its data says.

use std::borrow::Cow;

use serde_json::Number;

use super::{AvroSchema, Node, NodeId};
use crate::tree::Tree;

/// As deep as JSON data may be.
const MAX_DEPTH: usize = 128;
const NO_TYPE: &str = "has no Avro type";
/// Values that take no bytes, beyond those that do.
const FREE_VALUES: usize = 1024;

/// Decodes data; of what no path of `wanted` leads to, only that it is there and well-formed is seen.
pub(super) fn decode<'a>(
    schema: &'a AvroSchema,
    data: &'a [u8],
    wanted: Wanted<'_>,
) -> Result<Tree<'a>, String> {
    let mut decoding = Decoding {
        nodes: &schema.file.nodes,
        rest: data,
        values: FREE_VALUES + 8 * data.len(),
    };
    let value = decoding.value(schema.root, 0, wanted)?;
    match decoding.rest.len() {
        0 => Ok(value),
        left => Err(format!("has {left} bytes behind the end of its Avro value")),
    }
}

/// Which parts of the data are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'w> {
    All,
    /// What these names lead to, one inside the other.
    Paths(&'w [&'w [String]]),
    Nothing,
}

impl Wanted<'_> {
    /// Calls `read` with what is wanted of a member.
    fn of_member<T>(self, name: &str, read: impl FnOnce(Wanted<'_>) -> T) -> T {
        let Self::Paths(paths) = self else {
            return read(self);
        };
        let inner = || {
            let split = paths.iter().filter_map(|path| path.split_first());
            split
                .filter(|(first, _)| *first == name)
                .map(|(_, rest)| rest)
        };
        // Most members are named by no path: nothing is allocated for them.
        if inner().next().is_none() {
            return read(Wanted::Nothing);
        }
        if inner().any(<[String]>::is_empty) {
            return read(Wanted::All);
        }
        let inner: Vec<&[String]> = inner().collect();
        read(Wanted::Paths(&inner))
    }

    fn is_nothing(self) -> bool {
        matches!(self, Self::Nothing)
    }
}

struct Decoding<'a> {
    nodes: &'a [Node],
    rest: &'a [u8],
    /// How many values may still come.
    values: usize,
}

impl<'a> Decoding<'a> {
    /// Counts a value against what the data may nest and hold.
    fn enter(&mut self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("nests Avro values deeper than {MAX_DEPTH}"));
        }
        let left = self.values.checked_sub(1);
        self.values = left.ok_or("has more Avro values than its bytes warrant")?;
        Ok(())
    }

    /// Reads past a value: it is there and well-formed. What [`value`](Self::value) refuses is refused.
    fn skip(&mut self, node: NodeId, depth: usize) -> Result<(), String> {
        self.enter(depth)?;
        let nodes = self.nodes;
        match &nodes[node] {
            Node::Null => {}
            Node::Boolean => {
                self.boolean()?;
            }
            Node::Int => {
                self.int()?;
            }
            Node::Long => {
                self.long()?;
            }
            Node::Float => {
                self.take(4)?;
            }
            Node::Double => {
                self.take(8)?;
            }
            Node::Bytes => {
                let length = self.length()?;
                self.take(length)?;
            }
            Node::Fixed { size, .. } => {
                self.take(*size)?;
            }
            Node::String => {
                self.text()?;
            }
            Node::Enum(declared) => {
                self.length_of(declared.symbols.len(), "enum symbol")?;
            }
            Node::Union(branches) => {
                let index = self.length_of(branches.len(), "union branch")?;
                self.skip(branches[index], depth + 1)?;
            }
            Node::Array(items) => {
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        self.skip(*items, depth + 1)?;
                    }
                }
            }
            Node::Map(inner) => {
                let mut keys = Vec::new();
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        keys.push(self.text()?);
                        self.skip(*inner, depth + 1)?;
                    }
                }
                keys.sort_unstable();
                refuse_twins(keys.windows(2).any(|pair| pair[0] == pair[1]))?;
            }
            Node::Record(record) => {
                for field in &record.fields {
                    self.skip(field.node, depth + 1)?;
                }
            }
            Node::Reference(_) => return Err(NO_TYPE.to_owned()),
        }
        Ok(())
    }

    /// Reads a value; what is not wanted comes out as null.
    fn value(
        &mut self,
        node: NodeId,
        depth: usize,
        wanted: Wanted<'_>,
    ) -> Result<Tree<'a>, String> {
        if wanted.is_nothing() {
            return self.skip(node, depth).map(|()| Tree::Null);
        }
        self.enter(depth)?;
        let nodes = self.nodes;
        Ok(match &nodes[node] {
            Node::Null => Tree::Null,
            Node::Boolean => Tree::Bool(self.boolean()?),
            Node::Int => Tree::Number(self.int()?.into()),
            Node::Long => Tree::Number(self.long()?.into()),
            Node::Float => {
                let bytes = self.array::<4>()?;
                float(f64::from(f32::from_le_bytes(bytes)))
            }
            Node::Double => float(f64::from_le_bytes(self.array::<8>()?)),
            Node::Bytes => {
                let length = self.length()?;
                latin_1(self.take(length)?)
            }
            Node::Fixed { size, .. } => latin_1(self.take(*size)?),
            Node::String => Tree::Text(Cow::Borrowed(self.text()?)),
            Node::Enum(declared) => {
                let index = self.length_of(declared.symbols.len(), "enum symbol")?;
                Tree::Text(Cow::Borrowed(&declared.symbols[index]))
            }
            Node::Union(branches) => {
                let index = self.length_of(branches.len(), "union branch")?;
                self.value(branches[index], depth + 1, wanted)?
            }
            Node::Array(items) => {
                // No path leads into a list.
                let wanted = match wanted {
                    Wanted::All => Wanted::All,
                    Wanted::Paths(_) | Wanted::Nothing => Wanted::Nothing,
                };
                let mut values = Vec::new();
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        let value = self.value(*items, depth + 1, wanted)?;
                        if !wanted.is_nothing() {
                            values.push(value);
                        }
                    }
                }
                Tree::List(values)
            }
            Node::Map(inner) => {
                let mut entries = Vec::new();
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        let key = self.text()?;
                        let read = |wanted: Wanted<'_>| self.value(*inner, depth + 1, wanted);
                        entries.push((Cow::Borrowed(key), wanted.of_member(key, read)?));
                    }
                }
                sort(&mut entries);
                refuse_twins(entries.windows(2).any(|pair| pair[0].0 == pair[1].0))?;
                Tree::Object(entries)
            }
            Node::Record(record) if matches!(wanted, Wanted::All) => {
                // They come in the schema's order and stand in that of their names.
                let mut entries = vec![(Cow::Borrowed(""), Tree::Null); record.fields.len()];
                for (field, place) in record.fields.iter().zip(&record.places) {
                    let value = self.value(field.node, depth + 1, wanted)?;
                    entries[*place] = (Cow::Borrowed(field.name.as_str()), value);
                }
                Tree::Object(entries)
            }
            Node::Record(record) => {
                let mut entries = Vec::new();
                for field in &record.fields {
                    let name = field.name.as_str();
                    wanted.of_member(name, |wanted| {
                        let value = self.value(field.node, depth + 1, wanted)?;
                        if !wanted.is_nothing() {
                            entries.push((Cow::Borrowed(name), value));
                        }
                        Ok::<_, String>(())
                    })?;
                }
                sort(&mut entries);
                Tree::Object(entries)
            }
            Node::Reference(_) => return Err(NO_TYPE.to_owned()),
        })
    }

    fn boolean(&mut self) -> Result<bool, String> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("has an Avro boolean that is neither 0 nor 1".to_owned()),
        }
    }

    fn int(&mut self) -> Result<i32, String> {
        let fits = i32::try_from(self.long()?);
        fits.map_err(|_| "has an Avro int beyond 32 bits".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or("ends inside an Avro value")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N)?;
        bytes
            .try_into()
            .map_err(|_| "ends inside an Avro value".to_owned())
    }

    /// Reads a zig-zag number of at most ten bytes.
    #[inline]
    fn long(&mut self) -> Result<i64, String> {
        // Most are short: lengths, and indexes of branches.
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            let number = i64::from(*byte);
            return Ok((number >> 1) ^ -(number & 1));
        }
        self.long_of_many()
    }

    fn long_of_many(&mut self) -> Result<i64, String> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                #[expect(
                    clippy::cast_possible_wrap,
                    reason = "zig-zag: the lowest bit is the sign"
                )]
                return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
            }
        }
        Err("has an Avro number beyond 64 bits".to_owned())
    }

    fn length(&mut self) -> Result<usize, String> {
        usize::try_from(self.long()?).map_err(|_| "has a negative Avro length".to_owned())
    }

    fn length_of(&mut self, count: usize, what: &str) -> Result<usize, String> {
        let index = self.long()?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < count)
            .ok_or_else(|| format!("has an Avro {what} that its schema lacks"))
    }

    /// Reads how many items the next block has; nothing at the end.
    fn block(&mut self) -> Result<Option<usize>, String> {
        let count = self.long()?;
        if count < 0 {
            // The size in bytes, for readers that skip.
            self.length()?;
        }
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        Ok((count > 0).then_some(count))
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| "has an Avro string that is not UTF-8".to_owned())
    }
}

/// Puts members in the order of a tree; the names of a record differ.
fn sort<'a>(members: &mut [(Cow<'a, str>, Tree<'a>)]) {
    members.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
}

/// JSON has no infinities; Java's encoder writes them as these strings.
fn float(number: f64) -> Tree<'static> {
    Number::from_f64(number).map_or_else(
        || {
            let name = match number {
                f64::INFINITY => "Infinity",
                f64::NEG_INFINITY => "-Infinity",
                _ => "NaN",
            };
            Tree::Text(Cow::Borrowed(name))
        },
        Tree::Number,
    )
}

fn latin_1(bytes: &[u8]) -> Tree<'static> {
    Tree::Text(bytes.iter().map(|byte| char::from(*byte)).collect())
}

fn refuse_twins(found: bool) -> Result<(), String> {
    match found {
        true => Err("has a key of an Avro map twice".to_owned()),
        false => Ok(()),
    }
}
