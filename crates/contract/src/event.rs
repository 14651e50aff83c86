//! The envelope of CloudEvents 1.0.2 as data: the attributes around an event's bytes, and whether
//! they are well formed. How they travel over HTTP or the log is the gateway's affair, and whether
//! the data keeps its contract is `check.rs`.

use bytes::Bytes;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The version of CloudEvents that [`Event`] holds: attribute `specversion`.
pub const SPEC_VERSION: &str = "1.0";

/// CloudEvents sets no limit; one attribute must fit a header of the log many times over.
const MAX_ATTRIBUTE_BYTES: usize = 4 * 1024;
/// CloudEvents 1.0.2 wants 64 KiB of whole event carried everywhere; more names than this is abuse.
const MAX_EXTENSIONS: usize = 64;
/// CloudEvents 1.0.2, «Attribute Naming Convention»: names should not exceed 20 characters. That is
/// advice and published extensions break it (`deprecationmigration`), so the limit here is wider.
const MAX_NAME_BYTES: usize = 64;

/// Names that CloudEvents 1.0.2 gives a meaning of their own; an extension may not use them.
const RESERVED_NAMES: [&str; 10] = [
    "data",
    "data_base64",
    "datacontenttype",
    "dataschema",
    "id",
    "source",
    "specversion",
    "subject",
    "time",
    "type",
];

/// One event: its context attributes and its data. Values stand here as the caller wrote them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Event {
    /// Identifies the event together with `source`. Empty only until a plain body got its id.
    pub id: String,
    /// Where it happened, a URI reference.
    pub source: String,
    /// What kind of event it is; finds the contract. CloudEvents calls it `type`.
    pub event_type: String,
    /// What in the source it is about.
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    pub time: Option<String>,
    /// The media type of the data; absent means JSON.
    pub datacontenttype: Option<String>,
    /// The schema the producer says the data keeps, a URI.
    pub dataschema: Option<String>,
    /// Other attributes by lower-case name, in the order they came.
    pub extensions: Vec<(String, String)>,
    /// The data, byte for byte.
    pub data: Option<Bytes>,
}

/// An attribute that CloudEvents 1.0.2 does not allow as it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AttributeError {
    /// A required attribute is absent or empty.
    #[error("attribute `{0}` is missing")]
    Missing(&'static str),
    /// The value breaks a rule of its type.
    #[error("attribute `{name}` {problem}")]
    Malformed {
        /// The attribute, cut to a printable length.
        name: String,
        /// What is wrong with it, without its value.
        problem: &'static str,
    },
    /// More extensions than an event may carry.
    #[error("the event has {0} extension attributes; {MAX_EXTENSIONS} are allowed")]
    TooMany(usize),
}

impl Event {
    /// Checks every attribute against CloudEvents 1.0.2, «Context Attributes».
    ///
    /// # Errors
    /// The first attribute that breaks a rule; the event was not well formed.
    pub fn validate(&self) -> Result<(), AttributeError> {
        required("id", &self.id)?;
        required("source", &self.source)?;
        uri_reference("source", &self.source)?;
        required("type", &self.event_type)?;
        if let Some(subject) = &self.subject {
            required("subject", subject)?;
        }
        if let Some(time) = &self.time {
            required("time", time)?;
            if timestamp_ms(time).is_none() {
                return Err(malformed("time", "is no RFC 3339 timestamp"));
            }
        }
        if let Some(media_type) = &self.datacontenttype {
            required("datacontenttype", media_type)?;
            if !is_media_type(media_type) {
                return Err(malformed("datacontenttype", "is no media type"));
            }
        }
        if let Some(schema) = &self.dataschema {
            required("dataschema", schema)?;
            uri_reference("dataschema", schema)?;
            if !has_scheme(schema) {
                return Err(malformed("dataschema", "is no absolute URI"));
            }
        }
        self.validate_extensions()
    }

