//! JSON data against a Protobuf message, by ProtoJSON's rules («JSON Mapping» of the Protobuf
//! guide), with one name a field: its JSON name, so that paths of contracts mean one thing. Every
//! mistake is told with its place. Nothing is converted, so nothing is allocated for good data.

use crate::check::{Reason, Reasons, push_pointer_name};
use crate::event::timestamp_ms;
use crate::tree::{Members, Tree, member};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Syntax};

/// Protobuf's own readers stop here.
const MAX_DEPTH: usize = 100;
/// Ten thousand years, as `google.protobuf.Duration` has them.
const MAX_DURATION_S: i64 = 315_576_000_000;

pub(super) fn check(message: &MessageDescriptor, data: &Tree<'_>, into: &mut Reasons) {
    let mut checking = Checking {
        into,
        at: String::from("#/data"),
    };
    checking.message(message, data, 0);
}

struct Checking<'r> {
    into: &'r mut Reasons,
    at: String,
}

impl Checking<'_> {
    fn message(&mut self, message: &MessageDescriptor, value: &Tree<'_>, depth: usize) {
        if depth > MAX_DEPTH {
            let detail = format!("nests messages deeper than {MAX_DEPTH}");
            return self.refuse("depth", detail);
        }
        if let Some(name) = message.full_name().strip_prefix("google.protobuf.")
            && self.well_known(name, message, value, depth)
        {
            return;
        }
        let Tree::Object(entries) = value else {
            return self.refuse("type", "must be an object");
        };
        for (key, value) in entries {
            let length = self.at.len();
            push_pointer_name(&mut self.at, key);
            match message.get_field_by_json_name(key) {
                // ProtoJSON: null is the absence of the field.
                Some(_) if value.is_null() => {}
                Some(field) => {
                    self.oneof(&field, entries);
                    self.field(&field, value, depth);
                }
                None => match message.get_field_by_name(key) {
                    Some(field) => {
                        let detail = format!("must be called `{}`", field.json_name());
                        self.refuse("fields", detail);
                    }
                    None => self.refuse("fields", "is no field of this message"),
                },
            }
            self.at.truncate(length);
        }
        for field in message.fields().filter(FieldDescriptor::is_required) {
            if member(entries, field.json_name()).is_none_or(Tree::is_null) {
                let length = self.at.len();
                push_pointer_name(&mut self.at, field.json_name());
                self.refuse("required", "required");
                self.at.truncate(length);
            }
        }
    }

    /// Refuses a second member of a oneof, at the later of the two.
    fn oneof(&mut self, field: &FieldDescriptor, entries: &Members<'_>) {
        let Some(oneof) = field.containing_oneof() else {
            return;
        };
        let lower = |other: &FieldDescriptor| other.number() < field.number();
        let given = |other: &FieldDescriptor| {
            member(entries, other.json_name()).is_some_and(|value| !value.is_null())
        };
        if let Some(other) = oneof.fields().find(|other| lower(other) && given(other)) {
            let detail = format!(
                "excludes `{}`: both are of `{}`",
                other.json_name(),
                oneof.name()
            );
            self.refuse("oneof", detail);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, value: &Tree<'_>, depth: usize) {
        if field.is_list() {
            let Tree::List(values) = value else {
                return self.refuse("type", "must be a list");
            };
            for (index, value) in values.iter().enumerate() {
                self.inside(&index.to_string(), &field.kind(), value, depth);
            }
        } else if let Kind::Message(entry) = field.kind()
            && field.is_map()
        {
            let Tree::Object(entries) = value else {
                return self.refuse("type", "must be an object");
            };
            let (key_kind, kind) = (
                entry.map_entry_key_field().kind(),
                entry.map_entry_value_field().kind(),
            );
            for (key, value) in entries {
                if !is_map_key(&key_kind, key) {
                    let length = self.at.len();
                    push_pointer_name(&mut self.at, key);
                    self.refuse("key", format!("must have a key of type {key_kind:?}"));
                    self.at.truncate(length);
                }
                self.inside(key, &kind, value, depth);
            }
        } else {
            self.value(&field.kind(), value, depth);
        }
    }

    fn inside(&mut self, name: &str, kind: &Kind, value: &Tree<'_>, depth: usize) {
        let length = self.at.len();
        push_pointer_name(&mut self.at, name);
        self.value(kind, value, depth);
        self.at.truncate(length);
    }

    fn value(&mut self, kind: &Kind, value: &Tree<'_>, depth: usize) {
        match kind {
            Kind::Message(inner) => self.message(inner, value, depth + 1),
            Kind::Enum(declared) => self.enumeration(declared, value),
            Kind::Bool => self.demand(matches!(value, Tree::Bool(_)), "must be true or false"),
            Kind::String => self.demand(matches!(value, Tree::Text(_)), "must be a string"),
            Kind::Bytes => {
                self.demand(value.as_str().is_some_and(is_base64), "must be base64");
            }
            Kind::Float | Kind::Double => {
                self.demand(is_number(value), "must be a number");
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                let fits = integer(value).is_some_and(|n| i32::try_from(n).is_ok());
                self.demand(fits, "must be a 32-bit integer");
            }
            Kind::Uint32 | Kind::Fixed32 => {
                let fits = integer(value).is_some_and(|n| u32::try_from(n).is_ok());
                self.demand(fits, "must be a 32-bit integer, not negative");
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                let fits = integer(value).is_some_and(|n| i64::try_from(n).is_ok());
                self.demand(fits, "must be a 64-bit integer");
            }
            Kind::Uint64 | Kind::Fixed64 => {
                let fits = integer(value).is_some_and(|n| u64::try_from(n).is_ok());
                self.demand(fits, "must be a 64-bit integer, not negative");
            }
        }
    }

    fn enumeration(&mut self, declared: &EnumDescriptor, value: &Tree<'_>) {
        if declared.full_name() == "google.protobuf.NullValue" && value.is_null() {
            return;
        }
        let fits = match value {
            Tree::Text(name) => declared.get_value_by_name(name).is_some(),
            _ => integer(value).is_some_and(|number| {
                // proto3's enums are open: a newer sender may know more.
                let open = declared.parent_file().syntax() == Syntax::Proto3;
                i32::try_from(number).is_ok_and(|n| open || declared.get_value(n).is_some())
            }),
        };
        if !fits {
            let names: Vec<String> = declared
                .values()
                .take(8)
                .map(|value| format!("`{}`", value.name()))
                .collect();
            let more = if declared.values().len() > 8 {
                ", …"
            } else {
                ""
            };
            self.refuse("enum", format!("must be one of {}{more}", names.join(", ")));
        }
    }

    /// Checks the messages that have a JSON form of their own; says whether this was one.
    fn well_known(
        &mut self,
        name: &str,
        message: &MessageDescriptor,
        value: &Tree<'_>,
        depth: usize,
    ) -> bool {
        match name {
            "Timestamp" => {
                let fits = value.as_str().and_then(timestamp_ms).is_some();
                self.demand(fits, "must be an RFC 3339 timestamp");
            }
            "Duration" => {
                let fits = value.as_str().is_some_and(is_duration);
                self.demand(fits, "must be a duration in seconds such as `1.5s`");
            }
            "FieldMask" => self.demand(matches!(value, Tree::Text(_)), "must be a string"),
            "Struct" => self.demand(matches!(value, Tree::Object(_)), "must be an object"),
            "ListValue" => self.demand(matches!(value, Tree::List(_)), "must be a list"),
            "Value" => {}
            // What it holds is declared in a schema that is not at hand.
            "Any" => {
                let fits = matches!(value.get("@type"), Some(Tree::Text(_)));
                self.demand(fits, "must be an object with `@type`");
            }
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value"
            | "UInt32Value" | "BoolValue" | "StringValue" | "BytesValue" => {
                if let Some(inner) = message.get_field(1) {
                    self.value(&inner.kind(), value, depth);
                }
            }
            _ => return false,
        }
        true
    }

    fn demand(&mut self, holds: bool, detail: &str) {
        if !holds {
            self.refuse("type", detail);
        }
    }

    fn refuse(&mut self, rule: &str, detail: impl Into<String>) {
        self.into
            .push(Reason::new(&self.at, detail, format!("schema:{rule}")));
    }
}

