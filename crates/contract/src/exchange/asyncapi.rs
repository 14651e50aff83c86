//! AsyncAPI 3.1: one document a contract, as its producer, and one a reader, since the specification
//! wants an application's own document and not the other side's turned around. Kafka's binding is
//! 0.5.0. What it has no word for is kept in `x-contract` and `x-consumer`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::foreign::{self, Shape};
use super::homecoming::{Draft, Home, Word, pieces_of};
use super::schemas::{File, Files, media_types, stand_alone, text_of};
use super::words::{camel, duration, object, pascal, pointer_part, size, slug, text};
use super::{
    ExchangeError, ExportForm, Exported, Imported, Options, Servers, Told, ToldReader, yaml,
};
use crate::model::SchemaFormat;
use crate::schema::beside;

const VERSION: &str = "3.1.0";
const BINDING: &str = "0.5.0";
/// References are followed so far and no further.
const MAX_STEPS: usize = 32;

fn home(name: &str) -> String {
    format!("/components/schemas/{name}/schema")
}

pub(super) fn export(
    contracts: &[Told<'_>],
    readers: &[ToldReader<'_>],
    servers: &Servers,
    into: &mut Exported,
) {
    for told in contracts {
        let file = file_of(&told.contract.name);
        into.files
            .insert(file, yaml::write(&producer(told, servers)));
    }
    for told in readers {
        let file = format!("{}.reader.asyncapi.yaml", told.reader.name);
        into.files
            .insert(file, yaml::write(&consumer(told, servers)));
    }
}

fn file_of(contract: &str) -> String {
    format!("{contract}.asyncapi.yaml")
}

fn producer(told: &Told<'_>, servers: &Servers) -> Value {
    let contract = told.contract;
    let name = contract.name.as_str();
    let (main, pointer) = contract
        .schema
        .file
        .split_once('#')
        .unwrap_or((&contract.schema.file, ""));
    let files = Files::take(
        name,
        &beside(&told.piece.file, main),
        &told.piece.schemas,
        &home,
    );
    let empty = Value::Null;
    let value = files.all.first().map_or(&empty, |file| &file.value);
    let (format, media_type) = media_types(contract.schema.format, value);
    let payload = match contract.schema.format {
        SchemaFormat::Json => json!({
            "schemaFormat": format,
            "schema": { "$ref": format!("#{}{pointer}", home(name)) },
        }),
        SchemaFormat::Avro | SchemaFormat::Protobuf => {
            json!({ "$ref": format!("#/components/schemas/{name}") })
        }
    };
    let message = camel(name);
    let owner = contract.owner.as_ref().map(|owner| {
        let pager = told
            .team
            .as_ref()
            .and_then(|team| text(team, "/spec/pager"));
        let mail = pager.and_then(|pager| pager.strip_prefix("mailto:"));
        object([
            ("name", Some(json!(owner))),
            ("email", mail.map(|mail| json!(mail))),
        ])
    });
    let mut tags = vec![json!({ "name": contract.class.as_str() })];
    tags.extend(
        contract
            .domain
            .iter()
            .map(|domain| json!({ "name": domain })),
    );
    let id = match &contract.domain {
        Some(domain) => format!("urn:contract:{domain}:{name}"),
        None => format!("urn:contract:{name}"),
    };
    let cleanup: Vec<&str> = contract
        .topic
        .cleanup
        .iter()
        .map(|word| word.as_str())
        .collect();
    let schemas: serde_json::Map<String, Value> = files
        .all
        .iter()
        .map(|file| {
            let (format, _) = media_types(format_of(contract.schema.format, file), &file.value);
            let value = json!({ "schemaFormat": format, "schema": file.value });
            (file.name.clone(), value)
        })
        .collect();
    let paths: serde_json::Map<String, Value> = files
        .all
        .iter()
        .map(|file| (file.name.clone(), json!(file.path)))
        .collect();
    let summary = contract.summary.as_ref().map(|summary| json!(summary));
    object([
        ("asyncapi", Some(json!(VERSION))),
        ("id", Some(json!(id))),
        ("defaultContentType", Some(json!(media_type))),
        (
            "info",
            Some(object([
                ("title", Some(json!(name))),
                ("version", Some(json!(contract.version.to_string()))),
                ("description", summary.clone()),
                ("contact", owner),
                ("tags", Some(json!(tags))),
            ])),
        ),
        ("servers", servers_of(servers)),
        (
            "channels",
            Some(json!({ name: object([
            ("address", Some(json!(contract.topic.name))),
            ("servers", servers.kafka.as_ref().map(|_| json!([{ "$ref": "#/servers/log" }]))),
            ("messages", Some(json!({
                message.as_str(): { "$ref": format!("#/components/messages/{message}") },
            }))),
            ("bindings", Some(json!({ "kafka": {
                "topic": contract.topic.name,
                "partitions": contract.topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": cleanup,
                    "retention.ms": contract.topic.retention.as_ms(),
                    "max.message.bytes": contract.topic.max_message.as_bytes(),
                },
                "bindingVersion": BINDING,
            } }))),
        ]) })),
        ),
        (
            "operations",
            Some(json!({ format!("publish{}", pascal(name)): {
            "action": "send",
            "channel": { "$ref": format!("#/channels/{}", pointer_part(name)) },
            "messages": [
                { "$ref": format!("#/channels/{}/messages/{message}", pointer_part(name)) }
            ],
        } })),
        ),
        (
            "components",
            Some(json!({
                "messages": { message.as_str(): object([
                    ("name", Some(json!(contract.event.event_type))),
                    ("title", Some(json!(name))),
                    ("summary", summary),
                    ("contentType", Some(json!(media_type))),
                    ("headers", Some(headers(told))),
                    ("payload", Some(payload)),
                    ("bindings", Some(json!({ "kafka": {
                        "key": {
                            "type": "string",
                            "description": format!("the data's `{}`", contract.key.from),
                        },
                        "bindingVersion": BINDING,
                    } }))),
                ]) },
                "schemas": schemas,
            })),
        ),
        (
            "x-contract",
            Some(object([
                ("file", Some(json!(told.piece.file))),
                ("document", Some(told.document.clone())),
                ("team", told.team.clone()),
                ("schemas", Some(Value::Object(paths))),
            ])),
        ),
    ])
}

/// A file that is led to may be JSON Schema where the data is not: the shape of plain bodies.
fn format_of(format: SchemaFormat, file: &File) -> SchemaFormat {
    match (format, &file.value) {
        (SchemaFormat::Protobuf, Value::Object(_)) => SchemaFormat::Json,
        (SchemaFormat::Avro, value) if value.get("$schema").is_some() => SchemaFormat::Json,
        (format, _) => format,
    }
}

/// The attributes as they stand in the record's headers (CloudEvents Kafka binding 1.0.2 §3.2.3).
fn headers(told: &Told<'_>) -> Value {
    let event = &told.contract.event;
    let source = match &event.source {
        crate::model::SourceRule::Only(source) => json!({ "const": source }),
        crate::model::SourceRule::Any { .. } => {
            json!({ "type": "string", "format": "uri-reference" })
        }
    };
    json!({
        "type": "object",
        "required": ["ce_specversion", "ce_type", "ce_source", "ce_id"],
        "properties": {
            "ce_specversion": { "const": "1.0" },
            "ce_type": { "const": event.event_type },
            "ce_source": source,
            "ce_id": { "type": "string", "minLength": 1 },
            "ce_time": { "type": "string", "format": "date-time" },
        },
    })
}

fn servers_of(servers: &Servers) -> Option<Value> {
    let mut all = serde_json::Map::new();
    if let Some(kafka) = &servers.kafka {
        let registry = servers.registry.as_ref().map(|url| {
            json!({ "kafka": {
                "schemaRegistryUrl": url,
                "schemaRegistryVendor": "confluent",
                "bindingVersion": BINDING,
            } })
        });
        let server = [
            ("host", Some(json!(kafka))),
            ("protocol", Some(json!("kafka"))),
            ("bindings", registry),
        ];
        all.insert("log".to_owned(), object(server));
    }
    if let Some(http) = &servers.http {
        let (protocol, host) = http.split_once("://").unwrap_or(("http", http));
        let host = host.trim_end_matches('/');
        let server = json!({ "host": host, "pathname": "/v1/events", "protocol": protocol });
        all.insert("edge".to_owned(), server);
    }
    (!all.is_empty()).then_some(Value::Object(all))
}

fn consumer(told: &ToldReader<'_>, servers: &Servers) -> Value {
    let reader = told.reader;
    let name = reader.contract.as_str();
    let message = camel(name);
    let topic = told
        .contract
        .map_or(name, |contract| contract.topic.name.as_str());
    object([
        ("asyncapi", Some(json!(VERSION))),
        ("id", Some(json!(format!("urn:reader:{}", reader.name)))),
        (
            "info",
            Some(object([
                ("title", Some(json!(reader.name))),
                ("version", Some(json!("1.0.0"))),
                (
                    "description",
                    reader.summary.as_ref().map(|summary| json!(summary)),
                ),
                ("contact", Some(json!({ "name": reader.owner }))),
            ])),
        ),
        ("servers", servers_of(servers)),
        (
            "channels",
            Some(json!({ name: {
            "address": topic,
            "messages": { message.as_str(): {
                "$ref": format!("./{}#/components/messages/{message}", file_of(name)),
            } },
        } })),
        ),
        (
            "operations",
            Some(json!({ format!("on{}", pascal(name)): {
            "action": "receive",
            "channel": { "$ref": format!("#/channels/{}", pointer_part(name)) },
            "bindings": { "kafka": {
                "groupId": { "type": "string", "enum": [reader.via.group()] },
                "bindingVersion": BINDING,
            } },
        } })),
        ),
        (
            "x-consumer",
            Some(json!({ "file": told.piece.file, "document": told.document })),
        ),
    ])
}

pub(super) fn import(name: &str, document: &Value) -> Result<Imported, ExchangeError> {
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
        strangers(name, document, &mut imported)?;
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
    let exported = super::export(
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

fn of_info(document: &Value) -> Vec<Word> {
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

fn of_channel(document: &Value, at: &str) -> Vec<Word> {
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

fn strangers(name: &str, document: &Value, into: &mut Imported) -> Result<(), ExchangeError> {
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