    fn validate_extensions(&self) -> Result<(), AttributeError> {
        if self.extensions.len() > MAX_EXTENSIONS {
            return Err(AttributeError::TooMany(self.extensions.len()));
        }
        for (at, (name, value)) in self.extensions.iter().enumerate() {
            if name.is_empty()
                || name.len() > MAX_NAME_BYTES
                || !name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            {
                return Err(malformed(
                    name,
                    "is named in other than lower-case letters and digits",
                ));
            }
            if RESERVED_NAMES.contains(&name.as_str()) {
                return Err(malformed(
                    name,
                    "has a name that CloudEvents keeps for itself",
                ));
            }
            if self.extensions[..at]
                .iter()
                .any(|(earlier, _)| earlier == name)
            {
                return Err(malformed(name, "is given twice"));
            }
            text(name, value)?;
        }
        Ok(())
    }

    /// Returns the value of an extension attribute.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns `time` in milliseconds since 1970, if it is there and well formed.
    pub fn time_ms(&self) -> Option<i64> {
        self.time.as_deref().and_then(timestamp_ms)
    }
}

/// Says whether a media type is JSON: `application/json`, `text/json` or any `+json`
/// (RFC 6839 §3.1), parameters and case aside.
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let Some((_, subtype)) = essence.split_once('/') else {
        return false;
    };
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    suffix.eq_ignore_ascii_case("json")
}

