//! The policies: which of several mounts that could take a listener, all of the same rank.

use super::Candidate;
use super::dice::Dice;

/// Of two drawn by weight, the one of which a smaller share is in use. Two suffice to keep the
/// load even, and unlike the least of all, they do not send everybody to one relay while the
/// numbers are old (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing).
pub(super) fn least_used(candidates: &[Candidate], dice: &mut impl Dice) -> Option<Candidate> {
    let first = draw(candidates, dice, |candidate| candidate.weight)?;
    Some(less_used_than(&first, candidates, dice))
}

/// The same, where the first of the two has been drawn.
pub(super) fn less_used_than(
    first: &Candidate,
    candidates: &[Candidate],
    dice: &mut impl Dice,
) -> Candidate {
    let weight_of_others =
        |candidate: &Candidate| if candidate.at == first.at { 0.0 } else { candidate.weight };
    let second = draw(candidates, dice, weight_of_others);
    second.map_or(*first, |second| less_used(first, &second))
}

/// The one of two of which a smaller share is in use.
pub(super) fn less_used(first: &Candidate, second: &Candidate) -> Candidate {
    let (one, other) = match (first.share, second.share) {
        (Some(one), Some(other)) => (one, other),
        // Without a limit there is no share: then the listeners count, for their weight.
        _ => (first.load as f64 / first.weight, second.load as f64 / second.weight),
    };
    if other < one { *second } else { *first }
}

/// Drawn in proportion to free slots × weight; among relays without a limit "most free" says
/// nothing, and the least used is meant.
pub(super) fn most_free(candidates: &[Candidate], dice: &mut impl Dice) -> Option<Candidate> {
    if candidates.iter().any(|candidate| candidate.free.is_none()) {
        return least_used(candidates, dice);
    }
    draw(candidates, dice, |candidate| candidate.free.unwrap_or(0) as f64 * candidate.weight)
}

/// Draws one in proportion to `weight`; `None` if all weights are zero.
pub(super) fn draw(
    candidates: &[Candidate],
    dice: &mut impl Dice,
    weight: impl Fn(&Candidate) -> f64,
) -> Option<Candidate> {
    let at = dice.draw(candidates.iter().map(&weight))?;
    candidates.get(at).copied()
}
