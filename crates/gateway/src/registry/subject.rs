//! The subjects of contracts: a contract's schema is registered as anyone's is, and the ids that records
//! carry are looked up among the versions of its subject. What was looked up is kept until the registry
//! changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidegate_contract::EventContract;
use tidegate_contract::model::{Compatibility, SchemaFormat};
use tidegate_contract::record::Writer;
use tidegate_contract::schema::{Import, Standalone, compatibility};
use tidegate_contract::schema_id::SchemaId;
use tokio::time::Instant;

use super::canonical;
use super::entity::Reference;
use super::error::Error;
use super::guid::Guid;
use super::name::Name;
use super::register::{self, Registered, Request};
use super::schema::type_of;
use super::store::Store;
use super::table::{Stored, Table};
use crate::audit::Act;

/// How long a schema may take to be registered.
const REGISTER_WITHIN: Duration = Duration::from_secs(30);
/// Ids of one subject that are kept; records in one topic carry few.
const MAX_KEPT: usize = 256;

/// Registers the schema of a contract under its subject, unless it is there.
///
/// # Errors
/// What stands against it, as the registry says it.
pub(crate) async fn register(
    store: &Store,
    contract: &EventContract,
    subject: &str,
    act: &Act,
) -> Result<Registered, String> {
    let (standalone, text) = text_of(contract)?;
    let format = standalone.format;
    // Where a file that is imported is registered, as Confluent's serializers do it: under its name.
    let mut known: BTreeMap<String, Reference> = BTreeMap::new();
    for Import {
        name,
        text,
        imports,
    } in standalone.imports
    {
        let beside = Name::parse(subject).beside(&name);
        let references = referred(&known, &imports);
        let registered = change(store, &beside, request(format, text, references), act).await;
        let registered = registered.map_err(|error| format!("import `{name}`: {error}"))?;
        known.insert(name.clone(), reference(name, &registered));
    }
    let references = referred(&known, &standalone.imported);
    let registered = change(store, subject, request(format, text, references), act).await;
    registered.map_err(|error| error.to_string())
}

/// Tries to register the schema of a contract in a table that nobody else sees, and returns the version
/// that it would get; nothing if it is there.
///
/// # Errors
/// Those of [`register`].
pub(crate) fn preview(
    table: &mut Table,
    contract: &EventContract,
    subject: &str,
) -> Result<Option<i32>, String> {
    let (standalone, text) = text_of(contract)?;
    let format = standalone.format;
    let mut known: BTreeMap<String, Reference> = BTreeMap::new();
    for Import {
        name,
        text,
        imports,
    } in standalone.imports
    {
        let beside = Name::parse(subject).beside(&name);
        let references = referred(&known, &imports);
        let tried = try_in(table, &beside, request(format, text, references));
        let (registered, _) = tried.map_err(|error| format!("import `{name}`: {error}"))?;
        known.insert(name.clone(), reference(name, &registered));
    }
    let references = referred(&known, &standalone.imported);
    let tried = try_in(table, subject, request(format, text, references));
    let (registered, is_new) = tried.map_err(|error| error.to_string())?;
    Ok(is_new.then_some(registered.value.version))
}

fn try_in(table: &mut Table, subject: &str, asked: Request) -> Result<(Registered, bool), Error> {
    let subject = table.resolve_alias(subject.to_owned());
    let (changes, registered) = register::register(table, &subject, asked, false)?;
    let is_new = !changes.is_empty();
    for change in changes {
        table.apply(change, 0).map_err(|_| Error::internal())?;
    }
    Ok((registered, is_new))
}

/// Returns a contract's schema with what it imports, and its text as it is registered.
fn text_of(contract: &EventContract) -> Result<(Standalone, String), String> {
    let standalone = contract.schema.schema.standalone();
    let mut standalone = standalone.map_err(|error| error.to_string())?;
    let mut text = std::mem::take(&mut standalone.text);
    let declarations = std::mem::take(&mut standalone.declarations);
    if !declarations.is_empty() {
        let declarations = declarations.into_iter().enumerate();
        let declarations = declarations.map(|(at, text)| (at.to_string(), text));
        let resolved = canonical::avro_resolved(&text, &declarations.collect::<BTreeMap<_, _>>());
        text = resolved.ok_or("the schema's file is not JSON")?;
    }
    Ok((standalone, text))
}

fn reference(name: String, registered: &Registered) -> Reference {
    Reference {
        subject: name.clone(),
        name,
        version: registered.value.version,
    }
}

