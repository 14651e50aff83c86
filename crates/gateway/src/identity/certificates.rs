//! Callers that are known by the certificates of their connections. That a certificate is one of the
//! door's authorities, and was not taken back, the handshake has seen to (`tls`).

use std::collections::HashMap;
use std::sync::Arc;

use super::caller::{Caller, Proof};
use super::unauthenticated;
use crate::problem::Problem;
use crate::settings::CertificateHolder;
use crate::tls::{CertificateName, PeerCertificate};

/// Whose certificates are known, by a name in them.
pub(super) struct Certificates(HashMap<CertificateName, Arc<Caller>>);

impl Certificates {
    pub(super) fn new(holders: Vec<CertificateHolder>) -> Self {
        let known = |holder: CertificateHolder| {
            let caller = Caller {
                tenant: holder.tenant.into(),
                name: holder.name.into(),
                roles: holder.roles.into_iter().collect(),
                proof: Proof::Certificate,
                contracts: Box::default(),
            };
            (holder.certificate, Arc::new(caller))
        };
        Self(holders.into_iter().map(known).collect())
    }

    /// Finds out whom a certificate makes.
    ///
    /// # Errors
    /// `Unauthenticated`: nobody, two callers, or nobody any more.
    pub(super) fn caller(
        &self,
        shown: &PeerCertificate,
        now_ms: i64,
    ) -> Result<Arc<Caller>, Problem> {
        if !shown.holds(now_ms) {
            return Err(unauthenticated(
                "the certificate of this connection has ended: connect with a new one",
            ));
        }
        let mut found = shown.names().iter().filter_map(|name| self.0.get(name));
        let Some(caller) = found.next() else {
            return Err(unauthenticated(
                "no caller is known by the certificate that was shown; send `Authorization: Bearer` with an API key or a token",
            ));
        };
        // A certificate with the names of two is one of neither.
        match found.all(|other| Arc::ptr_eq(other, caller)) {
            true => Ok(Arc::clone(caller)),
            false => Err(unauthenticated(
                "the certificate that was shown bears the names of two callers",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, date_time_ymd};

    use super::*;
    use crate::identity::caller::Role;

    fn holder(name: &str, certificate: &str) -> CertificateHolder {
        CertificateHolder {
            name: name.to_owned(),
            certificate: certificate.parse().unwrap(),
            tenant: "acme".to_owned(),
            roles: vec![Role::Producer],
        }
    }

    fn shown(common: &[&str], alternatives: Vec<SanType>) -> PeerCertificate {
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(2030, 1, 1);
        for name in common {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.subject_alt_names = alternatives;
        let key = KeyPair::generate().unwrap();
        PeerCertificate::of(params.self_signed(&key).unwrap().der())
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn uri(name: &str) -> SanType {
        SanType::URI(name.try_into().unwrap())
    }

    #[test]
    fn a_certificate_makes_the_one_caller_whose_name_it_bears() {
        let known = Certificates::new(vec![
            holder("orders", "uri:spiffe://example/orders"),
            holder("payments", "dns:payments.example"),
            holder("billing", "cn:billing"),
        ]);
        let orders = || uri("spiffe://example/orders");
        for (certificate, expected) in [
            (shown(&["x"], vec![orders()]), Ok("orders")),
            (shown(&["x"], vec![dns("PAYMENTS.example")]), Ok("payments")),
            (shown(&["billing"], vec![]), Ok("billing")),
            (
                shown(&["billing"], vec![dns("billing.example")]),
                Ok("billing"),
            ),
            (
                shown(&["orders"], vec![dns("spiffe://example/orders")]),
                Err("no caller"),
            ),
            (
                shown(&["x"], vec![uri("spiffe://example/orders/2")]),
                Err("no caller"),
            ),
            (shown(&["x"], vec![dns("*.example")]), Err("no caller")),
            (shown(&["x"], vec![]), Err("no caller")),
            (shown(&["billing"], vec![orders()]), Err("two callers")),
        ] {
            match (known.caller(&certificate, 0), expected) {
                (Ok(caller), expected) => {
                    assert_eq!(Ok(&*caller.name), expected, "{certificate:?}");
                    assert_eq!(
                        (&*caller.tenant, &caller.proof),
                        ("acme", &Proof::Certificate)
                    );
                }
                (Err(problem), Err(why)) => {
                    assert!(problem.detail().contains(why), "{}", problem.detail());
                }
                (Err(problem), Ok(_)) => panic!("{}", problem.detail()),
            }
        }
        let ended = known.caller(&shown(&["billing"], vec![]), 1_893_456_001_000);
        assert!(ended.unwrap_err().detail().contains("has ended"));
    }
}
