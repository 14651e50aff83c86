use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Schema;
use super::super::avro::AvroSchema;
use super::super::json::JsonSchema;
use super::super::protobuf::ProtobufSchema;
use super::{Direction, check, unreadable};
use crate::model::{Compatibility, CompatibilityPolicy};

const LEVELS: [Compatibility; 7] = [
    Compatibility::None,
    Compatibility::Backward,
    Compatibility::BackwardTransitive,
    Compatibility::Forward,
    Compatibility::ForwardTransitive,
    Compatibility::Full,
    Compatibility::FullTransitive,
];
use CompatibilityPolicy::{Lenient, Strict};

fn avro(text: &Value) -> Schema {
    Schema::Avro(AvroSchema::parse("s.avsc", &text.to_string()).unwrap())
}

fn json_schema(text: &Value) -> Schema {
    Schema::Json(JsonSchema::parse("s.json", &text.to_string()).unwrap())
}

fn protobuf(text: &str) -> Schema {
    Schema::Protobuf(ProtobufSchema::parse("s.proto", text).unwrap())
}

/// What a reader of `new` finds wrong with data of `old`.
fn found(new: &Schema, old: &Schema, policy: CompatibilityPolicy) -> String {
    let found = unreadable(new, old, policy);
    let told: Vec<String> = found
        .iter()
        .map(|found| format!("{} at {}", found.rule, found.path))
        .collect();
    told.join(", ")
}

#[test]
fn json_verdicts_are_those_of_the_content_models() {
    let check = |old: Value, new: Value, strict: &str, lenient: &str| {
        let (old_schema, new_schema) = (json_schema(&old), json_schema(&new));
        assert_eq!(
            found(&new_schema, &old_schema, Strict),
            strict,
            "{old} {new}"
        );
        assert_eq!(
            found(&new_schema, &old_schema, Lenient),
            lenient,
            "{old} {new}"
        );
    };
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let closed = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
    let text = || json!({"type": "string"});
    // Adding what is optional: an open object may have held anything under the name.
    let added = "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL at #/properties/b";
    check(object(json!({})), object(json!({"b": text()})), added, "");
    check(closed(json!({})), closed(json!({"b": text()})), "", "");
    check(object(json!({})), object(json!({"b": {}})), "", "");
    // Removing it: a closed object refuses it from then on.
    let removed = "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL at #/properties/b";
    check(closed(json!({"b": text()})), closed(json!({})), removed, "");
    check(object(json!({"b": text()})), object(json!({})), "", "");
    // Closing, and asking for more, are what they are under STRICT; LENIENT lets the first pass.
    let shut = "ADDITIONAL_PROPERTIES_REMOVED at #/additionalProperties";
    check(object(json!({})), closed(json!({})), shut, "");
    let mut required = object(json!({"a": text()}));
    required["required"] = json!(["a"]);
    let rule = "REQUIRED_ATTRIBUTE_ADDED at #/required/a";
    check(object(json!({"a": text()})), required.clone(), rule, rule);
    let rule = "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL at #/properties/a";
    check(object(json!({})), required, rule, rule);
    // Types, limits and values.
    check(
        json!({"type": "integer"}),
        json!({"type": "number"}),
        "",
        "",
    );
    check(
        json!({"type": "number"}),
        json!({"type": "integer"}),
        "TYPE_NARROWED at #/",
        "TYPE_NARROWED at #/",
    );
    check(
        text(),
        json!({"type": "number"}),
        "TYPE_CHANGED at #/",
        "TYPE_CHANGED at #/",
    );
    check(text(), json!({"type": ["string", "null"]}), "", "");
    check(
        json!({"type": ["string", "null"]}),
        text(),
        "TYPE_CHANGED at #/",
        "TYPE_CHANGED at #/",
    );
    check(json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), "", "");
    let rule = "ENUM_ARRAY_NARROWED at #/enum";
    check(
        json!({"enum": ["a", "b"]}),
        json!({"enum": ["a"]}),
        rule,
        rule,
    );
    let rule = "MAX_LENGTH_DECREASED at #/maxLength, MIN_LENGTH_ADDED at #/minLength";
    check(
        json!({"type": "string", "maxLength": 5}),
        json!({"type": "string", "maxLength": 4, "minLength": 1}),
        rule,
        rule,
    );
    check(
        json!({"type": "number", "multipleOf": 4}),
        json!({"type": "number", "multipleOf": 2}),
        "",
        "",
    );
    // Alternatives are matched one to one.
    let any = |parts: Value| json!({"oneOf": parts});
    check(
        any(json!([text(), {"type": "null"}])),
        any(json!([{"type": "null"}, text(), {"type": "object"}])),
        "",
        "",
    );
    let rule = "SUM_TYPE_NARROWED at #/";
    check(
        any(json!([text(), {"type": "null"}])),
        any(json!([text()])),
        rule,
        rule,
    );
    // References are seen through, also to themselves.
    let tree = |inner: &str| {
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/t", "definitions": {"t": {
            "type": "object", "properties": {"v": {"type": inner}, "c": {"type": "array", "items": {"$ref": "#/definitions/t"}}}}}})
    };
    check(tree("integer"), tree("number"), "", "");
    let rule =
        "TYPE_NARROWED at #/properties/c/items/properties/v, TYPE_NARROWED at #/properties/v";
    check(tree("number"), tree("integer"), rule, rule);
}

