//! What a verified request says: ids, types and times from headers and bodies, checked before they
//! become attributes of an event.

use std::borrow::Cow;

use axum::http::HeaderMap;
use serde::Deserialize;

use crate::problem::{Fault, Kind, Problem};

/// Providers' ids and names are shorter by far.
const MAX_CHARACTERS: usize = 200;

/// Says what of a provider's request is missing or malformed.
pub(super) fn missing(name: &str) -> Problem {
    let fault = Fault {
        pointer: name.to_owned(),
        detail: "required".to_owned(),
        rule: None,
    };
    let detail = format!("`{name}` is missing or malformed");
    Problem::new(Kind::BadRequest, detail).with_errors(vec![fault])
}

/// Says whether a text may be part of an id or a type: printable ASCII without spaces.
pub(super) fn is_name(text: &str) -> bool {
    (1..=MAX_CHARACTERS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns a header's value if it may be part of an id or a type.
pub(super) fn name_of<'h>(headers: &'h HeaderMap, header: &str) -> Option<&'h str> {
    headers
        .get(header)?
        .to_str()
        .ok()
        .filter(|text| is_name(text))
}

/// Reads the members of a body that a provider's events have.
///
/// # Errors
/// `MalformedJson`: it is no JSON, or they are of other types.
pub(super) fn members<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|_| {
        let detail = "the body is not the JSON that this provider sends; nothing was stored";
        Problem::new(Kind::MalformedJson, detail)
    })
}

/// Takes a member that must be there and may be part of an id or a type.
pub(super) fn required(member: Option<Cow<'_, str>>, pointer: &str) -> Result<String, Problem> {
    match member {
        Some(text) if is_name(&text) => Ok(text.into_owned()),
        _ => Err(missing(pointer)),
    }
}
