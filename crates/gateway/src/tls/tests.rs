use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

use super::*;
use crate::clock::SystemClock;

fn make(params: &CertificateParams) -> (String, String, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let der = certificate.der().to_vec();
    (certificate.pem(), key.serialize_pem(), der)
}

fn params() -> CertificateParams {
    CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap()
}

#[test]
fn files_that_cannot_serve_are_refused_with_the_file_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key, _) = make(&params());
    let (_, other_key, _) = make(&params());
    let mut ended = params();
    ended.not_after = date_time_ymd(2020, 1, 1);
    let (ended, ended_key, _) = make(&ended);
    let pair = |certificate: &str, key: &str| (certificate.to_owned(), key.to_owned());
    for ((certificate, key), file, expected) in [
        (pair(&certificate, &key), "", ""),
        (pair("", &key), "door.pem", "has no certificate"),
        (pair(&certificate, ""), "door.key", "has no private key"),
        (pair(&key, &certificate), "door.pem", "has no certificate"),
        (
            pair(&certificate, &other_key),
            "door.key",
            "is not the key of",
        ),
        (
            pair(&ended, &ended_key),
            "door.pem",
            "has a certificate that ended: Jan  1",
        ),
    ] {
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("door.pem"), certificate).unwrap();
        std::fs::write(at("door.key"), key).unwrap();
        let files = Files {
            certificate: at("door.pem"),
            key: at("door.key"),
            client: None,
        };
        match Tls::load(files, &SystemClock) {
            Ok(_) => assert_eq!(expected, ""),
            Err(error) => {
                let told = error.to_string();
                let begins = format!("file `{}` {expected}", at(file).display());
                assert!(!expected.is_empty() && told.starts_with(&begins), "{told}");
                assert!(told.contains("\nhint: "), "{told}");
            }
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let files = Files {
        certificate: Path::new("/nowhere/door.pem").to_owned(),
        key: Path::new("/nowhere/door.key").to_owned(),
        client: None,
    };
    let told = Tls::load(files, &SystemClock).unwrap_err().to_string();
    assert!(
        told.starts_with("file `/nowhere/door.pem` cannot be read: "),
        "{told}"
    );
}

#[test]
fn a_caller_is_known_by_the_names_of_its_certificate() {
    let mut params = params();
    params
        .distinguished_name
        .push(DnType::CommonName, "orders service");
    params.not_after = date_time_ymd(2030, 1, 1);
    let uri = "spiffe://example/orders".try_into().unwrap();
    params.subject_alt_names.push(SanType::URI(uri));
    let (_, _, der) = make(&params);
    let peer = PeerCertificate::of(&der);
    let names: Vec<String> = peer.names().iter().map(ToString::to_string).collect();
    let expected = [
        "cn:orders service",
        "dns:gateway.example",
        "uri:spiffe://example/orders",
    ];
    assert_eq!(names, expected);
    assert_eq!(peer.sha256().len(), 64);
    let end_ms = 1_893_456_000_000;
    assert!(peer.holds(end_ms) && !peer.holds(end_ms + 1_000));
    let unreadable = PeerCertificate::of(b"none");
    assert!(unreadable.names().is_empty() && !unreadable.holds(end_ms));
    assert_ne!(unreadable.sha256(), peer.sha256());
}

#[test]
fn a_fault_is_told_at_its_second_look_and_once() {
    let mut broken = Broken::default();
    let told = ["a", "a", "a", "b", "b", "a"].map(|why| broken.is_news(why));
    assert_eq!(told, [false, true, false, false, true, false]);
    assert!(broken.lasts);
}
