//! Issuers of tokens beside the first: names of the operator's own, each with the keys of `identity.oidc`.

use std::collections::BTreeMap;

use tidegate_gateway::Issuer;

use super::layers::Written;
use super::named::{Entry, Group};

/// Where they stand.
pub(super) const GROUP: Group = Group {
    path: "identity.issuers",
    one: "an issuer",
    keys: &[
        "issuer",
        "audience",
        "keys_url",
        "tenant_claim",
        "roles_claim",
    ],
    lists: &[],
    single: None,
};
/// The name of the one in `identity.oidc`.
pub(super) const FIRST: &str = "oidc";

/// Reads the issuers of these settings; `refuse` takes down what is wrong, by its key.
pub(super) fn read(
    values: &BTreeMap<String, Written>,
    refuse: &mut dyn FnMut(&str, String),
) -> Vec<Issuer> {
    let entries = GROUP.entries(values);
    let read = |entry| issuer(entry, values, refuse);
    entries.iter().filter_map(read).collect()
}

fn issuer(
    entry: &Entry<'_>,
    values: &BTreeMap<String, Written>,
    refuse: &mut dyn FnMut(&str, String),
) -> Option<Issuer> {
    if entry.name == FIRST {
        let message = format!("the issuer `{FIRST}` is the one in `identity.oidc`");
        refuse(&entry.any(), message);
        return None;
    }
    // `issuer: null` is one that is not there.
    if entry.keys.get("issuer").is_some_and(|it| it.text.is_none()) {
        return None;
    }
    let Some(issuer) = entry.text("issuer") else {
        refuse(
            &entry.any(),
            format!("issuer `{}` needs `issuer`", entry.name),
        );
        return None;
    };
    // This gateway's name, and the usual claim, are as the first one has them.
    let text = |own: &str| {
        let of_first = || values[&format!("identity.oidc.{own}")].text.as_deref();
        entry
            .text(own)
            .or_else(of_first)
            .unwrap_or_default()
            .to_owned()
    };
    Some(Issuer {
        name: entry.name.to_owned(),
        issuer: issuer.to_owned(),
        audience: text("audience"),
        keys_url: entry.text("keys_url").map(str::to_owned),
        tenant_claim: entry.text("tenant_claim").map(str::to_owned),
        roles_claim: text("roles_claim"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::layers::Layers;

    fn told(identity: &str) -> String {
        let mut layers = Layers::default();
        layers.put_text("tidegate.yaml", &format!("identity:\n{identity}"));
        match layers.settle() {
            Ok(config) => format!("{:#?}", config.identity.issuers),
            Err(problems) => {
                let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
                texts.join("\n\n")
            }
        }
    }

    #[test]
    fn an_issuer_needs_its_address_alone() {
        insta::assert_snapshot!(told(
            "  oidc: {issuer: \"https://login.example.com\", audience: gateway}
  issuers:
    partners: {issuer: \"https://id.example.org\", tenant_claim: org}
    staff: {issuer: \"https://staff.example\", audience: us, keys_url: \"https://keys.example\", roles_claim: groups}
    gone: {issuer: null}
"
        ));
    }

    #[test]
    fn what_is_wrong_with_issuers_is_told_with_its_place() {
        insta::assert_snapshot!(told(
            "  oidc: {keys_url: \"https://keys.example\"}
  issuers:
    oidc: {issuer: \"https://a.example\"}
    b: {audience: gateway}
    c: {issuer: \"https://c.example\"}
    d: {issuer: \"https://c.example\", jwks: x}
"
        ));
    }
}
