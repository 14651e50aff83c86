//! Does this record of a Kafka client keep this contract? The same rules as `check.rs` has for events,
//! as far as `topic.enforce` lists them; pure, and who knows the registry resolves schema ids.
//!
//! - **schema**: the data keeps the contract's schema and its rules, those aside that only warn. With a `schema.subject` the record may carry a
//!   schema id: in the header `__value_schema_id`, else before the data, where every value of five bytes
//!   or more that begins with 0x00 has one. An id must be a version of the subject; with `schema.schemaId`
//!   there must be one, in either place. Avro and Protobuf are read by the schema of the id, since bytes
//!   of an older version are legal: they pass if the contract's schema reads all that one may say, else
//!   if their JSON form keeps the contract's schema. Without a subject nothing is taken for an id.
//!   A field that must not be there (`protect: reject`) is asked for here; whether another one was protected
//!   by its sender cannot be told.
//! - **key**: the record's key is the text at `key.from`; where the data has none, `key.onMissing` says
//!   whether that is right, and the record has no key either.
//! - **headers**: `ce_specversion`, `ce_id`, `ce_source` and `ce_type` are there, once, and the contract's;
//!   of a family any type of it will do.
//! - **size**: the data, without a schema id, has no more than `topic.maxMessage`.
//!
//! A record without a value is taken by compacted topics only. Without a `content-type` the data is in
//! the schema's own encoding. What the log's clock says (`event.time.maxSkew`, `maxAge`) and identity are
//! asked at the HTTP door only: the Kafka port answers for whole batches and knows no repeats but a
//! producer's own.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::check::{Reason, Reasons, Violation};
use crate::event::{self, is_json, timestamp_ms};
use crate::event_type;
use crate::model::{Enforce, EventContract, MissingTime, OnInvalid, SchemaFormat, SourceRule};
use crate::schema::{Data, Schema, Wanted};
use crate::schema_id::{SchemaId, VALUE_HEADER, Written};
use crate::tree::Tree;

/// Name and value of a record's header.
pub type Header<'r> = (&'r [u8], Option<&'r [u8]>);

/// A record as a client sent it.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'r> {
    /// The key.
    pub key: Option<&'r [u8]>,
    /// The value; none is a tombstone.
    pub value: Option<&'r [u8]>,
    /// The headers, in their order.
    pub headers: &'r [Header<'r>],
}

/// The schema that a schema id stands for.
#[derive(Clone, Debug)]
pub enum Writer {
    /// The contract's own.
    Contract,
    /// Another version of the subject.
    Version {
        /// The version's schema.
        schema: Arc<Schema>,
        /// Whether the contract's schema reads whatever was written under it.
        is_read: bool,
    },
}

/// The data of a record and what names its schema.
struct Framed<'r> {
    written: Option<Written>,
    data: &'r [u8],
}

impl EventContract {
    /// Checks a record as far as the contract enforces anything; `resolve` finds the schema of an id,
    /// or says why it is not one for this contract.
    ///
    /// # Errors
    /// Every rule that the record breaks. `on_invalid` is always `reject`: a batch is taken whole or
    /// not at all.
    pub fn check_record(
        &self,
        record: &Incoming<'_>,
        resolve: &dyn Fn(SchemaId) -> Result<Writer, String>,
    ) -> Result<(), Violation> {
        if self.topic.enforce.is_empty() {
            return Ok(());
        }
        let mut reasons = Reasons::default();
        if self.lifecycle.accepts_events() {
            self.check_parts(record, resolve, &mut reasons);
        } else {
            let detail = format!("the contract is `{}` and takes no events", self.lifecycle);
            reasons.push(Reason::new("#", detail, "lifecycle"));
        }
        match reasons.is_empty() {
            true => Ok(()),
            false => Err(self.violation(reasons, None, OnInvalid::Reject)),
        }
    }

    fn enforces(&self, what: Enforce) -> bool {
        self.topic.enforce.contains(&what)
    }

