//! Which events a contract takes by their `type`: one type, or with `*` at its end a family of them.
//! The longest family that an event's type belongs to has it, and a type written out wins over any.

use std::collections::HashMap;

/// What a family may be called when its events have data alone.
const EXAMPLE: &str = "example";

/// Returns how the types of a family begin; nothing if the rule is one type.
pub fn family(rule: &str) -> Option<&str> {
    rule.strip_suffix('*')
}

/// Says whether events of this type are the rule's. A family does not hold its own beginning.
pub fn covers(rule: &str, event_type: &str) -> bool {
    match family(rule) {
        Some(begin) => event_type.len() > begin.len() && event_type.starts_with(begin),
        None => event_type == rule,
    }
}

/// Says whether a rule takes every event that another one takes.
pub(crate) fn includes(wide: &str, narrow: &str) -> bool {
    match (family(wide), family(narrow)) {
        (Some(wide), Some(narrow)) => narrow.starts_with(wide),
        _ => covers(wide, narrow),
    }
}

/// Returns a type that a rule takes, for data that comes without one.
pub fn example(rule: &str) -> String {
    match family(rule) {
        Some(begin) => format!("{begin}{EXAMPLE}"),
        None => rule.to_owned(),
    }
}

/// Says why a rule cannot be one.
pub(crate) fn problem(rule: &str) -> Option<&'static str> {
    match rule.find('*') {
        Some(0) => {
            Some("would take every event; a family begins with something, as `com.github.*`")
        }
        Some(at) if at + 1 < rule.len() => Some("has `*` before its end, where it means nothing"),
        _ => None,
    }
}

/// Values by the types that they are for.
#[derive(Clone, Debug)]
pub struct ByType<T> {
    exact: HashMap<String, T>,
    /// With how the family begins, the longest first.
    families: Vec<(String, T)>,
}

impl<T> Default for ByType<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            families: Vec::new(),
        }
    }
}

impl<T> FromIterator<(String, T)> for ByType<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        let mut by_type = Self::default();
        for (rule, value) in pairs {
            match family(&rule) {
                Some(begin) => by_type.families.push((begin.to_owned(), value)),
                None => {
                    by_type.exact.insert(rule, value);
                }
            }
        }
        by_type
            .families
            .sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        by_type
    }
}

impl<T> ByType<T> {
    /// Finds the value for events of a type.
    pub fn find(&self, event_type: &str) -> Option<&T> {
        self.exact.get(event_type).or_else(|| {
            let begins =
                |begin: &str| event_type.len() > begin.len() && event_type.starts_with(begin);
            let mut families = self.families.iter();
            families
                .find(|(begin, _)| begins(begin))
                .map(|(_, value)| value)
        })
    }

    /// Finds the value of exactly this rule.
    pub fn of_rule(&self, rule: &str) -> Option<&T> {
        match family(rule) {
            Some(wanted) => {
                let mut families = self.families.iter();
                families
                    .find(|(begin, _)| begin == wanted)
                    .map(|(_, value)| value)
            }
            None => self.exact.get(rule),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_family_has_a_type_and_the_type_itself_wins() {
        let rules = [
            "com.*",
            "com.github.*",
            "com.github.pull_request*",
            "com.github.push",
        ];
        let by_type: ByType<&str> = rules
            .map(|rule| (rule.to_owned(), rule))
            .into_iter()
            .collect();
        for (event_type, expected) in [
            ("com.github.push", Some("com.github.push")),
            ("com.github.pushed", Some("com.github.*")),
            ("com.github.pull_request", Some("com.github.*")),
            (
                "com.github.pull_request_review",
                Some("com.github.pull_request*"),
            ),
            ("com.github.*", Some("com.github.*")),
            ("com.github.", Some("com.*")),
            ("com.", None),
            ("org.example", None),
            ("", None),
        ] {
            assert_eq!(by_type.find(event_type).copied(), expected, "{event_type}");
        }
        for rule in rules {
            assert_eq!(by_type.of_rule(rule), Some(&rule));
            assert!(covers(rule, &example(rule)), "{rule}");
        }
        assert!(includes("com.*", "com.github.*") && includes("com.*", "com.x"));
        assert!(!includes("com.github.*", "com.*") && !includes("com.x", "com.*"));
        assert_eq!(by_type.of_rule("com.github.issues"), None);
        assert_eq!(by_type.of_rule("com.git*"), None);
    }

    #[test]
    fn an_asterisk_stands_at_the_end_behind_something() {
        for (rule, expected) in [
            ("com.github.*", true),
            ("com.github.push", true),
            ("*", false),
            ("com.*.push", false),
            ("com.**", false),
        ] {
            assert_eq!(problem(rule).is_none(), expected, "{rule}");
        }
    }
}
