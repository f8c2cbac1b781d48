//! The policy's choice without a look at every mount.
//!
//! A policy that draws by weight need not know all who could be drawn: it is enough to draw any
//! mount, to judge that one, and to draw again unless it is as good as a mount of this stream can be.
//! Whoever is as good is of the best rank, whatever the others are, and is drawn as often as if all
//! had been weighed. So a redirect costs the same with two relays and with a hundred, as long as most
//! of them are well. Where too few are, all are looked at, as the others do who choose.

use crate::fleet::{Policy, StreamId, WhenFull};
use crate::player::Client;
use crate::slots::Moment;
use crate::state::Snapshot;

use super::policy::less_used;
use super::{Candidate, Preference, Proof, Rank, Trust, verdict};

/// Streams with fewer mounts are looked at whole: that costs no more.
const FEW: usize = 6;

/// So many are drawn at most; then it takes less to look at all.
const TRIES: usize = 8;

/// What came of drawing.
pub(super) enum Drawn {
    /// The policy's choice.
    Chosen(Candidate),
    /// The first of two that are to be compared; the other was not found.
    First(Candidate),
    /// Nothing; or the policy cannot go by it.
    Nothing,
}

/// Draws as the policy does, from the mounts of `stream` that are as good as one can be.
pub(super) fn sample(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    when_full: WhenFull,
    now: Moment,
    rng: &mut fastrand::Rng,
) -> Drawn {
    let policy = snapshot.fleet.balance.policy;
    let compares = match policy {
        Policy::LeastUsed => true,
        Policy::WeightedRandom => false,
        // These go by all mounts.
        Policy::MostFree | Policy::ClientHash(_) => return Drawn::Nothing,
    };
    let Some(sampling) = snapshot.sampling(stream) else { return Drawn::Nothing };
    if sampling.mounts < FEW {
        return Drawn::Nothing;
    }
    let best = Rank {
        beyond_limit: false,
        leaves_tls: false,
        trust: Trust::Sure,
        tier: sampling.tier,
        preference: Preference::Neutral,
        proof: Proof::Flows,
        came_from: false,
    };
    let mut first: Option<Candidate> = None;
    for _ in 0..TRIES.min(sampling.mounts / 2) {
        let at = rng.usize(..sampling.mounts);
        if first.is_some_and(|first| first.at == at) {
            continue;
        }
        let verdict = verdict(snapshot, stream, at, client, when_full, now);
        let Some(candidate) = verdict.as_ref().and_then(|verdict| verdict.candidate()) else {
            continue;
        };
        // One of half the weight is taken every second time.
        if candidate.rank != best || rng.f64() * f64::from(sampling.weight) >= candidate.weight {
            continue;
        }
        match first {
            _ if !compares => return Drawn::Chosen(*candidate),
            None => first = Some(*candidate),
            Some(first) => return Drawn::Chosen(less_used(&first, candidate)),
        }
    }
    // To draw it again would favour those who are seldom drawn beside it.
    first.map_or(Drawn::Nothing, Drawn::First)
}
