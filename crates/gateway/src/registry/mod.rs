//! The schema registry, as clients of Confluent's know it, on a door of its own. Its state is the
//! topic `_schemas` and nothing else, in Confluent's record format: `record.rs` reads and writes it,
//! `table.rs` is what it means, `store.rs` keeps the two together. What may be written is decided in
//! `register.rs` and `delete.rs`; what a schema is and which may follow which is `contract`'s.
//!
//! This door answers errors in the registry's own form, `{"error_code": …, "message": …}`.

mod answer;
mod audited;
mod canonical;
mod delete;
mod door;
mod entity;
pub(crate) mod error;
mod guid;
mod jackson;
mod name;
mod record;
mod register;
pub(crate) mod routes;
mod schema;
mod schemas;
mod settings;
pub(crate) mod store;
pub(crate) mod subject;
mod table;

pub(crate) use error::Error;
pub(crate) use register::Registered;
pub(crate) use table::Table;
use tidegate_contract::schema::Schema;
use tidegate_contract::schema_id::SchemaId;

use self::guid::Guid;
use self::table::Filter;

/// Returns the schema of an id, if one that can be used has it: the one that a record names. A version
/// of the subject is preferred; without one any schema with the id counts.
pub(crate) fn schema_of_id(table: &Table, id: SchemaId, subject: Option<&str>) -> Option<Schema> {
    let subject = subject.map(|subject| table.resolve_alias(subject.to_owned()));
    let stored = match id {
        SchemaId::Number(number) => table.find_id(number, subject.as_deref())?,
        SchemaId::Guid(bytes) => {
            let guid = Guid::of_bytes(bytes);
            let of_subject = subject.and_then(|subject| table.same(&subject, guid, Filter::All));
            let anywhere = || {
                let ids = table.find_guid(guid).into_iter();
                ids.flat_map(|(context, id)| table.of_id(context, id))
                    .next()
            };
            of_subject.or_else(anywhere)?
        }
    };
    let parsed = register::parse_stored(table, stored).ok()?;
    Some(parsed.into_schema())
}

/// The media type of all that the door says, unless the caller asks for another.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
