//! What is said several times: all, any or one of some alternatives, matched one to one as Confluent's
//! registry does it; and, beyond it, whether `oneOf` may now take what two of its alternatives take,
//! and what stands under a condition.

use super::super::TOO_COMPLEX;
use super::super::beyond::{ALTERNATIVES_OVERLAP, CONDITION_CHANGED};
use super::form::{Criterion, Form, Id};
use super::{Comparing, Differences};

/// Alternatives are matched with each other, so this is squared.
const MAX_ALTERNATIVES: usize = 500;

impl Comparing<'_> {
    pub(super) fn combined(
        &mut self,
        original: &Form<'_>,
        update: &Form<'_>,
        into: &mut Differences,
    ) {
        let (Form::Combined(before, olds), Form::Combined(after, news)) = (original, update) else {
            return;
        };
        let extended = before == after
            || *after == Criterion::Any
            || (olds.len() == 1 && news.len() == 1)
            || (olds.len() == 1 && *after == Criterion::One)
            || (news.len() == 1 && *before == Criterion::All);
        if !extended {
            return self.add("COMBINED_TYPE_CHANGED", into);
        }
        if olds.len() > MAX_ALTERNATIVES || news.len() > MAX_ALTERNATIVES {
            self.steps = 0;
            return self.add(TOO_COMPLEX, into);
        }
        if olds.len() < news.len() && *after == Criterion::All {
            self.add("PRODUCT_TYPE_EXTENDED", into);
        } else if olds.len() > news.len() && *before != Criterion::All {
            self.add("SUM_TYPE_NARROWED", into);
        }
        self.spend(olds.len() * news.len());
        let fitting: Vec<Vec<usize>> = olds
            .iter()
            .map(|old| {
                (0..news.len())
                    .filter(|new| self.fits(*old, news[*new]))
                    .collect()
            })
            .collect();
        if matched(&fitting, news.len()) < olds.len().min(news.len()) {
            self.add("COMBINED_TYPE_SUBSCHEMAS_CHANGED", into);
        }
        if *after == Criterion::One && self.rules.is_ours() {
            let olds = if *before == Criterion::One {
                olds
            } else {
                &[][..]
            };
            if self.may_overlap(olds, news) {
                self.add(ALTERNATIVES_OVERLAP, into);
            }
        }
    }

    /// Says whether two of the new alternatives may take one document. They may not if nothing can
    /// keep both, or if they say no less than two of the old ones, which did not take one either.
    fn may_overlap(&mut self, olds: &[Id], news: &[Id]) -> bool {
        self.spend(news.len() * (news.len() + olds.len()));
        let within: Vec<Vec<usize>> = news
            .iter()
            .map(|new| {
                (0..olds.len())
                    .filter(|old| self.fits(*new, olds[*old]))
                    .collect()
            })
            .collect();
        let kept_apart = |left: &[usize], right: &[usize]| {
            left.iter()
                .any(|old| right.iter().any(|other| old != other))
        };
        (0..news.len()).any(|right| {
            (0..right).any(|left| {
                !kept_apart(&within[left], &within[right])
                    && !self.are_apart(news[left], news[right])
            })
        })
    }

    /// What is asked on a condition stays what it was if the condition is the same; what is asked may
    /// become less.
    pub(super) fn conditions(
        &mut self,
        before: [Option<Id>; 3],
        after: [Option<Id>; 3],
        into: &mut Differences,
    ) {
        let ([Some(old), old_then, old_else], [Some(new), new_then, new_else]) = (before, after)
        else {
            return;
        };
        let mut fits = |old: Option<Id>, new: Option<Id>| match (old, new) {
            (_, None) => true,
            (None, Some(new)) => matches!(self.form(new), Form::Empty),
            (Some(old), Some(new)) => self.fits(old, new),
        };
        let asked = fits(old_then, new_then) && fits(old_else, new_else);
        if !asked || !fits(Some(old), Some(new)) || !fits(Some(new), Some(old)) {
            self.add(CONDITION_CHANGED, into);
        }
    }
}

/// Counts how many of the left can each have a right of their own (Kuhn's matching).
fn matched(fitting: &[Vec<usize>], rights: usize) -> usize {
    fn assign(
        left: usize,
        fitting: &[Vec<usize>],
        taken: &mut [Option<usize>],
        tried: &mut [bool],
    ) -> bool {
        for &right in &fitting[left] {
            if std::mem::replace(&mut tried[right], true) {
                continue;
            }
            let free = match taken[right] {
                None => true,
                Some(other) => assign(other, fitting, taken, tried),
            };
            if free {
                taken[right] = Some(left);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; rights];
    (0..fitting.len())
        .filter(|left| assign(*left, fitting, &mut taken, &mut vec![false; rights]))
        .count()
}
