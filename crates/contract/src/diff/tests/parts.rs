//! Keys that hold many things: they are compared by their names.

use serde_json::{Value, json};

use super::{order, rules, set};

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
