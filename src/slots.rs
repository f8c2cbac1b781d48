//! The ledger: what was seen of each server and mount, what was promised since, and health.
//!
//! A redirect is a promise: the listener appears in the relay's own count only some moments later.
//! Between two looks at a relay the ledger therefore counts `seen + reserved`, and a redirect
//! happens only if [`reserve`] got a slot in every account that the listener will occupy: the
//! mount's, the server's, and the server's bandwidth. Requests read and claim without a lock; only
//! looks, of which each server has one at a time, write the rest.

mod account;
mod borrowed;
mod flaps;
mod flow;
mod health;
mod pace;
mod share;
mod sync;
mod trickle;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::counters::{Counter, Histogram, PollResults};
use crate::fleet::Headroom;
use crate::icecast::{Activity, Limit, MountReport, Report};

pub use account::{Account, Sheet, Terms};
pub use health::{Evidence, Health, Rules};
pub use pace::Pace;
pub use share::{LOANS_LAST, Sharing};
pub use trickle::Trickle;

/// A moment of the monotonic clock, as the time since the program began.
pub type Moment = Duration;

/// What is known of one server.
#[derive(Debug)]
pub struct ServerSlots {
    /// Clients of the whole relay against its `max_listeners`.
    pub seats: Account,
    /// Bits per second against its `max_bandwidth`.
    pub bandwidth: Account,
    /// How fast listeners are sent to it.
    pub pace: Pace,
    /// How fast while nothing is known of it for certain.
    pub trickle: Trickle,
    /// Looks at it, by result.
    pub polls: PollResults,
    /// How long they took.
    pub poll_duration: Histogram,
    /// Listeners sent to it.
    pub redirected: Counter,
    /// Listeners seen to arrive at mounts of ours, sent by us or not.
    pub arrived: Counter,
    health: health::Cell,
    /// When the last good look began, in milliseconds; [`NEVER`] before the first.
    last_good: AtomicU64,
    /// When it said last that it is full to its last client, in milliseconds; [`NEVER`] since a
    /// good look.
    refused: AtomicU64,
    /// Whether it was asked at all.
    asked: AtomicBool,
    /// Whether looks tell how many listen.
    counts: AtomicBool,
    /// Whether they tell no numbers at all.
    blind: AtomicBool,
    /// Whether those who are sent do not arrive.
    arrivals_missing: AtomicBool,
    arrivals: Mutex<flow::Arrivals>,
    notes: Mutex<Notes>,
}

/// What operators are told of a server, beside its numbers.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// The statistics document in use.
    pub source: Option<&'static str>,
    /// Why the last look failed, or what is odd about one that did not.
    pub trouble: Option<String>,
    /// Time of day of the last good look, in seconds since 1970.
    pub last_success_unix: Option<f64>,
    /// Whether the relay's `STATS` feed is connected.
    pub live: bool,
}

/// What is known of one mount.
#[derive(Debug)]
pub struct MountSlots {
    /// Listeners against the mount's limit.
    pub seats: Account,
    presence: AtomicU8,
    stands_still: AtomicBool,
    flow: Mutex<flow::Flow>,
    /// The limit that the relay told last; [`NEVER`] where it told none.
    told_limit: AtomicU64,
    /// When the last look began that saw it listed, in milliseconds; [`NEVER`] before.
    listed: AtomicU64,
}

/// Whether a mount is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nobody has looked yet.
    Unknown,
    /// A stream flows.
    Active,
    /// Listed, but waiting for its first listener: unproven.
    Idle,
    /// The relay does not list it.
    Absent,
}

/// What a relay's `STATS` feed told since the last good look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Clients of all kinds, if it told.
    pub clients: Option<u64>,
    /// Listeners by mount, of those mounts that it told of.
    pub listeners: HashMap<String, u64>,
}

/// One look at a server under way; see [`begin_look`].
#[derive(Debug, Clone, Copy)]
pub struct Look {
    began: Moment,
}

/// A configured mount as the ledger's writer needs it.
#[derive(Debug)]
pub struct Listed<'a> {
    /// Its path on the relay.
    pub path: &'a str,
    /// Its ledger.
    pub slots: &'a MountSlots,
    /// Bits per second of one listener; zero where bandwidth is not limited.
    pub bitrate: u64,
}

