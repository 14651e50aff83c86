//! Matching as version 4 of Pact's specification has it, for JSON messages: which rule counts at a place,
//! and whether a value keeps it. Names that were not expected are allowed, as of any message that is
//! received; a place without a rule must be equal to the example.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

/// Mismatches of one event; more help nobody.
const MAX_MISMATCHES: usize = 50;
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// Why an event is not what the consumer needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// Where, `$.total.amount`.
    pub path: String,
    /// What is wrong, without values.
    pub detail: String,
}

/// A step into a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

/// A step of a rule's path.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Name(String),
    Index(usize),
    Any,
}

/// What a rule asks of a value.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Equality,
    Type,
    /// A list, its items like the example's.
    Items {
        min: Option<usize>,
        max: Option<usize>,
    },
    Regex(Regex),
    Include(String),
    Integer,
    Decimal,
    Number,
    Boolean,
    Null,
    NotEmpty,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.asks() == other.asks()
    }
}

#[derive(Clone, Debug)]
struct Rule {
    path: Vec<Part>,
    any: bool,
    matchers: Vec<Matcher>,
}

/// The rules of one message's body.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads `matchingRules.body`; what is not known is returned as sentences.
    pub(super) fn read(body: &Value) -> (Self, Vec<String>) {
        let mut rules = Vec::new();
        let mut told = Vec::new();
        for (path, rule) in body.as_object().into_iter().flatten() {
            let Some(parts) = parts(path) else {
                told.push(format!("`{path}` is no path that is known here"));
                continue;
            };
            let mut matchers = Vec::new();
            for matcher in rule["matchers"].as_array().into_iter().flatten() {
                match Matcher::read(matcher) {
                    Ok(matcher) => matchers.push(matcher),
                    Err(why) => told.push(format!("at `{path}` {why}")),
                }
            }
            rules.push(Rule {
                path: parts,
                any: rule["combine"]
                    .as_str()
                    .is_some_and(|how| how.eq_ignore_ascii_case("or")),
                matchers,
            });
        }
        (Self(rules), told)
    }

    /// Finds the rule that counts at a place: the one whose path names it best; one of a place around it
    /// counts too if it is about types.
    fn best(&self, at: &[Step]) -> Option<(&Rule, bool)> {
        let weighed = self.0.iter().filter_map(|rule| {
            let exact = rule.path.len() == at.len();
            let cascades = rule.matchers.iter().all(Matcher::cascades);
            if rule.path.len() > at.len() || !(exact || cascades) {
                return None;
            }
            let mut weight = 1_u64;
            for (part, step) in rule.path.iter().zip(at) {
                weight = weight.saturating_mul(match (part, step) {
                    (Part::Name(wanted), Step::Name(name)) if wanted == name => 2,
                    (Part::Index(wanted), Step::Index(index)) if wanted == index => 2,
                    (Part::Any, _) => 1,
                    _ => return None,
                });
            }
            Some(((rule.path.len(), weight), rule, exact))
        });
        let best = weighed.max_by_key(|(weight, ..)| *weight);
        best.map(|(_, rule, exact)| (rule, exact))
    }

    /// Returns what is asked of the value at a place.
    pub(super) fn at(&self, at: &[Step]) -> Vec<Matcher> {
        match self.best(at) {
            None => vec![Matcher::Equality],
            Some((rule, true)) => rule.matchers.clone(),
            // How many items a list has is asked of that list alone.
            Some((rule, false)) => rule.matchers.iter().map(Matcher::inside).collect(),
        }
    }

    pub(super) fn compare(&self, expected: &Value, actual: &Value) -> Vec<Mismatch> {
        let mut found = Vec::new();
        self.value(expected, actual, &mut Vec::new(), &mut found);
        found
    }

    fn value(
        &self,
        expected: &Value,
        actual: &Value,
        at: &mut Vec<Step>,
        found: &mut Vec<Mismatch>,
    ) {
        if found.len() >= MAX_MISMATCHES {
            return;
        }
        let matchers = self.at(at);
        let by_type = matchers
            .iter()
            .any(|m| matches!(m, Matcher::Type | Matcher::Items { .. }));
        let has_rule = self.best(at).is_some();
        match (expected, actual) {
            // A rule of the object itself, such as not to be empty, is judged below.
            (Value::Object(wanted), Value::Object(there)) if !has_rule || by_type => {
                for (name, expected) in wanted {
                    at.push(Step::Name(name.clone()));
                    match there.get(name) {
                        Some(actual) => self.value(expected, actual, at, found),
                        None => push(found, at, "is missing"),
                    }
                    at.pop();
                }
            }
            (Value::Array(wanted), Value::Array(there)) if !has_rule || by_type => {
                if by_type {
                    self.judge(&matchers, expected, actual, at, found);
                } else if wanted.len() != there.len() {
                    let detail = format!("has {} items, not {}", there.len(), wanted.len());
                    push(found, at, &detail);
                }
                for (index, actual) in there.iter().enumerate() {
                    // More items than the example has are like its first.
                    let like = wanted
                        .get(index)
                        .or_else(|| wanted.first().filter(|_| by_type));
                    if let Some(expected) = like {
                        at.push(Step::Index(index));
                        self.value(expected, actual, at, found);
                        at.pop();
                    }
                }
            }
            _ => self.judge(&matchers, expected, actual, at, found),
        }
    }

    fn judge(
        &self,
        matchers: &[Matcher],
        expected: &Value,
        actual: &Value,
        at: &[Step],
        found: &mut Vec<Mismatch>,
    ) {
        let any = self.best(at).is_some_and(|(rule, _)| rule.any);
        let failed: Vec<&Matcher> = matchers
            .iter()
            .filter(|m| !m.holds(expected, actual))
            .collect();
        let holds = match any {
            true => failed.len() < matchers.len() || matchers.is_empty(),
            false => failed.is_empty(),
        };
        if !holds {
            for matcher in failed {
                push(
                    found,
                    at,
                    &format!("does not keep its rule: {}", matcher.asks()),
                );
            }
        }
    }
}

