//! The library's validation errors as reasons for a person. Texts are made of the schema, and of
//! where in the data it was broken; values of the data never appear.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::data;
use crate::check::{Reason, Reasons, push_pointer_name};

/// How deep alternatives inside alternatives are followed for the reasons of the nearest one.
const MAX_DEPTH: usize = 8;
/// How much of the schema a text repeats.
const MAX_QUOTE_CHARS: usize = 120;

pub(super) fn collect<'e>(errors: impl Iterator<Item = ValidationError<'e>>, into: &mut Reasons) {
    for error in errors {
        if into.is_full() {
            into.more();
        } else {
            explain(&error, 0, into);
        }
    }
}

fn explain(error: &ValidationError<'_>, depth: usize, into: &mut Reasons) {
    if !data::is_true(error.instance()) {
        return;
    }
    let pointer = || fragment("#/data", error.instance_path().as_str());
    let rule = || format!("schema:{}", error.kind().keyword());
    let below = |name: &str| {
        let mut pointer = pointer();
        push_pointer_name(&mut pointer, name);
        pointer
    };
    match error.kind() {
        ValidationErrorKind::Required {
            property: Value::String(name),
        } => {
            into.push(Reason::new(below(name), "required", rule()));
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for name in unexpected {
                into.push(Reason::new(below(name), "not allowed", rule()));
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }
            if depth < MAX_DEPTH =>
        {
            match nearest(context, error.instance_path().as_str()) {
                Some(branch) => branch
                    .iter()
                    .for_each(|error| explain(error, depth + 1, into)),
                None => into.push(Reason::new(pointer(), detail(error.kind()), rule())),
            }
        }
        // With nothing but `additionalProperties: false` the library blames the object.
        ValidationErrorKind::FalseSchema
            if error
                .schema_path()
                .as_str()
                .ends_with("/additionalProperties") =>
        {
            let detail = "has a property that is not allowed";
            into.push(Reason::new(
                pointer(),
                detail,
                "schema:additionalProperties",
            ));
        }
        kind => into.push(Reason::new(pointer(), detail(kind), rule())),
    }
}

/// Chooses the alternative that was most likely meant: one whose distinguishing words fit, then the
/// one with the fewest errors.
fn nearest<'c>(
    branches: &'c [Vec<ValidationError<'static>>],
    at: &str,
) -> Option<&'c [ValidationError<'static>]> {
    let meant = branches.iter().filter(|branch| !branch.is_empty());
    meant
        .min_by_key(|branch| distance(branch, levels(at), 0))
        .map(Vec::as_slice)
}

/// Says how far data is from an alternative: how many of its distinguishing words do not fit, then
/// how many errors there are. Such a word is a `const` or `enum` right below the alternative, as
/// `action` or `kind` often are, or its own type.
fn distance(branch: &[ValidationError<'static>], level: usize, depth: usize) -> (usize, usize) {
    let mut sum = (0, 0);
    for error in branch {
        let below = levels(error.instance_path().as_str()).saturating_sub(level);
        let other = match error.kind() {
            ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. } => below <= 1,
            ValidationErrorKind::Type { .. } => below == 0,
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context }
                if depth < MAX_DEPTH =>
            {
                let branches = context.iter().filter(|branch| !branch.is_empty());
                let inner = branches
                    .map(|branch| distance(branch, level, depth + 1))
                    .min();
                let (others, errors) = inner.unwrap_or_default();
                sum = (sum.0 + others, sum.1 + errors);
                continue;
            }
            _ => false,
        };
        sum = (sum.0 + usize::from(other), sum.1 + 1);
    }
    sum
}

fn levels(pointer: &str) -> usize {
    pointer.matches('/').count()
}

/// Says what the data must be, in the schema's words.
pub(super) fn detail(kind: &ValidationErrorKind) -> String {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::Required { .. } => "lacks a required property".to_owned(),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => {
            "has a property that is not allowed".to_owned()
        }
        Kind::AdditionalItems { .. } | Kind::UnevaluatedItems { .. } => {
            "has more items than are allowed".to_owned()
        }
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            "fits none of the alternatives".to_owned()
        }
        Kind::OneOfMultipleValid { .. } => "fits more than one of the alternatives".to_owned(),
        Kind::Constant { expected_value } => format!("must be {}", quote(expected_value)),
        Kind::Enum { options } => match options.as_array().map(Vec::as_slice) {
            Some([only]) => format!("must be {}", quote(only)),
            _ => format!("must be one of {}", quote(options)),
        },
        Kind::Type {
            kind: TypeKind::Single(kind),
        } => format!("must be {}", type_name(*kind)),
        Kind::Type {
            kind: TypeKind::Multiple(kinds),
        } => {
            let names: Vec<&str> = kinds.iter().map(type_name).collect();
            format!("must be {}", names.join(" or "))
        }
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("must have at least {limit} characters"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::MinProperties { limit } => format!("must have at least {limit} properties"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} properties"),
        Kind::Pattern { pattern } => format!("must match `{}`", shortened(pattern)),
        Kind::PropertyNames { .. } => "has a property whose name is not allowed".to_owned(),
        Kind::Contains => "lacks an item that it must have".to_owned(),
        Kind::UniqueItems => "has an item twice".to_owned(),
        Kind::Not { .. } => "is what it must not be".to_owned(),
        Kind::FalseSchema => "not allowed".to_owned(),
        other => format!("breaks `{}`", shortened(other.keyword())),
    }
}

/// Makes a JSON Pointer a URI fragment below `base` (RFC 6901 §6).
pub(super) fn fragment(base: &str, pointer: &str) -> String {
    let mut fragment = base.to_owned();
    crate::check::push_escaped(&mut fragment, pointer);
    fragment
}

fn quote(value: &Value) -> String {
    shortened(&value.to_string())
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "an integer",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}
