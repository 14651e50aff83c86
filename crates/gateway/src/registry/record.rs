//! The records of `_schemas`, in Confluent's own format, so that Confluent's registry or Karapace
//! can take the topic over, and the other way round. **Stable**: members and their order are those
//! that Confluent's registry 8 writes; a test compares bytes.
//!
//! Keys and values are JSON. A null value takes the key's meaning back.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_event_log::Record;

use super::entity::{Metadata, Reference, RuleSet};

/// What a record is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    Schema { subject: String, version: i32 },
    Config { subject: Option<String> },
    Mode { subject: Option<String> },
    DeleteSubject { subject: String },
    ClearSubject { subject: Option<String> },
    Context { tenant: String, context: String },
    Noop,
}

/// The one tenant there is.
pub(crate) const TENANT: &str = "default";

#[derive(Deserialize, Serialize)]
struct KeyForm {
    keytype: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    #[serde(default)]
    magic: i32,
}

impl Key {
    fn form(&self) -> KeyForm {
        let mut form = KeyForm {
            keytype: String::new(),
            tenant: None,
            context: None,
            subject: None,
            version: None,
            magic: 0,
        };
        let keytype = match self {
            Self::Schema { subject, version } => {
                form.subject = Some(subject.clone());
                form.version = Some(*version);
                form.magic = 1;
                "SCHEMA"
            }
            Self::Config { subject } => {
                form.subject.clone_from(subject);
                "CONFIG"
            }
            Self::Mode { subject } => {
                form.subject.clone_from(subject);
                "MODE"
            }
            Self::DeleteSubject { subject } => {
                form.subject = Some(subject.clone());
                "DELETE_SUBJECT"
            }
            Self::ClearSubject { subject } => {
                form.subject.clone_from(subject);
                "CLEAR_SUBJECT"
            }
            Self::Context { tenant, context } => {
                form.tenant = Some(tenant.clone());
                form.context = Some(context.clone());
                "CONTEXT"
            }
            Self::Noop => "NOOP",
        };
        keytype.clone_into(&mut form.keytype);
        form
    }

    /// Reads a key; `Ok(None)` for one of a kind that means nothing here.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let form: KeyForm = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let subject = |subject: Option<String>| subject.ok_or("the key has no subject");
        Ok(Some(match form.keytype.as_str() {
            "SCHEMA" => {
                if !matches!(form.magic, 0 | 1) {
                    return Err(format!("magic `{}` is not known", form.magic));
                }
                let version = form.version.filter(|version| *version > 0);
                Self::Schema {
                    subject: subject(form.subject)?,
                    version: version.ok_or("the key has no version")?,
                }
            }
            "CONFIG" => Self::Config {
                subject: form.subject,
            },
            "MODE" => Self::Mode {
                subject: form.subject,
            },
            "DELETE_SUBJECT" => Self::DeleteSubject {
                subject: subject(form.subject)?,
            },
            "CLEAR_SUBJECT" => Self::ClearSubject {
                subject: form.subject,
            },
            "CONTEXT" => Self::Context {
                tenant: form.tenant.unwrap_or_else(|| TENANT.to_owned()),
                context: form.context.ok_or("the key has no context")?,
            },
            "NOOP" => Self::Noop,
            _ => return Ok(None),
        }))
    }
}

/// A version of a subject.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaValue {
    pub(crate) subject: String,
    pub(crate) version: i32,
    pub(crate) id: i32,
    /// Base64; written where what is hashed was encrypted, which is not done here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) md5: Option<String>,
    /// Older records leave it out for Avro.
    #[serde(default = "avro")]
    pub(crate) schema_type: String,
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) references: Vec<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Metadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule_set: Option<RuleSet>,
    pub(crate) schema: String,
    #[serde(default)]
    pub(crate) deleted: bool,
}

fn avro() -> String {
    "AVRO".to_owned()
}

fn nullable<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The settings of a subject, a context or all.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ConfigValue {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(flatten)]
    pub(crate) config: super::entity::Config,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ModeValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    pub(crate) mode: super::entity::Mode,
}

#[derive(Deserialize, Serialize)]
struct DeleteSubjectValue {
    subject: String,
    version: i32,
}

#[derive(Deserialize, Serialize)]
struct ClearSubjectValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

#[derive(Serialize)]
struct ContextValue<'a> {
    tenant: &'a str,
    context: &'a str,
}

