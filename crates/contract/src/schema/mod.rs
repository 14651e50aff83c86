//! Schemas of event data: JSON Schema, Avro and Protobuf behind one type. A schema is parsed when
//! its contract is loaded and compiled once; data that comes in JSON or in the schema's own encoding
//! becomes one JSON value, which the rest of the contract reads. Whether a new schema may follow an
//! old one is `compatibility`. Everything here is bounded: schemas and data come from strangers.

mod as_reader;
pub mod avro;
pub mod compatibility;
mod data;
mod error;
mod fields;
mod guarded;
pub mod json;
mod members;
mod outline;
pub mod protobuf;
mod reasons;
mod registered;
mod standalone;
mod steps;

#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

pub use error::SchemaError;
pub use fields::Field;
pub use members::Member;
pub(crate) use outline::Outlined;
pub(crate) use registered::bundle;
pub use standalone::{Import, Standalone};

use self::avro::AvroSchema;
pub(crate) use self::avro::Wanted;
use self::json::JsonSchema;
use self::protobuf::ProtobufSchema;
use crate::check::{Reason, Reasons};
use crate::event::is_json;
use crate::model::SchemaFormat;
use crate::tree::Tree;

/// Schema files are written by people or generated from code; the demo's has 0.6 MB.
pub(crate) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// How many other files a schema may lead to, all of them no larger than one may be.
const MAX_REFERENCED_FILES: usize = 256;

/// Finds schema files by their path: text, or why it cannot be had.
pub(crate) type FindFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// The files that one schema file leads to, and how far it may lead.
pub(crate) struct Sources<'a> {
    find: FindFile<'a>,
    left: usize,
    left_bytes: u64,
    texts: DefaultHasher,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(find: FindFile<'a>) -> Self {
        Self {
            find,
            left: MAX_REFERENCED_FILES,
            left_bytes: MAX_FILE_BYTES,
            texts: DefaultHasher::new(),
        }
    }

    /// Returns a number that is another one when one of the texts is; good within one process.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.texts.finish()
    }

    /// Reads a file that `from` refers to.
    fn read(&mut self, from: &str, path: &str) -> Result<String, SchemaError> {
        let Some(left) = self.left.checked_sub(1) else {
            let problem = format!("leads to more than {MAX_REFERENCED_FILES} files");
            let file = from.to_owned();
            return Err(SchemaError::TooLarge { file, problem });
        };
        self.left = left;
        let text = (self.find)(path).map_err(|problem| SchemaError::Reference {
            file: from.to_owned(),
            problem,
        })?;
        let Some(left_bytes) = self.left_bytes.checked_sub(text.len() as u64) else {
            let problem = format!("leads to more than {} MiB of files", MAX_FILE_BYTES >> 20);
            let file = from.to_owned();
            return Err(SchemaError::TooLarge { file, problem });
        };
        self.left_bytes = left_bytes;
        hash_meaning(&text, &mut self.texts);
        Ok(text)
    }
}

/// A schema file, parsed; shared by the contracts that point into it.
#[derive(Clone, Debug)]
pub(crate) enum ParsedFile {
    Json(std::sync::Arc<json::SchemaFile>),
    Avro(std::sync::Arc<avro::AvroFile>),
    Protobuf(std::sync::Arc<protobuf::ProtobufFile>),
}

impl ParsedFile {
    /// Parses the file of this name and what it refers to.
    pub(crate) fn parse(
        format: SchemaFormat,
        name: &str,
        text: &str,
        sources: &mut Sources<'_>,
    ) -> Result<Self, SchemaError> {
        hash_meaning(text, &mut sources.texts);
        Ok(match format {
            SchemaFormat::Json => Self::Json(json::SchemaFile::parse(name, text, sources)?.into()),
            SchemaFormat::Avro => Self::Avro(avro::AvroFile::parse(name, text, sources)?.into()),
            SchemaFormat::Protobuf => {
                Self::Protobuf(protobuf::ProtobufFile::parse(name, text, sources)?.into())
            }
        })
    }