/// Reads an integer from a number, also one written `1e3`, or from a string of one.
fn integer(value: &Tree<'_>) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Tree::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| {
                let float = number.as_f64()?;
                let whole = float.fract() == 0.0 && float.abs() <= EXACT;
                #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
                whole.then_some(float as i128)
            }),
        Tree::Text(text) if text.len() <= 20 => text.parse().ok(),
        _ => None,
    }
}

fn is_number(value: &Tree<'_>) -> bool {
    match value {
        Tree::Number(_) => true,
        Tree::Text(text) => {
            matches!(&**text, "NaN" | "Infinity" | "-Infinity")
                || text.parse::<f64>().is_ok_and(f64::is_finite)
        }
        _ => false,
    }
}

fn is_map_key(kind: &Kind, key: &str) -> bool {
    let number = || key.parse::<i128>().ok();
    match kind {
        Kind::Bool => key == "true" || key == "false",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            number().is_some_and(|n| i32::try_from(n).is_ok())
        }
        Kind::Uint32 | Kind::Fixed32 => number().is_some_and(|n| u32::try_from(n).is_ok()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            number().is_some_and(|n| i64::try_from(n).is_ok())
        }
        Kind::Uint64 | Kind::Fixed64 => number().is_some_and(|n| u64::try_from(n).is_ok()),
        _ => true,
    }
}

/// RFC 4648, either alphabet, with or without padding.
fn is_base64(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let padding = text.len() - bare.len();
    bare.len() % 4 != 1
        && (padding == 0 || (padding <= 2 && text.len().is_multiple_of(4)))
        && bare
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(&b))
}

fn is_duration(text: &str) -> bool {
    let Some(number) = text.strip_suffix('s') else {
        return false;
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits(digits)
        && all_digits(fraction)
        && fraction.len() <= 9
        && digits.parse::<i64>().is_ok_and(|n| n <= MAX_DURATION_S)
}
