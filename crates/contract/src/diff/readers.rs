//! Whom a change breaks: the readers, by what they say they rely on. What stands in a reader's way
//! under the new contract and did not under the earlier one is a finding, and so is what a reader
//! counts on and finds changed. A reader that is new or changed is held to the contract as it is.
//!
//! What breaks an experimental reader is risky. A finding about a changed contract stands in the
//! contract's file, one about a changed reader in the reader's.

use std::collections::BTreeSet;

use super::rules::{self, Rule};
use super::{Change, Concerned, Severity, change, judged, same_schema};
use crate::model::{Contracts, EventContract, Ordering};
use crate::path::Path;
use crate::reader::{Priority, Reader};
use crate::schema::{Field, compatibility};

const READS: &str = "spec.reads";
const SCHEMA: &str = "spec.schema.file";
/// More changes inside one field that a reader reads are not told.
const MAX_INSIDE: usize = 10;

/// Something that a reader cannot live with.
struct Problem {
    rule: &'static Rule,
    /// Tells it from the others of its rule.
    about: String,
    field: Option<String>,
    /// Where it stands in the contract, and in the reader if that may be what changed.
    contract_key: &'static str,
    reader_key: Option<String>,
    /// Follows the words that name the reader.
    message: String,
}

/// Adds what readers meet, and what changed of themselves.
pub(super) fn compare(old: &Contracts, new: &Contracts, changes: &mut Vec<Change>) {
    for before in old.readers() {
        if new.reader(&before.name).is_none() {
            let message = format!("{} is gone", named(before));
            let found = at_reader(
                before,
                "metadata.name",
                &rules::READER_REMOVED,
                message,
                None,
            );
            changes.push(found);
        }
    }
    for reader in new.readers() {
        let known = old.reader(&reader.name);
        match known {
            None => {
                let message = format!("{} is new and reads `{}`", named(reader), reader.contract);
                let rule = &rules::READER_ADDED;
                changes.push(at_reader(reader, "metadata.name", rule, message, None));
            }
            Some(before) => itself(before, reader, changes),
        }
        let after = new.by_name(&reader.contract);
        let before = old.by_name(&reader.contract);
        match (before, after) {
            (Some(before), None) => gone(reader, before, new, changes),
            (None, None) if !is_same(known, reader) && !new.is_empty() => {
                let message = format!(
                    "{} reads `{}`, and there is no such contract",
                    named(reader),
                    reader.contract
                );
                let rule = &rules::READER_CONTRACT_UNKNOWN;
                changes.push(at_reader(reader, "spec.contract", rule, message, None));
            }
            (_, Some(after)) => reads(old, known, reader, after, changes),
            (None, None) => {}
        }
    }
}

/// Names a reader as every finding does.
pub(super) fn named(reader: &Reader) -> String {
    let (name, owner, group) = (&reader.name, &reader.owner, reader.via.group());
    format!("reader `{name}` of `{owner}` (group `{group}`)")
}

/// Makes a finding that stands in the reader's file.
pub(super) fn at_reader(
    reader: &Reader,
    key: &str,
    rule: &'static Rule,
    message: String,
    field: Option<String>,
) -> Change {
    let hint = (!rule.hint.is_empty()).then(|| rule.hint.to_owned());
    let finding = reader.document.finding(key, message, hint);
    concerning(reader, field, judged(&reader.contract, key, rule, finding))
}

/// Says whom a change is about, and weighs it by that.
pub(super) fn concerning(reader: &Reader, field: Option<String>, mut change: Change) -> Change {
    if change.severity == Severity::Breaking && reader.priority == Priority::Experimental {
        change.weigh(Severity::Risky);
    }
    change.reader = Some(Concerned::of(reader, field));
    change
}

/// Says whether nothing changed of a reader.
pub(super) fn is_same(before: Option<&std::sync::Arc<Reader>>, reader: &Reader) -> bool {
    let value = |reader: &Reader| -> Vec<(String, Option<String>)> {
        let keys = reader.explain().iter();
        keys.map(|e| (e.key.clone(), e.value.clone())).collect()
    };
    before.is_some_and(|before| value(before) == value(reader))
}

