//! A caller: who asks, for which tenant, in which roles, and by what it proved that.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use axum::http::Extensions;
use serde::{Deserialize, Serialize};
use tidegate_contract::model::Auth;

use super::access;

/// The tenant of callers who name none.
pub(crate) const DEFAULT_TENANT: &str = "default";

/// Who asks.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Who pays, and whose events these are.
    pub(crate) tenant: Arc<str>,
    /// What it is called in records, approvals and the audit.
    pub(crate) name: Arc<str>,
    pub(crate) roles: Roles,
    pub(crate) proof: Proof,
    /// The contracts that it may send to; empty means all.
    pub(crate) contracts: Box<[Box<str>]>,
}

/// By what a caller proved who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// By nothing: authentication is off.
    Nothing,
    /// By nothing: nobody asked.
    Unasked,
    /// By an API key.
    Key,
    /// By a token of an issuer, with these scopes.
    Token { scopes: Box<[Box<str>]> },
    /// By the signature of a provider's webhook.
    Signature,
    /// By the certificate that its connection began with.
    Certificate,
}

/// What a caller may be here for.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends events, and reads their receipts.
    Producer,
    /// Reads events.
    Consumer,
    /// Answers for contracts, their schemas and their quarantine.
    Owner,
    /// Approves of changes.
    Approver,
    /// Runs the gateway: everything but the audit of it.
    Operator,
    /// Reads who did what.
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Producer,
        Self::Consumer,
        Self::Owner,
        Self::Approver,
        Self::Operator,
        Self::Auditor,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Owner => "owner",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = Self::ALL.into_iter().find(|role| role.as_str() == text);
        known.ok_or(())
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Roles(u8);

impl Roles {
    pub(crate) const ALL: Self = Self(0b11_1111);

    pub(crate) const fn of(roles: &[Role]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < roles.len() {
            set |= 1 << roles[at] as u8;
            at += 1;
        }
        Self(set)
    }

    pub(crate) fn has(self, role: Role) -> bool {
        self.meets(Self::of(&[role]))
    }

    /// Says whether the two have a role in common.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        let one = |set: Self, role| Self(set.0 | Self::of(&[role]).0);
        roles.into_iter().fold(Self::default(), one)
    }
}

/// As people read them: `producer, owner`.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, role) in self.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}", role.as_str())?;
        }
        Ok(())
    }
}

impl Caller {
    /// Returns the caller that everybody is while authentication is off.
    pub(crate) fn anonymous() -> Self {
        Self {
            tenant: DEFAULT_TENANT.into(),
            name: "anonymous".into(),
            roles: Roles::ALL,
            proof: Proof::Nothing,
            contracts: Box::default(),
        }
    }

    /// Returns the caller of a request whose caller nobody asked for: it sees nothing of anybody.
    pub(crate) fn nobody() -> Arc<Self> {
        static NOBODY: LazyLock<Arc<Caller>> = LazyLock::new(|| {
            Arc::new(Caller {
                tenant: "".into(),
                name: "nobody".into(),
                roles: Roles::default(),
                proof: Proof::Unasked,
                contracts: Box::default(),
            })
        });
        Arc::clone(&NOBODY)
    }

    /// Returns the caller that was let in with a request.
    pub(crate) fn of(extensions: &Extensions) -> Arc<Self> {
        extensions.get().map_or_else(Self::nobody, Arc::clone)
    }

    /// Returns the provider of a webhook that was verified.
    pub(crate) fn provider(source: &str) -> Self {
        Self {
            tenant: DEFAULT_TENANT.into(),
            name: format!("source:{source}").into(),
            roles: Roles::of(&[Role::Producer]),
            proof: Proof::Signature,
            contracts: Box::default(),
        }
    }

    /// Returns the name under which it acts: its own, or while authentication is off the one it gives.
    ///
    /// # Errors
    /// It gives a name that is not its own.
    pub(crate) fn acts_as(&self, given: String) -> Result<String, String> {
        match &self.proof {
            Proof::Nothing => Ok(given),
            _ if given.is_empty() || given == *self.name => Ok((*self.name).to_owned()),
            _ => Err(format!(
                "the caller is `{}` and acts under this name",
                self.name
            )),
        }
    }

