//! Avro compatibility against Java's own `SchemaCompatibility`: verdict, rules and paths, over
//! generated pairs of schemas and cases by hand. Needs Java: `make test` runs it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tidegate_contract::model::CompatibilityPolicy;
use tidegate_contract::schema::Schema;
use tidegate_contract::schema::avro::AvroSchema;
use tidegate_contract::schema::compatibility::unreadable;

/// Pairs made of one schema and what some changes make of it.
const GENERATED: u64 = 6_000;

#[test]
#[ignore = "needs Java and `tests/avro-compat/run install`: `make test` runs it"]
fn verdicts_are_those_of_java() {
    let mut pairs = by_hand();
    for seed in 0..GENERATED {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d);
        let one = Making::new(&mut random).schema();
        let mut other = one.clone();
        for _ in 0..=random.below(3) {
            change(&mut other, &mut random);
        }
        pairs.push((one.to_string(), other.to_string()));
    }
    let pairs: Vec<(String, String)> = pairs
        .into_iter()
        .flat_map(|(a, b)| [(a.clone(), b.clone()), (b, a)])
        .collect();
    let java = java(&pairs);
    assert_eq!(java.len(), pairs.len());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut different = String::new();
    for ((reader, writer), java) in pairs.iter().zip(&java) {
        let ours = ours(reader, writer);
        let kind = java.split(' ').next().unwrap();
        *counts.entry(kind).or_default() += 1;
        // What Java's parser refuses, ours refuses; where its check throws, ours says incompatible.
        // One known difference: 1.12.0 takes a type that has the name of one around it.
        let same = match kind {
            _ if ours.starts_with("refused") && ours.ends_with("a second time") => {
                *counts.entry("declared twice").or_default() += 1;
                true
            }
            "refused" => ours.starts_with("refused"),
            "threw" => ours.starts_with("incompatible") && ours.contains("AMBIGUOUS_FIELD"),
            _ => ours == *java,
        };
        if !same && different.len() < 4_000 {
            write!(
                different,
                "\nreader {reader}\nwriter {writer}\njava {java}\nours {ours}\n"
            )
            .unwrap();
        }
    }
    println!("{} pairs: {counts:?}", pairs.len());
    assert!(counts["declared twice"] < 20, "{counts:?}");
    assert!(different.is_empty(), "{different}");
    // The corpus must try both ways, or it shows nothing.
    assert!(counts["compatible"] > 2_000 && counts["incompatible"] > 2_000);
}

/// Says what we say, in the words of the Java program.
fn ours(reader: &str, writer: &str) -> String {
    let parse = |text: &str| AvroSchema::parse("s.avsc", text).map(Schema::Avro);
    let (reader, writer) = match (parse(reader), parse(writer)) {
        (Ok(reader), Ok(writer)) => (reader, writer),
        (Err(error), _) | (_, Err(error)) => return format!("refused {error}"),
    };
    let found = unreadable(&reader, &writer, CompatibilityPolicy::Strict);
    let told: Vec<String> = found
        .iter()
        .map(|f| format!("{}@{}", f.rule, f.path))
        .collect();
    match told.len() {
        0 => "compatible".to_owned(),
        _ => format!("incompatible {}", told.join(" ")),
    }
}