/// What a record does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Schema(SchemaValue),
    /// A version is gone for good.
    NoSchema {
        subject: String,
        version: i32,
    },
    /// `None` takes it back, as below.
    Config(Option<String>, Option<super::entity::Config>),
    Mode(Option<String>, Option<super::entity::Mode>),
    /// All versions up to this one are deleted softly.
    DeleteSubject {
        subject: String,
        version: i32,
    },
    /// What was deleted softly is forgotten.
    ClearSubject {
        subject: Option<String>,
    },
    Context {
        context: String,
        exists: bool,
    },
    Nothing,
}

impl Change {
    /// Writes it as a record.
    pub(crate) fn record(&self) -> Record {
        let (key, value) = match self {
            Self::Schema(value) => {
                let (subject, version) = (value.subject.clone(), value.version);
                (Key::Schema { subject, version }, Some(json(value)))
            }
            Self::NoSchema { subject, version } => {
                let (subject, version) = (subject.clone(), *version);
                (Key::Schema { subject, version }, None)
            }
            Self::Config(subject, config) => {
                let value = config.as_ref().map(|config| {
                    json(&ConfigValue {
                        subject: subject.clone(),
                        config: config.clone(),
                    })
                });
                let subject = subject.clone();
                (Key::Config { subject }, value)
            }
            Self::Mode(subject, mode) => {
                let subject = subject.clone();
                let value = mode.map(|mode| {
                    json(&ModeValue {
                        subject: subject.clone(),
                        mode,
                    })
                });
                (Key::Mode { subject }, value)
            }
            Self::DeleteSubject { subject, version } => {
                let value = DeleteSubjectValue {
                    subject: subject.clone(),
                    version: *version,
                };
                let subject = subject.clone();
                (Key::DeleteSubject { subject }, Some(json(&value)))
            }
            Self::ClearSubject { subject } => {
                let value = ClearSubjectValue {
                    subject: subject.clone(),
                };
                let subject = subject.clone();
                (Key::ClearSubject { subject }, Some(json(&value)))
            }
            Self::Context { context, exists } => {
                let tenant = TENANT;
                let value = exists.then(|| json(&ContextValue { tenant, context }));
                let (tenant, context) = (tenant.to_owned(), context.clone());
                (Key::Context { tenant, context }, value)
            }
            Self::Nothing => (Key::Noop, None),
        };
        Record {
            key: Some(json(&key.form())),
            value,
            headers: Vec::new(),
        }
    }

    /// Reads a record, whoever wrote it.
    ///
    /// # Errors
    /// It is not in the format. The message repeats no schema.
    pub(crate) fn parse(record: &Record) -> Result<Self, String> {
        let Some(key) = &record.key else {
            return Err("the record has no key".to_owned());
        };
        let Some(key) = Key::parse(key)? else {
            return Ok(Self::Nothing);
        };
        let value = record.value.as_deref();
        Ok(match (key, value) {
            (Key::Schema { .. }, Some(value)) => Self::Schema(read(value)?),
            (Key::Schema { subject, version }, None) => Self::NoSchema { subject, version },
            (Key::Config { subject }, Some(value)) => {
                Self::Config(subject, Some(read::<ConfigValue>(value)?.config))
            }
            (Key::Config { subject }, None) => Self::Config(subject, None),
            (Key::Mode { subject }, Some(value)) => {
                Self::Mode(subject, Some(read::<ModeValue>(value)?.mode))
            }
            (Key::Mode { subject }, None) => Self::Mode(subject, None),
            (Key::DeleteSubject { .. }, Some(value)) => {
                let DeleteSubjectValue { subject, version } = read(value)?;
                Self::DeleteSubject { subject, version }
            }
            (Key::ClearSubject { .. }, Some(value)) => {
                let ClearSubjectValue { subject } = read(value)?;
                Self::ClearSubject { subject }
            }
            (Key::Context { context, .. }, value) => Self::Context {
                context,
                exists: value.is_some(),
            },
            (Key::DeleteSubject { .. } | Key::ClearSubject { .. } | Key::Noop, _) => Self::Nothing,
        })
    }
}

fn json<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value)
        .expect("texts, numbers and maps of texts become JSON")
        .into()
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, String> {
    // The message of the parser names a place and a member, no content.
    serde_json::from_slice(value).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("the value does not have the form of its key (line {line}, column {column})")
    })
}
