//! A contract that does not exist yet: what `contract new` writes. `questions` asks for it, `infer` makes
//! its schema of samples, and this file writes the documents with a comment by each answer. Pure: files
//! are the caller's. What is written here passes `lint` without a finding, whatever was answered.

mod infer;
mod questions;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::lint::{EVENTS_A_PARTITION, personal_fields};
use crate::model::{Class, SchemaFormat};
use crate::path::Path;
use crate::schema::{ParsedFile, Sources};
use crate::units::{Duration, Rate};

pub use infer::{MAX_SAMPLE_DEPTH, infer};
pub use questions::{Answers, Choice, Form, Known, Question, Refusal, Step, next};

/// The editor's schema of contract files, beside them.
pub const EDITOR_SCHEMA: &str = "contract.v1.schema.json";

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The contract's name.
    pub name: String,
    /// What kind of event it is.
    pub class: Class,
    /// The team that answers for it.
    pub owner: String,
    /// Where that team is reached, if it is to be written too.
    pub pager: Option<String>,
    /// What the event means.
    pub summary: Option<String>,
    /// Where the data holds the key.
    pub key: Path,
    /// Which events stay in order.
    pub order: Order,
    /// Where the data holds the event's id.
    pub id: Option<Path>,
    /// Whether an event must bring an identity.
    pub identity_required: bool,
    /// How many come at most.
    pub peak: Option<Rate>,
    /// Who reads it first.
    pub reader: Option<FirstReader>,
    /// The JSON Schema of the data.
    pub schema: Value,
    /// What was answered, by question.
    pub because: Vec<(&'static str, String)>,
}

/// Which events stay in order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// Those of one key: the format's default, save for telemetry.
    Key,
    /// All of them, in one partition.
    All,
    /// None.
    None,
}

/// The reader that a draft knows of.
#[derive(Clone, Debug)]
pub struct FirstReader {
    /// Its name, and its consumer group's.
    pub name: String,
    /// How late it may be.
    pub max_lag: Duration,
    /// How long it may be down.
    pub outage: Duration,
}

/// Two texts and their paths, seen from the folder of contracts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// The contract, with a team and a reader if they are new.
    pub contract: (String, String),
    /// The schema it names.
    pub schema: (String, String),
}

const DEFAULT_PARTITIONS: u64 = 3;
const DAY_MS: u64 = 86_400_000;

impl Draft {
    /// Writes the files.
    pub fn files(&self) -> Files {
        let name = &self.name;
        let mut text = format!("# yaml-language-server: $schema=./{EDITOR_SCHEMA}\n");
        self.write_contract(&mut text);
        if let Some(pager) = &self.pager {
            self.write_team(&mut text, pager);
        }
        if let Some(reader) = &self.reader {
            self.write_reader(&mut text, reader);
        }
        Files {
            contract: (format!("{name}.yaml"), text),
            schema: (
                format!("schemas/{name}.json"),
                format!("{:#}\n", self.schema),
            ),
        }
    }

    fn write_contract(&self, text: &mut String) {
        let name = &self.name;
        let mut line =
            |line: &str| writeln!(text, "{line}").expect("a text takes what it is given");
        line("apiVersion: contract/v1");
        line("kind: EventContract");
        line(&format!("metadata:\n  name: {name}"));
        self.comments(&["owner"], "  ", &mut line);
        line(&format!("  owner: {}\nspec:", self.owner));
        if let Some(summary) = &self.summary {
            line(&format!("  summary: {}", quoted(summary)));
        }
        self.comments(&["what", "who"], "  ", &mut line);
        line(&format!("  class: {}", self.class));
        if let Some(id) = &self.id {
            self.comments(&["id"], "  ", &mut line);
            line(&format!("  event:\n    id: {id}"));
        }
        line(&format!("  schema:\n    file: schemas/{name}.json"));
        line("  key:");
        self.comments(&["key"], "    ", &mut line);
        line(&format!("    from: {}", self.key));
        self.comments(&["order"], "    ", &mut line);
        let ordering = match self.order {
            Order::Key => "per-key",
            Order::All => "per-partition",
            Order::None => "none",
        };
        line(&format!("    ordering: {ordering}"));
        self.write_topic(&mut line);
        self.comments(&["twice"], "  ", &mut line);
        if self.identity_required {
            line("  ingress:\n    idempotency: {required: true}");
        }
        let personal = self.personal();
        if !personal.is_empty() {
            line(
                "  # By their names about persons; see whether that is so.\n  privacy:\n    fields:",
            );
        }
        for (path, category) in personal {
            line(&format!(
                "      {}: {{category: {category}}}",
                quoted(&path)
            ));
        }
    }

