//! `contract readers`: who reads what. Files say who and which fields; a running gateway says also how
//! far each reader is.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use tidegate_contract::Reader;

use super::read;
use crate::cli::block_on;
use crate::cli::client::{Client, Server, segment};
use crate::cli::failure::Failure;
use crate::ui::{Answer, Column, Ui, column, wide};

/// List who reads what.
#[derive(Args, Debug)]
pub(crate) struct Readers {
    /// The folder of contracts.
    #[arg(
        value_name = "DIR",
        default_value = "contracts",
        conflicts_with = "from"
    )]
    folder: PathBuf,
    /// Ask the running gateway at this address, which also says how far each reader is.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The readers of this contract only.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
}

const FILES: &[Column] = &[
    column("reader", "/name"),
    column("contract", "/contract"),
    column("accepts", "/accepts"),
    column("fields", "/fields"),
    column("priority", "/priority"),
    column("owner", "/owner"),
    column("group", "/group"),
    wide("via", "/via"),
    wide("requires", "/requires"),
    wide("canary", "/canary"),
    wide("file", "/file"),
];

const RUNNING: &[Column] = &[
    column("reader", "/name"),
    column("contract", "/contract"),
    column("accepts", "/accepts"),
    column("fields", "/fields"),
    column("priority", "/priority"),
    column("owner", "/owner"),
    column("group", "/group"),
    column("known", "/group_exists"),
    column("lag_records", "/lag_records"),
    column("lag_ms", "/lag_ms"),
    wide("committed", "/committed"),
    wide("version", "/version"),
    wide("topic", "/topic"),
    wide("via", "/via"),
    wide("canary", "/canary"),
];

impl Readers {
    /// Reads or asks, and prints.
    ///
    /// # Errors
    /// `Found` if contracts cannot be used; the gateway's.
    pub(super) fn run(self, ui: &Ui) -> Result<(), Failure> {
        let (readers, columns) = match &self.from {
            Some(url) => {
                let client = Server::at(url).client()?;
                let of = self.contract.as_deref();
                (block_on(all(&client, of))?, RUNNING)
            }
            None => {
                let contracts = read(&self.folder)?;
                let of = |reader: &&std::sync::Arc<Reader>| {
                    let wanted = self.contract.as_ref();
                    wanted.is_none_or(|contract| reader.contract == *contract)
                };
                let readers = contracts.readers().filter(of);
                (readers.map(|reader| listed(reader)).collect(), FILES)
            }
        };
        let readers: Vec<Value> = readers.into_iter().map(with_fields).collect();
        let readers = json!({ "readers": readers });
        ui.print(&Answer::list(readers, "readers", columns))
    }
}

/// Reads all pages.
async fn all(client: &Client, contract: Option<&str>) -> Result<Vec<Value>, Failure> {
    let of = contract.map_or_else(String::new, |name| format!("&contract={}", segment(name)));
    let mut readers = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/readers?cursor={}{of}", segment(&cursor));
        let mut page = client.get(&path).await?;
        if let Value::Array(found) = page["readers"].take() {
            readers.extend(found);
        }
        match page["next"].as_str() {
            Some(next) if next > cursor.as_str() => cursor = next.to_owned(),
            _ => return Ok(readers),
        }
    }
}

fn listed(reader: &Reader) -> Value {
    let reads = reader.reads.iter().map(ToString::to_string);
    let requires = reader.requires.iter().map(|rule| rule.name.as_str());
    json!({
        "name": reader.name,
        "owner": reader.owner,
        "domain": reader.domain,
        "contract": reader.contract,
        "accepts": reader.accepts.to_string(),
        "group": reader.via.group(),
        "via": reader.via.as_str(),
        "priority": reader.priority.as_str(),
        "reads": reads.collect::<Vec<_>>(),
        "requires": requires.collect::<Vec<_>>(),
        "canary": reader.canary,
        "file": reader.file(),
    })
}

/// Adds the fields as people read them.
fn with_fields(mut reader: Value) -> Value {
    let names = reader["reads"].as_array().into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    reader["fields"] = match names.is_empty() {
        true => json!("any"),
        false => json!(names.join(" ")),
    };
    reader
}
