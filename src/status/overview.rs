//! Everything known in few lines: one for each stream and each relay, and what is wrong.
//!
//! A configuration may have ten thousand streams on a hundred relays each, which is a million
//! mounts. Here they are counted, not listed: an overview grows with streams and relays alone.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::fleet::patterns::Pattern;
use crate::fleet::{Stream, StreamId, WhenFull};
use crate::player::{Client, Refusal};
use crate::select::{Reason, Trust, Verdict, pick, sums, verdicts};
use crate::slots::Moment;
use crate::state::{Snapshot, State, Tally};

use super::trouble::{Severity, Trouble, troubles};
use super::wanted::Scope;
use super::{ClusterStatus, ConfigStatus, ServerStatus, servers};

/// What is known as of one moment, in few lines.
#[derive(Debug)]
pub struct Overview {
    /// What it was made of.
    pub(super) snapshot: Arc<Snapshot>,
    /// When it was made.
    pub(super) now: Moment,
    /// The configuration in force.
    pub config: ConfigStatus,
    /// The balancers that share the relays; absent: this one is alone.
    pub cluster: Option<ClusterStatus>,
    /// What the lines come to.
    pub totals: Totals,
    /// What is wrong, the worst first; at most [`Overview::MOST_TROUBLES`].
    pub troubles: Vec<Trouble>,
    /// The servers, in the configuration's order.
    pub servers: Vec<ServerStatus>,
    /// The streams, in the configuration's order. What is found under a pattern is counted there.
    pub streams: Vec<StreamLine>,
}

/// What the lines of an overview come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Streams of the configuration.
    pub streams: usize,
    /// Those whose players are sent to a relay.
    pub streams_up: usize,
    /// Servers of the configuration.
    pub servers: usize,
    /// Those whose numbers are believed.
    pub servers_up: usize,
    /// Listeners on all mounts, as far as anybody tells.
    pub listeners: u64,
    /// Redirects that no look can have seen yet.
    pub reserved: u64,
    /// Players held until a slot frees.
    pub waiting: usize,
    /// Troubles over which players are turned away.
    pub critical: usize,
    /// Other troubles.
    pub warnings: usize,
}

/// A stream in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamLine {
    #[serde(skip)]
    pub(super) id: StreamId,
    /// What players ask for.
    pub path: String,
    /// How it is.
    pub state: Condition,
    /// Whether a player who asks now would be sent to a relay.
    pub up: bool,
    /// Listeners on its mounts, as far as anybody tells; absent: nobody does.
    pub listeners: Option<u64>,
    /// Redirects that no look can have seen yet.
    pub reserved: u64,
    /// Slots that can be given away; absent: unlimited.
    pub free: Option<u64>,
    /// What becomes of players when it is full.
    pub when_full: &'static str,
    /// Players held until a slot frees.
    pub waiting: usize,
    /// Players sent to its fallback since the start.
    pub fallbacks: u64,
    /// Players sent to a relay for it since the start.
    pub redirects: u64,
    /// Its mounts; of a pattern those of all that was found.
    pub mounts: usize,
    /// Those that could take a player now.
    pub candidates: usize,
    /// How many of the others are passed over for which reason.
    #[serde(serialize_with = "by_words")]
    pub passed_over: Vec<(Reason, usize)>,
    /// Of a pattern: what was found under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<FoundLine>,
}

/// What was found under a pattern, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FoundLine {
    /// The most streams it may have.
    pub max_streams: usize,
    /// How many it has.
    pub found: usize,
    /// Those whose players are sent to no relay.
    pub down: usize,
    /// Mounts that servers list beyond that.
    pub left_out: u64,
}

/// How a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Players are sent to a relay with room.
    Up,
    /// The same, but nine tenths of what it can have is in use.
    NearlyFull,
    /// It is full, and players are sent to relays beyond their limits.
    BeyondLimits,
    /// Nothing is known for certain: a few players at a time are sent where it may be.
    Guess,
    /// Its players are sent to its fallback.
    Fallback,
    /// Every mount that is present is full.
    Full,
    /// No relay that answers has it.
    Offline,
    /// No relay of it answers.
    Unreachable,
    /// A pattern under which nothing was found.
    Empty,
}

