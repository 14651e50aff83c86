//! A contract as its producer's document, and a reader as its consumer's.

use serde_json::{Value, json};

use super::home;
use crate::event_type;
use crate::exchange::schemas::{File, Files, media_types};
use crate::exchange::words::{camel, object, pascal, pointer_part, text};
use crate::exchange::{Exported, Servers, Told, ToldReader, yaml};
use crate::model::{SchemaFormat, SourceRule};
use crate::schema::beside;

const VERSION: &str = "3.1.0";
const BINDING: &str = "0.5.0";

pub(in crate::exchange) fn export(
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
/// Says which types there are: one, or those that begin like their family.
fn type_of(rule: &str) -> Value {
    match event_type::family(rule) {
        Some(begin) => json!({ "type": "string", "pattern": format!("^{}.", escaped(begin)) }),
        None => json!({ "const": rule }),
    }
}

/// Writes text as a pattern for itself: ECMA-262 lets nothing else than these be escaped.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if r"^$\.*+?()[]{}|/".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

fn headers(told: &Told<'_>) -> Value {
    let event = &told.contract.event;
    let source = match &event.source {
        SourceRule::Only(source) => json!({ "const": source }),
        SourceRule::Any { .. } => {
            json!({ "type": "string", "format": "uri-reference" })
        }
    };
    json!({
        "type": "object",
        "required": ["ce_specversion", "ce_type", "ce_source", "ce_id"],
        "properties": {
            "ce_specversion": { "const": "1.0" },
            "ce_type": type_of(&event.event_type),
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
