//! A contract's schema as a registry takes it: one text, which may name others. A JSON Schema becomes
//! one document, with what it refers to in its definitions; an Avro schema is sent with the files that
//! declare its types, to be written into it; a Protobuf file names its imports, as it did
//! (`docs/decisions/0009`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::json::{JsonSchema, SchemaFile};
use super::{Schema, SchemaError, beside};
use crate::model::SchemaFormat;

/// A schema that stands by itself but for its imports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standalone {
    /// Its language.
    pub format: SchemaFormat,
    /// What is registered.
    pub text: String,
    /// Texts that declare Avro types the text names: they are to be written into it.
    pub declarations: Vec<String>,
    /// Protobuf files, each behind those that it imports.
    pub imports: Vec<Import>,
    /// The imports of the text itself, by name.
    pub imported: Vec<String>,
}

/// A Protobuf file that another imports.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Import {
    /// The name under which it is imported.
    pub name: String,
    /// What it says.
    pub text: String,
    /// What it imports, by name; those built into the language among them.
    pub imports: Vec<String>,
}

impl Schema {
    /// Returns the schema as a registry takes it.
    ///
    /// # Errors
    /// It cannot stand by itself: a reference goes where only its file has a place.
    pub fn standalone(&self) -> Result<Standalone, SchemaError> {
        let mut standalone = Standalone {
            format: SchemaFormat::Json,
            text: String::new(),
            declarations: Vec::new(),
            imports: Vec::new(),
            imported: Vec::new(),
        };
        match self {
            Self::Json(schema) => standalone.text = bundle(schema)?,
            Self::Avro(schema) => {
                standalone.format = SchemaFormat::Avro;
                let mut texts = schema.file.texts.clone();
                standalone.text = match &schema.name {
                    Some(name) => Value::from(name.as_str()).to_string(),
                    None if texts.is_empty() => String::new(),
                    None => texts.remove(0),
                };
                standalone.declarations = texts;
            }
            Self::Protobuf(schema) => {
                standalone.format = SchemaFormat::Protobuf;
                let missing = || SchemaError::Reference {
                    file: schema.message.parent_file().name().to_owned(),
                    problem: "holds the message, so it is the file to name".to_owned(),
                };
                (standalone.text, standalone.imports) = schema.texts().ok_or_else(missing)?;
                let file = schema.message.parent_file();
                let dependencies = file.dependencies();
                standalone.imported = dependencies.map(|file| file.name().to_owned()).collect();
            }
        }
        Ok(standalone)
    }
}

/// A place in a file: its path and a JSON Pointer.
type Place = (String, String);

/// Makes one document of the place that a contract points to and all that it refers to.
fn bundle(schema: &JsonSchema) -> Result<String, SchemaError> {
    let file = &*schema.file;
    if schema.pointer.is_empty() && file.documents.len() == 1 {
        return Ok(file.text.clone());
    }
    let root: Place = (file.name.clone(), schema.pointer.clone());
    let is_draft_7 = file.draft == jsonschema::Draft::Draft7;
    let mut bundling = Bundling {
        file,
        whole: schema.pointer.is_empty(),
        place: if is_draft_7 { "definitions" } else { "$defs" },
        names: HashMap::new(),
        taken: HashSet::new(),
        open: Vec::new(),
        root,
    };
    let document = bundling.document(&file.name)?;
    let own = document.get(bundling.place).and_then(Value::as_object);
    if let Some(own) = own.filter(|_| bundling.whole) {
        bundling.taken.extend(own.keys().cloned());
    }
    let mut text = Map::new();
    if let Some(draft) = document.get("$schema") {
        text.insert("$schema".to_owned(), draft.clone());
    }
    match bundling.target(&bundling.root.clone())? {
        Value::Object(keys) => text.extend(keys.into_iter().filter(|(key, _)| key != "$schema")),
        always => drop(text.insert("allOf".to_owned(), json!([always]))),
    }
    let mut definitions = Map::new();
    while let Some((name, place)) = bundling.open.pop() {
        definitions.insert(name, bundling.target(&place)?);
    }
    if !definitions.is_empty() {
        let into = text
            .entry(bundling.place)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Some(into) = into.as_object_mut() {
            definitions.sort_keys();
            into.extend(definitions);
        }
    }
    Ok(Value::Object(text).to_string())
}