#[test]
fn protobuf_verdicts_are_those_of_the_wire() {
    let check = |old: &str, new: &str, expected: &str| {
        let message = |inner: &str| protobuf(&format!("syntax = \"proto3\"; package p; {inner}"));
        assert_eq!(
            found(&message(new), &message(old), Strict),
            expected,
            "{old} {new}"
        );
    };
    let a = "message A { int32 a = 1; }";
    check(
        a,
        "message A { int64 b = 1; string c = 2; } message B {} enum E { X = 0; }",
        "",
    );
    check(a, "message A {}", "");
    check(a, "message B { int32 a = 1; }", "MESSAGE_REMOVED at #/A");
    check(
        a,
        "message A { string a = 1; }",
        "FIELD_SCALAR_KIND_CHANGED at #/A/1",
    );
    check(
        a,
        "message A { sint32 a = 1; }",
        "FIELD_SCALAR_KIND_CHANGED at #/A/1",
    );
    check(a, "message A { A a = 1; }", "FIELD_KIND_CHANGED at #/A/1");
    check(
        a,
        "message A { map<string, int32> a = 1; }",
        "FIELD_KIND_CHANGED at #/A/1",
    );
    check(a, "message A { E a = 1; } enum E { X = 0; }", "");
    check(
        "message A { optional int32 a = 1; }",
        "message A { repeated int32 a = 1; }",
        "FIELD_NUMERIC_LABEL_CHANGED at #/A/1",
    );
    check(
        "message A { optional string a = 1; }",
        "message A { repeated string a = 1; }",
        "",
    );
    check(
        "message A { map<string, int32> a = 1; }",
        "message A { map<string, string> a = 1; }",
        "FIELD_SCALAR_KIND_CHANGED at #/A/1",
    );
    let inner =
        |kind: &str| format!("message A {{ B b = 1; }} message B {{ A a = 1; {kind} c = 2; }}");
    check(
        &inner("int32"),
        &inner("string"),
        "FIELD_SCALAR_KIND_CHANGED at #/A/1/2, FIELD_NAMED_TYPE_CHANGED at #/A/1",
    );
    check(
        "message A { B b = 1; } message B {} message C {}",
        "message A { C b = 1; } message B {} message C {}",
        "FIELD_NAMED_TYPE_CHANGED at #/A/1",
    );
    check(
        "message A { int32 a = 1; int32 b = 2; }",
        "message A { oneof o { int32 a = 1; int32 b = 2; } }",
        "MULTIPLE_FIELDS_MOVED_TO_ONEOF at #/A/o",
    );
    check(
        "message A { int32 a = 1; }",
        "message A { oneof o { int32 a = 1; int32 b = 2; } }",
        "",
    );
    check(
        "message A { oneof o { int32 a = 1; } int32 b = 2; }",
        "message A { oneof o { int32 a = 1; int32 b = 2; } }",
        "FIELD_MOVED_TO_EXISTING_ONEOF at #/A/o",
    );
    check(
        "message A { oneof o { int32 a = 1; int32 b = 2; } }",
        "message A { oneof o { int32 a = 1; } }",
        "ONEOF_FIELD_REMOVED at #/A/o/2",
    );
    check(
        "message A { oneof o { int32 a = 1; int32 b = 2; } }",
        "message A {}",
        "",
    );
    let proto2 = |fields: &str| protobuf(&format!("syntax = \"proto2\"; message A {{ {fields} }}"));
    let (with, without) = (proto2("required int32 a = 1;"), proto2(""));
    assert_eq!(
        found(&with, &without, Strict),
        "REQUIRED_FIELD_ADDED at #/A/1"
    );
    assert_eq!(
        found(&without, &with, Strict),
        "REQUIRED_FIELD_REMOVED at #/A/1"
    );
    let other = protobuf("syntax = \"proto2\"; package q; message A {}");
    assert_eq!(found(&other, &without, Strict), "PACKAGE_CHANGED at #/");
}

