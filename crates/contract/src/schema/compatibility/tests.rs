use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::Schema;
use super::super::avro::AvroSchema;
use super::super::json::JsonSchema;
use super::super::protobuf::ProtobufSchema;
use super::{BEYOND_CONFLUENT, Direction, check, check_as_confluent, unreadable};
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

/// Of each pair the first takes a document that the second refuses.
#[test]
fn what_confluent_lets_pass_is_told_under_strict() {
    let mut told = std::collections::BTreeSet::new();
    let mut check = |old: &Schema, new: &Schema, rule: &'static str| {
        let ours = unreadable(new, old, Strict);
        assert!(
            ours.iter().any(|found| found.rule == rule),
            "{rule}: {ours:?}"
        );
        let by_confluent = check_as_confluent(Compatibility::Backward, Strict, new, &[old]);
        assert_eq!(by_confluent, [], "{rule}");
        let lenient = unreadable(new, old, Lenient);
        let is_protobuf = matches!(old, Schema::Protobuf(_));
        assert_eq!(
            lenient.is_empty(),
            rule != "REQUIRED_NAME_ADDED" && !is_protobuf,
            "{rule}"
        );
        told.insert(rule);
    };
    let mut json =
        |old: Value, new: Value, rule| check(&json_schema(&old), &json_schema(&new), rule);
    let object = |key: &str, value: Value| json!({"type": "object", key: value});
    json(
        object("title", json!("")),
        object("required", json!(["a"])),
        "REQUIRED_NAME_ADDED",
    );
    let defaulted =
        json!({"type": "object", "properties": {"a": {"type": "string", "default": ""}}});
    let mut required = defaulted.clone();
    required["required"] = json!(["a"]);
    json(defaulted, required, "REQUIRED_DESPITE_DEFAULT");
    json(
        json!({"minLength": 1}),
        json!({"type": "string", "minLength": 1}),
        "TYPE_ADDED",
    );
    json(
        json!({"oneOf": [{"type": "integer"}]}),
        json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        "ALTERNATIVES_OVERLAP",
    );
    json(
        json!({"type": "null"}),
        json!({"oneOf": [{"type": "null"}, {}]}),
        "ALTERNATIVES_OVERLAP",
    );
    json(
        json!({"type": "null"}),
        json!({"oneOf": [{"type": "null"}, {"type": "null"}]}),
        "ALTERNATIVES_OVERLAP",
    );
    let when = |then: Value| json!({"if": {"type": "string"}, "then": then});
    json(
        when(json!({})),
        when(json!({"type": "string", "minLength": 1})),
        "CONDITION_CHANGED",
    );
    let list = |key: &str, value: Value| json!({"type": "array", key: value});
    json(
        list("title", json!("")),
        list("contains", json!({"type": "null"})),
        "CONTAINS_CHANGED",
    );
    json(
        list("contains", json!({})),
        list("contains", json!({"type": "null"})),
        "CONTAINS_CHANGED",
    );
    json(
        object("title", json!("")),
        object("propertyNames", json!({"maxLength": 1})),
        "PROPERTY_NAMES_CHANGED",
    );
    let matching = |kind: &str| object("patternProperties", json!({"^a": {"type": kind}}));
    json(
        matching("number"),
        matching("string"),
        "PATTERN_PROPERTIES_CHANGED",
    );
    let mut declared = matching("number");
    declared["properties"] = json!({"b": {"type": "string"}});
    json(
        matching("number"),
        declared,
        "PROPERTY_ADDED_BESIDE_PATTERNS",
    );
    json(
        json!({"type": "array", "items": {}, "unevaluatedItems": {"type": "null"}}),
        json!({"type": "array", "unevaluatedItems": {"type": "null"}}),
        "UNEVALUATED_CHANGED",
    );
    let mut protobuf = |syntax: &str, old: &str, new: &str, rule| {
        let message =
            |fields: &str| protobuf(&format!("syntax = \"{syntax}\"; message A {{ {fields} }}"));
        check(&message(old), &message(new), rule);
    };
    protobuf(
        "proto2",
        "optional string a = 1;",
        "required string a = 1;",
        "FIELD_MADE_REQUIRED",
    );
    protobuf(
        "proto3",
        "repeated int32 a = 1;",
        "int32 a = 1;",
        "FIELD_PACKED_LIST_CHANGED",
    );
    assert!(
        BEYOND_CONFLUENT.iter().all(|rule| told.contains(rule)),
        "{told:?}"
    );
}

/// What can be seen to be apart is no overlap.
#[test]
fn alternatives_that_differ_may_come() {
    let action = |name: &str| json!({"type": "object", "required": ["action"], "properties": {"action": {"type": "string", "enum": [name]}}});
    let grown = |more: Value| {
        [
            json!({"oneOf": [action("created"), {"type": "null"}]}),
            json!({"oneOf": [action("created"), {"type": "null"}, more]}),
        ]
    };
    let nested = json!({"allOf": [{"type": "object"}, action("deleted")]});
    for more in [
        action("deleted"),
        json!({"type": "string"}),
        json!({"const": 1}),
        nested,
    ] {
        let [old, new] = grown(more);
        assert_eq!(
            found(&json_schema(&new), &json_schema(&old), Strict),
            "",
            "{new}"
        );
    }
    for more in [
        action("created"),
        json!({"type": "object"}),
        json!({"not": {"type": "null"}}),
    ] {
        let [old, new] = grown(more);
        assert_eq!(
            found(&json_schema(&new), &json_schema(&old), Strict),
            "ALTERNATIVES_OVERLAP at #/",
            "{new}"
        );
    }
    // Those that overlapped before overlap no more than they did.
    let both =
        |least: u8| json!({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": least}]});
    assert_eq!(
        found(&json_schema(&both(5)), &json_schema(&both(5)), Strict),
        ""
    );
    assert_eq!(
        found(&json_schema(&both(3)), &json_schema(&both(5)), Strict),
        "ALTERNATIVES_OVERLAP at #/"
    );
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
