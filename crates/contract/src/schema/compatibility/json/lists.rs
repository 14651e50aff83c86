//! Lists: a schema for all items, schemas for the first ones, and what may follow them.

use super::super::beyond::{CONTAINS_CHANGED, UNEVALUATED_CHANGED};
use super::form::{Form, Id, List, Members};
use super::{Comparing, Differences, rules};

impl Comparing<'_> {
    pub(super) fn lists(&mut self, before: &List, after: &List, into: &mut Differences) {
        // Confluent: no schema for all items any more is a schema removed, which is fine.
        match (before.all, after.all) {
            (None, Some(_)) => self.add_at("items", "SCHEMA_ADDED", into),
            (Some(old), Some(new)) => {
                into.at.push("items".to_owned());
                self.pair(old, new, into);
                into.at.pop();
            }
            (_, None) => {}
        }
        for index in 0..before.each.len().max(after.each.len()) {
            into.at.push(format!("items/{index}"));
            match (before.each.get(index), after.each.get(index)) {
                (Some(old), Some(new)) => self.pair(*old, *new, into),
                (Some(old), None) => self.item_removed(*old, after, into),
                (None, Some(new)) => self.item_added(*new, before, into),
                (None, None) => {}
            }
            into.at.pop();
        }
        into.at.push("additionalItems".to_owned());
        let rules = ["ADDITIONAL_ITEMS_REMOVED", "ADDITIONAL_ITEMS_NARROWED"];
        self.members(&before.additional, &after.additional, rules, into);
        into.at.pop();
        let rules = ["UNEVALUATED_ITEMS_REMOVED", "UNEVALUATED_ITEMS_NARROWED"];
        let pair = (before.unevaluated, after.unevaluated);
        self.unevaluated("unevaluatedItems", pair.0, pair.1, rules, into);
        self.limit("maxItems", (before.max, after.max), rules::MAX_ITEMS, into);
        self.limit("minItems", (before.min, after.min), rules::MIN_ITEMS, into);
        if !before.unique && after.unique {
            self.add_at("uniqueItems", "UNIQUE_ITEMS_ADDED", into);
        }
        if self.rules.is_ours() {
            self.contained(before, after, into);
        }
        let pair = (before.max_contains, after.max_contains);
        self.limit("maxContains", pair, rules::MAX_CONTAINS, into);
        let pair = (before.min_contains, after.min_contains);
        self.limit("minContains", pair, rules::MIN_CONTAINS, into);
    }

    /// Beyond Confluent: what must be among the items, and how often.
    fn contained(&mut self, before: &List, after: &List, into: &mut Differences) {
        let fits = match (before.contains, after.contains) {
            (_, None) => true,
            // What no item must keep may be kept by as many as one likes.
            (None, Some(_)) => after.min_contains == Some(0.0) && after.max_contains.is_none(),
            (Some(old), Some(new)) => {
                let least = |list: &List| list.min_contains.unwrap_or(1.0);
                (least(after) == 0.0 || self.fits(old, new) && least(after) <= least(before))
                    && (after.max_contains.is_none()
                        || before.max_contains.is_some() && self.fits(new, old))
            }
        };
        if !fits {
            self.add_at("contains", CONTAINS_CHANGED, into);
        }
        let evaluated = |list: &List| {
            let (all, contains) = (list.all.is_some(), list.contains.is_some());
            (all, list.each.len(), list.rest_said, contains)
        };
        let left = !self.is_open_ended(after.unevaluated);
        if after.beside || (left && evaluated(before) != evaluated(after)) {
            self.add(UNEVALUATED_CHANGED, into);
        }
    }

    fn covering_item(&self, list: &List) -> Option<Id> {
        match list.additional {
            Members::Like(schema) => Some(schema),
            Members::Any => self.open_remainder(list.unevaluated),
            Members::None => None,
        }
    }

    fn is_open_list(&self, list: &List) -> bool {
        matches!(list.additional, Members::Any) && self.is_open_ended(list.unevaluated)
    }

    fn item_removed(&mut self, old: Id, after: &List, into: &mut Differences) {
        if self.is_open_list(after) {
            return;
        }
        match self.covering_item(after) {
            Some(covering) => {
                let mut found = into.branch();
                self.pair(old, covering, &mut found);
                if !found.found.is_empty() {
                    into.found.append(&mut found.found);
                    let rule = "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL";
                    self.add(rule, into);
                }
            }
            None if matches!(self.form(old), Form::False) => {}
            None => self.add("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL", into),
        }
    }

    fn item_added(&mut self, new: Id, before: &List, into: &mut Differences) {
        if self.is_open_list(before) {
            if !matches!(self.form(new), Form::Empty) {
                self.add("ITEM_ADDED_TO_OPEN_CONTENT_MODEL", into);
            }
            return;
        }
        if let Some(covering) = self.covering_item(before) {
            let mut found = into.branch();
            self.pair(covering, new, &mut found);
            if !found.found.is_empty() {
                into.found.append(&mut found.found);
                let rule = "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL";
                self.add(rule, into);
            }
        }
    }
}