fn java(pairs: &[(String, String)]) -> Vec<String> {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/avro-compat/run");
    let mut child = Command::new(run)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = pairs.iter().map(|(a, b)| format!("{a}\t{b}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn by_hand() -> Vec<(String, String)> {
    let record =
        |name: &str, fields: Value| json!({"type": "record", "name": name, "fields": fields});
    let mut cases = Vec::new();
    let mut case =
        |reader: Value, writer: Value| cases.push((reader.to_string(), writer.to_string()));
    let a = json!([{"name": "a", "type": "int"}]);
    // crates.md 6: the cases in which Rust's apache-avro differs.
    let mut renamed = record("x.New", a.clone());
    renamed["aliases"] = json!(["x.Old"]);
    case(renamed.clone(), record("x.Old", a.clone()));
    case(renamed, record("y.Old", a.clone()));
    let money = record("Money", a.clone());
    case(
        record(
            "R",
            json!([{"name": "x", "type": money}, {"name": "y", "type": "Money"}]),
        ),
        record(
            "R",
            json!([{"name": "y", "type": money}, {"name": "x", "type": "Money"}]),
        ),
    );
    case(
        json!({"type": "bytes", "logicalType": "decimal", "precision": 4}),
        json!({"type": "bytes", "logicalType": "decimal", "precision": 9}),
    );
    let symbols = |symbols: Value| json!({"type": "enum", "name": "E", "symbols": symbols});
    case(symbols(json!(["A"])), symbols(json!(["A", "B"])));
    case(json!(["null", "int"]), json!(["null", "int", "string"]));
    case(record("a.R", a.clone()), record("b.R", a.clone()));
    // Aliases of fields, and one that is ambiguous.
    case(
        record(
            "R",
            json!([{"name": "b", "aliases": ["a"], "type": "long"}]),
        ),
        record("R", a.clone()),
    );
    let two = json!([{"name": "a", "type": "int"}, {"name": "b", "type": "int"}]);
    case(
        record("R", json!([{"name": "b", "aliases": ["a"], "type": "int"}])),
        record("R", two),
    );
    // A missing enum field with a default symbol has no default of its own.
    let mut defaulted = symbols(json!(["A"]));
    defaulted["default"] = json!("A");
    case(
        record("R", json!([{"name": "e", "type": defaulted}])),
        record("R", json!([])),
    );
    case(defaulted, symbols(json!(["B"])));
    // Recursion, inside and outside of unions.
    let list = |inner: &str| {
        record(
            "L",
            json!([{"name": "v", "type": inner}, {"name": "n", "type": ["null", "L"]}]),
        )
    };
    case(list("long"), list("int"));
    case(list("int"), list("long"));
    let tree = |inner: &str| {
        record(
            "T",
            json!([{"name": "c", "type": {"type": "array", "items": "T"}}, {"name": "v", "type": inner}]),
        )
    };
    case(tree("string"), tree("bytes"));
    case(tree("boolean"), tree("string"));
    case(json!([]), json!(["int"]));
    case(json!([]), json!([]));
    case(json!(["int"]), json!("int"));
    case(json!("int"), json!(["int"]));
    // What parsers refuse.
    case(
        json!({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "x"}]}),
        json!("int"),
    );
    case(json!(["int", "int"]), json!("int"));
    case(json!("Nobody"), json!("int"));
    case(symbols(json!(["A", "A"])), json!("int"));
    case(
        json!({"type": "record", "name": "1R", "fields": []}),
        json!("int"),
    );
    cases
}

/// xorshift64*; the same pairs on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const PRIMITIVES: &[&str] = &[
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];
const SYMBOLS: &[&str] = &["A", "B", "C", "D"];

struct Making<'r> {
    random: &'r mut Random,
    named: Vec<String>,
    left: usize,
}

impl<'r> Making<'r> {
    fn new(random: &'r mut Random) -> Self {
        Self {
            random,
            named: Vec::new(),
            left: 12,
        }
    }

    fn schema(&mut self) -> Value {
        match self.random.below(5) {
            0 => self.any(0),
            _ => self.record(0),
        }
    }

    fn any(&mut self, depth: usize) -> Value {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 || depth > 4 {
            return json!(self.random.one(PRIMITIVES));
        }
        match self.random.below(12) {
            0 => json!({"type": "array", "items": self.any(depth + 1)}),
            1 => json!({"type": "map", "values": self.any(depth + 1)}),
            2 | 3 => self.union(depth),
            4 => self.enumeration(),
            5 => {
                let name = self.name();
                json!({"type": "fixed", "name": name, "size": 1 + self.random.below(3)})
            }
            6 | 7 => self.record(depth + 1),
            8 if !self.named.is_empty() => json!(self.random.one(&self.named)),
            _ => json!(self.random.one(PRIMITIVES)),
        }
    }

    /// Makes a name that is not taken; some have a namespace.
    fn name(&mut self) -> String {
        let space = *self.random.one(&["", "", "x.", "y.z."]);
        let name = format!("{space}N{}", self.named.len());
        self.named.push(name.clone());
        name
    }

    fn enumeration(&mut self) -> Value {
        let name = self.name();
        let count = 1 + self.random.below(SYMBOLS.len());
        let mut declared = json!({"type": "enum", "name": name, "symbols": SYMBOLS[..count]});
        if self.random.below(4) == 0 {
            declared["default"] = json!("A");
        }
        declared
    }

    fn union(&mut self, depth: usize) -> Value {
        let mut branches: Vec<Value> = Vec::new();
        for _ in 0..=self.random.below(3) {
            let branch = match self.random.below(4) {
                0 => self.any(depth + 1),
                1 => self.record(depth + 1),
                _ => json!(self.random.one(PRIMITIVES)),
            };
            let kind = |value: &Value| match value {
                Value::Object(keys) if !keys.contains_key("name") => keys["type"].clone(),
                Value::Object(keys) => keys["name"].clone(),
                other => other.clone(),
            };
            if !branch.is_array() && !branches.iter().any(|other| kind(other) == kind(&branch)) {
                branches.push(branch);
            }
        }
        json!(branches)
    }

