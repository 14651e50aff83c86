use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Header, Incoming, Writer};
use crate::load;
use crate::model::{EventContract, SchemaFormat};
use crate::schema::Schema;
use crate::schema_id::SchemaId;

const JSON: &str =
    r#"{"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}"#;
const AVRO: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "string"}, {"name": "total", "type": "long"},
    {"name": "note", "type": ["null", "string"], "default": null}]}"#;
const AVRO_1: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "string"}, {"name": "total", "type": "long"}]}"#;
const PROTO: &str = r#"syntax = "proto3"; package shop;
    message Other { int32 a = 1; message Order { string id = 1; int64 total = 2; } }"#;

fn contract(format: &str, spec: &str) -> Arc<EventContract> {
    let (file, text) = match format {
        "json" => ("order.json", JSON),
        "avro" => ("order.avsc", AVRO),
        _ => ("order.proto#/Other.Order", PROTO),
    };
    let yaml = format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: order}}\n\
         spec:\n  class: fact\n  event: {{source: /shop}}\n  key: {{from: $.id}}\n{}",
        spec.replace("SCHEMA", &format!("format: {format}, file: \"{file}\""))
    );
    let files = [("orders.yaml".to_owned(), yaml)];
    let contracts = load::sources(&files, &|_| Some(text.to_owned()));
    let contracts = contracts.unwrap_or_else(|e| panic!("{e}"));
    Arc::clone(contracts.by_name("order").unwrap())
}

fn all(format: &str, schema: &str) -> Arc<EventContract> {
    let spec = format!(
        "  schema: {{SCHEMA{schema}}}\n  topic: {{maxMessage: 100B, enforce: [schema, key, headers, size]}}\n"
    );
    contract(format, &spec)
}

const HEADERS: [Header<'static>; 4] = [
    (b"ce_specversion", Some(b"1.0")),
    (b"ce_id", Some(b"e-1")),
    (b"ce_source", Some(b"/shop")),
    (b"ce_type", Some(b"order")),
];

