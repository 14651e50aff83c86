//! Documents that a schema is likely to take, and those beside them.

use serde_json::{Map, Value, json};

use super::super::choices::Choices;
use super::{NAMES, PATTERNS, values};

/// Makes documents that a schema is likely to take.
pub(super) struct Documents<'a> {
    pub(super) root: &'a Value,
    pub(super) choices: &'a mut Choices,
    /// How many values may still come.
    pub(super) left: usize,
}

impl Documents<'_> {
    pub(super) fn of(&mut self, schema: &Value) -> Value {
        let Some(left) = self.left.checked_sub(1) else {
            return Value::Null;
        };
        self.left = left;
        let Value::Object(keys) = schema else {
            return self.any();
        };
        if keys.contains_key("$ref") {
            let target = self
                .root
                .pointer("/definitions/d")
                .cloned()
                .unwrap_or_default();
            return self.of(&target);
        }
        if let Some(value) = keys.get("const") {
            return value.clone();
        }
        if let Some(Value::Array(some)) = keys.get("enum") {
            return some[self.choices.below(some.len())].clone();
        }
        for name in ["oneOf", "anyOf"] {
            if let Some(Value::Array(parts)) = keys.get(name) {
                let chosen = self.choices.below(parts.len());
                let part = self.of(&parts[chosen]);
                return match (part, self.choices.once_in(2)) {
                    (Value::Object(members), true) => self.with(members, keys),
                    (part, _) => part,
                };
            }
        }
        if let Some(Value::Array(parts)) = keys.get("allOf") {
            let mut all = Map::new();
            let mut last = Value::Null;
            for part in parts {
                match self.of(part) {
                    Value::Object(members) => all.extend(members),
                    other => last = other,
                }
            }
            return if all.is_empty() { last } else { all.into() };
        }
        for name in ["then", "if"] {
            if let Some(inner) = keys.get(name)
                && self.choices.once_in(2)
            {
                return self.of(inner);
            }
        }
        let has = |names: &[&str]| names.iter().any(|name| keys.contains_key(*name));
        let stray = self.choices.once_in(10);
        let kind = match keys.get("type") {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Array(names)) => names[self.choices.below(names.len())]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            _ if stray => String::new(),
            _ if has(&[
                "properties",
                "required",
                "additionalProperties",
                "patternProperties",
            ]) =>
            {
                "object".to_owned()
            }
            _ if has(&["items", "prefixItems", "contains", "minItems", "maxItems"]) => {
                "array".to_owned()
            }
            _ if has(&["minLength", "maxLength", "pattern"]) => "string".to_owned(),
            _ if has(&[
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "multipleOf",
            ]) =>
            {
                "number".to_owned()
            }
            _ => String::new(),
        };
        match kind.as_str() {
            "string" => self.text(keys).into(),
            "integer" => self.whole(keys).into(),
            "number" => match self.choices.below(3) {
                0 => json!(1.5),
                _ => self.whole(keys).into(),
            },
            "object" => self.with(Map::new(), keys),
            "array" => self.list(keys),
            "boolean" => self.choices.once_in(2).into(),
            "null" => Value::Null,
            _ => self.any(),
        }
    }

    fn any(&mut self) -> Value {
        let all = values();
        match self.choices.below(12) {
            at @ 0..=8 => all[at].clone(),
            9 => json!({}),
            10 => json!([]),
            _ => json!({"c": "c", "b": 0}),
        }
    }

    fn number(&mut self, keys: &Map<String, Value>, name: &str) -> Option<u64> {
        keys.get(name).and_then(Value::as_u64)
    }

    fn text(&mut self, keys: &Map<String, Value>) -> String {
        if let Some(pattern) = keys.get("pattern").and_then(Value::as_str) {
            let known = PATTERNS.iter().find(|(known, _)| *known == pattern);
            return known.map_or("a", |(_, text)| text).to_owned();
        }
        let length = match (
            self.number(keys, "minLength"),
            self.number(keys, "maxLength"),
        ) {
            (Some(min), _) if self.choices.once_in(2) => min,
            (_, Some(max)) => max,
            (min, None) => min.unwrap_or(0) + self.choices.below(3) as u64,
        };
        (0..length)
            .map(|_| ["a", "b", "c"][self.choices.below(3)])
            .collect()
    }

    fn whole(&mut self, keys: &Map<String, Value>) -> u64 {
        let limits = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
        let near: Vec<u64> = limits
            .iter()
            .filter_map(|name| self.number(keys, name))
            .collect();
        match near.is_empty() {
            true => self.choices.below(5) as u64,
            false => (near[self.choices.below(near.len())] + self.choices.below(3) as u64)
                .saturating_sub(1),
        }
    }

    fn with(&mut self, mut members: Map<String, Value>, keys: &Map<String, Value>) -> Value {
        let properties = keys.get("properties").and_then(Value::as_object);
        let required = keys.get("required").and_then(Value::as_array);
        for name in NAMES {
            let wanted = required.is_some_and(|names| names.iter().any(|one| one == name));
            let known = properties.and_then(|properties| properties.get(name));
            let stray = known.is_none() && self.choices.once_in(6);
            if wanted || stray || (known.is_some() && self.choices.once_in(2)) {
                let rest = keys.get("additionalProperties");
                let value = match known.or(rest) {
                    Some(schema) => self.of(&schema.clone()),
                    None => self.any(),
                };
                members.insert(name.to_owned(), value);
            }
        }
        Value::Object(members)
    }

    fn list(&mut self, keys: &Map<String, Value>) -> Value {
        let first: Vec<Value> = ["prefixItems", "items"]
            .iter()
            .filter_map(|name| keys.get(*name)?.as_array())
            .flatten()
            .cloned()
            .collect();
        let rest = ["items", "additionalItems", "contains"]
            .iter()
            .find_map(|name| keys.get(*name).filter(|v| !v.is_array()));
        let least = self.number(keys, "minItems").unwrap_or(0) as usize;
        let count = least.max(self.choices.below(4));
        let item = |at: usize| first.get(at).or(rest).cloned();
        (0..count)
            .map(|at| match item(at) {
                Some(schema) => self.of(&schema),
                None => self.any(),
            })
            .collect()
    }
}

/// Puts a document beside what it was made after.
pub(super) fn disturb(document: &mut Value, choices: &mut Choices) {
    match document {
        Value::Object(members) => {
            let name = choices.of(&NAMES);
            if members.shift_remove(name).is_none() {
                members.insert(name.to_owned(), values()[choices.below(9)].clone());
            } else if let Some((_, value)) = members.iter_mut().next() {
                disturb(value, choices);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = choices.below(items.len());
            disturb(&mut items[at], choices);
        }
        value => *value = values()[choices.below(9)].clone(),
    }
}
