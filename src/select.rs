//! Who gets the next listener, and why not the others.
//!
//! The decision is a function of its arguments: the snapshot, the moment and chance are passed in,
//! nothing is kept. [`verdicts`] says of each mount whether it could take a listener, and if not, why;
//! [`pick`] chooses among those that could; [`assign`] also takes the slot; [`ranked()`] tells them
//! all in order, and [`explain()`] why. The redirect, playlists, the status and every explanation call
//! the same five.

mod affinity;
mod dice;
mod explain;
mod judge;
mod policy;
mod preference;
mod ranked;
mod sample;
mod sums;

use std::fmt;

use smallvec::SmallVec;

use crate::fleet::{Fallback, Family, Origin, Policy, Stream, StreamId, WhenFull};
use crate::player::{Client, Refusal};
use crate::slots::{Moment, reserve, reserve_beyond};
use crate::state::{MountView, Snapshot};

use dice::Dice;
use judge::judge;
use policy::{draw, least_used, less_used_than, most_free};
use sample::{Drawn, sample};

pub use explain::{Behind, Explained, Judged, Stage, explain};
pub use preference::{Preference, admission};
pub use ranked::{Offer, ranked};
pub use sums::{Sum, sums};

/// What is to be said of one mount for one listener.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// It could take the listener.
    Candidate(Candidate),
    /// It is passed over.
    Passed(Reason),
}

/// How a mount stands that could take a listener.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Its place among the stream's mounts.
    pub at: usize,
    /// Whether another one comes first whatever the policy says.
    pub rank: Rank,
    /// Its configured weight, less what doubt takes from it.
    pub weight: f64,
    /// Slots in use: listeners seen and redirects not yet seen.
    pub load: u64,
    /// Slots that can still be given away; `None`: unlimited.
    pub free: Option<u64>,
    /// The share of its slots in use, the tightest of its limits counting; `None`: unlimited.
    pub share: Option<f64>,
    /// Whether its server prefers such listeners, but has its fair share already.
    pub had_its_share: bool,
    /// Why its rank's trust is not the best.
    pub doubt: Option<Doubt>,
}

/// Candidates of a lower rank come first. The order of the fields is the order of importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Whether it is full, and would be given one more than its limit.
    pub beyond_limit: bool,
    /// Whether the player came by https and would be sent to plain http: within a page no script may
    /// read that, and what stands in the query could be read on the way.
    pub leaves_tls: bool,
    /// How much is known.
    pub trust: Trust,
    /// The configured tier.
    pub tier: u32,
    /// What its server thinks of the listener.
    pub preference: Preference,
    /// Whether its stream is proven.
    pub proof: Proof,
    /// Whether the player has just come back from there.
    pub came_from: bool,
}

/// How much the numbers of a relay can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// It answered lately and well.
    Sure,
    /// It failed a look or two, its numbers are old, its stream stands still, or it has just come
    /// back and had its fill for the moment: by the ledger it has a slot.
    Doubtful,
    /// Nothing is known for certain; it may work.
    Guess,
}

/// Why a relay's numbers are not trusted altogether.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Looks at it failed, fewer than make it down.
    Failed,
    /// It came and went too often lately.
    Probation,
    /// Its numbers are old.
    Stale,
    /// It has just come back, and has had its fill for the moment.
    HadItsFill,
    /// The mount's stream stands still.
    StandsStill,
    /// It is down, by looks that say nothing of its streams.
    Down,
    /// No look at it has seen the mount or its absence yet.
    Unseen,
}

/// Whether a mount's stream is proven to flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// It flows.
    Flows,
    /// A mount on demand that waits for its first listener, and may answer it 404.
    Asleep,
    /// Its first listener is on the way; one at a time is enough to wake it.
    Waking,
}

/// Why a mount is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The player came by the other address family than the only one that reaches its server.
    OnlyBy(Family),
    /// Its server is for listeners from elsewhere, and for nobody else.
    ForOthers,
    /// Its server is configured to get no new listeners.
    Draining,
    /// Its server is configured to be left alone.
    Disabled,
    /// Its server refuses connections.
    Refusing,
    /// Its server is down or was never reached, and the configuration says not to guess.
    Down,
    /// Its server does not list it, or refuses it.
    Absent,
    /// Nothing is known of its server for certain, and as many as a guess allows were just sent.
    Guessed,
    /// Other replicas give away its slots as well, and what is known here of its server is too old to
    /// say which of them are left.
    Unshared,
    /// It has no free slot.
    Full,
    /// Its server is reached by plain http, the player came by https, and the stream says that it
    /// stays with it.
    PlainHttp,
}

