//! The doors over TLS, with real certificates and real clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, crypto, version};
use tidegate_contract::Contracts;
use tidegate_gateway::tls::{Client, Files, Need, Tls};
use tidegate_gateway::{
    ContractSource, Gateway, Identity, Listening, Parts, RandomIds, Settings, SystemClock,
    serve_http, serve_ops,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{fresh_log, read_to_end};

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// Who signs.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn sign(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn door(&self) -> Pair {
        self.sign(CertificateParams::new(vec!["localhost".to_owned()]).unwrap())
    }

    pub(crate) fn caller(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "caller");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        self.sign(params)
    }

    fn revokes(&self, serial: u64) -> String {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// A gateway whose events door speaks TLS.
pub(crate) struct Door {
    address: SocketAddr,
    ops: SocketAddr,
    tls: Tls,
    folder: tempfile::TempDir,
    authority: Authority,
    stop: Option<oneshot::Sender<()>>,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// What a door asks of callers.
struct Asks {
    need: Need,
    authorities: String,
    revoked: Option<String>,
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    // As programs that renew certificates do: the file is whole at any time.
    let aside = folder.join(format!("{name}.new"));
    std::fs::write(&aside, text).unwrap();
    std::fs::rename(aside, &path).unwrap();
    path
}

impl Door {
    async fn open(asks: Option<Asks>) -> Self {
        Self::open_with(asks, Settings::default(), ContractSource::Log).await
    }

    async fn open_with(asks: Option<Asks>, settings: Settings, contracts: ContractSource) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let pair = authority.door();
        let put = |name: &str, text: &str| write(folder.path(), name, text);
        let files = Files {
            certificate: put("door.pem", &pair.certificate),
            key: put("door.key", &pair.key),
            client: asks.map(|asks| Client {
                authorities: put("callers.pem", &asks.authorities),
                revoked: asks.revoked.map(|list| put("revoked.pem", &list)),
                need: asks.need,
            }),
        };
        let gateway = Gateway::start(Parts {
            log: fresh_log().await.0,
            contracts,
            settings: Settings {
                header_timeout: Duration::from_millis(500),
                tls_look_every: Duration::from_millis(20),
                ..settings
            },
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        });
        let gateway = gateway.await.unwrap();
        let tls = Tls::load(files, &SystemClock).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listening = Listening {
            listener,
            tls: Some(tls.clone()),
        };
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let served = tokio::spawn(serve_http(listening, Arc::clone(&gateway), stopped));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ops = listener.local_addr().unwrap();
        tokio::spawn(serve_ops(listener, gateway, std::future::pending()));
        Self {
            address,
            ops,
            tls,
            folder,
            authority,
            stop: Some(stop),
            served,
        }
    }

    async fn asking(need: Need, callers: &Authority, revoked: Option<String>) -> Self {
        let authorities = callers.0.pem();
        Self::open(Some(Asks {
            need,
            authorities,
            revoked,
        }))
        .await
    }

    /// Opens a door that asks who its callers are, and knows some by their certificates.
    pub(crate) async fn knowing(
        callers: &Authority,
        identity: Identity,
        contracts: Contracts,
    ) -> Self {
        let asks = Asks {
            need: Need::Optional,
            authorities: callers.0.pem(),
            revoked: None,
        };
        let settings = Settings {
            identity,
            ..Settings::default()
        };
        Self::open_with(Some(asks), settings, ContractSource::Folder(contracts)).await
    }

    /// Returns a client that shows a certificate, or none, and where it asks.
    pub(crate) fn client_showing(&self, shows: Option<&Pair>) -> (reqwest::Client, String) {
        let client = self.client(trusting(&self.authority, shows, BOTH));
        (client, format!("https://localhost:{}", self.address.port()))
    }

    fn put(&self, pair: &Pair) {
        write(self.folder.path(), "door.pem", &pair.certificate);
        write(self.folder.path(), "door.key", &pair.key);
    }

    fn client(&self, config: ClientConfig) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .resolve("localhost", self.address)
            .pool_max_idle_per_host(0)
            .build()
            .unwrap()
    }

    async fn status(&self, config: ClientConfig) -> Result<u16, reqwest::Error> {
        ask(&self.client(config), self.address.port()).await
    }

    /// Shakes hands and does no more.
    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut config = trusting(&self.authority, None, BOTH);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.unwrap()
    }

    async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.ops);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    /// Waits until a metric of the events door has a value.
    async fn wait_for(&self, metric: &str, value: &str) {
        let line = format!("tidegate_{metric} {value}");
        for _ in 0..500 {
            if self.metrics().await.lines().any(|found| found == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no `{line}` in:\n{}", self.metrics().await);
    }

    async fn shown(&self) -> CertificateDer<'static> {
        let stream = self.connect().await;
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        chain[0].clone().into_owned()
    }
}

async fn ask(client: &reqwest::Client, port: u16) -> Result<u16, reqwest::Error> {
    let url = format!("https://localhost:{port}/v1/status");
    Ok(client.get(url).send().await?.status().as_u16())
}

/// A client's side: whom it trusts, what it shows, what it speaks.
fn trusting(
    authority: &Authority,
    shows: Option<&Pair>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match shows {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![chain], key).unwrap()
        }
    }
}

