//! Open Data Contract Standard 3.1: a document a contract, a topic as its one schema object. Fields go
//! out as far as the standard has types for them (no map, no union, no enum); the contract and its
//! schema files themselves stand in custom properties, so that nothing is lost on the way back.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::foreign::{self, Shape};
use super::homecoming::{Draft, Home, Word, pieces_of};
use super::schemas::{File, Files, text_of};
use super::words::{object, pointer_part, slug, text};
use super::{ExchangeError, ExportForm, Exported, Imported, Options, Servers, Told, yaml};
use crate::model::{EventContract, OnFailure, SchemaFormat};
use crate::schema::{Member, beside};

const VERSION: &str = "v3.1.0";
/// The custom properties that hold the contract itself.
const CONTRACT: &str = "tidegateContract";
const SCHEMAS: &str = "tidegateSchemas";

/// Schema files are kept as they are: nobody but us reads them there.
fn home(name: &str) -> String {
    format!("/{name}")
}

pub(super) fn export(contracts: &[Told<'_>], servers: &Servers, into: &mut Exported) {
    for told in contracts {
        let file = format!("{}.odcs.yaml", told.contract.name);
        into.files
            .insert(file, yaml::write(&document(told, servers)));
    }
}

fn document(told: &Told<'_>, servers: &Servers) -> Value {
    let contract = told.contract;
    let name = contract.name.as_str();
    let main = contract.schema.file.split('#').next().unwrap_or_default();
    let files = Files::take(
        name,
        &beside(&told.piece.file, main),
        &told.piece.schemas,
        &home,
    );
    let kept: Vec<Value> = files
        .all
        .iter()
        .map(|file| json!({ "name": file.name, "path": file.path, "schema": file.value }))
        .collect();
    let id = match &contract.domain {
        Some(domain) => format!("urn:contract:{domain}:{name}"),
        None => format!("urn:contract:{name}"),
    };
    let server = servers.kafka.as_ref().map(|host| {
        json!([{ "server": "log", "type": "kafka", "host": host, "format": contract.schema.format.as_str() }])
    });
    let quality: Vec<Value> = contract
        .schema
        .rules
        .iter()
        .map(|rule| {
            json!({
                "name": rule.name,
                "type": "custom",
                "engine": "cel",
                "implementation": rule.expression.as_str(),
                "severity": if rule.on_failure == OnFailure::Warn { "warning" } else { "error" },
            })
        })
        .collect();
    let members = contract.schema.schema.members();
    let properties = properties(contract, &members, &mut Vec::new());
    let some = |list: Vec<Value>| (!list.is_empty()).then(|| Value::Array(list));
    let roles: Vec<Value> = told
        .readers
        .iter()
        .map(|reader| {
            json!({
                "role": reader.via.group(),
                "access": "read",
                "description": format!("reader {} accepts {}", reader.name, reader.accepts),
            })
        })
        .collect();
    let (count, unit) = amount(&contract.topic.retention.to_string());
    let mut sla = vec![json!({ "property": "retention", "value": count, "unit": unit })];
    if let Some(window) = contract.replay_window {
        let (count, unit) = amount(&window.to_string());
        sla.push(json!({
            "property": "replayWindow", "value": count, "unit": unit,
            "description": "how far back events stay readable under new versions",
        }));
    }
    object([
        ("apiVersion", Some(json!(VERSION))),
        ("kind", Some(json!("DataContract"))),
        ("id", Some(json!(id))),
        ("name", Some(json!(name))),
        ("version", Some(json!(contract.version.to_string()))),
        ("status", Some(json!(contract.lifecycle.as_str()))),
        (
            "domain",
            contract.domain.as_ref().map(|domain| json!(domain)),
        ),
        (
            "description",
            contract
                .summary
                .as_ref()
                .map(|purpose| json!({ "purpose": purpose })),
        ),
        (
            "team",
            contract
                .owner
                .as_ref()
                .map(|owner| json!({ "name": owner })),
        ),
        ("servers", server),
        (
            "schema",
            Some(json!([object([
                ("name", Some(json!(contract.event.event_type))),
                ("physicalName", Some(json!(contract.topic.name))),
                ("physicalType", Some(json!("topic"))),
                ("logicalType", Some(json!("object"))),
                ("properties", some(properties)),
                ("quality", some(quality)),
            ])])),
        ),
        ("slaProperties", Some(Value::Array(sla))),
        ("roles", some(roles)),
        (
            "customProperties",
            Some(json!([
                { "property": "eventClass", "value": contract.class.as_str() },
                { "property": "compatibility", "value": contract.schema.compatibility.as_str() },
                { "property": CONTRACT, "value": object([
                    ("file", Some(json!(told.piece.file))),
                    ("document", Some(told.document.clone())),
                    ("team", told.team.clone()),
                ]) },
                { "property": SCHEMAS, "value": { "files": kept } },
            ])),
        ),
    ])
}

/// `30d` as 30 and `d`.
fn amount(text: &str) -> (u64, String) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    (count.parse().unwrap_or_default(), unit.to_owned())
}