#[test]
fn levels_ask_what_their_names_say() {
    let version = |fields: Value| avro(&json!({"type": "record", "name": "R", "fields": fields}));
    let (id, new) = (
        json!({"name": "id", "type": "int"}),
        json!({"name": "new", "type": "int"}),
    );
    let mut defaulted = new.clone();
    defaulted["default"] = json!(0);
    let (first, second, third) = (
        version(json!([id])),
        version(json!([id, defaulted])),
        version(json!([id, new])),
    );
    let verdict = |level| -> Vec<String> {
        check(level, Strict, &third, &[&first, &second])
            .iter()
            .map(|reason| {
                let Direction::Backward = reason.direction else {
                    return format!("{} forward", reason.earlier);
                };
                format!(
                    "{} {} {}",
                    reason.earlier, reason.found.rule, reason.found.path
                )
            })
            .collect()
    };
    let missing = "0 READER_FIELD_MISSING_DEFAULT_VALUE /fields/1";
    for (level, expected) in
        LEVELS
            .iter()
            .zip([&[][..], &[], &[missing], &[], &[], &[], &[missing]])
    {
        assert_eq!(verdict(*level), expected, "{level}");
    }
    let reason = &check(Compatibility::BackwardTransitive, Strict, &third, &[&first])[0];
    let expected = "the writer lacks field `new`, and it has no default";
    assert_eq!(reason.found.detail, expected);
    let other = json_schema(&json!({}));
    assert_eq!(found(&other, &first, Strict), "FORMAT_CHANGED at ");
}

