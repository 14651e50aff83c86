//! Contracts held against what is in force in a running gateway: the files go there, and what they mean
//! to its readers and its events comes back as the same changes that files make.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_contract::diff::Change;
use tidegate_contract::load;

use crate::cli::block_on;
use crate::cli::client::Server;
use crate::cli::failure::{Exit, Failure};

/// The gateway gives a sample 25 s, and its reading of the files some more.
const SAMPLE_WITHIN: Duration = Duration::from_secs(60);
/// It gives a full check 10 min.
const FULL_WITHIN: Duration = Duration::from_secs(11 * 60);

/// What was found.
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    /// How many events of each contract were looked at, if any could be.
    pub(super) events: Option<Vec<Value>>,
}

impl Found {
    /// What files alone say.
    pub(super) fn of_files(changes: Vec<Change>) -> Self {
        Self {
            changes,
            events: None,
        }
    }
}

/// A gateway, and how many of its events to look at.
pub(super) struct Running<'a> {
    pub(super) url: &'a str,
    pub(super) full: bool,
    pub(super) sample: Option<u64>,
}

/// Says whether a reference is the address of a gateway.
pub(super) fn is_address(reference: &str) -> bool {
    reference.starts_with("http://") || reference.starts_with("https://")
}

impl Running<'_> {
    /// Asks the gateway what the contracts of a folder would mean there.
    ///
    /// # Errors
    /// `Found` if the contracts do not go with those in force; `Failed` if it cannot be asked.
    pub(super) fn check(&self, folder: &Path) -> Result<Found, Failure> {
        let (_, texts) = load::texts(folder).map_err(|found| {
            let found = found.iter().cloned().collect();
            Failure::of_findings(Exit::Found, found)
        })?;
        let file = |(path, text): (&String, &String)| json!({ "path": path, "text": text });
        let files = texts.files.iter().map(|(path, text)| file((path, text)));
        let mut body = json!({
            "files": files.collect::<Vec<_>>(),
            "schemas": texts.schemas.iter().map(file).collect::<Vec<_>>(),
            "full": self.full,
        });
        if let Some(sample) = self.sample {
            body["sample"] = json!(sample);
        }
        let within = match self.full {
            true => FULL_WITHIN,
            false => SAMPLE_WITHIN,
        };
        let client = Server::at(self.url).client()?;
        let asked = block_on(client.post_within("/v1/contracts/check", &body, within));
        let answer = asked.map_err(|mut failure| {
            // As with any other state that contracts are held against and that cannot be had.
            if failure.exit == Exit::Unreachable {
                failure.exit = Exit::Failed;
            }
            failure
        })?;
        let changes = answer["changes"].as_array().into_iter().flatten();
        let changes: Option<Vec<Change>> = changes.map(|it| change(it, folder)).collect();
        let odd = || {
            let message = format!("`{}` answered in a form that is not known here", self.url);
            Failure::new(Exit::Failed, message).with_hint("is it of another version?")
        };
        Ok(Found {
            changes: changes.ok_or_else(odd)?,
            events: Some(answer["events"].as_array().ok_or_else(odd)?.clone()),
        })
    }
}

/// Reads a change; files that were sent are named as they are here.
fn change(value: &Value, folder: &Path) -> Option<Change> {
    let mut change = Change::of_json(value)?;
    if value["in_force"] != true {
        let path = folder.join(&change.finding.file);
        change.finding.file = path.to_string_lossy().into_owned();
    }
    Some(change)
}

/// Says how many events were looked at.
pub(super) fn told(events: &[Value]) -> Vec<String> {
    let line = |it: &Value| {
        let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
        let (looked, of) = (&it["looked_at"], &it["of"]);
        let mut line = format!(
            "looked at {looked} of {of} events of `{}` in `{}`",
            text("contract"),
            text("topic")
        );
        if let Some(stopped) = it["stopped_by"].as_str() {
            line.push_str(match stopped {
                "sample" => "; `--full` looks at all",
                "time" => "; then the time was over",
                _ => "; then the budget of bytes was used up",
            });
        }
        if it["broken_already"].as_u64().is_some_and(|count| count > 0) {
            let count = &it["broken_already"];
            line.push_str(&format!("; {count} break the contract in force too"));
        }
        line
    };
    let lines: Vec<String> = events.iter().map(line).collect();
    match lines.is_empty() {
        true => Vec::new(),
        false => vec![lines.join("\n")],
    }
}
