//! What the registry speaks of, in the form in which it is both stored and sent: references,
//! metadata, rules, settings, modes. Names and order of members are Confluent's.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

/// A name in a schema, and the version of a subject that it stands for.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub(crate) struct Reference {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) version: i32,
}

fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What is said about a schema beside it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Metadata {
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) tags: BTreeMap<String, BTreeSet<String>>,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) properties: BTreeMap<String, String>,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub(crate) sensitive: BTreeSet<String>,
}

/// The property in which a version that was asked for is kept.
const VERSION_PROPERTY: &str = "confluent:version";

impl Metadata {
    /// Puts one over the other.
    pub(crate) fn merge(below: Option<&Self>, above: Option<&Self>) -> Option<Self> {
        let (Some(below), Some(above)) = (below, above) else {
            return below.or(above).cloned();
        };
        let mut merged = below.clone();
        merged.tags.extend(above.tags.clone());
        merged.properties.extend(above.properties.clone());
        merged.sensitive.extend(above.sensitive.iter().cloned());
        Some(merged)
    }

    pub(crate) fn has_version(&self) -> bool {
        self.properties.contains_key(VERSION_PROPERTY)
    }

    pub(crate) fn set_version(&mut self, version: i32) {
        let version = version.to_string();
        self.properties.insert(VERSION_PROPERTY.to_owned(), version);
    }
}

/// The rules of a schema; they are kept and returned, and executed by clients.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RuleSet {
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(crate) migration_rules: Vec<Rule>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(crate) domain_rules: Vec<Rule>,
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub(crate) encoding_rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_at: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) doc: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) mode: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "is_empty")]
    pub(crate) rule_type: Option<String>,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub(crate) tags: BTreeSet<String>,
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) params: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) expr: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) on_success: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) on_failure: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub(crate) disabled: bool,
}

fn is_empty(text: &Option<String>) -> bool {
    text.as_ref().is_none_or(String::is_empty)
}

impl RuleSet {
    pub(crate) fn has_type(&self, rule_type: &str) -> bool {
        [
            &self.migration_rules,
            &self.domain_rules,
            &self.encoding_rules,
        ]
        .into_iter()
        .flatten()
        .any(|rule| rule.rule_type.as_deref() == Some(rule_type))
    }

    /// Puts one over the other: a rule replaces that of its name.
    pub(crate) fn merge(below: Option<&Self>, above: Option<&Self>) -> Option<Self> {
        let (Some(below), Some(above)) = (below, above) else {
            return below.or(above).cloned();
        };
        let rules = |below: &[Rule], above: &[Rule]| {
            let kept = |rule: &&Rule| above.iter().all(|other| other.name != rule.name);
            let mut merged: Vec<_> = below.iter().filter(kept).cloned().collect();
            merged.extend_from_slice(above);
            merged
        };
        Some(Self {
            migration_rules: rules(&below.migration_rules, &above.migration_rules),
            domain_rules: rules(&below.domain_rules, &above.domain_rules),
            encoding_rules: rules(&below.encoding_rules, &above.encoding_rules),
            enable_at: above.enable_at.clone().or_else(|| below.enable_at.clone()),
        })
    }

    /// Checks names, kinds and modes.
    ///
    /// # Errors
    /// What is wrong, as the registry's error 42210 tells it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        let migration = ["UPGRADE", "DOWNGRADE", "UPDOWN"];
        let domain = ["WRITE", "READ", "WRITEREAD"];
        for (rules, what, modes) in [
            (&self.migration_rules, "Migration", migration),
            (&self.domain_rules, "Domain", domain),
            (&self.encoding_rules, "Encoding", domain),
        ] {
            for rule in rules {
                let name = rule.name.as_deref().unwrap_or_default();
                if name.is_empty() {
                    return Err("Empty rule name".to_owned());
                }
                if !names.insert(name) {
                    return Err(format!("Found rule with duplicate name '{name}'"));
                }
                if !matches!(rule.kind.as_deref(), None | Some("TRANSFORM" | "CONDITION")) {
                    return Err(format!("Rule '{name}' has an unknown kind"));
                }
                if rule.rule_type.as_deref().is_none_or(str::is_empty) {
                    return Err(format!("Missing rule type for rule '{name}'"));
                }
                if !rule
                    .mode
                    .as_deref()
                    .is_none_or(|mode| modes.contains(&mode))
                {
                    return Err(format!("{what} rules can only be {}", modes.join(", ")));
                }
            }
        }
        Ok(())
    }
}

/// How far the registry may be written to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    Readwrite,
    Readonly,
    ReadonlyOverride,
    Import,
    Forward,
}

impl Mode {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = serde_json::Value::String(text.to_ascii_uppercase());
        serde_json::from_value(name).ok()
    }

    pub(crate) fn is_read_only(self) -> bool {
        matches!(self, Self::Readonly | Self::ReadonlyOverride)
    }

    pub(crate) fn is_import(self) -> bool {
        matches!(self, Self::Import | Self::Forward)
    }
}

/// Settings of a subject, a context or all; what is absent comes from further out.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) alias: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) alias_for_deks: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) normalize: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validate_fields: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validate_new_schemas: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) validate_rules: Option<bool>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) compatibility_level: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) compatibility_policy: Option<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(crate) compatibility_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) override_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) default_rule_set: Option<RuleSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) override_rule_set: Option<RuleSet>,
}

/// The level where nothing is set.
pub(crate) const DEFAULT_LEVEL: &str = "BACKWARD";

impl Config {
    /// Fills what is absent from further out.
    pub(crate) fn or(self, outer: &Self) -> Self {
        let outer = outer.clone();
        Self {
            alias: self.alias,
            alias_for_deks: self.alias_for_deks,
            normalize: self.normalize.or(outer.normalize),
            validate_fields: self.validate_fields.or(outer.validate_fields),
            validate_new_schemas: self.validate_new_schemas.or(outer.validate_new_schemas),
            validate_rules: self.validate_rules.or(outer.validate_rules),
            compatibility_level: self.compatibility_level.or(outer.compatibility_level),
            compatibility_policy: self.compatibility_policy.or(outer.compatibility_policy),
            compatibility_group: self.compatibility_group.or(outer.compatibility_group),
            default_metadata: self.default_metadata.or(outer.default_metadata),
            override_metadata: self.override_metadata.or(outer.override_metadata),
            default_rule_set: self.default_rule_set.or(outer.default_rule_set),
            override_rule_set: self.override_rule_set.or(outer.override_rule_set),
        }
    }

    /// Fills the level, as every answer has one.
    pub(crate) fn with_level(mut self) -> Self {
        let level = || DEFAULT_LEVEL.to_owned();
        self.compatibility_level.get_or_insert_with(level);
        self
    }
}