fn push(found: &mut Vec<Mismatch>, at: &[Step], detail: &str) {
    let mut path = String::from("$");
    for step in at {
        match step {
            Step::Name(name) => path.push_str(&format!(".{name}")),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    let detail = detail.to_owned();
    found.push(Mismatch { path, detail });
}

impl Matcher {
    fn read(rule: &Value) -> Result<Self, String> {
        let count = |name: &str| {
            rule[name]
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
        };
        let text = |name: &str| rule[name].as_str().unwrap_or_default().to_owned();
        let (min, max) = (count("min"), count("max"));
        Ok(match rule["match"].as_str().unwrap_or_default() {
            "equality" => Self::Equality,
            "type" | "min" | "max" if min.is_some() || max.is_some() => Self::Items { min, max },
            "type" => Self::Type,
            "regex" => {
                // The whole text must match, as the reference has it.
                let pattern = format!("^(?:{})$", text("regex"));
                let compiled = RegexBuilder::new(&pattern)
                    .size_limit(MAX_PATTERN_BYTES)
                    .build();
                Self::Regex(compiled.map_err(|_| "is a regular expression that is not linear")?)
            }
            "include" => Self::Include(text("value")),
            "integer" => Self::Integer,
            "decimal" => Self::Decimal,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            "null" => Self::Null,
            "notEmpty" => Self::NotEmpty,
            other => return Err(format!("is matcher `{other}`, which is not known here")),
        })
    }

    fn cascades(&self) -> bool {
        matches!(self, Self::Equality | Self::Type | Self::Items { .. })
    }

    fn inside(&self) -> Self {
        match self {
            Self::Items { .. } => Self::Type,
            other => other.clone(),
        }
    }

    fn holds(&self, expected: &Value, actual: &Value) -> bool {
        match self {
            Self::Equality => jsonschema::json::cmp::equal(expected, actual),
            Self::Type => same_type(expected, actual),
            Self::Items { min, max } => actual.as_array().is_some_and(|items| {
                min.is_none_or(|min| items.len() >= min) && max.is_none_or(|max| items.len() <= max)
            }),
            Self::Regex(regex) => match actual {
                Value::String(text) => regex.is_match(text),
                Value::Number(_) | Value::Bool(_) => regex.is_match(&actual.to_string()),
                _ => false,
            },
            Self::Include(part) => match actual {
                Value::String(text) => text.contains(part.as_str()),
                _ => false,
            },
            Self::Integer => is_integer(actual),
            Self::Decimal => actual.is_number() && !is_integer(actual),
            Self::Number => actual.is_number(),
            Self::Boolean => actual.is_boolean(),
            Self::Null => actual.is_null(),
            Self::NotEmpty => match actual {
                Value::String(text) => !text.is_empty(),
                Value::Array(items) => !items.is_empty(),
                Value::Object(members) => !members.is_empty(),
                other => !other.is_null(),
            },
        }
    }

    /// Says what it asks, after «at the place».
    pub(super) fn asks(&self) -> String {
        match self {
            Self::Equality => "is equal to the example".to_owned(),
            Self::Type => "has the type of the example".to_owned(),
            Self::Items { min, max } => match (min, max) {
                (Some(min), Some(max)) => format!("has {min} to {max} items"),
                (Some(min), None) => format!("has {min} items or more"),
                (None, Some(max)) => format!("has {max} items or fewer"),
                (None, None) => "is a list".to_owned(),
            },
            Self::Regex(regex) => format!("matches `{}`", regex.as_str()),
            Self::Include(part) => format!("includes `{part}`"),
            Self::Integer => "is an integer".to_owned(),
            Self::Decimal => "is a number with decimals".to_owned(),
            Self::Number => "is a number".to_owned(),
            Self::Boolean => "is true or false".to_owned(),
            Self::Null => "is null".to_owned(),
            Self::NotEmpty => "is not empty".to_owned(),
        }
    }

    /// Says the same in CEL, where CEL can.
    pub(super) fn expression(&self, field: &str, example: &Value) -> Option<String> {
        let quoted = |text: &str| {
            // CEL's texts have JSON's escapes and more.
            serde_json::to_string(text).ok()
        };
        match self {
            Self::Equality => match example {
                Value::String(text) => Some(format!("{field} == {}", quoted(text)?)),
                Value::Bool(flag) => Some(format!("{field} == {flag}")),
                Value::Number(number) if number.is_i64() => Some(format!("{field} == {number}")),
                _ => None,
            },
            Self::Items {
                min: Some(min),
                max: Some(max),
            } => Some(format!("size({field}) >= {min} && size({field}) <= {max}")),
            Self::Items { min: Some(min), .. } => Some(format!("size({field}) >= {min}")),
            Self::Items { max: Some(max), .. } => Some(format!("size({field}) <= {max}")),
            Self::Regex(regex) if example.is_string() => {
                Some(format!("{field}.matches({})", quoted(regex.as_str())?))
            }
            Self::Include(part) => Some(format!("{field}.contains({})", quoted(part)?)),
            Self::NotEmpty if example.is_string() || example.is_array() => {
                Some(format!("size({field}) > 0"))
            }
            _ => None,
        }
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

fn same_type(expected: &Value, actual: &Value) -> bool {
    std::mem::discriminant(expected) == std::mem::discriminant(actual)
}

/// Reads a path of a rule: `$.a.b`, `$['a b'][0].c[*]`.
fn parts(path: &str) -> Option<Vec<Part>> {
    let mut rest = path.strip_prefix('$')?;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("['") {
            let (name, after) = after.split_once("']")?;
            parts.push(Part::Name(name.to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            parts.push(match index {
                "*" => Part::Any,
                index => Part::Index(index.parse().ok()?),
            });
            rest = after;
        } else {
            let after = rest.strip_prefix('.')?;
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            parts.push(match name {
                "" => return None,
                "*" => Part::Any,
                name => Part::Name(name.to_owned()),
            });
            rest = after;
        }
    }
    Some(parts)
}
