//! What the records of `_schemas` mean, folded one after the other: the same records give the same
//! table, whoever wrote them and however often they are read. Changed by [`Table::apply`] only.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::entity::{Config, Mode, Reference};
use super::guid::Guid;
use super::name::{DEFAULT_CONTEXT, Name, context_name, global};
use super::record::{Change, SchemaValue};

/// A version of a subject.
pub(crate) type Version = (String, i32);

/// A version of a subject as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: SchemaValue,
    pub(crate) guid: Guid,
    /// When its record was written.
    pub(crate) timestamp_ms: i64,
}

/// The ids of one context. An id stands for one schema.
#[derive(Clone, Debug, Default)]
struct Ids {
    schemas: BTreeMap<i32, OfId>,
    by_guid: HashMap<Guid, i32>,
    /// The largest there ever was: an id is not given twice.
    max: i32,
}

/// Who has the schema of an id, and under which GUIDs it is known.
#[derive(Clone, Debug, Default)]
struct OfId {
    versions: BTreeSet<Version>,
    guids: BTreeSet<Guid>,
}

/// Which versions an answer is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Filter {
    Live,
    All,
    Deleted,
}

impl Filter {
    pub(crate) fn of(deleted: bool, deleted_only: bool) -> Self {
        match (deleted, deleted_only) {
            (_, true) => Self::Deleted,
            (true, false) => Self::All,
            (false, false) => Self::Live,
        }
    }

    pub(crate) fn takes(self, deleted: bool) -> bool {
        match self {
            Self::Live => !deleted,
            Self::All => true,
            Self::Deleted => deleted,
        }
    }
}

/// All subjects, ids, settings and modes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    subjects: BTreeMap<String, BTreeMap<i32, Arc<Stored>>>,
    ids: BTreeMap<String, Ids>,
    contexts: BTreeSet<String>,
    /// Who refers to a version.
    referrers: HashMap<Version, BTreeSet<Version>>,
    configs: BTreeMap<Option<String>, Config>,
    modes: BTreeMap<Option<String>, Mode>,
    /// The size of all schemas' texts.
    bytes: usize,
}

impl Table {
    /// Changes what the record changes.
    ///
    /// # Errors
    /// The record contradicts earlier ones and is left out, as Confluent's registry does.
    pub(crate) fn apply(&mut self, change: Change, timestamp_ms: i64) -> Result<(), String> {
        match change {
            Change::Schema(value) => return self.put(value, timestamp_ms),
            Change::NoSchema { subject, version } => self.remove(&subject, version),
            Change::Config(subject, config) => match config {
                Some(config) => drop(self.configs.insert(subject, config)),
                None => drop(self.configs.remove(&subject)),
            },
            Change::Mode(subject, mode) => match mode {
                Some(mode) => drop(self.modes.insert(subject, mode)),
                None => drop(self.modes.remove(&subject)),
            },
            Change::DeleteSubject { subject, version } => {
                let versions = self.subjects.get_mut(&subject).into_iter();
                for (_, stored) in versions.flat_map(|versions| versions.range_mut(..=version)) {
                    Arc::make_mut(stored).value.deleted = true;
                }
            }
            Change::ClearSubject { subject } => {
                let matching = self.matching(subject.as_deref());
                let gone: Vec<_> = matching.filter(|stored| stored.value.deleted).collect();
                let gone: Vec<Version> = gone.into_iter().map(Stored::version).collect();
                for (subject, version) in gone {
                    self.remove(&subject, version);
                }
            }
            Change::Context { context, exists } => match exists {
                true => drop(self.contexts.insert(context)),
                false => drop(self.contexts.remove(&context)),
            },
            Change::Nothing => {}
        }
        Ok(())
    }

    fn put(&mut self, value: SchemaValue, timestamp_ms: i64) -> Result<(), String> {
        let context = Name::parse(&value.subject).context.to_owned();
        if let Some(other) = self.any_of(&context, value.id)
            && other.value.schema != value.schema
        {
            return Err(format!("id `{}` stands for another schema", value.id));
        }
        let (subject, version) = (value.subject.clone(), value.version);
        self.remove(&subject, version);
        let metadata = value.metadata.as_ref();
        let rules = value.rule_set.as_ref();
        let guid = Guid::of(&value.schema, &value.references, metadata, rules);
        let at = (subject.clone(), version);
        let ids = self.ids.entry(context).or_default();
        ids.max = ids.max.max(value.id);
        ids.by_guid.insert(guid, value.id);
        let of_id = ids.schemas.entry(value.id).or_default();
        of_id.versions.insert(at.clone());
        of_id.guids.insert(guid);
        for target in value.targets() {
            self.referrers.entry(target).or_default().insert(at.clone());
        }
        self.bytes += value.schema.len();
        let stored = Stored {
            value,
            guid,
            timestamp_ms,
        };
        let versions = self.subjects.entry(subject).or_default();
        versions.insert(version, Arc::new(stored));
        Ok(())
    }

