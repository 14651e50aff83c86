//! Layers of settings before anybody knows what they mean: dotted keys to texts, each with its
//! place. Only keys of the default file are taken, and Kafka's own below `kafka.settings`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use tidegate_contract::Diagnostic;
use tidegate_contract::load::{Level, Snippet};

use super::{Config, named};

/// The declaration of all settings.
pub(super) const DEFAULT: &str = include_str!("../tidegate.default.yaml");
const DEFAULT_NAME: &str = "tidegate.default.yaml";
/// Below this key stand names that the broker knows.
pub(super) const KAFKA: &str = "kafka.settings";
/// Below this key stand names that the clients of a cluster know.
pub(super) const KAFKA_LOG: &str = "kafka_log.settings";
/// Below these keys a line may hold a secret that was written where its reference should be.
const HIDDEN: [&str; 4] = ["sources", "privacy", "identity.first_key", "kafka_log"];
/// What variables of the environment begin with.
const PREFIX: &str = "TIDEGATE__";

/// A value that was written somewhere.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// `None` is YAML's `null`.
    pub(super) text: Option<String>,
    pub(super) place: Place,
}

/// Where something was written.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// A file, a flag or a variable.
    pub(super) name: String,
    line: u32,
    column: u32,
    snippet: Option<Snippet>,
}

impl Place {
    fn of(name: impl Into<String>) -> Self {
        let name = name.into();
        let (line, column, snippet) = (0, 0, None);
        Self {
            name,
            line,
            column,
            snippet,
        }
    }

    fn in_file(name: &str, text: &str, at: Location) -> Self {
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let (line, column) = (small(at.line()), small(at.column()));
        let shown = text
            .lines()
            .nth((line as usize).saturating_sub(1))
            .map(|shown| {
                let before = (column as usize).saturating_sub(1);
                let room = shown.chars().count().saturating_sub(before).max(1);
                let width = usize::try_from(at.span().len()).unwrap_or(1).clamp(1, room);
                Snippet {
                    line: shown.to_owned(),
                    before,
                    width,
                }
            });
        Self {
            name: name.to_owned(),
            line,
            column,
            snippet: shown,
        }
    }

    pub(super) fn error(&self, message: String, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            level: Level::Error,
            rule: None,
            file: self.name.clone(),
            line: self.line,
            column: self.column,
            message,
            hint,
            snippet: self.snippet.clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.line {
            0 => Ok(()),
            line => write!(f, ":{line}:{}", self.column),
        }
    }
}

/// The default, and what was put over it.
#[derive(Debug)]
pub(crate) struct Layers {
    values: BTreeMap<String, Written>,
    problems: Vec<Diagnostic>,
    insecure: bool,
}

impl Default for Layers {
    fn default() -> Self {
        let mut layers = Self {
            values: BTreeMap::new(),
            problems: Vec::new(),
            insecure: false,
        };
        for leaf in leaves(DEFAULT).expect("a test parses the default") {
            let place = Place::in_file(DEFAULT_NAME, DEFAULT, leaf.value_at);
            let text = leaf.text;
            layers.values.insert(leaf.key, Written { text, place });
        }
        layers
    }
}