/// Schemas that would cost for ever, or the stack, if pairs were not counted.
#[test]
fn hostile_schemas_come_to_an_end() {
    let mut links = serde_json::Map::new();
    for at in 0..5_000 {
        // Two ways to each next one: 2^5000 paths, 5000 deep.
        let next = json!({"$ref": format!("#/definitions/d{}", at + 1)});
        links.insert(
            format!("d{at}"),
            json!({"type": "object", "properties": {"a": next, "b": next}}),
        );
    }
    let chain = |end: &str| {
        let mut links = links.clone();
        links.insert("d5000".to_owned(), json!({"type": end}));
        json_schema(
            &json!({"$schema": "http://json-schema.org/draft-07/schema#",
            "$ref": "#/definitions/d0", "definitions": links}),
        )
    };
    let began = Instant::now();
    let verdict = found(&chain("string"), &chain("number"), Strict);
    assert!(verdict.contains("TOO_COMPLEX"), "{verdict}");
    let alternatives = |kind: &str| {
        let one = |at: usize| json!({"type": kind, "minimum": at, "maxLength": at});
        json_schema(&json!({"oneOf": (0..450).map(one).collect::<Vec<_>>()}))
    };
    assert!(!found(&alternatives("number"), &alternatives("string"), Strict).is_empty());
    assert!(found(&alternatives("number"), &alternatives("number"), Strict).is_empty());
    let ring = json_schema(&json!({"$ref": "#"}));
    assert_eq!(found(&ring, &ring, Strict), "");
    // Records in records by name, deeper than the stack would go.
    let records = |end: &str| {
        let mut branches: Vec<Value> = (0..4_000)
            .map(|at| {
                let next = format!("R{}", at + 1);
                json!({"type": "record", "name": format!("R{at}"), "fields": [
                    {"name": "a", "type": next}, {"name": "b", "type": next}]})
            })
            .collect();
        branches.push(json!({"type": "fixed", "name": "R4000", "size": end.len()}));
        avro(&json!(branches))
    };
    let verdict = found(&records("a"), &records("bb"), Strict);
    assert!(verdict.contains("MISSING_UNION_BRANCH"), "{verdict}");
    let messages = |end: &str| {
        let mut text = "syntax = \"proto3\";".to_owned();
        for at in (0..3_000).rev() {
            let next = at + 1;
            text.push_str(&format!(
                "message M{at} {{ M{next} a = 1; M{next} b = 2; }}"
            ));
        }
        protobuf(&format!("{text} message M3000 {{ {end} a = 1; }}"))
    };
    let verdict = found(&messages("int32"), &messages("string"), Strict);
    assert!(
        verdict.contains("FIELD_SCALAR_KIND_CHANGED") || verdict.contains("TOO_COMPLEX"),
        "{verdict}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["string", "number", "integer", "boolean", "null"])
            .prop_map(|name| json!({"type": name})),
        Just(json!({})),
        (0..3_u8, 3..6_u8)
            .prop_map(|(min, max)| json!({"type": "string", "minLength": min, "maxLength": max})),
        prop::sample::subsequence(vec!["a", "b", "c"], 1..=3)
            .prop_map(|values| json!({"enum": values})),
        Just(json!({"$ref": "#"})),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let properties = prop::collection::btree_map("[a-d]", inner.clone(), 0..4);
        prop_oneof![
            (
                properties,
                any::<Option<bool>>(),
                prop::sample::subsequence(vec!["a", "b"], 0..=2)
            )
                .prop_map(|(properties, open, required)| {
                    let mut schema =
                        json!({"type": "object", "properties": properties, "required": required});
                    if let Some(open) = open {
                        schema["additionalProperties"] = json!(open);
                    }
                    schema
                }),
            inner
                .clone()
                .prop_map(|items| json!({"type": "array", "items": items})),
            (
                prop::sample::select(vec!["allOf", "anyOf", "oneOf"]),
                prop::collection::vec(inner.clone(), 1..4)
            )
                .prop_map(|(name, parts)| json!({name: parts})),
            inner.prop_map(|inner| json!({"not": inner})),
        ]
    })
}

fn avro_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "int", "long", "double", "string", "bytes"])
            .prop_map(|name| json!(name)),
        Just(json!({"type": "array", "items": {"type": "map", "values": "int"}})),
        Just(json!({"type": "map", "values": "string"})),
    ];
    let field = (leaf, any::<bool>());
    prop::collection::btree_map("[a-d]", field, 0..4).prop_map(|fields| {
        let fields: Vec<Value> = fields
            .into_iter()
            .map(
                |(name, (kind, nullable))| match nullable && kind != json!("null") {
                    true => json!({"name": name, "type": ["null", kind, "R"], "default": null}),
                    false => json!({"name": name, "type": kind}),
                },
            )
            .collect();
        json!({"type": "record", "name": "R", "fields": fields})
    })
}

fn protobuf_text() -> impl Strategy<Value = String> {
    let kinds = vec![
        "int32",
        "sint64",
        "string",
        "bytes",
        "A",
        "map<string, int32>",
        "double",
        "E",
    ];
    let field = (prop::sample::select(kinds), any::<bool>());
    prop::collection::btree_map(1..6_u32, field, 0..5).prop_map(|fields| {
        let mut inner = String::new();
        for (number, (kind, repeated)) in fields {
            let label = if repeated && !kind.starts_with("map") {
                "repeated "
            } else {
                ""
            };
            inner.push_str(&format!("{label}{kind} f{number} = {number}; "));
        }
        format!("syntax = \"proto3\"; message A {{ {inner} }} enum E {{ X = 0; }}")
    })
}