/// What changed of a reader by itself.
fn itself(before: &Reader, after: &Reader, changes: &mut Vec<Change>) {
    let who = named(after);
    let mut told = BTreeSet::new();
    let mut add = |key: &'static str, rule, message| {
        told.insert(key);
        changes.push(at_reader(after, key, rule, message, None));
    };
    let (old, new) = (before.via.group(), after.via.group());
    if old != new {
        let message = format!("{who} read with group `{old}`: the new group has read nothing yet");
        add("spec.via", &rules::READER_GROUP_MOVED, message);
    }
    if before.contract != after.contract {
        let (old, new) = (&before.contract, &after.contract);
        let message = format!("{who} read `{old}`, reads `{new}`");
        add("spec.contract", &rules::READER_CONTRACT_CHANGED, message);
    }
    if after.accepts.narrows(&before.accepts) {
        let (old, new) = (&before.accepts, &after.accepts);
        let message = format!("{who} accepted `{old}`, accepts `{new}`");
        add("spec.accepts", &rules::READER_ACCEPTS_NARROWED, message);
    }
    if rank(after.priority) > rank(before.priority) {
        let (old, new) = (before.priority, after.priority);
        let message = format!("{who} was `{old}`, is `{new}`");
        add("spec.priority", &rules::READER_PRIORITY_LOWERED, message);
    }
    if let (Some(old), None) = (&before.dead_letter, &after.dead_letter) {
        let message = format!("{who} put what it could not process into `{}`", old.topic);
        add("spec.failure", &rules::READER_DEAD_LETTERS_LOST, message);
    }
    let is_told = |key: &str| told.iter().any(|told| key.starts_with(told));
    for new in after.explain() {
        let old = before.explain().iter().find(|old| old.key == new.key);
        let (from, to) = (
            old.and_then(|old| old.value.as_deref()),
            new.value.as_deref(),
        );
        if from == to || is_told(&new.key) {
            continue;
        }
        let key = new.key.strip_prefix("spec.").unwrap_or(&new.key);
        let shown =
            |value: Option<&str>| value.map_or_else(|| "nothing".to_owned(), |v| format!("`{v}`"));
        let message = format!("{who}: `{key}` was {}, is {}", shown(from), shown(to));
        let rule = &rules::DESCRIBED;
        changes.push(at_reader(after, &new.key, rule, message, None));
    }
}

/// Lower counts more.
fn rank(priority: Priority) -> u8 {
    match priority {
        Priority::Critical => 0,
        Priority::Analytical => 1,
        Priority::Repair => 2,
        Priority::Experimental => 3,
    }
}

/// The contract that a reader reads is gone, or has another name.
fn gone(reader: &Reader, before: &EventContract, new: &Contracts, changes: &mut Vec<Change>) {
    let (who, name) = (named(reader), &before.name);
    let renamed = new.with_type(&before.event.event_type);
    let (at, message) = match renamed {
        Some(after) => {
            let message = format!("{who} reads `{name}`, which is called `{}` now", after.name);
            (&**after, message)
        }
        None => (before, format!("{who} reads `{name}`, which is gone")),
    };
    let rule = &rules::READER_CONTRACT_GONE;
    let found = change(at, name, "metadata.name", rule, message);
    changes.push(concerning(reader, None, found));
}

/// What a reader meets in a contract that is there.
fn reads(
    old: &Contracts,
    known: Option<&std::sync::Arc<Reader>>,
    reader: &Reader,
    after: &EventContract,
    changes: &mut Vec<Change>,
) {
    let who = named(reader);
    let as_before = is_same(known, reader);
    // What stood in its way before is no news.
    let earlier = known.and_then(|known| {
        let contract = old.by_name(&known.contract)?;
        Some(standing(known, contract, None))
    });
    let before = old.by_name(&reader.contract);
    let mut problems = standing(reader, after, before.map(|before| &**before));
    problems.retain(|problem| {
        let mut earlier = earlier.iter().flatten();
        !earlier.any(|other| other.rule.name == problem.rule.name && other.about == problem.about)
    });
    if let Some(before) = before {
        changed(reader, before, after, &mut problems);
    }
    for problem in problems {
        let message = format!("{who} {}", problem.message);
        let found = match problem.reader_key.filter(|_| !as_before) {
            None => {
                let found = change(
                    after,
                    &after.name,
                    problem.contract_key,
                    problem.rule,
                    message,
                );
                concerning(reader, problem.field, found)
            }
            Some(key) => at_reader(reader, &key, problem.rule, message, problem.field),
        };
        changes.push(found);
    }
}

