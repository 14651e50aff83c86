//! The rules by their names in Confluent's registry: which of them LENIENT lets pass, and what each
//! says in a sentence.

use super::super::beyond;
use super::Limit;

/// What Confluent's LENIENT adds to the compatible changes.
const LENIENT: &[&str] = &[
    "ADDITIONAL_PROPERTIES_NARROWED",
    "ADDITIONAL_PROPERTIES_REMOVED",
    "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
    "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL",
    "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
    "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
    "UNEVALUATED_PROPERTIES_NARROWED",
    "UNEVALUATED_PROPERTIES_REMOVED",
];

/// What LENIENT lets pass; of our own rules all but one, since people mean what they wrote before.
pub(super) fn is_lenient(rule: &str) -> bool {
    LENIENT.contains(&rule)
        || (beyond::BEYOND_CONFLUENT.contains(&rule) && rule != beyond::REQUIRED_NAME_ADDED)
}

macro_rules! limits {
    ($($name:ident: $larger:literal, $added:literal, $tightened:literal;)+) => {
        $(pub(super) const $name: Limit = Limit {
            tighter_when_larger: $larger,
            added: $added,
            tightened: $tightened,
        };)+
    };
}

limits! {
    MAX_LENGTH: false, "MAX_LENGTH_ADDED", "MAX_LENGTH_DECREASED";
    MIN_LENGTH: true, "MIN_LENGTH_ADDED", "MIN_LENGTH_INCREASED";
    MAXIMUM: false, "MAXIMUM_ADDED", "MAXIMUM_DECREASED";
    MINIMUM: true, "MINIMUM_ADDED", "MINIMUM_INCREASED";
    EXCLUSIVE_MAXIMUM: false, "EXCLUSIVE_MAXIMUM_ADDED", "EXCLUSIVE_MAXIMUM_DECREASED";
    EXCLUSIVE_MINIMUM: true, "EXCLUSIVE_MINIMUM_ADDED", "EXCLUSIVE_MINIMUM_INCREASED";
    MAX_PROPERTIES: false, "MAX_PROPERTIES_ADDED", "MAX_PROPERTIES_DECREASED";
    MIN_PROPERTIES: true, "MIN_PROPERTIES_ADDED", "MIN_PROPERTIES_INCREASED";
    MAX_ITEMS: false, "MAX_ITEMS_ADDED", "MAX_ITEMS_DECREASED";
    MIN_ITEMS: true, "MIN_ITEMS_ADDED", "MIN_ITEMS_INCREASED";
    MAX_CONTAINS: false, "MAX_CONTAINS_ADDED", "MAX_CONTAINS_DECREASED";
    MIN_CONTAINS: true, "MIN_CONTAINS_ADDED", "MIN_CONTAINS_INCREASED";
}

/// Says in a sentence what a rule found.
pub(super) fn detail(rule: &str) -> &'static str {
    match rule {
        "TYPE_CHANGED" => "the type is another one",
        "TYPE_NARROWED" => "numbers must be whole now",
        "SCHEMA_ADDED" => "what was free has a schema now",
        "PATTERN_ADDED" | "PATTERN_CHANGED" => "texts must match another pattern now",
        "MULTIPLE_OF_ADDED" | "MULTIPLE_OF_EXPANDED" | "MULTIPLE_OF_CHANGED" => {
            "numbers must be multiples of another number now"
        }
        "ENUM_ARRAY_NARROWED" => "values that were allowed are not any more",
        "ENUM_ARRAY_CHANGED" => "the allowed values are others",
        "NOT_TYPE_EXTENDED" => "more is forbidden now",
        "COMBINED_TYPE_CHANGED" => "alternatives are combined another way",
        "COMBINED_TYPE_SUBSCHEMAS_CHANGED" => "an alternative has none that it may become",
        "PRODUCT_TYPE_EXTENDED" => "more must hold at once now",
        "SUM_TYPE_NARROWED" => "an alternative is gone",
        beyond::REQUIRED_NAME_ADDED => "the name is required now, whatever it holds",
        beyond::REQUIRED_DESPITE_DEFAULT => {
            "the property is required now, and no validator fills in its default"
        }
        beyond::TYPE_ADDED => "there is a type now; values of others were let in",
        beyond::ALTERNATIVES_OVERLAP => "a document may keep two of the alternatives now",
        beyond::CONDITION_CHANGED => "the condition, or what it asks, is another",
        beyond::CONTAINS_CHANGED => "the list must contain something else now",
        beyond::PROPERTY_NAMES_CHANGED => "names must keep a schema that they need not keep before",
        beyond::PATTERN_PROPERTIES_CHANGED => {
            "properties whose names match must keep another schema now"
        }
        beyond::PROPERTY_ADDED_BESIDE_PATTERNS => {
            "the property is new, and the object may have held anything under its name"
        }
        beyond::UNEVALUATED_CHANGED => "what is left over may be more now, and is not let in",
        "REQUIRED_ATTRIBUTE_ADDED" => "the property is required now, and has no default",
        "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL"
        | "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL" => {
            "the property is new and required, and has no default"
        }
        "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL"
        | "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL" => {
            "the property is new, and the open object may have held anything under its name"
        }
        "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "the property is new and narrower than what the object took before"
        }
        "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL" => {
            "the property is gone and the object takes no others"
        }
        "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "the property is gone and the object takes others only"
        }
        "ADDITIONAL_PROPERTIES_REMOVED" | "UNEVALUATED_PROPERTIES_REMOVED" => {
            "other properties are not allowed any more"
        }
        "ADDITIONAL_PROPERTIES_NARROWED" | "UNEVALUATED_PROPERTIES_NARROWED" => {
            "other properties must keep a schema now"
        }
        "ADDITIONAL_ITEMS_REMOVED" | "UNEVALUATED_ITEMS_REMOVED" => {
            "other items are not allowed any more"
        }
        "ADDITIONAL_ITEMS_NARROWED" | "UNEVALUATED_ITEMS_NARROWED" => {
            "other items must keep a schema now"
        }
        "ITEM_ADDED_TO_OPEN_CONTENT_MODEL" => {
            "the item is declared now, and the open list may have held anything in its place"
        }
        "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "the item is narrower than what the list took before"
        }
        "ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL" => "the item is gone and the list takes no others",
        "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL" => {
            "the item is gone and the list takes others only"
        }
        "DEPENDENCY_ARRAY_ADDED" | "DEPENDENCY_ARRAY_EXTENDED" | "DEPENDENCY_ARRAY_CHANGED" => {
            "the property needs others beside it now"
        }
        "DEPENDENCY_SCHEMA_ADDED" => "the property brings a schema with it now",
        "UNIQUE_ITEMS_ADDED" => "items must differ now",
        rule if rule.ends_with("_ADDED") => "there was no such limit before",
        _ => "the limit is tighter than before",
    }
}