/// What becomes of a listener.
#[derive(Debug, Clone, Copy)]
pub enum Decision<'a, M = MountView<'a>> {
    /// Sent to this mount of ours, whose slot is taken.
    Mount(M),
    /// Sent to the fallback outside.
    Elsewhere(&'a http::HeaderValue),
    /// Refused.
    Refused(Refusal),
}

/// Decides for one listener of `stream` and, if `take`, takes the slot.
///
/// Between choosing and taking, another request may have got the last slot; then the choice is
/// made again. Of all that its fallbacks may lead to, the `when_full` of the stream that was asked
/// for decides.
pub fn assign<'a>(
    snapshot: &'a Snapshot,
    stream: StreamId,
    client: Client,
    now: Moment,
    rng: &mut fastrand::Rng,
    take: bool,
) -> Decision<'a> {
    let found = with_fallbacks(snapshot, stream, client, |at, when_full| {
        let mount = assign_here(snapshot, at, client, when_full, now, rng, take)?;
        Ok((at, mount))
    });
    let (decision, is_fallback) = match found {
        Decision::Mount((at, mount)) => (Decision::Mount(mount), at != stream),
        Decision::Elsewhere(url) => (Decision::Elsewhere(url), true),
        Decision::Refused(refusal) => (Decision::Refused(refusal), false),
    };
    if take
        && is_fallback
        && let Some(fallbacks) = snapshot.fallbacks(stream)
    {
        fallbacks.increment();
    }
    decision
}

/// What `here` finds for a listener of `stream`, or of the first of its fallbacks for which it finds
/// anything. It is also told the `when_full` of the stream that was asked for.
fn with_fallbacks<M>(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    mut here: impl FnMut(StreamId, WhenFull) -> Result<M, Refusal>,
) -> Decision<'_, M> {
    let when_full = when_full(snapshot, stream);
    let mut at = stream;
    let mut was_full = false;
    // The configuration has no loop of fallbacks, so no chain is longer than the streams.
    for _ in 0..=snapshot.fleet.streams.len() {
        let refusal = match here(at, when_full) {
            Ok(mount) => return Decision::Mount(mount),
            Err(refusal) => refusal,
        };
        was_full |= refusal == Refusal::Full;
        let leads_on = refusal != Refusal::Full || when_full == WhenFull::Fallback;
        let stream = snapshot.fleet.streams.get(at);
        let fallback = stream.and_then(|stream| stream.fallback_for(client.https));
        match fallback.filter(|_| leads_on) {
            // A player that a slot would have helped is told so, whatever its fallback lacked.
            None if was_full => return Decision::Refused(Refusal::Full),
            None => return Decision::Refused(refusal),
            Some(Fallback::Url(url)) => return Decision::Elsewhere(url),
            Some(Fallback::Stream(next)) => at = *next,
        }
    }
    Decision::Refused(Refusal::Offline)
}

/// What becomes of a player when `stream` is full.
fn when_full(snapshot: &Snapshot, stream: StreamId) -> WhenFull {
    snapshot.fleet.streams.get(stream).map_or(WhenFull::Reject, |stream| stream.when_full)
}

fn assign_here<'a>(
    snapshot: &'a Snapshot,
    stream: StreamId,
    client: Client,
    when_full: WhenFull,
    now: Moment,
    rng: &mut fastrand::Rng,
    take: bool,
) -> Result<MountView<'a>, Refusal> {
    for _ in 0..TRIES {
        let chosen = pick(snapshot, stream, client, when_full, now, rng)?;
        let mount = snapshot.mount(stream, chosen.at).ok_or(Refusal::Offline)?;
        if !take || take_slot(&mount, &chosen, client, now) {
            return Ok(mount);
        }
    }
    Err(Refusal::Full)
}

