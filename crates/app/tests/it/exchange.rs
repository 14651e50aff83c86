//! `contract export|import|test`: files out and in, samples tried.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::program::{Ran, Served, root, run, run_with};

const SHOP: &str = "crates/contract/tests/it/exchange/shop";
const SMALL: &str = "examples/small/contracts";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_exported_and_imported_is_the_same_set() {
    for form in ["asyncapi", "odcs"] {
        let (out, back) = (tempdir().unwrap(), tempdir().unwrap());
        let ran = run(&["contract", "export", form, SHOP, "--out", text(out.path())]);
        assert_eq!(ran.code, 0, "{ran}");
        // The teams of readers are in no document of a contract.
        fs::copy(
            root().join(SHOP).join("teams.yaml"),
            back.path().join("teams.yaml"),
        )
        .unwrap();
        let mut files: Vec<_> = fs::read_dir(out.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), if form == "asyncapi" { 6 } else { 4 });
        for file in &files {
            let ran = run(&[
                "contract",
                "import",
                form,
                text(file),
                "--out",
                text(back.path()),
            ]);
            assert_eq!(ran.code, 0, "{ran}");
            assert_eq!(ran.stderr, "", "{ran}");
        }
        let ran = run(&["contract", "diff", SHOP, text(back.path()), "-o", "json"]);
        let mut changes = ran.json()["changes"].as_array().unwrap().clone();
        // A data contract has no readers: theirs are documents of their own.
        changes.retain(|change| form == "asyncapi" || change["rule"] != "reader-removed");
        assert!(changes.is_empty(), "{ran}");
        assert_eq!(ran.json()["contracts"], 4);
        // A second time nothing is another; other files are not written over.
        let document = out.path().join(format!("order-cancelled.{form}.yaml"));
        let again = [
            "contract",
            "import",
            form,
            text(&document),
            "--out",
            text(back.path()),
        ];
        let ran = run(&[&again[..], &["-o", "json"]].concat());
        let whats: Vec<_> = ran.json()["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["what"].clone())
            .collect();
        assert!(whats.iter().all(|what| what == "is there already"), "{ran}");
        let cancelled = back.path().join("orders/order-cancelled.yaml");
        fs::write(&cancelled, "# mine\n").unwrap();
        let ran = run(&again);
        assert_eq!(ran.code, 6, "{ran}");
        assert_eq!(fs::read_to_string(&cancelled).unwrap(), "# mine\n");
        assert_eq!(run(&[&again[..], &["--force"]].concat()).code, 0);
        assert!(
            fs::read_to_string(&cancelled)
                .unwrap()
                .starts_with("# yaml-language-server: $schema=../contract")
        );
    }
}

#[test]
fn one_file_is_printed_and_many_want_a_folder() {
    let ran = run(&[
        "contract",
        "export",
        "jsonschema",
        SMALL,
        "--contract",
        "order-placed",
    ]);
    assert_eq!(
        (ran.code, ran.json()["title"].clone()),
        (0, "OrderPlaced".into()),
        "{ran}"
    );
    insta::assert_snapshot!("export_many", run(&["contract", "export", "odcs", SMALL]));
    insta::assert_snapshot!(
        "export_unknown",
        run(&[
            "contract",
            "export",
            "odcs",
            SMALL,
            "--contract",
            "order-placd"
        ])
    );
    insta::assert_snapshot!(
        "export_server",
        run(&[
            "contract",
            "export",
            "odcs",
            SMALL,
            "--server",
            "broker:9092"
        ])
    );
    insta::assert_snapshot!(
        "export_refused",
        run(&[
            "contract",
            "export",
            "jsonschema",
            SHOP,
            "--contract",
            "order-shipped"
        ])
    );
    insta::assert_snapshot!(
        "import_absent",
        run(&["contract", "import", "odcs", "no-such.yaml"])
    );
    let strangers = tempdir().unwrap();
    let lights = "crates/contract/tests/it/exchange/strangers/lights.asyncapi.yaml";
    let ran = run(&[
        "contract",
        "import",
        "asyncapi",
        lights,
        "--out",
        text(strangers.path()),
    ]);
    let ran = ran.redacted(&[(text(strangers.path()), "DIR")]);
    insta::assert_snapshot!("import_stranger", ran);
    assert_eq!(run(&["contract", "list", text(strangers.path())]).code, 0);
}

#[test]
fn pages_are_written_as_a_folder() {
    let out = tempdir().unwrap();
    let ran = run(&[
        "contract",
        "export",
        "html",
        SHOP,
        "--out",
        text(out.path()),
    ]);
    insta::assert_snapshot!("export_html", ran.redacted(&[(text(out.path()), "DIR")]));
    for page in [
        "index.html",
        "contracts/order-placed.html",
        "readers/billing.html",
        "teams/team-orders.html",
    ] {
        assert!(out.path().join(page).is_file(), "{page}");
    }
}

