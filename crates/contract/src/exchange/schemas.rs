//! Schema files inside a foreign document, and out of it again. Inside, each is a value of its own
//! and JSON Schema's references to files are references into the document, since its readers know no
//! files of ours. Outside, they are what they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::words::{pointer_part, relative};
use crate::model::SchemaFormat;
use crate::schema::beside;

/// The schema files of one contract, as values.
pub(super) struct Files {
    /// Each with its name in the document and its path, the contract's own schema first.
    pub(super) all: Vec<File>,
}

pub(super) struct File {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) value: Value,
}

impl Files {
    /// Takes files in under names that begin with `name`; `home` says where a file's value stands.
    pub(super) fn take(
        name: &str,
        main: &str,
        texts: &BTreeMap<String, Arc<str>>,
        home: &dyn Fn(&str) -> String,
    ) -> Self {
        let others = texts.keys().filter(|path| *path != main);
        let paths = std::iter::once(main).chain(others.map(String::as_str));
        let names: BTreeMap<&str, String> = paths
            .clone()
            .enumerate()
            .map(|(number, path)| match number {
                0 => (path, name.to_owned()),
                number => (path, format!("{name}.{number}")),
            })
            .collect();
        let all = paths.filter_map(|path| {
            let text = texts.get(path)?;
            let mut value = match serde_json::from_str::<Value>(text) {
                Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
                // Not JSON, or a word of it: it stands as the text it is.
                _ => Value::String(text.to_string()),
            };
            references(&mut value, &mut |reference| {
                let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
                if file.contains(':') || file.starts_with('/') || !is_pointer(fragment) {
                    return None;
                }
                let target = match file {
                    "" => path.to_owned(),
                    file => beside(path, file),
                };
                let home = home(names.get(target.as_str())?);
                Some(format!("#{home}{fragment}"))
            });
            Some(File {
                name: names[path].clone(),
                path: path.to_owned(),
                value,
            })
        });
        Self { all: all.collect() }
    }

    /// Gives the files back as texts by path, as [`Files::take`] had them in meaning.
    pub(super) fn give(&self, home: &dyn Fn(&str) -> String) -> BTreeMap<String, String> {
        let homes: Vec<(String, &str)> = self
            .all
            .iter()
            .map(|file| (format!("#{}", home(&file.name)), file.path.as_str()))
            .collect();
        let texts = self.all.iter().map(|file| {
            let mut value = file.value.clone();
            references(&mut value, &mut |reference| {
                let found = homes.iter().find_map(|(home, path)| {
                    let rest = reference.strip_prefix(home.as_str())?;
                    is_pointer(rest).then_some((*path, rest))
                });
                let (path, rest) = found?;
                Some(match path == file.path {
                    true => format!("#{rest}"),
                    false if rest.is_empty() => relative(&file.path, path),
                    false => format!("{}#{rest}", relative(&file.path, path)),
                })
            });
            (file.path.clone(), text_of(&value))
        });
        texts.collect()
    }
}

fn is_pointer(fragment: &str) -> bool {
    fragment.is_empty() || fragment.starts_with('/')
}

/// A schema as the text of a file.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => format!("{value:#}\n"),
    }
}

