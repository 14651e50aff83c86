//! The schema registry through its door: status, code and body of every route, the records it
//! leaves, and what another start makes of them.

mod avro_java;
mod contexts;
mod deletes;
mod doors;
mod faults;
mod ids;
mod records;
mod references;
mod settings;
mod traps;
mod verdicts;
mod versions;

use serde_json::{Value, json};

use crate::harness::{Answer, Running};

pub(crate) const V1: &str = "application/vnd.schemaregistry.v1+json";
/// A record with one field, as clients send it.
pub(crate) const USER: &str =
    r#"{"type": "record", "name": "User", "fields": [{"name": "id", "type": "long"}]}"#;
/// The same as it is stored.
pub(crate) const USER_STORED: &str =
    r#"{"type":"record","name":"User","fields":[{"name":"id","type":"long"}]}"#;
/// Readers of it read what was written under the one above.
pub(crate) const USER_2: &str = r#"{"type":"record","name":"User","fields":[{"name":"id","type":"long"},{"name":"name","type":"string","default":""}]}"#;
/// They do not.
pub(crate) const USER_BROKEN: &str = r#"{"type":"record","name":"User","fields":[{"name":"id","type":"long"},{"name":"name","type":"string"}]}"#;

impl Running {
    /// Asks the registry; a body of `null` is none.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let url = format!("http://{}{path}", self.registry);
        let mut request = self.client.request(method.parse().unwrap(), url);
        if body != Value::Null {
            request = request.header("content-type", V1).body(body.to_string());
        }
        let answer = Answer::of(request.send().await.unwrap()).await;
        if answer.status != 204 {
            assert_eq!(answer.header("content-type"), V1, "{path}: {}", answer.text);
        }
        answer
    }

    pub(crate) async fn register(&self, subject: &str, schema: &str) -> Answer {
        let path = format!("/subjects/{subject}/versions");
        self.ask("POST", &path, json!({"schema": schema})).await
    }

    /// Registers what is accepted, and returns its id.
    pub(crate) async fn id(&self, subject: &str, schema: &str) -> i64 {
        let answer = self.register(subject, schema).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json["id"].as_i64().unwrap()
    }

    /// Asks and compares the whole answer.
    pub(crate) async fn expect(&self, method: &str, path: &str, body: Value, expected: Value) {
        let answer = self.ask(method, path, body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        assert_eq!(answer.json, expected, "{method} {path}");
    }

    /// Asks and compares status, code and the beginning of the message.
    pub(crate) async fn fail(&self, method: &str, path: &str, body: Value, code: u64, text: &str) {
        let answer = self.ask(method, path, body).await;
        answer.error(code, text);
    }

    /// Does what `GET` answers at all addresses that a registry has, for comparisons.
    pub(crate) async fn all_answers(&self) -> Vec<(String, String)> {
        let mut paths: Vec<String> = [
            "/subjects?deleted=true",
            "/schemas?deleted=true",
            "/contexts",
            "/config",
            "/mode",
        ]
        .map(str::to_owned)
        .to_vec();
        let subjects = self.ask("GET", &paths[0], Value::Null).await;
        for subject in subjects.json.as_array().unwrap() {
            let subject = subject.as_str().unwrap();
            for path in ["config", "mode"] {
                paths.push(format!("/{path}/{subject}?defaultToGlobal=true"));
            }
            paths.push(format!(
                "/subjects/{subject}/versions?deletedAsNegative=true&deleted=true"
            ));
        }
        for id in 1..6 {
            for tail in ["", "/subjects?deleted=true", "/versions?deleted=true"] {
                paths.push(format!("/schemas/ids/{id}{tail}"));
            }
        }
        let mut answers = Vec::new();
        for path in paths {
            let answer = self.ask("GET", &path, Value::Null).await;
            answers.push((path, answer.text));
        }
        answers
    }
}

impl Answer {
    /// Checks that it is an error of this code; the first three digits are the status.
    pub(crate) fn error(&self, code: u64, message: &str) -> &Self {
        let status = if code < 1000 { code } else { code / 100 };
        assert_eq!(u64::from(self.status), status, "{}", self.text);
        assert_eq!(self.json["error_code"], code, "{}", self.text);
        let told = self.json["message"].as_str().unwrap();
        assert!(told.starts_with(message), "{told}\n{message}");
        let members: Vec<_> = self.json.as_object().unwrap().keys().collect();
        assert_eq!(members, ["error_code", "message"]);
        self
    }
}