#[test]
fn samples_tell_who_fails_on_which_and_why() {
    insta::assert_snapshot!("test_table", run(&["contract", "test", SHOP]));
    let counts = |ran: &Ran| {
        assert_eq!(ran.code, 3, "{ran}");
        let found = ran.json()["findings"].as_array().unwrap().clone();
        found
            .iter()
            .filter(|found| found["level"] == "error")
            .count()
    };
    let errors = counts(&run(&["contract", "test", SHOP, "-o", "json"]));
    let report = |form: &str| {
        let ran = run(&["contract", "test", SHOP, "--format", form]);
        assert_eq!(ran.code, 3, "{ran}");
        ran
    };
    let sarif = report("sarif").json();
    let results = sarif["runs"][0]["results"].as_array().unwrap().clone();
    assert_eq!(
        results
            .iter()
            .filter(|result| result["level"] == "error")
            .count(),
        errors
    );
    assert_eq!(report("github").stdout.matches("::error ").count(), errors);
    let gitlab = report("gitlab").json();
    assert_eq!(
        gitlab
            .as_array()
            .unwrap()
            .iter()
            .filter(|found| found["severity"] == "blocker")
            .count(),
        errors
    );
    let junit = report("junit").stdout;
    assert!(
        junit.contains("<testcase classname=\"contracts\" name=\"order-placed\">\n      <failure"),
        "{junit}"
    );
    assert_eq!(counts(&report("json")), errors);
    // One contract alone keeps what it promises.
    let ran = run(&["contract", "test", SHOP, "--contract", "order-cancelled"]);
    insta::assert_snapshot!("test_good", ran);
    insta::assert_snapshot!(
        "test_no_folder",
        run(&["contract", "test", SHOP, "--samples", "no-such"])
    );
}

#[test]
fn recorded_events_are_samples_too() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &["--contracts", SMALL]);
    for number in 0..6 {
        let order = format!(
            r#"{{"orderId":"o-100{number}","customer":"c-1","lines":[{{"sku":"tea","quantity":1}}],"total":{{"amount":{number},"currency":"EUR"}}}}"#
        );
        let id = number.to_string();
        let words = [
            "send",
            "com.example.order.placed",
            "--source",
            "/shop/orders",
        ];
        let ran = run_with(
            &[&words[..], &["--id", &id, "--url", &served.url]].concat(),
            &[],
            &order,
        );
        assert_eq!(ran.code, 0, "{ran}");
    }
    // A reader that wants more than the contract gives.
    let folder = tempdir().unwrap();
    for inside in ["", "schemas"] {
        fs::create_dir_all(folder.path().join(inside)).unwrap();
        for file in fs::read_dir(root().join(SMALL).join(inside)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs::copy(
                    file.path(),
                    folder.path().join(inside).join(file.file_name()),
                )
                .unwrap();
            }
        }
    }
    let reader = "apiVersion: contract/v1\nkind: ConsumerContract\nmetadata: {name: billing, owner: team-shop}\nspec:\n  contract: order-placed\n  accepts: \"1\"\n  via: {kafka: {group: billing}}\n  reads: [$.orderId, $.note]\n  requires: [{name: something-to-pay, expr: message.total.amount > 0}]\n";
    fs::write(folder.path().join("billing.yaml"), reader).unwrap();
    let test = |limit: &str| {
        run(&[
            "contract",
            "test",
            text(folder.path()),
            "--from",
            &served.url,
            "--limit",
            limit,
            "--contract",
            "order-placed",
            "-o",
            "json",
        ])
    };
    let ran = test("100");
    let told = ran.json();
    assert_eq!((ran.code, told["samples"].as_u64()), (3, Some(6)), "{ran}");
    let found: Vec<(String, String)> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            (
                found["rule"].as_str().unwrap().to_owned(),
                found["reader"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [
        ("reader-requirement", "billing"),
        ("reader-field-unproven", "billing"),
    ];
    assert_eq!(
        found,
        expected.map(|(rule, reader)| (rule.to_owned(), reader.to_owned())),
        "{ran}"
    );
    assert!(
        told["findings"][0]["sample"]
            .as_str()
            .unwrap()
            .contains('@'),
        "{ran}"
    );
    // Fewer are taken if fewer are asked for.
    assert!(test("3").json()["samples"].as_u64() <= Some(3));
    let unreachable = run(&["contract", "test", SMALL, "--from", "http://127.0.0.1:1"]);
    assert_eq!(unreachable.code, 7, "{unreachable}");
}

#[test]
fn pacts_become_readers_and_are_tried() {
    const PACT: &str = "crates/contract/tests/it/exchange/pacts/billing-orders.json";
    let ran = run(&["contract", "test", SHOP, "--pact", PACT, "-o", "json"]);
    let told = ran.json();
    let of_pact: Vec<String> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["reader"] == "Billing Service")
        .map(|found| {
            let text = |name: &str| found[name].as_str().unwrap().to_owned();
            format!("{} {}: {}", text("level"), text("rule"), text("why"))
        })
        .collect();
    insta::assert_snapshot!("test_pact", of_pact.join("\n"));
    // The reader that it becomes is one of the set then.
    let folder = tempdir().unwrap();
    let import = [
        "contract",
        "import",
        "pact",
        PACT,
        "--out",
        text(folder.path()),
    ];
    let ran = run(&[&import[..], &["--contract", "order-placed"]].concat());
    assert_eq!(ran.code, 0, "{ran}");
    assert!(folder.path().join("billing-service.reader.yaml").is_file());
    assert_eq!(run(&["contract", "lint", text(folder.path())]).code, 0);
    let broken = run(&["contract", "test", SHOP, "--pact", "Cargo.toml"]);
    assert_eq!(broken.code, 2, "{broken}");
}
