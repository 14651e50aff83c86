//! Who a caller is by the certificate that the handshake verified.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// Names that are kept; a certificate has a few.
const MAX_NAMES: usize = 100;

/// What a verified certificate says of its holder. Clones are cheap: every request of a connection has one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerCertificate(Arc<Names>);

#[derive(Debug, Default, Eq, PartialEq)]
struct Names {
    common_name: Option<String>,
    dns: Vec<String>,
    uris: Vec<String>,
    sha256: String,
}

impl PeerCertificate {
    /// Reads a certificate, DER. One that cannot be read has its digest and no names.
    pub(crate) fn of(certificate: &[u8]) -> Self {
        let mut names = Names::default();
        for byte in digest(&SHA256, certificate).as_ref() {
            write!(names.sha256, "{byte:02x}").expect("a string takes any text");
        }
        if let Ok((_, parsed)) = X509Certificate::from_der(certificate) {
            let mut common = parsed.subject().iter_common_name();
            let common = common.next().and_then(|name| name.as_str().ok());
            names.common_name = common.map(str::to_owned);
            let alternatives = parsed.subject_alternative_name().ok().flatten();
            let alternatives = alternatives.iter().flat_map(|it| &it.value.general_names);
            for name in alternatives.take(MAX_NAMES) {
                match name {
                    GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                    GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                    _ => {}
                }
            }
        }
        Self(Arc::new(names))
    }

    /// Returns the common name of the subject.
    pub fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }

    /// Returns the alternative names that are names of hosts.
    pub fn dns_names(&self) -> &[String] {
        &self.0.dns
    }

    /// Returns the alternative names that are URIs, such as those of SPIFFE.
    pub fn uris(&self) -> &[String] {
        &self.0.uris
    }

    /// Returns the SHA-256 of the certificate, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }
}
