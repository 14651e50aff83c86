//! Rules of the three HTTP forms.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use tidegate_contract::event::Event;

use super::cloudevent::{Mode, from_binary, from_structured, mode, split_batch, utf_8, utf_8_only};
use crate::problem::{Kind, Problem};

fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::try_from(*name).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    headers
}

fn binary(pairs: &[(&str, &[u8])]) -> Result<Event, Problem> {
    let mut all: Vec<(&str, &[u8])> = vec![
        ("ce-specversion", b"1.0"),
        ("ce-type", b"com.example.t"),
        ("ce-source", b"/s"),
        ("ce-id", b"1"),
    ];
    for pair in pairs {
        all.retain(|(name, _)| {
            name != &pair.0 || pairs.iter().filter(|p| p.0 == pair.0).count() > 1
        });
    }
    all.extend(pairs);
    from_binary(&headers(&all), Bytes::from_static(b"{}"))
}

fn structured(json: &str) -> Result<Event, Problem> {
    let body = Bytes::copy_from_slice(json.as_bytes());
    from_structured(&body, std::str::from_utf8(&body).unwrap())
}

fn with(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","type":"t","source":"/s","id":"1"{members}}}"#)
}

#[test]
fn the_form_is_told_by_the_media_type() {
    for (content_type, has_attributes, expected) in [
        ("application/cloudevents+json", false, Ok(Mode::Structured)),
        (
            "Application/CloudEvents+JSON; charset=UTF-8",
            false,
            Ok(Mode::Structured),
        ),
        (
            "application/cloudevents+json;charset=\"utf-8\"",
            true,
            Ok(Mode::Structured),
        ),
        (
            "application/cloudevents-batch+json; charset=utf-8",
            false,
            Ok(Mode::Batch),
        ),
        ("application/json; charset=utf-8", true, Ok(Mode::Binary)),
        ("text/plain", true, Ok(Mode::Binary)),
        ("", true, Ok(Mode::Binary)),
        // Its attributes are missing, which is the better answer.
        ("application/json", false, Ok(Mode::Binary)),
        ("text/plain", false, Err(Kind::UnsupportedMediaType)),
        ("", false, Err(Kind::UnsupportedMediaType)),
        (
            "application/cloudevents+xml",
            false,
            Err(Kind::UnsupportedMediaType),
        ),
        (
            "application/cloudevents+json; charset=utf-16",
            false,
            Err(Kind::UnsupportedMediaType),
        ),
    ] {
        let mut all = HeaderMap::new();
        if !content_type.is_empty() {
            all.insert("content-type", HeaderValue::from_static(content_type));
        }
        if has_attributes {
            all.insert("ce-id", HeaderValue::from_static("1"));
        }
        let found = mode(&all).map_err(|problem| problem.kind());
        assert_eq!(found, expected, "{content_type} {has_attributes}");
    }
    assert!(utf_8_only("application/json; charset=latin1").is_err());
}

