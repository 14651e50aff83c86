use std::collections::BTreeSet;

use super::layers::DEFAULT;
use super::*;

fn settle(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, String> {
    let mut layers = Layers::default();
    layers.put_text("tidegate.yaml", file);
    let variables = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let layers = layers.environment(variables);
    let layers = flags.iter().fold(layers, |layers, (key, value)| {
        layers.flag("--flag", key, Some((*value).to_owned()))
    });
    layers.settle().map_err(|problems| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        texts.join("\n\n")
    })
}

#[test]
fn the_default_is_what_its_comments_say() {
    let config = settle("", &[], &[]).unwrap();
    assert_eq!(config.data, None);
    assert_eq!(config.ingress.listen.0.to_string(), "127.0.0.1:8080");
    assert_eq!(config.registry.listen.0.to_string(), "127.0.0.1:8081");
    assert_eq!(config.kafka.listen.0.to_string(), "127.0.0.1:9092");
    assert_eq!(config.operations.listen.0.to_string(), "127.0.0.1:9464");
    assert_eq!(config.log.wal_budget_bytes, 1 << 30);
    // Every key has a comment somewhere above it, in its group.
    assert!(
        DEFAULT
            .lines()
            .filter(|line| line.trim_start().starts_with('#'))
            .count()
            > 20
    );
}

/// Says where the address of the events' door comes from, by its port.
fn port(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> u16 {
    settle(file, environment, flags)
        .unwrap()
        .ingress
        .listen
        .0
        .port()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "ingress:\n  listen: 127.0.0.1:1\n";
    let environment = [
        ("TIDEGATE__INGRESS__LISTEN", "127.0.0.1:2"),
        ("TIDEGATE_URL", "x"),
    ];
    let flags = [("ingress.listen", "127.0.0.1:3")];
    assert_eq!(port("", &[], &[]), 8080);
    assert_eq!(port(file, &[], &[]), 1);
    assert_eq!(port(file, &environment, &[]), 2);
    assert_eq!(port(file, &environment, &flags), 3);
    assert_eq!(port("ingress:\n", &[], &[]), 8080);
}

#[test]
fn kafkas_settings_pass_by_their_own_names() {
    let file = "kafka:\n  settings:\n    num.partitions: 3\n";
    let environment = [("TIDEGATE__KAFKA__SETTINGS__MESSAGE_MAX_BYTES", "9")];
    let flags = [("kafka.settings.num.partitions", "4")];
    let settings = settle(file, &environment, &flags).unwrap().kafka.settings;
    let shown: Vec<String> = settings
        .iter()
        .map(|s| format!("{}={} from {}", s.name, s.value, s.origin))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn all_that_is_wrong_is_told_with_its_place() {
    let file = "\
ingress:
  listn: 127.0.0.1:1
  max_event: 1MB
  max_connections: 0
kafka:
  listen: 0.0.0.0:9092
log:
  wal: 5
sources: {github: {secret: hunter2}}
data: [a]
";
    let environment = [("TIDEGATE__LOG__WAL__BUGDET", "1GiB")];
    let flags = [("log.wal.budget", "64MiB"), ("log.wal.segment", "33MiB")];
    let told = settle(file, &environment, &flags).unwrap_err();
    assert!(!told.contains("hunter2"), "a secret is not repeated");
    insta::assert_snapshot!(told);
    insta::assert_snapshot!(settle("ingress: {listen: a, listen: b}", &[], &[]).unwrap_err());
    insta::assert_snapshot!(settle("ingress: [", &[], &[]).unwrap_err());
}

#[test]
fn no_key_is_declared_that_nobody_reads() {
    let source = include_str!("read.rs");
    let declared: BTreeSet<String> = Layers::default().keys().map(str::to_owned).collect();
    // Three doors have the same settings of TLS.
    let of_door = |key: &str| {
        key.split_once(".tls.").is_some_and(|(door, part)| {
            source.contains(&format!("tls(\"{door}\")"))
                && source.contains(&format!("\"{{door}}.tls.{part}\""))
        })
    };
    for key in &declared {
        assert!(
            source.contains(&format!("(\"{key}\"")) || of_door(key),
            "nobody reads `{key}`"
        );
    }
}

#[test]
fn the_files_of_tls_belong_together() {
    let told = |tls: &str| {
        let file = format!("registry:\n  listen: 0.0.0.0:1\n  tls: {tls}\n");
        match settle(&file, &[], &[]) {
            Ok(config) => format!("{:?}", config.registry.tls),
            Err(told) => told.lines().next().unwrap_or_default().to_owned(),
        }
    };
    let shown: Vec<String> = [
        "{}",
        "{certificate: c.pem, key: c.key}",
        "{certificate: c.pem}",
        "{client_ca: a.pem}",
        "{certificate: c.pem, key: c.key, client_crl: r.pem}",
        "{certificate: c.pem, key: c.key, client: required}",
        "{certificate: c.pem, key: c.key, client: must, client_ca: a.pem}",
        "{certificate: c.pem, key: c.key, client: required, client_ca: a.pem, client_crl: r.pem}",
    ]
    .map(|tls| format!("{tls}\n  {}", told(tls)))
    .to_vec();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn beyond_loopback_a_door_takes_the_operators_word() {
    let open = || Layers::default().flag("--http", "ingress.listen", Some("0.0.0.0:1".to_owned()));
    assert!(open().settle().is_err());
    let config = open().insecure(true).settle().unwrap();
    assert_eq!(config.ingress.listen.0.to_string(), "0.0.0.0:1");
}

#[test]
fn a_secret_is_a_reference() {
    for (text, expected) in [
        (
            "env:NAME",
            Some(SecretReference::Environment("NAME".to_owned())),
        ),
        ("file:/a:b", Some(SecretReference::File("/a:b".into()))),
        ("env:", None),
        ("hunter2", None),
    ] {
        assert_eq!(text.parse().ok(), expected, "{text}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let reference = SecretReference::File(file.path().to_owned());
    assert!(reference.resolve().is_err());
    std::fs::write(file.path(), "secret\r\n").unwrap();
    assert_eq!(format!("{:?}", reference.resolve().unwrap()), "Secret(..)");
}
