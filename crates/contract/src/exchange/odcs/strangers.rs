//! Data contracts of strangers: each schema object becomes a contract with a JSON Schema of its properties.

use serde_json::{Map, Value, json};

use super::import::{of_document, of_object};
use crate::exchange::foreign::{self, Shape};
use crate::exchange::homecoming::{Draft, Word};
use crate::exchange::schemas::text_of;
use crate::exchange::words::{pointer_part, slug, text};
use crate::exchange::{ExchangeError, Imported};
use crate::model::SchemaFormat;

pub(super) fn import(
    name: &str,
    document: &Value,
    into: &mut Imported,
) -> Result<(), ExchangeError> {
    let objects = document["schema"].as_array().map_or(0, Vec::len);
    let mut drafts = Vec::new();
    let mut lost = Vec::new();
    for number in 0..objects {
        match stranger(document, number, objects) {
            Ok(draft) => drafts.push(draft),
            Err(problem) => lost.push(format!(
                "`/schema/{number}` did not become a contract: {problem}"
            )),
        }
    }
    let all: Vec<String> = drafts
        .iter()
        .flat_map(|draft: &Draft| draft.taken.clone())
        .collect();
    let Some(last) = drafts.last_mut() else {
        let message = format!(
            "nothing in `{name}` can become a contract: {}",
            lost.join("; ")
        );
        return Err(ExchangeError::new(
            message,
            "it needs an object in `schema`, with properties",
        ));
    };
    last.told.extend(lost);
    last.taken = all;
    last.taken
        .extend(["/apiVersion", "/kind", "/id", "/name"].map(str::to_owned));
    last.tell_rest(document, &Value::Null);
    for mut draft in drafts {
        draft.in_order();
        draft.finish(into);
    }
    Ok(())
}

