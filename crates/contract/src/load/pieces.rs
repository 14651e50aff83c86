//! Documents one by one: files taken apart, each document with its comments, its place and the schema
//! files it leads to, and put together again. Contracts that were taken apart and put together are the
//! same, and findings in them name the file and line that they came from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::yaml::{self, Node, Place, Value};
use super::{File, load};
use crate::model::Contracts;
use crate::schema::FindFile;

/// Lines that stand in for documents which are elsewhere, over all files at most.
const MAX_PADDING: usize = 64 * 1024 * 1024;

/// What a folder of contracts holds, by paths inside it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Texts {
    /// Contract files, by name.
    pub files: Vec<(String, String)>,
    /// Schema files that they lead to.
    pub schemas: BTreeMap<String, String>,
}

/// One document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// `EventContract`, `Team` …; empty if it has none.
    pub kind: String,
    /// `metadata.name`, unique in its kind; empty if it has none.
    pub name: String,
    /// `metadata.version` as written; empty if it has none.
    pub version: String,
    /// `metadata.owner`; empty if it has none.
    pub owner: String,
    /// The file it stands in.
    pub file: String,
    /// The line of the file at which its text begins, from 1.
    pub line: u32,
    /// The text of the document, with its comments.
    pub text: Arc<str>,
    /// The schema files it leads to, by the path that it asks for.
    pub schemas: BTreeMap<String, Arc<str>>,
}

/// Takes files apart into documents. The files are those of a set that was read without a finding.
///
/// # Errors
/// A file whose documents cannot be told apart.
pub fn split(texts: &Texts) -> Result<Vec<Piece>, Diagnostics> {
    let mut found = Diagnostics::default();
    let mut pieces = Vec::new();
    let shared: BTreeMap<&str, Arc<str>> = texts
        .schemas
        .iter()
        .map(|(path, text)| (path.as_str(), Arc::from(text.as_str())))
        .collect();
    for (name, text) in &texts.files {
        let whole = yaml::parse(text).map_or(0, |documents| documents.len());
        let before = pieces.len();
        for (line, part, node) in documents(text) {
            let one = [(name.clone(), part.to_owned())];
            let asked = schemas_of(&one, &|path| texts.schemas.get(path).cloned());
            let schemas = asked.into_keys().map(|path| {
                let text = shared[path.as_str()].clone();
                (path, text)
            });
            let of = |key: &str| node.get("metadata").and_then(|m| m.get(key));
            pieces.push(Piece {
                kind: word(node.get("kind")),
                name: word(of("name")),
                version: word(of("version")),
                owner: word(of("owner")),
                file: name.clone(),
                line,
                text: part.into(),
                schemas: schemas.collect(),
            });
        }
        if pieces.len() - before != whole {
            let message = "the documents of this file cannot be told apart".to_owned();
            let hint = "put a line `---` between two documents".to_owned();
            found.push(File::new(name, text).error(Place::default(), message, Some(hint)));
        }
    }
    if found.is_empty() {
        Ok(pieces)
    } else {
        Err(found)
    }
}

fn word(node: Option<&Node>) -> String {
    match node.map(|node| &node.value) {
        Some(Value::Text(text) | Value::Number(text)) => text.clone(),
        _ => String::new(),
    }
}

/// The documents of a file: the line at which each begins, its text, what it says. Comments before a
/// document are its own, and those after the last one belong to that.
fn documents(text: &str) -> Vec<(u32, &str, Node)> {
    // A line `---` begins a document, and a line after `...` does, wherever they stand (YAML 1.2.2
    // §9.1.4, c-forbidden): no scalar holds them at the beginning of a line.
    let mut cuts = vec![(0, 1)];
    let (mut at, mut ended) = (0, false);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        if at > 0 && (ended || is_marker(line, "---")) {
            cuts.push((at, number));
        }
        ended = is_marker(line, "...");
        at += line.len();
    }
    let mut found: Vec<(u32, usize, usize, Option<Node>)> = Vec::new();
    for (index, (from, line)) in cuts.iter().enumerate() {
        let to = cuts.get(index + 1).map_or(text.len(), |(next, _)| *next);
        // Behind a mark of its own, what cannot be read alone may be the head of what follows.
        let mut parsed = yaml::parse(&text[*from..to]).unwrap_or_default();
        let node = (parsed.len() == 1).then(|| parsed.remove(0));
        match found.last_mut() {
            Some((_, _, end, before @ None)) => (*end, *before) = (to, node),
            // A directive stands before its document.
            Some((_, _, end, Some(_))) if node.is_none() && !text[*from..].starts_with('%') => {
                *end = to;
            }
            _ => found.push((*line, *from, to, node)),
        }
    }
    let found = found.into_iter();
    found
        .filter_map(|(line, from, to, node)| Some((line, &text[from..to], node?)))
        .collect()
}

