use serde_json::{Value, json};

use super::super::Sources;
use super::{AvroFile, AvroSchema, Wanted};
use crate::check::Reasons;
use crate::tree::Tree;

fn schema(text: &Value) -> AvroSchema {
    AvroSchema::parse("s.avsc", &text.to_string()).unwrap()
}

fn refused(text: &str) -> String {
    AvroSchema::parse("s.avsc", text).unwrap_err().to_string()
}

fn verdict(schema: &AvroSchema, data: &Value) -> String {
    let mut reasons = Reasons::default();
    schema.check(&Tree::from(data.clone()), &mut reasons);
    reasons.to_string()
}

fn decode(schema: &AvroSchema, bytes: &[u8]) -> Result<Value, String> {
    let whole = schema.decode(bytes, Wanted::All);
    // Whatever is wanted of it, the same bytes are taken and the same refused.
    let nothing = schema.decode(bytes, Wanted::Nothing);
    assert_eq!(whole.as_ref().err(), nothing.as_ref().err());
    whole.map(|tree| tree.to_value())
}

fn order() -> AvroSchema {
    schema(&json!({
        "type": "record", "name": "Order", "namespace": "com.example", "fields": [
            {"name": "id", "type": "string"},
            {"name": "lines", "type": {"type": "array", "items": {
                "type": "record", "name": "Line", "fields": [{"name": "count", "type": "int"}]
            }}},
            {"name": "note", "type": ["null", "string"], "default": null},
            {"name": "paid", "type": ["null", "long", "com.example.Line"], "default": null},
            {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "DONE"]}, "default": "OPEN"},
            {"name": "tags", "type": {"type": "map", "values": "double"}, "default": {}},
            {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}, "default": "\u{0}\u{0}"},
        ],
    }))
}

#[test]
fn json_data_is_checked_as_people_write_it_and_as_avro_does() {
    let order = order();
    let check = |change: Value, expected: &str| {
        let mut data = json!({"id": "a", "lines": []});
        for (key, value) in change.as_object().unwrap() {
            match value {
                Value::String(text) if text == "absent" => {
                    data.as_object_mut().unwrap().remove(key);
                }
                value => data[key] = value.clone(),
            }
        }
        assert_eq!(verdict(&order, &data), expected, "{data}");
    };
    check(json!({}), "");
    check(
        json!({"note": null, "paid": null, "tags": {"a": 1, "b": 2.5, "c": "NaN"}}),
        "",
    );
    check(
        json!({"note": "x", "paid": 5, "state": "DONE", "hash": "\u{ff}\u{1}"}),
        "",
    );
    check(json!({"note": {"string": "x"}, "paid": {"long": 5}}), "");
    check(json!({"paid": {"count": 5}}), "");
    check(json!({"paid": {"com.example.Line": {"count": 5}}}), "");
    check(
        json!({"id": "absent"}),
        "#/data/id required (schema:required)",
    );
    check(json!({"id": 5}), "#/data/id must be a string (schema:type)");
    check(
        json!({"idd": 5}),
        "#/data/idd is no field of this record (schema:fields)",
    );
    check(
        json!({"lines": [{"count": 1}, {"count": 2_147_483_648_u64}, {}]}),
        "#/data/lines/1/count must be a 32-bit integer (schema:type); \
         #/data/lines/2/count required (schema:required)",
    );
    check(
        json!({"note": 5}),
        "#/data/note must be a string (schema:type)",
    );
    check(
        json!({"paid": "x"}),
        "#/data/paid must be one of `null`, `long`, `com.example.Line` (schema:union)",
    );
    check(
        json!({"paid": {"com.example.Line": {"count": "x"}}}),
        "#/data/paid/com.example.Line/count must be a 32-bit integer (schema:type)",
    );
    check(
        json!({"state": "NEW"}),
        "#/data/state must be one of `OPEN`, `DONE` (schema:enum)",
    );
    check(
        json!({"tags": {"a/b": "x"}}),
        "#/data/tags/a~1b must be a number (schema:type)",
    );
    check(
        json!({"hash": "abc"}),
        "#/data/hash must be a string of 2 characters U+0000 to U+00FF (schema:fixed)",
    );
    assert_eq!(
        verdict(&order, &json!([])),
        "#/data must be an object (schema:type)"
    );
}

