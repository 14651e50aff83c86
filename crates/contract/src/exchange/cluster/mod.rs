//! A topic that exists as a contract that leaves it as it is: its settings, and the schema that a
//! registry has of it. Pure: who asks the cluster and the registry is the caller's. What nobody wrote
//! down is guessed, and each guess is told and stands in the file as a comment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::homecoming::modeline;
use super::words::{duration, size, slug};
use super::yaml;
use crate::format::keys::{is_name, is_subject, is_topic};
use crate::load;
use crate::model::{Contracts, ENVELOPE_BYTES, SchemaFormat};
use crate::schema::{Schema, bundle};

/// The most partitions that a contract can say.
const MAX_PARTITIONS: i64 = 1_000;
/// Nine digits are the most that an amount has.
const MAX_AMOUNT: u64 = 999_999_999;
/// The compatibilities that are no default.
const LEVELS: [&str; 6] = [
    "NONE",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
];
/// A fact's dedup window, if nothing is written.
const WINDOW_MS: u64 = 86_400_000;

/// A topic that exists.
#[derive(Clone, Debug, Default)]
pub struct ExistingTopic {
    /// Its name.
    pub name: String,
    /// The number of its partitions.
    pub partitions: i64,
    /// What holds for it, by Kafka's names of settings, the log's own defaults included.
    pub settings: BTreeMap<String, String>,
}

/// The newest version of a topic's subject.
#[derive(Clone, Debug)]
pub struct ExistingSchema {
    /// The subject.
    pub subject: String,
    /// Which of its versions this is.
    pub version: i64,
    /// The language.
    pub format: SchemaFormat,
    /// What was registered.
    pub text: String,
    /// The texts that it refers to, and those that these refer to, by name.
    pub references: BTreeMap<String, String>,
    /// The compatibility that the registry asks of the subject, if it told.
    pub compatibility: Option<String>,
}

/// A contract for a topic that exists.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The contract's name.
    pub name: String,
    /// The topic's.
    pub topic: String,
    /// Schema files by their path in the folder.
    pub schemas: BTreeMap<String, String>,
    /// The subject that the contract names.
    pub subject: Option<String>,
    /// What was guessed or could not be said, a sentence each.
    pub told: Vec<String>,
    owner: Option<String>,
    /// The partitions, the retention and the largest data, as they are written.
    settings: (i64, String, String),
    /// Where the retention is shorter than the dedup window of facts.
    window: Option<String>,
    schema: SchemaKeys,
    key: String,
    key_why: String,
}

#[derive(Clone, Debug, Default)]
struct SchemaKeys {
    format: Option<&'static str>,
    file: String,
    comment: String,
    compatibility: Option<String>,
}

/// Makes a contract for a topic. `taken` are the names that other contracts have.
///
/// # Errors
/// Why no contract can say what this topic is: a sentence without its subject.
pub fn adopt(
    topic: &ExistingTopic,
    schema: Option<&ExistingSchema>,
    owner: Option<&str>,
    taken: &BTreeSet<String>,
) -> Result<Adopted, String> {
    let mut told = Vec::new();
    let settings = settings(topic, &mut told)?;
    let name =
        name(&topic.name, taken).ok_or("has a name of which no contract's name can be made")?;
    let retention = topic.settings.get("retention.ms");
    let retention = retention.and_then(|ms| ms.parse::<u64>().ok());
    let short = retention.is_some_and(|ms| ms < WINDOW_MS);
    if short {
        told.push(format!(
            "the dedup window is `{}`, as the topic keeps nothing for longer",
            settings.1
        ));
    }
    let mut adopted = Adopted {
        name,
        topic: topic.name.clone(),
        schemas: BTreeMap::new(),
        subject: None,
        told,
        owner: owner.map(str::to_owned),
        window: short.then(|| settings.1.clone()),
        settings,
        schema: SchemaKeys::default(),
        key: "$.id".to_owned(),
        key_why: String::new(),
    };
    match schema {
        Some(schema) => adopted.take_schema(schema),
        None => adopted.any_data("no subject of the registry says what the data looks like"),
    }
    adopted
        .told
        .push(format!("`key.from: {}` {}", adopted.key, adopted.key_why));
    Ok(adopted)
}

