//! Plans as a table: what is in force, what the log has, what is wanted, what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_contract::load::{self, Texts};
use tidegate_event_log::{Bounds, Topic, TopicConfig};

use super::action::{Action, Plan};
use super::plan::{Current, Options, Planned, World, plan};
use super::record::{Set, text_record};
use super::store::Folded;
use crate::privacy::Privacy;

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
        let record = text_record(&super::record::hash_of(text), text);
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
        privacy: Privacy::default(),
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

#[test]
fn dead_letters_get_their_topic_and_keep_it_as_long_as_their_reader_says() {
    let reader = "apiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {name: r, owner: t}\nspec:\n  contract: a\n  accepts: \">=1\"\n  \
                  via: {kafka: {group: r}}\n  failure: {deadLetter: {owner: t, retention: 90d}}\n";
    let before = [team(""), contract("a", "")];
    let after = [team(""), contract("a", ""), reader.to_owned()];
    let none = Options::default();
    let made = ["+topic r.dead-letters 1", "+r"];
    check(&before, &[plain("a")], &after, &none, &made);
    let kept = |days: i64| topic("r.dead-letters", 4, days * DAY_MS, MESSAGE_BYTES);
    let wider = ["~topic r.dead-letters wide retention.ms", "+r"];
    check(&before, &[plain("a"), kept(30)], &after, &none, &wider);
    // Whoever keeps them longer loses nothing.
    check(&before, &[plain("a"), kept(365)], &after, &none, &["+r"]);
}

#[test]
fn documents_are_put_replaced_and_left_alone() {
    let set = [team(""), contract("a", "")];
    let topics = [plain("a"), plain("b"), plain("c")];
    let none = Options::default();
    let with_b = [team(""), contract("a", ""), contract("b", "")];
    check(
        &set,
        &topics,
        &with_b,
        &none,
        &["=topic b", "+b contract-added"],
    );
    check(
        &set,
        &topics[..1],
        &with_b,
        &none,
        &["+topic b 3", "+b contract-added"],
    );
    // What is not among them stays.
    let planned = check(
        &set,
        &topics,
        &[team(""), contract("b", "")],
        &none,
        &[
            "=topic b",
            "+b contract-added",
            "(in force and not among these documents, stays: `a`)",
        ],
    );
    let names: Vec<&str> = planned
        .documents
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b", "t"]);
    let raised = [team(""), version("a", "1.1.0", "")];
    let planned = check(&set, &topics, &raised, &none, &["~a described"]);
    let Action::ReplaceDocument(entry) = &planned.plan.actions[0] else {
        panic!("{:?}", planned.plan.actions);
    };
    assert_eq!(
        (entry.from.as_deref(), &*entry.version),
        (Some("1.0.0"), "1.1.0")
    );
    let broken = contract("a", "").replace("a.json", "b.json");
    let broken = [team(""), broken];
    check(&set, &topics, &broken, &none, &["~a schema-incompatible"]);
}

#[test]
fn only_those_that_are_named() {
    let set = [team(""), contract("a", "")];
    let wanted = [team(""), version("a", "1.1.0", ""), contract("b", "")];
    let topics = [plain("a"), plain("b")];
    let only = options(|it| it.only = names(&["b"]));
    check(
        &set,
        &topics,
        &wanted,
        &only,
        &["=topic b", "+b contract-added"],
    );
    let unknown = options(|it| it.only = names(&["c"]));
    check(&set, &topics, &wanted, &unknown, &["!c"]);
}