    fn check_parts(
        &self,
        record: &Incoming<'_>,
        resolve: &dyn Fn(SchemaId) -> Result<Writer, String>,
        reasons: &mut Reasons,
    ) {
        let ce_id = match self.enforces(Enforce::Headers) {
            true => self.check_headers(record, reasons),
            false => None,
        };
        let Some(value) = record.value else {
            return self.check_tombstone(record, reasons);
        };
        let framed = match self.frame(record, value) {
            Ok(framed) => framed,
            Err(reason) => return reasons.push(reason),
        };
        let max = self.topic.max_message;
        if self.enforces(Enforce::Size) && framed.data.len() as u64 > max.as_bytes() {
            let detail = format!("has {} bytes; {max} are allowed", framed.data.len());
            return reasons.push(Reason::new("#/data", detail, "topic.maxMessage"));
        }
        if self.enforces(Enforce::Schema)
            && self.schema.schema_id.is_some()
            && framed.written.is_none()
        {
            let detail =
                "a schema id is demanded, in the header `__value_schema_id` or before the data";
            return reasons.push(Reason::new("#/schemaId", detail, "schema.schemaId"));
        }
        let asks_id = ce_id.is_some() && self.event.id.is_some();
        if self.enforces(Enforce::Schema) || self.enforces(Enforce::Key) || asks_id {
            self.check_data(record, &framed, ce_id, resolve, reasons);
        }
    }

    fn check_tombstone(&self, record: &Incoming<'_>, reasons: &mut Reasons) {
        let compacted = self.topic.cleanup.iter().any(|c| c.as_str() == "compact");
        if !compacted && (self.enforces(Enforce::Schema) || self.enforces(Enforce::Key)) {
            let detail = "required: the topic is not compacted, so it takes no tombstones";
            reasons.push(Reason::new("#/data", detail, "topic.cleanup"));
        } else if self.enforces(Enforce::Key) && record.key.is_none() {
            reasons.push(Reason::new("#/key", "required", "key.from"));
        }
    }

    /// Parts the data from what names its schema.
    fn frame<'r>(&self, record: &Incoming<'r>, value: &'r [u8]) -> Result<Framed<'r>, Reason> {
        let bare = Framed {
            written: None,
            data: value,
        };
        if self.schema.subject.is_none() {
            return Ok(bare);
        }
        let format = self.schema.format;
        let refuse = |problem: &str| Reason::new("#/schemaId", problem, "schema.schemaId");
        if let Some(header) = once(record, VALUE_HEADER).map_err(refuse)? {
            let written = Written::of_header(header.unwrap_or_default(), format);
            return Ok(Framed {
                written: Some(written.map_err(refuse)?),
                data: value,
            });
        }
        let prefixed = Written::of_prefix(value, format).map_err(refuse)?;
        Ok(prefixed.map_or(bare, |(written, data)| Framed {
            written: Some(written),
            data,
        }))
    }

    fn check_data(
        &self,
        record: &Incoming<'_>,
        framed: &Framed<'_>,
        ce_id: Option<&str>,
        resolve: &dyn Fn(SchemaId) -> Result<Writer, String>,
        reasons: &mut Reasons,
    ) {
        let writer = match writer_of(framed, resolve) {
            Ok(writer) => writer,
            Err(reason) => return reasons.push(reason),
        };
        let mut message = None;
        let (schema, is_read) = match self.schema_of(framed, &writer, &mut message) {
            Ok(found) => found,
            Err(reason) => return reasons.push(reason),
        };
        let mut paths: Vec<&[String]> = vec![self.key.from.names()];
        paths.extend(self.event.id.as_ref().map(|path| path.names()));
        paths.extend(self.rejected().map(|path| path.names()));
        let by_rules = self.enforces(Enforce::Schema) && !self.schema.rules.is_empty();
        let wanted = match is_read && !by_rules {
            true => Wanted::Paths(&paths),
            false => Wanted::All,
        };
        let data = match self.read_data(record, framed, schema, wanted) {
            Ok(data) => data,
            Err(reason) => return reasons.push(reason),
        };
        if self.enforces(Enforce::Key) {
            self.check_key(record, &data, reasons);
        }
        if let Some(id) = ce_id {
            self.id_of(id, &data.tree, reasons);
        }
        if self.enforces(Enforce::Schema) {
            self.check_rejected(&data.tree, reasons);
            let by = match self.schema.format {
                SchemaFormat::Avro | SchemaFormat::Protobuf if is_read => schema,
                _ => &self.schema.schema,
            };
            // What a schema could read keeps it; the contract's then reads it too.
            let before = reasons.total();
            if !(data.fits && is_read) {
                Self::check_schema(by, &data.tree, reasons);
            }
            // A rule is written for data of the schema's shape; one that only warns refuses nothing.
            if by_rules && reasons.total() == before {
                self.check_rules(&data.tree, reasons, &mut Vec::new());
            }
        }
    }

