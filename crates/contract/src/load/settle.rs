//! One document against the declaration of its kind: what is written, what is missing, misspelt,
//! of the wrong form or not supported yet. Every finding of a document is reported, not the first.

use std::collections::BTreeMap;

use super::File;
use super::diagnostic::Diagnostics;
use super::yaml::{Node, Place, Value};
use crate::explain::{Explained, Origin};
use crate::format::{Form, Key, Presence, Word};
use crate::model::Class;

/// The values that a document writes, by key from the root, in the text form of the format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    values: BTreeMap<String, (String, Place)>,
}

impl Written {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(text, _)| text.as_str())
    }

    /// Returns where the value of `key` stands. A default stands nowhere; the name, from which it
    /// may be made, does.
    pub(crate) fn place_or_name(&self, key: &str) -> Place {
        let written = self
            .values
            .get(key)
            .or_else(|| self.values.get("metadata.name"));
        written.map(|(_, place)| *place).unwrap_or_default()
    }
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
pub(crate) fn settle(
    keys: &'static [Key],
    written: &Written,
    class: Class,
    name: &str,
) -> Vec<Explained> {
    let mut explained = Vec::new();
    settle_map(keys, "", written, class, name, &mut explained);
    explained
}

fn settle_map(
    keys: &'static [Key],
    parent: &str,
    written: &Written,
    class: Class,
    name: &str,
    into: &mut Vec<Explained>,
) {
    for key in keys {
        let path = join(parent, key.name);
        if let Form::Map(inner) = key.form {
            settle_map(inner, &path, written, class, name, into);
            continue;
        }
        let (value, origin, reason) = match (written.values.get(&path), &key.presence) {
            (Some((text, place)), _) => (Some(text.clone()), Origin::Written(place.line), key.help),
            (None, Presence::Default { value, reason }) => (
                Some(value.of(class).replace("{name}", name)),
                Origin::Default,
                *reason,
            ),
            (None, Presence::Optional { absent }) => (None, Origin::Absent, *absent),
            (None, Presence::Required | Presence::Group | Presence::NotYet) => continue,
        };
        into.push(Explained {
            key: path,
            value,
            origin,
            reason,
        });
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
        let text = match &key.form {
            Form::Map(inner) => return self.map(inner, node, path, name),
            Form::Text {
                pattern,
                max_chars,
                what,
            } => self.text(node, path, what, |text| {
                text.chars().count() <= *max_chars && pattern.is_match(text)
            }),
            Form::Word(words) => self.word(words, node, path),
            Form::Words(words) => self.words(words, node, path),
            Form::Count { min, max } => self.count(*min, *max, node, path),
            Form::Flag => self.flag(node, path),
        };
        if let Some(text) = text {
            self.written
                .values
                .insert(path.to_owned(), (text, node.place));
        }
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
