//! The pages of `docs/reference` that are made from the code: what they say is what the binary says.
//! `UPDATE_REFERENCE=1 cargo test -p tidegate --test it reference` writes them.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use tempfile::tempdir;
use tidegate_broker::api::APIS;
use tidegate_contract::Level;
use tidegate_contract::lint::RULES;

use crate::program::{Served, root, run, run_with};
use crate::tls::certify;

const MADE: &str =
    "<!-- Made from the code by crates/app/tests/it/reference.rs; edit that, not this. -->";

fn check(page: &str, text: &str) {
    check_file(page, &format!("{MADE}\n{text}"));
}

fn check_file(page: &str, text: &str) {
    let path = root().join("docs/reference").join(page);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/reference/{page} is not what the code says; write it with \
         `UPDATE_REFERENCE=1 cargo test -p tidegate --test it reference`"
    );
}

#[test]
fn the_command_line() {
    let mut page = String::from("# The command line\n");
    let mut paths = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        let help = run(&[&path[..], &["-h"]].concat()).stdout;
        let name = [&["tidegate"], &path[..]].concat().join(" ");
        write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", help.trim()).unwrap();
        let commands = help.split_once("\nCommands:\n").map(|(_, rest)| rest);
        let commands = commands.and_then(|rest| rest.split("\n\n").next());
        let names = commands.unwrap_or_default().lines().rev();
        for name in names.filter_map(|line| line.split_whitespace().next()) {
            // A line that goes on from the one above begins far to the right.
            if help.contains(&format!("\n  {name} ")) {
                let name: &'static str = name.to_owned().leak();
                paths.push([&path[..], &[name]].concat());
            }
        }
    }
    check("cli.md", &page);
}

#[test]
fn the_lint_rules() {
    let mut page = String::from(
        "# The rules of `contract lint`\n\nAn error says that something does not work; a warning, that somebody will regret it. \
         `metadata.allow` of a contract or a reader takes the\nwarnings of a rule as meant, with the reason: `allow: [{rule: retention-bounded, why: the tax law asks \
         for eleven years}]`. Examples stand\nbeside the teams `team-orders` and `team-billing`; `schemas/any.json` is `{}`.\n\n| rule | level | why |\n|---|---|---|\n",
    );
    for rule in RULES {
        let level = match rule.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let name = rule.name;
        writeln!(page, "| [`{name}`](#{name}) | {level} | {} |", rule.why).unwrap();
    }
    for rule in RULES {
        write!(page, "\n## {}\n\n{}.\n", rule.name, capital(rule.why)).unwrap();
        for (path, text) in rule.schemas {
            write!(page, "\n`{path}`:\n```json\n{text}\n```\n").unwrap();
        }
        for (what, text) in [("Bad", rule.bad), ("Good", rule.good)] {
            write!(page, "\n{what}:\n```yaml\n{}\n```\n", text.trim()).unwrap();
        }
    }
    check("lint.md", &page);
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

#[test]
fn the_settings() {
    let file = fs::read_to_string(root().join("crates/app/src/tidegate.default.yaml")).unwrap();
    check(
        "settings.md",
        &format!("# The settings of `tidegate serve`\n\n```yaml\n{file}```\n"),
    );
}

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_metrics() {
    let data = tempdir().unwrap();
    let folder = tempdir().unwrap();
    certify(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let tls = format!(
        "{{certificate: {}, key: {}}}",
        at("door.pem"),
        at("door.key")
    );
    std::fs::write(at("config.yaml"), format!("ingress: {{tls: {tls}}}")).unwrap();
    let contracts = ["--contracts", "examples/migration/contracts"];
    let config = at("config.yaml");
    let served = Served::start(
        data.path(),
        &[&contracts[..], &["--config", &config]].concat(),
    );
    let ops = served.door("ops");
    let ops = ops.trim_start_matches("http://");
    // A family without a sample is not told; a refusal gives it one.
    let http = served.url.trim_start_matches("http://");
    ask(http, "POST /v1/events/none");
    let url = format!("https://{http}");
    let send = ["send", "--contract", "none", "--url", &url, "--ca"];
    let sent = run_with(&[&send[..], &[&at("authority.pem")]].concat(), &[], "{}");
    assert_eq!(sent.code, 6, "{sent}");
    let registry = served.door("registry");
    ask(registry.trim_start_matches("http://"), "GET /nothing");
    let answer = ask(ops, "GET /metrics");
    let mut page = String::from(
        "# The metrics\n\nAt `/metrics` of the operations door, in Prometheus' text form.\n\n| name | type | what |\n|---|---|---|\n",
    );
    for line in answer.lines() {
        let Some((name, help)) = line
            .strip_prefix("# HELP ")
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let kind = answer.lines().find_map(|line| {
            let (typed, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
            (typed == name).then_some(kind)
        });
        writeln!(page, "| `{name}` | {} | {help} |", kind.unwrap()).unwrap();
    }
    check("metrics.md", &page);
}

#[test]
fn the_http_api() {
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &[]);
    let address = served.url.trim_start_matches("http://");
    let answer = ask(address, "GET /openapi.json");
    let (_, document) = answer.split_once("\r\n\r\n").unwrap();
    check_file("openapi.json", document);
}

/// The headers of the files that serve Kafka's APIs.
fn headers(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            headers(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path).unwrap();
            let lines = code.lines().map_while(|line| line.strip_prefix("//!"));
            into.push(lines.map(str::trim).collect::<Vec<_>>().join("\n"));
        }
    }
}

#[test]
fn the_kafka_apis() {
    let mut found = Vec::new();
    headers(&root().join("crates/broker/src/api"), &mut found);
    let mut page = String::from(
        "# The Kafka port, API by API\n\nVersions that are served, and every departure from what Apache Kafka does.\n",
    );
    for api in APIS {
        let (name, key) = (api.name, api.key);
        let title = format!("{name} ({key}), versions {}-{}", api.least, api.most);
        let header = found
            .iter()
            .find(|header| header.starts_with(&title))
            .unwrap_or_else(|| panic!("no file in `api` begins with `//! {title}`"));
        let text = header[title.len()..].trim_start_matches([':', ' ']);
        write!(page, "\n## {title}\n\n{}\n", capital(text)).unwrap();
    }
    check("kafka-apis.md", &page);
}
