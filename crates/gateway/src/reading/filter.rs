//! Which events a reader wants: an expression in CEL over `event`, the CloudEvents attributes, and
//! `message`, the data. It is compiled once; what it may cost is bounded by `contract::expression`, and
//! by the length of its text here, since strangers write it.

use std::borrow::Cow;

use tidegate_contract::expression::Expression;
use tidegate_contract::tree::Tree;

use crate::problem::{Kind, Problem};

/// Longer ones are programs.
const MAX_BYTES: usize = 1_000;
const EVENT: &str = "event";
const MESSAGE: &str = "message";

/// An expression that is true of the events that are wanted.
#[derive(Debug)]
pub(super) struct Filter(Expression);

impl Filter {
    /// Compiles it.
    ///
    /// # Errors
    /// `BadRequest`: it is too long, or not an expression that may be used.
    pub(super) fn compile(text: &str) -> Result<Self, Problem> {
        let bad = |why: String| Problem::new(Kind::BadRequest, format!("`filter` {why}"));
        if text.len() > MAX_BYTES {
            return Err(bad(format!("is longer than `{MAX_BYTES}` bytes")));
        }
        let compiled = Expression::compile_over(text, &[EVENT, MESSAGE]);
        let expression = compiled.map_err(|error| bad(error.to_string()))?;
        // The library makes its pattern anew for each event, and one of a few bytes can be a large one.
        if expression.calls("matches") {
            let hint = "compare with `startsWith`, `endsWith` or `contains`";
            return Err(bad(format!(
                "calls `matches`, which costs too much here; {hint}"
            )));
        }
        Ok(Self(expression))
    }

    /// Says whether it looks at the data.
    pub(super) fn reads_data(&self) -> bool {
        self.0.names(MESSAGE)
    }

    /// Says whether an event is wanted. One of which that cannot be told, as an attribute or a member is
    /// missing, is not.
    pub(super) fn wants<'t>(
        &self,
        attributes: impl Iterator<Item = (&'t str, &'t str)>,
        data: &Tree<'_>,
    ) -> bool {
        let mut members: Vec<(Cow<'t, str>, Tree<'t>)> = attributes
            .map(|(name, value)| (name.into(), Tree::Text(value.into())))
            .collect();
        members.sort_by(|(left, _), (right, _)| left.cmp(right));
        members.dedup_by(|(left, _), (right, _)| left == right);
        let event = Tree::Object(members);
        self.0.holds_over(&[&event, data]).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTRIBUTES: [(&str, &str); 3] = [
        ("type", "com.example.order"),
        ("id", "o-1"),
        ("source", "/shop"),
    ];

    #[test]
    fn events_are_wanted_by_attributes_and_data() {
        for (filter, expected) in [
            ("event.type == 'com.example.order'", true),
            ("event.type.startsWith('com.other')", false),
            ("message.total > 4", true),
            ("message.total > 5", false),
            (
                "event.id == 'o-1' && message.lines.exists(l, l.price > 10)",
                true,
            ),
            ("true", true),
            // It cannot be told.
            ("event.subject == 'x'", false),
            ("message.missing > 1", false),
            ("message.total", false),
        ] {
            let filter = Filter::compile(filter).unwrap();
            let data = br#"{"total":5,"lines":[{"price":1},{"price":11}]}"#;
            let data = Tree::parse(data).unwrap();
            assert_eq!(
                filter.wants(ATTRIBUTES.into_iter(), &data),
                expected,
                "{filter:?}"
            );
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_with_its_reason() {
        for (filter, why) in [
            ("event.type ==", "CEL"),
            ("event.id.matches('(a{99}){99}')", "calls `matches`"),
            ("other.a > 1", "neither `event`, `message` nor"),
            (
                "message.a.all(x, message.b.all(y, x == y))",
                "a macro such as `all`",
            ),
        ] {
            let problem = Filter::compile(filter).unwrap_err();
            let text = format!("{problem:?}");
            assert!(text.contains(why), "{filter}: {text}");
        }
        let long = format!("'{}' == ''", "x".repeat(MAX_BYTES));
        assert!(Filter::compile(&long).is_err());
    }
}
