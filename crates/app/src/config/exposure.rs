//! May a door be reached from other machines?

use std::net::SocketAddr;

/// What stands between a door and who reaches it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Guard {
    /// What is sent cannot be read or changed on its way.
    pub(super) tls: bool,
    /// Callers prove who they are, or there is nothing to be done here that needs it.
    pub(super) callers: bool,
}

impl Guard {
    fn is_whole(self) -> bool {
        self.tls && self.callers
    }
}

/// Says whether a door may listen at an address; `insecure` is the operator's word that it may anyway.
pub(super) fn may_listen(address: SocketAddr, guard: Guard, insecure: bool) -> bool {
    address.ip().is_loopback() || guard.is_whole() || insecure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_a_door_has_tls_and_knows_its_callers_or_has_the_operators_word() {
        for (address, tls, callers, insecure, expected) in [
            ("127.0.0.1:1", false, false, false, true),
            ("127.8.0.1:1", false, false, false, true),
            ("[::1]:1", false, false, false, true),
            ("0.0.0.0:1", false, true, false, false),
            ("[::]:1", false, false, false, false),
            ("192.0.2.1:1", true, false, false, false),
            ("192.0.2.1:1", true, true, false, true),
            ("192.0.2.1:1", false, false, true, true),
        ] {
            let guard = Guard { tls, callers };
            let allowed = may_listen(address.parse().unwrap(), guard, insecure);
            assert_eq!(allowed, expected, "{address} {guard:?} {insecure}");
        }
    }
}
