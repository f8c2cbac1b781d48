//! When the looks at many relays begin: never all at once, and none alone.

use std::time::Duration;

use crate::slots::Moment;

/// Looks that would begin together begin this far apart, so that few relays wait for nothing.
const STEP: Duration = Duration::from_millis(10);

/// However many relays there are, the last of them is looked at after this.
const ALL_WITHIN: Duration = Duration::from_secs(1);

/// Looks begin at multiples of this. What most of a look costs is to wake up for it, and for each piece
/// of its answer: those that begin together share that.
pub(super) const SLOT: Duration = Duration::from_millis(50);

/// The moment of the next looks from `due` on.
pub(super) fn together(due: Moment) -> Moment {
    let slots = due.as_micros().div_ceil(SLOT.as_micros());
    SLOT.saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX))
}

/// How long the relay at `place` of `count` waits for its look, where all want one at once: when
/// the program starts, and when a new configuration comes into force.
pub(super) fn turn(place: usize, count: usize) -> Duration {
    let divided = |whole: Duration, parts: usize| {
        whole.checked_div(u32::try_from(parts).unwrap_or(u32::MAX)).unwrap_or(whole)
    };
    let step = STEP.min(divided(ALL_WITHIN, count));
    step.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX))
}

/// A factor for pauses, a tenth more or less than one, so that looks that fell together fall apart.
pub(super) fn jitter() -> f64 {
    0.9 + 0.2 * fastrand::f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_relays_are_looked_at_within_moments() {
        assert_eq!(turn(0, 1), Duration::ZERO);
        assert_eq!(turn(2, 3), Duration::from_millis(20));
    }

    #[test]
    fn many_relays_are_looked_at_within_a_second() {
        assert_eq!(turn(99, 100), Duration::from_millis(990));
        assert_eq!(turn(999, 1_000), Duration::from_millis(999));
        assert!(turn(99_999, 100_000) <= ALL_WITHIN);
    }

    #[test]
    fn looks_that_are_due_within_a_slot_begin_together_and_none_early() {
        let at = |millis| together(Duration::from_millis(millis));
        assert_eq!(at(1_001), at(1_050));
        assert_ne!(at(1_050), at(1_051));
        for due in (0..200).map(|n| Duration::from_micros(n * 7_777)) {
            let begins = together(due);
            assert!(begins >= due && begins < due + SLOT, "{due:?} {begins:?}");
        }
        let a_year = Duration::from_secs(365 * 24 * 3_600);
        assert_eq!(together(a_year), a_year);
    }

    #[test]
    fn pauses_differ_by_no_more_than_a_tenth() {
        let factors: Vec<_> = (0..1_000).map(|_| jitter()).collect();
        let least = factors.iter().copied().fold(f64::INFINITY, f64::min);
        let most = factors.iter().copied().fold(0.0, f64::max);
        assert!((0.9..0.92).contains(&least) && (1.08..=1.1).contains(&most), "{least} to {most}");
    }
}
