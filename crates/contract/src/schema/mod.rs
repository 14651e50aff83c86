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
pub mod json;
pub mod protobuf;
mod reasons;
mod registered;

#[cfg(test)]
mod tests;

use std::hash::{DefaultHasher, Hash, Hasher};

pub use error::SchemaError;
pub use fields::Field;

use self::avro::AvroSchema;
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
        text.hash(&mut self.texts);
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
        text.hash(&mut sources.texts);
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
    ) -> Result<Tree<'d>, Reason> {
        let problem = |detail| Reason::new("#/data", detail, "schema.format");
        let media_type = media_type.unwrap_or("application/json");
        if is_json(media_type) {
            // The parser bounds nesting at 128, and its messages name places, not contents.
            return Tree::parse(data).map_err(|error| problem(format!("is not JSON: {error}")));
        }
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        match self {
            Self::Avro(schema) if is_one_of(essence, avro::MEDIA_TYPES) => {
                schema.decode(data).map_err(problem)
            }
            Self::Protobuf(schema) if is_one_of(essence, protobuf::MEDIA_TYPES) => {
                schema.decode(data).map_err(problem)
            }
            _ => {
                let detail = match self {
                    Self::Json(_) => "must be JSON",
                    Self::Avro(_) => "must be JSON or `application/avro`",
                    Self::Protobuf(_) => "must be JSON or `application/protobuf`",
                };
                Err(Reason::new("#/datacontenttype", detail, "schema.format"))
            }
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
