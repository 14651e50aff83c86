use super::*;

/// Beside every example: who owns it.
const TEAMS: &str = "
---
apiVersion: contract/v1
kind: Team
metadata: {name: team-orders}
spec: {pager: \"mailto:orders@example.com\"}
---
apiVersion: contract/v1
kind: Team
metadata: {name: team-billing}
spec: {pager: \"mailto:billing@example.com\"}
";

fn lint_text(text: &str, schemas: &[(&str, &str)]) -> Diagnostics {
    let schema = |path: &str| {
        let found = schemas.iter().find(|(name, _)| *name == path);
        match (found, path) {
            (Some((_, text)), _) => Some((*text).to_owned()),
            (None, "schemas/any.json") => Some("{}".to_owned()),
            (None, _) => None,
        }
    };
    let files = [("contracts.yaml".to_owned(), format!("{text}{TEAMS}"))];
    let contracts = crate::load::sources(&files, &schema);
    let today = "2026-06-01".parse().unwrap();
    lint_on(
        &contracts.unwrap_or_else(|e| panic!("{e}\n{text}")),
        Some(today),
    )
}

/// The rules that are broken by a contract with these parts, worst place first.
fn broken(name: &str, metadata: &str, spec: &str, schema: &str) -> Vec<&'static str> {
    let text = format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: {name}, owner: team-orders{metadata}}}\n\
         spec:\n  schema: {{file: schemas/it.json}}\n{spec}"
    );
    let found = lint_text(&text, &[("schemas/it.json", schema)]);
    found.iter().filter_map(|finding| finding.rule).collect()
}

#[test]
fn a_rule_finds_its_bad_example_and_leaves_its_good_one_alone() {
    for rule in RULES {
        let found = lint_text(rule.bad, rule.schemas);
        assert!(!found.is_empty(), "{}", rule.name);
        for finding in &found {
            assert_eq!(finding.rule, Some(rule.name), "{finding}");
            assert_eq!(finding.level, rule.level);
            assert!(finding.line > 0, "{finding}");
        }
        let found = lint_text(rule.good, rule.schemas);
        assert!(found.is_empty(), "{}: {found}", rule.name);
    }
}

#[test]
fn rules_stand_by_name() {
    assert!(RULES.is_sorted_by_key(|rule| rule.name));
}

const FACT: &str = "  class: fact\n  key: {from: $.orderId}\n";

#[test]
fn an_allowance_is_of_one_document_and_one_rule() {
    let allow = ", allow: [{rule: retention-bounded, why: the law asks for it}]";
    let long = format!("{FACT}  topic: {{retention: 36500d}}\n");
    assert_eq!(
        broken("order-placed", "", &long, "{}"),
        ["retention-bounded"]
    );
    assert!(broken("order-placed", allow, &long, "{}").is_empty());
    let other = ", allow: [{rule: names-alike, why: a reason}]";
    assert_eq!(
        broken("order-placed", other, &long, "{}"),
        ["allowance-used", "retention-bounded"]
    );
    // What does not work cannot be meant.
    let window = format!("{FACT}  topic: {{retention: 7d}}\n  replay: {{window: 8d}}\n");
    let error = ", allow: [{rule: replay-within-retention, why: a reason}]";
    let found = broken("order-placed", error, &window, "{}");
    assert_eq!(found, ["allowance-known", "replay-within-retention"]);
}