/// Reads partitions, retention and size. What a contract cannot say as it is, it says a little wider.
fn settings(
    topic: &ExistingTopic,
    told: &mut Vec<String>,
) -> Result<(i64, String, String), String> {
    let setting = |name: &str| topic.settings.get(name).map_or("", String::as_str);
    if !is_topic(&topic.name) {
        return Err("has a name that no contract's topic may have".to_owned());
    }
    if !(1..=MAX_PARTITIONS).contains(&topic.partitions) {
        let count = topic.partitions;
        return Err(format!(
            "has `{count}` partitions, and a contract `{MAX_PARTITIONS}` at most"
        ));
    }
    if setting("cleanup.policy").contains("compact") {
        return Err("is compacted, which a contract cannot say yet".to_owned());
    }
    let retention: i64 = setting("retention.ms").parse().unwrap_or(-1);
    let Ok(retention) = u64::try_from(retention) else {
        return Err(
            "keeps its events for ever (`retention.ms=-1`), which a contract cannot say yet"
                .to_owned(),
        );
    };
    let bytes: u64 = setting("max.message.bytes").parse().unwrap_or_default();
    let (retention_ms, retention) = no_less(
        retention,
        &[1, 1_000, 60_000, 3_600_000, 86_400_000],
        &duration,
    )
    .ok_or("keeps its events for longer than a contract can say")?;
    if retention_ms != retention_of(topic) {
        told.push(format!(
            "a contract cannot say `retention.ms={}`; `apply` makes it {retention}",
            setting("retention.ms")
        ));
    }
    let data = bytes.saturating_sub(ENVELOPE_BYTES);
    let (data_bytes, message) = no_less(data, &[1, 1 << 10, 1 << 20, 1 << 30], &size)
        .ok_or("takes larger messages than a contract can say")?;
    if data_bytes + ENVELOPE_BYTES != bytes {
        let most = data_bytes + ENVELOPE_BYTES;
        told.push(format!(
            "a contract cannot say `max.message.bytes={bytes}`; `apply` makes it {most}"
        ));
    }
    let limit = setting("retention.bytes");
    if !matches!(limit, "" | "-1") {
        told.push(format!(
            "`retention.bytes={limit}` is lifted by `apply`: a contract promises a time, and a size would cut it short"
        ));
    }
    Ok((topic.partitions, retention, message))
}

fn retention_of(topic: &ExistingTopic) -> u64 {
    let retention = topic.settings.get("retention.ms");
    retention.and_then(|ms| ms.parse().ok()).unwrap_or_default()
}

/// Returns the least amount that can be written and is no less, with its text.
fn no_less(
    amount: u64,
    units: &[u64],
    write: &dyn Fn(u64) -> Option<String>,
) -> Option<(u64, String)> {
    units.iter().find_map(|unit| {
        let whole = amount.max(1).div_ceil(*unit).checked_mul(*unit)?;
        let text = write(whole)?;
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let count: u64 = digits.parse().ok()?;
        (count <= MAX_AMOUNT).then_some((whole, text))
    })
}

/// Returns the topic's name as a contract's, another if that one is taken.
fn name(topic: &str, taken: &BTreeSet<String>) -> Option<String> {
    let fits = is_name(topic);
    let name = if fits { topic.to_owned() } else { slug(topic)? };
    let name: String = name.chars().take(95).collect();
    let name = name.trim_end_matches(['-', '.', '_']);
    let others = (2..1_000).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(others)
        .find(|name| !taken.contains(name) && is_name(name))
}

