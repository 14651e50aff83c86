//! A name that a certificate bears, as settings write it: `uri:…`, `dns:…` or `cn:…`.
//!
//! Names are compared whole. A `*` in a certificate stands for hosts that serve, and names no caller.
//! The whole subject is not one of them: programs write it in different orders and escapes
//! (RFC 4514 §2 and RFC 2253 against OpenSSL's own), so that an exact text of it would be a trap.

use std::fmt;
use std::str::FromStr;

/// The longest; a SPIFFE ID has at most so many bytes (SPIFFE ID §2.4).
const MAX_BYTES: usize = 2048;

/// A name that a certificate bears.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum CertificateName {
    /// An alternative name that is a URI, such as those of SPIFFE.
    Uri(String),
    /// An alternative name that is the name of a host, in lower case.
    Dns(String),
    /// The one common name of the subject.
    CommonName(String),
}

impl CertificateName {
    /// Takes the name of a host; case means nothing in it (RFC 4343 §3).
    pub(super) fn dns(name: &str) -> Self {
        Self::Dns(name.to_ascii_lowercase())
    }

    /// Returns the name without its kind.
    pub fn text(&self) -> &str {
        let (Self::Uri(text) | Self::Dns(text) | Self::CommonName(text)) = self;
        text
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Uri(_) => "uri",
            Self::Dns(_) => "dns",
            Self::CommonName(_) => "cn",
        };
        write!(f, "{kind}:{}", self.text())
    }
}

/// Why a text is no name of a certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is not a name such as `uri:spiffe://example/orders`, `dns:orders.example` or `cn:orders`"
)]
pub struct NotAName(String);

impl FromStr for CertificateName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let wrong = || NotAName(text.to_owned());
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let fits = (1..=MAX_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
        match kind {
            "uri" if fits => Ok(Self::Uri(name.to_owned())),
            "dns" if fits && !name.contains('*') => Ok(Self::dns(name)),
            "cn" if fits => Ok(Self::CommonName(name.to_owned())),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_and_read_alike_or_refused() {
        for (text, written) in [
            (
                "uri:spiffe://example/Orders",
                Some("uri:spiffe://example/Orders"),
            ),
            ("dns:Orders.Example", Some("dns:orders.example")),
            ("cn:Orders Service", Some("cn:Orders Service")),
            ("dns:*.example", None),
            ("orders.example", None),
            ("ip:192.0.2.1", None),
            ("uri:", None),
            ("cn:a\nb", None),
        ] {
            let read = text.parse::<CertificateName>().ok();
            let read = read.map(|name| name.to_string());
            assert_eq!(read.as_deref(), written, "{text}");
        }
    }
}
