use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Form, Kept};
use crate::check::Violation;
use crate::event::Event;
use crate::load;
use crate::model::{EventContract, OnInvalid};

const JSON: &str = r#"{"type": "object", "required": ["id", "must"], "properties": {
    "id": {"type": "string"}, "must": {"type": "string"}, "at": {"type": "string"},
    "email": {"type": ["string", "null"]}, "phone": {"type": "string", "minLength": 2},
    "ip": {"type": "string", "format": "ipv4"}, "card": {},
    "short": {"type": "string", "maxLength": 10}, "country": {"enum": ["de", "fr"]},
    "age": {"type": "integer"}, "lines": {"type": "array"},
    "person": {"type": "object", "properties": {"name": {"type": "string"}, "note": {"type": "string"}}, "required": ["name"]}}}"#;
const AVRO: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "string"}, {"name": "must", "type": "string"},
    {"name": "email", "type": "string"},
    {"name": "ip", "type": ["null", "string"], "default": null},
    {"name": "person", "type": ["null", {"type": "record", "name": "Person", "fields": [{"name": "name", "type": "string"}]}], "default": null}]}"#;
const PROTO: &str = r#"syntax = "proto3"; message Order { string id = 1; string must = 2; string e_mail = 3;
    string ip = 4; optional string card = 5; Person person = 6; message Person { string full_name = 1; } }"#;

fn load(format: &str, fields: &str, spec: &str) -> Result<Arc<EventContract>, String> {
    let (file, text) = match format {
        "json" => ("a.json", JSON),
        "avro" => ("a.avsc", AVRO),
        _ => ("a.proto#/Order", PROTO),
    };
    let yaml = format!(
        "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: order}}\nspec:\n  class: fact\n  \
         key: {{from: $.id}}\n  schema: {{format: {format}, file: \"{file}\"}}\n  privacy:\n    fields:\n{fields}{spec}"
    );
    let files = [("a.yaml".to_owned(), yaml)];
    let contracts = load::sources(&files, &|_| Some(text.to_owned()));
    let contracts = contracts.map_err(|found| found.to_string())?;
    Ok(Arc::clone(contracts.by_name("order").unwrap()))
}

fn fields(list: &[(&str, &str)]) -> String {
    let line = |(path, protect): &(&str, &str)| {
        format!("      {path}: {{category: contact, protect: {protect}}}\n")
    };
    list.iter().map(line).collect()
}

/// A stand-in that tells what was hashed by its length alone.
fn hash(text: &str) -> String {
    format!("{:0>64}", text.len())
}

fn event(media_type: &str, data: &[u8]) -> Event {
    Event {
        id: "1".to_owned(),
        source: "/s".to_owned(),
        event_type: "order".to_owned(),
        datacontenttype: Some(media_type.to_owned()),
        data: Some(Bytes::copy_from_slice(data)),
        ..Event::default()
    }
}

fn protected(contract: &EventContract, data: &str) -> Result<String, Violation> {
    let event = event("application/json", data.as_bytes());
    contract.check(&event, 0)?;
    let stored = contract.protect(&event, &hash)?;
    Ok(String::from_utf8(stored.unwrap().to_vec()).unwrap())
}

#[test]
fn fields_are_dropped_masked_and_hashed_and_all_else_keeps_its_bytes() {
    let list = [
        ("$.email", "hash"),
        ("$.phone", "mask"),
        ("$.ip", "drop"),
        ("$.person.note", "drop"),
    ];
    let contract = load("json", &fields(&list), "").unwrap();
    let check = |data: &str, expected: &str| {
        let expected = expected.replace("HASH", &hash("12345"));
        assert_eq!(protected(&contract, data).unwrap(), expected, "{data}");
    };
    check(
        r#"{"id":"a", "must":"b", "total": 1.10, "big": 123456789012345678901234567890}"#,
        r#"{"id":"a","must":"b","total":1.10,"big":123456789012345678901234567890}"#,
    );
    check(
        r#"{"id":"a","must":"b","email":"12345","phone":"+49 1234 567890","ip":"1.2.3.4"}"#,
        r#"{"id":"a","must":"b","email":"HASH","phone":"****7890"}"#,
    );
    check(
        r#"{"id":"a","must":"b","email":null,"phone":"123456789ab"}"#,
        r#"{"id":"a","must":"b","email":null,"phone":"****"}"#,
    );
    check(
        r#"{"id":"a","must":"b","email":"","\u0065mail":"12345","email":"12345"}"#,
        r#"{"id":"a","must":"b","email":"","email":"HASH","email":"HASH"}"#,
    );
    check(
        r#"{"id":"a","must":"b","person":{"note":"n","name":"x","more":[ 1 ]}}"#,
        r#"{"id":"a","must":"b","person":{"name":"x","more":[ 1 ]}}"#,
    );
    check(
        r#"{"ip":"1.2.3.4","id":"a","must":"b"}"#,
        r#"{"id":"a","must":"b"}"#,
    );
}