/// What the registry of these tests knows: 1 is the contract's, 2 an earlier version, 3 nobody reads.
fn resolve(id: SchemaId) -> Result<Writer, String> {
    let version = |text: &str, is_read| {
        let schema = Schema::registered(SchemaFormat::Avro, text, &BTreeMap::new()).unwrap();
        let schema = Arc::new(schema);
        Ok(Writer::Version { schema, is_read })
    };
    match id {
        SchemaId::Number(1) | SchemaId::Guid([1, ..]) => Ok(Writer::Contract),
        SchemaId::Number(2) => version(AVRO_1, true),
        SchemaId::Number(3) => version(r#"{"type": "map", "values": ["long", "string"]}"#, false),
        other => Err(format!("schema id `{other}` is not known")),
    }
}

fn verdict(
    contract: &EventContract,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) -> String {
    let record = Incoming {
        key,
        value,
        headers,
    };
    match contract.check_record(&record, &resolve) {
        Ok(()) => String::new(),
        Err(violation) => {
            let reasons = violation.errors.iter();
            let reasons = reasons.map(|r| format!("{} {} ({})", r.pointer, r.detail, r.rule));
            reasons.collect::<Vec<_>>().join("; ")
        }
    }
}

#[test]
fn only_what_is_enforced_is_asked() {
    let bad = |enforce: &str| {
        let spec =
            format!("  schema: {{SCHEMA}}\n  topic: {{maxMessage: 20B, enforce: [{enforce}]}}\n");
        let contract = contract("json", &spec);
        let value = br#"{"id": "a", "total": "much"}"#;
        verdict(&contract, Some(b"b"), Some(value), &[])
    };
    assert_eq!(
        bad("schema"),
        "#/data/total must be an integer (schema:type)"
    );
    assert_eq!(bad("key"), "#/key must be the value of `$.id` (key.from)");
    assert_eq!(
        bad("headers"),
        "#/headers/ce_specversion required (event.specversion); #/headers/ce_type required (event.type); \
         #/headers/ce_source required (event.source); #/headers/ce_id required (event.id)"
    );
    assert_eq!(
        bad("size"),
        "#/data has 28 bytes; 20B are allowed (topic.maxMessage)"
    );
    let nothing = contract("json", "  schema: {SCHEMA}\n");
    assert_eq!(verdict(&nothing, None, None, &[]), "");
}

#[test]
fn the_key_is_the_one_in_the_data() {
    let contract = all("json", "");
    let check = |key: Option<&[u8]>, data: Value, expected: &str| {
        let value = data.to_string();
        let found = verdict(&contract, key, Some(value.as_bytes()), &HEADERS);
        assert_eq!(found, expected, "{data}");
    };
    check(Some(b"a"), json!({"id": "a", "total": 1}), "");
    check(Some(b"7"), json!({"id": 7, "total": 1}), "");
    check(None, json!({"total": 1}), "");
    check(
        Some(b"a"),
        json!({"total": 1}),
        "#/key must be absent, since the data has no `$.id` (key.from)",
    );
    check(
        None,
        json!({"id": "a", "total": 1}),
        "#/key required: the value of `$.id` (key.from)",
    );
    check(
        Some(b"a"),
        json!({"id": [], "total": 1}),
        "#/data/id must be a string, a 64-bit integer, or true or false (key.from)",
    );
}

#[test]
fn headers_are_those_of_the_contract_and_there_once() {
    let contract = all("json", "");
    let check = |change: &dyn Fn(&mut Vec<Header<'static>>), expected: &str| {
        let mut headers = HEADERS.to_vec();
        change(&mut headers);
        let value = br#"{"id": "a", "total": 1}"#;
        let found = verdict(&contract, Some(b"a"), Some(value), &headers);
        assert_eq!(found, expected);
    };
    check(&|_| {}, "");
    check(
        &|h| h[0].1 = Some(b"0.3"),
        "#/headers/ce_specversion must be `1.0` (event.specversion)",
    );
    check(
        &|h| h[1].1 = Some(b""),
        "#/headers/ce_id is empty, too long or has control characters (event.id)",
    );
    check(&|h| h[1].1 = None, "#/headers/ce_id required (event.id)");
    check(
        &|h| h[2].1 = Some(b"/other"),
        "#/headers/ce_source must be `/shop` (event.source)",
    );
    check(
        &|h| h[3].1 = Some(b"\xff"),
        "#/headers/ce_type is not UTF-8 (event.type)",
    );
    check(
        &|h| h.push((b"ce_type", Some(b"order"))),
        "#/headers/ce_type is there twice (event.type)",
    );
    check(
        &|h| h.push((b"ce_time", Some(b"soon"))),
        "#/headers/ce_time must be an RFC 3339 timestamp (event.time.from)",
    );
    check(
        &|h| h.push((b"content-type", Some(b"application/avro"))),
        "#/datacontenttype must be JSON (schema.format)",
    );
}

#[test]
fn tombstones_are_for_compacted_topics() {
    let contract = all("json", "");
    let found = verdict(&contract, Some(b"a"), None, &HEADERS);
    let expected =
        "#/data required: the topic is not compacted, so it takes no tombstones (topic.cleanup)";
    assert_eq!(found, expected);
}

/// An order in Avro: `id` a, `total` 1, `note` null.
const ORDER: [u8; 4] = [2, b'a', 2, 0];

fn with_id<'h>(id: &'h [u8]) -> Vec<Header<'h>> {
    let mut headers: Vec<Header<'h>> = HEADERS.to_vec();
    headers.push((b"__value_schema_id", Some(id)));
    headers
}