    /// Says whether what is of any tenant may be shown to it.
    pub(crate) fn sees_every_tenant(&self) -> bool {
        self.roles.has(Role::Operator)
    }

    /// Says whether what is of a tenant may be shown to it.
    pub(crate) fn sees(&self, tenant: Option<&str>) -> bool {
        self.sees_every_tenant() || tenant.unwrap_or(DEFAULT_TENANT) == &*self.tenant
    }

    /// Says whether it may see fields about persons.
    pub(crate) fn sees_persons(&self) -> bool {
        access::sees_persons(self.roles)
    }

    /// Says whether it may send to a contract of this name.
    pub(crate) fn is_for(&self, contract: &str) -> bool {
        self.contracts.is_empty() || self.contracts.iter().any(|name| **name == *contract)
    }

    /// Says whether it proved who it is in one of these ways, or in any if there is none. While
    /// authentication is off nobody is asked.
    pub(crate) fn proved(&self, ways: &[Auth]) -> bool {
        let proved = |way: &Auth| match (way, &self.proof) {
            (Auth::ApiKey, Proof::Key)
            | (Auth::Signature, Proof::Signature)
            | (Auth::Mtls, Proof::Certificate) => true,
            (Auth::Oauth2 { scope: None }, Proof::Token { .. }) => true,
            (Auth::Oauth2 { scope: Some(scope) }, Proof::Token { scopes }) => {
                scopes.iter().any(|has| **has == **scope)
            }
            _ => false,
        };
        self.proof == Proof::Nothing || ways.is_empty() || ways.iter().any(proved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(proof: Proof, contracts: &[&str]) -> Caller {
        Caller {
            proof,
            contracts: contracts.iter().map(|name| (*name).into()).collect(),
            ..Caller::anonymous()
        }
    }

    fn token(scopes: &[&str]) -> Proof {
        Proof::Token {
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        }
    }

    #[test]
    fn a_contract_takes_the_proofs_it_names() {
        let oauth2 = |scope: Option<&str>| Auth::Oauth2 {
            scope: scope.map(str::to_owned),
        };
        for (proof, by, expected) in [
            (Proof::Key, vec![], true),
            (Proof::Key, vec![Auth::ApiKey], true),
            (Proof::Key, vec![oauth2(None)], false),
            (Proof::Key, vec![oauth2(None), Auth::ApiKey], true),
            (token(&["a", "b"]), vec![oauth2(None)], true),
            (token(&["a", "b"]), vec![oauth2(Some("b"))], true),
            (token(&["a", "b"]), vec![oauth2(Some("c"))], false),
            (Proof::Signature, vec![Auth::ApiKey], false),
            (Proof::Signature, vec![Auth::Signature], true),
            (Proof::Certificate, vec![Auth::Mtls], true),
            (Proof::Certificate, vec![oauth2(None), Auth::ApiKey], false),
            (Proof::Key, vec![Auth::Mtls], false),
            (Proof::Nothing, vec![Auth::Signature], true),
        ] {
            let found = caller(proof.clone(), &[]).proved(&by);
            assert_eq!(found, expected, "{proof:?} {by:?}");
        }
    }

    #[test]
    fn a_caller_with_contracts_sends_to_no_other() {
        let limited = caller(Proof::Key, &["orders"]);
        assert!(limited.is_for("orders"));
        assert!(!limited.is_for("payments"));
    }

    #[test]
    fn roles_are_written_and_read_alike() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!(Roles::ALL.iter().collect::<Roles>(), Roles::ALL);
        let two = Roles::of(&[Role::Owner, Role::Producer]);
        assert_eq!(two.to_string(), "producer, owner");
        assert!(!two.has(Role::Operator) && !Roles::default().meets(Roles::ALL));
    }
}