    fn remove(&mut self, subject: &str, version: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else {
            return;
        };
        let Some(stored) = versions.remove(&version) else {
            return;
        };
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        self.bytes -= stored.value.schema.len();
        let at = stored.version();
        for target in stored.value.targets() {
            if let Some(referrers) = self.referrers.get_mut(&target) {
                referrers.remove(&at);
                if referrers.is_empty() {
                    self.referrers.remove(&target);
                }
            }
        }
        let context = Name::parse(subject).context;
        let id = stored.value.id;
        if let Some(ids) = self.ids.get_mut(context)
            && let Some(of_id) = ids.schemas.get_mut(&id)
        {
            of_id.versions.remove(&at);
            if of_id.versions.is_empty() {
                for guid in std::mem::take(&mut of_id.guids) {
                    // A later id may have taken it over.
                    if ids.by_guid.get(&guid) == Some(&id) {
                        ids.by_guid.remove(&guid);
                    }
                }
                ids.schemas.remove(&id);
            }
        }
    }

    /// The size of all schemas' texts.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many subjects there are, and how many ids stand for a schema.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let ids = self.ids.values().map(|ids| ids.schemas.len()).sum();
        (self.subjects.len(), ids)
    }

    /// Returns all versions of a subject by number.
    pub(crate) fn versions(
        &self,
        subject: &str,
    ) -> impl DoubleEndedIterator<Item = &Arc<Stored>> + use<'_> {
        self.subjects
            .get(subject)
            .into_iter()
            .flatten()
            .map(|(_, stored)| stored)
    }

    /// Returns a version, or the latest one that is not deleted for `None`.
    pub(crate) fn get(&self, subject: &str, version: Option<i32>) -> Option<&Arc<Stored>> {
        match version {
            Some(version) => self.subjects.get(subject)?.get(&version),
            None => self
                .versions(subject)
                .rev()
                .find(|stored| !stored.value.deleted),
        }
    }

    pub(crate) fn has_subject(&self, subject: &str, with_deleted: bool) -> bool {
        self.versions(subject)
            .any(|stored| with_deleted || !stored.value.deleted)
    }

    /// Returns the versions that a setting of `subject` is about: one subject's, a context's, or for
    /// `None` those of the default context.
    pub(crate) fn matching(&self, subject: Option<&str>) -> impl Iterator<Item = &Stored> {
        let name = Name::parse(subject.unwrap_or_default());
        let all = name.is_global();
        self.subjects
            .iter()
            .filter(move |(stored, _)| {
                let stored = Name::parse(stored);
                all || (stored.context == name.context
                    && (name.is_context() || stored.subject == name.subject))
            })
            .flat_map(|(_, versions)| versions.values().map(|stored| &**stored))
    }

    /// Returns the subjects whose name begins so, by name, each with its versions.
    pub(crate) fn subjects<'t>(
        &'t self,
        prefix: &'t str,
    ) -> impl Iterator<Item = (&'t str, &'t BTreeMap<i32, Arc<Stored>>)> {
        self.subjects
            .iter()
            .filter(|(name, _)| super::name::has_prefix(name, prefix))
            .map(|(name, versions)| (name.as_str(), versions))
    }

    /// Returns the contexts with their dots, the default one first.
    pub(crate) fn contexts(&self) -> Vec<&str> {
        let others: BTreeSet<&str> = (self.contexts.iter().map(String::as_str))
            .chain(self.subjects.keys().map(|name| Name::parse(name).context))
            .filter(|context| *context != DEFAULT_CONTEXT)
            .collect();
        std::iter::once(DEFAULT_CONTEXT).chain(others).collect()
    }

    pub(crate) fn knows_context(&self, context: &str) -> bool {
        self.contexts.contains(context)
    }

    /// Returns the largest id that the context ever had.
    pub(crate) fn max_id(&self, context: &str) -> i32 {
        self.ids.get(context).map_or(0, |ids| ids.max)
    }

    /// Returns the id of the same schema in the context.
    pub(crate) fn id_of(&self, context: &str, guid: Guid) -> Option<i32> {
        self.ids.get(context)?.by_guid.get(&guid).copied()
    }

    /// Returns the versions of an id in a context.
    pub(crate) fn of_id(&self, context: &str, id: i32) -> impl Iterator<Item = &Arc<Stored>> {
        let of_id = self.ids.get(context).and_then(|ids| ids.schemas.get(&id));
        of_id
            .into_iter()
            .flat_map(|of_id| &of_id.versions)
            .filter_map(|(subject, version)| self.get(subject, Some(*version)))
    }

    fn any_of(&self, context: &str, id: i32) -> Option<&Arc<Stored>> {
        self.of_id(context, id).next()
    }

    /// Finds the schema of an id. A name may say the context, and whose version is meant; a plain
    /// name is looked for in every context, and when nobody has it, the default context answers.
    pub(crate) fn find_id(&self, id: i32, subject: Option<&str>) -> Option<&Arc<Stored>> {
        let name = Name::parse(subject.unwrap_or_default());
        let of_subject = |context: &str| {
            self.of_id(context, id)
                .find(|stored| Name::parse(&stored.value.subject).subject == name.subject)
        };
        if name.is_context() {
            return self.any_of(name.context, id);
        }
        let found = of_subject(name.context);
        if found.is_some() || !name.is_default() {
            return found;
        }
        self.ids
            .keys()
            .find_map(|context| of_subject(context))
            .or_else(|| self.any_of(name.context, id))
    }

    /// Finds the ids of a schema, by context.
    pub(crate) fn find_guid(&self, guid: Guid) -> Vec<(&str, i32)> {
        let ids = self.ids.iter();
        ids.filter_map(|(context, ids)| Some((context.as_str(), *ids.by_guid.get(&guid)?)))
            .collect()
    }

    /// Returns the version of a subject that holds this schema.
    pub(crate) fn same(&self, subject: &str, guid: Guid, filter: Filter) -> Option<&Arc<Stored>> {
        self.versions(subject)
            .rev()
            .filter(|stored| stored.guid == guid)
            .find(|stored| filter.takes(stored.value.deleted))
    }

    /// Returns those that refer to a version.
    pub(crate) fn referrers(
        &self,
        subject: &str,
        version: i32,
        filter: Filter,
    ) -> impl Iterator<Item = &Arc<Stored>> {
        let referrers = self.referrers.get(&(subject.to_owned(), version));
        referrers
            .into_iter()
            .flatten()
            .filter_map(|(subject, version)| self.get(subject, Some(*version)))
            .filter(move |stored| filter.takes(stored.value.deleted))
    }

    /// Returns the settings made for exactly this.
    pub(crate) fn config(&self, subject: Option<&str>) -> Option<&Config> {
        self.configs.get(&subject.map(str::to_owned))
    }

    /// Returns the settings that hold for a subject: its own over those of its context or of all.
    pub(crate) fn config_in_scope(&self, subject: Option<&str>) -> Config {
        let outer = self.in_scope(subject, |key| self.config(key)).cloned();
        let outer = outer.unwrap_or_default();
        let own = subject
            .and_then(|subject| self.config(Some(subject)))
            .cloned();
        own.unwrap_or_default().or(&outer).with_level()
    }

    pub(crate) fn mode(&self, subject: Option<&str>) -> Option<Mode> {
        self.modes.get(&subject.map(str::to_owned)).copied()
    }

    /// Returns the mode that holds for a subject.
    pub(crate) fn mode_in_scope(&self, subject: Option<&str>) -> Mode {
        let own = subject.and_then(|subject| self.mode(Some(subject)));
        own.or_else(|| self.in_scope(subject, |key| self.mode(key)))
            .unwrap_or(Mode::Readwrite)
    }

    /// Finds what is set for a subject's context, or else for all.
    fn in_scope<T>(
        &self,
        subject: Option<&str>,
        find: impl Fn(Option<&str>) -> Option<T>,
    ) -> Option<T> {
        let name = Name::parse(subject.unwrap_or_default());
        let outer = match name.is_default() {
            true => find(None),
            false => find(Some(&context_name(name.context))),
        };
        outer.or_else(|| find(Some(&global())))
    }

    /// Returns the subjects of a context, or of the default one, that have a mode of their own.
    pub(crate) fn modes_below(&self, subject: Option<&str>) -> Vec<String> {
        let outer = Name::parse(subject.unwrap_or_default());
        let names = self.modes.keys().flatten();
        names
            .filter(|name| {
                let name = Name::parse(name);
                name.context == outer.context && !name.is_context()
            })
            .cloned()
            .collect()
    }

    /// Returns the subject that a name is an alias of, or the name itself.
    pub(crate) fn resolve_alias(&self, subject: String) -> String {
        let alias = self
            .config(Some(&subject))
            .and_then(|own| own.alias.as_deref());
        match alias {
            Some(alias) if !alias.is_empty() => Name::parse(&subject).beside(alias),
            _ => subject,
        }
    }
}

impl Stored {
    /// Its references with the context in which they are looked for.
    pub(crate) fn qualified_references(&self) -> Vec<Reference> {
        let name = Name::parse(&self.value.subject);
        let references = self.value.references.iter();
        references
            .map(|reference| Reference {
                subject: name.beside(&reference.subject),
                ..reference.clone()
            })
            .collect()
    }

    pub(crate) fn version(&self) -> Version {
        (self.value.subject.clone(), self.value.version)
    }
}

impl SchemaValue {
    /// The versions that it refers to, with their contexts.
    fn targets(&self) -> impl Iterator<Item = Version> {
        let name = Name::parse(&self.subject);
        self.references
            .iter()
            .map(move |reference| (name.beside(&reference.subject), reference.version))
    }
}