    /// Points to a place in the file; `pointer` is what stands behind `#`.
    pub(crate) fn at(&self, pointer: &str) -> Result<Schema, SchemaError> {
        Ok(match self {
            Self::Json(file) => Schema::Json(JsonSchema::at(file.clone(), pointer)?),
            Self::Avro(file) => Schema::Avro(AvroSchema::at(file.clone(), pointer)?),
            Self::Protobuf(file) => Schema::Protobuf(ProtobufSchema::at(file.clone(), pointer)?),
        })
    }
}

/// The schema of one contract.
#[derive(Debug)]
pub enum Schema {
    /// JSON Schema, draft-07 or 2020-12.
    Json(JsonSchema),
    /// Apache Avro 1.12.
    Avro(AvroSchema),
    /// Protocol Buffers, proto2 and proto3.
    Protobuf(ProtobufSchema),
}

impl Schema {
    /// Compiles the schema, unless that was done before. Checking events does it on first use.
    ///
    /// # Errors
    /// The schema cannot be used; it is the contract's fault, not an event's.
    pub fn compile(&self) -> Result<(), SchemaError> {
        match self {
            Self::Json(schema) => schema.compile(),
            // These are compiled when they are read.
            Self::Avro(_) | Self::Protobuf(_) => Ok(()),
        }
    }

    /// Reads data of a media type; absent means JSON. Data in the schema's own encoding comes out
    /// as the JSON form of the same.
    pub(crate) fn read<'d>(
        &'d self,
        media_type: Option<&str>,
        data: &'d [u8],
    ) -> Result<Data<'d>, Reason> {
        let media_type = media_type.unwrap_or("application/json");
        if is_json(media_type) {
            return json_data(data);
        }
        if self.is_own_encoding(media_type) {
            return self.read_binary(data, Wanted::All);
        }
        let detail = match self {
            Self::Json(_) => "must be JSON",
            Self::Avro(_) => "must be JSON or `application/avro`",
            Self::Protobuf(_) => "must be JSON or `application/protobuf`",
        };
        Err(Reason::new("#/datacontenttype", detail, "schema.format"))
    }

    /// Reads data in the schema's own encoding, which for JSON Schema is JSON. What is not wanted
    /// may be left out.
    pub(crate) fn read_binary<'d>(
        &'d self,
        data: &'d [u8],
        wanted: Wanted<'_>,
    ) -> Result<Data<'d>, Reason> {
        let problem = |detail| Reason::new("#/data", detail, "schema.format");
        match self {
            Self::Json(_) => json_data(data),
            Self::Avro(schema) => schema
                .decode(data, wanted)
                .map(|tree| Data { tree, fits: true })
                .map_err(problem),
            Self::Protobuf(schema) => {
                let tree = schema.decode(data).map_err(problem)?;
                Ok(Data { tree, fits: false })
            }
        }
    }

    /// Whether a media type is the schema's own encoding.
    pub(crate) fn is_own_encoding(&self, media_type: &str) -> bool {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        match self {
            Self::Json(_) => is_json(media_type),
            Self::Avro(_) => is_one_of(essence, avro::MEDIA_TYPES),
            Self::Protobuf(_) => is_one_of(essence, protobuf::MEDIA_TYPES),
        }
    }

    /// The first name of the schema's own encoding.
    pub fn own_media_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Avro(_) => avro::MEDIA_TYPES[0],
            Self::Protobuf(_) => protobuf::MEDIA_TYPES[0],
        }
    }

    /// Writes JSON data that keeps the schema in the schema's own encoding.
    ///
    /// # Errors
    /// The data does not keep the schema; the text is about the data.
    pub(crate) fn encode(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        let parse = || Tree::parse(data).map_err(|error| error.to_string());
        match self {
            Self::Json(_) => Ok(data.to_vec()),
            Self::Avro(schema) => schema.encode(&parse()?),
            Self::Protobuf(schema) => schema.encode(&parse()?),
        }
    }

    /// Returns the place of a Protobuf message in its file, from the outermost in: Confluent's
    /// message indexes. Absent for other languages.
    pub fn message_indexes(&self) -> Option<Vec<usize>> {
        match self {
            Self::Protobuf(schema) => Some(schema.indexes()),
            Self::Json(_) | Self::Avro(_) => None,
        }
    }

    /// Returns the message at a place of a Protobuf file.
    pub fn at_message(&self, indexes: &[usize]) -> Option<Self> {
        match self {
            Self::Protobuf(schema) => schema.at_indexes(indexes).map(Self::Protobuf),
            Self::Json(_) | Self::Avro(_) => None,
        }
    }

    /// Whether two Protobuf schemas mean the message of one name; of other languages, yes.
    pub(crate) fn is_same_message(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Protobuf(one), Self::Protobuf(two)) => {
                one.message.full_name() == two.message.full_name()
            }
            _ => true,
        }
    }

    /// Checks data; the reasons are added to `into` and capped by it.
    pub(crate) fn check(&self, data: &Tree<'_>, into: &mut Reasons) -> Result<(), &SchemaError> {
        match self {
            Self::Json(schema) => schema.check(data, into)?,
            Self::Avro(schema) => schema.check(data, into),
            Self::Protobuf(schema) => schema.check(data, into),
        }
        Ok(())
    }
}

