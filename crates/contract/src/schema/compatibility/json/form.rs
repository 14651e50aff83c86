//! JSON Schema in one form: each schema is one kind of thing, and what says several things at once
//! is a combination of all of them, as the library behind Confluent's registry reads it. References
//! are followed, to other files too; one that leads nowhere stands for its own text. Built without
//! recursion, so that no schema is too deep for it; too many are refused.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jsonschema::Draft;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::super::super::json::JsonSchema;
use super::place::{Place, resolve};

/// Both schemas together.
const MAX_FORMS: usize = 100_000;
const MAX_PATTERN_BYTES: usize = 256 * 1024;

pub(super) type Id = usize;

pub(super) enum Form<'a> {
    Empty,
    False,
    Boolean,
    Null,
    Text(Text<'a>),
    Number(Numbers),
    Const(&'a Value),
    Enum(&'a [Value]),
    Not(Id),
    Combined(Criterion, Vec<Id>),
    Object(Object<'a>),
    List(List),
    /// `if`, `then`, `else`: Confluent does not look inside.
    Conditional([Option<Id>; 3]),
    Reference(Id),
    /// A reference that leads nowhere we know.
    Opaque(&'a str),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Criterion {
    All,
    Any,
    One,
}

/// What is `loose` has no type: it says something about texts, and lets in what is none.
pub(super) struct Text<'a> {
    pub(super) loose: bool,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) pattern: Option<&'a str>,
}

pub(super) struct Numbers {
    pub(super) loose: bool,
    pub(super) integer: bool,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) exclusive_min: Option<f64>,
    pub(super) exclusive_max: Option<f64>,
    pub(super) multiple_of: Option<f64>,
}

/// What may stand beside that which is named.
pub(super) enum Members {
    Any,
    None,
    Like(Id),
}

pub(super) struct Object<'a> {
    pub(super) loose: bool,
    pub(super) names: Option<Id>,
    /// Whether `additionalProperties` is written, so that nothing is left unevaluated.
    pub(super) rest_said: bool,
    /// Whether what is evaluated is said by others beside it too.
    pub(super) beside: bool,
    pub(super) properties: BTreeMap<&'a str, Id>,
    /// In the order of their names: what is looked at first decides what a limit leaves out.
    pub(super) required: BTreeSet<&'a str>,
    pub(super) patterns: Vec<(Regex, Id)>,
    pub(super) additional: Members,
    pub(super) unevaluated: Option<Id>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) needs: BTreeMap<&'a str, Vec<&'a str>>,
    pub(super) needs_schema: BTreeMap<&'a str, Id>,
}

pub(super) struct List {
    pub(super) loose: bool,
    pub(super) contains: Option<Id>,
    pub(super) rest_said: bool,
    pub(super) beside: bool,
    /// The schema of all items.
    pub(super) all: Option<Id>,
    /// The schemas of the first items.
    pub(super) each: Vec<Id>,
    pub(super) additional: Members,
    pub(super) unevaluated: Option<Id>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
    pub(super) min_contains: Option<f64>,
    pub(super) max_contains: Option<f64>,
    pub(super) unique: bool,
}

/// The forms of two schemas.
#[derive(Default)]
pub(super) struct Forms<'a> {
    /// Whether an alternative that is there twice is two.
    pub(super) keeps_doubles: bool,
    forms: Vec<Form<'a>>,
    has_default: Vec<bool>,
    /// Where each leads when references are followed.
    targets: Vec<Id>,
    /// By the address of their JSON: what is referred to twice is one.
    ids: HashMap<usize, Id>,
    open: Vec<(Id, Place<'a>)>,
}

impl<'a> Forms<'a> {
    /// Brings a schema into this form; nothing if it is too large.
    pub(super) fn add(&mut self, schema: &'a JsonSchema) -> Option<Id> {
        let file = &*schema.file;
        let (path, root) = file.documents.get_key_value(&file.name)?;
        let place = Place {
            value: root.pointer(&schema.pointer)?,
            file,
            path,
        };
        let id = self.id(place);
        while let Some((id, place)) = self.open.pop() {
            if self.forms.len() > MAX_FORMS {
                return None;
            }
            self.forms[id] = self.form(place);
        }
        self.follow();
        Some(id)
    }

