//! What an answer said, and whether the log agrees.

use std::time::Duration;

use tidegate_bench::call::Fate;

use crate::samples::Sample;

/// What a caller may take an answer for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Said {
    Stored,
    /// A refusal, or an error that says nothing else: a caller takes it for a failure. A connection
    /// that nobody took counts here too.
    NotStored,
    /// In so many words: it may be stored, send it again.
    Unknown,
    /// Nothing at all.
    Nothing,
}

impl Said {
    pub(super) fn of(fate: &Fate) -> Self {
        match fate {
            Fate::Answered { status, .. } if (200..300).contains(status) => Self::Stored,
            Fate::Answered { body, .. } if is_unknown(body) => Self::Unknown,
            Fate::Answered { .. } | Fate::Unreached => Self::NotStored,
            Fate::Broken | Fate::Silent => Self::Nothing,
        }
    }
}

/// Finds the problem by its type (RFC 9457), and the advice that makes it an answer.
fn is_unknown(body: &[u8]) -> bool {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    text("type").ends_with("/outcome-unknown") && text("detail").contains("retry with the same key")
}

/// An event that was sent, and what was said about it.
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) said: Said,
    pub(super) took: Duration,
}

/// How often each event is in the log, by its number.
pub(super) type Counts = Vec<u32>;

/// Holds what was said against the log as it was before the repeats and after them.
pub(super) fn judge(sample: &mut Sample, attempts: &[Attempt], before: &Counts, after: &Counts) {
    let times = |counts: &Counts, attempt: &Attempt| {
        let count = counts.get(attempt.number as usize);
        count.copied().unwrap_or(0)
    };
    let count = |which: &dyn Fn(&Attempt) -> bool| -> f64 {
        attempts.iter().filter(|attempt| which(attempt)).count() as f64
    };
    sample.set("events", attempts.len() as f64);
    for (name, said) in [
        ("said_stored", Said::Stored),
        ("said_not_stored", Said::NotStored),
        ("said_unknown", Said::Unknown),
        ("said_nothing", Said::Nothing),
    ] {
        sample.set(name, count(&|attempt| attempt.said == said));
    }
    let slowest = attempts.iter().map(|attempt| attempt.took).max();
    sample.set("slowest_s", slowest.unwrap_or_default().as_secs_f64());
    let untrue = |attempt: &Attempt| match attempt.said {
        Said::Stored => times(before, attempt) != 1,
        Said::NotStored => times(before, attempt) != 0,
        Said::Unknown | Said::Nothing => false,
    };
    sample.set("untrue", count(&untrue));
    sample.set("doubles", count(&|attempt| times(after, attempt) > 1));
    sample.set("lost", count(&|attempt| times(after, attempt) == 0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Fate {
        Fate::Answered {
            status,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn only_so_many_words_say_that_it_is_unknown() {
        let unknown =
            r#"{"type":"/problems/outcome-unknown","detail":"…; retry with the same key"}"#;
        for (fate, said) in [
            (answered(202, "{}"), Said::Stored),
            (answered(503, unknown), Said::Unknown),
            (answered(503, ""), Said::NotStored),
            (
                answered(503, r#"{"type":"/problems/log-unavailable"}"#),
                Said::NotStored,
            ),
            (Fate::Unreached, Said::NotStored),
            (Fate::Broken, Said::Nothing),
            (Fate::Silent, Said::Nothing),
        ] {
            assert_eq!(Said::of(&fate), said, "{fate:?}");
        }
    }

    #[test]
    fn an_answer_is_untrue_if_the_log_says_otherwise() {
        let attempt = |number, said| Attempt {
            number,
            said,
            took: Duration::from_secs(1 + number),
        };
        let attempts = [
            attempt(0, Said::Stored),
            attempt(1, Said::Stored),
            attempt(2, Said::NotStored),
            attempt(3, Said::NotStored),
            attempt(4, Said::Unknown),
            attempt(5, Said::Nothing),
        ];
        let mut sample = Sample::new("answers", "somebody", 1);
        judge(
            &mut sample,
            &attempts,
            &vec![1, 0, 0, 1],
            &vec![1, 1, 1, 2, 1],
        );
        let value = |name: &str| sample.values[name];
        assert_eq!(value("untrue"), 2.0);
        assert_eq!((value("doubles"), value("lost")), (1.0, 1.0));
        assert_eq!((value("said_unknown"), value("said_nothing")), (1.0, 1.0));
        assert_eq!(value("slowest_s"), 6.0);
    }
}
