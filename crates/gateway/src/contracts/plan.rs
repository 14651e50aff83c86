//! From the documents that are wanted to what has to be done: pure. The set in force, the topics of the
//! log and the request go in; actions in their order, refusals and missing approvals come out, and the
//! set that is in force afterwards.
//!
//! Documents that are in force and not among the wanted ones stay; nothing is taken away or narrowed
//! that was not named. A plan's id stands for all that it would do and for the set it starts from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use tidegate_contract::diff;
use tidegate_contract::load::{Diagnostics, Piece, pieces};
use tidegate_contract::{Contracts, EventContract, lint};
use tidegate_event_log::{Bounds, Topic, TopicSpec};

use super::action::{Action, Entry, Finding, Plan, Refusal, id_of};
use super::approvals;
use super::record::{Document, Set, hash_of};
use super::store::{Folded, MAX_TEXT_BYTES};
use super::topics::{beyond, dead_letter_spec, differences, growth_breaks};
use crate::ingress::lane::topic_spec;
use crate::registry::{Table, subject};
use crate::terms::Terms;

/// The kind of documents that govern topics.
const EVENT_CONTRACT: &str = "EventContract";

/// The kind of documents that name readers.
pub(crate) const CONSUMER_CONTRACT: &str = "ConsumerContract";

/// What may be done beside putting documents in force.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ApplyOptions)]
pub(crate) struct Options {
    /// Names of documents; if there are any, others are left alone.
    pub(crate) only: BTreeSet<String>,
    /// Names of documents that go.
    pub(crate) delete: BTreeSet<String>,
    /// Topics that go with their contracts.
    pub(crate) delete_topics: BTreeSet<String>,
    /// Contracts whose topics may keep less, or take smaller messages.
    pub(crate) allow_narrowing: BTreeSet<String>,
    /// More partitions although order by key breaks: the readers are being moved.
    pub(crate) migrating: bool,
}

/// What is in force.
#[derive(Debug, Default)]
pub(crate) struct Current {
    pub(crate) set: Set,
    /// The documents of the set with their texts, in its order.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) contracts: Arc<Contracts>,
}

impl Current {
    /// Takes contracts that were not applied.
    pub(crate) fn of(contracts: Contracts) -> Self {
        Self {
            contracts: Arc::new(contracts),
            ..Self::default()
        }
    }
}

/// What the log says of itself.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) topics: BTreeMap<String, Topic>,
    pub(crate) bounds: Bounds,
    pub(crate) registry: Arc<Table>,
    pub(crate) terms: Terms,
}

/// A plan and the set that it leads to.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// Whether the set is another.
    pub(crate) commits: bool,
    pub(crate) contracts: Arc<Contracts>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) documents: Vec<Document>,
}

/// Returns what has to be done so that `wanted` is in force.
///
/// # Errors
/// What is wrong with the documents that would be in force.
pub(crate) fn plan(
    current: &Current,
    folded: &Folded,
    world: &World,
    wanted: &[Piece],
    options: &Options,
) -> Result<Planned, Diagnostics> {
    let mut drafting = Drafting {
        current,
        folded,
        world,
        options,
        before: Vec::new(),
        documents: Vec::new(),
        after: Vec::new(),
        refusals: Vec::new(),
        notes: Vec::new(),
        registry: None,
    };
    let puts = drafting.selected(wanted);
    let (target, documents) = drafting.target(&puts);
    let commits = !documents.is_empty();
    let contracts = if commits {
        let contracts = pieces(&target)?;
        let linted = lint::lint(&contracts);
        if linted.has_errors() {
            return Err(linted);
        }
        Arc::new(contracts)
    } else {
        Arc::clone(&current.contracts)
    };
    drafting.document(documents, &contracts, &target);
    for piece in &puts {
        if piece.kind == CONSUMER_CONTRACT {
            let reader = contracts.reader(&piece.name);
            if let Some(wanted) = reader.and_then(|reader| dead_letter_spec(reader)) {
                drafting.dead_letters(&piece.name, wanted);
            }
        }
        if piece.kind != EVENT_CONTRACT {
            continue;
        }
        if let Some(contract) = contracts.by_name(&piece.name) {
            if let Some((message, hint)) = drafting.world.terms.problem(contract) {
                drafting.refuse(&contract.name, message, hint);
            }
            drafting.topic(contract);
            drafting.schema(contract);
        }
    }
    drafting.deletions(&contracts);
    drafting.partitions_together();
    let documents = records(&target, &contracts);
    drafting.sizes(&target, &documents);
    Ok(drafting.finish(commits, contracts, target, documents))
}

/// A change of one document: the earlier one, and the later one.
type Changed<'a> = (Option<&'a Piece>, Option<&'a Piece>);

