//! YAML to contracts: many documents a file, many files a folder, all or nothing. Every finding
//! has its place; all of a reading are reported together. Touches files only in [`folder`], and
//! only below that folder.

mod build;
mod diagnostic;
mod files;
mod pieces;
mod settle;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::format::keys::{KINDS, Kind};
use crate::model::{Contracts, EventContract, SchemaFormat, Team};
use crate::reader::Reader;
use crate::schema::{FindFile, ParsedFile, Schema, SchemaError, Sources, beside};

pub use diagnostic::{Diagnostic, Diagnostics, Level, Snippet};
pub use files::{folder, texts};
pub use pieces::{Piece, Texts, pieces, split};

use self::settle::Written;
use self::yaml::{Node, Place, Value};

/// One file of contracts as text.
#[derive(Clone, Debug)]
pub(crate) struct File<'a> {
    name: &'a str,
    text: Arc<str>,
    /// Which of the finders of schema files is asked.
    layer: usize,
}

/// What a contract was read from, kept for messages about it after loading.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) file: String,
    /// The text of the whole file, shared by the contracts in it.
    text: Arc<str>,
    written: Written,
}

impl Document {
    fn new(file: &File<'_>, written: &Written) -> Self {
        let text = Arc::clone(&file.text);
        Self {
            file: file.name.to_owned(),
            text,
            written: written.clone(),
        }
    }

    /// Makes a finding about the value of `key`, or about the contract if the key is not written.
    pub(crate) fn finding(&self, key: &str, message: String, hint: Option<String>) -> Diagnostic {
        let file = File {
            name: &self.file,
            text: Arc::clone(&self.text),
            layer: 0,
        };
        file.error(self.written.place_or_name(key), message, hint)
    }
}

impl<'a> File<'a> {
    fn new(name: &'a str, text: &str) -> Self {
        Self {
            name,
            text: text.into(),
            layer: 0,
        }
    }

    fn error(&self, at: Place, message: String, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            level: Level::Error,
            rule: None,
            file: self.name.to_owned(),
            line: at.line,
            column: at.column,
            message,
            hint,
            snippet: Snippet::new(&self.text, at.line, at.column, at.width),
        }
    }
}

/// Reads contracts from texts, without touching a file.
///
/// Each source is a file's name, `/` between folders, and its text. `schemas` is asked for the
/// text of the schema files that contracts name: a path seen from the folder of the naming file,
/// so `schemas/a.json` in `orders/all.yaml` is asked for as `orders/schemas/a.json`.
///
/// # Errors
/// Everything that is wrong in the texts; no contract of them is usable then.
pub fn sources(
    files: &[(String, String)],
    schemas: &dyn Fn(&str) -> Option<String>,
) -> Result<Contracts, Diagnostics> {
    let find =
        |path: &str| schemas(path).ok_or_else(|| format!("there is no schema file `{path}`"));
    let files: Vec<File<'_>> = files
        .iter()
        .map(|(name, text)| File::new(name, text))
        .collect();
    load(&files, &[&find], Diagnostics::default())
}

/// Reads one YAML document into a plain value.
///
/// # Errors
/// Why it is not one.
pub(crate) fn value(text: &str) -> Result<serde_json::Value, String> {
    let documents = yaml::parse(text)
        .map_err(|error| format!("line {}: {}", error.place.line, error.message))?;
    match documents.as_slice() {
        [] => Ok(serde_json::Value::Null),
        [one] => Ok(one.to_json()),
        several => Err(format!("it holds {} documents", several.len())),
    }
}

fn load(
    files: &[File<'_>],
    find_schema: &[FindFile<'_>],
    found: Diagnostics,
) -> Result<Contracts, Diagnostics> {
    let schemas = find_schema.iter().map(|find| Schemas {
        find,
        parsed: HashMap::new(),
    });
    let mut set = Set {
        found,
        schemas: schemas.collect(),
        contracts: Vec::new(),
        readers: Vec::new(),
        teams: Vec::new(),
    };
    for file in files {
        match yaml::parse(&file.text) {
            Ok(documents) => documents
                .iter()
                .for_each(|document| set.document(file, document)),
            Err(error) => set.found.push(file.error(error.place, error.message, None)),
        }
    }
    set.finish()
}

/// The key of a document's name.
const NAME: &str = "metadata.name";

/// What has been read so far.
struct Set<'a> {
    found: Diagnostics,
    /// One for each layer of files.
    schemas: Vec<Schemas<'a>>,
    contracts: Vec<Read<'a, Arc<EventContract>>>,
    readers: Vec<Read<'a, Arc<Reader>>>,
    teams: Vec<Read<'a, Arc<Team>>>,
}

/// A document that was read, with what is needed to complain about it.
struct Read<'a, T> {
    file: &'a File<'a>,
    written: Written,
    item: T,
}

