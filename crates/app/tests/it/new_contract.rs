//! `contract new`: arguments, samples and answers in, files out.

use crate::program::{run, run_with};

/// What `contract new` leaves in a folder.
fn written(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [folder.to_owned(), folder.join("schemas")] {
        let entries = std::fs::read_dir(&folder).into_iter().flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        found.extend(names);
    }
    found.sort();
    found
}

const BY_HAND: [&str; 10] = [
    "--class",
    "fact",
    "--key",
    "$.orderId",
    "--owner",
    "team-shop",
    "--pager",
    "mailto:shop@example.com",
    "--summary",
    "A customer's order was accepted.",
];

#[test]
fn a_new_contract_passes_lint_and_is_never_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("contracts");
    let path = folder.to_str().unwrap();
    let new = |name: &str, more: &[&str]| {
        run(&[&["contract", "new", name, path], more].concat()).redacted(&[(path, "DIR")])
    };
    insta::assert_snapshot!("new", new("order-placed", &BY_HAND));
    let names = [
        "contract.v1.schema.json",
        "order-placed.json",
        "order-placed.yaml",
        "schemas",
    ];
    assert_eq!(written(&folder), names);
    insta::assert_snapshot!("new_again", new("order-placed", &BY_HAND));
    // The one team that is there answers for the next.
    let next = ["--class", "telemetry", "--key", "$.sensor.id"];
    assert_eq!(new("temperature-measured", &next).code, 0);
    insta::assert_snapshot!("new_linted", run(&["contract", "lint", path]));
    // A file that is there stays as it is, whatever it is.
    std::fs::write(folder.join("schemas/order-paid.json"), "mine").unwrap();
    insta::assert_snapshot!("new_there", new("order-paid", &next));
    assert_eq!(
        std::fs::read_to_string(folder.join("schemas/order-paid.json")).unwrap(),
        "mine"
    );
    assert!(!folder.join("order-paid.yaml").exists());
}

#[test]
fn a_sample_makes_the_schema() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("contracts");
    let (path, sample) = (
        folder.to_str().unwrap(),
        directory.path().join("sample.json"),
    );
    std::fs::write(
        &sample,
        r#"{"orderId": "o-1", "placedAt": "2026-01-15T09:00:14Z", "lines": [{"sku": "tea", "quantity": 2}], "customer": {"email": "a@example.com"}}"#,
    )
    .unwrap();
    let sample = ["--from-sample", sample.to_str().unwrap()];
    let new = |more: &[&str]| {
        run(&[
            &["contract", "new", "order-placed", path],
            &sample[..],
            more,
        ]
        .concat())
        .redacted(&[(path, "DIR")])
    };
    let missing = [
        "--class",
        "fact",
        "--key",
        "$.id",
        "--owner",
        "a",
        "--pager",
        "mailto:a@example.com",
    ];
    insta::assert_snapshot!("new_sample_without_key", new(&missing));
    assert_eq!(new(&BY_HAND).code, 0);
    let schema = std::fs::read_to_string(folder.join("schemas/order-placed.json")).unwrap();
    insta::assert_snapshot!("new_sample_schema", schema);
    let ran = run(&["contract", "lint", path]);
    assert_eq!(ran.stdout, "1 contracts, nothing found\n", "{ran}");
}

/// Answers in the order of the questions.
const ANSWERS: &str = "fact\nothers\nthing\n$.orderId\nharm\n$.orderId\n2500/s\nbilling\n30s\n\nteam-shop\nmailto:shop@example.com\nA customer's order was accepted.\n";

#[test]
fn answers_on_stdin_make_a_contract() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("contracts");
    let path = folder.to_str().unwrap();
    let asked = |stdin: &str| {
        run_with(
            &["contract", "new", "order-placed", path, "--ask"],
            &[],
            stdin,
        )
        .redacted(&[(path, "DIR")])
    };
    insta::assert_snapshot!("new_no_answer", asked(""));
    insta::assert_snapshot!("new_wrong_answer", asked("fact\nnobody\n"));
    insta::assert_snapshot!("new_refused", asked("job\n"));
    let refused = run_with(
        &["contract", "new", "a", path, "--ask", "-o", "json"],
        &[],
        "query\n",
    );
    assert!(
        refused.json()["refused"]["instead"].is_string(),
        "{refused}"
    );
    assert!(!folder.exists(), "nothing was written");
    let ran = asked(ANSWERS);
    assert_eq!(ran.code, 0, "{ran}");
    insta::assert_snapshot!(
        "new_asked",
        std::fs::read_to_string(folder.join("order-placed.yaml")).unwrap()
    );
    let ran = run(&["contract", "lint", path]);
    assert_eq!(ran.stdout, "1 contracts, nothing found\n", "{ran}");
}