fn stranger(document: &Value, number: usize, objects: usize) -> Result<Draft, String> {
    let at = format!("/schema/{number}");
    let own = text(document, &format!("{at}/name"));
    let whole = text(document, "/name").or_else(|| text(document, "/id"));
    let called = match objects {
        1 => whole.or(own),
        _ => own.or(whole),
    };
    let name = called.and_then(slug).ok_or("it has no name")?;
    let properties = document
        .pointer(&format!("{at}/properties"))
        .and_then(Value::as_array);
    let properties = properties.ok_or("it has no `properties`")?;
    let mut reading = Reading::default();
    let schema = reading.object(properties, &format!("{at}/properties"), "");
    let Value::Object(mut keys) = schema else {
        return Err("it has no `properties`".to_owned());
    };
    keys.shift_insert(
        0,
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    let shape = Shape {
        format: SchemaFormat::Json,
        text: text_of(&Value::Object(keys)),
        keys: reading.keys,
    };
    let mut draft = foreign::draft(&name, shape)?;
    draft.told.extend(reading.told);
    draft.taken.extend(reading.taken);
    draft.taken.push(format!("{at}/logicalType"));
    for word in of_document(document)
        .into_iter()
        .chain(of_object(document, number))
    {
        draft.offer(word);
    }
    let mut fields = Map::new();
    for (path, category) in reading.personal {
        fields.insert(path, json!({ "category": category }));
    }
    if !fields.is_empty() {
        let pointer = format!("{at}/properties");
        draft.offer(Word {
            key: "spec.privacy.fields",
            value: Value::Object(fields),
            pointer,
        });
    }
    if let Some(rules) = rules(document, &at) {
        let pointer = format!("{at}/quality");
        draft.offer(Word {
            key: "spec.schema.rules",
            value: rules,
            pointer,
        });
    }
    Ok(draft)
}

/// Checks of data that are CEL; others run elsewhere.
fn rules(document: &Value, at: &str) -> Option<Value> {
    let quality = document.pointer(&format!("{at}/quality"))?.as_array()?;
    let rules: Vec<Value> = quality
        .iter()
        .enumerate()
        .filter(|(_, check)| check["engine"] == "cel")
        .filter_map(|(number, check)| {
            let name = text(check, "/name").and_then(slug);
            let mut rule = json!({
                "name": name.unwrap_or_else(|| format!("rule-{number}")),
                "expr": text(check, "/implementation")?,
            });
            if check["severity"] == "warning" {
                rule["onFailure"] = json!("warn");
            }
            Some(rule)
        })
        .collect();
    (rules.len() == quality.len() && !rules.is_empty()).then_some(Value::Array(rules))
}

/// Properties of the standard, read as JSON Schema.
#[derive(Default)]
struct Reading {
    /// By their position, then in the order of the file.
    keys: Vec<String>,
    personal: Vec<(String, String)>,
    told: Vec<String>,
    taken: Vec<String>,
}

impl Reading {
    fn object(&mut self, properties: &[Value], pointer: &str, path: &str) -> Value {
        let mut members = Map::new();
        let mut required = Vec::new();
        for (number, property) in properties.iter().enumerate() {
            let at = format!("{pointer}/{number}");
            let Some(name) = text(property, "/name") else {
                self.told.push(format!("`{at}` has no name"));
                continue;
            };
            let inside = match path {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            if property["required"] == true {
                required.push(json!(name));
            }
            self.marks(property, &inside, path);
            for word in [
                "name",
                "required",
                "primaryKey",
                "primaryKeyPosition",
                "partitioned",
                "partitionKeyPosition",
                "description",
                "logicalType",
                "physicalType",
            ] {
                self.taken.push(format!("{at}/{}", pointer_part(word)));
            }
            let schema = self.property(property, &at, &inside);
            members.insert(name.to_owned(), schema);
        }
        let mut schema = json!({ "type": "object" });
        if !required.is_empty() {
            schema["required"] = Value::Array(required);
        }
        schema["properties"] = Value::Object(members);
        schema
    }

    fn marks(&mut self, property: &Value, inside: &str, path: &str) {
        let reachable = !inside.contains(['[', ' ', '*']);
        let is_key = property["partitioned"] == true || property["primaryKey"] == true;
        if is_key && reachable {
            // What divides the topic is the record's key; what identifies a row may be.
            match property["partitioned"] == true {
                true => self.keys.insert(0, inside.to_owned()),
                false => self.keys.push(inside.to_owned()),
            }
        }
        let tags: Vec<&str> = property["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let says = |word: &str| tags.iter().any(|tag| tag.eq_ignore_ascii_case(word));
        if (says("personal") || says("pii")) && reachable && !path.contains('[') {
            let other = tags
                .iter()
                .find(|tag| !["personal", "pii"].contains(&tag.to_lowercase().as_str()));
            let category = other
                .and_then(|tag| slug(tag))
                .unwrap_or_else(|| "personal".to_owned());
            self.personal.push((format!("$.{inside}"), category));
        }
    }

    fn property(&mut self, property: &Value, at: &str, inside: &str) -> Value {
        let mut schema = match text(property, "/logicalType") {
            Some("object") => match property["properties"].as_array() {
                Some(inner) => self.object(inner, &format!("{at}/properties"), inside),
                None => json!({ "type": "object" }),
            },
            Some("array") => {
                let items = &property["items"];
                let inner = match items.is_object() {
                    true => {
                        self.taken.push(format!("{at}/items/logicalType"));
                        self.property(items, &format!("{at}/items"), &format!("{inside}[]"))
                    }
                    false => json!({}),
                };
                json!({ "type": "array", "items": inner })
            }
            Some("integer") => json!({ "type": "integer" }),
            Some("number") => json!({ "type": "number" }),
            Some("boolean") => json!({ "type": "boolean" }),
            Some("date") => json!({ "type": "string", "format": "date" }),
            Some("timestamp") => json!({ "type": "string", "format": "date-time" }),
            Some("time") => json!({ "type": "string", "format": "time" }),
            Some("string") => json!({ "type": "string" }),
            _ => json!({}),
        };
        let names = [
            "pattern",
            "minLength",
            "maxLength",
            "minimum",
            "maximum",
            "minItems",
            "maxItems",
            "uniqueItems",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ];
        for name in names {
            let pointer = format!("{at}/logicalTypeOptions/{name}");
            let value = &property["logicalTypeOptions"][name];
            // In the standard a bound may be a date; in JSON Schema it is a number.
            if value.is_number() || (name == "pattern" && value.is_string()) || value.is_boolean() {
                schema[name] = value.clone();
                self.taken.push(pointer);
            }
        }
        if let Some(about) = text(property, "/description") {
            schema["description"] = json!(about);
        }
        schema
    }
}
