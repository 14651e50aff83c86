//! Open Data Contract Standard 3.1: a document a contract, a topic as its one schema object. Fields go
//! out as far as the standard has types for them (no map, no union, no enum); the contract and its
//! schema files themselves stand in custom properties, so that nothing is lost on the way back.

mod export;
mod import;
mod strangers;

pub(super) use self::export::export;
pub(super) use self::import::import;

/// The custom properties that hold the contract itself.
const CONTRACT: &str = "tidegateContract";
const SCHEMAS: &str = "tidegateSchemas";

/// Schema files are kept as they are: nobody but us reads them there.
fn home(name: &str) -> String {
    format!("/{name}")
}
