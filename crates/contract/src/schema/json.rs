//! JSON Schema, draft-07 and 2020-12. A file is parsed once and shared by every contract that
//! points into it; each pointer is compiled once, on first use. A reference ends in its own file or,
//! by a relative path, in another of the contracts' folder; nothing is fetched. Patterns run in the engine that is linear in the text; those that it
//! cannot run are refused when the file is read. `format` is an annotation and asserts nothing.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jsonschema::{Draft, PatternOptions, Registry, ValidationOptions, Validator};
use serde_json::Value;

use super::data::{At, Data, Errors};
use super::{SchemaError, Sources, beside, reasons};
use crate::check::Reason;
use crate::tree::Tree;

/// What the library spends on one pattern at most: its program, and its cache while matching.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// The folder of all files inside the library; references are relative to the file they stand in.
const BASE_URI: &str = "tidegate:///";

/// A schema file, parsed and checked; shared by the contracts that point into it.
pub(crate) struct SchemaFile {
    pub(crate) name: String,
    pub(crate) draft: Draft,
    /// As it was written.
    pub(super) text: String,
    registry: Registry<'static>,
    /// The file's own text and those it refers to, by path.
    pub(crate) documents: HashMap<String, Arc<Value>>,
}

impl SchemaFile {
    /// Parses a schema file and those it refers to, and checks them as a whole.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        sources: &mut Sources<'_>,
    ) -> Result<Self, SchemaError> {
        let file = name.to_owned();
        let (root, draft) = document(name, text)?;
        let mut documents = HashMap::new();
        let mut open = vec![(file.clone(), root)];
        while let Some((name, schema)) = open.pop() {
            let mut references = Vec::new();
            collect_files(&schema, &mut references);
            documents.insert(name.clone(), schema);
            for reference in references {
                let path = beside(&name, &reference);
                if documents.contains_key(&path) || open.iter().any(|(name, _)| *name == path) {
                    continue;
                }
                let text = sources.read(&name, &path)?;
                open.push((path.clone(), document(&path, &text)?.0));
            }
        }
        let mut builder = Registry::new().draft(draft).retriever(Nowhere);
        let problem = |e: jsonschema::ReferencingError| SchemaError::Reference {
            file: file.clone(),
            problem: e.to_string(),
        };
        for (name, document) in &documents {
            builder = builder
                .add(uri(name), Arc::clone(document))
                .map_err(problem)?;
        }
        let registry = builder.prepare().map_err(problem)?;
        Ok(Self {
            name: file,
            draft,
            text: text.to_owned(),
            registry,
            documents,
        })
    }
}

impl SchemaFile {
    /// Whether two files say the same, those they refer to included.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || (self.name == other.name && self.documents == other.documents)
    }
}

/// Parses and checks one file.
fn document(name: &str, text: &str) -> Result<(Arc<Value>, Draft), SchemaError> {
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
    Ok((Arc::new(root), draft))
}

/// Names a file to the library.
fn uri(path: &str) -> String {
    let mut uri = BASE_URI.to_owned();
    crate::check::push_escaped(&mut uri, &path.replace('?', "%3F"));
    uri
}

/// Collects the relative paths of other files that a schema refers to.
fn collect_files(schema: &Value, into: &mut Vec<String>) {
    match schema {
        Value::Object(keys) => {
            for (key, value) in keys {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => {
                        let path = reference.split('#').next().unwrap_or_default();
                        // Anything with a scheme is a name; it is never fetched.
                        if !path.is_empty() && !path.contains(':') && !path.starts_with('/') {
                            into.push(path.to_owned());
                        }
                    }
                    ("const" | "enum" | "default" | "examples", _) => {}
                    _ => collect_files(value, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_files(item, into)),
        _ => {}
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
    pub(crate) file: Arc<SchemaFile>,
    /// A URI fragment: `#`, then perhaps a JSON Pointer.
    fragment: String,
    /// What the fragment was made of.
    pub(crate) pointer: String,
    compiled: OnceLock<Result<Validator<Data>, SchemaError>>,
}

impl JsonSchema {
    /// Points to a place in a file.
    pub(crate) fn at(file: Arc<SchemaFile>, pointer: &str) -> Result<Self, SchemaError> {
        let fragment = reasons::fragment("#", pointer);
        let base = jsonschema::uri::from_str(&uri(&file.name)).ok();
        let found = base.is_some_and(|base| file.registry.resolver(base).lookup(&fragment).is_ok());
        if !found {
            let problem = format!("there is no `{fragment}`");
            return Err(SchemaError::Reference {
                file: file.name.clone(),
                problem,
            });
        }
        Ok(Self {
            file,
            fragment,
            pointer: pointer.to_owned(),
            compiled: OnceLock::new(),
        })
    }

    /// Parses a schema that stands alone, as a registry is sent one.
    ///
    /// # Errors
    /// The schema cannot be used.
    pub fn parse(name: &str, text: &str) -> Result<Self, SchemaError> {
        let nothing = |path: &str| Err(format!("there is no schema file `{path}`"));
        let file = SchemaFile::parse(name, text, &mut Sources::new(&nothing))?;
        Self::at(Arc::new(file), "")
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
            let reference = format!("{}{}", uri(&self.file.name), self.fragment);
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
