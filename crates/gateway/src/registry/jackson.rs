//! JSON as Java's Jackson writes it, without spaces: numbers with a point or an exponent as
//! `Double.toString` has them, control characters with upper-case digits. So a text that Java wrote
//! is written again byte by byte.

use std::io;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// Writes a value.
pub(crate) fn text(value: &Value) -> String {
    let mut out = Vec::new();
    let mut writer = Serializer::with_formatter(&mut out, Jackson);
    value
        .serialize(&mut writer)
        .expect("a JSON value is written to memory");
    String::from_utf8(out).expect("JSON is text")
}

struct Jackson;

impl Formatter for Jackson {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(double(value).as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let short = match escape {
            CharEscape::Quote => '"',
            CharEscape::ReverseSolidus => '\\',
            CharEscape::Solidus => '/',
            CharEscape::Backspace => 'b',
            CharEscape::FormFeed => 'f',
            CharEscape::LineFeed => 'n',
            CharEscape::CarriageReturn => 'r',
            CharEscape::Tab => 't',
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04X}"),
        };
        write!(writer, "\\{short}")
    }
}

/// `Double.toString`: between a thousandth and ten million without an exponent.
fn double(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        let text = value.to_string();
        return match text.contains('.') {
            true => text,
            false => text + ".0",
        };
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_java_writes_them() {
        for (given, expected) in [
            ("0.0", "0.0"),
            ("-0.0", "-0.0"),
            ("2.50", "2.5"),
            ("1e3", "1000.0"),
            ("0.001", "0.001"),
            ("0.0001", "1.0E-4"),
            ("-12345678.9", "-1.23456789E7"),
            ("9999999.5", "9999999.5"),
            ("1e20", "1.0E20"),
            ("9223372036854775807", "9223372036854775807"),
            (
                r#""\u001f\u000b\u007f\/é\n""#,
                "\"\\u001F\\u000B\u{7f}/é\\n\"",
            ),
            (r#"{ "a" : [ 1 , {} ] }"#, r#"{"a":[1,{}]}"#),
        ] {
            let value = serde_json::from_str(given).unwrap();
            assert_eq!(text(&value), expected, "{given}");
        }
    }
}
