//! Which events of a topic are looked at: all of them, or stretches that lie evenly over partitions and
//! over what each of them keeps. Pure.

use tidegate_event_log::Offset;

/// More places than this a partition are not sampled; each costs a read.
const STRETCHES: i64 = 16;

/// A run of offsets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stretch {
    pub(super) partition: i32,
    pub(super) from: Offset,
    /// The first offset behind it.
    pub(super) to: Offset,
}

impl Stretch {
    pub(super) fn len(self) -> i64 {
        (self.to - self.from).max(0)
    }
}

/// Chooses at most `budget` offsets of the given ranges, one a partition; all of them if they fit. The
/// first and the last of each range are among them. Stretches are in an order that lies evenly as well, so
/// that whoever stops early has seen as much of each partition and each time.
pub(super) fn stretches(ranges: &[Stretch], budget: u64) -> Vec<Stretch> {
    let all: i64 = ranges.iter().map(|range| range.len()).sum();
    let budget = i64::try_from(budget).unwrap_or(i64::MAX);
    if budget == 0 {
        return Vec::new();
    }
    let mut chosen = Vec::new();
    for range in ranges.iter().filter(|range| range.len() > 0) {
        let length = range.len();
        let share = match all <= budget {
            true => length,
            false => {
                let share = i128::from(budget) * i128::from(length) / i128::from(all);
                i64::try_from(share).unwrap_or(length).clamp(1, length)
            }
        };
        let count = STRETCHES.min(share);
        for number in 0..count {
            // What does not divide goes to the first ones.
            let size = share / count + i64::from(number < share % count);
            let room = length - size;
            let step = match count {
                1 => 0,
                _ => i128::from(room) * i128::from(number) / i128::from(count - 1),
            };
            let from = match share == length {
                true => share / count * number + number.min(share % count),
                false => i64::try_from(step).unwrap_or(0),
            };
            let from = range.from + from;
            let stretch = Stretch {
                partition: range.partition,
                from,
                to: from + size,
            };
            chosen.push((number, stretch));
        }
    }
    // 0, 8, 4, 12, 2 …: each comes where the gap is widest.
    let turn = |number: i64| u8::try_from(number).unwrap_or(u8::MAX).reverse_bits();
    chosen.sort_by_key(|(number, stretch)| (turn(*number), stretch.partition));
    chosen.into_iter().map(|(_, stretch)| stretch).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn range(partition: i32, from: Offset, to: Offset) -> Stretch {
        Stretch {
            partition,
            from,
            to,
        }
    }

    fn offsets(ranges: &[Stretch], budget: u64) -> BTreeSet<(i32, Offset)> {
        let chosen = stretches(ranges, budget);
        let total: i64 = chosen.iter().map(|stretch| stretch.len()).sum();
        let each = chosen
            .iter()
            .flat_map(|it| (it.from..it.to).map(|offset| (it.partition, offset)));
        let each: BTreeSet<_> = each.collect();
        assert_eq!(each.len() as i64, total, "no offset twice: {chosen:?}");
        each
    }

    #[test]
    fn all_are_chosen_if_they_fit() {
        for lengths in [[0, 0], [1, 0], [5, 40], [100, 1]] {
            let ranges = [range(0, 7, 7 + lengths[0]), range(1, 0, lengths[1])];
            let expected = ranges
                .iter()
                .flat_map(|it| (it.from..it.to).map(|offset| (it.partition, offset)));
            assert_eq!(offsets(&ranges, 1_000), expected.collect());
        }
    }

    #[test]
    fn a_sample_lies_evenly_and_has_both_ends() {
        let ranges = [range(0, 100, 10_100), range(1, 0, 30_000), range(2, 5, 6)];
        let chosen = offsets(&ranges, 400);
        assert!(chosen.len() <= 401, "{}", chosen.len());
        let of = |partition: i32| -> Vec<Offset> {
            let of = chosen.iter().filter(|(p, _)| *p == partition);
            of.map(|(_, offset)| *offset).collect()
        };
        assert_eq!((of(0)[0], *of(0).last().unwrap()), (100, 10_099));
        assert_eq!((of(1)[0], *of(1).last().unwrap()), (0, 29_999));
        assert_eq!(of(2), [5], "a small partition is not left out");
        assert!(offsets(&ranges, 0).is_empty());
        let (small, large) = (of(0).len() as i64, of(1).len() as i64);
        assert!((large - 3 * small).abs() < 10, "{small} {large}");
        for tenth in 0..10 {
            let (from, to) = (tenth * 3_000, (tenth + 1) * 3_000);
            let inside = of(1).iter().filter(|at| (from..to).contains(*at)).count();
            assert!(inside > 0, "nothing of {from}..{to}");
        }
    }

    #[test]
    fn who_stops_early_has_seen_as_much_of_each_partition_and_time() {
        let ranges = [range(0, 0, 1_000), range(1, 0, 1_000)];
        let chosen = stretches(&ranges, 100);
        assert_eq!((chosen[0].partition, chosen[0].from), (0, 0));
        assert_eq!((chosen[1].partition, chosen[1].from), (1, 0));
        let halves = |partition: i32| {
            let first = chosen[..16].iter().filter(|it| it.partition == partition);
            let late = first.clone().filter(|it| it.from >= 500).count();
            (first.count(), late)
        };
        assert_eq!((halves(0), halves(1)), ((8, 4), (8, 4)));
    }
}
