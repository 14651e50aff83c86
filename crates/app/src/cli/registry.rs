//! Asks a schema registry through its REST API: tidegate's own door or another that speaks Confluent's.
//! What it refuses is told with what to do; its error codes are Confluent's.

use clap::Args;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, Server};
use super::failure::{Exit, Failure};
use crate::ui::printable;

/// Which registry is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct RegistryAddress {
    /// The schema registry's address.
    #[arg(
        long = "registry",
        value_name = "URL",
        env = "TIDEGATE_REGISTRY",
        default_value = "http://127.0.0.1:8081"
    )]
    url: String,
}

/// A connection to a registry.
pub(crate) struct Registry(Client);

impl RegistryAddress {
    /// Makes a client for it.
    ///
    /// # Errors
    /// The address is none.
    pub(crate) fn client(&self) -> Result<Registry, Failure> {
        let client = Server::at(&self.url).client()?;
        Ok(Registry(client.named_with("--registry")))
    }
}

impl Registry {
    /// Asks for what stands at a path, sends to it, or takes it away.
    ///
    /// # Errors
    /// `NotFound`, `Credentials`, `Refused`, `Unreachable`, `Failed`.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let (status, answer) = self.0.send_json(method, path, body).await?;
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            Some(error) if error["error_code"].is_u64() => Err(refused(status, &error)),
            _ => {
                let message = format!(
                    "`{}` answered {status}, but not as a schema registry does",
                    self.0.address()
                );
                let hint =
                    "is it a registry that listens there? `--registry` names another address";
                Err(Failure::new(Exit::Failed, message).with_hint(hint))
            }
        }
    }

    /// Asks for what stands at a path.
    ///
    /// # Errors
    /// Those of [`Registry::ask`].
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    /// Lists versions of the subjects whose names begin like this, all or the newest of each.
    ///
    /// # Errors
    /// Those of [`Registry::ask`].
    pub(crate) async fn versions(
        &self,
        prefix: &str,
        latest_only: bool,
    ) -> Result<Vec<Value>, Failure> {
        const PAGE: usize = 1_000;
        let prefix = super::client::query(prefix);
        let mut all: Vec<Value> = Vec::new();
        loop {
            let path = format!(
                "/schemas?subjectPrefix={prefix}&latestOnly={latest_only}&offset={}&limit={PAGE}",
                all.len()
            );
            let Value::Array(page) = self.get(&path).await? else {
                let message = "the registry's list of schemas is none".to_owned();
                return Err(Failure::new(Exit::Failed, message));
            };
            let count = page.len();
            all.extend(page.into_iter().map(with_type));
            if count < PAGE {
                return Ok(all);
            }
        }
    }
}

/// Names the language where the registry leaves it out, which means Avro.
pub(crate) fn with_type(mut schema: Value) -> Value {
    if schema.is_object() && !schema["schemaType"].is_string() {
        schema["schemaType"] = json!("AVRO");
    }
    schema
}

fn refused(status: StatusCode, error: &Value) -> Failure {
    let code = error["error_code"].as_u64().unwrap_or_default();
    let exit = match status.as_u16() {
        401 | 403 => Exit::Credentials,
        404 => Exit::NotFound,
        400..=499 => Exit::Refused,
        503 | 504 => Exit::Unreachable,
        _ => Exit::Failed,
    };
    let said = printable(error["message"].as_str().unwrap_or_default());
    let message = format!("the registry answered {code}: {said}");
    let failure = Failure::new(exit, message).with_problem(error.clone());
    match hint(code) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// Says what to do about an error of Confluent's.
fn hint(code: u64) -> Option<&'static str> {
    Some(match code {
        409 | 40901 => {
            "`tidegate schema check` lists the reasons; `tidegate schema config SUBJECT --level LEVEL` asks for another compatibility"
        }
        40401 | 40403 => "`tidegate schema list` has the subjects",
        40402 | 42202 => "`tidegate schema list --subject SUBJECT` has the versions",
        40404 | 40406 => "it was deleted before; `--permanent` takes away what is left of it",
        40405 | 40407 => "delete it without `--permanent` first",
        42201 => "mend the schema; `--type` says its language, `--reference` what it refers to",
        42203 => {
            "levels are NONE, BACKWARD, FORWARD and FULL, the last three also with `_TRANSITIVE`"
        }
        42205 => "the subject's mode does not allow it; `/mode` of the registry changes that",
        42206 => "delete first what refers to it",
        _ => return None,
    })
}
