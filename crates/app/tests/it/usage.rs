//! The tree of commands, wrong usage, and settings.

use crate::program::{run, run_with};

#[test]
fn every_command_says_what_it_takes() {
    for path in [
        "",
        "demo",
        "serve",
        "send",
        "contract",
        "contract lint",
        "contract check",
        "contract diff",
        "contract test",
        "contract export",
        "contract import",
        "contract import odcs",
        "contract import cluster",
        "contract plan",
        "contract apply",
        "contract approve",
        "contract rollback",
        "contract list",
        "contract explain",
        "contract schema",
        "schema",
        "schema list",
        "schema get",
        "schema register",
        "schema check",
        "schema delete",
        "schema config",
        "event",
        "event show",
        "event tail",
        "event import",
        "listen",
        "topic",
        "topic list",
        "topic show",
        "log",
        "log inspect",
        "doctor",
    ] {
        let mut arguments: Vec<&str> = path.split_whitespace().collect();
        arguments.push("-h");
        let ran = run(&arguments);
        assert_eq!(ran.code, 0, "{path}");
        insta::assert_snapshot!(format!("help {path}").trim().replace(' ', "_"), ran.stdout);
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    insta::assert_snapshot!("no_such_command", run(&["sevre"]));
    insta::assert_snapshot!("no_such_flag", run(&["serve", "--dta", "x"]));
    insta::assert_snapshot!("no_data_directory", run(&["serve"]));
    insta::assert_snapshot!("no_event_type", run(&["send"]));
    insta::assert_snapshot!("no_place", run(&["event", "show", "orders/1"]));
    insta::assert_snapshot!(
        "no_http",
        run(&["topic", "list", "--url", "ftp://127.0.0.1:1"])
    );
}

#[test]
fn wrong_usage_is_json_for_who_asked_for_json() {
    for arguments in [
        ["-o", "json", "serve", "--dta", "x"],
        ["serve", "--dta", "x", "--output", "json"],
        ["serve", "--dta", "x", "--output=ndjson", "--color=always"],
    ] {
        let ran = run(&arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        let told: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        let error = &told["error"];
        assert_eq!(error["message"], "unexpected argument '--dta' found");
        assert_eq!(error["exit"], 2);
    }
    assert_eq!(run(&["-o", "json", "--version"]).code, 0);
}

#[test]
fn settings_that_are_wrong_are_told_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let serve = |more: &[&str]| {
        let arguments = [&["serve", "--data", data], more].concat();
        run(&arguments).redacted(&[(data, "DIR")])
    };
    insta::assert_snapshot!("open_address", serve(&["--http", "0.0.0.0:8080"]));
    insta::assert_snapshot!(
        "secret_in_a_flag",
        serve(&["--source-secret", "github=hunter2"])
    );
    insta::assert_snapshot!(
        "unknown_source",
        serve(&["--source-secret", "gitlab=env:X"])
    );
    insta::assert_snapshot!(
        "unset_secret",
        serve(&["--source-secret", "github=env:NO_SUCH"])
    );
    insta::assert_snapshot!(
        "unknown_kafka_setting",
        serve(&["--kafka-set", "num.partition=3"])
    );
    insta::assert_snapshot!(
        "wrong_kafka_setting",
        serve(&["--kafka-set", "num.partitions=0"])
    );
    let file = directory.path().join("tidegate.yaml");
    std::fs::write(
        &file,
        "ingress:\n  max_evnt: 1MiB\nlog: {wal: {budget: 1}}\n",
    )
    .unwrap();
    insta::assert_snapshot!("wrong_file", serve(&["--config", file.to_str().unwrap()]));
    let variables = [("TIDEGATE__INGRESS__MAX_EVENT", "1MB")];
    insta::assert_snapshot!(
        "wrong_variable",
        run_with(&["serve", "--data", data], &variables, "")
    );
}

#[test]
fn an_unreachable_gateway_ends_with_7() {
    let url = "http://127.0.0.1:1";
    insta::assert_snapshot!("unreachable", run(&["topic", "list", "--url", url]));
    let arguments = ["topic", "list", "--url", url, "-o", "json"];
    insta::assert_snapshot!("unreachable_json", run(&arguments));
}