/// What stands in a reader's way under a contract, whatever was before; `before` is for the words.
fn standing(
    reader: &Reader,
    contract: &EventContract,
    before: Option<&EventContract>,
) -> Vec<Problem> {
    let mut found = Vec::new();
    let (name, version) = (&contract.name, contract.version);
    if !reader.accepts.contains(version) {
        found.push(Problem {
            rule: &rules::READER_VERSION_OUTSIDE,
            about: String::new(),
            field: None,
            contract_key: "metadata.version",
            reader_key: Some("spec.accepts".to_owned()),
            message: format!("accepts `{}`, and `{name}` is `{version}`", reader.accepts),
        });
    }
    let schema = &contract.schema.schema;
    let earlier = |path: &Path| before.and_then(|before| before.schema.schema.field(path));
    for (place, path) in reader.reads.iter().enumerate() {
        if schema.field(path).is_some() {
            continue;
        }
        let message = match earlier(path) {
            Some(field) => format!("reads `{path}`, {}which is gone", typed(&field)),
            None => format!("reads `{path}`, which the schema of `{name}` does not declare"),
        };
        found.push(Problem {
            rule: &rules::READER_FIELD_GONE,
            about: path.to_string(),
            field: Some(path.to_string()),
            contract_key: SCHEMA,
            reader_key: Some(format!("{READS}[{place}]")),
            message,
        });
    }
    for (place, required) in reader.requires.iter().enumerate() {
        let members = required.expression.members().unwrap_or_default();
        for member in members {
            let Ok(path) = format!("$.{member}").parse::<Path>() else {
                continue;
            };
            if schema.field(&path).is_some() {
                continue;
            }
            let what = match earlier(&path) {
                Some(_) => "is gone".to_owned(),
                None => format!("the schema of `{name}` does not declare"),
            };
            found.push(Problem {
                rule: &rules::READER_RULE_FIELD_GONE,
                about: format!("{} {path}", required.name),
                field: Some(path.to_string()),
                contract_key: SCHEMA,
                reader_key: Some(format!("spec.requires[{place}].expr")),
                message: format!(
                    "requires `{}`, a rule that names `{path}`, which {what}",
                    required.name
                ),
            });
        }
    }
    kept(reader, contract, &mut found);
    found
}

