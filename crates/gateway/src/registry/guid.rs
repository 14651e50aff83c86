//! The GUID of a schema, as Confluent's registry computes it: MD5 over the schema's text, its
//! references, metadata and rules, in this order, written as a UUID. It names content, and is no
//! protection.

use md5::{Digest as _, Md5};

use super::entity::{Metadata, Reference, Rule, RuleSet};

/// The digest of all that makes a schema the same schema.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Guid([u8; 16]);

impl Guid {
    pub(crate) fn of(
        schema: &str,
        references: &[Reference],
        metadata: Option<&Metadata>,
        rule_set: Option<&RuleSet>,
    ) -> Self {
        let mut hash = Md5::new();
        hash.update(schema);
        for reference in references {
            hash.update(&reference.name);
            hash.update(&reference.subject);
            hash.update(reference.version.to_be_bytes());
        }
        if let Some(metadata) = metadata {
            hash.update([1]);
            for (name, tags) in &metadata.tags {
                hash.update(name);
                tags.iter().for_each(|tag| hash.update(tag));
            }
            for (name, value) in &metadata.properties {
                hash.update(name);
                hash.update(value);
            }
            metadata.sensitive.iter().for_each(|name| hash.update(name));
        }
        if let Some(rules) = rule_set {
            hash.update([1]);
            let kinds = [
                &rules.migration_rules,
                &rules.domain_rules,
                &rules.encoding_rules,
            ];
            for rule in kinds.into_iter().flatten() {
                update(&mut hash, rule);
            }
            hash.update(rules.enable_at.as_deref().unwrap_or_default());
        }
        Self(hash.finalize().into())
    }

    /// Takes the bytes of a UUID, the most significant half first.
    pub(crate) fn of_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the UUID, the most significant half first.
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Reads the text of a UUID.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let dashes = [8, 13, 18, 23];
        if bytes.len() != 36 || dashes.iter().any(|at| bytes[*at] != b'-') {
            return None;
        }
        let hex: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != b'-').collect();
        let mut guid = [0; 16];
        for (into, pair) in guid.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(pair[0])? * 16 + digit(pair[1])?;
            *into = u8::try_from(value).ok()?;
        }
        (hex.len() == 32).then_some(Self(guid))
    }
}

fn update(hash: &mut Md5, rule: &Rule) {
    let mut text = |text: &Option<String>| hash.update(text.as_deref().unwrap_or_default());
    text(&rule.name);
    text(&rule.doc);
    text(&rule.kind);
    text(&rule.mode);
    text(&rule.rule_type);
    rule.tags.iter().for_each(|tag| hash.update(tag));
    for (name, value) in &rule.params {
        hash.update(name);
        hash.update(value);
    }
    let mut text = |text: &Option<String>| hash.update(text.as_deref().unwrap_or_default());
    text(&rule.expr);
    text(&rule.on_success);
    text(&rule.on_failure);
    if rule.disabled {
        hash.update([1]);
    }
}

impl std::fmt::Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_the_md5_of_the_text() {
        // `printf '"string"' | md5sum`
        let guid = Guid::of("\"string\"", &[], None, None);
        assert_eq!(guid.to_string(), "095d71cf-1255-6b9d-5e33-0ad575b3df5d");
        assert_eq!(Guid::parse(&guid.to_string()), Some(guid));
        for text in ["", "095d71cf", "z95d71cf-1255-6b9d-5e33-0ad575b3df5d"] {
            assert_eq!(Guid::parse(text), None);
        }
        let empty = Guid::of("\"string\"", &[], Some(&Metadata::default()), None);
        assert_ne!(empty, guid);
    }
}