#[test]
fn a_schema_id_is_looked_for_where_there_is_a_subject() {
    let bare = all("avro", "");
    assert_eq!(verdict(&bare, Some(b"a"), Some(&ORDER), &HEADERS), "");
    let prefixed = [&[0, 0, 0, 0, 1][..], &ORDER].concat();
    let found = verdict(&bare, Some(b"a"), Some(&prefixed), &HEADERS);
    assert!(found.starts_with("#/data "), "{found}");

    let subject = all("avro", ", subject: orders-value");
    let check = |value: &[u8], headers: &[Header<'_>], expected: &str| {
        let found = verdict(&subject, Some(b"a"), Some(value), headers);
        assert_eq!(found, expected);
    };
    check(&ORDER, &HEADERS, "");
    check(&prefixed, &HEADERS, "");
    check(&ORDER, &with_id(&[1; 17]), "");
    // The header comes first: the value is then the data as it is.
    let found = verdict(
        &subject,
        Some(b"a"),
        Some(&prefixed),
        &with_id(&[0, 0, 0, 0, 1]),
    );
    assert!(found.starts_with("#/data has "), "{found}");
    check(
        &[0, 0, 0, 0, 9, 2],
        &HEADERS,
        "#/schemaId schema id `9` is not known (schema.subject)",
    );
    check(
        &ORDER,
        &with_id(&[3]),
        "#/schemaId begins with neither 0x00 nor 0x01 (schema.schemaId)",
    );
    let twice = [with_id(&[1; 17]), with_id(&[1; 17])[4..].to_vec()].concat();
    check(
        &ORDER,
        &twice,
        "#/schemaId is there twice (schema.schemaId)",
    );
    let mut json = with_id(&[1; 17]);
    json.push((b"content-type", Some(b"application/json")));
    check(
        br#"{"id": "a", "total": 1}"#,
        &json,
        "#/datacontenttype says JSON, but data with a schema id is in the schema's own encoding (schema.format)",
    );

    let demanded = all("avro", ", subject: orders-value, schemaId: header");
    let found = verdict(&demanded, Some(b"a"), Some(&ORDER), &HEADERS);
    let expected = "#/schemaId a schema id is demanded, in the header `__value_schema_id` or before the data (schema.schemaId)";
    assert_eq!(found, expected);
    for (value, headers) in [
        (&prefixed[..], HEADERS.to_vec()),
        (&ORDER, with_id(&[1; 17])),
    ] {
        assert_eq!(verdict(&demanded, Some(b"a"), Some(value), &headers), "");
    }
}

#[test]
fn data_is_read_by_the_schema_of_its_id() {
    let subject = all("avro", ", subject: orders-value");
    // An order of the earlier version, which has no note; the contract's schema reads it.
    let old = [0, 0, 0, 0, 2, 2, b'a', 2];
    assert_eq!(verdict(&subject, Some(b"a"), Some(&old), &HEADERS), "");
    // By the contract's own schema the same bytes end too early.
    let own = [0, 0, 0, 0, 1, 2, b'a', 2];
    let found = verdict(&subject, Some(b"a"), Some(&own), &HEADERS);
    assert_eq!(found, "#/data ends inside an Avro value (schema.format)");
    // Data of a version that the contract's schema cannot read in general is judged by itself.
    let map = |total: &[u8]| {
        let mut map = vec![0, 0, 0, 0, 3, 4, 4];
        map.extend_from_slice(b"id\x02\x02a\x0atotal");
        map.extend_from_slice(total);
        map.push(0);
        map
    };
    let check = |value: &[u8], expected: &str| {
        let found = verdict(&subject, Some(b"a"), Some(value), &HEADERS);
        assert_eq!(found, expected);
    };
    check(&map(&[0, 2]), "");
    check(
        &map(&[2, 2, b'x']),
        "#/data/total must be a 64-bit integer (schema:type)",
    );
}

