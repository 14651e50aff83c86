//! The forms of answers: members, their order and what is left out are Confluent's (registry 8).

use axum::body::Body;
use axum::http::Response;
use axum::response::IntoResponse;
use serde::Serialize;

use super::entity::{Metadata, Reference, RuleSet};
use super::error::Error;
use super::register::Registered;
use super::table::Stored;

/// A version of a subject.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i32>,
    pub(crate) guid: String,
    pub(crate) schema_type: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) references: &'a [Reference],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule_set: Option<&'a RuleSet>,
    pub(crate) schema: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deleted: Option<bool>,
}

impl<'a> SchemaView<'a> {
    pub(crate) fn of(stored: &'a Stored) -> Self {
        let value = &stored.value;
        Self {
            subject: Some(&value.subject),
            version: Some(value.version),
            id: Some(value.id),
            guid: stored.guid.to_string(),
            schema_type: &value.schema_type,
            references: &value.references,
            metadata: value.metadata.as_ref(),
            rule_set: value.rule_set.as_ref(),
            schema: &value.schema,
            ts: Some(stored.timestamp_ms),
            deleted: Some(value.deleted),
        }
    }

    /// As a lookup answers: what was sent, completed.
    pub(crate) fn of_lookup(found: &'a Registered) -> Self {
        let value = &found.value;
        Self {
            subject: Some(&value.subject),
            version: Some(value.version),
            id: Some(value.id),
            guid: found.guid.to_string(),
            schema_type: &value.schema_type,
            references: &value.references,
            metadata: value.metadata.as_ref(),
            rule_set: value.rule_set.as_ref(),
            schema: &value.schema,
            ts: None,
            deleted: None,
        }
    }
}

/// A registration: the id comes first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RegisteredView<'a> {
    id: i32,
    version: i32,
    guid: String,
    schema_type: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    references: &'a [Reference],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set: Option<&'a RuleSet>,
    pub(crate) schema: &'a str,
}

impl<'a> RegisteredView<'a> {
    pub(crate) fn of(registered: &'a Registered) -> Self {
        let value = &registered.value;
        Self {
            id: value.id,
            version: value.version,
            guid: registered.guid.to_string(),
            schema_type: &value.schema_type,
            references: &value.references,
            metadata: value.metadata.as_ref(),
            rule_set: value.rule_set.as_ref(),
            schema: &value.schema,
        }
    }
}

/// A schema by its id: the same without the id, the text before what is said about it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaStringView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<i32>,
    guid: String,
    schema_type: &'a str,
    pub(crate) schema: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) references: &'a [Reference],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set: Option<&'a RuleSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_id: Option<i32>,
    ts: i64,
    deleted: bool,
}

impl<'a> SchemaStringView<'a> {
    pub(crate) fn of(stored: &'a Stored) -> Self {
        let value = &stored.value;
        Self {
            subject: None,
            version: None,
            guid: stored.guid.to_string(),
            schema_type: &value.schema_type,
            schema: &value.schema,
            references: &value.references,
            metadata: value.metadata.as_ref(),
            rule_set: value.rule_set.as_ref(),
            max_id: None,
            ts: stored.timestamp_ms,
            deleted: value.deleted,
        }
    }
}

/// An answer, or why there is none.
pub(crate) type Answer = Result<Json, Error>;

/// A body of JSON, written.
pub(crate) struct Json(Vec<u8>);

impl Json {
    /// Writes a value.
    ///
    /// # Errors
    /// It cannot be written, which is a fault of the program.
    pub(crate) fn of<T: Serialize + ?Sized>(value: &T) -> Answer {
        serde_json::to_vec(value).map(Self).map_err(|error| {
            tracing::error!(error = %error, "an answer could not be written");
            Error::internal()
        })
    }

    /// Answers with a text as it is.
    pub(crate) fn raw(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl IntoResponse for Json {
    fn into_response(self) -> Response<Body> {
        self.0.into_response()
    }
}
