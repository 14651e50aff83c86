//! The text under which an Avro schema is stored, against what Java's own `Schema.toString` writes: a
//! schema gets one id whether Java or Python sends it. Needs Java: `make test` runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use crate::harness::start;

const GENERATED: u64 = 3_000;

#[tokio::test]
#[ignore = "needs Java and `tests/avro-compat/run install`: `make test` runs it"]
async fn texts_are_those_of_java() {
    let mut schemas: Vec<String> = (0..GENERATED)
        .map(|seed| Making::new(seed).text())
        .collect();
    schemas.extend(BY_HAND.map(str::to_owned));
    let java = java(&schemas);
    assert_eq!(java.len(), schemas.len());
    let running = start().await;
    let mut different = String::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, (schema, java)) in schemas.iter().zip(&java).enumerate() {
        let answer = running.register(&format!("s{at}"), schema).await;
        let same = match java.strip_prefix("refused ") {
            Some(_) => {
                *counts.entry("refused").or_default() += 1;
                answer.status == 422
            }
            None => {
                *counts.entry("written").or_default() += 1;
                answer.json["schema"] == *java
            }
        };
        if !same && different.len() < 6_000 {
            let ours = answer.json["schema"].as_str().unwrap_or(&answer.text);
            write!(
                different,
                "\nschema {schema}\njava   {java}\nours   {ours}\n"
            )
            .unwrap();
        }
    }
    println!("{} schemas: {counts:?}", schemas.len());
    assert!(different.is_empty(), "{different}");
    // The corpus must say something, or it shows nothing.
    assert!(counts["written"] > 2_500, "{counts:?}");
}

