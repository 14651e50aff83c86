//! `schema list|get|register|check|delete|config`: the registry's REST API by hand. The registry
//! decides; here files are read and answers are told.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::segment;
use super::contract::read_document;
use super::failure::{Exit, Failure};
use super::registry::{Registry, RegistryAddress, with_type};
use crate::ui::{Answer, Column, Ui, column, wide};

/// Schemas of a registry.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// List the subjects, or the versions of one.
    List {
        /// The versions of this subject.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        #[command(flatten)]
        registry: RegistryAddress,
    },
    /// Print a schema.
    Get {
        /// The subject.
        #[arg(required_unless_present = "id", conflicts_with = "id")]
        subject: Option<String>,
        /// The version: a number, or `latest`.
        #[arg(long, value_name = "N", default_value = "latest")]
        version: String,
        /// The schema of this id.
        #[arg(long, value_name = "ID")]
        id: Option<i32>,
        #[command(flatten)]
        registry: RegistryAddress,
    },
    /// Register a schema as the next version of a subject, unless it is one.
    Register {
        #[command(flatten)]
        candidate: Candidate,
        #[command(flatten)]
        registry: RegistryAddress,
    },
    /// Ask whether a schema may be the next version; ends with 3 and the reasons if not.
    Check {
        #[command(flatten)]
        candidate: Candidate,
        #[command(flatten)]
        registry: RegistryAddress,
    },
    /// Delete a subject or one of its versions; readers find the ids until it is permanent.
    Delete {
        /// The subject.
        subject: String,
        /// Only this version.
        #[arg(long, value_name = "N")]
        version: Option<String>,
        /// Take away what was deleted, and its ids.
        #[arg(long)]
        permanent: bool,
        /// Do it.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        registry: RegistryAddress,
    },
    /// Print the compatibility that is asked for, of all subjects or of one, or set it.
    Config {
        /// The subject.
        subject: Option<String>,
        /// What is to be asked for: `NONE`, `BACKWARD`, `FORWARD`, `FULL`, or with `_TRANSITIVE`.
        #[arg(long)]
        level: Option<String>,
        #[command(flatten)]
        registry: RegistryAddress,
    },
}

/// A schema that may become a version.
#[derive(Args, Debug)]
pub(crate) struct Candidate {
    /// The subject.
    subject: String,
    /// The schema's file.
    file: PathBuf,
    /// The language; by the file's ending if it is `.avsc`, `.json` or `.proto`.
    #[arg(long = "type", value_name = "TYPE")]
    language: Option<Language>,
    /// A schema that it refers to, as the registry has it: `NAME=SUBJECT@VERSION`; may be repeated.
    #[arg(long = "reference", value_name = "REFERENCE")]
    references: Vec<String>,
}

/// A language of schemas.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Language {
    /// Apache Avro.
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol Buffers.
    Protobuf,
}

const VERSIONS: &[Column] = &[
    column("subject", "/subject"),
    column("version", "/version"),
    column("id", "/id"),
    column("type", "/schemaType"),
    wide("guid", "/guid"),
];

const CONFIG: &[Column] = &[
    column("subject", "/subject"),
    column("level", "/compatibilityLevel"),
];

impl Schema {
    /// Asks and prints.
    ///
    /// # Errors
    /// The registry's; `Usage`, and `Found` if a schema is not compatible.
    pub(crate) async fn run(self, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::List { subject, registry } => list(ui, &registry.client()?, subject).await,
            Self::Get {
                subject,
                version,
                id,
                registry,
            } => {
                let path = match (id, subject) {
                    (Some(id), _) => format!("/schemas/ids/{id}"),
                    (None, subject) => {
                        let subject = subject.unwrap_or_default();
                        version_path(&subject, &version)
                    }
                };
                let schema = with_type(registry.client()?.get(&path).await?);
                let text = schema["schema"].as_str().unwrap_or_default();
                let text = text.trim_end().to_owned();
                ui.print(&Answer::one(schema, VERSIONS).with_text(text))
            }
            Self::Register {
                candidate,
                registry,
            } => {
                let path = format!("/subjects/{}/versions", segment(&candidate.subject));
                let body = candidate.body()?;
                let registry = registry.client()?;
                let mut registered = registry.ask(Method::POST, &path, Some(&body)).await?;
                let id = registered["id"].clone();
                // Older registries answer with the id alone.
                if registered["version"].is_null() {
                    let path = format!("/subjects/{}", segment(&candidate.subject));
                    registered = registry.ask(Method::POST, &path, Some(&body)).await?;
                }
                let text = format!(
                    "schema {id} is version {} of `{}`",
                    registered["version"], candidate.subject
                );
                registered["subject"] = json!(candidate.subject);
                ui.print(&Answer::one(with_type(registered), VERSIONS).with_text(text))
            }
            Self::Check {
                candidate,
                registry,
            } => check(ui, &registry.client()?, &candidate).await,
            Self::Delete {
                subject,
                version,
                permanent,
                yes,
                registry,
            } => {
                let what = match &version {
                    Some(version) => format!("version {version} of `{subject}`"),
                    None => format!("`{subject}` with all its versions"),
                };
                if !yes {
                    let message = format!("this deletes {what}");
                    let hint = "`--yes` does it";
                    return Err(Failure::new(Exit::Usage, message).with_hint(hint));
                }
                let path = match &version {
                    Some(version) => version_path(&subject, version),
                    None => format!("/subjects/{}", segment(&subject)),
                };
                let path = format!("{path}?permanent={permanent}");
                let deleted = registry.client()?.ask(Method::DELETE, &path, None).await?;
                let deleted = json!({ "subject": subject, "deleted": deleted });
                let text = format!("deleted: {what}");
                ui.print(&Answer::one(deleted, &[]).with_text(text))
            }
            Self::Config {
                subject,
                level,
                registry,
            } => {
                let registry = registry.client()?;
                let at = subject.as_deref().map(segment);
                let path = at.map_or_else(|| "/config".to_owned(), |at| format!("/config/{at}"));
                if let Some(level) = level {
                    let body = json!({ "compatibility": level.to_ascii_uppercase() });
                    registry.ask(Method::PUT, &path, Some(&body)).await?;
                }
                let mut config = registry
                    .get(&format!("{path}?defaultToGlobal=true"))
                    .await?;
                config["subject"] = json!(subject.as_deref().unwrap_or("(all)"));
                ui.print(&Answer::one(config, CONFIG))
            }
        }
    }
}

