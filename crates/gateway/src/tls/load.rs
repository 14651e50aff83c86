//! From files to what a handshake needs.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, crypto, version};
use tokio_rustls::TlsAcceptor;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::{Client, Files, Need, TlsError};

/// Lists of revoked certificates are the largest.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// What serves.
pub(super) struct Loaded {
    pub(super) acceptor: TlsAcceptor,
    /// When the door's certificate ends, in seconds since 1970.
    pub(super) ends_s: i64,
    /// Of the contents it was made of.
    pub(super) digest: [u8; 32],
}

/// The contents of the files.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<u8>,
    revoked: Vec<u8>,
}

impl Contents {
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        for part in [
            &self.certificate,
            &self.key,
            &self.authorities,
            &self.revoked,
        ] {
            hash.update(&part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

pub(super) fn read(files: &Files) -> Result<Contents, TlsError> {
    let optional = |path: Option<&PathBuf>| path.map_or(Ok(Vec::new()), |path| read_file(path));
    let client = files.client.as_ref();
    Ok(Contents {
        certificate: read_file(&files.certificate)?,
        key: read_file(&files.key)?,
        authorities: optional(client.map(|client| &client.authorities))?,
        revoked: optional(client.and_then(|client| client.revoked.as_ref()))?,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 > MAX_FILE_BYTES => Err(unfit(
            path,
            format!("is larger than {MAX_FILE_BYTES} bytes"),
            "is it the right file?",
        )),
        Ok(_) => Ok(bytes),
        Err(source) => Err(TlsError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes of contents what serves.
pub(super) fn load(files: &Files, contents: &Contents, now_ms: i64) -> Result<Loaded, TlsError> {
    let chain = certificates(&files.certificate, &contents.certificate)?;
    let ends_s = ends(&files.certificate, &chain[0], now_ms)?;
    // The error may repeat what it read, so it is not told.
    let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| {
        unfit(
            &files.key,
            "has no private key".to_owned(),
            "it is PEM and begins with `-----BEGIN PRIVATE KEY-----`, without a passphrase",
        )
    })?;
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS12, &version::TLS13])
        .expect("the provider has suites for both");
    let verifier = match &files.client {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(client) => verifier(client, contents, provider)?,
    };
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| {
            unfit(
                &files.key,
                format!(
                    "is not the key of `{}`: {error}",
                    files.certificate.display()
                ),
                "certificate and key have to come from one request",
            )
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        ends_s,
        digest: contents.digest(),
    })
}

fn verifier(
    client: &Client,
    contents: &Contents,
    provider: Arc<crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(&client.authorities, &contents.authorities)? {
        roots.add(authority).map_err(|error| {
            let why = format!("has a certificate that cannot be used: {error}");
            unfit(&client.authorities, why, "it holds authorities, as PEM")
        })?;
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if let Some(path) = &client.revoked {
        let lists = CertificateRevocationListDer::pem_slice_iter(&contents.revoked);
        let lists = lists.collect::<Result<Vec<_>, _>>();
        let lists = lists
            .ok()
            .filter(|lists| !lists.is_empty())
            .ok_or_else(|| {
                let hint = "it is PEM and begins with `-----BEGIN X509 CRL-----`";
                unfit(path, "has no list of revoked certificates".to_owned(), hint)
            })?;
        // The lists are of the authorities of callers; those between have none of their own here.
        builder = builder.with_crls(lists).only_check_end_entity_revocation();
    }
    if client.need == Need::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| {
        let path = client.revoked.as_ref().unwrap_or(&client.authorities);
        unfit(path, format!("cannot be used: {error}"), "it is PEM")
    })
}

fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|all| !all.is_empty()).ok_or_else(|| {
        let hint = "it is PEM and begins with `-----BEGIN CERTIFICATE-----`";
        unfit(path, "has no certificate".to_owned(), hint)
    })
}

/// Returns when a certificate ends; it has not yet.
fn ends(path: &Path, certificate: &CertificateDer<'_>, now_ms: i64) -> Result<i64, TlsError> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| {
        let why = format!("has a certificate that cannot be read: {error}");
        unfit(path, why, "make it anew")
    })?;
    let end = parsed.validity().not_after;
    if end.timestamp() <= now_ms.div_euclid(1000) {
        let why = format!("has a certificate that ended: {end}");
        return Err(unfit(path, why, "have it renewed"));
    }
    Ok(end.timestamp())
}

fn unfit(path: &Path, why: String, hint: &'static str) -> TlsError {
    TlsError::Unfit {
        path: path.to_owned(),
        why,
        hint,
    }
}