fn is_marker(line: &str, marker: &str) -> bool {
    let rest = line.strip_prefix(marker);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

/// Finds the schema files that these contract files lead to; what is wrong with them is not told.
pub(super) fn schemas_of(
    files: &[(String, String)],
    find: &dyn Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let asked = RefCell::new(BTreeMap::new());
    let recording = |path: &str| {
        let text = find(path).ok_or_else(|| format!("there is no schema file `{path}`"))?;
        asked.borrow_mut().insert(path.to_owned(), text.clone());
        Ok(text)
    };
    let files: Vec<File<'_>> = files
        .iter()
        .map(|(name, text)| File::new(name, text))
        .collect();
    drop(load(&files, &[&recording], Diagnostics::default()));
    asked.into_inner()
}

/// Documents that fit together: of one file each has its own lines, and a schema's path means one text.
#[derive(Default)]
struct Layer<'a> {
    /// Each with the line behind its last document.
    files: BTreeMap<&'a str, (u32, String)>,
    schemas: BTreeMap<&'a str, &'a Arc<str>>,
}

impl<'a> Layer<'a> {
    fn takes(&self, piece: &Piece) -> bool {
        let follows = |(next, _): &(u32, String)| {
            let begins = piece.text.lines().next();
            *next <= piece.line && begins.is_some_and(|line| is_marker(line, "---"))
        };
        self.files.get(piece.file.as_str()).is_none_or(follows)
            && piece
                .schemas
                .iter()
                .all(|(path, text)| self.schemas.get(path.as_str()).is_none_or(|it| *it == text))
    }

    fn push(&mut self, piece: &'a Piece, padding: &mut usize) {
        let (next, file) = self.files.entry(&piece.file).or_insert((1, String::new()));
        let missing = piece.line.saturating_sub(*next) as usize;
        *padding += missing;
        file.extend(std::iter::repeat_n('\n', missing));
        file.push_str(&piece.text);
        if !piece.text.ends_with('\n') {
            file.push('\n');
        }
        let lines = u32::try_from(piece.text.lines().count()).unwrap_or(u32::MAX);
        *next = piece.line.saturating_add(lines);
        let schemas = piece.schemas.iter();
        self.schemas
            .extend(schemas.map(|(path, text)| (path.as_str(), text)));
    }
}

