//! The laws of compatibility, tried by generated schemas, what some edits make of them, and documents
//! of the writer's schema that the reader's really meets: the `jsonschema` validator, `apache-avro`'s
//! resolution, `prost-reflect`'s decoder. A verdict «compatible» that a document contradicts is a
//! fault of the checker. Each property counts what it tried, so that it cannot run dry unnoticed.

mod avro;
mod choices;
mod json;
mod protobuf;

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tidegate_contract::model::Compatibility;
use tidegate_contract::model::CompatibilityPolicy::{Lenient, Strict};
use tidegate_contract::schema::Schema;
use tidegate_contract::schema::compatibility::{Incompatibility, check, unreadable};

use choices::Choices;

const LEVELS: [Compatibility; 7] = [
    Compatibility::None,
    Compatibility::Backward,
    Compatibility::BackwardTransitive,
    Compatibility::Forward,
    Compatibility::ForwardTransitive,
    Compatibility::Full,
    Compatibility::FullTransitive,
];
/// Versions of one schema: the first, an edit of it, and an edit of that.
const VERSIONS: usize = 3;

/// What a language brings to be tried.
trait Language {
    /// A schema as its author holds it.
    type Text: Clone + std::fmt::Display;
    /// A schema as the reader's own library has it.
    type Real;

    fn schema(choices: &mut Choices) -> Self::Text;
    /// Changes something, perhaps something that compatibility allows.
    fn edit(text: &mut Self::Text, choices: &mut Choices);
    /// Nothing if the text is no schema.
    fn parse(text: &Self::Text) -> Option<(Schema, Self::Real)>;
    /// Tries one document; nothing if the writer's schema does not take it.
    fn meets(
        texts: [&Self::Text; 2],
        writer: &Self::Real,
        reader: &Self::Real,
        choices: &mut Choices,
    ) -> Option<Result<(), String>>;
}

/// What a property tried, and the least shares that make it worth something.
#[derive(Debug, Default)]
struct Tried {
    pairs: Cell<usize>,
    compatible: Cell<usize>,
    /// Compatible, and not because nothing changed.
    changed: Cell<usize>,
    documents: Cell<usize>,
    refused: Cell<usize>,
}

fn more(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

/// Runs the property in `cases` cases, or as many as `PROPTEST_CASES` says.
fn obeys_its_laws<L: Language>(cases: u32) -> Tried {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let mut config = Config {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    if !asked {
        config.cases = cases;
    }
    let tried = Tried::default();
    let choices = || prop::collection::vec(any::<u8>(), 0..160);
    let strategy = (choices(), choices(), choices());
    let ran = TestRunner::new(config).run(&strategy, |(schema, edits, documents)| {
        let mut text = L::schema(&mut Choices::new(schema));
        let mut edits = Choices::new(edits);
        let mut versions = vec![text.clone()];
        for _ in 1..VERSIONS {
            for _ in 0..=edits.below(3) {
                L::edit(&mut text, &mut edits);
            }
            versions.push(text.clone());
        }
        let parsed: Vec<_> = versions
            .iter()
            .filter_map(|text| Some((text, L::parse(text)?)))
            .collect();
        let schemas: Vec<&Schema> = parsed.iter().map(|(_, (schema, _))| schema).collect();
        laws(&schemas)?;
        let mut documents = Choices::new(documents);
        for (text, (writer, real_writer)) in &parsed {
            for (read, (reader, real_reader)) in &parsed {
                if std::ptr::eq(writer, reader) {
                    continue;
                }
                more(&tried.pairs);
                let compatible = unreadable(reader, writer, Strict).is_empty();
                if compatible {
                    more(&tried.compatible);
                    if text.to_string() != read.to_string() {
                        more(&tried.changed);
                    }
                }
                for _ in 0..6 {
                    let met = L::meets([text, read], real_writer, real_reader, &mut documents);
                    match met {
                        None => continue,
                        Some(Err(problem)) if compatible => {
                            let told =
                                format!("written under {text}\nread under {read}\n{problem}");
                            return Err(TestCaseError::fail(told));
                        }
                        Some(Err(_)) => more(&tried.refused),
                        Some(Ok(())) => {}
                    }
                    if compatible {
                        more(&tried.documents);
                    }
                }
            }
        }
        Ok(())
    });
    eprintln!("{tried:?}");
    match ran {
        Ok(()) => {}
        // The bytes it is made of tell nobody anything.
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(error) => panic!("{error}"),
    }
    tried
}

fn laws(versions: &[&Schema]) -> Result<(), TestCaseError> {
    let [first, .., last] = versions else {
        return Ok(());
    };
    for policy in [Strict, Lenient] {
        let fits = |level, new: &Schema, old: &[&Schema]| check(level, policy, new, old).is_empty();
        let rules = |level, new: &Schema, old: &Schema| -> Vec<Incompatibility> {
            let found = check(level, policy, new, &[old]);
            found.into_iter().map(|reason| reason.found).collect()
        };
        for level in LEVELS {
            // Reflexive; and the first version may be anything.
            prop_assert!(
                fits(level, first, &[first]),
                "{level} {policy} is not reflexive"
            );
            prop_assert!(fits(level, first, &[]));
            // The transitive forms are their level against each, so they imply it.
            let earlier = &versions[..versions.len() - 1];
            let each = earlier.iter().all(|old| fits(level, last, &[old]));
            let newest = fits(level, last, &earlier[earlier.len() - 1..]);
            let expected = if level.is_transitive() { each } else { newest };
            prop_assert_eq!(fits(level, last, earlier), expected, "{} {}", level, policy);
        }
        // Forward is backward the other way round, reason by reason; full is both.
        let backward = rules(Compatibility::Backward, last, first);
        prop_assert_eq!(&backward, &rules(Compatibility::Forward, first, last));
        let forward = rules(Compatibility::Forward, last, first);
        let full = [backward.clone(), forward].concat();
        prop_assert_eq!(full, rules(Compatibility::Full, last, first));
        prop_assert!(fits(Compatibility::None, last, &[first]));
        // What STRICT lets pass, LENIENT does.
        let strict = unreadable(last, first, Strict);
        prop_assert!(!strict.is_empty() || backward.is_empty());
    }
    Ok(())
}

/// The property says something only if it meets all of these often.
fn is_telling(tried: &Tried) {
    let share = |part: &Cell<usize>| part.get() as f64 / tried.pairs.get() as f64;
    assert!(share(&tried.compatible) > 0.1, "{tried:?}");
    assert!(share(&tried.compatible) < 0.9, "{tried:?}");
    assert!(share(&tried.changed) > 0.05, "{tried:?}");
    assert!(share(&tried.documents) > 0.3, "{tried:?}");
    assert!(share(&tried.refused) > 0.05, "{tried:?}");
}

#[test]
fn json_schema_obeys_the_laws_and_documents_keep_its_verdicts() {
    is_telling(&obeys_its_laws::<json::Json>(600));
}

#[test]
fn avro_obeys_the_laws_and_data_keeps_its_verdicts() {
    is_telling(&obeys_its_laws::<avro::Avro>(600));
}

#[test]
fn protobuf_obeys_the_laws_and_messages_keep_its_verdicts() {
    is_telling(&obeys_its_laws::<protobuf::Protobuf>(300));
}
