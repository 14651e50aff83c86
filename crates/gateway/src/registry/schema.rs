//! From the text of a schema to what the registry does with it: parse it with what it refers to,
//! write it canonically, compare it with earlier ones. The rules are `contract`'s; this room knows
//! their names in Confluent's protocol.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidegate_contract::model::{Compatibility, CompatibilityPolicy, SchemaFormat};
use tidegate_contract::schema::{Schema, compatibility};

use super::canonical;
use super::entity::{Config, DEFAULT_LEVEL};

/// A schema's text at most; Kafka's own limit of a record is as large.
pub(crate) const MAX_SCHEMA_BYTES: usize = 1024 * 1024;

/// The languages, as `/schemas/types` names them.
pub(crate) const TYPES: [&str; 3] = ["JSON", "PROTOBUF", "AVRO"];

/// A schema that can be used.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) canonical: String,
    schema: Schema,
}

/// An earlier version that a new schema is held against.
pub(crate) struct Earlier {
    pub(crate) version: i32,
    pub(crate) parsed: Parsed,
}

/// Parses a schema with the texts it refers to by name.
///
/// # Errors
/// What is wrong with it, for whoever wrote it.
pub(crate) fn parse(
    schema_type: &str,
    text: &str,
    references: &BTreeMap<String, String>,
    normalize: bool,
) -> Result<Parsed, String> {
    let format = match schema_type {
        "AVRO" => SchemaFormat::Avro,
        "JSON" => SchemaFormat::Json,
        "PROTOBUF" => SchemaFormat::Protobuf,
        other => return Err(format!("Invalid schema type {other}")),
    };
    let details =
        |problem: String| format!("Invalid schema of type {schema_type}, details: {problem}");
    let schema =
        Schema::registered(format, text, references).map_err(|error| details(error.to_string()))?;
    let canonical = match format {
        SchemaFormat::Avro => canonical::avro(text, normalize),
        SchemaFormat::Json => canonical::json(text, normalize),
        // Sent compiled, it is stored as text, which every client reads.
        SchemaFormat::Protobuf => schema
            .protobuf_formatted(text, normalize, references)
            .or_else(|| Some(text.to_owned())),
    };
    let canonical = canonical.ok_or_else(|| details("it is not JSON".to_owned()))?;
    Ok(Parsed { canonical, schema })
}

impl Parsed {
    pub(crate) fn into_schema(self) -> Schema {
        self.schema
    }

    /// Writes the schema in one of the forms that a caller may ask for; what is unknown is the form
    /// in which it is stored, as in Confluent's registry.
    pub(crate) fn formatted(self, format: &str, references: &BTreeMap<String, String>) -> String {
        let asked = match (format, &self.schema) {
            ("serialized", schema) => schema
                .protobuf_descriptor()
                .map(|file| STANDARD.encode(file)),
            ("resolved", Schema::Avro(_)) => canonical::avro_resolved(&self.canonical, references),
            _ => None,
        };
        asked.unwrap_or(self.canonical)
    }
}

/// Whether a new schema is held against every earlier one, not against the latest only.
pub(crate) fn looks_at_all(config: &Config) -> bool {
    let level = config.compatibility_level.as_deref().unwrap_or_default();
    level
        .parse::<Compatibility>()
        .is_ok_and(Compatibility::is_transitive)
}

/// Says why a schema may not follow earlier ones, oldest first, as the settings ask; in the form in
/// which Confluent's registry gives its reasons. Nothing if it may.
pub(crate) fn incompatibilities(config: &Config, new: &Parsed, earlier: &[Earlier]) -> Vec<String> {
    let level = config
        .compatibility_level
        .as_deref()
        .unwrap_or(DEFAULT_LEVEL);
    // What another registry wrote and is unknown here must not pass as compatible.
    let Ok(asked) = level.parse::<Compatibility>() else {
        return vec![format!(
            "{{errorType:'UNKNOWN_LEVEL', description:'{level}'}}"
        )];
    };
    let policy = match config.compatibility_policy.as_deref() {
        None => CompatibilityPolicy::Strict,
        Some(policy) => match policy.parse::<CompatibilityPolicy>() {
            Ok(policy) => policy,
            Err(_) => {
                let message = format!("{{errorType:'UNKNOWN_POLICY', description:'{policy}'}}");
                return vec![message];
            }
        },
    };
    let schemas: Vec<_> = earlier.iter().map(|one| &one.parsed.schema).collect();
    let reasons = compatibility::check_as_confluent(asked, policy, &new.schema, &schemas);
    let mut messages: Vec<String> = reasons
        .iter()
        .map(|reason| {
            let found = &reason.found;
            format!(
                "{{errorType:'{}', description:'{} at path '{}' ({} version {})'}}",
                found.rule,
                found.detail,
                found.path,
                reason.direction.as_str(),
                earlier[reason.earlier].version,
            )
        })
        .collect();
    if let Some(first) = reasons.first() {
        let old = &earlier[first.earlier];
        messages.push(format!("{{oldSchemaVersion: {}}}", old.version));
        messages.push(format!("{{oldSchema: '{}'}}", old.parsed.canonical));
        messages.push(format!(
            "{{validateFields: 'false', compatibility: '{level}'}}"
        ));
    }
    messages
}

/// Whether a level is one.
pub(crate) fn level_of(text: &str) -> Option<String> {
    let level = text.to_ascii_uppercase();
    level.parse::<Compatibility>().is_ok().then_some(level)
}

/// Whether a policy is one that is enforced.
pub(crate) fn policy_of(text: &str) -> Option<String> {
    let policy = text.to_ascii_uppercase();
    let known = policy.parse::<CompatibilityPolicy>().is_ok();
    known.then_some(policy)
}