/// The examples of Avro 1.12, «Binary encoding», and what breaks it.
#[test]
fn binary_data_is_read_as_the_specification_has_it() {
    let check = |text: Value, bytes: &[u8], expected: Result<Value, &str>| {
        let found = decode(&schema(&text), bytes);
        assert_eq!(found, expected.map_err(str::to_owned), "{text}");
    };
    for (number, bytes) in [
        (0, &[0][..]),
        (-1, &[1]),
        (1, &[2]),
        (-64, &[0x7f]),
        (64, &[0x80, 0x01]),
        (
            i64::MAX,
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
        (
            i64::MIN,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ),
    ] {
        check(json!("long"), bytes, Ok(json!(number)));
    }
    let test = json!({"type": "record", "name": "test", "fields": [
        {"name": "a", "type": "long"}, {"name": "b", "type": "string"}]});
    check(
        test.clone(),
        b"\x36\x06foo",
        Ok(json!({"a": 27, "b": "foo"})),
    );
    check(
        test.clone(),
        b"\x36\x06fo",
        Err("ends inside an Avro value"),
    );
    check(
        test.clone(),
        b"\x36\x06foo!",
        Err("has 1 bytes behind the end of its Avro value"),
    );
    check(
        test,
        b"\x36\x02\xff",
        Err("has an Avro string that is not UTF-8"),
    );
    let longs = json!({"type": "array", "items": "long"});
    check(longs.clone(), &[4, 6, 0x36, 0], Ok(json!([3, 27])));
    check(longs, &[3, 4, 6, 0x36, 0], Ok(json!([3, 27])));
    let union = json!(["null", "string"]);
    check(union.clone(), &[0], Ok(json!(null)));
    check(union.clone(), &[2, 2, 0x61], Ok(json!("a")));
    check(
        union,
        &[4],
        Err("has an Avro union branch that its schema lacks"),
    );
    let foo = json!({"type": "enum", "name": "Foo", "symbols": ["A", "B", "C", "D"]});
    check(foo.clone(), &[6], Ok(json!("D")));
    check(
        foo.clone(),
        &[8],
        Err("has an Avro enum symbol that its schema lacks"),
    );
    check(
        foo,
        &[1],
        Err("has an Avro enum symbol that its schema lacks"),
    );
    check(
        json!({"type": "map", "values": "boolean"}),
        b"\x02\x02k\x01\x00",
        Ok(json!({"k": true})),
    );
    check(
        json!({"type": "fixed", "name": "F", "size": 2}),
        b"\xff\x00",
        Ok(json!("ÿ\u{0}")),
    );
    check(json!("bytes"), b"\x04\xff\x01", Ok(json!("ÿ\u{1}")));
    check(json!("bytes"), b"\x01", Err("has a negative Avro length"));
    check(json!("float"), &1.5_f32.to_le_bytes(), Ok(json!(1.5)));
    check(json!("double"), &f64::NAN.to_le_bytes(), Ok(json!("NaN")));
    check(
        json!("int"),
        &[0xff; 11],
        Err("has an Avro number beyond 64 bits"),
    );
    check(
        json!("int"),
        &[0x80, 0x80, 0x80, 0x80, 0x20],
        Err("has an Avro int beyond 32 bits"),
    );
}

#[test]
fn what_is_read_from_binary_fits_its_schema() {
    let order = order();
    let bytes = b"\x02a\x02\x06\x00\x02\x02n\x04\x08\x02\x00\xff\x00";
    let data = decode(&order, bytes).unwrap();
    assert_eq!(
        data,
        json!({"id": "a", "lines": [{"count": 3}], "note": "n", "paid": {"count": 4},
               "state": "DONE", "tags": {}, "hash": "ÿ\u{0}"})
    );
    assert_eq!(verdict(&order, &data), "");
    assert_eq!(order.encode(&Tree::from(data.clone())).unwrap(), bytes);
}

#[test]
fn only_what_is_wanted_is_kept() {
    let order = order();
    let bytes = b"\x02a\x02\x06\x00\x02\x02n\x04\x08\x02\x02\x02k\0\0\0\0\0\0\0\0\x00\xff\x00";
    let names = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let paths = [
        names("id"),
        names("paid.count"),
        names("tags.k"),
        names("lines.count"),
    ];
    let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
    let data = order
        .decode(bytes, Wanted::Paths(&paths))
        .unwrap()
        .to_value();
    let expected = json!({"id": "a", "lines": [], "paid": {"count": 4}, "tags": {"k": 0.0}});
    assert_eq!(data, expected);
}

#[test]
fn json_is_written_in_binary_as_it_is_meant() {
    let order = order();
    let check = |data: Value, read_back: Value| {
        assert_eq!(verdict(&order, &data), "", "{data}");
        let bytes = order.encode(&Tree::from(data.clone())).unwrap();
        assert_eq!(decode(&order, &bytes).unwrap(), read_back);
    };
    let least = json!({"id": "a", "lines": []});
    let whole = |note: Value, paid: Value| {
        json!({"id": "a", "lines": [], "note": note, "paid": paid, "state": "OPEN", "tags": {},
               "hash": "\u{0}\u{0}"})
    };
    check(least.clone(), whole(Value::Null, Value::Null));
    let mut tagged = least.clone();
    tagged["note"] = json!({"string": "n"});
    tagged["paid"] = json!({"long": 5});
    check(tagged, whole(json!("n"), json!(5)));
    let mut plain = least;
    plain["paid"] = json!({"count": 7});
    check(plain, whole(Value::Null, json!({"count": 7})));
    let numbers = schema(&json!({"type": "array", "items": ["double", "float", "string"]}));
    let data = json!([1, 1.5, "NaN"]);
    let bytes = numbers.encode(&Tree::from(data.clone())).unwrap();
    assert_eq!(decode(&numbers, &bytes).unwrap(), json!([1.0, 1.5, "NaN"]));
    for misfit in [
        json!(null),
        json!({"id": 1, "lines": []}),
        json!({"id": "a"}),
    ] {
        assert_eq!(
            order.encode(&Tree::from(misfit.clone())).unwrap_err(),
            "does not fit its schema"
        );
    }
}

#[test]
fn few_bytes_cost_little() {
    let nothing = json!({"type": "array", "items": "null"});
    let block = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let error = decode(&schema(&nothing), &block).unwrap_err();
    assert_eq!(error, "has more Avro values than its bytes warrant");
    let list = json!({"type": "record", "name": "List", "fields": [
        {"name": "next", "type": ["null", "List"]}]});
    let error = decode(&schema(&list), &[2; 1 << 20]).unwrap_err();
    assert_eq!(error, "nests Avro values deeper than 128");
    assert!(decode(&schema(&list), &[2, 2, 0]).is_ok());
    let text = json!("string");
    assert!(decode(&schema(&text), &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0x61]).is_err());
}

