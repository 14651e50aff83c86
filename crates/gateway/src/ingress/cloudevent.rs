//! Three HTTP forms to one [`Event`]: binary, structured and batch, as the CloudEvents 1.0.2 HTTP
//! binding and JSON format have them.
//!
//! Pure: bytes and headers in, events or problems out. Data stays the caller's exact bytes, a
//! slice of the body. Whether the event keeps its contract is not asked here.

use std::borrow::Cow;
use std::fmt;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use bytes::Bytes;
use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tidegate_contract::event::{AttributeError, Event, SPEC_VERSION, is_json};

use crate::problem::{Fault, Kind, Problem};

pub(crate) const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const REQUIRED: [&str; 4] = ["id", "source", "specversion", "type"];

/// In which form a request carries events.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Binary,
    Structured,
    Batch,
}

/// Tells the form by the media type's prefix, case aside (HTTP binding §3).
pub(crate) fn mode(headers: &HeaderMap) -> Result<Mode, Problem> {
    let media_type = content_type(headers)?.unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if starts_with_ignore_case(essence, "application/cloudevents") {
        let mode = if essence.eq_ignore_ascii_case(STRUCTURED) {
            Mode::Structured
        } else if essence.eq_ignore_ascii_case(BATCH) {
            Mode::Batch
        } else {
            return Err(unsupported(&format!(
                "`{STRUCTURED}` and `{BATCH}` are read here"
            )));
        };
        utf_8_only(media_type)?;
        return Ok(mode);
    }
    let has_attributes = headers.keys().any(|name| name.as_str().starts_with("ce-"));
    if has_attributes || is_json(media_type) {
        return Ok(Mode::Binary);
    }
    Err(unsupported(&format!(
        "send `{STRUCTURED}`, `{BATCH}`, or any type with the attributes as `ce-` headers"
    )))
}

/// Returns `Content-Type` as text; a header that is no ASCII is no media type.
pub(crate) fn content_type(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    headers
        .get(CONTENT_TYPE)
        .map(HeaderValue::to_str)
        .transpose()
        .map_err(|_| unsupported("`Content-Type` is not ASCII"))
}

/// Refuses JSON in another encoding than UTF-8 (RFC 8259 §8.1).
pub(crate) fn utf_8_only(media_type: &str) -> Result<(), Problem> {
    for parameter in media_type.split(';').skip(1) {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| value.eq_ignore_ascii_case(known))
        {
            return Err(unsupported("JSON is read as UTF-8 only"));
        }
    }
    Ok(())
}

pub(crate) fn unsupported(detail: &str) -> Problem {
    Problem::new(Kind::UnsupportedMediaType, detail)
}

/// Reads binary mode: attributes from `ce-` headers, data from the body (HTTP binding §3.1).
pub(crate) fn from_binary(headers: &HeaderMap, body: Bytes) -> Result<Event, Problem> {
    let mut attributes = Attributes::default();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("ce-") {
            let value = header_text(value).map_err(|detail| invalid(name, detail))?;
            if name == "datacontenttype" {
                return Err(invalid(name, "belongs in `Content-Type`"));
            }
            attributes.take(name, value)?;
        }
    }
    attributes.event.datacontenttype = content_type(headers)?.map(str::to_owned);
    attributes.event.data = (!body.is_empty()).then_some(body);
    attributes.finish()
}

/// Reads one event in the JSON format, whose text is `json`, a slice of `body` or all of it.
pub(crate) fn from_structured(body: &Bytes, json: &str) -> Result<Event, Problem> {
    let mut reading = Reading {
        attributes: Attributes::default(),
        refused: None,
        data: None,
        base64: None,
    };
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer
        .deserialize_map(&mut reading)
        .and_then(|()| deserializer.end())
        .map_err(|error| {
            reading
                .refused
                .take()
                .unwrap_or_else(|| malformed_json(&error))
        })?;
    let Reading {
        mut attributes,
        data,
        base64,
        ..
    } = reading;
    let json_data = attributes
        .event
        .datacontenttype
        .as_deref()
        .is_none_or(is_json);
    attributes.event.data = match (data, base64) {
        (Some(_), Some(_)) => return Err(invalid("data", "is given with `data_base64`")),
        (None, None) => None,
        (None, Some(text)) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
            Some(Bytes::from(
                decoded.map_err(|_| invalid("data_base64", "is no base64"))?,
            ))
        }
        (Some(data), None) if json_data => Some(body.slice_ref(data.get().as_bytes())),
        (Some(data), None) => {
            // JSON format §3.1: data of another type than JSON is a string here.
            let text: String = serde_json::from_str(data.get())
                .map_err(|_| invalid("data", "is no string though `datacontenttype` is no JSON"))?;
            Some(Bytes::from(text))
        }
    };
    // JSON format §3.1: no `datacontenttype` means `application/json`, said here once for all.
    if attributes.event.datacontenttype.is_none() && attributes.event.data.is_some() {
        attributes.event.datacontenttype = Some("application/json".to_owned());
    }
    attributes.finish()
}

