//! The rules that are ours: Confluent's registry lets these changes pass, and then a document that the
//! earlier schema allowed is refused by the new one. Generated documents (`tests/it/laws`) led to some,
//! reading Confluent's rules to the others. STRICT tells all, LENIENT those that say so and Protobuf's.

/// A name is required that has no schema saying what it holds. Told under LENIENT too.
pub(super) const REQUIRED_NAME_ADDED: &str = "REQUIRED_NAME_ADDED";
/// A name is required and its schema has a default: no validator fills it in.
pub(super) const REQUIRED_DESPITE_DEFAULT: &str = "REQUIRED_DESPITE_DEFAULT";
/// What had no type, only limits of one, has that type now.
pub(super) const TYPE_ADDED: &str = "TYPE_ADDED";
/// A document may keep two alternatives of a `oneOf` now.
pub(super) const ALTERNATIVES_OVERLAP: &str = "ALTERNATIVES_OVERLAP";
/// `if`, `then` and `else`.
pub(super) const CONDITION_CHANGED: &str = "CONDITION_CHANGED";
/// `contains`.
pub(super) const CONTAINS_CHANGED: &str = "CONTAINS_CHANGED";
/// `propertyNames`.
pub(super) const PROPERTY_NAMES_CHANGED: &str = "PROPERTY_NAMES_CHANGED";
/// `patternProperties`.
pub(super) const PATTERN_PROPERTIES_CHANGED: &str = "PATTERN_PROPERTIES_CHANGED";
/// A property is declared that stood beside `patternProperties` and could hold anything.
pub(super) const PROPERTY_ADDED_BESIDE_PATTERNS: &str = "PROPERTY_ADDED_BESIDE_PATTERNS";
/// `unevaluatedProperties` or `unevaluatedItems` beside combinations, which say what is left.
pub(super) const UNEVALUATED_CHANGED: &str = "UNEVALUATED_CHANGED";
/// A field of Protobuf that messages may lack is `required`.
pub(super) const FIELD_MADE_REQUIRED: &str = "FIELD_MADE_REQUIRED";
/// A field of Protobuf that is written as a packed list, and read as one value.
pub(super) const FIELD_PACKED_LIST_CHANGED: &str = "FIELD_PACKED_LIST_CHANGED";

/// Every rule that is ours, by name.
pub const BEYOND_CONFLUENT: &[&str] = &[
    REQUIRED_NAME_ADDED,
    REQUIRED_DESPITE_DEFAULT,
    TYPE_ADDED,
    ALTERNATIVES_OVERLAP,
    CONDITION_CHANGED,
    CONTAINS_CHANGED,
    PROPERTY_NAMES_CHANGED,
    PATTERN_PROPERTIES_CHANGED,
    PROPERTY_ADDED_BESIDE_PATTERNS,
    UNEVALUATED_CHANGED,
    FIELD_MADE_REQUIRED,
    FIELD_PACKED_LIST_CHANGED,
];
