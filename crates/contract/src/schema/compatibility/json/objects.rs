//! Objects: what is required, which properties came and went under which content model, what they
//! need beside them, and what else may stand there.

use super::super::beyond::{
    PATTERN_PROPERTIES_CHANGED, PROPERTY_ADDED_BESIDE_PATTERNS, PROPERTY_NAMES_CHANGED,
    REQUIRED_DESPITE_DEFAULT, REQUIRED_NAME_ADDED, UNEVALUATED_CHANGED,
};
use super::form::{Form, Id, Members, Object};
use super::{Comparing, Differences, rules};

impl<'f> Comparing<'f> {
    pub(super) fn objects(
        &mut self,
        before: &Object<'f>,
        after: &Object<'f>,
        into: &mut Differences,
    ) {
        let names = before.properties.len() + after.properties.len();
        self.spend(names * (1 + before.patterns.len() + after.patterns.len()));
        for (name, _) in before.properties.iter() {
            let Some(new) = after.properties.get(name) else {
                continue;
            };
            let required = !before.required.contains(name) && after.required.contains(name);
            if required && !self.forms.has_default(*new) {
                into.at.push("required".to_owned());
                self.add_at(name, "REQUIRED_ATTRIBUTE_ADDED", into);
                into.at.pop();
            }
        }
        if self.rules.is_ours() {
            self.names_required(before, after, into);
            self.patterns(before, after, into);
            self.names(before, after, into);
        }
        into.at.push("properties".to_owned());
        for (name, old) in before.properties.iter() {
            into.at.push((*name).to_owned());
            match after.properties.get(name) {
                Some(new) => self.pair(*old, *new, into),
                None => self.property_removed(name, *old, after, into),
            }
            into.at.pop();
        }
        for (name, new) in after.properties.iter() {
            if !before.properties.contains_key(name) {
                into.at.push((*name).to_owned());
                self.property_added(name, *new, before, after, into);
                into.at.pop();
            }
        }
        into.at.pop();
        self.dependencies(before, after, into);
        into.at.push("additionalProperties".to_owned());
        self.members(
            &before.additional,
            &after.additional,
            [
                "ADDITIONAL_PROPERTIES_REMOVED",
                "ADDITIONAL_PROPERTIES_NARROWED",
            ],
            into,
        );
        into.at.pop();
        let rules = [
            "UNEVALUATED_PROPERTIES_REMOVED",
            "UNEVALUATED_PROPERTIES_NARROWED",
        ];
        self.unevaluated(
            "unevaluatedProperties",
            before.unevaluated,
            after.unevaluated,
            rules,
            into,
        );
        let pair = (before.max, after.max);
        self.limit("maxProperties", pair, rules::MAX_PROPERTIES, into);
        let pair = (before.min, after.min);
        self.limit("minProperties", pair, rules::MIN_PROPERTIES, into);
    }

    /// Beyond Confluent: what names must look like.
    fn names(&mut self, before: &Object<'f>, after: &Object<'f>, into: &mut Differences) {
        let fits = match (before.names, after.names) {
            (_, None) => true,
            (None, Some(new)) => matches!(self.form(new), Form::Empty),
            (Some(old), Some(new)) => self.fits(old, new),
        };
        if !fits {
            self.add_at("propertyNames", PROPERTY_NAMES_CHANGED, into);
        }
        let left = !self.is_open_ended(after.unevaluated);
        if after.beside || (left && before.rest_said && !after.rest_said) {
            self.add(UNEVALUATED_CHANGED, into);
        }
    }

