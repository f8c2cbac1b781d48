//! How fast an account is promised, and how much of it is wanted of others.

use std::collections::VecDeque;
use std::time::Duration;

use crate::slots::Moment;

use super::pool::SOON;

/// How fast an account is promised to listeners.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    /// What one listener takes of it.
    unit: u64,
    /// Units within about the last second.
    lately: f64,
    /// What was promised in the last second: since when, and how much.
    recent: VecDeque<(Moment, u64)>,
    /// When it was looked at, by a clock that stands still while there is nothing to promise: then nobody
    /// knows who comes.
    at: Moment,
    /// The same by the clock that everybody goes by.
    looked: Moment,
    /// When something was promised last.
    last: Moment,
}

/// So many listeners within a second are a crowd: of fewer nobody knows how fast they come.
const CROWD: u64 = 8;

/// Who came longer ago says nothing of that.
const LATELY: Duration = Duration::from_secs(1);

/// And in less than this many may come by chance.
const AT_LEAST: Duration = Duration::from_millis(100);

/// What the last few say of a crowd that grows, since they are few.
const OF_THE_LAST: f64 = 0.6;

/// So long after the last promise nobody seems to come any more.
const OVER: Duration = Duration::from_secs(5);

/// A share that lasts for so many seconds is drawn anew before it is used up.
const LASTS: f64 = 30.0;

impl Rate {
    /// Nobody has come up to now; a listener takes `unit`.
    pub(super) fn new(unit: u64, now: Moment) -> Self {
        Self {
            unit: unit.max(1),
            lately: 0.0,
            recent: VecDeque::new(),
            at: now,
            looked: now,
            last: now,
        }
    }

    /// Enters what was promised since; and if nothing `is_left`, as fast as before, at least.
    pub(super) fn note(&mut self, units: u64, now: Moment, is_left: bool) {
        let passed = now.saturating_sub(self.looked);
        let at_that_speed = Duration::try_from_secs_f64(units as f64 / self.per_second());
        let counts = if is_left { passed } else { at_that_speed.unwrap_or(passed).min(passed) };
        self.lately = self.lately * (-counts.as_secs_f64()).exp() + units as f64;
        if units > 0 {
            self.recent.push_back((self.at, units));
            self.last = now;
        }
        self.at = self.at.saturating_add(counts);
        self.looked = now;
        while self.recent.front().is_some_and(|(since, _)| *since + LATELY < self.at) {
            self.recent.pop_front();
        }
    }

    /// Units a second, as they will be wanted.
    pub(super) fn per_second(&self) -> f64 {
        let mut units = 0_u64;
        let last = self.recent.iter().rev().find_map(|(since, more)| {
            units = units.saturating_add(*more);
            let are_few =
                self.listeners(units) < CROWD || self.at.saturating_sub(*since) < AT_LEAST;
            (!are_few).then(|| self.speed(units, *since))
        });
        let (all, speed) = self.recently();
        if self.listeners(all) < CROWD {
            return self.lately;
        }
        last.map_or(speed, |last| speed.max(last * OF_THE_LAST))
    }

    /// The same if everybody who came is the first of many.
    pub(super) fn at_most(&self) -> f64 {
        let (_, speed) = self.recently();
        speed.max(self.per_second())
    }

    /// What was promised lately, and how much a second that is.
    fn recently(&self) -> (u64, f64) {
        let units = self.recent.iter().fold(0_u64, |sum, (_, units)| sum.saturating_add(*units));
        let first = self.recent.front().map_or(self.at, |(since, _)| *since);
        (units, self.speed(units, first))
    }

    fn speed(&self, units: u64, since: Moment) -> f64 {
        units as f64 / self.at.saturating_sub(since).max(AT_LEAST).as_secs_f64()
    }

    fn listeners(&self, units: u64) -> u64 {
        units.checked_div(self.unit).unwrap_or(units)
    }

    /// Whether nobody has come for a while.
    pub(super) fn is_over(&self, now: Moment) -> bool {
        now.saturating_sub(self.last) > OVER
    }

    /// What a second takes, if others are to be asked for it, where `left` of our own is left. No more of it is
    /// needed soon than was promised lately: a few who come at once look like many.
    pub(super) fn want(&self, left: u64) -> Option<u64> {
        let lasts = left > 0 && left as f64 >= self.per_second() * LASTS;
        let (lately, _) = self.recently();
        let per_second = self.per_second().min(lately as f64 / SOON);
        (!lasts).then(|| whole(per_second).max(self.unit))
    }
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

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    /// So many in each beat, for so many beats.
    fn rate(units: u64, beats: u64) -> Rate {
        let mut rate = Rate::new(1, at(0));
        (1..=beats).for_each(|beat| rate.note(units, at(beat * 50), true));
        rate
    }

    #[test]
    fn a_crowd_is_noticed_in_its_first_beat_and_one_listener_is_none() {
        assert_eq!(rate(20, 10).want(100), Some(400));
        // Not two hundred, as fast as they have come.
        assert_eq!(rate(20, 1).want(100), Some(50));
        assert_eq!(rate(1, 1).want(20), Some(1));
        // What lasts is drawn anew.
        assert_eq!(rate(1, 1).want(100), None);
    }

    #[test]
    fn it_passes() {
        let mut rate = rate(20, 10);
        (11..=100).for_each(|beat| rate.note(0, at(beat * 50), true));
        assert_eq!(rate.want(100), None);
        assert!(rate.want(0) <= Some(2), "{rate:?}");
        assert!(!rate.is_over(at(5_000)) && rate.is_over(at(5_501)));
    }

    #[test]
    fn it_does_not_pass_while_there_is_nothing_to_promise() {
        let mut rate = rate(20, 10);
        let before = rate.want(0);
        (11..=100).for_each(|beat| rate.note(0, at(beat * 50), false));
        assert_eq!(rate.want(0), before);
        // What little there is goes as fast as it would have gone before.
        (101..=120).for_each(|beat| rate.note(2, at(beat * 50), false));
        assert!(rate.want(0) >= before.map(|units| units * 9 / 10), "{before:?} {rate:?}");
        // But they do not come for ever.
        assert!(!rate.is_over(at(11_000)) && rate.is_over(at(11_001)));
    }
}