impl<'a, T> Read<'a, T> {
    fn new(file: &'a File<'a>, written: Written, item: T) -> Self {
        Self {
            file,
            written,
            item,
        }
    }

    fn error(&self, key: &str, message: String, hint: Option<String>) -> Diagnostic {
        self.file
            .error(self.written.place_or_name(key), message, hint)
    }
}

impl<'a> Set<'a> {
    fn document(&mut self, file: &'a File<'a>, root: &Node) {
        let Some(kind) = self.kind(file, root) else {
            return;
        };
        let Some(written) = settle::read(kind.keys, root, file, &mut self.found) else {
            return;
        };
        let wrong = match kind.name {
            "Team" => {
                let item = build::team(&written, file);
                return self.teams.push(Read::new(file, written, item));
            }
            "ConsumerContract" => match build::reader(&written, file) {
                Ok(item) => return self.readers.push(Read::new(file, written, item)),
                Err(wrong) => wrong,
            },
            _ => {
                let schemas = &mut self.schemas[file.layer];
                let mut schema = |format, reference: &str| schemas.at(file.name, format, reference);
                match build::event_contract(&written, file, &mut schema) {
                    Ok(item) => return self.contracts.push(Read::new(file, written, item)),
                    Err(wrong) => wrong,
                }
            }
        };
        for (key, problem) in wrong {
            let place = written.place_or_name(&key);
            self.found
                .push(file.error(place, problem.message, problem.hint));
        }
    }

