//! Our own documents back, with what somebody changed in them since; strangers' go to `strangers`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{CONTRACT, SCHEMAS, home, strangers};
use crate::exchange::foreign;
use crate::exchange::homecoming::{Draft, Home, Word, pieces_of};
use crate::exchange::schemas::{File, Files};
use crate::exchange::words::{slug, text};
use crate::exchange::{ExchangeError, ExportForm, Imported, Options, yaml};

pub(in crate::exchange) fn import(name: &str, document: &Value) -> Result<Imported, ExchangeError> {
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
        None => strangers::import(name, document, &mut imported)?,
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
    let exported =
        crate::exchange::export(ExportForm::Odcs, &contracts, &pieces_of(draft), &options)?;
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

pub(super) fn of_document(document: &Value) -> Vec<Word> {
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

pub(super) fn of_object(document: &Value, number: usize) -> Vec<Word> {
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