impl Layers {
    /// Puts a file over what there is. What is wrong in it comes out with the rest.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn file(mut self, path: &Path) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        self.put_text(&path.display().to_string(), &text);
        Ok(self)
    }

    pub(super) fn put_text(&mut self, name: &str, text: &str) {
        let leaves = match leaves(text) {
            Ok(leaves) => leaves,
            Err(error) => {
                let place = match error.location() {
                    Some(at) => Place::in_file(name, text, at),
                    None => Place::of(name),
                };
                return self.problems.push(place.error(plain_message(error), None));
            }
        };
        let mut of_names = BTreeSet::new();
        for leaf in leaves {
            let mut key_place = Place::in_file(name, text, leaf.key_at);
            let mut place = Place::in_file(name, text, leaf.value_at);
            if HIDDEN.iter().any(|group| leaf.key.starts_with(group)) {
                (key_place.snippet, place.snippet) = (None, None);
            }
            if named::key(&leaf.key).is_some_and(|key| !of_names.insert(key)) {
                let message = format!("`{}`: `secret` and `secrets` are one setting", leaf.key);
                self.problems.push(key_place.error(message, None));
            } else if leaf.is_list && !named::is_list(&leaf.key) {
                let message = format!("`{}` has one value, not a list", leaf.key);
                self.problems.push(place.error(message, None));
            } else if leaf.text.is_none() && self.is_group(&leaf.key) {
                // All that stands in the group is commented out.
            } else if let Some(written) = self.writable(&leaf.key, &key_place) {
                let text = leaf.text;
                *written = Written { text, place };
            }
        }
    }

    /// Puts the variables of the environment that are settings over what there is.
    pub(crate) fn environment(mut self, variables: impl Iterator<Item = (String, String)>) -> Self {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix(PREFIX) else {
                continue;
            };
            let key = path.to_lowercase().replace("__", ".");
            // Kafka's names have dots, which variables cannot have.
            let key = match key.strip_prefix("kafka.settings.") {
                Some(own) => format!("{KAFKA}.{}", own.replace('_', ".")),
                None => key,
            };
            self.put(
                &key,
                value,
                Place::of(format!("environment variable `{name}`")),
            );
        }
        self
    }

    /// Puts the value of a flag, if it is given, over what there is.
    pub(crate) fn flag(mut self, flag: &str, key: &str, value: Option<String>) -> Self {
        if let Some(value) = value {
            self.put(key, value, Place::of(format!("flag `{flag}`")));
        }
        self
    }

    /// Lets doors without protection be reached from other machines. It is said on the command line
    /// only: whoever starts it says so each time.
    pub(crate) fn insecure(self, insecure: bool) -> Self {
        Self { insecure, ..self }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    fn put(&mut self, key: &str, value: String, place: Place) {
        if let Some(written) = self.writable(key, &place) {
            let text = Some(value);
            *written = Written { text, place };
        }
    }

    /// Returns where the value of a key is kept, or takes down why it has none.
    fn writable(&mut self, key: &str, place: &Place) -> Option<&mut Written> {
        let below = |group: &str| {
            key.strip_prefix(group)
                .is_some_and(|own| own.starts_with('.'))
        };
        let of_kafka = below(KAFKA) || below(KAFKA_LOG);
        let own = named::key(key);
        let key = own.as_deref().unwrap_or(key);
        if of_kafka || own.is_some() || self.values.contains_key(key) {
            let empty = Written {
                text: None,
                place: place.clone(),
            };
            return Some(self.values.entry(key.to_owned()).or_insert(empty));
        }
        let problem = if self.is_group(key) {
            place.error(
                format!("`{key}` groups settings and has no value itself"),
                None,
            )
        } else {
            let likeness = |known: &&String| (1e6 * strsim::jaro_winkler(key, known)) as u32;
            let beside = named::keys_beside(key);
            let nearest = self.values.keys().chain(&beside).max_by_key(likeness);
            let hint = nearest.map(|nearest| format!("the nearest known one is `{nearest}`"));
            let hint = named::name_hint(key).or(hint);
            place.error(format!("unknown setting `{key}`"), hint)
        };
        self.problems.push(problem);
        None
    }

    fn is_group(&self, key: &str) -> bool {
        let group = format!("{key}.");
        [KAFKA, KAFKA_LOG].contains(&key)
            || named::is_group(key)
            || self.values.keys().any(|known| known.starts_with(&group))
    }

    /// Makes the settings of it.
    ///
    /// # Errors
    /// All that is wrong in any layer.
    pub(crate) fn settle(self) -> Result<Config, Vec<Diagnostic>> {
        super::read::config(self.values, self.problems, self.insecure)
    }
}

/// A value at the end of its keys.
struct Leaf {
    key: String,
    key_at: Location,
    value_at: Location,
    text: Option<String>,
    is_list: bool,
}

fn leaves(text: &str) -> Result<Vec<Leaf>, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
    };
    let documents: Vec<Tree> = serde_saphyr::from_multiple_with_options(text, options)?;
    let mut leaves = Vec::new();
    for document in &documents {
        collect("", document, &mut leaves);
    }
    Ok(leaves)
}

fn collect(prefix: &str, tree: &Tree, leaves: &mut Vec<Leaf>) {
    let Tree::Map(entries) = tree else { return };
    for (name, node) in entries {
        let separator = if prefix.is_empty() { "" } else { "." };
        let key = format!("{prefix}{separator}{}", name.value);
        if let Tree::Map(_) = node.value {
            collect(&key, &node.value, leaves);
            continue;
        }
        let text = match &node.value {
            Tree::Scalar(text) => Some(text.clone()),
            Tree::List(items) => Some(items.join(", ")),
            _ => None,
        };
        leaves.push(Leaf {
            key,
            key_at: name.referenced,
            value_at: node.referenced,
            text,
            is_list: matches!(node.value, Tree::List(_)),
        });
    }
}

/// The library's message without the place it appends, which stands before ours.
fn plain_message(error: serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    // What follows is its place, or advice to its caller.
    let end = [" at line ", ", set "]
        .iter()
        .filter_map(|end| first.find(end))
        .min();
    let first = &first[..end.unwrap_or(first.len())];
    first.trim_start_matches("error: ").to_owned()
}

/// A YAML node, its scalars as text.
enum Tree {
    Null,
    Scalar(String),
    /// Of scalars; anything else in it is nobody's.
    List(Vec<String>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyTree)
    }
}

struct AnyTree;

impl<'de> Visitor<'de> for AnyTree {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(flag.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(match item {
                Tree::Scalar(text) => text,
                _ => String::new(),
            });
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}
