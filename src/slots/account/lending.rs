//! What one replica lends another of an account.
//!
//! To lend is to promise: what is lent is claimed like a listener's slot, is gone from our share, and is
//! never given back, whoever spends it. To borrow is to be allowed more promises, until a moment. So no
//! slot comes into being on the way, and one that gets lost is as one whose listener never arrived.
//!
//! Who has borrowed more than it needs passes it on: that is spent, and its end stays the one that the lender set.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::{Account, Book, Moment, NEVER, millis};

impl Account {
    /// Units promised to listeners since this was asked last; one asks.
    pub fn newly_promised(&self) -> u64 {
        let promised = self.committed.load(Acquire);
        promised.saturating_sub(self.noticed.swap(promised, AcqRel))
    }

    /// Units of our own that could be lent.
    pub fn lendable(&self) -> u64 {
        let book = self.settled_book();
        if !book.looked || book.shut || !book.terms.sharing.is_shared() {
            return 0;
        }
        self.free().unwrap_or_default().saturating_sub(book.share.borrowed.unspent())
    }

    /// Withholds up to `units` of what is our own, to lend them, and returns how many. Follow it with
    /// [`lent`](Self::lent).
    pub fn withhold(&self, units: u64) -> u64 {
        self.claim_up_to(units.min(self.lendable()))
    }

    /// Parts for good with so many of the units that were withheld, which others may spend until a
    /// moment. The rest is ours again.
    pub fn lent(&self, withheld: u64, units: u64, until: Moment) {
        let units = units.min(withheld);
        let mut book = self.settled_book();
        self.commit(units);
        self.noticed.fetch_add(units, AcqRel);
        book.share.borrowed.lend(units, until);
        self.give_back(withheld - units);
    }

    /// Takes what another replica has lent us until a moment.
    pub fn borrow(&self, units: u64, until: Moment) {
        let mut book = self.settled_book();
        book.share.borrowed.add(units, until);
        self.balance(&book);
    }

    /// Passes on up to `units` of what others have lent us, all of which ends at one moment, and returns how many
    /// those are, and the moment; `None` if there are none.
    ///
    /// They count as promised here too, as if a listener had taken them: could the bound be lowered instead, a
    /// request that has just read it would still give them away.
    pub fn pass_on(&self, units: u64) -> Option<(u64, Moment)> {
        let claimed = self.claim_up_to(units.min(self.borrowed()));
        let mut book = self.settled_book();
        let passed = book.share.borrowed.pass_on(claimed);
        let units = passed.map_or(0, |(units, _)| units);
        self.commit(units);
        self.noticed.fetch_add(units, AcqRel);
        self.balance(&book);
        self.give_back(claimed - units);
        passed
    }

    /// Gives up what has ended by `now` unspent, and returns how many units that were.
    pub fn end_loans(&self, now: Moment) -> u64 {
        let mut book = self.settled_book();
        let ended = book.share.borrowed.end(now);
        self.balance(&book);
        ended
    }

    /// Units that others have lent us and that are not spent.
    pub fn borrowed(&self) -> u64 {
        self.settled_book().share.borrowed.unspent()
    }

    /// Units of our own that others may still have.
    pub fn away(&self, now: Moment) -> u64 {
        self.book().share.borrowed.away(now)
    }

    /// Whether something that was lent to us has ended, and nobody has taken it off the books yet. Then
    /// it could be spent too late.
    pub fn is_overdue(&self, now: Moment) -> bool {
        match self.ends.load(Relaxed) {
            NEVER => false,
            ends => ends <= millis(now),
        }
    }

    /// Claims so many units, or what is left of them: requests spend the same meanwhile.
    fn claim_up_to(&self, mut units: u64) -> u64 {
        while units > 0 && !self.claim(units) {
            units = units.min(self.free().unwrap_or_default());
        }
        units
    }

    /// The book, in which it is entered which of the promises took what was borrowed.
    fn settled_book(&self) -> super::MutexGuard<'_, Book> {
        let mut book = self.book();
        let promised = self.committed.load(Acquire);
        book.share.borrowed.settle(promised);
        book
    }
}
