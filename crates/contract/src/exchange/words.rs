//! Small words that several foreign formats share: names, amounts, pointers.

use serde_json::Value;

/// Milliseconds as a contract writes them, in the largest unit that holds them whole.
pub(super) fn duration(ms: u64) -> Option<String> {
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ];
    amount(ms, &units)
}

/// Bytes as a contract writes them.
pub(super) fn size(bytes: u64) -> Option<String> {
    let units = [
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
        (1, "B"),
    ];
    amount(bytes, &units)
}

fn amount(count: u64, units: &[(u64, &str)]) -> Option<String> {
    let (factor, unit) = units
        .iter()
        .find(|(factor, _)| count.is_multiple_of(*factor))?;
    (count > 0).then(|| format!("{}{unit}", count / factor))
}

/// `order-placed` as `orderPlaced`.
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::new();
    for part in name.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = part.chars();
        let Some(first) = letters.next() else {
            continue;
        };
        match camel.is_empty() {
            true => camel.push(first),
            false => camel.push(first.to_ascii_uppercase()),
        }
        camel.extend(letters);
    }
    camel
}

/// `order-placed` as `OrderPlaced`.
pub(super) fn pascal(name: &str) -> String {
    let camel = camel(name);
    let mut letters = camel.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

/// `OrderPlaced` and `Order placed!` as `order-placed`: a name of ours, if any letter is left.
pub(super) fn slug(text: &str) -> Option<String> {
    let mut slug = String::new();
    let mut before = ' ';
    for c in text.chars() {
        let hump =
            c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        let gap = !(c.is_ascii_alphanumeric() || c == '.' || c == '_');
        if (hump || gap) && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if !gap {
            slug.push(c.to_ascii_lowercase());
        }
        before = c;
        if slug.len() >= 100 {
            break;
        }
    }
    let slug = slug.trim_matches(['-', '.', '_']).to_owned();
    (!slug.is_empty()).then_some(slug)
}

/// One part of a JSON Pointer (RFC 6901 §3).
pub(super) fn pointer_part(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns the text at a pointer, if there is one that is not blank.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    let text = value.pointer(pointer)?.as_str()?;
    (!text.trim().is_empty()).then_some(text)
}

/// The path of `to` as seen from the file `from`.
pub(super) fn relative(from: &str, to: &str) -> String {
    let folder: Vec<&str> = match from.rsplit_once('/') {
        Some((folder, _)) => folder.split('/').collect(),
        None => Vec::new(),
    };
    let parts: Vec<&str> = to.split('/').collect();
    let shared = folder
        .iter()
        .zip(&parts)
        .take_while(|(left, right)| left == right)
        .count();
    let shared = shared.min(parts.len().saturating_sub(1));
    let up = folder.len() - shared;
    let mut path = vec![".."; up];
    path.extend(&parts[shared..]);
    path.join("/")
}

/// Makes the members of an object that have a value.
pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::beside;

    #[test]
    fn names_and_amounts() {
        assert_eq!(duration(2_592_000_000).as_deref(), Some("30d"));
        assert_eq!(duration(90_000).as_deref(), Some("90s"));
        assert_eq!(duration(0), None);
        assert_eq!(size(262_144).as_deref(), Some("256KiB"));
        assert_eq!(size(1000).as_deref(), Some("1000B"));
        assert_eq!(camel("order-placed.v2"), "orderPlacedV2");
        assert_eq!(pascal("order-placed"), "OrderPlaced");
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(slug(text).as_deref(), expected, "{text}");
        };
        check("OrderPlaced", Some("order-placed"));
        check("Order Service API", Some("order-service-api"));
        check("user/signedup", Some("user-signedup"));
        check("com.example.Order", Some("com.example.order"));
        check("--é--", None);
    }

    #[test]
    fn a_relative_path_leads_back() {
        let check = |from: &str, to: &str, expected: &str| {
            assert_eq!(relative(from, to), expected);
            assert_eq!(beside(from, expected), to);
        };
        check("a.yaml", "schemas/a.json", "schemas/a.json");
        check("o/a.yaml", "o/s/a.json", "s/a.json");
        check("o/a.yaml", "s/a.json", "../s/a.json");
        check("o/p/a.yaml", "o/a.json", "../a.json");
    }
}
