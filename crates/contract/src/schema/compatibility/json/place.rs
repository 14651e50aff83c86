//! Where a schema stands, and where a reference from there leads: in its own file, or to another of
//! the folder.

use serde_json::Value;

use super::super::super::beside;
use super::super::super::json::SchemaFile;

/// A schema where it stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    pub(super) file: &'a SchemaFile,
    pub(super) path: &'a str,
}

/// Follows a reference inside its file or to another by a relative path.
pub(super) fn resolve<'a>(from: Place<'a>, reference: &str) -> Option<Place<'a>> {
    let (target, fragment) = reference.split_once('#').unwrap_or((reference, ""));
    let documents = &from.file.documents;
    let own_id = documents[from.path].get("$id").and_then(Value::as_str);
    let path = if target.is_empty() || own_id.is_some_and(|id| id.trim_end_matches('#') == target) {
        from.path.to_owned()
    } else {
        beside(from.path, target)
    };
    let (path, root) = documents.get_key_value(&path)?;
    let value = root.pointer(&percent_decoded(fragment)?)?;
    Some(Place {
        value,
        path,
        ..from
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = 16 * digit(rest.next()?)? + digit(rest.next()?)?;
            bytes.push(u8::try_from(value).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
