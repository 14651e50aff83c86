//! The words of a name, and what English tells of them. Words that are as often something else are
//! left out of the lists: a finding that is wrong costs more than one that is missed.

/// Takes a name apart: `order-placed`, `orderPlaced` and `order.placed` are two words each.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for letter in name.chars() {
        let starts = letter.is_uppercase() && lower_before;
        if !letter.is_alphanumeric() || starts {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        lower_before = letter.is_lowercase() || letter.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// End in `ed` and are no past.
const NOT_PAST: &[&str] = &[
    "bed", "breed", "embed", "exceed", "feed", "need", "proceed", "red", "seed", "shed", "speed",
    "succeed", "weed", "unneeded",
];
/// Past participles without `ed`, and words that do not change.
const IRREGULAR: &[&str] = &[
    "begun",
    "bought",
    "broken",
    "built",
    "chosen",
    "cut",
    "done",
    "drawn",
    "driven",
    "fallen",
    "found",
    "given",
    "gone",
    "grown",
    "held",
    "hit",
    "kept",
    "known",
    "left",
    "lent",
    "lost",
    "made",
    "met",
    "overdue",
    "paid",
    "put",
    "read",
    "reset",
    "risen",
    "run",
    "seen",
    "sent",
    "set",
    "shown",
    "shut",
    "sold",
    "spent",
    "split",
    "stolen",
    "taken",
    "thrown",
    "undone",
    "won",
    "withdrawn",
    "written",
];
/// Verbs that are no nouns in names of events.
const IMPERATIVES: &[&str] = &[
    "activate",
    "add",
    "approve",
    "assign",
    "calculate",
    "cancel",
    "confirm",
    "create",
    "deactivate",
    "delete",
    "disable",
    "enable",
    "generate",
    "notify",
    "publish",
    "reject",
    "remove",
    "send",
    "submit",
    "validate",
    "verify",
];

/// Says whether a word tells of something that is over.
pub(super) fn is_past(word: &str) -> bool {
    let regular = word.len() > 3 && word.ends_with("ed") && !NOT_PAST.contains(&word);
    regular || IRREGULAR.contains(&word)
}

/// Says whether a word asks for something.
pub(super) fn is_imperative(word: &str) -> bool {
    IMPERATIVES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_words() {
        let check = |name: &str, expected: &[&str]| assert_eq!(words(name), expected, "{name}");
        check("order-placed", &["order", "placed"]);
        check("shop.order_placed", &["shop", "order", "placed"]);
        check("orderPlaced", &["order", "placed"]);
        check("clientIP", &["client", "ip"]);
        check("IPAddress", &["ipaddress"]);
        check("v2", &["v2"]);
        check("--", &[]);
    }

    #[test]
    fn past_and_imperative_are_told_by_the_word() {
        for word in ["placed", "paid", "sent", "shipped", "reset"] {
            assert!(is_past(word), "{word}");
        }
        for word in ["feed", "order", "bed", "ed", "shipping"] {
            assert!(!is_past(word), "{word}");
        }
        assert!(is_imperative("cancel") && !is_imperative("order") && !is_imperative("release"));
        assert!(IRREGULAR.iter().all(|word| !is_imperative(word)));
    }
}
