//! This replica's share of what a relay has free, where others give away from the same relay.
//!
//! Replicas that do not speak with one another see the same free slots, and each would give all of them
//! away. So each has a share, and what it may promise is bounded by that too. A share is used up by
//! promises, never grows by arrivals, and is drawn anew at every look, by a rule that needs no
//! word from the others:
//!
//! `share = max(min(left, most), drawn)` where `most = free ÷ replicas`
//! and `drawn = (free + old) ÷ replicas − own`, which is never more than `most` either.
//!
//! `own` are the promises of our own that the others may not have seen yet, and `old` those of them that
//! are older than `settle`: they have arrived. What the others hold was drawn from what was free
//! before our own listeners arrived, hence `free + old`. What they themselves gave away since needs no
//! correction, for as much as it took from what is free, it took from what they hold.
//!
//! How long others may go by an old look is bounded (`poll.stale_after`), and so is how long a promise
//! is on its way (`settle`): hence [`Sharing::memory`].
//!
//! Where replicas lend one another slots, who lends has promised: the slot is gone from its share and
//! counts as its own promise, whoever spends it. So the one who borrows counts only what it promises out
//! of its own share, and what it has borrowed is no part of that ([`Borrowed`]). A slot that was lent may lie
//! unspent for a while ([`Sharing::transit`]); for so much longer a promise may be on its way.
//!
//! There `most` is the largest of the looks within [`Sharing::late`], since a crowd that comes to one
//! replica is made room for by all: what it takes from what is free is on loan from the others, or soon
//! will be. If they gave up a part of what they have at each look that saw it, before they could
//! lend that, nobody would get it. What is given up so much later is harmless, if everybody remembers
//! its promises for so much longer ([`Sharing::memory`]): for what is given up are the slots that another
//! replica has used, and before it draws more than was left of its share, it waits for the others to have
//! done so. `drawn` goes by the newest look alone. The same holds for listeners who come past all replicas:
//! nobody's promises make room for these, and they are seen so much later.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;
use super::borrowed::Borrowed;

/// What one replica lends another may lie unspent for so long. Shorter, and more of it would be lost to a
/// pause; longer, and more slots would be kept back for what others may still have.
pub const LOANS_LAST: Duration = Duration::from_secs(3);

/// With how many others a relay is shared, who give away from it like we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// How many give away, this one included.
    pub replicas: u64,
    /// For so long after a promise others may go by a look that did not see its listener.
    pub memory: Duration,
    /// For so long what one lends another may lie unspent; zero where nothing is lent.
    pub transit: Duration,
    /// So much later than they could, others may give up what is not free any more.
    pub late: Duration,
}

/// How much later that is where slots are lent: a crowd has the slots of all by then, and with three times
/// as much it gets no more of them.
const LATE: Duration = Duration::from_secs(1);

impl Sharing {
    /// With nobody.
    pub const ALONE: Self =
        Self { replicas: 1, memory: Duration::ZERO, transit: Duration::ZERO, late: Duration::ZERO };

    /// Among so many, none of whom goes by a look that began longer than `stale_after` ago, or keeps
    /// what it has borrowed for longer than `transit`.
    pub fn among(
        replicas: u64,
        stale_after: Duration,
        settle: Duration,
        transit: Duration,
    ) -> Self {
        let late = if transit.is_zero() { Duration::ZERO } else { LATE };
        // What we lend is spent within `transit`, and who is sent there by it arrives within `settle`.
        // What was free just before may be the most of a look that is so `late`, which is believed for
        // `stale_after`. What is lent by it is spent within another `transit`, and whom that sends on
        // their way arrive within another `settle`.
        let memory = stale_after + late + (transit + settle) * 2;
        Self { replicas: replicas.max(1), memory, transit, late }
    }

    /// Whether anybody else gives away.
    pub fn is_shared(self) -> bool {
        self.replicas > 1
    }
}

