//! JSON Schema as Confluent's registry judges it (its `SchemaDiff`): content models open, partially
//! open and closed; alternatives matched one to one. STRICT asks what any document could hold,
//! LENIENT what people mean. Rules and paths are Confluent's; only what is incompatible is kept.
//! Schemas are first brought into one form (`form.rs`), since JSON Schema says one thing in many ways.

mod form;
mod lists;
mod objects;
mod rules;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value;

use super::super::json::JsonSchema;
use super::{Incompatibility, MAX_DEPTH, MAX_REASONS, MAX_STEPS, REQUIRED_NAME_ADDED, TOO_COMPLEX};
use crate::model::CompatibilityPolicy;
use form::{Criterion, Form, Forms, Id, Members, Numbers, Text};

/// Alternatives are matched with each other, so this is squared.
const MAX_ALTERNATIVES: usize = 500;
/// How often a guess about schemas that contain themselves is made anew.
const MAX_PASSES: usize = 16;

pub(super) fn unreadable(
    reader: &JsonSchema,
    writer: &JsonSchema,
    policy: CompatibilityPolicy,
) -> Vec<Incompatibility> {
    let mut forms = Forms::default();
    let (Some(original), Some(update)) = (forms.add(writer), forms.add(reader)) else {
        return vec![Incompatibility::too_complex("#/")];
    };
    let mut seed: HashMap<(Id, Id), Found> = HashMap::new();
    let mut steps = MAX_STEPS;
    for _ in 0..MAX_PASSES {
        let mut comparing = Comparing {
            forms: &forms,
            policy,
            known: HashMap::new(),
            open: HashSet::new(),
            seed: &seed,
            guessed: false,
            steps,
            depth: 0,
        };
        let mut found = Differences::default();
        comparing.pair(original, update, &mut found);
        steps = comparing.steps;
        let (guessed, spent) = (comparing.guessed, comparing.steps == 0);
        let incompatible: HashMap<(Id, Id), Found> = comparing
            .known
            .into_iter()
            .filter(|(_, found)| !found.is_empty())
            .collect();
        let settled = incompatible.len() == seed.len()
            && incompatible.keys().all(|pair| seed.contains_key(pair));
        if spent || !guessed || settled {
            return found.told();
        }
        seed = incompatible;
    }
    vec![Incompatibility::too_complex("#/")]
}

