use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{RULES, Severity, diff, diff_earlier};
use crate::load;
use crate::model::Contracts;

/// Two schemas beside `order.json`; the second of each pair is what the first became.
fn schema_text(path: &str) -> Option<String> {
    let text = match path {
        "order.json" => json!({"type": "object", "properties": {"id": {"type": "string"}}}),
        "more.json" => {
            json!({"type": "object", "properties": {"id": {"type": "string"}, "note": {"type": "string"}}})
        }
        "other.json" => json!({"type": "object", "properties": {"id": {"type": "integer"}}}),
        "order.avsc" => {
            json!({"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]})
        }
        "other.avsc" => {
            json!({"type": "record", "name": "Order", "fields": [{"name": "key", "type": "string"}]})
        }
        _ => return None,
    };
    Some(text.to_string())
}

fn order() -> Value {
    json!({
        "apiVersion": "contract/v1",
        "kind": "EventContract",
        "metadata": {"name": "order-placed", "version": "2.0.0"},
        "spec": {"class": "fact", "schema": {"file": "order.json"}, "key": {"from": "$.id"}},
    })
}

fn set(document: &Value, key: &str, value: &Value) -> Value {
    let mut changed = document.clone();
    let mut at = &mut changed;
    let names: Vec<&str> = key.split('.').collect();
    for name in &names[..names.len() - 1] {
        at = at
            .as_object_mut()
            .unwrap()
            .entry(*name)
            .or_insert_with(|| json!({}));
    }
    let at = at.as_object_mut().unwrap();
    match value {
        Value::Null => drop(at.shift_remove(*names.last().unwrap())),
        value => drop(at.insert((*names.last().unwrap()).to_owned(), value.clone())),
    }
    changed
}

fn load(documents: &[Value]) -> Contracts {
    let mut text: Vec<String> = documents.iter().map(Value::to_string).collect();
    for team in ["a", "b"] {
        text.push(format!("apiVersion: contract/v1\nkind: Team\nmetadata: {{name: {team}}}\nspec: {{pager: \"mailto:a@example.com\"}}"));
    }
    let files = [("contracts.yaml".to_owned(), text.join("\n---\n"))];
    load::sources(&files, &schema_text).unwrap_or_else(|e| panic!("{e}"))
}

/// The rules that a change breaks, worst first.
fn rules<const A: usize, const B: usize>(old: [Value; A], new: [Value; B]) -> Vec<&'static str> {
    diff(&load(&old), &load(&new))
        .iter()
        .map(|change| change.rule)
        .collect()
}

#[test]
fn every_key_has_a_judgement_both_ways() {
    let cases = [
        (
            "metadata.version",
            json!("2.0.9"),
            json!("2.1.0"),
            "described",
            "version-lowered",
        ),
        (
            "metadata.domain",
            json!("a"),
            json!("b"),
            "described",
            "described",
        ),
        (
            "metadata.owner",
            json!(null),
            json!("a"),
            "described",
            "owner-removed",
        ),
        (
            "spec.summary",
            json!("a"),
            json!("b"),
            "described",
            "described",
        ),
        (
            "spec.lifecycle",
            json!("draft"),
            json!("active"),
            "lifecycle-moved",
            "events-refused",
        ),
        (
            "spec.event.type",
            json!("a"),
            json!("b"),
            "type-changed",
            "type-changed",
        ),
        (
            "spec.event.source",
            json!(null),
            json!("/a"),
            "source-narrowed",
            "relaxed",
        ),
        (
            "spec.event.id",
            json!(null),
            json!("$.id"),
            "identity-required",
            "identity-changed",
        ),
        (
            "spec.event.time.from",
            json!("$.a"),
            json!("$.b"),
            "time-changed",
            "time-changed",
        ),
        (
            "spec.event.time.maxSkew",
            json!("5m"),
            json!("10m"),
            "relaxed",
            "time-narrowed",
        ),
        (
            "spec.event.time.maxAge",
            json!(null),
            json!("7d"),
            "time-narrowed",
            "relaxed",
        ),
        (
            "spec.event.time.onMissing",
            json!("receipt"),
            json!("reject"),
            "time-required",
            "relaxed",
        ),
        (
            "spec.schema.compatibility",
            json!("BACKWARD"),
            json!("FULL"),
            "compatibility-raised",
            "compatibility-weakened",
        ),
        (
            "spec.schema.compatibilityPolicy",
            json!("LENIENT"),
            json!("STRICT"),
            "compatibility-raised",
            "compatibility-weakened",
        ),
        (
            "spec.schema.subject",
            json!(null),
            json!("orders-value"),
            "subject-changed",
            "subject-changed",
        ),
        (
            "spec.schema.schemaId",
            json!(null),
            json!("header"),
            "relaxed",
            "schema-id-moved",
        ),
        (
            "spec.topic.enforce",
            json!(["schema"]),
            json!(["key", "schema"]),
            "enforcement-raised",
            "relaxed",
        ),
        (
            "spec.key.from",
            json!("$.a"),
            json!("$.b"),
            "key-moved",
            "key-moved",
        ),
        (
            "spec.key.onMissing",
            json!("keyless"),
            json!("reject"),
            "key-required",
            "key-optional",
        ),
        (
            "spec.key.ordering",
            json!("none"),
            json!("per-key"),
            "relaxed",
            "order-lost",
        ),
        (
            "spec.topic.name",
            json!("a"),
            json!("b"),
            "topic-changed",
            "topic-changed",
        ),
        (
            "spec.topic.partitions",
            json!(3),
            json!(6),
            "partitions-reorder",
            "partitions-lowered",
        ),
        (
            "spec.topic.retention",
            json!("7d"),
            json!("30d"),
            "relaxed",
            "retention-shortened",
        ),
        (
            "spec.topic.maxMessage",
            json!("1KiB"),
            json!("1MiB"),
            "limit-raised",
            "limit-lowered",
        ),
        (
            "spec.ingress.idempotency.required",
            json!(false),
            json!(true),
            "identity-required",
            "identity-changed",
        ),
        (
            "spec.ingress.idempotency.window",
            json!("1h"),
            json!("24h"),
            "relaxed",
            "window-shortened",
        ),
        (
            "spec.privacy.classification",
            json!("internal"),
            json!("restricted"),
            "classification-changed",
            "classification-changed",
        ),
        (
            "spec.replay.window",
            json!("7d"),
            json!("14d"),
            "relaxed",
            "replay-shortened",
        ),
        (
            "spec.topic.peak.events",
            json!("60/m"),
            json!("2/s"),
            "peak-raised",
            "relaxed",
        ),
        (
            "spec.topic.peak.bytes",
            json!(null),
            json!("1MiB/s"),
            "described",
            "described",
        ),
        (
            "spec.ingress.onInvalid",
            json!("reject"),
            json!("quarantine"),
            "relaxed",
            "quarantine-lost",
        ),
    ];
    let mut judged = BTreeSet::new();
    for (key, from, to, there, back) in cases {
        let order = match key {
            "spec.schema.schemaId" => set(&order(), "spec.schema.subject", &json!("a")),
            _ => order(),
        };
        let (old, new) = (set(&order, key, &from), set(&order, key, &to));
        assert_eq!(rules([old.clone()], [new.clone()]), [there], "{key}");
        assert_eq!(rules([new], [old]), [back], "{key}");
        judged.insert(key.to_owned());
    }
    // These have one word so far, are told by another rule, or cannot differ.
    let others = [
        "apiVersion",
        "kind",
        "metadata.name",
        "spec.class",
        "spec.audience",
        "spec.event.mode",
        "spec.schema.format",
        "spec.schema.file",
        "spec.topic.cleanup",
        "spec.ingress.idempotency.scope",
        "spec.ingress.idempotency.fingerprint",
        // Compared part by part, below.
        "spec.schema.rules",
        "spec.ingress.request",
        "spec.privacy.fields",
        "spec.privacy.regions",
        "spec.deprecation",
        "metadata.allow",
        "spec.migration",
        "spec.ingress.auth",
        "spec.ingress.quotas",
        "spec.ingress.ackAfter",
    ];
    judged.extend(others.map(str::to_owned));
    let contracts = load(&[order()]);
    let order = contracts.by_name("order-placed").unwrap();
    let keys: BTreeSet<String> = order.explain().iter().map(|e| e.key.clone()).collect();
    assert_eq!(judged, keys);
}

#[test]
fn what_means_the_same_is_no_change() {
    let check = |key: &str, from: Value, to: Value| {
        assert!(
            rules([set(&order(), key, &from)], [set(&order(), key, &to)]).is_empty(),
            "{key}"
        );
    };
    check("spec.topic.retention", json!("7d"), json!("168h"));
    check("spec.topic.retention", json!(null), json!("30d"));
    check("spec.topic.maxMessage", json!("1MiB"), json!("1024KiB"));
    check("spec.event.time.maxSkew", json!(null), json!("300s"));
    check(
        "spec.schema.file",
        json!("order.json"),
        json!("./order.json#"),
    );
}

#[test]
fn rules_fields_and_requests_are_compared_by_their_names() {
    let with_rules = |list: Value| set(&order(), "spec.schema.rules", &list);
    let rule =
        |name: &str, expr: &str, on: &str| json!({"name": name, "expr": expr, "onFailure": on});
    let (strict, warns) = (
        rule("a", "message.id != ''", "reject"),
        rule("a", "message.id != ''", "warn"),
    );
    let other = rule("a", "size(message.id) > 1", "reject");
    let unrelated = rule("b", "true", "warn");
    let check = |from: Value, to: Value, expected: &[&str]| {
        assert_eq!(rules([from.clone()], [to.clone()]), expected, "{from} {to}");
    };
    check(order(), with_rules(json!([strict])), &["rule-added"]);
    check(order(), with_rules(json!([warns])), &["relaxed"]);
    check(
        with_rules(json!([warns])),
        with_rules(json!([strict])),
        &["rule-added"],
    );
    check(
        with_rules(json!([strict])),
        with_rules(json!([other])),
        &["rule-changed"],
    );
    check(with_rules(json!([strict])), order(), &["rule-removed"]);
    // Another place in the file is no change.
    check(
        with_rules(json!([strict, unrelated])),
        with_rules(json!([unrelated, strict])),
        &[],
    );
    let with_fields = |fields: Value| set(&order(), "spec.privacy.fields", &fields);
    let id = json!({"$.id": {"category": "identity"}});
    check(order(), with_fields(id.clone()), &["described"]);
    check(with_fields(id), order(), &["personal-undeclared"]);
    let with_regions = |regions: Value| set(&order(), "spec.privacy.regions", &regions);
    check(order(), with_regions(json!(["eu"])), &["regions-changed"]);
    check(with_regions(json!(["eu"])), order(), &["relaxed"]);
    check(
        with_regions(json!(["eu"])),
        with_regions(json!(["us", "eu"])),
        &["relaxed"],
    );
    check(
        with_regions(json!(["eu", "us"])),
        with_regions(json!(["eu"])),
        &["regions-changed"],
    );
    let with_request = |file: &str, map: Value| {
        set(
            &order(),
            "spec.ingress.request",
            &json!({"schema": file, "map": map}),
        )
    };
    let map = json!({"id": "$.id"});
    check(
        order(),
        with_request("order.json", map.clone()),
        &["request-changed"],
    );
    let changed = with_request("other.json", map.clone());
    check(
        with_request("order.json", map.clone()),
        changed,
        &["request-changed"],
    );
    let mapped = with_request("order.json", json!({"id": "request.id + '-1'"}));
    check(with_request("order.json", map), mapped, &["request-mapped"]);
}

#[test]
fn what_senders_must_prove_and_may_send_is_compared() {
    let auth = |list: Value| set(&order(), "spec.ingress.auth", &list);
    let quotas = |list: Value| set(&order(), "spec.ingress.quotas", &list);
    let quota = |rate: (u32, &str)| json!([{"name": "q", "per": "tenant", "limit": rate.0, "every": rate.1}]);
    let check = |from: Value, to: Value, there: &[&str], back: &[&str]| {
        assert_eq!(rules([from.clone()], [to.clone()]), there, "{from} {to}");
        assert_eq!(rules([to.clone()], [from.clone()]), back, "{to} {from}");
    };
    let (narrowed, relaxed) = (["auth-narrowed"], ["relaxed"]);
    check(order(), auth(json!(["api-key"])), &narrowed, &relaxed);
    let scoped = || auth(json!(["oauth2:write"]));
    check(auth(json!(["oauth2"])), scoped(), &narrowed, &relaxed);
    let both = auth(json!(["signature", "oauth2:write"]));
    check(both, scoped(), &narrowed, &relaxed);
    let lowered = ["quota-lowered"];
    check(order(), quotas(quota((9, "1s"))), &lowered, &relaxed);
    check(
        quotas(quota((9, "1s"))),
        quotas(quota((8, "1s"))),
        &lowered,
        &relaxed,
    );
    // The same rate, of which less may come at once.
    check(
        quotas(quota((60, "1m"))),
        quotas(quota((1, "1s"))),
        &lowered,
        &relaxed,
    );
    let spelled_out =
        json!([{"name": "q", "per": "tenant", "limit": 3600, "every": "1h", "burst": 60}]);
    check(quotas(quota((60, "1m"))), quotas(spelled_out), &[], &[]);
}

#[test]
fn a_sunset_brought_forward_is_risky() {
    let deprecated = set(&order(), "spec.lifecycle", &json!("deprecated"));
    let with = |deprecation: Value| set(&deprecated, "spec.deprecation", &deprecation);
    let check = |from: Value, to: Value, there: &[&str], back: &[&str]| {
        assert_eq!(rules([from.clone()], [to.clone()]), there, "{from} {to}");
        assert_eq!(rules([to.clone()], [from.clone()]), back, "{to} {from}");
    };
    let since = with(json!({"since": "2026-01-01"}));
    let late = with(json!({"since": "2026-01-01", "sunset": "2026-12-31"}));
    let early = with(json!({"since": "2026-01-01", "sunset": "2026-06-30"}));
    let successor = with(json!({"since": "2026-01-01", "sunset": "2026-06-30", "successor": "b"}));
    check(
        deprecated.clone(),
        late.clone(),
        &["described"],
        &["described"],
    );
    check(since, late.clone(), &["sunset-nearer"], &["described"]);
    check(late, early.clone(), &["sunset-nearer"], &["described"]);
    check(early.clone(), successor, &["described"], &["described"]);
    check(early.clone(), early, &[], &[]);
}

#[test]
fn allowances_are_for_people() {
    let allowed = set(
        &order(),
        "metadata.allow",
        &json!([{"rule": "a", "why": "b"}]),
    );
    assert_eq!(rules([order()], [allowed]), ["described"]);
}

#[test]
fn bridges_are_compared_by_what_they_copy() {
    let bridged = |from: &str, id: &str, canary: Value| {
        let migration = json!({"from": from, "map": {"id": id}, "canary": canary});
        set(&order(), "spec.migration", &migration)
    };
    let first = |first: u64| json!({"first": first});
    let old = bridged("order", "$.id", first(10));
    let check = |from: &Value, to: &Value, expected: &[&str]| {
        assert_eq!(rules([from.clone()], [to.clone()]), expected, "{from} {to}");
    };
    check(&order(), &old, &["bridge-added"]);
    check(&old, &order(), &["bridge-removed"]);
    check(&old, &old, &[]);
    let other = bridged("other", "$.id", first(10));
    check(&old, &other, &["bridge-removed"]);
    let mapped = bridged("order", "message.id + '-1'", first(10));
    check(&old, &mapped, &["bridge-mapped"]);
    check(&old, &bridged("order", "$.id", first(20)), &["described"]);
}

#[test]
fn partitions_matter_where_keys_are_in_order() {
    let unordered = set(&order(), "spec.key.ordering", &json!("none"));
    let more = set(&unordered, "spec.topic.partitions", &json!(6));
    assert_eq!(rules([unordered], [more]), ["partitions-raised"]);
}

#[test]
fn contracts_come_go_and_are_renamed() {
    let draft = set(&order(), "spec.lifecycle", &json!("draft"));
    assert_eq!(rules([], [order()]), ["contract-added"]);
    assert_eq!(rules([order()], []), ["contract-removed"]);
    assert_eq!(rules([draft], []), ["contract-removed-unused"]);
    let typed = set(&order(), "spec.event.type", &json!("com.example.order"));
    let typed = set(&typed, "spec.topic.name", &json!("orders"));
    let renamed = set(&typed, "metadata.name", &json!("order-made"));
    assert_eq!(
        rules([typed.clone()], [renamed.clone()]),
        ["contract-renamed"]
    );
    assert!(rules([typed.clone()], [typed]).is_empty());
}

#[test]
fn the_schema_is_held_to_the_earlier_promise() {
    let with = |level: &str, file: &str| {
        let document = set(&order(), "spec.schema.compatibility", &json!(level));
        set(&document, "spec.schema.file", &json!(file))
    };
    assert_eq!(
        rules(
            [with("BACKWARD", "order.json")],
            [with("BACKWARD", "more.json")]
        ),
        ["schema-changed"]
    );
    assert_eq!(
        rules([with("FULL", "order.json")], [with("FULL", "other.json")]),
        ["schema-incompatible"; 2]
    );
    assert_eq!(
        rules([with("NONE", "order.json")], [with("NONE", "other.json")]),
        ["schema-unbound"]
    );
    // Weakening the promise in the same change does not help.
    let weakened = rules(
        [with("BACKWARD", "order.json")],
        [with("NONE", "other.json")],
    );
    assert_eq!(weakened, ["schema-incompatible", "compatibility-weakened"]);
    let avro = |file: &str| {
        set(
            &with("BACKWARD", file),
            "spec.schema.format",
            &json!("avro"),
        )
    };
    assert_eq!(
        rules([avro("order.avsc")], [avro("other.avsc")]),
        ["schema-incompatible"]
    );
    assert_eq!(
        rules([with("BACKWARD", "order.json")], [avro("order.avsc")]),
        ["schema-incompatible"]
    );
    let unbound = |document| set(&document, "spec.schema.compatibility", &json!("NONE"));
    let found = rules(
        [unbound(with("NONE", "order.json"))],
        [unbound(avro("order.avsc"))],
    );
    assert_eq!(found, ["format-changed", "schema-unbound"]);
}

#[test]
fn transitive_promises_look_further_back() {
    let version = |level: &str, file: &str| {
        let document = set(&order(), "spec.schema.compatibility", &json!(level));
        load(&[set(&document, "spec.schema.file", &json!(file))])
    };
    // The first had another type of id; the last before the new one promises to go on reading it.
    let first = version("BACKWARD", "other.json");
    for (level, expected) in [
        ("BACKWARD", 0),
        ("BACKWARD_TRANSITIVE", 1),
        ("FULL_TRANSITIVE", 2),
    ] {
        let (last, new) = (version(level, "order.json"), version(level, "order.json"));
        let changes = diff_earlier("v1", &first, &last, &new);
        assert_eq!(changes.len(), expected, "{level}");
        for change in changes {
            assert_eq!(change.severity, Severity::Breaking);
            let said = format!("the schema breaks `{level}` against `v1`: at `#/properties/id` ");
            assert!(
                change.finding.message.starts_with(&said),
                "{}",
                change.finding.message
            );
        }
    }
}

#[test]
fn rules_stand_by_name_and_say_what_to_do() {
    assert!(RULES.is_sorted_by_key(|rule| rule.name));
    for rule in RULES {
        assert_eq!(
            rule.hint.is_empty(),
            rule.severity == Severity::Safe,
            "{}",
            rule.name
        );
    }
}