    /// Shows the data of a record, whoever wrote it, by the schema that its id names or by the
    /// contract's own. Whether it keeps the contract is not asked.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn see_data<T>(
        &self,
        record: &Incoming<'_>,
        resolve: &dyn Fn(SchemaId) -> Result<Writer, String>,
        see: impl FnOnce(&Tree<'_>) -> T,
    ) -> Result<T, Reason> {
        let Some(value) = record.value else {
            return Err(Reason::new("#/data", "required", "schema.format"));
        };
        let framed = self.frame(record, value)?;
        let writer = writer_of(&framed, resolve)?;
        let mut message = None;
        let (schema, _) = self.schema_of(&framed, &writer, &mut message)?;
        let data = self.read_data(record, &framed, schema, Wanted::All)?;
        Ok(see(&data.tree))
    }

    /// Finds the schema that data was written by, and whether the contract's reads all it may say.
    fn schema_of<'s>(
        &'s self,
        framed: &Framed<'_>,
        writer: &'s Writer,
        message: &'s mut Option<Schema>,
    ) -> Result<(&'s Schema, bool), Reason> {
        let (schema, is_read) = match writer {
            Writer::Contract => (&self.schema.schema, true),
            Writer::Version { schema, is_read } => (&**schema, *is_read),
        };
        let indexes = framed.written.as_ref().map(|w| w.message.as_slice());
        let Some(indexes) = indexes.filter(|indexes| !indexes.is_empty()) else {
            return Ok((schema, is_read));
        };
        *message = schema.at_message(indexes);
        match message {
            Some(message) if message.is_same_message(&self.schema.schema) => Ok((message, is_read)),
            _ => {
                let detail = "names a message that is not the contract's";
                Err(Reason::new("#/schemaId", detail, "schema.schemaId"))
            }
        }
    }

    fn read_data<'d>(
        &self,
        record: &Incoming<'_>,
        framed: &Framed<'d>,
        schema: &'d Schema,
        wanted: Wanted<'_>,
    ) -> Result<Data<'d>, Reason> {
        let refuse = |detail| Reason::new("#/datacontenttype", detail, "schema.format");
        let media_type = once(record, "content-type").map_err(refuse)?.flatten();
        let media_type = match media_type.map(std::str::from_utf8) {
            None => schema.own_media_type(),
            Some(Ok(text)) => text,
            Some(Err(_)) => return Err(refuse("is not UTF-8")),
        };
        if schema.is_own_encoding(media_type) {
            return schema.read_binary(framed.data, wanted);
        }
        if is_json(media_type) && framed.written.is_some() {
            return Err(refuse(
                "says JSON, but data with a schema id is in the schema's own encoding",
            ));
        }
        schema.read(Some(media_type), framed.data)
    }

    fn check_key(&self, record: &Incoming<'_>, data: &Data<'_>, reasons: &mut Reasons) {
        let before = reasons.len();
        let expected = self.key_text(&data.tree, reasons);
        if reasons.len() > before {
            return;
        }
        let from = &self.key.from;
        let detail = match (expected, record.key) {
            (Some(expected), Some(key)) if expected.as_bytes() == key => return,
            (None, None) => return,
            (Some(_), Some(_)) => format!("must be the value of `{from}`"),
            (Some(_), None) => format!("required: the value of `{from}`"),
            (None, Some(_)) => format!("must be absent, since the data has no `{from}`"),
        };
        reasons.push(Reason::new("#/key", detail, "key.from"));
    }

    /// Checks the CloudEvents headers and returns the event's id, if it may be one.
    fn check_headers<'r>(&self, record: &Incoming<'r>, reasons: &mut Reasons) -> Option<&'r str> {
        let mut text = |name: &'static str, rule: &'static str| -> Option<&'r str> {
            let found = match once(record, name) {
                Ok(Some(Some(value))) => std::str::from_utf8(value).map_err(|_| "is not UTF-8"),
                Ok(_) => Err("required"),
                Err(problem) => Err(problem),
            };
            let found = found.and_then(|text| match event::is_attribute(text) {
                true => Ok(text),
                false => Err("is empty, too long or has control characters"),
            });
            let refuse =
                |detail| reasons.push(Reason::new(format!("#/headers/{name}"), detail, rule));
            found.map_err(refuse).ok()
        };
        let version = text("ce_specversion", "event.specversion");
        let found_type = text("ce_type", "event.type");
        let source = text("ce_source", "event.source");
        let id = text("ce_id", "event.id");
        let time = match (&self.event.time.from, self.event.time.on_missing) {
            (None, MissingTime::Reject) => text("ce_time", "event.time.onMissing"),
            _ => match once(record, "ce_time") {
                Ok(None) => None,
                _ => text("ce_time", "event.time.from"),
            },
        };
        let mut refuse = |name: &str, detail: String, rule| {
            reasons.push(Reason::new(format!("#/headers/{name}"), detail, rule));
        };
        if version.is_some_and(|version| version != event::SPEC_VERSION) {
            let detail = format!("must be `{}`", event::SPEC_VERSION);
            refuse("ce_specversion", detail, "event.specversion");
        }
        if found_type.is_some_and(|found| !event_type::covers(&self.event.event_type, found)) {
            let detail = format!("must be `{}`", self.event.event_type);
            refuse("ce_type", detail, "event.type");
        }
        match (&self.event.source, source) {
            (SourceRule::Only(wanted), Some(source)) if source != wanted => {
                refuse("ce_source", format!("must be `{wanted}`"), "event.source");
            }
            (SourceRule::Any { .. }, Some(source)) if !event::is_uri_reference(source) => {
                refuse(
                    "ce_source",
                    "is no URI reference".to_owned(),
                    "event.source",
                );
            }
            _ => {}
        }
        if time.is_some_and(|time| timestamp_ms(time).is_none()) {
            let detail = "must be an RFC 3339 timestamp".to_owned();
            refuse("ce_time", detail, "event.time.from");
        }
        id
    }
}

fn writer_of(
    framed: &Framed<'_>,
    resolve: &dyn Fn(SchemaId) -> Result<Writer, String>,
) -> Result<Writer, Reason> {
    let writer = framed.written.as_ref().map(|written| resolve(written.id));
    writer
        .unwrap_or(Ok(Writer::Contract))
        .map_err(|detail| Reason::new("#/schemaId", detail, "schema.subject"))
}

/// Finds a header. Two of a name are refused: readers differ in which one they take.
fn once<'r>(record: &Incoming<'r>, name: &str) -> Result<Option<Option<&'r [u8]>>, &'static str> {
    let mut found = record
        .headers
        .iter()
        .filter(|(known, _)| *known == name.as_bytes());
    match (found.next(), found.next()) {
        (first, None) => Ok(first.map(|(_, value)| *value)),
        _ => Err("is there twice"),
    }
}
