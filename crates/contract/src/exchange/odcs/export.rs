//! A contract as a data contract of one schema object.

use serde_json::{Value, json};

use super::{CONTRACT, SCHEMAS, home};
use crate::exchange::schemas::Files;
use crate::exchange::words::object;
use crate::exchange::{Exported, Servers, Told, yaml};
use crate::model::{EventContract, OnFailure};
use crate::path::Path;
use crate::schema::{Member, beside};

const VERSION: &str = "v3.1.0";

pub(in crate::exchange) fn export(contracts: &[Told<'_>], servers: &Servers, into: &mut Exported) {
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
        let is = |path: &Path| !inside_list && path.names() == at.as_slice();
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
