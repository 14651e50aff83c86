//! Paths into an event's data, `$.order.id`: names from the root of the JSON value, by dots.
//! No wildcards, filters or array positions, so a path names at most one value.

use std::fmt;
use std::str::FromStr;

use crate::tree::Tree;

/// What a path looks like, for the reader of contracts and for the format's own schema.
pub(crate) const PATH_PATTERN: &str = r#"^\$(\.[^\s.$*@'"\[\]()]{1,100}){1,16}$"#;

/// A path such as `$.order.id`; at least one name long.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Path {
    names: Vec<String>,
}

/// A text that is not a path.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not a path such as `$.order.id`")]
pub struct PathError(String);

impl Path {
    /// Returns the value at this path, or nothing if a name on the way is missing or its parent
    /// is no object. A `null` at the end counts as missing.
    pub fn find<'v, 't>(&self, data: &'v Tree<'t>) -> Option<&'v Tree<'t>> {
        let found = self
            .names
            .iter()
            .try_fold(data, |value, name| value.get(name))?;
        (*found != Tree::Null).then_some(found)
    }

    /// Returns the names from the root.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the path of a member inside the value that this one names.
    pub(crate) fn member(&self, name: &str) -> Self {
        let mut names = self.names.clone();
        names.push(name.to_owned());
        Self { names }
    }

    /// Says whether one of the two lies at or inside the other.
    pub fn meets(&self, other: &Self) -> bool {
        let both = self.names.iter().zip(&other.names);
        both.clone().count() > 0 && both.clone().all(|(left, right)| left == right)
    }

    /// Returns the JSON Pointer of this path below `#/data`, as violations name it.
    pub fn pointer(&self) -> String {
        let mut pointer = String::from("#/data");
        for name in &self.names {
            crate::check::push_pointer_name(&mut pointer, name);
        }
        pointer
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        static PATTERN: crate::format::Pattern = crate::format::Pattern::new(PATH_PATTERN);
        if !PATTERN.is_match(text) {
            return Err(PathError(text.to_owned()));
        }
        Ok(Self {
            names: text.split('.').skip(1).map(str::to_owned).collect(),
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$.{}", self.names.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_at_most_one_value() {
        let text =
            r#"{"id":"a","order":{"id":7,"none":null},"list":[{"id":1}],"full-name_é":true}"#;
        let data = Tree::parse(text.as_bytes()).unwrap();
        let check = |path: &str, expected: Option<serde_json::Value>| {
            let path: Path = path.parse().unwrap();
            assert_eq!(path.find(&data).map(Tree::to_value), expected, "{path}");
        };
        check("$.id", Some("a".into()));
        check("$.order.id", Some(7.into()));
        check("$.order.none", None);
        check("$.order.other", None);
        check("$.id.deeper", None);
        check("$.list.0", None);
        check("$.full-name_é", Some(true.into()));
    }

    #[test]
    fn anything_else_is_no_path() {
        let long = format!("${}", ".a".repeat(17));
        for text in [
            "",
            "$",
            "id",
            "$id",
            "$.",
            "$.a.",
            "$..a",
            "$.a[0]",
            "$.*",
            "$['a']",
            "$.a b",
            long.as_str(),
        ] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
        assert_eq!("$.a.b".parse::<Path>().unwrap().to_string(), "$.a.b");
    }
}
