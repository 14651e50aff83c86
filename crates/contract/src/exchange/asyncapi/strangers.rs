//! Documents of strangers: what an application sends becomes contracts, what it receives a reader.

use serde_json::{Value, json};

use super::import::{of_channel, of_info};
use crate::exchange::foreign::{self, Shape};
use crate::exchange::homecoming::{Draft, Word};
use crate::exchange::schemas::{stand_alone, text_of};
use crate::exchange::words::{pointer_part, slug, text};
use crate::exchange::{ExchangeError, Imported};
use crate::model::SchemaFormat;

/// References are followed so far and no further.
const MAX_STEPS: usize = 32;

/// Follows references inside the document; returns where they end.
fn follow(document: &Value, pointer: &str) -> Option<String> {
    let mut at = pointer.to_owned();
    for _ in 0..MAX_STEPS {
        let value = document.pointer(&at)?;
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
            return Some(at);
        };
        at = reference.strip_prefix('#')?.to_owned();
    }
    None
}

pub(super) fn import(
    name: &str,
    document: &Value,
    into: &mut Imported,
) -> Result<(), ExchangeError> {
    let mut found = Vec::new();
    let mut readers = Vec::new();
    let mut taken = vec!["/asyncapi".to_owned(), "/info/title".to_owned()];
    let mut lost = Vec::new();
    let members = |pointer: &str| -> Vec<String> {
        let value = document.pointer(pointer);
        let names = value.and_then(Value::as_object).into_iter().flatten();
        names
            .map(|(name, _)| format!("{pointer}/{}", pointer_part(name)))
            .collect()
    };
    let operations = members("/operations");
    for operation in &operations {
        let action = format!("{operation}/action");
        taken.push(action.clone());
        taken.push(format!("{operation}/channel"));
        taken.push(format!("{operation}/messages"));
        let Some(channel) = follow(document, &format!("{operation}/channel")) else {
            lost.push(format!(
                "`{operation}/channel` leads nowhere in this document"
            ));
            continue;
        };
        if text(document, &action) == Some("receive") {
            readers.push((operation.clone(), channel));
            continue;
        }
        let listed = document
            .pointer(&format!("{operation}/messages"))
            .and_then(Value::as_array);
        let messages = match listed {
            Some(list) => (0..list.len())
                .map(|n| format!("{operation}/messages/{n}"))
                .collect(),
            None => members(&format!("{channel}/messages")),
        };
        found.extend(
            messages
                .into_iter()
                .map(|message| (channel.clone(), message)),
        );
    }
    if operations.is_empty() {
        for channel in members("/channels") {
            let Some(channel) = follow(document, &channel) else {
                continue;
            };
            for message in members(&format!("{channel}/messages")) {
                found.push((channel.clone(), message));
            }
        }
    }
    let mut channels: Vec<String> = Vec::new();
    let mut drafts: Vec<Draft> = Vec::new();
    for (channel, message) in found {
        let Some(end) = follow(document, &message) else {
            lost.push(format!("`{message}` leads nowhere in this document"));
            continue;
        };
        taken.push(format!("{channel}/messages"));
        match stranger(document, &channel, &end, channels.contains(&channel)) {
            Ok(draft) if drafts.iter().any(|other| other.file == draft.file) => {}
            Ok(draft) => {
                channels.push(channel);
                drafts.push(draft);
            }
            Err(problem) => lost.push(format!("`{end}` did not become a contract: {problem}")),
        }
    }
    for (operation, channel) in readers {
        match stranger_reader(document, &operation, &channel) {
            Ok(draft) => drafts.push(draft),
            Err(problem) => lost.push(format!("`{operation}` did not become a reader: {problem}")),
        }
    }
    let Some(last) = drafts.last_mut() else {
        let message = format!(
            "nothing in `{name}` can become a contract: {}",
            lost.join("; ")
        );
        return Err(ExchangeError::new(
            message,
            "it needs a channel with a message and its payload",
        ));
    };
    let taken_by_all: Vec<String> = taken;
    last.told.extend(lost);
    let all: Vec<String> = drafts
        .iter()
        .flat_map(|draft| draft.taken.clone())
        .collect();
    if let Some(last) = drafts.last_mut() {
        last.taken = [all, taken_by_all].concat();
        last.tell_rest(document, &Value::Null);
    }
    for mut draft in drafts {
        draft.in_order();
        draft.finish(into);
    }
    Ok(())
}