impl Adopted {
    /// Takes the registered schema, or any data if it cannot be used in files.
    fn take_schema(&mut self, found: &ExistingSchema) {
        let mut problem = String::new();
        let bundled = match found.format {
            SchemaFormat::Json if !found.references.is_empty() => {
                bundle(&found.text, &found.references).ok()
            }
            _ => None,
        };
        let mut tries = vec![files(&self.name, found)];
        tries.extend(bundled.map(|text| {
            let path = format!("schemas/{}.json", self.name);
            Ok((path.clone(), BTreeMap::from([(path, text)])))
        }));
        for tried in tries {
            let loaded = tried.and_then(|(file, schemas)| {
                self.schema = SchemaKeys {
                    format: format_word(found.format),
                    file,
                    comment: format!("Version {} of subject `{}`.", found.version, found.subject),
                    compatibility: self.compatibility(found),
                };
                self.schemas = schemas;
                self.load()
            });
            match loaded {
                Ok(contracts) => {
                    self.subject = Some(found.subject.clone());
                    let contract = contracts.iter().next();
                    self.guess_key(contract.map(|contract| &contract.schema.schema));
                    if !is_subject(&found.subject) {
                        self.leave_subject_out("a contract cannot name it");
                    }
                    return;
                }
                Err(why) => problem = why,
            }
        }
        let version = found.version;
        self.any_data(&format!(
            "version {version} of subject `{}` cannot be used here: {problem}",
            found.subject
        ));
    }

    fn compatibility(&self, found: &ExistingSchema) -> Option<String> {
        let level = found.compatibility.clone()?;
        LEVELS.contains(&level.as_str()).then_some(level)
    }

    /// Takes a schema that any JSON keeps.
    fn any_data(&mut self, why: &str) {
        let file = format!("schemas/{}.json", self.name);
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$comment": format!("Any JSON: {why}. Say what it looks like."),
        });
        self.schemas = BTreeMap::from([(file.clone(), format!("{schema:#}\n"))]);
        self.schema = SchemaKeys {
            file,
            comment: format!("Any JSON: {why}."),
            ..SchemaKeys::default()
        };
        self.told.push(format!("the schema takes any JSON: {why}"));
        self.guess_key(None);
    }

    /// Names the key: `id`, or what the schema has that looks most like one.
    fn guess_key(&mut self, schema: Option<&Schema>) {
        let members = schema.map(Schema::members).unwrap_or_default();
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_key = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.ends_with("id") || name.ends_with("key")
        };
        let fits = |member: &&crate::schema::Member| {
            !member.list && member.members.is_empty() && plain(&member.name)
        };
        let guessed = members.iter().filter(fits);
        let found = guessed
            .clone()
            .find(|member| member.name == "id")
            .or_else(|| {
                guessed
                    .clone()
                    .find(|member| member.required && is_key(&member.name))
            })
            .or_else(|| guessed.clone().find(|member| is_key(&member.name)));
        let (key, why) = match found {
            Some(member) => (
                format!("$.{}", member.name),
                "is a guess by the schema's names",
            ),
            None if members.is_empty() => (
                "$.id".to_owned(),
                "is a guess: nothing says where the key is",
            ),
            None => (
                "$.id".to_owned(),
                "is a guess, and the schema declares no such field",
            ),
        };
        (self.key, self.key_why) = (key, why.to_owned());
    }

    /// Takes the subject out again, because to name it would register another schema there.
    pub fn leave_subject_out(&mut self, why: &str) {
        if let Some(subject) = self.subject.take() {
            self.schema
                .comment
                .push_str(&format!(" The subject is not named: {}.", why));
            self.told
                .push(format!("`schema.subject: {subject}` is left out: {why}"));
        }
    }

    /// Returns the contract's file and its text.
    pub fn file(&self) -> (String, String) {
        let mut text = modeline(0);
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line("# Made of a topic as it was. What is guessed says so; see whether it is right.");
        line("apiVersion: contract/v1\nkind: EventContract\nmetadata:");
        line(&format!("  name: {}", word(&self.name)));
        if let Some(owner) = &self.owner {
            line(&format!("  owner: {}", word(owner)));
        }
        line("spec:\n  # Guessed: something that happened.\n  class: fact\n  schema:");
        // A name from afar stays inside its comment.
        let comment = self.schema.comment.replace(char::is_control, " ");
        let comment = comment.replace(['\u{2028}', '\u{2029}'], " ");
        line(&format!("    # {comment}"));
        if let Some(format) = self.schema.format {
            line(&format!("    format: {format}"));
        }
        line(&format!("    file: {}", word(&self.schema.file)));
        if let Some(level) = &self.schema.compatibility {
            line(&format!("    compatibility: {level}"));
        }
        if let Some(subject) = &self.subject {
            line(&format!("    subject: {}", word(subject)));
        }
        line(&format!("  key:\n    # It {}.", self.key_why));
        line(&format!("    from: {}", self.key));
        let (partitions, retention, message) = &self.settings;
        line("  topic:");
        if self.topic != self.name {
            line(&format!("    name: {}", word(&self.topic)));
        }
        line(&format!(
            "    partitions: {partitions}\n    retention: {retention}\n    maxMessage: {message}"
        ));
        if let Some(window) = &self.window {
            line("  ingress:\n    # The topic keeps nothing for longer.");
            line(&format!("    idempotency: {{window: {window}}}"));
        }
        (format!("{}.yaml", self.name), text)
    }

    /// Reads the contract as a folder would be read.
    fn load(&self) -> Result<Contracts, String> {
        let mut files = vec![self.file()];
        files.extend(
            self.owner
                .as_ref()
                .map(|owner| team(owner, "mailto:nobody@example.com")),
        );
        let loaded = load::sources(&files, &|path| self.schemas.get(path).cloned());
        let contracts = loaded.map_err(|found| {
            let first = found.iter().next();
            first.map_or_else(String::new, |found| found.message.clone())
        })?;
        for contract in &contracts {
            let compiled = contract.schema.schema.compile();
            compiled.map_err(|error| error.to_string())?;
        }
        Ok(contracts)
    }
}

