//! Schemas as a registry is sent them: one text, and the texts it refers to by names that whoever
//! registered it chose. Nothing is read from files and nothing is fetched.

use std::collections::BTreeMap;

use prost_reflect::prost::Message as _;
use serde_json::{Map, Value, json};

use super::{ParsedFile, Schema, SchemaError, Sources};
use crate::model::SchemaFormat;

/// What the text is called in messages, and what no import is called.
const ROOT: &str = "schema";

impl Schema {
    /// Parses a schema and all it refers to. `references` are the texts by the names under which
    /// the schema refers to them: an Avro type's full name, a Protobuf import, a JSON `$ref`.
    ///
    /// # Errors
    /// The schema or one of those it leads to cannot be used.
    pub fn registered(
        format: SchemaFormat,
        text: &str,
        references: &BTreeMap<String, String>,
    ) -> Result<Self, SchemaError> {
        let missing = |path: &str| format!("there is no reference `{path}`");
        let find = |path: &str| {
            let known = match format {
                SchemaFormat::Avro => avro_type(path, references),
                SchemaFormat::Json | SchemaFormat::Protobuf => references.get(path),
            };
            known.cloned().ok_or_else(|| missing(path))
        };
        let bundled;
        let text = match format {
            SchemaFormat::Json if !references.is_empty() => {
                bundled = bundle(text, references)?;
                &bundled
            }
            _ => text,
        };
        let file = ParsedFile::parse(format, ROOT, text, &mut Sources::new(&find))?;
        let schema = file.at("")?;
        schema.compile()?;
        Ok(schema)
    }
}

impl Schema {
    /// Writes the text of a Protobuf schema as it is compared and stored: without comments, with one
    /// spacing, and normalised, in one order with full names. What was sent compiled becomes text. `None`
    /// if the text that came says something that is not written here.
    pub fn protobuf_formatted(
        &self,
        text: &str,
        normalize: bool,
        references: &BTreeMap<String, String>,
    ) -> Option<String> {
        let Self::Protobuf(schema) = self else {
            return None;
        };
        let parse = |text: &str| match Self::registered(SchemaFormat::Protobuf, text, references) {
            Ok(Self::Protobuf(schema)) => Some(schema),
            _ => None,
        };
        if text.contains(char::is_whitespace) {
            return schema.formatted(text, normalize, parse);
        }
        let text = self.protobuf_text(references)?;
        schema.formatted(&text, normalize, parse).or(Some(text))
    }

    /// Returns the text of a Protobuf schema that was sent compiled, if a text can say all of it.
    fn protobuf_text(&self, references: &BTreeMap<String, String>) -> Option<String> {
        let Self::Protobuf(schema) = self else {
            return None;
        };
        let text = schema.text()?;
        match Self::registered(SchemaFormat::Protobuf, &text, references) {
            Ok(Self::Protobuf(read)) if read.is_same_file(schema) => Some(text),
            _ => None,
        }
    }

    /// Returns a Protobuf schema compiled, as a `FileDescriptorProto`.
    pub fn protobuf_descriptor(&self) -> Option<Vec<u8>> {
        match self {
            Self::Protobuf(schema) => Some(schema.descriptor().encode_to_vec()),
            Self::Avro(_) | Self::Json(_) => None,
        }
    }
}

/// Finds who declares a type: the reference of its name, or one that has it inside.
fn avro_type<'r>(path: &str, references: &'r BTreeMap<String, String>) -> Option<&'r String> {
    let wanted = path.strip_suffix(".avsc").unwrap_or(path);
    let declares = |text: &&String| {
        serde_json::from_str(text).is_ok_and(|schema: Value| declares(&schema, "", wanted))
    };
    references
        .get(wanted)
        .filter(|text| declares(text))
        .or_else(|| references.values().find(declares))
}

/// Whether an Avro schema declares a named type. JSON text is nested 128 deep at most.
fn declares(schema: &Value, space: &str, wanted: &str) -> bool {
    match schema {
        Value::Array(branches) => branches.iter().any(|one| declares(one, space, wanted)),
        Value::Object(keys) => {
            let text = |key| keys.get(key).and_then(Value::as_str);
            let space = text("namespace").unwrap_or(space);
            let (space, full) = match text("name") {
                Some(name) => match name.rsplit_once('.') {
                    Some((space, _)) => (space, name.to_owned()),
                    None if space.is_empty() => (space, name.to_owned()),
                    None => (space, format!("{space}.{name}")),
                },
                None => (space, String::new()),
            };
            let is_named = matches!(text("type"), Some("record" | "error" | "enum" | "fixed"));
            let inside = ["fields", "type", "items", "values"];
            (is_named && full == wanted)
                || inside
                    .iter()
                    .filter_map(|key| keys.get(*key))
                    .any(|one| declares(one, space, wanted))
        }
        _ => false,
    }
}