#[test]
fn a_field_that_is_rejected_refuses_the_event_and_keeps_nothing() {
    let list = [("$.card", "reject"), ("$.email", "hash")];
    let contract = load("json", &fields(&list), "").unwrap();
    for (data, refused) in [
        (r#"{"id":"a","must":"b"}"#, false),
        (r#"{"id":"a","must":"b","card":null}"#, false),
        (r#"{"id":"a","must":"b","card":{"number":"4711"}}"#, true),
        (r#"{"id":"a","card":"4711"}"#, true),
    ] {
        let found = protected(&contract, data);
        assert_eq!(found.is_err(), refused, "{data}");
        let Err(violation) = found else { continue };
        assert_eq!(violation.on_invalid, OnInvalid::Reject);
        assert!(!format!("{violation:?}").contains("4711"), "{violation:?}");
        assert!(
            violation
                .errors
                .iter()
                .any(|reason| reason.rule == "privacy.fields")
        );
    }
    let broken = Bytes::from_static(b"{\"card\":\"4711\"");
    let kept = contract.redact(Form::Data, None, &broken, &hash);
    assert_eq!(kept, Kept::Nothing);
}

#[test]
fn other_encodings_are_protected_in_whatever_form_the_data_comes() {
    let list = [
        ("$.email", "hash"),
        ("$.ip", "drop"),
        ("$.person.name", "mask"),
    ];
    let contract = load("avro", &fields(&list), "").unwrap();
    let json = r#"{"id":"a","must":"b","email":"12345","ip":"1.2.3.4","person":{"name":"Ada"}}"#;
    let wrapped = r#"{"id":"a","must":"b","email":"12345","ip":{"string":"1.2.3.4"},"person":{"Person":{"name":"Ada"}}}"#;
    let expected = json!({"id": "a", "must": "b", "email": hash("12345"), "ip": null, "person": {"name": "****"}});
    for data in [json, wrapped] {
        let stored: Value = serde_json::from_str(&protected(&contract, data).unwrap()).unwrap();
        assert_eq!(stored, expected, "{data}");
    }
    in_binary(&contract, "application/avro", json, &expected);
    let list = [
        ("$.eMail", "hash"),
        ("$.ip", "drop"),
        ("$.card", "reject"),
        ("$.person.full_name", "mask"),
    ];
    let contract = load("protobuf", &fields(&list), "").unwrap();
    let json =
        r#"{"id":"a","must":"b","eMail":"12345","ip":"1.2.3.4","person":{"fullName":"Ada"}}"#;
    let expected =
        json!({"id": "a", "must": "b", "eMail": hash("12345"), "person": {"fullName": "****"}});
    let stored: Value = serde_json::from_str(&protected(&contract, json).unwrap()).unwrap();
    assert_eq!(stored["eMail"], expected["eMail"]);
    assert_eq!(stored["person"], expected["person"]);
    assert!(!stored.to_string().contains("1.2.3.4"), "{stored}");
    let card = r#"{"id":"a","must":"b","card":"4711"}"#;
    assert!(protected(&contract, card).is_err());
}

fn in_binary(contract: &EventContract, media_type: &str, json: &str, expected: &Value) {
    let schema = &contract.schema.schema;
    let bytes = schema.encode(json.as_bytes()).unwrap();
    let event = event(media_type, &bytes);
    contract.check(&event, 0).unwrap();
    let stored = contract.protect(&event, &hash).unwrap().unwrap();
    let read = schema.read(Some(media_type), &stored).unwrap();
    assert_eq!(read.tree.to_value(), *expected);
}

#[test]
fn what_a_contract_cannot_keep_is_refused_when_it_is_loaded() {
    let mut told = String::new();
    let mut check = |format: &str, list: &[(&str, &str)], spec: &str| {
        let error = load(format, &fields(list), spec).err();
        let lines = error.as_deref().unwrap_or("taken").lines();
        let lines = lines.filter(|line| {
            line.starts_with("error") || line.starts_with("hint") || *line == "taken"
        });
        told.push_str(&format!("{format} {list:?}\n"));
        lines.for_each(|line| told.push_str(&format!("{line}\n")));
    };
    for (path, protect) in [
        ("$.must", "drop"),
        ("$.must", "reject"),
        ("$.must", "hash"),
        ("$.person.name", "drop"),
        ("$.person", "drop"),
        ("$.age", "mask"),
        ("$.card", "hash"),
        ("$.ip", "mask"),
        ("$.country", "hash"),
        ("$.short", "hash"),
        ("$.short", "mask"),
        ("$.id", "hash"),
        ("$.email", "encrypt"),
        ("$.unknown", "drop"),
    ] {
        check("json", &[(path, protect)], "");
    }
    check(
        "json",
        &[("$.person", "drop"), ("$.person.note", "drop")],
        "",
    );
    check(
        "json",
        &[("$.at", "drop")],
        "  event: {time: {from: $.at}}\n",
    );
    check(
        "json",
        &[("$.email", "hash")],
        "  migration: {from: other, map: {id: $.id, must: $.id}}\n",
    );
    for (path, protect) in [
        ("$.email", "drop"),
        ("$.ip", "drop"),
        ("$.person.name", "mask"),
        ("$.person", "reject"),
    ] {
        check("avro", &[(path, protect)], "");
    }
    for (path, protect) in [
        ("$.ip", "drop"),
        ("$.ip", "reject"),
        ("$.card", "reject"),
        ("$.person", "hash"),
    ] {
        check("protobuf", &[(path, protect)], "");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_classification_is_the_contracts() {
    let contract = load(
        "json",
        &fields(&[("$.email", "hash")]),
        "    classification: restricted\n    regions: [eu, us]\n",
    );
    let contract = contract.unwrap();
    assert_eq!(contract.regions, ["eu", "us"]);
    for (said, expected) in [
        (None, true),
        (Some("restricted"), true),
        (Some("public"), false),
    ] {
        let mut event = event("application/json", br#"{"id":"a","must":"b"}"#);
        let named = said.map(|said: &str| ("dataclassification".to_owned(), said.to_owned()));
        event.extensions.extend(named);
        assert_eq!(contract.check(&event, 0).is_ok(), expected, "{said:?}");
    }
}

/// Never part of what a mask shows, nor of a name.
const SECRET: &str = "secret\u{e9}";

fn value(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,20}".prop_map(|tail| json!(format!("{SECRET}{tail}"))),
    ];
    let nested = leaf.prop_recursive(depth, 16, 4, |inner| {
        let name = prop_oneof![Just("email"), Just("phone"), Just("note"), Just("x")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..3).prop_map(|members| members
                .into_iter()
                .map(|(n, v)| (n.to_owned(), v))
                .collect()),
        ]
    });
    nested.boxed()
}

proptest! {
    #[test]
    fn what_is_protected_is_nowhere_in_what_is_kept(
        email in value(2), phone in value(2), ip in value(2), person in value(3), whole in value(2), pick in 0..4,
    ) {
        let list = [("$.email", "hash"), ("$.phone", "mask"), ("$.ip", "drop"), ("$.person.note", "mask"), ("$.person.name", "hash")];
        let contract = load("json", &fields(&list), "").unwrap();
        // A name in a person that is not declared is its sender's affair.
        let person = match person {
            Value::Object(members) => members.into_iter().filter(|(name, _)| name == "note" || name == "name").collect(),
            other => other,
        };
        let data = json!({"id": "a", "must": "b", "email": email, "phone": phone, "ip": ip, "person": person});
        let data = if pick == 0 { json!(whole.as_str()) } else { data };
        let text = data.to_string();
        if let Ok(stored) = protected(&contract, &text) {
            prop_assert!(!stored.contains(SECRET), "{}", stored);
        }
        if let Err(violation) = protected(&contract, &text) {
            let told = format!("{violation:?}");
            prop_assert!(!told.contains(SECRET), "{}", told);
        }
        let envelope = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "order", "data": data}).to_string();
        let cut = &text[..text.len() - 1];
        for (form, bytes) in [(Form::Data, text.as_str()), (Form::Envelope, &envelope), (Form::Data, cut), (Form::Request, &text)] {
            let original = Bytes::copy_from_slice(bytes.as_bytes());
            if let Kept::Shown(kept) = contract.redact(form, None, &original, &hash) {
                let kept = String::from_utf8(kept.to_vec()).unwrap();
                prop_assert!(!kept.contains(SECRET), "{}", kept);
                prop_assert!(serde_json::from_str::<Value>(&kept).is_ok());
            }
        }
    }
}

#[test]
fn whoever_may_not_see_persons_sees_none_whatever_is_stored() {
    let fields = "      $.email: {category: contact, protect: hash}
      $.phone: {category: contact}
      $.age: {category: age}
      $.lines: {category: address}
      $.person.name: {category: identity}
      $.person: {category: identity}
";
    let contract = load("json", fields, "").unwrap();
    let hashed = "0f".repeat(32);
    for (data, expected) in [
        (
            json!({"id": "1", "must": "m"}),
            json!({"id": "1", "must": "m"}),
        ),
        (json!({"email": hashed}), json!({"email": hashed})),
        // Stored before there were hashes.
        (
            json!({"email": "ada@example.com"}),
            json!({"email": "****.com"}),
        ),
        (json!({"phone": "123"}), json!({"phone": "****"})),
        (
            json!({"age": 36, "lines": [{"a": 1}]}),
            json!({"age": null, "lines": null}),
        ),
        (
            json!({"person": {"name": "Ada", "note": "n"}}),
            json!({"person": null}),
        ),
        (
            json!({"person": null, "phone": ""}),
            json!({"person": null, "phone": ""}),
        ),
    ] {
        let hidden = contract.hide_persons(data.to_string().as_bytes());
        let hidden: Value = serde_json::from_str(&hidden.unwrap()).unwrap();
        assert_eq!(hidden, expected);
    }
    for unreadable in [&b"no json"[..], b"\xff", b""] {
        assert_eq!(contract.hide_persons(unreadable), None);
    }
    assert_eq!(contract.hide_persons(b"[1]").as_deref(), Some("null"));
    let path = |text: &str| text.parse().unwrap();
    assert!(contract.is_about_persons() && contract.tells_of_persons(&path("$.person.note")));
    assert!(!contract.tells_of_persons(&path("$.id")));
}

#[test]
fn persons_are_hidden_in_every_form_of_json_and_in_what_was_decoded() {
    let fields = "      $.email: {category: contact}
      $.person.name: {category: identity}
";
    let contract = load("avro", fields, "").unwrap();
    // Avro's own JSON names the branch of a union, and plain JSON does not.
    for person in [json!({"Person": {"name": "Ada"}}), json!({"name": "Ada"})] {
        let data = json!({"id": "1", "must": "m", "email": "a@b.c", "ip": null, "person": person});
        let Some(hidden) = contract.hide_persons(data.to_string().as_bytes()) else {
            continue;
        };
        assert!(
            !hidden.contains("Ada") && !hidden.contains("a@b.c"),
            "{hidden}"
        );
        assert!(hidden.contains("\"must\":\"m\""), "{hidden}");
    }
    let decoded = json!({"id": "1", "must": "m", "email": "a@b.c", "person": {"name": "Ada"}});
    let hidden = contract.hide_persons_decoded(&decoded.into()).unwrap();
    let hidden: Value = serde_json::from_str(&hidden).unwrap();
    let expected = json!({"id": "1", "must": "m", "email": "****", "person": {"name": "****"}});
    assert_eq!(hidden, expected);
}