fn three_schemas() -> impl Strategy<Value = [Schema; 3]> {
    prop_oneof![
        prop::array::uniform3(json_value()).prop_map(|all| all.map(|one| json_schema(&one))),
        prop::array::uniform3(avro_value()).prop_map(|all| all.map(|one| avro(&one))),
        prop::array::uniform3(protobuf_text()).prop_map(|all| all.map(|one| protobuf(&one))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn compatibility_obeys_its_laws([a, b, c] in three_schemas()) {
        for policy in [Strict, Lenient] {
            let verdict = |level, new: &Schema, old: &[&Schema]| check(level, policy, new, old);
            let fits = |level, new: &Schema, old: &[&Schema]| verdict(level, new, old).is_empty();
            let rules = |level, new: &Schema, old: &Schema| -> Vec<super::Incompatibility> {
                verdict(level, new, &[old]).into_iter().map(|reason| reason.found).collect()
            };
            for level in LEVELS {
                // Reflexive; and the first version may be anything.
                prop_assert!(fits(level, &a, &[&a]), "{level} {policy}");
                prop_assert!(fits(level, &a, &[]));
                // The transitive forms are their level against each.
                let each = [&a, &b].into_iter().all(|old| fits(level, &c, &[old]));
                let expected = if level.is_transitive() { each } else { fits(level, &c, &[&b]) };
                prop_assert_eq!(fits(level, &c, &[&a, &b]), expected);
            }
            // Forward is backward the other way round, reason by reason; full is both.
            prop_assert_eq!(rules(Compatibility::Backward, &a, &b), rules(Compatibility::Forward, &b, &a));
            let both = fits(Compatibility::Backward, &a, &[&b]) && fits(Compatibility::Forward, &a, &[&b]);
            prop_assert_eq!(fits(Compatibility::Full, &a, &[&b]), both);
            prop_assert!(fits(Compatibility::None, &a, &[&b]));
        }
        // What STRICT lets pass, LENIENT does.
        let lenient = unreadable(&a, &b, Lenient).is_empty();
        prop_assert!(lenient || !unreadable(&a, &b, Strict).is_empty());
    }
}

/// Schemas without `oneOf`, `not` and conditions: for those Confluent's rules are not sound either.
fn plain_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["string", "number", "integer", "boolean", "null"])
            .prop_map(|name| json!({"type": name})),
        Just(json!({})),
        (0..3_u8, 2..5_u8)
            .prop_map(|(min, max)| json!({"type": "string", "minLength": min, "maxLength": max})),
        (0..3_u8, 2..5_u8).prop_map(
            |(min, max)| json!({"type": "integer", "minimum": min, "exclusiveMaximum": max})
        ),
        prop::sample::subsequence(vec!["a", "b", "c"], 1..=3)
            .prop_map(|values| json!({"enum": values})),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let properties = prop::collection::btree_map("[ab]", inner.clone(), 0..3);
        let rest = prop_oneof![
            Just(None),
            any::<bool>().prop_map(|open| Some(json!(open))),
            inner.clone().prop_map(Some)
        ];
        prop_oneof![
            4 => (properties, rest, prop::sample::subsequence(vec!["a", "b"], 0..=2)).prop_map(
                |(properties, rest, required)| {
                    let mut schema = json!({"type": "object", "properties": properties, "required": required});
                    if let Some(rest) = rest {
                        schema["additionalProperties"] = rest;
                    }
                    schema
                }
            ),
            1 => (inner.clone(), 0..3_u8).prop_map(|(items, min)| json!({"type": "array", "items": items, "minItems": min})),
            1 => (prop::sample::select(vec!["allOf", "anyOf"]), prop::collection::vec(inner, 1..3))
                .prop_map(|(name, parts)| json!({name: parts})),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..6_u8).prop_map(Value::from),
        Just(json!(1.5)),
        "[abc]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => prop::collection::btree_map("[abc]", inner.clone(), 0..3).prop_map(|map| json!(map)),
            1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
        ]
    })
}

fn accepts(schema: &Schema, document: &Value) -> bool {
    let mut reasons = crate::check::Reasons::default();
    let text = document.to_string();
    let data = crate::tree::Tree::parse(text.as_bytes()).unwrap();
    schema.check(&data, &mut reasons).unwrap();
    reasons.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// What STRICT calls compatible never refuses a document that the earlier schema allowed.
    #[test]
    fn a_strict_verdict_is_kept_by_documents(
        old in plain_json(), new in plain_json(), documents in prop::collection::vec(document(), 12)
    ) {
        let (old_schema, new_schema) = (json_schema(&old), json_schema(&new));
        if unreadable(&new_schema, &old_schema, Strict).is_empty() {
            for document in documents {
                prop_assert!(!accepts(&old_schema, &document) || accepts(&new_schema, &document), "{document}");
            }
        }
    }
}
