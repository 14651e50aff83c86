use super::{Diagnostics, sources};
use crate::model::Contracts;

/// A contract as small as can be, and the folder for what a case adds.
const SMALL: &str = "apiVersion: contract/v1\nkind: EventContract\nmetadata: {name: order-placed}\nspec:\n  class: fact\n  schema: {file: schemas/order.json}\n  key: {from: $.id}\n";

const TEAM: &str = "\n---\napiVersion: contract/v1\nkind: Team\nmetadata: {name: team-orders}\nspec: {pager: \"mailto:orders@example.com\"}\n";

fn load(files: &[(&str, &str)]) -> Result<Contracts, Diagnostics> {
    let files: Vec<(String, String)> = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    sources(
        &files,
        &|path| match path.strip_prefix("contracts/").unwrap_or(path) {
            "schemas/order.json" => Some(r#"{"definitions": {"order": {}}}"#.to_owned()),
            "schemas/broken.json" => Some("{".to_owned()),
            "schemas/backtracks.json" => Some(r#"{"pattern": "(?!a)"}"#.to_owned()),
            _ => None,
        },
    )
}

fn errors(text: &str) -> String {
    load(&[("contracts/orders.yaml", text)])
        .map(|_| String::new())
        .unwrap_or_else(|e| e.to_string())
}

/// Checks the whole error text of a contract that is the small one with a part replaced.
fn check(from: &str, to: &str, expected: &str) {
    assert!(SMALL.contains(from), "{from}");
    assert_eq!(
        errors(&SMALL.replacen(from, to, 1)),
        expected.trim_start_matches('\n')
    );
}

#[test]
fn four_keys_are_enough() {
    let contracts = load(&[("orders.yaml", SMALL)]).unwrap();
    let contract = contracts.by_name("order-placed").unwrap();
    assert_eq!(contract.event.event_type, "order-placed");
    assert_eq!(contract.topic.name, "order-placed");
    assert_eq!(contract.file(), "orders.yaml");
    assert!(contracts.by_type("order-placed").is_some());
    assert!(contracts.by_type("other").is_none());
}

#[test]
fn an_unknown_key_names_the_nearest_known_one_or_its_home() {
    check(
        "key: {from: $.id}",
        "key: {form: $.id, from: $.id}",
        r#"
error: contracts/orders.yaml:7:9: unknown key `form` in `spec.key`
7 |   key: {form: $.id, from: $.id}
  |         ^^^^
hint: did you mean `from`?"#,
    );
    check(
        "  key:",
        "  retention: 7d\n  key:",
        r#"
error: contracts/orders.yaml:7:3: unknown key `retention` in `spec`
7 |   retention: 7d
  |   ^^^^^^^^^
hint: `retention` belongs in `spec.topic`"#,
    );
    check(
        "  key: {",
        "  topic: {Partition: 3}\n  key: {",
        r#"
error: contracts/orders.yaml:7:11: unknown key `Partition` in `spec.topic`
7 |   topic: {Partition: 3}
  |           ^^^^^^^^^
hint: did you mean `partitions`?"#,
    );
    check(
        "  key: {",
        "  topic: {zebra: 3}\n  key: {",
        r#"
error: contracts/orders.yaml:7:11: unknown key `zebra` in `spec.topic`
7 |   topic: {zebra: 3}
  |           ^^^^^
hint: its keys are `name`, `partitions`, `retention`, `cleanup`, `maxMessage`, `peak`, `enforce`"#,
    );
}

#[test]
fn a_schema_id_needs_the_subject_whose_it_is() {
    check(
        "schema: {file: schemas/order.json}",
        "schema: {file: schemas/order.json, schemaId: header}",
        r#"
error: contracts/orders.yaml:6:48: `schema.schemaId` needs a `subject`, whose ids it writes
6 |   schema: {file: schemas/order.json, schemaId: header}
  |                                                ^^^^^^
hint: name the registry's subject in `schema.subject`"#,
    );
}

#[test]
fn events_for_other_companies_have_identities() {
    check(
        "class: fact",
        "class: fact\n  audience: partner\n  ingress: {idempotency: {required: false}}",
        r#"
error: contracts/orders.yaml:7:37: events for `partner` readers need identities: they come twice
7 |   ingress: {idempotency: {required: false}}
  |                                     ^^^^^
hint: remove `required: false`: with `audience: partner` it is `true`"#,
    );
}

#[test]
fn what_nothing_enforces_yet_is_refused_by_name() {
    check(
        "  key:",
        "  objectives: {availability: 99.9%}\n  key:",
        r#"
error: contracts/orders.yaml:7:3: `spec.objectives` is not supported yet
7 |   objectives: {availability: 99.9%}
  |   ^^^^^^^^^^
hint: remove it: nothing would enforce it in this version"#,
    );
    check(
        "class: fact",
        "class: state",
        r#"
error: contracts/orders.yaml:5:10: `spec.class: state` is not supported yet
5 |   class: state
  |          ^^^^^
hint: use one of `fact`, `command`, `telemetry`"#,
    );
    check(
        "class: fact",
        "class: fact\n  topic: {cleanup: [delete, compact]}",
        r#"
error: contracts/orders.yaml:6:29: `spec.topic.cleanup: compact` is not supported yet
6 |   topic: {cleanup: [delete, compact]}
  |                             ^^^^^^^
hint: write `delete`"#,
    );
}

#[test]
fn a_value_of_the_wrong_form_is_shown() {
    check(
        "class: fact",
        "class: facts",
        r#"
error: contracts/orders.yaml:5:10: `spec.class` cannot be `facts`
5 |   class: facts
  |          ^^^^^
hint: did you mean `fact`?"#,
    );
    check(
        "name: order-placed",
        "name: Order Placed",
        r#"
error: contracts/orders.yaml:3:18: `metadata.name` is not a name of lower-case letters, digits, `.`, `_` and `-`
3 | metadata: {name: Order Placed}
  |                  ^^^^^^^^^^^^"#,
    );
    check(
        "class: fact",
        "class: fact\n  topic: {retention: 7}",
        r#"
error: contracts/orders.yaml:6:22: `spec.topic.retention` takes text, not a number
6 |   topic: {retention: 7}
  |                      ^
hint: it is a duration such as `30s`, `24h` or `7d`"#,
    );
    check(
        "name: order-placed",
        "name: 2026",
        r#"
error: contracts/orders.yaml:3:18: `metadata.name` takes text, not a number
3 | metadata: {name: 2026}
  |                  ^^^^
hint: put it in quotes: "2026""#,
    );
    check(
        "class: fact",
        "class: fact\n  topic: {partitions: 0}",
        r#"
error: contracts/orders.yaml:6:23: `spec.topic.partitions` is not a whole number from 1 to 1000
6 |   topic: {partitions: 0}
  |                       ^"#,
    );
    check(
        "class: fact",
        "class: fact\n  topic: {cleanup: delete}",
        r#"
error: contracts/orders.yaml:6:20: `spec.topic.cleanup` takes a list, not text
6 |   topic: {cleanup: delete}
  |                    ^^^^^^
hint: such as `[delete]`"#,
    );
    check(
        "class: fact",
        "class: fact\n  summary:",
        r#"
error: contracts/orders.yaml:6:3: `spec.summary` is empty
6 |   summary:
  |   ^^^^^^^
hint: give it a value, or remove the line"#,
    );
    check(
        "key: {from: $.id}",
        "key: $.id",
        r#"
error: contracts/orders.yaml:7:8: `spec.key` takes a map, not text
7 |   key: $.id
  |        ^^^^
hint: its keys are `from`, `onMissing`, `ordering`"#,
    );
    check(
        "  key:",
        "  ingress: {idempotency: {required: yes}}\n  key:",
        r#"
error: contracts/orders.yaml:7:37: `spec.ingress.idempotency.required` takes `true` or `false`, not text
7 |   ingress: {idempotency: {required: yes}}
  |                                     ^^^"#,
    );
}

#[test]
fn what_is_missing_is_named_to_the_leaf() {
    check(
        "  key: {from: $.id}\n",
        "",
        r#"
error: contracts/orders.yaml:4:1: `spec.key.from` is missing
4 | spec:
  | ^^^^
hint: add `from`, where the data holds the record's key: a text, an integer or a flag"#,
    );
    check(
        "apiVersion: contract/v1\n",
        "",
        r#"
error: contracts/orders.yaml:1:1: `apiVersion` is missing
1 | kind: EventContract
  | ^
hint: add `apiVersion`, the version of this format"#,
    );
    check(
        "kind: EventContract\n",
        "",
        r#"
error: contracts/orders.yaml:1:1: `kind` is missing
1 | apiVersion: contract/v1
  | ^
hint: write `kind:` with one of `EventContract`, `ConsumerContract`, `Team`"#,
    );
}

#[test]
fn a_deprecation_is_of_a_contract_on_its_way_out_and_gives_time() {
    let found = |lifecycle: &str, deprecation: &str| {
        errors(&format!(
            "{SMALL}  lifecycle: {lifecycle}\n  deprecation: {deprecation}\n"
        ))
    };
    let said = |lifecycle: &str, deprecation: &str, expected: &str| {
        let found = found(lifecycle, deprecation);
        assert!(found.contains(expected), "{found}");
    };
    said(
        "active",
        "{since: 2026-01-31}",
        "`spec.deprecation` is of a contract on its way out, and this one is `active`",
    );
    said(
        "deprecated",
        "{since: 2026-01-31, sunset: 2026-01-31}",
        "`spec.deprecation.sunset`, `2026-01-31`, is not after `since`, `2026-01-31`",
    );
    said(
        "deprecated",
        "{since: 2026-02-30}",
        "`spec.deprecation.since` `2026-02-30` is no day of the calendar",
    );
    said(
        "retired",
        "{since: 2026-01-31, successor: order-placed}",
        "contract `order-placed` cannot be its own successor",
    );
}

#[test]
fn every_finding_of_every_document_is_reported() {
    let text = SMALL
        .replace("class: fact", "class: fac\n  bogus: 1")
        .replace("$.id", "id");
    let broken = format!("{text}---\n- a list\n---\nkind: Teem\n");
    insta::assert_snapshot!(errors(&broken));
}

#[test]
fn names_types_and_topics_are_unique_across_files() {
    let again = |more: &str| format!("{SMALL}{more}");
    let other = SMALL.replace("order-placed", "order-other");
    let found = load(&[
        ("a.yaml", SMALL),
        ("b.yaml", &again("")),
        (
            "c/d.yaml",
            &format!(
                "{}  event: {{type: order-placed}}\n  topic: {{name: order-placed}}\n",
                other.replace("schemas", "../schemas")
            ),
        ),
    ]);
    insta::assert_snapshot!(found.unwrap_err().to_string());
    let twice = format!("{SMALL}{TEAM}{TEAM}");
    insta::assert_snapshot!(errors(&twice));
}

#[test]
fn an_owner_is_a_team_of_the_set() {
    let owned = SMALL.replace(
        "{name: order-placed}",
        "{name: order-placed, owner: team-orders}",
    );
    insta::assert_snapshot!(errors(&owned));
    let contracts = load(&[("a.yaml", &owned), ("teams.yaml", TEAM)]).unwrap();
    assert_eq!(
        contracts.team("team-orders").unwrap().pager,
        "mailto:orders@example.com"
    );
    assert_eq!(contracts.teams().count(), 1);
}

#[test]
fn a_schema_that_cannot_be_used_is_shown_where_it_is_named() {
    let mut all = String::new();
    for file in [
        "schemas/missing.json",
        "schemas/broken.json",
        "schemas/backtracks.json",
        "schemas/order.json#/definitions/other",
        "../../../etc/passwd.json",
        "/etc/passwd",
        "schemas\\order.json",
        "https://example.com/a.json",
    ] {
        all.push_str(&errors(
            &SMALL.replace("schemas/order.json", &format!("\"{file}\"")),
        ));
        all.push_str("\n\n");
    }
    insta::assert_snapshot!(all);
    let pointed = SMALL.replace(
        "schemas/order.json",
        "schemas/order.json#/definitions/order",
    );
    assert_eq!(errors(&pointed), "");
}

#[test]
fn yaml_that_is_none_has_a_place_too() {
    let mut all = String::new();
    for text in [
        "a: b: c",
        "a: [1,",
        "a: 1\na: 2",
        "\ta: 1",
        "a: *nowhere",
        "a: &x [*x]",
    ] {
        all.push_str(&errors(text));
        all.push_str("\n\n");
    }
    insta::assert_snapshot!(all);
}

#[test]
fn aliases_cannot_make_a_small_file_large() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let last = n - 1;
        let ten = vec![format!("*a{last}"); 10].join(",");
        text.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
    }
    assert!(errors(&text).starts_with("error: contracts/orders.yaml:"));
}