fn stranger(document: &Value, channel: &str, message: &str, shared: bool) -> Result<Draft, String> {
    let key = message.rsplit('/').next().unwrap_or_default();
    let called = text(document, &format!("{message}/name")).unwrap_or(key);
    let name = slug(key).or_else(|| slug(called)).ok_or("it has no name")?;
    let shape = shape(document, message)?;
    let mut lost = Vec::new();
    let (format, schema, pointer) = shape;
    let text_ = match (format, &schema) {
        (SchemaFormat::Json, schema) => {
            let (mut alone, missing) = stand_alone(document, schema);
            if let Value::Object(keys) = &mut alone {
                let draft = json!("http://json-schema.org/draft-07/schema#");
                keys.entry("$schema").or_insert(draft);
            }
            lost = missing;
            text_of(&alone)
        }
        (_, schema) => text_of(schema),
    };
    let mut draft = foreign::draft(
        &name,
        Shape {
            format,
            text: text_,
            keys: Vec::new(),
        },
    )?;
    draft.told.extend(lost.into_iter().map(|reference| {
        format!("`{reference}`, which the schema of `{name}` refers to, is not in this document")
    }));
    for word in of_info(document) {
        draft.offer(word);
    }
    for part in ["description", "summary"] {
        let pointer = format!("{message}/{part}");
        if let Some(summary) = text(document, &pointer) {
            draft.offer(Word {
                key: "spec.summary",
                value: foreign::summary(summary),
                pointer,
            });
        }
    }
    draft.offer(Word {
        key: "spec.event.type",
        value: json!(called),
        pointer: format!("{message}/name"),
    });
    if let Some(Value::String(source)) =
        document.pointer(&format!("{message}/headers/properties/ce_source/const"))
    {
        draft.offer(Word {
            key: "spec.event.source",
            value: json!(source),
            pointer: format!("{message}/headers/properties/ce_source/const"),
        });
    }
    for word in of_channel(document, channel) {
        // A topic has one contract here; a second message of a channel gets its own topic.
        if shared && word.key == "spec.topic.name" {
            let told =
                "`{name}` shares its channel with another message: it has a topic of its own name";
            draft.told.push(told.replace("{name}", &name));
            draft.taken.push(word.pointer);
            continue;
        }
        draft.offer(word);
    }
    draft.taken.push(pointer);
    let refs = [
        format!("{message}/contentType"),
        "/defaultContentType".to_owned(),
    ];
    draft.taken.extend(refs);
    draft.taken.push("/components/schemas".to_owned());
    draft
        .taken
        .push(format!("{channel}/bindings/kafka/bindingVersion"));
    Ok(draft)
}

/// The payload of a message: its format, its schema, and where it stands.
fn shape(document: &Value, message: &str) -> Result<(SchemaFormat, Value, String), String> {
    let pointer = format!("{message}/payload");
    let at = follow(document, &pointer).ok_or("it has no payload that is in this document")?;
    let payload = document.pointer(&at).ok_or("it has no payload")?;
    let Some(named) = text(payload, "/schemaFormat") else {
        return Ok((SchemaFormat::Json, payload.clone(), pointer));
    };
    let schema = payload.get("schema").ok_or("its payload has no `schema`")?;
    let format = match named.split(';').next().unwrap_or_default() {
        format if format.contains("avro") => SchemaFormat::Avro,
        format if format.contains("protobuf") => SchemaFormat::Protobuf,
        format if format.contains("asyncapi") || format.contains("schema+") => SchemaFormat::Json,
        _ => {
            return Err(format!(
                "its payload is in `{named}`, which a contract does not have"
            ));
        }
    };
    let schema = match (format, schema) {
        (SchemaFormat::Json, schema) => schema.clone(),
        (_, schema) => match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let inside = reference
                    .strip_prefix('#')
                    .and_then(|p| document.pointer(p));
                inside.ok_or("its schema stands in another file")?.clone()
            }
            None => schema.clone(),
        },
    };
    Ok((format, schema, pointer))
}

fn stranger_reader(document: &Value, operation: &str, channel: &str) -> Result<Draft, String> {
    let title = text(document, "/info/title").unwrap_or_default();
    let name = slug(title)
        .or_else(|| slug(operation))
        .ok_or("it has no name")?;
    let messages = document
        .pointer(&format!("{channel}/messages"))
        .and_then(Value::as_object);
    let message = messages.and_then(|all| all.keys().next()).cloned();
    let last = channel.rsplit('/').next().unwrap_or_default().to_owned();
    let contract = slug(&message.unwrap_or(last)).ok_or("it reads nothing that has a name")?;
    let group = format!("{operation}/bindings/kafka/groupId");
    let binding = document.pointer(&group);
    let group_name =
        binding.and_then(|group| text(group, "/enum/0").or_else(|| text(group, "/const")));
    let owner = text(document, "/info/contact/name").and_then(slug);
    let mut draft = Draft {
        file: format!("{name}.reader.yaml"),
        document: json!({
            "apiVersion": "contract/v1",
            "kind": "ConsumerContract",
            "metadata": { "name": name, "owner": owner.clone().unwrap_or_else(|| "nobody".to_owned()) },
            "spec": {
                "contract": contract,
                "accepts": ">=1 <2",
                "via": { "kafka": { "group": group_name.unwrap_or(&name) } },
            },
        }),
        ..Draft::default()
    };
    draft.load()?;
    let mut told = vec![format!(
        "reader `{name}`: `accepts` was assumed to be `>=1 <2`, and that it reads contract `{contract}`"
    )];
    if group_name.is_none() {
        told.push(format!(
            "reader `{name}`: its consumer group was assumed to be its name"
        ));
    }
    if owner.is_none() {
        told.push(format!(
            "reader `{name}`: the document names no contact; owner is `nobody`"
        ));
    }
    draft.told = told;
    draft.taken = vec![
        group,
        "/info/contact/name".to_owned(),
        format!("{channel}/messages"),
        format!("{channel}/address"),
        format!("{operation}/bindings/kafka/bindingVersion"),
    ];
    if let Some(summary) = text(document, "/info/description") {
        let pointer = "/info/description".to_owned();
        draft.offer(Word {
            key: "spec.summary",
            value: foreign::summary(summary),
            pointer,
        });
    }
    Ok(draft)
}
