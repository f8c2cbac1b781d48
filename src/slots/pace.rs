//! How fast listeners are sent: a crowd is drawn out into a line.
//!
//! Icecast accepts connections one at a time and lets five wait; of 2,000 players who came at one
//! instant it left 700 unserved, while 1,000 a second all played. So a redirect that comes too soon
//! after the others is held back until it is its turn.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::Moment;

/// When the next listener may join, in nanoseconds since the start.
#[derive(Debug, Default)]
pub struct Pace(AtomicU64);

/// So many may come at once: they wait in the relay's accept queue.
const AT_ONCE: u64 = 5;

impl Pace {
    /// Takes a turn; returns how long to wait for it, but never longer than `longest`: to send
    /// somebody too soon is better than to keep a reservation for nothing.
    pub fn turn(&self, per_second: u64, now: Moment, longest: Duration) -> Duration {
        let line = Line::at(per_second, now, longest);
        let turn = self.0.fetch_update(Relaxed, Relaxed, |turn| Some(line.behind(turn)));
        line.wait(turn.unwrap_or(line.now))
    }

    /// How long whoever took a turn now would wait for it.
    pub fn wait(&self, per_second: u64, now: Moment, longest: Duration) -> Duration {
        Line::at(per_second, now, longest).wait(self.0.load(Relaxed))
    }
}

/// The line of those who wait for their turn, at one moment; in nanoseconds.
struct Line {
    step: u64,
    now: u64,
    latest: u64,
}

impl Line {
    fn at(per_second: u64, now: Moment, longest: Duration) -> Self {
        let step = 1_000_000_000 / per_second.max(1);
        let now = nanos(now);
        let latest = now.saturating_add(nanos(longest)).saturating_add(step * AT_ONCE);
        Self { step, now, latest }
    }

    /// The turn behind this one.
    fn behind(&self, turn: u64) -> u64 {
        turn.clamp(self.now, self.latest).saturating_add(self.step)
    }

    /// How long it is until this turn, less what the accept queue holds.
    fn wait(&self, turn: u64) -> Duration {
        let turn = turn.clamp(self.now, self.latest);
        Duration::from_nanos((turn - self.now).saturating_sub(self.step * (AT_ONCE - 1)))
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(2);

    fn waits(pace: &Pace, players: usize, now: Moment) -> Vec<u128> {
        (0..players).map(|_| pace.turn(100, now, LONGEST).as_millis()).collect()
    }

    #[test]
    fn a_few_at_once_do_not_wait() {
        assert_eq!(waits(&Pace::default(), 5, Duration::from_secs(1)), [0; 5]);
    }

    #[test]
    fn a_crowd_is_drawn_out_into_a_line() {
        assert_eq!(waits(&Pace::default(), 8, Duration::from_secs(1))[5..], [10, 20, 30]);
    }

    #[test]
    fn to_ask_how_long_one_would_wait_takes_no_turn() {
        let (pace, now) = (Pace::default(), Duration::from_secs(1));
        for _ in 0..20 {
            let would_wait = pace.wait(100, now, LONGEST);
            assert_eq!(pace.wait(100, now, LONGEST), would_wait);
            assert_eq!(pace.turn(100, now, LONGEST), would_wait);
        }
    }

    #[test]
    fn those_who_come_at_the_pace_do_not_wait() {
        let pace = Pace::default();
        for turn in 0..1_000 {
            assert_eq!(waits(&pace, 1, Duration::from_millis(10 * turn)), [0]);
        }
    }

    #[test]
    fn nobody_waits_longer_than_the_longest() {
        let pace = Pace::default();
        let waits = waits(&pace, 1_000, Duration::from_secs(1));
        assert!(waits.iter().all(|wait| *wait <= LONGEST.as_millis() + 10), "{:?}", waits.last());
        assert!(waits.last() >= Some(&LONGEST.as_millis()), "{:?}", waits.last());
        assert_eq!(pace.turn(100, Duration::from_secs(4), LONGEST), Duration::ZERO);
    }
    #[test]
    fn the_last_moment_comes_after_every_other() {
        let pace = Pace::default();
        waits(&pace, 1_000, Duration::from_secs(1_000));
        assert_eq!(waits(&pace, 1, Duration::MAX), [0]);
    }
}
