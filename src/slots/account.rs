//! One account of the ledger: a limit, what was seen against it, and what was promised since.
//!
//! `claimed` counts every unit ever promised. Those that a look has seen, or must have seen by now,
//! are the `base`; the rest, `claimed − base`, is reserved. A claim succeeds while `claimed` is below the
//! `ceiling`, which each look sets to `base + limit − headroom − seen`. So the request path needs
//! one compare-and-swap, nothing has to be woken to let a reservation run out, and while nobody
//! looks the ceiling stands still: stale numbers freeze.
//!
//! Where the configuration wants listeners sent beyond a limit, a claim may raise `claimed` above
//! the `ceiling`. It is reserved, seen and expires like any other; until enough of what is in use
//! has gone, no other claim succeeds.
//!
//! Where other replicas give away from the same relay, the ceiling is also bounded by our share
//! ([`Share`]), which replicas may lend one another (`lending`).
//!
//! A look may lower the ceiling between a claim's load and its swap. That claim is then as if it
//! had been made just before the look, under the older ceiling, which was safe as well.

mod lending;

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::time::Duration;

use crate::fleet::Headroom;

use super::share::{Found, Share, Sharing};
use super::sync::{AtomicBool, AtomicI64, AtomicU64, Mutex, MutexGuard};
use super::{Moment, NEVER, millis};

/// Units of one kind (listeners, bits per second) and how many more may be promised.
#[derive(Debug)]
pub struct Account {
    /// Units promised, less those given back at once.
    claimed: AtomicU64,
    /// Units whose promise was kept in every account; never sinks.
    committed: AtomicU64,
    /// What `claimed` may reach.
    ceiling: AtomicU64,
    /// `seen − base`: added to `claimed`, the load.
    offset: AtomicI64,
    /// The limit less headroom; [`UNLIMITED`] without one.
    room: AtomicU64,
    /// Whether its relay refuses everybody; until the next good look.
    shut: AtomicBool,
    /// When the first of what others have lent us ends, in milliseconds; [`NEVER`] if nothing does.
    ends: AtomicU64,
    /// Units promised to listeners when somebody asked last how many more there are.
    noticed: AtomicU64,
    /// What only looks, loans and reloads need.
    book: Mutex<Book>,
}

/// What the configuration says of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The configured limit, if any; the smaller of it and the reported one holds.
    pub max: Option<u64>,
    /// What stays free.
    pub headroom: Headroom,
    /// Who else gives away what is free.
    pub sharing: Sharing,
}

/// What an account goes by at one moment, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sheet {
    /// The limit that the configuration has for it.
    pub configured: Option<u64>,
    /// The limit that the relay reported last.
    pub reported: Option<u64>,
    /// What of the smaller of both stays free; 0 where there is none.
    pub headroom: u64,
    /// Units in use as far as anybody told; `None`: nobody did.
    pub told: Option<u64>,
    /// Units promised that no look can have seen yet.
    pub reserved: u64,
    /// Units that may still be promised; `None`: unlimited.
    pub free: Option<u64>,
    /// Whether its relay refuses everybody.
    pub shut: bool,
}

#[derive(Debug)]
struct Book {
    terms: Terms,
    /// The limit that the relay reported last.
    reported: Option<u64>,
    /// Units counted by the last good look; 0 if it could not count.
    seen: u64,
    /// Whether it could.
    counted: bool,
    /// Units that the relay's feed has told of since: for people alone.
    heard: Option<u64>,
    /// Units that this look counted, or that were committed so early that it must have.
    base: u64,
    /// Units that arrived at the last look and may belong to promises made while it ran.
    credit: u64,
    /// Nothing is free, whatever the numbers say, until the next good look.
    shut: bool,
    /// How many units were committed at past moments, oldest first.
    marks: VecDeque<(Moment, u64)>,
    /// Whether there was a good look.
    looked: bool,
    /// What of it is ours to give away; meaningless where nothing is shared.
    share: Share,
}

const UNLIMITED: u64 = u64::MAX;

/// At most this many marks are kept; in a longer `settle` they merely lie further apart.
const MAX_MARKS: usize = 64;

