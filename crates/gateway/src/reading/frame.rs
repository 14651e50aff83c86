//! Server-sent events as they are written (HTML Living Standard §9.2): an id, a type, lines of data.

use super::positions::Positions;

/// How long a reader waits before it comes back, unless it knows better.
const RETRY_MS: u32 = 1_000;

/// Tells the reader where it stands, and when to come back if it is cut off.
pub(super) fn begin(text: &mut String, at: &Positions) {
    text.push_str(&format!("retry: {RETRY_MS}\nid: {at}\n\n"));
}

/// Writes an event; `name` is its type where that is not `message`.
pub(super) fn event(text: &mut String, at: &Positions, name: Option<&str>, data: &str) {
    text.push_str(&format!("id: {at}\n"));
    if let Some(name) = name {
        text.push_str(&format!("event: {name}\n"));
    }
    // JSON as it was sent may have line breaks of its own; a reader gets the lines joined again.
    for line in data.split(['\r', '\n']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
}

/// Shows that the stream lives, and moves the reader past what its filter left out.
pub(super) fn heartbeat(text: &mut String, at: &Positions) {
    text.push_str(&format!("id: {at}\n: heartbeat\n\n"));
}

/// Says why the stream ends; the reader is to come back.
pub(super) fn end(why: &str) -> String {
    format!("retry: {RETRY_MS}\n: {why}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_id_and_its_data_line_by_line() {
        let at = Positions::new(vec![7, 0]);
        for (name, data, expected) in [
            (None, "{\"a\":1}", "id: 7.0\ndata: {\"a\":1}\n\n"),
            (Some("gap"), "{}", "id: 7.0\nevent: gap\ndata: {}\n\n"),
            (
                None,
                "{\n\"a\":1\r}",
                "id: 7.0\ndata: {\ndata: \"a\":1\ndata: }\n\n",
            ),
        ] {
            let mut text = String::new();
            event(&mut text, &at, name, data);
            assert_eq!(text, expected);
        }
    }
}
