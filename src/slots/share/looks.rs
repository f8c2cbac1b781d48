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