#[test]
fn branches_of_branches_come_to_an_end() {
    // Each level fits neither branch until its end is seen: 2^100 ways without a bound.
    let two = schema(&json!([
        {"type": "record", "name": "A", "fields": [{"name": "n", "type": ["null", "A", {
            "type": "record", "name": "B", "fields": [{"name": "n", "type": ["null", "A", "B"]}]}]}]},
        "B",
    ]));
    let mut data = json!({"n": 5});
    for _ in 0..100 {
        data = json!({"n": data});
    }
    let began = std::time::Instant::now();
    assert_eq!(
        verdict(&two, &data),
        "#/data is too intricate to be checked (schema)"
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn names_are_found_as_java_finds_them() {
    // Forward, without a namespace of its own, by an inherited one, and through `type`.
    let good = schema(&json!({"type": "record", "name": "a.R", "fields": [
        {"name": "later", "type": ["null", "Later"]},
        {"name": "inherits", "type": {"type": "enum", "name": "Later", "symbols": []}},
        {"name": "full", "type": {"type": "a.Later"}},
        {"name": "self", "type": {"type": "array", "items": "R"}},
        {"name": "bare", "type": {"type": "fixed", "name": "Bare", "namespace": "", "size": 1}},
        {"name": "again", "type": "Bare"},
    ]}));
    assert_eq!(good.file.named.len(), 3);
}

#[test]
fn a_schema_that_cannot_be_used_is_refused() {
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let deep = format!(
        "{}\"int\"{}",
        r#"{"type":"array","items":"#.repeat(60),
        "}".repeat(60)
    );
    assert!(AvroSchema::parse("s.avsc", &deep).is_ok());
    let deeper = format!(
        "{}\"int\"{}",
        r#"{"type":"array","items":"#.repeat(70),
        "}".repeat(70)
    );
    let wide = format!(
        "[{}]",
        vec![r#"{"type":"array","items":"int"}"#; 20_000].join(",")
    );
    for (text, expected) in [
        ("nonsense", "is not JSON"),
        ("5", "s.avsc#` must be a type's name, an object or a list"),
        (
            r#""Nobody""#,
            "names a type `Nobody` that neither it nor a file `Nobody.avsc` declares",
        ),
        (r#"{"items": "int"}"#, "has no `type`"),
        (r#"["int", "int"]"#, "has a union with `int` twice"),
        (
            r#"["null", ["int"]]"#,
            "s.avsc#/1` is a union inside a union",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
            "has the symbol `A` twice",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#,
            "none of its symbols",
        ),
        (
            r#"{"type":"fixed","name":"F"}"#,
            "is a fixed without a `size`",
        ),
        (
            r#"{"type":"fixed","name":"F","size":-1}"#,
            "is a fixed without a `size`",
        ),
        (
            &record(r#"{"name":"a-b","type":"int"}"#),
            "#/fields/0` has a name that Avro does not allow",
        ),
        (
            &record(r#"{"name":"a","type":"int"},{"name":"a","type":"int"}"#),
            "is a second field `a`",
        ),
        (
            &record(r#"{"name":"a","type":"int","default":"x"}"#),
            "a default that is not of its type",
        ),
        (
            &record(r#"{"name":"a","type":"R","default":{}}"#),
            "a default that is not of its type",
        ),
        (
            &record(r#"{"name":"a","type":{"type":"fixed","name":"R","size":1}}"#),
            "declares `R` a second time",
        ),
        (&deeper, "nests types deeper than 64"),
        (&wide, "has more than 20000 types"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}

#[test]
fn a_type_may_stand_in_a_file_of_its_name() {
    let find = |path: &str| match path {
        "a/x.Money.avsc" => Ok(
            r#"{"type":"record","name":"Money","namespace":"x","fields":[
            {"name":"currency","type":"Currency"},{"name":"order","type":["null","Order"]}]}"#
                .to_owned(),
        ),
        "a/x.Currency.avsc" => {
            Ok(r#"{"type":"enum","name":"x.Currency","symbols":["EUR"]}"#.to_owned())
        }
        "a/x.Wrong.avsc" => Ok(r#"{"type":"enum","name":"x.Other","symbols":[]}"#.to_owned()),
        path => Err(format!("there is no schema file `{path}`")),
    };
    let parse = |field: &str| {
        let text = format!(
            r#"{{"type":"record","name":"x.Order","fields":[{{"name":"m","type":"{field}"}}]}}"#
        );
        AvroFile::parse("a/order.avsc", &text, &mut Sources::new(&find))
    };
    let file = std::sync::Arc::new(parse("Money").unwrap());
    let order = AvroSchema::at(file.clone(), "").unwrap();
    assert_eq!(
        verdict(&order, &json!({"m": {"currency": "EUR", "order": null}})),
        ""
    );
    assert!(verdict(&order, &json!({"m": {"currency": "USD", "order": null}})).contains("`EUR`"));
    let money = AvroSchema::at(file.clone(), "/x.Money").unwrap();
    assert_eq!(
        verdict(&money, &json!({"currency": "EUR", "order": null})),
        ""
    );
    let error = AvroSchema::at(file, "/x.Nobody").unwrap_err().to_string();
    assert_eq!(
        error,
        "schema file `a/order.avsc`: there is no named type `x.Nobody`"
    );
    let error = parse("Wrong").unwrap_err().to_string();
    assert_eq!(
        error,
        "schema file `a/x.Wrong.avsc` does not declare `x.Wrong`"
    );
    let error = parse("Lost").unwrap_err().to_string();
    assert!(
        error.starts_with("schema file `a/order.avsc#/fields/0/type` names a type `x.Lost`"),
        "{error}"
    );
}