fn java(schemas: &[String]) -> Vec<String> {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/avro-compat/run");
    let mut child = Command::new(run)
        .arg("text")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = schemas.join("\n") + "\n";
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Not here, as they differ: `{"type":{"type":"string"}}`, which Java 1.12 refuses and its earlier versions took; the number
/// `-0`, and those beyond 64 bits, which are fractions here.
const BY_HAND: [&str; 12] = [
    r#""string""#,
    r#"{"type":"strin"}"#,
    r#"{"type":"record","name":"a.b.R","namespace":"ignored","fields":[]}"#,
    r#"{"type":"record","name":"R","namespace":"","fields":[{"name":"f","type":{"type":"fixed","name":"F","size":1}}]}"#,
    // A type of no namespace inside of one that has one, and back.
    r#"{"type":"record","name":"n.R","fields":[{"name":"f","type":{"type":"record","name":"S","namespace":"","fields":[{"name":"g","type":"n.R"}]}},{"name":"h","type":"S"}]}"#,
    r#"{"type":"error","name":"E","fields":[]}"#,
    r#"{"type":"array","items":"int","default":[],"x":{"b":1,"a":2}}"#,
    r#"{"type":"int","logicalType":"date","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Date"}"#,
    r#"{"type":"bytes","scale":2,"precision":9,"connect.version":1,"logicalType":"decimal","connect.parameters":{"scale":"2"}}"#,
    r#"{"type":"record","name":"R","fields":[{"name":"f","type":{"type":"string","avro.java.string":"String"},"default":"\u001b\u007f\u2028/"}]}"#,
    r#"{"type":"enum","name":"E","symbols":["A"],"default":"A","namespace":"n","aliases":["m.F","G"],"doc":""}"#,
    r#"{"type":"record","name":"R","fields":[{"name":"f","type":["null",{"type":"map","values":["int","string"]}],"default":null,"order":"descending","aliases":["a","b"]}]}"#,
];

/// Values of properties, as people write them.
const VALUES: [&str; 16] = [
    "1",
    "-1",
    "2.50",
    "1e3",
    "1E-9",
    "1e20",
    "12345678.9",
    "0.001",
    "0.1",
    "9223372036854775807",
    "true",
    "null",
    r#""é \u0007\u001f\" \\ / \u00e9""#,
    r#"{"b":[null,true,{}],"a":{"z":1,"y":"2"}}"#,
    "[]",
    r#"["x",1]"#,
];

/// Defaults of fields, likewise.
const DEFAULTS: [&str; 14] = [
    "null",
    "false",
    "-7",
    "1",
    "1e3",
    "2.50",
    "1",
    "1e20",
    "-0.0",
    "3.4028234e38",
    r#""\u00ff\u001a""#,
    r#""d\u000b\"""#,
    "[]",
    "{}",
];

/// xorshift64*: the same on every machine.
struct Making {
    state: u64,
    named: Vec<String>,
    left: usize,
}

impl Making {
    fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
        Self {
            state,
            named: Vec::new(),
            left: 10,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end
    }

    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below(of.len())]
    }

    fn text(mut self) -> String {
        let schema = match self.below(4) {
            0 => self.any(0, ""),
            _ => self.record(0, ""),
        };
        let mut text = schema.to_string();
        let values = VALUES.iter().chain(&DEFAULTS).enumerate();
        for (at, value) in values {
            text = text.replace(&format!("\"@{at}@\""), value);
        }
        text
    }

    fn any(&mut self, depth: usize, space: &str) -> Value {
        self.left = self.left.saturating_sub(1);
        let plain = [
            "null", "boolean", "int", "long", "float", "double", "bytes", "string",
        ];
        if self.left == 0 || depth > 3 {
            return json!(self.one(&plain));
        }
        match self.below(11) {
            0 => {
                let items = self.any(depth + 1, space);
                self.with_properties(json!({"type": "array", "items": items}))
            }
            1 => {
                let values = self.any(depth + 1, space);
                self.with_properties(json!({"values": values, "type": "map"}))
            }
            2 => {
                let other = ["int", "string", "bytes"];
                let first = json!(self.one(&other));
                let second = self.record(depth + 1, space);
                json!(["null", first, second])
            }
            3 => {
                let (mut keys, _) = self.name(space);
                keys.insert("type".to_owned(), json!("enum"));
                keys.insert("symbols".to_owned(), json!(["A", "B"]));
                if self.below(3) == 0 {
                    keys.insert("default".to_owned(), json!("B"));
                }
                self.with_properties(Value::Object(keys))
            }
            4 => {
                let (mut keys, _) = self.name(space);
                keys.insert("size".to_owned(), json!(1 + self.below(20)));
                keys.insert("type".to_owned(), json!("fixed"));
                self.with_properties(Value::Object(keys))
            }
            5 | 6 => self.record(depth + 1, space),
            7 if !self.named.is_empty() => {
                let at = self.below(self.named.len());
                json!(self.named[at])
            }
            8 => {
                let kind = self.one(&plain);
                self.with_properties(json!({"type": kind}))
            }
            9 => {
                let logical = [
                    json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
                    json!({"logicalType": "timestamp-millis", "type": "long"}),
                    json!({"type": "string", "logicalType": "uuid"}),
                    json!({"type": "int", "logicalType": "unheard-of"}),
                    json!({"type": "string", "logicalType": "date"}),
                ];
                let at = self.below(logical.len());
                self.with_properties(logical[at].clone())
            }
            _ => json!(self.one(&plain)),
        }
    }

    /// Makes a name that is not taken, in one of the ways in which names are written; and its namespace.
    fn name(&mut self, space: &str) -> (Map<String, Value>, String) {
        let short = format!("N{}", self.named.len());
        let mut keys = Map::new();
        let own = match self.below(5) {
            0 => {
                keys.insert("name".to_owned(), json!(format!("x.y.{short}")));
                "x.y".to_owned()
            }
            1 => {
                keys.insert("namespace".to_owned(), json!("z"));
                keys.insert("name".to_owned(), json!(short));
                "z".to_owned()
            }
            _ => {
                keys.insert("name".to_owned(), json!(short));
                space.to_owned()
            }
        };
        let full = if own.is_empty() {
            short
        } else {
            format!("{own}.{short}")
        };
        self.named.push(full);
        if self.below(4) == 0 {
            keys.insert("doc".to_owned(), json!("a \"doc\"\n\té / \\ \u{7}"));
        }
        if self.below(5) == 0 {
            keys.insert(
                "aliases".to_owned(),
                json!(["Old", "x.y.Older", "z.Oldest"]),
            );
        }
        (keys, own)
    }

    fn with_properties(&mut self, schema: Value) -> Value {
        let mut schema = schema;
        let keys = schema.as_object_mut().unwrap();
        for name in ["zeta", "alpha", "connect.name"] {
            if self.below(6) == 0 {
                let value = format!("@{}@", self.below(VALUES.len()));
                keys.insert(name.to_owned(), json!(value));
            }
        }
        schema
    }

    fn record(&mut self, depth: usize, space: &str) -> Value {
        let (mut keys, inside) = self.name(space);
        let mut fields = Vec::new();
        for at in 0..self.below(5) {
            let kind = self.any(depth + 1, &inside);
            let mut field = json!({"name": format!("f{at}"), "type": kind});
            // Places in the list.
            let default = match &field["type"] {
                Value::String(name) => match name.as_str() {
                    "null" => Some(0),
                    "boolean" => Some(1),
                    "int" | "long" => Some(2),
                    "float" | "double" => Some(3 + self.below(7)),
                    "bytes" => Some(10),
                    "string" => Some(11),
                    _ => None,
                },
                Value::Array(_) => Some(0),
                Value::Object(keys) if keys["type"] == "array" => Some(12),
                Value::Object(keys) if keys["type"] == "map" => Some(13),
                _ => None,
            };
            let keys = field.as_object_mut().unwrap();
            if let Some(default) = default
                && self.below(2) == 0
            {
                let default = VALUES.len() + default;
                keys.insert("default".to_owned(), json!(format!("@{default}@")));
            }
            if self.below(4) == 0 {
                let order = self.one(&["ascending", "descending", "ignore"]);
                keys.insert("order".to_owned(), json!(order));
            }
            if self.below(4) == 0 {
                keys.insert("aliases".to_owned(), json!(["g", "h"]));
            }
            if self.below(4) == 0 {
                keys.insert("doc".to_owned(), json!(""));
            }
            fields.push(self.with_properties(field));
        }
        keys.insert("fields".to_owned(), json!(fields));
        keys.insert("type".to_owned(), json!("record"));
        self.with_properties(Value::Object(keys))
    }
}
