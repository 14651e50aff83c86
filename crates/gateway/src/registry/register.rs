//! Registering and looking up: from a request and the table to an answer, or to the record that
//! makes it true. Pure; the order of the checks is Confluent's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::entity::{Config, Metadata, Reference, RuleSet};
use super::error::Error;
use super::guid::Guid;
use super::name::Name;
use super::record::{Change, SchemaValue};
use super::schema::{self, Earlier, MAX_SCHEMA_BYTES, Parsed};
use super::table::{Filter, Stored, Table};

/// A schema may lead to so many others, directly or through them.
const MAX_REFERENCES: usize = 1000;

/// A schema as it is sent. Members that are unknown are passed over, as Confluent's registry does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Request {
    pub(crate) version: Option<i32>,
    pub(crate) id: Option<i32>,
    pub(crate) schema_type: Option<String>,
    pub(crate) references: Option<Vec<Reference>>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) rule_set: Option<RuleSet>,
    pub(crate) schema: Option<String>,
}

/// A schema made ready to be stored or compared.
struct Candidate {
    schema_type: String,
    references: Vec<Reference>,
    metadata: Option<Metadata>,
    rule_set: Option<RuleSet>,
    parsed: Parsed,
}

/// What is answered about a registered schema.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) value: SchemaValue,
    pub(crate) guid: Guid,
}

impl Registered {
    fn of(stored: &Stored) -> Self {
        Self {
            value: stored.value.clone(),
            guid: stored.guid,
        }
    }
}

impl Request {
    fn schema_type(&self) -> String {
        self.schema_type
            .clone()
            .unwrap_or_else(|| "AVRO".to_owned())
    }

    /// The schema as it was sent, if that is a compiled Protobuf file. Its sender has no use for the
    /// text: Confluent's client for Python keeps what a registration answers, and cannot read text.
    pub(crate) fn compiled(&self) -> Option<&str> {
        let is_compiled = self.schema_type() == "PROTOBUF";
        self.text()
            .filter(|text| is_compiled && !text.contains(char::is_whitespace))
    }

    fn text(&self) -> Option<&str> {
        self.schema
            .as_deref()
            .filter(|text| !text.trim().is_empty())
    }

    fn candidate(&self, table: &Table, subject: &str, normalize: bool) -> Result<Candidate, Error> {
        let Some(text) = self.text() else {
            return Err(Error::invalid_schema("Empty schema"));
        };
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(Error::schema_too_large());
        }
        let mut references = self.references.clone().unwrap_or_default();
        let texts = resolve(table, subject, &mut references).map_err(Error::invalid_schema)?;
        let schema_type = self.schema_type();
        if normalize {
            references.sort();
            references.dedup();
        }
        let parsed = schema::parse(&schema_type, text, &texts, normalize);
        Ok(Candidate {
            schema_type,
            references,
            metadata: self.metadata.clone(),
            rule_set: self.rule_set.clone(),
            parsed: parsed.map_err(Error::invalid_schema)?,
        })
    }
}

impl Candidate {
    fn guid(&self) -> Guid {
        let (metadata, rules) = (self.metadata.as_ref(), self.rule_set.as_ref());
        Guid::of(&self.parsed.canonical, &self.references, metadata, rules)
    }

    fn value(self, subject: &str, version: i32, id: i32) -> SchemaValue {
        SchemaValue {
            subject: subject.to_owned(),
            version,
            id,
            md5: None,
            schema_type: self.schema_type,
            references: self.references,
            metadata: self.metadata,
            rule_set: self.rule_set,
            schema: self.parsed.canonical,
            deleted: false,
        }
    }
}

/// Finds the texts of references and of theirs, by name. A version of -1 becomes the latest.
fn resolve(
    table: &Table,
    subject: &str,
    references: &mut [Reference],
) -> Result<BTreeMap<String, String>, String> {
    let mut texts = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut open: Vec<(String, Reference)> = Vec::new();
    for reference in references {
        if reference.name.is_empty() || reference.subject.is_empty() {
            return Err("Invalid reference: it lacks its name or subject".to_owned());
        }
        if reference.version == -1 {
            let target = Name::parse(subject).beside(&reference.subject);
            if let Some(latest) = table.get(&target, None) {
                reference.version = latest.value.version;
            }
        }
        open.push((subject.to_owned(), reference.clone()));
    }
    while let Some((from, reference)) = open.pop() {
        let target = Name::parse(&from).beside(&reference.subject);
        if !seen.insert((target.clone(), reference.version, reference.name.clone())) {
            continue;
        }
        if seen.len() > MAX_REFERENCES {
            return Err(format!(
                "The schema leads to more than {MAX_REFERENCES} others"
            ));
        }
        // A schema that is deleted softly is still referred to.
        let Some(stored) = table.get(&target, Some(reference.version)) else {
            let version = reference.version;
            return Err(format!(
                "No schema reference found for subject \"{target}\" and version {version}"
            ));
        };
        let value = &stored.value;
        texts
            .entry(reference.name)
            .or_insert_with(|| value.schema.clone());
        let further = value.references.iter().cloned();
        open.extend(further.map(|further| (target.clone(), further)));
    }
    Ok(texts)
}