struct Bundling<'a> {
    file: &'a SchemaFile,
    root: Place,
    /// The root is a whole file, so places in it stay where they are.
    whole: bool,
    /// Where definitions stand.
    place: &'static str,
    names: HashMap<Place, String>,
    taken: HashSet<String>,
    /// What has a name and is not written yet.
    open: Vec<(String, Place)>,
}

impl Bundling<'_> {
    fn error(&self, file: &str, problem: String) -> SchemaError {
        let file = file.to_owned();
        SchemaError::Reference { file, problem }
    }

    fn document(&self, path: &str) -> Result<Arc<Value>, SchemaError> {
        let found = self.file.documents.get(path).cloned();
        found.ok_or_else(|| self.error(path, "is not among the files that were read".to_owned()))
    }

    /// Returns what stands at a place, with its references turned to where they now lead.
    fn target(&mut self, (path, pointer): &Place) -> Result<Value, SchemaError> {
        let document = self.document(path)?;
        let found = document.pointer(pointer);
        let missing = || self.error(path, format!("there is no `#{pointer}`"));
        let found = found.ok_or_else(missing)?;
        let is_root = (path, pointer) == (&self.root.0, &self.root.1);
        let mut own = found.clone();
        if let (Value::Object(keys), true) = (&mut own, pointer.is_empty() && !is_root) {
            keys.shift_remove("$schema");
            keys.shift_remove("$id");
        }
        let keeps_id = pointer.is_empty();
        self.turned(&own, path, keeps_id)
    }

    fn turned(&mut self, value: &Value, path: &str, top: bool) -> Result<Value, SchemaError> {
        Ok(match value {
            Value::Object(keys) => {
                let mut turned = Map::new();
                for (key, value) in keys {
                    let value = match (key.as_str(), value) {
                        ("$ref", Value::String(reference)) => {
                            Value::String(self.reference(reference, path)?)
                        }
                        ("$id", Value::String(id)) if !top => {
                            let problem = format!(
                                "`$id` `{id}` inside of it gives references another base; it cannot stand alone"
                            );
                            return Err(self.error(path, problem));
                        }
                        (
                            "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveRef",
                            Value::String(name),
                        ) => {
                            let problem =
                                format!("`{key}` `{name}` has a meaning only in its whole file");
                            return Err(self.error(path, problem));
                        }
                        ("const" | "enum" | "default" | "examples", value) => value.clone(),
                        (_, value) => self.turned(value, path, false)?,
                    };
                    turned.insert(key.clone(), value);
                }
                Value::Object(turned)
            }
            Value::Array(items) => {
                let items = items.iter().map(|item| self.turned(item, path, false));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            other => other.clone(),
        })
    }

    /// Returns where a reference leads now.
    fn reference(&mut self, reference: &str, from: &str) -> Result<String, SchemaError> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let path = match file {
            "" => from.to_owned(),
            name if name.contains(':') || name.starts_with('/') => self.named(name, from)?,
            relative => beside(from, relative),
        };
        let pointer = decoded(fragment);
        if !pointer.is_empty() && !pointer.starts_with('/') {
            let problem = format!("`{reference}` names an anchor, which only its whole file has");
            return Err(self.error(from, problem));
        }
        if self.whole && path == self.root.0 {
            return Ok(format!("#{fragment}"));
        }
        let place = (path, pointer);
        if place == self.root {
            return Ok("#".to_owned());
        }
        let name = match self.names.get(&place) {
            Some(name) => name.clone(),
            None => {
                let name = self.new_name(&place);
                self.open.push((name.clone(), place.clone()));
                self.names.insert(place, name.clone());
                name
            }
        };
        Ok(format!("#/{}/{name}", self.place))
    }

    /// Finds the file that has an absolute name as its `$id`.
    fn named(&self, name: &str, from: &str) -> Result<String, SchemaError> {
        let is_named = |document: &Value| {
            let id = document.get("$id").and_then(Value::as_str);
            id.is_some_and(|id| id.trim_end_matches('#') == name)
        };
        let mut files = self.file.documents.iter();
        let found = files.find(|(_, document)| is_named(document));
        found.map(|(path, _)| path.clone()).ok_or_else(|| {
            let problem = format!("`{name}` is no file of these contracts; it cannot stand alone");
            self.error(from, problem)
        })
    }

    /// Names a definition after the last name of its place, in letters that need no escape.
    fn new_name(&mut self, (path, pointer): &Place) -> String {
        let last = pointer.rsplit('/').next().filter(|last| !last.is_empty());
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let plain = |c: char| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$') => c,
            _ => '_',
        };
        let name: String = last.unwrap_or(stem).chars().map(plain).collect();
        let mut unique = name.clone();
        let mut number = 2;
        while !self.taken.insert(unique.clone()) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        unique
    }
}