fn request(format: SchemaFormat, text: String, references: Vec<Reference>) -> Request {
    Request {
        schema_type: Some(type_of(format).to_owned()),
        references: (!references.is_empty()).then_some(references),
        schema: Some(text),
        ..Request::default()
    }
}

fn referred(known: &BTreeMap<String, Reference>, names: &[String]) -> Vec<Reference> {
    let references = names.iter().filter_map(|name| known.get(name));
    references.cloned().collect()
}

async fn change(
    store: &Store,
    subject: &str,
    asked: Request,
    act: &Act,
) -> Result<Registered, Error> {
    let subject = subject.to_owned();
    let plan = move |table: &Table| {
        let subject = table.resolve_alias(subject.clone());
        register::register(table, &subject, asked.clone(), false)
    };
    let deadline = Instant::now() + REGISTER_WITHIN;
    store.change("Register", deadline, act, plan).await
}

/// The ids that records under one contract may carry.
pub(crate) struct SubjectIds {
    store: Arc<Store>,
    contract: Arc<EventContract>,
    /// As the registry calls it.
    subject: String,
    /// The contract's own schema, if it was registered.
    own: Option<Guid>,
    /// What was found since the registry changed last.
    kept: Mutex<(u64, HashMap<SchemaId, Writer>)>,
}

impl SubjectIds {
    pub(crate) fn new(
        store: Arc<Store>,
        contract: Arc<EventContract>,
        registered: &Registered,
    ) -> Self {
        Self {
            store,
            contract,
            subject: registered.value.subject.clone(),
            own: Some(registered.guid),
            kept: Mutex::default(),
        }
    }

    /// Looks ids up for a contract that registers nothing any more, or not yet: its records stay.
    pub(crate) fn of_subject(
        store: Arc<Store>,
        contract: Arc<EventContract>,
        subject: &str,
    ) -> Self {
        Self {
            subject: store.table().resolve_alias(subject.to_owned()),
            store,
            contract,
            own: None,
            kept: Mutex::default(),
        }
    }

    /// Finds the schema of an id.
    ///
    /// # Errors
    /// It is not known, is no version of the subject, or cannot be used.
    pub(crate) fn find(&self, id: SchemaId) -> Result<Writer, String> {
        let revision = self.store.revision();
        {
            let mut kept = self.kept.lock();
            if kept.0 != revision {
                *kept = (revision, HashMap::new());
            }
            if let Some(found) = kept.1.get(&id) {
                return Ok(found.clone());
            }
        }
        // Only what is a version is kept: of other ids a stranger could think up any number.
        let found = self.look_up(&self.store.table(), id)?;
        let mut kept = self.kept.lock();
        if kept.0 == revision {
            if kept.1.len() >= MAX_KEPT {
                kept.1.clear();
            }
            kept.1.insert(id, found.clone());
        }
        Ok(found)
    }

    fn look_up(&self, table: &Table, id: SchemaId) -> Result<Writer, String> {
        let context = Name::parse(&self.subject).context;
        let number = match id {
            SchemaId::Number(number) => Some(number),
            SchemaId::Guid(bytes) => table.id_of(context, Guid::of_bytes(bytes)),
        };
        let versions = || number.into_iter().flat_map(|id| table.of_id(context, id));
        let is_ours =
            |stored: &&Arc<Stored>| stored.value.subject == self.subject && !stored.value.deleted;
        let Some(stored) = versions().find(is_ours) else {
            return Err(match versions().next() {
                None => format!("schema id `{id}` is not known"),
                Some(_) => format!(
                    "schema id `{id}` is no version of subject `{}`",
                    self.subject
                ),
            });
        };
        if Some(stored.guid) == self.own {
            return Ok(Writer::Contract);
        }
        let rules = &self.contract.schema;
        if stored.value.schema_type != type_of(rules.format) {
            let written = &stored.value.schema_type;
            return Err(format!("schema id `{id}` is of type `{written}`"));
        }
        let unusable = |error: Error| format!("schema id `{id}` cannot be used: {error}");
        let parsed = register::parse_stored(table, stored).map_err(unusable)?;
        let schema = parsed.into_schema();
        let level = Compatibility::Backward;
        let reasons = compatibility::check(level, rules.policy, &rules.schema, &[&schema]);
        Ok(Writer::Version {
            is_read: reasons.is_empty(),
            schema: Arc::new(schema),
        })
    }
}
