//! What each failure of the log lets a caller do.

/// Whether a failed append may be in the log all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Nothing was stored and nothing will be.
    NotStored,
    /// The record may be stored, now or after a restart. Send it again with the same claim.
    Unknown,
}

/// A failure of the log, by what the caller can do about it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LogError {
    /// Try again later; with the same claim if the outcome is unknown.
    #[error("the log is unavailable: {reason}")]
    Unavailable {
        /// Why, for operators.
        reason: String,
        /// Whether the record may be stored.
        outcome: Outcome,
    },
    /// Somebody else was first: read again, then decide.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Another process owns the log: stop.
    #[error("fenced: {0}")]
    Fenced(String),
    /// The call can never succeed as it is: mend it.
    #[error("invalid: {0}")]
    Invalid(String),
    /// No such topic, partition or claim.
    #[error("not found: {0}")]
    NotFound(String),
    /// Stored bytes are damaged: call someone.
    #[error("corrupt: {0}")]
    Corrupt(String),
}

impl LogError {
    /// Makes an `Unavailable` for a call that stored nothing.
    pub fn not_stored(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
            outcome: Outcome::NotStored,
        }
    }

    /// Makes an `Unavailable` for a call whose outcome is not known.
    pub fn in_doubt(reason: impl Into<String>) -> Self {
        Self::Unavailable {
            reason: reason.into(),
            outcome: Outcome::Unknown,
        }
    }

    /// Says whether the append that failed so may be in the log all the same.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Unavailable { outcome, .. } => *outcome,
            Self::Conflict(_) | Self::Fenced(_) | Self::Invalid(_) | Self::NotFound(_) => {
                Outcome::NotStored
            }
            Self::Corrupt(_) => Outcome::Unknown,
        }
    }
}
