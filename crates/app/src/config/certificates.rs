//! Callers that are known by certificates: names of the operator's own, each with a name that its
//! certificates bear, a tenant and roles.

use std::collections::{BTreeMap, HashMap};

use tidegate_gateway::tls::CertificateName;
use tidegate_gateway::{CertificateHolder, Role};

use super::layers::Written;
use super::named::{Entry, Group};

/// Where they stand.
pub(super) const GROUP: Group = Group {
    path: "identity.certificates",
    one: "a caller",
    keys: &["certificate", "tenant", "roles"],
    lists: &["roles"],
    single: None,
};
/// The tenant of callers who name none.
const DEFAULT_TENANT: &str = "default";
const MAX_TENANT_CHARACTERS: usize = 100;

/// Reads the callers of these settings; `refuse` takes down what is wrong, by its key.
pub(super) fn read(
    values: &BTreeMap<String, Written>,
    refuse: &mut dyn FnMut(&str, String),
) -> Vec<CertificateHolder> {
    let mut known: HashMap<CertificateName, String> = HashMap::new();
    let mut holders = Vec::new();
    for entry in GROUP.entries(values) {
        let Some(holder) = holder(&entry, refuse) else {
            continue;
        };
        let earlier = known.insert(holder.certificate.clone(), holder.name.clone());
        if let Some(earlier) = earlier {
            let key = entry.full("certificate");
            let message = format!("`{key}` is the name that `{earlier}` is known by");
            refuse(&key, message);
        }
        holders.push(holder);
    }
    holders
}

fn holder(entry: &Entry<'_>, refuse: &mut dyn FnMut(&str, String)) -> Option<CertificateHolder> {
    // `certificate: null` is a caller that is not there.
    if entry
        .keys
        .get("certificate")
        .is_some_and(|it| it.text.is_none())
    {
        return None;
    }
    let Some(certificate) = entry.text("certificate") else {
        let message = format!("caller `{}` needs `certificate`, a name in it", entry.name);
        refuse(&entry.any(), message);
        return None;
    };
    let certificate = certificate.parse::<CertificateName>().map_err(|error| {
        let key = entry.full("certificate");
        refuse(&key, format!("`{key}`: {error}"));
    });
    let roles = roles(entry, refuse);
    let tenant = entry.text("tenant").unwrap_or(DEFAULT_TENANT);
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._-:".contains(&b);
    if !(1..=MAX_TENANT_CHARACTERS).contains(&tenant.len()) || !tenant.bytes().all(known) {
        let key = entry.full("tenant");
        let message = format!(
            "`{key}` has 1 to {MAX_TENANT_CHARACTERS} of letters, digits, `.`, `_`, `-` and `:`"
        );
        refuse(&key, message);
        return None;
    }
    Some(CertificateHolder {
        name: entry.name.to_owned(),
        certificate: certificate.ok()?,
        tenant: tenant.to_owned(),
        roles: roles?,
    })
}

fn roles(entry: &Entry<'_>, refuse: &mut dyn FnMut(&str, String)) -> Option<Vec<Role>> {
    let Some(text) = entry.text("roles") else {
        let message = format!("caller `{}` needs `roles`", entry.name);
        refuse(&entry.any(), message);
        return None;
    };
    let read = |word: &str| {
        word.parse::<Role>().map_err(|()| {
            let key = entry.full("roles");
            let known: Vec<String> = Role::ALL.map(|role| format!("`{role}`")).to_vec();
            let message = format!("`{key}`: `{word}` is not one of {}", known.join(", "));
            refuse(&key, message);
        })
    };
    let roles: Result<Vec<Role>, ()> = text.split(',').map(str::trim).map(read).collect();
    roles.ok()
}

#[cfg(test)]
mod tests {
    use super::super::layers::Layers;

    fn told(callers: &str) -> String {
        let mut layers = Layers::default();
        let tls = "{certificate: c.pem, key: c.key, client_ca: a.pem}";
        let file = format!("ingress: {{tls: {tls}}}\nidentity:\n  certificates:\n{callers}");
        layers.put_text("tidegate.yaml", &file);
        match layers.settle() {
            Ok(config) => format!("{:#?}", config.identity.certificates),
            Err(problems) => {
                let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
                texts.join("\n\n")
            }
        }
    }

    #[test]
    fn a_caller_is_known_by_one_name_and_has_a_tenant_and_roles() {
        insta::assert_snapshot!(told(
            "    orders: {certificate: \"uri:spiffe://example/orders\", tenant: acme, roles: [producer, consumer]}
    ops_1: {certificate: \"cn:Operations\", roles: operator}
    gone: {certificate: null}
"
        ));
    }

    #[test]
    fn certificates_are_of_use_where_a_door_asks_for_them() {
        let told = |doors: &str| {
            let callers =
                "identity: {certificates: {a: {certificate: \"cn:a\", roles: [producer]}}}";
            let mut layers = Layers::default();
            layers.put_text("tidegate.yaml", &format!("{callers}\n{doors}"));
            layers
                .settle()
                .err()
                .map(|problems| problems[0].message.clone())
        };
        let tls = "tls: {certificate: c.pem, key: c.key, client_ca: a.pem}";
        assert_eq!(told(&format!("registry: {{{tls}}}")), None);
        assert_eq!(told(&format!("ingress: {{{tls}}}")), None);
        let needs = "`identity.certificates` needs `client_ca` in `ingress.tls` or `registry.tls`";
        assert_eq!(
            told("ingress: {tls: {certificate: c.pem, key: c.key}}").as_deref(),
            Some(needs)
        );
        assert_eq!(
            told(&format!("operations: {{{tls}}}")).as_deref(),
            Some(needs)
        );
    }

    #[test]
    fn what_is_wrong_with_callers_is_told_with_its_place() {
        insta::assert_snapshot!(told(
            "    a: {certificate: \"orders.example\", roles: [producer]}
    b: {roles: [producer]}
    c: {certificate: \"dns:c.example\"}
    d: {certificate: \"dns:d.example\", roles: [sender]}
    e: {certificate: \"dns:e.example\", roles: [producer], tenant: \"a b\"}
    f: {certificate: \"dns:C.example\", role: producer}
    G: {certificate: \"dns:g.example\"}
    h: {certificate: \"dns:h.example\", roles: [producer]}
    i: {certificate: \"dns:H.example\", roles: [producer]}
"
        ));
    }
}