struct Drafting<'a> {
    current: &'a Current,
    folded: &'a Folded,
    world: &'a World,
    options: &'a Options,
    /// What is done before the set is in force, in it, and after it.
    before: Vec<Action>,
    documents: Vec<Action>,
    after: Vec<Action>,
    refusals: Vec<Refusal>,
    notes: Vec<String>,
    /// The registry as the plan would leave it.
    registry: Option<Table>,
}

impl<'a> Drafting<'a> {
    fn refuse(&mut self, about: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.refusals.push(Refusal {
            about: about.to_owned(),
            message: message.into(),
            hint: hint.into(),
        });
    }

    /// The wanted documents that the request is about.
    fn selected(&mut self, wanted: &'a [Piece]) -> Vec<&'a Piece> {
        let only = &self.options.only;
        for name in only {
            if !wanted.iter().any(|piece| piece.name == *name) {
                let message = format!("there is no document `{name}` to apply");
                self.refuse(name, message, "see `tidegate contract list` for the names");
            }
        }
        let mut selected: Vec<&Piece> = wanted
            .iter()
            .filter(|piece| only.is_empty() || only.contains(&piece.name))
            .collect();
        selected.sort_by_key(|piece| key(piece));
        selected
    }

    /// The documents in force afterwards, and what changes.
    fn target(&mut self, puts: &[&'a Piece]) -> (Vec<Piece>, Vec<Changed<'a>>) {
        let mut target: BTreeMap<(&str, &str), &Piece> = self
            .current
            .pieces
            .iter()
            .map(|piece| (key(piece), piece))
            .collect();
        let mut changed = Vec::new();
        for name in &self.options.delete {
            if puts.iter().any(|piece| piece.name == *name) {
                let message = format!("`{name}` is to go, and is among the documents to apply");
                self.refuse(
                    name,
                    message,
                    "take it out of the folder, or leave out `--delete`",
                );
                continue;
            }
            let gone = target.extract_if(.., |(_, of), _| of == name);
            let gone: Vec<&Piece> = gone.map(|(_, piece)| piece).collect();
            if gone.is_empty() {
                self.notes.push(format!("`{name}` is not in force"));
            }
            changed.extend(gone.into_iter().map(|piece| (Some(piece), None)));
        }
        for &piece in puts {
            match target.get(&key(piece)) {
                Some(before) if same(before, piece) => {}
                before => {
                    changed.push((before.copied(), Some(piece)));
                    target.insert(key(piece), piece);
                }
            }
        }
        if self.options.only.is_empty() {
            let wanted: BTreeSet<_> = puts.iter().map(|piece| key(piece)).collect();
            let others = target.keys().filter(|key| !wanted.contains(key));
            let names: Vec<&str> = others.map(|(_, name)| *name).collect();
            if !names.is_empty() && !puts.is_empty() {
                self.notes.push(kept(&names));
            }
        }
        (target.into_values().cloned().collect(), changed)
    }

    fn document(&mut self, changed: Vec<Changed<'_>>, contracts: &Contracts, target: &[Piece]) {
        let mut findings: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        if !changed.is_empty() {
            for change in diff::diff(&self.current.contracts, contracts) {
                let list = findings.entry(change.contract.clone()).or_default();
                list.push(change.into());
            }
        }
        let version = |piece: &Piece, of: &Contracts| effective_version(piece, of);
        for (before, after) in changed {
            let Some(shown) = after.or(before) else {
                continue;
            };
            let is_contract = shown.kind == EVENT_CONTRACT;
            let found = is_contract.then(|| findings.remove(&shown.name)).flatten();
            let from = before.map(|before| version(before, &self.current.contracts));
            let to = after.map(|after| version(after, contracts));
            let entry = Entry {
                kind: shown.kind.clone(),
                name: shown.name.clone(),
                version: to.clone().or_else(|| from.clone()).unwrap_or_default(),
                from: from.filter(|from| to.as_ref().is_some_and(|to| to != from)),
                file: shown.file.clone(),
                line: shown.line,
                content: content(shown),
                findings: found.unwrap_or_default(),
            };
            self.documents.push(match (before, after) {
                (None, _) => Action::PutDocument(entry),
                (Some(_), Some(_)) => Action::ReplaceDocument(entry),
                (Some(_), None) => Action::RemoveDocument(entry),
            });
        }
        debug_assert!(target.is_sorted_by_key(key));
    }

    fn topic(&mut self, contract: &EventContract) {
        let (name, wanted) = (&contract.name, topic_spec(contract));
        if let Some(why) = beyond(&wanted, &self.world.bounds) {
            return self.refuse(name, why, "lower it in the contract");
        }
        let Some(topic) = self.world.topics.get(&wanted.name) else {
            self.before.push(Action::create_topic(name, wanted));
            return;
        };
        if topic.internal {
            let message = format!("topic `{}` holds the product's own state", topic.name);
            return self.refuse(name, message, "give the contract another `topic.name`");
        }
        let before = self.current.contracts.by_name(name);
        let is_governed = before.is_some_and(|before| before.topic.name == topic.name);
        if !is_governed {
            self.before.push(Action::AdoptTopic {
                topic: topic.name.clone(),
                contract: name.clone(),
            });
        }
        let found = differences(&wanted, topic, &self.world.bounds);
        match found.partitions {
            Some((from, to)) if from < to => self.growth(contract, from, to),
            Some((from, to)) => self.notes.push(format!(
                "topic `{}` keeps its `{from}` partitions, `{name}` says `{to}`: no topic gets fewer",
                topic.name
            )),
            None => {}
        }
        if !found.widen.is_empty() {
            self.before.push(Action::WidenTopic {
                topic: topic.name.clone(),
                contract: name.clone(),
                settings: found.widen,
            });
        }
        if found.narrow.is_empty() {
            return;
        }
        if !self.options.allow_narrowing.contains(name) {
            let settings: Vec<&str> = found.narrow.iter().map(|it| it.about.as_str()).collect();
            let message = format!(
                "topic `{}` would be narrowed: {}",
                topic.name,
                settings.join(", ")
            );
            return self.refuse(
                name,
                message,
                format!("`--allow-narrowing {name}` lets go of what is beyond"),
            );
        }
        self.after.push(Action::NarrowTopic {
            topic: topic.name.clone(),
            contract: name.clone(),
            settings: found.narrow,
        });
    }

    /// The topic of a reader's dead letters: made, or kept for longer. One that keeps them for longer
    /// than its reader asks loses nothing.
    fn dead_letters(&mut self, reader: &str, wanted: TopicSpec) {
        let Some(topic) = self.world.topics.get(&wanted.name) else {
            self.before.push(Action::create_topic(reader, wanted));
            return;
        };
        let widen = differences(&wanted, topic, &self.world.bounds).widen;
        if !widen.is_empty() {
            self.before.push(Action::WidenTopic {
                topic: topic.name.clone(),
                contract: reader.to_owned(),
                settings: widen,
            });
        }
    }

    fn growth(&mut self, contract: &EventContract, from: i32, to: i32) {
        let (topic, name) = (&contract.topic.name, &contract.name);
        if let Some(why) = growth_breaks(contract).filter(|_| !self.options.migrating) {
            let message =
                format!("topic `{topic}` would get `{to}` partitions in place of `{from}`: {why}");
            let hint = format!(
                "write `partitions: {from}`, or make it a new contract with a topic of its own; \
                 `--migrating` grows it all the same"
            );
            return self.refuse(name, message, hint);
        }
        self.before.push(Action::GrowTopic {
            topic: topic.clone(),
            contract: name.clone(),
            from,
            to,
        });
    }

    /// Tries what the registry says to the schema, if the contract has a subject there.
    fn schema(&mut self, contract: &EventContract) {
        let Some(subject) = &contract.schema.subject else {
            return;
        };
        if !contract.lifecycle.accepts_events() {
            return;
        }
        let there = &self.world.registry;
        let registry = self.registry.get_or_insert_with(|| Table::clone(there));
        match subject::preview(registry, contract, subject) {
            Ok(None) => {}
            Ok(Some(version)) => self.before.push(Action::RegisterSchema {
                subject: subject.clone(),
                contract: contract.name.clone(),
                version,
            }),
            Err(problem) => {
                let message =
                    format!("the registry refuses the schema under `{subject}`: {problem}");
                let hint = "mend it, or change the compatibility that the registry asks there";
                self.refuse(&contract.name, message, hint);
            }
        }
    }

    fn deletions(&mut self, contracts: &Contracts) {
        for topic in &self.options.delete_topics {
            let governor = contracts.iter().find(|it| it.topic.name == *topic);
            let deleted = |name: &&String| self.options.delete.contains(*name);
            let of_deleted = self.folded.governors(topic).find(deleted).cloned();
            match (self.world.topics.get(topic), governor, of_deleted) {
                (_, Some(contract), _) => {
                    let message = format!("topic `{topic}` is that of `{}`", contract.name);
                    self.refuse(topic, message, "delete the contract first");
                }
                (None, ..) => self.notes.push(format!("topic `{topic}` is not there")),
                (Some(_), None, None) => {
                    let message = format!("topic `{topic}` is of no contract that is deleted");
                    let hint = "name its contract with `--delete`";
                    self.refuse(topic, message, hint);
                }
                (Some(_), None, Some(contract)) => self.after.push(Action::DeleteTopic {
                    topic: topic.clone(),
                    contract,
                }),
            }
        }
    }

    /// Refuses more partitions than the log has room for.
    fn partitions_together(&mut self) {
        let more: i64 = self
            .before
            .iter()
            .map(|action| match action {
                Action::CreateTopic { partitions, .. } => i64::from(*partitions),
                Action::GrowTopic { from, to, .. } => i64::from(to - from),
                _ => 0,
            })
            .sum();
        let topics = self.world.topics.values();
        let there: i64 = topics.map(|topic| i64::from(topic.partitions)).sum();
        let most = self.world.bounds.partitions_together;
        if more > 0 && there + more > most {
            let message = format!(
                "the log has `{there}` partitions and takes `{most}`; these contracts want `{more}` more"
            );
            self.refuse("topics", message, "raise `max.partitions` (`--kafka-set`)");
        }
    }

    /// Refuses what does not fit into the records of the log.
    fn sizes(&mut self, target: &[Piece], documents: &[Document]) {
        for piece in target {
            let texts = std::iter::once((&piece.file, &piece.text)).chain(&piece.schemas);
            for (file, text) in texts {
                if text.len() > MAX_TEXT_BYTES {
                    let message = format!("`{file}` has more than `{MAX_TEXT_BYTES}` bytes");
                    self.refuse(&piece.name, message, "take it apart");
                }
            }
        }
        let set = Set {
            documents: documents.to_vec(),
            ..Set::default()
        };
        // Who and why take their place beside the documents.
        if set.record().size_bytes() > MAX_TEXT_BYTES - 64 * 1024 {
            let message = format!(
                "`{}` documents are more than one set holds",
                documents.len()
            );
            self.refuse(
                "documents",
                message,
                "use another tidegate for some of them",
            );
        }
    }

    fn finish(
        self,
        commits: bool,
        contracts: Arc<Contracts>,
        pieces: Vec<Piece>,
        documents: Vec<Document>,
    ) -> Planned {
        let Self {
            mut before,
            documents: of_documents,
            after,
            refusals,
            notes,
            ..
        } = self;
        before.sort_by_key(Action::order);
        let actions: Vec<Action> = [before, of_documents, after].concat();
        let count = |sign| actions.iter().filter(|it| it.sign() == sign).count();
        let (add, change, remove) = (count('+'), count('~'), count('-'));
        let generation = self.current.set.generation;
        let id = id_of(generation, &actions);
        let owners = approvals::Owners {
            before: &self.current.contracts,
            after: &contracts,
        };
        let approvals = approvals::needed(&actions, &owners, &self.folded.approved(&id));
        let plan = Plan {
            id,
            generation,
            changes: add + change + remove > 0,
            add,
            change,
            remove,
            actions,
            refusals,
            approvals,
            notes,
        };
        Planned {
            plan,
            commits,
            contracts,
            pieces,
            documents,
        }
    }
}

fn key(piece: &Piece) -> (&str, &str) {
    (&piece.kind, &piece.name)
}

/// Whether two documents say the same; where they stand is not asked.
fn same(one: &Piece, other: &Piece) -> bool {
    said(&one.text) == said(&other.text) && one.schemas == other.schemas
}

/// A document without the mark that stands before it when it is not the first of its file.
fn said(text: &str) -> &str {
    let rest = text.strip_prefix("---").unwrap_or(text);
    let unmarked = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n'));
    unmarked.unwrap_or(text).trim_end()
}

fn content(piece: &Piece) -> String {
    let mut parts = vec![hash_of(said(&piece.text))];
    for (path, text) in &piece.schemas {
        parts.push(format!("{path}\0{}", hash_of(text)));
    }
    hash_of(&parts.join("\0"))
}

fn kept(names: &[&str]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(5)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len().saturating_sub(shown.len());
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "in force and not among these documents, stays: {}{more}",
        shown.join(", ")
    )
}

fn effective_version(piece: &Piece, contracts: &Contracts) -> String {
    let contract = contracts.by_name(&piece.name);
    match contract.filter(|_| piece.kind == EVENT_CONTRACT) {
        Some(contract) => contract.version.to_string(),
        None => piece.version.clone(),
    }
}

/// The documents as a set records them.
fn records(target: &[Piece], contracts: &Contracts) -> Vec<Document> {
    let record = |piece: &Piece| {
        let contract = contracts.by_name(&piece.name);
        let contract = contract.filter(|_| piece.kind == EVENT_CONTRACT);
        let schemas = piece.schemas.iter();
        Document {
            kind: piece.kind.clone(),
            name: piece.name.clone(),
            version: effective_version(piece, contracts),
            owner: piece.owner.clone(),
            file: piece.file.clone(),
            line: piece.line,
            text: hash_of(&piece.text),
            schemas: schemas
                .map(|(path, text)| (path.clone(), hash_of(text)))
                .collect(),
            topic: contract.map(|contract| contract.topic.name.clone()),
        }
    };
    target.iter().map(record).collect()
}