fn properties(contract: &EventContract, members: &[Member], at: &mut Vec<String>) -> Vec<Value> {
    let all = members.iter().map(|member| {
        at.push(member.name.clone());
        // Inside a list no path of ours leads.
        let inside_list = at.iter().any(|name| name.ends_with("[]"));
        let is = |path: &crate::path::Path| !inside_list && path.names() == at.as_slice();
        let is_key = is(&contract.key.from);
        let personal = contract.personal.iter().find(|field| is(&field.path));
        let types: Vec<&str> = member.types.iter().map(String::as_str).collect();
        let physical = types.join("|");
        if member.list {
            at.pop();
            at.push(format!("{}[]", member.name));
        }
        let inner = properties(contract, &member.members, at);
        at.pop();
        let logical = match member.list {
            true => Some("array"),
            false => logical(&types, !inner.is_empty()),
        };
        let some = |list: Vec<Value>| (!list.is_empty()).then(|| Value::Array(list));
        let (inner, items) = match (member.list, inner.is_empty()) {
            (true, false) => (
                None,
                Some(json!({ "logicalType": "object", "properties": inner })),
            ),
            (_, _) => (some(inner), None),
        };
        object([
            ("name", Some(json!(member.name))),
            ("logicalType", logical.map(|word| json!(word))),
            (
                "physicalType",
                (!physical.is_empty()).then(|| json!(physical)),
            ),
            (
                "description",
                member.about.as_ref().map(|about| json!(about)),
            ),
            ("required", member.required.then(|| json!(true))),
            ("partitioned", is_key.then(|| json!(true))),
            ("partitionKeyPosition", is_key.then(|| json!(1))),
            ("classification", personal.map(|_| json!("personal"))),
            (
                "tags",
                personal.map(|field| json!(["personal", field.category])),
            ),
            ("properties", inner),
            ("items", items),
        ])
    });
    all.collect()
}

/// The standard's word for a type, if it has one.
fn logical(types: &[&str], has_members: bool) -> Option<&'static str> {
    if has_members {
        return Some("object");
    }
    let known = |word: &&str| -> Option<&'static str> {
        Some(match *word {
            "string" => "string",
            "boolean" | "bool" => "boolean",
            "integer" | "int" | "long" | "int32" | "int64" | "uint32" | "uint64" | "sint32"
            | "sint64" | "fixed32" | "fixed64" | "sfixed32" | "sfixed64" => "integer",
            "number" | "float" | "double" => "number",
            "object" => "object",
            "google.protobuf.Timestamp" => "timestamp",
            _ => return None,
        })
    };
    let not_null: Vec<&&str> = types.iter().filter(|word| **word != "null").collect();
    match not_null.as_slice() {
        [one] => known(one),
        _ => None,
    }
}

pub(super) fn import(name: &str, document: &Value) -> Result<Imported, ExchangeError> {
    let version = text(document, "/apiVersion").unwrap_or_default();
    if text(document, "/kind") != Some("DataContract") || !version.starts_with("v3.") {
        let message = format!(
            "`{name}` is no data contract of ODCS 3: `kind` and `apiVersion` do not say so"
        );
        let hint = "`kind: DataContract` and `apiVersion: v3.1.0`; version 2 is another format";
        return Err(ExchangeError::new(message, hint));
    }
    let mut imported = Imported::default();
    match custom(document, CONTRACT) {
        Some(kept) => own(name, document, &kept)?.finish(&mut imported),
        None => strangers(name, document, &mut imported)?,
    }
    Ok(imported)
}

fn custom(document: &Value, property: &str) -> Option<Value> {
    let all = document["customProperties"].as_array()?;
    let found = all.iter().find(|custom| custom["property"] == property)?;
    Some(found["value"].clone()).filter(Value::is_object)
}