/// Whether events are kept as long as a reader may need them.
fn kept(reader: &Reader, contract: &EventContract, found: &mut Vec<Problem>) {
    let needs = reader.needs_ms();
    let parts = [
        ("outage", reader.outage),
        ("maxLag.time", reader.max_lag),
        ("rebuild.target", reader.rebuild),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter_map(|(key, value)| value.map(|value| format!("`{key}` {value}")))
        .collect();
    let parts = parts.join(" + ");
    let retention = contract.topic.retention;
    let mut add = |rule, contract_key, message| {
        found.push(Problem {
            rule,
            about: String::new(),
            field: None,
            contract_key,
            reader_key: Some("spec.contract".to_owned()),
            message,
        });
    };
    if retention.as_ms() < needs {
        let message = format!("needs events for {parts}, and the retention is `{retention}`");
        add(
            &rules::READER_RETENTION_SHORT,
            "spec.topic.retention",
            message,
        );
    }
    if let Some(window) = contract.replay_window
        && window.as_ms() < needs
        && window < retention
    {
        let message = format!("needs events for {parts}, and the replay window is `{window}`");
        add(&rules::READER_REPLAY_SHORT, "spec.replay.window", message);
    }
}

/// What a reader counts on and finds changed.
fn changed(
    reader: &Reader,
    before: &EventContract,
    after: &EventContract,
    found: &mut Vec<Problem>,
) {
    let mut add = |rule, contract_key, field: Option<&Path>, message| {
        found.push(Problem {
            rule,
            about: String::new(),
            field: field.map(Path::to_string),
            contract_key,
            reader_key: None,
            message,
        });
    };
    let (old, new) = (&before.topic, &after.topic);
    if old.name != new.name {
        let message = format!(
            "reads topic `{}`, and events go to `{}`",
            old.name, new.name
        );
        add(&rules::READER_TOPIC_MOVED, "spec.topic.name", None, message);
    }
    let (old_key, new_key) = (&before.key, &after.key);
    if old_key.from != new_key.from {
        let (old, new) = (&old_key.from, &new_key.from);
        let message = format!("has events in order by `{old}`, and they will be by `{new}`");
        add(
            &rules::READER_KEY_MOVED,
            "spec.key.from",
            Some(old),
            message,
        );
    }
    if old_key.ordering != Ordering::None && new_key.ordering == Ordering::None {
        let message = format!(
            "has events in order (`{}`), and will have none",
            old_key.ordering
        );
        add(
            &rules::READER_ORDER_LOST,
            "spec.key.ordering",
            None,
            message,
        );
    }
    if old.name == new.name
        && old.partitions < new.partitions
        && old_key.ordering == Ordering::PerKey
        && new_key.ordering == Ordering::PerKey
    {
        let message = format!(
            "has events of one key in order, and with `{}` partitions in place of `{}` keys go elsewhere",
            new.partitions, old.partitions
        );
        let key = "spec.topic.partitions";
        add(&rules::READER_REORDERED, key, None, message);
    }
    if same_schema(before, after) {
        return;
    }
    let (old, new) = (&before.schema, &after.schema);
    for path in &reader.reads {
        // What is gone is told already.
        let (Some(was), Some(is)) = (old.schema.field(path), new.schema.field(path)) else {
            continue;
        };
        let mut told = false;
        for (rule, message) in field_changes(&path.to_string(), &was, &is) {
            told = true;
            add(rule, SCHEMA, Some(path), message);
        }
        if told {
            continue;
        }
        let mut told: Vec<Path> = Vec::new();
        for (inner, was) in old.schema.fields_inside(path) {
            // What holds a field comes before it, and says enough.
            if told.len() >= MAX_INSIDE || told.iter().any(|outer| outer.meets(&inner)) {
                continue;
            }
            let shown = format!("{path}`, and in it `{inner}");
            let messages = match new.schema.field_in_lists(&inner) {
                None => {
                    let message = format!("reads `{shown}`, {}is gone", typed(&was));
                    vec![(&rules::READER_FIELD_GONE, message)]
                }
                Some(is) => field_changes(&shown, &was, &is),
            };
            for (rule, message) in messages {
                told.push(inner.clone());
                add(rule, SCHEMA, Some(&inner), message);
            }
        }
    }
    if reader.reads.is_empty() {
        let level = old.compatibility;
        let reasons = compatibility::check(level, old.policy, &new.schema, &[&old.schema]);
        if let Some(first) = reasons.first() {
            let (at, detail, count) = (&first.found.path, &first.found.detail, reasons.len());
            let more = match count - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let message = format!(
                "does not say which fields it reads, and the schema breaks `{level}`: at `{at}` {detail}{more}"
            );
            add(&rules::READER_SCHEMA_BROKEN, SCHEMA, None, message);
        }
    }
}

/// What a reader of a field finds changed in it.
fn field_changes(path: &str, was: &Field, is: &Field) -> Vec<(&'static Rule, String)> {
    let mut found = Vec::new();
    let words = |field: &Field| -> String {
        let words: Vec<&str> = field.types.iter().map(String::as_str).collect();
        match words.is_empty() {
            true => "anything".to_owned(),
            false => words.join("` or `"),
        }
    };
    // A JSON Schema's integers are numbers too.
    let known = |word: &String| {
        was.types.contains(word) || (word == "integer" && was.types.contains("number"))
    };
    if !was.types.is_empty() && (is.types.is_empty() || !is.types.iter().all(known)) {
        let (old, new) = (words(was), words(is));
        let message = format!("reads `{path}`, which was `{old}` and is `{new}`");
        found.push((&rules::READER_FIELD_TYPE, message));
    }
    if was.required && !is.required {
        let message = format!("reads `{path}`, which every event had and may lack now");
        found.push((&rules::READER_FIELD_OPTIONAL, message));
    }
    found
}

/// The type of a field, before what became of it.
fn typed(field: &Field) -> String {
    let words: Vec<&str> = field.types.iter().map(String::as_str).collect();
    match words.is_empty() {
        true => String::new(),
        false => format!("a `{}`, ", words.join("` or `")),
    }
}
