//! The binary over TLS: its doors, its ready line, its own client.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustix::process::Signal;
use tempfile::tempdir;

use crate::program::{FREE_DOORS, Served, run, run_with};

/// Writes an authority, a door's pair and a caller's pair.
pub(crate) fn certify(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("authority.pem", authority.pem());
    for (name, usage) in [
        ("door", ExtendedKeyUsagePurpose::ServerAuth),
        ("caller", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let names = vec!["127.0.0.1".to_owned(), format!("{name}.example")];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[test]
fn the_command_line_asks_over_tls_and_shows_its_certificate() {
    let folder = tempdir().unwrap();
    certify(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let config = format!(
        "ingress:\n  tls:\n    certificate: {}\n    key: {}\n    client_ca: {}\n    client: required\n",
        at("door.pem"),
        at("door.key"),
        at("authority.pem")
    );
    std::fs::write(at("config.yaml"), config).unwrap();
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &["--config", &at("config.yaml")]);
    assert!(
        served.ready.trim_end().ends_with(" tls=http"),
        "{}",
        served.ready
    );
    let url = served.url.replace("http://", "https://");
    let (authority, certificate, key) = (at("authority.pem"), at("caller.pem"), at("caller.key"));
    let list = ["topic", "list", "--url", &url];
    let shown = ["--ca", &authority, "--cert", &certificate, "--key", &key];
    let right = run(&[&list[..], &shown].concat());
    assert_eq!(right.code, 0, "{right}");
    let environment = [
        ("TIDEGATE_URL", url.as_str()),
        ("TIDEGATE_CA", &authority),
        ("TIDEGATE_CERT", &certificate),
        ("TIDEGATE_KEY", &key),
    ];
    let right = run_with(&["topic", "list"], &environment, "");
    assert_eq!(right.code, 0, "{right}");
    for (what, more) in [("no certificate", &shown[..2]), ("no authority", &[])] {
        let wrong = run(&[&list[..], more].concat());
        assert_eq!(wrong.code, 7, "{what}: {wrong}");
    }
    // The default of SIGHUP would end it.
    served.send(Signal::HUP);
    let right = run(&[&list[..], &shown].concat());
    assert_eq!(right.code, 0, "{right}");
    assert_eq!(served.signal(Signal::TERM).code(), Some(0));
}

#[test]
fn a_certificate_is_a_credential_for_the_command_line() {
    let folder = tempdir().unwrap();
    certify(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let config = format!(
        "ingress:\n  tls: {{certificate: {}, key: {}, client_ca: {}}}\nidentity:\n  required: true\n  \
         certificates:\n    operations: {{certificate: \"dns:caller.example\", roles: [operator]}}\n",
        at("door.pem"),
        at("door.key"),
        at("authority.pem")
    );
    std::fs::write(at("config.yaml"), config).unwrap();
    let data = tempdir().unwrap();
    let served = Served::start(data.path(), &["--config", &at("config.yaml")]);
    let url = served.url.replace("http://", "https://");
    let (authority, certificate, key) = (at("authority.pem"), at("caller.pem"), at("caller.key"));
    let list = ["key", "list", "--url", &url, "--ca", &authority];
    let shown = ["--cert", &certificate, "--key", &key];
    let known = run(&[&list[..], &shown].concat());
    assert_eq!(known.code, 0, "{known}");
    let unknown = run(&list);
    assert_ne!(unknown.code, 0, "{unknown}");
    assert!(unknown.stderr.contains("Authorization"), "{unknown}");
    assert_eq!(served.signal(Signal::TERM).code(), Some(0));
}

#[test]
fn beyond_loopback_it_starts_with_tls_or_insecure_only() {
    let data = tempdir().unwrap();
    let path = data.path().to_str().unwrap();
    let mut doors = FREE_DOORS;
    doors[1] = "0.0.0.0:0";
    let refused = run(&[&["serve", "--data", path], &doors[..]].concat());
    insta::assert_snapshot!(refused);
    // With the word it gets as far as the next mistake.
    let insecure = ["--insecure", "--contracts", "nowhere"];
    let next = run(&[&["serve", "--data", path], &doors[..], &insecure].concat());
    assert!(next.stderr.contains("nowhere"), "{next}");
    assert!(!next.stderr.contains("--insecure"), "{next}");
}

#[test]
fn a_certificate_that_cannot_serve_is_told_at_the_start() {
    let folder = tempdir().unwrap();
    certify(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let config = format!(
        "registry:\n  tls: {{certificate: {}, key: {}}}\n",
        at("door.pem"),
        at("caller.key")
    );
    std::fs::write(at("config.yaml"), config).unwrap();
    let data = at("data");
    let arguments = ["serve", "--data", &data, "--config", &at("config.yaml")];
    let told = run(&[&arguments[..], &FREE_DOORS].concat());
    let folder = folder.path().to_str().unwrap();
    insta::assert_snapshot!(told.redacted(&[(folder, "DIR")]));
}
