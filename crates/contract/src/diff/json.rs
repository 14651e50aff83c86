//! A change as JSON: what `contract check -o json` prints, and what a gateway answers to one that asks
//! it. Whoever reads it gets the same change, with the line it is about.

use serde_json::{Map, Value, json};

use super::{Change, Concerned, EventPlace, RULES, Severity};
use crate::load::{Diagnostic, Level, Snippet};

/// A rule of a newer version.
const UNKNOWN: &str = "unknown";

impl Change {
    /// Writes the change; members without a value are left out.
    pub fn to_json(&self) -> Value {
        let found = &self.finding;
        let mut value = json!({
            "severity": self.severity.as_str(),
            "contract": self.contract,
            "rule": self.rule,
            "key": self.key,
            "message": found.message,
            "hint": found.hint,
            "file": found.file,
            "line": found.line,
            "column": found.column,
        });
        if let Some(reader) = &self.reader {
            value["reader"] = json!({
                "name": reader.name,
                "owner": reader.owner,
                "group": reader.group,
            });
            if let Some(field) = &reader.field {
                value["field"] = json!(field);
            }
        }
        if let Some(place) = &self.first_offset {
            value["first_offset"] = json!({
                "topic": place.topic,
                "partition": place.partition,
                "offset": place.offset,
            });
        }
        if let Some(snippet) = &found.snippet {
            value["snippet"] = json!({
                "line": snippet.line,
                "before": snippet.before,
                "width": snippet.width,
            });
        }
        value
    }

    /// Reads what [`Change::to_json`] wrote; nothing if it is something else.
    pub fn of_json(value: &Value) -> Option<Self> {
        let value = value.as_object()?;
        let text = |of: &Map<String, Value>, name: &str| Some(of.get(name)?.as_str()?.to_owned());
        let number = |of: &Map<String, Value>, name: &str| of.get(name)?.as_u64();
        let severity = [Severity::Breaking, Severity::Risky, Severity::Safe];
        let word = text(value, "severity")?;
        let severity = severity.into_iter().find(|it| it.as_str() == word)?;
        let rule = text(value, "rule")?;
        let known = RULES.iter().find(|known| known.name == rule);
        let rule = known.map_or(UNKNOWN, |known| known.name);
        let reader = value.get("reader").and_then(Value::as_object);
        let reader = reader.and_then(|reader| {
            Some(Concerned {
                name: text(reader, "name")?,
                owner: text(reader, "owner")?,
                group: text(reader, "group")?,
                field: text(value, "field"),
            })
        });
        let place = value.get("first_offset").and_then(Value::as_object);
        let first_offset = place.and_then(|place| {
            Some(EventPlace {
                topic: text(place, "topic")?,
                partition: place.get("partition")?.as_i64()?.try_into().ok()?,
                offset: place.get("offset")?.as_i64()?,
            })
        });
        let snippet = value.get("snippet").and_then(Value::as_object);
        let snippet = snippet.and_then(|snippet| {
            Some(Snippet {
                line: text(snippet, "line")?,
                before: number(snippet, "before")?.try_into().ok()?,
                width: number(snippet, "width")?.try_into().ok()?,
            })
        });
        let mut change = Self {
            contract: text(value, "contract")?,
            severity,
            rule,
            key: text(value, "key")?,
            finding: Diagnostic {
                level: Level::Warning,
                rule: Some(rule),
                file: text(value, "file")?,
                line: number(value, "line")?.try_into().ok()?,
                column: number(value, "column")?.try_into().ok()?,
                message: text(value, "message")?,
                hint: text(value, "hint"),
                snippet,
            },
            reader,
            first_offset,
        };
        change.weigh(severity);
        Some(change)
    }
}
