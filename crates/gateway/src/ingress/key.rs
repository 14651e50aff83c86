//! `Idempotency-Key`: the caller's name for one intent.

use axum::http::HeaderMap;

use crate::problem::{Fault, Kind, Problem};

/// Stripe's limit, which callers know.
const MAX_CHARACTERS: usize = 255;

/// Reads `Idempotency-Key`, a structured-field string (draft-ietf-httpapi-idempotency-key-header);
/// without quotes it is taken too, as Stripe's callers send it.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid("given twice"));
    }
    let text = value
        .to_str()
        .map_err(|_| invalid("not printable ASCII"))?
        .trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => unquote(rest).ok_or_else(|| invalid("not a string in quotes"))?,
        None if text.contains('"') => return Err(invalid("not a string in quotes")),
        None => text.to_owned(),
    };
    match key.len() {
        0 => Err(invalid("empty")),
        1..=MAX_CHARACTERS => Ok(Some(key)),
        _ => Err(invalid("longer than 255 characters")),
    }
}

/// Reads up to the closing quote; parameters after it (RFC 8941 §3.1.2) mean nothing here.
fn unquote(rest: &str) -> Option<String> {
    let mut key = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    let after = characters.as_str().trim_start();
    (after.is_empty() || after.starts_with(';')).then_some(key)
}

fn invalid(what: &str) -> Problem {
    Problem::new(
        Kind::IdempotencyKeyInvalid,
        format!("`Idempotency-Key` is {what}"),
    )
    .with_errors(vec![Fault {
        pointer: "Idempotency-Key".to_owned(),
        detail: what.to_owned(),
        rule: None,
    }])
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_is_read_with_and_without_quotes() {
        let long = "k".repeat(255);
        let too_long = "k".repeat(256);
        for (value, expected) in [
            ("\"abc\"", Ok("abc")),
            ("abc", Ok("abc")),
            (" \"a b\" ", Ok("a b")),
            (r#""a\"b\\c""#, Ok(r#"a"b\c"#)),
            ("\"abc\";p=1", Ok("abc")),
            (long.as_str(), Ok(long.as_str())),
            ("", Err(())),
            ("\"\"", Err(())),
            ("\"abc", Err(())),
            ("\"abc\" d", Err(())),
            ("a\"c", Err(())),
            ("\u{e9}", Err(())),
            (too_long.as_str(), Err(())),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                "idempotency-key",
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
            let found = idempotency_key(&headers);
            match expected {
                Ok(key) => assert_eq!(found.unwrap().as_deref(), Some(key)),
                Err(()) => {
                    assert_eq!(
                        found.unwrap_err().kind(),
                        Kind::IdempotencyKeyInvalid,
                        "{value}"
                    );
                }
            }
        }
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        let mut twice = HeaderMap::new();
        twice.append("idempotency-key", HeaderValue::from_static("a"));
        twice.append("idempotency-key", HeaderValue::from_static("a"));
        assert!(idempotency_key(&twice).is_err());
    }
}