/// Reads an RFC 3339 timestamp as milliseconds since 1970; finer digits are cut.
pub fn timestamp_ms(text: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// Says whether a text may be the value of a required attribute.
pub(crate) fn is_attribute(value: &str) -> bool {
    !value.is_empty() && text("", value).is_ok()
}

/// Says whether an attribute is a URI reference (RFC 3986 §4.1).
pub(crate) fn is_uri_reference(value: &str) -> bool {
    uri_reference("source", value).is_ok()
}

fn required(name: &'static str, value: &str) -> Result<(), AttributeError> {
    if value.is_empty() {
        return Err(AttributeError::Missing(name));
    }
    text(name, value)
}

/// CloudEvents 1.0.2, «Type System», `String`: no control characters; lone surrogates cannot occur
/// in a Rust string, noncharacters can.
fn text(name: &str, value: &str) -> Result<(), AttributeError> {
    if value.len() > MAX_ATTRIBUTE_BYTES {
        return Err(malformed(name, "is longer than 4 KiB"));
    }
    // Nearly all are ASCII, where a look at the bytes answers.
    let is_plain = value.bytes().all(|b| (b' '..0x7f).contains(&b));
    if !is_plain && value.chars().any(|c| c.is_control() || is_noncharacter(c)) {
        return Err(malformed(
            name,
            "has a control character or a Unicode noncharacter",
        ));
    }
    Ok(())
}

fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// RFC 3986 §4.1 as far as a gateway must know it: only characters a URI may hold, and whole
/// percent triplets. Producers' parsers differ in the rest.
fn uri_reference(name: &str, value: &str) -> Result<(), AttributeError> {
    let bytes = value.as_bytes();
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b) || b >= 0x80;
    let whole = |at: usize| {
        bytes
            .get(at + 1..at + 3)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    let fine = bytes
        .iter()
        .enumerate()
        .all(|(at, &b)| if b == b'%' { whole(at) } else { allowed(b) });
    if fine {
        Ok(())
    } else {
        Err(malformed(name, "is no URI reference"))
    }
}

/// RFC 3986 §3.1: a letter, then letters, digits, `+`, `-`, `.`, then a colon.
fn has_scheme(uri: &str) -> bool {
    uri.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

/// RFC 2046 with the token characters of RFC 9110 §5.6.2; parameters are taken as they are.
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

fn malformed(name: &str, problem: &'static str) -> AttributeError {
    AttributeError::Malformed {
        name: name.chars().take(MAX_NAME_BYTES).collect(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            id: "a-1".into(),
            source: "/commerce/orders".into(),
            event_type: "com.example.order.placed".into(),
            ..Event::default()
        }
    }

    #[test]
    fn attributes_follow_cloudevents() {
        let check = |change: &dyn Fn(&mut Event), expected: &str| {
            let mut event = event();
            change(&mut event);
            let found = event
                .validate()
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default();
            assert_eq!(found, expected);
        };
        check(&|_| {}, "");
        check(&|e| e.id.clear(), "attribute `id` is missing");
        check(&|e| e.source.clear(), "attribute `source` is missing");
        check(&|e| e.event_type.clear(), "attribute `type` is missing");
        check(
            &|e| e.subject = Some(String::new()),
            "attribute `subject` is missing",
        );
        check(&|e| e.id = "a\nb".into(), CONTROL_ID);
        check(&|e| e.id = "a\u{FFFE}".into(), CONTROL_ID);
        check(
            &|e| e.id = "é".repeat(2049),
            "attribute `id` is longer than 4 KiB",
        );
        check(&|e| e.id = "emoji \u{1F600} and spaces".into(), "");
        check(
            &|e| e.source = "a b".into(),
            "attribute `source` is no URI reference",
        );
        check(
            &|e| e.source = "/a%2".into(),
            "attribute `source` is no URI reference",
        );
        check(
            &|e| e.source = "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66".into(),
            "",
        );
        check(&|e| e.source = "/%C3%A9?a=b#c".into(), "");
        check(&|e| e.time = Some("2026-01-02T03:04:05Z".into()), "");
        check(
            &|e| e.time = Some("2026-01-02T03:04:05.123456789+02:00".into()),
            "",
        );
        check(
            &|e| e.time = Some("2026-01-02".into()),
            "attribute `time` is no RFC 3339 timestamp",
        );
        check(&|e| e.dataschema = Some("https://example.com/s".into()), "");
        check(
            &|e| e.dataschema = Some("/s".into()),
            "attribute `dataschema` is no absolute URI",
        );
        check(
            &|e| e.datacontenttype = Some("text/plain; charset=utf-8".into()),
            "",
        );
        check(&|e| e.datacontenttype = Some("json".into()), MEDIA_TYPE);
    }

    const CONTROL_ID: &str = "attribute `id` has a control character or a Unicode noncharacter";
    const MEDIA_TYPE: &str = "attribute `datacontenttype` is no media type";

    #[test]
    fn extensions_are_named_and_typed_as_cloudevents_says() {
        let check = |extensions: &[(&str, &str)], expected: &str| {
            let pairs = extensions
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            let event = Event {
                extensions: pairs.collect(),
                ..event()
            };
            let found = event
                .validate()
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default();
            assert_eq!(found, expected);
        };
        check(&[("partitionkey", "k"), ("traceparent", "00-…")], "");
        check(&[("partitionkey", "")], "");
        let named = |name| {
            format!("attribute `{name}` is named in other than lower-case letters and digits")
        };
        check(&[("partitionKey", "k")], &named("partitionKey"));
        check(&[("a_b", "k")], &named("a_b"));
        check(&[("", "k")], &named(""));
        check(
            &[("data", "k")],
            "attribute `data` has a name that CloudEvents keeps for itself",
        );
        check(
            &[("a", "1"), ("b", "2"), ("a", "3")],
            "attribute `a` is given twice",
        );
        check(
            &[("a", "\u{7f}")],
            "attribute `a` has a control character or a Unicode noncharacter",
        );
        let names: Vec<String> = (0..65).map(|n| format!("x{n}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "")).collect();
        check(
            &many,
            "the event has 65 extension attributes; 64 are allowed",
        );
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        let check = |media_type: &str, expected: bool| {
            assert_eq!(is_json(media_type), expected, "{media_type}");
        };
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("text/json", true);
        check("application/vnd.github+json", true);
        check("application/cloudevents+json", true);
        check("application/avro", false);
        check("application/jsonp", false);
        check("json", false);
        check("", false);
    }

    #[test]
    fn time_is_read_in_milliseconds() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(timestamp_ms(text), expected, "{text}");
        };
        check("1970-01-01T00:00:01.5Z", Some(1_500));
        check("1970-01-01T01:00:00+01:00", Some(0));
        check("1969-12-31T23:59:59.9999Z", Some(-1));
        check("2026-02-30T00:00:00Z", None);
        check("yesterday", None);
    }
}
