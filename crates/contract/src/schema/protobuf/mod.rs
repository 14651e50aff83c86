//! Protobuf schemas, proto2 and proto3, compiled without protoc. Imports are seen from the folder of
//! the file that the contract names; `google/protobuf/…` is built in. Data is the JSON form of the
//! message (ProtoJSON) with its JSON names, or its binary encoding (`docs/decisions/0005`).

mod format;
mod json;
mod print;
mod syntax;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FileDescriptor, MessageDescriptor, SerializeOptions,
    Value as Field,
};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::standalone::Import;
use super::{SchemaError, Sources, beside};
use crate::check::Reasons;
use crate::tree::Tree;

/// What the data may be called when it is in Protobuf's binary encoding.
pub(crate) const MEDIA_TYPES: &[&str] = &[
    "application/protobuf",
    "application/x-protobuf",
    "application/vnd.google.protobuf",
];
/// One file's text; generated ones are smaller, and the compiler's own tree is many times its size.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// A schema file with its imports, compiled.
#[derive(Debug)]
pub(crate) struct ProtobufFile {
    name: String,
    pool: DescriptorPool,
    /// Its own text and those of its imports, by the names that imports have.
    texts: BTreeMap<String, String>,
}

/// The schema of one contract: a message of a file.
#[derive(Debug)]
pub struct ProtobufSchema {
    pub(crate) message: MessageDescriptor,
    file: Arc<ProtobufFile>,
}

/// The files that were read, by the names that imports have.
struct Known(HashMap<String, File>);

impl FileResolver for Known {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let file = self.0.get(name);
        file.cloned()
            .ok_or_else(|| protox::Error::file_not_found(name))
    }
}

impl ProtobufFile {
    /// Parses a schema file and those that it imports, and compiles them.
    pub(crate) fn parse(
        path: &str,
        text: &str,
        sources: &mut Sources<'_>,
    ) -> Result<Self, SchemaError> {
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let mut files = HashMap::new();
        let mut texts = BTreeMap::new();
        let mut open = vec![(name.clone(), path.to_owned(), text.to_owned())];
        while let Some((name, path, text)) = open.pop() {
            let file = parse(&name, &path, &text)?;
            for import in &file.file_descriptor_proto().dependency {
                if import.starts_with("google/protobuf/")
                    || files.contains_key(import)
                    || *import == name
                    || open.iter().any(|(name, ..)| name == import)
                {
                    continue;
                }
                let wanted = beside(path.strip_suffix(&name).unwrap_or_default(), import);
                let text = sources.read(&path, &wanted)?;
                open.push((import.clone(), wanted, text));
            }
            texts.insert(name.clone(), text);
            files.insert(name, file);
        }
        let mut resolver = ChainFileResolver::new();
        resolver.add(Known(files));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler
            .open_file(&name)
            .map_err(|error| language(path, &error))?;
        Ok(Self {
            name: path.to_owned(),
            pool: compiler.descriptor_pool(),
            texts,
        })
    }
}

fn parse(name: &str, path: &str, text: &str) -> Result<File, SchemaError> {
    if text.len() > MAX_TEXT_BYTES {
        let problem = format!("is larger than {} MiB", MAX_TEXT_BYTES >> 20);
        let file = path.to_owned();
        return Err(SchemaError::TooLarge { file, problem });
    }
    match descriptor(name, text) {
        Some(file) => Ok(file),
        None => File::from_source(name, text).map_err(|error| language(path, &error)),
    }
}

/// Reads a compiled file in base64, the form in which Confluent's clients for Python and others send
/// a schema to the registry. A text in the language has spaces, so it is never taken for one.
fn descriptor(name: &str, text: &str) -> Option<File> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    let mut file = FileDescriptorProto::decode(&*bytes).ok()?;
    file.name = Some(name.to_owned());
    Some(File::from_file_descriptor_proto(file))
}

/// Tells the compiler's error; its places come as `file:line:column: …` in the debug form.
fn language(path: &str, error: &protox::Error) -> SchemaError {
    let first = error.to_string();
    let detail = format!("{error:?}");
    let place = detail
        .split_once(": ")
        .map(|(place, _)| place)
        .and_then(|place| {
            let mut parts = place.rsplitn(3, ':');
            let (column, line) = (parts.next()?, parts.next()?);
            let number = |text: &str| text.parse::<u32>().ok();
            Some(format!(":{}:{}", number(line)?, number(column)?))
        })
        .unwrap_or_default();
    SchemaError::Language {
        file: path.to_owned(),
        place,
        problem: format!(
            "is no Protobuf: {}",
            first.lines().next().unwrap_or_default()
        ),
    }
}

impl ProtobufSchema {
    /// Points to the file's first message, or behind `/` to one by its name, with or without the
    /// package.
    pub(crate) fn at(file: Arc<ProtobufFile>, pointer: &str) -> Result<Self, SchemaError> {
        let short = file.name.rsplit('/').next().unwrap_or(&file.name);
        let root = file.pool.get_file_by_name(short);
        let name = pointer.strip_prefix('/').unwrap_or(pointer);
        let message = root.and_then(|root| match name {
            "" => root.messages().next(),
            name => {
                let full = format!("{}.{name}", root.package_name());
                let pool = &file.pool;
                pool.get_message_by_name(name)
                    .or_else(|| pool.get_message_by_name(&full))
            }
        });
        let message = message.ok_or_else(|| SchemaError::Reference {
            file: file.name.clone(),
            problem: match name {
                "" => "there is no message".to_owned(),
                name => format!("there is no message `{name}`"),
            },
        })?;
        Ok(Self { message, file })
    }

