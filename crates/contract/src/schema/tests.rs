use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::json::{JsonSchema, SchemaFile};
use super::{SchemaError, Sources};
use crate::check::Reasons;
use crate::tree::Tree;

fn schema(text: &str) -> Result<JsonSchema, SchemaError> {
    schema_at(text, "")
}

fn file(text: &str) -> Result<SchemaFile, SchemaError> {
    let nothing = |path: &str| Err(format!("there is no schema file `{path}`"));
    SchemaFile::parse("s.json", text, &mut Sources::new(&nothing))
}

fn schema_at(text: &str, pointer: &str) -> Result<JsonSchema, SchemaError> {
    JsonSchema::at(Arc::new(file(text)?), pointer)
}

fn verdict(schema: &JsonSchema, data: &Value) -> String {
    let mut reasons = Reasons::default();
    let text = data.to_string();
    match schema.check(&Tree::parse(text.as_bytes()).unwrap(), &mut reasons) {
        Ok(()) => reasons.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn drafts_keep_their_own_rules() {
    let check = |text: &str, data: Value, expected: &str| {
        assert_eq!(verdict(&schema(text).unwrap(), &data), expected, "{text}");
    };
    let draft_7 = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}],
        "additionalItems": false}"##;
    check(draft_7, json!(["a"]), "");
    check(
        draft_7,
        json!([1]),
        "#/data/0 must be a string (schema:type)",
    );
    check(
        draft_7,
        json!(["a", 1]),
        "#/data has more items than are allowed (schema:additionalItems)",
    );
    let draft_2020 = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema",
        "prefixItems": [{"type": "string"}], "items": false}"#;
    check(draft_2020, json!(["a"]), "");
    check(
        draft_2020,
        json!(["a", 1]),
        "#/data/1 not allowed (schema:falseSchema)",
    );
    let no_draft = r#"{"prefixItems": [{"type": "string"}], "unevaluatedItems": false}"#;
    check(no_draft, json!(["a"]), "");
    check(
        no_draft,
        json!(["a", 1]),
        "#/data has more items than are allowed (schema:unevaluatedItems)",
    );
}