const NEVER: u64 = u64::MAX;

/// How long the word of a relay that it is full is taken for the reason why looks at it time out.
const REFUSAL_LASTS: Duration = Duration::from_secs(30);

/// Claims what a listener will occupy in every account, or in none of them: `connections` slots of
/// the mount and of the server, and `bitrate` of its bandwidth.
///
/// One compare-and-swap per account; a claim that fails later takes the earlier ones back.
pub fn reserve(server: &ServerSlots, mount: &MountSlots, connections: u64, bitrate: u64) -> bool {
    reserve_by(Account::claim, server, mount, connections, bitrate)
}

/// The same for a listener who is sent beyond the limits; only a relay that refuses everybody
/// refuses it.
pub fn reserve_beyond(
    server: &ServerSlots,
    mount: &MountSlots,
    connections: u64,
    bitrate: u64,
) -> bool {
    reserve_by(Account::claim_beyond, server, mount, connections, bitrate)
}

fn reserve_by(
    claim: impl Fn(&Account, u64) -> bool,
    server: &ServerSlots,
    mount: &MountSlots,
    connections: u64,
    bitrate: u64,
) -> bool {
    let claims =
        [(&mount.seats, connections), (&server.seats, connections), (&server.bandwidth, bitrate)];
    for (at, (account, units)) in claims.iter().enumerate() {
        if !claim(account, *units) {
            for (account, units) in claims.iter().take(at) {
                account.give_back(*units);
            }
            return false;
        }
    }
    for (account, units) in claims {
        account.commit(units);
    }
    server.redirected.increment();
    true
}