fn take_slot(mount: &MountView<'_>, chosen: &Candidate, client: Client, now: Moment) -> bool {
    let server = mount.server_slots;
    if server.is_guess() && !server.trickle.take(mount.room(), now) {
        return false;
    }
    let (connections, bitrate) = (client.connections, mount.config.bitrate);
    // What has come free meanwhile is taken like any other slot.
    if reserve(server, mount.slots, connections, bitrate) {
        return true;
    }
    let taken =
        chosen.rank.beyond_limit && reserve_beyond(server, mount.slots, connections, bitrate);
    if taken {
        mount.overflows.increment();
    }
    taken
}

/// How often the choice is made again. A slot that was free and cannot be had was taken by another
/// request, so this many failures mean that others took the last slots; and should chooser and
/// ledger ever disagree, a request ends nevertheless.
const TRIES: usize = 100;

/// Chooses among the mounts of `stream`, taking nothing.
pub fn pick(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    when_full: WhenFull,
    now: Moment,
    rng: &mut fastrand::Rng,
) -> Result<Candidate, Refusal> {
    let first = match sample(snapshot, stream, client, when_full, now, rng) {
        Drawn::Chosen(chosen) => return Ok(chosen),
        Drawn::First(first) => Some(first),
        Drawn::Nothing => None,
    };
    let mut best = SmallVec::new();
    let refusal = leaders(judged(snapshot, stream, client, when_full, now), &mut best);
    if let Some(first) = first {
        return Ok(less_used_than(&first, &best, rng));
    }
    choose(snapshot, stream, client, &best, rng)
        .ok_or_else(|| refusal.unwrap_or_else(|| without_mounts(snapshot, stream)))
}

/// Puts those of the best rank into `best`. Returns what is to be said of the stream for want of
/// any.
fn leaders(
    verdicts: impl Iterator<Item = Verdict>,
    best: &mut SmallVec<[Candidate; 16]>,
) -> Option<Refusal> {
    let mut refusal = None;
    for verdict in verdicts {
        match verdict {
            Verdict::Passed(reason) => refusal = Some(heavier(refusal, reason)),
            Verdict::Candidate(candidate) => {
                match best.first().map(|first| candidate.rank.cmp(&first.rank)) {
                    Some(std::cmp::Ordering::Greater) => {}
                    Some(std::cmp::Ordering::Equal) | None => best.push(candidate),
                    Some(std::cmp::Ordering::Less) => {
                        best.clear();
                        best.push(candidate);
                    }
                }
            }
        }
    }
    refusal
}

/// Chooses among candidates of one rank as the policy says.
fn choose(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    best: &[Candidate],
    dice: &mut impl Dice,
) -> Option<Candidate> {
    let all_full = best.first().is_some_and(|candidate| candidate.rank.beyond_limit);
    match snapshot.fleet.balance.policy {
        _ if all_full => least_used(best, dice),
        Policy::LeastUsed => least_used(best, dice),
        Policy::MostFree => most_free(best, dice),
        Policy::WeightedRandom => draw(best, dice, |candidate| candidate.weight),
        Policy::ClientHash(key) => {
            affinity::first(snapshot, stream, client, key, best).or_else(|| least_used(best, dice))
        }
    }
}

/// What is to be said of a stream as long as none of its mounts was judged. The entry of a pattern has
/// none: it stands for a stream that no server lists, which is known where one has answered.
fn without_mounts(snapshot: &Snapshot, stream: StreamId) -> Refusal {
    let origin = snapshot.fleet.streams.get(stream).map(|stream| stream.origin);
    let Some(Origin::Pattern(id)) = origin else { return Refusal::Unreachable };
    let servers = snapshot.fleet.patterns.get(id).map_or(&[][..], |pattern| &pattern.mounts);
    let knows = |id| snapshot.server(id).is_some_and(|server| server.last_good().is_some());
    if servers.iter().any(|mount| knows(mount.server)) {
        Refusal::Offline
    } else {
        Refusal::Unreachable
    }
}

/// What is to be said of each mount of `stream` to those who ask for it, in the configuration's
/// order.
pub fn verdicts(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    now: Moment,
) -> impl Iterator<Item = Verdict> {
    judged(snapshot, stream, client, when_full(snapshot, stream), now)
}