#[test]
fn nothing_goes_that_was_not_named() {
    let set = [team(""), contract("a", ""), contract("b", "")];
    let topics = [plain("a"), plain("b")];
    let others = [team(""), contract("a", "")];
    let delete = options(|it| it.delete = names(&["b"]));
    check(&set, &topics, &others, &delete, &["-b contract-removed"]);
    // One that is still in the folder would come back with the next apply.
    check(&set, &topics, &set, &delete, &["!b"]);
    let gone = options(|it| it.delete = names(&["c"]));
    check(&set, &topics, &set, &gone, &["(`c` is not in force)"]);
    let topic_too = options(|it| {
        it.delete = names(&["b"]);
        it.delete_topics = names(&["b"]);
    });
    check(
        &set,
        &topics,
        &others,
        &topic_too,
        &["-b contract-removed", "-topic b"],
    );
    let topic_alone = options(|it| it.delete_topics = names(&["b"]));
    let stays = "(in force and not among these documents, stays: `b`)";
    check(&set, &topics, &others, &topic_alone, &["!b", stays]);
    let foreign = options(|it| {
        it.delete = names(&["b"]);
        it.delete_topics = names(&["x"]);
    });
    let with_x = [plain("a"), plain("b"), plain("x")];
    check(
        &set,
        &with_x,
        &others,
        &foreign,
        &["-b contract-removed", "!x"],
    );
    // Applied again after a break: the contract went, its topic did not.
    let (mut current, folded) = in_force(&set);
    let after = drafted(&current, &folded, &topics, &others, &delete);
    (current.pieces, current.contracts) = (after.pieces, after.contracts);
    let again = drafted(&current, &folded, &topics, &others, &topic_too);
    assert_eq!(lines(&again.plan), ["-topic b", "(`b` is not in force)"]);
}

#[test]
fn topics_are_widened_and_narrowed_only_by_name() {
    let set = [team(""), contract("a", "")];
    let kept = |days: i64| [topic("a", 3, days * DAY_MS, MESSAGE_BYTES)];
    let none = Options::default();
    check(&set, &kept(7), &set, &none, &["~topic a wide retention.ms"]);
    check(&set, &kept(90), &set, &none, &["!a"]);
    let allowed = options(|it| it.allow_narrowing = names(&["a"]));
    check(
        &set,
        &kept(90),
        &set,
        &allowed,
        &["~topic a narrow retention.ms"],
    );
    let for_ever = [topic("a", 3, -1, MESSAGE_BYTES)];
    check(&set, &for_ever, &set, &none, &["!a"]);
    let small = [topic("a", 3, 30 * DAY_MS, 1_000)];
    check(
        &set,
        &small,
        &set,
        &none,
        &["~topic a wide max.message.bytes"],
    );
    // A shorter promise says so, and its topic follows once that is allowed.
    let shorter = [team(""), contract("a", "  topic: {retention: 7d}\n")];
    check(
        &set,
        &kept(30),
        &shorter,
        &none,
        &["~a retention-shortened", "!a"],
    );
    check(
        &set,
        &kept(30),
        &shorter,
        &allowed,
        &["~a retention-shortened", "~topic a narrow retention.ms"],
    );
    // An adopted topic shows each difference.
    let new = [team(""), contract("b", "")];
    let other = [plain("a"), topic("b", 3, 90 * DAY_MS, 1_000)];
    let stays = "(in force and not among these documents, stays: `a`)";
    check(
        &set,
        &other,
        &new,
        &options(|it| it.allow_narrowing = names(&["b"])),
        &[
            "=topic b",
            "~topic b wide max.message.bytes",
            "+b contract-added",
            "~topic b narrow retention.ms",
            stays,
        ],
    );
}

#[test]
fn partitions_grow_where_no_order_breaks() {
    let set = [team(""), contract("a", "")];
    let six = |more: &str| {
        let keyless =
            contract("a", "  topic: {partitions: 6}\n").replace("$.id}", &format!("$.id{more}}}"));
        [team(""), keyless]
    };
    let none = Options::default();
    let topics = [plain("a")];
    check(
        &set,
        &topics,
        &six(""),
        &none,
        &["~a partitions-reorder", "!a"],
    );
    let migrating = options(|it| it.migrating = true);
    check(
        &set,
        &topics,
        &six(""),
        &migrating,
        &["~topic a 3>6", "~a partitions-reorder"],
    );
    let free = six(", ordering: none");
    let expected = ["~topic a 3>6", "~a order-lost,partitions-raised"];
    check(&set, &topics, &free, &none, &expected);
    // None get fewer.
    let nine = [topic("a", 9, 30 * DAY_MS, MESSAGE_BYTES)];
    let note = "(topic `a` keeps its `9` partitions, `a` says `3`: no topic gets fewer)";
    check(&set, &nine, &set, &none, &[note]);
}