    fn record(&mut self, depth: usize) -> Value {
        let name = self.name();
        let mut fields = Vec::new();
        for index in 0..=self.random.below(4) {
            let kind = self.any(depth + 1);
            let mut field = json!({"name": format!("f{index}"), "type": kind});
            if self.random.below(3) == 0
                && let Some(default) = default_of(&field["type"])
            {
                field["default"] = default;
            }
            fields.push(field);
        }
        json!({"type": "record", "name": name, "fields": fields})
    }
}

fn default_of(kind: &Value) -> Option<Value> {
    Some(match kind {
        Value::String(name) => match name.as_str() {
            "null" => Value::Null,
            "boolean" => json!(true),
            "int" | "long" => json!(5),
            "float" | "double" => json!(1.5),
            "bytes" | "string" => json!("x"),
            _ => return None,
        },
        Value::Array(branches) => default_of(branches.first()?)?,
        Value::Object(keys) => match keys["type"].as_str()? {
            "array" => json!([]),
            "map" => json!({}),
            "enum" => keys["symbols"][0].clone(),
            _ => return None,
        },
        _ => return None,
    })
}

/// Changes something somewhere, as people do and as they should not.
fn change(schema: &mut Value, random: &mut Random) {
    let mut places = Vec::new();
    collect(schema, &mut String::new(), &mut places);
    let place = random.one(&places).clone();
    let at = schema.pointer_mut(&place).unwrap();
    match at {
        Value::String(name) if PRIMITIVES.contains(&name.as_str()) => match random.below(4) {
            0 => *at = json!(["null", name]),
            1 => *at = json!({"type": name}),
            _ => *name = (*random.one(PRIMITIVES)).to_owned(),
        },
        Value::Array(branches) => match random.below(3) {
            0 if !branches.is_empty() => drop(branches.remove(random.below(branches.len()))),
            1 => branches.reverse(),
            _ => {
                let new = json!(random.one(PRIMITIVES));
                if !branches.contains(&new) {
                    branches.push(new);
                }
            }
        },
        Value::Object(keys) => match keys.get("type").and_then(Value::as_str) {
            Some("record") => record_changed(keys, random),
            Some("enum") => match random.below(4) {
                0 => keys["symbols"] = json!(["A"]),
                1 => keys["symbols"] = json!(SYMBOLS),
                2 => drop(keys.insert("default".to_owned(), json!("A"))),
                _ => drop(keys.shift_remove("default")),
            },
            Some("fixed") => keys["size"] = json!(1 + random.below(3)),
            Some("array") => *at = json!({"type": "map", "values": keys["items"]}),
            Some("map") if random.below(2) == 0 => *at = keys["values"].clone(),
            _ => {}
        },
        _ => {}
    }
}

fn record_changed(keys: &mut serde_json::Map<String, Value>, random: &mut Random) {
    let name = keys["name"].as_str().unwrap().to_owned();
    let fields = keys["fields"].as_array_mut().unwrap();
    match random.below(8) {
        0 => fields.push(json!({"name": "new", "type": "int"})),
        1 => fields.push(json!({"name": "new", "type": ["null", "string"], "default": null})),
        2 if !fields.is_empty() => drop(fields.remove(random.below(fields.len()))),
        3 => fields.reverse(),
        4 if !fields.is_empty() => {
            let at = random.below(fields.len());
            let old = fields[at]["name"].clone();
            fields[at]["name"] = json!("renamed");
            if random.below(2) == 0 {
                fields[at]["aliases"] = json!([old]);
            }
        }
        5 if !fields.is_empty() => {
            let at = random.below(fields.len());
            match default_of(&fields[at]["type"]) {
                Some(default) => fields[at]["default"] = default,
                None => drop(fields[at].as_object_mut().unwrap().shift_remove("default")),
            }
        }
        6 => {
            // A reference to the old name dangles then, which both parsers refuse.
            keys["name"] = json!("Renamed");
            if random.below(2) == 0 {
                keys.insert("aliases".to_owned(), json!([name]));
            }
        }
        _ => keys["name"] = json!(format!("moved.{}", name.rsplit('.').next().unwrap())),
    }
}

fn collect(schema: &Value, at: &mut String, into: &mut Vec<String>) {
    into.push(at.clone());
    let length = at.len();
    let mut below = |step: &str, value: &Value| {
        at.push_str(step);
        collect(value, at, into);
        at.truncate(length);
    };
    match schema {
        Value::Array(branches) => {
            for (index, branch) in branches.iter().enumerate() {
                below(&format!("/{index}"), branch);
            }
        }
        Value::Object(keys) => {
            for key in ["items", "values"] {
                if let Some(inner) = keys.get(key) {
                    below(&format!("/{key}"), inner);
                }
            }
            if let Some(fields) = keys.get("fields").and_then(Value::as_array) {
                for (index, field) in fields.iter().enumerate() {
                    below(&format!("/fields/{index}/type"), &field["type"]);
                }
            }
        }
        _ => {}
    }
}