/// What is wrong with a pair, with paths from the pair.
type Found = Rc<[(String, &'static str)]>;

/// What is wrong, and where the comparison stands.
#[derive(Default)]
struct Differences {
    at: Vec<String>,
    found: Vec<(String, &'static str)>,
}

impl Differences {
    /// Starts another list at the same place.
    fn branch(&self) -> Self {
        Self {
            at: self.at.clone(),
            found: Vec::new(),
        }
    }

    fn push(&mut self, path: String, rule: &'static str) {
        if self.found.len() < MAX_REASONS {
            self.found.push((path, rule));
        }
    }

    fn told(self) -> Vec<Incompatibility> {
        let mut told: Vec<Incompatibility> = Vec::new();
        for (path, rule) in self.found {
            let detail = match rule {
                TOO_COMPLEX => "the schemas are too intricate to be compared",
                rule => rules::detail(rule),
            };
            let found = Incompatibility::new(format!("#/{path}"), rule, detail);
            if !told.contains(&found) {
                told.push(found);
            }
        }
        told
    }
}

struct Comparing<'f> {
    forms: &'f Forms<'f>,
    policy: CompatibilityPolicy,
    known: HashMap<(Id, Id), Found>,
    /// Pairs that are being looked at.
    open: HashSet<(Id, Id)>,
    /// Pairs that an earlier pass found incompatible.
    seed: &'f HashMap<(Id, Id), Found>,
    /// Whether a pair inside itself was taken for compatible.
    guessed: bool,
    steps: usize,
    depth: usize,
}

impl<'f> Comparing<'f> {
    fn form(&self, id: Id) -> &'f Form<'f> {
        self.forms.get(id)
    }

    /// Compares two schemas where `into` stands.
    fn pair(&mut self, original: Id, update: Id, into: &mut Differences) {
        let pair = (self.forms.target(original), self.forms.target(update));
        let found = self.known_pair(pair);
        let prefix = into.at.join("/");
        for (path, rule) in found.iter() {
            let path = match (prefix.as_str(), path.as_str()) {
                ("", path) => path.to_owned(),
                (prefix, "") => prefix.to_owned(),
                (prefix, path) => format!("{prefix}/{path}"),
            };
            into.push(path, rule);
        }
    }

    fn known_pair(&mut self, pair: (Id, Id)) -> Found {
        if let Some(known) = self.known.get(&pair) {
            return Rc::clone(known);
        }
        if self.open.contains(&pair) {
            if let Some(seeded) = self.seed.get(&pair) {
                return Rc::clone(seeded);
            }
            self.guessed = true;
            return Rc::default();
        }
        if self.steps == 0 || self.depth > MAX_DEPTH {
            self.steps = 0;
            return [(String::new(), TOO_COMPLEX)].into();
        }
        self.steps -= 1;
        self.depth += 1;
        self.open.insert(pair);
        let mut found = Differences::default();
        self.compare(pair.0, pair.1, &mut found);
        self.open.remove(&pair);
        self.depth -= 1;
        let found: Found = found.found.into();
        self.known.insert(pair, Rc::clone(&found));
        found
    }

    /// Takes what a comparison costs beyond its pair.
    fn spend(&mut self, cost: usize) {
        self.steps = self.steps.saturating_sub(cost);
    }

    /// Says whether one may become the other.
    fn fits(&mut self, original: Id, update: Id) -> bool {
        let mut found = Differences::default();
        self.pair(original, update, &mut found);
        found.found.is_empty()
    }

    fn add(&self, rule: &'static str, into: &mut Differences) {
        if self.policy == CompatibilityPolicy::Strict || !rules::is_lenient(rule) {
            let path = into.at.join("/");
            into.push(path, rule);
        }
    }

    fn add_at(&self, step: &str, rule: &'static str, into: &mut Differences) {
        into.at.push(step.to_owned());
        self.add(rule, into);
        into.at.pop();
    }

    fn compare(&mut self, original: Id, update: Id, into: &mut Differences) {
        let (before, after) = (self.form(original), self.form(update));
        match (before, after) {
            (Form::Combined(..), Form::Combined(..)) => {}
            (_, Form::Combined(criterion, parts)) => {
                if let [only] = parts.as_slice() {
                    if self.fits(original, *only) {
                        return;
                    }
                } else if *criterion != Criterion::All
                    && parts.iter().any(|part| self.fits(original, *part))
                {
                    return;
                }
            }
            (Form::Combined(criterion, parts), _) => {
                if let [only] = parts.as_slice() {
                    if self.fits(*only, update) {
                        return;
                    }
                } else if *criterion == Criterion::All
                    && parts.iter().any(|part| self.fits(*part, update))
                {
                    return;
                }
            }
            _ => {}
        }
        match (before, after) {
            (Form::Text(before), Form::Text(after)) => self.texts(before, after, into),
            (Form::Number(before), Form::Number(after)) => self.numbers(before, after, into),
            (Form::Const(before), Form::Const(after)) => {
                if worth(before) != worth(after) {
                    self.add_at("const", "ENUM_ARRAY_CHANGED", into);
                }
            }
            (Form::Enum(before), Form::Enum(after)) => {
                self.spend(before.len() + after.len());
                let worth =
                    |values: &[Value]| values.iter().map(worth).collect::<HashSet<String>>();
                let (before, after) = (worth(before), worth(after));
                if !before.is_subset(&after) {
                    let rule = match after.is_subset(&before) {
                        true => "ENUM_ARRAY_NARROWED",
                        false => "ENUM_ARRAY_CHANGED",
                    };
                    self.add_at("enum", rule, into);
                }
            }
            (Form::Not(before), Form::Not(after)) => {
                if !self.fits(*after, *before) {
                    self.add_at("not", "NOT_TYPE_EXTENDED", into);
                }
            }
            (Form::Combined(..), Form::Combined(..)) => self.combined(before, after, into),
            (Form::Object(before), Form::Object(after)) => self.objects(before, after, into),
            (Form::List(before), Form::List(after)) => self.lists(before, after, into),
            (Form::Opaque(before), Form::Opaque(after)) if before != after => {
                self.add("TYPE_CHANGED", into);
            }
            (before, after) if std::mem::discriminant(before) == std::mem::discriminant(after) => {}
            // Nothing was written, or anything may be read.
            (Form::False, _) | (_, Form::Empty) => {}
            _ => self.add("TYPE_CHANGED", into),
        }
    }

    /// Compares a limit that refuses more the larger it is (`minLength`), or the smaller.
    fn limit(
        &self,
        name: &str,
        (before, after): (Option<f64>, Option<f64>),
        rules: Limit,
        into: &mut Differences,
    ) {
        match (before, after) {
            (None, Some(_)) => self.add_at(name, rules.added, into),
            (Some(before), Some(after))
                if (rules.tighter_when_larger && after > before)
                    || (!rules.tighter_when_larger && after < before) =>
            {
                self.add_at(name, rules.tightened, into);
            }
            _ => {}
        }
    }

    fn texts(&self, before: &Text<'_>, after: &Text<'_>, into: &mut Differences) {
        self.limit(
            "maxLength",
            (before.max, after.max),
            rules::MAX_LENGTH,
            into,
        );
        self.limit(
            "minLength",
            (before.min, after.min),
            rules::MIN_LENGTH,
            into,
        );
        match (before.pattern, after.pattern) {
            (None, Some(_)) => self.add_at("pattern", "PATTERN_ADDED", into),
            (Some(before), Some(after)) if before != after => {
                self.add_at("pattern", "PATTERN_CHANGED", into);
            }
            _ => {}
        }
    }

    fn numbers(&self, before: &Numbers, after: &Numbers, into: &mut Differences) {
        self.limit("maximum", (before.max, after.max), rules::MAXIMUM, into);
        self.limit("minimum", (before.min, after.min), rules::MINIMUM, into);
        let pair = (before.exclusive_max, after.exclusive_max);
        self.limit("exclusiveMaximum", pair, rules::EXCLUSIVE_MAXIMUM, into);
        let pair = (before.exclusive_min, after.exclusive_min);
        self.limit("exclusiveMinimum", pair, rules::EXCLUSIVE_MINIMUM, into);
        let rule = match (before.multiple_of, after.multiple_of) {
            (None, Some(_)) => Some("MULTIPLE_OF_ADDED"),
            (Some(before), Some(after)) if is_multiple(before, after) => None,
            (Some(before), Some(after)) if is_multiple(after, before) => {
                Some("MULTIPLE_OF_EXPANDED")
            }
            (Some(_), Some(_)) => Some("MULTIPLE_OF_CHANGED"),
            (_, None) => None,
        };
        if let Some(rule) = rule {
            self.add_at("multipleOf", rule, into);
        }
        if !before.integer && after.integer {
            self.add("TYPE_NARROWED", into);
        }
    }

    fn combined(&mut self, original: &Form<'_>, update: &Form<'_>, into: &mut Differences) {
        let (Form::Combined(before, olds), Form::Combined(after, news)) = (original, update) else {
            return;
        };
        let extended = before == after
            || *after == Criterion::Any
            || (olds.len() == 1 && news.len() == 1)
            || (olds.len() == 1 && *after == Criterion::One)
            || (news.len() == 1 && *before == Criterion::All);
        if !extended {
            return self.add("COMBINED_TYPE_CHANGED", into);
        }
        if olds.len() > MAX_ALTERNATIVES || news.len() > MAX_ALTERNATIVES {
            self.steps = 0;
            return self.add(TOO_COMPLEX, into);
        }
        if olds.len() < news.len() && *after == Criterion::All {
            self.add("PRODUCT_TYPE_EXTENDED", into);
        } else if olds.len() > news.len() && *before != Criterion::All {
            self.add("SUM_TYPE_NARROWED", into);
        }
        self.spend(olds.len() * news.len());
        let fitting: Vec<Vec<usize>> = olds
            .iter()
            .map(|old| {
                (0..news.len())
                    .filter(|new| self.fits(*old, news[*new]))
                    .collect()
            })
            .collect();
        if matched(&fitting, news.len()) < olds.len().min(news.len()) {
            self.add("COMBINED_TYPE_SUBSCHEMAS_CHANGED", into);
        }
    }

    /// Compares what `additionalProperties` or `additionalItems` let in.
    fn members(
        &mut self,
        before: &Members,
        after: &Members,
        [removed, narrowed]: [&'static str; 2],
        into: &mut Differences,
    ) {
        match (before, after) {
            (Members::Any | Members::Like(_), Members::None) => self.add(removed, into),
            (Members::Any, Members::Like(_)) => self.add(narrowed, into),
            (Members::Like(old), Members::Like(new)) => self.pair(*old, *new, into),
            _ => {}
        }
    }

    fn unevaluated(
        &mut self,
        name: &str,
        before: Option<Id>,
        after: Option<Id>,
        [removed, narrowed]: [&'static str; 2],
        into: &mut Differences,
    ) {
        let Some(new) = after else {
            return;
        };
        let is = |id: Id, form: Form<'_>| {
            std::mem::discriminant(self.form(id)) == std::mem::discriminant(&form)
        };
        let (new_false, new_empty) = (is(new, Form::False), is(new, Form::Empty));
        let (old_false, old_empty) = match before {
            Some(old) => (is(old, Form::False), is(old, Form::Empty)),
            None => (false, false),
        };
        into.at.push(name.to_owned());
        match before {
            _ if old_false && !new_false => {}
            _ if new_false && !old_false => self.add(removed, into),
            None => self.add(narrowed, into),
            Some(_) if old_empty && !new_empty => self.add(narrowed, into),
            Some(_) if new_empty && !old_empty => {}
            Some(old) => self.pair(old, new, into),
        }
        into.at.pop();
    }

    fn is_open_ended(&self, unevaluated: Option<Id>) -> bool {
        unevaluated.is_none_or(|id| matches!(self.form(id), Form::Empty))
    }

    fn open_remainder(&self, unevaluated: Option<Id>) -> Option<Id> {
        unevaluated.filter(|id| !matches!(self.form(*id), Form::False | Form::Empty))
    }
}

/// The rules of a limit.
#[derive(Clone, Copy)]
struct Limit {
    tighter_when_larger: bool,
    added: &'static str,
    tightened: &'static str,
}

/// Writes a value so that two are one text if they are one in JSON: numbers by what they are worth.
fn worth(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 => format!("{number:.0}"),
        _ => value.to_string(),
    }
}

fn is_multiple(number: f64, of: f64) -> bool {
    let quotient = number / of;
    of != 0.0 && quotient.round() >= 1.0 && (quotient - quotient.round()).abs() < 1e-9
}

/// Counts how many of the left can each have a right of their own (Kuhn's matching).
fn matched(fitting: &[Vec<usize>], rights: usize) -> usize {
    fn assign(
        left: usize,
        fitting: &[Vec<usize>],
        taken: &mut [Option<usize>],
        tried: &mut [bool],
    ) -> bool {
        for &right in &fitting[left] {
            if std::mem::replace(&mut tried[right], true) {
                continue;
            }
            let free = match taken[right] {
                None => true,
                Some(other) => assign(other, fitting, taken, tried),
            };
            if free {
                taken[right] = Some(left);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; rights];
    (0..fitting.len())
        .filter(|left| assign(*left, fitting, &mut taken, &mut vec![false; rights]))
        .count()
}
