//! Values as YAML 1.2 that people read: blocks, short lists on one line, texts without quotes where
//! nobody could take them for something else. What is written reads back as the same value.

use serde_json::Value;

use crate::load;

/// Lists of plain values up to this width stand on one line.
const MAX_FLOW_CHARS: usize = 88;
/// YAML 1.2.2 §7.4.2: a key on one line has at most 1024 characters.
const MAX_KEY_CHARS: usize = 900;

/// Reads one document; JSON is YAML.
pub(super) fn read(text: &str) -> Result<Value, String> {
    load::value(text)
}

/// Writes a value as one YAML document.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => map(members, 0, &mut text),
        Value::Array(items) if !items.is_empty() => list(items, 0, &mut text),
        other => {
            text.push_str(&scalar(other, 0));
            text.push('\n');
        }
    }
    text
}

fn map(members: &serde_json::Map<String, Value>, indent: usize, text: &mut String) {
    for (number, (name, value)) in members.iter().enumerate() {
        if number > 0 {
            pad(indent, text);
        }
        if name.chars().count() > MAX_KEY_CHARS {
            // Such a key stands alone, and what belongs to it in JSON's form.
            text.push_str(&format!("? {}\n", quoted(name)));
            pad(indent, text);
            text.push_str(&format!(": {}\n", flow(value)));
            continue;
        }
        text.push_str(&plain_or_quoted(name, true));
        text.push(':');
        after(value, indent, text);
    }
}

fn list(items: &[Value], indent: usize, text: &mut String) {
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            pad(indent, text);
        }
        text.push('-');
        match item {
            Value::Object(members) if !members.is_empty() => {
                text.push(' ');
                map(members, indent + 2, text);
            }
            Value::Array(inner) if !inner.is_empty() && short(inner).is_none() => {
                text.push(' ');
                list(inner, indent + 2, text);
            }
            other => after(other, indent, text),
        }
    }
}

/// Writes what stands behind a key or a dash.
fn after(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            pad(indent + 2, text);
            map(members, indent + 2, text);
        }
        Value::Array(items) if !items.is_empty() => match short(items) {
            Some(line) => text.push_str(&format!(" {line}\n")),
            None => {
                text.push('\n');
                pad(indent + 2, text);
                list(items, indent + 2, text);
            }
        },
        other => text.push_str(&format!(" {}\n", scalar(other, indent))),
    }
}

fn pad(indent: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// Returns a list of plain values on one line, if it fits.
fn short(items: &[Value]) -> Option<String> {
    let plain = |item: &Value| !item.is_object() && !item.is_array();
    if !items.iter().all(plain) {
        return None;
    }
    let parts: Vec<String> = items.iter().map(flow_scalar).collect();
    let line = format!("[{}]", parts.join(", "));
    (line.chars().count() <= MAX_FLOW_CHARS).then_some(line)
}

fn flow_scalar(value: &Value) -> String {
    match value {
        Value::String(text) => plain_or_quoted(text, true),
        other => other.to_string(),
    }
}

/// JSON's form, which is YAML's flow style.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), flow(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

fn scalar(value: &Value, indent: usize) -> String {
    match value {
        Value::String(text) if is_block(text) => {
            let mut block = String::from("|");
            for line in text.trim_end_matches('\n').split('\n') {
                block.push('\n');
                if !line.is_empty() {
                    pad(indent + 2, &mut block);
                    block.push_str(line);
                }
            }
            block
        }
        Value::String(text) => plain_or_quoted(text, false),
        other => flow(other),
    }
}

/// Says whether a text may stand as a block: lines, each ended, nothing that YAML would change.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or_default();
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with(['\n', ' ', '\t'])
        && body
            .chars()
            .all(|c| c == '\n' || c == '\t' || (c >= ' ' && !must_escape(c)))
        && !body.split('\n').any(|line| {
            line.starts_with('\t') || (!line.is_empty() && line.trim_matches(' ').is_empty())
        })
}

fn plain_or_quoted(text: &str, flow: bool) -> String {
    match is_plain(text, flow) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

fn is_plain(text: &str, flow: bool) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$' || c == '/';
    let inside = |c: char| {
        c.is_ascii_alphanumeric() || "_$/.-+@ ".contains(c) || (!flow && ",'()".contains(c))
    };
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return false;
    }
    is_amount(text)
        || (text.starts_with(starts) && text.chars().all(inside) && !text.ends_with(' '))
}

/// `30d`, `1MiB` and `2.3.0` are no numbers to anybody.
fn is_amount(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = &text[digits..];
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_version = text.split('.').count() == 3 && text.split('.').all(number);
    let units = ["ms", "s", "m", "h", "d", "B", "KiB", "MiB", "GiB"];
    is_version || (digits > 0 && units.contains(&unit))
}

fn must_escape(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if must_escape(c) => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            ".{0,12}",
            "[a-z0-9:#,\\[\\]{}'\"|>!&*%@` \\n\\t-]{0,8}",
            "(true|no|null|~|1e3|0x1|1_000|12:30|2.3.0|-|\\?|<<|=|\\.inf|30d| a|a )",
            "([a-z ]{0,6}\n){0,4}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e6..1e6).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..6)
                    .prop_map(|members| members.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in values()) {
            let text = write(&value);
            let back = read(&text);
            prop_assert_eq!(back, Ok(value), "{}", text);
        }
    }

    #[test]
    fn people_can_read_it() {
        let value = json!({
            "metadata": {"name": "order-placed", "version": "2.3.0"},
            "spec": {
                "summary": "An order was placed, and it's paid.",
                "key": {"from": "$.orderId"},
                "topic": {"partitions": 12, "retention": "30d", "cleanup": ["delete"]},
                "rules": [{"name": "a", "expr": "message.total > 0"}, {"name": "b", "expr": "true"}],
                "text": "one\n  two\n",
                "none": {},
            },
            "on": "yes",
        });
        let expected = "metadata:
  name: order-placed
  version: 2.3.0
spec:
  summary: An order was placed, and it's paid.
  key:
    from: $.orderId
  topic:
    partitions: 12
    retention: 30d
    cleanup: [delete]
  rules:
    - name: a
      expr: \"message.total > 0\"
    - name: b
      expr: \"true\"
  text: |
    one
      two
  none: {}
\"on\": \"yes\"
";
        assert_eq!(write(&value), expected);
        let long = "k".repeat(2000);
        let value = json!({ long.clone(): {"a": [1, "x"]}, "b": 1 });
        assert_eq!(read(&write(&value)), Ok(value));
    }
}