impl Account {
    /// An account nobody has looked at: it has what its terms allow.
    pub fn new(terms: Terms) -> Self {
        let book = Book {
            terms,
            reported: None,
            seen: 0,
            counted: false,
            heard: None,
            base: 0,
            credit: 0,
            shut: false,
            marks: VecDeque::new(),
            looked: false,
            share: Share::default(),
        };
        let account = Self {
            claimed: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            ceiling: AtomicU64::new(0),
            offset: AtomicI64::new(0),
            room: AtomicU64::new(0),
            shut: AtomicBool::new(false),
            ends: AtomicU64::new(NEVER),
            noticed: AtomicU64::new(0),
            book: Mutex::new(book),
        };
        account.balance(&account.book());
        account
    }

    /// Promises `units`, if they are free. Follow it with [`commit`](Self::commit) or
    /// [`give_back`](Self::give_back).
    pub(super) fn claim(&self, units: u64) -> bool {
        let ceiling = self.ceiling.load(Acquire);
        self.claimed
            .fetch_update(AcqRel, Acquire, |claimed| {
                claimed.checked_add(units).filter(|sum| *sum <= ceiling)
            })
            .is_ok()
    }

    /// Promises `units` whether or not they are free, unless it is shut. They count like all others
    /// until a look has seen them, so that nobody else is promised what they take.
    pub(super) fn claim_beyond(&self, units: u64) -> bool {
        let add = |claimed: u64| claimed.checked_add(units);
        !self.is_shut() && self.claimed.fetch_update(AcqRel, Acquire, add).is_ok()
    }

    /// Keeps a promise.
    pub(super) fn commit(&self, units: u64) {
        self.committed.fetch_add(units, AcqRel);
    }

    /// Takes a promise back that was not committed.
    pub(super) fn give_back(&self, units: u64) {
        self.claimed.fetch_sub(units, AcqRel);
    }

