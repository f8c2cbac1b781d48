//! What replicas have left of all that does as well for the same listeners, and how much of it each lends to
//! whom. None of this can give a slot away twice, whatever it says; it decides whether slots are where the
//! listeners are.
//!
//! What all have left should last equally long for each, so that nobody runs out before everybody does. All
//! know nearly the same of it, so that each can reckon by itself what it parts with, and what they lend together
//! is not too much.

use std::iter::Sum;

/// So many standard deviations more may come to a replica than are expected. Smaller ones need more of what
/// there is: where eighteen listeners are expected, there may be thirty-five, and where two are, eight.
const CHANCE: f64 = 4.0;

/// Who has less left than what so many seconds take may run out before anybody hears of it.
const PRESSING: f64 = 0.2;

/// Nobody is lent more than what so many seconds take: what is not spent within three is lost for half a minute.
pub(super) const SOON: f64 = 0.4;

/// What one replica has of it, in listeners.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Part {
    /// So many it has slots for, of its own and of others.
    pub(super) left: f64,
    /// For so many of them others have lent them.
    pub(super) borrowed: f64,
    /// So many come to it in a second.
    pub(super) per_second: f64,
}

/// How many listeners' slots to lend to each of `others`, of whom there are `replicas` with us, some of them
/// unheard.
pub(super) fn gifts(ours: Part, others: &[Part], replicas: u64) -> Vec<u64> {
    let parts = || std::iter::once(&ours).chain(others);
    let all = parts().map(|part| part.left).sum();
    let lasts = root_of_lasting(parts(), all);
    let lacks = |part: &Part| (part.needs(lasts) - part.left).max(0.0);
    let spare = (ours.left - ours.needs(lasts)).max(0.0);
    let wanting: f64 = others.iter().map(lacks).sum();
    // Who wants nothing may have something to lend as well.
    let lenders = replicas.saturating_sub(1).max(1) as f64;
    let gift = |part: &Part| {
        let soon = part.per_second * SOON;
        let most = if part.left < part.per_second * PRESSING {
            (soon - part.left) / lenders
        } else {
            // It does not press, but shares that are spent evenly are drawn anew best.
            let even = (ours.left - part.left) / replicas.max(1) as f64;
            even.min((soon - part.borrowed) / lenders)
        };
        // A few who come at once look like many, and what is lent to nobody is lost for a while.
        let at_once = if part.left > 0.0 { ours.left / 2.0 } else { ours.left };
        let lacks = lacks(part);
        let part_of_spare = if wanting > 0.0 { lacks / wanting * spare } else { 0.0 };
        whole(part_of_spare.min(lacks).min(at_once).min(most.ceil()).max(0.0))
    };
    others.iter().map(gift).collect()
}

/// For how long what `all` have left lasts, if it lasts equally long for all of them: the root of it.
fn root_of_lasting<'a>(parts: impl Iterator<Item = &'a Part>, all: f64) -> f64 {
    let (mut mean, mut chance) = (0.0, 0.0);
    for part in parts {
        mean += part.per_second;
        chance += CHANCE * part.per_second.sqrt();
    }
    if mean > 0.0 {
        ((chance * chance + 4.0 * mean * all).sqrt() - chance) / (2.0 * mean)
    } else {
        0.0
    }
}

impl Part {
    /// In units of which a listener takes so many.
    pub(super) fn new(own: u64, borrowed: u64, per_second: f64, unit: u64) -> Self {
        let [own, borrowed, unit] = [own, borrowed, unit].map(|units| units as f64);
        Self {
            left: (own + borrowed) / unit,
            borrowed: borrowed / unit,
            per_second: per_second / unit,
        }
    }

    /// What it needs for a time, of which this is the root: as many come as on average, and [`CHANCE`] times
    /// the root of that.
    fn needs(&self, time_root: f64) -> f64 {
        self.per_second * time_root * time_root + CHANCE * self.per_second.sqrt() * time_root
    }
}

impl Sum for Part {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            left: sum.left + part.left,
            borrowed: sum.borrowed + part.borrowed,
            per_second: sum.per_second + part.per_second,
        })
    }
}

/// As a count, rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is neither negative nor larger than a count of listeners"
)]
fn whole(listeners: f64) -> u64 {
    listeners.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(left: u64, per_second: u64) -> Part {
        Part { left: left as f64, borrowed: 0.0, per_second: per_second as f64 }
    }

    #[test]
    fn while_nothing_presses_shares_are_spent_evenly() {
        assert_eq!(gifts(part(100, 0), &[part(70, 100)], 3), [10]);
        assert_eq!(gifts(part(100, 0), &[part(100, 100)], 3), [0]);
        assert_eq!(gifts(part(33, 100), &[part(33, 100), part(33, 100)], 3), [0, 0]);
        // Never more of each than is wanted soon, less what is there already.
        assert_eq!(gifts(part(100, 0), &[part(10, 5)], 3), [1]);
        let borrowed = |borrowed| Part { borrowed, ..part(40, 50) };
        let gift = |borrows| gifts(part(100, 0), &[borrowed(borrows)], 3);
        assert_eq!([gift(0.0), gift(14.0), gift(20.0), gift(30.0)], [[10], [3], [0], [0]]);
        assert_eq!(gifts(part(100, 0), &[], 3), [0; 0]);
    }

    #[test]
    fn who_has_hardly_anything_left_gets_what_is_needed_soon_down_to_the_last_slot() {
        assert_eq!(gifts(part(100, 0), &[part(5, 100)], 2), [35]);
        assert_eq!(gifts(part(100, 0), &[part(5, 100)], 3), [18]);
        assert_eq!(gifts(part(7, 0), &[part(0, 100)], 2), [7]);
        assert_eq!(gifts(part(1, 0), &[part(0, 1)], 3), [1]);
        assert_eq!(gifts(part(0, 0), &[part(0, 100)], 3), [0]);
        // Nobody comes to whoever has nothing to do.
        assert_eq!(gifts(part(100, 0), &[part(0, 0)], 3), [0]);
    }

    #[test]
    fn what_is_left_lasts_equally_long_for_all_and_longer_for_who_may_be_surprised() {
        // The first has two more than a third, and the others one less.
        assert_eq!(gifts(part(6, 100), &[part(3, 100), part(3, 100)], 3), [1, 1]);
        assert_eq!(gifts(part(3, 100), &[part(3, 100), part(6, 100)], 3), [0, 0]);
        let [much, little] = gifts(part(30, 100), &[part(0, 80), part(0, 5)], 3)[..] else {
            unreachable!("there are two of them")
        };
        assert!((9..=13).contains(&much) && little == 1, "{much} {little}");
    }

    #[test]
    fn all_lenders_together_lend_no_more_than_is_wanting() {
        let (rich, poor) = (part(12, 60), part(0, 60));
        assert_eq!(gifts(rich, &[rich, poor], 3), [0, 4]);
        assert_eq!(gifts(poor, &[rich, rich], 3), [0, 0]);
    }

    #[test]
    fn bits_are_as_many_listeners_as_they_are_enough_for() {
        let five = Part { borrowed: 2.0, ..part(5, 10) };
        assert_eq!(Part::new(384, 256, 1_280.0, 128), five);
        assert_eq!([part(5, 10), part(1, 2)].into_iter().sum::<Part>(), part(6, 12));
    }
}