impl Overview {
    /// More troubles are counted, not listed.
    pub const MOST_TROUBLES: usize = 100;

    /// The overview as of `now`.
    pub fn of(state: &State, now: Moment) -> Self {
        let snapshot = state.load_full();
        let config = ConfigStatus::of(state, &snapshot);
        let cluster = ClusterStatus::of(state, &snapshot, now);
        let servers = servers(&snapshot, now, &Scope::ALL);
        let named = snapshot.streams().filter(|(_, stream, _)| !stream.is_found());
        let streams = named.map(|(id, stream, _)| match snapshot.fleet.pattern_of(stream) {
            Some(pattern) => StreamLine::of_pattern(&snapshot, id, stream, pattern, now),
            None => StreamLine::of(&snapshot, id, stream, now),
        });
        let streams: Vec<StreamLine> = streams.collect();
        let mut troubles =
            troubles(state, &snapshot, &config, cluster.as_ref(), &servers, &streams);
        let count = |severity| troubles.iter().filter(|it| it.severity == severity).count();
        let totals = Totals {
            streams: streams.len(),
            streams_up: streams.iter().filter(|stream| stream.up).count(),
            servers: servers.len(),
            servers_up: servers.iter().filter(|server| server.up).count(),
            listeners: sum(streams.iter().filter_map(|stream| stream.listeners)),
            reserved: sum(streams.iter().map(|stream| stream.reserved)),
            waiting: streams.iter().map(|stream| stream.waiting).sum(),
            critical: count(Severity::Critical),
            warnings: count(Severity::Warning),
        };
        troubles.truncate(Self::MOST_TROUBLES);
        Self { snapshot, now, config, cluster, totals, troubles, servers, streams }
    }

    /// How many troubles are not listed.
    pub fn unlisted(&self) -> usize {
        (self.totals.critical + self.totals.warnings).saturating_sub(self.troubles.len())
    }
}

impl StreamLine {
    pub(super) fn of(snapshot: &Snapshot, id: StreamId, stream: &Stream, now: Moment) -> Self {
        let mut line = Self::blank(snapshot, id, stream);
        let mut best: Option<Standing> = None;
        for (mount, verdict) in snapshot.mounts(id).zip(verdicts(snapshot, id, Client::ANY, now)) {
            let seats = &mount.slots.seats;
            line.mounts += 1;
            line.add_listeners(seats.told());
            line.reserved = line.reserved.saturating_add(seats.reserved());
            line.redirects = line.redirects.saturating_add(mount.redirects.get());
            match verdict {
                Verdict::Candidate(candidate) => {
                    let standing = match (candidate.rank.beyond_limit, candidate.rank.trust) {
                        (true, _) => Standing::BeyondLimits,
                        (false, Trust::Guess) => Standing::Guess,
                        (false, Trust::Sure | Trust::Doubtful) => Standing::Room,
                    };
                    best = Some(best.map_or(standing, |best| best.min(standing)));
                    line.candidates += 1;
                    line.free = line.free.zip(candidate.free).map(|(a, b)| a.saturating_add(b));
                }
                Verdict::Passed(reason) => line.pass(reason, 1),
            }
        }
        line.up = best.is_some();
        line.state = match best {
            Some(Standing::Room) if line.is_nearly_full() => Condition::NearlyFull,
            Some(Standing::Room) => Condition::Up,
            Some(Standing::BeyondLimits) => Condition::BeyondLimits,
            Some(Standing::Guess) => Condition::Guess,
            None => line.refused(snapshot, stream, now),
        };
        line
    }