/// Parses what is stored.
pub(crate) fn parse_stored(table: &Table, stored: &Stored) -> Result<Parsed, Error> {
    let value = &stored.value;
    let mut references = value.references.clone();
    let texts = resolve(table, &value.subject, &mut references).map_err(Error::invalid_schema)?;
    schema::parse(&value.schema_type, &value.schema, &texts, false).map_err(Error::invalid_schema)
}

/// Writes a stored schema in the form that a caller asks for.
pub(crate) fn formatted(table: &Table, value: &SchemaValue, format: &str) -> Result<String, Error> {
    let mut references = value.references.clone();
    let texts = resolve(table, &value.subject, &mut references).map_err(Error::invalid_schema)?;
    let parsed = schema::parse(&value.schema_type, &value.schema, &texts, false);
    Ok(parsed
        .map_err(Error::invalid_schema)?
        .formatted(format, &texts))
}

/// Parses those of the versions that the settings hold a new schema against.
fn earlier(
    table: &Table,
    config: &Config,
    metadata: Option<&Metadata>,
    versions: &[&Stored],
) -> Result<Vec<Earlier>, Error> {
    let group = |metadata: Option<&Metadata>| {
        let name = config.compatibility_group.as_deref()?;
        metadata?.properties.get(name).cloned()
    };
    let own = group(metadata);
    let of_group = |stored: &&&Stored| group(stored.value.metadata.as_ref()) == own;
    let mut versions: Vec<&Stored> = versions.iter().filter(of_group).copied().collect();
    if !schema::looks_at_all(config) {
        versions.drain(..versions.len().saturating_sub(1));
    }
    let parse = |stored: &&Stored| {
        Ok(Earlier {
            version: stored.value.version,
            parsed: parse_stored(table, stored)?,
        })
    };
    versions.iter().map(parse).collect()
}

/// Fills metadata and rules from the version before and from what the settings say.
fn populate(
    table: &Table,
    subject: &str,
    request: &mut Request,
    before: Option<&Stored>,
    new_version: Option<i32>,
) {
    let config = table.config_in_scope(Some(subject));
    let before = before.map(|stored| &stored.value);
    let metadata =
        (request.metadata.as_ref()).or_else(|| before.and_then(|before| before.metadata.as_ref()));
    let metadata = Metadata::merge(config.default_metadata.as_ref(), metadata);
    let mut metadata = Metadata::merge(metadata.as_ref(), config.override_metadata.as_ref());
    let rules =
        (request.rule_set.as_ref()).or_else(|| before.and_then(|before| before.rule_set.as_ref()));
    let rules = RuleSet::merge(config.default_rule_set.as_ref(), rules);
    let rules = RuleSet::merge(rules.as_ref(), config.override_rule_set.as_ref());
    let asked = request.version.unwrap_or(0) != 0;
    if let Some(version) = new_version
        && (asked || metadata.as_ref().is_some_and(Metadata::has_version))
    {
        metadata.get_or_insert_default().set_version(version);
    }
    if metadata.is_some() || rules.is_some() {
        request.metadata = metadata;
        request.rule_set = rules;
    }
}

/// Returns the version that holds the schema as it is sent, or as it was completed when registered.
///
/// # Errors
/// The schema is not valid.
pub(crate) fn look_up(
    table: &Table,
    subject: &str,
    request: &Request,
    normalize: bool,
    filter: Filter,
) -> Result<Option<Registered>, Error> {
    let Ok(candidate) = request.candidate(table, subject, normalize) else {
        // An empty one was never registered; another is told what is wrong with it.
        return match request.text() {
            Some(_) => request.candidate(table, subject, normalize).map(|_| None),
            None => Ok(None),
        };
    };
    if let Some(found) = table.same(subject, candidate.guid(), filter) {
        return Ok(Some(Registered::of(found)));
    }
    let Some(latest) = table.get(subject, None) else {
        return Ok(None);
    };
    let mut completed = request.clone();
    populate(table, subject, &mut completed, Some(latest), None);
    if (&completed.metadata, &completed.rule_set) == (&request.metadata, &request.rule_set) {
        return Ok(None);
    }
    let completed = Candidate {
        metadata: completed.metadata,
        rule_set: completed.rule_set,
        ..candidate
    };
    let found = table.same(subject, completed.guid(), filter);
    Ok(found.map(|stored| Registered::of(stored)))
}

