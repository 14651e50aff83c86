//! The contract format, declared once: each key with its form, its help, and what its absence
//! means or why it is refused. Loading, explaining and the format's own JSON Schema read this
//! declaration, so they cannot disagree. The tables themselves are in `keys.rs`.

pub(crate) mod keys;
mod schema;

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use crate::model::{Audience, Class};

pub use schema::json_schema;

/// One key of the format.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) form: Form,
    pub(crate) presence: Presence,
}

/// What may stand behind a key.
#[derive(Debug)]
pub(crate) enum Form {
    Map(&'static [Key]),
    Text {
        pattern: &'static Pattern,
        max_chars: usize,
        what: &'static str,
    },
    /// One word of a closed list.
    Word(&'static [Word]),
    /// A non-empty list of different words of a closed list.
    Words(&'static [Word]),
    Count {
        min: u64,
        max: u64,
    },
    /// A number of things, or a size with its unit.
    Amount,
    Flag,
    /// A map with exactly one of these keys.
    OneOf(&'static [Key]),
    /// A non-empty list.
    List {
        item: &'static Form,
        max: usize,
    },
    /// A non-empty map whose names are the writer's.
    Entries {
        name: &'static Pattern,
        what: &'static str,
        /// A name that fits, for hints.
        sample: &'static str,
        item: &'static Form,
        max: usize,
    },
}

impl Form {
    /// Says whether the value is one text, not a structure of others.
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(
            self,
            Self::Map(_) | Self::OneOf(_) | Self::List { .. } | Self::Entries { .. }
        )
    }
}

/// A word of a closed list.
#[derive(Debug)]
pub(crate) struct Word {
    pub(crate) word: &'static str,
    pub(crate) help: &'static str,
    /// Words of the full format without an enforcer yet are known, so that they can be refused
    /// by name.
    pub(crate) supported: bool,
}

/// Whether a key must, may or cannot yet be written.
#[derive(Debug)]
pub(crate) enum Presence {
    Required,
    /// Absence means this value, written as in YAML; `{name}` stands for the document's name.
    Default {
        value: ByKind,
        reason: &'static str,
    },
    /// Absence means something that no value of the key says.
    Optional {
        absent: &'static str,
    },
    /// A map that only groups other keys.
    Group,
    /// Part of the full format, refused until something enforces it.
    NotYet,
}

/// A default, for all or for each class, and perhaps another one beyond the own company.
#[derive(Debug)]
pub(crate) enum ByKind {
    Same(&'static str),
    Each {
        fact: &'static str,
        command: &'static str,
        telemetry: &'static str,
    },
    Outside {
        internal: &'static ByKind,
        outside: &'static str,
    },
}

impl ByKind {
    pub(crate) fn of(&self, class: Class, audience: Audience) -> &'static str {
        match (self, class) {
            (Self::Same(value), _) => value,
            (Self::Each { fact, .. }, Class::Fact) => fact,
            (Self::Each { command, .. }, Class::Command) => command,
            (Self::Each { telemetry, .. }, Class::Telemetry) => telemetry,
            (Self::Outside { internal, outside }, class) => match audience {
                Audience::Internal => internal.of(class, audience),
                Audience::Partner | Audience::Public => outside,
            },
        }
    }
}

/// A regular expression of the declaration, compiled when first used.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: &'static str,
    compiled: OnceLock<regex::Regex>,
}

impl Pattern {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        let compile = || regex::Regex::new(self.text).expect("a test compiles every pattern");
        self.compiled.get_or_init(compile).is_match(text)
    }

    pub(crate) fn as_str(&self) -> &'static str {
        self.text
    }
}
