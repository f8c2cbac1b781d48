//! The policies: which of several mounts that could take a listener, all of the same rank.

use super::Candidate;

/// Of two drawn by weight, the one of which a smaller share is in use. Two suffice to keep the
/// load even, and unlike the least of all, they do not send everybody to one relay while the
/// numbers are old (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing).
pub(super) fn least_used(candidates: &[Candidate], rng: &mut fastrand::Rng) -> Option<Candidate> {
    let first = draw(candidates, rng, |candidate| candidate.weight)?;
    let weight_of_others =
        |candidate: &Candidate| if candidate.at == first.at { 0.0 } else { candidate.weight };
    let Some(second) = draw(candidates, rng, weight_of_others) else { return Some(first) };
    let (one, other) = match (first.share, second.share) {
        (Some(one), Some(other)) => (one, other),
        // Without a limit there is no share: then the listeners count, for their weight.
        _ => (first.load as f64 / first.weight, second.load as f64 / second.weight),
    };
    Some(if other < one { second } else { first })
}

/// Drawn in proportion to free slots × weight; among relays without a limit "most free" says
/// nothing, and the least used is meant.
pub(super) fn most_free(candidates: &[Candidate], rng: &mut fastrand::Rng) -> Option<Candidate> {
    if candidates.iter().any(|candidate| candidate.free.is_none()) {
        return least_used(candidates, rng);
    }
    draw(candidates, rng, |candidate| candidate.free.unwrap_or(0) as f64 * candidate.weight)
}

/// Draws one in proportion to `weight`; `None` if all weights are zero.
pub(super) fn draw(
    candidates: &[Candidate],
    rng: &mut fastrand::Rng,
    weight: impl Fn(&Candidate) -> f64,
) -> Option<Candidate> {
    let total: f64 = candidates.iter().map(&weight).sum();
    let mut point = rng.f64() * total;
    let mut last = None;
    for candidate in candidates {
        let weight = weight(candidate);
        if weight > 0.0 {
            last = Some(*candidate);
            if point < weight {
                break;
            }
        }
        point -= weight;
    }
    last
}