/// Data that was read.
#[derive(Debug)]
pub(crate) struct Data<'d> {
    pub(crate) tree: Tree<'d>,
    /// It keeps the schema that it was read by, since that could read it.
    pub(crate) fits: bool,
}

fn json_data(data: &[u8]) -> Result<Data<'_>, Reason> {
    // The parser bounds nesting at 128, and its messages name places, not contents.
    let tree = Tree::parse(data).map_err(|error| {
        let detail = format!("is not JSON: {error}");
        Reason::new("#/data", detail, "schema.format")
    })?;
    Ok(Data { tree, fits: false })
}

/// Hashes what a schema's text means: of JSON the order of members, blanks and the forms of a
/// reference or a number do not count.
fn hash_meaning(text: &str, into: &mut DefaultHasher) {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => hash_value(&value, into),
        _ => text.hash(into),
    }
}

fn hash_value(value: &Value, into: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(into),
        Value::Bool(flag) => (1_u8, flag).hash(into),
        // A number of any form that is the same double is the same; larger ones keep their digits.
        Value::Number(number) => match number.as_f64() {
            Some(double) if double.abs() < 9e15 => (2_u8, (double + 0.0).to_bits()).hash(into),
            _ => (3_u8, number.to_string()).hash(into),
        },
        Value::String(text) => (4_u8, text).hash(into),
        Value::Array(items) => {
            (5_u8, items.len()).hash(into);
            items.iter().for_each(|item| hash_value(item, into));
        }
        Value::Object(members) => {
            (6_u8, members.len()).hash(into);
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in sorted {
                name.hash(into);
                match (name.as_str(), value) {
                    ("$ref", Value::String(reference)) => {
                        let reference = reference.strip_prefix("./").unwrap_or(reference);
                        // The root is named with `#` or without.
                        let own = reference != "#";
                        reference
                            .strip_suffix('#')
                            .filter(|_| own)
                            .unwrap_or(reference)
                            .hash(into);
                    }
                    _ => hash_value(value, into),
                }
            }
        }
    }
}

fn is_one_of(media_type: &str, known: &[&str]) -> bool {
    known
        .iter()
        .any(|name| media_type.eq_ignore_ascii_case(name))
}

/// Joins a path to the folder of a file: `orders/all.yaml` and `../a.json` make `a.json`.
pub(crate) fn beside(file: &str, path: &str) -> String {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| *part != ".").collect();
    if folder.is_empty() && !file.starts_with('/') {
        parts.clear();
    }
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