/// Checks that a body is UTF-8, as JSON must be.
pub(crate) fn utf_8(body: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(body).map_err(|error| {
        let detail = format!(
            "the body is not UTF-8 from byte `{}` on",
            error.valid_up_to()
        );
        Problem::new(Kind::MalformedJson, detail)
    })
}

/// Splits a batch into the texts of its events, at most `max_events` of them.
pub(crate) fn split_batch(text: &str, max_events: usize) -> Result<Vec<&RawValue>, Problem> {
    let mut splitting = Splitting {
        max_events,
        events: Vec::new(),
        too_many: false,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let result = deserializer
        .deserialize_seq(&mut splitting)
        .and_then(|()| deserializer.end());
    match result {
        Ok(()) => Ok(splitting.events),
        Err(_) if splitting.too_many => Err(Problem::new(
            Kind::BatchTooLarge,
            format!("the batch has more than `{max_events}` events; split it"),
        )),
        Err(error) => Err(malformed_json(&error)),
    }
}

/// Names the place of a syntax error and nothing of the text.
pub(crate) fn malformed_json(error: &serde_json::Error) -> Problem {
    let what = if error.is_eof() {
        "ends too early"
    } else {
        "is not valid JSON"
    };
    let (line, column) = (error.line(), error.column());
    Problem::new(
        Kind::MalformedJson,
        format!("the body {what} at line `{line}`, column `{column}`"),
    )
}

/// Decodes the value of a `ce-` header: quotes first, then percent-encoding (HTTP binding
/// §3.1.3.2). A `%` without two hex digits stands for itself, as older senders meant it.
fn header_text(value: &HeaderValue) -> Result<String, &'static str> {
    let bytes = value.as_bytes();
    let unquoted: Cow<'_, [u8]> = match bytes {
        [b'"', inner @ .., b'"'] if inner.contains(&b'\\') => {
            let mut plain = Vec::with_capacity(inner.len());
            let mut rest = inner.iter();
            while let Some(&byte) = rest.next() {
                match byte {
                    b'\\' => plain.push(*rest.next().ok_or("ends within an escape")?),
                    other => plain.push(other),
                }
            }
            Cow::Owned(plain)
        }
        [b'"', inner @ .., b'"'] => Cow::Borrowed(inner),
        all => Cow::Borrowed(all),
    };
    let decoded = if unquoted.contains(&b'%') {
        percent_encoding::percent_decode(&unquoted).collect()
    } else {
        unquoted.into_owned()
    };
    String::from_utf8(decoded).map_err(|_| "is not UTF-8")
}

/// An event while its attributes come in, in any order.
#[derive(Default)]
struct Attributes {
    event: Event,
    specversion: Option<String>,
}

impl Attributes {
    fn take(&mut self, name: &str, value: String) -> Result<(), Problem> {
        let event = &mut self.event;
        let taken = match name {
            "id" => take_text(&mut event.id, value),
            "source" => take_text(&mut event.source, value),
            "type" => take_text(&mut event.event_type, value),
            "specversion" => take_option(&mut self.specversion, value),
            "subject" => take_option(&mut event.subject, value),
            "time" => take_option(&mut event.time, value),
            "datacontenttype" => take_option(&mut event.datacontenttype, value),
            "dataschema" => take_option(&mut event.dataschema, value),
            // A name given twice is found by `Event::validate`.
            _ => {
                event.extensions.push((name.to_owned(), value));
                true
            }
        };
        if taken {
            Ok(())
        } else {
            Err(invalid(name, "is given twice"))
        }
    }