    fn write_topic(&self, line: &mut dyn FnMut(&str)) {
        let asked = self
            .peak
            .map_or(0, |peak| peak.per_second().div_ceil(EVENTS_A_PARTITION));
        let partitions = match self.order {
            Order::All => 1,
            Order::Key | Order::None => asked.max(DEFAULT_PARTITIONS),
        };
        let retention = self.retention();
        if partitions == DEFAULT_PARTITIONS && self.peak.is_none() && retention.is_none() {
            return;
        }
        line("  topic:");
        if partitions != DEFAULT_PARTITIONS {
            line(&format!("    partitions: {partitions}"));
        }
        if let Some(days) = retention {
            line("    # The reader's outage, and a day to notice and mend it.");
            line(&format!("    retention: {days}d"));
        }
        if let Some(peak) = self.peak {
            self.comments(&["peak"], "    ", line);
            line(&format!("    peak: {{events: {peak}}}"));
        }
    }

    /// Returns the days that the reader needs, if they are more than the class keeps anyway.
    fn retention(&self) -> Option<u64> {
        let reader = self.reader.as_ref()?;
        let kept = match self.class {
            Class::Fact => 30,
            Class::Command => 7,
            Class::Telemetry => 3,
        };
        let needed = reader.outage.as_ms().saturating_add(reader.max_lag.as_ms());
        let days = needed.div_ceil(DAY_MS) + 1;
        (days > kept).then_some(days)
    }

    fn write_team(&self, text: &mut String, pager: &str) {
        let owner = &self.owner;
        let pager = quoted(pager);
        write!(
            text,
            "---\napiVersion: contract/v1\nkind: Team\nmetadata: {{name: {owner}}}\nspec: {{pager: {pager}}}\n"
        )
        .expect("a text takes what it is given");
    }

    fn write_reader(&self, text: &mut String, reader: &FirstReader) {
        let FirstReader {
            name,
            max_lag,
            outage,
        } = reader;
        let mut line =
            |line: &str| writeln!(text, "{line}").expect("a text takes what it is given");
        line("---\napiVersion: contract/v1\nkind: ConsumerContract");
        line(&format!("metadata:\n  name: {name}"));
        line("  # Whoever answers for the reader; it may be another team than the sender's.");
        line(&format!(
            "  owner: {}\nspec:\n  contract: {}",
            self.owner, self.name
        ));
        line("  accepts: \">=1 <2\"");
        self.comments(&["reader"], "  ", &mut line);
        line(&format!("  via: {{kafka: {{group: {name}}}}}"));
        if self.identity_required {
            line(
                "  # Twice does harm, and delivery is at least once: the reader keeps the ids it has done.",
            );
        }
        line("  duplicates: {handling: idempotent}");
        self.comments(&["outage"], "  ", &mut line);
        line(&format!("  outage: {outage}"));
        self.comments(&["lag"], "  ", &mut line);
        line(&format!("  maxLag: {{time: {max_lag}}}"));
    }

    fn comments(&self, questions: &[&str], indent: &str, line: &mut dyn FnMut(&str)) {
        for (question, answer) in &self.because {
            if questions.contains(question) {
                line(&format!("{indent}# {answer}"));
            }
        }
    }

    /// Returns the fields that lint would ask to declare.
    fn personal(&self) -> Vec<(String, &'static str)> {
        let nothing = |path: &str| Err(format!("there is no `{path}`"));
        let text = self.schema.to_string();
        let parsed = ParsedFile::parse(
            SchemaFormat::Json,
            "draft",
            &text,
            &mut Sources::new(&nothing),
        );
        let schema = parsed.and_then(|parsed| parsed.at(""));
        schema.map_or_else(|_| Vec::new(), |schema| personal_fields(&schema))
    }
}

/// Makes a schema in which the fields at these paths are texts that must be there.
pub fn stub(title: &str, paths: &[&Path]) -> Value {
    let mut schema = json!({
        "$schema": infer::DRAFT,
        "title": infer::title(title),
        "type": "object",
        "required": [],
        "properties": {},
    });
    for path in paths {
        let mut at = &mut schema;
        for (depth, name) in path.names().iter().enumerate() {
            let is_last = depth + 1 == path.names().len();
            let required = at["required"].as_array_mut().expect("made above or below");
            if !required.iter().any(|known| known == name) {
                required.push(json!(name));
            }
            let properties = at["properties"]
                .as_object_mut()
                .expect("made above or below");
            at = properties
                .entry(name.clone())
                .or_insert_with(|| match is_last {
                    true => json!({"type": "string", "minLength": 1}),
                    false => json!({"type": "object", "required": [], "properties": {}}),
                });
            if !is_last && !at["properties"].is_object() {
                // Something inside what was taken for a text: it is an object then.
                *at = json!({"type": "object", "required": [], "properties": {}});
            }
        }
    }
    schema
}

/// Writes a text as YAML has it in double quotes; JSON's are YAML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns the paths of the plain fields of a sample, for people to choose from.
pub fn paths(samples: &[Value]) -> Vec<String> {
    fn walk(map: &Map<String, Value>, path: &str, into: &mut Vec<String>) {
        for (name, value) in map {
            let path = format!("{path}.{name}");
            match value {
                Value::Object(inner) => walk(inner, &path, into),
                Value::Array(_) | Value::Null => {}
                _ if path.parse::<Path>().is_ok() && !into.contains(&path) => into.push(path),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    for sample in samples.iter().filter_map(Value::as_object) {
        walk(sample, "$", &mut found);
    }
    found
}
