//! Who may come to which address: one table a door, pure. An address that stands in none of them is
//! open to nobody, so a new route says who it is for before it can be used.

use axum::http::Method;

use super::caller::{Role, Roles};

/// Who may come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    /// Everybody.
    Public,
    /// Whoever signs as the provider it says it is; the address checks that itself.
    Signed,
    /// Callers with one of these roles.
    For(Roles),
}

const EVERY_ROLE: Rule = Rule::For(Roles::ALL);
const OPERATORS: Rule = Rule::For(Roles::of(&[Role::Operator]));
const SENDERS: Rule = Rule::For(Roles::of(&[Role::Producer]));
const READERS: Rule = Rule::For(Roles::of(&[Role::Consumer, Role::Owner, Role::Operator]));
const OWNERS: Rule = Rule::For(Roles::of(&[Role::Owner, Role::Operator]));
const APPROVERS: Rule = Rule::For(Roles::of(&[Role::Approver]));
const REVIEWERS: Rule = Rule::For(Roles::of(&[Role::Owner, Role::Approver, Role::Operator]));
const AUDITORS: Rule = Rule::For(Roles::of(&[Role::Auditor]));
/// Whoever answers for a contract sees what its events say of persons. Others who may read events see
/// these fields hidden, as they need them for nothing that the gateway knows of.
const SEE_PERSONS: Roles = Roles::of(&[Role::Owner]);
const STAFF: Rule = Rule::For(Roles::of(&[Role::Owner, Role::Operator, Role::Auditor]));

/// Returns the rule of an address of the events door, by its route.
pub(crate) fn of_events(method: &Method, route: &str) -> Option<Rule> {
    let (read, write) = match route {
        "/problems/{slug}" | "/openapi.json" => (Rule::Public, Rule::Public),
        "/v1/sources/{source}" => (Rule::Public, Rule::Signed),
        "/v1/events" | "/v1/events/{contract}" => (SENDERS, SENDERS),
        "/v1/receipts/{id}" | "/v1/receipts/{id}/request" => (EVERY_ROLE, EVERY_ROLE),
        "/v1/quarantine" | "/v1/quarantine/{id}" => (OWNERS, OWNERS),
        "/v1/contracts" | "/v1/contracts/{name}" | "/v1/readers" | "/v1/lineage" => {
            (EVERY_ROLE, EVERY_ROLE)
        }
        "/v1/contracts/check" => (EVERY_ROLE, REVIEWERS),
        "/v1/contract-plans" => (REVIEWERS, REVIEWERS),
        "/v1/contract-sets" => (EVERY_ROLE, OWNERS),
        "/v1/contract-approvals" => (APPROVERS, APPROVERS),
        "/v1/bridges" | "/v1/bridges/{contract}" => (EVERY_ROLE, EVERY_ROLE),
        "/v1/bridges/{contract}/resume" | "/v1/bridges/{contract}/abort" => (OWNERS, OWNERS),
        "/v1/status" => (STAFF, STAFF),
        "/v1/topics" | "/v1/topics/{topic}" => (EVERY_ROLE, EVERY_ROLE),
        "/v1/topics/{topic}/events" => (READERS, READERS),
        "/v1/audit" | "/v1/audit/chain" => (AUDITORS, AUDITORS),
        "/v1/keys" | "/v1/keys/{id}" | "/v1/keys/{id}/rotate" => (OPERATORS, OPERATORS),
        _ => return None,
    };
    Some(choose(method, read, write))
}

/// Says whether roles let fields about persons be seen.
pub(crate) fn sees_persons(roles: Roles) -> bool {
    roles.meets(SEE_PERSONS)
}

/// Returns the rule of an address of the schema registry: whoever has a role reads, owners change.
pub(crate) fn of_registry(method: &Method, route: &str) -> Rule {
    // Asking whether a schema is there, or may follow, is reading by another method.
    let asks = route == "/subjects/{subject}" && method == Method::POST
        || route.starts_with("/compatibility/");
    match asks {
        true => EVERY_ROLE,
        false => choose(method, EVERY_ROLE, OWNERS),
    }
}

fn choose(method: &Method, read: Rule, write: Rule) -> Rule {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => read,
        _ => write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_read_by_all_and_changed_by_owners() {
        for (method, route, expected) in [
            (Method::GET, "/subjects", EVERY_ROLE),
            (Method::POST, "/subjects/{subject}", EVERY_ROLE),
            (Method::DELETE, "/subjects/{subject}", OWNERS),
            (Method::POST, "/subjects/{subject}/versions", OWNERS),
            (
                Method::POST,
                "/compatibility/subjects/{subject}/versions",
                EVERY_ROLE,
            ),
            (Method::PUT, "/config", OWNERS),
        ] {
            assert_eq!(of_registry(&method, route), expected, "{method} {route}");
        }
    }

    #[test]
    fn persons_are_seen_by_owners() {
        for role in Role::ALL {
            assert_eq!(sees_persons(Roles::of(&[role])), role == Role::Owner);
        }
    }

    #[test]
    fn an_address_in_no_table_is_for_nobody() {
        assert_eq!(of_events(&Method::GET, "/v1/something"), None);
        assert_eq!(of_events(&Method::POST, "/v1/events"), Some(SENDERS));
        assert_eq!(
            of_events(&Method::POST, "/v1/contracts/check"),
            Some(REVIEWERS)
        );
    }
}
