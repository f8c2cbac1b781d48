//! How much of an account is wanted, and how much of it can be spared. None of this can give a slot away
//! twice, whatever it says; it decides whether slots are where the listeners are.

use std::time::Duration;

use crate::slots::Moment;

use super::message::Want;

/// How fast an account is promised to listeners.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// What one listener takes of it.
    unit: u64,
    /// Units within about the last second.
    lately: f64,
    /// Units a second within the last beats, if a crowd has come in them.
    burst: f64,
    /// When it was looked at.
    at: Moment,
    /// When something was promised last.
    last: Moment,
}

/// So many listeners in one beat are a crowd, and no chance.
const CROWD: u64 = 8;

/// So long after the last promise nobody seems to come any more.
const OVER: Duration = Duration::from_secs(5);

/// A share that lasts for so many seconds is drawn anew before it is used up.
const LASTS: f64 = 30.0;

/// What so many seconds take is wanted at once.
const WANTED: f64 = 0.5;

/// What so many seconds take of what is asked of us is kept, but no more than half of what there is.
const KEPT: f64 = 0.25;

impl Rate {
    /// Nobody has come up to now; a listener takes `unit`.
    pub(super) fn new(unit: u64, now: Moment) -> Self {
        Self { unit: unit.max(1), lately: 0.0, burst: 0.0, at: now, last: now }
    }

    /// Enters what was promised since.
    pub(super) fn note(&mut self, units: u64, now: Moment) {
        let passed = now.saturating_sub(self.at).as_secs_f64().max(0.001);
        self.lately = self.lately * (-passed).exp() + units as f64;
        let is_crowd = units / self.unit >= CROWD;
        let burst = if is_crowd { units as f64 / passed } else { 0.0 };
        self.burst = burst.max(self.burst / 2.0);
        self.at = now;
        if units > 0 {
            self.last = now;
        }
    }

    /// Units a second, as they will be wanted.
    pub(super) fn per_second(&self) -> f64 {
        self.lately.max(self.burst)
    }

    /// Whether nobody has come for a while.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        now.saturating_sub(self.last) > OVER
    }

    /// How much to ask others for, if `left` of our own is left and `borrowed` is there already: what half
    /// a second takes, since what is not spent within three is lost for half a minute.
    pub(super) fn want(&self, left: u64, borrowed: u64) -> Option<u64> {
        if left > 0 && left as f64 >= self.per_second() * LASTS {
            return None;
        }
        let soon = whole(self.per_second() * WANTED).max(self.unit);
        soon.checked_sub(borrowed).filter(|units| *units > 0)
    }
}

/// How much to lend who wants it, if `lendable` is left of ours, `rate` of which is asked of us: as much
/// as makes both even, since shares that are spent evenly are drawn anew best; and what is wanted, if it
/// presses. `replicas` share what is free, and `others` of them see that it is wanted.
pub(super) fn offer(
    want: &Want,
    lendable: u64,
    rate: Option<&Rate>,
    replicas: u64,
    others: u64,
) -> u64 {
    let kept = rate.map_or(0, |rate| whole(rate.per_second() * KEPT));
    let our_part = want.units.div_ceil(others.max(1));
    let even = lendable.saturating_sub(want.left).div_ceil(replicas.max(1));
    let presses = want.left < want.units.div_ceil(4);
    let pressing = if presses { our_part } else { 0 };
    let kept = kept.min(lendable.div_ceil(2));
    even.min(our_part).max(pressing).min(lendable.saturating_sub(kept))
}

/// As a count, rounded up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is neither negative nor larger than a count of bits"
)]
fn whole(units: f64) -> u64 {
    units.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::message::Wants;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn want(units: u64, left: u64) -> Want {
        let mut wants = Wants::read(&format!("1\n{units}\t{left}\tclients\ta\thttp://a/")).wants;
        wants.pop().unwrap_or_else(|| unreachable!("it was written"))
    }

    /// So many in each beat, for so many beats.
    fn rate(units: u64, beats: u64) -> Rate {
        let mut rate = Rate::new(1, at(0));
        (1..=beats).for_each(|beat| rate.note(units, at(beat * 50)));
        rate
    }

    #[test]
    fn a_crowd_is_noticed_in_its_first_beat_and_one_listener_is_none() {
        assert_eq!(rate(20, 1).want(100, 0), Some(200));
        assert_eq!(rate(20, 1).want(100, 200), None);
        assert_eq!(rate(1, 1).want(20, 0), Some(1));
        // What lasts is drawn anew.
        assert_eq!(rate(1, 1).want(100, 0), None);
    }

    #[test]
    fn it_passes() {
        let mut rate = rate(20, 10);
        (11..=100).for_each(|beat| rate.note(0, at(beat * 50)));
        assert_eq!(rate.want(100, 0), None);
        assert_eq!(rate.want(0, 0), Some(1));
        assert!(!rate.is_over(at(5_000)) && rate.is_over(at(5_501)));
    }

    #[test]
    fn who_has_more_lends_until_both_have_the_same() {
        assert_eq!(offer(&want(100, 70), 100, None, 3, 2), 10);
        assert_eq!(offer(&want(100, 100), 100, None, 3, 2), 0);
        // Never more than is wanted of each.
        assert_eq!(offer(&want(4, 10), 100, None, 3, 2), 2);
    }

    #[test]
    fn who_has_nothing_left_gets_what_it_wants_down_to_the_last_slot() {
        assert_eq!(offer(&want(100, 20), 100, None, 3, 2), 50);
        assert_eq!(offer(&want(10, 0), 1, None, 3, 2), 1);
        assert_eq!(offer(&want(10, 0), 0, None, 3, 2), 0);
    }

    #[test]
    fn who_is_asked_itself_keeps_what_it_needs_next() {
        let busy = rate(4, 40);
        let spared = offer(&want(100, 0), 30, Some(&busy), 3, 2);
        assert!((5..=15).contains(&spared), "{spared}");
    }
}
