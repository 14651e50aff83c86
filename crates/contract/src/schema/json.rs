//! JSON Schema, draft-07 and 2020-12. A file is parsed once and shared by every contract that
//! points into it; each pointer is compiled once, on first use. Nothing is fetched: a reference
//! must end in its own file. Patterns run in the engine that is linear in the text; those that it
//! cannot run are refused when the file is read. `format` is an annotation and asserts nothing.

use std::sync::{Arc, OnceLock};

use jsonschema::{Draft, PatternOptions, Registry, ValidationOptions, Validator};
use serde_json::Value;

use super::data::{At, Data, Errors};
use super::reasons;
use crate::check::Reason;
use crate::tree::Tree;

/// Schema files are written by people or generated from code; the demo's has 0.6 MB.
pub(crate) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// What the library spends on one pattern at most: its program, and its cache while matching.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// The name of a file inside the library; references are relative to it.
const BASE_URI: &str = "tidegate:///schema";

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
            Self::Reference { .. } => "point to a place in the same file; nothing is fetched",
            Self::Compile { .. } => "mend the schema, then run `tidegate contract lint`",
        }
    }
}

/// A schema file, parsed and checked; shared by the contracts that point into it.
pub(crate) struct SchemaFile {
    name: String,
    draft: Draft,
    registry: Registry<'static>,
}

impl SchemaFile {
    /// Parses a schema file and checks it as a whole.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, SchemaError> {
        let file = name.to_owned();
        let root: Value = serde_json::from_str(text).map_err(|e| SchemaError::NotJson {
            file: file.clone(),
            problem: e.to_string(),
        })?;
        let draft = Draft::default().detect(&root);
        if !matches!(draft, Draft::Draft7 | Draft::Draft202012) {
            let draft = root
                .get("$schema")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            return Err(SchemaError::Draft { file, draft });
        }
        let meta = match draft {
            Draft::Draft7 => jsonschema::draft7::meta::validator(),
            _ => jsonschema::draft202012::meta::validator(),
        };
        if let Err(error) = meta.validate(&root) {
            let pointer = reasons::fragment("#", error.instance_path().as_str());
            let problem = reasons::detail(error.kind());
            return Err(SchemaError::Malformed {
                file,
                pointer,
                problem,
            });
        }
        check_patterns(name, &root, &mut String::from("#"))?;
        let registry = Registry::new()
            .draft(draft)
            .retriever(Nowhere)
            .add(BASE_URI, Arc::new(root))
            .and_then(|builder| builder.prepare())
            .map_err(|e| SchemaError::Reference {
                file: file.clone(),
                problem: e.to_string(),
            })?;
        Ok(Self {
            name: file,
            draft,
            registry,
        })
    }
}

impl std::fmt::Debug for SchemaFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchemaFile")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Resolves nothing: schemas are self-contained.
struct Nowhere;

impl jsonschema::Retrieve for Nowhere {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("`{uri}` is outside of the file").into())
    }
}

/// The schema of one contract: a place in a file, compiled on first use.
#[derive(Debug)]
pub struct JsonSchema {
    file: Arc<SchemaFile>,
    /// A URI fragment: `#`, then perhaps a JSON Pointer.
    fragment: String,
    compiled: OnceLock<Result<Validator<Data>, SchemaError>>,
}

impl JsonSchema {
    /// Points to a place in a file.
    pub(crate) fn at(file: Arc<SchemaFile>, pointer: &str) -> Result<Self, SchemaError> {
        let fragment = reasons::fragment("#", pointer);
        let base = jsonschema::uri::from_str(BASE_URI).expect("a constant that parses");
        if file.registry.resolver(base).lookup(&fragment).is_err() {
            let problem = format!("there is no `{fragment}`");
            return Err(SchemaError::Reference {
                file: file.name.clone(),
                problem,
            });
        }
        Ok(Self {
            file,
            fragment,
            compiled: OnceLock::new(),
        })
    }

    /// Compiles the schema, unless that was done before. Checking events does it on first use.
    ///
    /// # Errors
    /// The schema cannot be used; it is the contract's fault, not an event's.
    pub fn compile(&self) -> Result<(), SchemaError> {
        self.validator().map(|_| ()).map_err(Clone::clone)
    }

    pub(super) fn validator(&self) -> Result<&Validator<Data>, &SchemaError> {
        let build = || {
            let reference = format!("{BASE_URI}{}", self.fragment);
            options()
                .with_draft(self.file.draft)
                .with_registry(&self.file.registry)
                .build(&serde_json::json!({ "$ref": reference }))
                .map_err(|error| SchemaError::Compile {
                    schema: format!("{}{}", self.file.name, self.fragment),
                    problem: error.to_string(),
                })
        };
        self.compiled.get_or_init(build).as_ref()
    }

    /// Checks data; the reasons are added to `into` and capped by it.
    pub(crate) fn check(
        &self,
        data: &Tree<'_>,
        into: &mut crate::check::Reasons,
    ) -> Result<(), &SchemaError> {
        let validator = self.validator()?;
        // The quick question first: nearly every event is valid.
        if !validator.is_valid(At::unlimited(data)) {
            let before = into.len();
            let errors = Errors::default();
            reasons::collect(validator.iter_errors(At::limited(data, &errors)), into);
            if into.len() == before {
                // So many errors that none can be told, or two answers that differ: the strict one
                // counts.
                into.push(Reason::new(
                    "#/data",
                    "breaks its schema in too many ways",
                    "schema",
                ));
            } else if errors.overflowed() {
                into.more();
            }
        }
        Ok(())
    }
}

fn options<'r>() -> ValidationOptions<'r, Arc<dyn jsonschema::Retrieve>, Data> {
    let patterns = PatternOptions::regex()
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES);
    jsonschema::options_for::<Data>()
        .with_retriever(Nowhere)
        .with_pattern_options(patterns)
        .should_validate_formats(false)
        .without_content_media_type_support("application/json")
        .without_content_encoding_support("base64")
}

/// Tries every pattern of the file in the engine that will run it.
fn check_patterns(file: &str, schema: &Value, at: &mut String) -> Result<(), SchemaError> {
    let length = at.len();
    let refuse = |pattern: &str, at: &str| {
        let built = options().build(&serde_json::json!({ "pattern": pattern }));
        built.map(|_| ()).map_err(|_| SchemaError::Pattern {
            file: file.to_owned(),
            pointer: at.to_owned(),
        })
    };
    match schema {
        Value::Object(keys) => {
            for (key, value) in keys {
                crate::check::push_pointer_name(at, key);
                match (key.as_str(), value) {
                    ("pattern", Value::String(pattern)) => refuse(pattern, at)?,
                    ("patternProperties", Value::Object(patterns)) => {
                        for pattern in patterns.keys() {
                            refuse(pattern, at)?;
                        }
                    }
                    _ => {}
                }
                // These hold examples of data, in which `pattern` is a name like any other.
                if !matches!(key.as_str(), "const" | "enum" | "default" | "examples") {
                    check_patterns(file, value, at)?;
                }
                at.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                crate::check::push_pointer_name(at, &index.to_string());
                check_patterns(file, item, at)?;
                at.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}
