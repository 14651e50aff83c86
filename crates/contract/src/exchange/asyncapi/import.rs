//! Our own documents back, with what somebody changed in them since; strangers' go to `strangers`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{home, strangers};
use crate::exchange::foreign;
use crate::exchange::homecoming::{Draft, Home, Word, pieces_of};
use crate::exchange::schemas::{File, Files};
use crate::exchange::words::{duration, pointer_part, size, slug, text};
use crate::exchange::{ExchangeError, ExportForm, Imported, Options, yaml};

pub(in crate::exchange) fn import(name: &str, document: &Value) -> Result<Imported, ExchangeError> {
    let version = text(document, "/asyncapi").unwrap_or_default();
    if !version.starts_with("3.") {
        let message = match version {
            "" => format!("`{name}` is no AsyncAPI document: it has no `asyncapi`"),
            version => format!("`{name}` is AsyncAPI {version}; 3.0 and 3.1 are read"),
        };
        return Err(ExchangeError::new(
            message,
            "`asyncapi convert` makes 3.x of 2.x",
        ));
    }
    let mut imported = Imported::default();
    if document["x-contract"]["document"].is_object() {
        own_contract(name, document)?.finish(&mut imported);
    } else if document["x-consumer"]["document"].is_object() {
        own_reader(name, document)?.finish(&mut imported);
    } else {
        strangers::import(name, document, &mut imported)?;
    }
    Ok(imported)
}

fn own_contract(name: &str, document: &Value) -> Result<Draft, ExchangeError> {
    let kept = &document["x-contract"];
    let paths = kept["schemas"].as_object().into_iter().flatten();
    let files = paths.filter_map(|(name, path)| {
        Some(File {
            name: name.clone(),
            path: path.as_str()?.to_owned(),
            value: document.pointer(&home(&pointer_part(name)))?.clone(),
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
    // What the contract exports to now: whatever is another one there was changed by somebody.
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
    draft
        .taken
        .extend(["/servers".to_owned(), "/x-contract".to_owned()]);
    let channels = document["channels"].as_object().into_iter().flatten();
    draft
        .taken
        .extend(channels.map(|(name, _)| format!("/channels/{}/servers", pointer_part(name))));
    draft.tell_rest(document, &again);
    Ok(draft)
}

fn again(draft: &Draft) -> Result<Value, ExchangeError> {
    let contracts = draft
        .load()
        .map_err(|problem| ExchangeError::new(problem, "export it again"))?;
    let pieces = pieces_of(draft);
    let exported = crate::exchange::export(
        ExportForm::Asyncapi,
        &contracts,
        &pieces,
        &Options::default(),
    )?;
    let text = exported.files.into_values().next().unwrap_or_default();
    yaml::read(&text).map_err(|problem| ExchangeError::new(problem, "export it again"))
}

/// What a producer's document of one channel and one message says in AsyncAPI's own words.
fn words(document: &Value) -> Vec<Word> {
    let mut words = of_info(document);
    let owner = text(document, "/info/contact/name").and_then(slug);
    words.extend(owner.map(|owner| Word {
        key: "metadata.owner",
        value: json!(owner),
        pointer: "/info/contact/name".to_owned(),
    }));
    if let Some(name) = document["channels"]
        .as_object()
        .and_then(|all| all.keys().next())
    {
        words.extend(of_channel(
            document,
            &format!("/channels/{}", pointer_part(name)),
        ));
    }
    if let Some(name) = document
        .pointer("/components/messages")
        .and_then(Value::as_object)
        .and_then(|all| all.keys().next())
    {
        words.extend(of_message(
            document,
            &format!("/components/messages/{}", pointer_part(name)),
        ));
    }
    words
}

pub(super) fn of_info(document: &Value) -> Vec<Word> {
    let version = text(document, "/info/version");
    let summary = text(document, "/info/description");
    let version = version.map(|version| Word {
        key: "metadata.version",
        value: json!(version),
        pointer: "/info/version".to_owned(),
    });
    let summary = summary.map(|summary| Word {
        key: "spec.summary",
        value: foreign::summary(summary),
        pointer: "/info/description".to_owned(),
    });
    version.into_iter().chain(summary).collect()
}

pub(super) fn of_channel(document: &Value, at: &str) -> Vec<Word> {
    let binding = format!("{at}/bindings/kafka");
    let settings = format!("{binding}/topicConfiguration");
    let number = |pointer: &str| document.pointer(pointer).and_then(Value::as_u64);
    let mut words = Vec::new();
    let mut push = |key, pointer: String, value: Option<Value>| {
        words.extend(value.map(|value| Word {
            key,
            value,
            pointer,
        }));
    };
    let topic = format!("{binding}/topic");
    match text(document, &topic) {
        Some(name) => {
            push("spec.topic.name", topic, Some(json!(name)));
            let address = format!("{at}/address");
            let same = text(document, &address) == Some(name);
            push("spec.topic.name", address, same.then(|| json!(name)));
        }
        None => {
            let pointer = format!("{at}/address");
            let value = text(document, &pointer).map(|name| json!(name));
            push("spec.topic.name", pointer, value);
        }
    }
    let pointer = format!("{binding}/partitions");
    let value = number(&pointer).map(|count| json!(count));
    push("spec.topic.partitions", pointer, value);
    let pointer = format!("{settings}/retention.ms");
    let value = number(&pointer).and_then(duration).map(|text| json!(text));
    push("spec.topic.retention", pointer, value);
    let pointer = format!("{settings}/cleanup.policy");
    let value = document
        .pointer(&pointer)
        .filter(|value| value.is_array())
        .cloned();
    push("spec.topic.cleanup", pointer, value);
    let pointer = format!("{settings}/max.message.bytes");
    let value = number(&pointer).and_then(size).map(|text| json!(text));
    push("spec.topic.maxMessage", pointer, value);
    words
}

fn of_message(document: &Value, at: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let pointer = format!("{at}/name");
    words.extend(text(document, &pointer).map(|name| Word {
        key: "spec.event.type",
        value: json!(name),
        pointer,
    }));
    let pointer = format!("{at}/headers/properties/ce_source/const");
    words.extend(text(document, &pointer).map(|source| Word {
        key: "spec.event.source",
        value: json!(source),
        pointer,
    }));
    words
}

fn own_reader(name: &str, document: &Value) -> Result<Draft, ExchangeError> {
    let kept = &document["x-consumer"];
    let mut draft = Home {
        kept,
        schemas: BTreeMap::new(),
    }
    .draft(name)?;
    let before = text(&kept["document"], "/spec/via/kafka/group").map(str::to_owned);
    let operations = document["operations"].as_object().into_iter().flatten();
    for (operation, value) in operations {
        let group = text(value, "/bindings/kafka/groupId/enum/0");
        if let (Some(group), Some(before)) = (group, &before)
            && group != before
        {
            let pointer = format!(
                "/operations/{}/bindings/kafka/groupId/enum/0",
                pointer_part(operation)
            );
            draft.offer(Word {
                key: "spec.via.kafka.group",
                value: json!(group),
                pointer,
            });
        }
    }
    Ok(draft)
}
