use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{Schema, Sources};
use super::{ProtobufFile, ProtobufSchema};
use crate::check::Reasons;
use crate::model::SchemaFormat;
use crate::tree::Tree;

const ORDER: &str = r#"
syntax = "proto3";
package com.example;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
message Order {
  string order_id = 1;
  int32 count = 2;
  uint64 total = 3;
  repeated Line lines = 4;
  map<int32, string> notes = 5;
  State state = 6;
  bytes hash = 7;
  oneof paid_by { string card = 8; bool cash = 9; }
  google.protobuf.Timestamp placed_at = 10;
  google.protobuf.Duration took = 11;
  google.protobuf.Struct extra = 12;
  google.protobuf.StringValue nick = 13;
  double weight = 14;
  bool gift = 15;
  Order parent = 16;
}
message Line { string sku = 1; }
enum State { OPEN = 0; DONE = 1; }
"#;

fn verdict(schema: &ProtobufSchema, data: &Value) -> String {
    let mut reasons = Reasons::default();
    schema.check(&Tree::from(data.clone()), &mut reasons);
    reasons.to_string()
}

#[test]
fn json_data_is_checked_by_the_rules_of_protojson() {
    let order = ProtobufSchema::parse("order.proto", ORDER).unwrap();
    let check = |data: Value, expected: &str| {
        assert_eq!(verdict(&order, &data), expected, "{data}");
    };
    check(json!({}), "");
    check(
        json!({"orderId": "a", "count": 5, "total": "18446744073709551615", "lines": [{"sku": "x"}]}),
        "",
    );
    check(
        json!({"orderId": null, "count": "5", "total": 5, "weight": "NaN", "gift": true}),
        "",
    );
    check(
        json!({"count": 1e3, "notes": {"1": "a", "-2": "b"}, "state": "DONE", "hash": "aGk="}),
        "",
    );
    check(
        json!({"state": 7, "hash": "aGk", "card": "x", "cash": null, "nick": "n"}),
        "",
    );
    check(
        json!({"placedAt": "2026-11-21T16:00:00Z", "took": "-1.5s", "extra": {"a": [1]}}),
        "",
    );
    check(json!([]), "#/data must be an object (schema:type)");
    check(
        json!({"order_id": "a"}),
        "#/data/order_id must be called `orderId` (schema:fields)",
    );
    check(
        json!({"orderIdx": "a"}),
        "#/data/orderIdx is no field of this message (schema:fields)",
    );
    check(
        json!({"orderId": 5}),
        "#/data/orderId must be a string (schema:type)",
    );
    check(
        json!({"count": 2_147_483_648_u64}),
        "#/data/count must be a 32-bit integer (schema:type)",
    );
    check(
        json!({"count": 1.5}),
        "#/data/count must be a 32-bit integer (schema:type)",
    );
    check(
        json!({"total": -1}),
        "#/data/total must be a 64-bit integer, not negative (schema:type)",
    );
    check(
        json!({"lines": {}}),
        "#/data/lines must be a list (schema:type)",
    );
    check(
        json!({"lines": [{}, {"sku": 1}]}),
        "#/data/lines/1/sku must be a string (schema:type)",
    );
    check(
        json!({"notes": {"x": "a"}}),
        "#/data/notes/x must have a key of type int32 (schema:key)",
    );
    check(
        json!({"notes": {"1": 1}}),
        "#/data/notes/1 must be a string (schema:type)",
    );
    check(
        json!({"state": "NEW"}),
        "#/data/state must be one of `OPEN`, `DONE` (schema:enum)",
    );
    check(
        json!({"hash": "a b"}),
        "#/data/hash must be base64 (schema:type)",
    );
    check(
        json!({"card": "x", "cash": true}),
        "#/data/cash excludes `card`: both are of `paid_by` (schema:oneof)",
    );
    check(
        json!({"placedAt": "today"}),
        "#/data/placedAt must be an RFC 3339 timestamp (schema:type)",
    );
    check(
        json!({"took": "1m"}),
        "#/data/took must be a duration in seconds such as `1.5s` (schema:type)",
    );
    check(
        json!({"nick": 5}),
        "#/data/nick must be a string (schema:type)",
    );
    check(
        json!({"weight": "heavy"}),
        "#/data/weight must be a number (schema:type)",
    );
    check(
        json!({"gift": "yes"}),
        "#/data/gift must be true or false (schema:type)",
    );
    check(
        json!({"parent": {"orderId": 5}}),
        "#/data/parent/orderId must be a string (schema:type)",
    );
}