    fn of_pattern(
        snapshot: &Snapshot,
        id: StreamId,
        entry: &Stream,
        pattern: &Pattern,
        now: Moment,
    ) -> Self {
        let mut line = Self::blank(snapshot, id, entry);
        let mut down = 0;
        let mut worst = Condition::Offline;
        let mut guesses = 0;
        for id in pattern.streams() {
            let Some(stream) = snapshot.fleet.streams.get(id) else { continue };
            let found = Self::of(snapshot, id, stream, now);
            line.mounts += found.mounts;
            line.candidates += found.candidates;
            line.waiting += found.waiting;
            line.add_listeners(found.listeners);
            line.reserved = line.reserved.saturating_add(found.reserved);
            for (reason, count) in found.passed_over {
                line.pass(reason, count);
            }
            if !found.up {
                down += 1;
                worst = found.state;
            }
            guesses += usize::from(found.state == Condition::Guess);
        }
        let found = pattern.streams().len();
        // Its streams share what their servers have left.
        line.free = sums(snapshot, pattern, now).iter().map(|sum| sum.free).sum();
        line.redirects = sum(snapshot.sent(pattern).map(|(_, sent, _)| sent));
        line.up = line.candidates > 0;
        line.state = match found {
            0 => Condition::Empty,
            _ if !line.up => worst,
            _ if guesses > 0 && guesses + down == found => Condition::Guess,
            _ if line.is_nearly_full() => Condition::NearlyFull,
            _ => Condition::Up,
        };
        let left_out = if pattern.is_full() { snapshot.left_out(pattern) } else { 0 };
        let max_streams = pattern.max_streams;
        line.pattern = Some(FoundLine { max_streams, found, down, left_out });
        line
    }

    fn blank(snapshot: &Snapshot, id: StreamId, stream: &Stream) -> Self {
        Self {
            id,
            path: stream.path.clone(),
            state: Condition::Offline,
            up: false,
            listeners: None,
            reserved: 0,
            free: Some(0),
            when_full: stream.when_full.label(),
            waiting: snapshot.queue(id).map_or(0, |queue| queue.waiting()),
            fallbacks: snapshot.fallbacks(id).map_or(0, Tally::get),
            redirects: 0,
            mounts: 0,
            candidates: 0,
            passed_over: Vec::new(),
            pattern: None,
        }
    }

    fn add_listeners(&mut self, told: Option<u64>) {
        self.listeners = self.listeners.into_iter().chain(told).reduce(u64::saturating_add);
    }

    fn pass(&mut self, reason: Reason, mounts: usize) {
        match self.passed_over.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += mounts,
            None => self.passed_over.push((reason, mounts)),
        }
    }

    /// Slots in use: listeners and redirects that no look can have seen yet.
    pub(super) fn used(&self) -> u64 {
        self.listeners.unwrap_or(0).saturating_add(self.reserved)
    }

    fn is_nearly_full(&self) -> bool {
        // In tenths, and without a division: more than nine of ten.
        self.free.is_some_and(|free| self.used() > free.saturating_mul(9))
    }

    /// What becomes of players while none of its mounts could take one.
    fn refused(&self, snapshot: &Snapshot, stream: &Stream, now: Moment) -> Condition {
        let full = stream.when_full;
        // Nothing is left to chance where nothing can be chosen.
        let mut rng = fastrand::Rng::with_seed(0);
        let refusal = pick(snapshot, self.id, Client::ANY, full, now, &mut rng).err();
        let is_full = refusal == Some(Refusal::Full);
        match refusal {
            _ if stream.fallback.is_some() && (!is_full || full == WhenFull::Fallback) => {
                Condition::Fallback
            }
            Some(Refusal::Full) => Condition::Full,
            Some(Refusal::Offline) | None => Condition::Offline,
            Some(_) => Condition::Unreachable,
        }
    }
}

/// The best that a stream has to offer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Room,
    BeyondLimits,
    Guess,
}

impl Condition {
    /// Its name, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::NearlyFull => "nearly full",
            Self::BeyondLimits => "beyond its limits",
            Self::Guess => "on a guess",
            Self::Fallback => "on its fallback",
            Self::Full => "full",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::Empty => "nothing found",
        }
    }

    /// How much it matters; `None`: nothing is wrong.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Up | Self::Empty => None,
            Self::NearlyFull | Self::BeyondLimits | Self::Fallback | Self::Offline => {
                Some(Severity::Warning)
            }
            Self::Guess | Self::Full | Self::Unreachable => Some(Severity::Critical),
        }
    }
}

fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

/// Reasons by their words, as they stand with the mounts.
fn by_words<S: Serializer>(reasons: &[(Reason, usize)], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(reasons.len()))?;
    for (reason, count) in reasons {
        map.serialize_entry(&reason.to_string(), count)?;
    }
    map.end()
}