/// Marks the start of a look. Everything promised after this moment stays reserved whatever the
/// look brings, since it cannot have seen it.
pub fn begin_look(server: &ServerSlots, mounts: &[Listed<'_>], now: Moment) -> Look {
    server.seats.mark(now);
    server.bandwidth.mark(now);
    for mount in mounts {
        mount.slots.seats.mark(now);
    }
    Look { began: now }
}

/// Enters what a good look saw. Reservations end whose listeners it saw arrive, and those that are
/// older than `settle`, since it must have seen them.
pub fn record(
    server: &ServerSlots,
    mounts: &[Listed<'_>],
    look: Look,
    report: &Report,
    settle: Duration,
) {
    let found: HashMap<&str, &MountReport> =
        report.mounts.iter().map(|mount| (mount.name.as_str(), mount)).collect();
    let mut total = Totals::default();
    for mount in mounts {
        let found = found.get(mount.path).copied();
        let before = mount.slots.seats.counted();
        let (listeners, limit) = mount.slots.understand(found);
        // What was there when it was counted for the first time did not arrive since; nor did those
        // whom Icecast brings back from its own fallback to a mount that was gone.
        let arrived = before.zip(listeners).map_or(0, |(before, now)| now.saturating_sub(before));
        let was = mount.slots.presence();
        let was_there = matches!(was, Presence::Active | Presence::Idle);
        let arrived = if was_there { arrived } else { 0 };
        total.arrived = total.arrived.saturating_add(arrived);
        // A mount without a stream wakes by its first listener, or has those back whom Icecast
        // kept elsewhere meanwhile: they must not be taken for ones who are still on their way.
        let arrived = if was == Presence::Active { arrived } else { 0 };
        mount.slots.is_seen(found, look.began);
        let still =
            lock(&mount.slots.flow).stands_still(found.and_then(|found| found.bytes), look.began);
        mount.slots.stands_still.store(still, Relaxed);
        let early = mount.slots.seats.observe(look.began, listeners, arrived, limit, settle);
        total.add(early, listeners.unwrap_or(0), mount.bitrate);
    }
    server.arrived.add(total.arrived);
    server.counts.store(report.counts_listeners().unwrap_or(server.counts_listeners()), Relaxed);
    let is_asked = |mount: &MountReport| mount.activity == Activity::Answers;
    server.blind.store(report.mounts.iter().any(is_asked), Relaxed);
    let (sent, arrived) = (server.redirected.get(), server.arrived.get());
    let missing = lock(&server.arrivals).are_missing(sent, arrived, look.began);
    // Where arrivals cannot be seen, none is missed.
    server.arrivals_missing.store(missing && server.counts_listeners(), Relaxed);
    // The server's own count rises for others than listeners too: only those whom a mount saw
    // arrive have arrived.
    let clients = clients_of(report, server.seats.counted());
    server.seats.observe(look.began, clients, total.early, None, settle);
    server.bandwidth.observe(look.began, Some(total.bits), total.early_bits, None, settle);
    server.last_good.store(millis(look.began), Relaxed);
    server.refused.store(NEVER, Relaxed);
}

/// Enters what the look saw of a mount that began at `began` and found it, so that listeners can be
/// sent there before the next one. Nothing happens where the mount is known already.
pub fn welcome(mount: &MountSlots, found: &MountReport, began: Moment, settle: Duration) {
    if mount.presence() == Presence::Unknown {
        let (listeners, limit) = mount.understand(Some(found));
        mount.is_seen(Some(found), began);
        mount.seats.observe(began, listeners, 0, limit, settle);
    }
}

/// Enters what a relay's feed told, in place of a look that the relay was too full to allow.
///
/// This tells people how a full relay fares, and it frees nothing. Whoever sets a stream's
/// title can forge the feed, it can be cut or hang, and it lags by nearly a second; and there is no
/// need to believe it: a relay that would let a listener in lets a look in as well, and that look
/// frees what is free. So the feed's counts are kept for people, beside the ones that the ledger
/// goes by: these stand still as after any other look that failed, and the relay stays shut.
pub fn record_heard(server: &ServerSlots, mounts: &[Listed<'_>], heard: &Heard) {
    for mount in mounts {
        if let Some(listeners) = heard.listeners.get(mount.path) {
            mount.slots.seats.hear(*listeners);
        }
    }
    if let Some(clients) = heard.clients {
        server.seats.hear(clients);
    }
}

/// Whether a look now would tell something that matters: whether those who were sent have arrived,
/// whether somebody left a relay that is nearly full, whether one in doubt is well. Where looks tell
/// no numbers, they can tell the last alone.
pub fn wants_look(slots: &ServerSlots, mounts: &[Listed<'_>]) -> bool {
    let mut accounts = mounts.iter().map(|mount| &mount.slots.seats).chain([&slots.seats]);
    let in_doubt = match slots.health() {
        Health::Unknown | Health::Doubtful { .. } => true,
        Health::Down { good, .. } => good > 0,
        Health::Up | Health::Probation { .. } | Health::Recovering { .. } => false,
    };
    let mut is_tense = || accounts.any(|account| account.reserved() > 0 || nearly_full(account));
    in_doubt || (!slots.blind.load(Relaxed) && is_tense())
}

/// Under a tenth is free: a leaver's slot will be wanted.
fn nearly_full(account: &Account) -> bool {
    match (account.free(), account.room()) {
        (Some(free), Some(room)) => free < room.div_ceil(10),
        // Without a limit that is known, and shut: its relay refuses even looks.
        (Some(free), None) => free == 0,
        (None, _) => false,
    }
}

/// Sums over the mounts of a look.
#[derive(Default)]
struct Totals {
    arrived: u64,
    early: u64,
    bits: u64,
    early_bits: u64,
}

impl Totals {
    fn add(&mut self, early: u64, listeners: u64, bitrate: u64) {
        self.early = self.early.saturating_add(early);
        self.bits = self.bits.saturating_add(listeners.saturating_mul(bitrate));
        self.early_bits = self.early_bits.saturating_add(early.saturating_mul(bitrate));
    }
}

/// The clients a relay serves, for its `<limits><clients>`: as it says, or else every listener and
/// every source it lists, since Icecast counts both. `None` where nobody tells; one without any mount
/// tells nothing new of that.
fn clients_of(report: &Report, before: Option<u64>) -> Option<u64> {
    if report.clients.is_some() {
        return report.clients;
    }
    let is_told = |mount: &MountReport| matches!(mount.activity, Activity::Active | Activity::Idle);
    if report.mounts.is_empty() {
        return before.map(|_| 0);
    }
    if !report.mounts.iter().any(is_told) {
        return None;
    }
    let listeners = report.mounts.iter().filter_map(|mount| mount.listeners);
    let listeners = listeners.fold(0_u64, u64::saturating_add);
    let sources = report.mounts.iter().filter(|mount| mount.activity == Activity::Active).count();
    Some(listeners.saturating_add(sources as u64))
}

/// Only looks and operators come here; one that broke has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(moment: Moment) -> u64 {
    u64::try_from(moment.as_millis()).unwrap_or(NEVER - 1)
}

impl ServerSlots {
    /// A server nobody has looked at yet.
    pub fn new(seats: Terms, bandwidth: Terms) -> Self {
        Self {
            seats: Account::new(seats),
            bandwidth: Account::new(bandwidth),
            pace: Pace::default(),
            trickle: Trickle::default(),
            polls: PollResults::default(),
            poll_duration: Histogram::new(&[
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0,
            ]),
            redirected: Counter::default(),
            arrived: Counter::default(),
            health: health::Cell::default(),
            last_good: AtomicU64::new(NEVER),
            refused: AtomicU64::new(NEVER),
            asked: AtomicBool::new(false),
            counts: AtomicBool::new(true),
            blind: AtomicBool::new(false),
            arrivals_missing: AtomicBool::new(false),
            arrivals: Mutex::default(),
            notes: Mutex::default(),
        }
    }

    /// How its last looks went.
    pub fn health(&self) -> Health {
        self.health.load()
    }

    /// How long its probation lasts from now on, if looks at it go well; zero if it is on none.
    pub fn probation_left(&self, now: Moment) -> Duration {
        self.health.probation_left(now)
    }

    /// Learns how a look ended, for its health; the new health is returned with the one before.
    ///
    /// A relay that is full refuses even to be looked at: it is well, but has no slot.
    pub fn judge(&self, evidence: Evidence, now: Moment, rules: Rules) -> (Health, Health) {
        self.asked.store(true, Relaxed);
        if evidence == Evidence::Full {
            self.seats.shut();
            // It has just told all there is to know: it is well, and nothing is free.
            self.last_good.store(millis(now), Relaxed);
        }
        self.health.advance(evidence, now, rules)
    }

    /// Forgets how often it went down, as if there were no probation.
    #[cfg(test)]
    pub(crate) fn forget_falls(&self) {
        self.health.forget_falls();
    }

    /// Learns that it said itself to be full to its last client.
    pub fn refuse(&self, now: Moment) {
        self.refused.store(millis(now), Relaxed);
    }

    /// Whether it said lately that it is full, and has let no look in since. Then a look that
    /// waits in vain most likely waits in the crowd that is being refused; and as nobody is sent
    /// there anyway, no harm is done if it does not.
    pub fn refused_lately(&self, now: Moment) -> bool {
        match self.refused.load(Relaxed) {
            NEVER => false,
            at => now.saturating_sub(Duration::from_millis(at)) <= REFUSAL_LASTS,
        }
    }

    /// Whether a look at it has ended, well or not.
    pub fn was_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    /// Whether listeners who are sent there are sent on a guess: it is down, or looks at it have
    /// ended and none of them well. Before the first has ended, the ledger alone decides: it ends in
    /// a moment, and a restart must not refuse those who come in it.
    pub fn is_guess(&self) -> bool {
        let is_down = matches!(self.health(), Health::Down { .. });
        self.was_asked() && (is_down || self.last_good().is_none())
    }

    /// When the last good look began; `None` if there was none.
    pub fn last_good(&self) -> Option<Moment> {
        match self.last_good.load(Relaxed) {
            NEVER => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }

    /// Whether looks at it tell how many listen. If not, nobody is ever seen to arrive there.
    pub fn counts_listeners(&self) -> bool {
        self.counts.load(Relaxed)
    }

    /// Whether listeners are sent to it and hardly any arrive.
    pub fn misses_arrivals(&self) -> bool {
        self.arrivals_missing.load(Relaxed)
    }

    /// Whether its numbers are too old to be believed.
    pub fn is_stale(&self, now: Moment, stale_after: Duration) -> bool {
        self.last_good().is_none_or(|seen| now.saturating_sub(seen) > stale_after)
    }

    /// Whether it is well and its numbers are believed.
    pub fn is_up(&self, now: Moment, stale_after: Duration) -> bool {
        self.health().is_up() && !self.is_stale(now, stale_after)
    }

    /// What operators are told of it.
    pub fn notes(&self) -> Notes {
        lock(&self.notes).clone()
    }

    /// Changes what operators are told of it.
    pub fn note(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut lock(&self.notes));
    }
}

impl MountSlots {
    /// A mount nobody has looked at yet.
    pub fn new(terms: Terms) -> Self {
        Self {
            seats: Account::new(terms),
            presence: AtomicU8::new(Presence::Unknown as u8),
            told_limit: AtomicU64::new(NEVER),
            listed: AtomicU64::new(NEVER),
            stands_still: AtomicBool::new(false),
            flow: Mutex::default(),
        }
    }

    /// Whether its source has sent nothing for a while, though it is connected.
    pub fn stands_still(&self) -> bool {
        self.stands_still.load(Relaxed)
    }

    /// Whether it was there at the last good look.
    pub fn presence(&self) -> Presence {
        match self.presence.load(Relaxed) {
            1 => Presence::Active,
            2 => Presence::Idle,
            3 => Presence::Absent,
            _ => Presence::Unknown,
        }
    }

    /// When the last look began that saw it listed; `None` if none did.
    pub fn last_listed(&self) -> Option<Moment> {
        match self.listed.load(Relaxed) {
            NEVER => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }

    /// Whether it is not listed, and was not since `moment`.
    pub fn is_gone_since(&self, moment: Moment) -> bool {
        self.presence() == Presence::Absent && self.last_listed().is_none_or(|at| at < moment)
    }

    /// Enters whether a look that began at `began` saw it listed.
    fn is_seen(&self, found: Option<&MountReport>, began: Moment) {
        let presence = Presence::of(found).unwrap_or(self.presence());
        self.presence.store(presence as u8, Relaxed);
        if found.is_some() {
            self.listed.store(millis(began), Relaxed);
        }
    }

    /// Listeners and limit according to a report of it, or to one that does not list it. What it does
    /// not tell is as it was told last: a relay whose better document fails for a moment has not become
    /// unlimited. `None`: nobody told.
    fn understand(&self, report: Option<&MountReport>) -> (Option<u64>, Option<u64>) {
        let counted = self.seats.counted();
        let Some(report) = report else { return (counted.map(|_| 0), None) };
        match (report.listeners, report.limit, report.activity) {
            (_, _, Activity::Answers) => {
                self.told_limit.store(NEVER, Relaxed);
                return (None, None);
            }
            (None, Limit::Listeners(free), _) => return (None, Some(free)),
            (Some(_), Limit::Listeners(limit), _) => self.told_limit.store(limit, Relaxed),
            (_, Limit::Unlimited, _) => self.told_limit.store(NEVER, Relaxed),
            (_, Limit::Unknown, _) => {}
        }
        let limit = Some(self.told_limit.load(Relaxed)).filter(|limit| *limit != NEVER);
        (report.listeners.or(counted), limit)
    }
}

impl Presence {
    /// `None`: as it was.
    fn of(found: Option<&MountReport>) -> Option<Self> {
        match found.map(|mount| mount.activity) {
            Some(Activity::Active | Activity::Answers) => Some(Self::Active),
            Some(Activity::Idle) => Some(Self::Idle),
            Some(Activity::Unasked) => None,
            None => Some(Self::Absent),
        }
    }

    /// Its name in the status and in logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Absent => "absent",
        }
    }
}

/// The terms of a relay's own limit. One slot stays free for each replica's look: Icecast counts it,
/// and a relay that is full to the last slot answers each look with 403 after a pause of 400 ms in
/// which it serves nobody.
pub fn seats_terms(max_listeners: Option<u64>, sharing: Sharing) -> Terms {
    let looks = max_listeners.map_or(0, |limit| sharing.replicas.min(limit.saturating_sub(1)));
    Terms { max: max_listeners, headroom: Headroom::Slots(looks), sharing }
}

#[cfg(all(test, model))]
mod model;
#[cfg(all(test, not(model)))]
mod tests;