    pub(super) fn get(&self, id: Id) -> &Form<'a> {
        &self.forms[self.target(id)]
    }

    /// Returns what a schema is after all references; a ring of them is as good as empty.
    pub(super) fn target(&self, id: Id) -> Id {
        self.targets[id]
    }

    /// Follows every chain of references once.
    fn follow(&mut self) {
        let mut targets: Vec<Option<Id>> = vec![None; self.forms.len()];
        // From where each was last come by; nothing is come by twice but in a ring.
        let mut seen_from: Vec<Option<Id>> = vec![None; self.forms.len()];
        for start in 0..self.forms.len() {
            let mut way = Vec::new();
            let mut at = start;
            let end = loop {
                if let Some(known) = targets[at] {
                    break known;
                }
                match self.forms[at] {
                    Form::Reference(next) if seen_from[at] != Some(start) => {
                        seen_from[at] = Some(start);
                        way.push(at);
                        at = next;
                    }
                    _ => break at,
                }
            };
            for id in way {
                targets[id] = Some(end);
            }
            targets[start] = Some(targets[start].unwrap_or(end));
        }
        self.targets = targets.into_iter().flatten().collect();
    }

    /// Says whether the schema gives a default.
    pub(super) fn has_default(&self, id: Id) -> bool {
        self.has_default[id]
    }

    fn push(&mut self, form: Form<'a>, has_default: bool) -> Id {
        self.forms.push(form);
        self.has_default.push(has_default);
        self.forms.len() - 1
    }

    fn id(&mut self, place: Place<'a>) -> Id {
        let address = std::ptr::from_ref(place.value).addr();
        if let Some(id) = self.ids.get(&address) {
            return *id;
        }
        let id = self.push(Form::Empty, place.value.get("default").is_some());
        self.ids.insert(address, id);
        self.open.push((id, place));
        id
    }

    fn below(&mut self, place: Place<'a>, value: &'a Value) -> Id {
        self.id(Place { value, ..place })
    }

    fn form(&mut self, place: Place<'a>) -> Form<'a> {
        let keys = match place.value {
            Value::Bool(false) => return Form::False,
            Value::Object(keys) => keys,
            _ => return Form::Empty,
        };
        let mut parts = Vec::new();
        if let Some(Value::String(reference)) = keys.get("$ref") {
            let form = match resolve(place, reference) {
                Some(target) => Form::Reference(self.id(target)),
                None => Form::Opaque(reference),
            };
            // Draft-07 has nothing beside a reference count.
            if place.file.draft == Draft::Draft7 {
                return form;
            }
            parts.push(form);
        }
        if let Some(Value::Array(values)) = keys.get("enum") {
            parts.push(Form::Enum(values));
        }
        for (key, criterion) in [
            ("allOf", Criterion::All),
            ("anyOf", Criterion::Any),
            ("oneOf", Criterion::One),
        ] {
            if let Some(Value::Array(inner)) = keys.get(key) {
                // The same said twice is said once; but of `oneOf` Confluent alone believes that.
                let mut said = HashSet::new();
                let one = inner.len() == 1 || (criterion == Criterion::One && self.keeps_doubles);
                let inner = inner
                    .iter()
                    .filter(|value| one || said.insert(value.to_string()))
                    .map(|value| self.below(place, value))
                    .collect();
                parts.push(Form::Combined(criterion, inner));
            }
        }
        if let Some(inner) = keys.get("not") {
            parts.push(Form::Not(self.below(place, inner)));
        }
        if let Some(value) = keys.get("const") {
            parts.push(Form::Const(value));
        }
        if keys.contains_key("if") {
            let inner = ["if", "then", "else"];
            let inner = inner.map(|key| keys.get(key).map(|inner| self.below(place, inner)));
            parts.push(Form::Conditional(inner));
        }
        match keys.get("type") {
            Some(Value::String(name)) => parts.extend(self.typed(place, keys, name, false)),
            Some(Value::Array(names)) => {
                let mut forms: Vec<Form<'a>> = Vec::new();
                for name in names.iter().filter_map(Value::as_str) {
                    forms.extend(self.typed(place, keys, name, false));
                }
                parts.extend(self.combine(Criterion::Any, forms));
            }
            _ => {
                for (name, known) in SNIFFED {
                    if known.iter().any(|key| keys.contains_key(*key)) {
                        parts.extend(self.typed(place, keys, name, true));
                    }
                }
            }
        }
        self.combine(Criterion::All, parts).unwrap_or(Form::Empty)
    }

    fn combine(&mut self, criterion: Criterion, mut forms: Vec<Form<'a>>) -> Option<Form<'a>> {
        if forms.len() < 2 {
            return forms.pop();
        }
        let ids = forms
            .into_iter()
            .map(|form| self.push(form, false))
            .collect();
        Some(Form::Combined(criterion, ids))
    }

    fn typed(
        &mut self,
        place: Place<'a>,
        keys: &'a Map<String, Value>,
        name: &str,
        loose: bool,
    ) -> Option<Form<'a>> {
        let number = |key: &str| keys.get(key).and_then(Value::as_f64);
        Some(match name {
            "string" => Form::Text(Text {
                loose,
                min: number("minLength"),
                max: number("maxLength"),
                pattern: keys.get("pattern").and_then(Value::as_str),
            }),
            "number" | "integer" => Form::Number(Numbers {
                loose,
                integer: name == "integer",
                min: number("minimum"),
                max: number("maximum"),
                exclusive_min: number("exclusiveMinimum"),
                exclusive_max: number("exclusiveMaximum"),
                multiple_of: number("multipleOf"),
            }),
            "boolean" => Form::Boolean,
            "null" => Form::Null,
            "object" => Form::Object(self.object(place, keys, loose)),
            "array" => Form::List(self.list(place, keys, loose)),
            _ => return None,
        })
    }

    fn members(&mut self, place: Place<'a>, value: Option<&'a Value>) -> Members {
        match value {
            None | Some(Value::Bool(true)) => Members::Any,
            Some(Value::Bool(false)) => Members::None,
            Some(value) => Members::Like(self.below(place, value)),
        }
    }

    fn object(
        &mut self,
        place: Place<'a>,
        keys: &'a Map<String, Value>,
        loose: bool,
    ) -> Object<'a> {
        let number = |key: &str| keys.get(key).and_then(Value::as_f64);
        let map = |key: &str| {
            keys.get(key)
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
        };
        let mut needs = BTreeMap::new();
        let mut needs_schema = BTreeMap::new();
        for (name, value) in map("dependencies")
            .chain(map("dependentRequired"))
            .chain(map("dependentSchemas"))
        {
            match value {
                Value::Array(names) => {
                    let names = names.iter().filter_map(Value::as_str).collect();
                    needs.insert(name.as_str(), names);
                }
                schema => {
                    needs_schema.insert(name.as_str(), self.below(place, schema));
                }
            }
        }
        Object {
            loose,
            names: keys
                .get("propertyNames")
                .map(|value| self.below(place, value)),
            rest_said: keys.contains_key("additionalProperties"),
            beside: says_beside(keys),
            properties: map("properties")
                .map(|(name, value)| (name.as_str(), self.below(place, value)))
                .collect(),
            required: keys
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
            patterns: map("patternProperties")
                .filter_map(|(pattern, value)| {
                    let pattern = RegexBuilder::new(pattern)
                        .size_limit(MAX_PATTERN_BYTES)
                        .build();
                    Some((pattern.ok()?, self.below(place, value)))
                })
                .collect(),
            additional: self.members(place, keys.get("additionalProperties")),
            unevaluated: keys
                .get("unevaluatedProperties")
                .map(|value| self.below(place, value)),
            min: number("minProperties"),
            max: number("maxProperties"),
            needs,
            needs_schema,
        }
    }

    fn list(&mut self, place: Place<'a>, keys: &'a Map<String, Value>, loose: bool) -> List {
        let number = |key: &str| keys.get(key).and_then(Value::as_f64);
        // 2020-12 has `prefixItems` and `items` for what was `items` and `additionalItems`.
        let (each, rest) = match (keys.get("prefixItems"), keys.get("items")) {
            (Some(Value::Array(each)), rest) => (each.as_slice(), rest),
            (_, Some(Value::Array(each))) => (each.as_slice(), keys.get("additionalItems")),
            (_, Some(Value::Bool(_))) => (&[][..], keys.get("items")),
            _ => (&[][..], keys.get("additionalItems")),
        };
        let all = match keys.get("items") {
            Some(value @ Value::Object(_)) if each.is_empty() => Some(self.below(place, value)),
            _ => None,
        };
        List {
            loose,
            contains: keys.get("contains").map(|value| self.below(place, value)),
            rest_said: rest.is_some(),
            beside: says_beside(keys),
            all,
            each: each.iter().map(|value| self.below(place, value)).collect(),
            additional: self.members(place, rest),
            unevaluated: keys
                .get("unevaluatedItems")
                .map(|value| self.below(place, value)),
            min: number("minItems"),
            max: number("maxItems"),
            min_contains: number("minContains"),
            max_contains: number("maxContains"),
            unique: keys.get("uniqueItems") == Some(&Value::Bool(true)),
        }
    }
}

/// Says whether what `unevaluated…` leaves depends on more than the keys of objects and lists.
fn says_beside(keys: &Map<String, Value>) -> bool {
    const OTHERS: &[&str] = &[
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "dependentSchemas",
        "contains",
    ];
    let unevaluated = ["unevaluatedProperties", "unevaluatedItems"];
    unevaluated.iter().any(|key| keys.contains_key(*key))
        && OTHERS.iter().any(|key| keys.contains_key(*key))
}

/// By which keys a schema without a type is known.
const SNIFFED: &[(&str, &[&str])] = &[
    ("string", &["minLength", "maxLength", "pattern", "format"]),
    (
        "number",
        &[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ],
    ),
    (
        "array",
        &[
            "items",
            "prefixItems",
            "additionalItems",
            "unevaluatedItems",
            "minItems",
            "maxItems",
            "uniqueItems",
            "contains",
        ],
    ),
    (
        "object",
        &[
            "properties",
            "required",
            "additionalProperties",
            "unevaluatedProperties",
            "minProperties",
            "maxProperties",
            "dependencies",
            "dependentRequired",
            "dependentSchemas",
            "patternProperties",
            "propertyNames",
        ],
    ),
];