/// Puts documents together. They may come from different states of their files: each has the schema
/// files that it came with.
///
/// # Errors
/// Everything that is wrong in them as a set, with their files and lines; no contract is usable then.
pub fn pieces(pieces: &[Piece]) -> Result<Contracts, Diagnostics> {
    let mut sorted: Vec<&Piece> = pieces.iter().collect();
    sorted.sort_by_key(|piece| (&piece.file, piece.line));
    let mut layers: Vec<Layer<'_>> = Vec::new();
    let mut padding = 0;
    for piece in sorted {
        let at = layers.iter().position(|layer| layer.takes(piece));
        let at = at.unwrap_or_else(|| {
            layers.push(Layer::default());
            layers.len() - 1
        });
        layers[at].push(piece, &mut padding);
        if padding > MAX_PADDING {
            let mut found = Diagnostics::default();
            let message = "its documents come from too many states of too long files".to_owned();
            let file = File::new(&piece.file, "");
            found.push(file.error(Place::default(), message, None));
            return Err(found);
        }
    }
    let finders: Vec<_> = layers
        .iter()
        .map(|layer| {
            |path: &str| match layer.schemas.get(path) {
                Some(text) => Ok(text.to_string()),
                None => Err(format!("there is no schema file `{path}`")),
            }
        })
        .collect();
    let finders: Vec<FindFile<'_>> = finders.iter().map(|find| find as FindFile<'_>).collect();
    let mut files = Vec::new();
    for (at, layer) in layers.iter().enumerate() {
        for (name, (_, text)) in &layer.files {
            files.push(File {
                layer: at,
                ..File::new(name, text)
            });
        }
    }
    load(&files, &finders, Diagnostics::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::sources;

    const TEAM: &str = "kind: Team\nmetadata: {name: NAME}\napiVersion: contract/v1\nspec: {pager: \"mailto:a@example.com\"}\n";

    fn contract(name: &str, schema: &str) -> String {
        format!(
            "apiVersion: contract/v1\nkind: EventContract\nmetadata: {{name: {name}, owner: t, version: 1.2.0}}\nspec:\n  class: fact\n  schema: {{file: {schema}}}\n  key: {{from: $.id}}\n"
        )
    }

    fn team(name: &str) -> String {
        TEAM.replace("NAME", name)
    }

    fn texts(files: &[(&str, String)]) -> Texts {
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.clone()));
        let schemas = [
            ("a.json", r##"{"$ref": "common.json#/x"}"##),
            ("b.json", "{}"),
            ("common.json", r#"{"x": {}}"#),
            ("unused.json", "{}"),
        ];
        let schemas = schemas.map(|(path, text)| (path.to_owned(), text.to_owned()));
        Texts {
            files: files.collect(),
            schemas: schemas.into(),
        }
    }

    /// Names and lines of a file's documents, and whether their texts are the whole of it.
    fn check(text: &str, expected: &[(&str, u32)]) {
        let split = split(&texts(&[("f.yaml", text.to_owned())]));
        let split = split.unwrap_or_else(|found| panic!("{found}\n{text}"));
        let found: Vec<_> = split.iter().map(|p| (p.name.as_str(), p.line)).collect();
        assert_eq!(found, expected, "{text}");
        let joined: String = split.iter().map(|piece| &*piece.text).collect();
        assert!(expected.is_empty() || joined == text, "{text}\n=> {joined}");
    }

    #[test]
    fn documents_are_told_apart_with_their_comments() {
        let (a, b) = (team("a"), team("b"));
        check("", &[]);
        check("# nothing\n---\n", &[]);
        check(&a, &[("a", 1)]);
        check(
            &format!("# about a\n---\n{a}---\n# about b\n{b}"),
            &[("a", 1), ("b", 7)],
        );
        check(
            &format!("{a}---\n# a comment alone\n---\n{b}"),
            &[("a", 1), ("b", 7)],
        );
        check(
            &format!("{a}---\n{b}---\n# the end\n"),
            &[("a", 1), ("b", 5)],
        );
        check(
            &format!("{a}...\n%YAML 1.2\n---\n{b}"),
            &[("a", 1), ("b", 6)],
        );
        check(&format!("{a}--- # b\n{b}...\n"), &[("a", 1), ("b", 5)]);
        check(&format!("{a}---\r\n{b}"), &[("a", 1), ("b", 5)]);
        check(&format!("---\n{}", a.trim_end()), &[("a", 1)]);
        // Not at the beginning of a line it marks nothing.
        let held = "kind: Team\nmetadata: {name: a}\nspec:\n  text: |\n    x\n    ---\n    y\n";
        check(held, &[("a", 1)]);
    }

    fn same(texts: &Texts) -> Vec<Piece> {
        let find = |path: &str| texts.schemas.get(path).cloned();
        let whole = sources(&texts.files, &find).unwrap();
        let split = split(texts).unwrap();
        let together = pieces(&split).unwrap_or_else(|found| panic!("{found}"));
        assert!(crate::diff::diff(&whole, &together).is_empty());
        let told = |set: &Contracts| -> Vec<String> {
            set.iter()
                .map(|c| format!("{} {:?} {:?}", c.file(), c.explain(), c.version))
                .collect()
        };
        assert_eq!(told(&whole), told(&together));
        let said = |set: &Contracts| -> Vec<_> {
            set.teams().map(|team| team.explain().to_vec()).collect()
        };
        assert_eq!(said(&whole), said(&together));
        split
    }

    #[test]
    fn what_was_taken_apart_is_put_together_again() {
        let all = format!(
            "# ours\n{}---\n{}---\n# note\n{}",
            contract("one", "a.json"),
            team("t"),
            contract("two", "b.json")
        );
        let split = same(&texts(&[
            ("all.yaml", all),
            ("more/three.yaml", contract("three", "../b.json")),
        ]));
        let schemas: Vec<Vec<&str>> = split
            .iter()
            .map(|piece| piece.schemas.keys().map(String::as_str).collect())
            .collect();
        let expected: [&[&str]; 4] = [&["a.json", "common.json"], &[], &["b.json"], &["b.json"]];
        assert_eq!(schemas, expected);
        let one = &split[0];
        assert_eq!(
            (one.kind.as_str(), one.version.as_str(), one.owner.as_str()),
            ("EventContract", "1.2.0", "t")
        );
    }

    #[test]
    fn a_finding_names_the_file_and_line_the_document_came_from() {
        let all = format!(
            "{}---\n{}---\n{}",
            team("t"),
            team("u"),
            contract("one", "b.json")
        );
        let mut split = split(&texts(&[("all.yaml", all)])).unwrap();
        // Without its team, and without the document before it.
        split.drain(..2);
        let found = pieces(&split).unwrap_err().to_string();
        assert_eq!(
            found,
            "error: all.yaml:13:30: owner `t` is no team of these contracts\n\
             13 | metadata: {name: one, owner: t, version: 1.2.0}\n   \
             |                              ^\n\
             hint: add a document of `kind: Team` with this name"
        );
    }

    #[test]
    fn documents_of_different_states_keep_their_own_schemas_and_lines() {
        let old = texts(&[("all.yaml", team("t") + "---\n" + &contract("one", "b.json"))]);
        let mut new = texts(&[("all.yaml", contract("two", "b.json"))]);
        new.schemas
            .insert("b.json".to_owned(), r#"{"type": "object"}"#.to_owned());
        let mixed = [split(&old).unwrap(), split(&new).unwrap()].concat();
        let set = pieces(&mixed).unwrap_or_else(|found| panic!("{found}"));
        let schemas = ["one", "two"].map(|name| &set.by_name(name).unwrap().schema);
        assert_ne!(schemas[0].fingerprint, schemas[1].fingerprint);
        // Also where the same lines hold both.
        let other = texts(&[(
            "all.yaml",
            team("t") + "---\n" + &contract("three", "b.json"),
        )]);
        let third = split(&other).unwrap().remove(1);
        let set = pieces(&[mixed, vec![third]].concat()).unwrap();
        assert_eq!(set.len(), 3);
    }
}
