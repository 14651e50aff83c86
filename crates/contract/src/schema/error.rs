//! Why a schema cannot be used, the same for every language.

/// Why a schema cannot be used. For operators: it may repeat parts of the schema, never of events.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// The text is no JSON.
    #[error("schema file `{file}` is not JSON: {problem}")]
    NotJson {
        /// The schema file.
        file: String,
        /// What the parser says.
        problem: String,
    },
    /// `$schema` names a language that is not supported.
    #[error("schema file `{file}` is written in {draft}, which is not supported")]
    Draft {
        /// The schema file.
        file: String,
        /// What `$schema` says.
        draft: String,
    },
    /// A keyword has a value that the language does not allow.
    #[error("schema file `{file}` is no JSON Schema: `{pointer}` {problem}")]
    Malformed {
        /// The schema file.
        file: String,
        /// Where, as a JSON Pointer fragment.
        pointer: String,
        /// What is wrong there.
        problem: String,
    },
    /// A pattern that cannot run in time linear in the text.
    #[error("schema file `{file}` has a pattern that cannot run in linear time: `{pointer}`")]
    Pattern {
        /// The schema file.
        file: String,
        /// Where, as a JSON Pointer fragment.
        pointer: String,
    },
    /// The pointer or a reference in the schema leads nowhere.
    #[error("schema file `{file}`: {problem}")]
    Reference {
        /// The schema file.
        file: String,
        /// What leads nowhere.
        problem: String,
    },
    /// The text breaks the schema language's grammar or rules at a place.
    #[error("schema file `{file}{place}` {problem}")]
    Language {
        /// The schema file.
        file: String,
        /// `:line:column`, or a JSON Pointer fragment; may be empty.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// It is larger or nested deeper than a schema may be.
    #[error("schema file `{file}` {problem}")]
    TooLarge {
        /// The schema file.
        file: String,
        /// Which limit it breaks.
        problem: String,
    },
    /// The library refuses it for another reason.
    #[error("schema `{schema}` does not compile: {problem}")]
    Compile {
        /// The schema file with its pointer.
        schema: String,
        /// What the library says.
        problem: String,
    },
}

impl SchemaError {
    /// Returns what the schema's author can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "write the schema as one JSON value",
            Self::Draft { .. } => {
                "set `$schema` to draft-07 or 2020-12, or leave it out for 2020-12"
            }
            Self::Malformed { .. } => "see the specification of the schema's draft",
            Self::Pattern { .. } => {
                "write it without look-around and back-references, and with small repetitions"
            }
            Self::Reference { .. } => {
                "point to a place in this file or in one below the contracts' folder; nothing is fetched"
            }
            Self::Language { .. } => "see the specification of the schema's language",
            Self::TooLarge { .. } => "split what the schema describes into several contracts",
            Self::Compile { .. } => "mend the schema, then run `tidegate contract lint`",
        }
    }
}
