//! Slots that other replicas have lent us: each of them ours until a moment, and nobody's after it.
//!
//! What was borrowed is spent before what is our own, the batch first that ends first. What is spent
//! is known afterwards, from the count of all promises: the request path takes no notice of any of this.

use std::collections::VecDeque;

use super::{LOANS_LAST, Moment};

/// What was borrowed of one account.
#[derive(Debug, Default)]
pub(super) struct Borrowed {
    /// What is left of it, the first to end first.
    batches: VecDeque<Batch>,
    /// The count of promises to listeners up to which it is known which of them took what was borrowed.
    settled: u64,
    /// Units ever borrowed, less those that ended unspent.
    total: u64,
    /// How many of these were promised.
    spent: u64,
    /// Units of our own that were lent to others.
    lent: u64,
    /// What of them may lie unspent there, the first to end first: for people alone.
    away: VecDeque<Batch>,
}

#[derive(Debug)]
struct Batch {
    units: u64,
    until: Moment,
}

impl Borrowed {
    /// Enters how many units had been promised by now: to listeners, out of what was borrowed and what
    /// is our own, and to other replicas.
    pub(super) fn settle(&mut self, promised: u64) {
        let promised = promised.saturating_sub(self.lent);
        let mut more = promised.saturating_sub(self.settled);
        self.settled = self.settled.max(promised);
        while let (Some(batch), true) = (self.batches.front_mut(), more > 0) {
            let spent = batch.units.min(more);
            batch.units -= spent;
            more -= spent;
            self.spent = self.spent.saturating_add(spent);
            if batch.units == 0 {
                self.batches.pop_front();
            }
        }
    }

    /// Enters that of our own so many more were lent to others, until a moment. What was promised before
    /// must be settled.
    pub(super) fn lend(&mut self, units: u64, until: Moment) {
        if units == 0 {
            return;
        }
        self.lent = self.lent.saturating_add(units);
        let over = until.saturating_sub(LOANS_LAST);
        while self.away.front().is_some_and(|batch| batch.until <= over) {
            self.away.pop_front();
        }
        self.away.push_back(Batch { units, until });
    }

    /// Units that others may still have of us.
    pub(super) fn away(&self, now: Moment) -> u64 {
        let there = self.away.iter().filter(|batch| batch.until > now);
        there.fold(0, |sum, batch| sum.saturating_add(batch.units))
    }

    /// Adds what was lent to us until a moment. What was promised before must be settled.
    pub(super) fn add(&mut self, units: u64, until: Moment) {
        if units == 0 {
            return;
        }
        self.total = self.total.saturating_add(units);
        let place = self.batches.partition_point(|batch| batch.until <= until);
        self.batches.insert(place, Batch { units, until });
    }

    /// Gives up what has ended by `now`. What was promised before must be settled.
    pub(super) fn end(&mut self, now: Moment) -> u64 {
        let mut ended = 0_u64;
        while self.batches.front().is_some_and(|batch| batch.until <= now) {
            let batch = self.batches.pop_front();
            ended = ended.saturating_add(batch.map_or(0, |batch| batch.units));
        }
        self.total = self.total.saturating_sub(ended);
        ended
    }

    /// Spends up to `units` of the batch that ends last, which somebody else is to have, and returns how many, and
    /// when they end. What was promised before must be settled, and this is to be promised now.
    pub(super) fn pass_on(&mut self, units: u64) -> Option<(u64, Moment)> {
        let batch = self.batches.back_mut()?;
        let (units, until) = (batch.units.min(units), batch.until);
        batch.units -= units;
        if batch.units == 0 {
            self.batches.pop_back();
        }
        self.settled = self.settled.saturating_add(units);
        self.spent = self.spent.saturating_add(units);
        (units > 0).then_some((units, until))
    }

    /// How much the count of all promises may be beyond that of our own.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// What is left of it.
    pub(super) fn unspent(&self) -> u64 {
        self.total.saturating_sub(self.spent)
    }

    /// Of the promises that are settled, those out of what is our own.
    pub(super) fn own(&self) -> u64 {
        self.settled.saturating_sub(self.spent).saturating_add(self.lent)
    }

    /// When the first of it ends.
    pub(super) fn ends(&self) -> Option<Moment> {
        self.batches.front().map(|batch| batch.until)
    }
}

#[cfg(all(test, not(model)))]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    #[test]
    fn what_ends_first_is_spent_first_and_the_rest_is_given_up() {
        let mut borrowed = Borrowed::default();
        borrowed.settle(7);
        borrowed.add(5, at(20));
        borrowed.add(3, at(10));
        assert_eq!((borrowed.own(), borrowed.unspent(), borrowed.ends()), (7, 8, Some(at(10))));
        borrowed.settle(11);
        assert_eq!((borrowed.own(), borrowed.unspent(), borrowed.ends()), (7, 4, Some(at(20))));
        assert_eq!(borrowed.end(at(19)), 0);
        assert_eq!(borrowed.end(at(20)), 4);
        assert_eq!((borrowed.own(), borrowed.unspent(), borrowed.total()), (7, 0, 4));
    }

    #[test]
    fn what_is_lent_is_never_out_of_what_was_borrowed() {
        let mut borrowed = Borrowed::default();
        borrowed.settle(1);
        borrowed.add(5, at(10));
        borrowed.lend(4, at(13));
        borrowed.settle(1 + 4 + 2);
        assert_eq!((borrowed.own(), borrowed.unspent()), (5, 3));
    }

    #[test]
    fn what_is_passed_on_is_spent_and_no_promise_of_our_own() {
        let mut borrowed = Borrowed::default();
        assert_eq!(borrowed.pass_on(1), None);
        borrowed.add(5, at(20));
        borrowed.add(3, at(10));
        borrowed.settle(2);
        assert_eq!([borrowed.pass_on(0), borrowed.pass_on(4)], [None, Some((4, at(20)))]);
        assert_eq!((borrowed.own(), borrowed.unspent(), borrowed.total()), (0, 2, 8));
        let rest = [borrowed.pass_on(4), borrowed.pass_on(4), borrowed.pass_on(4)];
        assert_eq!(rest, [Some((1, at(20))), Some((1, at(10))), None]);
        borrowed.settle(2 + 6 + 3);
        assert_eq!((borrowed.own(), borrowed.unspent(), borrowed.ends()), (3, 0, None));
    }

    #[test]
    fn what_is_lent_is_away_until_it_ends() {
        let mut borrowed = Borrowed::default();
        borrowed.lend(4, at(13));
        borrowed.lend(0, at(14));
        borrowed.lend(5, at(15));
        assert_eq!([12, 13, 14, 15].map(|second| borrowed.away(at(second))), [9, 5, 5, 0]);
        borrowed.lend(1, at(17));
        assert_eq!((borrowed.away.len(), borrowed.own()), (2, 10));
    }

    #[test]
    fn beyond_what_was_borrowed_promises_are_our_own() {
        let mut borrowed = Borrowed::default();
        borrowed.add(2, at(10));
        borrowed.settle(5);
        assert_eq!((borrowed.own(), borrowed.unspent(), borrowed.ends()), (3, 0, None));
        // What was counted once is never counted again.
        borrowed.settle(4);
        assert_eq!(borrowed.own(), 3);
    }
}