#[test]
fn empty_files_and_documents_are_no_contracts() {
    for text in ["", "---\n", "# nothing\n", "---\n---\n"] {
        assert!(load(&[("a.yaml", text)]).unwrap().is_empty(), "{text:?}");
    }
}

#[test]
fn no_text_makes_the_loader_panic() {
    use proptest::prelude::*;
    proptest!(|(text in "[ -~\n\u{e9}]{0,80}", at in 0..SMALL.len())| {
        let broken = format!("{}{text}{}", &SMALL[..at], &SMALL[at..]);
        let _found = errors(&broken).len();
    });
}

#[test]
fn expressions_and_fields_are_found_wrong_where_they_stand() {
    check(
        "schema: {file: ",
        "schema: {rules: [{name: a, expr: message.total >}], file: ",
        r#"
error: contracts/orders.yaml:6:36: `spec.schema.rules[0].expr` is no CEL expression: 1:16: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
6 |   schema: {rules: [{name: a, expr: message.total >}], file: schemas/order.json}
  |                                    ^^^^^^^^^^^^^^^
hint: such as `message.total.amount > 0`"#,
    );
    check(
        "  key:",
        "  privacy: {fields: {$.nobody: {category: contact}}}\n  key:",
        r#"
error: contracts/orders.yaml:7:43: there is no field `$.nobody` in the schema
7 |   privacy: {fields: {$.nobody: {category: contact}}}
  |                                           ^^^^^^^
hint: a field about a person that nobody can find is protected by nobody"#,
    );
    check(
        "class: fact",
        "class: fact\n  ingress: {request: {schema: schemas/order.json, map: {id: 'request.a.all(x, request.b.all(y, x == y))'}}}",
        r#"
error: contracts/orders.yaml:6:61: `spec.ingress.request.map[id]` has a macro such as `all` inside another, whose cost grows with the square of the data
6 |   ingress: {request: {schema: schemas/order.json, map: {id: 'request.a.all(x, request.b.all(y, x == y))'}}}
  |                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
hint: a path such as `$.id`, or CEL such as `request.amount * 100`"#,
    );
}

