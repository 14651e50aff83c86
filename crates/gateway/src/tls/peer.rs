//! Who a caller is by the certificate that the handshake verified.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::CertificateName;

/// Names that are kept; a certificate has a few.
const MAX_NAMES: usize = 100;

/// What a verified certificate says of its holder. Clones are cheap: every request of a connection has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCertificate(Arc<Said>);

#[derive(Debug, Default, Eq, PartialEq)]
struct Said {
    names: Vec<CertificateName>,
    ends_s: i64,
    sha256: String,
}

impl PeerCertificate {
    /// Reads a certificate, DER. One that cannot be read has its digest and no names.
    pub(crate) fn of(certificate: &[u8]) -> Self {
        let mut said = Said::default();
        for byte in digest(&SHA256, certificate).as_ref() {
            write!(said.sha256, "{byte:02x}").expect("a string takes any text");
        }
        if let Ok((_, parsed)) = X509Certificate::from_der(certificate) {
            said.names = names(&parsed);
            said.ends_s = parsed.validity().not_after.timestamp();
        }
        Self(Arc::new(said))
    }

    /// Returns the names that it bears: the subject's common name if there is one only, then the
    /// alternative names that are URIs or hosts.
    pub fn names(&self) -> &[CertificateName] {
        &self.0.names
    }

    /// Says whether its time is not over. A connection may outlive the certificate that it began with.
    pub fn holds(&self, now_ms: i64) -> bool {
        now_ms.div_euclid(1_000) <= self.0.ends_s
    }

    /// Returns the SHA-256 of the certificate, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<CertificateName> {
    let mut common = certificate.subject().iter_common_name();
    // Which of several it is known by is anybody's guess.
    let common = match (common.next(), common.next()) {
        (Some(only), None) => only.as_str().ok(),
        _ => None,
    };
    let common = common.map(|name| CertificateName::CommonName(name.to_owned()));
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.iter().flat_map(|it| &it.value.general_names);
    let alternatives = alternatives.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(CertificateName::dns(name)),
        GeneralName::URI(uri) => Some(CertificateName::Uri((*uri).to_owned())),
        _ => None,
    });
    common
        .into_iter()
        .chain(alternatives)
        .take(MAX_NAMES)
        .collect()
}
