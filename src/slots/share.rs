//! This replica's share of what a relay has free, where others give away from the same relay.
//!
//! Replicas that do not speak with one another see the same free slots, and each would give all of them
//! away. So each has a share, and what it may promise is bounded by that too. A share is used up by
//! promises, never grows by arrivals, and is drawn anew at every look, by a rule that needs no
//! word from the others:
//!
//! `share = max(min(left, free ÷ replicas), drawn)` where `drawn = most ÷ replicas − (most − free) − young`
//!
//! `most` is the most that can have been free at any time of late, had no listener of our own come. Whatever
//! look another replica goes by, it has no more than its part of `most` left or on the way to the relay: that
//! much may be theirs, and ours is the rest of what is free, less `young`, whom we have sent and who may
//! not have arrived. What others took meanwhile they took from their parts; but nobody says who took
//! it, and so it counts as if it had been all of it us. Our own listeners are left out of `most`, since they
//! take from what is free and from nobody else's part, who may have looked just before they arrived.
//!
//! What is left of a share stays ours, though no more of it than our part of what is free: what others were
//! quicker to use is gone from all shares.
//!
//! How long others may go by an old look is bounded (`poll.stale_after`), and so is how long it takes until
//! what they promised by it has arrived (`settle`): for so long we look back. Whom we sent may have arrived
//! so long after: hence [`Sharing::memory`].
//!
//! Where replicas lend one another slots, who lends has promised: the slot is gone from its share and
//! counts as its own promise, whoever spends it. So the one who borrows counts only what it promises out
//! of its own share, and what it has borrowed is no part of that ([`Borrowed`]). A slot that was lent may lie
//! unspent for a while ([`Sharing::transit`]); for so much longer a promise may be on its way.
//!
//! There what is left follows what is free by [`Sharing::late`], since a crowd that comes to one
//! replica is made room for by all: what it takes from what is free is on loan from the others, or soon
//! will be. If they gave up a part of what they have at each look that saw it, before they could
//! lend that, nobody would get it. It is harmless, if everybody looks back for so much longer. The same holds
//! for listeners who come past all replicas: nobody's promises make room for these, and they are seen so much
//! later.

mod looks;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::Moment;
use super::borrowed::Borrowed;
use looks::{Look, Looks};

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

    /// One's part of so many units, in whole ones.
    fn part(self, units: u64) -> u64 {
        units.checked_div(self.replicas).unwrap_or(units)
    }
}

/// What one replica may promise of an account until its next look.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// What the count of promises out of our own share may reach.
    until: u64,
    /// That count when the last look began.
    at_look: u64,
    looks: Looks,
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
        let part = sharing.part(free);
        self.until = self.borrowed.own().saturating_add(part.saturating_sub(reserved));
    }

    /// Draws the share anew after a look, when so many units have been promised in all.
    pub(super) fn draw(
        &mut self,
        sharing: Sharing,
        found: &Found,
        settle: Duration,
        promised: u64,
    ) {
        let &Found { began, room, seen } = found;
        let own = self.at_look;
        let arrived = settle.saturating_add(sharing.transit);
        let memory = sharing.memory.max(arrived);
        self.borrowed.settle(promised);
        let look = Look { began, seen, promised: own, promised_meanwhile: self.borrowed.own() };
        self.looks.add(look, began.saturating_sub(memory));

        let old = self.looks.promised_before(began, arrived);
        let free = room.saturating_sub(seen.unwrap_or(0));
        let left = self.until.saturating_sub(own);
        // Where nobody counts, arrivals take nothing from what is free, and there is nothing to look back to.
        let (left, most) = if seen.is_some() {
            let late = self.looks.least(began.saturating_sub(sharing.late));
            let forgotten = self.looks.promised_before(began, memory);
            let then = began.saturating_sub(memory.saturating_sub(arrived));
            let least = self.looks.least_without_ours(then, forgotten, old);
            let free_but_for = |used: Option<u64>| room.saturating_sub(used.unwrap_or(0));
            (left.min(sharing.part(free_but_for(late))), free_but_for(least))
        } else {
            (left.min(sharing.part(room)), room)
        };
        let gone = most.saturating_sub(free).saturating_add(own.saturating_sub(old));
        let drawn = sharing.part(most).saturating_sub(gone);
        self.until = own.saturating_add(left.max(drawn));
    }
}
