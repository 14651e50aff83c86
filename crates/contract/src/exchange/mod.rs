//! Contracts out to other formats and in again: AsyncAPI 3.1, ODCS 3.1, JSON Schema, pages for people;
//! in also from the topics of a cluster.
//! Pure: documents and schema files in, texts out; who reads and writes them is the caller's.
//!
//! What a foreign format has no word for stands beside its own words, in `x-contract` or a custom
//! property, as the contract itself. Coming back, the foreign words win where somebody changed them,
//! and whatever was not taken is told. `docs/guides/exchange-contracts.md` has the table.

mod asyncapi;
pub mod cluster;
mod foreign;
mod homecoming;
mod json_schema;
mod odcs;
pub mod pact;
mod pages;
mod schemas;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::load::{Piece, Texts};
use crate::model::{Contracts, EventContract};
use crate::reader::Reader;

pub use self::yaml::write as write_yaml;

/// The file beside contracts that editors complete from; the modeline names it.
pub const SCHEMA_FILE: &str = "contract.v1.schema.json";

/// Foreign documents are no larger.
const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// What contracts can be written as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExportForm {
    /// AsyncAPI 3.1: a document a contract and one a reader.
    Asyncapi,
    /// Open Data Contract Standard 3.1: a document a contract.
    Odcs,
    /// JSON Schema of the data: a file a contract.
    JsonSchema,
    /// A folder of pages for browsers.
    Html,
    /// A folder of pages for repositories.
    Markdown,
}

/// What contracts can be read from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ImportForm {
    /// AsyncAPI 3.0 or 3.1.
    Asyncapi,
    /// Open Data Contract Standard 3.
    Odcs,
}

/// Where the events are, for formats that name servers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Servers {
    /// The Kafka port, `broker.example.com:9092`.
    pub kafka: Option<String>,
    /// The HTTP door, `https://events.example.com`.
    pub http: Option<String>,
    /// The schema registry, `https://example.com/schemas`.
    pub registry: Option<String>,
}

/// What is exported, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this contract, and its readers.
    pub contract: Option<String>,
    /// Where the events are.
    pub servers: Servers,
}

/// Files by their path, and what could not be said in them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Exported {
    /// The files.
    pub files: BTreeMap<String, String>,
    /// A sentence each.
    pub told: Vec<String>,
}

/// Contracts that were read from a foreign document.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Imported {
    /// Files of contracts and of schemas.
    pub texts: Texts,
    /// A sentence each on what was not taken, or was guessed.
    pub told: Vec<String>,
}

/// Why nothing could be written or read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ExchangeError {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ExchangeError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

/// A contract with the document it was read from.
struct Told<'a> {
    contract: &'a Arc<EventContract>,
    piece: &'a Piece,
    document: Value,
    team: Option<Value>,
    readers: Vec<&'a Arc<Reader>>,
}

/// A reader with its document.
struct ToldReader<'a> {
    reader: &'a Arc<Reader>,
    piece: &'a Piece,
    document: Value,
    contract: Option<&'a Arc<EventContract>>,
}

/// Writes contracts in another form. `pieces` are the documents that `contracts` were read from.
///
/// # Errors
/// There is no such contract, or the form cannot say anything of what was asked for.
pub fn export(
    form: ExportForm,
    contracts: &Contracts,
    pieces: &[Piece],
    options: &Options,
) -> Result<Exported, ExchangeError> {
    if let Some(name) = &options.contract
        && contracts.by_name(name).is_none()
    {
        return Err(ExchangeError::new(
            format!("there is no contract `{name}`"),
            "`tidegate contract list` names them",
        ));
    }
    let wanted = |name: &str| options.contract.as_deref().is_none_or(|only| only == name);
    let mut told = Vec::new();
    for contract in contracts.iter().filter(|c| wanted(&c.name)) {
        let (piece, document) = piece_of(pieces, "EventContract", &contract.name)?;
        let team = contract.owner.as_deref();
        let team = team.and_then(|team| piece_of(pieces, "Team", team).ok());
        told.push(Told {
            contract,
            piece,
            document,
            team: team.map(|(_, document)| document),
            readers: contracts.readers_of(&contract.name).collect(),
        });
    }
    let mut readers = Vec::new();
    for reader in contracts.readers().filter(|r| wanted(&r.contract)) {
        let (piece, document) = piece_of(pieces, "ConsumerContract", &reader.name)?;
        readers.push(ToldReader {
            reader,
            piece,
            document,
            contract: contracts.by_name(&reader.contract),
        });
    }
    let mut exported = Exported::default();
    match form {
        ExportForm::Asyncapi => asyncapi::export(&told, &readers, &options.servers, &mut exported),
        ExportForm::Odcs => odcs::export(&told, &options.servers, &mut exported),
        ExportForm::JsonSchema => json_schema::export(&told, &mut exported)?,
        ExportForm::Html => pages::export(
            contracts,
            pieces,
            &wanted,
            pages::Markup::Html,
            &mut exported,
        ),
        ExportForm::Markdown => {
            pages::export(
                contracts,
                pieces,
                &wanted,
                pages::Markup::Markdown,
                &mut exported,
            );
        }
    }
    Ok(exported)
}

/// Reads contracts from a foreign document, YAML or JSON. `name` tells people which one it is.
///
/// # Errors
/// It is no such document, or nothing of it can become a contract.
pub fn import(form: ImportForm, name: &str, text: &str) -> Result<Imported, ExchangeError> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let limit = MAX_DOCUMENT_BYTES >> 20;
        let message = format!("`{name}` is larger than {limit} MiB");
        return Err(ExchangeError::new(message, "take it apart"));
    }
    let document = yaml::read(text).map_err(|problem| {
        let message = format!("`{name}` is neither YAML nor JSON: {problem}");
        ExchangeError::new(message, "one document is read at a time")
    })?;
    match form {
        ImportForm::Asyncapi => asyncapi::import(name, &document),
        ImportForm::Odcs => odcs::import(name, &document),
    }
}

fn piece_of<'p>(
    pieces: &'p [Piece],
    kind: &str,
    name: &str,
) -> Result<(&'p Piece, Value), ExchangeError> {
    let found = pieces.iter().find(|p| p.kind == kind && p.name == name);
    let read = found.and_then(|piece| Some((piece, yaml::read(&piece.text).ok()?)));
    read.ok_or_else(|| {
        let message = format!("the document of `{name}` was not found again");
        ExchangeError::new(message, "write `kind` and `metadata.name` without anchors")
    })
}