/// Puts the referenced documents into the schema as its definitions, each under its name as `$id`,
/// so that a `$ref` finds them whatever the schema's own base is (JSON Schema 2020-12 §9.3.1).
pub(crate) fn bundle(
    text: &str,
    references: &BTreeMap<String, String>,
) -> Result<String, SchemaError> {
    let parse = |file: &str, text: &str| {
        serde_json::from_str::<Value>(text).map_err(|error| SchemaError::NotJson {
            file: file.to_owned(),
            problem: error.to_string(),
        })
    };
    let mut root = parse(ROOT, text)?;
    let Some(keys) = root.as_object_mut() else {
        return Ok(text.to_owned());
    };
    // Names without a scheme are found as files are, unless an `$id` moves the base.
    let moved = keys.contains_key("$id");
    let mut inner = Map::new();
    for (at, (name, text)) in references.iter().enumerate() {
        let document = parse(name, text)?;
        if !moved && !name.contains(':') {
            continue;
        }
        let mut document = match document {
            Value::Object(keys) => keys,
            always => Map::from_iter([("allOf".to_owned(), json!([always]))]),
        };
        document.insert("$id".to_owned(), Value::String(name.clone()));
        inner.insert(format!("reference{at}"), Value::Object(document));
    }
    if inner.is_empty() {
        return Ok(text.to_owned());
    }
    let draft7 = keys
        .get("$schema")
        .and_then(Value::as_str)
        .is_some_and(|draft| draft.contains("draft-07"));
    let place = if draft7 { "definitions" } else { "$defs" };
    let taken = keys
        .entry(place)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(taken) = taken.as_object_mut() {
        for (name, document) in inner {
            taken.insert(format!("tidegate:{name}"), document);
        }
    }
    Ok(root.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(format: SchemaFormat, text: &str, references: &[(&str, &str)]) -> Result<(), String> {
        let references = references
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        Schema::registered(format, text, &references)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_compiled_protobuf_file_is_a_schema_too() {
        use base64::Engine as _;

        let compiled = |name: &str, text: &str| {
            let file = protox::file::File::from_source(name, text).unwrap();
            let bytes = file.file_descriptor_proto().encode_to_vec();
            base64::engine::general_purpose::STANDARD.encode(bytes)
        };
        let line = compiled("line.proto", "syntax = \"proto3\"; message Line {}");
        let order = "syntax = \"proto3\"; import \"line.proto\"; message Order { Line line = 1; }";
        let order = compiled("order.proto", order);
        parse(SchemaFormat::Protobuf, &order, &[("line.proto", &line)]).unwrap();
        parse(SchemaFormat::Protobuf, &order, &[]).unwrap_err();
        parse(SchemaFormat::Protobuf, "bm90IG9uZQ==", &[]).unwrap_err();
    }

    #[test]
    fn a_compiled_file_has_its_text_back() {
        let none = BTreeMap::new();
        let printed = |text: &str| {
            let schema = Schema::registered(SchemaFormat::Protobuf, text, &none).unwrap();
            assert!(schema.protobuf_descriptor().is_some());
            schema.protobuf_text(&none)
        };
        let text = r#"syntax = "proto3";
package shop.v1;

import "google/protobuf/timestamp.proto";
option java_package = "com.shop";
option java_multiple_files = true;

message Order {
  reserved 9 to 11;
  reserved "old";
  int64 order_id = 1 [json_name = "id"];
  repeated shop.v1.Order.Line lines = 2;
  map<string, shop.v1.State> states = 3;
  optional string note = 4;
  oneof paid {
    string card = 5;
    bytes token = 6 [deprecated = true];
  }
  google.protobuf.Timestamp at = 7;

  message Line {
    uint32 count = 1;
  }
}

enum State {
  option allow_alias = true;
  NEW = 0;
  FRESH = 0;
  PAID = -1;
}

service Orders {
  rpc Watch (shop.v1.Order) returns (stream shop.v1.Order);
}
"#;
        assert_eq!(printed(text).as_deref(), Some(text));
        let text = r#"syntax = "proto2";

message A {
  extensions 100 to max;
  required string a = 1 [default = "\"x\n"];
  optional bool b = 2 [default = true];
  repeated int32 c = 3 [packed = true];
}
"#;
        assert_eq!(printed(text).as_deref(), Some(text));
        // What the printer leaves out is not left out in silence.
        let extended = "syntax = \"proto2\"; message A { extensions 1 to 2; } extend A { optional int32 b = 1; }";
        assert_eq!(printed(extended), None);
        let option = "syntax = \"proto3\"; option optimize_for = CODE_SIZE; message A {}";
        assert_eq!(printed(option), None);
    }

    #[test]
    fn references_are_found_by_their_names() {
        let line = r#"{"type":"record","name":"Line","namespace":"shop","fields":[{"name":"money","type":{"type":"fixed","name":"Money","size":8}}]}"#;
        let order = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"line","type":"Line"},{"name":"total","type":"shop.Money"}]}"#;
        parse(SchemaFormat::Avro, order, &[("shop.Line", line)]).unwrap();
        // Whatever the reference is called, as Confluent's registry has it.
        parse(SchemaFormat::Avro, order, &[("line", line)]).unwrap();
        parse(SchemaFormat::Avro, order, &[]).unwrap_err();

        let line = "syntax = \"proto3\"; package shop; message Line { int32 a = 1; }";
        let order = "syntax = \"proto3\"; import \"shop/line.proto\"; message Order { shop.Line line = 1; }";
        parse(SchemaFormat::Protobuf, order, &[("shop/line.proto", line)]).unwrap();
        parse(SchemaFormat::Protobuf, order, &[]).unwrap_err();

        for (id, name) in [
            (None, "line.json"),
            (None, "http://example.com/line.json"),
            (Some("http://example.com/order.json"), "line.json"),
            (
                Some("http://example.com/order.json"),
                "http://other.com/line",
            ),
        ] {
            let line = r#"{"type":"object","definitions":{"a":true}}"#;
            let mut order =
                json!({"properties": {"line": {"$ref": format!("{name}#/definitions/a")}}});
            if let Some(id) = id {
                order["$id"] = id.into();
            }
            let order = order.to_string();
            parse(SchemaFormat::Json, &order, &[(name, line)])
                .unwrap_or_else(|error| panic!("{id:?} {name}: {error}"));
            parse(SchemaFormat::Json, &order, &[]).unwrap_err();
        }
    }
}
