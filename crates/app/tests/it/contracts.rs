//! `contract`: files in, findings and tables out.

use crate::program::{root, run, run_with};

const SMALL: &str = "examples/small/contracts";

#[test]
fn good_contracts_are_listed_and_explained() {
    insta::assert_snapshot!("lint_good", run(&["contract", "lint", SMALL]));
    insta::assert_snapshot!("list", run(&["contract", "list", SMALL]));
    insta::assert_snapshot!("list_csv", run(&["contract", "list", SMALL, "-o", "csv"]));
    insta::assert_snapshot!(
        "explain",
        run(&["contract", "explain", "order-placed", SMALL])
    );
    insta::assert_snapshot!(
        "explain_unknown",
        run(&["contract", "explain", "order-placd", SMALL])
    );
}

#[test]
fn broken_contracts_end_with_3() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let text = "apiVersion: contract/v1\nkind: EventContract\nmetadata:\n  nam: order-placed\n";
    std::fs::write(directory.path().join("order.yaml"), text).unwrap();
    let ran = |arguments: &[&str]| run(arguments).redacted(&[(path, "DIR")]);
    insta::assert_snapshot!("lint_broken", ran(&["contract", "lint", path]));
    insta::assert_snapshot!(
        "lint_broken_json",
        ran(&["contract", "lint", path, "-o", "json"])
    );
    insta::assert_snapshot!("list_broken", ran(&["contract", "list", path]));
    for (form, starts) in [
        ("github", "::error file="),
        ("sarif", "{"),
        ("gitlab", "["),
        ("junit", "<?xml"),
    ] {
        let ran = run(&["contract", "lint", path, "--format", form]);
        assert_eq!(ran.code, 3, "{ran}");
        assert!(ran.stdout.starts_with(starts), "{ran}");
    }
}