impl Candidate {
    /// Makes the body that registers or checks it.
    fn body(&self) -> Result<Value, Failure> {
        let ending = self.file.extension().and_then(|ending| ending.to_str());
        let language = match (self.language, ending) {
            (Some(Language::Avro), _) | (None, Some("avsc")) => "AVRO",
            (Some(Language::Json), _) | (None, Some("json")) => "JSON",
            (Some(Language::Protobuf), _) | (None, Some("proto")) => "PROTOBUF",
            (None, _) => {
                let message = format!("`{}` does not tell its language", self.file.display());
                let hint = "say `--type avro`, `--type json` or `--type protobuf`";
                return Err(Failure::new(Exit::Usage, message).with_hint(hint));
            }
        };
        let references = self.references.iter().map(|text| reference(text));
        Ok(json!({
            "schema": read_document(Path::new(&self.file))?,
            "schemaType": language,
            "references": references.collect::<Result<Vec<_>, _>>()?,
        }))
    }
}

fn version_path(subject: &str, version: &str) -> String {
    format!(
        "/subjects/{}/versions/{}",
        segment(subject),
        segment(version)
    )
}

async fn list(ui: &Ui, registry: &Registry, subject: Option<String>) -> Result<(), Failure> {
    let prefix = subject.as_deref().unwrap_or_default();
    let mut schemas = registry.versions(prefix, subject.is_none()).await?;
    if let Some(subject) = &subject {
        schemas.retain(|schema| schema["subject"] == **subject);
        if schemas.is_empty() {
            let message = format!("there is no subject `{subject}`");
            let hint = "`tidegate schema list` has the subjects";
            return Err(Failure::new(Exit::NotFound, message).with_hint(hint));
        }
    }
    let schemas = json!({ "schemas": schemas });
    ui.print(&Answer::list(schemas, "schemas", VERSIONS))
}

async fn check(ui: &Ui, registry: &Registry, candidate: &Candidate) -> Result<(), Failure> {
    let subject = &candidate.subject;
    let path = format!(
        "/compatibility/subjects/{}/versions?verbose=true",
        segment(subject)
    );
    let body = candidate.body()?;
    let verdict = registry.ask(Method::POST, &path, Some(&body)).await?;
    let compatible = verdict["is_compatible"] == true;
    let mut text = match compatible {
        true => format!("compatible: it may be the next version of `{subject}`"),
        false => format!("not compatible with the versions of `{subject}`"),
    };
    for message in verdict["messages"].as_array().into_iter().flatten() {
        text.push_str("\n  ");
        text.push_str(message.as_str().unwrap_or_default());
    }
    ui.print(&Answer::one(verdict, &[]).with_text(text))?;
    if compatible {
        return Ok(());
    }
    Err(Failure::new(Exit::Found, "the schema is not compatible"))
}

/// Reads `NAME=SUBJECT@VERSION`.
fn reference(text: &str) -> Result<Value, Failure> {
    let parts = text.split_once('=').and_then(|(name, rest)| {
        let (subject, version) = rest.rsplit_once('@')?;
        Some((name, subject, version.parse::<i32>().ok()?))
    });
    match parts {
        Some((name, subject, version)) if !name.is_empty() && !subject.is_empty() => {
            Ok(json!({ "name": name, "subject": subject, "version": version }))
        }
        _ => {
            let message = format!("`{text}` is not of the form NAME=SUBJECT@VERSION");
            let hint = "`--reference shop.Line=shop.lines-value@2`";
            Err(Failure::new(Exit::Usage, message).with_hint(hint))
        }
    }
}
