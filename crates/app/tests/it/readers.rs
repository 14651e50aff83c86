//! Whom a change breaks, as the binary says it: readers of a running gateway with real groups and
//! events.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::program::{Ran, Served, run, run_with};

const TEAM: &str = "apiVersion: contract/v1\nkind: Team\nmetadata: {name: team-shop}\nspec: {pager: \"mailto:shop@example.com\"}\n";

const ORDER: &str = "apiVersion: contract/v1
kind: EventContract
metadata: {name: order-placed, owner: team-shop, version: 1.0.0}
spec:
  class: fact
  event: {type: com.example.order.placed}
  schema: {file: order.json}
  key: {from: $.id}
  topic: {name: shop.orders, partitions: 1}
";

/// Each with its group and what it reads.
const READERS: [(&str, &str); 3] = [
    ("archive", "[$.id, $.customer]"),
    ("billing", "[$.id, $.total]"),
    ("warehouse", "[$.id, $.lines]"),
];

fn schema(total: &str) -> String {
    json!({
        "type": "object",
        "required": ["id", "customer", "total"],
        "properties": {
            "id": {"type": "string"},
            "customer": {"type": "string"},
            "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
            "total": {"type": total},
        },
    })
    .to_string()
}

fn reader(name: &str, reads: &str) -> String {
    format!(
        "---\napiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {{name: {name}, owner: team-{name}}}\nspec:\n  \
         contract: order-placed\n  accepts: \">=1 <2\"\n  via: {{kafka: {{group: {name}}}}}\n  reads: {reads}\n"
    )
}

/// Writes a folder of contracts.
fn folder(at: &Path, name: &str, files: &[(&str, String)]) -> PathBuf {
    let folder = at.join(name);
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    folder
}

/// Commits an offset of partition 0 as a Kafka client does: OffsetCommit, version 2, of a group without
/// members.
fn commit(address: &str, group: &str, topic: &str, offset: i64) {
    let mut body = Vec::new();
    let text = |body: &mut Vec<u8>, text: &str| {
        body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        body.extend(text.as_bytes());
    };
    body.extend(8_i16.to_be_bytes());
    body.extend(2_i16.to_be_bytes());
    body.extend(7_i32.to_be_bytes());
    text(&mut body, "test");
    text(&mut body, group);
    body.extend((-1_i32).to_be_bytes());
    text(&mut body, "");
    body.extend((-1_i64).to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    text(&mut body, topic);
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    body.extend(offset.to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    let mut stream = TcpStream::connect(address).unwrap();
    let length = i32::try_from(body.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &body].concat()).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    let error = &answer[answer.len() - 2..];
    assert_eq!(
        error,
        [0, 0],
        "the group `{group}` has committed: {answer:?}"
    );
}

/// A gateway with one contract and three readers in force, whose groups have read some of four events.
struct Shop {
    served: Served,
    home: tempfile::TempDir,
    in_force: PathBuf,
}

impl Shop {
    fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let readers = READERS.map(|(name, reads)| reader(name, reads)).concat();
        let files = [
            ("order.json", schema("integer")),
            ("orders.yaml", format!("{TEAM}---\n{ORDER}")),
            ("readers.yaml", readers),
        ];
        let in_force = folder(home.path(), "in-force", &files);
        let data = home.path().join("data");
        let contracts = ["--contracts", in_force.to_str().unwrap()];
        let served = Served::start(&data, &contracts);
        for number in 0..4 {
            let event =
                json!({"id": format!("o-{number}"), "customer": "c", "total": number, "lines": []});
            let send = ["send", "com.example.order.placed", "--source", "/shop"];
            let id = format!("e{number}");
            let more = ["--id", &id, "--url", &served.url];
            let sent = run_with(&[&send[..], &more].concat(), &[], &event.to_string());
            assert_eq!(sent.code, 0, "{sent}");
        }
        let kafka = served.door("kafka");
        let kafka = kafka.strip_prefix("http://").unwrap();
        for (offset, (group, _)) in (1..).zip(READERS) {
            commit(kafka, group, "shop.orders", offset);
        }
        Self {
            served,
            home,
            in_force,
        }
    }

    fn check(&self, folder: &Path, more: &[&str]) -> Ran {
        let check = ["contract", "check", folder.to_str().unwrap()];
        let against = ["--against", &self.served.url];
        run(&[&check[..], &against, more].concat())
    }
}

