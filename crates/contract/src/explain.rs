//! Explains a contract: every key with the value in force, where the value comes from, and why it
//! is so. The loader fills the list while it settles the values, so it cannot tell another story.

use crate::model::{EventContract, Team};

/// One key of a contract and the value in force for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Explained {
    /// The key from the document's root, `spec.topic.retention`.
    pub key: String,
    /// The value as a contract file has it; absent where no value is in force.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// Why the default is what it is, or what the absence means; for a written value, what the
    /// key is for.
    pub reason: &'static str,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The file, at this line from 1.
    Written(u32),
    /// The format's default.
    Default,
    /// Nowhere: the key is absent and has no value.
    Absent,
}

impl EventContract {
    /// Returns every key of the format with the value in force, in the format's order.
    pub fn explain(&self) -> &[Explained] {
        &self.explained
    }
}

impl Team {
    /// Returns every key of the format with the value in force, in the format's order.
    pub fn explain(&self) -> &[Explained] {
        &self.explained
    }

    /// Returns the file that the team stands in, as the loader was given it.
    pub fn file(&self) -> &str {
        &self.document.file
    }
}