#[test]
fn a_protobuf_message_is_found_by_its_indexes() {
    let contract = all("protobuf", ", subject: orders-value, schemaId: prefix");
    assert_eq!(contract.schema.schema.message_indexes(), Some(vec![0, 0]));
    let order = [0x0a, 1, b'a', 0x10, 1];
    let check = |indexes: &[u8], order: &[u8], expected: &str| {
        let value = [&[0, 0, 0, 0, 1][..], indexes, order].concat();
        let found = verdict(&contract, Some(b"a"), Some(&value), &HEADERS);
        assert_eq!(found, expected, "{indexes:?}");
    };
    check(&[4, 0, 0], &order, "");
    let other = "#/schemaId names a message that is not the contract's (schema.schemaId)";
    check(&[0], &order, other);
    check(&[2, 8], &order, other);
    check(
        &[4, 0, 0],
        &[0x0a, 9],
        "#/data is no Protobuf message `shop.Other.Order` (schema.format)",
    );
}

#[test]
fn json_keeps_the_contracts_schema_whatever_its_id() {
    let contract = all("json", ", subject: orders-value, schemaId: header");
    let check = |data: &str, expected: &str| {
        let found = verdict(
            &contract,
            Some(b"a"),
            Some(data.as_bytes()),
            &with_id(&[0, 0, 0, 0, 1]),
        );
        assert_eq!(found, expected);
    };
    check(r#"{"id": "a", "total": 1}"#, "");
    check(r#"{"id": "a"}"#, "#/data/total required (schema:required)");
}

#[test]
fn rules_beyond_the_schema_hold_here_too() {
    for (format, good, bad) in [
        (
            "json",
            &br#"{"id": "a", "total": 1}"#[..],
            &br#"{"id": "a", "total": -1}"#[..],
        ),
        ("avro", &ORDER, &[2, b'a', 1, 0]),
    ] {
        let spec = "  schema: {SCHEMA, rules: [{name: positive, expr: message.total > 0}, \
                    {name: odd, expr: message.total != 1, onFailure: warn}]}\n  topic: {enforce: [schema]}\n";
        let contract = contract(format, spec);
        assert_eq!(verdict(&contract, Some(b"a"), Some(good), &[]), "");
        let expected = "#/data breaks the rule `positive` (schema.rules.positive)";
        assert_eq!(verdict(&contract, Some(b"a"), Some(bad), &[]), expected);
    }
}

#[test]
fn a_contract_that_is_not_in_force_takes_nothing() {
    let retired = contract(
        "json",
        "  lifecycle: retired\n  schema: {SCHEMA}\n  topic: {enforce: [size]}\n",
    );
    let asked = Cell::new(0);
    let record = Incoming {
        key: None,
        value: Some(b"{}"),
        headers: &[],
    };
    let refused = retired.check_record(&record, &|_| {
        asked.set(asked.get() + 1);
        Ok(Writer::Contract)
    });
    assert_eq!(
        refused.unwrap_err().errors[0].detail,
        "the contract is `retired` and takes no events"
    );
    assert_eq!(asked.get(), 0);
}

#[test]
fn a_family_takes_any_of_its_types_and_no_other() {
    let yaml = "apiVersion: contract/v1\nkind: EventContract\nmetadata: {name: order}\nspec:\n  \
         class: fact\n  event: {type: com.shop.*}\n  key: {from: $.id}\n  \
         schema: {file: order.json}\n  topic: {enforce: [headers]}\n";
    let files = [("orders.yaml".to_owned(), yaml.to_owned())];
    let contracts = load::sources(&files, &|_| Some(JSON.to_owned())).unwrap();
    let contract = contracts.by_name("order").unwrap();
    for (event_type, expected) in [
        ("com.shop.order", true),
        ("com.shop.", false),
        ("com.other", false),
    ] {
        let mut headers = HEADERS;
        headers[3] = (b"ce_type", Some(event_type.as_bytes()));
        let record = Incoming {
            key: None,
            value: Some(b"{}"),
            headers: &headers,
        };
        assert_eq!(
            contract.check_record(&record, &resolve).is_ok(),
            expected,
            "{event_type}"
        );
    }
}
