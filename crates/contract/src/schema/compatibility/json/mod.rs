//! JSON Schema as Confluent's registry judges it (its `SchemaDiff`): content models open, partially
//! open and closed; alternatives matched one to one. STRICT asks what any document could hold,
//! LENIENT what people mean. Rules and paths are Confluent's; only what is incompatible is kept.
//! Schemas are first brought into one form (`form.rs`), since JSON Schema says one thing in many ways.

mod alternatives;
mod apart;
mod form;
mod lists;
mod objects;
mod place;
mod rules;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value;

use super::super::json::JsonSchema;
use super::beyond::{ALTERNATIVES_OVERLAP, BEYOND_CONFLUENT, TYPE_ADDED};
use super::{Incompatibility, MAX_DEPTH, MAX_REASONS, MAX_STEPS, Rules, TOO_COMPLEX};
use crate::model::CompatibilityPolicy;
use form::{Criterion, Form, Forms, Id, List, Members, Numbers, Object, Text};

/// How often a guess about schemas that contain themselves is made anew.
const MAX_PASSES: usize = 16;

pub(super) fn unreadable(
    reader: &JsonSchema,
    writer: &JsonSchema,
    rules: Rules,
) -> Vec<Incompatibility> {
    // One text means one thing, also where rules are careful.
    if reader.pointer == writer.pointer && reader.file.is_same(&writer.file) {
        return Vec::new();
    }
    let mut forms = Forms::default();
    forms.keeps_doubles = rules.is_ours();
    let (Some(original), Some(update)) = (forms.add(writer), forms.add(reader)) else {
        return vec![Incompatibility::too_complex("#/")];
    };
    let mut seed: HashMap<(Id, Id), Found> = HashMap::new();
    let mut steps = MAX_STEPS;
    for _ in 0..MAX_PASSES {
        let mut comparing = Comparing {
            forms: &forms,
            rules,
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
    rules: Rules,
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
        let told = match BEYOND_CONFLUENT.contains(&rule) {
            true => self.rules.is_ours(),
            false => true,
        };
        let strict = self.rules.policy() == CompatibilityPolicy::Strict;
        if told && (strict || !rules::is_lenient(rule)) {
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
                    && let Some(at) = parts.iter().position(|part| self.fits(original, *part))
                {
                    let alone = |(other, part): (usize, &Id)| {
                        other == at || self.are_apart(original, *part)
                    };
                    if *criterion == Criterion::One && !parts.iter().enumerate().all(alone) {
                        self.add(ALTERNATIVES_OVERLAP, into);
                    }
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
        if is_loose(before) && !is_loose(after) && !matches!(after, Form::Empty) {
            self.add(TYPE_ADDED, into);
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
            (Form::Conditional(before), Form::Conditional(after)) => {
                self.conditions(*before, *after, into);
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

fn is_loose(form: &Form<'_>) -> bool {
    match form {
        Form::Text(Text { loose, .. })
        | Form::Number(Numbers { loose, .. })
        | Form::Object(Object { loose, .. })
        | Form::List(List { loose, .. }) => *loose,
        _ => false,
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