    /// Parses a schema that stands alone, as a registry is sent one.
    ///
    /// # Errors
    /// The schema cannot be used.
    pub fn parse(name: &str, text: &str) -> Result<Self, SchemaError> {
        let nothing = |path: &str| Err(format!("there is no schema file `{path}`"));
        let file = ProtobufFile::parse(name, text, &mut Sources::new(&nothing))?;
        Self::at(Arc::new(file), "")
    }

    /// Returns where the message stands in its file, from the outermost in.
    pub(crate) fn indexes(&self) -> Vec<usize> {
        let mut indexes = Vec::new();
        let mut message = self.message.clone();
        loop {
            let parent = message.parent_message();
            let index = match &parent {
                Some(parent) => parent.child_messages().position(|child| child == message),
                None => message.parent_file().messages().position(|m| m == message),
            };
            indexes.push(index.unwrap_or_default());
            match parent {
                Some(parent) => message = parent,
                None => break,
            }
        }
        indexes.reverse();
        indexes
    }

    /// Returns the message at a place of the same file.
    pub(crate) fn at_indexes(&self, indexes: &[usize]) -> Option<Self> {
        let (first, inner) = indexes.split_first()?;
        let mut message = self.message.parent_file().messages().nth(*first)?;
        for index in inner {
            let child = message.child_messages().nth(*index)?;
            message = child;
        }
        Some(Self {
            message,
            file: Arc::clone(&self.file),
        })
    }

    /// Returns the text of the message's file, and before it those that it leads to: each name of an
    /// import with its text and the names that it imports. Nothing if the message is an import's.
    pub(super) fn texts(&self) -> Option<(String, Vec<Import>)> {
        let short = self.file.name.rsplit('/').next().unwrap_or_default();
        let root = self.message.parent_file();
        if root.name() != short {
            return None;
        }
        let mut imports = Vec::new();
        let mut seen = HashSet::new();
        self.imports_of(&root, &mut seen, &mut imports);
        Some((self.file.texts.get(short)?.clone(), imports))
    }

    /// Adds what a file imports, each behind its own imports. Compiled files have no cycles.
    fn imports_of(
        &self,
        file: &FileDescriptor,
        seen: &mut HashSet<String>,
        into: &mut Vec<Import>,
    ) {
        for import in file.dependencies() {
            let Some(text) = self.file.texts.get(import.name()) else {
                continue;
            };
            if seen.insert(import.name().to_owned()) {
                self.imports_of(&import, seen, into);
                let dependencies = import.dependencies();
                into.push(Import {
                    name: import.name().to_owned(),
                    text: text.clone(),
                    imports: dependencies.map(|file| file.name().to_owned()).collect(),
                });
            }
        }
    }

    /// Writes the binary encoding of data in its JSON form.
    pub(crate) fn encode(&self, data: &Tree<'_>) -> Result<Vec<u8>, String> {
        let message = DynamicMessage::deserialize(self.message.clone(), data.to_value());
        let message = message.map_err(|_| "has no binary form".to_owned())?;
        Ok(message.encode_to_vec())
    }

    /// Returns the compiled file.
    pub(crate) fn descriptor(&self) -> FileDescriptorProto {
        self.message.parent_file().file_descriptor_proto().clone()
    }

    /// Writes the compiled file as text in the language, if that says all.
    pub(crate) fn text(&self) -> Option<String> {
        print::print(&self.descriptor())
    }

    /// Whether two files are one, whatever they were written in.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.descriptor(), other.descriptor());
        print::tidy(&mut left);
        print::tidy(&mut right);
        left == right
    }

    /// Whether two files declare the same, in whatever order.
    fn declares_the_same(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.descriptor(), other.descriptor());
        for file in [&mut left, &mut right] {
            print::tidy(file);
            print::sort(file);
        }
        left == right
    }

    /// Writes the text of this file anew (`format.rs`): the same for texts that differ in spaces and
    /// comments, and normalised, for those that differ in the order of what they declare. `None` if
    /// that does not say all; `parse` reads what was written.
    pub(crate) fn formatted(
        &self,
        text: &str,
        normalize: bool,
        parse: impl Fn(&str) -> Option<Self>,
    ) -> Option<String> {
        let says_all = |written: &String| {
            written == text || parse(written).is_some_and(|read| read.declares_the_same(self))
        };
        let compiled = normalize.then(|| self.descriptor());
        let normal = compiled.and_then(|compiled| format::format(text, Some(&compiled)));
        normal
            .filter(&says_all)
            .or_else(|| format::format(text, None).filter(&says_all))
    }

    pub(crate) fn check(&self, data: &Tree<'_>, into: &mut Reasons) {
        json::check(&self.message, data, into);
    }

    /// Reads the binary encoding. The decoder bounds nesting at 100.
    pub(crate) fn decode(&self, data: &[u8]) -> Result<Tree<'static>, String> {
        let message = DynamicMessage::decode(self.message.clone(), data)
            .map_err(|_| format!("is no Protobuf message `{}`", self.message.full_name()))?;
        if let Some(number) = unknown_field(&message) {
            return Err(format!("has a field {number} that its schema lacks"));
        }
        let options = SerializeOptions::new();
        message
            .serialize_with_options(serde_json::value::Serializer, &options)
            .map(Tree::from)
            .map_err(|_| "has no JSON form".to_owned())
    }
}

/// Finds a field that the schema lacks: it would be kept unread, whatever it says.
fn unknown_field(message: &DynamicMessage) -> Option<u32> {
    fn inside(value: &Field) -> Option<u32> {
        match value {
            Field::Message(message) => unknown_field(message),
            Field::List(values) => values.iter().find_map(inside),
            Field::Map(entries) => entries.values().find_map(inside),
            _ => None,
        }
    }
    let own = message.unknown_fields().next().map(|field| field.number());
    own.or_else(|| message.fields().find_map(|(_, value)| inside(value)))
}