#[test]
fn annotations_assert_nothing() {
    let text = r#"{"format": "email", "contentEncoding": "base64", "contentMediaType": "application/json"}"#;
    for draft in [
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2020-12/schema",
    ] {
        let text = text.replacen('{', &format!(r#"{{"$schema": "{draft}", "#), 1);
        assert_eq!(
            verdict(&schema(&text).unwrap(), &json!("no mail, no base64")),
            ""
        );
    }
}

#[test]
fn reasons_name_the_place_and_the_demand_but_not_the_value() {
    let check = |schema_text: Value, data: Value, expected: &str| {
        assert_eq!(
            verdict(&schema(&schema_text.to_string()).unwrap(), &data),
            expected
        );
    };
    check(
        json!({"required": ["total"]}),
        json!({}),
        "#/data/total required (schema:required)",
    );
    check(
        json!({"required": ["a/b~c d"]}),
        json!({}),
        "#/data/a~1b~0c%20d required (schema:required)",
    );
    check(
        json!({"additionalProperties": false}),
        json!({"extra": "secret"}),
        "#/data has a property that is not allowed (schema:additionalProperties)",
    );
    check(
        json!({"properties": {"a": {}}, "additionalProperties": false}),
        json!({"extra": "secret"}),
        "#/data/extra not allowed (schema:additionalProperties)",
    );
    check(
        json!({"properties": {"a": {}}, "unevaluatedProperties": false}),
        json!({"b": "secret"}),
        "#/data/b not allowed (schema:unevaluatedProperties)",
    );
    check(
        json!({"type": ["string", "null"]}),
        json!(1),
        "#/data must be null or a string (schema:type)",
    );
    check(
        json!({"const": "a"}),
        json!("secret"),
        r#"#/data must be "a" (schema:const)"#,
    );
    check(
        json!({"enum": ["a"]}),
        json!("secret"),
        r#"#/data must be "a" (schema:enum)"#,
    );
    check(
        json!({"enum": ["a", 1]}),
        json!("secret"),
        r#"#/data must be one of ["a",1] (schema:enum)"#,
    );
    check(
        json!({"minimum": 1}),
        json!(0),
        "#/data must be at least 1 (schema:minimum)",
    );
    check(
        json!({"exclusiveMaximum": 1.5}),
        json!(2),
        "#/data must be less than 1.5 (schema:exclusiveMaximum)",
    );
    check(
        json!({"multipleOf": 2}),
        json!(3),
        "#/data must be a multiple of 2 (schema:multipleOf)",
    );
    check(
        json!({"minLength": 9}),
        json!("secret"),
        "#/data must have at least 9 characters (schema:minLength)",
    );
    check(
        json!({"maxItems": 1}),
        json!([1, 2]),
        "#/data must have at most 1 items (schema:maxItems)",
    );
    check(
        json!({"pattern": "^a+$"}),
        json!("secret"),
        "#/data must match `^a+$` (schema:pattern)",
    );
    check(
        json!({"uniqueItems": true}),
        json!([{"a": 1}, {"a": 1.0}]),
        "#/data has an item twice (schema:uniqueItems)",
    );
    check(
        json!({"contains": {"const": 1}}),
        json!([2]),
        "#/data lacks an item that it must have (schema:contains)",
    );
    check(
        json!({"not": {}}),
        json!("secret"),
        "#/data is what it must not be (schema:not)",
    );
    check(
        json!({"propertyNames": {"maxLength": 1}}),
        json!({"secret": 1}),
        "#/data has a property whose name is not allowed (schema:propertyNames)",
    );
}

#[test]
fn the_alternative_that_was_meant_gives_the_reasons() {
    let text = json!({"oneOf": [
        {"properties": {"action": {"const": "opened"}, "number": {"type": "integer"}}, "required": ["action", "number"]},
        {"properties": {"action": {"const": "closed"}}, "required": ["action", "by", "at", "why"]},
        {"anyOf": [
            {"properties": {"action": {"enum": ["moved"]}, "from": {"type": "string"}}, "required": ["from"]},
            {"properties": {"action": {"enum": ["moved"]}, "to": {"type": "string"}}, "required": ["to"]},
        ]},
    ]});
    let schema = schema(&text.to_string()).unwrap();
    let check = |data: Value, expected: &str| assert_eq!(verdict(&schema, &data), expected);
    check(
        json!({"action": "opened"}),
        "#/data/number required (schema:required)",
    );
    check(
        json!({"action": "closed", "number": 1, "by": "x"}),
        "#/data/at required (schema:required); #/data/why required (schema:required)",
    );
    check(
        json!({"action": "moved", "to": 1}),
        "#/data/from required (schema:required)",
    );
}

#[test]
fn reasons_are_capped_and_the_rest_is_counted() {
    let schema = schema(r#"{"items": {"type": "string"}}"#).unwrap();
    let mut reasons = Reasons::default();
    let text = json!(vec![0; 100]).to_string();
    let data = Tree::parse(text.as_bytes()).unwrap();
    schema.check(&data, &mut reasons).unwrap();
    assert_eq!((reasons.len(), reasons.more_than_kept()), (32, 68));
}

/// With the library's own representation these took 1.8 GB and 1.4 GB.
#[test]
fn no_data_makes_errors_without_end() {
    let alternative = |n: usize| json!({"required": [format!("a{n}"), format!("b{n}"), "c", "d"]});
    let alternatives: Vec<Value> = (0..10).map(alternative).collect();
    let wide = json!({"x": vec![0; 200_000]});
    let many = schema(&json!({"oneOf": alternatives}).to_string()).unwrap();
    let recursive = json!({"anyOf": [
        {"properties": {"a": {"$ref": "#"}}, "required": ["x"]},
        {"properties": {"a": {"$ref": "#"}}, "required": ["y"]},
    ]});
    let recursive = schema(&recursive.to_string()).unwrap();
    let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner}));
    let each = schema(r#"{"items": {"type": "string"}}"#).unwrap();
    let started = Instant::now();
    let check = |schema: &JsonSchema, data: &Value, first: &str| {
        let found = verdict(schema, data);
        assert!(found.starts_with(first), "{found}");
    };
    check(&many, &wide, "#/data/a0 required");
    check(
        &recursive,
        &deep,
        "#/data breaks its schema in too many ways",
    );
    check(&each, &json!(vec![0; 500_000]), "#/data/0 must be a string");
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn deep_data_fits_the_stack_of_a_worker() {
    let text = r##"{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "string"}]}"##;
    let schema = schema(text).unwrap();
    let check = move || {
        let deepest: Value =
            serde_json::from_str(&format!("{}{}", "[".repeat(127), "]".repeat(127))).unwrap();
        assert_eq!(verdict(&schema, &deepest), "");
        let wrong: Value =
            serde_json::from_str(&format!("{}1{}", "[".repeat(127), "]".repeat(127))).unwrap();
        assert!(verdict(&schema, &wrong).starts_with("#/data"));
    };
    // Tokio's workers have 2 MiB.
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(check)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_schema_that_refers_to_itself_comes_to_an_end() {
    let check = |text: &str| {
        let schema = schema(text).unwrap();
        verdict(&schema, &json!(1));
        verdict(&schema, &json!({"a": 1}));
    };
    check(r##"{"$ref": "#"}"##);
    check(r##"{"allOf": [{"$ref": "#"}]}"##);
    check(r##"{"anyOf": [{"$ref": "#"}, {"type": "string"}]}"##);
    check(r##"{"not": {"$ref": "#"}}"##);
}

#[test]
fn a_catastrophic_pattern_is_linear_or_refused() {
    // Exponential in an engine that backtracks; automata do not mind.
    let started = Instant::now();
    let linear = schema(r#"{"pattern": "^(a+)+$"}"#).unwrap();
    let long = format!("{}!", "a".repeat(100_000));
    assert_eq!(
        verdict(&linear, &json!(long)),
        "#/data must match `^(a+)+$` (schema:pattern)"
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );

    let check = |text: &str, pointer: &str| {
        let expected = SchemaError::Pattern {
            file: "s.json".into(),
            pointer: pointer.into(),
        };
        assert_eq!(schema(text).unwrap_err(), expected, "{text}");
    };
    check(r#"{"pattern": "^(?!a)"}"#, "#/pattern");
    check(
        r#"{"properties": {"a": {"pattern": "(a)\\1"}}}"#,
        "#/properties/a/pattern",
    );
    check(
        r#"{"items": {"patternProperties": {"(?<=a)b": {}}}}"#,
        "#/items/patternProperties",
    );
    check(
        r#"{"allOf": [{"pattern": "(a{1000}){1000}"}]}"#,
        "#/allOf/0/pattern",
    );
    // Names and examples are no patterns.
    assert!(schema(r#"{"properties": {"pattern": {"default": {"pattern": "(?!"}}}}"#).is_ok());
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_when_read() {
    let check = |text: &str, pointer: &str, expected: &str| {
        assert_eq!(schema_at(text, pointer).unwrap_err().to_string(), expected);
    };
    check(
        "{",
        "",
        "schema file `s.json` is not JSON: EOF while parsing an object at line 1 column 1",
    );
    check(
        r##"{"$schema": "http://json-schema.org/draft-04/schema#"}"##,
        "",
        "schema file `s.json` is written in http://json-schema.org/draft-04/schema#, which is not supported",
    );
    check(
        r#"{"$schema": "https://example.com/own"}"#,
        "",
        "schema file `s.json` is written in https://example.com/own, which is not supported",
    );
    check(
        r#"{"properties": {"a": {"type": "strin"}}}"#,
        "",
        "schema file `s.json` is no JSON Schema: `#/properties/a/type` fits none of the alternatives",
    );
    check(
        "{}",
        "/definitions/a",
        "schema file `s.json`: there is no `#/definitions/a`",
    );
}

#[test]
fn nothing_is_fetched() {
    for reference in [
        "https://example.com/a.json",
        "file:///etc/hostname",
        "/etc/hostname",
    ] {
        let text = json!({"properties": {"a": {"$ref": reference}}}).to_string();
        let error = schema(&text).unwrap_err().to_string();
        assert!(error.starts_with("schema file `s.json`: "), "{error}");
        assert!(error.contains("is outside of the file"), "{error}");
    }
}

#[test]
fn a_reference_may_end_in_another_file_of_the_folder() {
    let find = |path: &str| match path {
        "a/common.json" => Ok(r##"{"definitions": {
            "id": {"$ref": "parts/text.json#/$defs/short"}, "order": {"$ref": "order.json"}}}"##
            .to_owned()),
        "a/parts/text.json" => {
            Ok(r##"{"$defs": {"short": {"type": "string", "maxLength": 3}}}"##.to_owned())
        }
        path => Err(format!("there is no schema file `{path}`")),
    };
    let text = r##"{"properties": {"id": {"$ref": "common.json#/definitions/id"},
                                    "parent": {"$ref": "./common.json#/definitions/order"}}}"##;
    let file = SchemaFile::parse("a/order.json", text, &mut Sources::new(&find)).unwrap();
    let schema = JsonSchema::at(Arc::new(file), "").unwrap();
    assert_eq!(
        verdict(&schema, &json!({"id": "abc", "parent": {"id": "x"}})),
        ""
    );
    let found = verdict(&schema, &json!({"parent": {"id": "long"}}));
    assert!(found.starts_with("#/data/parent/id "), "{found}");
    let lost = r#"{"$ref": "lost.json"}"#;
    let error = SchemaFile::parse("a/order.json", lost, &mut Sources::new(&find)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "schema file `a/order.json`: there is no schema file `a/lost.json`"
    );
}

#[test]
fn a_schema_is_compiled_once_and_its_file_shared() {
    let text = r##"{"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"type": "string"}, "c$d": {"type": "null"}}}"##;
    let file = Arc::new(file(text).unwrap());
    let check = |pointer: &str, data: Value, expected: &str| {
        let schema = JsonSchema::at(Arc::clone(&file), pointer).unwrap();
        assert_eq!(verdict(&schema, &data), expected);
        let first = std::ptr::from_ref(schema.validator().unwrap());
        assert_eq!(first, std::ptr::from_ref(schema.validator().unwrap()));
    };
    check("/definitions/a", json!("x"), "");
    check(
        "/definitions/a",
        json!(1),
        "#/data must be a string (schema:type)",
    );
    check("/definitions/c$d", json!(null), "");
    check("", json!(1), "");
}

#[test]
fn large_numbers_are_numbers() {
    let schema = schema(r#"{"type": "number", "maximum": 1e300}"#).unwrap();
    let check = |text: &str, expected: &str| {
        let data: Value = serde_json::from_str(text).unwrap();
        assert_eq!(verdict(&schema, &data), expected, "{text}");
    };
    check("18446744073709551615", "");
    check("123456789012345678901234567890", "");
    check("1e301", "#/data must be at most 1e+300 (schema:maximum)");
}
