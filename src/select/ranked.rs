//! All that could take a listener, in order: for who must be told more than one place.

use crate::fleet::{Policy, StreamId, WhenFull};
use crate::player::{Client, Refusal};
use crate::slots::Moment;
use crate::state::{MountView, Snapshot};

use super::{Candidate, Decision, Verdict, affinity, heavier, judged, with_fallbacks};

/// A mount that could take the listener.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The mount.
    pub mount: MountView<'a>,
    /// How it stands.
    pub standing: Candidate,
}

/// All mounts that a listener of `stream` could be sent to now, best first and at least one, or
/// those of the fallback that a redirect would go to. Nothing is taken.
///
/// Ranks come in the order in which a redirect uses them. Within a rank chance has no say here: the
/// mount that the policy prefers comes first, and of equals the one that is configured first.
pub fn ranked(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    now: Moment,
) -> Decision<'_, Vec<Offer<'_>>> {
    with_fallbacks(snapshot, stream, client, |at, when_full| {
        ranked_here(snapshot, at, client, when_full, now)
    })
}

fn ranked_here(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    when_full: WhenFull,
    now: Moment,
) -> Result<Vec<Offer<'_>>, Refusal> {
    let mut offers = Vec::new();
    let mut refusal = None;
    let verdicts = judged(snapshot, stream, client, when_full, now);
    for (mount, verdict) in snapshot.mounts(stream).zip(verdicts) {
        match verdict {
            Verdict::Candidate(standing) => offers.push(Offer { mount, standing }),
            Verdict::Passed(reason) => refusal = Some(heavier(refusal, reason)),
        }
    }
    if offers.is_empty() {
        return Err(refusal.unwrap_or(Refusal::Unreachable));
    }
    sort(snapshot, stream, client, &mut offers);
    Ok(offers)
}

/// Puts the best first.
pub(super) fn sort(
    snapshot: &Snapshot,
    stream: StreamId,
    client: Client,
    offers: &mut [Offer<'_>],
) {
    let measure = Measure::of(snapshot, stream, client, offers);
    offers.sort_by(|one, other| {
        let by_policy =
            || measure.burden(&one.standing).total_cmp(&measure.burden(&other.standing));
        one.standing.rank.cmp(&other.standing.rank).then_with(by_policy)
    });
}

/// What a policy goes by. It is the same for all mounts, or their order would go in circles.
enum Measure {
    /// The share of the slots in use.
    Share,
    /// Listeners, where some mount has no limit and so no share.
    Load,
    /// Free slots.
    Free,
    /// Nothing but the weight.
    Weight,
    /// The lots that are drawn for this client, by the places of the mounts.
    Lots(Vec<f64>),
}

impl Measure {
    fn of(snapshot: &Snapshot, stream: StreamId, client: Client, offers: &[Offer<'_>]) -> Self {
        let limited = offers.iter().all(|offer| offer.standing.share.is_some());
        let used = if limited { Self::Share } else { Self::Load };
        if offers.iter().all(|offer| offer.standing.rank.beyond_limit) {
            return used;
        }
        match snapshot.fleet.balance.policy {
            Policy::WeightedRandom => Self::Weight,
            Policy::MostFree if limited => Self::Free,
            Policy::MostFree | Policy::LeastUsed => used,
            Policy::ClientHash(key) => match affinity::lots(snapshot, stream, client, key) {
                Some(lots) => Self::Lots(lots.collect()),
                None => used,
            },
        }
    }

    /// What speaks against a mount, for its weight.
    fn burden(&self, mount: &Candidate) -> f64 {
        match self {
            Self::Share => mount.share.unwrap_or(f64::INFINITY) / mount.weight,
            Self::Load => mount.load as f64 / mount.weight,
            Self::Free => -(mount.free.unwrap_or(0) as f64 * mount.weight),
            Self::Weight => -mount.weight,
            Self::Lots(lots) => -lots.get(mount.at).copied().unwrap_or(f64::NEG_INFINITY),
        }
    }
}
