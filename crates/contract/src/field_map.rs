//! Maps from one shape of data to another, member by member: of a request to an event, and of an
//! event to its next version. Each member is a path, copied as it is and left out where there is
//! nothing, or an expression in CEL.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::expression::{Expression, ExpressionError};
use crate::path::Path;
use crate::tree::Tree;

/// How the members of an object are made of other data.
#[derive(Debug)]
pub struct FieldMap {
    members: Vec<(String, Part)>,
}

/// Where a member comes from.
#[derive(Debug)]
enum Part {
    Path(Path),
    Expression(Expression),
}

/// A member that cannot be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unmade {
    /// The member's name.
    pub member: String,
    /// Why.
    pub detail: String,
}

impl FieldMap {
    /// Compiles a map of names to texts; an expression sees the data as `variable`.
    ///
    /// # Errors
    /// The name of the first member whose text is neither a path nor an expression, and why.
    pub fn compile<'t>(
        members: impl Iterator<Item = (&'t str, &'t str)>,
        variable: &'static str,
    ) -> Result<Self, (String, ExpressionError)> {
        let part = |(name, text): (&str, &str)| {
            let part = match text.parse() {
                Ok(path) => Part::Path(path),
                Err(_) => Part::Expression(
                    Expression::compile(text, variable)
                        .map_err(|error| (name.to_owned(), error))?,
                ),
            };
            Ok((name.to_owned(), part))
        };
        Ok(Self {
            members: members.map(part).collect::<Result<_, _>>()?,
        })
    }

    /// Returns the members with their texts, as they were written.
    pub fn texts(&self) -> Vec<(&str, String)> {
        let text = |part: &Part| match part {
            Part::Path(path) => path.to_string(),
            Part::Expression(expression) => expression.as_str().to_owned(),
        };
        let members = self.members.iter();
        members
            .map(|(name, part)| (name.as_str(), text(part)))
            .collect()
    }

    /// Makes an object of `data`; the same data makes the same bytes.
    ///
    /// # Errors
    /// Every member that cannot be made.
    pub fn apply(&self, data: &Tree<'_>) -> Result<Bytes, Vec<Unmade>> {
        let mut object = Map::new();
        let mut unmade = Vec::new();
        for (name, part) in &self.members {
            let value = match part {
                Part::Path(path) => Ok(path.find(data).map(Tree::to_value)),
                Part::Expression(expression) => expression.value(data).map(Some),
            };
            match value {
                Ok(Some(value)) => {
                    object.insert(name.clone(), value);
                }
                Ok(None) => {}
                Err(detail) => unmade.push(Unmade {
                    member: name.clone(),
                    detail,
                }),
            }
        }
        match unmade.is_empty() {
            true => Ok(Value::Object(object).to_string().into()),
            false => Err(unmade),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::REQUEST;

    fn map(members: &[(&str, &str)]) -> FieldMap {
        FieldMap::compile(members.iter().copied(), REQUEST).unwrap()
    }

    #[test]
    fn members_are_copied_made_or_left_out() {
        let map = map(&[
            ("orderId", "$.id"),
            ("total", "{'amount': request.amount, 'currency': 'EUR'}"),
            ("note", "$.note"),
            ("large", "request.amount > 100"),
        ]);
        let data = Tree::parse(br#"{"id": "o-1", "amount": 250, "other": true}"#).unwrap();
        let expected = r#"{"orderId":"o-1","total":{"amount":250,"currency":"EUR"},"large":true}"#;
        assert_eq!(map.apply(&data).unwrap(), expected);
    }

    #[test]
    fn every_member_that_cannot_be_made_is_named() {
        let map = map(&[("a", "request.x + 1"), ("b", "$.x"), ("c", "request.y.z")]);
        let data = Tree::parse(br#"{"x": "text", "y": {}}"#).unwrap();
        let unmade = map.apply(&data).unwrap_err();
        let members: Vec<&str> = unmade.iter().map(|unmade| unmade.member.as_str()).collect();
        assert_eq!(members, ["a", "c"]);
        assert_eq!(unmade[1].detail, "needs `z`, which is not there");
    }
}
