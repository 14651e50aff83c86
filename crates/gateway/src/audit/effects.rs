//! What requests mean: each method of each route that is no reading is declared here. One that is not is
//! refused by `layer.rs`, so that none changes anything unaudited.

/// What a request that is no reading does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// It changes something, and this is what the audit calls it.
    Changes(&'static str),
    /// It asks, with a body.
    Asks,
}

use Effect::{Asks, Changes};

pub(super) const EFFECTS: &[(&str, &str, Effect)] = &[
    ("POST", "/v1/contract-plans", Asks),
    ("POST", "/v1/contract-sets", Changes("contract.apply")),
    (
        "POST",
        "/v1/contract-approvals",
        Changes("contract.approve"),
    ),
    ("POST", "/v1/contracts/check", Asks),
    (
        "POST",
        "/v1/bridges/{contract}/resume",
        Changes("bridge.resume"),
    ),
    (
        "POST",
        "/v1/bridges/{contract}/abort",
        Changes("bridge.abort"),
    ),
    ("POST", "/v1/keys", Changes("key.create")),
    ("POST", "/v1/keys/{id}/rotate", Changes("key.rotate")),
    ("DELETE", "/v1/keys/{id}", Changes("key.revoke")),
    ("POST", "/", Asks),
    ("POST", "/subjects/{subject}", Asks),
    ("DELETE", "/subjects/{subject}", Changes("subject.delete")),
    (
        "POST",
        "/subjects/{subject}/versions",
        Changes("schema.register"),
    ),
    (
        "DELETE",
        "/subjects/{subject}/versions/{version}",
        Changes("schema.delete"),
    ),
    ("POST", "/compatibility/subjects/{subject}/versions", Asks),
    (
        "POST",
        "/compatibility/subjects/{subject}/versions/{version}",
        Asks,
    ),
    ("DELETE", "/contexts/{context}", Changes("context.delete")),
    ("PUT", "/config", Changes("registry.config")),
    ("DELETE", "/config", Changes("registry.config")),
    ("PUT", "/config/{subject}", Changes("registry.config")),
    ("DELETE", "/config/{subject}", Changes("registry.config")),
    ("PUT", "/mode", Changes("registry.mode")),
    ("DELETE", "/mode", Changes("registry.mode")),
    ("PUT", "/mode/{subject}", Changes("registry.mode")),
    ("DELETE", "/mode/{subject}", Changes("registry.mode")),
];

/// Returns what a method of a route does.
pub(super) fn effect(method: &str, route: &str) -> Option<Effect> {
    let mut declared = EFFECTS.iter();
    let found = declared.find(|(of, at, _)| *of == method && *at == route);
    found.map(|(_, _, effect)| *effect)
}
