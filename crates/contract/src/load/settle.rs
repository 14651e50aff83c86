//! One document against the declaration of its kind: what is written, what is missing, misspelt,
//! of the wrong form or not supported yet. Every finding of a document is reported, not the first.

use std::collections::BTreeMap;

use super::File;
use super::diagnostic::Diagnostics;
use super::yaml::{Node, Place, Value};
use crate::explain::{Explained, Origin};
use crate::format::{Form, Key, Presence, Word};
use crate::model::{Audience, Class, MAX_AMOUNT};
use crate::units::ByteSize;

/// The values that a document writes, by key from the root, in the text form of the format. An item
/// of a list is `key[0]`, one that the writer named `key[name]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    values: BTreeMap<String, (String, Place)>,
    /// The labels of lists and maps of the writer's, in the order of the file, and where they stand.
    labels: BTreeMap<String, (Vec<String>, Place)>,
}

impl Written {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(text, _)| text.as_str())
    }

    /// Returns where the value of `key` stands. A default stands nowhere; the name, from which it
    /// may be made, does.
    pub(crate) fn place_or_name(&self, key: &str) -> Place {
        let written = self.values.get(key).map(|(_, place)| *place);
        written
            .or_else(|| self.labels.get(key).map(|(_, place)| *place))
            .or_else(|| self.values.get("metadata.name").map(|(_, place)| *place))
            .unwrap_or_default()
    }

    /// Returns the labels of a list's items or of a map's entries; none if it is not written.
    pub(crate) fn labels(&self, key: &str) -> &[String] {
        self.labels.get(key).map_or(&[], |(labels, _)| labels)
    }

    /// Says whether the document writes this key.
    fn has(&self, key: &str) -> bool {
        let inside = format!("{key}.");
        self.values.contains_key(key)
            || self.labels.contains_key(key)
            || self
                .values
                .range(inside.clone()..)
                .next()
                .is_some_and(|(found, _)| found.starts_with(&inside))
    }
}

/// Makes the key of an item.
pub(crate) fn item_key(key: &str, label: &str) -> String {
    format!("{key}[{label}]")
}

/// Reads a document by its declaration; nothing if there were findings.
pub(crate) fn read(
    keys: &'static [Key],
    root: &Node,
    file: &File<'_>,
    found: &mut Diagnostics,
) -> Option<Written> {
    let before = found.len();
    let mut reading = Reading {
        all: keys,
        file,
        found,
        written: Written::default(),
    };
    let start = Place {
        width: 1,
        ..root.place
    };
    reading.map(keys, root, "", start);
    let written = reading.written;
    (found.len() == before).then_some(written)
}

/// Adds the defaults to what is written: every key of the declaration with its value in force.
pub(crate) fn settle(keys: &'static [Key], written: &Written) -> Vec<Explained> {
    let word = |key: &str| written.get(key).unwrap_or_default();
    let mut settling = Settling {
        written,
        class: word("spec.class").parse().unwrap_or(Class::Fact),
        audience: word("spec.audience").parse().unwrap_or(Audience::Internal),
        name: word("metadata.name"),
        explained: Vec::new(),
    };
    settling.map(keys, "");
    settling.explained
}

struct Settling<'a> {
    written: &'a Written,
    class: Class,
    audience: Audience,
    name: &'a str,
    explained: Vec<Explained>,
}

