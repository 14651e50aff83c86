//! What every import does: a contract in the making, to which a foreign document offers values. One
//! that the format does not take is told, not guessed at; what the document says beyond that is told
//! too. A draft loads at every step, so what is imported can be used.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{ExchangeError, Imported, SCHEMA_FILE, yaml};
use crate::format::keys::KINDS;
use crate::format::{Form, Key};
use crate::load::{self, Piece};
use crate::model::Contracts;

/// More sentences help nobody.
const MAX_TOLD: usize = 60;

/// A value that a foreign document has for a key of ours.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    /// The key, `spec.topic.retention`.
    pub(super) key: &'static str,
    /// The value as our format writes it.
    pub(super) value: Value,
    /// Where the foreign document has it.
    pub(super) pointer: String,
}

/// A document in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The file it will stand in.
    pub(super) file: String,
    pub(super) document: Value,
    pub(super) team: Option<Value>,
    /// Schema files by their path in the folder.
    pub(super) schemas: BTreeMap<String, String>,
    pub(super) told: Vec<String>,
    /// Places of the foreign document that were read.
    pub(super) taken: Vec<String>,
}

impl Draft {
    /// Reads the draft as a folder would be read.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn load(&self) -> Result<Contracts, String> {
        let mut files = vec![(self.file.clone(), yaml::write(&self.document))];
        if let Some(team) = &self.team {
            files.push(("team.yaml".to_owned(), yaml::write(team)));
        }
        load::sources(&files, &|path| self.schemas.get(path).cloned()).map_err(|found| {
            found
                .iter()
                .next()
                .map_or_else(String::new, |f| f.message.clone())
        })
    }

    /// Takes the words of a document, one by one.
    pub(super) fn offer(&mut self, word: Word) {
        let before = self.document.clone();
        set(&mut self.document, word.key, word.value.clone());
        self.taken.push(word.pointer.clone());
        if before == self.document {
            return;
        }
        if let Err(problem) = self.load() {
            self.document = before;
            let Word { value, pointer, .. } = word;
            self.told
                .push(format!("`{value}` at `{pointer}` was not taken: {problem}"));
        }
    }

    /// Tells what a foreign document says that was not read, in places as wide as can be.
    pub(super) fn tell_rest(&mut self, document: &Value, known: &Value) {
        let mut places = Vec::new();
        rest(document, known, "", &self.taken, &mut places);
        let more = places.len().saturating_sub(MAX_TOLD);
        let told = places.into_iter().take(MAX_TOLD);
        self.told.extend(
            told.map(|place| format!("`{place}` was not taken: a contract has no word for it")),
        );
        if more > 0 {
            self.told.push(format!("{more} more places were not taken"));
        }
    }

    /// Brings its keys into the order of the format, as people write them.
    pub(super) fn in_order(&mut self) {
        let kind = KINDS.iter().find(|kind| self.document["kind"] == kind.name);
        if let Some(kind) = kind {
            in_order(&mut self.document, kind.keys);
        }
    }

    /// Puts the draft among what was imported.
    pub(super) fn finish(self, into: &mut Imported) {
        let depth = self.file.matches('/').count();
        let mut push = |file: String, document: &Value, depth: usize| {
            let text = format!("{}{}", modeline(depth), yaml::write(document));
            if !into.texts.files.iter().any(|(name, _)| *name == file) {
                into.texts.files.push((file, text));
            }
        };
        push(self.file, &self.document, depth);
        if let Some(team) = &self.team {
            let name = team.pointer("/metadata/name").and_then(Value::as_str);
            push(format!("{}.team.yaml", name.unwrap_or("team")), team, 0);
        }
        into.texts.schemas.extend(self.schemas);
        into.told.extend(self.told);
    }
}

fn in_order(value: &mut Value, keys: &'static [Key]) {
    let Value::Object(members) = value else {
        return;
    };
    let mut sorted = Map::new();
    for key in keys {
        let Some(mut inner) = members.shift_remove(key.name) else {
            continue;
        };
        if let Form::Map(keys) | Form::OneOf(keys) = key.form {
            in_order(&mut inner, keys);
        }
        sorted.insert(key.name.to_owned(), inner);
    }
    sorted.append(members);
    *members = sorted;
}

/// The line by which editors find the schema of the format, in a file this deep in the folder.
pub(super) fn modeline(depth: usize) -> String {
    let up = match depth {
        0 => "./".to_owned(),
        depth => "../".repeat(depth),
    };
    format!("# yaml-language-server: $schema={up}{SCHEMA_FILE}\n")
}

