//! This replica's share of what a relay has free, where others give away from the same relay.
//!
//! Replicas that do not speak with one another see the same free slots, and each would give all of them
//! away. So each has a share, and what it may promise is bounded by that too. A share is used up by
//! promises, never grows by arrivals, and is drawn anew at every look, by a rule that needs no
//! word from the others:
//!
//! `share = min(max(left, drawn), free ÷ replicas)` where `drawn = (free + old) ÷ replicas − own`
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
}

impl Sharing {
    /// With nobody.
    pub const ALONE: Self = Self { replicas: 1, memory: Duration::ZERO, transit: Duration::ZERO };

    /// Among so many, none of whom goes by a look that began longer than `stale_after` ago, or keeps
    /// what it has borrowed for longer than `transit`.
    pub fn among(
        replicas: u64,
        stale_after: Duration,
        settle: Duration,
        transit: Duration,
    ) -> Self {
        // A listener arrives within `settle`, a look that began just before is believed for
        // `stale_after`, what is lent by it is spent within `transit`, and whom that sends on
        // their way arrive within another `settle`.
        let memory = stale_after + transit + settle * 2;
        Self { replicas: replicas.max(1), memory, transit }
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
    /// What others have lent us.
    pub(super) borrowed: Borrowed,
}

/// What a look found.
pub(super) struct Found {
    /// When it began.
    pub(super) began: Moment,
    /// Units that are free according to the relay.
    pub(super) free: u64,
    /// Whether the relay counts who is there. If not, nobody's arrival takes anything from `free`.
    pub(super) counted: bool,
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
        let &Found { began, free, counted } = found;
        let promised = self.at_look;
        let arrived = settle.saturating_add(sharing.transit);
        let memory = if counted { sharing.memory.max(arrived) } else { arrived };
        let own = promised.saturating_sub(self.promised_before(began, memory));
        let young = promised.saturating_sub(self.promised_before(began, arrived));
        let old = own.saturating_sub(young);
        self.remember(began, promised, sharing.memory.max(arrived));

        let part = |units: u64| units.checked_div(sharing.replicas).unwrap_or(units);
        let drawn = part(free.saturating_add(old)).saturating_sub(own);
        let left = self.until.saturating_sub(promised);
        self.until = promised.saturating_add(left.max(drawn).min(part(free)));
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