impl Settling<'_> {
    fn map(&mut self, keys: &'static [Key], parent: &str) {
        for key in keys {
            let path = join(parent, key.name);
            if matches!(key.presence, Presence::NotYet) {
                continue;
            }
            let inside = matches!(key.presence, Presence::Group | Presence::Required);
            let compound = !key.form.is_plain();
            if compound && (inside || self.written.has(&path)) {
                self.form(&key.form, &path, key.help);
                continue;
            }
            let (value, origin, reason) = match (self.written.values.get(&path), &key.presence) {
                (Some((text, place)), _) => {
                    (Some(text.clone()), Origin::Written(place.line), key.help)
                }
                (None, Presence::Default { value, reason }) => {
                    let value = value.of(self.class, self.audience);
                    (
                        Some(value.replace("{name}", self.name)),
                        Origin::Default,
                        *reason,
                    )
                }
                (None, Presence::Optional { absent }) => (None, Origin::Absent, *absent),
                (None, Presence::Required | Presence::Group | Presence::NotYet) => continue,
            };
            self.explained.push(Explained {
                key: path,
                value,
                origin,
                reason,
            });
        }
    }

    /// Adds what stands inside a compound form, or the value of a plain one.
    fn form(&mut self, form: &'static Form, path: &str, help: &'static str) {
        match form {
            Form::Map(keys) => self.map(keys, path),
            Form::OneOf(keys) => {
                for key in *keys {
                    let path = join(path, key.name);
                    if self.written.has(&path) {
                        self.form(&key.form, &path, key.help);
                    }
                }
            }
            Form::List { item, .. } | Form::Entries { item, .. } => {
                let written = self.written;
                for label in written.labels(path) {
                    self.form(item, &item_key(path, label), help);
                }
            }
            _ => {
                if let Some((text, place)) = self.written.values.get(path) {
                    self.explained.push(Explained {
                        key: path.to_owned(),
                        value: Some(text.clone()),
                        origin: Origin::Written(place.line),
                        reason: help,
                    });
                }
            }
        }
    }
}

struct Reading<'a> {
    all: &'static [Key],
    file: &'a File<'a>,
    found: &'a mut Diagnostics,
    written: Written,
}