#[test]
fn one_change_breaks_exactly_one_of_three_readers() {
    let shop = Shop::open();
    let files = [
        ("order.json", schema("string")),
        ("orders.yaml", format!("{TEAM}---\n{ORDER}")),
    ];
    let changed = folder(shop.home.path(), "changed", &files);
    let ran = shop.check(&changed, &["-o", "json"]);
    assert_eq!(ran.code, 3, "{ran}");
    let answer = ran.json();
    let changes = answer["changes"].as_array().unwrap();
    let readers: std::collections::BTreeSet<&str> = changes
        .iter()
        .filter_map(|change| change["reader"]["name"].as_str())
        .collect();
    assert_eq!(
        readers.into_iter().collect::<Vec<_>>(),
        ["billing"],
        "{ran}"
    );
    let failing = changes
        .iter()
        .find(|change| change["rule"] == "reader-events-fail")
        .unwrap();
    assert_eq!(failing["field"], "$.total");
    let place = json!({"topic": "shop.orders", "partition": 0, "offset": 0});
    assert_eq!(failing["first_offset"], place);
    let file = changed.join("orders.yaml");
    assert_eq!(failing["file"], file.to_str().unwrap());

    let home = shop.home.path().to_str().unwrap();
    let redact = |ran: Ran| ran.redacted(&[(home, "DIR"), (&shop.served.url, "URL")]);
    insta::assert_snapshot!("check_running", redact(shop.check(&changed, &[])));
    for (form, says) in [
        ("junit", "<testcase classname=\"readers\" name=\"billing\">"),
        ("sarif", "\"firstOffset\": 0"),
        ("github", "reader `billing` of `team-billing`"),
        ("gitlab", "reader `billing` of `team-billing`"),
    ] {
        let ran = shop.check(&changed, &["--format", form, "--full"]);
        assert_eq!(ran.code, 3, "{ran}");
        assert!(ran.stdout.contains(says), "{ran}");
    }

    // Without events, the gateway says what the folder in force says.
    let there = shop
        .check(&changed, &["-o", "json", "--sample", "0"])
        .json();
    let against = shop.in_force.to_str().unwrap();
    let folder = ["contract", "check", changed.to_str().unwrap()];
    let here = run(&[&folder[..], &["--against", against, "-o", "json"]].concat()).json();
    assert_eq!(there["changes"], here["changes"]);
    assert_eq!(there["events"][0]["looked_at"], 0);

    // What is in force passes, and so does a reader that asks for what is there.
    let same = shop.check(&shop.in_force, &[]);
    assert_eq!(same.code, 0, "{same}");
    let new = [("reader.yaml", reader("fraud", "[$.customer]"))];
    let new = self::folder(shop.home.path(), "fraud", &new);
    insta::assert_snapshot!("check_running_reader", redact(shop.check(&new, &[])));
}

#[test]
fn a_folder_of_readers_is_held_against_a_folder_of_contracts() {
    let home = tempfile::tempdir().unwrap();
    let orders = ("orders.yaml", format!("{TEAM}---\n{ORDER}"));
    let files = [("order.json", schema("integer")), orders];
    let contracts = folder(home.path(), "contracts", &files);
    let check = |folder: &Path| {
        let against = ["--against", contracts.to_str().unwrap(), "-o", "json"];
        run(&[
            &["contract", "check", folder.to_str().unwrap()],
            &against[..],
        ]
        .concat())
    };
    let good = [("reader.yaml", reader("fraud", "[$.customer]"))];
    let ran = check(&folder(home.path(), "good", &good));
    assert_eq!(
        (ran.code, ran.json()["changes"].clone()),
        (0, json!([])),
        "{ran}"
    );
    let bad = [("reader.yaml", reader("fraud", "[$.nope]"))];
    let ran = check(&folder(home.path(), "bad", &bad));
    assert_eq!(ran.code, 3, "{ran}");
    let changes = ran.json()["changes"].clone();
    let told = (
        &changes[0]["rule"],
        &changes[0]["reader"]["name"],
        &changes[0]["field"],
    );
    assert_eq!(
        told,
        (
            &json!("reader-field-gone"),
            &json!("fraud"),
            &json!("$.nope")
        )
    );
    assert_eq!(
        changes.as_array().unwrap().len(),
        1,
        "the contract is not gone: {ran}"
    );
}

#[test]
fn readers_are_listed_from_files_and_from_a_gateway() {
    let shop = Shop::open();
    let home = shop.home.path().to_str().unwrap();
    let ran = |arguments: &[&str]| {
        let ran = run(&[&["contract"], arguments].concat());
        ran.redacted(&[(home, "DIR"), (&shop.served.url, "URL")])
    };
    let in_force = shop.in_force.to_str().unwrap();
    insta::assert_snapshot!("readers_of_files", ran(&["readers", in_force]));
    let from = ["readers", "--from", &shop.served.url, "-o", "json"];
    let readers = ran(&from).json();
    let readers = readers["readers"].as_array().unwrap();
    let lag: Vec<(&str, i64)> = readers
        .iter()
        .map(|it| {
            (
                it["name"].as_str().unwrap(),
                it["lag_records"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(lag, [("archive", 3), ("billing", 2), ("warehouse", 1)]);
    for reader in readers {
        assert_eq!(reader["group_exists"], true, "{reader}");
        assert!(reader["lag_ms"].as_i64().unwrap() > 0, "{reader}");
    }
    let none = ran(&["readers", in_force, "--contract", "nope", "-o", "csv"]);
    assert_eq!(none.stdout.lines().count(), 1, "{none}");
    let list = ran(&["list", in_force, "-o", "json"]).json();
    let names: Value = READERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(list["contracts"][0]["readers"], names);
}

#[test]
fn a_gateway_that_cannot_be_asked_ends_with_1() {
    let directory = tempfile::tempdir().unwrap();
    let files = [("orders.yaml", TEAM.to_owned())];
    let contracts = folder(directory.path(), "contracts", &files);
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let check = |arguments: &[&str]| {
        let check = ["contract", "check", contracts.to_str().unwrap()];
        run(&[&check[..], arguments].concat())
    };
    let ran = check(&["--against", &address]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stderr.contains(&format!("cannot reach `{address}/`")),
        "{ran}"
    );
    for wrong in [
        &["--against", "https://"][..],
        &["--against", &address, "--against", "."],
        &["--against", ".", "--full"],
        &["--against", &address, "--full", "--sample", "3"],
    ] {
        let ran = check(wrong);
        assert_eq!(ran.code, 2, "{ran}");
    }
}
