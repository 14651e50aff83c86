//! What the audit says of changes of schemas.

use serde_json::{Value, json};
use tidegate_event_log::Record;

use super::error::Error;
use super::record::Change;
use super::table::Table;
use crate::audit::{Object, Outcome};

/// Names what changes, with what stands there and what will.
pub(super) fn object(table: &Table, changes: &[Change]) -> Object {
    let before = changes.iter().map(|change| before(table, change));
    let before: Vec<Value> = before.filter(|value| !value.is_null()).collect();
    let after = changes.iter().map(|change| shown(&change.record()));
    Object {
        name: changes.first().map_or_else(String::new, name),
        before: (!before.is_empty()).then_some(Value::Array(before)),
        after: Some(Value::Array(after.collect())),
    }
}

/// Says what an error leaves: one of the caller's nothing, one of the log's nobody knows.
pub(super) fn outcome(error: &Error) -> Outcome {
    match error.status {
        500.. => Outcome::Unknown,
        _ => Outcome::Failed,
    }
}

fn name(change: &Change) -> String {
    let scope = |subject: &Option<String>| match subject {
        Some(subject) => format!("subject/{subject}"),
        None => "registry".to_owned(),
    };
    match change {
        Change::Schema(value) => format!("subject/{}", value.subject),
        Change::NoSchema { subject, .. } | Change::DeleteSubject { subject, .. } => {
            format!("subject/{subject}")
        }
        Change::Config(subject, _)
        | Change::Mode(subject, _)
        | Change::ClearSubject { subject } => scope(subject),
        Change::Context { context, .. } => format!("context/{context}"),
        Change::Nothing => "registry".to_owned(),
    }
}

/// Returns what stands there; a schema's text stays in its own topic.
fn before(table: &Table, change: &Change) -> Value {
    let version = |subject: &str, version: i32| {
        let stored = table.get(subject, Some(version));
        stored.map_or(Value::Null, |stored| {
            let value = &stored.value;
            json!({ "subject": value.subject, "version": value.version, "id": value.id,
                    "deleted": value.deleted })
        })
    };
    match change {
        Change::Schema(value) => version(&value.subject, value.version),
        Change::NoSchema {
            subject,
            version: at,
        } => version(subject, *at),
        Change::DeleteSubject { subject, .. } => {
            let versions = table.versions(subject);
            let live = versions.filter(|stored| !stored.value.deleted);
            let live: Vec<i32> = live.map(|stored| stored.value.version).collect();
            json!({ "subject": subject, "versions": live })
        }
        Change::Config(subject, _) => json!(table.config(subject.as_deref())),
        Change::Mode(subject, _) => json!(table.mode(subject.as_deref())),
        Change::ClearSubject { .. } | Change::Context { .. } | Change::Nothing => Value::Null,
    }
}

/// Returns the record as it will stand in the topic.
fn shown(record: &Record) -> Value {
    let json = |bytes: &Option<bytes::Bytes>| {
        let bytes = bytes.as_deref().unwrap_or(b"null");
        serde_json::from_slice::<Value>(bytes).unwrap_or_default()
    };
    json!({ "key": json(&record.key), "value": json(&record.value) })
}