#[test]
fn header_values_are_percent_decoded() {
    for (value, expected) in [
        (&b"plain"[..], Some("plain")),
        (
            b"Euro%20%E2%82%AC%20%F0%9F%98%80",
            Some("Euro \u{20ac} \u{1f600}"),
        ),
        (b"%e2%82%ac", Some("\u{20ac}")),
        (b"need%6cess", Some("needless")),
        (b"%25", Some("%")),
        (b"%2520", Some("%20")),
        (b"100%", Some("100%")),
        (b"\"quoted text\"", Some("quoted text")),
        (br#""a\"b\\c""#, Some(r#"a"b\c"#)),
        (b"\"%E2%82%AC\"", Some("\u{20ac}")),
        (b"\xe2\x82\xac", Some("\u{20ac}")),
        (b"%C3%28", None),
        (b"%ED%A0%80", None),
        (b"\xff", None),
        (b"%00", None),
    ] {
        let found = binary(&[("ce-subject", value)]);
        let shown = String::from_utf8_lossy(value);
        match expected {
            Some(text) => assert_eq!(found.unwrap().subject.as_deref(), Some(text), "{shown}"),
            None => assert_eq!(found.unwrap_err().kind(), Kind::InvalidEvent, "{shown}"),
        }
    }
}

#[test]
fn binary_mode_is_read() {
    let event = binary(&[
        ("content-type", b"Application/JSON; charset=utf-8"),
        ("ce-time", b"2026-01-02T03:04:05.123456789Z"),
        ("ce-partitionkey", b"k"),
    ])
    .unwrap();
    assert_eq!(event.event_type, "com.example.t");
    assert_eq!(
        event.datacontenttype.as_deref(),
        Some("Application/JSON; charset=utf-8")
    );
    assert_eq!(
        event.time.as_deref(),
        Some("2026-01-02T03:04:05.123456789Z")
    );
    assert_eq!(event.extension("partitionkey"), Some("k"));
    assert_eq!(event.data.as_deref(), Some(&b"{}"[..]));
    for pairs in [
        &[("ce-id", &b"1"[..]), ("ce-id", b"2")][..],
        &[("ce-x", b"1"), ("ce-x", b"2")],
        &[("ce-specversion", b"0.3")],
        &[("ce-datacontenttype", b"application/json")],
        &[("ce-under_score", b"1")],
        &[("ce-time", b"yesterday")],
        &[("ce-id", b"")],
    ] {
        assert_eq!(
            binary(pairs).unwrap_err().kind(),
            Kind::InvalidEvent,
            "{pairs:?}"
        );
    }
}

#[test]
fn structured_mode_is_read() {
    let check = |members: &str, expected: Option<&str>| {
        let event = structured(&with(members)).unwrap();
        let data = event
            .data
            .map(|data| String::from_utf8(data.to_vec()).unwrap());
        assert_eq!(data.as_deref(), expected, "{members}");
    };
    check("", None);
    check(r#","data":null"#, None);
    check(r#","data":{"a" : 1.0e0}"#, Some(r#"{"a" : 1.0e0}"#));
    check(r#","data":"text""#, Some("\"text\""));
    check(
        r#","datacontenttype":"text/plain","data":"a\nb""#,
        Some("a\nb"),
    );
    check(
        r#","datacontenttype":"application/vnd.a+json","data":[1]"#,
        Some("[1]"),
    );
    check(r#","data_base64":"e30=""#, Some("{}"));
    let event = structured(&with(r#","flag":true,"number":-7,"absent":null,"data":1"#)).unwrap();
    assert_eq!(event.extension("flag"), Some("true"));
    assert_eq!(event.extension("number"), Some("-7"));
    assert_eq!(event.extension("absent"), None);
    assert_eq!(event.datacontenttype.as_deref(), Some("application/json"));
}

#[test]
fn bad_structured_events_are_refused() {
    for (json, expected) in [
        (with(r#","data":1,"data":2"#), Kind::InvalidEvent),
        (
            with(r#","data":1,"data_base64":"e30=""#),
            Kind::InvalidEvent,
        ),
        (with(r#","data_base64":"%%""#), Kind::InvalidEvent),
        (with(r#","data_base64":1"#), Kind::InvalidEvent),
        (
            with(r#","datacontenttype":"text/plain","data":{}"#),
            Kind::InvalidEvent,
        ),
        (with(r#","id":"2""#), Kind::InvalidEvent),
        (with(r#","ext":{}"#), Kind::InvalidEvent),
        (with(r#","ext":1.5"#), Kind::InvalidEvent),
        (with(r#","ext":2147483648"#), Kind::InvalidEvent),
        (with(r#","subject":1"#), Kind::InvalidEvent),
        (with(r#","Ext":"1""#), Kind::InvalidEvent),
        (with(","), Kind::MalformedJson),
        (with("") + "x", Kind::MalformedJson),
        (with(r#","data":{"a":}"#), Kind::MalformedJson),
        ("[]".to_owned(), Kind::MalformedJson),
        (String::new(), Kind::MalformedJson),
        ("{}".to_owned(), Kind::InvalidEvent),
        (
            r#"{"specversion":"1.0","type":"t","source":"","id":"1"}"#.to_owned(),
            Kind::InvalidEvent,
        ),
    ] {
        assert_eq!(structured(&json).unwrap_err().kind(), expected, "{json}");
    }
    assert_eq!(utf_8(b"\"\xff\"").unwrap_err().kind(), Kind::MalformedJson);
}

#[test]
fn a_batch_is_split_and_limited() {
    for (text, max_events, expected) in [
        ("[]", 2, Ok(0)),
        ("[{},{}]", 2, Ok(2)),
        (" [ 1 , \"a\" ] ", 2, Ok(2)),
        ("[1,2,3]", 2, Err(Kind::BatchTooLarge)),
        ("{}", 2, Err(Kind::MalformedJson)),
        ("[1,", 2, Err(Kind::MalformedJson)),
        ("[1] 2", 2, Err(Kind::MalformedJson)),
    ] {
        let found = split_batch(text, max_events);
        let found = found
            .map(|events| events.len())
            .map_err(|problem| problem.kind());
        assert_eq!(found, expected, "{text}");
    }
}