/// What one replica may promise of an account until its next look.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// What the count of promises out of our own share may reach.
    until: u64,
    /// That count when the last look began.
    at_look: u64,
    /// That count at past looks, oldest first, where it changed.
    marks: VecDeque<(Moment, u64)>,
    /// The least that was seen by looks of late: when they began, and how much; oldest first, ever more.
    least: VecDeque<(Moment, u64)>,
    /// What others have lent us.
    pub(super) borrowed: Borrowed,
}

/// What a look found.
pub(super) struct Found {
    /// When it began.
    pub(super) began: Moment,
    /// The limit less headroom.
    pub(super) room: u64,
    /// How much of it is in use, where the relay counts that. If not, nobody's arrival takes anything
    /// from what is free.
    pub(super) seen: Option<u64>,
}

/// At most this many marks are kept; with more they merely lie further apart.
const MAX_MARKS: usize = 64;

impl Share {
    /// What the count of all promises may reach.
    pub(super) fn until(&self) -> u64 {
        self.until.saturating_add(self.borrowed.total())
    }

    /// Notes that a look begins when so many units have been promised in all.
    pub(super) fn mark(&mut self, promised: u64) {
        self.borrowed.settle(promised);
        self.at_look = self.borrowed.own();
    }

    /// Takes a share of what is free for the first time, `reserved` of which are promised already.
    pub(super) fn begin(&mut self, sharing: Sharing, promised: u64, free: u64, reserved: u64) {
        self.borrowed.settle(promised);
        let part = free.checked_div(sharing.replicas).unwrap_or(free);
        self.until = self.borrowed.own().saturating_add(part.saturating_sub(reserved));
    }

    /// Draws the share anew.
    pub(super) fn draw(&mut self, sharing: Sharing, found: &Found, settle: Duration) {
        let &Found { began, room, seen } = found;
        let free = room.saturating_sub(seen.unwrap_or(0));
        let promised = self.at_look;
        let arrived = settle.saturating_add(sharing.transit);
        let memory = if seen.is_some() { sharing.memory.max(arrived) } else { arrived };
        let own = promised.saturating_sub(self.promised_before(began, memory));
        let young = promised.saturating_sub(self.promised_before(began, arrived));
        let old = own.saturating_sub(young);
        self.remember(began, promised, sharing.memory.max(arrived));

        let part = |units: u64| units.checked_div(sharing.replicas).unwrap_or(units);
        let drawn = part(free.saturating_add(old)).saturating_sub(own);
        let least = self.least_seen(began, seen, sharing.late);
        let left = self.until.saturating_sub(promised).min(part(room.saturating_sub(least)));
        self.until = promised.saturating_add(left.max(drawn));
    }

    /// The least that was seen by this look and those that began no longer than `span` before it.
    fn least_seen(&mut self, began: Moment, seen: Option<u64>, span: Duration) -> u64 {
        let Some(seen) = seen else {
            // What was counted before says nothing of what is counted after.
            self.least.clear();
            return 0;
        };
        let then = began.saturating_sub(span);
        while self.least.front().is_some_and(|(look, _)| *look < then) {
            self.least.pop_front();
        }
        while self.least.back().is_some_and(|(_, more)| *more >= seen) {
            self.least.pop_back();
        }
        if self.least.len() >= MAX_MARKS {
            self.least.pop_front();
        }
        self.least.push_back((began, seen));
        self.least.front().map_or(seen, |(_, least)| *least)
    }

    /// How many units of our own had been promised so long before `began`, as far as it is remembered;
    /// never too many.
    fn promised_before(&self, began: Moment, span: Duration) -> u64 {
        let Some(then) = began.checked_sub(span) else { return 0 };
        let known = self.marks.iter().rev().find(|(marked, _)| *marked <= then);
        known.map_or(0, |(_, promised)| *promised)
    }

    fn remember(&mut self, began: Moment, promised: u64, memory: Duration) {
        let then = began.saturating_sub(memory);
        while self.marks.get(1).is_some_and(|(marked, _)| *marked <= then) {
            self.marks.pop_front();
        }
        if self.marks.back().is_some_and(|(_, last)| *last == promised) {
            return;
        }
        if self.marks.len() >= MAX_MARKS {
            // Without every second one, promises are taken for younger than they are, never for older.
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.marks.push_back((began, promised));
    }
}