#[test]
fn schemas_are_tried_in_the_registry_before_anything_is_done() {
    let set = [team("")];
    let none = Options::default();
    let with = |name: &str, file: &str| {
        contract(name, "").replace("a.json", &format!("{file}, subject: s"))
    };
    let topics = [plain("a"), plain("b")];
    let one = [team(""), with("a", "a.json")];
    check(
        &set,
        &topics,
        &one,
        &none,
        &["=topic a", "+schema s 1", "+a contract-added"],
    );
    // Two of one subject: the second is judged by what the first leaves.
    let same = [team(""), with("a", "a.json"), with("b", "a.json")];
    let planned = check(
        &set,
        &topics,
        &same,
        &none,
        &[
            "=topic a",
            "=topic b",
            "+schema s 1",
            "+a contract-added",
            "+b contract-added",
        ],
    );
    assert_eq!(planned.plan.add, 3);
    let other = [team(""), with("a", "a.json"), with("b", "b.json")];
    check(
        &set,
        &topics,
        &other,
        &none,
        &[
            "=topic a",
            "=topic b",
            "+schema s 1",
            "+a contract-added",
            "+b contract-added",
            "!b",
        ],
    );
}

#[test]
fn what_no_log_takes_is_refused_before_anything_is_done() {
    let set = [team("")];
    let none = Options::default();
    let large = [team(""), contract("a", "  topic: {maxMessage: 8MiB}\n")];
    check(&set, &[], &large, &none, &["+a contract-added", "!a"]);
    let many = [
        team(""),
        contract("a", "  topic: {partitions: 60}\n"),
        contract("b", "  topic: {partitions: 60}\n"),
    ];
    let expected = [
        "+topic a 60",
        "+topic b 60",
        "+a contract-added",
        "+b contract-added",
        "!topics",
    ];
    check(&set, &[], &many, &none, &expected);
    let own = [plain("_tidegate.own"), plain("Zed")];
    let contracts = [team(""), contract("z", "  topic: {name: Zed}\n")];
    check(
        &set,
        &own,
        &contracts,
        &none,
        &["=topic Zed", "+z contract-added"],
    );
    let mut internal = plain("Zed");
    internal.internal = true;
    check(
        &set,
        &[internal],
        &contracts,
        &none,
        &["+z contract-added", "!z"],
    );
}

#[test]
fn a_set_that_does_not_hold_together_is_no_plan() {
    let (current, folded) = in_force(&[team(""), contract("a", "")]);
    let world = World {
        privacy: Privacy::default(),
        topics: BTreeMap::new(),
        bounds: bounds(),
        registry: Arc::default(),
    };
    let told = |documents: &[String], options: &Options| {
        let wanted = load::split(&texts(documents)).unwrap();
        let planned = plan(&current, &folded, &world, &wanted, options);
        planned.err().expect("it cannot be used").to_string()
    };
    let none = Options::default();
    // The team goes while its contract stays.
    let orphan = told(
        &[contract("a", "")],
        &options(|it| it.delete = names(&["t"])),
    );
    assert!(orphan.contains("owner `t` is no team"), "{orphan}");
    let same_type = contract("b", "  event: {type: a}\n");
    let twice = told(&[team(""), same_type], &none);
    assert!(
        twice.contains("the event type `a` already, at all.yaml:"),
        "{twice}"
    );
    let broken = contract("b", "").replace("a.json", "broken.json");
    let broken = told(&[team(""), broken], &none);
    assert!(broken.contains("schema-compiles"), "{broken}");
}

