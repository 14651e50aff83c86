//! Names of subjects with their context: `:.context:subject`, and plain `subject` in the default
//! context `.`. A context alone is `:.context:`.

/// The context of names that have none.
pub(crate) const DEFAULT_CONTEXT: &str = ".";
/// Settings of this context hold in all others.
const GLOBAL_CONTEXT: &str = ".__GLOBAL";
/// Any context.
pub(crate) const WILDCARD: &str = ":*:";
/// A subject's name is a key of every answer about it.
const MAX_NAME_BYTES: usize = 1024;

/// A name taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Name<'n> {
    /// With its dot.
    pub(crate) context: &'n str,
    pub(crate) subject: &'n str,
}

impl<'n> Name<'n> {
    pub(crate) fn parse(text: &'n str) -> Self {
        let default = Self {
            context: DEFAULT_CONTEXT,
            subject: text,
        };
        if let Some(subject) = text.strip_prefix(WILDCARD) {
            return Self {
                context: "*",
                subject,
            };
        }
        match text.strip_prefix(':').filter(|rest| rest.starts_with('.')) {
            Some(rest) => {
                let (context, subject) = rest.split_once(':').unwrap_or((rest, ""));
                Self { context, subject }
            }
            None => default,
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        self.context == DEFAULT_CONTEXT
    }

    /// A context without a subject.
    pub(crate) fn is_context(&self) -> bool {
        self.subject.is_empty()
    }

    pub(crate) fn is_global(&self) -> bool {
        self.context == GLOBAL_CONTEXT && self.is_context()
    }

    /// Writes it in the one form in which it is stored.
    pub(crate) fn qualified(&self) -> String {
        format!("{}{}", context_name(self.context), self.subject)
    }

    /// Puts a subject without a context into that of another name.
    pub(crate) fn beside(&self, subject: &str) -> String {
        let own = Name::parse(subject);
        if own.is_default() && !self.is_default() {
            return format!("{}{}", context_name(self.context), own.subject);
        }
        own.qualified()
    }
}

/// Writes a context as the beginning of names: nothing for the default one.
pub(crate) fn context_name(context: &str) -> String {
    match context {
        DEFAULT_CONTEXT => String::new(),
        context => format!(":{context}:"),
    }
}

/// The name whose settings hold in all contexts.
pub(crate) fn global() -> String {
    context_name(GLOBAL_CONTEXT)
}

/// Writes a context as it stands in an address, `.a`, `a` or `:.a:`, as the beginning of names.
pub(crate) fn context_of_path(context: &str) -> Option<String> {
    let context = context.strip_prefix(':').unwrap_or(context);
    let context = context.strip_suffix(':').unwrap_or(context);
    if context.contains(':') {
        return None;
    }
    Some(match context.starts_with('.') {
        true => context_name(context),
        false => context_name(&format!(".{context}")),
    })
}

/// Whether a subject may be called so; settings may also be of a context.
pub(crate) fn is_valid(text: &str, of_settings: bool) -> bool {
    if text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
        return false;
    }
    let name = Name::parse(text);
    let reserved = matches!(name.subject, "__GLOBAL" | "__EMPTY");
    let wild = name.context == "*" || name.subject.is_empty() || name.subject == "*";
    !reserved && (of_settings || (!wild && name.context != GLOBAL_CONTEXT))
}

/// Whether a subject's stored name begins as asked for; `:*:` is any context.
pub(crate) fn has_prefix(stored: &str, prefix: &str) -> bool {
    match prefix.strip_prefix(WILDCARD) {
        Some(prefix) => Name::parse(stored).subject.starts_with(prefix),
        None => stored.starts_with(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        for (text, context, subject, qualified) in [
            ("orders-value", ".", "orders-value", "orders-value"),
            (":.:orders", ".", "orders", "orders"),
            (":.eu:orders", ".eu", "orders", ":.eu:orders"),
            (":.eu:", ".eu", "", ":.eu:"),
            (":.eu", ".eu", "", ":.eu:"),
            (":eu:orders", ".", ":eu:orders", ":eu:orders"),
            (":.eu:a:b", ".eu", "a:b", ":.eu:a:b"),
        ] {
            let name = Name::parse(text);
            assert_eq!((name.context, name.subject), (context, subject), "{text}");
            assert_eq!(name.qualified(), qualified);
        }
        assert_eq!(Name::parse(":.eu:a").beside("b"), ":.eu:b");
        assert_eq!(Name::parse(":.eu:a").beside(":.us:b"), ":.us:b");
        assert_eq!(Name::parse("a").beside("b"), "b");
        for (path, expected) in [
            ("eu", ":.eu:"),
            (".eu", ":.eu:"),
            (":.eu:", ":.eu:"),
            (".", ""),
        ] {
            assert_eq!(context_of_path(path).as_deref(), Some(expected));
        }
        assert!(has_prefix(":.eu:orders", ":*:ord") && has_prefix("orders", ":*:"));
        assert!(!has_prefix(":.eu:orders", "ord"));
    }

    #[test]
    fn some_names_are_nobodys() {
        for (text, of_schemas, of_settings) in [
            ("a", true, true),
            ("a\nb", false, false),
            ("__GLOBAL", false, false),
            (":.eu:", false, true),
            ("", false, true),
            (":.__GLOBAL:a", false, true),
        ] {
            assert_eq!(is_valid(text, false), of_schemas, "{text:?}");
            assert_eq!(is_valid(text, true), of_settings, "{text:?}");
        }
    }
}