impl Reading<'_> {
    fn error(&mut self, place: Place, message: String, hint: Option<String>) {
        self.found.push(self.file.error(place, message, hint));
    }

    /// Reads a map; what it lacks is reported at `name`, its own key.
    fn map(&mut self, keys: &'static [Key], node: &Node, path: &str, name: Place) {
        let Value::Map(entries) = &node.value else {
            let names: Vec<&str> = known(keys).map(|k| k.name).collect();
            let message = format!("{} takes a map, not {}", subject(path), node.what());
            self.error(
                node.place,
                message,
                Some(format!("its keys are {}", listed(&names))),
            );
            return;
        };
        for (written, value) in entries {
            match keys.iter().find(|key| key.name == written.text) {
                Some(key) => self.key(key, written.place, value, &join(path, key.name)),
                None => {
                    let (message, hint) = self.unknown(keys, &written.text, path);
                    self.error(written.place, message, Some(hint));
                }
            }
        }
        for key in keys {
            let absent = !entries.iter().any(|(written, _)| written.text == key.name);
            if absent && matches!(key.presence, Presence::Required) {
                self.missing(key, name, &join(path, key.name));
            }
        }
    }

    /// Reports a required key that is absent; for a group, the required keys inside it.
    fn missing(&mut self, key: &'static Key, place: Place, path: &str) {
        if let Form::Map(inner) = key.form {
            for key in inner
                .iter()
                .filter(|k| matches!(k.presence, Presence::Required))
            {
                self.missing(key, place, &join(path, key.name));
            }
            return;
        }
        let hint = format!("add `{}`, {}", key.name, key.help);
        self.error(place, format!("`{path}` is missing"), Some(hint));
    }

    fn key(&mut self, key: &'static Key, name: Place, node: &Node, path: &str) {
        if matches!(key.presence, Presence::NotYet) {
            let hint = "remove it: nothing would enforce it in this version".to_owned();
            self.error(name, format!("`{path}` is not supported yet"), Some(hint));
            return;
        }
        if matches!(node.value, Value::Null) {
            let hint = "give it a value, or remove the line".to_owned();
            self.error(name, format!("`{path}` is empty"), Some(hint));
            return;
        }
        self.form(&key.form, node, path, name);
    }

    /// Reads a value; what a map lacks is reported at `name`, its key.
    fn form(&mut self, form: &'static Form, node: &Node, path: &str, name: Place) {
        let text = match form {
            Form::Map(inner) => return self.map(inner, node, path, name),
            Form::OneOf(keys) => return self.one_of(keys, node, path, name),
            Form::List { item, max } => return self.list(item, *max, node, path),
            Form::Entries { .. } => return self.entries(form, node, path),
            Form::Text {
                pattern,
                max_chars,
                what,
            } => self.text(node, path, what, |text| {
                text.chars().count() <= *max_chars && pattern.is_match(text)
            }),
            Form::Word(words) => self.word(words, node, path),
            Form::Words(words) => self.words(words, node, path),
            Form::Amount => self.amount(node, path),
            Form::Count { min, max } => self.count(*min, *max, node, path),
            Form::Flag => self.flag(node, path),
        };
        if let Some(text) = text {
            self.written
                .values
                .insert(path.to_owned(), (text, node.place));
        }
    }

    /// Reads a map of which exactly one key may be written.
    fn one_of(&mut self, keys: &'static [Key], node: &Node, path: &str, name: Place) {
        let before = self.found.len();
        self.map(keys, node, path, name);
        if let Value::Map(entries) = &node.value
            && entries.len() != 1
            && self.found.len() == before
        {
            let names: Vec<&str> = known(keys).map(|key| key.name).collect();
            let message = format!("`{path}` takes exactly one key, not {}", entries.len());
            self.error(node.place, message, Some(one_of(&names)));
        }
    }

    fn list(&mut self, item: &'static Form, max: usize, node: &Node, path: &str) {
        let Value::List(items) = &node.value else {
            let message = format!("`{path}` takes a list, not {}", node.what());
            self.error(node.place, message, None);
            return;
        };
        if !self.counts(items.len(), max, "items", node, path) {
            return;
        }
        let labels: Vec<String> = (0..items.len()).map(|n| n.to_string()).collect();
        for (label, node) in labels.iter().zip(items) {
            self.form(item, node, &item_key(path, label), node.place);
        }
        let labels = (labels, node.place);
        self.written.labels.insert(path.to_owned(), labels);
    }

    fn entries(&mut self, form: &'static Form, node: &Node, path: &str) {
        let Form::Entries {
            name,
            what,
            sample,
            item,
            max,
        } = form
        else {
            return;
        };
        let Value::Map(entries) = &node.value else {
            let message = format!("`{path}` takes a map, not {}", node.what());
            self.error(node.place, message, Some(format!("its names are {what}")));
            return;
        };
        if !self.counts(entries.len(), *max, "entries", node, path) {
            return;
        }
        for (written, node) in entries {
            if name.is_match(&written.text) {
                self.form(item, node, &item_key(path, &written.text), written.place);
            } else {
                let message = format!("`{}` in `{path}` is not {what}", shortened(&written.text));
                self.error(written.place, message, Some(format!("such as `{sample}`")));
            }
        }
        let labels = entries.iter().map(|(name, _)| name.text.clone()).collect();
        let labels = (labels, node.place);
        self.written.labels.insert(path.to_owned(), labels);
    }

    fn counts(&mut self, count: usize, max: usize, what: &str, node: &Node, path: &str) -> bool {
        let message = match count {
            0 => format!("`{path}` is empty"),
            count if count > max => format!("`{path}` has {count} {what}; {max} are allowed"),
            _ => return true,
        };
        self.error(node.place, message, None);
        false
    }

    fn text(
        &mut self,
        node: &Node,
        path: &str,
        what: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Option<String> {
        match &node.value {
            Value::Text(text) if fits(text) => return Some(text.clone()),
            Value::Text(_) => {
                self.error(node.place, format!("`{path}` is not {what}"), None);
            }
            Value::Number(text) if fits(text) => {
                let hint = format!("put it in quotes: \"{text}\"");
                self.error(
                    node.place,
                    format!("`{path}` takes text, not a number"),
                    Some(hint),
                );
            }
            _ => {
                let message = format!("`{path}` takes text, not {}", node.what());
                self.error(node.place, message, Some(format!("it is {what}")));
            }
        }
        None
    }

    fn word(&mut self, words: &'static [Word], node: &Node, path: &str) -> Option<String> {
        let supported: Vec<&str> = words
            .iter()
            .filter(|w| w.supported)
            .map(|w| w.word)
            .collect();
        let Value::Text(text) = &node.value else {
            let message = format!("`{path}` takes a word, not {}", node.what());
            self.error(node.place, message, Some(one_of(&supported)));
            return None;
        };
        match words.iter().find(|w| w.word == text) {
            Some(word) if word.supported => return Some(text.clone()),
            Some(_) => {
                let message = format!("`{path}: {text}` is not supported yet");
                self.error(node.place, message, Some(one_of(&supported)));
            }
            None => {
                let hint = nearest(text, supported.iter().copied()).map_or_else(
                    || one_of(&supported),
                    |near| format!("did you mean `{near}`?"),
                );
                let message = format!("`{path}` cannot be `{}`", shortened(text));
                self.error(node.place, message, Some(hint));
            }
        }
        None
    }

    fn words(&mut self, words: &'static [Word], node: &Node, path: &str) -> Option<String> {
        let Value::List(items) = &node.value else {
            let message = format!("`{path}` takes a list, not {}", node.what());
            let hint = words.first().map(|w| format!("such as `[{}]`", w.word));
            self.error(node.place, message, hint);
            return None;
        };
        if items.is_empty() {
            self.error(node.place, format!("`{path}` is empty"), None);
            return None;
        }
        let mut chosen: Vec<String> = Vec::new();
        for item in items {
            let word = self.word(words, item, path)?;
            if chosen.contains(&word) {
                self.error(item.place, format!("`{path}` has `{word}` twice"), None);
                return None;
            }
            chosen.push(word);
        }
        Some(chosen.join(", "))
    }

    fn count(&mut self, min: u64, max: u64, node: &Node, path: &str) -> Option<String> {
        if let Value::Number(text) = &node.value
            && text.parse().is_ok_and(|n: u64| (min..=max).contains(&n))
        {
            return Some(text.clone());
        }
        let message = format!("`{path}` is not a whole number from {min} to {max}");
        self.error(node.place, message, None);
        None
    }

    fn amount(&mut self, node: &Node, path: &str) -> Option<String> {
        let fits = match &node.value {
            Value::Number(text) => text
                .parse()
                .is_ok_and(|number: u64| (1..=MAX_AMOUNT).contains(&number)),
            Value::Text(text) => text.parse::<ByteSize>().is_ok(),
            _ => false,
        };
        if let (true, Value::Number(text) | Value::Text(text)) = (fits, &node.value) {
            return Some(text.clone());
        }
        let message =
            format!("`{path}` is neither a number such as `200` nor a size such as `5MiB`");
        self.error(node.place, message, None);
        None
    }

    fn flag(&mut self, node: &Node, path: &str) -> Option<String> {
        if let Value::Flag(flag) = node.value {
            return Some(flag.to_string());
        }
        let message = format!("`{path}` takes `true` or `false`, not {}", node.what());
        self.error(node.place, message, None);
        None
    }

    fn unknown(&self, keys: &'static [Key], name: &str, path: &str) -> (String, String) {
        let message = format!("unknown key `{}` in {}", shortened(name), subject(path));
        let near = nearest(name, known(keys).map(|k| k.name));
        let hint = match (near, home_of(self.all, name, "")) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(home)) => format!("`{name}` belongs in `{home}`"),
            (None, None) => {
                let names: Vec<&str> = known(keys).map(|k| k.name).collect();
                format!("its keys are {}", listed(&names))
            }
        };
        (message, hint)
    }
}

/// Finds the map in which a key of this name would be known.
fn home_of(keys: &'static [Key], name: &str, path: &str) -> Option<String> {
    keys.iter().find_map(|key| {
        if key.name == name && !path.is_empty() {
            return Some(path.to_owned());
        }
        match key.form {
            Form::Map(inner) => home_of(inner, name, &join(path, key.name)),
            _ => None,
        }
    })
}

fn known(keys: &'static [Key]) -> impl Iterator<Item = &'static Key> {
    keys.iter()
        .filter(|key| !matches!(key.presence, Presence::NotYet))
}

/// Finds the name that was probably meant: at most a third of the letters wrong, case aside.
fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let text = text.to_lowercase();
    // Nobody means a key by a text many times its length, and the distance is quadratic.
    if text.len() > 100 {
        return None;
    }
    names
        .map(|name| {
            (
                strsim::damerau_levenshtein(&text, &name.to_lowercase()),
                name,
            )
        })
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn subject(path: &str) -> String {
    if path.is_empty() {
        "the document".to_owned()
    } else {
        format!("`{path}`")
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("write `{only}`"),
        _ => format!("use one of {}", listed(words)),
    }
}

/// What people wrote, short enough to repeat in a message.
fn shortened(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(60)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