#[test]
fn events_are_not_copied_in_a_circle() {
    let contract = |name: &str, from: &str| {
        format!(
            "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: {name}}}\nspec:\n  class: fact\n  schema: {{file: schemas/order.json}}\n  key: {{from: $.id}}\n  migration: {{from: {from}, map: {{id: $.id}}}}\n"
        )
    };
    let found = errors(&contract("a", "a"));
    assert!(
        found.contains("8:21: `migration.from` leads from `a` back to `a`"),
        "{found}"
    );
    let three = [contract("a", "c"), contract("b", "a"), contract("c", "b")].join("---\n");
    let found = errors(&three);
    let said = "leads from `b` to `a` to `c` back to `b`";
    assert!(found.contains(said), "{found}");
    // One that leads into the circle is not part of it.
    let found = errors(&[contract("a", "a"), contract("b", "a")].join("---\n"));
    assert_eq!(found.matches("error:").count(), 1, "{found}");
    assert_eq!(errors(&contract("b", "elsewhere")), "");
}

#[test]
fn a_family_of_types_ends_in_an_asterisk_and_is_there_once() {
    let with_type = |rule: &str| {
        SMALL.replacen(
            "  class: fact\n",
            &format!("  class: fact\n  event: {{type: \"{rule}\"}}\n"),
            1,
        )
    };
    let family = with_type("com.shop.*");
    let contracts = load(&[("orders.yaml", &family)]).unwrap();
    assert!(contracts.by_type("com.shop.order").is_some());
    assert!(contracts.by_type("com.shop").is_none());
    let migration = "  migration: {from: other, map: {id: $.id}}\n";
    let mut told = String::new();
    for text in [
        with_type("*"),
        with_type("com.*.order"),
        format!("{family}{migration}"),
        format!(
            "{family}---\n{}",
            family.replace("order-placed", "order-other")
        ),
    ] {
        told.push_str(&errors(&text));
        told.push_str("\n\n");
    }
    insta::assert_snapshot!(told);
}
