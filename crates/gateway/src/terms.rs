//! What contracts ask of the gateway before they may be in force there: its key of hashes and its region
//! for fields about persons, and callers that it knows for readers of other companies.

use tidegate_contract::EventContract;
use tidegate_contract::model::Audience;

use crate::privacy::Privacy;
use crate::settings::Settings;

/// The settings that contracts ask about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) privacy: Privacy,
    knows_callers: bool,
}

impl Terms {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            privacy: Privacy::of(settings),
            knows_callers: settings.identity.required,
        }
    }

    /// Says why a contract cannot be in force here, and what to do about it.
    pub(crate) fn problem(&self, contract: &EventContract) -> Option<(String, &'static str)> {
        let audience = contract.audience;
        // Tenants are kept apart, and the audit names who it was, only where callers are known. That
        // events have identities the contract itself says.
        if audience != Audience::Internal && !self.knows_callers {
            let message =
                format!("it is for `{audience}` readers, and nobody is asked who he is here");
            return Some((
                message,
                "set `identity.required`, or use `audience: internal`",
            ));
        }
        self.privacy.problem(contract)
    }
}