    /// Remembers how much was promised up to now.
    pub(super) fn mark(&self, now: Moment) {
        let mut book = self.book();
        let committed = self.committed.load(Acquire);
        book.share.mark(committed);
        if book.marks.len() >= MAX_MARKS {
            // Dropping every second one keeps the span and makes expiry later, never earlier.
            let mut keep = false;
            book.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        book.marks.push_back((now, committed));
    }

    /// Enters what a good look that began at `began` counted, of which `arrived` units were not
    /// there at the look before. Returns for how many units this ends the reservation before its
    /// time. Where nobody can tell how many are `seen`, only promises count, for as long as they are
    /// reserved.
    ///
    /// Whoever arrived was sent here, if listeners come by no other way: the reservation has become
    /// a listener, and to count both would leave slots empty while players are refused. As many
    /// reservations end as listeners arrived, and only ones from before the look. Which ones does
    /// not matter, since only their number counts. A relay counts some moments after the look
    /// began, so that a listener may be seen who was promised a slot meanwhile: that reservation
    /// ends at the next look.
    pub(super) fn observe(
        &self,
        began: Moment,
        seen: Option<u64>,
        arrived: u64,
        reported: Option<u64>,
        settle: Duration,
    ) -> u64 {
        let mut book = self.book();
        let promised_before = book.marks.back().map_or(book.base, |(_, committed)| *committed);
        let arrived = arrived.saturating_add(book.credit);
        let early = arrived.min(promised_before.saturating_sub(book.base));
        let committed = self.committed.load(Acquire);
        let promised_since = committed.saturating_sub(promised_before);
        book.credit = (arrived - early).min(promised_since);
        book.base = book.base.saturating_add(early);
        if let Some(settled) = began.checked_sub(settle) {
            while let Some(&(marked, committed)) = book.marks.front() {
                if marked > settled {
                    break;
                }
                book.base = book.base.max(committed);
                book.marks.pop_front();
            }
        }
        book.seen = seen.unwrap_or(0);
        book.counted = seen.is_some();
        book.heard = None;
        book.reported = reported;
        book.shut = false;
        book.looked = true;
        book.share_what_is_free(began, settle, committed);
        self.balance(&book);
        early
    }

    /// Notes what the relay's feed counts, until the next good look. Nothing is freed or ended by it.
    pub(super) fn hear(&self, heard: u64) {
        self.book().heard = Some(heard);
    }

    /// Has nothing free until the next good look.
    pub(super) fn shut(&self) {
        let mut book = self.book();
        book.shut = true;
        self.balance(&book);
    }

    /// Takes over what a new configuration says, keeping everything seen and promised.
    pub fn adopt(&self, terms: Terms) {
        let mut book = self.book();
        let was_shared_by = book.terms.sharing.replicas;
        book.terms = terms;
        if book.looked && was_shared_by != terms.sharing.replicas {
            // The next look draws it properly, but until then somebody may ask.
            let promised = self.committed.load(Acquire);
            let reserved = self.claimed.load(Acquire).saturating_sub(book.base);
            let free = book.free().unwrap_or_default();
            book.share.begin(terms.sharing, promised, free, reserved);
        }
        self.balance(&book);
    }

    /// The limit in force less headroom; `None`: unlimited.
    pub fn room(&self) -> Option<u64> {
        Some(self.room.load(Relaxed)).filter(|room| *room != UNLIMITED)
    }

    /// The limit in force; `None`: unlimited.
    pub fn limit(&self) -> Option<u64> {
        self.book().limit()
    }

    /// Units that may still be promised; `None`: unlimited.
    pub fn free(&self) -> Option<u64> {
        match self.ceiling.load(Acquire) {
            UNLIMITED => None,
            ceiling => Some(ceiling.saturating_sub(self.claimed.load(Acquire))),
        }
    }

    /// Whether its relay said that it refuses everybody, and has let no look in since.
    pub fn is_shut(&self) -> bool {
        self.shut.load(Relaxed)
    }

    /// Whether there is a limit, and its relay lets people in.
    pub fn is_limited(&self) -> bool {
        self.room().is_some() && !self.is_shut()
    }

    /// Units in use: seen and reserved.
    pub fn load(&self) -> u64 {
        self.claimed.load(Acquire).saturating_add_signed(self.offset.load(Relaxed))
    }

    /// Units counted by the last good look; `None` where it could not count.
    pub fn counted(&self) -> Option<u64> {
        let book = self.book();
        book.counted.then_some(book.seen)
    }

    /// Units in use as far as anybody told: by the last good look, or by the feed since; `None`
    /// where nobody did.
    pub fn told(&self) -> Option<u64> {
        let book = self.book();
        book.heard.or(book.counted.then_some(book.seen))
    }

    /// Units promised that no look can have seen yet.
    pub fn reserved(&self) -> u64 {
        self.claimed.load(Acquire).saturating_sub(self.book().base)
    }

    /// All that it goes by.
    pub fn sheet(&self) -> Sheet {
        let book = self.book();
        Sheet {
            configured: book.terms.max,
            reported: book.reported,
            headroom: book.limit().map_or(0, |limit| book.terms.headroom.of(limit).min(limit)),
            told: book.heard.or(book.counted.then_some(book.seen)),
            reserved: self.claimed.load(Acquire).saturating_sub(book.base),
            free: self.free(),
            shut: book.shut,
        }
    }

    /// Works out what the request path reads from what the book says.
    fn balance(&self, book: &Book) {
        let room = book.room().unwrap_or(UNLIMITED);
        let ceiling = match book.free() {
            _ if book.shut => 0,
            None => UNLIMITED,
            Some(free) if book.terms.sharing.is_shared() => {
                book.base.saturating_add(free).min(book.share.until())
            }
            Some(free) => book.base.saturating_add(free),
        };
        let seen = i64::try_from(book.seen).unwrap_or(i64::MAX);
        let base = i64::try_from(book.base).unwrap_or(i64::MAX);
        self.offset.store(seen.saturating_sub(base), Relaxed);
        self.room.store(room, Relaxed);
        self.shut.store(book.shut, Relaxed);
        let ends = book.share.borrowed.ends();
        self.ends.store(ends.map_or(NEVER, millis), Relaxed);
        self.ceiling.store(ceiling, Release);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn limit(&self) -> Option<u64> {
        match (self.terms.max, self.reported) {
            (Some(max), Some(reported)) => Some(max.min(reported)),
            (max, reported) => max.or(reported),
        }
    }

    /// The limit less headroom; `None`: unlimited.
    fn room(&self) -> Option<u64> {
        let limit = self.limit()?;
        Some(limit.saturating_sub(self.terms.headroom.of(limit)))
    }

    /// What is free according to the relay; `None`: unlimited.
    fn free(&self) -> Option<u64> {
        Some(self.room()?.saturating_sub(self.seen))
    }

    /// Draws our share anew after a look.
    fn share_what_is_free(&mut self, began: Moment, settle: Duration, promised: u64) {
        let sharing = self.terms.sharing;
        if let (true, Some(room)) = (sharing.is_shared(), self.room()) {
            let found = Found { began, room, seen: self.counted.then_some(self.seen) };
            self.share.draw(sharing, &found, settle, promised);
        }
    }
}
