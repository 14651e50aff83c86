//! Errors as Confluent's registry tells them: a status, a code, a sentence. Clients decide by the
//! code, and some by the sentence, so both are Confluent's to the letter where it has one.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;

use crate::problem::Problem;

/// Travels with an answer that is an error, for the metrics.
#[derive(Clone, Copy)]
pub(crate) struct Code(pub(crate) u32);

/// A refusal or a failure.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message} (error code {code})")]
pub(crate) struct Error {
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Error {
    fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// An error of HTTP itself, whose code is the status.
    pub(crate) fn http(status: StatusCode, message: impl Into<String>) -> Self {
        let status = status.as_u16();
        Self::new(status, u32::from(status), message)
    }

    /// A refusal at the door, worded as the doors of Confluent's registry do.
    pub(crate) fn refused(problem: &Problem) -> Self {
        Self::new(
            problem.kind().status(),
            u32::from(problem.kind().status()),
            problem.detail(),
        )
    }

    pub(crate) fn subject_not_found(subject: &str) -> Self {
        Self::new(404, 40401, format!("Subject '{subject}' not found."))
    }

    pub(crate) fn version_not_found(version: i32) -> Self {
        Self::new(404, 40402, format!("Version {version} not found."))
    }

    pub(crate) fn schema_not_found() -> Self {
        Self::new(404, 40403, "Schema not found")
    }

    pub(crate) fn schema_named_not_found(id: impl std::fmt::Display) -> Self {
        Self::new(404, 40403, format!("Schema {id} not found"))
    }

    pub(crate) fn subject_soft_deleted(subject: &str) -> Self {
        let message = format!(
            "Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"
        );
        Self::new(404, 40404, message)
    }

    pub(crate) fn subject_not_soft_deleted(subject: &str) -> Self {
        let message =
            format!("Subject '{subject}' was not deleted first before being permanently deleted");
        Self::new(404, 40405, message)
    }

    pub(crate) fn version_soft_deleted(subject: &str, version: &str) -> Self {
        let message = format!(
            "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete \
             permanently"
        );
        Self::new(404, 40406, message)
    }

    pub(crate) fn version_not_soft_deleted(subject: &str, version: i32) -> Self {
        let message = format!(
            "Subject '{subject}' Version {version} was not deleted first before being permanently \
             deleted"
        );
        Self::new(404, 40407, message)
    }

    pub(crate) fn no_subject_config(subject: &str) -> Self {
        let message =
            format!("Subject '{subject}' does not have subject-level compatibility configured");
        Self::new(404, 40408, message)
    }

    pub(crate) fn no_subject_mode(subject: &str) -> Self {
        let message = format!("Subject '{subject}' does not have subject-level mode configured");
        Self::new(404, 40409, message)
    }

    pub(crate) fn incompatible(subject: &str, messages: &[String]) -> Self {
        let details = messages.join(", ");
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \
             \"{subject}\", details: [{details}]"
        );
        // Confluent's registry says 40901 since 8.2; clients know the one of before.
        Self::new(409, 409, message)
    }

    pub(crate) fn invalid_schema(message: impl Into<String>) -> Self {
        Self::new(422, 42201, message)
    }

    pub(crate) fn invalid_version(version: &str) -> Self {
        let message = format!(
            "The specified version '{version}' is not a valid version id. Allowed values are \
             between [1, 2^31-1] and the string \"latest\""
        );
        Self::new(422, 42202, message)
    }

    pub(crate) fn invalid_compatibility() -> Self {
        let message = "Invalid compatibility level. Valid values are none, backward, forward, \
                       full, backward_transitive, forward_transitive, and full_transitive";
        Self::new(422, 42203, message)
    }

    pub(crate) fn invalid_mode() -> Self {
        let message = "Invalid mode. Valid values are READWRITE, READONLY, IMPORT and FORWARD.";
        Self::new(422, 42204, message)
    }

    pub(crate) fn not_permitted(message: impl Into<String>) -> Self {
        Self::new(422, 42205, message)
    }

    pub(crate) fn reference_exists(subject: &str, version: i32) -> Self {
        let key = format!("{{magic=1,keytype=SCHEMA,subject={subject},version={version}}}");
        let message = format!("One or more references exist to the schema {key}.");
        Self::new(422, 42206, message)
    }

    pub(crate) fn invalid_subject(subject: &str) -> Self {
        let message = format!("The specified subject '{subject}' is not a valid.");
        Self::new(422, 42208, message)
    }

    pub(crate) fn schema_too_large() -> Self {
        let message = "Register operation failed because schema is too large";
        Self::new(422, 42209, message)
    }

    pub(crate) fn invalid_rule_set(message: impl Into<String>) -> Self {
        Self::new(422, 42210, message)
    }

    pub(crate) fn context_not_empty(context: &str) -> Self {
        let message = format!("The specified context '{context}' is not empty.");
        Self::new(422, 42211, message)
    }

    /// The log failed; nothing of it is shown.
    pub(crate) fn store(message: impl Into<String>) -> Self {
        Self::new(500, 50001, message)
    }

    /// Whether it was written is not known; asking again is safe.
    pub(crate) fn timeout(operation: &str) -> Self {
        Self::new(500, 50002, format!("{operation} operation timed out"))
    }

    pub(crate) fn internal() -> Self {
        Self::new(500, 500, "Internal Server Error")
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::json!({ "error_code": self.code, "message": self.message });
        let code = axum::Extension(Code(self.code));
        (status, code, body.to_string()).into_response()
    }
}