/// Changes every reference of a JSON Schema for which `change` has another.
pub(super) fn references(schema: &mut Value, change: &mut dyn FnMut(&str) -> Option<String>) {
    match schema {
        Value::Object(keys) => {
            for (key, value) in keys.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("$ref", Value::String(reference)) => {
                        if let Some(other) = change(reference) {
                            *reference = other;
                        }
                    }
                    ("const" | "enum" | "default" | "examples" | "example", _) => {}
                    _ => references(value, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| references(item, change)),
        _ => {}
    }
}

/// Makes a JSON Schema at `pointer` of a foreign document stand alone: what it refers to inside the
/// document comes along in `definitions`. References that lead nowhere are returned.
pub(super) fn stand_alone(document: &Value, schema: &Value) -> (Value, Vec<String>) {
    let mut taken: BTreeMap<String, Option<(String, Value)>> = BTreeMap::new();
    let mut lost = Vec::new();
    let mut root = schema.clone();
    let mut open = Vec::new();
    bring(document, &mut root, &mut taken, &mut open, &mut lost);
    while let Some((reference, mut value)) = open.pop() {
        bring(document, &mut value, &mut taken, &mut open, &mut lost);
        if let Some(Some((_, kept))) = taken.get_mut(&reference) {
            *kept = value;
        }
    }
    let definitions: Map<String, Value> = taken.into_values().flatten().collect();
    if let (Value::Object(keys), false) = (&mut root, definitions.is_empty()) {
        let own = keys
            .entry("definitions")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(own) = own {
            own.extend(definitions);
        }
    }
    (root, lost)
}

fn bring(
    document: &Value,
    value: &mut Value,
    taken: &mut BTreeMap<String, Option<(String, Value)>>,
    open: &mut Vec<(String, Value)>,
    lost: &mut Vec<String>,
) {
    references(value, &mut |reference| {
        if !taken.contains_key(reference) {
            let target = reference
                .strip_prefix('#')
                .and_then(|p| document.pointer(p));
            let Some(target) = target else {
                lost.push(reference.to_owned());
                taken.insert(reference.to_owned(), None);
                return None;
            };
            // A schema in another envelope is what stands inside.
            let target = match target.get("schemaFormat") {
                Some(_) => target.get("schema").unwrap_or(target),
                None => target,
            };
            let last = reference.rsplit('/').next().unwrap_or("part");
            let mut name = last.to_owned();
            let used = |name: &str| {
                let mut names = taken.values().flatten();
                names.any(|(other, _)| other == name)
            };
            let mut number = 1;
            while used(&name) {
                number += 1;
                name = format!("{last}-{number}");
            }
            open.push((reference.to_owned(), target.clone()));
            taken.insert(reference.to_owned(), Some((name, target.clone())));
        }
        let (name, _) = taken.get(reference)?.as_ref()?;
        Some(format!("#/definitions/{}", pointer_part(name)))
    });
}

/// The format's name in AsyncAPI, and its media type.
pub(super) fn media_types(format: SchemaFormat, schema: &Value) -> (String, &'static str) {
    let draft = schema.get("$schema").and_then(Value::as_str);
    match format {
        SchemaFormat::Json => {
            let draft = match draft.is_some_and(|draft| draft.contains("draft-07")) {
                true => "draft-07",
                false => "draft-2020-12",
            };
            let format = format!("application/schema+json;version={draft}");
            (format, "application/json")
        }
        SchemaFormat::Avro => (
            "application/vnd.apache.avro+json;version=1.9.0".to_owned(),
            "application/avro",
        ),
        SchemaFormat::Protobuf => {
            let text = schema.as_str().unwrap_or_default();
            let version = if text.contains("proto2") { 2 } else { 3 };
            let format = format!("application/vnd.google.protobuf;version={version}");
            (format, "application/protobuf")
        }
    }
}

/// One JSON Schema of a file and those that it refers to.
pub(super) fn bundle(files: &Files, pointer: &str, draft_7: bool) -> Value {
    let main = &files.all[0];
    let draft = match draft_7 {
        true => "http://json-schema.org/draft-07/schema#",
        false => "https://json-schema.org/draft/2020-12/schema",
    };
    let home = if draft_7 { "definitions" } else { "$defs" };
    let parts: Map<String, Value> = files
        .all
        .iter()
        .map(|file| {
            let mut value = file.value.clone();
            if let Value::Object(keys) = &mut value {
                // One schema, one draft and one name.
                keys.shift_remove("$schema");
                keys.shift_remove("$id");
            }
            (file.name.clone(), value)
        })
        .collect();
    let root = format!("#/{home}/{}{pointer}", pointer_part(&main.name));
    json!({ "$schema": draft, "allOf": [{ "$ref": root }], home: parts })
}
