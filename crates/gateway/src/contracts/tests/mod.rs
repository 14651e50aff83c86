//! Plans as a table: what is in force, what the log has, what is wanted, what comes out of it.

mod approvals;
mod documents;
mod topics;

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_contract::load::{self, Texts};
use tidegate_event_log::{Bounds, Topic, TopicConfig};

use super::action::{Action, Plan};
use super::plan::{Current, Options, Planned, World, plan};
use super::record::{Set, hash_of, text_record};
use super::store::Folded;
use crate::terms::Terms;

const DAY_MS: i64 = 86_400_000;
/// `topic.maxMessage`, and the room for its envelope.
const MESSAGE_BYTES: i64 = (1 << 20) + 64 * 1024;

/// A contract of team `t`; what is added stands in its `spec`.
fn contract(name: &str, more: &str) -> String {
    format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: {name}, owner: t}}\nspec:\n  class: fact\n  \
         schema: {{file: a.json}}\n  key: {{from: $.id}}\n{more}"
    )
}

fn version(name: &str, version: &str, more: &str) -> String {
    let owner = "owner: t}";
    contract(name, more).replace(owner, &format!("owner: t, version: {version}}}"))
}

fn team(approves: &str) -> String {
    format!(
        "apiVersion: contract/v1\nkind: Team\nmetadata: {{name: t}}\nspec: {{pager: \"mailto:t@example.com\", approves: {{{approves}}}}}\n"
    )
}

fn texts(documents: &[String]) -> Texts {
    let schemas = [
        (
            "a.json",
            r#"{"type": "object", "properties": {"id": {"type": "string"}}}"#,
        ),
        (
            "b.json",
            r#"{"type": "object", "properties": {"id": {"type": "integer"}}}"#,
        ),
        ("broken.json", r##"{"$ref": "#/definitions/lost"}"##),
    ];
    Texts {
        files: vec![("all.yaml".to_owned(), documents.join("---\n"))],
        schemas: schemas
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
    }
}

fn topic(name: &str, partitions: i32, retention_ms: i64, message_bytes: i64) -> Topic {
    let setting = |name: &str, value: i64| (name.to_owned(), value.to_string());
    Topic {
        name: name.to_owned(),
        id: [0; 16],
        partitions,
        config: TopicConfig::from([
            setting("retention.ms", retention_ms),
            setting("max.message.bytes", message_bytes),
        ]),
        internal: name.starts_with("_tidegate"),
    }
}

/// The topic of a contract that says nothing about it.
fn plain(name: &str) -> Topic {
    topic(name, 3, 30 * DAY_MS, MESSAGE_BYTES)
}

fn options(set: fn(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The state after these documents were applied, and what was folded from the topic.
fn in_force(documents: &[String]) -> (Current, Folded) {
    let nothing = Current::default();
    let applied = drafted(
        &nothing,
        &Folded::default(),
        &[],
        documents,
        &Options::default(),
    );
    let set = Set {
        format: 1,
        generation: 1,
        documents: applied.documents,
        ..Set::default()
    };
    let mut folded = Folded::default();
    let texts = applied.pieces.iter();
    let texts = texts.flat_map(|it| std::iter::once(&it.text).chain(it.schemas.values()));
    for (at, text) in (0..).zip(texts) {
        let record = text_record(&hash_of(text), text);
        folded.apply(&record, at).unwrap();
    }
    folded.apply(&set.record(), 1_000).unwrap();
    let current = Current {
        set,
        pieces: applied.pieces,
        contracts: applied.contracts,
    };
    (current, folded)
}

fn drafted(
    current: &Current,
    folded: &Folded,
    topics: &[Topic],
    documents: &[String],
    options: &Options,
) -> Planned {
    let wanted = load::split(&texts(documents)).unwrap_or_else(|found| panic!("{found}"));
    let world = World {
        terms: Terms::default(),
        topics: topics
            .iter()
            .map(|it| (it.name.clone(), it.clone()))
            .collect(),
        bounds: bounds(),
        registry: Arc::default(),
    };
    let planned = plan(current, folded, &world, &wanted, options);
    planned.unwrap_or_else(|found| panic!("{found}"))
}

fn bounds() -> Bounds {
    Bounds {
        defaults: [("retention.ms", "604800000"), ("retention.bytes", "-1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        max_message_bytes: 4 << 20,
        partitions_a_topic: 1_000,
        partitions_together: 100,
    }
}

/// A plan, a line for each thing in it.
fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for action in &plan.actions {
        let sign = action.sign();
        lines.push(match action {
            Action::CreateTopic {
                topic, partitions, ..
            } => format!("{sign}topic {topic} {partitions}"),
            Action::RegisterSchema {
                subject, version, ..
            } => format!("{sign}schema {subject} {version}"),
            Action::AdoptTopic { topic, .. } => format!("{sign}topic {topic}"),
            Action::GrowTopic {
                topic, from, to, ..
            } => format!("{sign}topic {topic} {from}>{to}"),
            Action::WidenTopic {
                topic, settings, ..
            } => {
                format!("{sign}topic {topic} wide {}", settings[0].setting)
            }
            Action::NarrowTopic {
                topic, settings, ..
            } => {
                format!("{sign}topic {topic} narrow {}", settings[0].setting)
            }
            Action::DeleteTopic { topic, .. } => format!("{sign}topic {topic}"),
            Action::PutDocument(it) | Action::ReplaceDocument(it) | Action::RemoveDocument(it) => {
                let rules: BTreeSet<&str> = it.findings.iter().map(|it| it.rule).collect();
                let rules = Vec::from_iter(rules).join(",");
                format!("{sign}{} {rules}", it.name).trim_end().to_owned()
            }
        });
    }
    lines.extend(plan.refusals.iter().map(|it| format!("!{}", it.about)));
    lines.extend(plan.approvals.iter().map(|it| {
        let given = it.given.len();
        format!("?{} {} {given}/{}", it.team, it.for_, it.needed)
    }));
    lines.extend(plan.notes.iter().map(|note| format!("({note})")));
    lines
}

#[track_caller]
fn check(
    before: &[String],
    topics: &[Topic],
    wanted: &[String],
    options: &Options,
    expected: &[&str],
) -> Planned {
    let (current, folded) = in_force(before);
    let planned = drafted(&current, &folded, topics, wanted, options);
    assert_eq!(lines(&planned.plan), expected);
    let changes = expected
        .iter()
        .any(|line| line.starts_with(['+', '~', '-']));
    assert_eq!(planned.plan.changes, changes);
    assert_eq!(planned.plan.generation, 1);
    planned
}

#[test]
fn what_is_in_force_already_is_nothing_to_do() {
    let set = [team(""), contract("a", "")];
    let none = Options::default();
    check(&set, &[plain("a")], &set, &none, &[]);
    // Where a document stands is not what it says.
    let moved = [format!("# a note\n---\n{}", contract("a", "")), team("")];
    check(&set, &[plain("a")], &moved, &none, &["~a"]);
    let moved = [contract("a", ""), team("")];
    let planned = check(&set, &[plain("a")], &moved, &none, &[]);
    assert!(!planned.commits);
    // Somebody deleted the topic.
    let planned = check(&set, &[], &set, &none, &["+topic a 3"]);
    assert!(!planned.commits);
}