#[test]
fn proto2_has_required_fields_and_closed_enums() {
    let text = r#"syntax = "proto2"; message A { required string id = 1; optional E e = 2; enum E { X = 1; } }"#;
    let schema = ProtobufSchema::parse("a.proto", text).unwrap();
    assert_eq!(verdict(&schema, &json!({"id": "a", "e": "X"})), "");
    assert_eq!(
        verdict(&schema, &json!({"e": 2})),
        "#/data/e must be one of `X` (schema:enum); #/data/id required (schema:required)"
    );
    // In binary too.
    assert_eq!(
        verdict(&schema, &schema.decode(b"").unwrap().to_value()),
        "#/data/id required (schema:required)"
    );
}

#[test]
fn binary_data_becomes_its_json_form() {
    let order = ProtobufSchema::parse("order.proto", ORDER).unwrap();
    let data = order
        .decode(b"\x0a\x01a\x10\x05\x18\x07\x22\x03\x0a\x01x\x30\x01")
        .unwrap()
        .to_value();
    let expected =
        json!({"orderId": "a", "count": 5, "total": "7", "lines": [{"sku": "x"}], "state": "DONE"});
    assert_eq!(data, expected);
    assert_eq!(verdict(&order, &data), "");
    let refused = |bytes: &[u8]| order.decode(bytes).unwrap_err();
    assert_eq!(
        refused(b"\x0a\x05a"),
        "is no Protobuf message `com.example.Order`"
    );
    assert_eq!(
        refused(b"\xa2\x06\x01x"),
        "has a field 100 that its schema lacks"
    );
    assert_eq!(
        refused(b"\x22\x04\xa2\x06\x01x"),
        "has a field 100 that its schema lacks"
    );
}