/// The same for a listener who came by a stream that has this `when_full`.
fn judged(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    when_full: WhenFull,
    now: Moment,
) -> impl Iterator<Item = Verdict> {
    let config = snapshot.fleet.streams.get(stream);
    let mounts = snapshot.mounts(stream).enumerate();
    let verdicts = mounts.map(|(at, mount)| {
        verdict_on(snapshot, config.map(|stream| &**stream), at, &mount, client, when_full, now)
    });
    let mut verdicts: SmallVec<[Verdict; 16]> = verdicts.collect();
    preference::temper(&mut verdicts);
    verdicts.into_iter()
}

/// What is to be said of one mount as if it were the only one of its stream; `None`: there is none at
/// this place.
fn verdict(
    snapshot: &Snapshot,
    stream: StreamId,
    at: usize,
    client: Client,
    when_full: WhenFull,
    now: Moment,
) -> Option<Verdict> {
    let config = snapshot.fleet.streams.get(stream).map(|stream| &**stream);
    let mount = snapshot.mount(stream, at)?;
    Some(verdict_on(snapshot, config, at, &mount, client, when_full, now))
}

fn verdict_on(
    snapshot: &Snapshot,
    stream: Option<&Stream>,
    at: usize,
    mount: &MountView<'_>,
    client: Client,
    when_full: WhenFull,
    now: Moment,
) -> Verdict {
    // First of all: what such a mount is good for is nothing to this player.
    if client.https && stream.is_some_and(|stream| stream.keeps_https_from(mount.server)) {
        return Verdict::Passed(Reason::PlainHttp);
    }
    judge(snapshot, at, mount, client, when_full, now)
}

impl Verdict {
    /// How it stands, if it could take the listener.
    pub fn candidate(&self) -> Option<&Candidate> {
        match self {
            Self::Candidate(candidate) => Some(candidate),
            Self::Passed(_) => None,
        }
    }

    /// Slots of its `mount` that can be given away now: none of a mount that is passed over,
    /// whatever its ledger says; `None`: unlimited.
    pub fn free(&self, mount: &MountView<'_>) -> Option<u64> {
        match self {
            Self::Candidate(candidate) => candidate.free,
            Self::Passed(_) => mount.free().map(|_| 0),
        }
    }
}

/// What is to be said of a stream, once another of its mounts was passed over for `reason`.
fn heavier(refusal: Option<Refusal>, reason: Reason) -> Refusal {
    let this = match reason {
        Reason::Full | Reason::Draining => Refusal::Full,
        Reason::Absent | Reason::Disabled => Refusal::Offline,
        Reason::PlainHttp => Refusal::Insecure,
        Reason::Refusing | Reason::Down | Reason::Guessed | Reason::Unshared => {
            Refusal::Unreachable
        }
        Reason::ForOthers => Refusal::ForOthers,
        Reason::OnlyBy(family) => Refusal::OnlyBy(family),
    };
    refusal.map_or(this, |refusal| refusal.max(this))
}

impl Reason {
    /// Its name for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::OnlyBy(_) => "other_family",
            Self::ForOthers => "for_others",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Refusing => "refusing",
            Self::Down => "down",
            Self::Absent => "absent",
            Self::Guessed => "guessed",
            Self::Unshared => "unshared",
            Self::Full => "full",
            Self::PlainHttp => "plain_http",
        }
    }
}

impl Trust {
    /// Its name for programs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Sure => "sure",
            Self::Doubtful => "doubtful",
            Self::Guess => "guess",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "its last look failed",
            Self::Probation => "it came and went too often, and is on probation",
            Self::Stale => "its numbers are old",
            Self::HadItsFill => "it has just come back, and had its fill for the moment",
            Self::StandsStill => "its stream stands still",
            Self::Down => "it is down, though it may still play",
            Self::Unseen => "it was not seen yet",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyBy(Family::V4) => "reached by IPv4 only",
            Self::OnlyBy(Family::V6) => "reached by IPv6 only",
            Self::ForOthers => "for listeners from elsewhere only",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
            Self::Refusing => "refuses connections",
            Self::Down => "down",
            Self::Absent => "its relay does not have it",
            Self::Guessed => "nothing is known: it gets few at a time",
            Self::Unshared => "nobody knows what other replicas have left of it",
            Self::Full => "full",
            Self::PlainHttp => "plain http: not for players that came by https",
        })
    }
}

#[cfg(test)]
mod tests;