/// Writes the team that answers for what was adopted.
pub fn team(name: &str, pager: &str) -> (String, String) {
    let team = json!({
        "apiVersion": "contract/v1",
        "kind": "Team",
        "metadata": {"name": name},
        "spec": {"pager": pager},
    });
    let text = format!("{}{}", modeline(0), yaml::write(&team));
    (format!("{name}.team.yaml"), text)
}

fn word(text: &str) -> String {
    yaml::write(&json!(text)).trim_end().to_owned()
}

fn format_word(format: SchemaFormat) -> Option<&'static str> {
    match format {
        SchemaFormat::Json => None,
        SchemaFormat::Avro => Some("avro"),
        SchemaFormat::Protobuf => Some("protobuf"),
    }
}

/// The schema's path, and all files by path. References lie beside the schema that names them, so such
/// a schema has a folder of its own: two topics may know another version of the same name.
fn files(name: &str, found: &ExistingSchema) -> Result<(String, BTreeMap<String, String>), String> {
    let ending = match found.format {
        SchemaFormat::Json => "json",
        SchemaFormat::Avro => "avsc",
        SchemaFormat::Protobuf => "proto",
    };
    if found.references.is_empty() {
        let path = format!("schemas/{name}.{ending}");
        return Ok((path.clone(), BTreeMap::from([(path, found.text.clone())])));
    }
    let folder = format!("schemas/{name}");
    let main = format!("{folder}/{name}.{ending}");
    let mut files = BTreeMap::from([(main.clone(), found.text.clone())]);
    for (reference, text) in &found.references {
        let file = match found.format {
            SchemaFormat::Avro => format!(
                "{}.avsc",
                avro_name(text).unwrap_or_else(|| reference.clone())
            ),
            SchemaFormat::Json | SchemaFormat::Protobuf => reference.clone(),
        };
        if !is_file_name(&file) {
            return Err(format!("its reference `{reference}` is no name of a file"));
        }
        if files
            .insert(format!("{folder}/{file}"), text.clone())
            .is_some()
        {
            return Err(format!("its reference `{reference}` is there twice"));
        }
    }
    Ok((main, files))
}

/// Whether a name leads nowhere but into the folder it is used in.
fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.len() <= 200
        && name
            .split('/')
            .all(|part| part.chars().all(plain) && !part.is_empty() && !part.starts_with('.'))
}

/// The full name of the type that an Avro schema declares.
fn avro_name(text: &str) -> Option<String> {
    let schema: Value = serde_json::from_str(text).ok()?;
    let name = schema["name"].as_str()?;
    Some(match schema["namespace"].as_str() {
        Some(space) if !name.contains('.') && !space.is_empty() => format!("{space}.{name}"),
        _ => name.to_owned(),
    })
}

#[cfg(test)]
mod tests;