fn rest(document: &Value, known: &Value, at: &str, taken: &[String], into: &mut Vec<String>) {
    if document == known || taken.iter().any(|pointer| pointer == at) {
        return;
    }
    let inside = format!("{at}/");
    let touched = *known != Value::Null || taken.iter().any(|p| p.starts_with(&inside));
    let member = |name: &str| format!("{inside}{}", super::words::pointer_part(name));
    match document {
        Value::Object(members) if touched => {
            for (name, value) in members {
                let known = known.get(name).unwrap_or(&Value::Null);
                rest(value, known, &member(name), taken, into);
            }
        }
        Value::Array(items) if touched => {
            for (number, value) in items.iter().enumerate() {
                let known = known.get(number).unwrap_or(&Value::Null);
                rest(value, known, &member(&number.to_string()), taken, into);
            }
        }
        _ => into.push(if at.is_empty() { "/" } else { at }.to_owned()),
    }
}

/// Sets the value behind a key, `spec.topic.name`.
pub(super) fn set(document: &mut Value, key: &str, value: Value) {
    let mut at = document;
    for name in key.split('.') {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(members) = at else { return };
        at = members.entry(name).or_insert(Value::Null);
    }
    *at = value;
}

/// A document's `file` among others of a set: what it exports to is made again from what came back.
pub(super) struct Home<'a> {
    /// What our exports keep: `file`, `document`, `team`, `schemas`.
    pub(super) kept: &'a Value,
    pub(super) schemas: BTreeMap<String, String>,
}

impl Home<'_> {
    /// Makes the draft of a document of our own, as it was exported.
    ///
    /// # Errors
    /// What was kept is no contract any more.
    pub(super) fn draft(self, name: &str) -> Result<Draft, ExchangeError> {
        let document = self.kept["document"].clone();
        let called = super::words::text(&document, "/metadata/name").unwrap_or("contract");
        let called = super::words::slug(called).unwrap_or_else(|| "contract".to_owned());
        let folder = self.kept["file"]
            .as_str()
            .and_then(|file| file.rsplit_once('/'));
        let folder = folder.map_or("", |(folder, _)| folder);
        let is_inside = !folder.starts_with('/') && folder.split('/').all(|part| part != "..");
        let file = match folder {
            "" => format!("{called}.yaml"),
            folder if is_inside => format!("{folder}/{called}.yaml"),
            _ => return Err(outside(name, folder)),
        };
        if let Some(path) = self.schemas.keys().find(|path| !is_inside_path(path)) {
            return Err(outside(name, path));
        }
        let draft = Draft {
            file,
            document,
            team: self
                .kept
                .get("team")
                .filter(|team| team.is_object())
                .cloned(),
            schemas: self.schemas,
            ..Draft::default()
        };
        draft.load().map_err(|problem| {
            let message = format!("the contract kept in `{name}` cannot be used: {problem}");
            ExchangeError::new(
                message,
                "export it again, or remove it to read the rest as a stranger's",
            )
        })?;
        Ok(draft)
    }
}

/// Says whether a path stays inside the folder it is written to.
pub(super) fn is_inside_path(path: &str) -> bool {
    !path.starts_with('/')
        && !path.contains('\\')
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != ".." && part != ".")
}

fn outside(name: &str, path: &str) -> ExchangeError {
    let message = format!("`{name}` would write to `{path}`, which lies outside of the folder");
    ExchangeError::new(message, "paths inside it are relative and do not go up")
}

/// The documents of a draft, as an export wants them.
pub(super) fn pieces_of(draft: &Draft) -> Vec<Piece> {
    let mut files = vec![(draft.file.clone(), yaml::write(&draft.document))];
    if let Some(team) = &draft.team {
        files.push(("team.yaml".to_owned(), yaml::write(team)));
    }
    let texts = load::Texts {
        files,
        schemas: draft.schemas.clone(),
    };
    load::split(&texts).unwrap_or_default()
}

/// The least that an `EventContract` says.
pub(super) fn skeleton(name: &str, format: &str, schema: &str, key: &str) -> Value {
    json!({
        "apiVersion": "contract/v1",
        "kind": "EventContract",
        "metadata": { "name": name },
        "spec": {
            "class": "fact",
            "schema": { "format": format, "file": schema },
            "key": { "from": key },
        },
    })
}