/// Says which version a schema gets, and what has to be written for it.
///
/// # Errors
/// Mode, schema, version, id or compatibility stand against it.
pub(crate) fn register(
    table: &Table,
    subject: &str,
    mut request: Request,
    normalize: bool,
) -> Result<(Vec<Change>, Registered), Error> {
    let config = table.config_in_scope(Some(subject));
    let normalize = normalize || config.normalize == Some(true);
    let completes = config.default_metadata.is_some()
        || config.override_metadata.is_some()
        || config.default_rule_set.is_some()
        || config.override_rule_set.is_some();
    // What is there already may be asked for in any mode.
    if !completes
        && request.text().is_some()
        && let Some(found) = look_up(table, subject, &request, normalize, Filter::Live)?
        && request
            .version
            .is_none_or(|version| matches!(version, 0 | -1) || version == found.value.version)
        && request.id.is_none_or(|id| id < 0 || id == found.value.id)
    {
        return Ok((Vec::new(), found));
    }
    let mode = check_mode(table, subject, request.id.unwrap_or(-1))?;

    let all: Vec<&Stored> = table.versions(subject).map(|stored| &**stored).collect();
    let live: Vec<&Stored> = all
        .iter()
        .copied()
        .filter(|stored| !stored.value.deleted)
        .collect();
    let new_version = all.last().map_or(1, |stored| stored.value.version + 1);
    let before = live.last().copied();
    if !mode.is_import() {
        if request.text().is_none()
            && let Some(before) = before
        {
            request.schema = Some(before.value.schema.clone());
            request.schema_type = Some(before.value.schema_type.clone());
            request.references = Some(before.value.references.clone());
        }
        populate(table, subject, &mut request, before, Some(new_version));
    }
    let candidate = request.candidate(table, subject, normalize)?;
    let guid = candidate.guid();
    let context = Name::parse(subject).context;
    let asked_id = request.id.filter(|id| *id >= 0);
    let known_id = table
        .id_of(context, guid)
        .filter(|known| asked_id.is_none_or(|asked| asked == *known));
    let asked_version = request.version.filter(|version| *version > 0);
    if asked_version.is_none()
        && known_id.is_some()
        && let Some(found) = table.same(subject, guid, Filter::Live)
    {
        return Ok((Vec::new(), Registered::of(found)));
    }

    if !mode.is_import() {
        let metadata = candidate.metadata.as_ref();
        let earlier = earlier(table, &config, metadata, &live)?;
        let messages = schema::incompatibilities(&config, &candidate.parsed, &earlier);
        if !messages.is_empty() {
            return Err(Error::incompatible(subject, &messages));
        }
    }
    let version = match asked_version {
        None => new_version,
        Some(version) if version == new_version || mode.is_import() => version,
        Some(_) => {
            let message = "Version is not one more than previous version";
            return Err(Error::invalid_schema(message));
        }
    };
    let id = match asked_id.or(known_id) {
        Some(id) => id,
        None => table
            .max_id(context)
            .checked_add(1)
            .ok_or_else(|| Error::store("the registry has given all ids that there are"))?,
    };
    if asked_id.is_some()
        && let Some(other) = table.of_id(context, id).next()
        && other.guid != guid
    {
        let message =
            format!("Overwrite new schema with id {id} in context {context} is not permitted.");
        return Err(Error::not_permitted(message));
    }

    let mut changes = Vec::new();
    if !Name::parse(subject).is_default() && !table.knows_context(context) {
        let context = context.to_owned();
        changes.push(Change::Context {
            context,
            exists: true,
        });
    }
    // The same schema under an older number that was deleted gives way, unless somebody needs it.
    for stored in all.iter().filter(|stored| stored.value.deleted) {
        let (subject, old) = stored.version();
        let needed = table.referrers(&subject, old, Filter::All).next().is_some();
        if stored.value.id == id && old < version && !needed {
            changes.push(Change::NoSchema {
                subject,
                version: old,
            });
        }
    }
    let value = candidate.value(subject, version, id);
    changes.push(Change::Schema(value.clone()));
    Ok((changes, Registered { value, guid }))
}

fn check_mode(table: &Table, subject: &str, id: i32) -> Result<super::entity::Mode, Error> {
    let mode = table.mode_in_scope(Some(subject));
    let refuse = |why: &str| {
        let context = super::name::context_name(Name::parse(subject).context);
        let message = format!("Subject {subject} in context {context} {why}");
        Err(Error::not_permitted(message))
    };
    if mode.is_read_only() {
        return refuse("is in read-only mode");
    }
    match (id >= 0, mode) {
        (true, mode) if !mode.is_import() => refuse("is not in import mode"),
        (false, mode) if mode != super::entity::Mode::Readwrite => {
            refuse("is not in read-write mode")
        }
        _ => Ok(mode),
    }
}

/// Says why a schema may not follow one version, or all; nothing if it may.
///
/// # Errors
/// The schema is not valid.
pub(crate) fn compare(
    table: &Table,
    subject: &str,
    request: &Request,
    normalize: bool,
    with: &[&Stored],
) -> Result<Vec<String>, Error> {
    let config = table.config_in_scope(Some(subject));
    let normalize = normalize || config.normalize == Some(true);
    let candidate = request.candidate(table, subject, normalize)?;
    let earlier = earlier(table, &config, candidate.metadata.as_ref(), with)?;
    Ok(schema::incompatibilities(
        &config,
        &candidate.parsed,
        &earlier,
    ))
}
