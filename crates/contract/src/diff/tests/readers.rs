//! Whom a change breaks: its readers, and the events that are kept.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::diff::retained::{Judge, Stored, Tally};
use crate::diff::{Change, EventPlace, Severity, diff};
use crate::load;
use crate::model::Contracts;

/// Schemas by their files; what follows the name in a comment is what differs from `order.json`.
fn schema_text(path: &str) -> Option<String> {
    let order = |total: Value, more: Value, required: &[&str]| {
        let mut properties = json!({"id": {"type": "string"}, "customer": {"type": "string"}, "total": total,
            "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}}});
        properties
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"type": "object", "properties": properties, "required": required}).to_string()
    };
    let (number, all) = (json!({"type": "integer"}), ["id", "customer", "total"]);
    Some(match path {
        "order.json" => order(number, json!({}), &all),
        "text-total.json" => order(json!({"type": "string"}), json!({}), &all),
        "optional-total.json" => order(number, json!({}), &all[..2]),
        "no-total.json" => order(json!(false), json!({}), &all[..2]),
        "no-lines.json" => order(number, json!({"lines": {"type": "array"}}), &all),
        "more.json" => order(number, json!({"note": {"type": "string"}}), &all),
        "number-sku.json" => order(
            number,
            json!({"lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "integer"}}}}}),
            &all,
        ),
        "order.avsc" => r#"{"type": "record", "name": "O", "fields": [{"name": "id", "type": "string"}, {"name": "total", "type": "long"}]}"#.to_owned(),
        "less.avsc" => r#"{"type": "record", "name": "O", "fields": [{"name": "id", "type": "string"}]}"#.to_owned(),
        _ => return None,
    })
}

fn order(spec: Value) -> Value {
    let mut document = json!({
        "apiVersion": "contract/v1", "kind": "EventContract",
        "metadata": {"name": "order-placed", "version": "2.0.0"},
        "spec": {"class": "fact", "schema": {"file": "order.json"}, "key": {"from": "$.id"}},
    });
    let into = document["spec"].as_object_mut().unwrap();
    into.extend(spec.as_object().unwrap().clone());
    document
}

fn version(version: &str) -> Value {
    let mut document = order(json!({}));
    document["metadata"]["version"] = json!(version);
    document
}

fn schema(file: &str) -> Value {
    order(json!({"schema": {"file": file}}))
}

fn reader(name: &str, spec: Value) -> Value {
    let mut document = json!({
        "apiVersion": "contract/v1", "kind": "ConsumerContract",
        "metadata": {"name": name, "owner": "team-b"},
        "spec": {"contract": "order-placed", "accepts": ">=1 <3", "via": {"kafka": {"group": name}}},
    });
    let into = document["spec"].as_object_mut().unwrap();
    into.extend(spec.as_object().unwrap().clone());
    document
}

fn load(documents: &[Value]) -> Contracts {
    let text: Vec<String> = documents.iter().map(Value::to_string).collect();
    let files = [("contracts.yaml".to_owned(), text.join("\n---\n"))];
    load::sources(&files, &schema_text).unwrap_or_else(|found| panic!("{found}"))
}

/// What is told about readers: severity, reader, rule and field.
fn told(changes: &[Change]) -> Vec<String> {
    let about = |change: &Change| {
        let reader = change.reader.as_ref()?;
        let field = reader.field.as_deref().unwrap_or("-");
        Some(format!(
            "{} {} {} {field}",
            change.severity.as_str(),
            reader.name,
            change.rule
        ))
    };
    changes.iter().filter_map(about).collect()
}

#[track_caller]
fn check(before: &Value, after: &Value, spec: Value, expected: &[&str]) {
    let reader = reader("r", spec);
    let old = load(&[before.clone(), reader.clone()]);
    let new = load(&[after.clone(), reader.clone()]);
    assert_eq!(told(&diff(&old, &new)), expected);
    // What is as it was is told to nobody.
    assert_eq!(told(&diff(&new, &new)), [""; 0]);
}

#[test]
fn one_change_and_three_readers_breaks_exactly_one() {
    let three = [
        reader("archive", json!({"reads": ["$.id", "$.customer"]})),
        reader("billing", json!({"reads": ["$.total"]})),
        reader("stock", json!({"reads": ["$.lines"]})),
    ];
    let set = |file: &str| load(&[&[schema(file)][..], &three[..]].concat());
    let changes = diff(&set("order.json"), &set("text-total.json"));
    let expected = ["breaking billing reader-field-type $.total"];
    assert_eq!(told(&changes), expected);
    let change = changes
        .iter()
        .find(|change| change.reader.is_some())
        .unwrap();
    let text = change.to_string();
    let says = "reader `billing` of `team-b` (group `billing`) reads `$.total`, which was `integer` and is `string` [reader-field-type]";
    assert!(text.contains(says), "{text}");
    let concerned = change.reader.as_ref().unwrap();
    assert_eq!(
        (concerned.owner.as_str(), concerned.group.as_str()),
        ("team-b", "billing")
    );
}

#[test]
fn a_reader_is_told_of_the_fields_it_reads() {
    let before = schema("order.json");
    let total = || json!({"reads": ["$.total"]});
    let one = |file: &str, spec: Value, expected: &[&str]| {
        check(&before, &schema(file), spec, expected);
    };
    one("more.json", total(), &[]);
    one(
        "text-total.json",
        total(),
        &["breaking r reader-field-type $.total"],
    );
    one(
        "optional-total.json",
        total(),
        &["breaking r reader-field-optional $.total"],
    );
    one(
        "no-total.json",
        total(),
        &["breaking r reader-field-gone $.total"],
    );
    let experimental = json!({"reads": ["$.total"], "priority": "experimental"});
    one(
        "no-total.json",
        experimental,
        &["risky r reader-field-gone $.total"],
    );
    // What is in the items of a list that it reads counts too.
    let lines = json!({"reads": ["$.lines"]});
    one(
        "number-sku.json",
        lines,
        &["breaking r reader-field-type $.lines.sku"],
    );
    one("number-sku.json", total(), &[]);
    // Of what goes with all in it, the outermost is told.
    let lines = json!({"reads": ["$.lines"]});
    one(
        "no-lines.json",
        lines,
        &["breaking r reader-field-gone $.lines.sku"],
    );
    let requires =
        json!({"reads": ["$.id"], "requires": [{"name": "paid", "expr": "message.total > 0"}]});
    one(
        "no-total.json",
        requires,
        &["breaking r reader-rule-field-gone $.total"],
    );
    // One that does not say what it reads is broken by whatever breaks the promise, `BACKWARD`.
    one(
        "text-total.json",
        json!({}),
        &["breaking r reader-schema-broken -"],
    );
    one("more.json", json!({}), &[]);
}

#[test]
fn a_reader_is_told_of_what_it_counts_on() {
    let before =
        order(json!({"topic": {"partitions": 3, "retention": "7d"}, "replay": {"window": "7d"}}));
    let one = |after: Value, spec: Value, expected: &[&str]| check(&before, &after, spec, expected);
    let fields = || json!({"reads": ["$.id"]});
    let with = |topic: Value, more: Value| {
        let mut spec = json!({"topic": topic, "replay": {"window": "7d"}});
        let into = spec.as_object_mut().unwrap();
        into.extend(more.as_object().unwrap().clone());
        order(spec)
    };
    let topic = || json!({"partitions": 3, "retention": "7d"});
    one(
        with(
            json!({"name": "other", "partitions": 3, "retention": "7d"}),
            json!({}),
        ),
        fields(),
        &["breaking r reader-topic-moved -"],
    );
    one(
        with(json!({"partitions": 6, "retention": "7d"}), json!({})),
        fields(),
        &["breaking r reader-reordered -"],
    );
    one(
        with(topic(), json!({"key": {"from": "$.customer"}})),
        fields(),
        &["breaking r reader-key-moved $.id"],
    );
    one(
        with(
            topic(),
            json!({"key": {"from": "$.id", "ordering": "none"}}),
        ),
        fields(),
        &["breaking r reader-order-lost -"],
    );
    let long = json!({"reads": ["$.id"], "outage": "3d", "maxLag": {"time": "1h"}, "rebuild": {"target": "2d"}});
    let short = with(
        json!({"partitions": 3, "retention": "5d"}),
        json!({"replay": {"window": "5d"}}),
    );
    one(
        short.clone(),
        long.clone(),
        &["breaking r reader-retention-short -"],
    );
    one(short, fields(), &[]);
    let window = with(topic(), json!({"replay": {"window": "5d"}}));
    one(window, long, &["breaking r reader-replay-short -"]);
    check(
        &version("2.9.0"),
        &version("3.0.0"),
        json!({}),
        &["breaking r reader-version-outside -"],
    );
    check(&version("2.0.0"), &version("2.1.0"), json!({}), &[]);
    let text = json!({"reads": ["$.id"], "outage": "6d", "rebuild": {"target": "2d"}});
    let old = load(&[before.clone(), reader("r", fields())]);
    let new = load(&[before.clone(), reader("r", text)]);
    let changes = diff(&old, &new);
    let first = &changes[0].finding;
    let says = "needs events for `outage` 6d + `rebuild.target` 2d, and the retention is `7d`";
    assert!(first.message.ends_with(says), "{}", first.message);
}

#[test]
fn a_contract_that_goes_leaves_its_readers_behind() {
    let reader = reader("r", json!({}));
    let old = load(&[order(json!({"event": {"type": "a"}})), reader.clone()]);
    let gone = load(std::slice::from_ref(&reader));
    assert_eq!(
        told(&diff(&old, &gone)),
        ["breaking r reader-contract-gone -"]
    );
    let mut renamed = order(json!({"event": {"type": "a"}}));
    renamed["metadata"]["name"] = json!("order-made");
    let renamed = load(&[renamed, reader]);
    assert_eq!(
        told(&diff(&old, &renamed)),
        ["breaking r reader-contract-gone -"]
    );
}

#[test]
fn what_changes_of_readers_is_told() {
    let one = |before: Value, after: Value, expected: &[&str]| {
        let old = load(&[schema("order.json"), reader("r", before)]);
        let new = load(&[schema("order.json"), reader("r", after)]);
        assert_eq!(told(&diff(&old, &new)), expected);
    };
    one(
        json!({}),
        json!({"via": {"kafka": {"group": "g"}}}),
        &["risky r reader-group-moved -"],
    );
    one(
        json!({}),
        json!({"accepts": ">=2 <3"}),
        &["risky r reader-accepts-narrowed -"],
    );
    one(
        json!({}),
        json!({"accepts": ">=1 <4"}),
        &["safe r described -"],
    );
    one(
        json!({}),
        json!({"priority": "repair"}),
        &["risky r reader-priority-lowered -"],
    );
    one(
        json!({"priority": "repair"}),
        json!({}),
        &["safe r described -"],
    );
    let letters = json!({"failure": {"deadLetter": {"owner": "team-b"}}});
    one(letters, json!({}), &["risky r reader-dead-letters-lost -"]);
    let stated = |field: &str| json!({"reads": [field]});
    one(
        json!({}),
        stated("$.nope"),
        &["breaking r reader-field-gone $.nope", "safe r described -"],
    );
    one(
        json!({}),
        json!({"accepts": ">=3"}),
        &[
            "breaking r reader-version-outside -",
            "risky r reader-accepts-narrowed -",
        ],
    );
    let with = load(&[schema("order.json"), reader("r", json!({}))]);
    let without = load(&[schema("order.json")]);
    assert_eq!(told(&diff(&without, &with)), ["safe r reader-added -"]);
    assert_eq!(told(&diff(&with, &without)), ["risky r reader-removed -"]);
    let mut stray = reader("r", json!({}));
    stray["spec"]["contract"] = json!("nope");
    let stray = load(&[schema("order.json"), stray]);
    let expected = ["risky r reader-contract-unknown -", "safe r reader-added -"];
    assert_eq!(told(&diff(&without, &stray)), expected);
}

#[test]
fn readers_may_stand_in_either_set() {
    let contracts = load(&[schema("order.json")]);
    let both = load(&[
        schema("order.json"),
        reader("r", json!({"reads": ["$.total"]})),
    ]);
    let changed = load(&[schema("no-total.json")]);
    let expected = ["breaking r reader-field-gone $.total"];
    // A producer's folder against a set that has the readers.
    assert_eq!(told(&diff(&both, &changed.completed_by(&both))), expected);
    assert_eq!(told(&diff(&both, &changed.over(&both))), expected);
    // A reader's folder against a set that has the contracts.
    let readers = load(&[reader("r", json!({"reads": ["$.nope"]}))]);
    let expected = [
        "breaking r reader-field-gone $.nope",
        "safe r reader-added -",
    ];
    assert_eq!(
        told(&diff(&contracts, &readers.completed_by(&contracts))),
        expected
    );
    assert_eq!(told(&diff(&contracts, &readers.over(&contracts))), expected);
    // Laying over takes nothing away, but one event type has one contract.
    let mut other = order(json!({"event": {"type": "b"}, "topic": {"name": "b"}}));
    other["metadata"]["name"] = json!("other");
    let other = load(&[other]);
    assert_eq!(other.over(&both).len(), 2);
    assert!(other.over(&both).reader("r").is_some());
    let mut renamed = schema("order.json");
    renamed["metadata"]["name"] = json!("order-made");
    renamed["spec"]["event"] = json!({"type": contracts.iter().next().unwrap().event.event_type});
    assert_eq!(load(&[renamed]).over(&contracts).len(), 1);
}

fn stored(offset: i64, data: Value) -> Stored {
    Stored {
        place: EventPlace {
            topic: "orders".to_owned(),
            partition: 0,
            offset,
        },
        at_ms: 1_000 + offset,
        media_type: None,
        time: None,
        data: Bytes::from(data.to_string()),
    }
}

/// Holds events against a change and returns what is found.
fn judged(old: &Contracts, new: &Contracts, events: &[Stored]) -> Vec<Change> {
    let after = new.by_name("order-placed").unwrap();
    let Some(judge) = Judge::new(old, new, after) else {
        return Vec::new();
    };
    let mut tally = Tally::default();
    events
        .iter()
        .for_each(|event| judge.judge(&mut tally, event, None));
    judge.findings(&tally, events.len() as u64)
}

fn events() -> Vec<Stored> {
    let event = |total: Value| json!({"id": "a", "customer": "c", "total": total});
    vec![
        stored(0, event(json!("free"))),
        stored(1, event(json!("a lot"))),
        stored(2, event(json!(7))),
        stored(3, event(json!(8))),
    ]
}

#[test]
fn retained_events_name_the_reader_that_they_break_and_the_first() {
    let three = [
        reader("archive", json!({"reads": ["$.id", "$.customer"]})),
        reader("billing", json!({"reads": ["$.total"]})),
        reader("stock", json!({"reads": ["$.lines"]})),
    ];
    let set = |file: &str| load(&[&[schema(file)][..], &three[..]].concat());
    // The first two broke the contract before as well.
    let found = judged(&set("order.json"), &set("text-total.json"), &events());
    assert_eq!(
        told(&found),
        ["breaking billing reader-events-fail $.total"]
    );
    assert_eq!(found[0].rule, "retained-events-fail");
    for change in &found {
        let place = change.first_offset.as_ref().unwrap();
        assert_eq!((place.partition, place.offset), (0, 2), "{change}");
        assert!(
            change
                .finding
                .message
                .contains("2 of 4 events of the replay window"),
            "{change}"
        );
    }
    let says =
        "`#/data/total` must be a string (schema:type); the first is `orders` partition 0 offset 2";
    assert!(
        found[1].finding.message.ends_with(says),
        "{}",
        found[1].finding.message
    );
    // Nothing changed, nothing is judged.
    assert_eq!(
        judged(&set("order.json"), &set("order.json"), &events()),
        []
    );
}

#[test]
fn a_new_reader_is_held_against_all_that_is_kept() {
    let contract = schema("order.json");
    let old = load(std::slice::from_ref(&contract));
    let with = |spec: Value| load(&[contract.clone(), reader("r", spec)]);
    let found = judged(&old, &with(json!({"reads": ["$.total"]})), &events());
    assert_eq!(told(&found), ["breaking r reader-events-fail $.total"]);
    assert_eq!(found[0].first_offset.as_ref().unwrap().offset, 0);
    assert_eq!(
        judged(&old, &with(json!({"reads": ["$.id"]})), &events()),
        []
    );
    let rule =
        |expr: &str| json!({"reads": ["$.id"], "requires": [{"name": "large", "expr": expr}]});
    let large = with(rule("message.total > 7"));
    let found = judged(&old, &large, &events());
    assert_eq!(told(&found), ["breaking r reader-events-fail -"]);
    let says = "requires `large`, and 3 of 4 events of the replay window break that";
    assert!(
        found[0].finding.message.contains(says),
        "{}",
        found[0].finding.message
    );
    // The rule was there before: these events do not owe themselves to the change.
    let changed = load(&[schema("more.json"), reader("r", rule("message.total > 7"))]);
    let found = judged(&large, &changed, &events());
    assert_eq!(told(&found), ["risky r reader-events-failed -"]);
}

#[test]
fn events_are_judged_as_readers_would_read_them() {
    let avro = |file: &str| {
        order(json!({"schema": {"file": file, "format": "avro", "compatibility": "BACKWARD"}}))
    };
    let set = |file: &str, spec: Value| load(&[avro(file), reader("r", spec)]);
    let reads_id = || json!({"reads": ["$.id"]});
    // `x`, and 1 as zig-zag.
    let binary = Stored {
        media_type: Some("application/avro".to_owned()),
        data: Bytes::from_static(&[2, b'x', 2]),
        ..stored(0, json!(null))
    };
    let text = stored(1, json!({"id": "x", "total": 1}));
    // A field that is gone is passed over.
    let found = judged(
        &set("order.avsc", reads_id()),
        &set("less.avsc", reads_id()),
        &[binary.clone(), text],
    );
    assert_eq!(found, []);
    // One that came without a default is missing in all that is kept.
    let less = Stored {
        data: Bytes::from_static(&[2, b'x']),
        ..binary
    };
    let total = || json!({"reads": ["$.total"], "accepts": ">=1"});
    let found = judged(
        &set("less.avsc", total()),
        &set("order.avsc", total()),
        &[less],
    );
    assert_eq!(told(&found), ["breaking r reader-events-fail $.total"]);
    assert_eq!(found[0].severity, Severity::Breaking);
}