#[test]
fn a_reader_has_allowances_of_its_own() {
    let allowed = |allow: &str| {
        let rule = rule("reader-handles-duplicates").unwrap();
        let bad = rule.bad.replace(
            "owner: team-billing",
            &format!("owner: team-billing{allow}"),
        );
        let found = lint_text(&bad, rule.schemas);
        found
            .iter()
            .filter_map(|finding| finding.rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(allowed(""), ["reader-handles-duplicates"]);
    let why = "why: it only counts";
    let same = format!(", allow: [{{rule: reader-handles-duplicates, {why}}}]");
    assert!(allowed(&same).is_empty());
    let unknown = format!(", allow: [{{rule: reader-handles-duplicate, {why}}}]");
    assert_eq!(
        allowed(&unknown),
        ["reader-handles-duplicates", "allowance-known"]
    );
}

#[test]
fn names_are_judged_by_words_that_tell() {
    let check = |name: &str, class: &str, expected: &[&str]| {
        let spec = format!("  class: {class}\n  key: {{from: $.orderId}}\n");
        assert_eq!(broken(name, "", &spec, "{}"), expected, "{name} {class}");
    };
    for name in [
        "order-placed",
        "order-release",
        "issues",
        "stock-level",
        "invoice-paid",
        "create",
        "news-feed",
    ] {
        check(name, "fact", &[]);
    }
    for name in ["create-order", "order-cancel", "send-mail"] {
        check(name, "fact", &["named-as-class"]);
    }
    for name in [
        "stock-reserve",
        "create-order",
        "reset-password",
        "data-feed",
    ] {
        check(name, "command", &[]);
    }
    check("order-placed", "command", &["named-as-class"]);
    for name in ["order-placed-v2", "ipv4-assigned", "order-placed-v2beta"] {
        check(name, "fact", &[]);
    }
    for name in [
        "order-placed.v1",
        "order-placed-v1",
        "order-placed-v1.2",
        "order_v0_placed",
    ] {
        check(name, "fact", &["version-not-in-name"]);
    }
}

#[test]
fn personal_fields_are_known_by_their_last_words() {
    let check = |name: &str, kind: &str, expected: bool| {
        let schema = format!(
            r#"{{"properties": {{"it": {{"properties": {{"{name}": {{"type": {kind}}}}}}}}}}}"#
        );
        let found = broken("order-placed", "", FACT, &schema);
        assert_eq!(!found.is_empty(), expected, "{name}");
    };
    for name in [
        "email",
        "billingEmail",
        "e_mail",
        "phone_number",
        "iban",
        "clientIp",
        "ip_address",
        "first_name",
        "dateOfBirth",
    ] {
        check(name, r#""string""#, true);
        check(name, r#"["string", "null"]"#, true);
    }
    for name in [
        "emailVerified",
        "ship",
        "zip",
        "full_name",
        "name",
        "email_count",
        "phone_model",
    ] {
        check(name, r#""string""#, false);
    }
    check("email", r#""boolean""#, false);
}

#[test]
fn a_key_spreads_when_it_has_many_values() {
    let check = |kind: &str, more: &str, expected: &[&str]| {
        let schema = format!(r#"{{"properties": {{"orderId": {kind}}}}}"#);
        let spec = format!("{FACT}{more}");
        assert_eq!(
            broken("order-placed", "", &spec, &schema),
            expected,
            "{kind}"
        );
    };
    let few = r#"{"enum": ["EUR", "USD", "JPY"]}"#;
    check(few, "", &["key-spreads"]);
    check(r#"{"type": "boolean"}"#, "", &["key-spreads"]);
    check(r#"{"const": "x"}"#, "", &["key-spreads"]);
    check(r#"{"type": "string"}"#, "", &[]);
    // One lane is what was asked for.
    check(few, "  topic: {partitions: 1}\n", &[]);
    let many: Vec<String> = (0..12).map(|n| format!("\"{n}\"")).collect();
    check(&format!(r#"{{"enum": [{}]}}"#, many.join(",")), "", &[]);
}

#[test]
fn retention_is_held_against_every_reader() {
    let reader = |name: &str, more: &str| {
        format!(
            "---\napiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {{name: {name}, owner: team-billing}}\nspec:\n  \
             contract: order-placed\n  accepts: '1'\n  via: {{kafka: {{group: {name}}}}}\n  duplicates: {{handling: idempotent}}\n{more}"
        )
    };
    let contract = "apiVersion: contract/v1\nkind: EventContract\nmetadata: {name: order-placed, owner: team-orders}\nspec: {class: fact, \
                    schema: {file: schemas/any.json}, key: {from: $.orderId}, topic: {retention: 5d}}\n";
    let fits = reader(
        "fits",
        "  outage: 3d\n  maxLag: {time: 24h}\n  rebuild: {target: 24h}\n",
    );
    let silent = reader("silent", "");
    let short = reader("short", "  outage: 5d\n  maxLag: {time: 1ms}\n");
    let found = lint_text(&format!("{contract}{fits}{silent}{short}"), &[]);
    assert_eq!(found.len(), 1, "{found}");
    assert!(found.to_string().contains("`short`"), "{found}");
}

#[test]
fn peaks_are_reckoned_in_lanes() {
    let check = |peak: &str, partitions: u32, expected: bool| {
        let spec = format!("{FACT}  topic: {{partitions: {partitions}, peak: {peak}}}\n");
        let found = broken("order-placed", "", &spec, "{}");
        assert_eq!(
            !found.is_empty(),
            expected,
            "{peak} {partitions}: {found:?}"
        );
    };
    check("{events: 3000/s}", 3, false);
    check("{events: 3001/s}", 3, true);
    check("{events: 3000/m}", 1, false);
    check("{bytes: 31MiB/s}", 3, true);
    check("{events: 1/s, bytes: 30MiB/s}", 3, false);
}

#[test]
fn a_sunset_is_kept_by_the_calendar_only() {
    let rule = rule("sunset-kept").unwrap();
    let files = [("contracts.yaml".to_owned(), format!("{}{TEAMS}", rule.bad))];
    let contracts = crate::load::sources(&files, &|_| Some("{}".to_owned())).unwrap();
    let on = |day: Option<&str>| {
        let found = lint_on(&contracts, day.map(|day| day.parse().unwrap()));
        found
            .iter()
            .filter_map(|finding| finding.rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(on(Some("2026-03-31")), ["sunset-kept"]);
    assert_eq!(on(Some("2026-03-30")), ["deprecated-unread"]);
    assert_eq!(on(None), ["deprecated-unread"]);
}

#[test]
fn the_field_by_which_a_reader_knows_a_repeat_is_asked_for_too() {
    let rule = RULES
        .iter()
        .find(|rule| rule.name == "reader-fields-declared");
    let rule = rule.expect("a rule of this name");
    let by = "handling: idempotent, by: $.paymentId";
    let text = rule.good.replace("handling: idempotent", by);
    let found = lint_text(&text, rule.schemas);
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert!(
        matches!(&found[..], [one] if one.contains("knows a repeat by `$.paymentId`")),
        "{found:?}"
    );
}
