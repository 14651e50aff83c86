//! AsyncAPI 3.1: one document a contract, as its producer, and one a reader, since the specification
//! wants an application's own document and not the other side's turned around. Kafka's binding is
//! 0.5.0. What it has no word for is kept in `x-contract` and `x-consumer`.

mod export;
mod import;
mod strangers;

pub(super) use self::export::export;
pub(super) use self::import::import;

/// Where the value of a schema file stands in a document.
fn home(name: &str) -> String {
    format!("/components/schemas/{name}/schema")
}