/// Takes the percent-encoding off a fragment; what is none stays.
fn decoded(fragment: &str) -> String {
    let bytes = fragment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("two digits"));
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| fragment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{ParsedFile, Sources};
    use super::*;
    use crate::check::Reasons;
    use crate::tree::Tree;

    fn at(format: SchemaFormat, reference: &str, files: &[(&str, &str)]) -> Schema {
        let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let find = |path: &str| {
            let found = files.iter().find(|(name, _)| *name == path);
            found
                .map(|(_, text)| (*text).to_owned())
                .ok_or("no file".to_owned())
        };
        let text = find(path).unwrap();
        let parsed = ParsedFile::parse(format, path, &text, &mut Sources::new(&find)).unwrap();
        parsed.at(pointer).unwrap()
    }

    fn refusals(schema: &Schema, data: &Value) -> usize {
        let text = data.to_string();
        let mut reasons = Reasons::default();
        let tree = Tree::parse(text.as_bytes()).unwrap();
        schema.check(&tree, &mut reasons).unwrap();
        reasons.len()
    }

    const ALL: &str = r##"{"$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {
        "order": {"type": "object", "required": ["lines"], "properties": {
            "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}},
            "parent": {"$ref": "#/definitions/order"}, "owner": {"$ref": "people.json#/$defs/a~1b"},
            "state": {"$ref": "#/definitions/state"}}},
        "line": {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}},
        "state": {"enum": ["open", {"$ref": "#/nowhere"}]},
        "unused": {"type": "string"}}}"##;
    const PEOPLE: &str = r##"{"$schema": "http://json-schema.org/draft-07/schema#",
        "$defs": {"a/b": {"type": "string", "not": {"$ref": "#/$defs/line"}}, "line": {"maxLength": 1}}}"##;

    #[test]
    fn a_place_in_a_file_stands_alone_and_judges_the_same() {
        let files = [("all.json", ALL), ("people.json", PEOPLE)];
        let schema = at(SchemaFormat::Json, "all.json#/definitions/order", &files);
        let text = schema.standalone().unwrap().text;
        let alone = Schema::registered(SchemaFormat::Json, &text, &Default::default()).unwrap();
        let parsed: Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&String> = parsed["definitions"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["a_1b", "line", "line_2", "state"], "{text}");
        for (data, refused) in [
            (
                json!({"lines": [{"count": 1}], "owner": "ab", "state": "open"}),
                0,
            ),
            (json!({"lines": [{}]}), 1),
            (json!({"lines": [], "parent": {}}), 1),
            (json!({"lines": [], "owner": "a"}), 1),
            (json!({"lines": [], "state": "lost"}), 1),
        ] {
            assert_eq!(refusals(&schema, &data), refused, "{data}");
            assert_eq!(refusals(&alone, &data), refused, "{data}\n{text}");
        }
    }

    #[test]
    fn a_whole_file_keeps_its_places_and_one_by_itself_its_text() {
        let files = [("people.json", PEOPLE)];
        let people = at(SchemaFormat::Json, "people.json", &files);
        assert_eq!(people.standalone().unwrap().text, PEOPLE);
        let order = r##"{"$defs": {"line": {"type": "string"}},
            "properties": {"line": {"$ref": "#/$defs/line"}, "other": {"$ref": "people.json#/$defs/line"}}}"##;
        let people = r#"{"$defs": {"line": {"maxLength": 1}}}"#;
        let files = [("order.json", order), ("people.json", people)];
        let text = at(SchemaFormat::Json, "order.json", &files)
            .standalone()
            .unwrap()
            .text;
        let expected = json!({"$defs": {"line": {"type": "string"}, "line_2": {"maxLength": 1}},
            "properties": {"line": {"$ref": "#/$defs/line"}, "other": {"$ref": "#/$defs/line_2"}}});
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }

    #[test]
    fn a_file_may_call_itself_by_its_name() {
        let file = r##"{"$id": "https://example.com/all.json", "$defs": {
            "a": {"properties": {"b": {"$ref": "https://example.com/all.json#/$defs/b"}}}, "b": {"type": "null"}}}"##;
        let schema = at(SchemaFormat::Json, "f.json#/$defs/a", &[("f.json", file)]);
        let text = schema.standalone().unwrap().text;
        let expected =
            json!({"properties": {"b": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "null"}}});
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }

    #[test]
    fn what_only_the_whole_file_means_cannot_stand_alone() {
        let file = r##"{"$defs": {"a": {"$ref": "#named"}, "b": {"$anchor": "named"},
            "c": {"$id": "other.json", "type": "string"}}}"##;
        for place in ["a", "b", "c"] {
            let schema = at(
                SchemaFormat::Json,
                &format!("f.json#/$defs/{place}"),
                &[("f.json", file)],
            );
            assert!(schema.standalone().is_err(), "{place}");
        }
    }

    #[test]
    fn protobuf_names_its_imports_each_behind_its_own() {
        let order = "syntax = \"proto3\"; import \"line.proto\"; import \"google/protobuf/timestamp.proto\";
            message Order { Line line = 1; google.protobuf.Timestamp at = 2; }";
        let line = "syntax = \"proto3\"; import \"money.proto\"; message Line { Money money = 1; }";
        let money = "syntax = \"proto3\"; message Money { int64 units = 1; }";
        let files = [
            ("p/order.proto", order),
            ("p/line.proto", line),
            ("p/money.proto", money),
        ];
        let alone = at(SchemaFormat::Protobuf, "p/order.proto", &files)
            .standalone()
            .unwrap();
        assert_eq!(alone.text, order);
        assert_eq!(
            alone.imported,
            ["line.proto", "google/protobuf/timestamp.proto"]
        );
        let names: Vec<&str> = alone
            .imports
            .iter()
            .map(|import| import.name.as_str())
            .collect();
        assert_eq!(names, ["money.proto", "line.proto"]);
        assert_eq!(alone.imports[1].imports, ["money.proto"]);
        let money = at(SchemaFormat::Protobuf, "p/order.proto#/Money", &files);
        assert!(money.standalone().is_err());
    }

    #[test]
    fn avro_comes_with_what_declares_its_types() {
        let order = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "line", "type": "shop.Line"}]}"#;
        let line = r#"{"type": "record", "name": "Line", "namespace": "shop", "fields": []}"#;
        let files = [("order.avsc", order), ("shop.Line.avsc", line)];
        let alone = at(SchemaFormat::Avro, "order.avsc", &files)
            .standalone()
            .unwrap();
        assert_eq!(
            (alone.text.as_str(), alone.declarations.as_slice()),
            (order, &[line.to_owned()][..])
        );
        let alone = at(SchemaFormat::Avro, "order.avsc#/shop.Line", &files)
            .standalone()
            .unwrap();
        assert_eq!(alone.text, "\"shop.Line\"");
        assert_eq!(alone.declarations.len(), 2);
    }
}