    /// Finds the declaration of a document's kind. Without a kind nothing else can be judged.
    fn kind(&mut self, file: &File<'_>, root: &Node) -> Option<&'static Kind> {
        let hint = || {
            let names: Vec<String> = KINDS
                .iter()
                .map(|kind| format!("`{}`", kind.name))
                .collect();
            Some(format!("write `kind:` with one of {}", names.join(", ")))
        };
        let kind = match (&root.value, root.get("kind")) {
            (Value::Map(_), Some(kind)) => kind,
            (Value::Map(_), None) => {
                let place = Place {
                    width: 1,
                    ..root.place
                };
                self.found
                    .push(file.error(place, "`kind` is missing".to_owned(), hint()));
                return None;
            }
            _ => {
                let message = format!("a document is a map, not {}", root.what());
                self.found.push(file.error(root.place, message, hint()));
                return None;
            }
        };
        let known = match &kind.value {
            Value::Text(text) => KINDS.iter().find(|known| known.name == text),
            _ => None,
        };
        if known.is_none() {
            let message = "unknown kind of document".to_owned();
            self.found.push(file.error(kind.place, message, hint()));
        }
        known
    }

    fn finish(mut self) -> Result<Contracts, Diagnostics> {
        let teams = std::mem::take(&mut self.teams);
        let contracts = std::mem::take(&mut self.contracts);
        let readers = std::mem::take(&mut self.readers);
        self.refuse_twice(&teams, "a team", NAME, |team| &team.name);
        self.refuse_twice(&readers, "a reader", NAME, |reader| &reader.name);
        self.refuse_twice(&contracts, "a contract", NAME, |c| &c.name);
        self.refuse_twice(&contracts, "the event type", "spec.event.type", |c| {
            &c.event.event_type
        });
        self.refuse_twice(&contracts, "the topic", "spec.topic.name", |c| {
            &c.topic.name
        });
        for contract in &contracts {
            let schema = &contract.item.schema;
            if schema.schema_id.is_some() && schema.subject.is_none() {
                let message = "`schema.schemaId` needs a `subject`, whose ids it writes".to_owned();
                let hint = "name the registry's subject in `schema.subject`".to_owned();
                let found = contract.error("spec.schema.schemaId", message, Some(hint));
                self.found.push(found);
            }
        }
        for contract in &contracts {
            let Some(owner) = &contract.item.owner else {
                continue;
            };
            if !teams.iter().any(|team| team.item.name == *owner) {
                let message = format!("owner `{owner}` is no team of these contracts");
                let hint = "add a document of `kind: Team` with this name".to_owned();
                self.found
                    .push(contract.error("metadata.owner", message, Some(hint)));
            }
        }
        self.refuse_circles(&contracts);
        if !self.found.is_empty() {
            self.found.sort();
            return Err(self.found);
        }
        Ok(Contracts::new(
            contracts.into_iter().map(|read| read.item).collect(),
            readers.into_iter().map(|read| read.item).collect(),
            teams.into_iter().map(|read| read.item).collect(),
        ))
    }

    /// Events that are copied in a circle would be copied for ever.
    fn refuse_circles(&mut self, contracts: &[Read<'_, Arc<EventContract>>]) {
        let from = |contract: &EventContract| Some(contract.migration.as_ref()?.from.clone());
        let earlier: HashMap<&str, String> = contracts
            .iter()
            .filter_map(|read| Some((read.item.name.as_str(), from(&read.item)?)))
            .collect();
        for read in contracts {
            let name = read.item.name.as_str();
            let mut way = vec![name];
            // Each contract at most once, so a circle that does not lead here ends too.
            while let Some(next) = earlier.get(way[way.len() - 1]).map(String::as_str) {
                if next == name {
                    let way: Vec<String> = way.iter().map(|name| format!("`{name}`")).collect();
                    let message = format!(
                        "`migration.from` leads from {} back to `{name}`",
                        way.join(" to ")
                    );
                    let hint = "name the event type that was there before".to_owned();
                    self.found
                        .push(read.error("spec.migration.from", message, Some(hint)));
                }
                if way.contains(&next) {
                    break;
                }
                way.push(next);
            }
        }
    }

    fn refuse_twice<T>(
        &mut self,
        all: &[Read<'_, T>],
        what: &str,
        key: &str,
        value: fn(&T) -> &String,
    ) {
        let mut first: HashMap<&str, &Read<'_, T>> = HashMap::new();
        for read in all {
            let value = value(&read.item);
            let Some(earlier) = first.get(value.as_str()) else {
                first.insert(value, read);
                continue;
            };
            // Whoever shares the name shares its defaults too; once is enough.
            let shares_name = earlier.written.get(NAME) == read.written.get(NAME);
            if key != NAME && shares_name {
                continue;
            }
            let message = format!(
                "there is {what} `{value}` already, at {}:{}",
                earlier.file.name,
                earlier.written.place_or_name(key).line
            );
            let hint = format!("give one of them another `{key}`");
            self.found.push(read.error(key, message, Some(hint)));
        }
    }
}

/// The schema files read so far, so that each is read and parsed once.
struct Schemas<'a> {
    find: FindFile<'a>,
    /// Each with the fingerprint of its texts.
    parsed: HashMap<(SchemaFormat, String), Result<(ParsedFile, u64), Problem>>,
}

/// Why a schema or another value cannot be used.
#[derive(Clone)]
struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problem {
    fn new(message: String, hint: Option<String>) -> Self {
        Self { message, hint }
    }
}

impl From<SchemaError> for Problem {
    fn from(error: SchemaError) -> Self {
        Self {
            message: error.to_string(),
            hint: Some(error.hint().to_owned()),
        }
    }
}

impl Schemas<'_> {
    /// Finds the schema that `reference` means in a contract file.
    fn at(
        &mut self,
        contract_file: &str,
        format: SchemaFormat,
        reference: &str,
    ) -> Result<(Schema, u64), Problem> {
        let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let path = beside(contract_file, path);
        let find = self.find;
        let parsed = self
            .parsed
            .entry((format, path))
            .or_insert_with_key(|(format, path)| {
                let text = find(path).map_err(|message| Problem {
                    message,
                    hint: None,
                })?;
                let mut sources = Sources::new(find);
                let parsed = ParsedFile::parse(*format, path, &text, &mut sources)?;
                Ok((parsed, sources.fingerprint()))
            });
        let (parsed, fingerprint) = parsed.as_ref().map_err(Clone::clone)?;
        Ok((parsed.at(pointer)?, *fingerprint))
    }
}
