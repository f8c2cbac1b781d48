//! What one replica's looks of late have found, and how much of its own it had promised by then.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;

/// A look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// When it began.
    pub(super) began: Moment,
    /// How much it found in use, where the relay counts that.
    pub(super) seen: Option<u64>,
    /// Units of our own that had been promised when it began.
    pub(super) promised: u64,
    /// And when it was answered: it cannot have counted more of ours.
    pub(super) promised_meanwhile: u64,
}

/// The looks that are remembered, oldest first. Of several that found the same, the first and the last.
#[derive(Debug, Default)]
pub(super) struct Looks(VecDeque<Look>);

/// At most this many are kept; of more, two and two are taken for one.
const MOST: usize = 64;

impl Looks {
    /// Adds one, and forgets those that nobody asks for who asks back to `then` at most.
    pub(super) fn add(&mut self, look: Look, then: Moment) {
        while self.0.get(1).is_some_and(|second| second.began < then) {
            self.0.pop_front();
        }
        if let [.., one, other] = self.0.make_contiguous()
            && one.found_the_same(other)
            && other.found_the_same(&look)
        {
            other.began = look.began;
            return;
        }
        if self.0.len() >= MOST {
            self.thin();
        }
        self.0.push_back(look);
    }

    /// How many units of our own had been promised so long before `now`, as far as is remembered; never
    /// too many.
    pub(super) fn promised_before(&self, now: Moment, span: Duration) -> u64 {
        let Some(then) = now.checked_sub(span) else { return 0 };
        let look = self.0.iter().rev().find(|look| look.began <= then);
        look.map_or(0, |look| look.promised)
    }

    /// The least that a look since `then` found in use.
    pub(super) fn least(&self, then: Moment) -> Option<u64> {
        let later = self.0.partition_point(|look| look.began < then);
        self.0.range(later..).filter_map(|look| look.seen).min()
    }

    /// The least that can have been in use at any time since `then`, by the looks since and the one before,
    /// had none of those come who were promised a unit of our own after the first so many, and
    /// before the last so many.
    pub(super) fn least_without_ours(&self, then: Moment, first: u64, last: u64) -> Option<u64> {
        let later = self.0.partition_point(|look| look.began < then);
        let without = |look: &Look| {
            let ours = look.promised_meanwhile.min(last).saturating_sub(first);
            Some(look.seen?.saturating_sub(ours))
        };
        self.0.range(later.saturating_sub(1)..).filter_map(without).min()
    }

    fn thin(&mut self) {
        let looks = self.0.make_contiguous();
        self.0 = looks.chunks(2).filter_map(|two| two.iter().copied().reduce(Look::and)).collect();
    }
}

impl Look {
    fn found_the_same(&self, other: &Self) -> bool {
        Self { began: other.began, ..*self } == *other
    }

    /// This and the next one as one, that makes nobody give away more than both would.
    fn and(self, next: Self) -> Self {
        Self {
            began: next.began,
            seen: [self.seen, next.seen].into_iter().flatten().min(),
            promised: self.promised,
            promised_meanwhile: next.promised_meanwhile,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    fn look(second: u64, seen: u64, promised: u64) -> Look {
        let promised_meanwhile = promised + 1;
        Look { began: at(second), seen: Some(seen), promised, promised_meanwhile }
    }

    fn looks(of: impl IntoIterator<Item = Look>) -> Looks {
        let mut looks = Looks::default();
        of.into_iter().for_each(|look| looks.add(look, Moment::ZERO));
        looks
    }

    #[test]
    fn of_several_that_found_the_same_the_first_and_the_last_are_kept() {
        let looks = looks((10..20).map(|second| look(second, 5, 3)));
        assert_eq!(looks.0, [look(10, 5, 3), look(19, 5, 3)]);
        assert_eq!(looks.promised_before(at(20), Duration::from_secs(10)), 3);
        assert_eq!(looks.promised_before(at(20), Duration::from_secs(11)), 0);
        assert_eq!(looks.promised_before(at(20), Duration::from_secs(21)), 0);
    }

    #[test]
    fn what_nobody_asks_back_for_is_forgotten() {
        let mut looks = looks([look(10, 1, 1), look(20, 2, 2), look(30, 3, 3)]);
        looks.add(look(40, 4, 4), at(20));
        assert_eq!(looks.0.front(), Some(&look(10, 1, 1)));
        looks.add(look(50, 5, 5), at(21));
        assert_eq!(looks.0.front(), Some(&look(20, 2, 2)));
    }

    #[test]
    fn the_least_is_told_since_a_moment_or_with_the_look_before_it() {
        let looks = looks([look(10, 2, 0), look(20, 8, 0), look(30, 7, 0), look(40, 9, 0)]);
        let since = [10, 11, 31, 41].map(|then| looks.least(at(then)));
        assert_eq!(since, [Some(2), Some(7), Some(9), None]);
        let before = [10, 20, 21, 30, 31, 41].map(|then| looks.least_without_ours(at(then), 0, 0));
        assert_eq!(before, [2, 2, 7, 7, 7, 9].map(Some));
    }

    #[test]
    fn ours_are_those_between_two_counts_that_a_look_can_have_seen() {
        let looks = looks([look(10, 20, 4)]);
        let without = |first, last| looks.least_without_ours(at(10), first, last);
        assert_eq!(
            [without(0, 9), without(2, 9), without(2, 3), without(7, 9)],
            [15, 17, 19, 20].map(Some)
        );
        let uncounted = Look { seen: None, ..look(20, 0, 4) };
        assert_eq!(self::looks([uncounted]).least_without_ours(at(20), 0, 9), None);
    }

    #[test]
    fn of_very_many_fewer_are_kept_and_nothing_that_is_told_is_more() {
        let seen = |second| if second == 57 { 300 } else { 1_000 - second };
        let all: Vec<_> = (0..200).map(|second| look(second, seen(second), second)).collect();
        let looks = looks(all.iter().copied());
        assert!(looks.0.len() <= MOST, "{}", looks.0.len());
        assert_eq!(looks.0.back(), all.last());
        for second in 0..200 {
            let promised = looks.promised_before(at(second), Duration::ZERO);
            assert!(promised <= second && promised + 64 > second, "{promised} by {second}");
            let since = all.iter().filter(|look| look.began >= at(second));
            let least = since.clone().filter_map(|look| look.seen).min();
            assert!(looks.least(at(second)) <= least);
            let without = since.filter_map(|look| Some(look.seen? - look.promised_meanwhile)).min();
            assert!(looks.least_without_ours(at(second), 0, 999) <= without);
        }
        assert_eq!(looks.least(at(0)), Some(300));
    }
}