#[test]
fn deep_data_is_refused() {
    let order = ProtobufSchema::parse("order.proto", ORDER).unwrap();
    let mut data = json!({});
    for _ in 0..102 {
        data = json!({"parent": data});
    }
    assert!(verdict(&order, &data).contains("nests messages deeper than 100"));
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..1000 {
        let mut outer = vec![0x82, 0x01];
        let mut length = bytes.len();
        while length >= 0x80 {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(&bytes);
        bytes = outer;
    }
    assert!(order.decode(&bytes).is_err());
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_with_its_place() {
    let deep = format!(
        "syntax = \"proto3\"; {}{}",
        "message A {".repeat(100_000 / 11),
        "}".repeat(100_000 / 11)
    );
    let options = format!(
        "syntax = \"proto3\"; message A {{ option (x) = {}{}; }}",
        "{ a: ".repeat(50_000),
        "}".repeat(50_000)
    );
    for (text, expected) in [
        (
            "syntax = \"proto3\";\nmessage A { strin a = 1 }",
            "schema file `s.proto:2:25` is no Protobuf",
        ),
        (
            "syntax = \"proto3\"; message A { Lost a = 1; }",
            "`s.proto:1:32` is no Protobuf: name 'Lost' is not defined",
        ),
        ("syntax = \"proto3\";", "there is no message"),
        (
            "syntax = \"proto3\"; import \"lost.proto\"; message A {}",
            "there is no schema file `lost.proto`",
        ),
        (
            "syntax = \"proto3\"; import \"s.proto\"; message A {}",
            "import cycle",
        ),
        (&"/".repeat((1 << 20) + 1), "is larger than 1 MiB"),
        (&deep, "is no Protobuf"),
        (&options, "is no Protobuf"),
    ] {
        let error = ProtobufSchema::parse("s.proto", text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}\n{expected}");
    }
}

#[test]
fn messages_are_named_and_imports_found_beside_the_file() {
    let find = |path: &str| {
        match path {
        "a/common/money.proto" => {
            Ok("syntax = \"proto3\"; package m; import \"common/currency.proto\"; message Money { Currency c = 1; }".to_owned())
        }
        "a/common/currency.proto" => Ok("syntax = \"proto3\"; package m; enum Currency { EUR = 0; }".to_owned()),
        path => Err(format!("there is no schema file `{path}`")),
    }
    };
    let text = "syntax = \"proto3\"; package x; import \"common/money.proto\"; \
                message Order { m.Money total = 1; message Line { int32 n = 1; } } message Other { int32 o = 1; }";
    let file =
        Arc::new(ProtobufFile::parse("a/order.proto", text, &mut Sources::new(&find)).unwrap());
    let at = |pointer: &str| ProtobufSchema::at(Arc::clone(&file), pointer);
    assert_eq!(
        verdict(&at("").unwrap(), &json!({"total": {"c": "EUR"}})),
        ""
    );
    for (pointer, data) in [
        ("/Other", json!({"o": 1})),
        ("/x.Other", json!({"o": 1})),
        ("/Order.Line", json!({"n": 1})),
        ("/m.Money", json!({"c": "EUR"})),
    ] {
        assert_eq!(verdict(&at(pointer).unwrap(), &data), "", "{pointer}");
    }
    let error = at("/Lost").unwrap_err().to_string();
    assert_eq!(
        error,
        "schema file `a/order.proto`: there is no message `Lost`"
    );
}

/// The form of Confluent's `ProtobufSchemaUtils.toString` and `toNormalizedString`, by their source.
#[test]
fn texts_that_say_the_same_become_one() {
    let none = BTreeMap::new();
    let formatted = |text: &str, normalize: bool| {
        let schema = Schema::registered(SchemaFormat::Protobuf, text, &none).unwrap();
        schema.protobuf_formatted(text, normalize, &none)
    };
    let text = r#"// who wrote it
            syntax="proto3"; package shop.v1;
            import public "google/protobuf/any.proto"; import 'google/protobuf/timestamp.proto' ;
            option java_package = "com.shop"; option deprecated = false;
            enum State { option allow_alias=true; reserved -5,7 to 9; reserved "OLD"; NEW=0; PAID=2; FRESH = 0x0 [deprecated=true]; }
            /* the
               order */
            message Order {
              message Line { uint32 count = 1; } // one
              oneof paid { bytes token = 6; string card = 5 [json_name="c", deprecated = true]; }
              reserved 9 to 11, 15, 20 to 20; reserved "old";
              repeated Line lines = 2;; map<string,State> states = 3; optional string note = 4 ;
              google.protobuf.Timestamp at = 7; int64 id = 1;
              message Empty {}
            }
            service Orders { option deprecated = true; rpc Watch(Order) returns (stream Order) { option idempotency_level = IDEMPOTENT; } rpc Get ( Order ) returns ( .shop.v1.Order ) ; }"#;
    let plain = r#"syntax = "proto3";
package shop.v1;

import "google/protobuf/timestamp.proto";
import public "google/protobuf/any.proto";

option java_package = "com.shop";
option deprecated = false;

message Order {
  reserved 9 to 11, 15, 20 to 20;
  reserved "old";

  repeated Line lines = 2;
  map<string, State> states = 3;
  optional string note = 4;
  google.protobuf.Timestamp at = 7;
  int64 id = 1;

  oneof paid {
    bytes token = 6;
    string card = 5 [
      deprecated = true,
      json_name = "c"
    ];
  }

  message Line {
    uint32 count = 1;
  }
  message Empty {}
}
enum State {
  reserved -5, 7 to 9;
  reserved "OLD";
  option allow_alias = true;
  NEW = 0;
  PAID = 2;
  FRESH = 0 [deprecated = true];
}

service Orders {
  option deprecated = true;

  rpc Watch (Order) returns (stream Order) {
    option idempotency_level = IDEMPOTENT;
  };
  rpc Get (Order) returns (.shop.v1.Order);
}
"#;
    // Blank lines inside of a declaration are indented there.
    let indented = |text: &str| {
        let lines = text.lines().scan(0_usize, |depth, line| {
            let blank = if line.is_empty() {
                "  ".repeat(depth.saturating_sub(1))
            } else {
                String::new()
            };
            *depth = *depth + usize::from(line.ends_with('{'))
                - usize::from(line.trim().starts_with('}'));
            Some(format!("{blank}{line}\n"))
        });
        lines.collect::<String>()
    };
    assert_eq!(formatted(text, false), Some(indented(plain)));
    assert_eq!(formatted(&indented(plain), false), Some(indented(plain)));

    let normal = r#"syntax = "proto3";
package shop.v1;

import "google/protobuf/timestamp.proto";
import public "google/protobuf/any.proto";

option deprecated = false;
option java_package = "com.shop";

message Order {
  reserved 9 to 11;
  reserved 15;
  reserved 20;
  reserved "old";

  int64 id = 1;
  repeated .shop.v1.Order.Line lines = 2;
  map<string, .shop.v1.State> states = 3;
  optional string note = 4;
  .google.protobuf.Timestamp at = 7;

  oneof paid {
    string card = 5 [
      deprecated = true,
      json_name = "c"
    ];
    bytes token = 6;
  }

  message Line {
    uint32 count = 1;
  }
  message Empty {}
}
enum State {
  reserved -5;
  reserved 7 to 9;
  reserved "OLD";
  option allow_alias = true;
  FRESH = 0 [deprecated = true];
  NEW = 0;
  PAID = 2;
}

service Orders {
  option deprecated = true;

  rpc Watch (.shop.v1.Order) returns (stream .shop.v1.Order) {
    option idempotency_level = IDEMPOTENT;
  };
  rpc Get (.shop.v1.Order) returns (.shop.v1.Order);
}
"#;
    assert_eq!(formatted(text, true), Some(indented(normal)));
    for form in [plain, normal] {
        let spaced = form.replace(' ', "\t// so\n/* and so */ ");
        assert_eq!(formatted(&spaced, true), Some(indented(normal)));
    }
    assert_eq!(formatted(&indented(normal), true), Some(indented(normal)));

    let text = "message A { extensions 100 to max, 5; optional string a = 1 [default = 'it\\'s \"x\"']; extend A { optional A b = 100; } } extend A { optional int32 c = 5; }";
    let plain = r#"
message A {
  optional string a = 1 [default = "it\'s \"x\""];

  extensions 100 to max, 5;

  extend A {
    optional A b = 100;
  }
}

extend A {
  optional int32 c = 5;
}
"#;
    assert_eq!(formatted(text, false), Some(indented(plain)));
    let normal = plain
        .replace("100 to max, 5;", "5;\n  extensions 100 to max;")
        .replace("extend A", "extend .A")
        .replace("optional A", "optional .A");
    assert_eq!(formatted(text, true), Some(indented(&normal)));
}

#[test]
fn a_text_that_cannot_be_written_anew_stays() {
    let none = BTreeMap::new();
    for text in [
        "syntax = \"proto2\"; message A { optional group B = 1 { optional int32 c = 2; } }",
        "syntax = \"proto2\"; message A { optional bytes a = 1 [default = \"x\"]; }",
        "syntax = \"proto3\"; import \"google/protobuf/descriptor.proto\"; message M { string s = 1; } \
         extend google.protobuf.FieldOptions { M m = 50000; } message A { string a = 1 [(m) = {s: \"x\"}]; }",
    ] {
        let schema = Schema::registered(SchemaFormat::Protobuf, text, &none).unwrap();
        assert_eq!(
            schema.protobuf_formatted(text, false, &none),
            None,
            "{text}"
        );
        assert_eq!(schema.protobuf_formatted(text, true, &none), None, "{text}");
    }
    // Options of one's own are written, but not normalised.
    let text = "syntax = \"proto3\";\n\nimport \"google/protobuf/descriptor.proto\";\n\nmessage A {\n  string a = 1 \
                [(m) = \"x\"];\n}\n\nextend google.protobuf.FieldOptions {\n  string m = 50000;\n}\n";
    let schema = Schema::registered(SchemaFormat::Protobuf, text, &none).unwrap();
    for normalize in [false, true] {
        let formatted = schema.protobuf_formatted(text, normalize, &none);
        assert_eq!(formatted.as_deref(), Some(text));
    }
}

/// It reads texts that the compiler has taken; what comes instead must not break it either.
#[test]
fn any_text_is_read_to_its_end() {
    let deep = "message A { ".repeat(10_000);
    assert_eq!(super::format::format(&deep, None), None);
    let text = format!("{ORDER} /* é */ // '\n message \"x\\t' 'y' é [ ( - {{ 0x .");
    for (at, _) in text.char_indices() {
        for cut in [&text[..at], &text[at..]] {
            let Some(written) = super::format::format(cut, None) else {
                continue;
            };
            // What was written is read again, and written so.
            let again = super::format::format(&written, None);
            assert_eq!(again.as_ref(), Some(&written), "{cut}");
        }
    }
}