#[test]
fn the_schema_of_the_format_is_one_json_document() {
    let ran = run(&["contract", "schema"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.json()["title"], "tidegate contracts, contract/v1");
}

/// Contracts before and after, as the contract crate compares them.
const TORN: [&str; 2] = [
    "crates/contract/tests/it/diff/torn/old",
    "crates/contract/tests/it/diff/torn/new",
];
const EVOLVED: [&str; 2] = [
    "crates/contract/tests/it/diff/evolved/old",
    "crates/contract/tests/it/diff/evolved/new",
];

#[test]
fn a_breaking_change_ends_with_3_in_every_form() {
    let [old, new] = TORN;
    for form in ["text", "json", "junit", "sarif", "github", "gitlab"] {
        let ran = run(&["contract", "check", new, "--against", old, "--format", form]);
        assert_eq!(ran.code, 3, "{ran}");
        insta::assert_snapshot!(format!("check_{form}"), ran);
    }
    let ran = run(&["contract", "check", new, "--against", old, "-o", "json"]);
    assert_eq!(ran.json()["changes"].as_array().unwrap().len(), 8);
}

#[test]
fn reports_hold_for_their_readers() {
    let [old, new] = TORN;
    let report = |form: &str| run(&["contract", "check", new, "--against", old, "--format", form]);
    let sarif = report("sarif").json();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    for result in results {
        assert!(
            rules.iter().any(|rule| rule["id"] == result["ruleId"]),
            "{result}"
        );
    }
    let fingerprints = |values: Vec<&serde_json::Value>| {
        let all: std::collections::BTreeSet<String> =
            values.iter().map(|v| v.to_string()).collect();
        all.len()
    };
    let gitlab = report("gitlab").json();
    let gitlab = gitlab.as_array().unwrap();
    assert_eq!(
        fingerprints(gitlab.iter().map(|f| &f["fingerprint"]).collect()),
        results.len()
    );
    assert_eq!(report("github").stdout.lines().count(), results.len());
    let junit = report("junit").stdout;
    assert_eq!(
        junit.matches("<testcase ").count(),
        junit.matches("</testcase>").count()
    );
    assert_eq!(junit.matches("<failure ").count(), 4);
}

#[test]
fn what_is_not_breaking_ends_with_0_unless_asked() {
    let [old, new] = EVOLVED;
    insta::assert_snapshot!(
        "check_evolved",
        run(&["contract", "check", new, "--against", old])
    );
    insta::assert_snapshot!(
        "diff_evolved",
        run(&["contract", "diff", old, new, "-o", "csv"])
    );
    let ran = run(&[
        "contract",
        "check",
        new,
        "--against",
        old,
        "--fail-on",
        "risky",
    ]);
    assert_eq!(ran.code, 3, "{ran}");
    let ran = run(&["contract", "check", old, "--against", old]);
    insta::assert_snapshot!("check_same", ran);
    let github = [("GITHUB_ACTIONS", "true")];
    let ran = run_with(&["contract", "check", new, "--against", old], &github, "");
    assert!(
        ran.stdout.contains("\n::warning file=crates/contract/"),
        "{ran}"
    );
}

#[test]
fn older_states_are_what_transitive_compatibility_looks_at() {
    let directory = tempfile::tempdir().unwrap();
    let version = |name: &str, fields: &str| {
        let folder = directory.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let contract = "apiVersion: contract/v1\nkind: EventContract\nmetadata: {name: a}\nspec:\n  class: fact\n  \
                        schema: {format: avro, file: a.avsc, compatibility: BACKWARD_TRANSITIVE}\n  key: {from: $.id}\n";
        std::fs::write(folder.join("a.yaml"), contract).unwrap();
        let schema = format!(r#"{{"type": "record", "name": "A", "fields": [{fields}]}}"#);
        std::fs::write(folder.join("a.avsc"), schema).unwrap();
        folder.to_str().unwrap().to_owned()
    };
    let id = r#"{"name": "id", "type": "string"}"#;
    let first = version("first", id);
    let second = version(
        "second",
        &format!(r#"{id}, {{"name": "n", "type": "int", "default": 0}}"#),
    );
    let third = version("third", &format!(r#"{id}, {{"name": "n", "type": "int"}}"#));
    let ran = run(&["contract", "check", &third, "--against", &second]);
    assert_eq!(ran.code, 0, "{ran}");
    let ran = run(&[
        "contract",
        "check",
        &third,
        "--against",
        &first,
        "--against",
        &second,
    ]);
    assert_eq!(ran.code, 3, "{ran}");
    assert!(
        ran.stdout
            .contains(&format!("breaks `BACKWARD_TRANSITIVE` against `{first}`")),
        "{ran}"
    );
}

/// A repository whose first commit, `v1`, has the old contracts and whose working tree the new.
fn repository([old, new]: [&str; 2], inside: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(inside);
    let fill = |from: &str| {
        for entry in [
            "orders.yaml",
            "schemas/order.avsc",
            "schemas/paid.proto",
            "schemas/shipped.json",
        ] {
            let (from, to) = (root().join(from).join(entry), folder.join(entry));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            if from.exists() {
                std::fs::copy(from, to).unwrap();
            }
        }
    };
    git(directory.path(), &["init", "--quiet"]);
    fill(old);
    git(directory.path(), &["add", "."]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    git(
        directory.path(),
        &[&who[..], &["commit", "--quiet", "-m", "first"]].concat(),
    );
    git(directory.path(), &["tag", "v1"]);
    fill(new);
    directory
}

fn git(folder: &std::path::Path, arguments: &[&str]) {
    let mut git = std::process::Command::new("git");
    git.arg("-C").arg(folder).args(arguments);
    assert!(git.status().unwrap().success(), "{arguments:?}");
}

#[test]
fn a_git_reference_is_the_folder_at_that_commit() {
    for inside in ["", "a/contracts", ".hidden/contracts"] {
        let directory = repository(TORN, inside);
        let path = directory.path().join(inside);
        let path = path.to_str().unwrap().trim_end_matches('/');
        for reference in ["v1", "HEAD", "HEAD~0"] {
            let ran = run(&[
                "contract",
                "check",
                path,
                "--against",
                reference,
                "-o",
                "json",
            ]);
            assert_eq!(ran.code, 3, "{ran}");
            assert_eq!(ran.json()["changes"].as_array().unwrap().len(), 8, "{ran}");
        }
        let ran = run(&[
            "contract",
            "check",
            path,
            "--against",
            "v1",
            "--format",
            "github",
        ]);
        // The removed contract has its place where it was.
        assert!(
            ran.stdout
                .contains(&format!("file={path}/orders.yaml,line=31")),
            "{ran}"
        );
    }
    // As people run it: inside the repository, on `.`.
    let directory = repository(EVOLVED, "contracts");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(directory.path().join("contracts"));
    let output = command
        .args(["contract", "check", ".", "--against", "v1"])
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("retention-shortened"));
    // What was not there yet was nothing.
    let later = directory.path().join("later");
    std::fs::create_dir(&later).unwrap();
    let ran = run(&["contract", "diff", "v1", later.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran}");
}

#[test]
fn a_reference_that_is_none_ends_with_2() {
    let [old, _] = TORN;
    let directory = repository(TORN, "");
    let path = directory.path().to_str().unwrap().to_owned();
    let ran = |path: &str, reference: &str| {
        let ran = run(&["contract", "check", path, &format!("--against={reference}")]);
        assert_eq!(ran.code, 2, "{ran}");
        ran.redacted(&[(directory.path().to_str().unwrap(), "DIR")])
            .stderr
    };
    insta::assert_snapshot!("check_no_such_reference", ran(&path, "v9"));
    insta::assert_snapshot!("check_hostile_reference", ran(&path, "--output=x"));
    let outside = tempfile::tempdir().unwrap();
    let told = ran(outside.path().to_str().unwrap(), "v1");
    assert!(told.contains("git finds no repository"), "{told}");
    let told = ran("no/such/folder", "v1");
    assert!(told.contains("cannot read `no/such/folder`"), "{told}");
    // An earlier state that cannot be used is no finding of this one; a later one is.
    let broken = directory.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("a.yaml"), "kind: Nonsense\n").unwrap();
    let failed = run(&[
        "contract",
        "check",
        old,
        "--against",
        broken.to_str().unwrap(),
    ]);
    assert_eq!(failed.code, 1, "{failed}");
    let broken = broken.to_str().unwrap();
    let failed = run(&[
        "contract",
        "check",
        broken,
        "--against",
        old,
        "--format",
        "github",
    ]);
    assert_eq!(failed.code, 3, "{failed}");
    assert!(failed.stdout.starts_with("::error file="), "{failed}");
}

/// Writes every event of a published version of GitHub's webhook schemas as a contract.
fn published(version: &str) -> tempfile::TempDir {
    let evolution = root().join("tests/schema-evolution");
    let schema = evolution.join(format!("node_modules/schemas-{version}/schema.json"));
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(schema).expect("run `tools/setup evolution`");
    let template = std::fs::read_to_string(evolution.join("contract.yaml")).unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(folder.path().join("schemas/github.json"), &text).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    for root in schema["oneOf"].as_array().unwrap() {
        let definition = root["$ref"].as_str().unwrap().replace("#/definitions/", "");
        let event = definition
            .trim_end_matches("event")
            .trim_end_matches(['_', '$']);
        let contract = template
            .replace("NAME", &event.replace('_', "-"))
            .replace("EVENT", event)
            .replace("DEFINITION", &definition);
        std::fs::write(folder.path().join(format!("{event}.yaml")), contract).unwrap();
    }
    folder
}

/// The table is made by the contract crate; here the command itself is held against it.
#[test]
#[ignore = "needs `tools/setup evolution`: `make test` runs it"]
fn a_real_step_is_judged_as_its_page_says() {
    let page = std::fs::read_to_string(root().join("docs/reference/schema-evolution.md")).unwrap();
    for (old, new, code) in [("7.5.1", "7.6.1", 3), ("7.4.0", "7.5.0", 0)] {
        let (before, after) = (published(old), published(new));
        let [before, after] = [&before, &after].map(|folder| folder.path().to_str().unwrap());
        let ran = run(&[
            "contract",
            "check",
            after,
            "--against",
            before,
            "-o",
            "json",
        ]);
        assert_eq!(ran.code, code, "{ran}");
        let changes = ran.json();
        let told: std::collections::BTreeSet<&str> = changes["changes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|change| change["rule"] == "schema-incompatible")
            .map(|change| change["contract"].as_str().unwrap())
            .collect();
        // `| 7.5.1 → 7.6.1 | 66 | 2: 2 + 0 + 0 | …`, first under BACKWARD.
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {old} → {new} |")));
        let broken = row.unwrap().split('|').nth(3).unwrap().trim();
        let count = broken.split(':').next().unwrap();
        assert_eq!(count, told.len().to_string(), "{ran}");
    }
}

/// Real names and real fields about persons: a rule that is wrong about these is wrong.
#[test]
#[ignore = "needs `tools/setup demo`: `make test` runs it"]
fn lint_has_nothing_to_say_about_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let script = root().join("examples/github-webhooks/prepare.mjs");
    let prepared = std::process::Command::new("node")
        .arg(script)
        .arg(path)
        .status();
    assert!(prepared.unwrap().success());
    let ran = run(&["contract", "lint", &format!("{path}/contracts")]);
    assert_eq!(ran.stdout, "57 contracts, nothing found\n", "{ran}");
}