#[tokio::test]
async fn a_client_that_knows_the_authority_is_served_in_both_versions() {
    let door = Door::open(None).await;
    for versions in [BOTH, &BOTH[..1], &BOTH[1..]] {
        let config = trusting(&door.authority, None, versions);
        assert_eq!(door.status(config).await.unwrap(), 200);
    }
    let stream = door.connect().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_client_of_another_authority_goes_away() {
    let door = Door::open(None).await;
    let config = trusting(&Authority::new(), None, BOTH);
    assert!(door.status(config).await.unwrap_err().is_connect());
    let refused = r#"tls_handshakes_refused_total{door="events",reason="handshake"}"#;
    door.wait_for(refused, "1").await;
}

#[tokio::test]
async fn a_required_certificate_is_of_the_authority_and_in_force() {
    let (callers, others) = (Authority::new(), Authority::new());
    let revoked = callers.revokes(7);
    let door = Door::asking(Need::Required, &callers, Some(revoked)).await;
    let right = callers.caller(|_| {});
    let ended = callers.caller(|it| it.not_after = date_time_ymd(2020, 1, 1));
    let taken_back = callers.caller(|it| it.serial_number = Some(SerialNumber::from(7)));
    for (what, shows, served) in [
        ("right", Some(right), true),
        ("none", None, false),
        ("of others", Some(others.caller(|_| {})), false),
        ("ended", Some(ended), false),
        ("revoked", Some(taken_back), false),
    ] {
        for versions in [&BOTH[..1], &BOTH[1..]] {
            let config = trusting(&door.authority, shows.as_ref(), versions);
            let status = door.status(config).await;
            assert_eq!(status.ok(), served.then_some(200), "{what}");
        }
    }
    let refused = r#"tls_handshakes_refused_total{door="events",reason="certificate"}"#;
    door.wait_for(refused, "8").await;
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_but_not_wrong() {
    let callers = Authority::new();
    let door = Door::asking(Need::Optional, &callers, None).await;
    for (shows, served) in [
        (None, true),
        (Some(callers.caller(|_| {})), true),
        (Some(Authority::new().caller(|_| {})), false),
    ] {
        let config = trusting(&door.authority, shows.as_ref(), BOTH);
        assert_eq!(door.status(config).await.is_ok(), served);
    }
}

#[tokio::test]
async fn certificates_are_renewed_under_load_and_no_request_fails() {
    let door = Door::open(None).await;
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = Vec::new();
    for _ in 0..4 {
        let client = door.client(trusting(&door.authority, None, BOTH));
        let (stop, done, port) = (Arc::clone(&stop), Arc::clone(&done), door.address.port());
        callers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(ask(&client, port).await.unwrap(), 200);
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for _ in 0..5 {
        let pair = door.authority.door();
        let new = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let before = done.load(Ordering::Relaxed);
        door.put(&pair);
        while door.shown().await != new || done.load(Ordering::Relaxed) < before + 8 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn files_of_no_use_leave_the_earlier_ones_serving() {
    let door = Door::open(None).await;
    let first = door.shown().await;
    let other = Pair {
        key: door.authority.door().key,
        ..door.authority.door()
    };
    door.put(&other);
    let broken = r#"tls_files_broken{door="events"}"#;
    door.wait_for(broken, "1").await;
    assert!(door.shown().await == first);
    std::fs::remove_file(door.folder.path().join("door.key")).unwrap();
    door.tls.look_now();
    assert!(door.shown().await == first);
    door.put(&door.authority.door());
    door.wait_for(broken, "0").await;
    assert!(door.shown().await != first);
    // 4096-01-01, the end that the certificates are made with.
    let ends = r#"tls_certificate_expiry_timestamp_seconds{door="events"}"#;
    door.wait_for(ends, "67090118400").await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_ends_and_holds_up_nobody() {
    let door = Door::open(None).await;
    let mut silent = Vec::new();
    for first in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(first).await.unwrap();
        silent.push(stream);
    }
    let config = trusting(&door.authority, None, BOTH);
    assert_eq!(door.status(config).await.unwrap(), 200);
    for mut stream in silent {
        let mut answer = [0; 64];
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer));
        // A reset is an end too.
        assert_eq!(ended.await.unwrap().unwrap_or(0), 0);
    }
    let refused = r#"tls_handshakes_refused_total{door="events",reason="timeout"}"#;
    door.wait_for(refused, "3").await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_so() {
    let door = Door::open(None).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let request = b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("https://"), "{answer}");
    let refused = r#"tls_handshakes_refused_total{door="events",reason="plaintext"}"#;
    door.wait_for(refused, "1").await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(&[0; 64]).await.unwrap();
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    // An alert of TLS (RFC 8446 §5.1), or nothing.
    assert!(matches!(answer.first(), None | Some(21)), "{answer:?}");
    let config = trusting(&door.authority, None, BOTH);
    assert_eq!(door.status(config).await.unwrap(), 200);
}

#[tokio::test]
async fn a_request_under_way_ends_over_tls_when_the_gateway_is_told_to_stop() {
    let mut door = Door::open(None).await;
    let (mut busy, mut idle) = (door.connect().await, door.connect().await);
    let head =
        b"POST /v1/events/none HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                 content-length: 2\r\n\r\n{";
    busy.write_all(head).await.unwrap();
    busy.flush().await.unwrap();
    // The connection that is answered last was accepted last, so the other one is served by now.
    let config = trusting(&door.authority, None, BOTH);
    assert_eq!(door.status(config).await.unwrap(), 200);
    door.stop.take().unwrap().send(()).unwrap();
    let mut rest = Vec::new();
    assert_eq!(idle.read_to_end(&mut rest).await.unwrap(), 0);
    busy.write_all(b"}").await.unwrap();
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    door.served.await.unwrap().unwrap();
}
