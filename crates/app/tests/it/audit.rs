//! `audit list|verify` against a gateway that runs.

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{Ran, Served, run, run_with};

const SCHEMA: &str = r#"{"type": "record", "name": "User", "fields": []}"#;

fn register(served: &Served, folder: &std::path::Path, subject: &str) -> Ran {
    let file = folder.join("user.avsc");
    std::fs::write(&file, SCHEMA).unwrap();
    let registry = served.door("registry");
    run(&[
        "schema",
        "register",
        subject,
        file.to_str().unwrap(),
        "--registry",
        &registry,
    ])
}

#[test]
fn changes_are_listed_and_the_chain_is_verified_after_another_start_too() {
    let (data, folder) = (tempdir().unwrap(), tempdir().unwrap());
    let served = Served::start(data.path(), &[]);
    let registered = register(&served, folder.path(), "users-value");
    assert_eq!(registered.code, 0, "{registered}");
    let verify = |served: &Served, more: &[&str]| {
        let verify = ["audit", "verify", "--url", &served.url, "-o", "json"];
        run_with(&[&verify[..], more].concat(), &[], "")
    };
    let verified = verify(&served, &[]).json();
    assert_eq!(verified["records"], 2);
    assert_eq!(verified["not_known"], Value::Array(Vec::new()));
    let head = verified["head"].as_str().unwrap();
    assert_eq!(served.signal(rustix::process::Signal::TERM).code(), Some(0));

    let served = Served::start(data.path(), &[]);
    register(&served, folder.path(), "others-value");
    let later = verify(&served, &["--head", head]);
    assert_eq!(later.json()["records"], 4, "{later}");
    let lost = verify(&served, &["--head", &"0".repeat(64)]);
    assert_eq!(lost.code, 3, "{lost}");
    let list = [
        "audit",
        "list",
        "--url",
        &served.url,
        "--object",
        "subject/others-value",
    ];
    insta::assert_snapshot!(run(&list).redacted(&[]));
    let none = run(&[&list[..4], &["--verb", "none", "-o", "json"]].concat());
    assert_eq!(none.json()["records"], Value::Array(Vec::new()));
}
