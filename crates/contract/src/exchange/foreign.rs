//! A stranger's event to a contract: what every contract needs and foreign formats do not say is
//! guessed by rules that are told: the class, and which field is the key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::homecoming::{Draft, skeleton};
use crate::model::SchemaFormat;
use crate::schema::Member;

/// A schema that a foreign document holds.
pub(super) struct Shape {
    pub(super) format: SchemaFormat,
    pub(super) text: String,
    /// Fields that the document itself calls keys.
    pub(super) keys: Vec<String>,
}

/// Makes the draft of a stranger's event.
///
/// # Errors
/// Why it cannot become a contract.
pub(super) fn draft(name: &str, shape: Shape) -> Result<Draft, String> {
    let extension = match shape.format {
        SchemaFormat::Json => "json",
        SchemaFormat::Avro => "avsc",
        SchemaFormat::Protobuf => "proto",
    };
    let path = format!("schemas/{name}.{extension}");
    let format = shape.format.as_str();
    let mut draft = Draft {
        file: format!("{name}.yaml"),
        document: skeleton(name, format, &path, "$.id"),
        schemas: BTreeMap::from([(path, shape.text)]),
        ..Draft::default()
    };
    let contracts = draft.load()?;
    let members = contracts
        .by_name(name)
        .map(|contract| contract.schema.schema.members())
        .unwrap_or_default();
    draft.told.push(format!(
        "`{name}`: class `fact` was assumed; nothing in the document says it"
    ));
    let (key, why) = match shape.keys.first() {
        Some(key) => (format!("$.{key}"), None),
        None => guess(&members),
    };
    draft.document["spec"]["key"]["from"] = json!(key);
    if let Some(why) = why {
        let message = format!("`{name}`: key `{key}` was guessed: {why}");
        draft.told.push(message);
    }
    draft.load()?;
    Ok(draft)
}

/// Guesses which field is the key.
fn guess(members: &[Member]) -> (String, Option<&'static str>) {
    let plain = |member: &&Member| {
        let types = &member.types;
        let fits = |word: &String| {
            ["string", "integer", "int", "long", "int32", "int64"].contains(&word.as_str())
        };
        !member.list && !types.is_empty() && types.iter().all(fits)
    };
    let is_id = |member: &&Member| {
        let name = member.name.as_str();
        name.eq_ignore_ascii_case("id") || name.ends_with("Id") || name.ends_with("_id")
    };
    let required: Vec<&Member> = members
        .iter()
        .filter(plain)
        .filter(|m| m.required)
        .collect();
    let id = required.iter().find(|member| is_id(member));
    if let Some(member) = id {
        return (
            format!("$.{}", member.name),
            Some("the first required field that is named like an id"),
        );
    }
    match required
        .first()
        .copied()
        .or_else(|| members.iter().find(plain))
    {
        Some(member) => (
            format!("$.{}", member.name),
            Some("the first field that can be one"),
        ),
        None => (
            "$.id".to_owned(),
            Some("no field of the schema can be one; name the right one"),
        ),
    }
}

/// A text that fits where a summary stands.
pub(super) fn summary(text: &str) -> Value {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    json!(line.chars().take(500).collect::<String>())
}