#[test]
fn owners_are_asked_for_what_concerns_them() {
    let ask = "topic: 1, breaking: 2, reader: 1";
    let set = [team(ask), contract("a", "")];
    let topics = [plain("a")];
    let none = Options::default();
    let new = [team(ask), contract("a", ""), contract("b", "")];
    check(
        &set,
        &topics,
        &new,
        &none,
        &["+topic b 3", "+b contract-added", "?t topic 0/1"],
    );
    // One that is there needs no leave to exist.
    let there = [plain("a"), plain("b")];
    check(
        &set,
        &there,
        &new,
        &none,
        &["=topic b", "+b contract-added"],
    );
    let breaking = [team(ask), contract("a", "").replace("a.json", "b.json")];
    let expected = ["~a schema-incompatible", "?t breaking 0/2"];
    check(&set, &topics, &breaking, &none, &expected);
    let safe = [team(ask), version("a", "1.1.0", "")];
    check(&set, &topics, &safe, &none, &["~a described"]);
    // No plan lowers its own bar, nor the next one's.
    let lowered = [team(""), contract("a", "").replace("a.json", "b.json")];
    let expected = ["~a schema-incompatible", "~t", "?t breaking 0/2"];
    check(&set, &topics, &lowered, &none, &expected);
    check(
        &set,
        &topics,
        &[team("")],
        &none,
        &[
            "~t",
            "?t breaking 0/2",
            "(in force and not among these documents, stays: `a`)",
        ],
    );
    // A reader concerns those whose events it reads.
    let reader = "apiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {name: r, owner: t}\nspec:\n  contract: a\n  accepts: \">=1\"\n  via: {kafka: {group: r}}\n";
    let with_reader = [team(ask), contract("a", ""), reader.to_owned()];
    check(&set, &topics, &with_reader, &none, &["+r", "?t reader 0/1"]);
    let raised = [team("topic: 5, breaking: 2, reader: 1")];
    let stays = "(in force and not among these documents, stays: `a`)";
    check(&set, &topics, &raised, &none, &["~t", stays]);
}

#[test]
fn an_approval_is_for_one_plan() {
    let ask = [team("breaking: 2"), contract("a", "")];
    let (current, mut folded) = in_force(&ask);
    let topics = [plain("a")];
    let none = Options::default();
    let breaking = [
        team("breaking: 2"),
        contract("a", "").replace("a.json", "b.json"),
    ];
    let draft = |folded: &Folded, topics: &[Topic], documents: &[String]| {
        drafted(&current, folded, topics, documents, &none).plan
    };
    let first = draft(&folded, &topics, &breaking);
    assert_eq!(
        first.id,
        draft(&folded, &topics, &breaking).id,
        "the same plan"
    );
    for (at, name) in ["anna", "anna", "ben"].into_iter().enumerate() {
        let approval = super::record::Approval::new(first.id.clone(), name.to_owned(), 5);
        let record = super::record::approval_record(&approval);
        folded
            .apply(&record, i64::try_from(at).unwrap() + 2_000)
            .unwrap();
        let missing = draft(&folded, &topics, &breaking).approvals[0].is_missing();
        assert_eq!(missing, at < 2, "different names count");
    }
    // Another text, another topic to be made, another state: another plan.
    let other = [team("breaking: 2"), breaking[1].clone() + "# a note\n"];
    for plan in [
        draft(&folded, &topics, &other),
        draft(&folded, &[], &breaking),
    ] {
        assert_ne!(plan.id, first.id);
        assert!(plan.approvals[0].is_missing());
    }
    let mut later = Current {
        set: current.set.clone(),
        pieces: current.pieces.clone(),
        contracts: Arc::clone(&current.contracts),
    };
    later.set.generation = 2;
    let plan = drafted(&later, &folded, &topics, &breaking, &none).plan;
    assert_ne!(plan.id, first.id);
}