    fn finish(self) -> Result<Event, Problem> {
        let Self { event, specversion } = self;
        let given = [
            &event.id,
            &event.source,
            specversion.as_deref().unwrap_or(""),
            &event.event_type,
        ]
        .map(|value: &str| !value.is_empty());
        if given != [true; 4] {
            let missing: Vec<&str> = REQUIRED
                .into_iter()
                .zip(given)
                .filter_map(|(name, given)| (!given).then_some(name))
                .collect();
            let errors = missing.iter().map(|name| fault(name, "required")).collect();
            let detail = format!("missing: `{}`", missing.join("`, `"));
            return Err(Problem::new(Kind::InvalidEvent, detail).with_errors(errors));
        }
        if specversion.as_deref() != Some(SPEC_VERSION) {
            return Err(invalid("specversion", "is not `1.0`"));
        }
        event.validate().map_err(|error| {
            let name = match &error {
                AttributeError::Missing(name) => (*name).to_owned(),
                AttributeError::Malformed { name, .. } => name.clone(),
                AttributeError::TooMany(_) => String::new(),
            };
            let detail = error.to_string();
            Problem::new(Kind::InvalidEvent, &detail).with_errors(vec![fault(&name, &detail)])
        })?;
        Ok(event)
    }
}

/// A required attribute that is there is not empty, so empty means not yet given.
fn take_text(place: &mut String, value: String) -> bool {
    let free = place.is_empty();
    *place = value;
    free
}

fn take_option(place: &mut Option<String>, value: String) -> bool {
    place.replace(value).is_none()
}

fn invalid(name: &str, what: &str) -> Problem {
    let name: String = name.chars().take(64).collect();
    Problem::new(Kind::InvalidEvent, format!("attribute `{name}` {what}"))
        .with_errors(vec![fault(&name, what)])
}

fn fault(name: &str, detail: &str) -> Fault {
    Fault {
        pointer: name.to_owned(),
        detail: detail.to_owned(),
        rule: None,
    }
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Reads the members of one event in the JSON format.
struct Reading<'de> {
    attributes: Attributes,
    /// Why the event was refused, if not for its syntax.
    refused: Option<Problem>,
    data: Option<&'de RawValue>,
    base64: Option<String>,
}

impl<'de> Reading<'de> {
    fn member(&mut self, name: &str, value: &'de RawValue) -> Result<(), Problem> {
        // JSON format §2.2: null is the same as absent.
        if value.get() == "null" {
            return Ok(());
        }
        match name {
            "data" if self.data.replace(value).is_some() => Err(invalid(name, "is given twice")),
            "data" => Ok(()),
            "data_base64" => {
                let text =
                    serde_json::from_str(value.get()).map_err(|_| invalid(name, "is no string"))?;
                if self.base64.replace(text).is_some() {
                    return Err(invalid(name, "is given twice"));
                }
                Ok(())
            }
            _ => {
                let text = attribute_text(value.get())
                    .ok_or_else(|| invalid(name, "is no string, boolean or 32-bit integer"))?;
                let is_string = value.get().starts_with('"');
                let core = REQUIRED.contains(&name)
                    || ["subject", "time", "datacontenttype", "dataschema"].contains(&name);
                if core && !is_string {
                    return Err(invalid(name, "is no string"));
                }
                self.attributes.take(name, text)
            }
        }
    }
}

/// Writes an attribute's value as the type system of CloudEvents has it in text.
fn attribute_text(json: &str) -> Option<String> {
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b't' | b'f' => Some(json.to_owned()),
        _ => json.parse::<i32>().ok().map(|number| number.to_string()),
    }
}

impl<'de> Visitor<'de> for &mut Reading<'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            if let Err(problem) = self.member(&name, value) {
                self.refused = Some(problem);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

struct Splitting<'de> {
    max_events: usize,
    events: Vec<&'de RawValue>,
    too_many: bool,
}

impl<'de> Visitor<'de> for &mut Splitting<'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(event) = seq.next_element::<&'de RawValue>()? {
            if self.events.len() == self.max_events {
                self.too_many = true;
                return Err(A::Error::custom("too many"));
            }
            self.events.push(event);
        }
        Ok(())
    }
}