fn own(name: &str, document: &Value, kept: &Value) -> Result<Draft, ExchangeError> {
    let schemas = custom(document, SCHEMAS).unwrap_or_default();
    let files = schemas["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| {
            Some(File {
                name: text(file, "/name")?.to_owned(),
                path: text(file, "/path")?.to_owned(),
                value: file.get("schema")?.clone(),
            })
        });
    let files = Files {
        all: files.collect(),
    };
    let mut draft = Home {
        kept,
        schemas: files.give(&home),
    }
    .draft(name)?;
    let again = again(&draft)?;
    let before: BTreeMap<&str, Value> = words(&again)
        .into_iter()
        .map(|word| (word.key, word.value))
        .collect();
    for word in words(document) {
        match before.get(word.key) == Some(&word.value) {
            true => draft.taken.push(word.pointer),
            false => draft.offer(word),
        }
    }
    let ours = ["/servers", "/roles", "/customProperties"];
    draft.taken.extend(ours.map(str::to_owned));
    draft.tell_rest(document, &again);
    Ok(draft)
}

fn again(draft: &Draft) -> Result<Value, ExchangeError> {
    let wrong = |problem: String| ExchangeError::new(problem, "export it again");
    let contracts = draft.load().map_err(wrong)?;
    let options = Options::default();
    let exported = super::export(ExportForm::Odcs, &contracts, &pieces_of(draft), &options)?;
    let text = exported.files.into_values().next().unwrap_or_default();
    yaml::read(&text).map_err(wrong)
}

/// What a document of one schema object says in the standard's own words.
fn words(document: &Value) -> Vec<Word> {
    let mut words = of_document(document);
    let name = text(document, "/team/name").and_then(slug);
    words.extend(name.map(|owner| word("metadata.owner", json!(owner), "/team/name")));
    words.extend(of_object(document, 0));
    words
}

fn word(key: &'static str, value: Value, pointer: &str) -> Word {
    Word {
        key,
        value,
        pointer: pointer.to_owned(),
    }
}

fn of_document(document: &Value) -> Vec<Word> {
    let mut words = Vec::new();
    if let Some(version) = text(document, "/version") {
        words.push(word(
            "metadata.version",
            json!(version.trim_start_matches('v')),
            "/version",
        ));
    }
    if let Some(domain) = text(document, "/domain").and_then(slug) {
        words.push(word("metadata.domain", json!(domain), "/domain"));
    }
    if let Some(purpose) = text(document, "/description/purpose") {
        words.push(word(
            "spec.summary",
            foreign::summary(purpose),
            "/description/purpose",
        ));
    }
    if let Some(status) = text(document, "/status") {
        let status = if status == "proposed" {
            "draft"
        } else {
            status
        };
        words.push(word("spec.lifecycle", json!(status), "/status"));
    }
    let sla = document["slaProperties"].as_array().into_iter().flatten();
    for (number, property) in sla.enumerate() {
        let key = match text(property, "/property") {
            Some("retention") => "spec.topic.retention",
            Some("replayWindow") => "spec.replay.window",
            _ => continue,
        };
        let count = match &property["value"] {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let unit = match text(property, "/unit").unwrap_or("d") {
            "d" | "day" | "days" => Some("d"),
            "h" | "hour" | "hours" => Some("h"),
            "m" | "min" | "minute" | "minutes" => Some("m"),
            "s" | "second" | "seconds" => Some("s"),
            "ms" => Some("ms"),
            _ => None,
        };
        let years = matches!(text(property, "/unit"), Some("y" | "yr" | "year" | "years"));
        let value = match (count, unit) {
            (Some(count), _) if years => Some(format!("{}d", count.saturating_mul(365))),
            (Some(count), Some(unit)) => Some(format!("{count}{unit}")),
            _ => None,
        };
        words.extend(value.map(|value| Word {
            key,
            value: json!(value),
            pointer: format!("/slaProperties/{number}"),
        }));
    }
    words
}

fn of_object(document: &Value, number: usize) -> Vec<Word> {
    let at = format!("/schema/{number}");
    let mut words = Vec::new();
    let pointer = format!("{at}/name");
    words.extend(text(document, &pointer).map(|name| Word {
        key: "spec.event.type",
        value: json!(name),
        pointer,
    }));
    let is_topic = text(document, &format!("{at}/physicalType")).is_none_or(|kind| kind == "topic");
    let pointer = format!("{at}/physicalName");
    words.extend(
        text(document, &pointer)
            .filter(|_| is_topic)
            .map(|name| Word {
                key: "spec.topic.name",
                value: json!(name),
                pointer,
            }),
    );
    words
}

fn strangers(name: &str, document: &Value, into: &mut Imported) -> Result<(), ExchangeError> {
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