    /// Beyond Confluent: a pattern asks as much as it did, and what it covered is still let in.
    fn patterns(&mut self, before: &Object<'f>, after: &Object<'f>, into: &mut Differences) {
        let same = |object: &Object<'f>, pattern: &str| {
            let mut patterns = object.patterns.iter();
            patterns
                .find(|(other, _)| other.as_str() == pattern)
                .map(|(_, schema)| *schema)
        };
        self.spend(before.patterns.len() * after.patterns.len());
        into.at.push("patternProperties".to_owned());
        for (pattern, new) in &after.patterns {
            let fits = match same(before, pattern.as_str()) {
                Some(old) => self.fits(old, *new),
                None => matches!(self.form(*new), Form::Empty),
            };
            if !fits {
                self.add_at(pattern.as_str(), PATTERN_PROPERTIES_CHANGED, into);
            }
        }
        for (pattern, old) in &before.patterns {
            let fits = match (same(after, pattern.as_str()), &after.additional) {
                (Some(_), _) | (None, Members::Any) => self.is_open_ended(after.unevaluated),
                (None, Members::Like(rest)) => self.fits(*old, *rest),
                (None, Members::None) => false,
            };
            if !fits && same(after, pattern.as_str()).is_none() {
                self.add_at(pattern.as_str(), PATTERN_PROPERTIES_CHANGED, into);
            }
        }
        into.at.pop();
    }

    /// Beyond Confluent, whose rules look at required names only where a property has a schema.
    fn names_required(&mut self, before: &Object<'f>, after: &Object<'f>, into: &mut Differences) {
        let mut names: Vec<&str> = after
            .required
            .difference(&before.required)
            .copied()
            .collect();
        names.sort_unstable();
        for name in names {
            let rule = match after.properties.get(name) {
                Some(new) if self.forms.has_default(*new) => Some(REQUIRED_DESPITE_DEFAULT),
                Some(new)
                    if before.properties.contains_key(name)
                        || !self.is_open(before)
                        || !matches!(self.form(*new), Form::Empty) =>
                {
                    None
                }
                _ => Some(REQUIRED_NAME_ADDED),
            };
            if let Some(rule) = rule {
                into.at.push("required".to_owned());
                self.add_at(name, rule, into);
                into.at.pop();
            }
        }
    }

    fn property_removed(
        &mut self,
        name: &str,
        old: Id,
        after: &Object<'f>,
        into: &mut Differences,
    ) {
        if self.is_open(after) {
            return;
        }
        match self.covering(after, name) {
            Some(covering) => {
                let mut found = into.branch();
                self.pair(old, covering, &mut found);
                if !found.found.is_empty() {
                    into.found.append(&mut found.found);
                    let rule = "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL";
                    self.add(rule, into);
                }
            }
            None if matches!(self.form(old), Form::False) => {}
            None => self.add("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", into),
        }
    }

    fn property_added(
        &mut self,
        name: &str,
        new: Id,
        before: &Object<'f>,
        after: &Object<'f>,
        into: &mut Differences,
    ) {
        let required = after.required.contains(name);
        let has_default = self.forms.has_default(new);
        if self.is_open(before) {
            if matches!(self.form(new), Form::Empty) {
                return;
            }
            let rule = match (required, has_default) {
                (true, true) => "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
                (true, false) => "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
                (false, _) => "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
            };
            return self.add(rule, into);
        }
        let covering = self.covering(before, name);
        if covering.is_none()
            && matches!(before.additional, Members::Any)
            && self.is_open_ended(before.unevaluated)
            && !matches!(self.form(new), Form::Empty)
        {
            self.add(PROPERTY_ADDED_BESIDE_PATTERNS, into);
        }
        if let Some(covering) = covering {
            let mut found = into.branch();
            self.pair(covering, new, &mut found);
            if !found.found.is_empty() {
                into.found.append(&mut found.found);
                let rule = "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL";
                self.add(rule, into);
            }
        }
        if required && !has_default {
            self.add("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", into);
        }
    }

    fn dependencies(&mut self, before: &Object<'f>, after: &Object<'f>, into: &mut Differences) {
        into.at.push("dependencies".to_owned());
        for (name, new) in &after.needs {
            let old = before.needs.get(name).map_or(1, Vec::len);
            self.spend(new.len() * old);
            let rule = match before.needs.get(name) {
                None => "DEPENDENCY_ARRAY_ADDED",
                Some(old) if new.iter().all(|need| old.contains(need)) => continue,
                Some(old) if old.iter().all(|need| new.contains(need)) => {
                    "DEPENDENCY_ARRAY_EXTENDED"
                }
                Some(_) => "DEPENDENCY_ARRAY_CHANGED",
            };
            self.add_at(name, rule, into);
        }
        for (name, new) in &after.needs_schema {
            into.at.push((*name).to_owned());
            match before.needs_schema.get(name) {
                None => self.add("DEPENDENCY_SCHEMA_ADDED", into),
                Some(old) => self.pair(*old, *new, into),
            }
            into.at.pop();
        }
        into.at.pop();
    }

    fn is_open(&self, object: &Object<'_>) -> bool {
        matches!(object.additional, Members::Any)
            && object.patterns.is_empty()
            && self.is_open_ended(object.unevaluated)
    }

    /// Finds what a partially open object asks of a property that it does not name.
    fn covering(&self, object: &Object<'_>, name: &str) -> Option<Id> {
        let by_pattern = object
            .patterns
            .iter()
            .find(|(pattern, _)| pattern.is_match(name));
        if let Some((_, schema)) = by_pattern {
            return Some(*schema);
        }
        match object.additional {
            Members::Like(schema) => Some(schema),
            Members::Any => self.open_remainder(object.unevaluated),
            Members::None => None,
        }
    }
}
